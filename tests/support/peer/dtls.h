/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* DTLS 1.2 with use_srtp of one peer (RFC 6347, RFC 5764), on OpenSSL. Threads: the group's. */
#include "tests/support/peer/peer.h"

#include <openssl/ssl.h>

/* A certificate with its context; shared by the peers of a group. */
struct peer_identity {
    SSL_CTX *context;
    guint8 fingerprint[32];
};
struct peer_identity *peer_identity_new(void);
void peer_identity_free(struct peer_identity *identity);

struct peer_srtp_keys {
    enum peer_srtp_profile profile;
    guint8 local[PEER_SRTP_MASTER_MAX], remote[PEER_SRTP_MASTER_MAX]; /* key, then salt */
};

struct peer_dtls_ops {
    void (*send)(const void *data, gsize length, void *user);
    void (*connected)(const struct peer_srtp_keys *keys, void *user);
    void (*failed)(const char *reason, void *user);
};

struct peer_dtls {
    SSL *ssl;
    bool client, done, failed;
    guint repeat_us; /* 0 = OpenSSL's second */
    guint8 remote_fingerprint[32];
    const guint8 *datagram; /* being read */
    gsize datagram_length;
    const struct peer_dtls_ops *ops;
    void *user;
};

/* `profiles`: what it offers or accepts, in its order of preference. */
void peer_dtls_init(struct peer_dtls *dtls, struct peer_identity *identity, bool client,
                    const guint8 *remote_fingerprint, const enum peer_srtp_profile *profiles,
                    guint n_profiles, const struct peer_dtls_ops *ops, void *user);
void peer_dtls_finish(struct peer_dtls *dtls);
/* The first repetition of a flight comes after so many µs, each further one after twice the time.
 */
void peer_dtls_set_repeat(struct peer_dtls *dtls, guint us);
/* Client: sends the ClientHello. */
void peer_dtls_start(struct peer_dtls *dtls);
void peer_dtls_input(struct peer_dtls *dtls, const guint8 *data, gsize length);
/* Repeats a lost flight; returns µs until it wants to be called again, G_MAXINT64 = never. */
gint64 peer_dtls_tick(struct peer_dtls *dtls);
/* One record of application data. */
bool peer_dtls_write(struct peer_dtls *dtls, const void *data, gsize length);
void peer_dtls_close(struct peer_dtls *dtls);
