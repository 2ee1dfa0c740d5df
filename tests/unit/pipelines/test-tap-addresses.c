/* SPDX-License-Identifier: Apache-2.0 */
#include "pipelines/tap-addresses.h"

static bool allowed(const char *entry, const char *said)
{
    const char *const list[] = {entry, NULL};
    struct tap_address address;
    g_autoptr(GError) error = NULL;
    if (!tap_address_read(said, "/x", &address, &error))
        g_error("%s: %s", said, error->message);
    return tap_address_allowed(list, &address, "/x", NULL);
}

static void test_list(void)
{
    static const char *const good[] = {
        "192.0.2.7",          "192.0.2.0/24:5000-5999", "192.0.2.7:5004",
        "[2001:db8::7]:5004", "[2001:db8::/32]:1-9",    "2001:db8::7",
        "0.0.0.0/0"};
    static const char *const bad[] = {
        "",          "localhost", "192.0.2.7:",  "192.0.2.7:0",   "192.0.2/24",    "192.0.2.0/33",
        "[::1]5004", "[::1",      "1.2.3.4:9-8", "1.2.3.4:70000", "1.2.3.4:5-6-7", "::1/129"};
    for (gsize i = 0; i < G_N_ELEMENTS(good); i++)
        g_assert_true(tap_addresses_check(good[i], NULL));
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(tap_addresses_check(bad[i], &error));
        g_assert_nonnull(error);
    }
}

static void test_said(void)
{
    static const char *const bad[] = {"",
                                      "192.0.2.7",
                                      "192.0.2.7:0",
                                      "192.0.2.0/24:5004",
                                      "192.0.2.7:5-6",
                                      "localhost:5004",
                                      "2001:db8::7",
                                      "[::]:5004",
                                      "0.0.0.0:5004",
                                      "[::ffff:192.0.2.7]:5004",
                                      "192.0.2.7:5004 ",
                                      "192.0.2.7/32:5004",
                                      "0x7f.1:5004"};
    struct tap_address address;
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(tap_address_read(bad[i], "/x", &address, NULL));
    g_assert_true(tap_address_read("[2001:0db8:0::7]:5004", "/x", &address, NULL));
    g_assert_cmpstr(address.host, ==, "2001:db8::7");
    g_assert_cmpuint(address.port, ==, 5004);
}

static void test_allowed(void)
{
    struct tap_address address;
    g_assert_true(tap_address_read("192.0.2.7:5004", "/x", &address, NULL));
    g_assert_false(tap_address_allowed(NULL, &address, "/x", NULL));
    g_assert_true(allowed("192.0.2.0/24:5000-5999", "192.0.2.7:5004"));
    g_assert_true(allowed("192.0.2.7", "192.0.2.7:1"));
    g_assert_false(allowed("192.0.2.0/24:5000-5999", "192.0.2.7:6000"));
    g_assert_false(allowed("192.0.2.0/24", "192.0.3.7:5004"));
    g_assert_false(allowed("192.0.2.0/25", "192.0.2.200:5004"));
    g_assert_true(allowed("[2001:db8::/33]:5004", "[2001:db8:7fff::1]:5004"));
    g_assert_false(allowed("[2001:db8::/33]:5004", "[2001:db8:8000::1]:5004"));
    g_assert_false(allowed("0.0.0.0/0", "[2001:db8::1]:5004"));
}

/* What reaches many is allowed only by its own name. */
static void test_many(void)
{
    g_assert_false(allowed("192.0.2.0/24", "192.0.2.255:5004"));
    g_assert_false(allowed("192.0.2.0/24", "192.0.2.0:5004"));
    g_assert_true(allowed("192.0.2.255", "192.0.2.255:5004"));
    g_assert_true(allowed("192.0.2.6/31", "192.0.2.7:5004"));
    g_assert_false(allowed("0.0.0.0/0", "255.255.255.255:5004"));
    g_assert_false(allowed("0.0.0.0/0", "239.1.2.3:5004"));
    g_assert_false(allowed("224.0.0.0/3", "239.1.2.3:5004"));
    g_assert_true(allowed("239.1.0.0/16", "239.1.2.3:5004"));
    g_assert_false(allowed("::/0", "[ff02::1]:5004"));
    g_assert_true(allowed("ff15::/16", "[ff15::7]:5004"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tap-addresses/list", test_list);
    g_test_add_func("/tap-addresses/said", test_said);
    g_test_add_func("/tap-addresses/allowed", test_allowed);
    g_test_add_func("/tap-addresses/many", test_many);
    return g_test_run();
}
