/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of connections: per address, per second, in total; and the handshakes that are refused. */
#include "raw-peer.h"
#include "world.h"

#include "base/loop.h"

#include <string.h>

#define WEBSOCKET                                                                                  \
    "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                                     \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

/* True when the server answers the upgrade; false when it hangs up. */
static bool answered(struct raw_peer *peer, guint port, const char *status)
{
    static const char request[] =
        "GET /eirtcw/v1 HTTP/1.1\r\n" WEBSOCKET "Sec-WebSocket-Version: 13\r\n\r\n";
    raw_connect(peer, port);
    raw_text(peer, request);
    g_autofree char *text = raw_read_until(peer, "\r\n\r\n");
    /* Before an upgrade libwebsockets answers in HTTP/1.0. */
    g_autofree char *start = g_strdup_printf("HTTP/1.? %s *", status);
    if (*text && !g_pattern_match_simple(start, text))
        g_error("%s instead of %s", text, status);
    return *text;
}

static void test_per_address(void)
{
    struct world world;
    struct raw_peer peers[8];
    world_init(&world);
    world.config.connections_per_address = 5;
    world_listen(&world);
    for (guint i = 0; i < 8; i++)
        g_assert_cmpint(answered(&peers[i], world.port, "101"), ==, i < 5);
    g_assert_cmpuint(world.links->len, ==, 5);
    raw_finish(&peers[0]);
    world_wait(world.closed == 1, 5);
    struct raw_peer late;
    g_assert_true(answered(&late, world.port, "101"));
    raw_finish(&late);
    for (guint i = 1; i < 8; i++)
        raw_finish(&peers[i]);
    world_wait(world.links->len == 0, 5);
    world_finish(&world);
}

static void test_in_total(void)
{
    struct world world;
    struct raw_peer peers[8];
    world_init(&world);
    world.config.connections_max = 5;
    world_listen(&world);
    for (guint i = 0; i < 8; i++)
        g_assert_true(answered(&peers[i], world.port, i < 5 ? "101" : "503"));
    g_assert_cmpuint(world.links->len, ==, 5);
    for (guint i = 0; i < 8; i++)
        raw_finish(&peers[i]);
    world_finish(&world);
}

static void test_too_fast(void)
{
    struct world world;
    guint good = 0;
    world_init(&world);
    world.config.connect_rate_per_address = 10;
    world_listen(&world);
    for (guint i = 0; i < 60; i++) {
        struct raw_peer peer;
        good += answered(&peer, world.port, "101");
        raw_finish(&peer);
    }
    g_assert_cmpuint(good, >=, 20);
    g_assert_cmpuint(good, <, 60);
    world_run_ms(300);
    struct raw_peer peer;
    g_assert_true(answered(&peer, world.port, "101"));
    raw_finish(&peer);
    world_finish(&world);
}

/* Hundreds of connections that say nothing, and an honest one among them. */
static void test_silent_crowd(void)
{
    struct world world;
    struct caller caller;
    static struct raw_peer crowd[400];
    world_init(&world);
    world.config.handshake_timeout_ms = 1500;
    world_listen(&world);
    for (guint i = 0; i < G_N_ELEMENTS(crowd); i++) {
        raw_connect(&crowd[i], world.port);
        if (i % 20 == 0)
            world_run_ms(1);
    }
    caller_init(&caller, &world, NULL);
    caller_dial(&caller);
    world_wait(caller.opened, 5);
    g_assert_true(caller_try(&caller, "auth", NULL));
    for (guint i = 0; i < G_N_ELEMENTS(crowd); i++) {
        raw_expect(&crowd[i], "end", 5);
        raw_finish(&crowd[i]);
    }
    g_assert_true(caller_try(&caller, "echo", NULL));
    g_assert_cmpuint(world.opened, ==, 1);
    caller_finish(&caller);
    world_finish(&world);
}

static void test_requests_of_an_address(void)
{
    struct world world;
    struct caller callers[4];
    world_init(&world);
    world.config.request_rate_per_address = 10;
    world_listen(&world);
    for (guint i = 0; i < 4; i++) {
        caller_init(&callers[i], &world, NULL);
        caller_dial(&callers[i]);
        world_wait(callers[i].opened, 5);
    }
    guint refused = 0;
    for (guint i = 0; i < 40; i++)
        refused += !caller_try(&callers[i % 4], "keepalive", NULL);
    g_assert_cmpuint(refused, >=, 10);
    g_assert_cmpint(callers[3].code, ==, PROBLEM_TOO_MANY_REQUESTS);
    for (guint i = 0; i < 4; i++)
        caller_finish(&callers[i]);
    world_finish(&world);
}

static void test_requests_in_total(void)
{
    struct world world;
    struct caller caller;
    world_init(&world);
    world.config.request_rate_total = 5;
    world_listen(&world);
    caller_init(&caller, &world, NULL);
    caller_dial(&caller);
    world_wait(caller.opened, 5);
    guint refused = 0;
    for (guint i = 0; i < 10; i++)
        refused += !caller_try(&caller, "keepalive", NULL);
    g_assert_cmpuint(refused, >=, 3);
    caller_finish(&caller);
    world_finish(&world);
}

static void test_handshakes(void)
{
    static const struct {
        const char *request, *answer;
    } rows[] = {
        {"GET /eirtcw/v1 HTTP/1.1\r\n" WEBSOCKET "Sec-WebSocket-Version: 13\r\n\r\n", "101"},
        {"GET /eirtcw/v1 HTTP/1.1\r\n" WEBSOCKET "Sec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Protocol: other, eirtcw.v1\r\n\r\n",
         "101"},
        {"GET /eirtcw/v1 HTTP/1.1\r\n" WEBSOCKET "Sec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Protocol: other, more\r\n\r\n",
         "400"},
        {"GET /eirtcw/v1 HTTP/1.1\r\n" WEBSOCKET "Sec-WebSocket-Version: 8\r\n\r\n", "426"},
        {"GET /eirtcw/v2 HTTP/1.1\r\n" WEBSOCKET "Sec-WebSocket-Version: 13\r\n\r\n", "404"},
        {"GET /eirtcw/v1 HTTP/1.1\r\n" WEBSOCKET "Sec-WebSocket-Version: 13\r\n"
         "Origin: https://good.example\r\n\r\n",
         "101"},
        {"GET /eirtcw/v1 HTTP/1.1\r\n" WEBSOCKET "Sec-WebSocket-Version: 13\r\n"
         "Origin: https://evil.example\r\n\r\n",
         "403"},
        {"GET /eirtcw/v1 HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n"
         "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
         "400"},
        {"GET /eirtcw/v1 HTTP/1.1\r\nHost: x\r\n\r\n", "404"},
    };
    static const char *const origins[] = {"https://good.example", "http://localhost", NULL};
    struct world world;
    world_init(&world);
    world.config.origins = origins;
    world_listen(&world);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct raw_peer peer;
        raw_connect(&peer, world.port);
        raw_text(&peer, rows[i].request);
        g_autofree char *text = raw_read_until(&peer, "\r\n\r\n");
        g_autofree char *start = g_strdup_printf("HTTP/1.? %s *", rows[i].answer);
        if (!g_pattern_match_simple(start, text))
            g_error("row %u: %s", i, text);
        raw_finish(&peer);
    }
    world_wait(world.links->len == 0, 5);
    world_finish(&world);
}

/* Broken upgrades get an error or a hang-up, never a link. */
static void test_broken_handshakes(void)
{
    static const char *const rows[] = {
        "GET /eirtcw/v1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n",
        "GET /eirtcw/v1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        "POST /eirtcw/v1 HTTP/1.1\r\n" WEBSOCKET "Sec-WebSocket-Version: 13\r\n\r\n",
        "GET eirtcw HTTP/1.1\r\n" WEBSOCKET "\r\n",
        "GET /eirtcw/v1\r\n\r\n",
        "\r\n\r\n\r\n",
        "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    };
    struct world world;
    world_init(&world);
    world.config.handshake_timeout_ms = 300;
    world_listen(&world);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct raw_peer peer;
        raw_connect(&peer, world.port);
        raw_text(&peer, rows[i]);
        gint64 deadline = g_get_monotonic_time() + 5 * G_USEC_PER_SEC;
        while (!peer.ended) {
            g_autofree char *text = raw_read_until(&peer, "\r\n\r\n");
            g_assert_false(g_str_has_prefix(text, "HTTP/1.1 101"));
            g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        }
        raw_finish(&peer);
    }
    g_assert_cmpuint(world.opened, ==, 0);
    world_finish(&world);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/flood/per-address", test_per_address);
    g_test_add_func("/flood/in-total", test_in_total);
    g_test_add_func("/flood/too-fast", test_too_fast);
    g_test_add_func("/flood/silent-crowd", test_silent_crowd);
    g_test_add_func("/flood/requests-of-an-address", test_requests_of_an_address);
    g_test_add_func("/flood/requests-in-total", test_requests_in_total);
    g_test_add_func("/flood/handshakes", test_handshakes);
    g_test_add_func("/flood/broken-handshakes", test_broken_handshakes);
    return g_test_run();
}
