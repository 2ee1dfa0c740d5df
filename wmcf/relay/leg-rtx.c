/* SPDX-License-Identifier: Apache-2.0 */
/* Retransmissions that a publisher sends on an SSRC of their own (RFC 4588): authentic by then,
 * they are unwrapped and go on as the packets they repeat, into the hole that these left. The
 * replay list of the original decides whether one is still missing, so nothing comes twice
 * whichever way it takes; what fills no hole, a probe for instance, ends here. */
#include "wmcf/relay/leg.h"

#include "wmcf/relay/worker.h"

#include <string.h>

#define OSN_LENGTH 2 /* original sequence number (RFC 4588 4) */

const struct relay_codec *media_line_rtx_codec(const struct media_line *line, uint8_t pt)
{
    for (guint i = 0; i < line->media.n_recv_codecs; i++) {
        if (line->media.recv_codecs[i].rtx_pt == pt && pt)
            return &line->media.recv_codecs[i];
    }
    return NULL;
}

static struct source *source_of_line(struct worker_leg *leg, const struct media_line *line,
                                     uint32_t ssrc)
{
    struct source *source = worker_leg_source(leg, ssrc);
    return source && source->line == line ? source : NULL;
}

/* ssrc-group:FID (RFC 5576 4.2). */
static uint32_t announced_original(const struct media_line *line, uint32_t rtx)
{
    for (guint i = 0; i < line->media.n_remote_ssrcs; i++) {
        if (rtx && line->media.remote_rtx_ssrcs[i] == rtx)
            return line->media.remote_ssrcs[i];
    }
    return 0;
}

/* RFC 4588 5.3: the one that was asked for this sequence number; when two were, the next packet
 * tells. */
static struct source *asked_for(const struct worker_leg *leg, const struct media_line *line,
                                uint16_t sequence)
{
    struct source *found = NULL;
    for (unsigned i = 0; i < leg->n_sources; i++) {
        struct source *source = leg->sources[i];
        uint64_t index;
        if (source->line != line || !source->nack ||
            !replay_guess(&source->replay, sequence, &index) || !nack_asked(source->nack, index))
            continue;
        if (found)
            return NULL;
        found = source;
    }
    return found;
}

static struct source *original_of(struct source *rtx, uint16_t sequence)
{
    struct media_line *line = rtx->line;
    struct worker_leg *leg = line->leg;
    uint32_t ssrc = announced_original(line, rtx->ssrc);
    if (!ssrc && line->encodings && rtx->stream->active) /* it named its encoding (RFC 8852 3.2) */
        return rtx->stream->active;
    if (!ssrc)
        ssrc = rtx->rtx_of;
    struct source *source = ssrc ? source_of_line(leg, line, ssrc) : NULL;
    if (!source && !announced_original(line, rtx->ssrc))
        source = asked_for(leg, line, sequence);
    rtx->rtx_of = source ? source->ssrc : 0;
    return source;
}

/* Its place among the originals; false when nothing is missing there. One in front of everything
 * seen repairs nothing: the original may still be on its way. */
static bool place(const struct source *original, uint16_t sequence, uint64_t *ret_index)
{
    return replay_guess(&original->replay, sequence, ret_index) &&
           *ret_index < original->replay.highest && replay_check(&original->replay, *ret_index);
}

static bool admit(const struct media_line *line, size_t octets)
{
    struct qos_slot *slot = line->media.slot[QOS_UPLINK];
    return !slot || worker_leg_admit(line->leg, slot, line->media.mid, QOS_UPLINK, octets);
}

/* The packet without its wrapping, where it repairs something. */
static struct source *unwrap(struct source *rtx, struct packet *packet, size_t length)
{
    struct stream *stream = rtx->stream;
    uint16_t sequence = (uint16_t)(packet->payload[0] << 8 | packet->payload[1]);
    struct source *original = original_of(rtx, sequence);
    uint64_t index;
    if (!original) {
        stream->rtx_unknown_in++;
        return NULL;
    }
    if (!place(original, sequence, &index)) {
        stream->rtx_redundant_in++;
        return NULL;
    }
    replay_commit(&original->replay, index);
    packet->index = index;
    packet->length = (uint16_t)(length - OSN_LENGTH);
    memmove(packet->payload, packet->payload + OSN_LENGTH, packet->length);
    return original;
}

bool worker_leg_take_rtx(struct source *rtx, struct packet *packet, const struct rtp_header *header,
                         const struct relay_codec *codec, size_t datagram_length,
                         const struct arrival *arrival)
{
    struct media_line *line = rtx->line;
    struct packet_pool *pool = line->leg->worker->pool;
    size_t length = packet->length;
    uint8_t padding = header->padding && length ? packet->payload[length - 1] : 0;
    rtx->last_packet = arrival->now;
    bool broken = (header->padding && padding == 0) || padding > length;
    length -= broken ? 0 : padding;
    struct source *original = NULL;
    if (!arrival->judged && !admit(line, datagram_length + arrival->overhead)) {
        packet_unref(pool, packet);
        return true;
    }
    if (!broken && length == 0)
        rtx->stream->rtx_padding_in++; /* a probe, or a sender that keeps its rate up */
    else if (!broken && length >= OSN_LENGTH)
        original = unwrap(rtx, packet, length);
    else
        broken = true;
    if (!original) {
        packet_unref(pool, packet);
        return !broken;
    }
    struct rtp_header repaired = *header;
    struct arrival repaired_arrival = *arrival;
    repaired.pt = codec->pt;
    repaired.padding = false; /* it was the wrapping's (RFC 4588 4) */
    repaired.sequence = (uint16_t)packet->index;
    repaired.ssrc = original->ssrc;
    repaired_arrival.judged = repaired_arrival.repaired = true;
    return worker_leg_take(original, packet, &repaired, datagram_length, &repaired_arrival);
}
