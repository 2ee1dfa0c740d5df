/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of SCTP on the wire: which packets are let in, windows, streams, heartbeats. */
#include "pipelines/sctp-packet.h"

#include <string.h>

#define HEADER 0x13, 0x88, 0x13, 0x88, 1, 2, 3, 4, 0, 0, 0, 0
#define DATA(stream) 0, 7, 0, 17, 0, 0, 0, 1, 0, (stream), 0, 0, 0, 0, 0, 51, 'x', 0, 0, 0
#define SACK 3, 0, 0, 16, 0, 0, 0, 9, 0, 1, 0, 0, 0, 0, 0, 0
#define HEARTBEAT 4, 0, 0, 10, 0, 1, 0, 6, 'h', 'i', 0, 0

static void test_check(void)
{
    static const struct {
        bool good;
        guint length;
        guint8 octets[64];
    } rows[] = {
        {true, 32, {HEADER, DATA(0)}},
        {true, 29, {HEADER, DATA(0)}},       /* without its padding */
        {true, 48, {HEADER, SACK, DATA(0)}}, /* bundled */
        {true, 24, {HEADER, HEARTBEAT}},
        {false, 12, {HEADER}}, /* no chunk */
        {false, 11, {HEADER}},
        {false, 14, {HEADER, 0, 7}},        /* a torn chunk header */
        {false, 28, {HEADER, DATA(0)}},     /* torn data */
        {false, 16, {HEADER, 0, 7, 0, 16}}, /* longer than the packet */
        {false, 16, {HEADER, 11, 0, 0, 3}}, /* shorter than its header */
        {false, 28, {HEADER, 0, 7, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 51}}, /* no octet */
        {false, 16, {HEADER, 15, 0, 0, 4}},                                      /* AUTH */
        {false, 16, {HEADER, 193, 0, 0, 4}},                                     /* ASCONF */
        {false, 16, {HEADER, 12, 0, 0, 4}},                                      /* ECNE */
        {false, 36, {HEADER, DATA(0), 128, 0, 0, 4}},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        if (sctp_packet_check(rows[i].octets, rows[i].length) != rows[i].good)
            g_error("row %u", i);
}

/* RFC 3720 B.4: the known values of CRC32c, over octets 12 and following with an empty header. */
static void test_checksum(void)
{
    guint8 packet[] = {HEADER, SACK};
    guint32 sum = sctp_packet_checksum(packet, sizeof packet), other;

    memset(packet + 8, 0xff, 4); /* what stands there does not count */
    g_assert_cmphex(sctp_packet_checksum(packet, sizeof packet), ==, sum);
    packet[12] ^= 1;
    other = sctp_packet_checksum(packet, sizeof packet);
    g_assert_cmphex(other, !=, sum);
    guint8 zeros[32] = {0}; /* 32 octets of zero */
    g_assert_cmphex(sctp_packet_checksum(zeros, sizeof zeros), ==, GUINT32_TO_LE(0x8a9136aa));
}

static void test_window(void)
{
    guint8 packet[] = {HEADER, SACK, DATA(0)}, repeated[64];
    guint32 sum;

    g_assert_cmpuint(sctp_packet_limit_window(packet, sizeof packet, 100000), ==, 12);
    g_assert_cmphex(packet[21], ==, 1); /* 65536 is less: as it was */
    g_assert_cmpuint(sctp_packet_limit_window(packet, sizeof packet, 0x1234), ==, 12);
    g_assert_cmpmem(packet + 20, 4, "\0\0\x12\x34", 4);
    sum = sctp_packet_checksum(packet, sizeof packet);
    g_assert_cmpmem(packet + 8, 4, &sum, 4);
    g_assert_cmpuint(
        sctp_packet_repeat_sack(packet, sizeof packet, 12, 0x10000, repeated, sizeof repeated), ==,
        28);
    g_assert_cmpmem(repeated + 12, 8, packet + 12, 8);
    g_assert_cmpmem(repeated + 20, 4, "\0\1\0\0", 4);
    sum = sctp_packet_checksum(repeated, 28);
    g_assert_cmpmem(repeated + 8, 4, &sum, 4);
    g_assert_cmpuint(sctp_packet_repeat_sack(packet, sizeof packet, 12, 0, repeated, 27), ==, 0);
    g_assert_cmpuint(sctp_packet_repeat_sack(packet, 0, 12, 0, repeated, sizeof repeated), ==, 0);
    guint8 data[] = {HEADER, DATA(0)};
    g_assert_cmpuint(sctp_packet_limit_window(data, sizeof data, 0), ==, 0);
    g_assert_true(sctp_packet_has_data(data, sizeof data));
    g_assert_true(sctp_packet_has_data(packet, sizeof packet));
    g_assert_false(sctp_packet_has_data(packet, 28));
}

static void test_streams(void)
{
    struct sctp_streams streams = {.max = 2};
    guint8 packet[] = {HEADER, DATA(0)};

    for (guint i = 0; i < 6; i++) {
        packet[21] = (guint8)(i % 2);
        g_assert_true(sctp_streams_admit(&streams, packet, sizeof packet));
    }
    packet[20] = 0xff;
    packet[21] = 0xff;
    g_assert_false(sctp_streams_admit(&streams, packet, sizeof packet));
    packet[20] = packet[21] = 0;
    g_assert_true(sctp_streams_admit(&streams, packet, sizeof packet));
    sctp_streams_clear(&streams);
}

#define PART(flags, tsn, ppid)                                                                     \
    0, flags, 0, 20, 0, 0, 0, tsn, 0, 0, 0, 0, 0, 0, 0, ppid, 'a', 'b', 'c', 'd'

/* Messages that are complete, once each, and none of DCEP. */
static void test_intake(void)
{
    enum { LAST = 1, FIRST = 2, WHOLE = 3 };
    static const struct {
        gsize octets;
        guint8 packet[52];
    } rows[] = {
        {8, {HEADER, PART(WHOLE, 1, 51), PART(WHOLE, 2, 53)}},
        {0, {HEADER, PART(WHOLE, 2, 53), PART(WHOLE, 3, 50)}}, /* again, and control */
        {0, {HEADER, PART(FIRST, 4, 53), PART(0, 5, 53)}},
        {12, {HEADER, PART(LAST, 5, 53), PART(LAST, 6, 53)}},  /* 5 once more */
        {4, {HEADER, PART(WHOLE, 9, 57), PART(WHOLE, 7, 51)}}, /* 7 comes late */
        {0, {HEADER, PART(FIRST, 10, 50), PART(LAST, 11, 50)}},
        {0, {HEADER, PART(WHOLE, 12, 55), PART(WHOLE, 13, 99)}}, /* nobody's */
    };
    struct sctp_intake intake = {0};

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        g_assert_cmpuint(sctp_intake_count(&intake, rows[i].packet, sizeof rows[i].packet), ==,
                         rows[i].octets);
    /* A new association begins where it likes. */
    guint8 init[32] = {HEADER, 1, 0, 0, 20};
    g_assert_cmpuint(sctp_intake_count(&intake, init, sizeof init), ==, 0);
    g_assert_cmpuint(sctp_intake_count(&intake, rows[0].packet, sizeof rows[0].packet), ==, 8);
    guint8 interleaved[] = {HEADER, 64, WHOLE, 0, 22, 0, 0, 0,  9,   0,   0, 0, 0,
                            0,      0,  0,     0, 0,  0, 0, 51, 'x', 'y', 0, 0};
    g_assert_true(sctp_packet_check(interleaved, sizeof interleaved));
    g_assert_cmpuint(sctp_intake_count(&intake, interleaved, sizeof interleaved), ==, 2);
}

static void test_heartbeat(void)
{
    static const guint8 packet[] = {0x13, 0x88, 0x13, 0x89, 1, 2,    3,
                                    4,    0,    0,    0,    0, SACK, HEARTBEAT};
    guint8 answer[64];
    guint32 sum;

    g_assert_cmpuint(
        sctp_packet_answer_heartbeat(packet, sizeof packet, 0xa1b2c3d4, answer, sizeof answer), ==,
        24);
    sum = sctp_packet_checksum(answer, 24);
    g_assert_cmpmem(answer, 8, "\x13\x89\x13\x88\xa1\xb2\xc3\xd4", 8);
    g_assert_cmpmem(answer + 8, 4, &sum, 4);
    g_assert_cmpuint(answer[12], ==, 5);
    g_assert_cmpmem(answer + 13, 9, packet + 29, 9);
    g_assert_cmphex(sctp_packet_tag(answer), ==, 0xa1b2c3d4);
    g_assert_cmpuint(sctp_packet_answer_heartbeat(packet, 28, 1, answer, sizeof answer), ==, 0);
    g_assert_cmpuint(sctp_packet_answer_heartbeat(packet, sizeof packet, 1, answer, 23), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sctp-packet/check", test_check);
    g_test_add_func("/sctp-packet/checksum", test_checksum);
    g_test_add_func("/sctp-packet/window", test_window);
    g_test_add_func("/sctp-packet/streams", test_streams);
    g_test_add_func("/sctp-packet/intake", test_intake);
    g_test_add_func("/sctp-packet/heartbeat", test_heartbeat);
    return g_test_run();
}
