/* SPDX-License-Identifier: Apache-2.0 */
/* RTP packets of a generated leg (RFC 3550, RFC 8285) and the pattern they carry. Every payload
 * ends in a counter of the source and the moment of sending, so that a receiver knows about
 * latency, loss and corruption whatever a relay has done to sequence numbers on the way. */
#include "tests/support/peer/rtp.h"

#include <string.h>

#define MAGIC 0x47454e52 /* "GENR" */
#define FILL 0x5a

static guint8 pattern[PEER_PACKET_MAX];

static void init_once(void)
{
    static gsize once;
    if (g_once_init_enter(&once)) {
        memset(pattern, FILL, sizeof pattern);
        g_once_init_leave(&once, 1);
    }
}

static void read_mid(const guint8 *p, gsize length, guint16 profile, guint8 mid_extension,
                     char *mid)
{
    bool two = (profile & 0xfff0) == 0x1000; /* RFC 8285 4.3 */
    if (!two && profile != 0xbede)
        return;
    for (gsize i = 0; i < length;) {
        guint id, n;
        if (p[i] == 0) {
            i++;
            continue;
        }
        if (two) {
            if (i + 2 > length)
                return;
            id = p[i];
            n = p[i + 1];
            i += 2;
        } else {
            id = p[i] >> 4;
            n = (p[i] & 15u) + 1;
            i++;
            if (id == 15)
                return;
        }
        if (i + n > length)
            return;
        if (id == mid_extension && n <= PEER_MID_MAX) {
            memcpy(mid, p + i, n);
            mid[n] = 0;
            return;
        }
        i += n;
    }
}

bool peer_rtp_parse(const guint8 *packet, gsize length, guint8 mid_extension, struct peer_rtp *ret)
{
    if (length < 12 || packet[0] >> 6 != 2)
        return false;
    gsize header = 12 + 4 * (packet[0] & 15u), padding = 0;
    ret->mid[0] = 0;
    if (packet[0] & 0x10) {
        if (length < header + 4)
            return false;
        gsize n = 4 * (gsize)peer_get16(packet + header + 2);
        if (length < header + 4 + n)
            return false;
        if (mid_extension)
            read_mid(packet + header + 4, n, peer_get16(packet + header), mid_extension, ret->mid);
        header += 4 + n;
    }
    if (packet[0] & 0x20)
        padding = packet[length - 1];
    if (header + padding > length)
        return false;
    ret->marker = packet[1] >> 7;
    ret->pt = packet[1] & 127;
    ret->sequence = peer_get16(packet + 2);
    ret->timestamp = peer_get32(packet + 4);
    ret->ssrc = peer_get32(packet + 8);
    ret->payload = packet + header;
    ret->payload_length = length - header - padding;
    return true;
}

gsize peer_rtp_write_header(guint8 *packet, guint8 pt, bool marker, guint16 sequence,
                            guint32 timestamp, guint32 ssrc, guint8 mid_extension, const char *mid)
{
    packet[0] = mid_extension ? 0x90 : 0x80;
    packet[1] = (guint8)(marker << 7 | pt);
    peer_put16(packet + 2, sequence);
    peer_put32(packet + 4, timestamp);
    peer_put32(packet + 8, ssrc);
    if (!mid_extension)
        return 12;
    gsize n = strlen(mid), words = (n + 1 + 3) / 4;
    peer_put16(packet + 12, 0xbede);
    peer_put16(packet + 14, (guint)words);
    memset(packet + 16, 0, words * 4);
    packet[16] = (guint8)(mid_extension << 4 | (n - 1));
    memcpy(packet + 17, mid, n);
    return 16 + words * 4;
}

gsize peer_rtp_insert_csrcs(guint8 *packet, gsize length, guint n)
{
    memmove(packet + 12 + 4 * (gsize)n, packet + 12, length - 12);
    packet[0] |= (guint8)n;
    for (guint i = 0; i < n; i++)
        peer_put32(packet + 12 + 4 * (gsize)i, 123456 * (i + 1));
    return length + 4 * (gsize)n;
}

gsize peer_rtp_add_extension(guint8 *packet, gsize header, guint8 id, const void *value, gsize n)
{
    gsize used = 0, words = 0;
    if (packet[0] & 0x10) {
        words = peer_get16(packet + 14);
        while (used < words * 4 && packet[16 + used])
            used += 2 + (packet[16 + used] & 15u);
    } else {
        packet[0] |= 0x10;
        peer_put16(packet + 12, 0xbede);
        header = 16;
    }
    while (used + 1 + n > words * 4) {
        memset(packet + header, 0, 4);
        header += 4;
        peer_put16(packet + 14, (guint)++words);
    }
    packet[16 + used] = (guint8)(id << 4 | (n - 1));
    memcpy(packet + 17 + used, value, n);
    return header;
}

void peer_payload_fill(guint8 *payload, gsize from, gsize length,
                       const struct peer_trailer *trailer)
{
    guint8 *end = payload + length - PEER_TRAILER;
    memset(payload + from, FILL, length - PEER_TRAILER - from);
    peer_put32(end, MAGIC);
    peer_put32(end + 4, trailer->counter);
    peer_put32(end + 8, (guint32)((guint64)trailer->sent_us >> 32));
    peer_put32(end + 12, (guint32)trailer->sent_us);
    peer_put32(end + 16, trailer->origin);
}

enum peer_payload peer_payload_check(const guint8 *payload, gsize from, gsize length,
                                     struct peer_trailer *ret)
{
    init_once();
    if (length < from + PEER_TRAILER)
        return PEER_PAYLOAD_FOREIGN;
    const guint8 *end = payload + length - PEER_TRAILER;
    if (peer_get32(end) != MAGIC)
        return PEER_PAYLOAD_FOREIGN;
    ret->counter = peer_get32(end + 4);
    ret->sent_us = (gint64)((guint64)peer_get32(end + 8) << 32 | peer_get32(end + 12));
    ret->origin = peer_get32(end + 16);
    gsize n = length - PEER_TRAILER - from;
    return memcmp(payload + from, pattern, n) ? PEER_PAYLOAD_BROKEN : PEER_PAYLOAD_GOOD;
}
