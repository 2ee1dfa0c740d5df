/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One outgoing m-line: what a subscriber sees as one unbroken RTP stream, whatever happens to the
 * sources behind it. The rewriting is pure; sending is the router's. Threads: the worker. */
#include "wmcf/relay/packet-pool.h"
#include "wmcf/relay/relay.h"
#include "wmcf/relay/rtp.h"
#include "wmcf/relay/sequence-map.h"

#define SUBSCRIPTION_RESENT 64 /* remembered retransmissions, power of two */

struct layering;
struct media_line;
struct rtx_sender;
struct stream;

struct subscription {
    struct media_line *line;   /* our own m-line; owner */
    struct stream *source;     /* NULL = not routed */
    struct subscription *next; /* in the source's list */
    struct stream *wanted;     /* the encoding that it waits for; NULL = it has the right one */
    struct subscription *next_waiting;
    struct layering *layering; /* NULL = all that comes is forwarded (layering.h) */

    uint32_t ssrc;
    struct rtp_extension_block extensions;
    uint8_t descriptor_id; /* of the dependency descriptor; 0 = not negotiated */
    struct relay_codec codecs[RELAY_CODECS_MAX];
    unsigned n_codecs;
    const char *format; /* the last one looked up, */
    int16_t pt;         /* and what it became; -1 = the subscriber has no such codec */

    uint32_t epoch; /* of the stream, when `begun` */
    bool begun;     /* the map below holds for the present source */
    bool ever_sent;
    struct sequence_map map;
    uint32_t timestamp_offset;
    uint64_t last_index; /* highest sent */
    uint32_t last_timestamp, last_clock_rate;
    int64_t last_arrival;   /* of the packet with last_timestamp */
    uint64_t index_base;    /* subtracted for SRTP: a new key begins with roll-over counter 0 */
    uint64_t repeats_from;  /* what was sent before would be another packet now, see resend.c */
    struct rtx_sender *rtx; /* NULL = retransmissions repeat the packet itself */

    struct {
        uint16_t sequence;
        int64_t at;
    } resent[SUBSCRIPTION_RESENT];
    int64_t resend_window; /* beginning of the present one */
    unsigned resend_count;

    uint64_t packets_out, octets_out, payload_octets_out, retransmitted_out, nack_received,
        pli_received, no_codec;
    int64_t last_packet_out;
    int32_t lost_remote;
    uint8_t fraction_lost_remote;
    uint32_t judged_highest; /* of the report up to which its loss has been judged; 0 = none */
    int32_t judged_lost;
    uint32_t jitter_remote, round_trip_us;
};

/* Random beginnings (RFC 3550 5.1); the sequence number below 2^15, so that a receiver that misses
 * the first packets cannot take a roll-over for one (RFC 3711 3.3.1). */
void subscription_init(struct subscription *subscription, struct media_line *line, uint32_t random);
/* What was negotiated; keeps the continuity. */
void subscription_configure(struct subscription *subscription, const struct relay_media *media);
/* The next packet of whatever source begins anew: after a change of source, a closed gate, a pause.
 */
void subscription_interrupt(struct subscription *subscription);
/* The subscriber's payload type for a format, -1 when it has none. */
int subscription_payload_type(struct subscription *subscription, const char *format);

/* The same for a packet of redundant audio: the whole where the subscriber has that with the same
 * payload type inside, else its primary block, which begins at *ret_from. */
int subscription_red(const struct subscription *subscription, const struct packet *packet,
                     unsigned *ret_from);
/* The same for any packet. */
static inline int subscription_view(struct subscription *subscription, const struct packet *packet,
                                    unsigned *ret_from)
{
    *ret_from = 0;
    return packet->layer_flags & PACKET_REDUNDANT
               ? subscription_red(subscription, packet, ret_from)
               : subscription_payload_type(subscription, packet->format);
}

enum subscription_verdict {
    SUBSCRIPTION_TAKES,
    SUBSCRIPTION_WAITS,  /* for a packet to begin with: a key frame should be asked for */
    SUBSCRIPTION_PASSED, /* older than the point where the subscription joined */
};
enum subscription_verdict subscription_judge(const struct subscription *subscription,
                                             const struct packet *packet);
/* Places a packet that is taken. *ret_index is the extended sequence number. */
void subscription_rewrite(struct subscription *subscription, const struct packet *packet,
                          uint8_t pt, struct rtp_fields *ret_fields, uint64_t *ret_index);
/* The packet is left out without a hole. */
void subscription_skip(struct subscription *subscription, const struct packet *packet);
/* A sequence number of a NACK: where it lies in the source. False when it was never sent or lies
 * before the last beginning. */
bool subscription_find(const struct subscription *subscription, uint16_t sequence,
                       uint64_t *ret_source_index, uint64_t *ret_index);
/* Limits of retransmission: not the same packet twice within half a round trip, and not more than a
 * budget per time. True: send it (it is then counted). */
bool subscription_may_resend(struct subscription *subscription, uint16_t sequence, int64_t now);
