/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The DTLS transport of one leg: joins the association (dtls-association.h) to webrtcbin's elements
 * on one side and to the leg on the other. It outlives neither: webrtcbin's objects and the leg
 * each hold a reference, and what they hold of each other through it ends with
 * dtls_transport_close().
 *
 * Threads: marked per function. Handshakes and what is received are worked on by the DTLS thread,
 * where the others post; what it has deciphered for SCTP goes on by the SCTP thread. The lock
 * guards the association against the two exceptions: close_notify from the control thread, and the
 * SCTP packets that webrtcbin sends on a thread of its own. */
#include "pipelines/dtls-association.h"

#include <gst/gst.h>
#include <gst/webrtc/webrtc.h>

#define DTLS_EARLY_MAX 4          /* datagrams kept until the handshake can begin */
#define DTLS_QUEUED_MAX 32        /* datagrams on their way to the DTLS thread, per leg */
#define DTLS_QUEUED_DATA_MAX 1024 /* the same once it is connected: data channels */
#define DTLS_QUEUED_OCTETS (1024 * 1024)
#define DTLS_DATA_OCTETS (1024 * 1024) /* of SCTP on their way to webrtcbin, per leg */

/* On the DTLS thread, `send` also on others; `owner` is the number that the leg gave itself. */
struct dtls_transport_ops {
    void (*send)(guint64 owner, GBytes *datagram); /* transfer full */
    void (*connected)(guint64 owner, const struct pl_srtp_keys *keys, const char *cipher);
    void (*failed)(guint64 owner, const GError *error);
    void (*closed)(guint64 owner);
    /* The peer sends on more streams of SCTP than it may; what else it sends is not let in. */
    void (*data_refused)(guint64 owner);
};

struct dtls_transport;
/* Transfer full. Any thread. */
struct dtls_transport *dtls_transport_new(struct dtls_context *context,
                                          const struct dtls_transport_ops *ops, guint64 owner);
struct dtls_transport *dtls_transport_ref(struct dtls_transport *transport);
void dtls_transport_unref(struct dtls_transport *transport);

/* --- the leg's side: control thread */

/* Before the first dtls_transport_set_ice(). */
void dtls_transport_set_peer(struct dtls_transport *transport,
                             const struct dtls_fingerprint *fingerprint, bool we_are_server);
/* Tells webrtcbin of ICE, which starts DTLS at the first CONNECTED. */
void dtls_transport_set_ice(struct dtls_transport *transport, GstWebRTCICEConnectionState state);
void dtls_transport_receive(struct dtls_transport *transport, GBytes *datagram);
/* A message of so many octets has come to its receiver: what is inside of SCTP and on its way here
 * is taken from the window. Tells the peer of one that opens. */
void dtls_transport_message_seen(struct dtls_transport *transport, gsize octets);
/* What the peer's SCTP may have under way to us from now on; octets. */
void dtls_transport_set_window(struct dtls_transport *transport, guint32 window);
/* While webrtcbin makes its SCTP in a leg that runs, what comes for it waits; what has waited goes
 * on when it is let go. See await_sctp() for why. */
void dtls_transport_hold_data(struct dtls_transport *transport, bool hold);
/* How many streams the peer's SCTP may ever use. Before the first packet. */
void dtls_transport_set_streams(struct dtls_transport *transport, guint max);
/* Ends it; then(data) on the DTLS thread when nothing of it can happen any more. Returns the
 * close_notify to be sent, or NULL when it is not connected; transfer full. Releases the caller's
 * reference. */
GBytes *dtls_transport_close(struct dtls_transport *transport, void (*then)(void *data),
                             void *data);

/* --- webrtcbin's side: its threads */

/* For "element-added" of webrtcbin: finds our elements in its transport bins and joins them to the
 * transport (user data). */
void dtls_transport_adopt(GstBin *webrtcbin, GstElement *child, struct dtls_transport *transport);
void dtls_transport_set_ice_transport(struct dtls_transport *transport, GstWebRTCICETransport *ice);
/* The encoder may run: role known and ICE connected. */
void dtls_transport_start(struct dtls_transport *transport, bool is_client);
/* From the decoder. DTLS thread. */
void dtls_transport_input(struct dtls_transport *transport, const guint8 *datagram, gsize length);
/* From the ICE sink. DTLS thread. */
void dtls_transport_output(struct dtls_transport *transport, const guint8 *datagram, gsize length);
/* An SCTP packet from the encoder's data pad; lost unless DTLS is connected. */
void dtls_transport_send_data(struct dtls_transport *transport, const guint8 *packet, gsize length);
/* Any thread; transfer full or NULL. */
char *dtls_transport_peer_pem(struct dtls_transport *transport);
