/* SPDX-License-Identifier: Apache-2.0 */
/* Rates of identities, with injected time and a bound on memory. */
#include "wsf/admission.h"

#define S ((gint64)G_USEC_PER_SEC)

static void test_rate(void)
{
    struct admission *admission = admission_new(10);
    guint wait = 0;
    for (int i = 0; i < 3; i++)
        g_assert_true(admission_rate(admission, "alice", 3, S, &wait));
    g_assert_false(admission_rate(admission, "alice", 3, S, &wait));
    g_assert_cmpuint(wait, ==, 1);
    g_assert_true(admission_rate(admission, "bob", 3, S, &wait));
    g_assert_true(admission_rate(admission, "alice", 3, 2 * S, &wait));
    for (int i = 0; i < 100; i++)
        g_assert_true(admission_rate(admission, "alice", 0, 2 * S, &wait)); /* not limited */
    admission_free(admission);
}

/* With more identities than are kept the one unused longest begins anew. */
static void test_bound(void)
{
    struct admission *admission = admission_new(2);
    guint wait = 0;
    g_assert_true(admission_rate(admission, "a", 1, S, &wait));
    g_assert_true(admission_rate(admission, "b", 1, S, &wait));
    g_assert_false(admission_rate(admission, "a", 1, S, &wait));
    g_assert_true(admission_rate(admission, "c", 1, S, &wait)); /* b is forgotten */
    g_assert_false(admission_rate(admission, "a", 1, S, &wait));
    g_assert_true(admission_rate(admission, "b", 1, S, &wait));
    admission_free(admission);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/admission/rate", test_rate);
    g_test_add_func("/admission/bound", test_bound);
    return g_test_run();
}
