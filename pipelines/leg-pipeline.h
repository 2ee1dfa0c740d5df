/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The GStreamer objects of one leg: a pipeline that holds one webrtcbin, made with our ICE agent
 * and trimmed of what the relay does in its place; and the steps of giving it its anchor
 * description. Threads: control, if nothing else is said. */
#include "pipelines/dtls-transport.h"

#include <gst/gst.h>

/* Running. Transfer full, *ret_webrtcbin borrowed; NULL and RESOURCES_UNAVAILABLE. */
GstElement *leg_pipeline_new(const char *id, struct dtls_transport *transport,
                             GstElement **ret_webrtcbin, GError **error);

/* The steps of negotiation; each consumes `promise`. */
bool leg_pipeline_set_remote(GstElement *webrtcbin, const char *anchor, GstPromise *promise,
                             GError **error);
void leg_pipeline_create_answer(GstElement *webrtcbin, GstPromise *promise);
void leg_pipeline_set_local(GstElement *webrtcbin, GstWebRTCSessionDescription *answer,
                            GstPromise *promise);
/* What came of a step: false and *error when webrtcbin refused or is going down; otherwise the
 * answer when `ret_answer` is not NULL (transfer full). Any thread. */
bool leg_pipeline_result(GstPromise *promise, GstWebRTCSessionDescription **ret_answer,
                         GError **error);
