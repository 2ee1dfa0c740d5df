/* SPDX-License-Identifier: Apache-2.0 */
/* Reading is done once per received packet, writing once per subscriber. Headers are written anew
 * and never copied: what a publisher put into its header (CSRCs, extensions nobody negotiated with
 * the subscriber) ends here, and all packets of a subscription have headers of one length, which
 * keeps equal payloads equal packets for segmentation offload. */
#include "wmcf/relay/rtp.h"

#include <string.h>

#define ONE_BYTE_PROFILE 0xbede /* RFC 8285 4.2 */
#define TWO_BYTE_PROFILE 0x1000 /* RFC 8285 4.3; the low four bits are free */

static uint16_t read16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t read32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

bool rtp_header_parse(const uint8_t *packet, size_t length, struct rtp_header *ret)
{
    if (length < RTP_HEADER_LENGTH || packet[0] >> 6 != 2)
        return false;
    size_t at = RTP_HEADER_LENGTH + (packet[0] & 0x0fu) * 4u;
    struct rtp_header header = {
        .pt = packet[1] & 0x7f,
        .marker = packet[1] >> 7,
        .padding = packet[0] >> 5 & 1,
        .sequence = read16(packet + 2),
        .timestamp = read32(packet + 4),
        .ssrc = read32(packet + 8),
    };
    if (packet[0] & 0x10) {
        if (at + 4 > length)
            return false;
        header.profile = read16(packet + at);
        header.extensions_length = (uint16_t)(read16(packet + at + 2) * 4u);
        at += 4;
        header.extensions = packet + at;
        if (read16(packet + at - 2) > length / 4)
            return false;
        at += header.extensions_length;
    }
    if (at > length)
        return false;
    header.length = (uint16_t)at;
    *ret = header;
    return true;
}

static const uint8_t *find_one_byte(const uint8_t *p, const uint8_t *end, uint8_t id,
                                    size_t *ret_length)
{
    while (p < end) {
        if (*p == 0) { /* padding */
            p++;
            continue;
        }
        uint8_t element = *p >> 4;
        size_t length = (*p & 0x0fu) + 1u;
        if (element == 15 || p + 1 + length > end) /* RFC 8285 4.2: 15 ends the list */
            return NULL;
        if (element == id) {
            *ret_length = length;
            return p + 1;
        }
        p += 1 + length;
    }
    return NULL;
}

static const uint8_t *find_two_byte(const uint8_t *p, const uint8_t *end, uint8_t id,
                                    size_t *ret_length)
{
    while (p < end) {
        if (*p == 0) {
            p++;
            continue;
        }
        if (end - p < 2 || p + 2 + p[1] > end)
            return NULL;
        if (*p == id) {
            *ret_length = p[1];
            return p + 2;
        }
        p += 2 + p[1];
    }
    return NULL;
}

const uint8_t *rtp_extension_find(const struct rtp_header *header, uint8_t id, size_t *ret_length)
{
    if (id == 0 || header->extensions_length == 0)
        return NULL;
    const uint8_t *end = header->extensions + header->extensions_length;
    if (header->profile == ONE_BYTE_PROFILE)
        return find_one_byte(header->extensions, end, id, ret_length);
    if ((header->profile & 0xfff0) == TWO_BYTE_PROFILE)
        return find_two_byte(header->extensions, end, id, ret_length);
    return NULL;
}

/* Pads it and writes its header. */
static void finish_block(struct rtp_extension_block *block, uint8_t *p, bool two)
{
    uint16_t profile = two ? TWO_BYTE_PROFILE : ONE_BYTE_PROFILE;
    block->used = (uint8_t)(p - block->octets);
    while ((p - block->octets) % 4)
        *p++ = 0;
    uint16_t words = (uint16_t)((p - block->octets - 4) / 4);
    block->octets[0] = (uint8_t)(profile >> 8);
    block->octets[1] = (uint8_t)profile;
    block->octets[2] = (uint8_t)(words >> 8);
    block->octets[3] = (uint8_t)words;
    block->length = (uint8_t)(p - block->octets);
}

void rtp_extension_block_build(struct rtp_extension_block *block, uint8_t mid_id, const char *mid,
                               uint8_t note_id)
{
    memset(block, 0, sizeof *block);
    size_t mid_length = mid_id ? strlen(mid) : 0;
    if (mid_length > 32 || mid_length == 0)
        mid_id = 0;
    if (!mid_id && !note_id)
        return;
    bool two = mid_id > 14 || note_id > 14 || mid_length > 16;
    uint8_t *p = block->octets + 4;
    if (mid_id) {
        if (two) {
            *p++ = mid_id;
            *p++ = (uint8_t)mid_length;
        } else {
            *p++ = (uint8_t)(mid_id << 4 | (mid_length - 1));
        }
        memcpy(p, mid, mid_length);
        p += mid_length;
    }
    if (note_id) {
        block->note_at = (uint8_t)(p - block->octets);
        block->note_length = two ? 3 : 2;
        block->note_element[0] = two ? note_id : (uint8_t)(note_id << 4);
        block->note_element[1] = two ? 1 : 0;
        p += block->note_length;
    }
    finish_block(block, p, two);
}

void rtp_extension_block_add_wide(struct rtp_extension_block *block, uint8_t id)
{
    bool two = block->length ? block->octets[0] == TWO_BYTE_PROFILE >> 8 : id > 14;
    if (id == 0 || (id > 14 && !two) || block->used + 4 > RTP_EXTENSIONS_MAX - 3)
        return;
    uint8_t *p = block->octets + (block->length ? block->used : 4);
    if (two) {
        *p++ = id;
        *p++ = 2;
    } else {
        *p++ = (uint8_t)(id << 4 | 1);
    }
    block->wide_at = (uint8_t)(p - block->octets);
    finish_block(block, p + 2, two);
}

size_t rtp_header_write(uint8_t *out, const struct rtp_fields *fields,
                        const struct rtp_extension_block *block, int note)
{
    out[0] = (uint8_t)(0x80 | (fields->padding ? 0x20 : 0) | (block->length ? 0x10 : 0));
    out[1] = (uint8_t)((fields->marker ? 0x80 : 0) | fields->pt);
    out[2] = (uint8_t)(fields->sequence >> 8);
    out[3] = (uint8_t)fields->sequence;
    for (int i = 0; i < 4; i++) {
        out[4 + i] = (uint8_t)(fields->timestamp >> (24 - 8 * i));
        out[8 + i] = (uint8_t)(fields->ssrc >> (24 - 8 * i));
    }
    memcpy(out + RTP_HEADER_LENGTH, block->octets, block->length);
    /* Without a note the element's place stays zero, which is padding in both forms. */
    if (note >= 0 && block->note_length) {
        uint8_t *element = out + RTP_HEADER_LENGTH + block->note_at;
        memcpy(element, block->note_element, block->note_length);
        element[block->note_length - 1] = (uint8_t)note;
    }
    return RTP_HEADER_LENGTH + block->length;
}

static size_t pad_block(uint8_t *out, uint8_t *p, uint16_t profile)
{
    uint8_t *block = out + RTP_HEADER_LENGTH;
    while ((p - block) % 4)
        *p++ = 0;
    uint16_t words = (uint16_t)((p - block - 4) / 4);
    block[0] = (uint8_t)(profile >> 8);
    block[1] = (uint8_t)profile;
    block[2] = (uint8_t)(words >> 8);
    block[3] = (uint8_t)words;
    out[0] |= 0x10;
    return (size_t)(p - out);
}

/* The elements of a block of one-byte ones, each an octet longer; returns where they end. */
static uint8_t *expand(uint8_t *block, size_t used, size_t *wide_at)
{
    uint8_t before[RTP_EXTENSIONS_MAX];
    uint8_t *p = block + 4;
    size_t wide = *wide_at;
    memcpy(before, block, used);
    for (size_t at = 4; at < used;) {
        if (before[at] == 0) {
            at++;
            continue;
        }
        size_t length = (before[at] & 0x0fu) + 1u;
        *p++ = before[at] >> 4;
        *p++ = (uint8_t)length;
        if (at + 1 == wide)
            *wide_at = (size_t)(p - block);
        memcpy(p, before + at + 1, length);
        p += length;
        at += 1 + length;
    }
    return p;
}

size_t rtp_header_append(uint8_t *out, size_t length, const struct rtp_extension_block *block,
                         const struct rtp_element *element, size_t *wide_at)
{
    uint8_t *elements = out + RTP_HEADER_LENGTH;
    bool had = length > RTP_HEADER_LENGTH;
    bool two = had && elements[0] == TWO_BYTE_PROFILE >> 8;
    uint8_t *p = elements + (had ? block->used : 4);
    if (!two && (element->id > 14 || element->length > 16)) {
        p = had ? expand(elements, block->used, wide_at) : p;
        two = true;
    }
    if (two) {
        *p++ = element->id;
        *p++ = element->length;
    } else {
        *p++ = (uint8_t)(element->id << 4 | (element->length - 1));
    }
    memcpy(p, element->data, element->length);
    return pad_block(out, p + element->length, two ? TWO_BYTE_PROFILE : ONE_BYTE_PROFILE);
}
