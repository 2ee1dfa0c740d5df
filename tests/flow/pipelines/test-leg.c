/* SPDX-License-Identifier: Apache-2.0 */
/* A leg, webrtcbin and all, against a plain OpenSSL peer in the same process: the test is the
 * transport, and the control loop is turned by hand. */
#include "base/loop.h"
#include "base/problem.h"
#include "pipelines/leg.h"
#include "tests/support/dtls-peer.h"

#include <glib.h>
#include <string.h>

#define PROFILE "SRTP_AES128_CM_SHA1_80"

struct call {
    struct pl_leg *leg;
    struct dtls_peer *peer;
    struct sdp_description remote;
    struct pl_srtp_keys keys;
    guint connected, failed, closed, sent;
    GError *error;
    bool gone; /* closed by us: no callback may come */
};

static void on_send(void *user, GBytes *datagram)
{
    struct call *call = user;

    g_assert_true(loop_is_current());
    g_assert_false(call->gone);
    call->sent++;
    dtls_peer_receive(call->peer, datagram);
}

static void on_connected(void *user, const struct pl_srtp_keys *keys)
{
    struct call *call = user;

    g_assert_true(loop_is_current());
    g_assert_false(call->gone);
    call->connected++;
    call->keys = *keys;
}

static void on_failed(void *user, const GError *error)
{
    struct call *call = user;

    g_assert_true(loop_is_current());
    g_assert_false(call->gone);
    call->failed++;
    g_clear_error(&call->error);
    call->error = g_error_copy(error);
}

static void on_closed(void *user)
{
    struct call *call = user;

    g_assert_false(call->gone);
    call->closed++;
}

static const struct pl_leg_ops ops = {on_send, on_connected, on_failed, on_closed};

static struct call *call_new(bool we_are_server, enum dtls_peer_certificate certificate)
{
    struct call *call = g_new0(struct call, 1);
    g_autoptr(GError) error = NULL;
    guint8 value[64];
    guint length;

    call->peer = dtls_peer_new(we_are_server, certificate, PROFILE);
    call->leg = pl_leg_new("leg", &ops, call, &error);
    g_assert_no_error(error);
    length = dtls_peer_fingerprint(call->peer, EVP_sha256(), value);
    call->remote = (struct sdp_description){
        .session_id = 1,
        .ice_ufrag = (char *)"ufrag",
        .ice_pwd = (char *)"passwordpasswordpassword",
        .fingerprint_hash = (char *)"sha-256",
        .setup = we_are_server ? SDP_SETUP_ACTIVE : SDP_SETUP_PASSIVE,
        .bundle = true,
        .fingerprint = g_byte_array_append(g_byte_array_new(), value, length),
        .medias = g_ptr_array_new(),
        .candidates = g_array_new(FALSE, FALSE, sizeof(struct sdp_candidate)),
    };
    return call;
}

static void call_close(struct call *call)
{
    pl_leg_close(call->leg);
    call->leg = NULL;
    call->gone = true;
}

static void call_free(struct call *call)
{
    if (call->leg)
        call_close(call);
    /* What was posted before the close is let through: it must find nothing. */
    while (pl_reaper_pending() > 0)
        g_main_context_iteration(NULL, FALSE);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    dtls_peer_free(call->peer);
    g_byte_array_unref(call->remote.fingerprint);
    g_ptr_array_unref(call->remote.medias);
    g_array_unref(call->remote.candidates);
    g_clear_error(&call->error);
    g_free(call);
}

static gboolean on_timeout(void *data)
{
    *(bool *)data = true;
    return G_SOURCE_REMOVE;
}

static void carry(struct call *call)
{
    GBytes *datagram;

    while ((datagram = g_queue_pop_head(&call->peer->out))) {
        if (call->leg)
            pl_leg_receive_dtls(call->leg, datagram);
        g_bytes_unref(datagram);
    }
}

/* Turns the loop until `*count` is reached, 5 s at most. */
static bool turn_until(struct call *call, const guint *count, guint wanted)
{
    bool over = false;
    guint limit = g_timeout_add(5000, on_timeout, &over);

    while (*count < wanted && !over) {
        carry(call);
        g_main_context_iteration(NULL, TRUE);
    }
    if (!over)
        g_source_remove(limit);
    carry(call);
    return !over;
}

static void start(struct call *call, bool we_are_server)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(pl_leg_start(call->leg, &call->remote, we_are_server, &error));
    g_assert_no_error(error);
}

static void check_keys(struct call *call)
{
    guint8 own[30], other[30];

    g_assert_true(call->peer->connected);
    dtls_peer_keys(call->peer, own, other);
    g_assert_cmpint(call->keys.profile, ==, PL_SRTP_AES128_CM_HMAC_SHA1_80);
    g_assert_cmpuint(call->keys.key_length, ==, 16);
    g_assert_cmpuint(call->keys.salt_length, ==, 14);
    g_assert_cmpmem(call->keys.local_key, 16, other, 16);
    g_assert_cmpmem(call->keys.local_salt, 14, other + 16, 14);
    g_assert_cmpmem(call->keys.remote_key, 16, own, 16);
    g_assert_cmpmem(call->keys.remote_salt, 14, own + 16, 14);
}

static void connects(bool we_are_server)
{
    struct call *call = call_new(we_are_server, DTLS_PEER_ECDSA);

    g_assert_cmpstr(pl_leg_state_name(call->leg), ==, "new");
    g_assert_null(pl_leg_dtls_cipher(call->leg));
    start(call, we_are_server);
    pl_leg_ice_connected(call->leg);
    if (we_are_server)
        dtls_peer_step(call->peer);
    g_assert_true(turn_until(call, &call->connected, 1));
    while (!call->peer->connected)
        turn_until(call, &call->sent, call->sent + 1);
    check_keys(call);
    g_assert_cmpstr(pl_leg_state_name(call->leg), ==, "connected");
    g_assert_cmpstr(pl_leg_dtls_cipher(call->leg), ==, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    g_assert_cmpuint(call->failed, ==, 0);
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
        start(call, we_are_server);
        pl_leg_ice_connected(call->leg);
        if (we_are_server)
            dtls_peer_step(call->peer);
        g_assert_true(turn_until(call, &call->failed, 1));
        g_assert_cmpuint(call->connected, ==, 0);
        g_assert_error(call->error, PROBLEM_DOMAIN, PROBLEM_SDP_NOT_ACCEPTABLE);
        g_assert_cmpstr(pl_leg_state_name(call->leg), ==, "failed");
        g_assert_false(call->peer->connected);
        call_free(call);
    }
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    int result;

    g_test_init(&argc, &argv, NULL);
    loop_init(50);
    if (!pl_init(&error)) {
        g_print("Bail out! %s\n", error->message);
        return 1;
    }
    g_test_add_func("/leg/server", test_server);
    g_test_add_func("/leg/client", test_client);
    g_test_add_func("/leg/wrong-fingerprint", test_wrong_fingerprint);
    result = g_test_run();
    pl_finish();
    return result;
}
