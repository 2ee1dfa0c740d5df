/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a subscriber can be given of a publisher's video: encodings of a simulcast (RFC 8853), and
 * within one the spatial and temporal layers of its codec (RFC 7741, RFC 9628, AV1 RTP
 * specification). Bandwidth decides how much (leg-bandwidth.c), this tells what there is and holds
 * the choice; the switch itself happens where a decoder can follow it.
 * Threads: the worker of the subscription. */
#include <stdbool.h>
#include <stdint.h>

#define LAYERS_MAX 24 /* of one video */

struct subscription;

struct layer {
    uint8_t encoding; /* by rising bitrate as the publisher named them */
    uint8_t spatial, temporal;
    uint32_t bitrate;       /* bits/s on the wire, of it with all that it needs; measured */
    uint16_t width, height; /* 0 = not known */
};

/* What there is to choose from now, rising bitrates, within what the subscriber asked for
 * (relay_leg_prefer_layer()); one entry for video without layers, none when nothing is sent or
 * routed. Audio has one. Returns the number. */
unsigned subscription_layers(const struct subscription *subscription, int64_t now,
                             struct layer ret[LAYERS_MAX]);
/* From now on at most this one; NULL = paused: nothing is sent until there is another choice. A
 * higher one, or one of another encoding, begins at its next switching point, which is asked for.
 * Cheap when nothing changes. */
void subscription_select(struct subscription *subscription, const struct layer *layer, int64_t now);
/* What is sent now goes on no longer, not even until the one that was selected begins: it is more
 * than the way carries. */
void subscription_cut(struct subscription *subscription, int64_t now);
/* What is sent at present; false: nothing. */
bool subscription_layer(const struct subscription *subscription, struct layer *ret);
