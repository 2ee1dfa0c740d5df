/* SPDX-License-Identifier: Apache-2.0 */
/* Classes of methods: known, application, other (protocol A6). */
#include "wsf-link/link-core.h"

static void test_known(void)
{
    static const char *const methods[] = {"msetup", NULL};
    static const struct link_protocol protocol = {.methods = methods};
    g_assert_true(link_method_known(&protocol, "msetup"));
    g_assert_true(link_method_known(&protocol, "auth"));
    g_assert_false(link_method_known(&protocol, "msetup2"));
    g_assert_false(link_method_known(&protocol, "mset"));
}

static void test_application(void)
{
    static const struct {
        const char *method;
        bool ok;
    } rows[] = {
        {"chat.example.org", true},
        {"chat.a.b", true},
        {"chat-2.x1.co.uk", true},
        {"chat", false},
        {"chat.", false},
        {"chat.org", false},
        {".example.org", false},
        {"chat..org", false},
        {"chat.example.", false},
        {"chat.example..org", false},
        {"chat.-a.org", false},
        {"chat.a-.org", false},
        {"chat.ex ample.org", false},
        {"chat.ex_ample.org", false},
        {"chat.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.org", false},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        g_assert_cmpint(link_method_is_application(rows[i].method), ==, rows[i].ok);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/link-metrics/known", test_known);
    g_test_add_func("/link-metrics/application", test_application);
    return g_test_run();
}
