/* SPDX-License-Identifier: Apache-2.0 */
/* The problem table and what a GError of ours carries beside its sentence. */
#include "base/problem.h"

static void test_table(void)
{
    for (int i = 0; i < PROBLEM_COUNT; i++) {
        g_assert_cmpint(problem_from_cause(problem_cause(i)), ==, i);
        g_assert_cmpint(problem_status(i), >=, 400);
        g_assert_cmpint(problem_status(i), <=, 504);
        g_assert_cmpstr(problem_title(i), !=, "");
        if (i > 0)
            g_assert_cmpint(problem_status(i), >=, problem_status(i - 1));
    }
    g_assert_cmpint(problem_from_cause("NO_SUCH_CAUSE"), ==, -1);
    g_assert_cmpstr(problem_cause(-1), ==, "INTERNAL_ERROR");
    g_assert_cmpint(problem_status(PROBLEM_COUNT), ==, 500);
    g_assert_cmpstr(problem_cause(PROBLEM_OFFER_GLARE), ==, "OFFER_GLARE");
}

static void test_members(void)
{
    g_autoptr(GError) plain = NULL, param = NULL, retry = NULL;
    problem_set(&plain, PROBLEM_USER_BUSY, "user %s is busy", "bob@example");
    g_assert_cmpstr(plain->message, ==, "user bob@example is busy");
    g_assert_null(problem_param(plain));
    g_assert_cmpuint(problem_retry_after(plain), ==, 0);

    problem_set_param(&param, PROBLEM_MISSING_PARAMETER, "/sdpOffer", "sdpOffer is missing");
    g_assert_cmpstr(problem_param(param), ==, "/sdpOffer");
    g_autoptr(GError) copy = g_error_copy(param);
    g_clear_error(&param);
    g_assert_cmpstr(problem_param(copy), ==, "/sdpOffer");

    problem_set_retry(&retry, PROBLEM_DRAINING, 30, "draining");
    g_prefix_error(&retry, "link 1: ");
    g_assert_cmpuint(problem_retry_after(retry), ==, 30);
    g_assert_cmpint(problem_code(retry), ==, PROBLEM_DRAINING);
    problem_set(NULL, PROBLEM_DRAINING, "nobody listens");
}

static void test_foreign(void)
{
    g_autoptr(GError) foreign = g_error_new_literal(G_FILE_ERROR, G_FILE_ERROR_NOENT, "gone");
    g_assert_cmpint(problem_code(foreign), ==, PROBLEM_INTERNAL_ERROR);
    g_assert_null(problem_param(foreign));
    g_assert_cmpuint(problem_retry_after(foreign), ==, 0);
    g_assert_cmpint(problem_code(NULL), ==, PROBLEM_INTERNAL_ERROR);
    g_assert_null(problem_param(NULL));
}

static void test_bad_utf8(void)
{
    g_autoptr(GError) error = NULL;
    problem_set(&error, PROBLEM_INVALID_SDP, "line '%s'", "\xff\xfe");
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/problem/table", test_table);
    g_test_add_func("/problem/members", test_members);
    g_test_add_func("/problem/foreign", test_foreign);
    g_test_add_func("/problem/bad-utf8", test_bad_utf8);
    return g_test_run();
}
