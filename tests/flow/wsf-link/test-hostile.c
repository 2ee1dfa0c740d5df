/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that break the rules: each ends its own connection, with the close code of A1, and a link
 * beside it never notices. */
#include "raw-peer.h"
#include "world.h"

#include "base/loop.h"

#include <string.h>

struct pair {
    struct world world;
    struct caller witness; /* a well-behaved link of the same listener */
};

static void set_up(struct pair *pair)
{
    world_init(&pair->world);
    world_listen(&pair->world);
    caller_init(&pair->witness, &pair->world, NULL);
    caller_dial(&pair->witness);
    world_wait(pair->witness.opened, 5);
    g_assert_true(caller_try(&pair->witness, "auth", NULL));
}

static void tear_down(struct pair *pair)
{
    g_assert_true(caller_try(&pair->witness, "echo", NULL));
    g_assert_cmpuint(pair->witness.closed, ==, 0);
    caller_finish(&pair->witness);
    world_finish(&pair->world);
}

static void authenticate(struct raw_peer *peer)
{
    raw_say(peer, "{\"messageType\":\"request\",\"method\":\"auth\",\"transactionId\":0}");
    raw_expect(peer, "*\"success\":true*", 2);
}

static void expect_close(struct pair *pair, struct raw_peer *peer, int code)
{
    g_autofree char *pattern = g_strdup_printf("close %d*", code);
    guint closed = pair->world.closed;
    raw_expect(peer, pattern, 5);
    guint8 echo[2] = {(guint8)(code >> 8), (guint8)code};
    raw_frame(peer, 8, true, echo, 2);
    raw_expect(peer, "end", 5);
    world_wait(pair->world.closed > closed, 5);
    g_assert_cmpint(pair->world.closed_code, ==, code);
    raw_finish(peer);
}

static void test_malformed(void)
{
    static const struct {
        const char *text;
        int code;
    } rows[] = {
        {"", 4400},
        {"hello", 4400},
        {"[]", 4400},
        {"{\"transactionId\":0", 4400},
        {"{\"transactionId\":0,\"transactionId\":2}", 4400},
        {"{\"transactionId\":null}", 4400},
        {"{\"a\":\"\xc0\x80\"}", 1007},
        {"\xff\xfe", 1007},
    };
    struct pair pair;
    set_up(&pair);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct raw_peer peer;
        raw_open(&peer, pair.world.port);
        if (i & 1)
            authenticate(&peer);
        raw_say(&peer, rows[i].text);
        expect_close(&pair, &peer, rows[i].code);
    }
    tear_down(&pair);
}

static void test_deep_nesting(void)
{
    struct pair pair;
    struct raw_peer peer;
    set_up(&pair);
    raw_open(&peer, pair.world.port);
    authenticate(&peer);
    g_autofree char *deep = g_strnfill(200000, '[');
    g_autofree char *text = g_strconcat("{\"transactionId\":2,\"a\":", deep, NULL);
    raw_say(&peer, text);
    expect_close(&pair, &peer, 4400);
    tear_down(&pair);
}

static void test_binary(void)
{
    struct pair pair;
    struct raw_peer peer;
    set_up(&pair);
    raw_open(&peer, pair.world.port);
    raw_frame(&peer, 2, true, "\1\2\3", 3);
    expect_close(&pair, &peer, 1003);
    raw_open(&peer, pair.world.port);
    raw_frame(&peer, 2, false, "\1", 1);
    expect_close(&pair, &peer, 1003);
    tear_down(&pair);
}

/* 1009 comes as soon as the cap is passed, in one frame or over many, before and after auth. */
static void test_too_large(void)
{
    struct pair pair;
    set_up(&pair);
    g_autofree char *octets = g_strnfill(300 * 1024, 'x');
    for (int authenticated = 0; authenticated < 2; authenticated++) {
        gsize cap = authenticated ? 256 * 1024 : 16 * 1024;
        for (gsize piece = 1000; piece <= cap + 1; piece += cap + 1 - 1000) {
            struct raw_peer peer;
            raw_open(&peer, pair.world.port);
            if (authenticated)
                authenticate(&peer);
            for (gsize sent = 0; sent < cap + 1; sent += piece)
                raw_frame(&peer, sent ? 0 : 1, false, octets, MIN(piece, cap + 1 - sent));
            expect_close(&pair, &peer, 1009);
        }
    }
    tear_down(&pair);
}

/* A length of 2^62 in the header reserves nothing. */
static void test_announced_length(void)
{
    static const guint8 head[] = {0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'x'};
    struct pair pair;
    struct raw_peer peer;
    set_up(&pair);
    raw_open(&peer, pair.world.port);
    raw_write(&peer, head, sizeof head);
    g_autofree char *octets = g_strnfill(20000, 'x');
    raw_write(&peer, octets, 20000);
    raw_expect(&peer, "close 1009*", 5);
    raw_finish(&peer);
    tear_down(&pair);
}

/* Frames that RFC 6455 forbids end the connection; how is the library's business. */
static void test_illegal_frames(void)
{
    static const struct {
        const char *octets;
        gsize length;
    } rows[] = {
        {"\x83\x80\0\0\0\0", 6},                    /* a reserved opcode */
        {"\x8b\x80\0\0\0\0", 6},                    /* a reserved control opcode */
        {"\xc1\x80\0\0\0\0", 6},                    /* RSV1 without an extension */
        {"\x80\x80\0\0\0\0", 6},                    /* continuation of nothing */
        {"\x09\x80\0\0\0\0", 6},                    /* a fragmented ping */
        {"\x89\xfe\0\x80\0\0\0\0", 8},              /* a ping of 128 octets */
        {"\x01\x81\0\0\0\0{\x81\x81\0\0\0\0{", 14}, /* a message inside a message */
        {"\x81\xff\x80\0\0\0\0\0\0\0\0\0\0\0", 14}, /* a length of 2^63 */
    };
    struct pair pair;
    set_up(&pair);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct raw_peer peer;
        guint closed = pair.world.closed;
        raw_open(&peer, pair.world.port);
        raw_write(&peer, rows[i].octets, rows[i].length);
        g_autofree char *last = raw_hear(&peer, 5);
        g_assert_true(g_str_has_prefix(last, "close 1002") || !strcmp(last, "end"));
        raw_finish(&peer);
        world_wait(pair.world.closed > closed, 5);
    }
    tear_down(&pair);
}

static void test_control_frames(void)
{
    static const char text[] =
        "{\"messageType\":\"request\",\"method\":\"keepalive\",\"transactionId\":0}";
    struct pair pair;
    struct raw_peer peer;
    set_up(&pair);
    raw_open(&peer, pair.world.port);
    raw_frame(&peer, 9, true, "abc", 3);
    raw_expect(&peer, "pong abc", 2);
    raw_frame(&peer, 1, false, text, 10);
    raw_frame(&peer, 9, true, "between", 7);
    raw_expect(&peer, "pong between", 2);
    raw_frame(&peer, 10, true, "unasked", 7);
    raw_frame(&peer, 0, false, "", 0);
    raw_frame(&peer, 0, true, text + 10, sizeof text - 11);
    raw_expect(&peer, "*\"success\":true*", 2);
    raw_frame(&peer, 8, true,
              "\x0f\xa0"
              "bye",
              5);
    raw_expect(&peer, "close 4000*", 2);
    world_wait(pair.world.closed, 5);
    g_assert_cmpint(pair.world.closed_code, ==, 4000);
    raw_finish(&peer);
    raw_open(&peer, pair.world.port);
    raw_frame(&peer, 8, true, "", 0);
    world_wait(pair.world.closed == 2, 5);
    g_assert_cmpint(pair.world.closed_code, ==, 1005);
    raw_finish(&peer);
    tear_down(&pair);
}

static void test_gone_without_a_word(void)
{
    struct pair pair;
    struct raw_peer peer;
    set_up(&pair);
    raw_open(&peer, pair.world.port);
    raw_frame(&peer, 1, false, "{", 1);
    raw_finish(&peer);
    world_wait(pair.world.closed, 5);
    g_assert_cmpint(pair.world.closed_code, ==, LINK_CLOSE_ABNORMAL);
    tear_down(&pair);
}

static void test_too_many_requests(void)
{
    struct pair pair;
    struct raw_peer peer;
    set_up(&pair);
    raw_open(&peer, pair.world.port);
    guint refused = 0;
    for (int id = 0; id < 400; id += 2) {
        g_autofree char *text = g_strdup_printf(
            "{\"messageType\":\"request\",\"method\":\"keepalive\",\"transactionId\":%d}", id);
        raw_say(&peer, text);
    }
    for (;;) {
        g_autofree char *answer = raw_hear(&peer, 5);
        if (!g_str_has_prefix(answer, "{")) {
            g_assert_true(g_str_has_prefix(answer, "close 4429"));
            break;
        }
        refused += strstr(answer, "TOO_MANY_REQUESTS") && strstr(answer, "\"retryAfter\":1");
    }
    /* The queue is thrown away at the close, so not every refusal was told. */
    g_assert_cmpuint(refused, <=, 20);
    raw_finish(&peer);
    tear_down(&pair);
}

static void test_unasked_responses(void)
{
    struct pair pair;
    struct raw_peer peer;
    set_up(&pair);
    raw_open(&peer, pair.world.port);
    raw_say(&peer, "{\"messageType\":\"response\",\"method\":\"x\",\"transactionId\":1,"
                   "\"success\":true}");
    raw_say(&peer, "{\"messageType\":\"response\",\"transactionId\":18446744073709551615}");
    raw_expect_silence(&peer, 100);
    for (int i = 0; i < 100; i++)
        raw_say(&peer, "{\"messageType\":\"response\",\"transactionId\":1}");
    raw_expect(&peer, "close 4429*", 5);
    raw_finish(&peer);
    tear_down(&pair);
}

/* Random octets after the handshake, and instead of it. */
static void test_noise(void)
{
    struct pair pair;
    set_up(&pair);
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    for (int i = 0; i < 200; i++) {
        struct raw_peer peer;
        guint8 noise[512];
        for (guint j = 0; j < sizeof noise; j++)
            noise[j] = (guint8)g_rand_int(rand);
        if (i & 1)
            raw_open(&peer, pair.world.port);
        else
            raw_connect(&peer, pair.world.port);
        raw_write(&peer, noise, (gsize)g_rand_int_range(rand, 1, sizeof noise));
        world_run_ms(1);
        raw_finish(&peer);
    }
    world_wait(pair.world.closed == pair.world.opened - 1, 12);
    tear_down(&pair);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/hostile/malformed", test_malformed);
    g_test_add_func("/hostile/deep-nesting", test_deep_nesting);
    g_test_add_func("/hostile/binary", test_binary);
    g_test_add_func("/hostile/too-large", test_too_large);
    g_test_add_func("/hostile/announced-length", test_announced_length);
    g_test_add_func("/hostile/illegal-frames", test_illegal_frames);
    g_test_add_func("/hostile/control-frames", test_control_frames);
    g_test_add_func("/hostile/gone-without-a-word", test_gone_without_a_word);
    g_test_add_func("/hostile/too-many-requests", test_too_many_requests);
    g_test_add_func("/hostile/unasked-responses", test_unasked_responses);
    g_test_add_func("/hostile/noise", test_noise);
    return g_test_run();
}
