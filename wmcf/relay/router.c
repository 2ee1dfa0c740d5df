/* SPDX-License-Identifier: Apache-2.0 */
/* From streams to subscribers. The batch is turned round here: not packet by packet over all
 * subscribers, but subscriber by subscriber over all packets, so that a subscriber's state and keys
 * are in the cache and its packets lie behind one another in the send arena as one run. */
#include "wmcf/relay/layering.h"
#include "wmcf/relay/media-send.h"
#include "wmcf/relay/local-sink.h"
#include "wmcf/relay/stream-tap.h"

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

static inline void emit(struct subscription *subscription, struct ice_path *path,
                        const struct packet *packet, const uint8_t *payload, size_t length,
                        const struct rtp_element *descriptor, const struct rtp_fields *fields,
                        uint64_t index, int dscp)
{
    const struct media_out media = {.extensions = &subscription->extensions,
                                    .descriptor = *descriptor,
                                    .fields = *fields,
                                    .note = packet->note,
                                    .payload = payload,
                                    .length = length,
                                    .index = index - subscription->index_base,
                                    .dscp = dscp};
    subscription->octets_out += media_send(subscription->line, path, &media);
    subscription->packets_out++;
    subscription->payload_octets_out += length;
    subscription->last_packet_out = subscription->line->leg->worker->now;
}

void subscription_emit(struct subscription *subscription, struct ice_path *path,
                       const struct paced_packet *paced)
{
    const struct packet *packet = paced->packet;
    const struct rtp_element descriptor = {
        .id = subscription->descriptor_id,
        .length = subscription->descriptor_id ? packet->descriptor : 0,
        .data = packet->descriptor ? packet_descriptor(packet) : NULL,
    };
    emit(subscription, path, packet, packet->payload, packet->length, &descriptor, &paced->fields,
         paced->index, paced->dscp);
}

/* Behind a burst of its leg's (leg-pacing.c). */
static bool holds(struct subscription *subscription, struct packet *packet, const uint8_t *payload,
                  const struct rtp_element *descriptor, const struct rtp_fields *fields,
                  uint64_t index, size_t octets, int dscp)
{
    struct paced_packet paced = {.subscription = subscription,
                                 .packet = packet,
                                 .fields = *fields,
                                 .index = index,
                                 .octets = (uint16_t)octets,
                                 .dscp = (int8_t)dscp};
    return leg_bandwidth_holds(subscription->line->leg->bandwidth, &paced, payload, descriptor);
}

static void forward(struct subscription *subscription, struct stream *stream)
{
    struct media_line *line = subscription->line;
    struct worker_leg *leg = line->leg;
    struct ice_path *path = worker_leg_nominated(leg);
    if (!path || !leg->out || !line->media.send ||
        (subscription->layering && subscription->layering->paused)) {
        if (leg->local)
            local_sink_forward(subscription, stream);
        else
            subscription_interrupt(subscription);
        return;
    }
    size_t overhead = socket_address_overhead(&path->remote) + RTP_HEADER_LENGTH +
                      subscription->extensions.length + leg->out->class->tag_length;
    struct tally tally = {0};
    int dscp = worker_leg_dscp(leg, line->media.slot[QOS_DOWNLINK]);
    bool copies = worker_leg_copies_dscp(line->media.slot[QOS_DOWNLINK]);
    bool paced = line->media.kind == RELAY_VIDEO && leg->bandwidth && leg->bandwidth->history;
    struct packet *first = stream->first;
    if (G_UNLIKELY(first->descriptor && subscription->descriptor_id))
        subscription_layering(subscription); /* frame numbers go on, whatever it is routed to */
    if (subscription->layering && !subscription->begun && stream->encodings)
        first = layers_begin(subscription, stream);
    for (struct packet *packet = first; packet; packet = packet->next) {
        unsigned from;
        int pt = subscription_view(subscription, packet, &from);
        if (pt < 0) {
            subscription->no_codec++;
            subscription_skip(subscription, packet);
            continue;
        }
        size_t octets = overhead + packet->length - from;
        if (G_UNLIKELY(packet->descriptor && subscription->descriptor_id))
            octets += rtp_element_cost(&subscription->extensions, packet->descriptor);
        if (!gate_open(subscription)) {
            admit(subscription, octets, &tally);
            subscription_interrupt(subscription);
            continue;
        }
        enum subscription_verdict verdict = subscription_judge(subscription, packet);
        if (verdict == SUBSCRIPTION_WAITS)
            stream_want_key_frame(stream);
        bool marker = false;
        if (verdict == SUBSCRIPTION_TAKES && subscription->layering &&
            !layering_take(subscription, packet, &marker)) {
            subscription_skip(subscription, packet);
            continue;
        }
        if (verdict != SUBSCRIPTION_TAKES || !admit(subscription, octets, &tally) ||
            !ice_path_admit(path, octets))
            continue;
        struct rtp_fields fields;
        uint64_t index;
        subscription_rewrite(subscription, packet, (uint8_t)pt, &fields, &index);
        fields.marker |= marker;
        int marking = copies && packet->dscp >= 0 ? packet->dscp : dscp;
        uint8_t copy[PACKET_PAYLOAD_MAX], changed[DEPENDENCY_OCTETS_MAX];
        const uint8_t *payload = layering_payload(subscription, packet, copy);
        const struct rtp_element descriptor = layering_descriptor(subscription, packet, changed);
        if (G_LIKELY(!paced || from) ||
            !holds(subscription, packet, payload, &descriptor, &fields, index, octets, marking))
            emit(subscription, path, packet, payload + from, packet->length - from, &descriptor,
                 &fields, index, marking);
    }
    settle(subscription, &tally);
}

/* A subscriber is some twenty cache lines, cold after the pause between two frames. While one is
 * served those of the next three are fetched, each time what the turn before has made reachable:
 * the subscription and its m-line, the leg, the keys. */
static void fetch_subscription(const struct subscription *subscription)
{
    const char *line = (const char *)subscription - offsetof(struct media_line, out);
    __builtin_prefetch(subscription);
    __builtin_prefetch(&subscription->format);
    __builtin_prefetch(&subscription->map, 1);
    __builtin_prefetch(&subscription->last_index, 1);
    __builtin_prefetch(&subscription->packets_out, 1);
    __builtin_prefetch(line);
    __builtin_prefetch(line + offsetof(struct media_line, media.slot));
}

static void fetch_leg(const struct subscription *subscription)
{
    const struct worker_leg *leg = subscription->line->leg;
    __builtin_prefetch(&leg->worker);
    __builtin_prefetch(&leg->paths[0]);
    __builtin_prefetch(&leg->paths[0].socket);
    __builtin_prefetch(&leg->nominated);
    __builtin_prefetch(&leg->out);
    __builtin_prefetch(&leg->transport);
    __builtin_prefetch(subscription->line->media.slot[QOS_DOWNLINK], 1);
}

static void fetch_keys(const struct subscription *subscription)
{
    const char *keys = (const char *)subscription->line->leg->out;
    for (int i = 0; keys && i < 256; i += 64)
        __builtin_prefetch(keys + i);
}

static void fetch_ahead(const struct subscription *next)
{
    const struct subscription *second = next ? next->next : NULL;
    const struct subscription *third = second ? second->next : NULL;
    if (third)
        fetch_subscription(third);
    if (second)
        fetch_leg(second);
    if (next)
        fetch_keys(next);
}

void router_run(struct worker *worker)
{
    for (struct stream *stream = worker->queued; stream; stream = stream->next_queued) {
        if (stream->taps)
            stream_taps_run(stream);
    }
    worker_links_publish(worker);
    while (worker->queued) {
        struct stream *stream = worker->queued;
        worker->queued = stream->next_queued;
        stream->queued = false;
        if (stream->waiting)
            layers_switch(stream);
        for (struct subscription *i = stream->subscribers; i; i = i->next) {
            fetch_ahead(i->next);
            forward(i, stream);
        }
        while (stream->first) {
            struct packet *packet = stream->first;
            stream->first = packet->next;
            packet_unref(worker->pool, packet);
        }
        stream->last = NULL;
    }
}
