/* SPDX-License-Identifier: Apache-2.0 */
#include "wmcf/relay/pacer.h"

#include <glib.h>

#define MS INT64_C(1000)

static struct paced_packet packet(unsigned number, unsigned octets)
{
    return (struct paced_packet){.subscription = GUINT_TO_POINTER(1 + number % 2),
                                 .index = number,
                                 .octets = (uint16_t)octets};
}

/* A key frame of 50 packets at 1 Mbit/s leaves in order, spread over its time. */
static void test_spread(void)
{
    struct pacer pacer;
    struct paced_packet out;
    int64_t now = 1000 * MS, begun = now;
    unsigned sent = 0, first = 0, most = 0;
    pacer_init(&pacer, 512, 2000 * MS);
    pacer_set_rate(&pacer, 1000000, now);
    for (unsigned i = 0; i < 50; i++) {
        struct paced_packet in = packet(i, 1250);
        if (i == first && pacer_pass(&pacer, 1250, now))
            first++;
        else
            g_assert_true(pacer_push(&pacer, &in));
    }
    g_assert_cmpuint(first, <=, 3);
    g_assert_cmpint(pacer_delay(&pacer), >, 400 * MS);
    g_assert_false(pacer_pass(&pacer, 100, now)); /* not past those that wait */
    sent = first;
    while (pacer.n) {
        int64_t due = pacer_due(&pacer, now);
        unsigned together = 0;
        g_assert_cmpint(due, >=, now);
        now = MAX(due, now + MS);
        while (pacer_pop(&pacer, now, &out)) {
            g_assert_cmpuint(out.index, ==, sent++);
            together++;
        }
        most = MAX(most, together);
    }
    g_assert_cmpuint(sent, ==, 50);
    g_assert_cmpuint(most, <=, 2);
    g_assert_cmpint(now - begun, >=, 440 * MS); /* 50 × 10 ms less what leaves at once */
    g_assert_cmpint(now - begun, <=, 520 * MS);
    g_assert_cmpint(pacer_due(&pacer, now), ==, 0);
    pacer_finish(&pacer);
}

/* However slow the link: nothing waits much longer than the limit. */
static void test_limit(void)
{
    struct pacer pacer;
    struct paced_packet out, in = packet(0, 1250);
    int64_t now = 1000 * MS, begun = now;
    pacer_init(&pacer, 512, 200 * MS);
    pacer_set_rate(&pacer, 50000, now);
    while (pacer_push(&pacer, &in))
        ;
    g_assert_cmpuint(pacer.n, ==, 512);
    g_assert_cmpint(pacer_delay(&pacer), <=, 200 * MS);
    for (; pacer.n > 16; now += MS) {
        while (pacer_pop(&pacer, now, &out))
            ;
    }
    g_assert_cmpint(now - begun, <, 1000 * MS);
    while (pacer_shift(&pacer, &out))
        ;
    g_assert_cmpuint(pacer.queued, ==, 0);
    pacer_finish(&pacer);
}

static void test_charge(void)
{
    struct pacer pacer;
    struct paced_packet out, in = packet(0, 1000);
    int64_t now = 1000 * MS;
    pacer_init(&pacer, 64, 500 * MS);
    pacer_set_rate(&pacer, 800000, now);
    g_assert_true(pacer_push(&pacer, &in));
    for (unsigned i = 0; i < 1000; i++)
        pacer_charge(&pacer, 1000, now);
    g_assert_false(pacer_pop(&pacer, now, &out));
    /* what never waits must not keep the others for ever */
    now += 40 * MS;
    g_assert_true(pacer_pop(&pacer, now, &out));
    pacer_finish(&pacer);
}

static void test_remove(void)
{
    struct pacer pacer;
    struct paced_packet out;
    unsigned n = 0;
    pacer_init(&pacer, 64, 0);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 40; i++) {
            struct paced_packet in = packet(i, 100);
            g_assert_true(pacer_push(&pacer, &in));
        }
        while (pacer_remove(&pacer, GUINT_TO_POINTER(1), &out))
            g_assert_cmpuint(out.index % 2, ==, 0);
        g_assert_cmpuint(pacer.n, ==, 20);
        g_assert_cmpuint(pacer.queued, ==, 2000);
        for (n = 0; pacer_shift(&pacer, &out); n++)
            g_assert_cmpuint(out.index, ==, 2 * n + 1);
        g_assert_cmpuint(n, ==, 20);
    }
    pacer_finish(&pacer);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pacer/spread", test_spread);
    g_test_add_func("/pacer/limit", test_limit);
    g_test_add_func("/pacer/charge", test_charge);
    g_test_add_func("/pacer/remove", test_remove);
    return g_test_run();
}
