/* SPDX-License-Identifier: Apache-2.0 */
/* The credentials file, its hashes and the header field of RFC 7617. */
#include "wsf/auth-basic.h"

#include "base/problem.h"

#include <glib/gstdio.h>
#include <string.h>

static char *scratch_file(const char *text)
{
    char *file = NULL;
    int fd = g_file_open_tmp("users-XXXXXX", &file, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_close(fd, NULL);
    g_assert_true(g_file_set_contents(file, text, -1, NULL));
    return file;
}

static bool good(struct auth_basic *basic, const char *id, const char *password)
{
    bool known = false;
    g_autofree char *hash = auth_basic_hash(basic, id, &known);
    return auth_basic_verify(hash, password) && known;
}

static void test_file(void)
{
    g_autofree char *file = scratch_file("# users\n\n");
    g_assert_true(auth_basic_add_user(file, "alice@Example.org", "one", NULL));
    g_assert_true(auth_basic_add_user(file, "bob@example.org", "två", NULL));
    g_assert_true(auth_basic_add_user(file, "alice@example.org", "three", NULL));
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
    g_assert_true(g_str_has_prefix(text, "# users\n"));
    g_assert_nonnull(strstr(text, "\nalice@example.org:$y$"));
    GStatBuf status;
    g_assert_cmpint(g_stat(file, &status), ==, 0);
    g_assert_cmpuint(status.st_mode & 0777, ==, 0600);

    struct auth_basic *basic = auth_basic_load(file, NULL);
    g_assert_cmpuint(auth_basic_count(basic), ==, 2);
    g_assert_true(good(basic, "alice@example.org", "three"));
    g_assert_false(good(basic, "alice@example.org", "one"));
    g_assert_true(good(basic, "bob@example.org", "två"));
    g_assert_false(good(basic, "bob@example.org", ""));
    /* Unknown, although the password is that of the decoy's owner. */
    g_assert_false(good(basic, "eve@example.org", "two"));
    g_assert_false(good(basic, "eve@example.org", "three"));
    g_assert_false(good(basic, "", "three"));
    auth_basic_free(basic);
    g_remove(file);
}

static void test_bad_files(void)
{
    static const char *const texts[] = {"alice@example.org\n", "alice:$y$j9T$x$y\n",
                                        "alice@example.org:plain\n", "alice@example.org:\n",
                                        ":$y$j9T$x$y\n"};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autofree char *file = scratch_file(texts[i]);
        g_autoptr(GError) error = NULL;
        g_assert_null(auth_basic_load(file, &error));
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
        g_assert_nonnull(strstr(error->message, "line 1"));
        g_remove(file);
    }
    g_autoptr(GError) error = NULL;
    g_assert_null(auth_basic_load("/nonexistent/users", &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
}

static void test_empty_file(void)
{
    g_autofree char *file = scratch_file("");
    struct auth_basic *basic = auth_basic_load(file, NULL);
    g_assert_nonnull(basic);
    g_assert_false(good(basic, "alice@example.org", "one"));
    auth_basic_free(basic);
    g_remove(file);
}

static void test_add_user(void)
{
    g_autofree char *file = scratch_file("");
    g_autofree char *long_password = g_strnfill(2000, 'x');
    g_assert_false(auth_basic_add_user(file, "alice", "one", NULL));
    g_assert_false(auth_basic_add_user(file, "alice@example.org", "", NULL));
    g_assert_false(auth_basic_add_user(file, "alice@example.org", long_password, NULL));
    g_assert_false(auth_basic_add_user("/nonexistent/users", "alice@example.org", "one", NULL));
    g_remove(file);
}

static char *field(const char *text, gsize length)
{
    g_autofree char *encoded = g_base64_encode((const guchar *)text, length);
    return g_strconcat("Basic ", encoded, NULL);
}

static void test_parse(void)
{
    g_autofree char *user = NULL, *password = NULL, *whole = field("alice@x.org:a:b ü", 18);
    g_assert_true(auth_basic_parse(whole, &user, &password, NULL));
    g_assert_cmpstr(user, ==, "alice@x.org");
    g_assert_cmpstr(password, ==, "a:b ü");

    g_autofree char *no_colon = field("alice", 5), *nul = field("a:b\0c", 5),
                    *latin = field("a:\xff\xfe", 4);
    const char *const bad[] = {no_colon, nul,      latin,         "",
                               "Basic",  "Basic ", "Bearer YTpi", "Basic !"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        char *u = NULL, *p = NULL;
        g_assert_false(auth_basic_parse(bad[i], &u, &p, &error));
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
        g_assert_cmpstr(problem_param(error), ==, "/authorization");
        g_assert_true(u == NULL && p == NULL);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/auth-basic/file", test_file);
    g_test_add_func("/auth-basic/bad-files", test_bad_files);
    g_test_add_func("/auth-basic/empty-file", test_empty_file);
    g_test_add_func("/auth-basic/add-user", test_add_user);
    g_test_add_func("/auth-basic/parse", test_parse);
    return g_test_run();
}
