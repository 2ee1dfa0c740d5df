/* SPDX-License-Identifier: Apache-2.0 */
#include "wmcf/relay/send-history.h"
#include "wmcf/relay/transport-feedback.h"

#include <glib.h>
#include <string.h>

#define TICK TRANSPORT_TICK_US

/* base 0x0005, 7 packets, reference 3, number 9; a run of three small ones, then four by a two-bit
 * vector: lost, large, small, lost. */
static const uint8_t example[] = {0x00, 0x05, 0x00, 0x07, 0x00, 0x00, 0x03, 0x09, 0x20, 0x03,
                                  0xc9, 0x00, 4,    8,    12,   0xff, 0xfc, 7,    0,    0};

static void test_read(void)
{
    struct transport_feedback reader;
    struct transport_arrival arrival;
    static const int ticks[] = {4, 12, 24, -1, 20, 27, -1};
    static uint8_t data[sizeof example];
    memcpy(data, example, sizeof data);
    g_assert_true(transport_feedback_begin(&reader, data, sizeof data));
    g_assert_cmpuint(reader.base, ==, 5);
    g_assert_cmpuint(reader.count, ==, 7);
    g_assert_cmpuint(reader.reference, ==, 3);
    g_assert_cmpuint(reader.number, ==, 9);
    for (unsigned i = 0; i < 7; i++) {
        g_assert_true(transport_feedback_next(&reader, &arrival));
        g_assert_cmpuint(arrival.sequence, ==, 5 + i);
        g_assert_cmpint(arrival.received, ==, ticks[i] >= 0);
        if (arrival.received)
            g_assert_cmpint(arrival.ticks, ==, ticks[i]);
    }
    g_assert_false(transport_feedback_next(&reader, &arrival));
    /* every octet less, down to the deltas' last one, is too few */
    for (size_t length = 0; length < 18; length++)
        g_assert_false(transport_feedback_begin(&reader, data, length));
    data[8] = 0x60; /* reserved symbol */
    g_assert_false(transport_feedback_begin(&reader, data, sizeof data));
}

static void test_limits(void)
{
    struct transport_feedback reader;
    /* 65535 packets in 24 octets: more than anybody sends between two feedbacks */
    uint8_t many[] = {0,    0,    0xff, 0xff, 0,    0,    0,    0,    0x1f, 0xff, 0x1f, 0xff,
                      0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff};
    g_assert_false(transport_feedback_begin(&reader, many, sizeof many));
    uint8_t empty_runs[] = {0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0};
    g_assert_false(transport_feedback_begin(&reader, empty_runs, sizeof empty_runs));
    uint8_t none[] = {0, 0, 0, 0, 0, 0, 0, 0};
    struct transport_arrival arrival;
    g_assert_true(transport_feedback_begin(&reader, none, sizeof none));
    g_assert_false(transport_feedback_next(&reader, &arrival));
}

/* What is written is read as what came, whatever is lost, late or far apart. */
static void test_round_trip(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(7);
    for (unsigned round = 0; round < 300; round++) {
        static struct transport_arrivals arrivals;
        int64_t at[500], now = g_rand_int_range(random, 0, 1 << 30) * INT64_C(1000);
        bool told[500] = {0};
        uint16_t first = (uint16_t)g_rand_int(random);
        unsigned n = (unsigned)g_rand_int_range(random, 1, 500), of_ten = round % 11;
        unsigned step = 1u << g_rand_int_range(random, 0, 20);
        memset(&arrivals, 0, sizeof arrivals);
        for (unsigned i = 0; i < n; i++) {
            now += g_rand_int_range(random, 0, (gint32)step + 1);
            at[i] = (unsigned)g_rand_int_range(random, 0, 10) < of_ten && i ? -1 : now;
            if (at[i] >= 0)
                transport_arrivals_add(&arrivals, (uint16_t)(first + i), now);
        }
        uint8_t fci[400];
        size_t length;
        unsigned number = 0;
        while ((length = transport_arrivals_write(&arrivals, fci, sizeof fci))) {
            struct transport_feedback reader;
            struct transport_arrival arrival;
            g_assert_cmpuint(length, <=, sizeof fci);
            g_assert_cmpuint(length % 4, ==, 0);
            g_assert_true(transport_feedback_begin(&reader, fci, length));
            g_assert_cmpuint(reader.number, ==, (uint8_t)number++);
            while (transport_feedback_next(&reader, &arrival)) {
                uint16_t i = (uint16_t)(arrival.sequence - first);
                g_assert_cmpuint(i, <, n);
                g_assert_false(told[i]);
                told[i] = true;
                g_assert_cmpint(arrival.received, ==, at[i] >= 0);
                if (arrival.received)
                    g_assert_cmpint((uint32_t)arrival.ticks + reader.reference * 256, ==,
                                    (uint32_t)(at[i] / TICK));
            }
        }
        for (unsigned i = 0; i < n; i++)
            g_assert_true(told[i] || at[i] < 0);
        g_assert_cmpuint(transport_arrivals_pending(&arrivals), ==, 0);
    }
}

static void test_late(void)
{
    static struct transport_arrivals arrivals;
    uint8_t fci[200];
    struct transport_feedback reader;
    struct transport_arrival arrival;
    memset(&arrivals, 0, sizeof arrivals);
    transport_arrivals_add(&arrivals, 65534, 1000 * TICK);
    transport_arrivals_add(&arrivals, 1, 1010 * TICK);
    g_assert_cmpuint(transport_arrivals_pending(&arrivals), ==, 4);
    g_assert_cmpuint(transport_arrivals_write(&arrivals, fci, sizeof fci), >, 0);
    g_assert_cmpuint(transport_arrivals_write(&arrivals, fci, sizeof fci), ==, 0);
    transport_arrivals_add(&arrivals, 0, 1020 * TICK);
    transport_arrivals_add(&arrivals, 0, 1030 * TICK); /* twice */
    size_t length = transport_arrivals_write(&arrivals, fci, sizeof fci);
    g_assert_true(transport_feedback_begin(&reader, fci, length));
    g_assert_cmpuint(reader.base, ==, 0);
    g_assert_cmpuint(reader.count, ==, 2);
    g_assert_true(transport_feedback_next(&reader, &arrival));
    g_assert_true(arrival.received);
    g_assert_cmpint((uint32_t)arrival.ticks + reader.reference * 256, ==, 1020);
    g_assert_cmpuint(transport_arrivals_write(&arrivals, fci, sizeof fci), ==, 0);
    /* a sender that jumps */
    transport_arrivals_add(&arrivals, 20000, 2000 * TICK);
    g_assert_cmpuint(transport_arrivals_pending(&arrivals), ==, 1);
    transport_arrivals_add(&arrivals, 2, 2001 * TICK); /* behind what is remembered */
    g_assert_cmpuint(transport_arrivals_pending(&arrivals), ==, 1);
}

/* --- history ---------------------------------------------------------------------------------- */

static size_t report(struct transport_arrivals *arrivals, struct send_history *history, int64_t now,
                     struct packet_result *results, size_t max)
{
    uint8_t fci[600];
    bool broken;
    size_t length = transport_arrivals_write(arrivals, fci, sizeof fci);
    size_t n = send_history_results(history, fci, length, now, results, max, &broken);
    g_assert_false(broken);
    return n;
}

static void test_history(void)
{
    static struct transport_arrivals arrivals;
    struct packet_result results[64];
    struct send_history *history = send_history_new(64, 0);
    int64_t now = INT64_C(1) << 33;
    bool broken;
    memset(&arrivals, 0, sizeof arrivals);
    for (unsigned i = 0; i < 10; i++)
        g_assert_cmpuint(send_history_add(history, now + i * 1000, 100 + i, (uint8_t)i), ==, i);
    g_assert_cmpuint(send_history_outstanding(history), ==, 1045);
    g_assert_cmpint(send_history_waits_since(history, now + 10000), ==, now);
    for (unsigned i = 0; i < 8; i++) {
        if (i != 3)
            transport_arrivals_add(&arrivals, (uint16_t)i, 5000000 + i * 2000);
    }
    g_assert_cmpuint(report(&arrivals, history, now + 20000, results, 64), ==, 8);
    for (unsigned i = 0; i < 8; i++) {
        g_assert_cmpint(results[i].sent, ==, now + i * 1000);
        g_assert_cmpuint(results[i].octets, ==, 100 + i);
        g_assert_cmpuint(results[i].probe, ==, i);
        g_assert_cmpint(results[i].received, ==, i != 3);
        if (results[i].received)
            g_assert_cmpint(results[i].arrival - results[0].arrival, ==, i * 2000);
    }
    g_assert_cmpuint(send_history_outstanding(history), ==, 108 + 109);
    /* the missing one is late, and what lies behind it is told again */
    transport_arrivals_add(&arrivals, 3, 5030000);
    g_assert_cmpuint(report(&arrivals, history, now + 40000, results, 64), ==, 1);
    g_assert_true(results[0].received && results[0].recovered);
    g_assert_cmpint(results[0].sent, ==, now + 3000);
    /* what was never sent, and what is forgotten */
    transport_arrivals_add(&arrivals, 500, 5040000);
    g_assert_cmpuint(report(&arrivals, history, now + 50000, results, 64), ==, 2);
    for (unsigned i = 0; i < 100; i++)
        send_history_add(history, now + 60000, 10, 0);
    g_assert_cmpuint(send_history_outstanding(history), <=, 64 * 10);
    g_assert_cmpuint(
        send_history_results(history, (const uint8_t *)"xx", 2, now, results, 64, &broken), ==, 0);
    g_assert_true(broken);
    send_history_free(history);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/transport-feedback/read", test_read);
    g_test_add_func("/transport-feedback/limits", test_limits);
    g_test_add_func("/transport-feedback/round-trip", test_round_trip);
    g_test_add_func("/transport-feedback/late", test_late);
    g_test_add_func("/transport-feedback/history", test_history);
    return g_test_run();
}
