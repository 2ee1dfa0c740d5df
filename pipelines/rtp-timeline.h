/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* When a received RTP packet was taken, on our own clock: audio and video of one sender get times
 * that fit together, and times of one stream are as even as its timestamps. Pure. Threads: any. */
#include <glib.h>
#include <stdbool.h>

struct rtp_timeline {
    guint clock_rate;
    bool begun;
    guint32 timestamp; /* of the packet before, and its time: */
    gint64 at;         /* monotonic µs */
    bool known;        /* what a sender report has told: */
    guint32 known_timestamp;
    gint64 known_at;
    gint64
        slack; /* least time from taken to arrived that was seen lately, while nothing is known */
};

void rtp_timeline_init(struct rtp_timeline *timeline, guint clock_rate);
/* The stream had this timestamp at this instant. */
void rtp_timeline_learn(struct rtp_timeline *timeline, guint32 timestamp, gint64 at);
/* The time of a packet that arrived then. Never goes back but for a packet that is older than the
 * one before; a stream whose timestamps jump begins anew. */
gint64 rtp_timeline_place(struct rtp_timeline *timeline, guint32 timestamp, gint64 arrival);
