/* SPDX-License-Identifier: Apache-2.0 */
/* Reads as far as the size and no further: the usability information behind it says nothing that
 * matters here. Bits come through a cursor that takes out emulation prevention (7.4.1) and
 * remembers running over the end; every count is bounded before it is used. */
#include "wmcf/relay/h264-sps.h"

#include <string.h>

#define UNIT_SPS 7
#define UNIT_STAP_A 24
#define MB_SIZE 16
#define REFERENCES_MAX 255
#define CHROMA_444 3

struct cursor {
    const uint8_t *p;
    size_t length, at; /* octets */
    unsigned bit, zeros;
    bool over;
};

static unsigned bit(struct cursor *cursor)
{
    if (cursor->at >= cursor->length) {
        cursor->over = true;
        return 0;
    }
    unsigned ret = cursor->p[cursor->at] >> (7 - cursor->bit) & 1u;
    if (++cursor->bit < 8)
        return ret;
    cursor->bit = 0;
    cursor->zeros = cursor->p[cursor->at++] ? 0 : cursor->zeros + 1;
    if (cursor->zeros >= 2 && cursor->at < cursor->length && cursor->p[cursor->at] == 3) {
        cursor->at++; /* 00 00 03 stands for 00 00 */
        cursor->zeros = 0;
    }
    return ret;
}

static uint32_t bits(struct cursor *cursor, unsigned n)
{
    uint32_t ret = 0;
    for (; n > 0; n--)
        ret = ret << 1 | bit(cursor);
    return ret;
}

/* ue(v), 9.1. */
static uint32_t number(struct cursor *cursor)
{
    unsigned zeros = 0;
    while (!cursor->over && !bit(cursor)) {
        if (++zeros > 31)
            cursor->over = true;
    }
    return cursor->over ? 0 : (1u << zeros) - 1 + bits(cursor, zeros);
}

static int32_t signed_number(struct cursor *cursor)
{
    uint32_t value = number(cursor);
    return value & 1 ? (int32_t)(value / 2 + 1) : -(int32_t)(value / 2);
}

static void pass_scaling_list(struct cursor *cursor, unsigned size)
{
    int32_t last = 8, next = 8;
    for (unsigned i = 0; i < size && !cursor->over; i++) {
        if (next)
            next = (int32_t)(((int64_t)last + signed_number(cursor)) & 255);
        last = next ? next : last;
    }
}

static bool has_chroma(unsigned profile)
{
    static const uint8_t high[] = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135};
    return memchr(high, (int)profile, sizeof high) != NULL;
}

/* chroma_format_idc; 4:2:0 where nothing is said. */
static unsigned pass_chroma(struct cursor *cursor)
{
    unsigned format = number(cursor);
    if (format == CHROMA_444)
        bits(cursor, 1);
    number(cursor); /* bit depths */
    number(cursor);
    bits(cursor, 1);
    for (unsigned i = 0, lists = bits(cursor, 1) ? format == CHROMA_444 ? 12 : 8 : 0; i < lists;
         i++) {
        if (bits(cursor, 1))
            pass_scaling_list(cursor, i < 6 ? 16 : 64);
    }
    return format;
}

static void pass_order(struct cursor *cursor)
{
    number(cursor); /* log2_max_frame_num */
    unsigned type = number(cursor);
    if (type == 0)
        number(cursor);
    if (type != 1)
        return;
    bits(cursor, 1);
    number(cursor);
    number(cursor);
    unsigned references = number(cursor);
    for (unsigned i = 0; i < references && i < REFERENCES_MAX && !cursor->over; i++)
        number(cursor);
}

/* 7-18 to 7-22: how many samples one unit of the cropping is. */
static bool crop(struct cursor *cursor, unsigned format, unsigned frames, uint32_t *width,
                 uint32_t *height)
{
    uint64_t x = format == 1 || format == 2 ? 2 : 1, y = (format == 1 ? 2u : 1u) * frames;
    uint64_t across = x * number(cursor);
    across += x * number(cursor);
    uint64_t down = y * number(cursor);
    down += y * number(cursor);
    if (across >= *width || down >= *height)
        return false;
    *width -= (uint32_t)across;
    *height -= (uint32_t)down;
    return true;
}

static bool parse(const uint8_t *unit, size_t length, uint16_t *ret_width, uint16_t *ret_height)
{
    struct cursor cursor = {.p = unit, .length = length, .at = 1};
    unsigned profile = bits(&cursor, 8), format = 1;
    bits(&cursor, 16); /* constraints, level */
    number(&cursor);
    if (has_chroma(profile))
        format = pass_chroma(&cursor);
    pass_order(&cursor);
    number(&cursor); /* references */
    bits(&cursor, 1);
    uint64_t across = number(&cursor), down = number(&cursor);
    unsigned frames = bits(&cursor, 1) ? 1 : 2; /* fields */
    if (frames == 2)
        bits(&cursor, 1);
    bits(&cursor, 1);
    if (across >= UINT16_MAX / MB_SIZE || down >= UINT16_MAX / MB_SIZE / 2)
        return false;
    uint32_t width = (uint32_t)(across + 1) * MB_SIZE,
             height = (uint32_t)(down + 1) * MB_SIZE * frames;
    if (bits(&cursor, 1) && !crop(&cursor, format, frames, &width, &height))
        return false;
    *ret_width = (uint16_t)width;
    *ret_height = (uint16_t)height;
    return !cursor.over;
}

bool h264_find_size(const uint8_t *payload, size_t length, uint16_t *ret_width,
                    uint16_t *ret_height)
{
    if (length == 0)
        return false;
    uint8_t type = payload[0] & 0x1f;
    if (type == UNIT_SPS)
        return parse(payload, length, ret_width, ret_height);
    for (size_t at = 1; type == UNIT_STAP_A && at + 3 <= length;) {
        size_t size = (size_t)(payload[at] << 8 | payload[at + 1]);
        at += 2;
        if (size == 0 || at + size > length)
            return false;
        if ((payload[at] & 0x1f) == UNIT_SPS)
            return parse(payload + at, size, ret_width, ret_height);
        at += size;
    }
    return false;
}
