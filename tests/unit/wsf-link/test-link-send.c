/* SPDX-License-Identifier: Apache-2.0 */
/* Our requests and the queue towards a peer, without a network. */
#include "fake-wire.h"

#include "base/problem.h"

struct seen {
    guint calls;
    bool success;
    int code;
    char *text;
    struct fake *fake; /* asks again from inside the callback */
};

static void done(struct link *link, const struct link_response *response, void *user)
{
    struct seen *seen = user;
    seen->calls++;
    seen->success = response->success;
    seen->code = response->error ? (int)problem_code(response->error) : -1;
    g_free(seen->text);
    seen->text = response->message ? json_dumps(response->message, JSON_COMPACT) : NULL;
    if (seen->fake)
        link_request(link, "mdisc", NULL, 0, done, user);
}

static void test_ids(void)
{
    struct fake fake;
    for (int role = LINK_SERVER; role <= LINK_CLIENT; role++) {
        fake_init(&fake);
        fake_open(&fake, (enum link_role)role);
        link_request(fake.link, "mdisc", json_pack("{s:s}", "a", "b"), 0, NULL, NULL);
        fake_expect(&fake, role == LINK_CLIENT ? "{*\"transactionId\":0,\"a\":\"b\"}"
                                               : "{*\"transactionId\":1,\"a\":\"b\"}");
        link_request(fake.link, "mdisc", NULL, 0, NULL, NULL);
        fake_expect(&fake,
                    role == LINK_CLIENT ? "{*\"transactionId\":2}" : "{*\"transactionId\":3}");
        fake_finish(&fake);
    }
}

static void test_responses(void)
{
    static const struct {
        const char *text;
        bool success;
        int code;
    } rows[] = {
        {"{\"messageType\":\"response\",\"method\":\"x\",\"transactionId\":1,\"success\":true}",
         true, -1},
        {"{\"messageType\":\"response\",\"transactionId\":1,\"success\":false,"
         "\"problemDetails\":{\"cause\":\"USER_BUSY\"}}",
         false, PROBLEM_USER_BUSY},
        {"{\"messageType\":\"response\",\"transactionId\":1,\"success\":false}", false,
         PROBLEM_INTERNAL_ERROR},
        {"{\"messageType\":\"response\",\"transactionId\":1}", false, PROBLEM_INVALID_MESSAGE},
        {"{\"messageType\":\"response\",\"transactionId\":1,\"success\":true,"
         "\"requiredExtension\":[\"trickle-ice\"]}",
         true, -1},
        {"{\"messageType\":\"response\",\"transactionId\":1,\"success\":true,"
         "\"requiredExtension\":[\"warp\"]}",
         false, PROBLEM_EXTENSION_NOT_SUPPORTED},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct fake fake;
        struct seen seen = {0};
        fake_init(&fake);
        fake_open(&fake, LINK_SERVER);
        link_set_authenticated(fake.link, NULL);
        link_request(fake.link, "msetup", json_pack("{s:[s]}", "supportedExtension", "trickle-ice"),
                     0, done, &seen);
        fake_say(&fake, "{\"messageType\":\"response\",\"transactionId\":3,\"success\":true}");
        g_assert_cmpuint(seen.calls, ==, 0);
        fake_say(&fake, rows[i].text);
        fake_say(&fake, rows[i].text); /* once more: unknown by now */
        g_assert_cmpuint(seen.calls, ==, 1);
        g_assert_cmpint(seen.success, ==, rows[i].success);
        g_assert_cmpint(seen.code, ==, rows[i].code);
        g_assert_nonnull(seen.text);
        fake_finish(&fake);
        g_assert_cmpuint(seen.calls, ==, 1);
        free(seen.text);
    }
}

static void test_loss_answers_all(void)
{
    struct fake fake;
    struct seen seen = {0}, cancelled = {0};
    fake_init(&fake);
    fake_open(&fake, LINK_SERVER);
    for (int i = 0; i < 5; i++)
        link_request(fake.link, "msetup", NULL, 0, done, &seen);
    link_call_cancel(link_request(fake.link, "msetup", NULL, 0, done, &cancelled));
    link_request(fake.link, "msetup", NULL, 0, done, &cancelled);
    link_request(fake.link, "msetup", NULL, 0, done, &cancelled);
    link_cancel_calls(fake.link, &cancelled);
    fake_finish(&fake);
    g_assert_cmpuint(seen.calls, ==, 5);
    g_assert_cmpint(seen.code, ==, PROBLEM_PEER_TIMEOUT);
    g_assert_cmpuint(cancelled.calls, ==, 0);
}

/* A program that answers every failure by asking again must not hang the loop. */
static void test_asks_again_while_lost(void)
{
    struct fake fake;
    struct seen seen = {.fake = &fake};
    fake_init(&fake);
    fake_open(&fake, LINK_SERVER);
    link_request(fake.link, "msetup", NULL, 0, done, &seen);
    fake_finish(&fake);
    g_assert_cmpuint(seen.calls, ==, 1);
}

static void test_calls_max(void)
{
    struct fake fake;
    struct seen seen = {0};
    fake_init(&fake);
    fake.limits.calls_max = 2;
    fake_open(&fake, LINK_SERVER);
    for (int i = 0; i < 3; i++)
        link_request(fake.link, "msetup", NULL, 0, done, &seen);
    g_assert_cmpuint(seen.calls, ==, 0); /* never from inside the call */
    gint64 next = G_MAXINT64;
    link_calls_tick(fake.link, g_get_monotonic_time(), &next);
    g_assert_cmpuint(seen.calls, ==, 1);
    g_assert_cmpint(seen.code, ==, PROBLEM_RESOURCES_UNAVAILABLE);
    link_set_authenticated(fake.link, NULL);
    fake_finish(&fake);
    g_assert_cmpuint(seen.calls, ==, 3);
}

static void test_times(void)
{
    struct fake fake;
    struct seen seen = {0};
    fake_init(&fake);
    fake_open(&fake, LINK_SERVER);
    gint64 start = g_get_monotonic_time(), next = G_MAXINT64;
    link_request(fake.link, "msetup", NULL, 4000, done, &seen);
    g_autofree char *first = fake_hear(&fake);
    link_calls_tick(fake.link, start + G_USEC_PER_SEC, &next);
    fake_expect(&fake, NULL);
    link_calls_tick(fake.link, start + 3 * G_USEC_PER_SEC, &next);
    g_autofree char *second = fake_hear(&fake);
    g_assert_cmpstr(first, ==, second);
    link_calls_tick(fake.link, start + 5 * G_USEC_PER_SEC, &next);
    fake_expect(&fake, NULL);
    g_assert_cmpuint(seen.calls, ==, 1);
    g_assert_cmpint(seen.code, ==, PROBLEM_PEER_TIMEOUT);
    fake_finish(&fake);
}

static void test_queue_max(void)
{
    struct fake fake;
    fake_init(&fake);
    fake.limits.send_queue_max = 1000;
    fake_open(&fake, LINK_SERVER);
    guint sent = 0;
    for (; sent < 100 && fake.link->state == LINK_OPEN; sent++) {
        link_request(fake.link, "msetup", NULL, 0, NULL, NULL);
        g_assert_cmpuint(fake.link->queue_octets, <=, 1000);
    }
    g_assert_cmpuint(sent, <, 100);
    fake_expect(&fake, "close 1013");
    fake_expect(&fake, NULL);
    fake_finish(&fake);
    g_assert_cmpint(fake.closed_code, ==, 1013);
}

static void test_close_after_queue(void)
{
    struct fake fake;
    struct seen seen = {0};
    fake_init(&fake);
    fake_open(&fake, LINK_SERVER);
    link_request(fake.link, "msetup", NULL, 0, done, &seen);
    link_close(fake.link, LINK_CLOSE_SUPERSEDED, "another one");
    link_close(fake.link, LINK_CLOSE_NORMAL, "too late");
    link_request(fake.link, "mdisc", NULL, 0, done, &seen);
    g_assert_cmpuint(fake.closed, ==, 0);
    fake_expect(&fake, "*msetup*");
    fake_expect(&fake, "close 4409");
    fake_finish(&fake);
    g_assert_cmpuint(seen.calls, ==, 2);
    g_assert_cmpint(fake.closed_code, ==, 4409);
}

static void test_peer_closes(void)
{
    struct fake fake;
    fake_init(&fake);
    fake_open(&fake, LINK_CLIENT);
    link_request(fake.link, "msetup", NULL, 0, NULL, NULL);
    link_wire_peer_closed(fake.link, 1001, "draining");
    fake_expect(&fake, NULL);
    link_close(fake.link, LINK_CLOSE_NORMAL, NULL);
    fake_finish(&fake);
    g_assert_cmpint(fake.closed_code, ==, 1001);
}

static void test_ping_between_pieces(void)
{
    struct fake fake;
    struct link_piece piece;
    fake_init(&fake);
    fake_open(&fake, LINK_CLIENT);
    link_request(fake.link, "msetup", NULL, 0, NULL, NULL);
    g_assert_cmpint(link_wire_next(fake.link, 10, &piece), ==, LINK_OUT_PIECE);
    g_assert_true(piece.first && !piece.last);
    fake.link->ping_due = true;
    g_assert_cmpint(link_wire_next(fake.link, 10, &piece), ==, LINK_OUT_PING);
    g_assert_cmpint(link_wire_next(fake.link, 10, &piece), ==, LINK_OUT_PIECE);
    g_assert_false(piece.first);
    fake_finish(&fake);
}

static void test_abandon(void)
{
    struct fake fake;
    struct seen seen = {0};
    fake_init(&fake);
    fake_open(&fake, LINK_CLIENT);
    struct link *link = fake.link;
    link_request(link, "msetup", NULL, 0, done, &seen);
    link_abandon(link, LINK_CLOSE_NORMAL);
    fake_expect(&fake, "*msetup*");
    fake_expect(&fake, "close 1000");
    fake_finish(&fake);
    g_assert_cmpuint(seen.calls, ==, 0);
    g_assert_cmpuint(fake.closed, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/link-send/ids", test_ids);
    g_test_add_func("/link-send/responses", test_responses);
    g_test_add_func("/link-send/loss-answers-all", test_loss_answers_all);
    g_test_add_func("/link-send/asks-again-while-lost", test_asks_again_while_lost);
    g_test_add_func("/link-send/calls-max", test_calls_max);
    g_test_add_func("/link-send/times", test_times);
    g_test_add_func("/link-send/queue-max", test_queue_max);
    g_test_add_func("/link-send/close-after-queue", test_close_after_queue);
    g_test_add_func("/link-send/peer-closes", test_peer_closes);
    g_test_add_func("/link-send/ping-between-pieces", test_ping_between_pieces);
    g_test_add_func("/link-send/abandon", test_abandon);
    return g_test_run();
}
