/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the way to a receiver can carry, by what the receiver says has arrived
 * (draft-ietf-rmcat-gcc-02 5.5, 6): a bound by delay that grows while no queue does, a bound by
 * loss that tells congestion from a lossy link, and probes that say more at once. Rates are bits/s
 * on the wire, times µs. Pure. Threads: any. */
#include "wmcf/relay/delay-trend.h"
#include "wmcf/relay/queue-watch.h"

#include <stddef.h>

#define BANDWIDTH_BINS 64   /* power of two */
#define BANDWIDTH_PROBES 4  /* clusters whose result may still come */
#define BANDWIDTH_LOSSES 16 /* power of two */

struct bandwidth_limits {
    uint32_t start, min, max;
};

struct packet_result { /* of one packet sent, by its feedback */
    int64_t sent;
    int64_t arrival; /* the receiver's clock; of received ones */
    uint16_t octets; /* on the wire */
    uint8_t probe;   /* cluster, 0 = none */
    bool received;
    bool recovered; /* it was told as lost before */
};

struct rate_window { /* octets by time */
    uint32_t bins[BANDWIDTH_BINS];
    int64_t first, last; /* bin numbers; first: since the beginning, or after a silence */
    bool begun;
};

struct loss_window {
    int64_t at;  /* its end */
    double sent; /* bits/s; 0 = not known */
    unsigned packets, lost;
};

struct probe_cluster {
    uint8_t id; /* 0 = free */
    unsigned packets;
    unsigned measured; /* of them, when it was looked at last */
    int64_t octets, first_octets, last_octets;
    int64_t first_sent, last_sent, first_arrival, last_arrival;
    int64_t widest;    /* time between arrivals */
    int64_t waited;    /* the last one sent */
    unsigned expected; /* octets that make it whole */
    uint32_t rate;     /* at which it was to be sent */
};

struct probe_result {
    uint8_t id;   /* 0 = there was none */
    bool blurred; /* it was read at once by a busy receiver: it could have been more */
    double rate;
};

struct bandwidth_estimator {
    struct bandwidth_limits limits;
    struct delay_trend trend;
    struct queue_watch queue;
    bool overused;   /* a queue has grown since packets wait */
    double waits;    /* µs that a packet has waited on its way, on the average, */
    unsigned waited; /* … of so many */
    struct rate_window acknowledged, sent;
    double arrived; /* bits/s, when it could be told last; 0 = never */
    double by_delay;
    double capacity; /* at overuse, smoothed; 0 = not known */
    int64_t changed_at, decreased_at;
    int64_t feedback_at; /* last, 0 = never */
    int64_t response;    /* from sending to hearing of it, smoothed */

    int64_t moved_at;      /* what was sent before does not count */
    double before_silence; /* 0 = it is heard */

    double by_loss;         /* 0 = no bound */
    double inherent;        /* loss that does not depend on the rate */
    unsigned lost, counted; /* since loss_at, but for the last report's: */
    unsigned lost_lately, counted_lately;
    int64_t loss_at, loss_decreased_at, loss_held_at;
    double sent_before, arrived_before; /* at the first decrease of a row; 0 = there is none */
    double loss;                        /* of the last window */
    struct loss_window losses[BANDWIDTH_LOSSES]; /* the last ones */
    unsigned n_losses;                           /* ever */

    struct probe_cluster probes[BANDWIDTH_PROBES];
    struct probe_result probed; /* of the last cluster that was measured */
    int64_t proven_at; /* there was evidence that less than wanted goes through; 0 = never */
    unsigned overuses;
};

void bandwidth_estimator_init(struct bandwidth_estimator *estimator,
                              const struct bandwidth_limits *limits);
/* One feedback packet: n results in the order of sending. */
void bandwidth_estimator_feedback(struct bandwidth_estimator *estimator,
                                  const struct packet_result *results, size_t n, int64_t now);
/* From now on packets go another way: the estimate begins anew, and what was sent before tells
 * nothing of it. */
void bandwidth_estimator_move(struct bandwidth_estimator *estimator, int64_t now);
/* Nothing has been heard of packets that were sent a while ago: halves the estimate, twice at most;
 * most of it is back with the next feedback. */
void bandwidth_estimator_silence(struct bandwidth_estimator *estimator, int64_t now);
/* A cluster of `octets` is sent under this id (1..255) at `rate`; its result is no more than that.
 */
void bandwidth_estimator_expect_probe(struct bandwidth_estimator *estimator, uint8_t id,
                                      unsigned octets, uint32_t rate);
/* Lately the way has been seen to be full at about the estimate: it is more than a guess. */
bool bandwidth_estimator_proven(const struct bandwidth_estimator *estimator, int64_t now);
uint32_t bandwidth_estimator_rate(const struct bandwidth_estimator *estimator);
/* What arrives at present; 0 = nothing has. */
uint32_t bandwidth_estimator_acknowledged(const struct bandwidth_estimator *estimator);
