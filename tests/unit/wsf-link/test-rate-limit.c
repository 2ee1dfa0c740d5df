/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets and the bounded table of source addresses. */
#include "wsf-link/rate-limit.h"

#define SECOND ((gint64)G_USEC_PER_SEC)

static void test_bucket(void)
{
    struct rate_bucket bucket = {0};
    gint64 now = 5 * SECOND;
    for (int i = 0; i < 100; i++)
        g_assert_true(rate_take(&bucket, 50, 100, now));
    g_assert_false(rate_take(&bucket, 50, 100, now));
    g_assert_cmpuint(rate_wait_ms(&bucket, 50, 100, now), ==, 21);
    now += SECOND / 10;
    for (int i = 0; i < 5; i++)
        g_assert_true(rate_take(&bucket, 50, 100, now));
    g_assert_false(rate_take(&bucket, 50, 100, now));
    now += 3600 * SECOND; /* never fuller than full */
    for (int i = 0; i < 100; i++)
        g_assert_true(rate_take(&bucket, 50, 100, now));
    g_assert_false(rate_take(&bucket, 50, 100, now));
    g_assert_false(rate_take(&bucket, 50, 100, now - SECOND)); /* a clock that stands still */
}

static void test_unlimited(void)
{
    struct rate_bucket bucket = {0};
    for (int i = 0; i < 100000; i++)
        g_assert_true(rate_take(&bucket, 0, 0, 1));
    g_assert_cmpuint(rate_wait_ms(&bucket, 0, 0, 1), ==, 0);
    g_assert_true(rate_charge(&bucket, 0, 0, 1, 1));
}

static void test_debt(void)
{
    struct rate_bucket bucket = {0};
    gint64 now = SECOND;
    g_assert_true(rate_charge(&bucket, 10, 2, 1, now));
    g_assert_true(rate_charge(&bucket, 10, 2, 1, now));
    g_assert_false(rate_charge(&bucket, 10, 2, 1, now));
    g_assert_false(rate_charge(&bucket, 10, 2, 1, now));
    guint wait = rate_wait_ms(&bucket, 10, 2, now);
    g_assert_cmpuint(wait, >=, 300);
    g_assert_cmpuint(wait, <=, 302);
    g_assert_cmpuint(rate_wait_ms(&bucket, 10, 2, now + (gint64)wait * 1000), ==, 0);
}

static void test_keys(void)
{
    struct rate_table *table = rate_table_new(100);
    struct rate_address *a = rate_table_find(table, "192.0.2.1", 1);
    g_assert_true(a != rate_table_find(table, "192.0.2.2", 1));
    g_assert_true(a == rate_table_find(table, "::ffff:192.0.2.1", 1));
    struct rate_address *six = rate_table_find(table, "2001:db8:1:2:3:4:5:6", 1);
    g_assert_true(six == rate_table_find(table, "2001:db8:1:2::1", 1));
    g_assert_true(six != rate_table_find(table, "2001:db8:1:3::1", 1));
    g_assert_cmpuint(rate_table_size(table), ==, 4);
    rate_table_free(table);
}

static void test_bounded(void)
{
    struct rate_table *table = rate_table_new(4);
    char text[32];
    struct rate_address *kept = rate_table_find(table, "10.0.0.0", 1);
    kept->connections = 1;
    for (int i = 1; i < 1000; i++) {
        g_snprintf(text, sizeof text, "10.0.%d.%d", i / 256, i % 256);
        rate_table_find(table, text, i + 1);
        g_assert_cmpuint(rate_table_size(table), <=, 4);
    }
    g_assert_true(kept == rate_table_find(table, "10.0.0.0", 2000));
    /* Full of entries in use: newcomers share one. */
    const char *const used[] = {"10.1.0.1", "10.1.0.2", "10.1.0.3"};
    for (guint i = 0; i < 3; i++)
        rate_table_find(table, used[i], 3000)->connections = 1;
    struct rate_address *shared = rate_table_find(table, "10.2.0.1", 3001);
    g_assert_true(shared == rate_table_find(table, "10.2.0.2", 3001));
    g_assert_true(shared != kept);
    rate_table_free(table);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rate-limit/bucket", test_bucket);
    g_test_add_func("/rate-limit/unlimited", test_unlimited);
    g_test_add_func("/rate-limit/debt", test_debt);
    g_test_add_func("/rate-limit/keys", test_keys);
    g_test_add_func("/rate-limit/bounded", test_bounded);
    return g_test_run();
}
