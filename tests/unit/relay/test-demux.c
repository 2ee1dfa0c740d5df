/* SPDX-License-Identifier: Apache-2.0 */
#include "wmcf/relay/demux.h"

#include <glib.h>
#include <stdbool.h>

static enum demux_kind classify(uint8_t first, uint8_t second, size_t length)
{
    uint8_t data[64] = {first, second};
    return demux_classify(data, length);
}

static void test_ranges(void)
{
    for (unsigned first = 0; first < 256; first++) {
        enum demux_kind kind = classify((uint8_t)first, 96, 64);
        if (first >= 20 && first <= 63)
            g_assert_cmpint(kind, ==, DEMUX_DTLS);
        else if (first >= 128 && first <= 191)
            g_assert_cmpint(kind, ==, DEMUX_RTP);
        else
            g_assert_cmpint(kind, ==, DEMUX_MALFORMED);
    }
    for (unsigned second = 0; second < 256; second++) {
        bool rtcp = second >= 192 && second <= 223;
        bool reserved = second >= 64 && second <= 95; /* payload types RTP may not use here */
        g_assert_cmpint(classify(0x80, (uint8_t)second, 64), ==,
                        rtcp || reserved ? DEMUX_RTCP : DEMUX_RTP);
    }
}

static void test_short(void)
{
    for (size_t length = 0; length < 12; length++) {
        g_assert_cmpint(classify(0x80, 96, length), ==, DEMUX_MALFORMED);
        g_assert_cmpint(classify(22, 254, length), ==, DEMUX_MALFORMED);
    }
    g_assert_cmpint(classify(22, 254, 12), ==, DEMUX_MALFORMED);
}

static void test_stun(void)
{
    uint8_t data[24] = {0, 1, 0, 4, 0x21, 0x12, 0xa4, 0x42};
    g_assert_cmpint(demux_classify(data, 24), ==, DEMUX_STUN);
    g_assert_cmpint(demux_classify(data, 23), ==, DEMUX_MALFORMED);
    g_assert_cmpint(demux_classify(data, 20), ==, DEMUX_MALFORMED);
    data[3] = 3;
    g_assert_cmpint(demux_classify(data, 23), ==, DEMUX_MALFORMED);
    data[3] = 4;
    data[7] = 0;
    g_assert_cmpint(demux_classify(data, 24), ==, DEMUX_MALFORMED);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/demux/ranges", test_ranges);
    g_test_add_func("/demux/short", test_short);
    g_test_add_func("/demux/stun", test_stun);
    return g_test_run();
}
