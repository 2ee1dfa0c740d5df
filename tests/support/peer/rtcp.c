/* SPDX-License-Identifier: Apache-2.0 */
/* RTCP of a generated leg: compound packets read into callbacks and written by appending (RFC 3550
 * 6, RFC 4585 6, RFC 5104 4.3). Reduced-size packets (RFC 5506) are read like compound ones. */
#include "tests/support/peer/rtp.h"

#include <string.h>
#include <time.h>

guint64 peer_ntp_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return ((guint64)now.tv_sec + 2208988800u) << 32 | ((guint64)now.tv_nsec << 32) / 1000000000u;
}

static void read_blocks(const guint8 *p, gsize length, guint n, const struct peer_rtcp_ops *ops,
                        void *user)
{
    for (guint i = 0; i < n && length >= 24; i++, p += 24, length -= 24) {
        guint32 lost = peer_get32(p + 4) & 0xffffff;
        struct peer_report_block block = {
            .ssrc = peer_get32(p),
            .fraction_lost = p[4],
            .cumulative_lost = (gint32)(lost & 0x800000 ? lost | 0xff000000 : lost),
            .highest = peer_get32(p + 8),
            .jitter = peer_get32(p + 12),
            .lsr = peer_get32(p + 16),
            .dlsr = peer_get32(p + 20),
        };
        ops->block(&block, user);
    }
}

static void read_nack(const guint8 *p, gsize length, const struct peer_rtcp_ops *ops, void *user)
{
    guint32 media = peer_get32(p + 4);
    for (gsize i = 8; i + 4 <= length; i += 4) {
        guint16 first = peer_get16(p + i), mask = peer_get16(p + i + 2);
        ops->nack(media, first, user);
        for (guint bit = 0; bit < 16; bit++)
            if (mask & 1u << bit)
                ops->nack(media, (guint16)(first + bit + 1), user);
    }
}

static void read_one(const guint8 *packet, gsize length, const struct peer_rtcp_ops *ops,
                     void *user)
{
    guint count = packet[0] & 31u;
    const guint8 *p = packet + 4;
    length -= 4;
    switch (packet[1]) {
    case 200:
        if (length < 24)
            return;
        ops->sender_report(peer_get32(p), (guint64)peer_get32(p + 4) << 32 | peer_get32(p + 8),
                           peer_get32(p + 12), user);
        read_blocks(p + 24, length - 24, count, ops, user);
        break;
    case 201:
        if (length >= 4)
            read_blocks(p + 4, length - 4, count, ops, user);
        break;
    case 205:
        if (count == 1 && length >= 8)
            read_nack(p, length, ops, user);
        if (count == 15 && length >= 8)
            ops->wide_feedback(p + 8, length - 8, user);
        break;
    case 206:
        if (count == 1 && length >= 8)
            ops->key_frame_request(peer_get32(p + 4), false, user);
        for (gsize i = 8; count == 4 && i + 8 <= length; i += 8)
            ops->key_frame_request(peer_get32(p + i), true, user);
        break;
    default:
        break;
    }
}

bool peer_rtcp_parse(const guint8 *packet, gsize length, const struct peer_rtcp_ops *ops,
                     void *user)
{
    while (length >= 4) {
        gsize n = 4 + 4 * (gsize)peer_get16(packet + 2);
        if (packet[0] >> 6 != 2 || n > length)
            return false;
        read_one(packet, n, ops, user);
        packet += n;
        length -= n;
    }
    return length == 0;
}

/* --- writing --------------------------------------------------------------------------------- */

static void write_header(guint8 *p, guint count, guint8 type, gsize length)
{
    p[0] = (guint8)(0x80 | count);
    p[1] = type;
    peer_put16(p + 2, (guint)(length / 4 - 1));
}

gsize peer_rtcp_write_report(guint8 *packet, gsize at, guint32 ssrc,
                             const struct peer_sender_info *info,
                             const struct peer_report_block *blocks, guint n)
{
    guint8 *p = packet + at;
    gsize length = 8;
    n = MIN(n, 31u);
    peer_put32(p + 4, ssrc);
    if (info) {
        peer_put32(p + 8, (guint32)(info->ntp >> 32));
        peer_put32(p + 12, (guint32)info->ntp);
        peer_put32(p + 16, info->rtp);
        peer_put32(p + 20, info->packets);
        peer_put32(p + 24, info->octets);
        length = 28;
    }
    for (guint i = 0; i < n; i++, length += 24) {
        guint8 *b = p + length;
        peer_put32(b, blocks[i].ssrc);
        peer_put32(b + 4, (guint32)blocks[i].cumulative_lost & 0xffffff);
        b[4] = blocks[i].fraction_lost;
        peer_put32(b + 8, blocks[i].highest);
        peer_put32(b + 12, blocks[i].jitter);
        peer_put32(b + 16, blocks[i].lsr);
        peer_put32(b + 20, blocks[i].dlsr);
    }
    write_header(p, n, info ? 200 : 201, length);
    return at + length;
}

gsize peer_rtcp_write_sdes(guint8 *packet, gsize at, guint32 ssrc, const char *cname)
{
    guint8 *p = packet + at;
    gsize n = strlen(cname), length = (8 + 2 + n + 1 + 3) / 4 * 4;
    memset(p, 0, length);
    peer_put32(p + 4, ssrc);
    p[8] = 1; /* CNAME */
    p[9] = (guint8)n;
    memcpy(p + 10, cname, n);
    write_header(p, 1, 202, length);
    return at + length;
}

gsize peer_rtcp_write_pli(guint8 *packet, gsize at, guint32 ssrc, guint32 media_ssrc)
{
    guint8 *p = packet + at;
    write_header(p, 1, 206, 12);
    peer_put32(p + 4, ssrc);
    peer_put32(p + 8, media_ssrc);
    return at + 12;
}

gsize peer_rtcp_write_nack(guint8 *packet, gsize at, guint32 ssrc, guint32 media_ssrc,
                           const guint16 *sequences, guint n)
{
    guint8 *p = packet + at;
    gsize length = 12;
    peer_put32(p + 4, ssrc);
    peer_put32(p + 8, media_ssrc);
    for (guint i = 0; i < n;) {
        guint16 first = sequences[i++];
        guint mask = 0;
        while (i < n && (guint16)(sequences[i] - first) <= 16)
            mask |= 1u << ((guint16)(sequences[i++] - first) - 1);
        peer_put16(p + length, first);
        peer_put16(p + length + 2, mask);
        length += 4;
    }
    write_header(p, 1, 205, length);
    return at + length;
}
