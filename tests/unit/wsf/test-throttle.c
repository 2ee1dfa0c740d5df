/* SPDX-License-Identifier: Apache-2.0 */
/* The growing wait, its end, and the bound of the table. */
#include "wsf/throttle.h"

#define S ((gint64)G_USEC_PER_SEC)

static void test_grows(void)
{
    static const guint waits[] = {0, 0, 1, 2, 4, 8, 10, 10};
    struct throttle *throttle = throttle_new(3, 10, 100);
    gint64 now = 1000 * S;
    for (guint i = 0; i < G_N_ELEMENTS(waits); i++) {
        g_assert_cmpuint(throttle_failed(throttle, "alice", now), ==, waits[i]);
        g_assert_cmpuint(throttle_wait(throttle, "alice", now), ==, waits[i]);
        g_assert_cmpuint(throttle_wait(throttle, "bob", now), ==, 0);
    }
    g_assert_cmpuint(throttle_wait(throttle, "alice", now + 9 * S + 1), ==, 1);
    g_assert_cmpuint(throttle_wait(throttle, "alice", now + 10 * S), ==, 0);
    throttle_forget(throttle, "alice");
    g_assert_cmpuint(throttle_failed(throttle, "alice", now), ==, 0);
    throttle_free(throttle);
}

static void test_forgets(void)
{
    struct throttle *throttle = throttle_new(1, 60, 100);
    g_assert_cmpuint(throttle_failed(throttle, "a", S), ==, 1);
    g_assert_cmpuint(throttle_failed(throttle, "a", 2 * S), ==, 2);
    g_assert_cmpuint(throttle_failed(throttle, "a", 3600 * S), ==, 1);
    throttle_free(throttle);
}

static void test_bounded(void)
{
    struct throttle *throttle = throttle_new(1, 60, 16);
    for (guint i = 0; i < 1000; i++) {
        g_autofree char *key = g_strdup_printf("key-%u", i);
        throttle_failed(throttle, key, (i + 1) * S / 1000);
        throttle_failed(throttle, "kept", (i + 1) * S / 1000);
    }
    g_assert_cmpuint(throttle_size(throttle), ==, 16);
    g_assert_cmpuint(throttle_wait(throttle, "kept", S), ==, 60);
    g_assert_cmpuint(throttle_wait(throttle, "key-0", S), ==, 0);
    throttle_free(throttle);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/throttle/grows", test_grows);
    g_test_add_func("/throttle/forgets", test_forgets);
    g_test_add_func("/throttle/bounded", test_bounded);
    return g_test_run();
}
