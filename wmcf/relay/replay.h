/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Packet index and replay list of one received SSRC (RFC 3711 3.3.1, 3.3.2). Threads: its worker.
 */
#include <stdbool.h>
#include <stdint.h>

/* Wide enough for retransmissions of two seconds of video that come without a stream of their own.
 */
#define REPLAY_WINDOW 1024

struct replay {
    bool started;
    uint64_t highest; /* index = roll-over counter and sequence number */
    uint64_t seen[REPLAY_WINDOW / 64];
};

/* The most likely index of a packet with this sequence number; false when it would lie before the
 * first one. */
bool replay_guess(const struct replay *replay, uint16_t sequence, uint64_t *ret_index);
/* True when a packet of this index was not seen and is not too old. */
bool replay_check(const struct replay *replay, uint64_t index);
/* After authentication only. */
void replay_commit(struct replay *replay, uint64_t index);
