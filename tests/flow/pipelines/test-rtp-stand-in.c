/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets the stand-in for rtpbin, who the real one, and that webrtcbin finds in the stand-in all
 * that it asks for, also what no leg asks it: statistics, and media of its own. */
#include "base/loop.h"
#include "pipelines/leg-pipeline.h"
#include "pipelines/leg.h"
#include "pipelines/pipelines.h"

#include <gst/sdp/sdp.h>
#include <gst/webrtc/webrtc.h>

#define OFFER                                                                                      \
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"                      \
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\n"             \
    "a=rtcp-mux\r\na=rtcp-rsize\r\na=setup:active\r\na=ice-ufrag:abcd\r\n"                         \
    "a=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"                                                       \
    "a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:"                       \
    "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\na=rtpmap:111 opus/48000/2\r\n"

static void ignore_datagram(guint64 owner, GBytes *datagram)
{
    g_bytes_unref(datagram);
}

static void ignore_keys(guint64 owner, const struct pl_srtp_keys *keys, const char *cipher)
{
}

static void ignore_failure(guint64 owner, const GError *error)
{
}

static void ignore(guint64 owner)
{
}

static const struct dtls_transport_ops ops = {
    .send = ignore_datagram,
    .connected = ignore_keys,
    .failed = ignore_failure,
    .closed = ignore,
    .data_refused = ignore,
};

static const char *type_of_rtpbin(GstElement *webrtcbin)
{
    GstElement *rtpbin = gst_bin_get_by_name(GST_BIN(webrtcbin), "rtpbin");
    const char *name = G_OBJECT_TYPE_NAME(rtpbin);

    gst_object_unref(rtpbin);
    return name;
}

static GstPromise *finish(GstPromise *promise, GstWebRTCSessionDescription **ret_answer)
{
    g_autoptr(GError) error = NULL;

    leg_pipeline_result(promise, ret_answer, &error);
    g_assert_no_error(error);
    return promise;
}

static void test_statistics(void)
{
    g_autoptr(GError) error = NULL;
    struct dtls_transport *transport = dtls_transport_new(pipelines_dtls_context(), &ops, 1);
    struct leg_pipeline *leg = leg_pipeline_new("statistics", transport, &error);
    GstElement *webrtcbin = leg_pipeline_webrtcbin(leg);
    GstWebRTCSessionDescription *answer = NULL;
    GstPromise *step = gst_promise_new();
    GstPad *pad;

    g_assert_cmpstr(type_of_rtpbin(webrtcbin), ==, "RtpStandIn");
    /* So that it has a sender, whose statistics it will look for. */
    pad = gst_element_request_pad_simple(webrtcbin, "sink_0");
    g_assert_nonnull(pad);
    g_assert_true(leg_pipeline_set_remote(leg, OFFER, gst_promise_ref(step), &error));
    gst_promise_unref(finish(step, NULL));
    step = gst_promise_new();
    leg_pipeline_create_answer(leg, gst_promise_ref(step));
    gst_promise_unref(finish(step, &answer));
    step = gst_promise_new();
    leg_pipeline_set_local(leg, answer, gst_promise_ref(step));
    gst_promise_unref(finish(step, NULL));
    gst_webrtc_session_description_free(answer);

    step = gst_promise_new();
    g_signal_emit_by_name(webrtcbin, "get-stats", NULL, step);
    g_assert_cmpint(gst_promise_wait(step), ==, GST_PROMISE_RESULT_REPLIED);
    g_assert_nonnull(gst_promise_get_reply(step));
    g_assert_true(gst_structure_has_field(gst_promise_get_reply(step), "peer-connection-stats"));
    gst_promise_unref(step);
    g_object_set(webrtcbin, "latency", 100, NULL);
    gst_object_unref(pad);
    leg_pipeline_end(leg, transport);
    while (pl_reaper_pending() > 0)
        g_usleep(1000);
}

/* A webrtcbin of anybody else: the real one, between two of ours. */
static void test_real(void)
{
    for (guint i = 0; i < 2; i++) {
        GstElement *webrtcbin = gst_object_ref_sink(gst_element_factory_make("webrtcbin", NULL));
        GstElement *rtpbin = gst_object_ref_sink(gst_element_factory_make("rtpbin", "mine"));

        g_assert_cmpstr(type_of_rtpbin(webrtcbin), ==, "GstRtpBin");
        g_assert_cmpstr(G_OBJECT_TYPE_NAME(rtpbin), ==, "GstRtpBin");
        g_assert_cmpstr(GST_OBJECT_NAME(rtpbin), ==, "mine");
        g_assert_cmpuint(gst_element_factory_get_element_type(gst_element_get_factory(rtpbin)), ==,
                         G_OBJECT_TYPE(rtpbin));
        gst_object_unref(rtpbin);
        gst_object_unref(webrtcbin);
        test_statistics();
    }
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    int result;

    g_test_init(&argc, &argv, NULL); /* a warning of webrtcbin's ends the test */
    loop_init(5000);
    if (!pl_init(&error)) {
        g_print("Bail out! %s\n", error->message);
        return 1;
    }
    g_test_add_func("/rtp-stand-in/statistics", test_statistics);
    g_test_add_func("/rtp-stand-in/real", test_real);
    result = g_test_run();
    pl_finish();
    return result;
}
