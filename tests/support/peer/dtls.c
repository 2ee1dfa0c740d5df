/* SPDX-License-Identifier: Apache-2.0 */
/* DTLS-SRTP for a generated leg. A BIO of our own gives OpenSSL one datagram per read and sends one
 * per write; the far certificate is held against the fingerprint of the SDP inside the handshake,
 * so that a wrong one ends in an alert before any key exists. */
#include "tests/support/peer/dtls.h"
#include "tests/support/peer/openssl-slim.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/time.h>

#define LINK_MTU 1400
#define REPEAT_MAX_US 60000000u /* RFC 6347 4.2.4.1 */

/* --- BIO ------------------------------------------------------------------------------------- */

static int on_bio_write(BIO *bio, const char *data, int length)
{
    struct peer_dtls *dtls = BIO_get_data(bio);
    dtls->ops->send(data, (gsize)length, dtls->user);
    return length;
}

static int on_bio_read(BIO *bio, char *out, int size)
{
    struct peer_dtls *dtls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (!dtls->datagram) {
        BIO_set_retry_read(bio);
        return -1;
    }
    int n = MIN(size, (int)dtls->datagram_length);
    memcpy(out, dtls->datagram, (gsize)n);
    dtls->datagram = NULL;
    return n;
}

static long on_bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DGRAM_SET_NEXT_TIMEOUT;
}

static BIO_METHOD *datagram_bio(void)
{
    static gsize once;
    static BIO_METHOD *method;
    if (g_once_init_enter(&once)) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "datagram");
        BIO_meth_set_write(method, on_bio_write);
        BIO_meth_set_read(method, on_bio_read);
        BIO_meth_set_ctrl(method, on_bio_ctrl);
        g_once_init_leave(&once, 1);
    }
    return method;
}

/* --- identity --------------------------------------------------------------------------------- */

static int on_verify(X509_STORE_CTX *store, void *user)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct peer_dtls *dtls = SSL_get_app_data(ssl);
    guint8 digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    X509_digest(X509_STORE_CTX_get0_cert(store), EVP_sha256(), digest, &length);
    if (length == 32 && !memcmp(digest, dtls->remote_fingerprint, 32))
        return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
    return 0;
}

static X509 *certificate_new(EVP_PKEY *key)
{
    X509 *certificate = X509_new_ex(openssl_slim(), NULL);
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), (long)(g_random_int() >> 1));
    X509_gmtime_adj(X509_getm_notBefore(certificate), -86400);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 30 * 86400L);
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const guint8 *)"WebRTC", -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    X509_set_pubkey(certificate, key);
    X509_sign(certificate, key, EVP_sha256());
    return certificate;
}

struct peer_identity *peer_identity_new(void)
{
    struct peer_identity *identity = g_new0(struct peer_identity, 1);
    EVP_PKEY *key = EVP_PKEY_Q_keygen(openssl_slim(), NULL, "EC", "P-256");
    X509 *certificate = certificate_new(key);
    unsigned length = 32;
    X509_digest(certificate, EVP_sha256(), identity->fingerprint, &length);

    SSL_CTX *context = SSL_CTX_new_ex(openssl_slim(), NULL, DTLS_method());
    SSL_CTX_set_min_proto_version(context, DTLS1_2_VERSION);
    SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+AES");
    SSL_CTX_use_certificate(context, certificate);
    SSL_CTX_use_PrivateKey(context, key);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(context, on_verify, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_QUERY_MTU | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_read_ahead(context, 1);
    identity->context = context;
    X509_free(certificate);
    EVP_PKEY_free(key);
    return identity;
}

void peer_identity_free(struct peer_identity *identity)
{
    if (!identity)
        return;
    SSL_CTX_free(identity->context);
    g_free(identity);
}

/* --- one association ---------------------------------------------------------------------------
 */

static void offer_profiles(SSL *ssl, const enum peer_srtp_profile *profiles, guint n)
{
    g_autoptr(GString) names = g_string_new(NULL);
    for (guint i = 0; i < n; i++)
        g_string_append_printf(names, "%s%s", i ? ":" : "",
                               peer_srtp_profile_find(profiles[i], NULL)->openssl_name);
    SSL_set_tlsext_use_srtp(ssl, names->str);
}

void peer_dtls_init(struct peer_dtls *dtls, struct peer_identity *identity, bool client,
                    const guint8 *remote_fingerprint, const enum peer_srtp_profile *profiles,
                    guint n_profiles, const struct peer_dtls_ops *ops, void *user)
{
    memset(dtls, 0, sizeof *dtls);
    dtls->client = client;
    dtls->ops = ops;
    dtls->user = user;
    memcpy(dtls->remote_fingerprint, remote_fingerprint, 32);
    dtls->ssl = SSL_new(identity->context);
    SSL_set_app_data(dtls->ssl, dtls);
    offer_profiles(dtls->ssl, profiles, n_profiles);
    BIO *bio = BIO_new(datagram_bio());
    BIO_set_data(bio, dtls);
    BIO_set_init(bio, 1);
    SSL_set_bio(dtls->ssl, bio, bio);
    DTLS_set_link_mtu(dtls->ssl, LINK_MTU);
    if (client)
        SSL_set_connect_state(dtls->ssl);
    else
        SSL_set_accept_state(dtls->ssl);
}

static unsigned on_timer(SSL *ssl, unsigned last_us)
{
    const struct peer_dtls *dtls = SSL_get_app_data(ssl);
    return last_us ? MIN(2 * last_us, REPEAT_MAX_US) : dtls->repeat_us;
}

void peer_dtls_set_repeat(struct peer_dtls *dtls, guint us)
{
    dtls->repeat_us = us;
    DTLS_set_timer_cb(dtls->ssl, on_timer);
}

void peer_dtls_finish(struct peer_dtls *dtls)
{
    g_clear_pointer(&dtls->ssl, SSL_free);
}

static void fail(struct peer_dtls *dtls, const char *what)
{
    char text[256];
    unsigned long code = ERR_get_error();
    g_autofree char *reason = NULL;
    ERR_error_string_n(code, text, sizeof text);
    reason = code ? g_strdup_printf("%s: %s", what, text) : g_strdup(what);
    ERR_clear_error();
    dtls->failed = true;
    dtls->ops->failed(reason, dtls->user);
}

static void complete(struct peer_dtls *dtls)
{
    static const char label[] = "EXTRACTOR-dtls_srtp"; /* RFC 5764 4.2 */
    guint8 material[2 * PEER_SRTP_MASTER_MAX];
    struct peer_srtp_keys keys;
    SRTP_PROTECTION_PROFILE *selected = SSL_get_selected_srtp_profile(dtls->ssl);
    const struct peer_srtp_profile_row *row =
        selected ? peer_srtp_profile_find((enum peer_srtp_profile)selected->id, NULL) : NULL;
    gsize key = row ? row->key_length : 0, salt = row ? row->salt_length : 0;
    if (!row || SSL_export_keying_material(dtls->ssl, material, 2 * (key + salt), label,
                                           strlen(label), NULL, 0, 0) != 1) {
        fail(dtls, "no SRTP profile in common");
        return;
    }
    keys.profile = row->profile;
    guint8 *client = dtls->client ? keys.local : keys.remote;
    guint8 *server = dtls->client ? keys.remote : keys.local;
    memcpy(client, material, key);
    memcpy(server, material + key, key);
    memcpy(client + key, material + 2 * key, salt);
    memcpy(server + key, material + 2 * key + salt, salt);
    dtls->done = true;
    dtls->ops->connected(&keys, dtls->user);
}

static void advance(struct peer_dtls *dtls)
{
    if (dtls->failed)
        return;
    ERR_clear_error();
    if (!dtls->done) {
        int result = SSL_do_handshake(dtls->ssl);
        if (result == 1)
            complete(dtls);
        else if (SSL_get_error(dtls->ssl, result) != SSL_ERROR_WANT_READ)
            fail(dtls, "DTLS handshake");
        return;
    }
    guint8 scratch[2048];
    int n = SSL_read(dtls->ssl, scratch, sizeof scratch);
    if (n <= 0) {
        int why = SSL_get_error(dtls->ssl, n);
        if (why == SSL_ERROR_ZERO_RETURN)
            fail(dtls, "closed by the far end");
        else if (why != SSL_ERROR_WANT_READ)
            fail(dtls, "DTLS");
    }
}

void peer_dtls_start(struct peer_dtls *dtls)
{
    if (dtls->client)
        advance(dtls);
}

void peer_dtls_input(struct peer_dtls *dtls, const guint8 *data, gsize length)
{
    dtls->datagram = data;
    dtls->datagram_length = length;
    advance(dtls);
    dtls->datagram = NULL;
}

gint64 peer_dtls_tick(struct peer_dtls *dtls)
{
    struct timeval left;
    if (dtls->done || dtls->failed || !DTLSv1_get_timeout(dtls->ssl, &left))
        return G_MAXINT64;
    if (left.tv_sec == 0 && left.tv_usec == 0) {
        if (DTLSv1_handle_timeout(dtls->ssl) < 0) {
            fail(dtls, "DTLS handshake timed out");
            return G_MAXINT64;
        }
        if (!DTLSv1_get_timeout(dtls->ssl, &left))
            return G_MAXINT64;
    }
    return (gint64)left.tv_sec * G_USEC_PER_SEC + left.tv_usec;
}

bool peer_dtls_write(struct peer_dtls *dtls, const void *data, gsize length)
{
    ERR_clear_error();
    return dtls->done && !dtls->failed && SSL_write(dtls->ssl, data, (int)length) == (int)length;
}

void peer_dtls_close(struct peer_dtls *dtls)
{
    if (dtls->ssl && dtls->done && !dtls->failed) {
        ERR_clear_error();
        SSL_shutdown(dtls->ssl);
    }
}
