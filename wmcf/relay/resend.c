/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to NACKs. The history is the stream's and shared; what differs between subscribers is a
 * sequence number to translate. With RTX the packet travels as payload of a stream of its own, and
 * who receives it can count what was repaired; without, the very same packet is sent again: the
 * same text under the same index, because anything else would use a keystream twice. */
#include "wmcf/relay/resend.h"

#include "wmcf/relay/layering.h"
#include "wmcf/relay/leg-bandwidth.h"
#include "wmcf/relay/media-send.h"

#include <string.h>

#define OSN_LENGTH 2 /* original sequence number (RFC 4588 4) */
#define PADDING_MAX 255

struct rtx_sender *rtx_sender_new(uint32_t random)
{
    struct rtx_sender *rtx = g_new0(struct rtx_sender, 1);
    rtx->last_index = random & 0x7fff;
    return rtx;
}

static bool gate_open(const struct qos_slot *slot)
{
    return !slot || qos_slot_open(slot);
}

static bool admit(struct media_line *line, struct ice_path *path, size_t octets)
{
    struct qos_slot *slot = line->media.slot[QOS_DOWNLINK];
    return gate_open(slot) &&
           (!slot || worker_leg_admit(line->leg, slot, line->media.mid, QOS_DOWNLINK, octets)) &&
           ice_path_admit(path, octets);
}

static int dscp_for(const struct media_line *line, const struct packet *packet)
{
    const struct qos_slot *slot = line->media.slot[QOS_DOWNLINK];
    return packet && worker_leg_copies_dscp(slot) && packet->dscp >= 0
               ? packet->dscp
               : worker_leg_dscp(line->leg, slot);
}

static const struct relay_codec *codec_of(const struct subscription *subscription,
                                          const char *format)
{
    for (unsigned i = 0; i < subscription->n_codecs; i++) {
        if (subscription->codecs[i].format == format)
            return &subscription->codecs[i];
    }
    return NULL;
}

/* The next packet of the RTX stream. */
static size_t send_rtx(struct subscription *subscription, struct ice_path *path,
                       struct media_out *media)
{
    struct rtx_sender *rtx = subscription->rtx;
    uint64_t index = ++rtx->last_index;
    rtx->ever_sent = true;
    media->extensions = &subscription->extensions;
    media->fields.sequence = (uint16_t)index;
    media->fields.ssrc = rtx->ssrc;
    media->index = index - rtx->index_base;
    return media_send(subscription->line, path, media);
}

static void wrap(struct subscription *subscription, struct ice_path *path,
                 const struct packet *packet, bool marker, uint16_t sequence, uint8_t pt)
{
    struct rtx_sender *rtx = subscription->rtx;
    uint8_t payload[OSN_LENGTH + PACKET_PAYLOAD_MAX];
    /* Padding of the original is not part of it (RFC 4588 4); its length was checked on receipt. */
    size_t length = packet->length - (packet->padding ? packet->payload[packet->length - 1] : 0);
    payload[0] = (uint8_t)(sequence >> 8);
    payload[1] = (uint8_t)sequence;
    uint8_t changed[DEPENDENCY_OCTETS_MAX];
    const uint8_t *original = layering_payload(subscription, packet, payload + OSN_LENGTH);
    if (original != payload + OSN_LENGTH)
        memcpy(payload + OSN_LENGTH, original, length);
    struct media_out media = {
        .fields = {.pt = pt,
                   .marker = marker,
                   .timestamp = packet->timestamp + subscription->timestamp_offset},
        .descriptor = layering_descriptor(subscription, packet, changed),
        .note = packet->note,
        .payload = payload,
        .length = OSN_LENGTH + length,
        .dscp = dscp_for(subscription->line, packet),
    };
    rtx->octets += send_rtx(subscription, path, &media);
    rtx->packets++;
}

/* The same packet once more, header and payload, hence the same keystream on the same text. */
static void repeat(struct subscription *subscription, struct ice_path *path,
                   const struct packet *packet, bool marker, uint64_t index, uint8_t pt,
                   unsigned from)
{
    uint8_t copy[PACKET_PAYLOAD_MAX], changed[DEPENDENCY_OCTETS_MAX];
    const struct media_out media = {
        .extensions = &subscription->extensions,
        .fields = {.pt = pt,
                   .marker = marker,
                   .padding = packet->padding,
                   .sequence = (uint16_t)index,
                   .timestamp = packet->timestamp + subscription->timestamp_offset,
                   .ssrc = subscription->ssrc},
        .descriptor = layering_descriptor(subscription, packet, changed),
        .note = packet->note,
        .payload = layering_payload(subscription, packet, copy) + from,
        .length = packet->length - from,
        .index = index - subscription->index_base,
        .dscp = dscp_for(subscription->line, packet),
    };
    subscription->octets_out += media_send(subscription->line, path, &media);
    subscription->packets_out++;
    subscription->payload_octets_out += packet->length - from;
}

static struct ice_path *path_of(const struct subscription *subscription)
{
    struct worker_leg *leg = subscription->line->leg;
    return leg->out && subscription->line->media.send ? worker_leg_nominated(leg) : NULL;
}

void subscription_resend(struct subscription *subscription, uint16_t sequence, int64_t now)
{
    struct worker_leg *leg = subscription->line->leg;
    struct ice_path *path = path_of(subscription);
    struct stream *stream = subscription->source;
    uint64_t source_index, index;
    subscription->nack_received++;
    if (!path || !stream || !stream->active || !stream->active->buffer ||
        !subscription_find(subscription, sequence, &source_index, &index))
        return;
    struct packet *packet = packet_buffer_find(stream->active->buffer, source_index, now);
    if (!packet || packet->epoch != subscription->epoch)
        return;
    unsigned from;
    int pt = subscription_view(subscription, packet, &from);
    const struct relay_codec *codec = codec_of(subscription, packet->format);
    if (pt < 0)
        return;
    bool rtx = subscription->rtx && !from && codec && codec->rtx_pt;
    /* Before the present keys, or what was negotiated, there was another packet of that index. */
    if (!rtx && (index < subscription->index_base || index < subscription->repeats_from))
        return;
    const struct layering *layering = subscription->layering;
    bool marker = packet->marker;
    if (layering &&
        (packet->format != layering->format || !layer_filter_remembers(&layering->filter, packet) ||
         (!layer_filter_marker(&layering->filter, packet, &marker) && !rtx)))
        return;
    size_t octets = media_out_cost(leg, path, &subscription->extensions,
                                   packet->length + (rtx ? OSN_LENGTH : 0));
    if (packet->descriptor && subscription->descriptor_id)
        octets += rtp_element_cost(&subscription->extensions, packet->descriptor);
    if (!subscription_may_resend(subscription, sequence, now) ||
        (leg->bandwidth && !leg_bandwidth_repairs(leg->bandwidth, octets, now)) ||
        !admit(subscription->line, path, octets))
        return;
    if (rtx)
        wrap(subscription, path, packet, marker, sequence, codec->rtx_pt);
    else
        repeat(subscription, path, packet, marker, index, (uint8_t)pt, from);
    subscription->last_packet_out = leg->worker->now;
    subscription->retransmitted_out++;
}

size_t subscription_send_padding(struct subscription *subscription, size_t octets)
{
    uint8_t padding[PADDING_MAX] = {0};
    struct media_line *line = subscription->line;
    struct ice_path *path = path_of(subscription);
    struct rtx_sender *rtx = subscription->rtx;
    if (!path || !rtx || !subscription->ever_sent)
        return 0;
    const struct relay_codec *codec = codec_of(subscription, subscription->format);
    size_t least = media_out_cost(line->leg, path, &subscription->extensions, 1);
    if (!codec || !codec->rtx_pt || octets < least)
        return 0;
    size_t length = MIN(octets - least + 1, PADDING_MAX);
    if (!admit(line, path, least - 1 + length))
        return 0;
    padding[length - 1] = (uint8_t)length; /* RFC 3550 5.1 */
    struct media_out media = {
        .fields = {.pt = codec->rtx_pt, .padding = true, .timestamp = subscription->last_timestamp},
        .note = -1,
        .payload = padding,
        .length = length,
        .dscp = dscp_for(line, NULL),
    };
    rtx->padding_octets += send_rtx(subscription, path, &media);
    rtx->padding_packets++;
    return least - 1 + length;
}
