/* SPDX-License-Identifier: Apache-2.0 */
/* Bookkeeping of received media. All subscribers share what is here: one history, one list of
 * holes, one key frame request, so the hundredth subscriber costs the publisher nothing. */
#include "wmcf/relay/stream.h"

#include "wmcf/relay/encodings.h"
#include "wmcf/relay/layering.h"
#include "wmcf/relay/packet-describe.h"
#include "wmcf/relay/stream-tap.h"
#include "wmcf/relay/worker.h"

#define POLICED_US 1200000
#define TAKE_OVER_US 100000 /* a silent source gives way to a new one */

static uint64_t look(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void source_note_discards(struct source *source)
{
    const struct qos_slot *slot = source->line->media.slot[QOS_UPLINK];
    if (!slot)
        return;
    source->gate_seen = look(&slot->gate_discarded);
    source->policing_seen = source->policing_asked = look(&slot->policing_discarded);
}

struct source *source_new(uint32_t ssrc, struct stream *stream)
{
    struct source *source = g_new0(struct source, 1);
    source->ssrc = ssrc;
    source->line = stream->line;
    source->stream = stream;
    source_note_discards(source);
    return source;
}

void source_free(struct source *source)
{
    if (!source)
        return;
    g_free(source->nack);
    g_free(source->structure);
    packet_buffer_free(source->buffer);
    g_free(source);
}

void source_move(struct source *source, struct stream *stream)
{
    struct stream *before = source->stream;
    if (before->active == source) {
        before->active = NULL;
        before->epoch++;
    }
    source->line = stream->line;
    source->stream = stream;
    source->reception = (struct reception){0};
    source->has_report = false;
    source->withheld = false;
    source_note_discards(source);
    g_clear_pointer(&source->nack, g_free);
    g_clear_pointer(&source->structure, g_free);
    g_clear_pointer(&source->buffer, packet_buffer_free);
}

void stream_init(struct stream *stream, struct media_line *line)
{
    stream->line = line;
    stream->kind = line->media.kind;
    stream->worker = line->leg->worker;
    stream->clock = &line->leg->clock;
    stream->active_since = line->in.active_since;
}

static bool announced(const struct stream *stream, uint32_t ssrc)
{
    const struct relay_media *media = &stream->line->media;
    for (guint i = 0; i < media->n_remote_ssrcs; i++) {
        if (media->remote_ssrcs[i] == ssrc)
            return true;
    }
    return false;
}

bool stream_activate(struct stream *stream, struct source *source, int64_t now)
{
    struct source *active = stream->active;
    if (active == source)
        return true;
    if (active && now - active->last_packet < TAKE_OVER_US &&
        !(announced(stream, source->ssrc) && !announced(stream, active->ssrc)))
        return false;
    stream->active = source;
    stream->epoch++;
    return true;
}

/* A level that counts elsewhere tells once a second. */
static bool in_excess(const struct source *source, int64_t now)
{
    return source->policed_at && now - source->policed_at < POLICED_US;
}

/* Why packets are missing in front of this one; whoever dropped them counts in the slot. At a gate:
 * the medium was cut on purpose, which says nothing about the network, so no loss is reported, or
 * the sender's estimate of the bandwidth would collapse just when it is wanted. In excess: a loss
 * that the sender ought to see, but asking for it again would only add to the excess. */
static void explain_gap(struct source *source, const struct packet *packet)
{
    const struct qos_slot *slot = source->line->media.slot[QOS_UPLINK];
    bool gap = source->reception.started && packet->index > source->reception.highest + 1;
    bool withheld = source->withheld;
    source->withheld = false;
    if (!gap)
        return;
    uint64_t gated = slot ? look(&slot->gate_discarded) : 0;
    uint64_t policed = slot ? look(&slot->policing_discarded) : 0;
    withheld |= gated != source->gate_seen;
    if (withheld)
        reception_interrupt(&source->reception);
    if (policed != source->policing_seen)
        source->policed_at = packet->arrival;
    if (source->nack && (withheld || in_excess(source, packet->arrival)))
        nack_pass_over(source->nack, packet->index);
    source->gate_seen = gated;
    source->policing_seen = policed;
}

bool source_is_policed(struct source *source, int64_t now)
{
    const struct qos_slot *slot = source->line->media.slot[QOS_UPLINK];
    uint64_t policed = slot ? look(&slot->policing_discarded) : 0;
    if (policed != source->policing_asked)
        source->policed_at = now;
    source->policing_asked = policed;
    return in_excess(source, now);
}

static enum nack_origin origin_of(const struct source *source, const struct packet *packet)
{
    return packet->recovered ? NACK_REPAIR : source->has_rtx ? NACK_ORIGINAL : NACK_EITHER;
}

void stream_note_key_frame(struct stream *stream, const struct packet *packet)
{
    if (!packet->key_frame ||
        (packet->timestamp == stream->key_frame_timestamp && stream->key_frame_count > 0))
        return;
    stream->key_frame_timestamp = packet->timestamp;
    stream->key_frame_count++;
    stream->last_key_frame = packet->arrival;
    key_frame_request_satisfied(&stream->key_frames);
}

void stream_account(struct stream *stream, struct source *source, const struct packet *packet,
                    size_t datagram_length, bool *ret_holes)
{
    stream->packets_in++;
    stream->octets_in += datagram_length;
    stream->last_packet = source->last_packet = packet->arrival;
    stream->inactive_told = false;
    source->pt = packet->pt;
    source->clock_rate = packet->clock_rate;
    explain_gap(source, packet);
    if (!source->reception.started || packet->index > source->reception.highest)
        source->last_timestamp = packet->timestamp;
    /* Receiver reports tell of the network, so what was repaired stays lost there (RFC 4588 8). */
    if (packet->recovered)
        stream->retransmitted_octets_in += datagram_length;
    else if (!reception_packet(&source->reception, packet->index, packet->timestamp,
                               packet->clock_rate, packet->arrival) &&
             stream->active == source)
        stream->epoch++;
    stream_note_key_frame(stream, packet);
    if (!source->repairs)
        return;
    if (!source->nack) /* once per source */
        source->nack = g_new0(struct nack_generator, 1);
    switch (
        nack_received(source->nack, packet->index, packet->arrival, origin_of(source, packet))) {
    case NACK_HOLE:
        *ret_holes = true;
        break;
    case NACK_RECOVERED:
        stream->retransmitted_in++;
        break;
    case NACK_OVERFLOW:
        if (stream_is_used(stream))
            stream_want_key_frame(stream);
        break;
    case NACK_IN_ORDER:
    case NACK_LATE:
        break;
    }
}

#define RATE_US 500000
#define AROUND 28 /* octets of IP and UDP header */

uint32_t stream_rate(struct stream *stream, int64_t now)
{
    int64_t passed = now - stream->rate_at;
    if (stream->rate_at && passed < RATE_US)
        return stream->rate;
    uint64_t octets = stream->octets_in + stream->packets_in * AROUND;
    if (stream->rate_at)
        stream->rate = (uint32_t)((octets - stream->rate_octets) * 8000000u / (uint64_t)passed);
    stream->rate_octets = octets;
    stream->rate_at = now;
    return stream->rate;
}

void stream_measure(struct stream *stream, const struct packet *packet)
{
    if (!stream->meter && stream->encodings) /* a mirror's: the publisher's worker does */
        return;
    if (!stream->meter)
        stream->meter = g_new0(struct layer_meter, 1);
    if (layer_meter_packet(stream->meter, packet) && stream->encodings)
        encodings_lead(stream->encodings, packet->arrival);
}

void stream_note_sizes(struct stream *stream, const struct picture_sizes *sizes)
{
    uint32_t size = sizes->sizes[sizes->n - 1];
    if (sizes->n > 1 && !stream->meter && !stream->encodings)
        stream->meter = g_new0(struct layer_meter, 1);
    bool changed = stream->meter ? layer_meter_sizes(stream->meter, sizes->sizes, sizes->n) : false;
    if (size)
        stream->size = size;
    if (!changed)
        return;
    if (stream->encodings)
        encoding_board_changed(stream->encodings->board);
    for (struct subscription *i = stream->subscribers; i && !stream->encodings; i = i->next)
        layers_lead(i, stream->worker->now);
}

uint32_t stream_size(const struct stream *stream)
{
    if (stream->size || !stream->encodings)
        return stream->size;
    const struct layer_meter *meter = &stream->encodings->board->meters[stream->encoding];
    return layer_meter_size(meter, SPATIAL_LAYERS - 1);
}

void stream_want_key_frame(struct stream *stream)
{
    if (stream->kind != RELAY_VIDEO)
        return;
    key_frame_request_ask(&stream->key_frames);
    if (stream->wanting)
        return;
    struct worker *worker = stream->worker;
    stream->wanting = true;
    stream->next_wanting = worker->wanting;
    worker->wanting = stream;
    worker->wanting_new = true;
}

static bool repairs(const struct subscription *subscription)
{
    for (unsigned c = 0; c < subscription->n_codecs; c++) {
        if (subscription->codecs[c].nack)
            return true;
    }
    return false;
}

void stream_refresh(struct stream *stream)
{
    stream->keep_history = false;
    for (struct subscription *i = stream->subscribers; i; i = i->next)
        stream->keep_history |= repairs(i);
    for (struct subscription *i = stream->waiting; i; i = i->next_waiting)
        stream->keep_history |= repairs(i);
}

void stream_add(struct stream *stream, struct subscription *subscription)
{
    subscription->source = stream;
    subscription->next = stream->subscribers;
    stream->subscribers = subscription;
    stream_refresh(stream);
}

void stream_remove(struct stream *stream, struct subscription *subscription)
{
    struct subscription **at = &stream->subscribers;
    while (*at && *at != subscription)
        at = &(*at)->next;
    if (*at)
        *at = subscription->next;
    subscription->source = NULL;
    subscription->next = NULL;
    stream_refresh(stream);
}

void stream_wait(struct stream *stream, struct subscription *subscription)
{
    stream_unwait(subscription);
    subscription->wanted = stream;
    subscription->next_waiting = stream->waiting;
    stream->waiting = subscription;
    stream_refresh(stream);
}

void stream_unwait(struct subscription *subscription)
{
    struct stream *stream = subscription->wanted;
    if (!stream)
        return;
    struct subscription **at = &stream->waiting;
    while (*at != subscription)
        at = &(*at)->next_waiting;
    *at = subscription->next_waiting;
    subscription->wanted = NULL;
    subscription->next_waiting = NULL;
    stream_refresh(stream);
}

void stream_finish(struct stream *stream)
{
    if (!stream->encodings)
        g_clear_pointer(&stream->meter, g_free);
    stream_taps_end(stream);
    while (stream->waiting)
        stream_unwait(stream->waiting);
    while (stream->subscribers)
        media_line_route(NULL, stream->subscribers->line);
    if (stream->wanting) {
        struct stream **at = &stream->worker->wanting;
        while (*at != stream)
            at = &(*at)->next_wanting;
        *at = stream->next_wanting;
        stream->wanting = false;
    }
    g_assert(!stream->queued); /* commands run between batches */
}
