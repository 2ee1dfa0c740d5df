/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the descriptor in the order of its octets through a cursor that remembers running over the
 * end, so that each field can be written as the RFC draws it. */
#include "wmcf/relay/vp9-descriptor.h"

struct cursor {
    const uint8_t *p;
    size_t at, length;
    bool over;
};

static uint8_t next(struct cursor *cursor)
{
    if (cursor->at >= cursor->length) {
        cursor->over = true;
        return 0;
    }
    return cursor->p[cursor->at++];
}

static uint16_t next16(struct cursor *cursor)
{
    uint8_t high = next(cursor);
    return (uint16_t)(high << 8 | next(cursor));
}

static void parse_picture(struct cursor *cursor, struct vp9_descriptor *ret)
{
    ret->picture_at = (uint8_t)cursor->at;
    uint8_t first = next(cursor);
    ret->picture_bits = first & 0x80 ? 15 : 7;
    ret->picture = first & 0x7f;
    if (ret->picture_bits == 15)
        ret->picture = (uint16_t)(ret->picture << 8 | next(cursor));
}

static void parse_layers(struct cursor *cursor, struct vp9_descriptor *ret)
{
    uint8_t layers = next(cursor); /* TID U SID D */
    ret->has_layers = true;
    ret->temporal = layers >> 5;
    ret->up = layers & 0x10;
    ret->spatial = layers >> 1 & 0x07;
    ret->inter = layers & 0x01;
    if (ret->flexible)
        return;
    ret->level_at = (uint8_t)cursor->at;
    ret->level = next(cursor);
}

/* RFC 9628 4.2.1: N_S Y G; sizes; N_G pictures with their references. */
static void parse_structure(struct cursor *cursor, struct vp9_descriptor *ret)
{
    uint8_t flags = next(cursor);
    unsigned layers = (flags >> 5) + 1u;
    ret->spatial_layers = (uint8_t)layers;
    for (unsigned i = 0; flags & 0x10 && i < layers; i++) {
        ret->widths[i] = next16(cursor);
        ret->heights[i] = next16(cursor);
    }
    unsigned pictures = flags & 0x08 ? next(cursor) : 0;
    for (unsigned i = 0; i < pictures && !cursor->over; i++) {
        for (unsigned references = next(cursor) >> 2 & 0x03; references > 0; references--)
            next(cursor);
    }
}

bool vp9_descriptor_parse(const uint8_t *payload, size_t length, struct vp9_descriptor *ret)
{
    struct cursor cursor = {.p = payload, .length = length};
    uint8_t flags = next(&cursor); /* I P L F B E V Z */
    *ret = (struct vp9_descriptor){.predicted = flags & 0x40,
                                   .flexible = flags & 0x10,
                                   .begins = flags & 0x08,
                                   .ends = flags & 0x04,
                                   .discardable = flags & 0x01};
    if (flags & 0x80)
        parse_picture(&cursor, ret);
    if (flags & 0x20)
        parse_layers(&cursor, ret);
    if (ret->flexible && ret->predicted) { /* P_DIFF, three at most */
        unsigned n = 0;
        while (next(&cursor) & 0x01 && ++n < 3)
            ;
    }
    if (flags & 0x02)
        parse_structure(&cursor, ret);
    if (cursor.over || cursor.at >= length)
        return false;
    ret->length = (uint16_t)cursor.at;
    return true;
}

void vp9_descriptor_patch(const struct vp9_descriptor *descriptor, uint8_t *payload,
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
