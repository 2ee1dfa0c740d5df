/* SPDX-License-Identifier: Apache-2.0 */
/* Owns what the process has once: GStreamer, the certificate, the DTLS context, the three threads.
 * The stock DTLS elements do not compare the fingerprint, so a process in which webrtcbin would
 * find them must not run: what it finds is checked, and a first leg is negotiated, which also loads
 * everything that a leg needs (0.3 s) before anybody waits for it. */
#include "pipelines/pipelines.h"

#include "base/problem.h"
#include "pipelines/dtls-elements.h"
#include "pipelines/dtls-thread.h"
#include "pipelines/leg-pipeline.h"
#include "pipelines/leg.h"
#include "pipelines/reaper.h"
#include "pipelines/rtp-stand-in.h"
#include "pipelines/sctp-elements.h"
#include "pipelines/sctp-thread.h"
#include "pipelines/wmcf-mix.h"
#include "pipelines/wmcf-sink.h"
#include "pipelines/wmcf-src.h"

#include <gst/gst.h>
#include <gst/sdp/sdp.h>
#include <malloc.h>
#include <sys/resource.h>

static struct {
    struct certificate *certificate;
    struct dtls_context *context;
    guint legs_max;
} pipelines;

struct dtls_context *pipelines_dtls_context(void)
{
    return pipelines.context;
}

guint pipelines_legs_max(void)
{
    return pipelines.legs_max;
}

const guint8 *pl_certificate_sha256(void)
{
    return certificate_sha256(pipelines.certificate);
}

/* GLib ends the process when a main context gets no descriptor, so the limit must be met before: a
 * leg has one, with data channels three, and a quarter of all is left for sockets and files. The
 * soft limit is for programs
 * that use select(), which none of ours does. */
static void measure_limits(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        limit = (struct rlimit){1024, 1024};
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {limit.rlim_max, limit.rlim_max};

        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    pipelines.legs_max = (guint)MIN(limit.rlim_cur / 4, G_MAXUINT / 4);
}

/* GLib 2.74 keeps what it has once used for small objects, in slabs of each size: a leg is
 * thousands of such, a fourth of its memory more. It settles that before main(), so this is told it
 * earlier than the initialisers of libraries run (G_SLICE in the environment does the same for
 * those who can set it); newer GLib has no such allocator. */
__attribute__((no_sanitize("thread", "address", "undefined"))) static void
use_malloc_for_slices(int argc, char **argv, char **environment)
{
    G_GNUC_BEGIN_IGNORE_DEPRECATIONS
    g_slice_set_config(G_SLICE_CONFIG_ALWAYS_MALLOC, TRUE);
    G_GNUC_END_IGNORE_DEPRECATIONS
}

__attribute__((section(".preinit_array"), used)) static void (*const before_libraries)(
    int argc, char **argv, char **environment) = use_malloc_for_slices;

/* --- our elements in place of the stock ones ----------------------------------------------------
 */

static bool register_element(const char *name, GType type, GError **error)
{
    GstElement *made;
    bool ours;

    if (!gst_element_register(NULL, name, GST_RANK_NONE, type)) {
        problem_set(error, PROBLEM_INTERNAL_ERROR, "GStreamer refuses our element %s", name);
        return false;
    }
    made = gst_element_factory_make(name, NULL);
    ours = made && G_OBJECT_TYPE(made) == type;
    g_clear_pointer(&made, gst_object_unref);
    if (!ours)
        problem_set(error, PROBLEM_INTERNAL_ERROR,
                    "GStreamer finds another %s than ours, which would not check fingerprints",
                    name);
    return ours;
}

static bool register_elements(GError **error)
{
    static const char *const needed[] = {"dtls",         "rtpmanager", "nice", "webrtc",
                                         "coreelements", "sctp",       "app"};

    /* Loaded first: a plug-in that is loaded later puts its own elements back in place of ours. */
    for (guint i = 0; i < G_N_ELEMENTS(needed); i++) {
        GstPlugin *plugin = gst_plugin_load_by_name(needed[i]);

        if (!plugin) {
            problem_set(error, PROBLEM_RESOURCES_UNAVAILABLE,
                        "GStreamer's plug-in \"%s\" cannot be loaded: install it", needed[i]);
            return false;
        }
        gst_object_unref(plugin);
    }
    return register_element("dtlssrtpenc", DTLS_TYPE_ENC, error) &&
           register_element("dtlssrtpdec", DTLS_TYPE_DEC, error) && rtp_stand_in_register(error);
}

/* What decodebin would take for a description of other streams opens them, wherever they are: a
 * file or a server then decides what the media centre reads. Templates may name them. */
static void keep_from_decoders(void)
{
    static const char *const names[] = {"hlsdemux", "hlsdemux2", "dashdemux", "dashdemux2",
                                        "mssdemux", "mssdemux2", "sdpdemux",  "gesdemux"};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        GstPluginFeature *feature = gst_registry_lookup_feature(gst_registry_get(), names[i]);
        if (feature)
            gst_plugin_feature_set_rank(feature, GST_RANK_NONE);
        gst_clear_object(&feature);
    }
}

/* --- the first leg ---------------------------------------------------------------------------- */

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

static void ignore_close(guint64 owner)
{
}

static const struct dtls_transport_ops warm_up_ops = {
    .send = ignore_datagram,
    .connected = ignore_keys,
    .failed = ignore_failure,
    .closed = ignore_close,
    .data_refused = ignore_close,
};

/* Our own certificate stands in for the peer's. */
static char *warm_up_anchor(void)
{
    struct sdp_description remote = {
        .session_id = 1,
        .ice_ufrag = (char *)"warm",
        .ice_pwd = (char *)"warmwarmwarmwarmwarmwarm",
        .fingerprint_hash = (char *)"sha-256",
        .setup = SDP_SETUP_ACTIVE,
        .bundle = true,
    };
    char *anchor;

    remote.fingerprint =
        g_byte_array_append(g_byte_array_new(), pl_certificate_sha256(), CERTIFICATE_SHA256_LENGTH);
    remote.medias = g_ptr_array_new();
    remote.candidates = g_array_new(FALSE, FALSE, sizeof(struct sdp_candidate));
    anchor = sdp_make_anchor(&remote, SDP_SETUP_ACTIVE, false);
    g_array_unref(remote.candidates);
    g_ptr_array_unref(remote.medias);
    g_byte_array_unref(remote.fingerprint);
    return anchor;
}

/* That webrtcbin's a=fingerprint is ours proves that it made our elements, not others. */
static bool shows_our_certificate(const GstWebRTCSessionDescription *answer)
{
    g_autofree char *text = gst_sdp_message_as_text(answer->sdp);
    g_autoptr(GString) expected = g_string_new("a=fingerprint:sha-256 ");

    for (guint i = 0; i < CERTIFICATE_SHA256_LENGTH; i++)
        g_string_append_printf(expected, "%s%02X", i ? ":" : "", pl_certificate_sha256()[i]);
    return strcasestr(text, expected->str) != NULL;
}

static bool negotiate(struct leg_pipeline *pipeline, GError **error)
{
    g_autofree char *anchor = warm_up_anchor();
    GstWebRTCSessionDescription *answer = NULL;
    GstPromise *step = gst_promise_new();
    bool done;

    done = leg_pipeline_set_remote(pipeline, anchor, gst_promise_ref(step), error) &&
           leg_pipeline_result(step, NULL, error);
    gst_promise_unref(step);
    if (!done)
        return false;
    step = gst_promise_new();
    leg_pipeline_create_answer(pipeline, gst_promise_ref(step));
    done = leg_pipeline_result(step, &answer, error);
    gst_promise_unref(step);
    if (done && !shows_our_certificate(answer)) {
        problem_set(error, PROBLEM_INTERNAL_ERROR,
                    "webrtcbin shows another certificate than that of our DTLS elements");
        done = false;
    }
    if (done) {
        step = gst_promise_new();
        leg_pipeline_set_local(pipeline, answer, gst_promise_ref(step));
        done = leg_pipeline_result(step, NULL, error);
        gst_promise_unref(step);
    }
    g_clear_pointer(&answer, gst_webrtc_session_description_free);
    return done;
}

static bool warm_up(GError **error)
{
    struct dtls_transport *transport = dtls_transport_new(pipelines.context, &warm_up_ops, 0);
    struct leg_pipeline *pipeline = leg_pipeline_new("warm-up", transport, error);
    bool done;

    if (!pipeline) {
        dtls_transport_unref(transport);
        return false;
    }
    done = negotiate(pipeline, error);
    leg_pipeline_end(pipeline, transport);
    return done;
}

/* --- the face --------------------------------------------------------------------------------- */

bool pl_init(GError **error)
{
    g_autoptr(GError) reason = NULL;

    /* A leg's threads allocate little and live as long as calls: with an arena for each, memory of
     * ended calls stayed in hundreds of them (20 KB per leg against 2). */
    mallopt(M_ARENA_MAX, 2);
    measure_limits();
    if (!gst_init_check(NULL, NULL, &reason)) {
        problem_set(error, PROBLEM_INTERNAL_ERROR, "GStreamer does not start: %s", reason->message);
        return false;
    }
    pipelines.certificate = certificate_new(error);
    if (!pipelines.certificate)
        return false;
    pipelines.context = dtls_context_new(pipelines.certificate, error);
    if (!pipelines.context)
        return false;
    dtls_dec_set_certificate(pipelines.certificate);
    keep_from_decoders();
    return register_elements(error) && wmcf_sink_register(error) && wmcf_src_register(error) &&
           wmcf_mix_register(error) && reaper_start(error) && sctp_thread_start(error) &&
           dtls_thread_start(error) && warm_up(error);
}

void pl_finish(void)
{
    g_assert(pl_legs_count() == 0);
    /* In this order: the DTLS thread hands the last pipelines by way of the SCTP thread to the
     * reaper, and one that goes down still posts to the SCTP thread. */
    dtls_thread_stop();
    sctp_thread_flush();
    reaper_stop();
    sctp_thread_stop();
    sctp_elements_finish();
    dtls_dec_set_certificate(NULL);
    g_clear_pointer(&pipelines.context, dtls_context_free);
    g_clear_pointer(&pipelines.certificate, certificate_free);
}
