/* SPDX-License-Identifier: Apache-2.0 */
/* When a dialer comes again, when not, and what it tells meanwhile (protocol A1). */
#include "raw-peer.h"
#include "world.h"

#include "base/loop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A port on which nobody listens, or a listener that never answers. */
static int bound(guint *ret_port, bool listening)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    getsockname(fd, (struct sockaddr *)&address, &length);
    if (listening)
        g_assert_cmpint(listen(fd, 8), ==, 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void test_backs_off(void)
{
    struct world world;
    struct caller caller;
    guint port;
    int fd = bound(&port, false);
    world_init(&world);
    world_listen(&world);
    g_autofree char *url = g_strdup_printf("ws://127.0.0.1:%u/x", port);
    caller_init(&caller, &world, url);
    caller_dial(&caller);
    static const guint whole[] = {50, 100, 200, 400, 400};
    for (guint i = 0; i < G_N_ELEMENTS(whole); i++) {
        world_wait(caller.failed == i + 1, 5);
        g_assert_cmpuint(caller.next_attempt_ms, >=, whole[i] / 2);
        g_assert_cmpuint(caller.next_attempt_ms, <=, whole[i]);
        g_assert_nonnull(strstr(caller.failure, url));
    }
    link_dialer_set_backoff_max(caller.dialer, 100);
    world_wait(caller.failed == 6, 5);
    g_assert_cmpuint(caller.next_attempt_ms, <=, 100);
    caller_finish(&caller);
    close(fd);
    world_finish(&world);
}

static void test_name_without_address(void)
{
    struct world world;
    struct caller caller;
    world_init(&world);
    world_listen(&world);
    caller_init(&caller, &world, "wss://nobody.invalid/x");
    caller_dial(&caller);
    world_wait(caller.failed, 10);
    g_assert_nonnull(strstr(caller.failure, "nobody.invalid"));
    caller_finish(&caller);
    world_finish(&world);
}

static void test_not_a_websocket(void)
{
    struct world world;
    struct caller caller;
    world_init(&world);
    world_listen(&world);
    g_autofree char *url = g_strdup_printf("ws://127.0.0.1:%u/elsewhere", world.port);
    caller_init(&caller, &world, url);
    caller_dial(&caller);
    world_wait(caller.failed == 2, 5);
    caller_finish(&caller);
    world_finish(&world);
}

static void test_comes_again(void)
{
    static const int codes[] = {1000, 1001, 1012, 1013, 4408, 4410, 4429};
    struct world world;
    struct caller caller;
    world_init(&world);
    world_listen(&world);
    caller_init(&caller, &world, NULL);
    caller.config.backoff_max_ms = 50;
    caller_dial(&caller);
    for (guint i = 0; i < G_N_ELEMENTS(codes); i++) {
        world_wait(caller.opened == i + 1 && world.links->len == 1, 5);
        link_close(world.links->pdata[0], (enum link_close)codes[i], "test");
        world_wait(caller.closed == i + 1, 5);
    }
    world_wait(caller.opened == G_N_ELEMENTS(codes) + 1, 5);
    g_assert_cmpuint(caller.failed, ==, 0);
    caller_finish(&caller);
    world_finish(&world);
}

static void test_stays_away(void)
{
    static const int codes[] = {LINK_CLOSE_NOT_AUTHENTICATED, LINK_CLOSE_SUPERSEDED};
    for (guint i = 0; i < G_N_ELEMENTS(codes); i++) {
        struct world world;
        struct caller caller;
        world_init(&world);
        world_listen(&world);
        caller_init(&caller, &world, NULL);
        caller_dial(&caller);
        world_wait(caller.opened && world.opened, 5);
        link_close(world.links->pdata[0], (enum link_close)codes[i], "go away");
        world_wait(caller.closed, 5);
        g_assert_cmpint(caller.closed_code, ==, codes[i]);
        world_run_ms(300);
        g_assert_cmpuint(caller.opened, ==, 1);
        caller_finish(&caller);
        world_finish(&world);
    }
}

/* A connection that is cut, and a server that accepts and cuts at once: the back-off grows. */
static void test_lost_again_and_again(void)
{
    struct world world;
    struct caller caller;
    world_init(&world);
    world_listen(&world);
    caller_init(&caller, &world, NULL);
    caller_dial(&caller);
    gint64 start = g_get_monotonic_time();
    for (guint i = 0; i < 4; i++) {
        world_wait(caller.opened == i + 1 && world.links->len == 1, 5);
        link_close(world.links->pdata[0], LINK_CLOSE_TRY_AGAIN, NULL);
        world_wait(caller.closed == i + 1, 5);
    }
    world_wait(caller.opened == 5, 5);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, (25 + 50 + 100 + 200) * 1000);
    caller_finish(&caller);
    world_finish(&world);
}

static void test_calls_fail_at_loss(void)
{
    struct world world;
    struct caller caller;
    world_init(&world);
    world_listen(&world);
    caller_init(&caller, &world, NULL);
    caller_dial(&caller);
    world_wait(caller.opened && world.opened, 5);
    caller_try(&caller, "auth", NULL);
    caller_ask(&caller, "hold", NULL, 0);
    world_wait(world.held, 5);
    link_close(world.links->pdata[0], LINK_CLOSE_RESTART, NULL);
    world_wait(caller.responses == 2, 5);
    g_assert_cmpint(caller.code, ==, PROBLEM_PEER_TIMEOUT);
    world_wait(caller.opened == 2, 5);
    caller_finish(&caller);
    world_finish(&world);
}

static void test_freed_in_every_state(void)
{
    struct world world;
    world_init(&world);
    world_listen(&world);
    guint port;
    int fd = bound(&port, true);
    g_autofree char *mute = g_strdup_printf("ws://localhost:%u/x", port);
    for (int i = 0; i < 40; i++) {
        struct caller caller;
        caller_init(&caller, &world, i & 1 ? mute : NULL);
        caller_dial(&caller);
        world_run_ms((guint)(i / 4));
        caller_finish(&caller);
    }
    world_run_ms(50);
    close(fd);
    world_wait(world.links->len == 0, 5);
    world_finish(&world);
}

static void free_dialer(struct link *link, const struct link_response *response, void *user)
{
    struct caller *caller = user;
    link_dialer_free(g_steal_pointer(&caller->dialer));
    caller->responses++;
}

static void test_freed_in_a_callback(void)
{
    struct world world;
    struct caller caller;
    world_init(&world);
    world_listen(&world);
    caller_init(&caller, &world, NULL);
    caller_dial(&caller);
    world_wait(caller.opened, 5);
    link_request(caller.link, "keepalive", NULL, 0, free_dialer, &caller);
    caller_ask(&caller, "keepalive", NULL, 0);
    world_wait(world.closed, 5);
    g_assert_cmpint(world.closed_code, ==, LINK_CLOSE_NORMAL);
    g_assert_cmpuint(caller.responses, ==, 1);
    g_assert_cmpuint(caller.closed, ==, 0);
    caller_finish(&caller);
    world_finish(&world);
}

/* Both roles say goodbye when their service ends. */
static void test_goodbye(void)
{
    struct world world, other;
    struct caller caller;
    world_init(&world);
    world_init(&other);
    world_listen(&world);
    g_autofree char *url = g_strdup_printf("ws://127.0.0.1:%u/eirtcw/v1", world.port);
    caller_init(&caller, &other, url);
    caller_dial(&caller);
    world_wait(caller.opened && world.opened, 5);
    caller_finish(&caller);
    world_finish(&other);
    world_wait(world.closed, 5);
    g_assert_cmpint(world.closed_code, ==, LINK_CLOSE_NORMAL);

    world_init(&other);
    caller_init(&caller, &other, url);
    caller_dial(&caller);
    world_wait(caller.opened && world.opened == 2, 5);
    world_finish(&world);
    world_wait(caller.closed, 5);
    g_assert_cmpint(caller.closed_code, ==, LINK_CLOSE_DRAINING);
    caller_finish(&caller);
    world_finish(&other);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/dialer/backs-off", test_backs_off);
    g_test_add_func("/dialer/name-without-address", test_name_without_address);
    g_test_add_func("/dialer/not-a-websocket", test_not_a_websocket);
    g_test_add_func("/dialer/comes-again", test_comes_again);
    g_test_add_func("/dialer/stays-away", test_stays_away);
    g_test_add_func("/dialer/lost-again-and-again", test_lost_again_and_again);
    g_test_add_func("/dialer/calls-fail-at-loss", test_calls_fail_at_loss);
    g_test_add_func("/dialer/freed-in-every-state", test_freed_in_every_state);
    g_test_add_func("/dialer/freed-in-a-callback", test_freed_in_a_callback);
    g_test_add_func("/dialer/goodbye", test_goodbye);
    return g_test_run();
}
