/* SPDX-License-Identifier: Apache-2.0 */
/* Owns one DTLS association on OpenSSL. A BIO of our own hands OpenSSL the one datagram that is
 * being received and takes every write as one datagram, so there is no socket, no buffer between
 * and no thread. OpenSSL can be told neither the time nor to retransmit on command, so its timer
 * runs on the system clock and only its length is ours; in return lost, repeated and reordered
 * flights are its business, not ours. */
#include "pipelines/dtls-association.h"

#include "base/problem.h"
#include "pipelines/dtls-crypto.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/time.h>

/* The first retransmission comes well before RFC 6347's second, as RFC 9147 5.8.2 grants to those
 * who wait for media: a lost flight costs a short silence, a spurious one costs a kilobyte. */
#define RETRANSMIT_FIRST_US (100 * 1000)
#define RETRANSMIT_MAX_US (3 * G_USEC_PER_SEC)
#define PEER_CERTIFICATES_MAX (16 * 1024)

/* Forward secrecy and authenticated encryption alone (RFC 8827 6.5, RFC 9325 4.2); the ECDSA suite
 * with AES-128 that every WebRTC endpoint must have comes first. */
#define CIPHERS                                                                                    \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                   \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                   \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define GROUPS "X25519:P-256:P-384"

/* The SRTP profiles, in order of preference; one row is all that a profile needs here. What costs
 * less comes first: without a HMAC either GCM is less than half of AES-CM. */
static const struct srtp_profile {
    enum pl_srtp_profile profile;
    const char *openssl_name;
    guint key_length, salt_length;
} srtp_profiles[] = {
    {PL_SRTP_AEAD_AES_128_GCM, "SRTP_AEAD_AES_128_GCM", 16, 12},        /* RFC 7714 14.2 */
    {PL_SRTP_AEAD_AES_256_GCM, "SRTP_AEAD_AES_256_GCM", 32, 12},        /* RFC 7714 14.2 */
    {PL_SRTP_AES128_CM_HMAC_SHA1_80, "SRTP_AES128_CM_SHA1_80", 16, 14}, /* RFC 5764 4.1.2 */
};

struct dtls_context {
    SSL_CTX *ssl_ctx;
    BIO_METHOD *bio_method;
};

struct dtls_association {
    SSL *ssl;
    const struct dtls_ops *ops;
    void *user;
    enum dtls_state state;
    struct dtls_fingerprint fingerprint;
    bool is_client;
    bool peer_verified, peer_mismatched; /* what the comparison of the fingerprint said */
    gint64 limit;                        /* the end of the handshake's time */
    const guint8 *datagram;              /* being received; NULL once OpenSSL has taken it */
    gsize datagram_length;
};

const char *dtls_state_name(enum dtls_state state)
{
    static const char *const names[] = {"new", "closed", "failed", "connecting", "connected"};

    return state < G_N_ELEMENTS(names) ? names[state] : "invalid";
}

#define TO(state) (1u << (state))
static const guint transitions[] = {
    [DTLS_NEW] = TO(DTLS_CONNECTING) | TO(DTLS_CLOSED) | TO(DTLS_FAILED),
    [DTLS_CONNECTING] = TO(DTLS_CONNECTED) | TO(DTLS_CLOSED) | TO(DTLS_FAILED),
    [DTLS_CONNECTED] = TO(DTLS_CLOSED) | TO(DTLS_FAILED),
    [DTLS_CLOSED] = 0,
    [DTLS_FAILED] = 0,
};

static void set_state(struct dtls_association *association, enum dtls_state state)
{
    g_assert(transitions[association->state] & TO(state));
    association->state = state;
}

/* --- fingerprint ------------------------------------------------------------------------------ */

bool dtls_fingerprint_set(struct dtls_fingerprint *fingerprint, const char *hash,
                          const guint8 *value, gsize length, GError **error)
{
    /* RFC 8122 5: MD2 and MD5 must not, SHA-1 should not be used; all of WebRTC sends SHA-256. */
    static const struct {
        const char *hash;
        const EVP_MD *(*digest)(void);
    } digests[] = {{"sha-256", EVP_sha256}, {"sha-384", EVP_sha384}, {"sha-512", EVP_sha512}};

    for (guint i = 0; hash && value && i < G_N_ELEMENTS(digests); i++) {
        const EVP_MD *digest = digests[i].digest();

        if (g_ascii_strcasecmp(hash, digests[i].hash) != 0)
            continue;
        if (length != (gsize)EVP_MD_get_size(digest))
            break;
        fingerprint->digest = digest;
        fingerprint->length = (guint)length;
        memcpy(fingerprint->value, value, length);
        return true;
    }
    problem_set(error, PROBLEM_SDP_NOT_ACCEPTABLE,
                "a=fingerprint must be a whole sha-256, sha-384 or sha-512 value");
    return false;
}

/* In place of OpenSSL's chain verification: no authority vouches for the peer, and neither dates
 * nor key type nor names matter; the description's fingerprint alone does (RFC 8122 6.2). */
static int verify_peer(X509_STORE_CTX *store, void *unused)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct dtls_association *association = SSL_get_app_data(ssl);
    X509 *x509 = X509_STORE_CTX_get0_cert(store);
    guint8 value[EVP_MAX_MD_SIZE];
    unsigned int length = 0;

    association->peer_verified =
        x509 && X509_digest(x509, association->fingerprint.digest, value, &length) &&
        length == association->fingerprint.length &&
        memcmp(value, association->fingerprint.value, length) == 0;
    association->peer_mismatched = !association->peer_verified;
    /* RFC 8122 6.2: the endpoint must close with a bad_certificate error */
    X509_STORE_CTX_set_error(store,
                             association->peer_verified ? X509_V_OK : X509_V_ERR_CERT_REJECTED);
    return association->peer_verified;
}

/* --- the BIO ---------------------------------------------------------------------------------- */

static int read_datagram(BIO *bio, char *data, int length)
{
    struct dtls_association *association = BIO_get_data(bio);
    gsize taken;

    BIO_clear_retry_flags(bio);
    if (!association->datagram || length <= 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    taken = MIN((gsize)length, association->datagram_length);
    memcpy(data, association->datagram, taken);
    association->datagram = NULL;
    return (int)taken;
}

static int write_datagram(BIO *bio, const char *data, int length)
{
    struct dtls_association *association = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (length > 0)
        association->ops->send(association->user, (const guint8 *)data, (gsize)length);
    return length;
}

static long control_datagram(BIO *bio, int command, long number, void *pointer)
{
    /* Nothing is ever pending, there is no overhead to subtract from the MTU, and the timer is
     * asked for by the deadline. */
    return command == BIO_CTRL_FLUSH;
}

/* --- context ---------------------------------------------------------------------------------- */

static char *srtp_profile_names(void)
{
    GString *names = g_string_new(NULL);

    for (guint i = 0; i < G_N_ELEMENTS(srtp_profiles); i++)
        g_string_append_printf(names, "%s%s", i ? ":" : "", srtp_profiles[i].openssl_name);
    return g_string_free(names, FALSE);
}

static bool set_up_context(struct dtls_context *context, const struct certificate *certificate)
{
    SSL_CTX *ssl_ctx = context->ssl_ctx;
    g_autofree char *names = srtp_profile_names();

    /* No tickets and no cache: a resumed session would skip the certificate. No renegotiation: it
     * could exchange the peer behind a fingerprint that was checked before. */
    SSL_CTX_set_options(ssl_ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_QUERY_MTU |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(ssl_ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_cert_list(ssl_ctx, PEER_CERTIFICATES_MAX);
    SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(ssl_ctx, verify_peer, NULL);
    return SSL_CTX_set_min_proto_version(ssl_ctx, DTLS1_2_VERSION) &&
           SSL_CTX_set_max_proto_version(ssl_ctx, DTLS1_2_VERSION) &&
           SSL_CTX_set_cipher_list(ssl_ctx, CIPHERS) && SSL_CTX_set1_groups_list(ssl_ctx, GROUPS) &&
           SSL_CTX_set_tlsext_use_srtp(ssl_ctx, names) == 0 &&
           SSL_CTX_use_certificate(ssl_ctx, certificate_x509(certificate)) &&
           SSL_CTX_use_PrivateKey(ssl_ctx, certificate_key(certificate)) &&
           SSL_CTX_check_private_key(ssl_ctx) &&
           BIO_meth_set_read(context->bio_method, read_datagram) &&
           BIO_meth_set_write(context->bio_method, write_datagram) &&
           BIO_meth_set_ctrl(context->bio_method, control_datagram);
}

struct dtls_context *dtls_context_new(const struct certificate *certificate, GError **error)
{
    struct dtls_context *context = g_new0(struct dtls_context, 1);
    int type = BIO_get_new_index();

    context->ssl_ctx = SSL_CTX_new_ex(dtls_crypto_context(), NULL, DTLS_method());
    if (type != -1)
        context->bio_method = BIO_meth_new(type | BIO_TYPE_SOURCE_SINK, "datagram");
    if (!context->ssl_ctx || !context->bio_method || !set_up_context(context, certificate)) {
        certificate_set_openssl_error(error, "cannot set up DTLS");
        g_clear_pointer(&context, dtls_context_free);
    }
    return context;
}

void dtls_context_free(struct dtls_context *context)
{
    if (!context)
        return;
    SSL_CTX_free(context->ssl_ctx);
    BIO_meth_free(context->bio_method);
    g_free(context);
}

/* --- association ------------------------------------------------------------------------------ */

static unsigned int retransmit_after(SSL *ssl, unsigned int last_us)
{
    return last_us == 0 ? RETRANSMIT_FIRST_US : MIN(last_us * 2, (unsigned)RETRANSMIT_MAX_US);
}

struct dtls_association *dtls_association_new(struct dtls_context *context, bool is_client,
                                              const struct dtls_fingerprint *fingerprint,
                                              const struct dtls_ops *ops, void *user,
                                              GError **error)
{
    struct dtls_association *association = g_new0(struct dtls_association, 1);
    BIO *bio = BIO_new(context->bio_method);

    association->ssl = SSL_new(context->ssl_ctx);
    association->ops = ops;
    association->user = user;
    association->fingerprint = *fingerprint;
    association->is_client = is_client;
    association->limit = -1;
    if (!association->ssl || !bio) {
        BIO_free(bio);
        certificate_set_openssl_error(error, "cannot make a DTLS association");
        dtls_association_free(association);
        return NULL;
    }
    BIO_set_data(bio, association);
    BIO_set_init(bio, 1);
    SSL_set_bio(association->ssl, bio, bio);
    SSL_set_app_data(association->ssl, association);
    DTLS_set_link_mtu(association->ssl, DTLS_MTU);
    DTLS_set_timer_cb(association->ssl, retransmit_after);
    if (is_client)
        SSL_set_connect_state(association->ssl);
    else
        SSL_set_accept_state(association->ssl);
    return association;
}

void dtls_association_free(struct dtls_association *association)
{
    if (!association)
        return;
    SSL_free(association->ssl);
    g_free(association);
}

static void fail(struct dtls_association *association, enum problem code, const char *reason)
{
    g_autoptr(GError) error = NULL;

    problem_set(&error, code, "DTLS failed: %s", reason);
    ERR_clear_error();
    set_state(association, DTLS_FAILED);
    association->ops->failed(association->user, error);
}

/* What OpenSSL says in words that name no remedy. */
static const char *explain(unsigned long code)
{
    switch (code ? ERR_GET_REASON(code) : 0) {
    case 0:
        return "the peer broke off";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        return "the peer does not speak DTLS 1.2, the only version that is taken";
    case SSL_R_NO_SHARED_CIPHER:
        return "the peer has no cipher suite with forward secrecy and authenticated encryption";
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        return "the peer refuses: it may lack DTLS 1.2, or a cipher suite with forward secrecy and "
               "authenticated encryption";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
        return "the peer refuses our certificate: our a=fingerprint has not reached it as it was";
    default: {
        const char *reason = ERR_reason_error_string(code);

        return reason ? reason : "the handshake cannot go on";
    }
    }
}

/* After OpenSSL has given up; it has already sent its alert. */
static void fail_by_openssl(struct dtls_association *association)
{
    if (association->peer_mismatched)
        fail(association, PROBLEM_SDP_NOT_ACCEPTABLE,
             "the peer's certificate does not match the a=fingerprint of its description");
    else
        fail(association, PROBLEM_INVALID_MESSAGE, explain(ERR_peek_last_error()));
}

/* RFC 5764 4.2: client key, server key, client salt, server salt. */
static bool export_keys(struct dtls_association *association, const struct srtp_profile *profile,
                        struct pl_srtp_keys *keys)
{
    static const char label[] = "EXTRACTOR-dtls_srtp";
    guint8 material[2 * (sizeof keys->local_key + sizeof keys->local_salt)];
    guint8 *key[2] = {keys->local_key, keys->remote_key};    /* client's, server's */
    guint8 *salt[2] = {keys->local_salt, keys->remote_salt}; /* when we are the client */
    gsize length = 2 * (profile->key_length + profile->salt_length);
    const guint8 *at = material;
    guint first = association->is_client ? 0 : 1;

    if (SSL_export_keying_material(association->ssl, material, length, label, strlen(label), NULL,
                                   0, 0) != 1)
        return false;
    keys->profile = profile->profile;
    keys->key_length = profile->key_length;
    keys->salt_length = profile->salt_length;
    for (guint i = 0; i < 2; i++, at += profile->key_length)
        memcpy(key[i ^ first], at, profile->key_length);
    for (guint i = 0; i < 2; i++, at += profile->salt_length)
        memcpy(salt[i ^ first], at, profile->salt_length);
    OPENSSL_cleanse(material, sizeof material);
    return true;
}

static const struct srtp_profile *selected_profile(struct dtls_association *association)
{
    SRTP_PROTECTION_PROFILE *selected = SSL_get_selected_srtp_profile(association->ssl);

    for (guint i = 0; selected && i < G_N_ELEMENTS(srtp_profiles); i++) {
        if (selected->id == (unsigned long)srtp_profiles[i].profile)
            return &srtp_profiles[i];
    }
    return NULL;
}

static void finish_handshake(struct dtls_association *association)
{
    const struct srtp_profile *profile = selected_profile(association);
    struct pl_srtp_keys keys = {0};

    if (!association->peer_verified || !profile || !export_keys(association, profile, &keys)) {
        bool verified = association->peer_verified;

        SSL_shutdown(association->ssl);
        fail(association, PROBLEM_SDP_NOT_ACCEPTABLE,
             !verified  ? "the peer's certificate was not checked"
             : !profile ? "the peer offers no SRTP profile of ours"
                        : "no keys for SRTP can be derived");
    } else {
        set_state(association, DTLS_CONNECTED);
        association->ops->connected(association->user, &keys);
    }
    OPENSSL_cleanse(&keys, sizeof keys);
}

static void close_by_peer(struct dtls_association *association)
{
    SSL_shutdown(association->ssl); /* RFC 5246 7.2.1: answer close_notify with one's own */
    ERR_clear_error();
    set_state(association, DTLS_CLOSED);
    association->ops->closed(association->user);
}

/* Whether OpenSSL only wants another datagram. 3.0.19 and 3.0.20, which stable distributions ship,
 * answer a record too short for its cipher with SSL_ERROR_SYSCALL instead of dropping it, and go on
 * all the same; from our BIO no error of the system can come. Who can forge a peer's address could
 * else end its association with one datagram. */
static bool wants_more(struct dtls_association *association, int result)
{
    switch (SSL_get_error(association->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return true;
    case SSL_ERROR_SYSCALL:
        return ERR_peek_error() == 0;
    default:
        return false;
    }
}

static void read_records(struct dtls_association *association)
{
    guint8 data[DTLS_DATAGRAM_MAX];

    while (association->state == DTLS_CONNECTED) {
        int length = SSL_read(association->ssl, data, sizeof data);

        if (length > 0) {
            association->ops->data(association->user, data, (gsize)length);
            continue;
        }
        if (wants_more(association, length))
            /* Two buffers of 17 kB would else stay with a leg that says nothing more. */
            SSL_free_buffers(association->ssl);
        else if (SSL_get_error(association->ssl, length) == SSL_ERROR_ZERO_RETURN)
            close_by_peer(association);
        else
            fail_by_openssl(association);
        return;
    }
}

static void advance(struct dtls_association *association)
{
    ERR_clear_error();
    if (association->state == DTLS_CONNECTING) {
        int result = SSL_do_handshake(association->ssl);

        if (result == 1)
            finish_handshake(association);
        else if (!wants_more(association, result))
            fail_by_openssl(association);
    }
    read_records(association);
    ERR_clear_error();
}

void dtls_association_start(struct dtls_association *association, gint64 now)
{
    if (association->state != DTLS_NEW)
        return;
    set_state(association, DTLS_CONNECTING);
    association->limit = now + DTLS_HANDSHAKE_LIMIT_US;
    if (association->is_client)
        advance(association);
}

void dtls_association_receive(struct dtls_association *association, gint64 now,
                              const guint8 *datagram, gsize length)
{
    if (length == 0 || length > DTLS_DATAGRAM_MAX)
        return;
    if (association->state != DTLS_CONNECTING && association->state != DTLS_CONNECTED)
        return;
    association->datagram = datagram;
    association->datagram_length = length;
    advance(association);
    association->datagram = NULL;
}

void dtls_association_tick(struct dtls_association *association, gint64 now)
{
    if (association->state != DTLS_CONNECTING)
        return;
    ERR_clear_error();
    if (now >= association->limit)
        fail(association, PROBLEM_PEER_TIMEOUT, "the handshake was not finished in time");
    else if (DTLSv1_handle_timeout(association->ssl) < 0)
        fail(association, PROBLEM_PEER_TIMEOUT, "the peer does not answer");
    ERR_clear_error();
}

gint64 dtls_association_deadline(struct dtls_association *association, gint64 now)
{
    struct timeval left;

    if (association->state != DTLS_CONNECTING)
        return -1;
    if (!DTLSv1_get_timeout(association->ssl, &left))
        return association->limit;
    return MIN(association->limit, now + left.tv_sec * G_USEC_PER_SEC + left.tv_usec);
}

bool dtls_association_send(struct dtls_association *association, const guint8 *data, gsize length)
{
    bool sent;

    if (association->state != DTLS_CONNECTED || length == 0 || length > DTLS_DATAGRAM_MAX)
        return false;
    ERR_clear_error();
    sent = SSL_alloc_buffers(association->ssl) &&
           SSL_write(association->ssl, data, (int)length) == (int)length;
    SSL_free_buffers(association->ssl);
    ERR_clear_error();
    return sent;
}

void dtls_association_close(struct dtls_association *association)
{
    if (association->state == DTLS_CONNECTED) {
        ERR_clear_error();
        if (SSL_alloc_buffers(association->ssl))
            SSL_shutdown(association->ssl);
        ERR_clear_error();
    }
    if (transitions[association->state] & TO(DTLS_CLOSED))
        set_state(association, DTLS_CLOSED);
}

enum dtls_state dtls_association_state(const struct dtls_association *association)
{
    return association->state;
}

const char *dtls_association_cipher(const struct dtls_association *association)
{
    const SSL_CIPHER *cipher =
        association->state == DTLS_CONNECTED ? SSL_get_current_cipher(association->ssl) : NULL;

    return cipher ? SSL_CIPHER_standard_name(cipher) : NULL;
}

char *dtls_association_peer_pem(const struct dtls_association *association)
{
    X509 *x509 = association->peer_verified ? SSL_get0_peer_certificate(association->ssl) : NULL;

    return x509 ? certificate_print(x509) : NULL;
}
