/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the descriptor in the order of its octets, each checked before it is looked at. The size
 * lies at a fixed place behind a start code, so the bit stream itself is never entered. */
#include "wmcf/relay/vp8-descriptor.h"

#include <string.h>

/* RFC 7741 4.3, RFC 6386 9.1: frame tag of 3 octets, start code, 14 bits each of width and height.
 */
static void parse_size(const uint8_t *p, size_t length, struct vp8_descriptor *ret)
{
    static const uint8_t start_code[] = {0x9d, 0x01, 0x2a};
    if (length < 10 || memcmp(p + 3, start_code, sizeof start_code) != 0)
        return;
    ret->width = (uint16_t)((p[7] << 8 | p[6]) & 0x3fff);
    ret->height = (uint16_t)((p[9] << 8 | p[8]) & 0x3fff);
}

static bool parse_extension(const uint8_t *p, size_t length, struct vp8_descriptor *ret)
{
    if (length < 2)
        return false;
    uint8_t flags = p[1]; /* I L T K */
    size_t at = 2;
    if (flags & 0x80) {
        if (at >= length)
            return false;
        ret->picture_at = (uint8_t)at;
        ret->picture_bits = p[at] & 0x80 ? 15 : 7;
        ret->picture = p[at] & 0x7f;
        if (ret->picture_bits == 15) {
            if (++at >= length)
                return false;
            ret->picture = (uint16_t)(ret->picture << 8 | p[at]);
        }
        at++;
    }
    if (flags & 0x40) {
        if (at >= length)
            return false;
        ret->level_at = (uint8_t)at;
        ret->level = p[at++];
    }
    if (flags & 0x30) {
        if (at >= length)
            return false;
        ret->has_temporal = flags & 0x20;
        if (ret->has_temporal) {
            ret->temporal = p[at] >> 6;
            ret->sync = p[at] & 0x20;
        }
        at++;
    }
    ret->length = (uint8_t)at;
    return true;
}

bool vp8_descriptor_parse(const uint8_t *payload, size_t length, struct vp8_descriptor *ret)
{
    *ret = (struct vp8_descriptor){.length = 1};
    if (length == 0 || (payload[0] & 0x80 && !parse_extension(payload, length, ret)) ||
        ret->length >= length)
        return false;
    const uint8_t *data = payload + ret->length;
    ret->begins = (payload[0] & 0x17) == 0x10; /* S=1, PID=0 */
    ret->key = ret->begins && (data[0] & 0x01) == 0;
    if (ret->key)
        parse_size(data, length - ret->length, ret);
    return true;
}

void vp8_descriptor_patch(const struct vp8_descriptor *descriptor, uint8_t *payload,
                          uint16_t picture, uint8_t level)
{
    if (descriptor->picture_at && descriptor->picture_bits == 15) {
        payload[descriptor->picture_at] = (uint8_t)(0x80 | (picture >> 8 & 0x7f));
        payload[descriptor->picture_at + 1] = (uint8_t)picture;
    } else if (descriptor->picture_at) {
        payload[descriptor->picture_at] = picture & 0x7f;
    }
    if (descriptor->level_at)
        payload[descriptor->level_at] = level;
}
