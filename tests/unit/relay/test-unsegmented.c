/* SPDX-License-Identifier: Apache-2.0 */
#include "wmcf/relay/unsegmented.h"

#include <glib.h>

static union socket_address address(const char *text, uint16_t port)
{
    union socket_address ret;
    g_assert_true(socket_address_parse(text, port, &ret));
    return ret;
}

static void test_hosts(void)
{
    struct unsegmented table = {0};
    union socket_address bad = address("192.0.2.1", 1000), same = address("192.0.2.1", 2000),
                         good = address("192.0.2.2", 1000), six = address("2001:db8::1", 1000);
    g_assert_false(unsegmented_any(&table));
    g_assert_false(unsegmented_has(&table, &bad, 1));
    unsegmented_add(&table, &bad, 1);
    unsegmented_add(&table, &six, 1);
    g_assert_true(unsegmented_any(&table));
    g_assert_true(unsegmented_has(&table, &bad, 2));
    g_assert_true(unsegmented_has(&table, &same, 2));
    g_assert_true(unsegmented_has(&table, &six, 2));
    g_assert_false(unsegmented_has(&table, &good, 2));
}

static void test_retry(void)
{
    struct unsegmented table = {0};
    union socket_address one = address("192.0.2.1", 1), two = address("192.0.2.2", 1);
    unsegmented_add(&table, &one, 0);
    unsegmented_add(&table, &two, 1000);
    g_assert_true(unsegmented_has(&table, &one, UNSEGMENTED_RETRY_US - 1));
    g_assert_false(unsegmented_has(&table, &one, UNSEGMENTED_RETRY_US));
    g_assert_true(unsegmented_has(&table, &two, UNSEGMENTED_RETRY_US));
    unsegmented_expire(&table, UNSEGMENTED_RETRY_US);
    g_assert_true(unsegmented_any(&table));
    unsegmented_expire(&table, UNSEGMENTED_RETRY_US + 1000);
    g_assert_false(unsegmented_any(&table));
}

/* Too many to tell apart: then all are; and none is for ever. */
static void test_many(void)
{
    struct unsegmented table = {0};
    union socket_address good = address("198.51.100.1", 1);
    for (unsigned i = 0; i < 1000; i++) {
        g_autofree char *text = g_strdup_printf("10.0.%u.%u", i / 250, i % 250 + 1);
        union socket_address bad = address(text, 1);
        unsegmented_add(&table, &bad, 5);
        g_assert_true(unsegmented_has(&table, &bad, 5));
    }
    g_assert_true(unsegmented_has(&table, &good, 5));
    g_assert_false(unsegmented_has(&table, &good, 5 + UNSEGMENTED_RETRY_US));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/unsegmented/hosts", test_hosts);
    g_test_add_func("/unsegmented/retry", test_retry);
    g_test_add_func("/unsegmented/many", test_many);
    return g_test_run();
}
