/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a peer receives, per SSRC: order, loss, time, payload; and the feedback it asks for. Time is
 * a parameter. Threads: the group's. */
#include "tests/support/peer/decoder.h"
#include "tests/support/peer/rtp.h"

#define PEER_SINK_WINDOW 4096
#define PEER_SINK_MISSING 128

struct peer_missing {
    guint64 extended;
    guint tries;
    gint64 next_us;
};

struct peer_sink {
    struct peer_recv_stats stats;
    guint8 mid_extension;
    guint32 clock_rate;
    bool nack, h264;
    guint pli_interval_ms;
    bool started, counter_known;
    guint64 first, highest;  /* extended sequence numbers */
    guint64 floor;           /* nothing before it counts: a reset */
    guint64 expected_before; /* of former runs, ended by a jump */
    guint32 counter;         /* highest of the source's own numbering */
    guint8 seen[PEER_SINK_WINDOW / 8];
    struct peer_missing missing[PEER_SINK_MISSING];
    guint n_missing;
    gint64 pli_due_us;
    /* RFC 3550 A.8 and 6.4.1 */
    double jitter;
    guint32 last_timestamp;
    gint64 last_transit, base_transit;
    guint64 expected_prior, unique_prior;
    guint32 sr_mid;
    gint64 sr_us;
    struct peer_decoder *decoder; /* of video */
    guint32 tos[256];             /* packets by TOS octet */
};

void peer_sink_init(struct peer_sink *sink, guint32 ssrc, const struct peer_media_config *config,
                    const char *mid, gint64 now);
void peer_sink_free(struct peer_sink *sink);
void peer_sink_input(struct peer_sink *sink, gint64 now, const struct peer_rtp *rtp,
                     struct histogram *latency);
void peer_sink_sender_report(struct peer_sink *sink, gint64 now, guint64 ntp);
/* A block for the next report. */
void peer_sink_report(struct peer_sink *sink, gint64 now, struct peer_report_block *ret);
/* Appends the feedback that is due (NACK, PLI) and returns the new length; *ret_next = when again.
 */
gsize peer_sink_feedback(struct peer_sink *sink, gint64 now, guint32 own_ssrc, guint8 *packet,
                         gsize at, gint64 *ret_next);
void peer_sink_reset(struct peer_sink *sink);
