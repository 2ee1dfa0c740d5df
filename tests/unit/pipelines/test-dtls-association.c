/* SPDX-License-Identifier: Apache-2.0 */
/* What an association negotiates, accepts and refuses, its time, and what follows the handshake. */
#include "base/problem.h"
#include "tests/unit/pipelines/dtls-call.h"

#include <string.h>

/* --- handshakes ------------------------------------------------------------------------------- */

static void test_connects(void)
{
    BOTH_ROLES(is_client)
    {
        struct call *call = call_new(is_client);
        g_autofree char *pem = NULL, *expected = certificate_print(call->peer->x509);
        gint64 began = now;

        g_assert_cmpint(dtls_association_state(call->association), ==, DTLS_NEW);
        g_assert_null(dtls_association_peer_pem(call->association));
        run(call);
        assert_connected(call);
        g_assert_cmpint(now, ==, began);
        g_assert_cmpstr(dtls_association_cipher(call->association), ==,
                        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
        pem = dtls_association_peer_pem(call->association);
        g_assert_cmpstr(pem, ==, expected);
        call_free(call);
    }
}

static void connects_with(enum dtls_peer_certificate kind)
{
    BOTH_ROLES(is_client)
    {
        struct call *call;

        /* OpenSSL as a server of DTLS has no suite for Ed25519. */
        if (kind == DTLS_PEER_ED25519 && is_client)
            continue;
        call = call_new_with(is_client, dtls_peer_new(!is_client, kind, PROFILE), "sha-256",
                             EVP_sha256(), G_MAXUINT);
        run(call);
        assert_connected(call);
        call_free(call);
    }
}

/* Whatever a peer's key is (RFC 8827 6.5 asks for P-256, RSA is what older ones have). */
static void test_certificate_keys(void)
{
    connects_with(DTLS_PEER_RSA);
    connects_with(DTLS_PEER_P384);
    connects_with(DTLS_PEER_ED25519);
}

/* Each suite and each group that is offered is there in the context of the handshakes too. */
static void test_suites_and_groups(void)
{
    static const struct {
        enum dtls_peer_certificate kind;
        const char *suite, *group;
    } choices[] = {
        /* RFC 8422 5.1: the groups are those of the certificate too. */
        {DTLS_PEER_ECDSA, "ECDHE-ECDSA-AES128-GCM-SHA256", "X25519:P-256"},
        {DTLS_PEER_ECDSA, "ECDHE-ECDSA-AES256-GCM-SHA384", "P-256"},
        {DTLS_PEER_ECDSA, "ECDHE-ECDSA-CHACHA20-POLY1305", "P-256"},
        /* The suites with RSA are for peers that are the server. */
        {DTLS_PEER_RSA, "ECDHE-RSA-AES128-GCM-SHA256", "P-256"},
        {DTLS_PEER_RSA, "ECDHE-RSA-AES256-GCM-SHA384", "P-384:P-256"},
        {DTLS_PEER_RSA, "ECDHE-RSA-CHACHA20-POLY1305", "X25519:P-256"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(choices); i++) {
        for (guint is_client = choices[i].kind == DTLS_PEER_RSA; is_client < 2; is_client++) {
            struct dtls_peer *peer = dtls_peer_new(!is_client, choices[i].kind, PROFILE);
            struct call *call;

            SSL_set_options(peer->ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
            g_assert_true(SSL_set_cipher_list(peer->ssl, choices[i].suite));
            g_assert_true(SSL_set1_groups_list(peer->ssl, choices[i].group));
            call = call_new_with(is_client, peer, "sha-256", EVP_sha256(), G_MAXUINT);
            run(call);
            assert_connected(call);
            g_assert_cmpstr(SSL_get_cipher_name(peer->ssl), ==, choices[i].suite);
            call_free(call);
        }
    }
}

/* The dates of a certificate that nobody vouches for say nothing; the fingerprint, which came by
 * the signalling, does (RFC 8122 6.2, RFC 8827 5.5). Browsers take it too. */
static void test_expired_certificate(void)
{
    connects_with(DTLS_PEER_EXPIRED);
}

static void test_digests(void)
{
    const struct {
        const char *hash;
        const EVP_MD *digest;
    } digests[] = {{"SHA-256", EVP_sha256()}, {"sha-384", EVP_sha384()}, {"sha-512", EVP_sha512()}};

    for (guint i = 0; i < G_N_ELEMENTS(digests); i++) {
        struct call *call = call_new_with(true, dtls_peer_new(false, DTLS_PEER_ECDSA, PROFILE),
                                          digests[i].hash, digests[i].digest, G_MAXUINT);

        run(call);
        assert_connected(call);
        call_free(call);
    }
}

static void test_fingerprint_syntax(void)
{
    static const struct {
        const char *hash;
        gsize length;
    } refused[] = {{"sha-1", 20},  {"md5", 16}, {"sha-256", 31}, {"sha-256", 33},
                   {"sha-256", 0}, {"", 32},    {"sha-512", 32}, {NULL, 32}};
    struct dtls_fingerprint fingerprint;
    guint8 value[64] = {0};

    for (guint i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(
            dtls_fingerprint_set(&fingerprint, refused[i].hash, value, refused[i].length, &error));
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_SDP_NOT_ACCEPTABLE);
    }
    g_assert_false(dtls_fingerprint_set(&fingerprint, "sha-256", NULL, 32, NULL));
}

static void test_wrong_fingerprint(void)
{
    /* First, middle and last octet, so that no part of the value is left out. */
    static const guint flips[] = {0, 15, 31};

    BOTH_ROLES(is_client)
    {
        for (guint i = 0; i < G_N_ELEMENTS(flips); i++) {
            struct call *call =
                call_new_with(is_client, dtls_peer_new(!is_client, DTLS_PEER_ECDSA, PROFILE),
                              "sha-256", EVP_sha256(), flips[i]);

            run(call);
            deliver(call);
            assert_no_keys(call, PROBLEM_SDP_NOT_ACCEPTABLE);
            g_assert_nonnull(strstr(call->error->message, "fingerprint"));
            g_assert_false(call->peer->connected);
            g_assert_cmpint(call->peer->alert, ==, SSL_AD_BAD_CERTIFICATE);
            g_assert_null(dtls_association_peer_pem(call->association));
            call_free(call);
        }
    }
}

#define CM "SRTP_AES128_CM_SHA1_80"
#define GCM "SRTP_AEAD_AES_128_GCM"
#define GCM_256 "SRTP_AEAD_AES_256_GCM"

/* As a server we choose by our own order, as a client we take what the peer chooses. */
static void test_srtp_profile_chosen(void)
{
    static const struct {
        const char *peers;
        enum pl_srtp_profile when_server, when_client;
    } rows[] = {
        {CM, PL_SRTP_AES128_CM_HMAC_SHA1_80, PL_SRTP_AES128_CM_HMAC_SHA1_80},
        {GCM, PL_SRTP_AEAD_AES_128_GCM, PL_SRTP_AEAD_AES_128_GCM},
        {GCM_256, PL_SRTP_AEAD_AES_256_GCM, PL_SRTP_AEAD_AES_256_GCM},
        /* a browser's order */
        {CM ":" GCM_256 ":" GCM, PL_SRTP_AEAD_AES_128_GCM, PL_SRTP_AES128_CM_HMAC_SHA1_80},
        {CM ":" GCM_256, PL_SRTP_AEAD_AES_256_GCM, PL_SRTP_AES128_CM_HMAC_SHA1_80},
        {"SRTP_AES128_CM_SHA1_32:" GCM_256 ":" GCM, PL_SRTP_AEAD_AES_128_GCM,
         PL_SRTP_AEAD_AES_256_GCM},
    };

    BOTH_ROLES(is_client)
    {
        for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
            struct call *call =
                call_new_with(is_client, dtls_peer_new(!is_client, DTLS_PEER_ECDSA, rows[i].peers),
                              "sha-256", EVP_sha256(), G_MAXUINT);

            run(call);
            assert_connected_with(call, is_client ? rows[i].when_client : rows[i].when_server);
            call_free(call);
        }
    }
}

static void test_srtp_profiles_refused(void)
{
    static const char *const others[] = {NULL, "SRTP_AES128_CM_SHA1_32"};

    BOTH_ROLES(is_client)
    {
        for (guint i = 0; i < G_N_ELEMENTS(others); i++) {
            struct call *call =
                call_new_with(is_client, dtls_peer_new(!is_client, DTLS_PEER_ECDSA, others[i]),
                              "sha-256", EVP_sha256(), G_MAXUINT);

            run(call);
            deliver(call);
            assert_no_keys(call, PROBLEM_SDP_NOT_ACCEPTABLE);
            g_assert_true(call->peer->closed || call->peer->failed);
            call_free(call);
        }
    }
}

static void test_dtls_1_0_refused(void)
{
    BOTH_ROLES(is_client)
    {
        struct call *call = call_new(is_client);

        SSL_set_security_level(call->peer->ssl, 0);
        SSL_set_min_proto_version(call->peer->ssl, DTLS1_VERSION);
        SSL_set_max_proto_version(call->peer->ssl, DTLS1_VERSION);
        SSL_set_cipher_list(call->peer->ssl, "ALL");
        run(call);
        deliver(call);
        assert_no_keys(call, PROBLEM_INVALID_MESSAGE);
        g_test_message("%s", call->error->message);
        g_assert_nonnull(strstr(call->error->message, "DTLS 1.2"));
        g_assert_false(call->peer->connected);
        call_free(call);
    }
}

/* --- time ------------------------------------------------------------------------------------- */

static guint lose_all(struct call *call, enum direction direction, guint index)
{
    return 0;
}

static void test_no_answer(void)
{
    BOTH_ROLES(is_client)
    {
        struct call *call = call_new(is_client);
        gint64 began = now;

        call->fate = lose_all;
        run(call);
        assert_no_keys(call, PROBLEM_PEER_TIMEOUT);
        g_assert_cmpint(now - began, <=, DTLS_HANDSHAKE_LIMIT_US);
        g_assert_cmpint(now - began, >=, 20 * G_USEC_PER_SEC);
        if (is_client) /* 0.1 s, doubled up to 3 s */
            g_assert_cmpuint(call->count[TO_PEER], <=, 14);
        else
            g_assert_cmpuint(call->count[TO_PEER], ==, 0);
        call_free(call);
    }
}

static void test_first_retransmission(void)
{
    struct call *call = call_new(true);
    gint64 began = now, deadline;

    dtls_association_start(call->association, now);
    g_assert_cmpuint(g_queue_get_length(&call->out), ==, 1);
    deadline = dtls_association_deadline(call->association, now);
    g_assert_cmpint(deadline - began, ==, 100 * 1000);
    now = began + 50 * 1000;
    dtls_association_tick(call->association, now);
    g_assert_cmpuint(g_queue_get_length(&call->out), ==, 1);
    now = deadline;
    dtls_association_tick(call->association, now);
    g_assert_cmpuint(g_queue_get_length(&call->out), ==, 2);
    g_assert_cmpint(dtls_association_deadline(call->association, now) - now, ==, 200 * 1000);
    run(call);
    assert_connected(call);
    call_free(call);
}

/* --- after the handshake ---------------------------------------------------------------------- */

static void test_data(void)
{
    BOTH_ROLES(is_client)
    {
        struct call *call = call_new(is_client);

        g_assert_false(dtls_association_send(call->association, (const guint8 *)"x", 1));
        run(call);
        assert_connected(call);
        g_assert_true(dtls_association_send(call->association, (const guint8 *)"ping", 4));
        deliver(call);
        g_assert_cmpmem(call->peer->data->data, call->peer->data->len, "ping", 4);
        dtls_peer_send(call->peer, "pong", 4);
        call->fate = double_all; /* a repeated record is dropped (RFC 6347 4.1.2.6) */
        deliver(call);
        g_assert_cmpmem(call->data->data, call->data->len, "pong", 4);
        call_free(call);
    }
}

static void test_closed_by_us(void)
{
    BOTH_ROLES(is_client)
    {
        struct call *call = connected_call(is_client);

        dtls_association_close(call->association);
        dtls_association_close(call->association);
        g_assert_cmpuint(g_queue_get_length(&call->out), ==, 1);
        deliver(call);
        g_assert_true(call->peer->closed);
        g_assert_cmpint(dtls_association_state(call->association), ==, DTLS_CLOSED);
        g_assert_cmpuint(call->closed, ==, 0);
        g_assert_false(dtls_association_send(call->association, (const guint8 *)"x", 1));
        call_free(call);
    }
}

static void test_closed_by_peer(void)
{
    BOTH_ROLES(is_client)
    {
        struct call *call = connected_call(is_client);

        dtls_peer_close(call->peer);
        deliver(call);
        g_assert_cmpuint(call->closed, ==, 1);
        g_assert_cmpuint(call->failed, ==, 0);
        g_assert_cmpint(dtls_association_state(call->association), ==, DTLS_CLOSED);
        g_assert_cmpint(SSL_get_shutdown(call->peer->ssl) & SSL_SENT_SHUTDOWN, !=, 0);
        call_free(call);
    }
}

static void test_closed_early(void)
{
    BOTH_ROLES(is_client)
    {
        struct call *call = call_new(is_client);

        dtls_association_start(call->association, now);
        dtls_association_close(call->association);
        g_assert_cmpint(dtls_association_state(call->association), ==, DTLS_CLOSED);
        run(call);
        g_assert_cmpuint(call->connected + call->failed + call->closed, ==, 0);
        call_free(call);
        call = call_new(is_client);
        dtls_association_close(call->association);
        dtls_association_start(call->association, now);
        g_assert_cmpint(dtls_association_state(call->association), ==, DTLS_CLOSED);
        call_free(call);
    }
}

static void test_alert(void)
{
    static const guint8 alert[] = {21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40};

    BOTH_ROLES(is_client)
    {
        struct call *call = call_new(is_client);

        dtls_association_start(call->association, now);
        dtls_association_receive(call->association, now, alert, sizeof alert);
        assert_no_keys(call, PROBLEM_INVALID_MESSAGE);
        call_free(call);
        /* Once keys are there, an alert without them is nobody's (epoch 0). */
        call = connected_call(is_client);
        dtls_association_receive(call->association, now, alert, sizeof alert);
        g_assert_cmpint(dtls_association_state(call->association), ==, DTLS_CONNECTED);
        call_free(call);
    }
}

static void test_renegotiation_refused(void)
{
    struct call *call = connected_call(false);
    GBytes *hello;

    g_assert_cmpint(SSL_renegotiate(call->peer->ssl), ==, 1);
    call->peer->connected = false;
    dtls_peer_step(call->peer);
    while ((hello = g_queue_pop_head(&call->peer->out))) {
        receive(call, hello);
        g_bytes_unref(hello);
    }
    g_assert_cmpuint(call->connected, ==, 1);
    g_assert_cmpint(dtls_association_state(call->association), ==, DTLS_CONNECTED);
    /* What the peer makes of the refusal is its own affair: OpenSSL gives up. */
    deliver(call);
    g_assert_false(call->peer->connected);
    g_assert_cmpint(call->peer->alert, ==, SSL_AD_NO_RENEGOTIATION);
    call_free(call);
}

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    dtls_calls_begin();
    g_test_add_func("/dtls/connects", test_connects);
    g_test_add_func("/dtls/certificate-keys", test_certificate_keys);
    g_test_add_func("/dtls/suites-and-groups", test_suites_and_groups);
    g_test_add_func("/dtls/expired-certificate", test_expired_certificate);
    g_test_add_func("/dtls/digests", test_digests);
    g_test_add_func("/dtls/fingerprint-syntax", test_fingerprint_syntax);
    g_test_add_func("/dtls/wrong-fingerprint", test_wrong_fingerprint);
    g_test_add_func("/dtls/srtp-profile-chosen", test_srtp_profile_chosen);
    g_test_add_func("/dtls/srtp-profiles-refused", test_srtp_profiles_refused);
    g_test_add_func("/dtls/dtls-1.0-refused", test_dtls_1_0_refused);
    g_test_add_func("/dtls/no-answer", test_no_answer);
    g_test_add_func("/dtls/first-retransmission", test_first_retransmission);
    g_test_add_func("/dtls/data", test_data);
    g_test_add_func("/dtls/closed-by-us", test_closed_by_us);
    g_test_add_func("/dtls/closed-by-peer", test_closed_by_peer);
    g_test_add_func("/dtls/closed-early", test_closed_early);
    g_test_add_func("/dtls/alert", test_alert);
    g_test_add_func("/dtls/renegotiation-refused", test_renegotiation_refused);
    result = g_test_run();
    dtls_calls_end();
    return result;
}
