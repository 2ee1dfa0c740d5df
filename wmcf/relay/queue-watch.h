/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Whether packets wait in a queue on their way, or only for a receiver that reads them late. Times
 * in µs: of sending by one clock, of arrival by another. Pure. Threads: any. */
#include <stdbool.h>
#include <stdint.h>

struct queue_watch {         /* zeroed = at the beginning */
    int64_t base, next_base; /* least difference of the clocks: this period's and the last one's */
    int64_t base_at;         /* since when; 0 = never */
    int64_t delay;           /* of the newest packet, over that */
    int64_t least[2];        /* of the delays in each of the last two batches, */
    int64_t next_least;      /* … and in the one to come; < 0 = nothing yet */
    /* --- while no packet comes without having waited: */
    int64_t since, last; /* arrivals; since 0 = one just has come so */
    unsigned instants;   /* arrivals one after the other, not at once; the last of them: */
    int64_t instant_at;
    unsigned packets;
    int64_t octets; /* after the first instant */
    int64_t widest; /* longest time without arrivals */
};

/* A packet that has arrived, in the order of sending. */
void queue_watch_packet(struct queue_watch *watch, int64_t sent, int64_t arrival, unsigned octets);
/* The clocks have jumped: what was known of their difference is forgotten. */
void queue_watch_reset(struct queue_watch *watch);
/* What came at once, in one feedback packet, is complete. */
void queue_watch_batch(struct queue_watch *watch);
/* Packets have waited for long enough that it is no chance, none of them has not, and they have not
 * come in heaps. */
bool queue_watch_stands(const struct queue_watch *watch);
/* How long all of them have waited at least, lately. */
int64_t queue_watch_least(const struct queue_watch *watch);
/* bits/s at which a queue that stands is emptied; 0 = it cannot be told. */
double queue_watch_rate(const struct queue_watch *watch);
/* How long a packet has waited, by the present knowledge. */
int64_t queue_watch_delay(const struct queue_watch *watch, int64_t sent, int64_t arrival);
