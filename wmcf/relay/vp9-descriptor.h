/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The payload descriptor of VP9 (RFC 9628 4.2). Pure; whatever the octets are, nothing beyond
 * `length` is read. Threads: any. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VP9_SPATIAL_MAX 8

struct vp9_descriptor {
    uint16_t length;      /* octets before the VP9 data */
    bool begins, ends;    /* B, E: a layer's frame */
    bool predicted;       /* P: from other pictures */
    bool flexible;        /* F */
    bool discardable;     /* Z: not needed by higher spatial layers */
    uint8_t picture_at;   /* where the picture id is; 0 = there is none */
    uint8_t picture_bits; /* 7 or 15 */
    uint16_t picture;
    bool has_layers;
    uint8_t spatial, temporal; /* SID, TID */
    bool up;                   /* U: higher temporal layers may begin behind it */
    bool inter;                /* D: predicted from the next lower spatial layer */
    uint8_t level_at;          /* of TL0PICIDX; 0 = there is none */
    uint8_t level;
    uint8_t spatial_layers;                                     /* of a scalability structure; */
    uint16_t widths[VP9_SPATIAL_MAX], heights[VP9_SPATIAL_MAX]; /* 0 = not told */
};

/* False: no descriptor, or nothing behind it. */
bool vp9_descriptor_parse(const uint8_t *payload, size_t length, struct vp9_descriptor *ret);
/* Begins a key picture: nothing of it needs anything before. */
static inline bool vp9_descriptor_is_key(const struct vp9_descriptor *descriptor)
{
    return descriptor->begins && !descriptor->predicted && descriptor->spatial == 0;
}
/* Writes other numbers into a copy of that payload: the picture id as many bits as it has. */
void vp9_descriptor_patch(const struct vp9_descriptor *descriptor, uint8_t *payload,
                          uint16_t picture, uint8_t level);
