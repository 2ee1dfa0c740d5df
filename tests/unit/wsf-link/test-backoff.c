/* SPDX-License-Identifier: Apache-2.0 */
/* The reconnect delay: doubling, jitter, limits (protocol A1). */
#include "wsf-link/backoff.h"

static void test_doubles(void)
{
    struct backoff backoff = {.min_ms = 1000, .max_ms = 60000};
    static const guint whole[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    for (guint i = 0; i < G_N_ELEMENTS(whole); i++)
        g_assert_cmpuint(backoff_next(&backoff, 0, 0), ==, whole[i]);
    backoff_reset(&backoff);
    g_assert_cmpuint(backoff_next(&backoff, 0, 0), ==, 1000);
}

static void test_jitter(void)
{
    static const guint32 randoms[] = {0, 1, 0x40000000, 0x80000000, 0xffffffff};
    for (guint i = 0; i < G_N_ELEMENTS(randoms); i++) {
        struct backoff backoff = {.min_ms = 1000, .max_ms = 60000};
        for (guint whole = 1000; whole <= 32000; whole *= 2) {
            guint delay = backoff_next(&backoff, 0, randoms[i]);
            g_assert_cmpuint(delay, >=, whole / 2);
            g_assert_cmpuint(delay, <=, whole);
        }
    }
}

static void test_shortened(void)
{
    struct backoff backoff = {.min_ms = 1000, .max_ms = 60000, .failures = 10};
    g_assert_cmpuint(backoff_next(&backoff, 5000, 0), ==, 5000);
    g_assert_cmpuint(backoff_next(&backoff, 90000, 0), ==, 60000);
}

static void test_never_overflows(void)
{
    struct backoff backoff = {.min_ms = G_MAXUINT, .max_ms = G_MAXUINT, .failures = G_MAXUINT};
    g_assert_cmpuint(backoff_next(&backoff, 0, 0), ==, G_MAXUINT);
    g_assert_cmpuint(backoff.failures, ==, G_MAXUINT);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/backoff/doubles", test_doubles);
    g_test_add_func("/backoff/jitter", test_jitter);
    g_test_add_func("/backoff/shortened", test_shortened);
    g_test_add_func("/backoff/never-overflows", test_never_overflows);
    return g_test_run();
}
