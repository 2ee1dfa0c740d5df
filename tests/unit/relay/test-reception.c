/* SPDX-License-Identifier: Apache-2.0 */
#include "wmcf/relay/reception.h"

#include <glib.h>

static void receive(struct reception *reception, uint64_t index)
{
    /* A clock of 8000 Hz, a packet every 20 ms, no jitter. */
    g_assert_true(
        reception_packet(reception, index, (uint32_t)(index * 160), 8000, (int64_t)index * 20000));
}

static void test_no_loss(void)
{
    struct reception reception = {0};
    struct reception_report report;
    for (uint64_t i = 65000; i < 66000; i++)
        receive(&reception, i);
    reception_report(&reception, &report);
    g_assert_cmpuint(report.fraction_lost, ==, 0);
    g_assert_cmpint(report.cumulative_lost, ==, 0);
    g_assert_cmpuint(report.highest, ==, 65999);
    g_assert_cmpuint(report.jitter, ==, 0);
}

static void test_loss_per_interval(void)
{
    struct reception reception = {0};
    struct reception_report report;
    for (uint64_t i = 0; i < 100; i++) {
        if (i % 4 != 1)
            receive(&reception, i);
    }
    reception_report(&reception, &report);
    g_assert_cmpuint(report.fraction_lost, ==, 25 * 256 / 100);
    g_assert_cmpint(report.cumulative_lost, ==, 25);
    for (uint64_t i = 100; i < 200; i++)
        receive(&reception, i);
    reception_report(&reception, &report);
    g_assert_cmpuint(report.fraction_lost, ==, 0);
    g_assert_cmpint(report.cumulative_lost, ==, 25);
    /* A hole that is filled later is no loss. */
    receive(&reception, 1);
    reception_report(&reception, &report);
    g_assert_cmpint(report.cumulative_lost, ==, 24);
    g_assert_cmpuint(report.fraction_lost, ==, 0);
    reception_report(&reception, &report); /* nothing came */
    g_assert_cmpuint(report.fraction_lost, ==, 0);
}

static void test_jitter(void)
{
    struct reception reception = {0};
    /* Alternately 10 ms late: |D| = 80 units every time, J tends to 80 (A.8). */
    for (uint64_t i = 0; i < 500; i++)
        reception_packet(&reception, i, (uint32_t)(i * 160), 8000,
                         (int64_t)i * 20000 + (i % 2 ? 10000 : 0));
    g_assert_cmpuint(reception_jitter(&reception), >=, 75);
    g_assert_cmpuint(reception_jitter(&reception), <=, 80);
}

static void test_jump(void)
{
    struct reception reception = {0};
    receive(&reception, 10);
    receive(&reception, 12);
    g_assert_false(reception_packet(&reception, 10000, 1, 8000, 1));
    g_assert_cmpuint(reception_lost(&reception), ==, 1);
    receive(&reception, 10001);
    g_assert_cmpuint(reception_lost(&reception), ==, 1);
    /* before the first: the beginning moves */
    receive(&reception, 9999);
    g_assert_cmpuint(reception_lost(&reception), ==, 1);
}

/* What was withheld is no loss; what is missing afterwards is. */
static void test_interrupted(void)
{
    struct reception reception = {0};
    struct reception_report report;
    reception_interrupt(&reception); /* before anything came: nothing to interrupt */
    for (uint64_t i = 100; i < 200; i++) {
        if (i != 150)
            receive(&reception, i);
    }
    reception_interrupt(&reception);
    g_assert_false(reception_packet(&reception, 90000, 90000 * 160, 8000, 90000 * 20000ll));
    for (uint64_t i = 90001; i < 90010; i++)
        receive(&reception, i);
    reception_report(&reception, &report);
    g_assert_cmpint(report.cumulative_lost, ==, 1);
    g_assert_cmpuint(report.fraction_lost, ==, 0);
    g_assert_cmpuint(report.highest, ==, 90009);
    g_assert_cmpuint(report.jitter, ==, 0);
    receive(&reception, 90011);
    g_assert_cmpuint(reception_lost(&reception), ==, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/reception/no-loss", test_no_loss);
    g_test_add_func("/reception/loss-per-interval", test_loss_per_interval);
    g_test_add_func("/reception/jitter", test_jitter);
    g_test_add_func("/reception/jump", test_jump);
    g_test_add_func("/reception/interrupted", test_interrupted);
    return g_test_run();
}
