/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that are silent, slow to write or slow to read, and trusted ones that are too fast. */
#include "certificates.h"
#include "raw-peer.h"
#include "world.h"

#include "base/loop.h"

#include <string.h>

static void open_peer(struct world *world, struct raw_peer *peer, bool authenticated)
{
    raw_open(peer, world->port);
    if (!authenticated)
        return;
    raw_say(peer, "{\"messageType\":\"request\",\"method\":\"auth\",\"transactionId\":0}");
    raw_expect(peer, "*\"success\":true*", 2);
}

static void test_silent(void)
{
    struct world world;
    struct raw_peer peer;
    world_init(&world);
    world.limits.keepalive_ms = 200;
    world_listen(&world);
    open_peer(&world, &peer, true);
    gint64 start = g_get_monotonic_time();
    raw_expect(&peer, "ping", 2);
    raw_expect(&peer, "*", 2); /* another ping, or the close at the same instant */
    while (!world.closed || world.closed_code != LINK_CLOSE_KEEPALIVE) {
        g_autofree char *text = raw_hear(&peer, 0.05);
        if (g_str_has_prefix(text, "close"))
            g_assert_true(g_str_has_prefix(text, "close 4408"));
        g_assert_cmpint(g_get_monotonic_time() - start, <, 8 * G_USEC_PER_SEC);
    }
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 350000);
    raw_finish(&peer);
    world_finish(&world);
}

static void test_pongs_keep_alive(void)
{
    struct world world;
    struct raw_peer peer;
    world_init(&world);
    world.limits.keepalive_ms = 300;
    world_listen(&world);
    open_peer(&world, &peer, true);
    for (int i = 0; i < 5; i++) {
        raw_expect(&peer, "ping", 2);
        raw_frame(&peer, 10, true, "k", 1);
    }
    g_assert_cmpuint(world.closed, ==, 0);
    raw_finish(&peer);
    world_finish(&world);
}

/* The request does as well: a browser's JavaScript has nothing else. */
static void test_requests_keep_alive(void)
{
    struct world world;
    struct raw_peer peer;
    world_init(&world);
    world.limits.keepalive_ms = 300;
    world_listen(&world);
    open_peer(&world, &peer, true);
    for (int id = 2; id < 16; id += 2) {
        g_autofree char *text = g_strdup_printf(
            "{\"messageType\":\"request\",\"method\":\"keepalive\",\"transactionId\":%d}", id);
        raw_say(&peer, text);
        world_run_ms(200);
    }
    g_assert_cmpuint(world.closed, ==, 0);
    raw_finish(&peer);
    world_finish(&world);
}

/* Both of our own roles keep a quiet link up for longer than two intervals. */
static void test_quiet_pair(void)
{
    struct world world;
    struct caller caller;
    world_init(&world);
    world.limits.keepalive_ms = 300;
    world.client_limits.keepalive_ms = 300;
    world_listen(&world);
    caller_init(&caller, &world, NULL);
    caller_dial(&caller);
    world_wait(caller.opened, 5);
    caller_try(&caller, "auth", NULL);
    world_run_ms(1200);
    g_assert_cmpuint(caller.closed + world.closed, ==, 0);
    caller_finish(&caller);
    world_finish(&world);
}

/* A dialer notices a server that has stopped talking. */
static void test_client_notices(void)
{
    struct world world;
    struct caller caller;
    world_init(&world);
    world.limits.keepalive_ms = 0;
    world.client_limits.keepalive_ms = 100;
    world_listen(&world);
    caller_init(&caller, &world, NULL);
    caller_dial(&caller);
    world_wait(caller.opened && world.opened, 5);
    link_set_keepalive(caller.link, 60000);
    world_run_ms(300);
    g_assert_cmpuint(caller.closed, ==, 0);
    caller_finish(&caller);
    world_finish(&world);
}

/* An octet at a time, with pongs in between: the message itself has to arrive in time. */
static void test_octet_at_a_time(void)
{
    static const char text[] =
        "{\"messageType\":\"request\",\"method\":\"keepalive\",\"transactionId\":2}";
    struct world world;
    struct raw_peer peer;
    world_init(&world);
    world.limits.keepalive_ms = 300;
    world_listen(&world);
    open_peer(&world, &peer, true);
    gint64 start = g_get_monotonic_time();
    guint8 head[] = {0x81, 0x80 | (sizeof text - 1), 0, 0, 0, 0};
    raw_write(&peer, head, sizeof head);
    for (gsize i = 0; !world.closed && i < sizeof text - 1; i++) {
        raw_write(&peer, text + i, 1);
        world_run_ms(30);
    }
    world_wait(world.closed, 5);
    g_assert_cmpint(world.closed_code, ==, LINK_CLOSE_KEEPALIVE);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 5 * G_USEC_PER_SEC);
    raw_finish(&peer);

    open_peer(&world, &peer, true);
    for (gsize i = 0; world.closed == 1 && i < sizeof text - 1; i++) {
        raw_frame(&peer, i ? 0 : 1, false, text + i, 1);
        raw_frame(&peer, 10, true, "k", 1);
        world_run_ms(30);
    }
    world_wait(world.closed == 2, 5);
    g_assert_cmpint(world.closed_code, ==, LINK_CLOSE_KEEPALIVE);
    raw_finish(&peer);
    world_finish(&world);
}

/* The same before TLS has begun, and noise instead of it. */
static void test_tls_handshake_in_time(void)
{
    const struct certificates *certificates = certificates_get();
    struct world world;
    struct raw_peer silent, slow, plain;
    world_init(&world);
    world.config.handshake_timeout_ms = 300;
    world.config.tls_certificate = certificates->server;
    world.config.tls_key = certificates->server_key;
    world_listen(&world);
    gint64 start = g_get_monotonic_time();
    raw_connect(&silent, world.port);
    raw_connect(&slow, world.port);
    raw_connect(&plain, world.port);
    raw_text(&plain, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    /* The head of a record of 512 octets that never comes whole. */
    raw_write(&slow, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 9);
    for (gsize i = 0; i < 60 && !slow.ended; i++) {
        raw_text(&slow, "x");
        world_run_ms(10);
    }
    while (!plain.ended || !slow.ended || !silent.ended) {
        g_free(raw_read_until(&plain, "\n"));
        g_free(raw_read_until(&slow, "\n"));
        g_free(raw_read_until(&silent, "\n"));
    }
    g_assert_cmpint(g_get_monotonic_time() - start, <, 3 * G_USEC_PER_SEC);
    raw_finish(&plain);
    raw_finish(&slow);
    raw_finish(&silent);
    world_finish(&world);
}

static void test_handshake_in_time(void)
{
    static const char request[] = "GET /eirtcw/v1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n";
    struct world world;
    struct raw_peer silent, slow;
    world_init(&world);
    world.config.handshake_timeout_ms = 300;
    world_listen(&world);
    gint64 start = g_get_monotonic_time();
    raw_connect(&silent, world.port);
    raw_connect(&slow, world.port);
    for (gsize i = 0; i < sizeof request - 1; i++) {
        raw_write(&slow, request + i, 1);
        world_run_ms(10);
    }
    raw_expect(&slow, "end", 5);
    raw_expect(&silent, "end", 5);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 3 * G_USEC_PER_SEC);
    g_assert_cmpuint(world.opened, ==, 0);
    raw_finish(&slow);
    raw_finish(&silent);
    world_finish(&world);
}

/* A peer that asks and does not read: bounded memory, then 1013 for the program. */
static void test_deaf_asker(void)
{
    struct world world;
    struct raw_peer peer;
    world_init(&world);
    world.limits = link_limits_trusted;
    world.limits.send_queue_max = 200000;
    world_listen(&world);
    raw_connect_small(&peer, world.port, 4096);
    raw_upgrade(&peer);
    raw_say(&peer, "{\"messageType\":\"request\",\"method\":\"auth\",\"transactionId\":0}");
    raw_expect(&peer, "*\"success\":true*", 2);
    peer.deaf = true;
    g_autofree char *value = g_strnfill(50000, 'x');
    for (int id = 2; id < 400 && !world.closed; id += 2) {
        g_autofree char *text =
            g_strdup_printf("{\"messageType\":\"request\",\"method\":\"echo\",\"transactionId\":%d,"
                            "\"value\":\"%s\"}",
                            id, value);
        raw_say(&peer, text);
        world_run_ms(1);
    }
    world_wait(world.closed, 8);
    g_assert_cmpint(world.closed_code, ==, LINK_CLOSE_TRY_AGAIN);
    raw_finish(&peer);
    world_finish(&world);
}

/* One that is asked and does not read. */
static void test_deaf_listener(void)
{
    struct world world;
    struct raw_peer peer;
    world_init(&world);
    world.limits.calls_max = 100000;
    world_listen(&world);
    raw_connect_small(&peer, world.port, 4096);
    raw_upgrade(&peer);
    peer.deaf = true;
    struct link *link = world.links->pdata[0];
    g_autofree char *value = g_strnfill(50000, 'x');
    for (int i = 0; i < 1000 && !world.closed; i++) {
        link_request(link, "ring", json_pack("{s:s}", "value", value), 0, NULL, NULL);
        if (i % 10 == 0)
            world_run_ms(1);
    }
    world_wait(world.closed, 8);
    g_assert_cmpint(world.closed_code, ==, LINK_CLOSE_TRY_AGAIN);
    raw_finish(&peer);
    world_finish(&world);
}

/* Reading slowly but steadily is no crime. */
static void test_slow_reader_gets_all(void)
{
    struct world world;
    struct raw_peer peer;
    world_init(&world);
    world_listen(&world);
    raw_connect_small(&peer, world.port, 4096);
    raw_upgrade(&peer);
    g_autofree char *value = g_strnfill(100000, 'x');
    for (int i = 0; i < 8; i++)
        link_request(world.links->pdata[0], "ring", json_pack("{s:s}", "value", value), 0, NULL,
                     NULL);
    for (int i = 0; i < 8; i++) {
        g_autofree char *pattern = g_strdup_printf("*\"transactionId\":%d,*xxx\"}", 2 * i + 1);
        peer.deaf = true;
        world_run_ms(20);
        peer.deaf = false;
        raw_expect(&peer, pattern, 5);
    }
    g_assert_cmpuint(world.closed, ==, 0);
    raw_finish(&peer);
    world_finish(&world);
}

/* A1: trusted links above their rate are slowed by not reading; nothing is refused or lost. */
static void slowed(bool tls)
{
    const struct certificates *certificates = certificates_get();
    struct world world;
    struct caller caller;
    world_init(&world);
    world.limits.slow_instead_of_refuse = true;
    world.limits.rate = 200;
    world.limits.burst = 20;
    world.client_limits.calls_max = 1000;
    world.client_limits.response_timeout_ms = 20000;
    world.config.tls_certificate = tls ? certificates->server : NULL;
    world.config.tls_key = tls ? certificates->server_key : NULL;
    world_listen(&world);
    g_autofree char *url = tls ? g_strdup_printf("wss://127.0.0.1:%u/eirtcw/v1", world.port) : NULL;
    caller_init(&caller, &world, url);
    caller.config.tls_ca = certificates->ca;
    caller_dial(&caller);
    world_wait(caller.opened, 5);
    caller_try(&caller, "auth", NULL);
    gint64 start = g_get_monotonic_time();
    for (int i = 0; i < 220; i++)
        caller_ask(&caller, "echo", json_pack("{s:i}", "value", i), 0);
    world_wait(caller.responses == 221, 15);
    g_assert_true(caller.success);
    g_assert_nonnull(strstr(caller.text, "\"value\":219"));
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 900000);
    caller_finish(&caller);
    world_finish(&world);
}

static void test_trusted_is_slowed(void)
{
    slowed(false);
}

/* Octets that TLS has read ahead must not be forgotten in the pause. */
static void test_trusted_is_slowed_over_tls(void)
{
    slowed(true);
}

/* An untrusted one that sends too many octets is slowed as well, and served in the end. */
static void test_heavy_is_slowed(void)
{
    struct world world;
    struct caller caller;
    world_init(&world);
    world.limits.message_max = 50000;
    world_listen(&world);
    caller_init(&caller, &world, NULL);
    caller_dial(&caller);
    world_wait(caller.opened, 5);
    caller_try(&caller, "auth", NULL);
    g_autofree char *value = g_strnfill(40000, 'x');
    gint64 start = g_get_monotonic_time();
    for (int i = 0; i < 8; i++)
        caller_ask(&caller, "echo", json_pack("{s:s}", "value", value), 0);
    world_wait(caller.responses == 9, 10);
    g_assert_true(caller.success);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 1500000);
    caller_finish(&caller);
    world_finish(&world);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/slow/silent", test_silent);
    g_test_add_func("/slow/pongs-keep-alive", test_pongs_keep_alive);
    g_test_add_func("/slow/requests-keep-alive", test_requests_keep_alive);
    g_test_add_func("/slow/quiet-pair", test_quiet_pair);
    g_test_add_func("/slow/client-notices", test_client_notices);
    g_test_add_func("/slow/octet-at-a-time", test_octet_at_a_time);
    g_test_add_func("/slow/handshake-in-time", test_handshake_in_time);
    g_test_add_func("/slow/tls-handshake-in-time", test_tls_handshake_in_time);
    g_test_add_func("/slow/deaf-asker", test_deaf_asker);
    g_test_add_func("/slow/deaf-listener", test_deaf_listener);
    g_test_add_func("/slow/slow-reader-gets-all", test_slow_reader_gets_all);
    g_test_add_func("/slow/trusted-is-slowed", test_trusted_is_slowed);
    g_test_add_func("/slow/trusted-is-slowed-over-tls", test_trusted_is_slowed_over_tls);
    g_test_add_func("/slow/heavy-is-slowed", test_heavy_is_slowed);
    int result = g_test_run();
    certificates_remove();
    return result;
}
