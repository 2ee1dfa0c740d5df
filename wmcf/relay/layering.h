/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What one subscription gets of a layered video: what its endpoint asked for, what bandwidth
 * allows, and how far the change to that is. Only subscriptions that can get less than everything
 * have one. Threads: the worker. */
#include "wmcf/relay/layer-filter.h"
#include "wmcf/relay/layers.h"
#include "wmcf/relay/stream.h"

struct encodings;

struct layering {
    bool preferred; /* the endpoint has asked for: */
    struct relay_layer_preference preference;
    bool limited, paused; /* bandwidth allows at most: */
    struct layer limit;
    int64_t wait_until; /* for the wanted encoding; then: */
    int refused;        /* an encoding that sends no key frame, -1 = none, */
    int64_t refused_until;
    struct layer_filter filter; /* of what is sent now, */
    const char *format;         /* which has this one; NULL = it has not seen any of it */
    bool aligned;               /* the next beginning has this timestamp, not one by its arrival */
    uint32_t timestamp;
};

/* The subscription's, made if need be. */
struct layering *subscription_layering(struct subscription *subscription);
void layering_free(struct layering *layering);
/* NULL = all again. */
void subscription_prefer(struct subscription *subscription,
                         const struct relay_layer_preference *preference, int64_t now);
/* A new route, to this stream or any other encoding of its video: the one to begin with. What
 * bandwidth allowed of the video before is forgotten. */
struct stream *layers_enter(struct subscription *subscription, struct stream *stream);
/* Moves the subscription to the encoding it ought to have, or lets it wait there. */
void layers_lead(struct subscription *subscription, int64_t now);
/* Those that wait for a key frame of the stream, which begins in its batch: it feeds them now. */
void layers_switch(struct stream *stream);
/* The packet of the stream's batch that a subscription without a beginning begins with, so that
 * what comes before asks for no other key frame; the first one when there is none. */
struct packet *layers_begin(struct subscription *subscription, struct stream *stream);
/* Whether a packet that could be forwarded is, with what marker. */
bool layering_take(struct subscription *subscription, const struct packet *packet,
                   bool *ret_marker);
/* The payload as this subscriber gets it; `copy` has PACKET_PAYLOAD_MAX octets. */
static inline const uint8_t *layering_payload(const struct subscription *subscription,
                                              const struct packet *packet, uint8_t *copy)
{
    return subscription->layering
               ? layer_filter_payload(&subscription->layering->filter, packet, copy)
               : packet->payload;
}
/* The dependency descriptor that goes with the packet; `copy` has DEPENDENCY_OCTETS_MAX octets. */
static inline struct rtp_element layering_descriptor(const struct subscription *subscription,
                                                     const struct packet *packet, uint8_t *copy)
{
    struct rtp_element ret = {.id = subscription->descriptor_id};
    if (G_LIKELY(!packet->descriptor || !subscription->descriptor_id))
        return ret;
    size_t length = packet->descriptor;
    ret.data = subscription->layering
                   ? layer_filter_descriptor(&subscription->layering->filter, packet, copy, &length)
                   : packet_descriptor(packet);
    ret.length = (uint8_t)length;
    return ret;
}
/* It has waited for too long. */
void layers_give_up(struct subscription *subscription, int64_t now);
