/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The other end of a DTLS association for tests: OpenSSL used plainly, with nothing of ours in it,
 * so that it can be wrong in every way a peer can be. No I/O: what it sends piles up in `out`.
 * Threads: one. */
#include <glib.h>
#include <openssl/ssl.h>
#include <stdbool.h>

enum dtls_peer_certificate {
    DTLS_PEER_ECDSA, /* on P-256 */
    DTLS_PEER_RSA,   /* of 2048 bits */
    DTLS_PEER_EXPIRED,
    DTLS_PEER_P384,
    DTLS_PEER_ED25519,
};

struct dtls_peer {
    SSL_CTX *ssl_ctx;
    SSL *ssl;
    X509 *x509;
    BIO_METHOD *method;
    bool is_client;
    GQueue out; /* GBytes */
    const guint8 *in;
    gsize in_length;
    bool connected, closed, failed;
    int alert;        /* last one received, -1 none */
    GByteArray *data; /* application data received */
};

/* `profiles` as OpenSSL takes them, NULL = no use_srtp at all. */
struct dtls_peer *dtls_peer_new(bool is_client, enum dtls_peer_certificate certificate,
                                const char *profiles);
/* Forgets its association and begins another with the same certificate. */
void dtls_peer_restart(struct dtls_peer *peer, bool is_client);
void dtls_peer_free(struct dtls_peer *peer);
/* Goes on as far as it can: says the ClientHello when nothing has been said yet. */
void dtls_peer_step(struct dtls_peer *peer);
void dtls_peer_receive(struct dtls_peer *peer, GBytes *datagram);
/* Retransmits when OpenSSL's timer is over. */
void dtls_peer_tick(struct dtls_peer *peer);
void dtls_peer_send(struct dtls_peer *peer, const void *data, gsize length);
void dtls_peer_close(struct dtls_peer *peer);
/* The fingerprint of its certificate; returns its length. */
guint dtls_peer_fingerprint(struct dtls_peer *peer, const EVP_MD *digest, guint8 *value);
/* RFC 5764 4.2: its own and ours, each the key and then the salt. */
#define DTLS_PEER_MASTER_MAX 44
void dtls_peer_keys(struct dtls_peer *peer, guint key_length, guint salt_length, guint8 *own,
                    guint8 *other);
