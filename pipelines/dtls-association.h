/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One DTLS association (RFC 6347, version 1.2 alone) that yields SRTP keys (RFC 5764): a state
 * machine without I/O. It is fed with datagrams and with the time; what it wants to say goes to its
 * callbacks. The peer is authenticated inside the handshake by the fingerprint of its certificate
 * (RFC 8122, RFC 8842), so no key ever exists for a peer that has another one.
 *
 * OpenSSL keeps the retransmission timer itself and reads the system clock for that; the `now` of
 * the calls (monotonic µs) rules the limit of the whole handshake and turns the timer into a
 * deadline.
 *
 * Threads: any, one at a time per association. Callbacks run inside the call that causes them and
 * must not call back into the association. A context is immutable and may be shared. */
#include "pipelines/certificate.h"
#include "pipelines/leg.h"

#define DTLS_DATAGRAM_MAX 16384 /* longer ones cannot be one record: dropped */
#define DTLS_MTU 1200           /* no datagram of a handshake is longer */
#define DTLS_HANDSHAKE_LIMIT_US (30 * G_USEC_PER_SEC)
#define DTLS_FINGERPRINT_MAX 64

/* In the numbers that webrtcbin reads as its dtlssrtpenc's `connection-state`. */
enum dtls_state { DTLS_NEW, DTLS_CLOSED, DTLS_FAILED, DTLS_CONNECTING, DTLS_CONNECTED };
const char *dtls_state_name(enum dtls_state state); /* "connecting" */

/* RFC 8122 fingerprint: the digest and its value. */
struct dtls_fingerprint {
    const EVP_MD *digest;
    guint8 value[DTLS_FINGERPRINT_MAX];
    guint length;
};
/* From a description's a=fingerprint; false and SDP_NOT_ACCEPTABLE for another hash than sha-256,
 * sha-384 or sha-512, or a value of another length. */
bool dtls_fingerprint_set(struct dtls_fingerprint *fingerprint, const char *hash,
                          const guint8 *value, gsize length, GError **error);

struct dtls_context;
/* Borrows the certificate. Transfer full; NULL and INTERNAL_ERROR. */
struct dtls_context *dtls_context_new(const struct certificate *certificate, GError **error);
void dtls_context_free(struct dtls_context *context);

struct dtls_ops {
    void (*send)(void *user, const guint8 *datagram, gsize length);
    void (*connected)(void *user, const struct pl_srtp_keys *keys);
    void (*failed)(void *user, const GError *error);
    void (*closed)(void *user); /* by the peer's close_notify */
    void (*data)(void *user, const guint8 *data, gsize length);
};

struct dtls_association;
/* Transfer full; NULL and INTERNAL_ERROR. */
struct dtls_association *dtls_association_new(struct dtls_context *context, bool is_client,
                                              const struct dtls_fingerprint *fingerprint,
                                              const struct dtls_ops *ops, void *user,
                                              GError **error);
/* Silent: no datagram and no callback. */
void dtls_association_free(struct dtls_association *association);
/* A client says its ClientHello, a server begins to listen. */
void dtls_association_start(struct dtls_association *association, gint64 now);
void dtls_association_receive(struct dtls_association *association, gint64 now,
                              const guint8 *datagram, gsize length);
/* To be called when the deadline is over (and harmless before). */
void dtls_association_tick(struct dtls_association *association, gint64 now);
/* When to tick: monotonic µs, or -1 when nothing waits for time. */
gint64 dtls_association_deadline(struct dtls_association *association, gint64 now);
/* Application data; false when it is not connected or the record cannot be made. */
bool dtls_association_send(struct dtls_association *association, const guint8 *data, gsize length);
/* Says close_notify when it is connected; no callback but `send` comes of it. Idempotent. */
void dtls_association_close(struct dtls_association *association);

enum dtls_state dtls_association_state(const struct dtls_association *association);
/* "ECDHE-ECDSA-AES128-GCM-SHA256" by its registered name, NULL before; static. */
const char *dtls_association_cipher(const struct dtls_association *association);
/* The peer's certificate as PEM, NULL before; transfer full. */
char *dtls_association_peer_pem(const struct dtls_association *association);
