/* SPDX-License-Identifier: Apache-2.0 */
/* Reads compound and reduced-size RTCP. Every length is checked against what is left before
 * anything behind it is looked at; unknown packets are passed over by their length (RFC 3550 6.1).
 */
#include "wmcf/relay/rtcp.h"

#include <string.h>

#define MIN(a, b) ((a) < (b) ? (a) : (b))

enum { TYPE_SR = 200, TYPE_RR = 201, TYPE_RTPFB = 205, TYPE_PSFB = 206 };
enum { RTPFB_NACK = 1, RTPFB_TRANSPORT = 15, PSFB_REMB = 15, PSFB_PLI = 1, PSFB_FIR = 4 };

static uint16_t read16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t read32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool parse_blocks(const uint8_t *p, size_t length, unsigned n,
                         const struct rtcp_handler *handler, void *user)
{
    if (n * 24u > length)
        return false;
    for (; n; n--, p += 24) {
        struct rtcp_block block = {
            .ssrc = read32(p),
            .fraction_lost = p[4],
            .lost = (int32_t)(read32(p + 4) << 8) >> 8,
            .highest = read32(p + 8),
            .jitter = read32(p + 12),
            .last_report = read32(p + 16),
            .delay = read32(p + 20),
        };
        handler->block(user, &block);
    }
    return true;
}

static bool parse_nack(const uint8_t *p, size_t length, const struct rtcp_handler *handler,
                       void *user)
{
    if (length < 12 || length % 4)
        return false;
    uint32_t media = read32(p + 4);
    for (size_t at = 8; at + 4 <= length; at += 4) { /* RFC 4585 6.2.1 */
        uint16_t first = read16(p + at), bits = read16(p + at + 2);
        handler->nack(user, media, first);
        for (unsigned i = 0; i < 16; i++) {
            if (bits >> i & 1)
                handler->nack(user, media, (uint16_t)(first + i + 1));
        }
    }
    return true;
}

static bool parse_fir(const uint8_t *p, size_t length, const struct rtcp_handler *handler,
                      void *user)
{
    if (length < 16 || length % 8)
        return false;
    for (size_t at = 8; at + 8 <= length; at += 8) /* RFC 5104 4.3.1.1 */
        handler->key_frame(user, read32(p + at));
    return true;
}

static bool parse_one(uint8_t type, uint8_t count, const uint8_t *p, size_t length,
                      const struct rtcp_handler *handler, void *user)
{
    switch (type) {
    case TYPE_SR: {
        if (length < 24)
            return false;
        struct rtcp_sender_info info = {
            .ntp = (uint64_t)read32(p + 4) << 32 | read32(p + 8),
            .timestamp = read32(p + 12),
            .packets = read32(p + 16),
            .octets = read32(p + 20),
        };
        handler->sender_report(user, read32(p), &info);
        return parse_blocks(p + 24, length - 24, count, handler, user);
    }
    case TYPE_RR:
        return length >= 4 && parse_blocks(p + 4, length - 4, count, handler, user);
    case TYPE_RTPFB:
        if (count == RTPFB_TRANSPORT && length >= 8)
            handler->transport_feedback(user, p + 8, length - 8);
        return count != RTPFB_NACK || parse_nack(p, length, handler, user);
    case TYPE_PSFB:
        if (count == PSFB_PLI) {
            if (length < 8)
                return false;
            handler->key_frame(user, read32(p + 4));
        } else if (count == PSFB_FIR) {
            return parse_fir(p, length, handler, user);
        } else if (count == PSFB_REMB && length >= 16 && memcmp(p + 8, "REMB", 4) == 0) {
            uint32_t value = read32(p + 12); /* 6 bits of exponent, 18 of mantissa */
            handler->remb(user, (uint64_t)(value & 0x3ffff) << MIN(value >> 18 & 0x3f, 40));
        }
        return true;
    default: /* SDES, BYE, APP, XR: a leg's life is not told by RTCP */
        return true;
    }
}

bool rtcp_parse(const uint8_t *data, size_t length, const struct rtcp_handler *handler, void *user)
{
    while (length) {
        if (length < 4 || data[0] >> 6 != 2)
            return false;
        size_t octets = (read16(data + 2) + 1u) * 4u;
        if (octets > length)
            return false;
        size_t body = octets - 4;
        if (data[0] & 0x20) { /* padding: in the last packet only (RFC 3550 6.4.1) */
            uint8_t padding = data[octets - 1];
            /* Browsers fill the last word of transport-wide feedback so. */
            bool fills = data[1] == TYPE_RTPFB && (data[0] & 0x1f) == RTPFB_TRANSPORT;
            if (octets != length || padding == 0 || padding > body || (padding % 4 && !fills))
                return false;
            body -= padding;
        }
        if (!parse_one(data[1], data[0] & 0x1f, data + 4, body, handler, user))
            return false;
        data += octets;
        length -= octets;
    }
    return true;
}
