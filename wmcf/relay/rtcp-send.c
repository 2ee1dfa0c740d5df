/* SPDX-License-Identifier: Apache-2.0 */
/* Writes RTCP packets one behind the other; what makes a compound of them is the caller's. */
#include "wmcf/relay/rtcp.h"

#include <string.h>

enum { TYPE_SR = 200, TYPE_RR = 201, TYPE_SDES = 202, TYPE_RTPFB = 205, TYPE_PSFB = 206 };

static uint8_t *put16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
    return p + 2;
}

static uint8_t *put32(uint8_t *p, uint32_t value)
{
    return put16(put16(p, (uint16_t)(value >> 16)), (uint16_t)value);
}

/* Room for a whole packet of `octets`, header written; NULL when it does not fit. */
static uint8_t *append(struct rtcp_writer *writer, unsigned count, uint8_t type, size_t octets)
{
    if (writer->length + octets > writer->max)
        return NULL;
    uint8_t *p = writer->data + writer->length;
    writer->length += octets;
    p[0] = (uint8_t)(0x80 | count);
    p[1] = type;
    return put16(p + 2, (uint16_t)(octets / 4 - 1));
}

static void put_blocks(uint8_t *p, const struct rtcp_block *blocks, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct rtcp_block *block = &blocks[i];
        p = put32(p, block->ssrc);
        p = put32(p, (uint32_t)block->fraction_lost << 24 | ((uint32_t)block->lost & 0xffffff));
        p = put32(p, block->highest);
        p = put32(p, block->jitter);
        p = put32(p, block->last_report);
        p = put32(p, block->delay);
    }
}

bool rtcp_write_sr(struct rtcp_writer *writer, uint32_t ssrc, const struct rtcp_sender_info *info,
                   const struct rtcp_block *blocks, unsigned n)
{
    uint8_t *p = append(writer, n, TYPE_SR, 28 + 24 * (size_t)n);
    if (!p)
        return false;
    p = put32(p, ssrc);
    p = put32(p, (uint32_t)(info->ntp >> 32));
    p = put32(p, (uint32_t)info->ntp);
    p = put32(p, info->timestamp);
    p = put32(p, info->packets);
    p = put32(p, info->octets);
    put_blocks(p, blocks, n);
    return true;
}

bool rtcp_write_rr(struct rtcp_writer *writer, uint32_t ssrc, const struct rtcp_block *blocks,
                   unsigned n)
{
    uint8_t *p = append(writer, n, TYPE_RR, 8 + 24 * (size_t)n);
    if (!p)
        return false;
    put_blocks(put32(p, ssrc), blocks, n);
    return true;
}

bool rtcp_write_sdes(struct rtcp_writer *writer, uint32_t ssrc, const char *cname)
{
    size_t length = strlen(cname);
    if (length > 255)
        length = 255;
    /* One chunk: SSRC, CNAME item, and at least one zero octet up to the boundary (RFC 3550 6.5).
     */
    size_t octets = 4 + (4 + 2 + length + 4) / 4 * 4;
    uint8_t *p = append(writer, 1, TYPE_SDES, octets);
    if (!p)
        return false;
    memset(p, 0, octets - 4);
    p = put32(p, ssrc);
    *p++ = 1;
    *p++ = (uint8_t)length;
    memcpy(p, cname, length);
    return true;
}

bool rtcp_write_nack(struct rtcp_writer *writer, uint32_t sender, uint32_t media,
                     const uint16_t *sequences, unsigned n, unsigned *ret_n)
{
    size_t room = writer->max - writer->length;
    *ret_n = 0;
    if (n == 0 || room < 16)
        return false;
    uint8_t *start = writer->data + writer->length;
    uint8_t *p = start + 12;
    unsigned i = 0;
    while (i < n && (size_t)(p + 4 - start) <= room) {
        uint16_t first = sequences[i++], bits = 0;
        while (i < n && (uint16_t)(sequences[i] - first) <= 16 && sequences[i] != first) {
            bits |= (uint16_t)(1u << (uint16_t)(sequences[i] - first - 1));
            i++;
        }
        p = put16(put16(p, first), bits);
    }
    uint8_t *body = append(writer, 1, TYPE_RTPFB, (size_t)(p - start));
    put32(put32(body, sender), media);
    *ret_n = i;
    return true;
}

bool rtcp_write_pli(struct rtcp_writer *writer, uint32_t sender, uint32_t media)
{
    uint8_t *p = append(writer, 1, TYPE_PSFB, 12);
    if (!p)
        return false;
    put32(put32(p, sender), media);
    return true;
}

bool rtcp_write_fir(struct rtcp_writer *writer, uint32_t sender, uint32_t media, uint8_t number)
{
    uint8_t *p = append(writer, 4, TYPE_PSFB, 20);
    if (!p)
        return false;
    /* The media source is told in the entry, and 0 here (RFC 5104 4.3.1.2). */
    p = put32(put32(put32(p, sender), 0), media);
    put32(p, (uint32_t)number << 24);
    return true;
}

bool rtcp_write_transport_feedback(struct rtcp_writer *writer, uint32_t sender, uint32_t media,
                                   const uint8_t *fci, size_t length)
{
    uint8_t *p = append(writer, 15, TYPE_RTPFB, 12 + length);
    if (!p)
        return false;
    memcpy(put32(put32(p, sender), media), fci, length);
    return true;
}

bool rtcp_write_remb(struct rtcp_writer *writer, uint32_t sender, uint64_t rate,
                     const uint32_t *ssrcs, unsigned n)
{
    uint8_t *p = append(writer, 15, TYPE_PSFB, 20 + 4 * (size_t)n);
    uint32_t exponent = 0;
    if (!p)
        return false;
    while (rate > 0x3ffff) { /* a mantissa of 18 bits */
        rate >>= 1;
        exponent++;
    }
    p = put32(put32(p, sender), 0);
    memcpy(p, "REMB", 4);
    p = put32(p + 4, n << 24 | exponent << 18 | (uint32_t)rate);
    for (unsigned i = 0; i < n; i++)
        p = put32(p, ssrcs[i]);
    return true;
}
