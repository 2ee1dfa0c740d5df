/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What one subscription leaves out of a layered stream, and the numbers in the payload that make
 * what is left one video: VP8 picture ids without holes, and all of them going on over a change of
 * the encoding (RFC 7741 4.2, RFC 9628 4.2). Pure. Threads: the worker. */
#include "wmcf/relay/frame-filter.h"
#include "wmcf/relay/key-frame.h"
#include "wmcf/relay/packet-pool.h"

#define FILTER_PICTURES 128 /* that are remembered, power of two */

struct filtered_picture {
    uint16_t in, offset; /* modulo their bits; of a frame, what it was sent as (frame-filter.c) */
    bool known, kept;
    uint64_t from; /* source index of the packet that it was taken with: an id comes back */
};

struct layer_filter {
    uint8_t spatial_wanted, temporal_wanted; /* highest; set by who chooses */
    uint8_t spatial, temporal;               /* highest at present */
    enum key_frame_codec codec;
    uint32_t timestamp; /* of the newest picture */
    bool numbered;      /* pictures have been sent with ids: */
    uint16_t offset;    /* out - in, of the newest */
    uint16_t last_in, last_out;
    uint8_t level_offset, last_level;
    uint64_t from;              /* source index that these numbers began with */
    struct frame_filter frames; /* of what has dependency descriptors */
    struct filtered_picture pictures[FILTER_PICTURES];
};

/* A new beginning, with this packet. */
void layer_filter_begin(struct layer_filter *filter, const struct packet *packet);
/* In the midst of video that goes on: all of it was forwarded until now, or it has another format
 * from here on. The picture of this packet stays whole. */
void layer_filter_join(struct layer_filter *filter, const struct packet *packet);
/* False: it is left out. *ret_marker is set for one that ends the picture now. */
bool layer_filter_take(struct layer_filter *filter, const struct packet *packet, bool *ret_marker);
/* The payload as the subscriber gets it: the packet's own, or `copy` (PACKET_PAYLOAD_MAX) with
 * other numbers. */
const uint8_t *layer_filter_payload(const struct layer_filter *filter, const struct packet *packet,
                                    uint8_t *copy);
/* Whether the packet can be sent once more with the numbers that it had; what is too old cannot. */
bool layer_filter_remembers(const struct layer_filter *filter, const struct packet *packet);
/* The marker that it has at present. False: when it was sent this, or a number, may have been
 * another one, which nobody remembers. */
bool layer_filter_marker(const struct layer_filter *filter, const struct packet *packet,
                         bool *ret_marker);
/* The dependency descriptor of a packet that has one, as the subscriber gets it: the packet's own,
 * or `copy` (DEPENDENCY_OCTETS_MAX) with other numbers. */
const uint8_t *layer_filter_descriptor(const struct layer_filter *filter,
                                       const struct packet *packet, uint8_t *copy,
                                       size_t *ret_length);
