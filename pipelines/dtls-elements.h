/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The two elements that stand in for GStreamer's dtlssrtpenc and dtlssrtpdec in this process, as
 * far as webrtcbin asks anything of them. They are a face: the work is dtls-transport.h's.
 *
 * Threads: webrtcbin's own, the DTLS thread and the SCTP thread, as marked. */
#include "pipelines/dtls-transport.h"

#include <gst/gst.h>

#define DTLS_TYPE_ENC dtls_enc_get_type()
G_DECLARE_FINAL_TYPE(DtlsEnc, dtls_enc, DTLS, ENC, GstElement)
#define DTLS_TYPE_DEC dtls_dec_get_type()
G_DECLARE_FINAL_TYPE(DtlsDec, dtls_dec, DTLS, DEC, GstElement)

/* The certificate that decoders show webrtcbin. Before the first element; borrowed. */
void dtls_dec_set_certificate(const struct certificate *certificate);

void dtls_enc_set_transport(DtlsEnc *enc, struct dtls_transport *transport);
void dtls_dec_set_transport(DtlsDec *dec, struct dtls_transport *transport);

/* DTLS thread: a datagram for the peer, towards the ICE sink. */
void dtls_enc_push(DtlsEnc *enc, GBytes *datagram);
/* SCTP thread: what the peer's application data held, towards webrtcbin's SCTP. Transfer full. */
void dtls_dec_push_data(DtlsDec *dec, GstBuffer *packet);
/* DTLS thread: what webrtcbin reads as `connection-state`; also says that keys are there. */
void dtls_enc_set_state(DtlsEnc *enc, enum dtls_state state);
