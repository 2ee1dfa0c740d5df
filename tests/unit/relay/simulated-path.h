/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A sender with congestion control, a link with a queue, a receiver with feedback, all in virtual
 * time: steps of 1 ms, the same every run. */
#include "wmcf/relay/bandwidth-allocation.h"
#include "wmcf/relay/pacer.h"
#include "wmcf/relay/prober.h"
#include "wmcf/relay/send-history.h"

#include <glib.h>

struct simulated_link {
    uint32_t rate;  /* bits/s */
    unsigned queue; /* octets; more is dropped */
    int64_t delay;  /* µs each way */
    double loss;    /* of packets, at random */
    uint32_t cross; /* bits/s of others */
    int64_t jitter; /* µs at most, order kept, … */
    bool reorders;  /* … or not */
    bool polices;   /* `queue` is a bucket: what passes is not delayed */
};

/* Times in which the receiver's process does not run: nothing is read from its socket and nothing
 * told; what has come meanwhile is read, and stamped, when it runs again. */
struct simulated_stalls {
    int64_t least, most; /* µs; most 0 = none */
    int64_t between;     /* µs on the average */
    unsigned room;       /* octets that its socket holds; more is lost. 0 = all */
};

struct simulated_path {
    struct simulated_link link;
    struct simulated_stalls stalls;
    int64_t feedback_interval; /* µs */
    double feedback_loss;
    GRand *random;
    int64_t now;
    /* the sender */
    struct bandwidth_estimator estimator;
    struct send_history *history;
    struct prober prober;
    bool probing;       /* it may pad */
    uint32_t media_max; /* bits/s; what there is to send, follows the estimate below it */
    uint32_t audio;     /* bits/s, always */
    double media_credit, audio_credit, pace;
    struct probe_order probe;
    int64_t probe_begun;
    unsigned probe_sent, padding;
    GQueue paced; /* octets of packets */
    uint64_t paced_octets;
    uint64_t sent_octets;
    /* what a relay sends: an encoding that was chosen, whatever it takes; video.n 0 = not */
    struct allocation_video video;
    int64_t allocated_at;
    uint32_t estimate;
    double wander;  /* each half second it takes between (1 - wander) of its rate and all */
    double repairs; /* of what is sent of it is sent once more */
    double share;   /* of its rate, at present */
    int64_t below_since, below_longest; /* µs below the highest layer */
    int64_t below_time, paused_time;
    /* the link */
    struct simulated_path *shares; /* the link of this one; NULL = has its own */
    double backlog;                /* octets */
    int64_t last_arrival;
    double cross_credit;
    GQueue flying; /* struct flight, by arrival */
    /* the receiver */
    struct transport_arrivals arrivals;
    int64_t clock;     /* µs that its clock is ahead of the sender's */
    int64_t sent_late; /* µs that what is told of times of sending is behind */
    int64_t feedback_due, stall_at, stalled_until;
    unsigned held;   /* octets that came during the stall */
    GQueue feedback; /* struct flight with octets */
    uint64_t received_octets, lost_packets, audio_sent, audio_received;
};

void simulated_path_begin(struct simulated_path *path, const struct simulated_link *link,
                          const struct bandwidth_limits *limits);
void simulated_path_end(struct simulated_path *path);
void simulated_path_run(struct simulated_path *path, int64_t us);
/* Several side by side. */
void simulated_paths_run(struct simulated_path *paths, unsigned n, int64_t us);
