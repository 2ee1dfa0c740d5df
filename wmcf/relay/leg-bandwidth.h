/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a leg can receive, and what is made of it: an estimate from its feedback, probes, pacing of
 * bursts, and the division among its videos. A leg that negotiated none of it has none of this and
 * pays a pointer test per packet. Threads: the worker. */
#include "wmcf/relay/address.h"
#include "wmcf/relay/bandwidth-allocation.h"
#include "wmcf/relay/pacer.h"
#include "wmcf/relay/prober.h"
#include "wmcf/relay/relay.h"
#include "wmcf/relay/send-history.h"

struct ice_path;
struct media_line;
struct worker;
struct worker_leg;

struct leg_bandwidth {
    struct worker_leg *leg;
    struct send_history *history; /* NULL = no transport-wide feedback was negotiated: */
    uint32_t told; /* … what the endpoint says (REMB) or its reports suggest; 0 = nothing */
    union socket_address remote; /* of the way that is estimated; unspecified = none yet */
    struct bandwidth_estimator estimator;
    struct prober prober;
    struct pacer pacer;
    struct probe_order probe; /* id 0 = none is being sent */
    unsigned probe_sent;      /* octets of it */
    int64_t probe_begun;
    bool pacing; /* in the worker's list of legs with something to send later */
    struct leg_bandwidth *next_pacing;

    int64_t begun;        /* first packet with a number, 0 = none yet */
    int64_t allocated_at; /* 0 = to be done at the next occasion */
    int64_t paused_at;    /* every video, since then; 0 = they are not */
    uint32_t wanted;      /* bits/s, worth probing for */
    struct allocation_video *videos;
    struct media_line **lines; /* whose they are */
    unsigned n_videos;
    uint64_t reserved_octets; /* of audio and repairs, when it was measured last */
    int64_t reserved_at;
    uint32_t reserved;     /* bits/s */
    int64_t repair_credit; /* octets · 10⁶ */
    int64_t repair_at;
    uint64_t probes, paced;
};

/* The m-lines are others: begins or ends it. */
void leg_bandwidth_configure(struct worker_leg *leg);
/* Before the leg's m-lines go. */
void leg_bandwidth_free(struct worker_leg *leg);
/* The leg's pair is this one now. Another address of the endpoint is another network; another port
 * of it, or a restart of ICE, is not. */
void leg_bandwidth_move(struct worker_leg *leg, const struct ice_path *path, int64_t now);
/* An m-line of it goes, or its keys do: nothing of it waits any more. NULL = of all. */
void leg_bandwidth_drop(struct worker_leg *leg, const struct media_line *line);
/* The m-line gets another video, or none. */
void leg_bandwidth_reroute(struct media_line *line);
/* Feedback, and the division when it is time. */
void leg_bandwidth_feedback(struct worker_leg *leg, const uint8_t *fci, size_t length, int64_t now);
/* Receiver reports and REMB: for legs without transport-wide feedback. */
struct rtcp_block;
void leg_bandwidth_report(struct media_line *line, const struct rtcp_block *block, int64_t now);
void leg_bandwidth_remb(struct worker_leg *leg, uint64_t rate, int64_t now);
/* Once a second. */
void leg_bandwidth_visit(struct worker_leg *leg, int64_t now);
/* bits/s; 0 = not known. */
uint32_t leg_bandwidth_estimate(const struct leg_bandwidth *bandwidth);
void leg_bandwidth_stats(const struct leg_bandwidth *bandwidth, struct relay_leg_stats *ret);
void leg_bandwidth_media_stats(const struct leg_bandwidth *bandwidth, const struct media_line *line,
                               struct relay_media_stats *ret);

/* --- leg-pacing.c ----------------------------------------------------------------------------- */

/* Writes the transport-wide number into a packet that leaves now (`octets` on the wire), where its
 * block has a place for it, and remembers it. */
void leg_bandwidth_stamp(struct leg_bandwidth *bandwidth, uint8_t *place, unsigned octets);
/* A placed packet of video, its payload and dependency descriptor (length 0 = none) as the
 * subscriber gets them: true when it waits; the pacer has a reference then, or a copy. */
bool leg_bandwidth_holds(struct leg_bandwidth *bandwidth, struct paced_packet *packet,
                         const uint8_t *payload, const struct rtp_element *descriptor);
/* Whether a retransmission of `octets` may go; it is then charged. */
bool leg_bandwidth_repairs(struct leg_bandwidth *bandwidth, size_t octets, int64_t now);
/* Begins to send a cluster. */
void leg_bandwidth_probe(struct leg_bandwidth *bandwidth, const struct probe_order *order,
                         int64_t now);
/* Everything that waits goes at once. */
void leg_bandwidth_flush(struct worker_leg *leg);
void leg_bandwidth_unlink(struct leg_bandwidth *bandwidth);
/* Sends what is due of all legs. */
void leg_bandwidth_run(struct worker *worker);
