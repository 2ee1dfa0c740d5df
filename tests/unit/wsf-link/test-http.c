/* SPDX-License-Identifier: Apache-2.0 */
/* Pages, redirects, files, tags, and every way out of the folder that must be shut. */
#include "wsf-link/http-core.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

struct fixture {
    char *top, *root;
    struct http_server *server;
};

static void put_file(const char *folder, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void link_to(const char *to, const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_assert_cmpint(symlink(to, path), ==, 0);
}

static void page(const char *path, struct http_reply *ret_reply, void *user)
{
    ret_reply->status = 503;
    ret_reply->content_type = "text/html";
    ret_reply->body = g_strdup(user);
    ret_reply->length = strlen(ret_reply->body);
}

static void set_up(struct fixture *f, gconstpointer data)
{
    f->top = g_dir_make_tmp("http-XXXXXX", NULL);
    f->root = g_build_filename(f->top, "web", NULL);
    g_autofree char *sub = g_build_filename(f->root, "sub", NULL);
    g_autofree char *hidden = g_build_filename(f->root, ".git", NULL);
    g_autofree char *sibling = g_build_filename(f->top, "web-secret", NULL);
    g_mkdir_with_parents(sub, 0755);
    g_mkdir_with_parents(hidden, 0755);
    g_mkdir_with_parents(sibling, 0755);
    put_file(f->root, "index.html", "<p>home");
    put_file(f->root, "a.js", "1");
    put_file(f->root, "empty.txt", "");
    put_file(sub, "index.html", "<p>sub");
    put_file(hidden, "config", "secret");
    put_file(f->root, ".env", "secret");
    put_file(f->top, "secret.txt", "secret");
    put_file(sibling, "x.txt", "secret");
    link_to("../secret.txt", f->root, "out.txt");
    link_to("..", f->root, "up");
    link_to("../web-secret", f->root, "side");
    link_to("a.js", f->root, "inside.js");
    f->server = http_server_new();
    http_server_add_page(f->server, "/metrics", page, (char *)"<p>page");
    http_server_add_redirect(f->server, "/old", "/new");
    http_server_add_folder(f->server, "/", f->root);
    http_server_add_folder(f->server, "/lib", sub);
}

static void tear_down(struct fixture *f, gconstpointer data)
{
    http_server_free(f->server);
    const char *const remove[] = {"rm", "-rf", f->top, NULL};
    g_spawn_sync(NULL, (char **)remove, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL,
                 NULL);
    g_free(f->top);
    g_free(f->root);
}

static void test_served(struct fixture *f, gconstpointer data)
{
    static const struct {
        const char *path, *text, *type;
    } rows[] = {
        {"/", "<p>home", "text/html; charset=utf-8"},
        {"/index.html", "<p>home", "text/html; charset=utf-8"},
        {"/a.js", "1", "text/javascript; charset=utf-8"},
        {"/inside.js", "1", "text/javascript; charset=utf-8"},
        {"/sub/", "<p>sub", "text/html; charset=utf-8"},
        {"/lib/", "<p>sub", "text/html; charset=utf-8"},
        {"/empty.txt", "", "text/plain; charset=utf-8"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct http_answer answer;
        http_server_answer(f->server, rows[i].path, NULL, &answer);
        g_assert_cmpuint(answer.status, ==, 200);
        g_assert_cmpstr(answer.content_type, ==, rows[i].type);
        g_assert_cmpuint(answer.length, ==, strlen(rows[i].text));
        char text[64] = {0};
        g_assert_cmpint(read(answer.fd, text, sizeof text - 1), ==, (gssize)answer.length);
        g_assert_cmpstr(text, ==, rows[i].text);
        g_assert_cmpint(answer.html, ==, g_str_has_prefix(rows[i].type, "text/html"));
        http_answer_clear(&answer);
    }
}

static void test_not_found(struct fixture *f, gconstpointer data)
{
    static const char *const paths[] = {
        "",
        "x",
        "//",
        "//a.js",
        "/nothing",
        "/a.js/",
        "/a.js/x",
        "/.env",
        "/.git/config",
        "/sub/../a.js",
        "/../secret.txt",
        "/..",
        "/.",
        "/./a.js",
        "/sub/..",
        "/out.txt",
        "/up/secret.txt",
        "/up/",
        "/up",
        "/side/x.txt",
        "/..\\secret.txt",
        "/a\n.js",
        "/lib../a.js",
        "/metrics/",
        "/sub/.",
        "/etc/passwd",
        "/\x7f",
    };
    for (guint i = 0; i < G_N_ELEMENTS(paths); i++) {
        struct http_answer answer;
        http_server_answer(f->server, paths[i], NULL, &answer);
        g_assert_cmpuint(answer.status, ==, 404);
        g_assert_cmpint(answer.fd, ==, -1);
        http_answer_clear(&answer);
    }
    g_autofree char *slashes = g_strnfill(5000, 'a');
    slashes[0] = '/';
    struct http_answer answer;
    http_server_answer(f->server, slashes, NULL, &answer);
    g_assert_cmpuint(answer.status, ==, 404);
    http_answer_clear(&answer);
    http_server_answer(NULL, "/", NULL, &answer);
    g_assert_cmpuint(answer.status, ==, 404);
    http_answer_clear(&answer);
}

static void test_tags(struct fixture *f, gconstpointer data)
{
    struct http_answer answer;
    http_server_answer(f->server, "/a.js", NULL, &answer);
    g_autofree char *etag = g_strdup(answer.etag);
    http_answer_clear(&answer);
    g_autofree char *weak = g_strconcat("W/", etag, NULL);
    g_autofree char *list = g_strconcat("\"x\", ", etag, NULL);
    const char *const same[] = {etag, weak, list, "*"};
    for (guint i = 0; i < G_N_ELEMENTS(same); i++) {
        http_server_answer(f->server, "/a.js", same[i], &answer);
        g_assert_cmpuint(answer.status, ==, 304);
        g_assert_cmpint(answer.fd, ==, -1);
        g_assert_cmpstr(answer.etag, ==, etag);
        http_answer_clear(&answer);
    }
    http_server_answer(f->server, "/a.js", "\"other\"", &answer);
    g_assert_cmpuint(answer.status, ==, 200);
    http_answer_clear(&answer);
    put_file(f->root, "a.js", "22");
    http_server_answer(f->server, "/a.js", etag, &answer);
    g_assert_cmpuint(answer.status, ==, 200);
    http_answer_clear(&answer);
}

static void test_pages(struct fixture *f, gconstpointer data)
{
    struct http_answer answer;
    http_server_answer(f->server, "/metrics", NULL, &answer);
    g_assert_cmpuint(answer.status, ==, 503);
    g_assert_cmpstr(answer.body, ==, "<p>page");
    g_assert_cmpuint(answer.length, ==, 7);
    g_assert_true(answer.html);
    http_answer_clear(&answer);
    http_server_answer(f->server, "/old", NULL, &answer);
    g_assert_cmpuint(answer.status, ==, 302);
    g_assert_cmpstr(answer.location, ==, "/new");
    http_answer_clear(&answer);
    http_server_answer(f->server, "/sub", NULL, &answer);
    g_assert_cmpuint(answer.status, ==, 308);
    g_assert_cmpstr(answer.location, ==, "/sub/");
    http_answer_clear(&answer);
}

static void add(const char *name, void (*test)(struct fixture *, gconstpointer))
{
    g_test_add(name, struct fixture, NULL, set_up, test, tear_down);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("/http/served", test_served);
    add("/http/not-found", test_not_found);
    add("/http/tags", test_tags);
    add("/http/pages", test_pages);
    return g_test_run();
}
