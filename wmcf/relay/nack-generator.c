/* SPDX-License-Identifier: Apache-2.0 */
/* A sorted list of holes. Where packets come in order the first request goes out at the end of the
 * receive batch that showed the hole (reordering within a burst has healed by then); where they
 * overtake each other it waits for as long as nine of ten late ones took, which is learned from
 * those that came by themselves. Then again after a growing multiple of the round trip, eight times
 * or one second, whatever is over first. */
#include "wmcf/relay/nack-generator.h"

#include <glib.h>
#include <string.h>

#define RETRY_MIN_US 20000
#define RETRY_UNKNOWN_US 40000
#define RETRY_MAX_US 200000
/* A step up for one that was later than expected, a tenth of it down for every other. */
#define PATIENCE_UP_US 2000
#define PATIENCE_DOWN_US 200
#define PATIENCE_MAX_US 40000

/* Its place among the holes; n = none. */
static unsigned find(const struct nack_generator *nack, uint64_t index)
{
    unsigned low = 0, high = nack->n;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (nack->holes[middle].index < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low < nack->n && nack->holes[low].index == index ? low : nack->n;
}

bool nack_asked(const struct nack_generator *nack, uint64_t index)
{
    unsigned at = find(nack, index);
    return at < nack->n && nack->holes[at].tries > 0;
}

static void learn_lateness(struct nack_generator *nack, int64_t late)
{
    if (late > nack->patience)
        nack->patience = MIN(nack->patience + PATIENCE_UP_US, MIN(late, PATIENCE_MAX_US));
    else
        nack->patience = MAX(nack->patience - PATIENCE_DOWN_US, 0);
}

static void learn_round_trip(struct nack_generator *nack, const struct nack_hole *hole, int64_t now)
{
    nack->patience = MAX(nack->patience - PATIENCE_DOWN_US, 0);
    if (hole->tries != 1) /* which of the questions was answered? */
        return;
    int64_t sample = MAX(now - hole->asked, 1);
    nack->round_trip =
        nack->round_trip ? nack->round_trip + (sample - nack->round_trip) / 8 : sample;
}

static enum nack_result fill(struct nack_generator *nack, uint64_t index, int64_t now,
                             enum nack_origin origin)
{
    unsigned at = find(nack, index);
    if (at == nack->n)
        return NACK_LATE;
    const struct nack_hole hole = nack->holes[at];
    nack->n--;
    memmove(&nack->holes[at], &nack->holes[at + 1], (nack->n - at) * sizeof nack->holes[0]);
    if (origin == NACK_ORIGINAL || !hole.tries) {
        learn_lateness(nack, now - hole.created);
        return NACK_LATE;
    }
    if (origin == NACK_REPAIR)
        learn_round_trip(nack, &hole, now);
    return NACK_RECOVERED;
}

void nack_pass_over(struct nack_generator *nack, uint64_t index)
{
    nack->n = 0;
    if (nack->started && index > nack->highest)
        nack->highest = index - 1;
}

enum nack_result nack_received(struct nack_generator *nack, uint64_t index, int64_t now,
                               enum nack_origin origin)
{
    if (!nack->started) {
        nack->started = true;
        nack->highest = index;
        return NACK_IN_ORDER;
    }
    if (index <= nack->highest)
        return fill(nack, index, now, origin);
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
            (struct nack_hole){.index = first + i, .created = now, .next = now + nack->patience};
    return NACK_HOLE;
}

static int64_t wait_for(const struct nack_hole *hole, int64_t round_trip)
{
    int64_t wait = round_trip + round_trip * hole->tries / 2;
    return CLAMP(wait, RETRY_MIN_US, MAX(RETRY_MAX_US, round_trip + round_trip / 4));
}

unsigned nack_collect(struct nack_generator *nack, int64_t now, int64_t round_trip, uint16_t *out,
                      unsigned max, struct nack_outlook *ret)
{
    unsigned kept = 0, due = 0;
    if (nack->round_trip)
        round_trip = nack->round_trip;
    else if (!round_trip)
        round_trip = RETRY_UNKNOWN_US;
    *ret = (struct nack_outlook){0};
    for (unsigned i = 0; i < nack->n; i++) {
        struct nack_hole *hole = &nack->holes[i];
        if (now - hole->created > NACK_AGE_MAX_US ||
            (hole->tries == NACK_TRIES_MAX && now >= hole->next)) {
            ret->gave_up = true;
            continue;
        }
        if (hole->tries < NACK_TRIES_MAX && now >= hole->next && due < max) {
            out[due++] = (uint16_t)hole->index;
            hole->tries++;
            hole->asked = now;
            hole->next = now + wait_for(hole, round_trip) + nack->patience;
        }
        ret->next = ret->next ? MIN(ret->next, hole->next) : hole->next;
        nack->holes[kept++] = *hole;
    }
    nack->n = kept;
    return due;
}
