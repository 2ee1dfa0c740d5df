/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A stream in two workers. Where its publisher is, a *feed* taps it and writes what comes into the
 * ring to the other worker; there a *mirror* stands in for it: a stream to which subscriptions are
 * attached as to any other, with a history of its own. One pair per m-line and other worker, made
 * and ended by commands of the control thread, which counts the routes that need it; both are found
 * by its id, so what is late for either finds nothing. Of an m-line with simulcast those encodings
 * cross that are used or waited for over there; the mirror says which.
 * Threads: as each part says. */
#include "wmcf/relay/stream-tap.h"
#include "wmcf/relay/stream.h"

struct encoding_board;
struct media_line;
struct worker_link;

/* --- the publisher's worker (mirror-feed.c) --------------------------------------------------- */

/* Taps the m-line's stream from now on, until mirror_feed_end() or the stream's own end; of one
 * with simulcast, the encodings that the mirror will ask for. The m-line and its encodings outlive
 * the feed. */
void mirror_feed_begin(struct media_line *line, uint32_t id, struct worker_link *link);
void mirror_feed_end(struct worker *worker, uint32_t id);
/* Of an m-line with simulcast: these encodings are needed, by bit, and no others. */
void mirror_feed_use(struct worker *worker, uint32_t id, unsigned encodings);
/* The mirror's subscribers need a key frame. */
void mirror_feed_want_key_frame(struct worker *worker, uint32_t id, unsigned encoding);
/* What is left of them. */
void mirror_feeds_end(struct worker *worker);

/* --- the subscribers' worker (stream-mirror.c) ------------------------------------------------ */

/* `board` NULL = no simulcast. */
void stream_mirror_begin(struct worker *worker, uint32_t id, enum relay_kind kind,
                         struct encoding_board *board, struct worker_link *link);
/* Subscribers that are still there are without a source then. */
void stream_mirror_end(struct worker *worker, uint32_t id);
/* With simulcast, one of its encodings. NULL: it has ended. Borrowed. */
struct stream *stream_mirror_find(const struct worker *worker, uint32_t id);
/* Asks the publisher's worker for a key frame if one is due. */
void stream_mirror_request_key_frame(struct stream *stream, int64_t now);
/* The stream of one more encoding. */
void stream_mirror_add(struct stream_mirror *mirror, unsigned encoding);
/* Tells the publisher's worker if other encodings are in use than before. */
void stream_mirror_update(struct stream_mirror *mirror);
/* One record of a feed: into the router's queue. */
struct mirror_record;
void stream_mirrors_take(struct worker *worker, const struct mirror_record *record);
/* Gives back history that is too old. */
void stream_mirrors_expire(struct worker *worker);
void stream_mirrors_end(struct worker *worker);

/* --- what lies in the ring -------------------------------------------------------------------- */

enum mirror_record_kind { MIRROR_PACKET, MIRROR_CLOCK };

struct mirror_record {
    uint32_t id;
    uint32_t epoch; /* of the feed: the stream's, and one more for each loss that cuts it */
    uint8_t kind;   /* enum mirror_record_kind; the rest by it */
    uint8_t encoding;
    uint8_t pt;
    bool marker, padding, key_frame, entry; /* as in struct packet */
    int16_t note;
    int8_t dscp;
    uint8_t spatial, temporal, layer_flags, descriptor;
    uint16_t length; /* of the payload, without what lies behind it */
    uint32_t timestamp, clock_rate;
    uint64_t index;
    int64_t arrival;
    const char *format;
    uint8_t payload[];
};

struct mirror_clock { /* the payload of MIRROR_CLOCK: what sender reports are made from */
    uint32_t ssrc, clock_rate;
    struct publisher_clock clock;
    bool has_report, anchored;
    struct rtcp_sender_info report;
    int64_t report_arrival, anchor_at;
    uint32_t anchor_timestamp;
};
