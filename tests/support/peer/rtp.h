/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* RTP header, the generated payload's trailer, RTCP reading and writing. Threads: any, no state. */
#include "tests/support/peer/peer.h"

#define PEER_PACKET_MAX 2048

static inline guint16 peer_get16(const guint8 *p)
{
    return (guint16)(p[0] << 8 | p[1]);
}
static inline guint32 peer_get32(const guint8 *p)
{
    return (guint32)p[0] << 24 | (guint32)p[1] << 16 | (guint32)p[2] << 8 | p[3];
}
static inline void peer_put16(guint8 *p, guint value)
{
    p[0] = (guint8)(value >> 8);
    p[1] = (guint8)value;
}
static inline void peer_put32(guint8 *p, guint32 value)
{
    peer_put16(p, value >> 16);
    peer_put16(p + 2, value & 0xffff);
}

struct peer_rtp {
    guint8 pt;
    bool marker;
    guint16 sequence;
    guint32 timestamp, ssrc;
    char mid[PEER_MID_MAX + 1]; /* "" when the packet does not tell */
    const guint8 *payload;
    gsize payload_length;
};
bool peer_rtp_parse(const guint8 *packet, gsize length, guint8 mid_extension, struct peer_rtp *ret);
/* Writes header and mid extension (0 = none); returns their length. */
gsize peer_rtp_write_header(guint8 *packet, guint8 pt, bool marker, guint16 sequence,
                            guint32 timestamp, guint32 ssrc, guint8 mid_extension, const char *mid);

/* Puts `n` made up CSRCs into a packet without any; returns its new length. */
gsize peer_rtp_insert_csrcs(guint8 *packet, gsize length, guint n);
/* Adds a header extension of `n` octets, 1 to 16, in the one-byte form (RFC 8285 4.2) to a header
 * of that length; returns the new one. */
gsize peer_rtp_add_extension(guint8 *packet, gsize header, guint8 id, const void *value, gsize n);

/* The last 20 octets of every generated payload. */
#define PEER_TRAILER 20
struct peer_trailer {
    guint32 counter;
    guint32 origin; /* the source's own SSRC, whatever a relay writes into the header */
    gint64 sent_us;
};
/* Fills payload[from..length) with the pattern and the trailer. */
void peer_payload_fill(guint8 *payload, gsize from, gsize length,
                       const struct peer_trailer *trailer);
enum peer_payload { PEER_PAYLOAD_GOOD, PEER_PAYLOAD_FOREIGN, PEER_PAYLOAD_BROKEN };
enum peer_payload peer_payload_check(const guint8 *payload, gsize from, gsize length,
                                     struct peer_trailer *ret);

/* --- RTCP ------------------------------------------------------------------------------------ */

struct peer_report_block {
    guint32 ssrc;
    guint8 fraction_lost;
    gint32 cumulative_lost;
    guint32 highest, jitter, lsr, dlsr;
};
struct peer_rtcp_ops {
    void (*sender_report)(guint32 ssrc, guint64 ntp, guint32 rtp, void *user);
    void (*block)(const struct peer_report_block *block, void *user);
    void (*nack)(guint32 media_ssrc, guint16 sequence, void *user);
    void (*wide_feedback)(const guint8 *fci, gsize length, void *user);
    void (*key_frame_request)(guint32 media_ssrc, bool fir, void *user);
};
/* False when the compound is broken. */
bool peer_rtcp_parse(const guint8 *packet, gsize length, const struct peer_rtcp_ops *ops,
                     void *user);

/* Writers append to a packet and return the new length. */
struct peer_sender_info {
    guint64 ntp;
    guint32 rtp, packets, octets;
};
/* `info` NULL: a receiver report. */
gsize peer_rtcp_write_report(guint8 *packet, gsize at, guint32 ssrc,
                             const struct peer_sender_info *info,
                             const struct peer_report_block *blocks, guint n);
gsize peer_rtcp_write_sdes(guint8 *packet, gsize at, guint32 ssrc, const char *cname);
gsize peer_rtcp_write_pli(guint8 *packet, gsize at, guint32 ssrc, guint32 media_ssrc);
/* `sequences` rising. */
gsize peer_rtcp_write_nack(guint8 *packet, gsize at, guint32 ssrc, guint32 media_ssrc,
                           const guint16 *sequences, guint n);
guint64 peer_ntp_now(void);
