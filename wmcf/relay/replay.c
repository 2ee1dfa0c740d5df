/* SPDX-License-Identifier: Apache-2.0 */
/* The replay list is a ring of bits addressed by the index itself, so nothing is shifted when the
 * window moves: the bits of the indices it passes over are cleared. */
#include "wmcf/relay/replay.h"

#include <string.h>

bool replay_guess(const struct replay *replay, uint16_t sequence, uint64_t *ret_index)
{
    if (!replay->started) {
        *ret_index = sequence;
        return true;
    }
    /* RFC 3711 3.3.1: of the three neighbouring roll-over counters the one that brings the index
     * closest to the highest one. */
    int64_t guess = (int64_t)replay->highest + (int16_t)(sequence - (uint16_t)replay->highest);
    if (guess < 0)
        return false;
    *ret_index = (uint64_t)guess;
    return true;
}

static bool bit(const struct replay *replay, uint64_t index)
{
    index %= REPLAY_WINDOW;
    return replay->seen[index / 64] >> (index % 64) & 1;
}

bool replay_check(const struct replay *replay, uint64_t index)
{
    if (!replay->started || index > replay->highest)
        return true;
    return replay->highest - index < REPLAY_WINDOW && !bit(replay, index);
}

void replay_commit(struct replay *replay, uint64_t index)
{
    if (!replay->started) {
        replay->started = true;
        replay->highest = index;
    } else if (index > replay->highest) {
        if (index - replay->highest >= REPLAY_WINDOW) {
            memset(replay->seen, 0, sizeof replay->seen);
        } else {
            for (uint64_t i = replay->highest + 1; i < index; i++)
                replay->seen[i % REPLAY_WINDOW / 64] &= ~(UINT64_C(1) << (i % 64));
        }
        replay->highest = index;
    }
    replay->seen[index % REPLAY_WINDOW / 64] |= UINT64_C(1) << (index % 64);
}
