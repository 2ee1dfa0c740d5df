/* SPDX-License-Identifier: Apache-2.0 */
/* Two links talk over ws:// on loopback: requests both ways, replays, times, the gate. */
#include "raw-peer.h"
#include "world.h"

#include "base/loop.h"
#include "base/metrics.h"

#include <glib/gstdio.h>
#include <string.h>

static void open_pair(struct world *world, struct caller *caller)
{
    world_listen(world);
    caller_init(caller, world, NULL);
    caller_dial(caller);
    world_wait(caller->opened && world->opened, 5);
}

static void test_requests_both_ways(void)
{
    struct world world;
    struct caller caller;
    world_init(&world);
    open_pair(&world, &caller);
    g_assert_cmpint(link_role(caller.link), ==, LINK_CLIENT);
    g_assert_cmpstr(link_peer_address(world.links->pdata[0]), ==, "127.0.0.1");
    g_assert_true(caller_try(&caller, "auth", NULL));
    g_assert_true(caller_try(&caller, "echo", json_pack("{s:s}", "value", "\xc3\xa4\n\"")));
    g_assert_nonnull(strstr(caller.text, "\"value\":\"\xc3\xa4\\n\\\"\""));
    g_assert_true(caller_try(&caller, "call", NULL));
    world_wait(caller.requests == 1, 5);
    g_assert_false(caller_try(&caller, "fail", NULL));
    g_assert_cmpint(caller.code, ==, PROBLEM_USER_BUSY);
    g_assert_nonnull(strstr(caller.text, "\"mediaSessionId\":\"m\""));
    caller_finish(&caller);
    world_wait(world.closed == 1, 5);
    g_assert_cmpint(world.closed_code, ==, LINK_CLOSE_NORMAL);
    world_finish(&world);
}

static void test_large_messages(void)
{
    struct world world;
    struct caller caller;
    world_init(&world);
    open_pair(&world, &caller);
    caller_try(&caller, "auth", NULL);
    static const gsize sizes[] = {8000, 8192, 8193, 100000, 256 * 1024 - 200};
    for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *text = g_strnfill(sizes[i], 'x');
        g_assert_true(caller_try(&caller, "echo", json_pack("{s:s}", "value", text)));
        g_assert_cmpuint(strlen(caller.text), >, sizes[i]);
    }
    /* Many at once keep their order and none is lost. */
    g_autofree char *text = g_strnfill(20000, 'y');
    guint before = caller.responses;
    for (int i = 0; i < 30; i++)
        caller_ask(&caller, "echo", json_pack("{s:s}", "value", text), 0);
    world_wait(caller.responses == before + 30, 10);
    g_assert_true(caller.success);
    caller_finish(&caller);
    world_finish(&world);
}

static void test_gate(void)
{
    struct world world;
    struct caller caller;
    world_init(&world);
    open_pair(&world, &caller);
    g_assert_false(caller_try(&caller, "echo", NULL));
    g_assert_cmpint(caller.code, ==, PROBLEM_NOT_AUTHENTICATED);
    g_assert_true(caller_try(&caller, "keepalive", NULL));
    g_assert_cmpuint(world.requests, ==, 0);
    g_assert_true(caller_try(&caller, "auth", NULL));
    g_assert_true(g_str_has_suffix(link_name(world.links->pdata[0]), "/alice@example.org"));
    g_assert_true(caller_try(&caller, "echo", NULL));
    g_assert_false(caller_try(&caller, "unheard", NULL));
    g_assert_cmpint(caller.code, ==, PROBLEM_METHOD_NOT_SUPPORTED);
    g_assert_true(caller_try(&caller, "chat.example.org", NULL));
    g_assert_false(caller_try(&caller, "echo", json_pack("{s:[s]}", "requiredExtension", "warp")));
    g_assert_cmpint(caller.code, ==, PROBLEM_EXTENSION_NOT_SUPPORTED);
    g_assert_nonnull(strstr(caller.text, "\"unsupportedExtension\":[\"warp\"]"));
    caller_finish(&caller);
    world_finish(&world);
}

static void test_not_authenticated_in_time(void)
{
    struct world world;
    struct raw_peer peer;
    world_init(&world);
    world.limits.auth_timeout_ms = 300;
    world_listen(&world);
    raw_open(&peer, world.port);
    raw_say(&peer, "{\"messageType\":\"request\",\"method\":\"keepalive\",\"transactionId\":0}");
    raw_expect(&peer, "*\"success\":true*", 2);
    raw_expect(&peer, "close 4401 *", 2);
    raw_finish(&peer);
    world_wait(world.closed, 5);
    world_finish(&world);
}

static void test_three_failures(void)
{
    struct world world;
    struct caller caller;
    world_init(&world);
    open_pair(&world, &caller);
    for (int i = 0; i < 3; i++) {
        g_assert_false(caller_try(&caller, "auth", json_pack("{s:b}", "deny", 1)));
        g_assert_cmpint(caller.code, ==, PROBLEM_AUTHENTICATION_FAILED);
    }
    world_wait(caller.closed, 5);
    g_assert_cmpint(caller.closed_code, ==, LINK_CLOSE_NOT_AUTHENTICATED);
    caller_finish(&caller);
    world_finish(&world);
}

static void test_timeout_and_late_answer(void)
{
    struct world world;
    struct caller caller;
    world_init(&world);
    open_pair(&world, &caller);
    caller_try(&caller, "auth", NULL);
    caller_ask(&caller, "hold", NULL, 400);
    world_wait(caller.responses == 2, 2);
    g_assert_cmpint(caller.code, ==, PROBLEM_PEER_TIMEOUT);
    g_assert_null(caller.text);
    g_assert_cmpuint(world.requests, ==, 2); /* the retransmission was not executed */
    link_succeed(g_steal_pointer(&world.held), NULL);
    g_assert_true(caller_try(&caller, "echo", NULL));
    g_assert_cmpuint(caller.responses, ==, 3);
    caller_finish(&caller);
    world_finish(&world);
}

static void test_retransmission_on_the_wire(void)
{
    struct world world;
    struct raw_peer peer;
    world_init(&world);
    world.limits.response_timeout_ms = 600;
    world_listen(&world);
    raw_open(&peer, world.port);
    raw_say(&peer, "{\"messageType\":\"request\",\"method\":\"auth\",\"transactionId\":0}");
    raw_expect(&peer, "*\"success\":true*", 2);
    raw_say(&peer, "{\"messageType\":\"request\",\"method\":\"call\",\"transactionId\":2}");
    g_autofree char *first = raw_hear(&peer, 2);
    g_assert_true(g_pattern_match_simple("*request*ring*\"transactionId\":1}", first));
    raw_expect(&peer, "*response*\"transactionId\":2*", 2);
    g_autofree char *second = raw_hear(&peer, 2);
    g_assert_cmpstr(first, ==, second);
    raw_expect_silence(&peer, 800);
    raw_finish(&peer);
    world_finish(&world);
}

static void test_replay_on_the_wire(void)
{
    static const char hold[] =
        "{\"messageType\":\"request\",\"method\":\"hold\",\"transactionId\":2}";
    struct world world;
    struct raw_peer peer;
    world_init(&world);
    world_listen(&world);
    raw_open(&peer, world.port);
    raw_say(&peer, "{\"messageType\":\"request\",\"method\":\"auth\",\"transactionId\":0}");
    raw_expect(&peer, "*\"success\":true*", 2);
    raw_say(&peer, hold);
    raw_say(&peer, hold);
    raw_expect_silence(&peer, 100);
    link_succeed(g_steal_pointer(&world.held), json_pack("{s:i}", "n", 1));
    raw_expect(&peer, "*\"n\":1}", 2);
    raw_say(&peer, hold);
    raw_expect(&peer, "*\"n\":1}", 2);
    g_assert_cmpuint(world.requests, ==, 2);
    raw_say(&peer, "{\"messageType\":\"request\",\"method\":\"echo\",\"transactionId\":3}");
    raw_expect(&peer, "*TRANSACTION_ID_PARITY*", 2);
    /* Two answers of 40 kB together do not fit into the store: the first is forgotten. */
    g_autofree char *pad = g_strnfill(40000, 'x');
    for (int i = 0; i < 3; i++) {
        g_autofree char *text = g_strdup_printf("{\"messageType\":\"request\",\"method\":\"echo\","
                                                "\"transactionId\":%d,\"value\":\"%s\"}",
                                                i == 2 ? 4 : 4 + 2 * i, pad);
        raw_say(&peer, text);
        raw_expect(&peer, i == 2 ? "*TRANSACTION_ID_REUSED*" : "*\"success\":true*", 2);
    }
    raw_finish(&peer);
    world_finish(&world);
}

static void test_pipelined_in_one_segment(void)
{
    struct world world;
    struct raw_peer peer;
    world_init(&world);
    world_listen(&world);
    raw_open(&peer, world.port);
    GString *wire = g_string_new(NULL);
    for (int id = 0; id < 16; id += 2) {
        g_autofree char *text = g_strdup_printf(
            "{\"messageType\":\"request\",\"method\":\"keepalive\",\"transactionId\":%d}", id);
        /* A mask of zeros leaves the text as it is. */
        g_string_append_c(wire, '\x81');
        g_string_append_c(wire, (char)(0x80 | strlen(text)));
        g_string_append_len(wire, "\0\0\0\0", 4);
        g_string_append(wire, text);
    }
    raw_write(&peer, wire->str, wire->len);
    for (int id = 0; id < 16; id += 2) {
        g_autofree char *pattern = g_strdup_printf("*\"transactionId\":%d,\"success\":true}", id);
        raw_expect(&peer, pattern, 2);
    }
    g_string_free(wire, TRUE);
    raw_finish(&peer);
    world_finish(&world);
}

static void test_listener_closes_links_go_on(void)
{
    struct world world;
    struct caller caller, late;
    world_init(&world);
    open_pair(&world, &caller);
    link_listener_close(world.listener);
    g_assert_true(caller_try(&caller, "auth", NULL));
    caller_init(&late, &world, NULL);
    caller_dial(&late);
    world_wait(late.failed, 5);
    g_assert_true(caller_try(&caller, "echo", NULL));
    link_close(world.links->pdata[0], LINK_CLOSE_DRAINING, "bye");
    world_wait(caller.closed, 5);
    g_assert_cmpint(caller.closed_code, ==, LINK_CLOSE_DRAINING);
    caller_finish(&late);
    caller_finish(&caller);
    world_finish(&world);
}

/* Everything is torn down while it is busy; the sanitizers look for what is left. */
static void test_sudden_end(void)
{
    for (int round = 0; round < 8; round++) {
        struct world world;
        struct caller caller;
        world_init(&world);
        world_listen(&world);
        caller_init(&caller, &world, NULL);
        caller_dial(&caller);
        for (int i = 0; i < round; i++)
            g_main_context_iteration(NULL, FALSE);
        if (round == 7) {
            world_wait(caller.opened && world.opened, 5);
            caller_ask(&caller, "hold", NULL, 0);
            caller_ask(&caller, "auth", NULL, 0);
            world_run_ms(20);
        }
        caller.dialer = NULL; /* the service takes it down */
        caller_finish(&caller);
        world_finish(&world);
        world_run_ms(10);
    }
}

static void test_trace(void)
{
    g_autofree char *folder = g_dir_make_tmp("trace-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(folder, "trace", NULL);
    struct world world;
    struct caller caller;
    world_init(&world);
    link_service_free(world.service);
    world.service = link_service_new(file, NULL);
    open_pair(&world, &caller);
    caller_try(&caller, "auth", json_pack("{s:s}", "authorization", "Basic xyz"));
    caller_finish(&caller);
    world_finish(&world);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 5); /* sent and received twice, and the end */
    g_assert_null(strstr(text, "xyz"));
    g_assert_nonnull(strstr(text, "\"path\":\"/eirtcw/v1\""));
    g_remove(file);
    g_rmdir(folder);
}

static void test_metrics(void)
{
    g_autofree char *text = metrics_text("wsf");
    static const char *const wanted[] = {
        "wsf_link_requests_total{method=\"echo\",result=\"success\"}",
        "wsf_link_requests_total{method=\"other\",result=\"METHOD_NOT_SUPPORTED\"}",
        "wsf_link_requests_total{method=\"application\",result=\"success\"}",
        "wsf_link_calls_total{method=\"fail\",result=\"USER_BUSY\"}",
        "wsf_link_open{role=\"server\"}",
        "code=\"4401\"}",
        "direction=\"received\"}",
    };
    for (guint i = 0; i < G_N_ELEMENTS(wanted); i++)
        if (!strstr(text, wanted[i]))
            g_error("%s is not in %s", wanted[i], text);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/link/requests-both-ways", test_requests_both_ways);
    g_test_add_func("/link/large-messages", test_large_messages);
    g_test_add_func("/link/gate", test_gate);
    g_test_add_func("/link/not-authenticated-in-time", test_not_authenticated_in_time);
    g_test_add_func("/link/three-failures", test_three_failures);
    g_test_add_func("/link/timeout-and-late-answer", test_timeout_and_late_answer);
    g_test_add_func("/link/retransmission-on-the-wire", test_retransmission_on_the_wire);
    g_test_add_func("/link/replay-on-the-wire", test_replay_on_the_wire);
    g_test_add_func("/link/pipelined-in-one-segment", test_pipelined_in_one_segment);
    g_test_add_func("/link/listener-closes-links-go-on", test_listener_closes_links_go_on);
    g_test_add_func("/link/sudden-end", test_sudden_end);
    g_test_add_func("/link/trace", test_trace);
    g_test_add_func("/link/metrics", test_metrics);
    return g_test_run();
}
