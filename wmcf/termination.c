/* SPDX-License-Identifier: Apache-2.0 */
/* A termination's life: its two legs, the callbacks that join them, its state. Neither leg knows
 * the other; what one says is translated here into a call of the other and an event for the WSF.
 * Every callback may find the termination released already (its context is NULL): then it does
 * nothing. */
#define LOG_CATEGORY "termination"
#include "wmcf/termination.h"

#include "base/ids.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "wmcf/audit.h"
#include "wmcf/data-relay.h"
#include "wmcf/ice-traversal.h"
#include "wmcf/media-path.h"
#include "wmcf/negotiation.h"
#include "wmcf/pipeline-termination.h"
#include "wmcf/quality-report.h"
#include "wmcf/topology.h"

static const char *const state_names[] = {
    [TERMINATION_IDLE] = "idle",
    [TERMINATION_NEGOTIATING] = "negotiating",
    [TERMINATION_CONNECTING] = "connecting",
    [TERMINATION_CONNECTED] = "connected",
    [TERMINATION_DISCONNECTED] = "disconnected",
    [TERMINATION_FAILED] = "failed",
    [TERMINATION_RELEASED] = "released",
};

#define TO(state) (1u << TERMINATION_##state)
static const unsigned transitions[] = {
    [TERMINATION_IDLE] = TO(NEGOTIATING) | TO(CONNECTING) | TO(FAILED) | TO(RELEASED),
    [TERMINATION_NEGOTIATING] = TO(IDLE) | TO(CONNECTING) | TO(FAILED) | TO(RELEASED),
    [TERMINATION_CONNECTING] = TO(CONNECTED) | TO(DISCONNECTED) | TO(FAILED) | TO(RELEASED),
    [TERMINATION_CONNECTED] = TO(DISCONNECTED) | TO(FAILED) | TO(RELEASED),
    [TERMINATION_DISCONNECTED] = TO(CONNECTED) | TO(CONNECTING) | TO(FAILED) | TO(RELEASED),
    [TERMINATION_FAILED] = TO(RELEASED),
    [TERMINATION_RELEASED] = 0,
};

const char *termination_state_name(enum termination_state state)
{
    g_return_val_if_fail(state < G_N_ELEMENTS(state_names), "");
    return state_names[state];
}

char *termination_print_fsm(void)
{
    GString *text = g_string_new("digraph termination {\n");
    for (size_t from = 0; from < G_N_ELEMENTS(transitions); from++)
        for (size_t to = 0; to < G_N_ELEMENTS(transitions); to++)
            if (transitions[from] & (1u << to))
                g_string_append_printf(text, "  %s -> %s;\n", state_names[from], state_names[to]);
    g_string_append(text, "}\n");
    return g_string_free(text, FALSE);
}

static struct log_ids ids_of(const struct termination *t)
{
    return (struct log_ids){.context = t->context ? t->context->id : NULL, .termination = t->id};
}

/* How long the WSF and the endpoint have to bring a path (back). */
static void watch_for_hanging(struct termination *t)
{
    if (t->state == TERMINATION_CONNECTING && !t->pipeline)
        loop_timer_start(t->hanging_timer,
                         1000 * conf_int(t->wmcf->conf, "media", "connect_timeout"));
    else if (t->state == TERMINATION_DISCONNECTED)
        loop_timer_start(t->hanging_timer,
                         1000 * conf_int(t->wmcf->conf, "media", "restart_timeout"));
    else
        loop_timer_stop(t->hanging_timer);
}

bool termination_is_gone(const struct termination *t)
{
    return t->state == TERMINATION_DISCONNECTED || t->state == TERMINATION_FAILED;
}

static void set_state(struct termination *t, enum termination_state state, const char *reason)
{
    bool was_gone = termination_is_gone(t);
    if (t->state == state)
        return;
    g_return_if_fail(transitions[t->state] & (1u << state));
    struct log_ids ids = ids_of(t);
    if (state == TERMINATION_FAILED && !t->closed_by_endpoint)
        log_warning(&ids, "%s -> %s (%s)", state_names[t->state], state_names[state], reason);
    else
        log_debug(&ids, "%s -> %s (%s)", state_names[t->state], state_names[state], reason);
    t->state = state;
    static struct metric *states;
    if (!states)
        states = metric_register(METRIC_COUNTER, "termination_states", NULL,
                                 "Terminations that have entered a state.", "state");
    metric_add(states, 1, (const char *const[]){state_names[state]});
    if (state == TERMINATION_CONNECTED && !t->connected_at)
        t->connected_at = loop_now();
    watch_for_hanging(t);
    quality_report_follow(t);
    if (t->mesh_member && termination_is_gone(t) != was_gone)
        mesh_update(t->context);
}

void termination_fail(struct termination *t, enum event event, const char *sentence)
{
    if (t->state == TERMINATION_FAILED)
        return;
    g_free(t->failure);
    t->failure = g_strdup(sentence);
    set_state(t, TERMINATION_FAILED, sentence);
    event_notify(t, event, NULL, json_pack("{s:s}", "reason", sentence));
}

static void check_connected(struct termination *t)
{
    if (t->ice_connected && t->dtls_connected &&
        (t->state == TERMINATION_CONNECTING || t->state == TERMINATION_DISCONNECTED))
        set_state(t, TERMINATION_CONNECTED, "ICE and DTLS are connected");
}

/* --- from the relay ----------------------------------------------------------------------------
 */

static void on_ice_connected(void *user, const struct sockaddr_storage *local,
                             const struct sockaddr_storage *remote)
{
    struct termination *t = user;
    if (!t->context)
        return;
    t->ice_connected = true;
    t->ice_local = *local;
    t->ice_remote = *remote;
    pl_leg_ice_connected(t->leg);
    check_connected(t);
    event_notify(
        t, EVENT_ICE_CONNECTED, NULL,
        json_pack("{s:o, s:o}", "local", audit_address(local), "remote", audit_address(remote)));
}

static void on_ice_failed(void *user, const char *reason)
{
    struct termination *t = user;
    if (!t->context)
        return;
    struct log_ids ids = ids_of(t);
    log_warning(&ids, "ICE: %s", reason);
    event_notify(t, EVENT_ICE_FAILED, NULL, json_pack("{s:s}", "reason", reason));
}

static void on_consent_expired(void *user)
{
    struct termination *t = user;
    if (!t->context)
        return;
    t->ice_connected = false;
    if (t->state == TERMINATION_CONNECTED || t->state == TERMINATION_CONNECTING)
        set_state(t, TERMINATION_DISCONNECTED, "the endpoint's consent has expired");
    event_notify(t, EVENT_CONSENT_EXPIRED, NULL, NULL);
}

static void on_dtls(void *user, GBytes *datagram)
{
    struct termination *t = user;
    if (t->context)
        pl_leg_receive_dtls(t->leg, datagram);
}

static void on_first_media(void *user, const char *mid)
{
    struct termination *t = user;
    event_notify(t, EVENT_FIRST_MEDIA, mid, NULL);
}

static const char *const direction_names[] = {[QOS_UPLINK] = "uplink", [QOS_DOWNLINK] = "downlink"};

static void on_media_gated(void *user, const char *mid, enum qos_direction direction)
{
    struct termination *t = user;
    event_notify(t, EVENT_MEDIA_GATED, mid,
                 json_pack("{s:s}", "direction", direction_names[direction]));
}

static void on_policing_discard(void *user, const char *mid, enum qos_direction direction,
                                uint64_t packets)
{
    struct termination *t = user;
    event_notify(t, EVENT_POLICING_DISCARD, mid,
                 json_pack("{s:s, s:I}", "direction", direction_names[direction], "packets",
                           (json_int_t)packets));
}

static void on_media_inactivity(void *user, const char *mid)
{
    event_notify(user, EVENT_MEDIA_INACTIVITY, mid, NULL);
}

static void on_activity(void *user, const char *mid, const struct relay_activity *activity)
{
    mesh_activity(user, mid, activity);
}

static void on_released(void *user)
{
    struct termination *t = user;
    g_hash_table_remove(t->wmcf->releasing, t);
    pipeline_termination_free(t->pipeline);
    ice_traversal_end(t);
    g_ptr_array_unref(t->medias);
    g_ptr_array_unref(t->retired);
    qos_transport_free(t->transport);
    quality_report_free(t->report);
    g_free(t->id);
    g_free(t->failure);
    g_free(t);
}

static const struct relay_leg_ops relay_ops = {
    .ice_connected = on_ice_connected,
    .ice_failed = on_ice_failed,
    .consent_expired = on_consent_expired,
    .dtls = on_dtls,
    .first_media = on_first_media,
    .media_gated = on_media_gated,
    .policing_discard = on_policing_discard,
    .media_inactivity = on_media_inactivity,
    .activity = on_activity,
    .released = on_released,
};

/* --- from webrtcbin's leg ----------------------------------------------------------------------
 */

static void on_send_dtls(void *user, GBytes *datagram)
{
    struct termination *t = user;
    relay_leg_send_dtls(t->relay_leg, datagram);
}

static void on_dtls_connected(void *user, const struct pl_srtp_keys *keys)
{
    struct termination *t = user;
    struct relay_srtp_keys relay_keys = {
        .profile = (enum relay_srtp_profile)keys->profile,
        .key_length = keys->key_length,
        .salt_length = keys->salt_length,
    };
    memcpy(relay_keys.local_key, keys->local_key, sizeof relay_keys.local_key);
    memcpy(relay_keys.local_salt, keys->local_salt, sizeof relay_keys.local_salt);
    memcpy(relay_keys.remote_key, keys->remote_key, sizeof relay_keys.remote_key);
    memcpy(relay_keys.remote_salt, keys->remote_salt, sizeof relay_keys.remote_salt);
    relay_leg_set_keys(t->relay_leg, &relay_keys);
    explicit_bzero(&relay_keys, sizeof relay_keys);
    t->dtls_connected = true;
    t->srtp_profile = keys->profile;
    check_connected(t);
    event_notify(t, EVENT_DTLS_CONNECTED, NULL,
                 json_pack("{s:s}", "srtpProfile", audit_srtp_profile(keys->profile)));
}

static void on_leg_failed(void *user, const GError *error)
{
    termination_fail(user, EVENT_DTLS_FAILED, error->message);
}

/* close_notify (RFC 5246 7.2.1): the endpoint has ended it, nothing has gone wrong. */
static void on_closed_by_peer(void *user)
{
    struct termination *t = user;
    static const char sentence[] = "closed by the endpoint";
    if (t->state == TERMINATION_FAILED)
        return;
    g_free(t->failure);
    t->failure = g_strdup(sentence);
    t->closed_by_endpoint = true;
    set_state(t, TERMINATION_FAILED, sentence);
    event_notify(t, EVENT_DTLS_FAILED, NULL,
                 json_pack("{s:s, s:b}", "reason", sentence, "closedByEndpoint", 1));
}

static const struct pl_leg_ops leg_ops = {
    .send_dtls = on_send_dtls,
    .connected = on_dtls_connected,
    .failed = on_leg_failed,
    .closed_by_peer = on_closed_by_peer,
    .channel_opened = data_relay_opened,
    .channel_ready = data_relay_ready,
    .channel_message = data_relay_message,
    .channel_drained = data_relay_drained,
    .channel_closed = data_relay_closed,
    .data_failed = data_relay_failed,
};

static void on_hanging(void *user)
{
    struct termination *t = user;
    bool lost = t->state == TERMINATION_DISCONNECTED;
    const char *what =
        lost ? "the endpoint's consent has expired and no path has come back: restart "
               "ICE or subtract it"
        : !t->ice_connected  ? "no valid ICE check has arrived: the path of UDP to the "
                               "media port may be blocked"
        : !t->dtls_connected ? "ICE is connected, the DTLS handshake is not complete"
                             : "not connected";
    struct log_ids ids = ids_of(t);
    log_warning(&ids, "hanging: %s", what);
    if (!t->ice_connected && !lost)
        event_notify(t, EVENT_ICE_FAILED, NULL, json_pack("{s:s}", "reason", what));
    event_notify(t, EVENT_HANGING_TERMINATION, NULL, json_pack("{s:s}", "reason", what));
}

static void on_mesh_timer(void *user)
{
    struct termination *t = user;
    if (t->context)
        mesh_update(t->context);
}

/* --- life ----------------------------------------------------------------------------------------
 */

static struct termination *make(struct context *context, enum ice_mode ice_mode,
                                const struct relay_local_config *local, GError **error)
{
    struct wmcf *wmcf = context->wmcf;
    guint limit = conf_int(wmcf->conf, "limits", "terminations_per_context");
    if (!service_state_admit(wmcf, context->order->len == 0, error))
        return NULL;
    if (context->order->len >= limit) {
        problem_set(error, PROBLEM_RESOURCES_UNAVAILABLE,
                    "the context has %u terminations, the limit (limits.terminations_per_context)",
                    limit);
        return NULL;
    }
    /* A pipeline has no network that the kernel could look at, and of TURN and TCP it sees no RTP.
     */
    bool looked_at = !local && ice_mode != ICE_MODE_TRAVERSAL;
    struct qos_transport *transport = qos_transport_new(looked_at ? wmcf->qos : NULL, error);
    if (!transport)
        return NULL;
    struct termination *t = g_new0(struct termination, 1);
    t->transport = transport;
    t->wmcf = wmcf;
    t->id = g_strdup_printf("t-%04x-%" G_GUINT64_FORMAT, wmcf->restart_counter & 0xffff,
                            ++wmcf->next_termination);
    t->created = loop_now();
    t->ice_full = ice_mode != ICE_MODE_LITE;
    t->medias = g_ptr_array_new_with_free_func((GDestroyNotify)termination_media_free);
    t->retired = g_ptr_array_new_with_free_func((GDestroyNotify)termination_media_free);
    /* RFC 8839 wants 24 and 128 bits: 48 here, since the ufrag finds the leg among all others. */
    id_ice_chars(t->ice_ufrag, sizeof t->ice_ufrag - 1);
    id_ice_chars(t->ice_pwd, sizeof t->ice_pwd - 1);
    id_ice_chars(t->cname, sizeof t->cname - 1);
    id_random(&t->sdp_session_id, sizeof t->sdp_session_id);
    t->sdp_session_id >>= 2; /* RFC 9429 5.2.1: a 64-bit number whose top bit is zero */

    struct relay_leg_config config = {
        .group = context->group,
        .name = t->id,
        .local_ufrag = t->ice_ufrag,
        .local_pwd = t->ice_pwd,
        .ice_full = ice_mode == ICE_MODE_FULL,
        .cname = t->cname,
        .ops = &relay_ops,
        .user = t,
        .transport = transport,
        .local = local,
    };
    if (ice_mode != ICE_MODE_TRAVERSAL || ice_traversal_begin(t, &config.tunnel, error))
        t->relay_leg = relay_leg_new(wmcf->relay, &config, error);
    if (!t->relay_leg) {
        ice_traversal_end(t);
        g_ptr_array_unref(t->medias);
        g_ptr_array_unref(t->retired);
        qos_transport_free(t->transport);
        g_free(t->id);
        g_free(t);
        return NULL;
    }
    policy_set_init(&t->policies);
    t->hanging_timer = loop_timer_new("termination hanging", on_hanging, t);
    t->mesh_timer = loop_timer_new("mesh update", on_mesh_timer, t);
    t->context = context;
    g_hash_table_insert(context->terminations, t->id, t);
    g_ptr_array_add(context->order, t);
    wmcf->n_terminations++;

    t->leg = local ? NULL : pl_leg_new(t->id, &leg_ops, t, error);
    if (!local && !t->leg) {
        termination_release(t);
        return NULL;
    }
    struct log_ids ids = ids_of(t);
    log_debug(&ids, "termination added");
    return t;
}

struct termination *termination_new(struct context *context, enum ice_mode ice_mode, GError **error)
{
    return make(context, ice_mode, NULL, error);
}

struct termination *termination_new_local(struct context *context,
                                          const struct relay_local_config *local, GError **error)
{
    return make(context, ICE_MODE_LITE, local, error);
}

static void disconnect_subscribers(struct termination *t)
{
    struct context *context = t->context;
    for (guint i = 0; i < context->order->len; i++) {
        struct termination *other = g_ptr_array_index(context->order, i);
        for (guint m = 0; m < other->medias->len; m++) {
            struct termination_media *media = g_ptr_array_index(other->medias, m);
            if (media->source == t)
                termination_connect_media(other, media, NULL, NULL);
        }
    }
}

void termination_release(struct termination *t)
{
    struct context *context = t->context;
    if (!context)
        return;
    ice_traversal_abandon(t);
    mesh_forget(t);
    media_path_free(g_steal_pointer(&t->path));
    disconnect_subscribers(t);
    data_relay_free(g_steal_pointer(&t->data));
    set_state(t, TERMINATION_RELEASED, "subtracted");
    pl_leg_close(g_steal_pointer(&t->leg));
    g_hash_table_remove(context->terminations, t->id);
    g_ptr_array_remove(context->order, t);
    t->wmcf->n_terminations--;
    t->context = NULL;
    g_clear_pointer(&t->hanging_timer, loop_timer_free);
    g_clear_pointer(&t->mesh_timer, loop_timer_free);
    g_clear_pointer(&t->local, sdp_description_free);
    g_clear_pointer(&t->remote, sdp_description_free);
    g_clear_pointer(&t->pending_local, sdp_description_free);
    g_clear_pointer(&t->early_candidates, g_array_unref);
    g_clear_pointer(&t->app_data, json_decref);
    policy_set_clear(&t->policies);
    /* The worker still looks at the flows' slots: the rest goes in on_released(). */
    g_hash_table_add(t->wmcf->releasing, t);
    if (t->pipeline)
        pipeline_termination_close(t->pipeline);
    else
        relay_leg_release(g_steal_pointer(&t->relay_leg));
    mesh_update(context);
}

/* --- policy and routes ---------------------------------------------------------------------------
 */

static void ask_key_frame(struct termination *t, const char *mid)
{
    if (t && t->context && t->pipeline)
        t = pipeline_termination_source(t, mid, &mid);
    if (!t || !t->context)
        return;
    relay_leg_request_key_frame(t->relay_leg, mid);
    struct relay_leg *giver = media_path_leg(t, mid);
    if (giver && giver != t->relay_leg)
        relay_leg_request_key_frame(giver, mid);
}

static bool opens(enum qos_flow_status before, enum qos_flow_status after, enum qos_flow_status one)
{
    bool was = before == QOS_ENABLED || before == one;
    return !was && (after == QOS_ENABLED || after == one);
}

static void apply_policy(struct termination *t, struct termination_media *media)
{
    struct qos_policy policy = policy_set_for(&t->policies, media->mid);
    enum qos_flow_status before = qos_flow_get_status(media->flow);
    enum qos_flow_status after = policy.has_status ? policy.status : before;
    bool uplink = opens(before, after, QOS_ENABLED_UPLINK);
    if (uplink && media->kind != SDP_APPLICATION)
        relay_leg_gate_opened(t->relay_leg, media->mid);
    qos_flow_apply(media->flow, &policy);
    if (media->kind != SDP_VIDEO)
        return;
    if (uplink)
        ask_key_frame(t, media->mid);
    if (opens(before, after, QOS_ENABLED_DOWNLINK))
        ask_key_frame(media->source, media->source_mid);
}

void termination_apply_policies(struct termination *t, const struct policy_set *set)
{
    policy_set_merge(&t->policies, set);
    for (guint i = 0; i < t->medias->len; i++)
        apply_policy(t, g_ptr_array_index(t->medias, i));
}

void termination_route(struct termination *source, const char *source_mid, struct termination *to,
                       const char *to_mid)
{
    if (source && source->pipeline)
        source = pipeline_termination_source(source, source_mid, &source_mid);
    relay_route(source ? media_path_leg(source, source_mid) : NULL, source_mid, to->relay_leg,
                to_mid);
}

void termination_connect_media(struct termination *to, struct termination_media *to_media,
                               struct termination *source, const char *source_mid)
{
    if (to_media->source == source && (!source || strcmp(to_media->source_mid, source_mid) == 0))
        return;
    to_media->source = source;
    g_strlcpy(to_media->source_mid, source ? source_mid : "", sizeof to_media->source_mid);
    if (to_media->kind == SDP_APPLICATION) {
        data_relay_update(to->context);
        return;
    }
    termination_route(source, source_mid, to, to_media->mid);
}

/* Routes may have been said before the relay knew one of their ends. */
void termination_repeat_routes(struct termination *t)
{
    struct context *context = t->context;
    for (guint i = 0; i < context->order->len; i++) {
        struct termination *to = g_ptr_array_index(context->order, i);
        for (guint m = 0; m < to->medias->len; m++) {
            const struct termination_media *media = g_ptr_array_index(to->medias, m);
            if (media->source && media->kind != SDP_APPLICATION && (to == t || media->source == t))
                termination_route(media->source, media->source_mid, to, media->mid);
        }
    }
}

/* The negotiation tells when the endpoint's side is known. */
void termination_begin_connecting(struct termination *t, bool restarted)
{
    if (t->state == TERMINATION_IDLE || t->state == TERMINATION_NEGOTIATING)
        set_state(t, TERMINATION_CONNECTING, "the endpoint's description is applied");
    else if (restarted)
        watch_for_hanging(t);
}

void termination_set_playing(struct termination *t)
{
    set_state(t, TERMINATION_CONNECTED, "the pipeline plays");
}

void termination_set_negotiating(struct termination *t, bool outstanding)
{
    if (outstanding && t->state == TERMINATION_IDLE)
        set_state(t, TERMINATION_NEGOTIATING, "an offer is out");
    else if (!outstanding && t->state == TERMINATION_NEGOTIATING)
        set_state(t, TERMINATION_IDLE, "the offer was withdrawn");
}
