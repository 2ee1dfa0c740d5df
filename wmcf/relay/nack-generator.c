/* SPDX-License-Identifier: Apache-2.0 */
/* A sorted list of holes. The first request goes out at the end of the receive batch that showed
 * the hole (reordering within a burst has healed by then), then after a growing multiple of the
 * round trip, eight times or one second, whatever is over first. */
#include "wmcf/relay/nack-generator.h"

#include <string.h>

#define RETRY_MIN_US 20000
#define RETRY_UNKNOWN_US 40000
#define RETRY_MAX_US 200000

static enum nack_result fill(struct nack_generator *nack, uint64_t index)
{
    unsigned low = 0, high = nack->n;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (nack->holes[middle].index < index)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == nack->n || nack->holes[low].index != index)
        return NACK_LATE;
    enum nack_result result = nack->holes[low].tries ? NACK_RECOVERED : NACK_LATE;
    nack->n--;
    memmove(&nack->holes[low], &nack->holes[low + 1], (nack->n - low) * sizeof nack->holes[0]);
    return result;
}

void nack_pass_over(struct nack_generator *nack, uint64_t index)
{
    nack->n = 0;
    if (nack->started && index > nack->highest)
        nack->highest = index - 1;
}

enum nack_result nack_received(struct nack_generator *nack, uint64_t index, int64_t now)
{
    if (!nack->started) {
        nack->started = true;
        nack->highest = index;
        return NACK_IN_ORDER;
    }
    if (index <= nack->highest)
        return fill(nack, index);
    uint64_t missing = index - nack->highest - 1;
    uint64_t first = nack->highest + 1;
    nack->highest = index;
    if (missing == 0)
        return NACK_IN_ORDER;
    if (missing + nack->n > NACK_HOLES_MAX) {
        nack->n = 0;
        return NACK_OVERFLOW;
    }
    for (uint64_t i = 0; i < missing; i++)
        nack->holes[nack->n++] =
            (struct nack_hole){.index = first + i, .created = now, .next = now};
    return NACK_HOLE;
}

unsigned nack_collect(struct nack_generator *nack, int64_t now, int64_t round_trip, uint16_t *out,
                      unsigned max, bool *ret_gave_up)
{
    int64_t base = round_trip ? round_trip : RETRY_UNKNOWN_US;
    unsigned kept = 0, due = 0;
    *ret_gave_up = false;
    for (unsigned i = 0; i < nack->n; i++) {
        struct nack_hole *hole = &nack->holes[i];
        if (now - hole->created > NACK_AGE_MAX_US ||
            (hole->tries == NACK_TRIES_MAX && now >= hole->next)) {
            *ret_gave_up = true;
            continue;
        }
        if (hole->tries < NACK_TRIES_MAX && now >= hole->next && due < max) {
            out[due++] = (uint16_t)hole->index;
            hole->tries++;
            int64_t wait = base + base * hole->tries / 2;
            if (wait < RETRY_MIN_US)
                wait = RETRY_MIN_US;
            if (wait > RETRY_MAX_US)
                wait = RETRY_MAX_US;
            hole->next = now + wait;
        }
        nack->holes[kept++] = *hole;
    }
    nack->n = kept;
    return due;
}
