/* SPDX-License-Identifier: Apache-2.0 */
/* pcapng rather than pcap: it names where each packet was taken, says in which direction it went
 * and how many are missing. A block is begun with room for its length, which is written in front
 * and behind when it is whole, so options of any number need no second pass. */
#include "wmcf/pcapng.h"

#include <string.h>

#define BLOCK_SECTION 0x0a0d0d0au
#define BLOCK_INTERFACE 1u
#define BLOCK_STATISTICS 5u
#define BLOCK_PACKET 6u
#define BYTE_ORDER_MAGIC 0x1a2b3c4du
#define LINKTYPE_RAW 101u /* begins with the header of IPv4 or IPv6 */

#define OPTION_END 0
#define OPTION_COMMENT 1
#define OPTION_SECTION_APPLICATION 4
#define OPTION_INTERFACE_NAME 2
#define OPTION_INTERFACE_DESCRIPTION 3
#define OPTION_PACKET_FLAGS 2
#define OPTION_STATISTICS_RECEIVED 4
#define OPTION_STATISTICS_DROPPED 5

#define INBOUND 1u
#define OUTBOUND 2u

#define IPV4_HEADER 20u
#define IPV6_HEADER 40u
#define UDP_HEADER 8u
#define DATAGRAM_MAX (65535u - IPV6_HEADER - UDP_HEADER)
#define HOPS 64

/* --- blocks ----------------------------------------------------------------------------------- */

static void add_u16(GByteArray *to, guint16 value)
{
    value = GUINT16_TO_LE(value);
    g_byte_array_append(to, (const guint8 *)&value, sizeof value);
}

static void add_u32(GByteArray *to, guint32 value)
{
    value = GUINT32_TO_LE(value);
    g_byte_array_append(to, (const guint8 *)&value, sizeof value);
}

static void add_u64_halves(GByteArray *to, guint64 value) /* higher one first */
{
    add_u32(to, (guint32)(value >> 32));
    add_u32(to, (guint32)value);
}

static void add_padded(GByteArray *to, const void *octets, gsize length)
{
    static const guint8 zeros[4];
    g_byte_array_append(to, octets, (guint)length);
    g_byte_array_append(to, zeros, (guint)(-length & 3));
}

static guint begin(GByteArray *to, guint32 type)
{
    guint at = to->len;
    add_u32(to, type);
    add_u32(to, 0);
    return at;
}

static void end(GByteArray *to, guint at)
{
    guint32 length = GUINT32_TO_LE(to->len - at + 4);
    memcpy(to->data + at + 4, &length, sizeof length);
    g_byte_array_append(to, (const guint8 *)&length, sizeof length);
}

static void add_option(GByteArray *to, guint16 code, const void *octets, gsize length)
{
    length = MIN(length, 65535);
    add_u16(to, code);
    add_u16(to, (guint16)length);
    add_padded(to, octets, length);
}

static void add_text(GByteArray *to, guint16 code, const char *text)
{
    if (text)
        add_option(to, code, text, strlen(text));
}

static void add_count(GByteArray *to, guint16 code, guint64 count)
{
    count = GUINT64_TO_LE(count);
    add_option(to, code, &count, sizeof count);
}

void pcapng_begin(GByteArray *to, const char *application, const char *comment)
{
    guint block = begin(to, BLOCK_SECTION);
    add_u32(to, BYTE_ORDER_MAGIC);
    add_u16(to, 1);
    add_u16(to, 0);
    add_u64_halves(to, G_MAXUINT64); /* length: not known */
    add_text(to, OPTION_COMMENT, comment);
    add_text(to, OPTION_SECTION_APPLICATION, application);
    add_u32(to, OPTION_END);
    end(to, block);
}

void pcapng_interface(GByteArray *to, const char *name, const char *description)
{
    guint block = begin(to, BLOCK_INTERFACE);
    add_u16(to, LINKTYPE_RAW);
    add_u16(to, 0);
    add_u32(to, 0); /* as much as there is of a packet */
    add_text(to, OPTION_INTERFACE_NAME, name);
    add_text(to, OPTION_INTERFACE_DESCRIPTION, description);
    add_u32(to, OPTION_END);
    end(to, block);
}

void pcapng_statistics(GByteArray *to, guint interface, gint64 at, guint64 received,
                       guint64 dropped)
{
    guint block = begin(to, BLOCK_STATISTICS);
    add_u32(to, interface);
    add_u64_halves(to, (guint64)at);
    add_count(to, OPTION_STATISTICS_RECEIVED, received);
    add_count(to, OPTION_STATISTICS_DROPPED, dropped);
    add_u32(to, OPTION_END);
    end(to, block);
}

/* --- datagrams -------------------------------------------------------------------------------- */

static void put_u16(guint8 *to, guint value)
{
    to[0] = (guint8)(value >> 8);
    to[1] = (guint8)value;
}

/* RFC 1071, without the folding. */
static guint32 sum(guint32 so_far, const guint8 *octets, gsize length)
{
    for (gsize i = 0; i + 1 < length; i += 2)
        so_far += (guint32)octets[i] << 8 | octets[i + 1];
    return length & 1 ? so_far + ((guint32)octets[length - 1] << 8) : so_far;
}

static guint16 folded(guint32 sum_)
{
    while (sum_ >> 16)
        sum_ = (sum_ & 0xffff) + (sum_ >> 16);
    return (guint16)~sum_;
}

/* RFC 791 3.1. A UDP checksum of 0 says that there is none (RFC 768). */
static gsize ipv4_header(guint8 *out, const struct pcapng_datagram *d, gsize length)
{
    const struct sockaddr_in *from = (const struct sockaddr_in *)&d->from,
                             *to = (const struct sockaddr_in *)&d->to;
    out[0] = 0x45;
    put_u16(out + 2, (guint)(IPV4_HEADER + UDP_HEADER + length));
    out[6] = 0x40; /* don't fragment */
    out[8] = HOPS;
    out[9] = IPPROTO_UDP;
    memcpy(out + 12, &from->sin_addr, 4);
    memcpy(out + 16, &to->sin_addr, 4);
    put_u16(out + 10, folded(sum(0, out, IPV4_HEADER)));
    memcpy(out + IPV4_HEADER, &from->sin_port, 2);
    memcpy(out + IPV4_HEADER + 2, &to->sin_port, 2);
    put_u16(out + IPV4_HEADER + 4, (guint)(UDP_HEADER + length));
    return IPV4_HEADER + UDP_HEADER;
}

/* RFC 8200 3; the checksum with its pseudo header 8.1. */
static gsize ipv6_header(guint8 *out, const struct pcapng_datagram *d, gsize length)
{
    const struct sockaddr_in6 *from = (const struct sockaddr_in6 *)&d->from,
                              *to = (const struct sockaddr_in6 *)&d->to;
    guint8 *udp = out + IPV6_HEADER;
    out[0] = 0x60;
    put_u16(out + 4, (guint)(UDP_HEADER + length));
    out[6] = IPPROTO_UDP;
    out[7] = HOPS;
    memcpy(out + 8, &from->sin6_addr, 16);
    memcpy(out + 24, &to->sin6_addr, 16);
    memcpy(udp, &from->sin6_port, 2);
    memcpy(udp + 2, &to->sin6_port, 2);
    put_u16(udp + 4, (guint)(UDP_HEADER + length));
    if (d->kept == d->length) {
        guint32 all = sum(IPPROTO_UDP + (guint32)(UDP_HEADER + length), out + 8, 32);
        guint16 check = folded(sum(sum(all, udp, UDP_HEADER), d->payload, length));
        put_u16(udp + 6, check ? check : 0xffff);
    }
    return IPV6_HEADER + UDP_HEADER;
}

static bool is_v6(const struct pcapng_datagram *d)
{
    return d->from.ss_family == AF_INET6;
}

static gsize kept(const struct pcapng_datagram *d)
{
    return MIN(MIN(d->kept, d->length), DATAGRAM_MAX);
}

gsize pcapng_datagram_size(const struct pcapng_datagram *d)
{
    gsize data = (is_v6(d) ? IPV6_HEADER : IPV4_HEADER) + UDP_HEADER + kept(d);
    return 8 + 20 + (data + 3) / 4 * 4 + 8 + 4 + 4; /* head, fields, data, flags, end, length */
}

void pcapng_datagram(GByteArray *to, const struct pcapng_datagram *d)
{
    guint8 header[IPV6_HEADER + UDP_HEADER] = {0};
    gsize length = MIN(d->length, DATAGRAM_MAX);
    gsize front = is_v6(d) ? ipv6_header(header, d, length) : ipv4_header(header, d, length);
    guint32 flags = GUINT32_TO_LE(d->sent ? OUTBOUND : INBOUND);
    guint block = begin(to, BLOCK_PACKET);
    add_u32(to, d->interface);
    add_u64_halves(to, (guint64)d->at);
    add_u32(to, (guint32)(front + kept(d)));
    add_u32(to, (guint32)(front + length));
    g_byte_array_append(to, header, (guint)front);
    add_padded(to, d->payload, kept(d)); /* the headers are a multiple of 4 */
    add_option(to, OPTION_PACKET_FLAGS, &flags, sizeof flags);
    add_u32(to, OPTION_END);
    end(to, block);
}
