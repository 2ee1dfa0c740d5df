/* SPDX-License-Identifier: Apache-2.0 */
#include "pipelines/rtp-timeline.h"

#define FRAME 3000 /* 90 kHz, 30 a second */
#define FRAME_US 33333

static gint64 jitter(guint n)
{
    return (gint64)(n * 7919 % 31) * 1000; /* 0 to 30 ms, the same in every run */
}

static void test_even_pace(void)
{
    struct rtp_timeline timeline;
    rtp_timeline_init(&timeline, 90000);
    gint64 last = 0;
    for (guint n = 0; n < 600; n++) {
        gint64 sent = 5000000 + (gint64)n * G_USEC_PER_SEC / 30;
        gint64 at = rtp_timeline_place(&timeline, 77u + n * FRAME, sent + jitter(n));
        if (n)
            g_assert_cmpint(ABS(at - last - FRAME_US), <=, FRAME_US / 40);
        last = at;
        if (n > 300) /* by then it lies where the quickest packets do */
            g_assert_cmpint(ABS(at - sent), <=, 3000);
    }
}

static void test_reports_lead(void)
{
    struct rtp_timeline timeline;
    rtp_timeline_init(&timeline, 48000);
    gint64 last = 0;
    for (guint n = 0; n < 500; n++) { /* taken 80 ms before it arrives, as its reports say */
        gint64 taken = 9000000 + (gint64)n * 20000;
        if (n == 100)
            rtp_timeline_learn(&timeline, 1000 + n * 960, taken);
        gint64 at = rtp_timeline_place(&timeline, 1000 + n * 960, taken + 80000);
        if (n)
            g_assert_cmpint(ABS(at - last - 20000), <=, 400);
        last = at;
        if (n < 100)
            g_assert_cmpint(at, ==, taken + 80000);
        if (n > 350)
            g_assert_cmpint(ABS(at - taken), <=, 100);
    }
}

static void test_known_from_the_start(void)
{
    struct rtp_timeline timeline;
    rtp_timeline_init(&timeline, 48000);
    rtp_timeline_learn(&timeline, 500, 1000000);
    g_assert_cmpint(rtp_timeline_place(&timeline, 500 + 960, 1100000), ==, 1020000);
}

static void test_jumps(void)
{
    struct rtp_timeline timeline;
    rtp_timeline_init(&timeline, 90000);
    g_assert_cmpint(rtp_timeline_place(&timeline, 0xfffffff0u, 1000000), ==, 1000000);
    /* The timestamp's own overflow is none, */
    g_assert_cmpint(rtp_timeline_place(&timeline, 0xfffffff0u + FRAME, 1033333), ==, 1033333);
    /* another beginning is, */
    g_assert_cmpint(rtp_timeline_place(&timeline, 12345678u, 1066666), ==, 1066666);
    /* and a report of another time means nothing. */
    rtp_timeline_learn(&timeline, 12345678u, 500000000);
    for (guint n = 1; n < 10; n++)
        g_assert_cmpint(ABS(rtp_timeline_place(&timeline, 12345678u + n * FRAME,
                                               1066666 + (gint64)n * FRAME_US) -
                            1066666 - (gint64)n * FRAME_US),
                        <=, 6000);
}

static void test_overtaken(void)
{
    struct rtp_timeline timeline;
    rtp_timeline_init(&timeline, 90000);
    rtp_timeline_place(&timeline, 0, 1000000);
    rtp_timeline_place(&timeline, 2 * FRAME, 1066666);
    g_assert_cmpint(ABS(rtp_timeline_place(&timeline, FRAME, 1066700) - 1033333), <=, 1500);
    g_assert_cmpint(ABS(rtp_timeline_place(&timeline, 3 * FRAME, 1100000) - 1100000), <=, 1500);
}

/* A sender whose clock is slow by one in a thousand: an hour later it is still where it arrives. */
static void test_drift(void)
{
    struct rtp_timeline timeline;
    rtp_timeline_init(&timeline, 90000);
    for (guint n = 0; n < 108000; n++) {
        gint64 arrival = 1000000 + (gint64)n * G_USEC_PER_SEC / 30 * 1001 / 1000;
        gint64 at = rtp_timeline_place(&timeline, n * FRAME, arrival);
        g_assert_cmpint(ABS(at - arrival), <, 40000);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rtp-timeline/even-pace", test_even_pace);
    g_test_add_func("/rtp-timeline/reports-lead", test_reports_lead);
    g_test_add_func("/rtp-timeline/known-from-the-start", test_known_from_the_start);
    g_test_add_func("/rtp-timeline/jumps", test_jumps);
    g_test_add_func("/rtp-timeline/overtaken", test_overtaken);
    g_test_add_func("/rtp-timeline/drift", test_drift);
    return g_test_run();
}
