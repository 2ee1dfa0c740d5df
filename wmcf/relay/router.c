/* SPDX-License-Identifier: Apache-2.0 */
/* From streams to subscribers. The batch is turned round here: not packet by packet over all
 * subscribers, but subscriber by subscriber over all packets, so that a subscriber's state and keys
 * are in the cache and its packets lie behind one another in the send arena as one run. */
#include "wmcf/relay/worker.h"

void router_queue(struct worker *worker, struct stream *stream, struct packet *packet)
{
    packet->next = NULL;
    if (stream->last)
        stream->last->next = packet;
    else
        stream->first = packet;
    stream->last = packet;
    if (!stream->queued) {
        stream->queued = true;
        stream->next_queued = worker->queued;
        worker->queued = stream;
    }
}

/* True when the packet passes the subscriber's gate. */
static bool admit(struct subscription *subscription, size_t octets)
{
    struct media_line *line = subscription->line;
    struct qos_slot *slot = line->media.slot[QOS_DOWNLINK];
    struct worker *worker = line->leg->worker;
    if (!slot)
        return true;
    enum qos_verdict verdict = qos_slot_judge(slot, (uint32_t)octets, (uint64_t)worker->now * 1000);
    if (verdict == QOS_PASS)
        return true;
    count_verdict(worker, verdict);
    if (qos_slot_newly_gated(slot))
        worker_raise_media(line->leg, EVENT_MEDIA_GATED, line->media.mid, QOS_DOWNLINK);
    return false;
}

static bool gate_open(const struct subscription *subscription)
{
    const struct qos_slot *slot = subscription->line->media.slot[QOS_DOWNLINK];
    return !slot || qos_slot_open(slot);
}

static void emit(struct subscription *subscription, struct ice_path *path,
                 const struct packet *packet, const struct rtp_fields *fields, uint64_t index)
{
    struct worker_leg *leg = subscription->line->leg;
    struct send_batch *batch = worker_batch(leg->worker, path->socket);
    uint8_t *out = send_batch_reserve(batch);
    size_t header = rtp_header_write(out, fields, &subscription->extensions, packet->audio_level);
    rtp_transform_protect(leg->out, out, header, packet->payload, packet->length, fields->ssrc,
                          index - subscription->index_base);
    size_t length = header + packet->length + leg->out->class->tag_length;
    send_batch_commit(batch, &path->remote, length, &leg->send_failed);
    subscription->packets_out++;
    subscription->octets_out += length;
    subscription->payload_octets_out += packet->length;
    subscription->last_packet_out = leg->worker->now;
}

static void forward(struct subscription *subscription, struct stream *stream)
{
    struct media_line *line = subscription->line;
    struct worker_leg *leg = line->leg;
    struct ice_path *path = worker_leg_nominated(leg);
    if (!path || !leg->out || !line->media.send) {
        subscription_interrupt(subscription);
        return;
    }
    size_t overhead = socket_address_overhead(&path->remote) + RTP_HEADER_LENGTH +
                      subscription->extensions.length + leg->out->class->tag_length;
    for (const struct packet *packet = stream->first; packet; packet = packet->next) {
        int pt = subscription_payload_type(subscription, packet->format);
        if (pt < 0) {
            subscription->no_codec++;
            subscription_skip(subscription, packet);
            continue;
        }
        if (!gate_open(subscription)) {
            admit(subscription, overhead + packet->length);
            subscription_interrupt(subscription);
            continue;
        }
        enum subscription_verdict verdict = subscription_judge(subscription, packet);
        if (verdict == SUBSCRIPTION_WAITS)
            stream_want_key_frame(stream);
        if (verdict != SUBSCRIPTION_TAKES || !admit(subscription, overhead + packet->length) ||
            !ice_path_admit(path, overhead + packet->length))
            continue;
        struct rtp_fields fields;
        uint64_t index;
        subscription_rewrite(subscription, packet, (uint8_t)pt, &fields, &index);
        emit(subscription, path, packet, &fields, index);
    }
}

void router_run(struct worker *worker)
{
    while (worker->queued) {
        struct stream *stream = worker->queued;
        worker->queued = stream->next_queued;
        stream->queued = false;
        for (struct subscription *i = stream->subscribers; i; i = i->next)
            forward(i, stream);
        while (stream->first) {
            struct packet *packet = stream->first;
            stream->first = packet->next;
            packet_unref(worker->pool, packet);
        }
        stream->last = NULL;
    }
}

void router_resend(struct subscription *subscription, uint16_t sequence, int64_t now)
{
    struct worker_leg *leg = subscription->line->leg;
    struct ice_path *path = worker_leg_nominated(leg);
    struct stream *stream = subscription->source;
    uint64_t source_index, index;
    subscription->nack_received++;
    if (!path || !leg->out || !stream || !stream->active || !stream->active->buffer ||
        !subscription->line->media.send ||
        !subscription_find(subscription, sequence, &source_index, &index))
        return;
    struct packet *packet = packet_buffer_find(stream->active->buffer, source_index, now);
    /* Before the present keys there was another numbering. */
    if (!packet || index < subscription->index_base || packet->epoch != subscription->epoch ||
        !subscription_may_resend(subscription, sequence, now))
        return;
    int pt = subscription_payload_type(subscription, packet->format);
    if (pt < 0 || !gate_open(subscription) ||
        !admit(subscription, socket_address_overhead(&path->remote) + RTP_HEADER_LENGTH +
                                 subscription->extensions.length + packet->length +
                                 leg->out->class->tag_length) ||
        !ice_path_admit(path, packet->length))
        return;
    /* The same packet once more, header and payload, hence the same keystream on the same text. */
    struct rtp_fields fields = {.pt = (uint8_t)pt,
                                .marker = packet->marker,
                                .padding = packet->padding,
                                .sequence = sequence,
                                .timestamp = packet->timestamp + subscription->timestamp_offset,
                                .ssrc = subscription->ssrc};
    emit(subscription, path, packet, &fields, index);
    subscription->retransmitted_out++;
}
