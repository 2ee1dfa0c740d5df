/* SPDX-License-Identifier: Apache-2.0 */
#include "wmcf/relay/address-table.h"

#include <glib.h>

static union socket_address address(const char *ip, uint16_t port)
{
    union socket_address ret;
    g_assert_true(socket_address_parse(ip, port, &ret));
    return ret;
}

static void test_basic(void)
{
    struct address_table *table = address_table_new(7);
    union socket_address a = address("192.0.2.1", 1000), b = address("192.0.2.1", 1001);
    union socket_address six = address("2001:db8::1", 1000);
    int x, y;
    g_assert_null(address_table_find(table, 0, &a));
    address_table_put(table, 0, &a, &x);
    address_table_put(table, 0, &six, &y);
    g_assert_true(address_table_find(table, 0, &a) == &x);
    g_assert_true(address_table_find(table, 0, &six) == &y);
    g_assert_null(address_table_find(table, 1, &a)); /* another local socket */
    g_assert_null(address_table_find(table, 0, &b));
    address_table_put(table, 0, &a, &y);
    g_assert_cmpuint(address_table_count(table), ==, 2);
    address_table_remove(table, 0, &a, &x); /* not its owner any more */
    g_assert_true(address_table_find(table, 0, &a) == &y);
    address_table_remove(table, 0, &a, &y);
    g_assert_null(address_table_find(table, 0, &a));
    g_assert_cmpuint(address_table_count(table), ==, 1);
    address_table_free(table);
    address_table_free(NULL);
}

/* Thousands come and go in random order, beside a hash table of GLib's. */
static void test_churn(void)
{
    struct address_table *table = address_table_new(g_test_rand_int());
    enum { N = 5000 };
    static int owners[N];
    bool in[N] = {false};
    for (unsigned i = 0; i < 100000; i++) {
        unsigned k = (unsigned)g_test_rand_int_range(0, N);
        union socket_address a = address("10.0.0.1", (uint16_t)(k + 1));
        if (in[k])
            address_table_remove(table, 3, &a, &owners[k]);
        else
            address_table_put(table, 3, &a, &owners[k]);
        in[k] = !in[k];
    }
    unsigned n = 0;
    for (unsigned k = 0; k < N; k++) {
        union socket_address a = address("10.0.0.1", (uint16_t)(k + 1));
        g_assert_true(address_table_find(table, 3, &a) == (in[k] ? &owners[k] : NULL));
        n += in[k];
    }
    g_assert_cmpuint(address_table_count(table), ==, n);
    address_table_free(table);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/address-table/basic", test_basic);
    g_test_add_func("/address-table/churn", test_churn);
    return g_test_run();
}
