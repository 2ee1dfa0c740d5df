/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The GStreamer objects of one leg: a webrtcbin, made with our ICE agent and trimmed of what the
 * relay does in its place, that runs without a pipeline around it; and the steps of giving it its
 * anchor description. Threads: control, if nothing else is said. */
#include "pipelines/dtls-transport.h"

#include <gst/gst.h>

struct leg_pipeline;

/* Running. Transfer full; NULL and RESOURCES_UNAVAILABLE. */
struct leg_pipeline *leg_pipeline_new(const char *id, struct dtls_transport *transport,
                                      GError **error);
/* From now on `handler` hears, on any thread, what its elements post; it keeps none of it
 * (GST_BUS_DROP). Once. */
void leg_pipeline_listen(struct leg_pipeline *pipeline, GstBusSyncHandler handler, void *user,
                         GDestroyNotify free_user);
/* Closes the transport (transfer full) and then has the reaper free the pipeline. Returns what is
 * to be sent as farewell, or NULL; transfer full. */
GBytes *leg_pipeline_end(struct leg_pipeline *pipeline, struct dtls_transport *transport);
/* Borrowed. */
GstElement *leg_pipeline_webrtcbin(struct leg_pipeline *pipeline);

/* The steps of negotiation, one after the other; each consumes `promise`. */
bool leg_pipeline_set_remote(struct leg_pipeline *pipeline, const char *anchor, GstPromise *promise,
                             GError **error);
void leg_pipeline_create_answer(struct leg_pipeline *pipeline, GstPromise *promise);
void leg_pipeline_set_local(struct leg_pipeline *pipeline, GstWebRTCSessionDescription *answer,
                            GstPromise *promise);
/* What came of a step, waiting for it: false and *error when webrtcbin refused or is going down;
 * otherwise the answer when `ret_answer` is not NULL (transfer full). Any thread. */
bool leg_pipeline_result(GstPromise *promise, GstWebRTCSessionDescription **ret_answer,
                         GError **error);
