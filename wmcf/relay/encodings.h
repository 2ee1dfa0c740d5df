/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The encodings of one video (RFC 8853), each a stream of its own: of an m-line, or of the mirror
 * that stands in for it in another worker, where only those exist that somebody there gets or waits
 * for. Subscriptions of the video are in the list of the stream that feeds them; one that is to get
 * another encoding waits at that one for a key frame besides.
 * Threads: the worker. */
#include "wmcf/relay/layer-meter.h"
#include "wmcf/relay/leg.h"

struct encodings {
    struct worker *worker;
    struct encoding_board *board;                /* one reference */
    unsigned n;                                  /* in the publisher's order: rising */
    struct stream *streams[RELAY_ENCODINGS_MAX]; /* NULL = not here (a mirror's) */
    struct media_line *line;                     /* owner, or: */
    struct stream_mirror *mirror;
    uint32_t seen; /* version of the board by which the subscriptions were led last, */
    int64_t led_at;
    struct encodings *next, **link; /* in the worker's list */
};

/* Takes a reference of the board. Streams are the owner's, to be filled in by it. */
struct encodings *encodings_new(struct worker *worker, struct encoding_board *board);
/* Its subscriptions have been taken elsewhere. */
void encodings_free(struct encodings *encodings);
/* The stream of one encoding, made if need be. */
struct stream *encodings_stream(struct encodings *encodings, unsigned n);
/* An encoding, or what is chosen by, has changed: every subscription may want another one. */
void encodings_lead(struct encodings *encodings, int64_t now);
/* The publisher says which it sends, a bit each: those who get another one need not wait until its
 * silence tells. */
void encodings_told(struct encodings *encodings, unsigned active, int64_t now);
/* Which are alive, who has waited for too long; at every tick. */
void encodings_tick(struct worker *worker);

/* The m-line's, made, changed or ended after a negotiation; keeps what goes on. */
void media_line_set_encodings(struct media_line *line, struct encoding_board *board, int64_t now);
/* The stream that a packet of a source that is not known yet belongs to; NULL = it does not say. */
struct stream *media_line_stream(struct media_line *line, const struct rtp_header *header);
/* What a route may name: its only stream, or any encoding. */
static inline struct stream *media_line_first(struct media_line *line)
{
    return line->encodings ? line->encodings->streams[0] : &line->in;
}
/* All streams of an m-line. */
unsigned media_line_streams(struct media_line *line, struct stream *ret[RELAY_ENCODINGS_MAX + 1]);
