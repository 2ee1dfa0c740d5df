/* SPDX-License-Identifier: Apache-2.0 */
/* What a message from the peer leads to: close codes, problems, replays, the gate, limits. */
#include "fake-wire.h"

#include "base/problem.h"

static void open_server(struct fake *fake, bool authenticated)
{
    fake_init(fake);
    fake_open(fake, LINK_SERVER);
    if (authenticated)
        link_set_authenticated(fake->link, "a@b");
}

static void test_close_codes(void)
{
    static const struct {
        const char *text;
        int code;
    } rows[] = {
        {"", 4400},
        {"x", 4400},
        {"{}", 4400},
        {"{\"transactionId\":2,\"a\":1,\"a\":2}", 4400},
        {"{\"transactionId\":\"2\"}", 4400},
        {"{\"a\":\"\xff\"}", 1007},
        {"\xc3", 1007},
        {"{\"a\":\"\xed\xa0\x80\"}", 1007},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct fake fake;
        open_server(&fake, true);
        fake_say(&fake, rows[i].text);
        g_autofree char *close = g_strdup_printf("close %d", rows[i].code);
        fake_expect(&fake, close);
        fake_say(&fake, "{\"messageType\":\"request\",\"method\":\"mdisc\",\"transactionId\":2}");
        fake_expect(&fake, NULL);
        fake_finish(&fake);
        g_assert_cmpint(fake.closed_code, ==, rows[i].code);
    }
}

static void test_nul_is_malformed(void)
{
    struct fake fake;
    open_server(&fake, true);
    link_wire_received(fake.link, "{\"a\":1}\0", 8, true, true, false);
    fake_expect(&fake, "close 4400");
    fake_finish(&fake);
}

static void test_binary(void)
{
    struct fake fake;
    open_server(&fake, true);
    link_wire_received(fake.link, "x", 1, true, true, true);
    fake_expect(&fake, "close 1003");
    fake_finish(&fake);
}

/* The caps count over all fragments; the exact size still passes. */
static void test_caps(void)
{
    for (int authenticated = 0; authenticated < 2; authenticated++) {
        gsize cap = authenticated ? 256 * 1024 : 16 * 1024;
        for (gsize over = 0; over < 2; over++) {
            struct fake fake;
            open_server(&fake, authenticated);
            GString *text = g_string_new("{\"messageType\":\"request\",\"method\":\"keepalive\","
                                         "\"transactionId\":2,\"pad\":\"");
            while (text->len < cap + over - 2)
                g_string_append_c(text, 'x');
            g_string_append(text, "\"}");
            for (gsize at = 0; at < text->len; at += 1000) {
                gsize length = MIN(1000, text->len - at);
                link_wire_received(fake.link, text->str + at, length, at == 0,
                                   at + length == text->len, false);
            }
            fake_expect(&fake, over ? "close 1009" : "*\"success\":true}");
            g_string_free(text, TRUE);
            fake_finish(&fake);
        }
    }
}

static void test_fragments(void)
{
    static const char text[] =
        "{\"messageType\":\"request\",\"method\":\"keepalive\",\"transactionId\":4}";
    struct fake fake;
    open_server(&fake, false);
    for (gsize i = 0; i < sizeof text - 1; i++)
        link_wire_received(fake.link, text + i, 1, i == 0, i == sizeof text - 2, false);
    fake_expect(&fake, "{\"messageType\":\"response\",\"method\":\"keepalive\","
                       "\"transactionId\":4,\"success\":true}");
    fake_finish(&fake);
}

static void test_gate(void)
{
    struct fake fake;
    open_server(&fake, false);
    fake_say(&fake, "{\"messageType\":\"request\",\"method\":\"msetup\",\"transactionId\":0}");
    fake_expect(&fake, "*\"success\":false*NOT_AUTHENTICATED*");
    fake_say(&fake, "{\"messageType\":\"request\",\"method\":\"unknown\",\"transactionId\":2}");
    fake_expect(&fake, "*NOT_AUTHENTICATED*");
    fake_say(&fake, "{\"messageType\":\"request\",\"method\":\"keepalive\",\"transactionId\":4}");
    fake_expect(&fake, "*\"success\":true*");
    g_assert_cmpuint(fake.requests->len, ==, 0);
    fake_say(&fake, "{\"messageType\":\"request\",\"method\":\"auth\",\"transactionId\":6}");
    struct link_transaction *transaction = fake_take(&fake);
    g_assert_cmpstr(link_transaction_name(transaction), ==, "auth/6");
    link_set_authenticated(fake.link, "alice@example.org");
    g_assert_cmpstr(link_name(fake.link), ==, "7/alice@example.org");
    link_succeed(transaction, json_pack("{s:i}", "expirationTime", 3600));
    fake_expect(&fake, "*\"success\":true,\"expirationTime\":3600}");
    fake_say(&fake, "{\"messageType\":\"request\",\"method\":\"msetup\",\"transactionId\":8}");
    g_assert_cmpuint(fake.requests->len, ==, 1);
    fake_finish(&fake);
}

/* A1: 1011 when we fail ourselves: an answer that cannot be written leaves the peer in doubt. */
static void test_internal_error(void)
{
    struct fake fake;
    open_server(&fake, true);
    fake_say(&fake, "{\"messageType\":\"request\",\"method\":\"msetup\",\"transactionId\":2}");
    struct link_transaction *transaction = fake_take(&fake);
    link_succeed(transaction, json_pack("{s:o}", "userData", json_string_nocheck("\xff")));
    fake_expect(&fake, "close 1011");
    fake_finish(&fake);
}

static void fail_auth(struct fake *fake, guint id, bool count_first)
{
    g_autofree char *text = g_strdup_printf(
        "{\"messageType\":\"request\",\"method\":\"auth\",\"transactionId\":%u}", id);
    fake_say(fake, text);
    struct link_transaction *transaction = fake_take(fake);
    g_autoptr(GError) error = NULL;
    problem_set(&error, PROBLEM_AUTHENTICATION_FAILED, "no");
    if (count_first)
        link_auth_failed(fake->link);
    link_fail(transaction, error, NULL);
    if (!count_first)
        link_auth_failed(fake->link);
    fake_expect(fake, "*AUTHENTICATION_FAILED*");
}

static void test_three_failures(void)
{
    for (int count_first = 0; count_first < 2; count_first++) {
        struct fake fake;
        open_server(&fake, false);
        fail_auth(&fake, 0, count_first);
        fail_auth(&fake, 2, count_first);
        fake_expect(&fake, NULL);
        fail_auth(&fake, 4, count_first);
        fake_expect(&fake, "close 4401");
        fake_finish(&fake);
        g_assert_cmpint(fake.closed_code, ==, 4401);
    }
}

static void test_replay(void)
{
    static const char request[] =
        "{\"messageType\":\"request\",\"method\":\"msetup\",\"transactionId\":10}";
    struct fake fake;
    open_server(&fake, true);
    fake_say(&fake, request);
    fake_say(&fake, request);
    g_assert_cmpuint(fake.requests->len, ==, 1);
    fake_expect(&fake, NULL);
    link_succeed(fake_take(&fake), json_pack("{s:s}", "mediaSessionId", "m"));
    g_autofree char *first = fake_hear(&fake);
    fake_say(&fake, request);
    g_autofree char *second = fake_hear(&fake);
    g_assert_cmpstr(first, ==, second);
    g_assert_cmpuint(fake.requests->len, ==, 0);
    fake_finish(&fake);
}

static void test_ids(void)
{
    static const struct {
        const char *id, *answer;
    } rows[] = {
        {"18446744073709551614", "*\"transactionId\":18446744073709551614,\"success\":true*"},
        {"18446744073709551615",
         "*\"transactionId\":18446744073709551615,\"success\":false*TRANSACTION_ID_PARITY*"},
        {"9223372036854775808", "*TRANSACTION_ID_REUSED*"},
        {"18446744073709551612", "*\"transactionId\":18446744073709551612,\"success\":true*"},
        {"0", "*TRANSACTION_ID_REUSED*"},
    };
    struct fake fake;
    open_server(&fake, true);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = g_strdup_printf(
            "{\"messageType\":\"request\",\"method\":\"keepalive\",\"transactionId\":%s}",
            rows[i].id);
        fake_say(&fake, text);
        fake_expect(&fake, rows[i].answer);
    }
    fake_finish(&fake);
}

static void test_methods_and_extensions(void)
{
    struct fake fake;
    open_server(&fake, true);
    fake_say(&fake, "{\"messageType\":\"request\",\"method\":\"fly\",\"transactionId\":0}");
    fake_expect(&fake, "*501*METHOD_NOT_SUPPORTED*");
    fake_say(&fake, "{\"messageType\":\"request\",\"method\":\"a.b\",\"transactionId\":2}");
    fake_expect(&fake, "*INVALID_MESSAGE*");
    fake_say(&fake, "{\"messageType\":\"request\",\"method\":\"msetup\",\"transactionId\":4,"
                    "\"requiredExtension\":[\"trickle-ice\",\"warp\"]}");
    fake_expect(&fake, "*\"success\":false,\"unsupportedExtension\":[\"warp\"]*"
                       "EXTENSION_NOT_SUPPORTED*");
    fake_say(&fake, "{\"messageType\":\"request\",\"transactionId\":6}");
    fake_expect(&fake, "*MISSING_PARAMETER*");
    g_assert_cmpuint(fake.requests->len, ==, 0);
    fake_say(&fake, "{\"messageType\":\"request\",\"method\":\"chat.x.org\",\"transactionId\":8,"
                    "\"supportedExtension\":[\"datachannel\"],\"requiredExtension\":"
                    "[\"trickle-ice\"]}");
    struct link_transaction *transaction = fake_take(&fake);
    g_assert_true(link_transaction_supports(transaction, "datachannel"));
    g_assert_true(link_transaction_supports(transaction, "trickle-ice"));
    g_assert_false(link_transaction_supports(transaction, "warp"));
    link_succeed(transaction, NULL);
    fake_expect(&fake, "*\"method\":\"chat.x.org\",\"transactionId\":8,\"success\":true}");
    fake_finish(&fake);
}

static void say_keepalive(struct fake *fake, guint id)
{
    g_autofree char *text = g_strdup_printf(
        "{\"messageType\":\"request\",\"method\":\"keepalive\",\"transactionId\":%u}", id);
    fake_say(fake, text);
}

static void test_rate(void)
{
    struct fake fake;
    fake_init(&fake);
    fake.limits.rate = 1;
    fake.limits.burst = 10;
    fake_open(&fake, LINK_SERVER);
    link_set_authenticated(fake.link, NULL);
    guint id = 0;
    for (guint i = 0; i < 10; i++, id += 2) {
        say_keepalive(&fake, id);
        fake_expect(&fake, "*\"success\":true*");
    }
    say_keepalive(&fake, id);
    fake_expect(&fake, "*429*TOO_MANY_REQUESTS*\"retryAfter\":1}");
    say_keepalive(&fake, id); /* the answer to this id is a 429 for ever; above the rate: silence */
    fake_expect(&fake, NULL);
    for (guint i = 0; i < 100 && fake.link->state == LINK_OPEN; i++, id += 2)
        say_keepalive(&fake, id + 2);
    g_assert_cmpint(fake.link->close_code, ==, LINK_CLOSE_RATE_LIMIT);
    fake_finish(&fake);
}

static void test_rate_before_auth(void)
{
    struct fake fake;
    open_server(&fake, false);
    for (guint id = 0; id < 20; id += 2) {
        say_keepalive(&fake, id);
        fake_expect(&fake, "*\"success\":true*");
    }
    say_keepalive(&fake, 20);
    fake_expect(&fake, "*TOO_MANY_REQUESTS*");
    fake_finish(&fake);
}

static void test_rate_of_address(void)
{
    struct fake fake;
    open_server(&fake, true);
    fake.admit = false;
    say_keepalive(&fake, 0);
    fake_expect(&fake, "*TOO_MANY_REQUESTS*\"retryAfter\":3}");
    fake_finish(&fake);
}

static void test_slow_instead_of_refuse(void)
{
    struct fake fake;
    fake_init(&fake);
    fake.limits.rate = 10;
    fake.limits.burst = 2;
    fake.limits.slow_instead_of_refuse = true;
    fake_open(&fake, LINK_SERVER);
    link_set_authenticated(fake.link, NULL);
    for (guint id = 0; id < 6; id += 2) {
        g_assert_true(fake.reading);
        say_keepalive(&fake, id);
        fake_expect(&fake, "*\"success\":true*");
    }
    g_assert_false(fake.reading);
    gint64 now = g_get_monotonic_time(), next = G_MAXINT64;
    link_receive_tick(fake.link, now, &next);
    g_assert_false(fake.reading);
    g_assert_cmpint(next, >, now);
    link_receive_tick(fake.link, next, &next);
    g_assert_true(fake.reading);
    fake_finish(&fake);
}

static void test_too_many_in_progress(void)
{
    struct fake fake;
    fake_init(&fake);
    fake.limits.transactions_max = 2;
    fake_open(&fake, LINK_SERVER);
    link_set_authenticated(fake.link, NULL);
    for (guint id = 0; id < 6; id += 2) {
        g_autofree char *text = g_strdup_printf(
            "{\"messageType\":\"request\",\"method\":\"mdisc\",\"transactionId\":%u}", id);
        fake_say(&fake, text);
    }
    g_assert_cmpuint(fake.requests->len, ==, 2);
    fake_expect(&fake, "*\"transactionId\":4*TOO_MANY_REQUESTS*");
    fake_finish(&fake);
}

/* Few large requests in progress weigh as much as many small ones. */
static void test_too_heavy_in_progress(void)
{
    struct fake fake;
    fake_init(&fake);
    fake.limits.message_max = 10000;
    fake_open(&fake, LINK_SERVER);
    link_set_authenticated(fake.link, NULL);
    g_autofree char *pad = g_strnfill(9000, 'x');
    for (guint id = 0; id < 12; id += 2) {
        g_autofree char *text = g_strdup_printf(
            "{\"messageType\":\"request\",\"method\":\"mdisc\",\"transactionId\":%u,"
            "\"pad\":\"%s\"}",
            id, pad);
        fake_say(&fake, text);
    }
    g_assert_cmpuint(fake.requests->len, ==, 5);
    fake_expect(&fake, "*\"transactionId\":10*TOO_MANY_REQUESTS*");
    link_succeed(fake_take(&fake), NULL);
    fake_expect(&fake, "*\"transactionId\":0,\"success\":true}");
    fake_say(&fake, "{\"messageType\":\"request\",\"method\":\"mdisc\",\"transactionId\":12}");
    g_assert_cmpuint(fake.requests->len, ==, 5);
    fake_finish(&fake);
}

/* Octets above the budget are slowed, whatever they say. */
static void test_octets(void)
{
    struct fake fake;
    open_server(&fake, true);
    g_autofree char *pad = g_strnfill(200000, ' ');
    g_autofree char *text =
        g_strconcat("{\"messageType\":\"response\",\"transactionId\":1}", pad, NULL);
    for (int i = 0; i < 5; i++) {
        g_assert_true(fake.reading);
        fake_say(&fake, text);
    }
    fake_say(&fake, text);
    g_assert_false(fake.reading);
    gint64 now = g_get_monotonic_time(), next = G_MAXINT64;
    link_receive_tick(fake.link, now, &next);
    g_assert_cmpint(next, >, now);
    link_receive_tick(fake.link, next, &next);
    g_assert_true(fake.reading);
    fake_finish(&fake);
}

static void test_answer_after_loss(void)
{
    struct fake fake;
    open_server(&fake, true);
    fake_say(&fake, "{\"messageType\":\"request\",\"method\":\"mdisc\",\"transactionId\":0}");
    struct link_transaction *transaction = fake_take(&fake);
    link_wire_lost(fake.link);
    g_assert_cmpuint(fake.closed, ==, 1);
    g_assert_cmpint(fake.closed_code, ==, LINK_CLOSE_ABNORMAL);
    g_assert_cmpstr(link_transaction_method(transaction), ==, "mdisc");
    link_succeed(transaction, json_pack("{s:i}", "a", 1));
    fake_finish(&fake);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/link-receive/close-codes", test_close_codes);
    g_test_add_func("/link-receive/nul-is-malformed", test_nul_is_malformed);
    g_test_add_func("/link-receive/binary", test_binary);
    g_test_add_func("/link-receive/caps", test_caps);
    g_test_add_func("/link-receive/fragments", test_fragments);
    g_test_add_func("/link-receive/gate", test_gate);
    g_test_add_func("/link-receive/three-failures", test_three_failures);
    g_test_add_func("/link-receive/replay", test_replay);
    g_test_add_func("/link-receive/ids", test_ids);
    g_test_add_func("/link-receive/methods-and-extensions", test_methods_and_extensions);
    g_test_add_func("/link-receive/internal-error", test_internal_error);
    g_test_add_func("/link-receive/rate", test_rate);
    g_test_add_func("/link-receive/rate-before-auth", test_rate_before_auth);
    g_test_add_func("/link-receive/rate-of-address", test_rate_of_address);
    g_test_add_func("/link-receive/slow-instead-of-refuse", test_slow_instead_of_refuse);
    g_test_add_func("/link-receive/too-many-in-progress", test_too_many_in_progress);
    g_test_add_func("/link-receive/too-heavy-in-progress", test_too_heavy_in_progress);
    g_test_add_func("/link-receive/octets", test_octets);
    g_test_add_func("/link-receive/answer-after-loss", test_answer_after_loss);
    return g_test_run();
}
