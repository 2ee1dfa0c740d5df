/* SPDX-License-Identifier: Apache-2.0 */
/* RTP in: which m-line, authentic, new, in clear, allowed; then into the stream's batch. The order
 * matters: nothing that is kept (a source, a place in the replay list, a hole to ask for) comes
 * from a packet that has not been authenticated. */
#include "wmcf/relay/leg.h"

#include "wmcf/relay/worker.h"

#include <string.h>

/* The m-line that the packet's MID names; NULL without one. Ids are the same in all m-lines of a
 * bundle (RFC 8843 9.1), but each is asked by its own. */
static struct media_line *line_by_mid(const struct worker_leg *leg, const struct rtp_header *header)
{
    if (!header->extensions_length)
        return NULL;
    for (unsigned i = 0; i < leg->n_lines; i++) {
        struct media_line *line = leg->lines[i];
        size_t length;
        const uint8_t *mid = rtp_extension_find(header, line->media.mid_extmap, &length);
        if (mid && strlen(line->media.mid) == length && memcmp(mid, line->media.mid, length) == 0)
            return line;
    }
    return NULL;
}

/* RFC 8843 9.2: by MID, by announced SSRC, by payload type when only one m-line has it. */
static struct media_line *associate(const struct worker_leg *leg, const struct rtp_header *header)
{
    struct media_line *line = line_by_mid(leg, header);
    if (line)
        return line;
    for (unsigned i = 0; i < leg->n_lines; i++) {
        const struct relay_media *media = &leg->lines[i]->media;
        for (guint s = 0; s < media->n_remote_ssrcs; s++) {
            if (media->remote_ssrcs[s] == header->ssrc)
                return leg->lines[i];
        }
    }
    for (unsigned i = 0; i < leg->n_lines; i++) {
        if (!leg->lines[i]->media.receive || leg->lines[i]->codec_of[header->pt] < 0)
            continue;
        if (line)
            return NULL;
        line = leg->lines[i];
    }
    return line;
}

/* RFC 8843 9.2: a MID moves an SSRC that is known already; to the m-line returned. */
static struct media_line *follow_mid(const struct worker_leg *leg, const struct source *source,
                                     const struct rtp_header *header)
{
    struct media_line *line = source->line;
    size_t length;
    const uint8_t *mid = rtp_extension_find(header, line->media.mid_extmap, &length);
    if (!mid || (strlen(line->media.mid) == length && memcmp(mid, line->media.mid, length) == 0))
        return line;
    struct media_line *named = line_by_mid(leg, header);
    return named ? named : line;
}

/* What subscribers need to know of it. A payload type that was not negotiated is kept as a packet
 * without format: it is forwarded to nobody, and leaves no hole either. False: broken. */
static bool describe(struct packet *packet, const struct source *source,
                     const struct rtp_header *header, const struct arrival *arrival)
{
    const struct media_line *line = source->line;
    int codec = line->codec_of[header->pt];
    packet->pt = header->pt;
    packet->marker = header->marker;
    packet->padding = header->padding;
    packet->timestamp = header->timestamp;
    packet->arrival = arrival->now;
    packet->dscp = arrival->dscp;
    packet->audio_level = -1;
    packet->key_frame = packet->entry = false;
    packet->format = NULL;
    packet->clock_rate = source->clock_rate;
    if (codec < 0)
        return true;
    packet->format = line->media.recv_codecs[codec].format;
    packet->clock_rate = line->media.recv_codecs[codec].clock_rate;
    size_t length = packet->length;
    if (packet->padding) { /* RFC 3550 5.1 */
        uint8_t padding = length ? packet->payload[length - 1] : 0;
        if (padding == 0 || padding > length)
            return false;
        length -= padding;
    }
    if (line->media.kind == RELAY_VIDEO) {
        enum key_frame_codec kind = line->key_frame_of[codec];
        packet->key_frame = key_frame_begins(kind, packet->payload, length);
        packet->entry = packet->key_frame || kind == KEY_FRAME_UNKNOWN;
        return true;
    }
    packet->entry = true;
    size_t level_length;
    const uint8_t *level =
        rtp_extension_find(header, line->media.audio_level_extmap, &level_length);
    if (level && level_length == 1)
        packet->audio_level = *level;
    return true;
}

/* False when gate or policing refuse the packet whatever it holds: then it need not be decrypted.
 * What is not authentic charges nothing here. */
static bool foresee(struct media_line *line, size_t octets)
{
    struct worker_leg *leg = line->leg;
    struct qos_slot *slot = line->media.slot[QOS_UPLINK];
    if (!slot || !line->media.receive)
        return true;
    if (G_UNLIKELY(!qos_slot_open(slot)))
        return worker_leg_admit(leg, slot, line->media.mid, QOS_UPLINK, octets);
    if (token_bucket_fits(slot, octets, (uint64_t)leg->worker->now * 1000))
        return true;
    qos_count(&slot->policing_discarded, 1);
    count_verdict(leg->worker, QOS_POLICED);
    return false;
}

/* The publisher's gate. */
static bool admit(struct media_line *line, size_t octets)
{
    struct qos_slot *slot = line->media.slot[QOS_UPLINK];
    if (!slot || worker_leg_admit(line->leg, slot, line->media.mid, QOS_UPLINK, octets))
        return true;
    line->in.interrupted |= !qos_slot_open(slot);
    return false;
}

static void keep(struct source *source, struct packet *packet)
{
    struct worker *worker = source->line->leg->worker;
    if (!source->buffer) {
        bool video = source->line->media.kind == RELAY_VIDEO;
        source->buffer =
            packet_buffer_new(worker->pool, worker->limits.buffer_packets,
                              video ? worker->limits.video_buffer : worker->limits.audio_buffer);
    }
    packet_buffer_put(source->buffer, packet);
}

static void ask_for_holes(struct source *source)
{
    struct worker *worker = source->line->leg->worker;
    if (source->feedback_queued)
        return;
    source->feedback_queued = true;
    source->next_feedback = worker->feedback;
    worker->feedback = source;
    worker->feedback_new = true;
}

/* Takes the packet: authentic, new, attributed. */
static void deliver(struct source *source, struct packet *packet, size_t datagram_length,
                    const struct arrival *arrival)
{
    struct media_line *line = source->line;
    struct stream *stream = &line->in;
    struct worker *worker = line->leg->worker;
    bool holes = false;
    int codec = line->codec_of[packet->pt];
    if (codec >= 0)
        source->repairs = line->media.recv_codecs[codec].nack;
    stream_account(stream, source, packet, datagram_length, &holes);
    if (!line->media.receive)
        stream->interrupted = true;
    if (!line->media.receive ||
        (!arrival->judged && !admit(line, datagram_length + arrival->overhead)) ||
        (codec < 0 && source != stream->active) || !stream_activate(stream, source, arrival->now)) {
        packet_unref(worker->pool, packet);
        return;
    }
    if (holes)
        ask_for_holes(source);
    if (stream->interrupted) {
        stream->interrupted = false;
        stream->epoch++;
    }
    packet->epoch = stream->epoch;
    if (!stream->first_told) {
        stream->first_told = true;
        worker_raise_media(line->leg, EVENT_FIRST_MEDIA, line->media.mid, QOS_UPLINK, 0);
    }
    if (stream->keep_history)
        keep(source, packet);
    router_queue(worker, stream, packet);
}

bool worker_leg_take(struct source *source, struct packet *packet, const struct rtp_header *header,
                     size_t datagram_length, const struct arrival *arrival)
{
    if (!describe(packet, source, header, arrival)) {
        packet_unref(source->line->leg->worker->pool, packet);
        return false;
    }
    deliver(source, packet, datagram_length, arrival);
    return true;
}

/* The source of an authentic packet of the m-line, made or moved if need be; NULL at a limit. */
static struct source *settle(struct worker_leg *leg, struct source *source,
                             const struct rtp_header *header, struct media_line *line, int64_t now)
{
    if (G_LIKELY(source && source->line == line))
        return source;
    if (!source) {
        source = worker_leg_add_source(leg, header->ssrc, line);
        leg->unknown_ssrc_dropped += !source;
        return source;
    }
    if (!worker_leg_may_move(leg, now)) {
        leg->moved_ssrc_dropped++;
        return NULL;
    }
    source_move(source, line);
    worker_leg_bind_source(leg, source);
    return source;
}

void worker_leg_receive_rtp(struct worker_leg *leg, const uint8_t *data, size_t length,
                            const struct arrival *arrival_)
{
    struct arrival arrival = *arrival_;
    struct rtp_header header;
    if (!leg->in) /* before the keys: DTLS is still running */
        return;
    if (!rtp_header_parse(data, length, &header) ||
        header.length + leg->in->class->tag_length > length) {
        counter_add(&leg->worker->counters.malformed, 1);
        return;
    }
    struct source *source = worker_leg_source(leg, header.ssrc);
    struct media_line *line = source ? follow_mid(leg, source, &header) : associate(leg, &header);
    if (!line) {
        leg->unknown_ssrc_dropped++;
        return;
    }
    arrival.judged = arrival.judged && worker_leg_trusts_verdict(leg, source, header.ssrc, line);
    if (!arrival.judged && !foresee(line, length + arrival.overhead))
        return;
    struct packet *packet =
        worker_leg_decrypt(leg, source, line, &header, data, length, arrival.now);
    if (!packet)
        return;
    uint64_t index = packet->index;
    if (source)
        replay_commit(&source->replay, index);
    struct source *settled = settle(leg, source, &header, line, arrival.now);
    if (settled && !source)
        replay_commit(&settled->replay, index);
    if (!settled)
        packet_unref(leg->worker->pool, packet);
    else if (!worker_leg_take(settled, packet, &header, length, &arrival))
        counter_add(&leg->worker->counters.malformed, 1);
}
