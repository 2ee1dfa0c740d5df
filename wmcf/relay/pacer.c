/* SPDX-License-Identifier: Apache-2.0 */
/* A token bucket of a few ms in front of a ring. A packet may overdraw it, so that one of any size
 * passes. The ring begins small: most legs never queue more than a key frame's packets. */
#include "wmcf/relay/pacer.h"

#include <glib.h>

#define MICRO INT64_C(1000000)
#define RING_START 32
#define BURST_US 5000 /* what may leave at once: no more than the thread's tick is wrong */
#define BURST_OCTETS 3000

void pacer_init(struct pacer *pacer, unsigned packets, int64_t limit)
{
    *pacer = (struct pacer){.max = RING_START, .limit = limit};
    while (pacer->max < packets)
        pacer->max *= 2;
}

void pacer_finish(struct pacer *pacer)
{
    g_clear_pointer(&pacer->ring, g_free);
    pacer->size = pacer->n = 0;
}

/* The rate that empties the queue within the limit, if that is more. */
static uint64_t rate_now(const struct pacer *pacer)
{
    uint64_t needed = pacer->limit ? pacer->queued * 8 * MICRO / (uint64_t)pacer->limit : 0;
    return MAX(needed, pacer->rate);
}

static void refill(struct pacer *pacer, int64_t now)
{
    int64_t passed = CLAMP(now - pacer->credited, 0, MICRO);
    int64_t rate = (int64_t)(rate_now(pacer) / 8);
    int64_t most = MAX(rate * BURST_US, BURST_OCTETS * MICRO);
    pacer->credited = now;
    pacer->credit = MIN(pacer->credit + rate * passed, most);
}

void pacer_set_rate(struct pacer *pacer, uint32_t rate, int64_t now)
{
    refill(pacer, now);
    pacer->rate = rate;
}

bool pacer_pass(struct pacer *pacer, unsigned octets, int64_t now)
{
    if (pacer->n)
        return false;
    refill(pacer, now);
    if (pacer->credit <= 0)
        return false;
    pacer->credit -= octets * MICRO;
    return true;
}

void pacer_charge(struct pacer *pacer, unsigned octets, int64_t now)
{
    refill(pacer, now);
    /* Never more debt than a queue's time: what does not wait must not starve what does. */
    int64_t least = -(int64_t)(rate_now(pacer) / 8) * BURST_US - BURST_OCTETS * MICRO;
    pacer->credit = MAX(pacer->credit - octets * MICRO, least);
}

static struct paced_packet *at(const struct pacer *pacer, unsigned i)
{
    return &pacer->ring[(pacer->first + i) & (pacer->size - 1)];
}

static void grow(struct pacer *pacer)
{
    unsigned size = pacer->size ? pacer->size * 2 : RING_START;
    struct paced_packet *ring = g_new(struct paced_packet, size);
    for (unsigned i = 0; i < pacer->n; i++)
        ring[i] = *at(pacer, i);
    g_free(pacer->ring);
    pacer->ring = ring;
    pacer->size = size;
    pacer->first = 0;
}

bool pacer_push(struct pacer *pacer, const struct paced_packet *packet)
{
    if (pacer->n == pacer->max)
        return false;
    if (pacer->n == pacer->size)
        grow(pacer);
    *at(pacer, pacer->n++) = *packet;
    pacer->queued += packet->octets;
    return true;
}

bool pacer_shift(struct pacer *pacer, struct paced_packet *ret)
{
    if (pacer->n == 0)
        return false;
    *ret = *at(pacer, 0);
    pacer->first = (pacer->first + 1) & (pacer->size - 1);
    pacer->n--;
    pacer->queued -= ret->octets;
    return true;
}

bool pacer_pop(struct pacer *pacer, int64_t now, struct paced_packet *ret)
{
    refill(pacer, now);
    if (pacer->credit <= 0 || !pacer_shift(pacer, ret))
        return false;
    pacer->credit -= ret->octets * MICRO;
    return true;
}

bool pacer_remove(struct pacer *pacer, const struct subscription *subscription,
                  struct paced_packet *ret)
{
    for (unsigned i = 0; i < pacer->n; i++) {
        if (at(pacer, i)->subscription != subscription)
            continue;
        *ret = *at(pacer, i);
        for (unsigned k = i; k + 1 < pacer->n; k++)
            *at(pacer, k) = *at(pacer, k + 1);
        pacer->n--;
        pacer->queued -= ret->octets;
        return true;
    }
    return false;
}

int64_t pacer_due(const struct pacer *pacer, int64_t now)
{
    if (pacer->n == 0)
        return 0;
    int64_t rate = (int64_t)(rate_now(pacer) / 8);
    int64_t credit = pacer->credit + rate * CLAMP(now - pacer->credited, 0, MICRO);
    if (credit > 0 || rate == 0)
        return now;
    return now - credit / rate + 1;
}

int64_t pacer_delay(const struct pacer *pacer)
{
    uint64_t rate = rate_now(pacer);
    return rate ? (int64_t)(pacer->queued * 8 * MICRO / rate) : 0;
}
