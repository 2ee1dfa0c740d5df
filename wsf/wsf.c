/* SPDX-License-Identifier: Apache-2.0 */
/* Puts the parts together and takes them apart, and owns the two timers that look at deadlines. The
 * parts know each other only through what is given to them here. */
#define LOG_CATEGORY "wsf"
#include "wsf/wsf.h"

#include "base/ids.h"
#include "base/log.h"
#include "base/metrics.h"
#include "wsf/admission.h"
#include "wsf/call-quality.h"
#include "wsf/call-resource.h"
#include "wsf/call.h"
#include "wsf/identity.h"
#include "wsf/recording.h"
#include "wsf/room.h"
#include "wsf/server.h"
#include "wsf/store-calls.h"
#include "wsf/store-keeper.h"
#include "wsf/store-restore.h"
#include "wsf/transcoding.h"

#include <string.h>

/* Long enough for a close frame to leave, short enough for Ctrl-C; longer when that takes longer.
 */
#define GOODBYE_MS 300
#define GOODBYE_MAX_US (2 * G_USEC_PER_SEC)

/* --- what happens to registrations and sessions
 * ----------------------------------------------------- */

static void on_endpoint_removed(struct endpoint *endpoint, enum registrar_removal removal,
                                void *user)
{
    struct wsf *wsf = user;
    struct log_ids ids = {.link = endpoint->link ? link_name(endpoint->link) : NULL};
    log_info(&ids, "registration of %s ended: %s", identity_log(endpoint->webrtc_id),
             registrar_removal_name(removal));
    client_removed(wsf, endpoint, removal);
    peer_removed(wsf, endpoint);
    if (!endpoint->link)
        return;
    guint64 number = link_number(endpoint->link);
    struct client *client = g_hash_table_lookup(wsf->clients, &number);
    if (client)
        client->endpoint = 0;
    if (removal == REGISTRAR_EXPIRED &&
        !endpoint->dialed) /* 6.3.2.5: the WSF closes the connection */
        link_close(endpoint->link, LINK_CLOSE_EXPIRED, "the registration has expired");
    else
        link_close(endpoint->link, LINK_CLOSE_NORMAL, "deregistered");
}

static bool on_endpoint_in_use(const struct endpoint *endpoint, void *user)
{
    const struct wsf *wsf = user;
    g_autoptr(GPtrArray) legs = session_table_legs_of(wsf->sessions, endpoint->number);
    return legs->len > 0;
}

static void on_endpoint_changed(const struct endpoint *endpoint, void *user)
{
    store_mark_endpoint(user, endpoint);
}

static const struct registrar_ops registrar_ops = {
    .removed = on_endpoint_removed, .in_use = on_endpoint_in_use, .changed = on_endpoint_changed};

static void on_leg_changed(const struct leg *leg, enum session_state from, const char *reason,
                           void *user)
{
    struct log_ids ids = session_ids(leg->session);
    ids.session = leg->media_session_id;
    log_debug(&ids, "leg of %s %s -> %s (%s)", identity_log(leg->webrtc_id),
              session_state_name(from), session_state_name(leg->state), reason);
    if (leg->caller && leg->session->stay)
        room_changed(leg->session->stay->room); /* somebody takes part from now on, or no more */
}

static void on_phase_changed(const struct session *session, enum call_phase from,
                             const char *reason, void *user)
{
    struct log_ids ids = session_ids(session);
    log_debug(&ids, "call %s -> %s (%s)", call_phase_name(from), call_phase_name(session->phase),
              reason);
}

static void on_session_changed(const struct session *session, void *user)
{
    store_mark_session(user, session);
}

static const struct session_ops session_ops = {.leg_changed = on_leg_changed,
                                               .phase_changed = on_phase_changed,
                                               .changed = on_session_changed};

/* --- time
 * ------------------------------------------------------------------------------------------ */

static void start_until(struct loop_timer *timer, gint64 deadline)
{
    if (deadline < 0) {
        loop_timer_stop(timer);
        return;
    }
    gint64 ms = (deadline - loop_now()) / 1000 + 1;
    loop_timer_start(timer, (guint)CLAMP(ms, 1, G_MAXINT32));
}

static void on_registration_timer(void *data)
{
    struct wsf *wsf = data;
    start_until(wsf->registration_timer, registrar_tick(wsf->registrar, loop_now()));
}

static void on_session_timer(void *data)
{
    struct wsf *wsf = data;
    start_until(wsf->session_timer, call_tick(wsf, loop_now()));
}

/* A little later, so that many changes of one dispatch cost one look. */
void wsf_schedule_registrations(struct wsf *wsf)
{
    loop_timer_start(wsf->registration_timer, 1);
}

void wsf_schedule_sessions(struct wsf *wsf)
{
    loop_timer_start(wsf->session_timer, 1);
}

/* --- life
 * ------------------------------------------------------------------------------------------ */

static void collect(void *user)
{
    const struct wsf *wsf = user;
    static struct metric *registrations, *sessions, *waiting, *rooms, *participants, *recordings,
        *transcoders;
    if (!registrations) {
        registrations = metric_register(METRIC_GAUGE, "registrations", NULL,
                                        "Registered endpoints, lost ones included.", NULL);
        sessions = metric_register(METRIC_GAUGE, "sessions", NULL, "Calls of this moment.", NULL);
        waiting = metric_register(METRIC_GAUGE, "store_waiting", NULL,
                                  "Registrations and calls changed and not yet stored.", NULL);
        rooms = metric_register(METRIC_GAUGE, "rooms", NULL, "Conferences of this moment.", NULL);
        participants = metric_register(METRIC_GAUGE, "room_participants", NULL,
                                       "Participants of all of them.", NULL);
        recordings = metric_register(METRIC_GAUGE, "recordings", NULL,
                                     "Files that media centres write for this WSF.", NULL);
        transcoders = metric_register(METRIC_GAUGE, "transcoders", NULL,
                                      "Streams that are converted into another codec.", NULL);
    }
    metric_set(registrations, registrar_count(wsf->registrar), NULL);
    metric_set(sessions, session_table_count(wsf->sessions), NULL);
    metric_set(waiting, store_keeper_waiting(wsf->keeper), NULL);
    metric_set(rooms, room_table_count(wsf->rooms), NULL);
    metric_set(participants, room_table_participants(wsf->rooms), NULL);
    metric_set(recordings, recordings_count(wsf->recordings), NULL);
    metric_set(transcoders, transcoding_count(wsf->transcoding), NULL);
}

static void read_limits(struct wsf *wsf)
{
    const struct conf *conf = wsf->conf;
    wsf->limits = link_limits_client;
    wsf->limits.message_max = conf_int(conf, "limits", "message_max");
    wsf->limits.message_max_unauth = conf_int(conf, "limits", "message_max_unauthenticated");
    wsf->limits.auth_timeout_ms = conf_int(conf, "limits", "auth_time") * 1000;
    wsf->limits.auth_failures_max = conf_int(conf, "limits", "auth_failures_max");
    wsf->limits.keepalive_ms = conf_int(conf, "limits", "keepalive") * 1000;
    wsf->limits.response_timeout_ms = conf_int(conf, "limits", "response_time") * 1000;
    wsf->limits.rate = conf_int(conf, "limits", "request_rate");
    wsf->limits.burst = conf_int(conf, "limits", "request_burst");
    wsf->limits.rate_unauth = conf_int(conf, "limits", "request_rate_unauthenticated");
}

static bool read_identity(struct wsf *wsf, char **ret_identity, GError **error)
{
    const char *realm = conf_string(wsf->conf, "wsf", "realm");
    const char *identity = conf_string(wsf->conf, "wsf", "identity");
    wsf->realm_owned = realm ? g_ascii_strdown(realm, -1) : g_strdup("");
    wsf->realm = wsf->realm_owned;
    *ret_identity = identity ? g_strdup(identity) : g_strconcat("wsf@", wsf->realm, NULL);
    if (*wsf->realm && id_is_address(*ret_identity, false, NULL))
        return true;
    problem_set(error, PROBLEM_INVALID_MESSAGE,
                "wsf.realm must be a DNS name and wsf.identity, when set, user@realm");
    return false;
}

/* Who keeps pipelines in contexts of its own (context-pipeline.h). */
static const struct context_pipeline_kind *const pipeline_kinds[] = {
    &recording_kind, &transcoding_kind, &room_mix_kind, NULL};

static bool start(struct wsf *wsf, GError **error)
{
    const struct conf *conf = wsf->conf;
    g_autofree char *identity = NULL;
    read_limits(wsf);
    if (!identity_log_init(conf, error) || !resource_check(conf, error) ||
        !transcoding_check(conf, error) || !read_identity(wsf, &identity, error) ||
        !(wsf->auth = auth_new(conf, error)))
        return false;
    wsf->peers = peer_table_new(wsf, identity, error);
    if (!wsf->peers)
        return false;
    wsf->policy = policy_new(conf, error);
    if (!wsf->policy || !(wsf->rooms = room_table_new(conf, error)) ||
        !(wsf->recordings = recordings_new(conf, error)))
        return false;
    wsf->admission = admission_new(conf_int(conf, "call", "attempts_kept"));
    wsf->registrar = registrar_new(conf_int(conf, "registration", "registrations_max"),
                                   conf_int(conf, "registration", "endpoints_per_identity"),
                                   &registrar_ops, wsf);
    wsf->sessions =
        session_table_new(conf_int(conf, "call", "sessions_max"),
                          conf_int(conf, "call", "sessions_per_identity"), &session_ops, wsf);
    wsf->pipelines = context_pipelines_new(wsf, pipeline_kinds);
    wsf->transcoding = transcoding_new(wsf);
    wsf->links = link_service_new(conf_string(conf, "wsf", "trace_file"), error);
    if (!wsf->links || !store_restore(wsf, error))
        return false;
    wsf->pool = wmcf_pool_new(conf, identity, wsf->links, &notify_wmcf_ops, wsf, error);
    if (!wsf->pool)
        return false;
    store_settle_calls(wsf);
    return (wsf->server = server_new(wsf, error)) && peer_table_start(wsf->peers, error);
}

struct wsf *wsf_new(struct conf *conf, GError **error)
{
    struct wsf *wsf = g_new0(struct wsf, 1);
    wsf->conf = conf;
    wsf->started = loop_now();
    wsf->clients = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    wsf->registration_timer = loop_timer_new("registrations", on_registration_timer, wsf);
    wsf->session_timer = loop_timer_new("sessions", on_session_timer, wsf);
    if (!start(wsf, error)) {
        wsf_free(wsf);
        return NULL;
    }
    metrics_add_collector(collect, wsf);
    return wsf;
}

static void close_clients(const struct wsf *wsf, enum link_close code, const char *reason)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, wsf->clients);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        link_close(((struct client *)value)->link, code, reason);
}

void wsf_free(struct wsf *wsf)
{
    if (!wsf)
        return;
    /* Or the servers that we have dialled would hear 1000, which is the end of a registration. */
    close_clients(wsf, LINK_CLOSE_DRAINING, "the server has ended");
    auth_free(wsf->auth);
    wmcf_pool_free(wsf->pool);
    server_free(wsf->server);
    peer_table_free(wsf->peers);
    link_service_free(wsf->links);
    store_keeper_free(wsf->keeper);
    room_table_free(wsf->rooms);
    transcoding_free(wsf->transcoding);
    context_pipelines_free(wsf->pipelines);
    recordings_free(wsf->recordings);
    session_table_free(wsf->sessions);
    registrar_free(wsf->registrar);
    policy_free(wsf->policy);
    admission_free(wsf->admission);
    loop_timer_free(wsf->registration_timer);
    loop_timer_free(wsf->session_timer);
    g_hash_table_unref(wsf->clients);
    g_free(wsf->realm_owned);
    g_free(wsf);
}

/* Calls keep the row that has permitted them, by its name; what it says may have changed. */
static void reload_policy(struct wsf *wsf, const struct conf *conf)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) sessions = session_table_all(wsf->sessions);
    struct policy *former = wsf->policy, *policy = policy_new(conf, &error);
    if (!policy) {
        log_error(NULL, "the policy table is not replaced: %s", error->message);
        return;
    }
    for (guint i = 0; i < sessions->len; i++) {
        struct session *session = g_ptr_array_index(sessions, i);
        session->policy = policy_row_by_name(policy, policy_row_name(former, session->policy));
        call_update_renumber(session, former, policy);
    }
    wsf->policy = policy;
    policy_free(former);
    log_info(NULL, "the policy table is read again, %u calls have other gates or limits now",
             quality_follow(wsf, NULL));
}

void wsf_reload(struct wsf *wsf, const struct conf *conf)
{
    if (conf)
        reload_policy(wsf, conf);
    g_autoptr(GError) room_error = NULL;
    if (conf && !room_table_reload(wsf->rooms, conf, &room_error))
        log_error(NULL, "the rules of rooms are not replaced: %s", room_error->message);
    g_autoptr(GError) recording_error = NULL;
    if (conf && !recordings_reload(wsf->recordings, conf, &recording_error))
        log_error(NULL, "the rules of recordings are not replaced: %s", recording_error->message);
    g_autoptr(GError) error = NULL;
    if (auth_reload(wsf->auth, &error))
        log_info(NULL, "credentials and keys read again");
    else
        log_error(NULL, "credentials and keys not replaced: %s", error->message);
    peer_table_reload(wsf->peers);
    g_autoptr(GError) tls_error = NULL;
    if (link_service_reload(wsf->links, &tls_error))
        log_info(NULL, "TLS certificates and keys read again");
    else
        log_error(NULL, "TLS certificates and keys: %s", tls_error->message);
}

/* --- drain
 * ----------------------------------------------------------------------------------------- */

struct drain {
    struct wsf *wsf;
    void (*done)(void *user);
    void *user;
    gint64 deadline;
    struct loop_timer *timer;
    bool keep; /* calls stay in the store */
    bool said_goodbye;
};

static void say_goodbye(struct drain *drain)
{
    struct wsf *wsf = drain->wsf;
    server_close(wsf->server);
    if (drain->keep) {
        close_clients(wsf, LINK_CLOSE_RESTART, "the server is restarting");
    } else {
        g_autoptr(GPtrArray) sessions = session_table_all(wsf->sessions);
        for (guint i = 0; i < sessions->len; i++)
            call_end(wsf, g_ptr_array_index(sessions, i), DISC_OPERATOR, NULL, NULL, NULL);
        close_clients(wsf, LINK_CLOSE_DRAINING, "the server is stopping");
    }
    drain->said_goodbye = true;
    drain->deadline = loop_now() + GOODBYE_MAX_US;
    loop_timer_start(drain->timer, GOODBYE_MS);
}

static void on_drain_timer(void *data)
{
    struct drain *drain = data;
    bool over = drain->keep || session_table_count(drain->wsf->sessions) == 0 ||
                loop_now() >= drain->deadline;
    bool alone = g_hash_table_size(drain->wsf->clients) == 0;
    if (drain->said_goodbye && !alone && loop_now() < drain->deadline) {
        loop_timer_start(drain->timer, 20);
    } else if (drain->said_goodbye) {
        drain->done(drain->user);
        loop_timer_free(drain->timer);
        g_free(drain);
    } else if (over) {
        say_goodbye(drain);
    } else {
        loop_timer_start(drain->timer, 200);
    }
}

static void begin_drain(struct wsf *wsf, bool keep, void (*done)(void *user), void *user)
{
    if (wsf->draining)
        return;
    wsf->draining = true;
    struct drain *drain = g_new0(struct drain, 1);
    drain->wsf = wsf;
    drain->keep = keep;
    drain->done = done;
    drain->user = user;
    drain->deadline = loop_now() + conf_int(wsf->conf, "wsf", "drain_time") * G_USEC_PER_SEC;
    drain->timer = loop_timer_new("drain", on_drain_timer, drain);
    /* Still listening: a client that loses its connection must find its call again. */
    log_info(NULL, keep ? "stopping for a restart, %u calls go on" : "draining, %u calls",
             session_table_count(wsf->sessions));
    loop_timer_start(drain->timer, 1);
}

void wsf_drain(struct wsf *wsf, void (*done)(void *user), void *user)
{
    begin_drain(wsf, false, done, user);
}

void wsf_suspend(struct wsf *wsf, void (*done)(void *user), void *user)
{
    /* What is not in the store would be lost: then the calls are better ended in good order. */
    begin_drain(wsf, store_keeper_is_well(wsf->keeper), done, user);
}

json_t *problem_json(const GError *error)
{
    enum problem code = problem_code(error);
    g_autofree char *cause = g_ascii_strdown(problem_cause(code), -1);
    json_t *details = json_pack("{s:i, s:s, s:s}", "status", problem_status(code), "cause",
                                problem_cause(code), "title", problem_title(code));
    json_object_set_new(details, "type", json_sprintf("urn:eirtcw:problem:%s", cause));
    if (error->message)
        json_object_set_new(details, "detail", json_string(error->message));
    return details;
}
