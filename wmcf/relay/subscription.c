/* SPDX-License-Identifier: Apache-2.0 */
/* A subscription has a beginning for each source it gets: there the first packet takes the next
 * sequence number, and the timestamp advances by the time that has passed on the wall, in the clock
 * of the new source. Between beginnings only offsets are added. */
#include "wmcf/relay/subscription.h"

#include "wmcf/relay/red.h"

#include "wmcf/relay/layering.h"

#include <string.h>

#define RESEND_WINDOW_US 100000
#define RESEND_PER_WINDOW 200 /* 2000 packets a second: 20 Mbit/s of repair */
#define RESEND_INTERVAL_MIN_US 10000
#define RESEND_INTERVAL_MAX_US 100000

void subscription_init(struct subscription *subscription, struct media_line *line, uint32_t random)
{
    memset(subscription, 0, sizeof *subscription);
    subscription->line = line;
    subscription->pt = -1;
    subscription->last_index = random & 0x7fff;
    subscription->last_timestamp = random * 2654435761u;
}

/* Feedback was negotiated for it. Not where a retransmission is the packet itself once more: it
 * would go with another number, and AES-GCM under one nonce for two headers gives its key away. */
static bool takes_numbers(const struct relay_media *media)
{
    bool feedback = false, repeats = false;
    for (guint i = 0; i < media->n_send_codecs; i++) {
        const struct relay_codec *codec = &media->send_codecs[i];
        feedback |= codec->transport_cc;
        repeats |= codec->nack && (!codec->rtx_pt || !media->local_rtx_ssrc);
    }
    return feedback && !repeats;
}

void subscription_configure(struct subscription *subscription, const struct relay_media *media)
{
    struct rtp_extension_block extensions = subscription->extensions;
    bool other_codecs =
        subscription->n_codecs != media->n_send_codecs ||
        memcmp(subscription->codecs, media->send_codecs, sizeof subscription->codecs) != 0;
    subscription->ssrc = media->local_ssrc;
    subscription->n_codecs = media->n_send_codecs;
    memcpy(subscription->codecs, media->send_codecs, sizeof subscription->codecs);
    subscription->format = NULL;
    subscription->pt = -1;
    rtp_extension_block_build(&subscription->extensions, media->mid_extmap, media->mid,
                              media->kind == RELAY_AUDIO ? media->audio_level_extmap
                                                         : media->orientation_extmap);
    if (takes_numbers(media))
        rtp_extension_block_add_wide(&subscription->extensions, media->transport_cc_extmap);
    subscription->extensions.ciphered = media->cryptex;
    bool other_descriptor = subscription->descriptor_id != media->dependency_extmap;
    subscription->descriptor_id = media->dependency_extmap;
    if (other_codecs || other_descriptor ||
        memcmp(&extensions, &subscription->extensions, sizeof extensions) != 0)
        subscription->repeats_from = subscription->last_index + 1;
}

void subscription_interrupt(struct subscription *subscription)
{
    subscription->begun = false;
}

int subscription_payload_type(struct subscription *subscription, const char *format)
{
    if (subscription->format == format)
        return subscription->pt;
    subscription->format = format;
    subscription->pt = -1;
    for (unsigned i = 0; i < subscription->n_codecs; i++) {
        if (subscription->codecs[i].format == format) {
            subscription->pt = subscription->codecs[i].pt;
            break;
        }
    }
    return subscription->pt;
}

int subscription_red(const struct subscription *subscription, const struct packet *packet,
                     unsigned *ret_from)
{
    struct red_primary inside = {0};
    int whole = -1, primary = -1;
    for (unsigned i = 0; i < subscription->n_codecs; i++) {
        const struct relay_codec *codec = &subscription->codecs[i];
        if (codec->format == packet->format)
            whole = codec->pt;
        else if (red_is_primary_format(codec->format))
            primary = codec->pt;
    }
    red_find_primary(packet->payload, packet->length, &inside); /* it was looked at on receipt */
    if (whole >= 0 && primary == inside.pt)
        return whole;
    *ret_from = inside.at;
    return primary;
}

static bool goes_on(const struct subscription *subscription, const struct packet *packet)
{
    return subscription->begun && subscription->epoch == packet->epoch;
}

enum subscription_verdict subscription_judge(const struct subscription *subscription,
                                             const struct packet *packet)
{
    if (!goes_on(subscription, packet))
        return packet->entry ? SUBSCRIPTION_TAKES : SUBSCRIPTION_WAITS;
    return packet->index >= subscription->map.ranges[0].from ? SUBSCRIPTION_TAKES
                                                             : SUBSCRIPTION_PASSED;
}

static void begin(struct subscription *subscription, const struct packet *packet)
{
    uint32_t advance = 0;
    if (subscription->ever_sent) {
        int64_t passed = packet->arrival - subscription->last_arrival;
        advance =
            passed <= 0 ? 1 : (uint32_t)((uint64_t)passed * packet->clock_rate / 1000000u) + 1;
    }
    struct layering *layering = subscription->layering;
    if (layering && layering->aligned)
        advance = layering->timestamp - subscription->last_timestamp;
    if (layering)
        layering->aligned = false;
    subscription->timestamp_offset = subscription->last_timestamp + advance - packet->timestamp;
    sequence_map_begin(&subscription->map, packet->index, subscription->last_index + 1);
    subscription->begun = true;
    subscription->epoch = packet->epoch;
}

void subscription_rewrite(struct subscription *subscription, const struct packet *packet,
                          uint8_t pt, struct rtp_fields *ret_fields, uint64_t *ret_index)
{
    if (!goes_on(subscription, packet))
        begin(subscription, packet);
    uint64_t index = 0;
    sequence_map_forward(&subscription->map, packet->index, &index);
    uint32_t timestamp = packet->timestamp + subscription->timestamp_offset;
    if (index > subscription->last_index || !subscription->ever_sent) {
        subscription->last_index = index;
        subscription->last_timestamp = timestamp;
        subscription->last_arrival = packet->arrival;
        subscription->last_clock_rate = packet->clock_rate;
        subscription->ever_sent = true;
    }
    *ret_index = index;
    *ret_fields = (struct rtp_fields){.pt = pt,
                                      .marker = packet->marker,
                                      .padding = packet->padding,
                                      .sequence = (uint16_t)index,
                                      .timestamp = timestamp,
                                      .ssrc = subscription->ssrc};
}

void subscription_skip(struct subscription *subscription, const struct packet *packet)
{
    if (goes_on(subscription, packet))
        sequence_map_skip(&subscription->map, packet->index);
}

bool subscription_find(const struct subscription *subscription, uint16_t sequence,
                       uint64_t *ret_source_index, uint64_t *ret_index)
{
    if (!subscription->begun)
        return false;
    int64_t index = (int64_t)subscription->last_index +
                    (int16_t)(sequence - (uint16_t)subscription->last_index);
    if (index < 0 || (uint64_t)index > subscription->last_index)
        return false;
    *ret_index = (uint64_t)index;
    return sequence_map_back(&subscription->map, (uint64_t)index, ret_source_index);
}

bool subscription_may_resend(struct subscription *subscription, uint16_t sequence, int64_t now)
{
    /* Half of it: who asks again after a round trip asks a little earlier at times. */
    int64_t interval = subscription->round_trip_us / 2;
    if (interval < RESEND_INTERVAL_MIN_US)
        interval = RESEND_INTERVAL_MIN_US;
    if (interval > RESEND_INTERVAL_MAX_US)
        interval = RESEND_INTERVAL_MAX_US;
    unsigned slot = sequence & (SUBSCRIPTION_RESENT - 1);
    if (subscription->resent[slot].at && subscription->resent[slot].sequence == sequence &&
        now - subscription->resent[slot].at < interval)
        return false;
    if (now - subscription->resend_window >= RESEND_WINDOW_US) {
        subscription->resend_window = now;
        subscription->resend_count = 0;
    }
    if (subscription->resend_count >= RESEND_PER_WINDOW)
        return false;
    subscription->resend_count++;
    subscription->resent[slot].sequence = sequence;
    subscription->resent[slot].at = now;
    return true;
}
