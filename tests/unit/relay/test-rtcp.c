/* SPDX-License-Identifier: Apache-2.0 */
#include "wmcf/relay/rtcp.h"

#include <glib.h>
#include <string.h>

struct seen {
    unsigned reports, blocks, key_frames, n_nacks;
    uint32_t ssrc, key_frame_media, nack_media;
    struct rtcp_sender_info info;
    struct rtcp_block block;
    uint16_t nacks[512];
    uint8_t fci[64];
    size_t fci_length;
    uint64_t remb;
};

static void on_sender_report(void *user, uint32_t ssrc, const struct rtcp_sender_info *info)
{
    struct seen *seen = user;
    seen->reports++;
    seen->ssrc = ssrc;
    seen->info = *info;
}

static void on_block(void *user, const struct rtcp_block *block)
{
    struct seen *seen = user;
    seen->blocks++;
    seen->block = *block;
}

static void on_nack(void *user, uint32_t media, uint16_t sequence)
{
    struct seen *seen = user;
    seen->nack_media = media;
    if (seen->n_nacks < G_N_ELEMENTS(seen->nacks))
        seen->nacks[seen->n_nacks++] = sequence;
}

static void on_key_frame(void *user, uint32_t media)
{
    struct seen *seen = user;
    seen->key_frames++;
    seen->key_frame_media = media;
}

static void on_transport_feedback(void *user, const uint8_t *fci, size_t length)
{
    struct seen *seen = user;
    g_assert_cmpuint(length, <=, sizeof seen->fci);
    memcpy(seen->fci, fci, length);
    seen->fci_length = length;
}

static void on_remb(void *user, uint64_t rate)
{
    ((struct seen *)user)->remb = rate;
}

static const struct rtcp_handler handler = {on_sender_report,      on_block, on_nack, on_key_frame,
                                            on_transport_feedback, on_remb};

static void test_congestion(void)
{
    uint8_t data[200];
    static const uint8_t fci[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    static const uint32_t ssrcs[] = {7, 8};
    struct rtcp_writer writer = {.data = data, .max = sizeof data};
    struct seen seen = {0};
    g_assert_true(rtcp_write_transport_feedback(&writer, 1, 2, fci, sizeof fci));
    g_assert_true(rtcp_write_remb(&writer, 1, 123456789, ssrcs, 2));
    g_assert_true(rtcp_parse(data, writer.length, &handler, &seen));
    g_assert_cmpmem(seen.fci, seen.fci_length, fci, sizeof fci);
    g_assert_cmpuint(seen.remb, <=, 123456789);
    g_assert_cmpuint(seen.remb, >, 123456789 - 1000); /* 18 bits of it */
    writer.max = writer.length + 20;
    g_assert_false(rtcp_write_transport_feedback(&writer, 1, 2, fci, sizeof fci));
    g_assert_false(rtcp_write_remb(&writer, 1, 1, ssrcs, 2));
}

/* Browsers fill the last word of it as padding of one to three octets. */
static void test_filled_feedback(void)
{
    for (uint8_t padding = 1; padding <= 4; padding++) {
        uint8_t data[] = {0xaf, 205, 0, 5, 0, 0, 0, 1, 0,    0, 0,    2,
                          0,    7,   0, 1, 0, 0, 1, 9, 0x20, 1, 0xff, padding};
        struct seen seen = {0};
        g_assert_true(rtcp_parse(data, sizeof data, &handler, &seen));
        g_assert_cmpmem(seen.fci, seen.fci_length, data + 12, 12u - padding);
        data[1] = 201;
        data[0] = 0xa0;
        g_assert_cmpint(rtcp_parse(data, sizeof data, &handler, &seen), ==, padding == 4);
    }
}

static void test_reports(void)
{
    uint8_t data[1200];
    struct rtcp_writer writer = {.data = data, .max = sizeof data};
    struct rtcp_sender_info info = {
        .ntp = 0x0123456789abcdef, .timestamp = 0xcafebabe, .packets = 12, .octets = 3400};
    struct rtcp_block blocks[31] = {{.ssrc = 9,
                                     .fraction_lost = 128,
                                     .lost = -5,
                                     .highest = 70000,
                                     .jitter = 33,
                                     .last_report = 44,
                                     .delay = 55}};
    struct seen seen = {0};
    g_assert_true(rtcp_write_sr(&writer, 7, &info, blocks, 1));
    g_assert_true(rtcp_write_sdes(&writer, 7, "name"));
    g_assert_cmpuint(writer.length % 4, ==, 0);
    g_assert_true(rtcp_parse(data, writer.length, &handler, &seen));
    g_assert_cmpuint(seen.reports, ==, 1);
    g_assert_cmpuint(seen.ssrc, ==, 7);
    g_assert_cmpuint(seen.info.ntp, ==, info.ntp);
    g_assert_cmpuint(seen.info.timestamp, ==, info.timestamp);
    g_assert_cmpuint(seen.info.packets, ==, info.packets);
    g_assert_cmpuint(seen.info.octets, ==, info.octets);
    g_assert_cmpuint(seen.blocks, ==, 1);
    g_assert_cmpuint(seen.block.ssrc, ==, 9);
    g_assert_cmpuint(seen.block.fraction_lost, ==, 128);
    g_assert_cmpint(seen.block.lost, ==, -5);
    g_assert_cmpuint(seen.block.highest, ==, 70000);
    g_assert_cmpuint(seen.block.jitter, ==, 33);
    g_assert_cmpuint(seen.block.last_report, ==, 44);
    g_assert_cmpuint(seen.block.delay, ==, 55);
    g_assert_cmpuint(rtcp_compact_ntp(info.ntp), ==, 0x456789ab);
    g_assert_true(rtcp_write_rr(&writer, 7, blocks, 31));
    size_t before = writer.length;
    g_assert_false(rtcp_write_rr(&writer, 7, blocks, 31)); /* does not fit: nothing written */
    g_assert_cmpuint(writer.length, ==, before);
    seen = (struct seen){0};
    g_assert_true(rtcp_parse(data, writer.length, &handler, &seen));
    g_assert_cmpuint(seen.blocks, ==, 32);
}

/* RFC 3550 6.5: at least one zero octet ends the chunk, on a boundary of 32 bits. */
static void test_sdes(void)
{
    for (size_t length = 0; length < 300; length++) {
        uint8_t data[600];
        struct rtcp_writer writer = {.data = data, .max = sizeof data};
        g_autofree char *name = g_strnfill(length, 'x');
        size_t kept = MIN(length, 255);
        memset(data, 0xff, sizeof data);
        g_assert_true(rtcp_write_sdes(&writer, 1, name));
        g_assert_cmpuint(writer.length % 4, ==, 0);
        g_assert_cmpuint(writer.length, ==, (size_t)(data[2] << 8 | data[3]) * 4 + 4);
        g_assert_cmpuint(data[9], ==, kept);
        g_assert_cmpuint(data[10 + kept], ==, 0);
        g_assert_cmpuint(writer.length - (10 + kept), >=, 1);
        g_assert_cmpuint(writer.length - (10 + kept), <=, 4);
    }
}

static void test_nack(void)
{
    uint8_t data[1200];
    struct rtcp_writer writer = {.data = data, .max = sizeof data};
    static const uint16_t wanted[] = {65534, 65535, 0, 1, 15, 16, 40, 57, 58};
    struct seen seen = {0};
    unsigned n;
    g_assert_true(rtcp_write_nack(&writer, 1, 2, wanted, G_N_ELEMENTS(wanted), &n));
    g_assert_cmpuint(n, ==, G_N_ELEMENTS(wanted));
    g_assert_true(rtcp_write_pli(&writer, 1, 3));
    g_assert_true(rtcp_parse(data, writer.length, &handler, &seen));
    g_assert_cmpuint(seen.n_nacks, ==, n);
    g_assert_cmpmem(seen.nacks, n * 2, wanted, n * 2);
    g_assert_cmpuint(seen.nack_media, ==, 2);
    g_assert_cmpuint(seen.key_frames, ==, 1);
    g_assert_cmpuint(seen.key_frame_media, ==, 3);
    /* as many as fit */
    uint16_t many[64];
    for (unsigned i = 0; i < 64; i++)
        many[i] = (uint16_t)(i * 20);
    writer = (struct rtcp_writer){.data = data, .max = 12 + 4 * 10};
    g_assert_true(rtcp_write_nack(&writer, 1, 2, many, 64, &n));
    g_assert_cmpuint(n, ==, 10);
    g_assert_cmpuint(writer.length, ==, 52);
    writer = (struct rtcp_writer){.data = data, .max = 15};
    g_assert_false(rtcp_write_nack(&writer, 1, 2, many, 64, &n));
}

static void test_fir(void)
{
    static const uint8_t fir[] = {0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 5, 0, 0, 0};
    struct seen seen = {0};
    g_assert_true(rtcp_parse(fir, sizeof fir, &handler, &seen));
    g_assert_cmpuint(seen.key_frame_media, ==, 9);
}

static void test_broken(void)
{
    struct seen seen = {0};
    static const uint8_t version[] = {0x40, 201, 0, 1, 0, 0, 0, 1};
    static const uint8_t beyond[] = {0x80, 201, 0, 2, 0, 0, 0, 1};
    static const uint8_t blocks[] = {0x81, 201, 0, 1, 0, 0, 0, 1};
    static const uint8_t sender[] = {0x80, 200, 0, 1, 0, 0, 0, 1};
    static const uint8_t nack[] = {0x81, 205, 0, 1, 0, 0, 0, 1};
    static const uint8_t padding[] = {0xa0, 201, 0, 1, 0, 0, 0, 9};
    static const uint8_t inner_padding[] = {0xa0, 201, 0,    2,   0, 0, 0, 1, 0, 0,
                                            0,    4,   0x80, 201, 0, 1, 0, 0, 0, 1};
    static const uint8_t good_padding[] = {0xa0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4};
    g_assert_false(rtcp_parse(version, sizeof version, &handler, &seen));
    g_assert_false(rtcp_parse(beyond, sizeof beyond, &handler, &seen));
    g_assert_false(rtcp_parse(blocks, sizeof blocks, &handler, &seen));
    g_assert_false(rtcp_parse(sender, sizeof sender, &handler, &seen));
    g_assert_false(rtcp_parse(nack, sizeof nack, &handler, &seen));
    g_assert_false(rtcp_parse(padding, sizeof padding, &handler, &seen));
    g_assert_false(rtcp_parse(inner_padding, sizeof inner_padding, &handler, &seen));
    g_assert_true(rtcp_parse(good_padding, sizeof good_padding, &handler, &seen));
    for (size_t i = 1; i < 4; i++)
        g_assert_false(rtcp_parse(good_padding, i, &handler, &seen));
    g_assert_true(rtcp_parse(good_padding, 0, &handler, &seen));
    /* unknown packets are passed over */
    static const uint8_t unknown[] = {0x80, 207, 0,    1,   0, 0, 0, 1, 0x81, 203, 0, 1, 0, 0,
                                      0,    1,   0x81, 206, 0, 2, 0, 0, 0,    1,   0, 0, 0, 8};
    g_assert_true(rtcp_parse(unknown, sizeof unknown, &handler, &seen));
    g_assert_cmpuint(seen.key_frame_media, ==, 8);
}

static void test_any_octets(void)
{
    struct seen seen = {0};
    for (unsigned i = 0; i < 200000; i++) {
        size_t length = (size_t)g_random_int_range(0, 64);
        g_autofree uint8_t *data = g_malloc(MAX(length, 1));
        for (size_t k = 0; k < length; k++)
            data[k] = (uint8_t)g_random_int();
        if (length > 3) { /* get past the first look */
            data[0] = (uint8_t)(0x80 | (data[0] & 0x3f));
            data[1] = (uint8_t)(200 + data[1] % 8);
            data[2] = 0;
            data[3] = (uint8_t)(data[3] % 16);
        }
        rtcp_parse(data, length, &handler, &seen);
        seen.n_nacks = 0;
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rtcp/congestion", test_congestion);
    g_test_add_func("/rtcp/filled-feedback", test_filled_feedback);
    g_test_add_func("/rtcp/reports", test_reports);
    g_test_add_func("/rtcp/sdes", test_sdes);
    g_test_add_func("/rtcp/nack", test_nack);
    g_test_add_func("/rtcp/fir", test_fir);
    g_test_add_func("/rtcp/broken", test_broken);
    g_test_add_func("/rtcp/any-octets", test_any_octets);
    return g_test_run();
}
