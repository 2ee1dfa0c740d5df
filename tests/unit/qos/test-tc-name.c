/* SPDX-License-Identifier: Apache-2.0 */
#include "qos/tc-name.h"

static void test_made_and_read(void)
{
    static const char *const names[] = {"wmcf-40000", "wmcf-1.2", "wmcf-pid-371",
                                        "wmcf-pid-371.64"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        for (int mark = 0; mark < 2; mark++) {
            bool clsact = !mark;
            g_autofree char *text = tc_name_make(names[i], mark);
            g_autofree char *name = tc_name_read(text, &clsact);
            g_assert_cmpstr(name, ==, names[i]);
            g_assert_true(clsact == (mark == 1));
            clsact = !mark;
            g_assert_true(tc_name_is(text, names[i], &clsact));
            g_assert_true(clsact == (mark == 1));
        }
    }
}

/* What others may call theirs: never to be removed. */
static void test_of_others(void)
{
    static const char *const texts[] = {
        "",
        "wmcf",
        "wmcf-",
        "wmcf-monitor",
        "wmcf-40000x",
        "wmcf-40000.",
        "wmcf-.2",
        "wmcf-40000.2.3",
        "wmcf-pid-",
        "wmcf-pid",
        "my-40000",
        "wmcf-40000+",
        "wmcf--1",
        "+clsact",
        "wmcf-+clsact",
        "WMCF-40000",
        " wmcf-40000",
        "wmcf-40000+clsact2",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        bool clsact;
        g_autofree char *name = tc_name_read(texts[i], &clsact);
        if (name)
            g_error("\"%s\" is taken for \"%s\"", texts[i], name);
    }
}

static void test_not_another(void)
{
    bool clsact;
    g_assert_false(tc_name_is("wmcf-40000", "wmcf-4000", &clsact));
    g_assert_false(tc_name_is("wmcf-4000", "wmcf-40000", &clsact));
    g_assert_false(tc_name_is("wmcf-40000.2", "wmcf-40000", &clsact));
    g_assert_false(tc_name_is("wmcf-40000+clsac", "wmcf-40000", &clsact));
}

static void test_port(void)
{
    g_assert_cmpuint(tc_name_port("wmcf-40000"), ==, 40000);
    g_assert_cmpuint(tc_name_port("wmcf-40000.2"), ==, 40000);
    g_assert_cmpuint(tc_name_port("wmcf-pid-40000"), ==, 0);
    g_assert_cmpuint(tc_name_port("wmcf-70000"), ==, 0);
    g_assert_cmpuint(tc_name_port("wmcf-99999999999999999999999"), ==, 0);
    g_assert_cmpuint(tc_name_port("wmcf-monitor"), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tc-name/made-and-read", test_made_and_read);
    g_test_add_func("/tc-name/of-others", test_of_others);
    g_test_add_func("/tc-name/not-another", test_not_another);
    g_test_add_func("/tc-name/port", test_port);
    return g_test_run();
}
