/* SPDX-License-Identifier: Apache-2.0 */
/* A leg, webrtcbin and all, against a plain OpenSSL peer: both roles, every order of events, bad
 * peers, bad networks, and an end in every state. */
#include "base/loop.h"
#include "base/problem.h"
#include "tests/flow/pipelines/call.h"

#include <string.h>

/* Who is server chooses the profile: we take GCM. */
static void check_keys(struct call *call)
{
    guint8 own[DTLS_PEER_MASTER_MAX], other[DTLS_PEER_MASTER_MAX];
    bool gcm = call->peer->is_client;
    guint salt = gcm ? 12 : 14;

    g_assert_true(call->peer->connected);
    dtls_peer_keys(call->peer, 16, salt, own, other);
    g_assert_cmpint(call->keys.profile, ==,
                    gcm ? PL_SRTP_AEAD_AES_128_GCM : PL_SRTP_AES128_CM_HMAC_SHA1_80);
    g_assert_cmpuint(call->keys.key_length, ==, 16);
    g_assert_cmpuint(call->keys.salt_length, ==, salt);
    g_assert_cmpmem(call->keys.local_key, 16, other, 16);
    g_assert_cmpmem(call->keys.local_salt, salt, other + 16, salt);
    g_assert_cmpmem(call->keys.remote_key, 16, own, 16);
    g_assert_cmpmem(call->keys.remote_salt, salt, own + 16, salt);
}

static void connects(bool we_are_server)
{
    struct call *call = call_new(we_are_server, DTLS_PEER_ECDSA);

    g_assert_cmpstr(pl_leg_state_name(call->leg), ==, "new");
    g_assert_null(pl_leg_dtls_cipher(call->leg));
    call_start(call, we_are_server);
    pl_leg_ice_connected(call->leg);
    if (we_are_server)
        dtls_peer_step(call->peer);
    g_assert_true(call_turn_until(call, &call->connected, 1));
    while (!call->peer->connected)
        call_turn_until(call, &call->sent, call->sent + 1);
    check_keys(call);
    g_assert_cmpstr(pl_leg_state_name(call->leg), ==, "connected");
    g_assert_cmpstr(pl_leg_dtls_cipher(call->leg), ==, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    g_assert_cmpuint(call->failed, ==, 0);
    g_assert_true(call_turn_until_dot(call, "connection-state=connected"));
    call_close(call);
    g_assert_true(call->peer->closed);
    call_free(call);
    g_assert_cmpuint(pl_legs_count(), ==, 0);
}

static void test_server(void)
{
    connects(true);
}

static void test_client(void)
{
    connects(false);
}

static void test_wrong_fingerprint(void)
{
    for (guint i = 0; i < 2; i++) {
        bool we_are_server = i == 0;
        struct call *call = call_new(we_are_server, DTLS_PEER_ECDSA);

        call->remote.fingerprint->data[31] ^= 1;
        call_start(call, we_are_server);
        pl_leg_ice_connected(call->leg);
        if (we_are_server)
            dtls_peer_step(call->peer);
        g_assert_true(call_turn_until(call, &call->failed, 1));
        g_assert_cmpuint(call->connected, ==, 0);
        g_assert_error(call->error, PROBLEM_DOMAIN, PROBLEM_SDP_NOT_ACCEPTABLE);
        g_assert_cmpstr(pl_leg_state_name(call->leg), ==, "failed");
        g_assert_false(call->peer->connected);
        call_free(call);
    }
}

/* --- order of events -------------------------------------------------------------------------- */

static void begin(struct call *call, bool we_are_server)
{
    call_start(call, we_are_server);
    pl_leg_ice_connected(call->leg);
    if (we_are_server)
        dtls_peer_step(call->peer);
}

static void test_ice_first(void)
{
    struct call *call = call_new(true, DTLS_PEER_ECDSA);

    pl_leg_ice_connected(call->leg);
    pl_leg_ice_connected(call->leg);
    call_turn_for(20);
    g_assert_cmpstr(pl_leg_state_name(call->leg), ==, "new");
    call_start(call, true);
    dtls_peer_step(call->peer);
    g_assert_true(call_turn_until(call, &call->connected, 1));
    check_keys(call);
    call_free(call);
}

static void test_early_hello(void)
{
    struct call *call = call_new(true, DTLS_PEER_ECDSA);
    GBytes *hello;

    /* Before anything is known of the peer, and more of it than is kept. */
    dtls_peer_step(call->peer);
    hello = g_queue_pop_head(&call->peer->out);
    for (guint i = 0; i < 6; i++)
        pl_leg_receive_dtls(call->leg, hello);
    g_bytes_unref(hello);
    call_turn_for(20);
    call_start(call, true);
    call_turn_for(20);
    g_assert_cmpuint(call->sent, ==, 0);
    pl_leg_ice_connected(call->leg);
    /* The peer says nothing again by itself: its clock is not turned. */
    g_assert_true(call_turn_until(call, &call->connected, 1));
    check_keys(call);
    call_free(call);
}

static void test_start_errors(void)
{
    struct call *call = call_new(true, DTLS_PEER_ECDSA);
    g_autoptr(GError) error = NULL;

    call->remote.fingerprint_hash = (char *)"sha-1";
    g_assert_false(pl_leg_start(call->leg, &call->remote, true, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_SDP_NOT_ACCEPTABLE);
    g_clear_error(&error);
    call->remote.fingerprint_hash = (char *)"sha-256";
    call_start(call, true);
    g_assert_false(pl_leg_start(call->leg, &call->remote, true, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_STATE);
    call_free(call);
}

static void test_ice_lost(void)
{
    struct call *call = call_new(true, DTLS_PEER_ECDSA);

    begin(call, true);
    g_assert_true(call_turn_until(call, &call->connected, 1));
    pl_leg_ice_failed(call->leg);
    g_assert_cmpstr(pl_leg_state_name(call->leg), ==, "failed");
    g_assert_true(call_turn_until_dot(call, "connection-state=failed"));
    call_turn_for(20);
    /* The caller said it: it is not told again. Another pair brings it back. */
    g_assert_cmpuint(call->failed, ==, 0);
    pl_leg_ice_connected(call->leg);
    g_assert_cmpstr(pl_leg_state_name(call->leg), ==, "connected");
    g_assert_true(call_turn_until_dot(call, "connection-state=connected"));
    g_assert_cmpuint(call->failed, ==, 0);
    g_assert_cmpuint(call->connected, ==, 1);
    call_free(call);
}

/* --- peers ------------------------------------------------------------------------------------ */

static void test_certificates(void)
{
    static const enum dtls_peer_certificate kinds[] = {DTLS_PEER_RSA, DTLS_PEER_EXPIRED};

    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        struct call *call = call_new(true, kinds[i]);

        begin(call, true);
        g_assert_true(call_turn_until(call, &call->connected, 1));
        check_keys(call);
        call_free(call);
    }
}

static void test_alert(void)
{
    static const guint8 alert[] = {21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40};
    g_autoptr(GBytes) datagram = g_bytes_new_static(alert, sizeof alert);

    for (guint i = 0; i < 2; i++) {
        struct call *call = call_new(i == 0, DTLS_PEER_ECDSA);

        call_start(call, i == 0);
        pl_leg_ice_connected(call->leg);
        pl_leg_receive_dtls(call->leg, datagram);
        g_assert_true(call_turn_until(call, &call->failed, 1));
        g_assert_true(call_turn_until_dot(call, "connection-state=failed"));
        call_turn_for(20);
        g_assert_cmpuint(call->failed, ==, 1);
        g_assert_cmpuint(call->connected, ==, 0);
        call_free(call);
    }
}

static void test_closed_by_peer(void)
{
    struct call *call = call_new(true, DTLS_PEER_ECDSA);

    begin(call, true);
    g_assert_true(call_turn_until(call, &call->connected, 1));
    call_turn_for(20);
    g_assert_true(call->peer->connected);
    dtls_peer_close(call->peer);
    g_assert_true(call_turn_until(call, &call->closed, 1));
    g_assert_cmpstr(pl_leg_state_name(call->leg), ==, "closed");
    g_assert_cmpuint(call->failed, ==, 0);
    call_free(call);
}

static void test_garbage(void)
{
    struct call *call = call_new(true, DTLS_PEER_ECDSA);
    guint8 octets[1500];

    begin(call, true);
    for (guint round = 0; round < 2; round++) {
        for (guint i = 0; i < 500; i++) {
            g_autoptr(GBytes) datagram = NULL;

            for (guint at = 0; at < sizeof octets; at++)
                octets[at] = (guint8)g_test_rand_int_range(0, 256);
            octets[0] = (guint8)g_test_rand_int_range(20, 64);
            datagram = g_bytes_new(octets, (gsize)g_test_rand_int_range(0, sizeof octets));
            pl_leg_receive_dtls(call->leg, datagram);
            if (i % 10 == 0)
                call_turn_for(1);
        }
        /* The hello may have been one too many: the peer says it again. */
        call_turn_with_peer_clock(call);
        g_assert_cmpuint(call->connected, ==, 1);
    }
    g_assert_cmpuint(call->failed, ==, 0);
    check_keys(call);
    call_free(call);
}

static void test_loss(void)
{
    for (guint i = 0; i < 2; i++) {
        bool we_are_server = i == 0;
        struct call *call = call_new(we_are_server, DTLS_PEER_ECDSA);

        /* Real timers here: each side loses its first two datagrams. */
        call->lose_sent = call->lose_received = 2;
        begin(call, we_are_server);
        call_turn_with_peer_clock(call);
        g_assert_cmpuint(call->connected, ==, 1);
        check_keys(call);
        call_free(call);
    }
}

/* --- ends ------------------------------------------------------------------------------------- */

static void test_close_in_every_state(void)
{
    pl_leg_close(NULL);
    BOTH_ROLES(we_are_server)
    {
        /* After each number of turns of the loop, which runs through all states. */
        for (guint turns = 0; turns < 60; turns++) {
            struct call *call = call_new(we_are_server, DTLS_PEER_ECDSA);

            if (turns > 0)
                begin(call, we_are_server);
            for (guint turn = 1; turn < turns; turn++) {
                g_usleep(100);
                call_carry(call);
                g_main_context_iteration(NULL, FALSE);
            }
            call_close(call);
            call_free(call);
        }
    }
    g_assert_cmpuint(pl_legs_count(), ==, 0);
    g_assert_cmpuint(pl_reaper_pending(), ==, 0);
}

static void test_close_in_callback(void)
{
    for (guint i = 0; i < 4; i++) {
        struct call *call = call_new(true, DTLS_PEER_ECDSA);

        call->close_in = i == 0   ? &call->sent
                         : i == 1 ? &call->connected
                         : i == 2 ? &call->failed
                                  : &call->closed;
        if (i == 2)
            call->remote.fingerprint->data[0] ^= 1;
        begin(call, true);
        if (i == 3) {
            g_assert_true(call_turn_until(call, &call->connected, 1));
            call_turn_for(20);
            dtls_peer_close(call->peer);
        }
        g_assert_true(call_turn_until(call, call->close_in, 1));
        g_assert_true(call->gone);
        call_turn_for(20);
        call_free(call);
    }
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    int result;

    g_test_init(&argc, &argv, NULL);
    loop_init(5000); /* the peers run on this thread too, under sanitizers */
    if (!pl_init(&error)) {
        g_print("Bail out! %s\n", error->message);
        return 1;
    }
    g_test_add_func("/leg/server", test_server);
    g_test_add_func("/leg/client", test_client);
    g_test_add_func("/leg/wrong-fingerprint", test_wrong_fingerprint);
    g_test_add_func("/leg/ice-first", test_ice_first);
    g_test_add_func("/leg/early-hello", test_early_hello);
    g_test_add_func("/leg/start-errors", test_start_errors);
    g_test_add_func("/leg/ice-lost", test_ice_lost);
    g_test_add_func("/leg/certificates", test_certificates);
    g_test_add_func("/leg/alert", test_alert);
    g_test_add_func("/leg/closed-by-peer", test_closed_by_peer);
    g_test_add_func("/leg/garbage", test_garbage);
    g_test_add_func("/leg/loss", test_loss);
    g_test_add_func("/leg/close-in-every-state", test_close_in_every_state);
    g_test_add_func("/leg/close-in-callback", test_close_in_callback);
    result = g_test_run();
    pl_finish();
    return result;
}
