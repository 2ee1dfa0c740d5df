/* SPDX-License-Identifier: Apache-2.0 */
#include "wmcf/pcapng.h"

#include <arpa/inet.h>
#include <string.h>

static guint32 word(const GByteArray *file, guint at)
{
    guint32 value;
    g_assert_cmpuint(at + 4, <=, file->len);
    memcpy(&value, file->data + at, 4);
    return GUINT32_FROM_LE(value);
}

/* Walks over whole blocks, and returns the types. */
static char *types(const GByteArray *file)
{
    GString *text = g_string_new(NULL);
    guint at = 0;
    while (at < file->len) {
        guint32 length = word(file, at + 4);
        g_assert_cmpuint(length % 4, ==, 0);
        g_assert_cmpuint(word(file, at + length - 4), ==, length);
        g_string_append_printf(text, "%x ", word(file, at));
        at += length;
    }
    g_assert_cmpuint(at, ==, file->len);
    return g_string_free(text, FALSE);
}

static guint16 checksum(guint32 sum, const guint8 *octets, gsize length)
{
    for (gsize i = 0; i < length; i++)
        sum += i & 1 ? octets[i] : (guint32)octets[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (guint16)sum;
}

static void test_blocks(void)
{
    g_autoptr(GByteArray) file = g_byte_array_new();
    pcapng_begin(file, "a program", "a comment of some length");
    pcapng_interface(file, "t-1/0", "opus");
    pcapng_interface(file, "t-1/1", NULL);
    pcapng_statistics(file, 1, 1, 2, 3);
    g_autofree char *seen = types(file);
    g_assert_cmpstr(seen, ==, "a0d0d0a 1 1 5 ");
}

static void test_ipv4(void)
{
    static const guint8 payload[5] = {0x80, 96, 1, 2, 3};
    g_autoptr(GByteArray) file = g_byte_array_new();
    struct pcapng_datagram d = {.interface = 7,
                                .sent = true,
                                .at = G_GINT64_CONSTANT(0x123456789a),
                                .payload = payload,
                                .kept = sizeof payload,
                                .length = sizeof payload};
    struct sockaddr_in *from = (struct sockaddr_in *)&d.from, *to = (struct sockaddr_in *)&d.to;
    *from = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(40000)};
    *to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(50000)};
    g_assert_cmpint(inet_pton(AF_INET, "192.0.2.1", &from->sin_addr), ==, 1);
    g_assert_cmpint(inet_pton(AF_INET, "198.51.100.7", &to->sin_addr), ==, 1);
    pcapng_datagram(file, &d);
    g_assert_cmpuint(file->len, ==, pcapng_datagram_size(&d));
    g_autofree char *seen = types(file);
    g_assert_cmpstr(seen, ==, "6 ");
    g_assert_cmpuint(word(file, 8), ==, 7);
    g_assert_cmpuint(word(file, 12), ==, 0x12);
    g_assert_cmpuint(word(file, 16), ==, 0x3456789a);
    g_assert_cmpuint(word(file, 20), ==, 33);
    g_assert_cmpuint(word(file, 24), ==, 33);
    const guint8 *ip = file->data + 28;
    g_assert_cmpuint(checksum(0, ip, 20), ==, 0xffff);
    g_assert_cmpmem(ip + 12, 4, &from->sin_addr, 4);
    g_assert_cmpmem(ip + 20, 2, &from->sin_port, 2);
    g_assert_cmpmem(ip + 28, 5, payload, 5);
    g_assert_cmpuint(word(file, 28 + 36), ==, 0x00040002); /* flags, of four octets */
    g_assert_cmpuint(word(file, 28 + 40), ==, 2);          /* outbound */
}

/* RFC 8200 8.1: UDP over IPv6 has a checksum. */
static void test_ipv6(void)
{
    guint8 payload[101];
    memset(payload, 0xa5, sizeof payload);
    struct pcapng_datagram d = {
        .payload = payload, .kept = sizeof payload, .length = sizeof payload};
    struct sockaddr_in6 *from = (struct sockaddr_in6 *)&d.from, *to = (struct sockaddr_in6 *)&d.to;
    *from = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(40000)};
    *to = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(50000)};
    g_assert_cmpint(inet_pton(AF_INET6, "2001:db8::1", &from->sin6_addr), ==, 1);
    g_assert_cmpint(inet_pton(AF_INET6, "2001:db8::2", &to->sin6_addr), ==, 1);
    g_autoptr(GByteArray) file = g_byte_array_new();
    pcapng_datagram(file, &d);
    g_assert_cmpuint(file->len, ==, pcapng_datagram_size(&d));
    const guint8 *ip = file->data + 28;
    guint16 addresses = checksum(0, ip + 8, 32);
    g_assert_cmpuint(checksum(addresses + 17u + 109u, ip + 40, 109), ==, 0xffff);
    /* The front alone: what is missing is told, and no checksum is invented. */
    g_byte_array_set_size(file, 0);
    d.kept = 64;
    pcapng_datagram(file, &d);
    g_assert_cmpuint(file->len, ==, pcapng_datagram_size(&d));
    g_assert_cmpuint(word(file, 20), ==, 48 + 64);
    g_assert_cmpuint(word(file, 24), ==, 48 + 101);
    g_assert_cmpuint(file->data[28 + 46] | file->data[28 + 47], ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pcapng/blocks", test_blocks);
    g_test_add_func("/pcapng/ipv4", test_ipv4);
    g_test_add_func("/pcapng/ipv6", test_ipv6);
    return g_test_run();
}
