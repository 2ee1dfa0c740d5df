/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What is received: a *source* is one SSRC, a *stream* is one encoding of an incoming m-line (most
 * have one) with the sources that belong to it, one of which is active. Threads: the worker. */
#include "wmcf/relay/key-frame-request.h"
#include "wmcf/relay/key-frame.h"
#include "wmcf/relay/nack-generator.h"
#include "wmcf/relay/packet-buffer.h"
#include "wmcf/relay/reception.h"
#include "wmcf/relay/replay.h"
#include "wmcf/relay/rtcp.h"
#include "wmcf/relay/subscription.h"

struct dependency_structure;
struct encodings;
struct layer_meter;
struct stream_mirror;
struct stream_tap;

struct publisher_clock { /* of a leg: its NTP clock against ours */
    bool known;
    int64_t offset; /* µs, ours - theirs */
};

struct source {
    uint32_t ssrc;
    struct media_line *line;      /* NULL = stands in for that of another worker */
    struct stream *stream;        /* of the line */
    const struct qos_slot *bound; /* what the kernel measures it by; NULL = nothing */
    struct replay replay;
    struct reception reception;
    struct nack_generator *nack;            /* NULL until a codec with NACK is received */
    struct dependency_structure *structure; /* of its last key frame; NULL = it has none */
    struct packet_buffer *buffer;           /* NULL while nobody asks for retransmission */
    uint8_t pt;
    uint32_t clock_rate;
    uint32_t rtx_of; /* of one that brings retransmissions: whose they were; 0 = not known */
    bool repairs;    /* its codec has NACK, */
    bool has_rtx;    /* and retransmissions on another SSRC */
    bool withheld;   /* by the kernel, at a gate that is open again */
    uint64_t gate_seen, policing_seen, policing_asked; /* of the slot: its discards when packets
                                                        * were last missing, or asked for */
    int64_t policed_at;                                /* when there were new ones */
    bool feedback_queued; /* in the worker's list of sources with holes */
    struct source *next_feedback;
    int64_t last_packet;
    uint32_t last_timestamp;

    bool has_report; /* the last sender report: */
    struct rtcp_sender_info report;
    int64_t report_arrival;

    bool anchored; /* a local source, whose clock is ours: */
    int64_t anchor_at;
    uint32_t anchor_timestamp;
};

struct stream {
    struct worker *worker;
    enum relay_kind kind;
    struct media_line *line;      /* NULL = a mirror's */
    struct stream_mirror *mirror; /* NULL = an m-line's */
    struct encodings *encodings;  /* that it is one of; NULL = the only one */
    uint8_t encoding;             /* … and its number there */
    struct layer_meter *meter;    /* its own, or on the board of its encodings; NULL = it has no
                                   * layers, or they are measured in another worker */
    uint32_t size;                /* of its picture, width << 16 | height; 0 = not known */
    const struct publisher_clock *clock; /* of who sends it */
    struct source *active;
    struct subscription *subscribers;
    struct subscription *waiting; /* fed by another encoding, until a key frame of this one */
    struct stream_tap *taps;
    uint32_t epoch; /* changes when the numbering of `active` cannot be continued */
    bool keep_history;
    bool interrupted; /* packets were withheld at the gate: a new epoch begins with the next one */
    struct key_frame_request key_frames;
    uint8_t fir_number; /* of the next request in that form */
    bool wanting;       /* in the worker's list of streams that need a key frame */
    struct stream *next_wanting;

    struct packet *first, *last; /* of this batch, in clear */
    bool queued;
    struct stream *next_queued;

    bool first_told, inactive_told;
    int64_t active_since; /* open and expected to carry media; 0 = not */
    int64_t last_packet, last_key_frame;
    uint32_t key_frame_timestamp;
    int64_t rate_at; /* when the rate was looked at last, */
    uint64_t rate_octets;
    uint32_t rate; /* bits/s, until then */
    uint64_t packets_in, octets_in, retransmitted_in, duplicates_in, decrypt_failed,
        key_frame_count, nack_sent, pli_sent;
    uint64_t retransmitted_octets_in, rtx_redundant_in, rtx_padding_in, rtx_unknown_in;
};

struct packet_pool;
struct source *source_new(uint32_t ssrc, struct stream *stream);
void source_free(struct source *source);
/* The SSRC turns out to be another m-line's, or another encoding; its replay list stays. */
void source_move(struct source *source, struct stream *stream);

/* An m-line's, all zero before. */
void stream_init(struct stream *stream, struct media_line *line);
/* Makes `source` the one that is forwarded, if it may: false when another one is alive. */
bool stream_activate(struct stream *stream, struct source *source, int64_t now);
/* Books one authenticated packet: counters, holes, jitter, key frames. `late` packets count too.
 * *ret_holes is set when there is something to ask for. */
void stream_account(struct stream *stream, struct source *source, const struct packet *packet,
                    size_t datagram_length, bool *ret_holes);
/* Books a key frame, if the packet is of one that was not booked yet. */
void stream_note_key_frame(struct stream *stream, const struct packet *packet);
/* Begins to look at the discards of its m-line's slot. */
void source_note_discards(struct source *source);
/* Whether packets of its medium are in excess at present. */
bool source_is_policed(struct source *source, int64_t now);
/* A subscriber cannot go on without a key frame. */
void stream_want_key_frame(struct stream *stream);
void stream_add(struct stream *stream, struct subscription *subscription);
/* It stays where it is and waits here for a key frame; and does so no more, wherever it was. */
void stream_wait(struct stream *stream, struct subscription *subscription);
void stream_unwait(struct subscription *subscription);
/* The codecs of a subscriber have changed. */
void stream_refresh(struct stream *stream);
void stream_remove(struct stream *stream, struct subscription *subscription);
/* Bits per second on the wire, of the last half second or more; for who asks again and again. */
uint32_t stream_rate(struct stream *stream, int64_t now);
/* Layers and liveliness, of a stream that has any. */
void stream_measure(struct stream *stream, const struct packet *packet);
struct picture_sizes;
void stream_note_sizes(struct stream *stream, const struct picture_sizes *sizes);
/* Size of the picture with all its spatial layers, width << 16 | height; 0 = not known. */
uint32_t stream_size(const struct stream *stream);
/* Whether anybody wants what it brings. */
static inline bool stream_is_used(const struct stream *stream)
{
    return stream->subscribers || stream->taps || stream->waiting;
}
/* It goes: routes and taps end, the worker's lists forget it. */
void stream_finish(struct stream *stream);
