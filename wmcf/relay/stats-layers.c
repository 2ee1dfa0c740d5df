/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a snapshot that tells of layered video: what an endpoint's encodings bring, and which
 * layer another endpoint gets, and why no better one. Reckoned when it is asked for, so that the
 * packets of video without layers pay nothing. */
#include "wmcf/relay/stats-layers.h"

#include "wmcf/relay/encodings.h"
#include "wmcf/relay/layering.h"
#include "wmcf/relay/worker.h"

/* With all spatial layers; width << 16 | height, 0 = not known. */
static uint32_t picture(const struct layer_meter *meter)
{
    uint32_t ret = 0;
    for (unsigned s = 0; s < SPATIAL_LAYERS; s++) {
        uint32_t size = atomic_load_explicit(&meter->size[s], memory_order_relaxed);
        if (size)
            ret = size;
    }
    return ret;
}

static void fill_encodings(struct media_line *line, struct relay_media_stats *ret)
{
    const struct encodings *encodings = line->encodings;
    for (unsigned i = 0; encodings && i < encodings->n; i++) {
        const struct stream *stream = encodings->streams[i];
        struct relay_encoding_stats *to = &ret->encodings[ret->n_encodings++];
        uint32_t size = picture(&encodings->board->meters[i]);
        g_strlcpy(to->rid, encodings->board->rids[i], sizeof to->rid);
        to->width = (uint16_t)(size >> 16);
        to->height = (uint16_t)size;
        to->packets_in = stream->packets_in;
        to->octets_in = stream->octets_in;
        to->retransmitted_in = stream->retransmitted_in;
        to->retransmitted_octets_in = stream->retransmitted_octets_in;
        to->nack_sent = stream->nack_sent;
        to->pli_sent = stream->pli_sent;
        if (!stream->active)
            continue;
        to->ssrc_in = stream->active->ssrc;
        to->lost_in = reception_lost(&stream->active->reception);
        to->jitter_in = reception_jitter(&stream->active->reception);
    }
}

static bool below(const struct layer *layer, const struct layer *other)
{
    return layer->encoding < other->encoding ||
           (layer->encoding == other->encoding &&
            (layer->spatial < other->spatial || layer->temporal < other->temporal));
}

static enum relay_limitation limitation(const struct subscription *subscription,
                                        const struct layer *layer, const struct layer *best)
{
    const struct layering *layering = subscription->layering;
    if (layering && layering->paused)
        return RELAY_LIMITED_BANDWIDTH;
    if (layer && below(layer, best))
        return layering && layering->limited && below(&layering->limit, best)
                   ? RELAY_LIMITED_BANDWIDTH
                   : RELAY_LIMITED_OTHER;
    return layering && layering->preferred ? RELAY_LIMITED_OTHER : RELAY_LIMITED_NOT;
}

/* The layers to choose from are those that the endpoint's own wish leaves. */
static void fill_layer(const struct subscription *subscription, int64_t now,
                       struct relay_media_stats *ret)
{
    const struct stream *stream = subscription->source;
    struct layer there[LAYERS_MAX], sent;
    unsigned n = stream ? subscription_layers(subscription, now, there) : 0;
    bool any = subscription_layer(subscription, &sent);
    if (n == 0)
        return;
    ret->limitation = limitation(subscription, any ? &sent : NULL, &there[n - 1]);
    ret->layered =
        any && (stream->encodings || sent.width || there[n - 1].spatial || there[n - 1].temporal);
    if (!ret->layered)
        return;
    ret->layer = (struct relay_layer_stats){.spatial = sent.spatial,
                                            .temporal = sent.temporal,
                                            .width = sent.width,
                                            .height = sent.height};
    if (stream->encodings)
        g_strlcpy(ret->layer.rid, stream->encodings->board->rids[sent.encoding],
                  sizeof ret->layer.rid);
}

void stats_layers(struct media_line *line, int64_t now, struct relay_media_stats *ret)
{
    fill_encodings(line, ret);
    if (line->media.kind == RELAY_VIDEO)
        fill_layer(&line->out, now, ret);
}
