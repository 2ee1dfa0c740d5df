/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The leg: one webrtcbin pipeline per termination. It anchors the user-plane path: DTLS handshake,
 * SRTP keys, later SCTP and media through webrtcbin's pads. It knows nothing of sockets: datagrams
 * come and go by functions, so that the relay (or a test) can be the transport.
 *
 * Inside: webrtcbin with our ICE agent (ice-agent.h) and our DTLS elements (dtls-*.h), given the
 * anchor description once. The certificate is the process's: ECDSA P-256, made at start.
 *
 * Threads: every function and every callback on the control thread (callbacks are posted there by
 * the loop). Nothing here blocks: pl_leg_close() hands the pipeline to the reaper thread. */
#include "pipelines/sdp.h"

#include <glib.h>
#include <stdbool.h>

struct pl_leg;

enum pl_srtp_profile {
    PL_SRTP_AES128_CM_HMAC_SHA1_80 = 0x0001, /* RFC 5764 */
    PL_SRTP_AEAD_AES_128_GCM = 0x0007,       /* RFC 7714 */
    PL_SRTP_AEAD_AES_256_GCM = 0x0008,
};

/* Exporter output of RFC 5764 4.2, split. Wiped by the library after the callback. */
struct pl_srtp_keys {
    enum pl_srtp_profile profile;
    guint8 local_key[32], local_salt[14];   /* protects what we send */
    guint8 remote_key[32], remote_salt[14]; /* unprotects what we receive */
    guint key_length, salt_length;
};

/* A data channel as DCEP describes it (RFC 8832 5.1). Strings are borrowed. */
struct pl_channel {
    const char *label, *protocol;
    bool ordered;
    int max_packet_life_time,
        max_retransmits; /* ms; count; -1 = not limited, one of them at most */
};

/* What a peer may take of us by its data channels. */
struct pl_data_limits {
    guint message_max;      /* octets of one message, as our description says: a=max-message-size */
    guint peer_message_max; /* the same, as the peer's says; 0 = any (RFC 8841 6.1) */
    guint channels;         /* at the same time */
    guint64 backlog;        /* octets that wait for the peer to take them, per channel */
    guint window;           /* octets that the peer may have under way to us at most */
};

struct pl_leg_ops {
    /* A DTLS datagram for the peer. Borrowed; send it on the nominated pair or drop it. */
    void (*send_dtls)(void *user, GBytes *datagram);
    /* DTLS is connected and the fingerprint matched (RFC 8122): keys for SRTP. Once per
     * association. */
    void (*connected)(void *user, const struct pl_srtp_keys *keys);
    /* The leg is over: handshake failed, fingerprint mismatch, alert, GStreamer error. Once;
     * `error` says what in one sentence. No further callback but for those already posted. */
    void (*failed)(void *user, const GError *error);
    /* The peer closed DTLS (close_notify). */
    void (*closed_by_peer)(void *user);
    /* Of data channels; not called without pl_leg_set_data(). The peer has opened one: `channel` is
     * its number from now on, never used twice in the life of a leg. */
    void (*channel_opened)(void *user, guint channel, const struct pl_channel *what);
    /* One of ours is open: what was sent before is on its way now. */
    void (*channel_ready)(void *user, guint channel);
    void (*channel_message)(void *user, guint channel, GBytes *message, bool text);
    /* Less than half of `window` waits on it, after it was more. */
    void (*channel_drained)(void *user, guint channel);
    /* It is gone, by the peer (`reason` NULL) or by a fault; not called for pl_leg_close_channel().
     */
    void (*channel_closed)(void *user, guint channel, const char *reason);
    /* SCTP is over, the leg lives on (the peer aborted it or has not answered for minutes). All
     * channels are gone, and no other can be had. */
    void (*data_failed)(void *user, const char *reason);
};

/* Initialises GStreamer, registers our DTLS elements in place of the stock ones and checks that
 * they are the ones found, raises the soft limit of open files to the hard one, makes the
 * certificate, starts the DTLS and reaper threads, warms one leg up (the first costs 0.3 s
 * otherwise). False and *error: refuse to run. Once. */
bool pl_init(GError **error);
/* Joins the threads; all legs must be closed. */
void pl_finish(void);
/* The process certificate's SHA-256, 32 octets, static. */
const guint8 *pl_certificate_sha256(void);

/* `id` names pipeline, threads and log lines (the terminationId). Transfer full; NULL and *error
 * (RESOURCES_UNAVAILABLE) when webrtcbin cannot be made, or four descriptors for each leg are not
 * within the limit of open files. */
struct pl_leg *pl_leg_new(const char *id, const struct pl_leg_ops *ops, void *user, GError **error);
/* Gives webrtcbin the anchor made of the peer's description. `we_are_server`: our DTLS role
 * (true when the peer is setup:active). Once per leg; asynchronous, failures come by `failed`. */
bool pl_leg_start(struct pl_leg *leg, const struct sdp_description *remote, bool we_are_server,
                  GError **error);
/* The leg is to have data channels. Before pl_leg_start() the anchor has them from the beginning;
 * afterwards it is renewed with them. Once more: other limits. `peer_port` is the peer's
 * a=sctp-port. */
void pl_leg_set_data(struct pl_leg *leg, guint peer_port, const struct pl_data_limits *limits);
/* ICE has a validated pair: DTLS may begin. Idempotent. */
void pl_leg_ice_connected(struct pl_leg *leg);
/* ICE is lost (consent expired). The caller knows: `failed` does not come of it, but the state is
 * "failed" until another pl_leg_ice_connected(). */
void pl_leg_ice_failed(struct pl_leg *leg);
/* A DTLS datagram from a source that ICE has validated. Up to 4 early ones are kept until the
 * handshake can begin. Copies. */
void pl_leg_receive_dtls(struct pl_leg *leg, GBytes *datagram);
/* Opens a channel towards the peer, also before SCTP is connected: what is sent waits. 0 and *error
 * (RESOURCES_UNAVAILABLE, INVALID_STATE) when there is none to be had. */
guint pl_leg_open_channel(struct pl_leg *leg, const struct pl_channel *what, GError **error);
/* False and *error: too long for the peer (MESSAGE_TOO_LARGE), too much waits already
 * (RESOURCES_UNAVAILABLE), or gone (INVALID_STATE). */
bool pl_leg_send(struct pl_leg *leg, guint channel, GBytes *message, bool text, GError **error);
/* Octets that wait on the channel. */
guint64 pl_leg_buffered(struct pl_leg *leg, guint channel);
/* From now on the peer may have so much under way: no more than the limit. It holds all channels,
 * since SCTP has one window. */
void pl_leg_set_window(struct pl_leg *leg, guint32 octets);
/* What was sent before still goes out. No callback of this channel after it. */
void pl_leg_close_channel(struct pl_leg *leg, guint channel);
guint pl_leg_channels(const struct pl_leg *leg);
/* "new", "connecting", "connected", "failed", "closed". Static. */
const char *pl_leg_state_name(const struct pl_leg *leg);
/* "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" … or NULL; borrowed. */
const char *pl_leg_dtls_cipher(const struct pl_leg *leg);
/* No callback after this returns. Sends close_notify by send_dtls before it returns when connected.
 * Frees the leg; its pipeline goes down on the reaper thread. NULL allowed. */
void pl_leg_close(struct pl_leg *leg);
/* Graphviz text of the running pipeline. Transfer full. */
char *pl_leg_dot(struct pl_leg *leg);
/* Legs that exist, and pipelines that the reaper has not yet freed. For audit and tests. */
guint pl_legs_count(void);
guint pl_reaper_pending(void);
