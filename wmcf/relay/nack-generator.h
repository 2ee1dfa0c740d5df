/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which packets of one received SSRC are missing, and when to ask for them (RFC 4585 6.2.1).
 * Threads: the worker. */
#include <stdbool.h>
#include <stdint.h>

#define NACK_HOLES_MAX 256
#define NACK_TRIES_MAX 8
#define NACK_AGE_MAX_US 1000000

enum nack_result {
    NACK_IN_ORDER,
    NACK_HOLE,      /* in front of this packet: something to ask for */
    NACK_RECOVERED, /* one that was asked for */
    NACK_LATE,      /* reordered on the way, or no longer waited for */
    NACK_OVERFLOW,  /* too much is missing to be repaired packet by packet: all holes given up */
};

struct nack_hole {
    uint64_t index;
    int64_t created, next;
    uint8_t tries;
};
struct nack_generator {
    bool started;
    uint64_t highest;
    unsigned n;
    struct nack_hole holes[NACK_HOLES_MAX]; /* rising index */
};

/* What is missing in front of `index` is not to be asked for, nor is what was missing before. */
void nack_pass_over(struct nack_generator *nack, uint64_t index);
enum nack_result nack_received(struct nack_generator *nack, uint64_t index, int64_t now);
/* Sequence numbers to ask for now, rising; at most `max`. `round_trip` 0 = not known. *ret_gave_up
 * tells whether a hole was given up unfilled. */
unsigned nack_collect(struct nack_generator *nack, int64_t now, int64_t round_trip, uint16_t *out,
                      unsigned max, bool *ret_gave_up);
