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

/* What has passed one slot in a row, counted together: an atomic addition for each packet and
 * subscriber would cost more than the rest of the judgement. */
struct tally {
    uint64_t packets, octets;
};

static void settle(const struct subscription *subscription, const struct tally *tally)
{
    struct qos_slot *slot = subscription->line->media.slot[QOS_DOWNLINK];
    if (!slot || !tally->packets)
        return;
    qos_count(&slot->packets, tally->packets);
    qos_count(&slot->octets, tally->octets);
}

/* True when the packet passes the subscriber's gate. */
static bool admit(const struct subscription *subscription, size_t octets, struct tally *tally)
{
    struct media_line *line = subscription->line;
    struct qos_slot *slot = line->media.slot[QOS_DOWNLINK];
    if (!slot)
        return true;
    if (G_UNLIKELY(!qos_slot_open(slot) || __atomic_load_n(&slot->sustained, __ATOMIC_RELAXED)))
        return worker_leg_admit(line->leg, slot, line->media.mid, QOS_DOWNLINK, octets);
    tally->packets++;
    tally->octets += octets;
    return true;
}

static bool gate_open(const struct subscription *subscription)
{
    const struct qos_slot *slot = subscription->line->media.slot[QOS_DOWNLINK];
    return !slot || qos_slot_open(slot);
}

static void emit(struct subscription *subscription, struct ice_path *path,
                 const struct packet *packet, const struct rtp_fields *fields, uint64_t index,
                 int dscp)
{
    struct worker_leg *leg = subscription->line->leg;
    struct send_batch *batch = worker_batch(leg->worker, path->socket);
    uint8_t *out = send_batch_reserve(batch);
    size_t header = rtp_header_write(out, fields, &subscription->extensions, packet->audio_level);
    rtp_transform_protect(leg->out, out, header, packet->payload, packet->length, fields->ssrc,
                          index - subscription->index_base);
    size_t length = header + packet->length + leg->out->class->tag_length;
    struct qos_slot *slot = subscription->line->media.slot[QOS_DOWNLINK];
    send_batch_commit_media(batch, &path->remote, length, &leg->send_failed, slot, dscp);
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
    struct tally tally = {0};
    int dscp = worker_leg_dscp(leg, line->media.slot[QOS_DOWNLINK]);
    bool copies = worker_leg_copies_dscp(line->media.slot[QOS_DOWNLINK]);
    for (const struct packet *packet = stream->first; packet; packet = packet->next) {
        int pt = subscription_payload_type(subscription, packet->format);
        if (pt < 0) {
            subscription->no_codec++;
            subscription_skip(subscription, packet);
            continue;
        }
        if (!gate_open(subscription)) {
            admit(subscription, overhead + packet->length, &tally);
            subscription_interrupt(subscription);
            continue;
        }
        enum subscription_verdict verdict = subscription_judge(subscription, packet);
        if (verdict == SUBSCRIPTION_WAITS)
            stream_want_key_frame(stream);
        if (verdict != SUBSCRIPTION_TAKES ||
            !admit(subscription, overhead + packet->length, &tally) ||
            !ice_path_admit(path, overhead + packet->length))
            continue;
        struct rtp_fields fields;
        uint64_t index;
        subscription_rewrite(subscription, packet, (uint8_t)pt, &fields, &index);
        emit(subscription, path, packet, &fields, index,
             copies && packet->dscp >= 0 ? packet->dscp : dscp);
    }
    settle(subscription, &tally);
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
    size_t octets = socket_address_overhead(&path->remote) + RTP_HEADER_LENGTH +
                    subscription->extensions.length + packet->length + leg->out->class->tag_length;
    struct tally tally = {0};
    if (pt < 0 || !gate_open(subscription) || !admit(subscription, octets, &tally))
        return;
    settle(subscription, &tally);
    if (!ice_path_admit(path, packet->length))
        return;
    /* The same packet once more, header and payload, hence the same keystream on the same text. */
    struct rtp_fields fields = {.pt = (uint8_t)pt,
                                .marker = packet->marker,
                                .padding = packet->padding,
                                .sequence = sequence,
                                .timestamp = packet->timestamp + subscription->timestamp_offset,
                                .ssrc = subscription->ssrc};
    struct qos_slot *slot = subscription->line->media.slot[QOS_DOWNLINK];
    emit(subscription, path, packet, &fields, index,
         worker_leg_copies_dscp(slot) && packet->dscp >= 0 ? packet->dscp
                                                           : worker_leg_dscp(leg, slot));
    subscription->retransmitted_out++;
}
