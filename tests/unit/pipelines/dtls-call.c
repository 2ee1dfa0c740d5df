/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL reads its timers' time with gettimeofday(), which is therefore defined here. */
#include "base/problem.h"
#include "tests/unit/pipelines/dtls-call.h"

#include <string.h>
#include <sys/time.h>

#define EPOCH_S 1800000000 /* certificates made "now" by time() are of no interest here */

gint64 now;

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    time->tv_sec = EPOCH_S + now / G_USEC_PER_SEC;
    time->tv_usec = now % G_USEC_PER_SEC;
    return 0;
}

static struct certificate *certificate;
static struct dtls_context *context;

static void on_send(void *user, const guint8 *datagram, gsize length)
{
    struct call *call = user;

    g_assert_cmpuint(length, <=, DTLS_MTU);
    g_queue_push_tail(&call->out, g_bytes_new(datagram, length));
}

static void on_connected(void *user, const struct pl_srtp_keys *keys)
{
    struct call *call = user;

    call->connected++;
    call->keys = *keys;
}

static void on_failed(void *user, const GError *error)
{
    struct call *call = user;

    call->failed++;
    g_clear_error(&call->error);
    call->error = g_error_copy(error);
}

static void on_closed(void *user)
{
    ((struct call *)user)->closed++;
}

static void on_data(void *user, const guint8 *data, gsize length)
{
    g_byte_array_append(((struct call *)user)->data, data, (guint)length);
}

static const struct dtls_ops ops = {on_send, on_connected, on_failed, on_closed, on_data};

struct call *call_new_with(bool is_client, struct dtls_peer *peer, const char *hash,
                           const EVP_MD *digest, guint flipped)
{
    struct call *call = g_new0(struct call, 1);
    struct dtls_fingerprint fingerprint;
    g_autoptr(GError) error = NULL;
    guint8 value[64];
    guint length = dtls_peer_fingerprint(peer, digest, value);

    if (flipped < length)
        value[flipped] ^= 0x10;
    g_assert_true(dtls_fingerprint_set(&fingerprint, hash, value, length, &error));
    g_assert_no_error(error);
    now = 1000 * G_USEC_PER_SEC;
    g_queue_init(&call->out);
    call->data = g_byte_array_new();
    call->peer = peer;
    call->random = g_rand_new_with_seed(1);
    call->association = dtls_association_new(context, is_client, &fingerprint, &ops, call, &error);
    g_assert_no_error(error);
    return call;
}

struct call *call_new(bool is_client)
{
    return call_new_with(is_client, dtls_peer_new(!is_client, DTLS_PEER_ECDSA, PROFILE), "sha-256",
                         EVP_sha256(), G_MAXUINT);
}

void call_free(struct call *call)
{
    dtls_association_free(call->association);
    dtls_peer_free(call->peer);
    g_queue_clear_full(&call->out, (GDestroyNotify)g_bytes_unref);
    g_clear_error(&call->error);
    g_byte_array_unref(call->data);
    g_rand_free(call->random);
    g_free(call);
}

void receive(struct call *call, GBytes *datagram)
{
    gsize length;
    const guint8 *data = g_bytes_get_data(datagram, &length);

    dtls_association_receive(call->association, now, data, length);
}

void deliver(struct call *call)
{
    while (!g_queue_is_empty(&call->out) || !g_queue_is_empty(&call->peer->out)) {
        enum direction direction = g_queue_is_empty(&call->out) ? TO_US : TO_PEER;
        GQueue flight = direction == TO_PEER ? call->out : call->peer->out;
        GBytes *datagram;

        g_queue_init(direction == TO_PEER ? &call->out : &call->peer->out);
        call->flight++;
        if (call->reversed)
            g_queue_reverse(&flight);
        for (guint i = 1; call->swapped && i < g_queue_get_length(&flight); i += 2)
            g_queue_push_nth(&flight, g_queue_pop_nth(&flight, i), (int)i - 1);
        while ((datagram = g_queue_pop_head(&flight))) {
            guint copies = call->fate ? call->fate(call, direction, call->count[direction]) : 1;

            call->count[direction]++;
            for (guint i = 0; i < copies; i++) {
                if (direction == TO_PEER)
                    dtls_peer_receive(call->peer, datagram);
                else
                    receive(call, datagram);
            }
            g_bytes_unref(datagram);
        }
    }
}

static bool is_over(struct call *call)
{
    return call->failed || call->closed || (call->connected && call->peer->connected);
}

void run(struct call *call)
{
    gint64 limit = now + 60 * G_USEC_PER_SEC;

    dtls_association_start(call->association, now);
    dtls_peer_step(call->peer);
    deliver(call);
    while (!is_over(call) && now < limit) {
        gint64 ours = dtls_association_deadline(call->association, now);
        struct timeval left;
        gint64 theirs = DTLSv1_get_timeout(call->peer->ssl, &left)
                            ? now + left.tv_sec * G_USEC_PER_SEC + left.tv_usec
                            : -1;

        g_assert_true(ours >= 0 || theirs >= 0);
        now = ours < 0 ? theirs : theirs < 0 ? ours : MIN(ours, theirs);
        dtls_association_tick(call->association, now);
        dtls_peer_tick(call->peer);
        deliver(call);
    }
}

void assert_connected_with(struct call *call, enum pl_srtp_profile profile)
{
    guint8 own[DTLS_PEER_MASTER_MAX], other[DTLS_PEER_MASTER_MAX];
    guint key = profile == PL_SRTP_AEAD_AES_256_GCM ? 32 : 16;
    guint salt = profile == PL_SRTP_AES128_CM_HMAC_SHA1_80 ? 14 : 12;

    g_assert_no_error(call->error);
    g_assert_cmpuint(call->connected, ==, 1);
    g_assert_cmpuint(call->failed, ==, 0);
    g_assert_true(call->peer->connected);
    g_assert_cmpint(dtls_association_state(call->association), ==, DTLS_CONNECTED);
    g_assert_cmpint(dtls_association_deadline(call->association, now), ==, -1);
    g_assert_cmpint(call->keys.profile, ==, profile);
    g_assert_cmpuint(call->keys.key_length, ==, key);
    g_assert_cmpuint(call->keys.salt_length, ==, salt);
    dtls_peer_keys(call->peer, key, salt, own, other);
    g_assert_cmpmem(call->keys.local_key, key, other, key);
    g_assert_cmpmem(call->keys.local_salt, salt, other + key, salt);
    g_assert_cmpmem(call->keys.remote_key, key, own, key);
    g_assert_cmpmem(call->keys.remote_salt, salt, own + key, salt);
}

void assert_connected(struct call *call)
{
    assert_connected_with(call, PL_SRTP_AES128_CM_HMAC_SHA1_80);
}

void assert_no_keys(struct call *call, int code)
{
    g_assert_cmpuint(call->connected, ==, 0);
    g_assert_cmpuint(call->failed, ==, 1);
    g_assert_error(call->error, PROBLEM_DOMAIN, code);
    g_assert_cmpint(dtls_association_state(call->association), ==, DTLS_FAILED);
    g_assert_cmpint(dtls_association_deadline(call->association, now), ==, -1);
    g_assert_null(dtls_association_cipher(call->association));
}

struct call *connected_call(bool is_client)
{
    struct call *call = call_new(is_client);

    run(call);
    assert_connected(call);
    return call;
}

void dtls_calls_begin(void)
{
    g_autoptr(GError) error = NULL;

    certificate = certificate_new(&error);
    g_assert_no_error(error);
    context = dtls_context_new(certificate, &error);
    g_assert_no_error(error);
}

void dtls_calls_end(void)
{
    dtls_context_free(context);
    certificate_free(certificate);
}

guint double_all(struct call *call, enum direction direction, guint index)
{
    return 2;
}
