/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One generated stream: VP8 frames or opus packets of one m-line. Time is a parameter; packets are
 * written where emit() says. Threads: the group's. */
#include "tests/support/peer/rtp.h"

#define PEER_HISTORY 1024

struct peer_source;
struct peer_source_ops {
    /* Room for one packet and its SRTP trailer, or NULL: no more in this burst. */
    guint8 *(*room)(void *user);
    /* The packet written there goes out. */
    void (*emit)(struct peer_source *source, gsize length, void *user);
};

struct peer_source {
    struct peer_media_config config;
    guint8 pt, mid_extension, level_extension, wide_extension;
    guint8 rid_extension, rid; /* of one letter; 0 = none */
    bool halted;               /* sends nothing until told so */
    struct peer_speech speech[PEER_SPEECH_STEPS];
    guint n_speech;
    guint8 rtx_pt; /* 0 = retransmissions repeat the packet */
    guint32 rtx_ssrc;
    guint16 rtx_sequence;
    char mid[PEER_MID_MAX + 1];
    guint32 ssrc;
    bool active;
    guint16 sequence, picture_id;
    guint32 counter, timestamp_base, clock_rate;
    gint64 base_us, next_us;
    gint64 clock_us; /* what packets tell about when they were sent; 0 = the time given */
    gint64 interval_us;
    gint64 credit; /* octets that the bitrate allows and frames have not used */
    bool key_wanted;
    guint frame_left; /* packets of a frame that did not fit into the burst */
    bool frame_key, frame_begun;
    guint place; /* of the frame in the pattern of temporal layers, */
    guint8 temporal, base_pictures;
    bool temporal_sync;
    guint32 frame_timestamp;
    struct peer_send_stats stats;
    struct peer_history *history; /* NULL without NACK */
    GPtrArray *payloads;          /* GBytes, or NULL: generated */
};

void peer_source_init(struct peer_source *source, const struct peer_media_config *config);
void peer_source_finish(struct peer_source *source);
void peer_source_start(struct peer_source *source, gint64 now);
/* Emits what is due; returns the next moment. */
gint64 peer_source_tick(struct peer_source *source, gint64 now, const struct peer_source_ops *ops,
                        void *user);
/* One packet of `length` octets that is a whole frame by itself, a key frame when one is wanted,
 * with that SSRC and number. */
void peer_source_single(struct peer_source *source, gint64 now, guint32 ssrc, guint16 sequence,
                        guint8 *packet, gsize length);
/* Keeps a packet as it went onto the wire, or with RTX as it was before it was protected. */
void peer_source_remember(struct peer_source *source, guint16 sequence, const guint8 *packet,
                          gsize length);
/* What was sent under that number, or NULL. Borrowed. */
const guint8 *peer_source_recall(const struct peer_source *source, guint16 sequence,
                                 gsize *ret_length);
/* Writes the retransmission of such a packet in clear (RFC 4588 4); returns its length. */
gsize peer_source_wrap(struct peer_source *source, const guint8 *packet, gsize length, guint8 *out);
guint32 peer_source_timestamp(const struct peer_source *source, gint64 now);
