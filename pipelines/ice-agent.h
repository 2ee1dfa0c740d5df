/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* webrtcbin's side of ICE: an agent that owns no socket and checks nothing. The relay does STUN and
 * tells the leg, the leg tells the DTLS transport, and that tells webrtcbin through the ICE
 * transport made here; datagrams pass through its `src` and `sink` elements.
 *
 * Threads: webrtcbin's own and the DTLS thread, as marked. */
#include "pipelines/dtls-transport.h"

#include <gst/gst.h>
#include <gst/webrtc/webrtc.h>

#define ICE_TYPE_AGENT ice_agent_get_type()
G_DECLARE_FINAL_TYPE(IceAgent, ice_agent, ICE, AGENT, GstWebRTCICE)

/* Transfer full; takes a reference of the transport. */
GstWebRTCICE *ice_agent_new(struct dtls_transport *transport);

/* --- ice-elements.c: the two ends of a transport; both floating */
GstElement *ice_src_new(void);
/* Buffers go to dtls_transport_output(). */
GstElement *ice_sink_new(struct dtls_transport *transport);
/* A datagram from the peer, transfer full. DTLS thread. */
void ice_src_push(GstElement *src, GstBuffer *datagram);
