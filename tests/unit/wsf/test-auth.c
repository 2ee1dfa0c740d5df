/* SPDX-License-Identifier: Apache-2.0 */
/* The pool of hashing threads: answers, its bound, its end with work left; reload; what failures
 * cost.
 */
#include "wsf/auth.h"

#include "base/loop.h"
#include "base/problem.h"
#include "wsf/auth-basic.h"

#include <glib/gstdio.h>

#define ALICE "alice@example.org"

static const struct conf_key keys[] = {
#define CONF_KEY(...) {__VA_ARGS__},
#include "wsf/conf.def"
#undef CONF_KEY
};

static char *file;
static struct conf *conf;
static guint expected, good, bad;

static void on_checked(bool is_good, void *user)
{
    loop_assert();
    *(is_good ? &good : &bad) += 1;
    if (good + bad == expected)
        loop_quit();
}

static bool check(struct auth *auth, const char *id, const char *password, GError **error)
{
    return auth_check_basic(auth, id, password, on_checked, NULL, error);
}

static void run(guint n)
{
    expected = n;
    loop_run(NULL);
}

static void test_answers(void)
{
    struct auth *auth = auth_new(conf, NULL);
    good = bad = 0;
    g_assert_true(auth_has_basic(auth) && !auth_has_bearer(auth));
    g_assert_true(check(auth, ALICE, "one", NULL));
    g_assert_true(check(auth, ALICE, "two", NULL));
    g_assert_true(check(auth, "nobody@example.org", "one", NULL));
    run(3);
    g_assert_cmpuint(good, ==, 1);
    g_assert_cmpuint(bad, ==, 2);
    auth_free(auth);
}

static void test_bound(void)
{
    struct auth *auth = auth_new(conf, NULL);
    g_autoptr(GError) error = NULL;
    good = bad = 0;
    for (int i = 0; i < 4; i++)
        g_assert_true(check(auth, ALICE, "one", NULL));
    g_assert_false(check(auth, ALICE, "one", &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_RESOURCES_UNAVAILABLE);
    g_assert_cmpuint(problem_retry_after(error), >, 0);
    run(4);
    g_assert_cmpuint(good, ==, 4);
    g_assert_true(check(auth, ALICE, "one", NULL));
    run(5);
    auth_free(auth);
}

static void quit(void *data)
{
    loop_quit();
}

/* Who still waits is told at once; the posts that are on their way find nothing to do. */
static void test_end(void)
{
    struct auth *auth = auth_new(conf, NULL);
    good = bad = 0;
    expected = 100;
    for (int i = 0; i < 4; i++)
        g_assert_true(check(auth, ALICE, "one", NULL));
    auth_free(auth);
    g_assert_cmpuint(bad, ==, 4);
    loop_post("quit", quit, NULL);
    loop_run(NULL);
    g_assert_cmpuint(good + bad, ==, 4);
}

static void test_reload(void)
{
    struct auth *auth = auth_new(conf, NULL);
    g_autofree char *before = NULL;
    good = bad = 0;
    g_assert_true(g_file_get_contents(file, &before, NULL, NULL));
    g_assert_true(g_file_set_contents(file, "nonsense", -1, NULL));
    g_assert_false(auth_reload(auth, NULL));
    g_assert_true(check(auth, ALICE, "one", NULL));
    run(1);
    g_assert_true(g_file_set_contents(file, "", -1, NULL));
    g_assert_true(auth_reload(auth, NULL));
    g_assert_true(check(auth, ALICE, "one", NULL));
    run(2);
    g_assert_cmpuint(good, ==, 1);
    g_assert_cmpuint(bad, ==, 1);
    g_assert_true(g_file_set_contents(file, before, -1, NULL));
    auth_free(auth);
}

static void test_failures(void)
{
    struct auth *auth = auth_new(conf, NULL);
    g_autoptr(GError) error = NULL;
    g_assert_true(auth_admit(auth, ALICE, "192.0.2.1", NULL));
    g_assert_cmpuint(auth_failed(auth, ALICE, "192.0.2.1"), ==, 0);
    g_assert_cmpuint(auth_failed(auth, ALICE, "192.0.2.2"), ==, 1);
    g_assert_false(auth_admit(auth, ALICE, "192.0.2.3", &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_TOO_MANY_REQUESTS);
    auth_succeeded(auth, ALICE);
    g_assert_true(auth_admit(auth, ALICE, "192.0.2.1", NULL));
    g_assert_cmpuint(auth_failed(auth, "bob@example.org", "192.0.2.1"), ==, 0);
    g_assert_cmpuint(auth_failed(auth, "carol@example.org", "192.0.2.1"), ==, 1);
    g_assert_false(auth_admit(auth, "dave@example.org", "192.0.2.1", NULL));
    auth_free(auth);
}

static struct conf *load(void)
{
    g_autofree char *credentials = g_strconcat("auth.credentials_file=", file, NULL);
    const char *const sets[] = {credentials, "auth.hash_queue_max=4",
                                "auth.failures_free_identity=2", "auth.failures_free_address=3",
                                NULL};
    return conf_load("test", keys, G_N_ELEMENTS(keys), NULL, true, sets, NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    int fd = g_file_open_tmp("users-XXXXXX", &file, NULL);
    g_close(fd, NULL);
    g_assert_true(auth_basic_add_user(file, ALICE, "one", NULL));
    conf = load();
    g_assert_nonnull(conf);
    g_test_add_func("/auth/answers", test_answers);
    g_test_add_func("/auth/bound", test_bound);
    g_test_add_func("/auth/reload", test_reload);
    g_test_add_func("/auth/failures", test_failures);
    g_test_add_func("/auth/end", test_end);
    int status = g_test_run();
    conf_free(conf);
    g_remove(file);
    g_free(file);
    return status;
}
