/* SPDX-License-Identifier: Apache-2.0 */
/* Owns a plain OpenSSL endpoint over a BIO that keeps datagrams apart. It verifies nothing and
 * takes every certificate: what is under test is the other side. */
#include "tests/support/dtls-peer.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/ec.h>
#include <openssl/x509.h>
#include <string.h>

static int read_datagram(BIO *bio, char *data, int length)
{
    struct dtls_peer *peer = BIO_get_data(bio);
    gsize taken;

    BIO_clear_retry_flags(bio);
    if (!peer->in) {
        BIO_set_retry_read(bio);
        return -1;
    }
    taken = MIN((gsize)length, peer->in_length);
    memcpy(data, peer->in, taken);
    peer->in = NULL;
    return (int)taken;
}

static int write_datagram(BIO *bio, const char *data, int length)
{
    struct dtls_peer *peer = BIO_get_data(bio);

    g_queue_push_tail(&peer->out, g_bytes_new(data, (gsize)length));
    return length;
}

static long control(BIO *bio, int command, long number, void *pointer)
{
    return command == BIO_CTRL_FLUSH;
}

static int accept_all(X509_STORE_CTX *store, void *unused)
{
    return 1;
}

static void on_info(const SSL *ssl, int where, int value)
{
    struct dtls_peer *peer = SSL_get_app_data(ssl);

    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT)
        peer->alert = value & 0xff;
}

static EVP_PKEY *make_key(enum dtls_peer_certificate certificate)
{
    switch (certificate) {
    case DTLS_PEER_RSA:
        return EVP_RSA_gen(2048);
    case DTLS_PEER_P384:
        return EVP_EC_gen("P-384");
    case DTLS_PEER_ED25519:
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    default:
        return EVP_EC_gen("P-256");
    }
}

static X509 *make_certificate(EVP_PKEY *key, bool expired)
{
    X509 *x509 = X509_new();
    X509_NAME *name = X509_get_subject_name(x509);

    ASN1_INTEGER_set(X509_get_serialNumber(x509), 7);
    X509_gmtime_adj(X509_getm_notBefore(x509), expired ? -7200 : -60);
    X509_gmtime_adj(X509_getm_notAfter(x509), expired ? -3600 : 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const guint8 *)"peer", -1, -1, 0);
    X509_set_issuer_name(x509, name);
    X509_set_pubkey(x509, key);
    /* RFC 8410: Ed25519 has its own digest */
    g_assert_cmpint(X509_sign(x509, key, EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256()), >,
                    0);
    return x509;
}

static void open_ssl(struct dtls_peer *peer)
{
    BIO *bio = BIO_new(peer->method);

    peer->ssl = SSL_new(peer->ssl_ctx);
    BIO_set_data(bio, peer);
    BIO_set_init(bio, 1);
    SSL_set_bio(peer->ssl, bio, bio);
    SSL_set_app_data(peer->ssl, peer);
    DTLS_set_link_mtu(peer->ssl, 1200);
    if (peer->is_client)
        SSL_set_connect_state(peer->ssl);
    else
        SSL_set_accept_state(peer->ssl);
}

struct dtls_peer *dtls_peer_new(bool is_client, enum dtls_peer_certificate certificate,
                                const char *profiles)
{
    struct dtls_peer *peer = g_new0(struct dtls_peer, 1);
    EVP_PKEY *key = make_key(certificate);

    peer->is_client = is_client;
    peer->alert = -1;
    peer->data = g_byte_array_new();
    g_queue_init(&peer->out);
    peer->x509 = make_certificate(key, certificate == DTLS_PEER_EXPIRED);
    peer->ssl_ctx = SSL_CTX_new(DTLS_method());
    SSL_CTX_use_certificate(peer->ssl_ctx, peer->x509);
    SSL_CTX_use_PrivateKey(peer->ssl_ctx, key);
    EVP_PKEY_free(key);
    SSL_CTX_set_verify(peer->ssl_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(peer->ssl_ctx, accept_all, NULL);
    SSL_CTX_set_info_callback(peer->ssl_ctx, on_info);
    SSL_CTX_set_options(peer->ssl_ctx, SSL_OP_NO_QUERY_MTU);
    if (profiles)
        g_assert_cmpint(SSL_CTX_set_tlsext_use_srtp(peer->ssl_ctx, profiles), ==, 0);
    peer->method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "peer");
    BIO_meth_set_read(peer->method, read_datagram);
    BIO_meth_set_write(peer->method, write_datagram);
    BIO_meth_set_ctrl(peer->method, control);
    open_ssl(peer);
    return peer;
}

void dtls_peer_restart(struct dtls_peer *peer, bool is_client)
{
    SSL_free(peer->ssl);
    g_queue_clear_full(&peer->out, (GDestroyNotify)g_bytes_unref);
    g_byte_array_set_size(peer->data, 0);
    peer->is_client = is_client;
    peer->connected = peer->closed = peer->failed = false;
    peer->alert = -1;
    peer->in = NULL;
    open_ssl(peer);
}

void dtls_peer_free(struct dtls_peer *peer)
{
    if (!peer)
        return;
    SSL_free(peer->ssl);
    SSL_CTX_free(peer->ssl_ctx);
    BIO_meth_free(peer->method);
    X509_free(peer->x509);
    g_queue_clear_full(&peer->out, (GDestroyNotify)g_bytes_unref);
    g_byte_array_unref(peer->data);
    g_free(peer);
}

static void note_error(struct dtls_peer *peer, int result)
{
    int reason = SSL_get_error(peer->ssl, result);

    if (reason == SSL_ERROR_ZERO_RETURN)
        peer->closed = true;
    else if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE)
        peer->failed = true;
    ERR_clear_error();
}

void dtls_peer_step(struct dtls_peer *peer)
{
    guint8 data[4096];
    int result;

    if (peer->failed || peer->closed)
        return;
    ERR_clear_error();
    if (!peer->connected) {
        result = SSL_do_handshake(peer->ssl);
        if (result != 1) {
            note_error(peer, result);
            return;
        }
        peer->connected = true;
    }
    while ((result = SSL_read(peer->ssl, data, sizeof data)) > 0)
        g_byte_array_append(peer->data, data, (guint)result);
    note_error(peer, result);
}

void dtls_peer_receive(struct dtls_peer *peer, GBytes *datagram)
{
    peer->in = g_bytes_get_data(datagram, &peer->in_length);
    dtls_peer_step(peer);
    peer->in = NULL;
}

void dtls_peer_tick(struct dtls_peer *peer)
{
    if (!peer->connected && !peer->failed)
        DTLSv1_handle_timeout(peer->ssl);
    ERR_clear_error();
}

void dtls_peer_send(struct dtls_peer *peer, const void *data, gsize length)
{
    g_assert_cmpint(SSL_write(peer->ssl, data, (int)length), ==, (int)length);
}

void dtls_peer_close(struct dtls_peer *peer)
{
    SSL_shutdown(peer->ssl);
    ERR_clear_error();
}

guint dtls_peer_fingerprint(struct dtls_peer *peer, const EVP_MD *digest, guint8 *value)
{
    unsigned int length = 0;

    g_assert_true(X509_digest(peer->x509, digest, value, &length));
    return length;
}

void dtls_peer_keys(struct dtls_peer *peer, guint key_length, guint salt_length, guint8 *own,
                    guint8 *other)
{
    guint8 material[2 * DTLS_PEER_MASTER_MAX], *at = material;
    guint8 *client = peer->is_client ? own : other, *server = peer->is_client ? other : own;

    g_assert_cmpint(SSL_export_keying_material(peer->ssl, material, 2 * (key_length + salt_length),
                                               "EXTRACTOR-dtls_srtp", 19, NULL, 0, 0),
                    ==, 1);
    memcpy(client, at, key_length);
    memcpy(server, at += key_length, key_length);
    memcpy(client + key_length, at += key_length, salt_length);
    memcpy(server + key_length, at + salt_length, salt_length);
}
