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

enum nack_origin {
    NACK_EITHER,   /* one looks like the other */
    NACK_ORIGINAL, /* retransmissions would come on an SSRC of their own */
    NACK_REPAIR,   /* a retransmission */
};

struct nack_hole {
    uint64_t index;
    int64_t created, asked, next;
    uint8_t tries;
};
struct nack_generator {
    bool started;
    uint64_t highest;
    int64_t patience;   /* µs that a packet may be late before it is asked for: learned */
    int64_t round_trip; /* µs from question to answer, learned; 0 = not known */
    unsigned n;
    struct nack_hole holes[NACK_HOLES_MAX]; /* rising index */
};

/* What is missing in front of `index` is not to be asked for, nor is what was missing before. */
void nack_pass_over(struct nack_generator *nack, uint64_t index);
enum nack_result nack_received(struct nack_generator *nack, uint64_t index, int64_t now,
                               enum nack_origin origin);
/* Whether this one is missing and has been asked for. */
bool nack_asked(const struct nack_generator *nack, uint64_t index);
struct nack_outlook {
    bool gave_up; /* a hole, unfilled */
    int64_t next; /* when to collect again; 0 = nothing is missing */
};
/* Sequence numbers to ask for now, rising; at most `max`. `round_trip` as told elsewhere, 0 = not
 * known: what was learned here goes first. */
unsigned nack_collect(struct nack_generator *nack, int64_t now, int64_t round_trip, uint16_t *out,
                      unsigned max, struct nack_outlook *ret);
