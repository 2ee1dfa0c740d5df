/* SPDX-License-Identifier: Apache-2.0 */
/* One association of ours against a plain OpenSSL peer, with a network and a clock of the test's:
 * no socket and no sleep. OpenSSL reads its timers' time with gettimeofday(), which this program
 * therefore defines. */
#include "base/problem.h"
#include "pipelines/certificate.h"
#include "pipelines/dtls-association.h"
#include "tests/support/dtls-peer.h"

#include <glib.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/time.h>

#define PROFILE "SRTP_AES128_CM_SHA1_80"
#define EPOCH_S 1800000000 /* certificates made "now" by time() are of no interest here */

static gint64 now;

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    time->tv_sec = EPOCH_S + now / G_USEC_PER_SEC;
    time->tv_usec = now % G_USEC_PER_SEC;
    return 0;
}

enum direction { TO_PEER, TO_US };
struct call;
typedef guint (*fate_fn)(struct call *call, enum direction direction, guint index);

struct call {
    struct dtls_association *association;
    struct dtls_peer *peer;
    GQueue out; /* GBytes for the peer */
    struct pl_srtp_keys keys;
    guint connected, failed, closed;
    GError *error;
    GByteArray *data;
    /* How many copies of the n-th datagram of a direction arrive; NULL = one. */
    fate_fn fate;
    guint count[2];
    guint chosen;  /* for the fates */
    bool reversed; /* each flight arrives back to front */
    bool swapped;  /* each datagram behind the one that followed it */
    guint flight;  /* so many have been on their way */
    GRand *random;
};

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

static struct call *call_new_with(bool is_client, struct dtls_peer *peer, const char *hash,
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

static struct call *call_new(bool is_client)
{
    return call_new_with(is_client, dtls_peer_new(!is_client, DTLS_PEER_ECDSA, PROFILE), "sha-256",
                         EVP_sha256(), G_MAXUINT);
}

static void call_free(struct call *call)
{
    dtls_association_free(call->association);
    dtls_peer_free(call->peer);
    g_queue_clear_full(&call->out, (GDestroyNotify)g_bytes_unref);
    g_clear_error(&call->error);
    g_byte_array_unref(call->data);
    g_rand_free(call->random);
    g_free(call);
}

static void receive(struct call *call, GBytes *datagram)
{
    gsize length;
    const guint8 *data = g_bytes_get_data(datagram, &length);

    dtls_association_receive(call->association, now, data, length);
}

/* Delivers what both have said until they are silent. */
static void deliver(struct call *call)
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

/* Lets the time pass from deadline to deadline. */
static void run(struct call *call)
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

static void assert_connected_with(struct call *call, enum pl_srtp_profile profile)
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

static void assert_connected(struct call *call)
{
    assert_connected_with(call, PL_SRTP_AES128_CM_HMAC_SHA1_80);
}

static void assert_no_keys(struct call *call, int code)
{
    g_assert_cmpuint(call->connected, ==, 0);
    g_assert_cmpuint(call->failed, ==, 1);
    g_assert_error(call->error, PROBLEM_DOMAIN, code);
    g_assert_cmpint(dtls_association_state(call->association), ==, DTLS_FAILED);
    g_assert_cmpint(dtls_association_deadline(call->association, now), ==, -1);
    g_assert_null(dtls_association_cipher(call->association));
}

static struct call *connected_call(bool is_client)
{
    struct call *call = call_new(is_client);

    run(call);
    assert_connected(call);
    return call;
}

#define BOTH_ROLES(is_client) for (guint is_client = 0; is_client < 2; is_client++)

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

/* --- a bad network ---------------------------------------------------------------------------- */

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

static guint double_all(struct call *call, enum direction direction, guint index)
{
    return 2;
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
    g_autoptr(GError) error = NULL;
    int result;

    g_test_init(&argc, &argv, NULL);
    certificate = certificate_new(&error);
    g_assert_no_error(error);
    context = dtls_context_new(certificate, &error);
    g_assert_no_error(error);
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
    g_test_add_func("/dtls/no-answer", test_no_answer);
    g_test_add_func("/dtls/first-retransmission", test_first_retransmission);
    g_test_add_func("/dtls/data", test_data);
    g_test_add_func("/dtls/closed-by-us", test_closed_by_us);
    g_test_add_func("/dtls/closed-by-peer", test_closed_by_peer);
    g_test_add_func("/dtls/closed-early", test_closed_early);
    g_test_add_func("/dtls/alert", test_alert);
    g_test_add_func("/dtls/renegotiation-refused", test_renegotiation_refused);
    result = g_test_run();
    dtls_context_free(context);
    certificate_free(certificate);
    return result;
}
