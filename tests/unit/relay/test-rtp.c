/* SPDX-License-Identifier: Apache-2.0 */
#include "wmcf/relay/rtp.h"

#include <glib.h>
#include <string.h>

static void test_parse(void)
{
    static const uint8_t packet[] = {0xb2, 0xe0, 0x12, 0x34, 1,    2,   3, 4, 5, 6,
                                     7,    8,    0,    0,    0,    1,   0, 0, 0, 2,
                                     0xbe, 0xde, 0,    1,    0x30, 'a', 0, 0, 9};
    struct rtp_header header;
    g_assert_true(rtp_header_parse(packet, sizeof packet, &header));
    g_assert_cmpuint(header.pt, ==, 96);
    g_assert_true(header.marker);
    g_assert_true(header.padding);
    g_assert_cmpuint(header.sequence, ==, 0x1234);
    g_assert_cmpuint(header.timestamp, ==, 0x01020304);
    g_assert_cmpuint(header.ssrc, ==, 0x05060708);
    g_assert_cmpuint(header.length, ==, 28);
    size_t length;
    const uint8_t *mid = rtp_extension_find(&header, 3, &length);
    g_assert_cmpmem(mid, length, "a", 1);
    g_assert_null(rtp_extension_find(&header, 4, &length));
    g_assert_null(rtp_extension_find(&header, 0, &length));
    /* Every shorter piece is refused or ends before the payload. */
    for (size_t i = 0; i < 28; i++)
        g_assert_false(rtp_header_parse(packet, i, &header));
}

static void test_parse_broken(void)
{
    uint8_t packet[64] = {0x40};
    struct rtp_header header;
    g_assert_false(rtp_header_parse(packet, sizeof packet, &header)); /* version 1 */
    packet[0] = 0x8f;                                                 /* 15 CSRCs */
    g_assert_false(rtp_header_parse(packet, 71 - 20, &header));
    packet[0] = 0x90; /* extension longer than the packet */
    memcpy(packet + 12, (const uint8_t[]){0xbe, 0xde, 0xff, 0xff}, 4);
    g_assert_false(rtp_header_parse(packet, sizeof packet, &header));
    memcpy(packet + 12, (const uint8_t[]){0xbe, 0xde, 0, 13}, 4);
    g_assert_false(rtp_header_parse(packet, sizeof packet, &header));
    memcpy(packet + 12, (const uint8_t[]){0xbe, 0xde, 0, 12}, 4);
    g_assert_true(rtp_header_parse(packet, sizeof packet, &header));
}

static struct rtp_header with(uint16_t profile, const uint8_t *elements, uint16_t length)
{
    return (struct rtp_header){
        .profile = profile, .extensions = elements, .extensions_length = length};
}

static void test_find(void)
{
    size_t length;
    /* padding between elements, an element of 16 octets */
    static const uint8_t one[] = {0x10, 1, 0, 0,  0x2f, 0,  1,  2,  3,  4,    5, 6,
                                  7,    8, 9, 10, 11,   12, 13, 14, 15, 0x30, 7, 0};
    struct rtp_header header = with(0xbede, one, sizeof one);
    g_assert_cmpint(*rtp_extension_find(&header, 1, &length), ==, 1);
    g_assert_nonnull(rtp_extension_find(&header, 2, &length));
    g_assert_cmpuint(length, ==, 16);
    g_assert_cmpint(*rtp_extension_find(&header, 3, &length), ==, 7);
    /* 15 ends the list; an element beyond the end */
    static const uint8_t end[] = {0xf0, 1, 0x20, 2};
    header = with(0xbede, end, sizeof end);
    g_assert_null(rtp_extension_find(&header, 2, &length));
    static const uint8_t beyond[] = {0x27, 1, 2, 3};
    header = with(0xbede, beyond, sizeof beyond);
    g_assert_null(rtp_extension_find(&header, 2, &length));
    /* two-byte form, also of length 0 */
    static const uint8_t two[] = {20, 0, 0, 21, 3, 'x', 'y', 'z', 22, 200, 1, 2};
    header = with(0x1005, two, sizeof two);
    g_assert_nonnull(rtp_extension_find(&header, 20, &length));
    g_assert_cmpuint(length, ==, 0);
    const uint8_t *found = rtp_extension_find(&header, 21, &length);
    g_assert_cmpmem(found, length, "xyz", 3);
    g_assert_null(rtp_extension_find(&header, 22, &length));
    header = with(0x2000, two, sizeof two); /* neither form */
    g_assert_null(rtp_extension_find(&header, 21, &length));
}

/* What is written is read back. */
static void round_trip(uint8_t mid_id, const char *mid, uint8_t level_id, int level)
{
    struct rtp_extension_block block;
    struct rtp_header header;
    uint8_t out[RTP_HEADER_LENGTH + RTP_EXTENSIONS_MAX];
    struct rtp_fields fields = {.pt = 111,
                                .marker = true,
                                .padding = false,
                                .sequence = 65535,
                                .timestamp = 0xfffefdfc,
                                .ssrc = 0x89abcdef};
    rtp_extension_block_build(&block, mid_id, mid, level_id);
    size_t length = rtp_header_write(out, &fields, &block, level), n;
    g_assert_cmpuint(length % 4, ==, 0);
    g_assert_true(rtp_header_parse(out, length, &header));
    g_assert_cmpuint(header.length, ==, length);
    g_assert_cmpuint(header.pt, ==, 111);
    g_assert_true(header.marker);
    g_assert_cmpuint(header.sequence, ==, 65535);
    g_assert_cmpuint(header.timestamp, ==, 0xfffefdfc);
    g_assert_cmpuint(header.ssrc, ==, 0x89abcdef);
    const uint8_t *found = rtp_extension_find(&header, mid_id, &n);
    if (mid_id)
        g_assert_cmpmem(found, n, mid, strlen(mid));
    found = rtp_extension_find(&header, level_id, &n);
    if (level_id && level >= 0)
        g_assert_cmpmem(found, n, &(uint8_t){(uint8_t)level}, 1);
    else
        g_assert_null(found);
}

/* Room for a number besides, in either form; what was there stays. */
static void check_wide(uint8_t mid_id, const char *mid, uint8_t level_id, uint8_t id, bool fits)
{
    struct rtp_extension_block block;
    struct rtp_header header;
    struct rtp_fields fields = {.pt = 96};
    uint8_t out[RTP_HEADER_LENGTH + RTP_EXTENSIONS_MAX];
    size_t n;
    rtp_extension_block_build(&block, mid_id, mid, level_id);
    rtp_extension_block_add_wide(&block, id);
    g_assert_cmpint(block.wide_at > 0, ==, fits);
    size_t length = rtp_header_write(out, &fields, &block, level_id ? 77 : -1);
    g_assert_cmpuint(length % 4, ==, 0);
    g_assert_cmpuint(length, <=, sizeof out);
    if (fits) {
        out[RTP_HEADER_LENGTH + block.wide_at] = 0x12;
        out[RTP_HEADER_LENGTH + block.wide_at + 1] = 0x34;
    }
    g_assert_true(rtp_header_parse(out, length, &header));
    const uint8_t *found = rtp_extension_find(&header, id, &n);
    if (fits)
        g_assert_cmpmem(found, n, "\x12\x34", 2);
    else
        g_assert_null(found);
    found = rtp_extension_find(&header, mid_id, &n);
    if (mid_id)
        g_assert_cmpmem(found, n, mid, strlen(mid));
    found = rtp_extension_find(&header, level_id, &n);
    if (level_id)
        g_assert_cmpmem(found, n, "\x4d", 1);
}

static void test_wide(void)
{
    check_wide(0, "", 0, 5, true);
    check_wide(0, "", 0, 200, true);
    check_wide(3, "0", 0, 5, true);
    check_wide(3, "video", 1, 14, true);
    check_wide(3, "0", 1, 15, false); /* a form that is one already */
    check_wide(15, "video", 200, 5, true);
    check_wide(15, "0123456789012345678901234567890", 200, 5, true);
    check_wide(3, "0", 1, 0, false);
}

static void test_write(void)
{
    round_trip(0, "", 0, -1);
    round_trip(3, "0", 0, -1);
    round_trip(3, "0", 1, 0x85);
    round_trip(3, "0", 1, -1);
    round_trip(0, "", 14, 7);
    round_trip(14, "0123456789abcdef", 1, 127);
    round_trip(15, "video", 200, 0);
    round_trip(15, "video", 200, -1);
    round_trip(1, "a", 255, 3);
}

/* What is added to a header is within what was counted for it. */
static void test_append(void)
{
    static const uint8_t data[255];
    const struct rtp_fields fields = {.pt = 96, .ssrc = 1};
    for (unsigned form = 0; form < 6; form++) {
        struct rtp_extension_block block;
        rtp_extension_block_build(&block, form % 3 ? 3 : 0, "video-7", form % 3 == 2 ? 5 : 0);
        rtp_extension_block_add_wide(&block, form >= 3 ? 9 : 0);
        for (unsigned length = 1; length <= sizeof data; length++) {
            for (unsigned id = 7; id <= 20; id += 13) {
                uint8_t out[RTP_HEADER_LENGTH + RTP_EXTENSIONS_MAX + RTP_ELEMENT_MAX];
                const struct rtp_element element = {(uint8_t)id, (uint8_t)length, data};
                size_t wide_at = block.wide_at, before = rtp_header_write(out, &fields, &block, 1);
                size_t after = rtp_header_append(out, before, &block, &element, &wide_at), found;
                struct rtp_header header;
                g_assert_cmpuint(after - before, <=, rtp_element_cost(&block, length));
                g_assert_true(rtp_header_parse(out, after, &header));
                g_assert_cmpuint(header.length, ==, after);
                g_assert_nonnull(rtp_extension_find(&header, (uint8_t)id, &found));
                g_assert_cmpuint(found, ==, length);
                g_assert_cmpint(rtp_extension_find(&header, 3, &found) != NULL, ==, form % 3 != 0);
                g_assert_true(rtp_extension_find(&header, 9, &found) ==
                              (form >= 3 ? out + RTP_HEADER_LENGTH + wide_at : NULL));
            }
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rtp/parse", test_parse);
    g_test_add_func("/rtp/parse-broken", test_parse_broken);
    g_test_add_func("/rtp/find", test_find);
    g_test_add_func("/rtp/write", test_write);
    g_test_add_func("/rtp/wide", test_wide);
    g_test_add_func("/rtp/append", test_append);
    return g_test_run();
}
