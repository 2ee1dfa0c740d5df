/* SPDX-License-Identifier: Apache-2.0 */
/* What counts as loopback, because only there TLS may be off (protocol A1). */
#include "wsf-link/ws-address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static void test_loopback_text(void)
{
    static const struct {
        const char *text;
        bool loopback;
    } rows[] = {
        {"127.0.0.1", true},  {"127.1.2.3", true},        {"::1", true},
        {"[::1]", true},      {"localhost", true},        {"LOCALHOST", true},
        {"128.0.0.1", false}, {"0.0.0.0", false},         {"::", false},
        {"::2", false},       {"::ffff:127.0.0.1", true}, {"::ffff:10.0.0.1", false},
        {"", false},          {"localhost.evil", false},  {"127.0.0.1.evil", false},
        {"127.1", false},     {"fe80::1", false},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        g_assert_cmpint(ws_address_text_is_loopback(rows[i].text), ==, rows[i].loopback);
}

static void test_text(void)
{
    struct sockaddr_storage address = {.ss_family = AF_INET6};
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address;
    char text[64];
    inet_pton(AF_INET6, "::ffff:192.0.2.7", &six->sin6_addr);
    ws_address_text(&address, text, sizeof text);
    g_assert_cmpstr(text, ==, "192.0.2.7");
    inet_pton(AF_INET6, "2001:db8::7", &six->sin6_addr);
    ws_address_text(&address, text, sizeof text);
    g_assert_cmpstr(text, ==, "2001:db8::7");
    address.ss_family = AF_UNIX;
    ws_address_text(&address, text, sizeof text);
    g_assert_cmpstr(text, ==, "");
}

static void test_cleartext_is_refused_elsewhere(void)
{
    static const char *const addresses[] = {NULL, "0.0.0.0", "::", "192.0.2.1", "nosuchif0"};
    for (guint i = 0; i < G_N_ELEMENTS(addresses); i++) {
        g_autoptr(GError) error = NULL;
        guint port = 0;
        g_assert_cmpint(ws_address_listen(addresses[i], 0, true, &port, &error), ==, -1);
        g_assert_nonnull(error);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ws-address/loopback-text", test_loopback_text);
    g_test_add_func("/ws-address/text", test_text);
    g_test_add_func("/ws-address/cleartext-is-refused-elsewhere",
                    test_cleartext_is_refused_elsewhere);
    return g_test_run();
}
