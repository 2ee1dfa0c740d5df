/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the leg as the control thread sees it: the order of its life (anchor as remote offer,
 * answer, local description; ICE; DTLS) and the way back of everything that webrtcbin's threads and
 * the DTLS thread have to say. They know the leg by a number alone and post; what arrives for a
 * number that is gone finds nothing, so closing needs neither to wait nor to disconnect anything.
 */
#include "pipelines/leg.h"

#include "base/loop.h"
#include "base/problem.h"
#include "pipelines/data-channels.h"
#include "pipelines/dtls-transport.h"
#include "pipelines/leg-pipeline.h"
#include "pipelines/pipelines.h"
#include "pipelines/reaper.h"
#include "pipelines/sctp-elements.h"

#define LOG_CATEGORY "leg"
#include "base/log.h"

#include <openssl/crypto.h>

/* Numbers of streams are used again, but not at once, and a peer may try more than it gets. */
#define STREAMS_PER_CHANNEL 4

enum leg_state { LEG_NEW, LEG_CONNECTING, LEG_CONNECTED, LEG_FAILED, LEG_CLOSED };

struct pl_leg {
    char *id;
    guint64 number;
    const struct pl_leg_ops *ops;
    void *user;
    enum leg_state state;
    bool started;       /* the anchor is given */
    bool described;     /* the answer is applied: webrtcbin's elements are there */
    bool ice_connected; /* as the relay says */
    bool ice_lost;      /* consent expired; another pair may still come */
    char *anchor;       /* with a data channel, until webrtcbin has it */
    guint peer_port;    /* of the peer's SCTP */
    const char *cipher;
    struct leg_pipeline *pipeline;
    struct dtls_transport *dtls;
    struct data_channels *data; /* NULL = the anchor has none */
    bool data_failed;           /* for good: webrtcbin begins no other association */
};

static GHashTable *legs; /* by number; borrowed */
static guint64 last_number;

/* --- state ------------------------------------------------------------------------------------ */

static const char *leg_state_name(enum leg_state state)
{
    static const char *const names[] = {"new", "connecting", "connected", "failed", "closed"};

    return state < G_N_ELEMENTS(names) ? names[state] : "invalid";
}

#define TO(state) (1u << (state))
static const guint transitions[] = {
    [LEG_NEW] = TO(LEG_CONNECTING) | TO(LEG_FAILED) | TO(LEG_CLOSED),
    [LEG_CONNECTING] = TO(LEG_CONNECTED) | TO(LEG_FAILED) | TO(LEG_CLOSED),
    [LEG_CONNECTED] = TO(LEG_FAILED) | TO(LEG_CLOSED),
    [LEG_FAILED] = TO(LEG_CLOSED),
    [LEG_CLOSED] = 0,
};

static bool can_become(const struct pl_leg *leg, enum leg_state state)
{
    return transitions[leg->state] & TO(state);
}

static void set_state(struct pl_leg *leg, enum leg_state state, const char *reason)
{
    const struct log_ids ids = {.termination = leg->id};

    g_assert(can_become(leg, state));
    log_debug(&ids, "leg %s -> %s (%s)", leg_state_name(leg->state), leg_state_name(state), reason);
    leg->state = state;
}

/* --- what other threads post ------------------------------------------------------------------ */

struct event {
    guint64 number;
    /* The last thing it does with the leg is the callback: that may close it. */
    void (*handle)(struct pl_leg *leg, struct event *event);
    GBytes *datagram;
    struct pl_srtp_keys keys;
    const char *cipher;
    GError *error;
    GstWebRTCSessionDescription *answer;
};

static void run_event(void *data)
{
    struct event *event = data;
    struct pl_leg *leg = legs ? g_hash_table_lookup(legs, &event->number) : NULL;

    if (leg)
        event->handle(leg, event);
    g_clear_pointer(&event->datagram, g_bytes_unref);
    g_clear_pointer(&event->answer, gst_webrtc_session_description_free);
    g_clear_error(&event->error);
    OPENSSL_cleanse(&event->keys, sizeof event->keys);
    g_free(event);
}

static void post(const char *name, struct event event)
{
    loop_post(name, run_event, g_memdup2(&event, sizeof event));
    OPENSSL_cleanse(&event.keys, sizeof event.keys);
}

static void fail(struct pl_leg *leg, const GError *error)
{
    if (!can_become(leg, LEG_FAILED))
        return;
    set_state(leg, LEG_FAILED, error->message);
    leg->ops->failed(leg->user, error);
}

static void handle_failure(struct pl_leg *leg, struct event *event)
{
    fail(leg, event->error);
}

/* The leg lives on. Its channels have said nothing, since webrtcbin does not tell them. */
static void fail_data(struct pl_leg *leg, const char *reason)
{
    if (!leg->data || !can_become(leg, LEG_FAILED))
        return;
    leg->data_failed = true;
    g_clear_pointer(&leg->data, data_channels_free);
    leg->ops->data_failed(leg->user, reason);
}

static void handle_datagram(struct pl_leg *leg, struct event *event)
{
    leg->ops->send_dtls(leg->user, event->datagram);
}

static void handle_connected(struct pl_leg *leg, struct event *event)
{
    if (!can_become(leg, LEG_CONNECTED))
        return;
    leg->cipher = event->cipher;
    set_state(leg, LEG_CONNECTED, event->cipher);
    leg->ops->connected(leg->user, &event->keys);
}

static void handle_closed(struct pl_leg *leg, struct event *event)
{
    if (!can_become(leg, LEG_CLOSED))
        return;
    set_state(leg, LEG_CLOSED, "by the peer");
    leg->ops->closed_by_peer(leg->user);
}

/* DTLS thread */

static void post_datagram(guint64 number, GBytes *datagram)
{
    post("leg: send DTLS", (struct event){number, handle_datagram, .datagram = datagram});
}

static void post_connected(guint64 number, const struct pl_srtp_keys *keys, const char *cipher)
{
    post("leg: DTLS connected",
         (struct event){number, handle_connected, .keys = *keys, .cipher = cipher});
}

static void post_failed(guint64 number, const GError *error)
{
    post("leg: failed", (struct event){number, handle_failure, .error = g_error_copy(error)});
}

static void post_closed(guint64 number)
{
    post("leg: closed by peer", (struct event){number, handle_closed});
}

static void handle_data_refused(struct pl_leg *leg, struct event *event)
{
    fail_data(leg, "the peer has used more streams of SCTP than it may");
}

static void post_data_refused(guint64 number)
{
    post("leg: data refused", (struct event){number, handle_data_refused});
}

static const struct dtls_transport_ops transport_ops = {
    .send = post_datagram,
    .connected = post_connected,
    .failed = post_failed,
    .closed = post_closed,
    .data_refused = post_data_refused,
};

/* --- negotiation: each step is answered on webrtcbin's thread and goes on here
 * ---------------------- */

static void tell_ice(struct pl_leg *leg)
{
    /* CONNECTED starts the handshake, so not before the answer is applied; COMPLETED is for those
     * who read webrtcbin's ice-connection-state. */
    if (!leg->described || !leg->ice_connected)
        return;
    if (leg->state == LEG_NEW)
        set_state(leg, LEG_CONNECTING, "ICE is connected");
    dtls_transport_set_ice(leg->dtls, GST_WEBRTC_ICE_CONNECTION_STATE_CONNECTED);
    dtls_transport_set_ice(leg->dtls, GST_WEBRTC_ICE_CONNECTION_STATE_COMPLETED);
}

static void handle_failure_of_step(struct pl_leg *leg, struct event *event);

static GstPromise *promise_new(guint64 number, GstPromiseChangeFunc fn)
{
    return gst_promise_new_with_change_func(fn, g_memdup2(&number, sizeof number), g_free);
}

static void post_step(GstPromise *promise, void *data, const char *name,
                      void (*handle)(struct pl_leg *leg, struct event *event), bool with_answer)
{
    struct event event = {*(guint64 *)data, handle};

    if (!leg_pipeline_result(promise, with_answer ? &event.answer : NULL, &event.error))
        event.handle = handle_failure_of_step;
    post(name, event);
}

static void anchor_data(struct pl_leg *leg);

static void handle_described(struct pl_leg *leg, struct event *event)
{
    leg->described = true;
    tell_ice(leg);
    if (leg->data && leg->anchor)
        anchor_data(leg);
    else if (leg->data)
        dtls_transport_hold_data(leg->dtls, false);
}

static void on_local_set(GstPromise *promise, void *data)
{
    post_step(promise, data, "leg: described", handle_described, false);
}

static void handle_answer(struct pl_leg *leg, struct event *event)
{
    leg_pipeline_set_local(leg->pipeline, event->answer, promise_new(leg->number, on_local_set));
}

static void on_answer(GstPromise *promise, void *data)
{
    post_step(promise, data, "leg: answered", handle_answer, true);
}

static void handle_remote_set(struct pl_leg *leg, struct event *event)
{
    leg_pipeline_create_answer(leg->pipeline, promise_new(leg->number, on_answer));
}

static void on_remote_set(GstPromise *promise, void *data)
{
    post_step(promise, data, "leg: anchored", handle_remote_set, false);
}

/* The anchor once more, with a data channel: webrtcbin 1.22 takes that of a running leg. */
static void anchor_data(struct pl_leg *leg)
{
    g_autofree char *text = g_steal_pointer(&leg->anchor);
    g_autofree char *anchor = sdp_renew_anchor(text, leg->peer_port);
    g_autoptr(GError) error = NULL;

    dtls_transport_hold_data(leg->dtls, true);
    if (!anchor || !leg_pipeline_set_remote(leg->pipeline, anchor,
                                            promise_new(leg->number, on_remote_set), &error))
        fail_data(leg, "the anchor description cannot be renewed");
}

/* --- webrtcbin's own trouble ------------------------------------------------------------------ */

static void handle_data_failure(struct pl_leg *leg, struct event *event)
{
    fail_data(leg, event->error->message);
}

/* Any thread. Everything else that GStreamer says of a leg is of no use to anybody. */
static GstBusSyncReply on_message(GstBus *bus, GstMessage *message, void *data)
{
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
        g_autoptr(GError) reason = NULL;
        GError *error = NULL;

        gst_message_parse_error(message, &reason, NULL);
        bool sctp = sctp_elements_is_source(message);

        if (sctp) /* which says "Could not write to resource" of whatever it is */
            problem_set(&error, PROBLEM_INTERNAL_ERROR,
                        "SCTP has ended: the peer aborted it, or has not answered for minutes");
        else
            problem_set(&error, PROBLEM_INTERNAL_ERROR, "the pipeline failed: %s", reason->message);
        post("leg: pipeline error",
             (struct event){*(guint64 *)data, sctp ? handle_data_failure : handle_failure,
                            .error = error});
    }
    gst_message_unref(message);
    return GST_BUS_DROP;
}

static void handle_failure_of_step(struct pl_leg *leg, struct event *event)
{
    if (leg->described)
        fail_data(leg, event->error->message);
    else
        fail(leg, event->error);
}

static void handle_connection_failed(struct pl_leg *leg, struct event *event)
{
    /* A lost ICE is no news to the caller, and may come back. */
    if (!leg->ice_lost)
        fail(leg, event->error);
}

static void on_connection_state(GstElement *webrtcbin, GParamSpec *spec, void *data)
{
    GstWebRTCPeerConnectionState state;
    GError *error = NULL;

    g_object_get(webrtcbin, "connection-state", &state, NULL);
    if (state != GST_WEBRTC_PEER_CONNECTION_STATE_FAILED)
        return;
    problem_set(&error, PROBLEM_INTERNAL_ERROR, "webrtcbin has failed");
    post("leg: connection failed",
         (struct event){*(guint64 *)data, handle_connection_failed, .error = error});
}

static void free_number(void *data, GClosure *closure)
{
    g_free(data);
}

static void listen_to(struct pl_leg *leg)
{
    leg_pipeline_listen(leg->pipeline, on_message, g_memdup2(&leg->number, sizeof leg->number),
                        g_free);
    g_signal_connect_data(leg_pipeline_webrtcbin(leg->pipeline), "notify::connection-state",
                          G_CALLBACK(on_connection_state),
                          g_memdup2(&leg->number, sizeof leg->number), free_number, 0);
}

/* --- the face --------------------------------------------------------------------------------- */

struct pl_leg *pl_leg_new(const char *id, const struct pl_leg_ops *ops, void *user, GError **error)
{
    struct pl_leg *leg;

    loop_assert();
    if (pl_legs_count() + reaper_pending() >= pipelines_legs_max()) {
        problem_set_retry(error, PROBLEM_RESOURCES_UNAVAILABLE, 1,
                          "%u legs are all that the limit of open files allows: raise LimitNOFILE",
                          pipelines_legs_max());
        return NULL;
    }
    leg = g_new0(struct pl_leg, 1);
    leg->id = g_strdup(id);
    leg->number = ++last_number;
    leg->ops = ops;
    leg->user = user;
    leg->dtls = dtls_transport_new(pipelines_dtls_context(), &transport_ops, leg->number);
    leg->pipeline = leg_pipeline_new(id, leg->dtls, error);
    if (!leg->pipeline) {
        dtls_transport_unref(leg->dtls);
        g_free(leg->id);
        g_free(leg);
        return NULL;
    }
    listen_to(leg);
    if (!legs)
        legs = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_hash_table_insert(legs, &leg->number, leg);
    return leg;
}

bool pl_leg_start(struct pl_leg *leg, const struct sdp_description *remote, bool we_are_server,
                  GError **error)
{
    struct dtls_fingerprint fingerprint;
    enum sdp_setup setup = we_are_server ? SDP_SETUP_ACTIVE : SDP_SETUP_PASSIVE;
    g_autofree char *anchor = NULL;

    loop_assert();
    if (leg->started || leg->state != LEG_NEW) {
        problem_set(error, PROBLEM_INVALID_STATE, "the leg was started before");
        return false;
    }
    if (!dtls_fingerprint_set(&fingerprint, remote->fingerprint_hash,
                              remote->fingerprint ? remote->fingerprint->data : NULL,
                              remote->fingerprint ? remote->fingerprint->len : 0, error))
        return false;
    anchor = sdp_make_anchor(remote, setup, leg->data != NULL);
    leg->anchor = leg->data ? NULL : g_strdup(anchor);
    dtls_transport_set_peer(leg->dtls, &fingerprint, we_are_server);
    if (!leg_pipeline_set_remote(leg->pipeline, anchor, promise_new(leg->number, on_remote_set),
                                 error))
        return false;
    leg->started = true;
    return true;
}

void pl_leg_set_data(struct pl_leg *leg, guint peer_port, const struct pl_data_limits *limits)
{
    loop_assert();
    if (leg->data_failed)
        return;
    if (leg->data) {
        data_channels_set_limits(leg->data, limits);
        return;
    }
    leg->data = data_channels_new(leg->number, leg_pipeline_webrtcbin(leg->pipeline), leg->dtls,
                                  limits, leg->ops, leg->user);
    leg->peer_port = peer_port;
    dtls_transport_set_window(leg->dtls, limits->window);
    dtls_transport_set_streams(leg->dtls, STREAMS_PER_CHANNEL * limits->channels);
    if (leg->described)
        anchor_data(leg);
}

static bool has_data(const struct pl_leg *leg, GError **error)
{
    loop_assert();
    if (leg->data)
        return true;
    problem_set(error, PROBLEM_INVALID_STATE, "the leg has no data channels");
    return false;
}

guint pl_leg_open_channel(struct pl_leg *leg, const struct pl_channel *what, GError **error)
{
    return has_data(leg, error) ? data_channels_open(leg->data, what, error) : 0;
}

bool pl_leg_send(struct pl_leg *leg, guint channel, GBytes *message, bool text, GError **error)
{
    return has_data(leg, error) && data_channels_send(leg->data, channel, message, text, error);
}

guint64 pl_leg_buffered(struct pl_leg *leg, guint channel)
{
    return has_data(leg, NULL) ? data_channels_buffered(leg->data, channel) : 0;
}

void pl_leg_set_window(struct pl_leg *leg, guint32 octets)
{
    loop_assert();
    dtls_transport_set_window(leg->dtls, octets);
}

void pl_leg_close_channel(struct pl_leg *leg, guint channel)
{
    if (has_data(leg, NULL))
        data_channels_close(leg->data, channel);
}

guint pl_leg_channels(const struct pl_leg *leg)
{
    return has_data(leg, NULL) ? data_channels_count(leg->data) : 0;
}

void pl_leg_ice_connected(struct pl_leg *leg)
{
    loop_assert();
    if (leg->ice_connected && !leg->ice_lost)
        return;
    leg->ice_connected = true;
    leg->ice_lost = false;
    tell_ice(leg);
}

void pl_leg_ice_failed(struct pl_leg *leg)
{
    loop_assert();
    if (leg->ice_lost)
        return;
    leg->ice_lost = true;
    leg->ice_connected = false;
    if (leg->described)
        dtls_transport_set_ice(leg->dtls, GST_WEBRTC_ICE_CONNECTION_STATE_FAILED);
}

void pl_leg_receive_dtls(struct pl_leg *leg, GBytes *datagram)
{
    loop_assert();
    dtls_transport_receive(leg->dtls, datagram);
}

const char *pl_leg_state_name(const struct pl_leg *leg)
{
    if (leg->ice_lost && leg->state != LEG_CLOSED)
        return leg_state_name(LEG_FAILED);
    return leg_state_name(leg->state);
}

const char *pl_leg_dtls_cipher(const struct pl_leg *leg)
{
    return leg->cipher;
}

void pl_leg_close(struct pl_leg *leg)
{
    g_autoptr(GBytes) farewell = NULL;

    if (!leg)
        return;
    loop_assert();
    g_hash_table_remove(legs, &leg->number);
    data_channels_free(leg->data);
    farewell = leg_pipeline_end(leg->pipeline, leg->dtls);
    if (farewell)
        leg->ops->send_dtls(leg->user, farewell);
    g_free(leg->anchor);
    g_free(leg->id);
    g_free(leg);
}

char *pl_leg_dot(struct pl_leg *leg)
{
    loop_assert();
    return gst_debug_bin_to_dot_data(GST_BIN(leg_pipeline_webrtcbin(leg->pipeline)),
                                     GST_DEBUG_GRAPH_SHOW_ALL);
}

guint pl_legs_count(void)
{
    return legs ? g_hash_table_size(legs) : 0;
}

guint pl_reaper_pending(void)
{
    return reaper_pending();
}
