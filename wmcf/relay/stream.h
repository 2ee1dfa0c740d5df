/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What is received: a *source* is one SSRC, a *stream* is one incoming m-line with the sources that
 * belong to it, one of which is active. Threads: the worker. */
#include "wmcf/relay/key-frame-request.h"
#include "wmcf/relay/key-frame.h"
#include "wmcf/relay/nack-generator.h"
#include "wmcf/relay/packet-buffer.h"
#include "wmcf/relay/reception.h"
#include "wmcf/relay/replay.h"
#include "wmcf/relay/rtcp.h"
#include "wmcf/relay/subscription.h"

struct source {
    uint32_t ssrc;
    struct media_line *line;
    const struct qos_slot *bound; /* what the kernel measures it by; NULL = nothing */
    struct replay replay;
    struct reception reception;
    struct nack_generator *nack;  /* NULL until a codec with NACK is received */
    struct packet_buffer *buffer; /* NULL while nobody asks for retransmission */
    uint8_t pt;
    uint32_t clock_rate;
    bool repairs;  /* its codec has NACK */
    bool withheld; /* by the kernel, at a gate that is open again */
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
    struct media_line *line;
    struct source *active;
    struct subscription *subscribers;
    uint32_t epoch; /* changes when the numbering of `active` cannot be continued */
    bool keep_history;
    bool interrupted; /* packets were withheld at the gate: a new epoch begins with the next one */
    struct key_frame_request key_frames;
    bool wanting; /* in the worker's list of streams that need a key frame */
    struct stream *next_wanting;

    struct packet *first, *last; /* of this batch, in clear */
    bool queued;
    struct stream *next_queued;

    bool first_told, inactive_told;
    int64_t active_since; /* open and expected to carry media; 0 = not */
    int64_t last_packet, last_key_frame;
    uint32_t key_frame_timestamp;
    uint64_t packets_in, octets_in, retransmitted_in, duplicates_in, decrypt_failed,
        key_frame_count, nack_sent, pli_sent;
};

struct packet_pool;
struct source *source_new(uint32_t ssrc, struct media_line *line);
void source_free(struct source *source);
/* The SSRC turns out to be another m-line's; its replay list stays. */
void source_move(struct source *source, struct media_line *line);

/* Makes `source` the one that is forwarded, if it may: false when another one is alive. */
bool stream_activate(struct stream *stream, struct source *source, int64_t now);
/* Books one authenticated packet: counters, holes, jitter, key frames. `late` packets count too.
 * *ret_holes is set when there is something to ask for. */
void stream_account(struct stream *stream, struct source *source, const struct packet *packet,
                    size_t datagram_length, bool *ret_holes);
/* Begins to look at the discards of its m-line's slot. */
void source_note_discards(struct source *source);
/* Whether packets of its medium are in excess at present. */
bool source_is_policed(struct source *source, int64_t now);
/* A subscriber cannot go on without a key frame. */
void stream_want_key_frame(struct stream *stream);
void stream_add(struct stream *stream, struct subscription *subscription);
/* The codecs of a subscriber have changed. */
void stream_refresh(struct stream *stream);
void stream_remove(struct stream *stream, struct subscription *subscription);
