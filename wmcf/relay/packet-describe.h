/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a packet of video says about frames and layers, put where routing and filters look.
 * Threads: the worker. */
#include "wmcf/relay/key-frame.h"
#include "wmcf/relay/packet-pool.h"

struct picture_sizes { /* told by this packet; width << 16 | height, 0 = not told */
    unsigned n;        /* spatial layers */
    uint32_t sizes[4];
};

/* Fills key_frame, entry and the layers; `length` is the payload's without padding. */
void packet_describe_video(struct packet *packet, enum key_frame_codec codec, size_t length,
                           struct picture_sizes *ret_sizes);
