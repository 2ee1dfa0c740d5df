/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP on the listener of the links: files, pages, and requests that go wrong. */
#include "raw-peer.h"
#include "world.h"

#include "base/loop.h"

#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>

struct site {
    struct world world;
    struct http_server *http;
    char *top, *root;
};

static void put_file(const char *folder, const char *name, const char *text, gssize length)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_assert_true(g_file_set_contents(path, text, length, NULL));
}

static void page(const char *path, struct http_reply *ret_reply, void *user)
{
    ret_reply->content_type = "text/plain";
    ret_reply->body = g_strdup(path);
    ret_reply->length = strlen(path);
}

static void set_up(struct site *site)
{
    site->top = g_dir_make_tmp("site-XXXXXX", NULL);
    site->root = g_build_filename(site->top, "web", NULL);
    g_mkdir(site->root, 0755);
    put_file(site->root, "index.html", "<p>home", -1);
    put_file(site->root, "a.js", "1;", -1);
    put_file(site->top, "secret", "SECRET", -1);
    g_autofree char *big = g_strnfill(5000000, 'x');
    put_file(site->root, "big.txt", big, 5000000);
    site->http = http_server_new();
    http_server_add_page(site->http, "/healthz", page, NULL);
    http_server_add_redirect(site->http, "/old", "/");
    http_server_add_folder(site->http, "/", site->root);
    world_init(&site->world);
    site->world.config.http = site->http;
    site->world.config.handshake_timeout_ms = 500;
    world_listen(&site->world);
}

static void tear_down(struct site *site)
{
    world_finish(&site->world);
    http_server_free(site->http);
    const char *const remove[] = {"rm", "-rf", site->top, NULL};
    g_spawn_sync(NULL, (char **)remove, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL,
                 NULL);
    g_free(site->top);
    g_free(site->root);
}

static char *header(const char *head, const char *name)
{
    g_autofree char *start = g_strdup_printf("\r\n%s:", name);
    const char *at = strcasestr(head, start);
    if (!at)
        return NULL;
    at += strlen(start);
    return g_strstrip(g_strndup(at, strcspn(at, "\r")));
}

/* One request on an open connection; the head and the body (may be NULL). */
static char *ask(struct raw_peer *peer, const char *request, char **ret_body)
{
    raw_text(peer, request);
    char *head = raw_read_until(peer, "\r\n\r\n");
    g_autofree char *length = header(head, "content-length");
    if (ret_body) {
        gsize want = length ? (gsize)atol(length) : 0;
        gint64 deadline = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
        GString *body = g_string_new(NULL);
        while (body->len < want) {
            g_autofree char *some = raw_hear_octets(peer, want - body->len);
            g_string_append(body, some);
            g_assert_true(world_step(deadline));
        }
        *ret_body = g_string_free(body, FALSE);
    }
    return head;
}

static guint status_of(const char *head)
{
    return g_str_has_prefix(head, "HTTP/1.1 ") ? (guint)atoi(head + 9) : 0;
}

static void test_files_on_one_connection(void)
{
    struct site site;
    struct raw_peer peer;
    set_up(&site);
    raw_connect(&peer, site.world.port);
    char *body;
    g_autofree char *home = ask(&peer, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", &body);
    g_assert_cmpuint(status_of(home), ==, 200);
    g_assert_cmpstr(body, ==, "<p>home");
    g_free(body);
    g_autofree char *type = header(home, "content-type");
    g_autofree char *sniff = header(home, "x-content-type-options");
    g_autofree char *policy = header(home, "content-security-policy");
    g_autofree char *tag = header(home, "etag");
    g_assert_cmpstr(type, ==, "text/html; charset=utf-8");
    g_assert_cmpstr(sniff, ==, "nosniff");
    g_assert_nonnull(strstr(policy, "default-src 'self'"));

    g_autofree char *again =
        g_strdup_printf("GET / HTTP/1.1\r\nHost: x\r\nIf-None-Match: %s\r\n\r\n", tag);
    g_autofree char *same = ask(&peer, again, NULL);
    g_assert_cmpuint(status_of(same), ==, 304);

    g_autofree char *script = ask(&peer, "GET /a.js?v=1 HTTP/1.1\r\nHost: x\r\n\r\n", &body);
    g_assert_cmpuint(status_of(script), ==, 200);
    g_assert_cmpstr(body, ==, "1;");
    g_free(body);

    g_autofree char *head = ask(&peer, "HEAD /big.txt HTTP/1.1\r\nHost: x\r\n\r\n", NULL);
    g_autofree char *length = header(head, "content-length");
    g_assert_cmpuint(status_of(head), ==, 200);
    g_assert_cmpstr(length, ==, "5000000");

    g_autofree char *health = ask(&peer, "GET /healthz?x HTTP/1.1\r\nHost: x\r\n\r\n", &body);
    g_autofree char *cache = header(health, "cache-control");
    g_assert_cmpstr(body, ==, "/healthz");
    g_assert_cmpstr(cache, ==, "no-store");
    g_free(body);

    g_autofree char *old = ask(&peer, "GET /old HTTP/1.1\r\nHost: x\r\n\r\n", NULL);
    g_autofree char *location = header(old, "location");
    g_assert_cmpuint(status_of(old), ==, 302);
    g_assert_cmpstr(location, ==, "/");
    raw_finish(&peer);
    tear_down(&site);
}

static void test_big_file(void)
{
    struct site site;
    struct raw_peer peer;
    char *body;
    set_up(&site);
    raw_connect_small(&peer, site.world.port, 8192);
    g_autofree char *head = ask(&peer, "GET /big.txt HTTP/1.1\r\nHost: x\r\n\r\n", &body);
    g_assert_cmpuint(status_of(head), ==, 200);
    g_assert_cmpuint(strlen(body), ==, 5000000);
    g_free(body);
    raw_finish(&peer);
    tear_down(&site);
}

/* No way leads out of the folder, however the path is written. */
static void test_traversal(void)
{
    static const char *const paths[] = {
        "/../secret",   "/..%2fsecret",       "/%2e%2e/secret",      "/%2e%2e%2fsecret",
        "/..%5csecret", "/a.js/../../secret", "/./../secret",        "//secret",
        "/%00",         "/a.js%00.html",      "/%2e%2e%c0%afsecret", "/..;/secret",
        "/.%2e/secret", "/%252e%252e/secret", "/?../secret",         "/%",
        "/%zz",         "http://x/../secret",
    };
    struct site site;
    set_up(&site);
    for (guint i = 0; i < G_N_ELEMENTS(paths); i++) {
        struct raw_peer peer;
        g_autofree char *request =
            g_strdup_printf("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", paths[i]);
        raw_connect(&peer, site.world.port);
        raw_text(&peer, request);
        g_autofree char *all = raw_read_until(&peer, "never");
        g_assert_null(strstr(all, "SECRET"));
        raw_finish(&peer);
    }
    tear_down(&site);
}

static void test_refused(void)
{
    static const struct {
        const char *request;
        guint status;
    } rows[] = {
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 405},
        {"PUT /a.js HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", 405},
        {"DELETE /a.js HTTP/1.1\r\nHost: x\r\n\r\n", 405},
        {"OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n", 405},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 400},
        {"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404},
    };
    struct site site;
    set_up(&site);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct raw_peer peer;
        raw_connect(&peer, site.world.port);
        g_autofree char *head = ask(&peer, rows[i].request, NULL);
        g_assert_cmpuint(status_of(head), ==, rows[i].status);
        raw_finish(&peer);
    }
    tear_down(&site);
}

/* Headers without end, bodies without end, a reader who stops: each costs its connection only. */
static void test_abuse(void)
{
    struct site site;
    struct raw_peer peer;
    set_up(&site);
    raw_connect(&peer, site.world.port);
    g_autofree char *name = g_strnfill(100000, 'x');
    raw_text(&peer, "GET / HTTP/1.1\r\nX: ");
    raw_write(&peer, name, 100000);
    raw_text(&peer, "\r\n\r\n");
    g_autofree char *answer = raw_read_until(&peer, "\r\n\r\n");
    g_assert_true(peer.ended || status_of(answer) >= 200);
    raw_finish(&peer);

    raw_connect(&peer, site.world.port);
    raw_text(&peer, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 50; i++)
        raw_write(&peer, name, 1000);
    gint64 deadline = g_get_monotonic_time() + 5 * G_USEC_PER_SEC;
    while (!peer.ended) {
        g_autofree char *some = raw_read_until(&peer, "\r\n\r\n");
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
    }
    raw_finish(&peer);

    raw_connect_small(&peer, site.world.port, 4096);
    raw_text(&peer, "GET /big.txt HTTP/1.1\r\nHost: x\r\n\r\n");
    world_run_ms(100);
    raw_finish(&peer);

    raw_connect(&peer, site.world.port);
    char *body;
    g_autofree char *good = ask(&peer, "GET /a.js HTTP/1.1\r\nHost: x\r\n\r\n", &body);
    g_assert_cmpuint(status_of(good), ==, 200);
    g_free(body);
    raw_finish(&peer);
    tear_down(&site);
}

static void test_idle_connection_ends(void)
{
    struct site site;
    struct raw_peer peer;
    set_up(&site);
    raw_connect(&peer, site.world.port);
    g_autofree char *head = ask(&peer, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", NULL);
    g_assert_cmpuint(status_of(head), ==, 200);
    raw_expect(&peer, "end", 5);
    raw_finish(&peer);
    tear_down(&site);
}

static void test_pipelined(void)
{
    struct site site;
    struct raw_peer peer;
    set_up(&site);
    raw_connect(&peer, site.world.port);
    static const char two[] = "GET /a.js HTTP/1.1\r\nHost: x\r\n\r\n"
                              "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    raw_text(&peer, two);
    g_autofree char *first = raw_read_until(&peer, "1;");
    g_autofree char *second = raw_read_until(&peer, "/healthz");
    g_assert_cmpuint(status_of(first), ==, 200);
    g_assert_cmpuint(status_of(second), ==, 200);
    raw_finish(&peer);
    tear_down(&site);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/http/files-on-one-connection", test_files_on_one_connection);
    g_test_add_func("/http/big-file", test_big_file);
    g_test_add_func("/http/traversal", test_traversal);
    g_test_add_func("/http/refused", test_refused);
    g_test_add_func("/http/abuse", test_abuse);
    g_test_add_func("/http/idle-connection-ends", test_idle_connection_ends);
    g_test_add_func("/http/pipelined", test_pipelined);
    return g_test_run();
}
