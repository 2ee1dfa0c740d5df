/* SPDX-License-Identifier: Apache-2.0 */
/* Owns how a webrtcbin is made and spoken to. Two things are taken out of it that cost threads and
 * memory and are done by the relay: rtpbin has a stand-in, and the queue of the receive bin is
 * bypassed (dtls-transport.c). What stays is its own thread, which runs the negotiation; it needs
 * no pipeline around it. */
#include "pipelines/leg-pipeline.h"

#include "base/problem.h"
#include "pipelines/ice-agent.h"
#include "pipelines/reaper.h"
#include "pipelines/rtp-stand-in.h"
#include "pipelines/sctp-elements.h"

#include <gst/sdp/sdp.h>
#include <gst/webrtc/webrtc.h>

struct leg_pipeline {
    GstElement *webrtcbin;
    GstPromise *step; /* the last one that was begun */
};

static GstElement *make_webrtcbin(const char *id, struct dtls_transport *transport)
{
    GstWebRTCICE *agent = ice_agent_new(transport);
    GstElement *webrtcbin;

    rtp_stand_in_wanted(true);
    webrtcbin =
        gst_element_factory_make_full("webrtcbin", "name", id, "ice-agent", agent, "bundle-policy",
                                      GST_WEBRTC_BUNDLE_POLICY_MAX_BUNDLE, NULL);
    rtp_stand_in_wanted(false);
    /* 1.22 takes the pointer without a reference and drops one when it goes. */
    if (webrtcbin && GST_OBJECT_REFCOUNT_VALUE(agent) == 1)
        gst_object_ref(agent);
    gst_object_unref(agent);
    return webrtcbin;
}

static void release_transport(void *data, GClosure *closure)
{
    dtls_transport_unref(data);
}

static void release_elements(void *data, GClosure *closure)
{
    sctp_elements_unref(data);
}

/* Blocks; on the reaper's thread, or where nothing runs yet. */
static void free_pipeline(void *data)
{
    struct leg_pipeline *pipeline = data;
    GstBus *bus = gst_element_get_bus(pipeline->webrtcbin);

    /* A step builds bins and brings them to the state of webrtcbin: it must not do so while that
     * goes down, or what it adds stays behind half alive. No further step comes. */
    if (pipeline->step)
        gst_promise_wait(pipeline->step);
    g_clear_pointer(&pipeline->step, gst_promise_unref);
    /* Flushing first: messages of a stopping pipeline would be kept until the bus goes. */
    gst_bus_set_flushing(bus, TRUE);
    gst_object_unref(bus);
    gst_element_set_state(pipeline->webrtcbin, GST_STATE_NULL);
    gst_object_unref(pipeline->webrtcbin);
    g_free(pipeline);
}

static void give_to_reaper(void *data)
{
    reaper_take(free_pipeline, data);
}

/* What a pipeline would add is a clock, which nothing here reads, and a bus with two descriptors
 * for those who wait on it: whoever listens to this one is called. Until then nothing is kept, for
 * a message holds the one that it comes from. */
static void set_bus(GstElement *webrtcbin)
{
    GstBus *bus = g_object_new(GST_TYPE_BUS, "enable-async", FALSE, NULL);

    gst_bus_set_flushing(bus, TRUE);
    gst_element_set_bus(webrtcbin, bus);
    gst_object_unref(bus);
}

void leg_pipeline_listen(struct leg_pipeline *pipeline, GstBusSyncHandler handler, void *user,
                         GDestroyNotify free_user)
{
    GstBus *bus = gst_element_get_bus(pipeline->webrtcbin);

    gst_bus_set_sync_handler(bus, handler, user, free_user);
    gst_bus_set_flushing(bus, FALSE);
    gst_object_unref(bus);
}

struct leg_pipeline *leg_pipeline_new(const char *id, struct dtls_transport *transport,
                                      GError **error)
{
    GstElement *webrtcbin = make_webrtcbin(id, transport);
    struct leg_pipeline *pipeline;

    if (!webrtcbin) {
        problem_set(error, PROBLEM_RESOURCES_UNAVAILABLE,
                    "GStreamer has no webrtcbin: install its plug-ins of the \"bad\" set");
        return NULL;
    }
    g_signal_connect_data(webrtcbin, "element-added", G_CALLBACK(dtls_transport_adopt),
                          dtls_transport_ref(transport), release_transport, 0);
    g_signal_connect_data(webrtcbin, "element-added", G_CALLBACK(sctp_elements_adopt),
                          sctp_elements_new(), release_elements, 0);
    pipeline = g_new0(struct leg_pipeline, 1);
    pipeline->webrtcbin = gst_object_ref_sink(webrtcbin);
    set_bus(webrtcbin);
    if (gst_element_set_state(webrtcbin, GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE) {
        problem_set(error, PROBLEM_RESOURCES_UNAVAILABLE,
                    "webrtcbin does not start: are GStreamer's plug-ins nice and dtls installed?");
        free_pipeline(pipeline);
        return NULL;
    }
    return pipeline;
}

GBytes *leg_pipeline_end(struct leg_pipeline *pipeline, struct dtls_transport *transport)
{
    reaper_expect();
    /* By way of the DTLS thread, so that no job of this leg can meet its pipeline going down. */
    return dtls_transport_close(transport, give_to_reaper, pipeline);
}

GstElement *leg_pipeline_webrtcbin(struct leg_pipeline *pipeline)
{
    return pipeline->webrtcbin;
}

/* Takes the promise. */
static void begin_step(struct leg_pipeline *pipeline, GstPromise *promise)
{
    g_clear_pointer(&pipeline->step, gst_promise_unref);
    pipeline->step = promise;
}

bool leg_pipeline_set_remote(struct leg_pipeline *pipeline, const char *anchor, GstPromise *promise,
                             GError **error)
{
    GstWebRTCSessionDescription *offer;
    GstSDPMessage *message = NULL;

    if (gst_sdp_message_new_from_text(anchor, &message) != GST_SDP_OK) {
        problem_set(error, PROBLEM_INTERNAL_ERROR, "the anchor description cannot be read");
        gst_promise_unref(promise);
        return false;
    }
    begin_step(pipeline, promise);
    offer = gst_webrtc_session_description_new(GST_WEBRTC_SDP_TYPE_OFFER, message);
    g_signal_emit_by_name(pipeline->webrtcbin, "set-remote-description", offer, promise);
    gst_webrtc_session_description_free(offer);
    return true;
}

void leg_pipeline_create_answer(struct leg_pipeline *pipeline, GstPromise *promise)
{
    begin_step(pipeline, promise);
    g_signal_emit_by_name(pipeline->webrtcbin, "create-answer", NULL, promise);
}

/* webrtcbin says nothing of it and so lets no message be longer than 64 KiB (RFC 8841 6.1); how
 * long one may be is said by the real description and checked by who sends. */
static void lift_message_limit(GstSDPMessage *answer)
{
    for (guint i = 0; i < gst_sdp_message_medias_len(answer); i++) {
        GstSDPMedia *media = (GstSDPMedia *)gst_sdp_message_get_media(answer, i);

        if (gst_sdp_media_get_attribute_val(media, "sctp-port"))
            gst_sdp_media_add_attribute(media, "max-message-size", "1073741823");
    }
}

void leg_pipeline_set_local(struct leg_pipeline *pipeline, GstWebRTCSessionDescription *answer,
                            GstPromise *promise)
{
    begin_step(pipeline, promise);
    lift_message_limit(answer->sdp);
    g_signal_emit_by_name(pipeline->webrtcbin, "set-local-description", answer, promise);
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
