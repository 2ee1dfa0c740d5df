/* SPDX-License-Identifier: Apache-2.0 */
/* A walk over the blocks of a file that lies in memory. Every length is compared with what is left
 * before it is used; whatever is not UDP with RTP in it is passed over, and what is cut or broken
 * is the end. */
#include "pipelines/packet-file.h"

#include "base/problem.h"

#include <netinet/in.h>
#include <string.h>

#define BLOCK_SECTION 0x0a0d0d0au
#define BLOCK_INTERFACE 1u
#define BLOCK_PACKET 6u
#define BYTE_ORDER_MAGIC 0x1a2b3c4du
#define LINKTYPE_ETHERNET 1
#define LINKTYPE_RAW 101
#define ETHERNET_HEADER 14
#define IPV4_HEADER 20
#define IPV6_HEADER 40
#define UDP_HEADER 8
#define RTP_HEADER 12
#define INTERFACES_MAX 4096

struct packet_file {
    GMappedFile *mapped;
    const guint8 *at, *end;
    GArray *links; /* guint16 of each interface */
    guint8 pt;
    guint32 ssrc;
};

static guint32 u32(const guint8 *at)
{
    guint32 value;
    memcpy(&value, at, sizeof value);
    return GUINT32_FROM_LE(value);
}

/* What is inside of UDP; NULL when it is something else. */
static const guint8 *udp_of(const guint8 *ip, gsize length, gsize *ret_length)
{
    gsize header = 0;
    if (length >= IPV4_HEADER && ip[0] >> 4 == 4 && ip[9] == IPPROTO_UDP)
        header = (gsize)(ip[0] & 15) * 4;
    else if (length >= IPV6_HEADER && ip[0] >> 4 == 6 && ip[6] == IPPROTO_UDP)
        header = IPV6_HEADER;
    if (!header || length < header + UDP_HEADER)
        return NULL;
    gsize told = (gsize)ip[header + 4] << 8 | ip[header + 5];
    if (told < UDP_HEADER || told > length - header)
        return NULL; /* the front of a packet alone */
    *ret_length = told - UDP_HEADER;
    return ip + header + UDP_HEADER;
}

/* RFC 5761 4: RTCP has the payload types of 64 to 95 there. */
static bool is_wanted(struct packet_file *file, const guint8 *rtp, gsize length)
{
    guint8 pt = length >= RTP_HEADER ? rtp[1] & 127 : 255;
    if (pt != file->pt || rtp[0] >> 6 != 2)
        return false;
    guint32 ssrc = (guint32)rtp[8] << 24 | (guint32)rtp[9] << 16 | (guint32)rtp[10] << 8 | rtp[11];
    if (!file->ssrc)
        file->ssrc = ssrc;
    return ssrc == file->ssrc;
}

static bool read_packet(struct packet_file *file, const guint8 *block, guint32 size,
                        const guint8 **ret_rtp, gsize *ret_length, gint64 *ret_at)
{
    guint32 interface = size >= 32 ? u32(block + 8) : G_MAXUINT32;
    guint32 kept = size >= 32 ? u32(block + 20) : 0;
    if (interface >= file->links->len || kept > size - 32)
        return false;
    const guint8 *ip = block + 28;
    gsize front =
        g_array_index(file->links, guint16, interface) == LINKTYPE_ETHERNET ? ETHERNET_HEADER : 0;
    *ret_at = (gint64)((guint64)u32(block + 12) << 32 | u32(block + 16));
    *ret_rtp = kept >= front ? udp_of(ip + front, kept - front, ret_length) : NULL;
    return *ret_rtp && is_wanted(file, *ret_rtp, *ret_length);
}

bool packet_file_next(struct packet_file *file, const guint8 **ret_rtp, gsize *ret_length,
                      gint64 *ret_at)
{
    while (file->end - file->at >= 12) {
        const guint8 *block = file->at;
        guint32 type = u32(block), size = u32(block + 4);
        if (size < 12 || size % 4 || (gsize)(file->end - block) < size)
            return false;
        file->at += size;
        if (type == BLOCK_INTERFACE && size >= 20 && file->links->len < INTERFACES_MAX) {
            guint16 link = (guint16)u32(block + 8);
            g_array_append_val(file->links, link);
        } else if (type == BLOCK_PACKET &&
                   read_packet(file, block, size, ret_rtp, ret_length, ret_at)) {
            return true;
        }
    }
    return false;
}

struct packet_file *packet_file_open(const char *path, guint8 pt, guint32 ssrc, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(GMappedFile) mapped = g_mapped_file_new(path, FALSE, &cause);
    const guint8 *octets = mapped ? (const guint8 *)g_mapped_file_get_contents(mapped) : NULL;
    gsize length = mapped ? g_mapped_file_get_length(mapped) : 0;
    if (!mapped) {
        problem_set(error, PROBLEM_INVALID_MESSAGE, "%s", cause->message);
        return NULL;
    }
    if (length < 12 || u32(octets) != BLOCK_SECTION || u32(octets + 8) != BYTE_ORDER_MAGIC) {
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "%s is no pcapng file of packets in the clear, as wmcfctl pcap writes it",
                    path);
        return NULL;
    }
    struct packet_file *file = g_new0(struct packet_file, 1);
    file->mapped = g_steal_pointer(&mapped);
    file->at = octets;
    file->end = octets + length;
    file->links = g_array_new(FALSE, FALSE, sizeof(guint16));
    file->pt = pt;
    file->ssrc = ssrc;
    return file;
}

void packet_file_close(struct packet_file *file)
{
    if (!file)
        return;
    g_mapped_file_unref(file->mapped);
    g_array_unref(file->links);
    g_free(file);
}
