/* SPDX-License-Identifier: Apache-2.0 */
/* Owns what we know of SCTP on the wire. Everything else about it is the stack's inside GStreamer;
 * two things it cannot be told, so they are done on its packets: to know nothing of chunks that no
 * data channel needs, and to grant less window than it has itself, when it is another leg that has
 * no room. */
#include "pipelines/sctp-packet.h"

#include <string.h>

enum { HEADER = SCTP_HEADER, CHUNK_HEADER = 4, SACK_FIXED = 16 };
enum { DATA_HEADER = 16, I_DATA_HEADER = 20 };
enum chunk {
    DATA = 0,
    INIT = 1,
    INIT_ACK = 2,
    SACK = 3,
    HEARTBEAT = 4,
    HEARTBEAT_ACK = 5,
    ABORT = 6,
    SHUTDOWN = 7,
    SHUTDOWN_ACK = 8,
    ERROR = 9,
    COOKIE_ECHO = 10,
    COOKIE_ACK = 11,
    SHUTDOWN_COMPLETE = 14,
    I_DATA = 64,         /* RFC 8260 */
    RE_CONFIG = 130,     /* RFC 6525 */
    FORWARD_TSN = 192,   /* RFC 3758 */
    I_FORWARD_TSN = 194, /* RFC 8260 */
};

static guint16 get16(const guint8 *at)
{
    return (guint16)(at[0] << 8 | at[1]);
}

static guint32 get32(const guint8 *at)
{
    return (guint32)get16(at) << 16 | get16(at + 2);
}

static void put32(guint8 *at, guint32 value)
{
    value = GUINT32_TO_BE(value);
    memcpy(at, &value, sizeof value);
}

static guint minimum(guint8 type)
{
    switch ((enum chunk)type) {
    case DATA:
        return 17; /* RFC 9260 3.3.1: one octet at least */
    case I_DATA:
        return 21;
    case INIT:
    case INIT_ACK:
        return 20;
    case SACK:
        return SACK_FIXED;
    case SHUTDOWN:
    case FORWARD_TSN:
    case I_FORWARD_TSN:
        return 8;
    case HEARTBEAT:
    case HEARTBEAT_ACK:
    case ABORT:
    case SHUTDOWN_ACK:
    case ERROR:
    case COOKIE_ECHO:
    case COOKIE_ACK:
    case SHUTDOWN_COMPLETE:
    case RE_CONFIG:
        return CHUNK_HEADER;
    }
    return 0;
}

/* The next chunk's offset; 0 when this one is broken. */
static gsize next_chunk(const guint8 *packet, gsize length, gsize at)
{
    gsize size = length - at >= CHUNK_HEADER ? get16(packet + at + 2) : 0;

    if (size < CHUNK_HEADER || size > length - at)
        return 0;
    /* RFC 9260 3.2: padding is not counted, and some leave it away at the end. */
    return MIN(at + ((size + 3) & ~(gsize)3), length);
}

bool sctp_packet_check(const guint8 *packet, gsize length)
{
    if (length < HEADER + CHUNK_HEADER || length > SCTP_PACKET_MAX)
        return false;
    for (gsize at = HEADER; at < length;) {
        gsize next = next_chunk(packet, length, at);
        guint least = minimum(packet[at]);

        if (!next || !least || get16(packet + at + 2) < least)
            return false;
        at = next;
    }
    return true;
}

bool sctp_packet_has_data(const guint8 *packet, gsize length)
{
    for (gsize at = HEADER; at < length;) {
        gsize next = next_chunk(packet, length, at);

        if (!next)
            break;
        if (packet[at] == DATA || packet[at] == I_DATA)
            return true;
        at = next;
    }
    return false;
}

/* RFC 8831 8; 55 was never anything. */
static bool is_message(guint32 ppid)
{
    switch (ppid) {
    case SCTP_PPID_TEXT:
    case SCTP_PPID_TEXT_PARTIAL:
    case SCTP_PPID_TEXT_EMPTY:
    case SCTP_PPID_BINARY:
    case SCTP_PPID_BINARY_PARTIAL:
    case SCTP_PPID_BINARY_EMPTY:
        return true;
    default:
        return false;
    }
}

static gsize count_chunk(struct sctp_intake *intake, const guint8 *chunk, gsize header)
{
    enum { BEGINS = 2, ENDS = 1 }; /* RFC 9260 3.3.1 */
    guint32 tsn = get32(chunk + 4);
    gsize whole;

    if (intake->known && (gint32)(tsn - intake->tsn) <= 0)
        return 0;
    intake->known = true;
    intake->tsn = tsn;
    if (chunk[1] & BEGINS) {
        /* The same place in both (RFC 8260 2.1). */
        intake->counts = is_message(get32(chunk + (header == DATA_HEADER ? 12 : 16)));
        intake->partial = 0;
    }
    intake->partial += get16(chunk + 2) - header;
    if (!(chunk[1] & ENDS))
        return 0;
    whole = intake->counts ? intake->partial : 0;
    intake->partial = 0;
    return whole;
}

gsize sctp_intake_count(struct sctp_intake *intake, const guint8 *packet, gsize length)
{
    gsize octets = 0;

    for (gsize at = HEADER, next; at < length; at = next) {
        next = next_chunk(packet, length, at);
        if (!next)
            break;
        if (packet[at] == INIT || packet[at] == INIT_ACK)
            *intake = (struct sctp_intake){0}; /* an association that begins, or begins anew */
        else if (packet[at] == DATA)
            octets += count_chunk(intake, packet + at, DATA_HEADER);
        else if (packet[at] == I_DATA)
            octets += count_chunk(intake, packet + at, I_DATA_HEADER);
    }
    return octets;
}

#define STREAMS_OCTETS (65536 / 8)

bool sctp_streams_admit(struct sctp_streams *streams, const guint8 *packet, gsize length)
{
    for (gsize at = HEADER, next; at < length; at = next) {
        guint stream;

        next = next_chunk(packet, length, at);
        if (!next)
            break;
        if (packet[at] != DATA && packet[at] != I_DATA)
            continue;
        stream = get16(packet + at + 8);
        if (!streams->seen)
            streams->seen = g_malloc0(STREAMS_OCTETS);
        if (streams->seen[stream / 8] & 1 << stream % 8)
            continue;
        if (streams->count >= streams->max)
            return false;
        streams->seen[stream / 8] |= (guint8)(1 << stream % 8);
        streams->count++;
    }
    return true;
}

void sctp_streams_clear(struct sctp_streams *streams)
{
    g_clear_pointer(&streams->seen, g_free);
}

/* --- checksum --------------------------------------------------------------------------------- */

static guint32 crc_table[256];

static gpointer make_table(gpointer unused)
{
    for (guint32 i = 0; i < 256; i++) {
        guint32 value = i;

        for (guint bit = 0; bit < 8; bit++)
            value = value & 1 ? value >> 1 ^ 0x82f63b78 : value >> 1;
        crc_table[i] = value;
    }
    return NULL;
}

static guint32 crc_update(guint32 crc, const guint8 *data, gsize length)
{
    for (gsize i = 0; i < length; i++)
        crc = crc >> 8 ^ crc_table[(crc ^ data[i]) & 255];
    return crc;
}

guint32 sctp_packet_checksum(const guint8 *packet, gsize length)
{
    static const guint8 zero[4];
    static GOnce once = G_ONCE_INIT;
    guint32 crc = G_MAXUINT32;

    g_once(&once, make_table, NULL);
    crc = crc_update(crc, packet, 8);
    crc = crc_update(crc, zero, sizeof zero);
    crc = ~crc_update(crc, packet + HEADER, length - HEADER);
    /* RFC 9260 appendix A: the low octet goes first. */
    return GUINT32_TO_LE(crc);
}

static void set_checksum(guint8 *packet, gsize length)
{
    guint32 checksum = sctp_packet_checksum(packet, length);

    memcpy(packet + 8, &checksum, sizeof checksum);
}

/* --- heartbeats ------------------------------------------------------------------------------- */

gsize sctp_packet_answer_heartbeat(const guint8 *packet, gsize length, guint32 tag, guint8 *ret,
                                   gsize ret_size)
{
    for (gsize at = HEADER, next; at < length; at = next) {
        next = next_chunk(packet, length, at);
        if (!next)
            break;
        if (packet[at] != HEARTBEAT || HEADER + next - at > ret_size)
            continue;
        memcpy(ret, packet + 2, 2); /* the ports change places */
        memcpy(ret + 2, packet, 2);
        put32(ret + 4, tag);
        memcpy(ret + HEADER, packet + at, next - at);
        ret[HEADER] = HEARTBEAT_ACK;
        set_checksum(ret, HEADER + next - at);
        return HEADER + next - at;
    }
    return 0;
}

guint32 sctp_packet_tag(const guint8 *packet)
{
    return get32(packet + 4);
}

/* --- window ----------------------------------------------------------------------------------- */

gsize sctp_packet_limit_window(guint8 *packet, gsize length, guint32 window)
{
    gsize found = 0;
    bool changed = false;

    if (length < HEADER + CHUNK_HEADER)
        return 0;
    for (gsize at = HEADER, next; at < length; at = next) {
        next = next_chunk(packet, length, at);
        if (!next)
            break;
        if (packet[at] != SACK || get16(packet + at + 2) < SACK_FIXED)
            continue;
        found = at;
        if (get32(packet + at + 8) <= window)
            continue;
        put32(packet + at + 8, window);
        changed = true;
    }
    if (changed)
        set_checksum(packet, length);
    return found;
}

gsize sctp_packet_repeat_sack(const guint8 *packet, gsize length, gsize at, guint32 window,
                              guint8 *ret, gsize ret_size)
{
    gsize next = length >= at + SACK_FIXED ? next_chunk(packet, length, at) : 0;
    gsize size = next - at;

    if (!next || size < SACK_FIXED || HEADER + size > ret_size)
        return 0;
    memcpy(ret, packet, HEADER);
    memcpy(ret + HEADER, packet + at, size);
    put32(ret + HEADER + 8, window);
    set_checksum(ret, HEADER + size);
    return HEADER + size;
}
