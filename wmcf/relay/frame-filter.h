/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What one subscription leaves out of video whose packets have dependency descriptors (AV1 RTP
 * specification 1.0, appendix A), and the frame numbers that make what is left one video. A part of
 * layer_filter. Pure. Threads: the worker. */
#include "wmcf/relay/packet-dependency.h"

struct layer_filter;

struct frame_filter {
    bool chosen;     /* the layers of the filter are a decode target; else the next frame begins */
    bool wants_key;  /* only a key frame leads to the layers that are wanted */
    bool tell;       /* the next frame is to say which decode targets are active */
    bool numbered;   /* frames have been sent: */
    uint16_t offset; /* out - in */
    uint16_t last_in, last_out;
    uint8_t n_targets;                     /* of the structure in force; 0 = not known */
    uint8_t pairs[DEPENDENCY_TARGETS_MAX]; /* … what they reach up to */
};

/* As those of layer_filter, for a packet with a descriptor that was understood. */
bool frame_filter_take(struct layer_filter *filter, const struct packet *packet,
                       const struct dependency_frame *frame, bool *ret_marker);
/* Whether the fate of the frame that this packet is of is still known. */
bool frame_filter_remembers(const struct layer_filter *filter, const struct packet *packet,
                            const struct dependency_frame *frame);
/* The marker that the packet has for this subscriber. False: something else in it may not be what
 * it was when it was sent. */
bool frame_filter_marker(const struct layer_filter *filter, const struct packet *packet,
                         const struct dependency_frame *frame, bool *ret_marker);
/* The descriptor as the subscriber gets it: the packet's own, or `copy` (DEPENDENCY_OCTETS_MAX). */
const uint8_t *frame_filter_descriptor(const struct layer_filter *filter,
                                       const struct packet *packet, uint8_t *copy,
                                       size_t *ret_length);
