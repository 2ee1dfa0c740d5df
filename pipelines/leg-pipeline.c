/* SPDX-License-Identifier: Apache-2.0 */
/* Owns how a webrtcbin is made and spoken to. Two things are taken out of it that cost threads and
 * are done by the relay: rtpbin stays in NULL by a locked state, and the queue of the receive bin
 * is bypassed (dtls-transport.c). What stays is its own thread, which runs the negotiation. */
#include "pipelines/leg-pipeline.h"

#include "base/problem.h"
#include "pipelines/ice-agent.h"

#include <gst/sdp/sdp.h>
#include <gst/webrtc/webrtc.h>

static GstElement *make_webrtcbin(const char *id, struct dtls_transport *transport)
{
    GstWebRTCICE *agent = ice_agent_new(transport);
    GstElement *webrtcbin =
        gst_element_factory_make_full("webrtcbin", "name", id, "ice-agent", agent, NULL);

    /* 1.22 takes the pointer without a reference and drops one when it goes. */
    if (webrtcbin && GST_OBJECT_REFCOUNT_VALUE(agent) == 1)
        gst_object_ref(agent);
    gst_object_unref(agent);
    return webrtcbin;
}

static bool lock_rtpbin(GstElement *webrtcbin)
{
    GstElement *rtpbin = gst_bin_get_by_name(GST_BIN(webrtcbin), "rtpbin");

    if (!rtpbin)
        return false;
    gst_element_set_locked_state(rtpbin, TRUE);
    gst_object_unref(rtpbin);
    return true;
}

static void release_transport(void *data, GClosure *closure)
{
    dtls_transport_unref(data);
}

GstElement *leg_pipeline_new(const char *id, struct dtls_transport *transport,
                             GstElement **ret_webrtcbin, GError **error)
{
    GstElement *webrtcbin = make_webrtcbin(id, transport);
    GstElement *pipeline;

    if (!webrtcbin) {
        problem_set(error, PROBLEM_RESOURCES_UNAVAILABLE,
                    "GStreamer has no webrtcbin: install its plug-ins of the \"bad\" set");
        return NULL;
    }
    g_signal_connect_data(webrtcbin, "element-added", G_CALLBACK(dtls_transport_adopt),
                          dtls_transport_ref(transport), release_transport, 0);
    pipeline = gst_pipeline_new(id);
    gst_bin_add(GST_BIN(pipeline), webrtcbin);
    if (!lock_rtpbin(webrtcbin) ||
        gst_element_set_state(pipeline, GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE) {
        problem_set(error, PROBLEM_RESOURCES_UNAVAILABLE, "webrtcbin does not start");
        gst_element_set_state(pipeline, GST_STATE_NULL);
        gst_object_unref(pipeline);
        return NULL;
    }
    *ret_webrtcbin = webrtcbin;
    return pipeline;
}

bool leg_pipeline_set_remote(GstElement *webrtcbin, const char *anchor, GstPromise *promise,
                             GError **error)
{
    GstWebRTCSessionDescription *offer;
    GstSDPMessage *message = NULL;

    if (gst_sdp_message_new_from_text(anchor, &message) != GST_SDP_OK) {
        problem_set(error, PROBLEM_INTERNAL_ERROR, "the anchor description cannot be read");
        gst_promise_unref(promise);
        return false;
    }
    offer = gst_webrtc_session_description_new(GST_WEBRTC_SDP_TYPE_OFFER, message);
    g_signal_emit_by_name(webrtcbin, "set-remote-description", offer, promise);
    gst_webrtc_session_description_free(offer);
    gst_promise_unref(promise);
    return true;
}

void leg_pipeline_create_answer(GstElement *webrtcbin, GstPromise *promise)
{
    g_signal_emit_by_name(webrtcbin, "create-answer", NULL, promise);
    gst_promise_unref(promise);
}

void leg_pipeline_set_local(GstElement *webrtcbin, GstWebRTCSessionDescription *answer,
                            GstPromise *promise)
{
    g_signal_emit_by_name(webrtcbin, "set-local-description", answer, promise);
    gst_promise_unref(promise);
}

bool leg_pipeline_result(GstPromise *promise, GstWebRTCSessionDescription **ret_answer,
                         GError **error)
{
    GstPromiseResult result = gst_promise_wait(promise);
    const GstStructure *reply =
        result == GST_PROMISE_RESULT_REPLIED ? gst_promise_get_reply(promise) : NULL;
    g_autoptr(GError) reason = NULL;

    if (reply && gst_structure_has_field(reply, "error"))
        gst_structure_get(reply, "error", G_TYPE_ERROR, &reason, NULL);
    if (result != GST_PROMISE_RESULT_REPLIED || reason) {
        problem_set(error, PROBLEM_INTERNAL_ERROR, "webrtcbin refused the anchor: %s",
                    reason ? reason->message : "it is going down");
        return false;
    }
    if (ret_answer &&
        (!reply || !gst_structure_get(reply, "answer", GST_TYPE_WEBRTC_SESSION_DESCRIPTION,
                                      ret_answer, NULL))) {
        problem_set(error, PROBLEM_INTERNAL_ERROR, "webrtcbin has no answer to the anchor");
        return false;
    }
    return true;
}
