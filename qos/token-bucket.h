/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Policing without a lock: the sustained rate is a token bucket (RFC 2216: at most r·t + b octets
 * pass in any t), the peak rate a GCRA with a tolerance (H.248.53 pdr, dvt). Both are kept as the
 * theoretical arrival time of the next packet, one word each, so that a charge is one
 * compare-and-swap, in the kernel as in the relay.
 *
 * This file is compiled for the kernel as well. */
#include "qos/slot.h"

#define TOKEN_BUCKET_TRIES 8
#define TOKEN_BUCKET_NS 1000000000ull

/* ns that `octets` take at `rate` octets/s, which is not 0. `octets` below 2^34. */
static inline uint64_t token_bucket_time(uint64_t octets, uint32_t rate)
{
    return octets * TOKEN_BUCKET_NS / rate;
}

/* Whether what costs `cost` ns conforms at `now` (ns), and then charges it: the first `needed` of
 * it must lie within `limit`. After so many tries against others it is taken for one in excess. */
static inline bool token_bucket_charge(uint64_t *at, uint64_t now, uint64_t cost, uint64_t needed,
                                       uint64_t limit)
{
    for (int i = 0; i < TOKEN_BUCKET_TRIES; i++) {
        uint64_t old = *(volatile uint64_t *)at;
        uint64_t base = old > now ? old : now;
        if (base + needed > now + limit)
            return false;
        if (__sync_val_compare_and_swap(at, old, base + cost) == old)
            return true;
    }
    return false;
}

/* Whether `octets` would be admitted; nothing is charged. */
static inline bool token_bucket_fits(const struct qos_slot *slot, uint64_t octets, uint64_t now)
{
    uint64_t sustained = *(const volatile uint64_t *)&slot->sustained;
    uint64_t peak = *(const volatile uint64_t *)&slot->peak;
    uint64_t at = *(const volatile uint64_t *)&slot->sustained_at;
    uint64_t peak_at = *(const volatile uint64_t *)&slot->peak_at;
    if (!sustained)
        return true;
    uint32_t rate = sustained >> 32;
    if (peak >> 32 && peak_at > now + (peak & 0xffffffffu) * 1000)
        return false;
    return rate && (at > now ? at : now) + token_bucket_time(octets, rate) <=
                       now + token_bucket_time(sustained & 0xffffffffu, rate);
}

/* The policing of a slot for `octets` of one packet, or of a run of segments of which the last has
 * `last` and which conforms when each of its segments does. Charges both rates or neither. A token
 * bucket must hold the packet itself; a GCRA must not be further in debt than its tolerance when
 * the packet comes. */
static inline bool token_bucket_admit_run(struct qos_slot *slot, uint64_t octets, uint64_t last,
                                          uint64_t now)
{
    uint64_t sustained = *(volatile uint64_t *)&slot->sustained;
    uint64_t peak = *(volatile uint64_t *)&slot->peak;
    uint64_t peak_cost = 0, cost;
    if (!sustained)
        return true;
    uint32_t rate = sustained >> 32, peak_rate = peak >> 32;
    if (!rate)
        return false;
    if (peak_rate) {
        peak_cost = token_bucket_time(octets, peak_rate);
        if (!token_bucket_charge(&slot->peak_at, now, peak_cost,
                                 token_bucket_time(octets - last, peak_rate),
                                 (peak & 0xffffffffu) * 1000))
            return false;
    }
    cost = token_bucket_time(octets, rate);
    if (token_bucket_charge(&slot->sustained_at, now, cost, cost,
                            token_bucket_time(sustained & 0xffffffffu, rate)))
        return true;
    /* What others have added since stays; the debt of this packet goes. */
    if (peak_cost)
        __sync_fetch_and_sub(&slot->peak_at, peak_cost);
    return false;
}

static inline bool token_bucket_admit(struct qos_slot *slot, uint64_t octets, uint64_t now)
{
    return token_bucket_admit_run(slot, octets, octets, now);
}
