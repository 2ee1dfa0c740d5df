/* SPDX-License-Identifier: Apache-2.0 */
/* The plainest form of everything: each report is made of two-bit vectors alone, and holes are told
 * once. Times are those of the peer's clock when a packet was read. */
#include "tests/support/peer/wide.h"

#include "tests/support/peer/rtp.h"

#include <string.h>

#define INTERVAL_US 50000
#define PACKETS_MAX 350 /* in one report */
#define TICK_US 250

/* The element `id` of a packet with one-byte header extensions; NULL = it has none. */
static const guint8 *find(const guint8 *packet, gsize length, guint8 id)
{
    gsize at = 12 + 4 * (packet[0] & 15u);
    if (!(packet[0] & 0x10) || length < at + 4 || peer_get16(packet + at) != 0xbede)
        return NULL;
    gsize end = at + 4 + 4 * (gsize)peer_get16(packet + at + 2);
    for (at += 4; at < end && end <= length;) {
        gsize n = (packet[at] & 15u) + 1;
        if (packet[at] == 0) {
            at++;
            continue;
        }
        if (packet[at] >> 4 == id && n == 2 && at + 3 <= end)
            return packet + at + 1;
        at += 1 + n;
    }
    return NULL;
}

gsize peer_wide_add(guint8 *packet, gsize header, guint8 id)
{
    static const guint8 number[2]; /* see peer_wide_number() */
    return peer_rtp_add_extension(packet, header, id, number, sizeof number);
}

void peer_wide_number(struct peer_wide *wide, guint8 *packet, gsize length)
{
    const guint8 *place = wide->id ? find(packet, length, wide->id) : NULL;
    if (!place)
        return;
    peer_put16(packet + (place - packet), wide->next++);
    wide->stats.sent++;
}

void peer_wide_received(struct peer_wide *wide, const guint8 *packet, gsize length, gint64 now)
{
    const guint8 *place = wide->id ? find(packet, length, wide->id) : NULL;
    if (!place)
        return;
    guint16 number = peer_get16(place);
    gint64 index =
        wide->begun ? wide->highest + (gint16)(number - (guint16)wide->highest) : 0x10000 + number;
    if (!wide->begun) {
        wide->begun = true;
        wide->told = index;
        wide->highest = index - 1;
    }
    wide->stats.received++;
    if (index < wide->told || index > wide->highest + PEER_WIDE_WINDOW / 2) {
        wide->stats.late++;
        return;
    }
    for (gint64 i = wide->highest + 1; i <= index; i++)
        wide->at[i % PEER_WIDE_WINDOW] = 0;
    wide->highest = MAX(wide->highest, index);
    wide->at[index % PEER_WIDE_WINDOW] = now;
    wide->media_ssrc = peer_get32(packet + 8);
    if (!wide->due_us)
        wide->due_us = now + INTERVAL_US;
}

gsize peer_wide_report(struct peer_wide *wide, gint64 now, guint32 ssrc, guint8 *packet)
{
    guint8 deltas[PACKETS_MAX * 2], *chunk = packet + 20;
    guint n = 0, n_deltas = 0;
    if (!wide->due_us || now < wide->due_us)
        return 0;
    gint64 first = wide->told;
    while (first < wide->highest && !wide->at[first % PEER_WIDE_WINDOW])
        first++;
    guint32 reference = (guint32)(wide->at[first % PEER_WIDE_WINDOW] / 64000);
    gint64 ticks = (gint64)reference * 64000 / TICK_US;
    peer_put16(packet + 12, (guint16)wide->told);
    for (; wide->told <= wide->highest && n < PACKETS_MAX; wide->told++, n++) {
        gint64 at = wide->at[wide->told % PEER_WIDE_WINDOW] / TICK_US, delta = at - ticks;
        guint symbol = !at ? 0 : delta >= 0 && delta < 256 ? 1 : 2;
        if (symbol == 2 && (delta > G_MAXINT16 || delta < G_MININT16))
            break; /* in the next one */
        if (n % 7 == 0)
            peer_put16(chunk + n / 7 * 2, 0xc000);
        peer_put16(chunk + n / 7 * 2, peer_get16(chunk + n / 7 * 2) | symbol << (2 * (6 - n % 7)));
        if (symbol == 1)
            deltas[n_deltas++] = (guint8)delta;
        if (symbol == 2) {
            peer_put16(deltas + n_deltas, (guint16)delta);
            n_deltas += 2;
        }
        ticks = symbol ? at : ticks;
        wide->stats.missing += !symbol;
    }
    wide->due_us = wide->told <= wide->highest ? now : 0;
    gsize length = 20 + (n + 6) / 7 * 2;
    memcpy(packet + length, deltas, n_deltas);
    length += n_deltas;
    while (length % 4)
        packet[length++] = 0;
    packet[0] = 0x80 | 15;
    packet[1] = 205;
    peer_put16(packet + 2, (guint)(length / 4 - 1));
    peer_put32(packet + 4, ssrc);
    peer_put32(packet + 8, wide->media_ssrc);
    peer_put16(packet + 14, n);
    peer_put32(packet + 16, reference << 8 | wide->count++);
    wide->stats.reports_sent++;
    return length;
}

bool peer_wide_feedback(struct peer_wide *wide, const guint8 *fci, gsize length)
{
    if (length < 8)
        return false;
    guint count = peer_get16(fci + 2), n = 0;
    gsize at = 8, deltas = 0;
    while (n < count) {
        if (at + 2 > length)
            return false;
        guint chunk = peer_get16(fci + at);
        at += 2;
        bool run = !(chunk & 0x8000), two = chunk & 0x4000;
        guint symbols = run ? chunk & 0x1fff : two ? 7 : 14;
        for (guint i = 0; i < symbols && n < count; i++, n++) {
            guint symbol = run   ? chunk >> 13
                           : two ? chunk >> (2 * (6 - i)) & 3
                                 : chunk >> (13 - i) & 1;
            deltas += symbol;
            wide->stats.told_received += symbol != 0;
            wide->stats.told_missing += symbol == 0;
        }
    }
    wide->stats.reports_received++;
    return at + deltas <= length;
}
