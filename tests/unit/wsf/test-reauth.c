/* SPDX-License-Identifier: Apache-2.0 */
/* Re-authentication credentials: which of them is good after which loss. */
#include "wsf/reauth.h"

static void test_rotation(void)
{
    struct reauth reauth = {0};
    g_assert_cmpint(reauth_check(&reauth, ""), ==, REAUTH_NO_MATCH);
    g_autofree char *one = reauth_rotate(&reauth, REAUTH_NO_MATCH);
    g_assert_cmpint(reauth_check(&reauth, one), ==, REAUTH_CURRENT);
    g_autofree char *two = reauth_rotate(&reauth, REAUTH_CURRENT);
    g_assert_cmpstr(one, !=, two);
    g_assert_cmpint(reauth_check(&reauth, two), ==, REAUTH_CURRENT);
    g_assert_cmpint(reauth_check(&reauth, one), ==, REAUTH_FORMER);
    reauth_confirm(&reauth);
    g_assert_cmpint(reauth_check(&reauth, one), ==, REAUTH_NO_MATCH);
    g_assert_cmpint(reauth_check(&reauth, two), ==, REAUTH_CURRENT);
}

/* The response with the new credential was lost, more than once: the peer comes with the old one.
 */
static void test_lost_responses(void)
{
    struct reauth reauth = {0};
    g_autofree char *held = reauth_rotate(&reauth, REAUTH_NO_MATCH);
    enum reauth_match match = REAUTH_CURRENT;
    for (int i = 0; i < 3; i++) {
        g_autofree char *lost = reauth_rotate(&reauth, match);
        match = reauth_check(&reauth, held);
        g_assert_cmpint(match, ==, REAUTH_FORMER);
    }
}

/* The response arrived, the connection died before the first request on it. */
static void test_unconfirmed_is_used(void)
{
    struct reauth reauth = {0};
    g_autofree char *one = reauth_rotate(&reauth, REAUTH_NO_MATCH);
    g_autofree char *two = reauth_rotate(&reauth, reauth_check(&reauth, one));
    g_autofree char *three = reauth_rotate(&reauth, reauth_check(&reauth, two));
    g_assert_cmpint(reauth_check(&reauth, two), ==, REAUTH_FORMER);
    g_assert_cmpint(reauth_check(&reauth, three), ==, REAUTH_CURRENT);
    g_assert_cmpint(reauth_check(&reauth, one), ==, REAUTH_NO_MATCH);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/reauth/rotation", test_rotation);
    g_test_add_func("/reauth/lost-responses", test_lost_responses);
    g_test_add_func("/reauth/unconfirmed-is-used", test_unconfirmed_is_used);
    return g_test_run();
}
