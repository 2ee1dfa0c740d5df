/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What waits so that a burst (a key frame) does not fill the queue of a slow link: packets leave
 * at a rate, in order, and none waits longer than the limit, for the rate rises with the queue.
 * Holds references only; sending is the owner's. Threads: the worker. */
#include "wmcf/relay/rtp.h"

#define PACER_PACKETS_MAX 1024

struct packet;
struct subscription;

struct paced_packet { /* placed in its stream, not yet protected */
    struct subscription *subscription;
    struct packet *packet; /* owned */
    struct rtp_fields fields;
    uint64_t index;
    uint16_t octets; /* on the wire */
    int8_t dscp;
};

struct pacer {
    struct paced_packet *ring;
    unsigned size, first, n; /* size: power of two, grows with need */
    unsigned max;
    uint64_t queued;  /* octets */
    uint32_t rate;    /* bits/s */
    int64_t limit;    /* µs that a packet may wait */
    int64_t credit;   /* octets · 10⁶ */
    int64_t credited; /* when */
};

/* At most `packets` wait (rounded up to a power of two), each at most about `limit` µs. */
void pacer_init(struct pacer *pacer, unsigned packets, int64_t limit);
/* Frees the ring; it is empty. */
void pacer_finish(struct pacer *pacer);
void pacer_set_rate(struct pacer *pacer, uint32_t rate, int64_t now);
/* Whether a packet of `octets` may leave now, without waiting; it is then charged. */
bool pacer_pass(struct pacer *pacer, unsigned octets, int64_t now);
/* A packet that leaves whatever the pacer says: what is paced waits for it. */
void pacer_charge(struct pacer *pacer, unsigned octets, int64_t now);
/* Takes the packet. False: full, it goes nowhere. */
bool pacer_push(struct pacer *pacer, const struct paced_packet *packet);
/* The next one that may leave, charged; to be given back by the caller. False: none yet. */
bool pacer_pop(struct pacer *pacer, int64_t now, struct paced_packet *ret);
/* The next one, due or not. */
bool pacer_shift(struct pacer *pacer, struct paced_packet *ret);
/* Takes out one packet of `subscription`; false when there is none. */
bool pacer_remove(struct pacer *pacer, const struct subscription *subscription,
                  struct paced_packet *ret);
/* When the next packet may leave; 0 = nothing waits. */
int64_t pacer_due(const struct pacer *pacer, int64_t now);
/* How long the last packet of the queue will wait, µs. */
int64_t pacer_delay(const struct pacer *pacer);
