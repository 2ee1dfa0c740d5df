/* SPDX-License-Identifier: Apache-2.0 */
/* RTP in: which m-line, authentic, new, in clear, allowed; then into the stream's batch. The order
 * matters: nothing that is kept (a source, a place in the replay list, a hole to ask for) comes
 * from a packet that has not been authenticated. */
#include "wmcf/relay/leg.h"

#include "wmcf/relay/capture.h"
#include "wmcf/relay/cryptex.h"
#include "wmcf/relay/encodings.h"
#include "wmcf/relay/layers-allocation.h"
#include "wmcf/relay/leg-arrivals.h"
#include "wmcf/relay/packet-dependency.h"
#include "wmcf/relay/red.h"
#include "wmcf/relay/worker.h"

#include <string.h>

/* The m-line that the packet's MID names; NULL without one. Each is asked by its own id; as they
 * are the same in all m-lines of a bundle (RFC 8843 9.1), elements are gone through once, however
 * many there are of both. */
static struct media_line *line_by_mid(const struct worker_leg *leg, const struct rtp_header *header)
{
    const uint8_t *mid = NULL;
    size_t length = 0;
    uint8_t id = 0;
    if (!header->extensions_length)
        return NULL;
    for (unsigned i = 0; i < leg->n_lines; i++) {
        struct media_line *line = leg->lines[i];
        if (line->media.mid_extmap != id) {
            id = line->media.mid_extmap;
            mid = rtp_extension_find(header, id, &length);
        }
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
        if (media_line_announces(leg->lines[i], header->ssrc))
            return leg->lines[i];
    }
    for (unsigned i = 0; i < leg->n_lines; i++) {
        if (!leg->lines[i]->media.receive || (leg->lines[i]->codec_of[header->pt] < 0 &&
                                              !media_line_rtx_codec(leg->lines[i], header->pt)))
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

/* Redundant audio of another codec than those know who have none is of no use. False: broken. */
static bool describe_red(struct packet *packet, const struct media_line *line, size_t length)
{
    struct red_primary primary;
    if (!red_find_primary(packet->payload, length, &primary))
        return false;
    int codec = line->codec_of[primary.pt];
    packet->layer_flags |= PACKET_REDUNDANT;
    return codec >= 0 && red_is_primary_format(line->media.recv_codecs[codec].format);
}

/* Of one octet, for those who negotiated it as well. */
static void take_note(struct packet *packet, const struct rtp_header *header, uint8_t id)
{
    size_t length;
    const uint8_t *note = rtp_extension_find(header, id, &length);
    if (note && length == 1)
        packet->note = *note;
}

/* Of AV1 alone: other codecs tell of their layers in the payload. */
static void take_dependency(struct packet *packet, struct source *source,
                            const struct rtp_header *header, struct picture_sizes *ret_sizes)
{
    size_t length;
    const uint8_t *descriptor =
        rtp_extension_find(header, source->line->media.dependency_extmap, &length);
    if (descriptor)
        packet_add_dependency(packet, descriptor, length, &source->structure, ret_sizes);
}

static void take_allocation(const struct media_line *line, const struct rtp_header *header,
                            int64_t now)
{
    size_t length;
    unsigned active;
    const uint8_t *told = rtp_extension_find(header, line->media.allocation_extmap, &length);
    if (told && layers_allocation_read(told, length, &active))
        encodings_told(line->encodings, active, now);
}

/* What subscribers need to know of it. A payload type that was not negotiated is kept as a packet
 * without format: it is forwarded to nobody, and leaves no hole either. False: broken. */
static bool describe(struct packet *packet, struct source *source, const struct rtp_header *header,
                     const struct arrival *arrival)
{
    const struct media_line *line = source->line;
    int codec = line->codec_of[header->pt];
    packet->pt = header->pt;
    packet->marker = header->marker;
    packet->padding = header->padding;
    packet->timestamp = header->timestamp;
    packet->arrival = arrival->now;
    packet->dscp = arrival->dscp;
    packet->note = -1;
    packet->key_frame = packet->entry = false;
    packet->recovered = arrival->repaired;
    packet->spatial = packet->temporal = packet->layer_flags = packet->descriptor = 0;
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
        struct picture_sizes sizes = {0};
        if (line->encodings && line->media.allocation_extmap)
            take_allocation(line, header, arrival->now);
        packet_describe_video(packet, line->key_frame_of[codec], length, &sizes);
        if (line->media.dependency_extmap && line->key_frame_of[codec] == KEY_FRAME_AV1)
            take_dependency(packet, source, header, &sizes);
        if (sizes.n)
            stream_note_sizes(source->stream, &sizes);
        if (line->media.orientation_extmap)
            take_note(packet, header, line->media.orientation_extmap);
        return true;
    }
    if (line->red_codecs >> codec & 1 && !describe_red(packet, line, length))
        return false;
    packet->entry = true;
    take_note(packet, header, line->media.audio_level_extmap);
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
static bool admit(struct stream *stream, size_t octets)
{
    struct media_line *line = stream->line;
    struct qos_slot *slot = line->media.slot[QOS_UPLINK];
    if (!slot || worker_leg_admit(line->leg, slot, line->media.mid, QOS_UPLINK, octets))
        return true;
    stream->interrupted |= !qos_slot_open(slot);
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
    struct stream *stream = source->stream;
    struct worker *worker = line->leg->worker;
    bool holes = false;
    int codec = line->codec_of[packet->pt];
    if (codec >= 0) {
        source->repairs = line->media.recv_codecs[codec].nack;
        source->has_rtx = line->media.recv_codecs[codec].rtx_pt;
    }
    stream_account(stream, source, packet, datagram_length, &holes);
    if (!line->media.receive)
        stream->interrupted = true;
    if (!line->media.receive ||
        (!arrival->judged && !admit(stream, datagram_length + arrival->overhead)) ||
        ((codec < 0 || arrival->repaired) && source != stream->active) ||
        !stream_activate(stream, source, arrival->now)) {
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
    if (G_UNLIKELY(stream->meter || packet->spatial || packet->temporal))
        stream_measure(stream, packet);
    if (!line->in.first_told) {
        line->in.first_told = true;
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
    if (G_LIKELY(source && source->line == line && !line->encodings))
        return source;
    struct stream *stream = line->encodings ? media_line_stream(line, header) : &line->in;
    if (source && source->line == line && (!stream || stream == source->stream))
        return source;
    if (!source) {
        source = stream ? worker_leg_add_source(leg, header->ssrc, stream) : NULL;
        leg->unknown_ssrc_dropped += !source;
        return source;
    }
    if (!stream || !worker_leg_may_move(leg, now)) {
        leg->moved_ssrc_dropped++;
        return NULL;
    }
    source_move(source, stream);
    worker_leg_bind_source(leg, source);
    return source;
}

/* Authentic, new, in clear, and of the m-line. Takes the packet. */
static void enter(struct worker_leg *leg, struct source *source, struct media_line *line,
                  struct packet *packet, const uint8_t *data, const struct rtp_header *header,
                  size_t length, const struct arrival *arrival)
{
    uint64_t index = packet->index;
    if (source)
        replay_commit(&source->replay, index);
    struct source *settled = settle(leg, source, header, line, arrival->now);
    if (settled && !source)
        replay_commit(&settled->replay, index);
    if (!settled) {
        packet_unref(leg->worker->pool, packet);
        return;
    }
    if (G_UNLIKELY(leg->capture))
        capture_received(leg, settled->line, data, header->length, packet);
    if (leg->arrivals)
        leg_arrivals_note(leg, header, &settled->line->media, (unsigned)length + arrival->overhead,
                          arrival->received);
    const struct relay_codec *rtx = G_UNLIKELY(settled->line->codec_of[header->pt] < 0)
                                        ? media_line_rtx_codec(settled->line, header->pt)
                                        : NULL;
    if (!(rtx ? worker_leg_take_rtx(settled, packet, header, rtx, length, arrival)
              : worker_leg_take(settled, packet, header, length, arrival)))
        counter_add(&leg->worker->counters.malformed, 1);
}

/* Which m-line it belongs to stands where it can be read afterwards alone (RFC 9335 4): nothing is
 * foreseen of gate and policing. */
static void receive_cryptex(struct worker_leg *leg, uint8_t *data, size_t length,
                            struct rtp_header *header, struct arrival *arrival)
{
    if (!leg->cryptex) {
        leg->cryptex_dropped++;
        return;
    }
    struct source *source = worker_leg_source(leg, header->ssrc);
    struct packet *packet =
        worker_leg_decrypt_whole(leg, source, header, data, length, arrival->now);
    if (!packet)
        return;
    struct media_line *line = source ? follow_mid(leg, source, header) : associate(leg, header);
    if (!line) {
        packet_unref(leg->worker->pool, packet);
        leg->unknown_ssrc_dropped++;
        return;
    }
    arrival->judged = arrival->judged && worker_leg_trusts_verdict(leg, source, header->ssrc, line);
    enter(leg, source, line, packet, data, header, length, arrival);
}

void worker_leg_receive_rtp(struct worker_leg *leg, uint8_t *data, size_t length,
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
    if (G_UNLIKELY(cryptex_is_profile(header.profile))) {
        receive_cryptex(leg, data, length, &header, &arrival);
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
    if (packet)
        enter(leg, source, line, packet, data, &header, length, &arrival);
}
