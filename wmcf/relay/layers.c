/* SPDX-License-Identifier: Apache-2.0 */
/* Which encoding a subscription gets, and the change from one to another. A decoder can follow only
 * at a key frame, so the old encoding goes on until one of the new begins; in the same batch the
 * subscription moves over, and its numbering and its clock go on as if nothing had happened. */
#include "wmcf/relay/layering.h"

#include "wmcf/relay/encodings.h"
#include "wmcf/relay/worker.h"

#include <string.h>

#define WAIT_US 5000000     /* for a key frame that was asked for */
#define SENT_US 2000000     /* without a packet, and nothing is sent */
#define REFUSED_US 10000000 /* before it is asked for again */

struct layering *subscription_layering(struct subscription *subscription)
{
    if (!subscription->layering) {
        subscription->layering = g_new0(struct layering, 1);
        subscription->layering->refused = -1;
        subscription->layering->filter.spatial_wanted = SPATIAL_LAYERS - 1;
        subscription->layering->filter.temporal_wanted = TEMPORAL_LAYERS - 1;
        subscription->layering->filter.spatial = SPATIAL_LAYERS - 1;
        subscription->layering->filter.temporal = TEMPORAL_LAYERS - 1;
        if (subscription->source)
            subscription->layering->filter.codec = key_frame_codec_of_format(subscription->format);
    }
    return subscription->layering;
}

void layering_free(struct layering *layering)
{
    g_free(layering);
}

/* --- the choice ------------------------------------------------------------------------------- */

static bool is_alive(const struct encoding_board *board, unsigned n)
{
    return atomic_load_explicit(&board->meters[n].alive, memory_order_relaxed);
}

static bool fits(const struct relay_layer_preference *preference, uint32_t size)
{
    return size == 0 || ((preference->width == 0 || size >> 16 <= preference->width) &&
                         (preference->height == 0 || (size & 0xffff) <= preference->height));
}

/* The encodings that the endpoint's wish leaves, by bit. */
static unsigned preferred(const struct layering *layering, const struct encoding_board *board)
{
    const struct relay_layer_preference *preference = &layering->preference;
    unsigned ret = 0, smallest = 0;
    for (unsigned i = 0; layering->preferred && i < board->n; i++) {
        if (preference->rid[0]) {
            if (strcmp(board->rids[i], preference->rid) == 0)
                return 1u << i;
            continue;
        }
        if (!is_alive(board, i))
            continue;
        if (!smallest)
            smallest = 1u << i;
        if (fits(preference, layer_meter_size(&board->meters[i], SPATIAL_LAYERS - 1)))
            ret |= 1u << i;
    }
    if (ret || (layering->preferred && smallest))
        return ret ? ret : smallest;
    return (1u << board->n) - 1;
}

/* The highest encoding of those that is sent; -1 = none. */
static int highest_alive(const struct encoding_board *board, unsigned among)
{
    int ret = -1;
    for (unsigned i = 0; i < board->n; i++) {
        if (among & 1u << i && is_alive(board, i))
            ret = (int)i;
    }
    return ret;
}

/* What is wished for and allowed; else what is allowed; else the least there is. When nothing is
 * sent at all: `present`. */
static unsigned choose(const struct layering *layering, const struct encoding_board *board,
                       unsigned present)
{
    unsigned all = (1u << board->n) - 1;
    unsigned allowed = layering->limited ? (2u << layering->limit.encoding) - 1 : all;
    int ret = highest_alive(board, allowed & preferred(layering, board));
    if (ret < 0)
        ret = highest_alive(board, allowed);
    for (unsigned i = 0; ret < 0 && i < board->n; i++) {
        if (is_alive(board, i))
            ret = (int)i;
    }
    return ret < 0 ? present : (unsigned)ret;
}

static bool layer_is_sent(const struct layer_meter *meter, unsigned spatial)
{
    return meter && spatial < SPATIAL_LAYERS &&
           layer_meter_rate(meter, spatial, TEMPORAL_LAYERS - 1) >
               layer_meter_rate(meter, spatial - 1, TEMPORAL_LAYERS - 1);
}

/* Spatial layers up to the one that was asked for; by size where that is known. */
static uint8_t preferred_spatial(const struct relay_layer_preference *preference,
                                 const struct layer_meter *meter)
{
    if (preference->spatial >= 0)
        return (uint8_t)MIN(preference->spatial, SPATIAL_LAYERS - 1);
    uint8_t ret = SPATIAL_LAYERS - 1;
    while (meter && ret > 0 && !fits(preference, layer_meter_size(meter, ret)))
        ret--;
    return ret;
}

/* What is measured of a stream, here or in another worker; NULL = nothing. */
static const struct layer_meter *meter_of(const struct stream *stream)
{
    return stream->encodings ? &stream->encodings->board->meters[stream->encoding] : stream->meter;
}

/* Layers within the encoding that is sent. Of one below the one that is allowed, all are; of one
 * above it, which goes on until a key frame comes, the least. */
static void aim(struct subscription *subscription)
{
    struct layering *layering = subscription->layering;
    struct stream *stream = subscription->source;
    struct layer_filter *filter = &layering->filter;
    uint8_t spatial = SPATIAL_LAYERS - 1, temporal = TEMPORAL_LAYERS - 1;
    if (layering->limited && stream->encoding >= layering->limit.encoding) {
        bool above = stream->encoding > layering->limit.encoding;
        spatial = above ? 0 : layering->limit.spatial;
        temporal = above ? 0 : layering->limit.temporal;
    }
    if (layering->preferred) {
        spatial = MIN(spatial, preferred_spatial(&layering->preference, meter_of(stream)));
        if (layering->preference.temporal >= 0)
            temporal = MIN(temporal, layering->preference.temporal);
    }
    /* Without pictures of its own past a spatial layer begins at a key picture. */
    if (spatial > filter->spatial_wanted && subscription->begun && filter->codec == KEY_FRAME_VP9 &&
        layer_is_sent(meter_of(stream), filter->spatial + 1u))
        stream_want_key_frame(stream);
    filter->spatial_wanted = spatial;
    filter->temporal_wanted = temporal;
}

struct stream *layers_enter(struct subscription *subscription, struct stream *stream)
{
    struct encodings *encodings = stream->encodings;
    struct layering *layering =
        encodings ? subscription_layering(subscription) : subscription->layering;
    if (layering) { /* it was of another video */
        layering->refused = -1;
        layering->limited = layering->paused = layering->aligned = false;
    }
    return encodings
               ? encodings_stream(encodings, choose(layering, encodings->board, encodings->n - 1))
               : stream;
}

/* To the encoding it ought to have. */
static void lead(struct subscription *subscription, struct encodings *encodings, int64_t now)
{
    struct stream *present = subscription->source;
    struct layering *layering = subscription->layering;
    unsigned n = choose(layering, encodings->board, present->encoding);
    if (n == present->encoding) {
        stream_unwait(subscription);
        return;
    }
    if (subscription->wanted && subscription->wanted->encoding == n)
        return;
    if (layering->refused == (int)n && now < layering->refused_until)
        return;
    struct stream *stream = encodings_stream(encodings, n);
    if (subscription->begun) {
        stream_wait(stream, subscription);
        layering->wait_until = now + WAIT_US;
    } else { /* nothing is sent, nothing has to go on */
        stream_unwait(subscription);
        stream_remove(present, subscription);
        stream_add(stream, subscription);
    }
    if (stream->last_packet != now) /* else the batch may bring one, which will be seen then */
        stream_want_key_frame(stream);
}

void layers_lead(struct subscription *subscription, int64_t now)
{
    struct stream *stream = subscription->source;
    if (!stream || (!stream->encodings && !subscription->layering))
        return;
    subscription_layering(subscription);
    if (stream->encodings)
        lead(subscription, stream->encodings, now);
    aim(subscription);
}

void layers_give_up(struct subscription *subscription, int64_t now)
{
    subscription->layering->refused = subscription->wanted->encoding;
    subscription->layering->refused_until = now + REFUSED_US;
    stream_unwait(subscription);
}

/* --- the change ------------------------------------------------------------------------------- */

/* Microseconds on the publisher's clock of a timestamp, by its last sender report. */
static bool publisher_time(const struct source *source, uint32_t timestamp, int64_t *ret)
{
    if (!source || !source->has_report || !source->clock_rate)
        return false;
    int64_t ticks = (int32_t)(timestamp - source->report.timestamp);
    *ret = rtcp_ntp_to_us(source->report.ntp) + ticks * 1000000 / source->clock_rate;
    return true;
}

/* Where the new encoding's first timestamp lies behind the last one that was sent: both clocks by
 * their sender reports. Both count the same frames, so that it is the same picture or a later one;
 * where the reports say otherwise, arrival is the better witness. */
#define ALIGN_MAX_US 2000000
static void align(struct subscription *subscription, const struct stream *to,
                  const struct packet *packet)
{
    const struct source *old = subscription->source->active;
    struct layering *layering = subscription->layering;
    int64_t last, first;
    layering->aligned = false;
    if (!subscription->begun || subscription->epoch != subscription->source->epoch ||
        !publisher_time(old, subscription->last_timestamp - subscription->timestamp_offset,
                        &last) ||
        !publisher_time(to->active, packet->timestamp, &first))
        return;
    int64_t passed = packet->arrival - subscription->last_arrival;
    if (ABS(first - last - passed) > ALIGN_MAX_US)
        return;
    int64_t ticks = (first - last) * packet->clock_rate / 1000000;
    layering->timestamp = subscription->last_timestamp + (uint32_t)MAX(ticks, 1);
    layering->aligned = true;
}

/* Where the subscriber's decoder can begin in this batch. */
static struct packet *find_entry(struct subscription *subscription, const struct stream *stream)
{
    for (struct packet *packet = stream->first; packet; packet = packet->next) {
        if (packet->entry && subscription_payload_type(subscription, packet->format) >= 0)
            return packet;
    }
    return NULL;
}

struct packet *layers_begin(struct subscription *subscription, struct stream *stream)
{
    struct packet *entry = find_entry(subscription, stream);
    return entry ? entry : stream->first;
}

void layers_switch(struct stream *stream)
{
    struct subscription *next;
    for (struct subscription *at = stream->waiting; at; at = next) {
        next = at->next_waiting;
        const struct packet *entry = find_entry(at, stream);
        if (!entry) {
            stream_want_key_frame(stream);
            continue;
        }
        align(at, stream, entry);
        stream_unwait(at);
        stream_remove(at->source, at);
        subscription_interrupt(at);
        stream_add(stream, at);
        aim(at);
    }
}

bool layering_take(struct subscription *subscription, const struct packet *packet, bool *ret_marker)
{
    struct layer_filter *filter = &subscription->layering->filter;
    if (!subscription->begun || subscription->epoch != packet->epoch)
        layer_filter_begin(filter, packet);
    else if (G_UNLIKELY(subscription->layering->format != packet->format))
        layer_filter_join(filter, packet);
    subscription->layering->format = packet->format;
    bool ret = layer_filter_take(filter, packet, ret_marker);
    struct stream *stream = subscription->source;
    /* Unless one has come already, behind this packet. */
    if (G_UNLIKELY(filter->frames.wants_key) &&
        (int32_t)(packet->timestamp - stream->key_frame_timestamp) > 0)
        stream_want_key_frame(stream);
    return ret;
}

/* --- for bandwidth ---------------------------------------------------------------------------- */

struct options {
    struct layer *list;
    unsigned n;
};

/* Those that cost more than a better one are of no use. What has just begun costs nothing yet. */
static void offer(struct options *options, const struct layer *layer)
{
    while (options->n && options->list[options->n - 1].bitrate >= layer->bitrate)
        options->n--;
    if (options->n < LAYERS_MAX)
        options->list[options->n++] = *layer;
}

/* The layers of one encoding, worse ones first. Half of the pictures are the least, but for the
 * lowest: a larger picture that stutters is no better one. */
static void offer_layers(struct options *options, const struct subscription *subscription,
                         const struct layer_meter *meter, unsigned encoding)
{
    const struct layering *layering = subscription->layering;
    unsigned spatial = SPATIAL_LAYERS - 1, temporal = TEMPORAL_LAYERS - 1;
    if (layering && layering->preferred) {
        spatial = preferred_spatial(&layering->preference, meter);
        if (layering->preference.temporal >= 0)
            temporal = MIN(temporal, (unsigned)layering->preference.temporal);
    }
    while (temporal > 0 && layer_meter_rate(meter, spatial, temporal) ==
                               layer_meter_rate(meter, spatial, temporal - 1))
        temporal--;
    for (unsigned s = 0; s <= spatial; s++) {
        if (s > 0 && !layer_is_sent(meter, s))
            continue;
        bool lowest = options->n == 0;
        for (unsigned t = lowest || temporal == 0 ? 0 : temporal - 1; t <= temporal; t++) {
            uint32_t size = layer_meter_size(meter, s);
            offer(options, &(struct layer){.encoding = (uint8_t)encoding,
                                           .spatial = (uint8_t)s,
                                           .temporal = (uint8_t)t,
                                           .bitrate = layer_meter_rate(meter, s, t),
                                           .width = (uint16_t)(size >> 16),
                                           .height = (uint16_t)size});
        }
    }
}

unsigned subscription_layers(const struct subscription *subscription, int64_t now,
                             struct layer ret[LAYERS_MAX])
{
    struct stream *stream = subscription->source;
    struct options options = {.list = ret};
    if (!stream)
        return 0;
    if (stream->encodings) {
        const struct encoding_board *board = stream->encodings->board;
        unsigned among =
            subscription->layering ? preferred(subscription->layering, board) : UINT_MAX;
        for (unsigned i = 0; i < board->n; i++) {
            if (is_alive(board, i) && among & 1u << i)
                offer_layers(&options, subscription, &board->meters[i], i);
        }
    } else if (stream->meter) {
        layer_meter_tick(stream->meter, now);
        offer_layers(&options, subscription, stream->meter, 0);
    } else if (now - stream->last_packet < SENT_US) {
        uint32_t size = stream_size(stream);
        offer(&options, &(struct layer){.bitrate = stream_rate(stream, now),
                                        .width = (uint16_t)(size >> 16),
                                        .height = (uint16_t)size});
    }
    return options.n;
}

void subscription_select(struct subscription *subscription, const struct layer *layer, int64_t now)
{
    struct layering *layering = subscription->layering;
    struct stream *stream = subscription->source;
    if (!stream)
        return;
    if (!layering && layer && !stream->encodings && !stream->meter)
        return; /* all of it or nothing */
    layering = subscription_layering(subscription);
    bool resumed = layering->paused && layer;
    layering->paused = !layer;
    if (!layer)
        return;
    layering->limited = true;
    layering->limit = *layer;
    layers_lead(subscription, now);
    if (resumed)
        stream_want_key_frame(subscription->source);
}

void subscription_cut(struct subscription *subscription, int64_t now)
{
    if (!subscription->wanted)
        return;
    subscription_interrupt(subscription);
    stream_unwait(subscription);
    layers_lead(subscription, now);
}

bool subscription_layer(const struct subscription *subscription, struct layer *ret)
{
    const struct stream *stream = subscription->source;
    const struct layering *layering = subscription->layering;
    if (!stream || !subscription->begun || (layering && layering->paused))
        return false;
    const struct layer_meter *meter = meter_of(stream);
    unsigned spatial = layering ? layering->filter.spatial : SPATIAL_LAYERS - 1;
    unsigned temporal = layering ? layering->filter.temporal : TEMPORAL_LAYERS - 1;
    uint32_t size = stream_size(stream);
    *ret = (struct layer){.encoding = stream->encoding, .bitrate = stream->rate};
    if (meter) {
        while (spatial > 0 && !layer_is_sent(meter, spatial))
            spatial--;
        while (temporal > 0 && layer_meter_rate(meter, spatial, temporal) ==
                                   layer_meter_rate(meter, spatial, temporal - 1))
            temporal--;
        ret->spatial = (uint8_t)spatial;
        ret->temporal = (uint8_t)temporal;
        ret->bitrate = layer_meter_rate(meter, spatial, temporal);
        size = layer_meter_size(meter, spatial);
    }
    ret->width = (uint16_t)(size >> 16);
    ret->height = (uint16_t)size;
    return true;
}

void subscription_prefer(struct subscription *subscription,
                         const struct relay_layer_preference *preference, int64_t now)
{
    if (!subscription->layering && !preference)
        return;
    struct layering *layering = subscription_layering(subscription);
    layering->preferred = preference;
    if (preference)
        layering->preference = *preference;
    layers_lead(subscription, now);
}
