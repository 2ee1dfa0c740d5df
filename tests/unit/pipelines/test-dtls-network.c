/* SPDX-License-Identifier: Apache-2.0 */
/* An association behind a bad network, and one that strangers send to. */
#include "base/problem.h"
#include "tests/unit/pipelines/dtls-call.h"

#include <string.h>

static guint lose_to_peer(struct call *call, enum direction direction, guint index)
{
    return direction == TO_PEER && index == call->chosen ? 0 : 1;
}

static guint lose_to_us(struct call *call, enum direction direction, guint index)
{
    return direction == TO_US && index == call->chosen ? 0 : 1;
}

static guint lose_flight(struct call *call, enum direction direction, guint index)
{
    return call->flight == call->chosen ? 0 : 1;
}

static guint lose_many(struct call *call, enum direction direction, guint index)
{
    return g_rand_double(call->random) < 0.3 ? 0 : g_rand_double(call->random) < 0.2 ? 3 : 1;
}

static void test_loss_of_each_datagram(void)
{
    BOTH_ROLES(is_client)
    {
        struct call *plain = connected_call(is_client);

        for (enum direction direction = TO_PEER; direction <= TO_US; direction++) {
            for (guint lost = 0; lost < plain->count[direction]; lost++) {
                struct call *call = call_new(is_client);

                call->fate = direction == TO_PEER ? lose_to_peer : lose_to_us;
                call->chosen = lost;
                run(call);
                assert_connected(call);
                call_free(call);
            }
        }
        call_free(plain);
    }
}

static void test_loss_of_each_flight(void)
{
    BOTH_ROLES(is_client)
    {
        struct call *plain = connected_call(is_client);

        for (guint lost = 1; lost <= plain->flight; lost++) {
            struct call *call = call_new(is_client);

            call->fate = lose_flight;
            call->chosen = lost;
            run(call);
            assert_connected(call);
            g_assert_cmpuint(call->flight, >, plain->flight);
            call_free(call);
        }
        call_free(plain);
    }
}

static void test_duplicates_and_reordering(void)
{
    BOTH_ROLES(is_client)
    {
        for (guint mode = 1; mode < 8; mode++) {
            struct call *call = call_new(is_client);

            call->fate = mode & 1 ? double_all : NULL;
            call->reversed = mode & 2;
            call->swapped = mode & 4;
            /* so that there is something to reorder: a flight is one datagram else */
            g_assert_cmpint(DTLS_set_link_mtu(call->peer->ssl, 256), ==, 1);
            run(call);
            assert_connected(call);
            call_free(call);
        }
    }
}

/* Messages in pieces: a hello with many key shares comes in two datagrams or more. */
static void test_fragments(void)
{
    BOTH_ROLES(is_client)
    {
        struct call *plain = connected_call(is_client);
        guint8 alpn[251] = {250}; /* to make the hello long */

        for (guint reversed = 0; reversed < 2; reversed++) {
            struct call *call = call_new(is_client);

            g_assert_cmpint(DTLS_set_link_mtu(call->peer->ssl, 256), ==, 1);
            g_assert_cmpint(SSL_set_alpn_protos(call->peer->ssl, alpn, sizeof alpn), ==, 0);
            call->reversed = reversed;
            run(call);
            assert_connected(call);
            g_assert_cmpuint(call->count[TO_US], >, plain->count[TO_US]);
            call_free(call);
        }
        call_free(plain);
    }
}

static void test_heavy_loss(void)
{
    guint connected = 0;

    BOTH_ROLES(is_client)
    {
        for (guint seed = 0; seed < 20; seed++) {
            struct call *call = call_new(is_client);

            g_rand_set_seed(call->random, seed);
            call->fate = lose_many;
            call->reversed = seed & 1;
            run(call);
            /* With so much loss OpenSSL may give up in time; half a connection may not be. */
            if (call->connected && call->peer->connected) {
                assert_connected(call);
                connected++;
            }
            call_free(call);
        }
    }
    g_assert_cmpuint(connected, >=, 36);
}

static void test_garbage(void)
{
    BOTH_ROLES(is_client)
    {
        struct call *call = call_new(is_client);
        guint8 datagram[1500];

        dtls_association_start(call->association, now);
        for (guint i = 0; i < 2000; i++) {
            gsize length = (gsize)g_rand_int_range(call->random, 1, sizeof datagram);

            for (gsize at = 0; at < length; at++)
                datagram[at] = (guint8)g_rand_int(call->random);
            datagram[0] = (guint8)g_rand_int_range(call->random, 20, 64);
            dtls_association_receive(call->association, now, datagram, length);
        }
        dtls_association_receive(call->association, now, datagram, 0);
        dtls_association_receive(call->association, now, datagram, DTLS_DATAGRAM_MAX + 1);
        run(call);
        assert_connected(call);
        for (guint i = 0; i < 2000; i++) {
            gsize length = (gsize)g_rand_int_range(call->random, 14, sizeof datagram);

            for (gsize at = 0; at < length; at++)
                datagram[at] = (guint8)g_rand_int(call->random);
            /* The outside of a record of the right epoch around it. */
            memcpy(datagram, "\x17\xfe\xfd\0\1\0\0\0\0", 9);
            datagram[11] = (guint8)((length - 13) >> 8);
            datagram[12] = (guint8)(length - 13);
            dtls_association_receive(call->association, now, datagram, length);
        }
        g_assert_cmpint(dtls_association_state(call->association), ==, DTLS_CONNECTED);
        g_assert_cmpuint(call->data->len, ==, 0);
        call_free(call);
    }
}

/* Records shorter than what the cipher adds to each: dropped as any other that is not authentic
 * (RFC 6347 4.1.2.7), before, amid and after what is, and nothing that follows is lost. OpenSSL
 * 3.0.19 and 3.0.20 report them as an error of the system. */
static void test_short_records(void)
{
    BOTH_ROLES(is_client)
    {
        for (guint8 type = 20; type < 26; type++) {
            struct call *call = call_new(is_client);

            run(call);
            assert_connected(call);
            for (guint8 length = 0; length < 48; length++) {
                guint8 datagram[13 + 48] = {type, 0xfe, 0xfd, 0,      1, 0,     0,
                                            0,    0,    0,    length, 0, length};

                dtls_association_receive(call->association, now, datagram, 13 + length);
                g_assert_cmpint(dtls_association_state(call->association), ==, DTLS_CONNECTED);
                g_assert_true(dtls_association_send(call->association, &length, 1));
                dtls_peer_send(call->peer, &length, 1);
                run(call);
                g_assert_cmpuint(call->data->len, ==, length + 1);
                g_assert_cmpuint(call->peer->data->len, ==, length + 1);
            }
            dtls_peer_close(call->peer);
            run(call);
            g_assert_cmpuint(call->closed, ==, 1);
            call_free(call);
        }
    }
}

/* The same while hands are shaken: before every datagram of the handshake. */
static guint with_short_records(struct call *call, enum direction direction, guint index)
{
    for (guint8 type = 20; direction == TO_US && type < 26; type++) {
        guint8 datagram[15] = {type, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, type, (guint8)index, 0, 2};

        dtls_association_receive(call->association, now, datagram, sizeof datagram);
    }
    return 1;
}

static void test_short_records_early(void)
{
    BOTH_ROLES(is_client)
    {
        struct call *call = call_new(is_client);

        call->fate = with_short_records;
        run(call);
        assert_connected(call);
        call_free(call);
    }
}

/* Every octet of the first flight made wrong once: it ends in an answer, an alert or silence, and
 * nothing but the association itself is hurt. */
static void test_broken_hello(void)
{
    struct dtls_peer *peer = dtls_peer_new(true, DTLS_PEER_ECDSA, PROFILE);
    GBytes *hello;
    gsize length;

    dtls_peer_step(peer);
    hello = g_queue_peek_head(&peer->out);
    length = g_bytes_get_size(hello);
    for (gsize at = 0; at < length; at++) {
        struct call *call = call_new(false);
        g_autofree guint8 *copy = g_memdup2(g_bytes_get_data(hello, NULL), length);

        copy[at] ^= 0xff;
        dtls_association_start(call->association, now);
        dtls_association_receive(call->association, now, copy, length);
        dtls_association_receive(call->association, now, copy, at);
        g_assert_cmpuint(call->connected, ==, 0);
        call_free(call);
    }
    dtls_peer_free(peer);
}

/* Hellos without end, the same one and others, are answered once; the handshake that one of them
 * belongs to goes on. */
static void test_hello_flood(void)
{
    struct call *call = call_new(false);
    GBytes *hello;
    guint8 copy[1500];
    gsize length;

    dtls_association_start(call->association, now);
    dtls_peer_step(call->peer);
    hello = g_queue_pop_head(&call->peer->out);
    length = g_bytes_get_size(hello);
    receive(call, hello);
    g_assert_cmpuint(length, <=, sizeof copy);
    memcpy(copy, g_bytes_get_data(hello, NULL), length);
    for (guint i = 0; i < 10000; i++) {
        /* record number, random */
        copy[9] = (guint8)(i >> 8);
        copy[10] = (guint8)i;
        if (i & 1)
            copy[27 + i % 32] ^= (guint8)(i >> 3 | 1);
        dtls_association_receive(call->association, now, copy, length);
    }
    g_assert_cmpuint(g_queue_get_length(&call->out), <=, 2);
    run(call);
    assert_connected(call);
    g_bytes_unref(hello);
    call_free(call);
}

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    dtls_calls_begin();
    g_test_add_func("/dtls/loss-of-each-datagram", test_loss_of_each_datagram);
    g_test_add_func("/dtls/loss-of-each-flight", test_loss_of_each_flight);
    g_test_add_func("/dtls/duplicates-and-reordering", test_duplicates_and_reordering);
    g_test_add_func("/dtls/fragments", test_fragments);
    g_test_add_func("/dtls/heavy-loss", test_heavy_loss);
    g_test_add_func("/dtls/garbage", test_garbage);
    g_test_add_func("/dtls/short-records", test_short_records);
    g_test_add_func("/dtls/short-records-early", test_short_records_early);
    g_test_add_func("/dtls/broken-hello", test_broken_hello);
    g_test_add_func("/dtls/hello-flood", test_hello_flood);
    result = g_test_run();
    dtls_calls_end();
    return result;
}
