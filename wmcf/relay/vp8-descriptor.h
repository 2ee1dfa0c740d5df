/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The payload descriptor of VP8 (RFC 7741 4.2) and the size in a key frame's header (4.3). Pure;
 * whatever the octets are, nothing beyond `length` is read. Threads: any. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vp8_descriptor {
    uint8_t length;       /* octets before the VP8 data */
    bool begins;          /* a frame: first packet of its first partition */
    bool key;             /* … which is a key frame */
    uint8_t picture_at;   /* where the picture id is; 0 = there is none */
    uint8_t picture_bits; /* 7 or 15 */
    uint16_t picture;
    uint8_t level_at; /* of TL0PICIDX; 0 = there is none */
    uint8_t level;
    bool has_temporal;
    uint8_t temporal;       /* TID */
    bool sync;              /* Y: depends on the base layer alone */
    uint16_t width, height; /* 0 = not in this packet */
};

/* False: no descriptor, or nothing behind it. */
bool vp8_descriptor_parse(const uint8_t *payload, size_t length, struct vp8_descriptor *ret);
/* Writes other numbers into a copy of that payload: the picture id as many bits as it has. */
void vp8_descriptor_patch(const struct vp8_descriptor *descriptor, uint8_t *payload,
                          uint16_t picture, uint8_t level);
