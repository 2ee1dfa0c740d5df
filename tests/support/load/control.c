/* SPDX-License-Identifier: Apache-2.0 */
/* Mode `control`: drives wmcf over its control link as a WSF would. A leg goes add → answer →
 * modify → connected; `parallel` of them are under way at a time, the first of each context before
 * the others. When all are settled the routes are set, media is measured, and every context is
 * subtracted, so that what the program holds before and after can be compared. */
#include "base/loop.h"
#include "tests/support/load/load.h"
#include "wsf-link/link.h"

#include <string.h>

#define ROUTES_PER_MESSAGE 512
#define SETTLE_MS 1000

struct control;

struct control_leg {
    struct control *control;
    struct load_leg *leg;
    char *termination_id;
    char *mids[2];
    guint n_mids;
    bool settled;
};

struct control {
    struct load_run *run;
    struct link_service *service;
    struct link_dialer *dialer;
    struct link *link;
    bool started, leaving;
    struct loop_timer *timer;
    struct control_leg *legs; /* parallel to run->legs */
    char **context_ids;
    GQueue ready; /* struct control_leg: may be added now */
    guint under_way, waiting;
    struct load_process before;
    json_t *events; /* how often each was notified */
};

static const char *const methods[] = {"notify", "serviceChange", NULL};
static const char *const extensions[] = {NULL};
static const struct link_protocol protocol = {
    .subprotocol = "eirtcw-mc.v1", .methods = methods, .extensions = extensions};

static void pump(struct control *control);

static char *problem_of(const struct link_response *response)
{
    return g_strdup(response->error ? response->error->message : "no problem told");
}

/* --- the end --------------------------------------------------------------------------------- */

static void on_left(void *data)
{
    struct control *control = data;
    struct load_process after;
    load_process_read(control->run->options->pid, &after);
    json_object_set_new(control->run->report, "process_before",
                        load_process_json(&control->before));
    json_object_set_new(control->run->report, "process_after", load_process_json(&after));
    json_object_set(control->run->report, "events", control->events);
    control->leaving = true;
    link_close(control->link, LINK_CLOSE_NORMAL, "done");
}

/* The program's own clearing up is given a moment before it is looked at. */
static void finish(struct control *control)
{
    control->timer = loop_timer_new("leave", on_left, control);
    loop_timer_start(control->timer, SETTLE_MS);
}

static void on_subtracted(struct link *link, const struct link_response *response, void *user)
{
    struct control *control = user;
    g_autofree char *problem = response->success ? NULL : problem_of(response);
    if (problem) {
        load_fail(control->run, "subtract: %s", problem);
        return;
    }
    if (--control->waiting == 0)
        finish(control);
}

static void on_measured(void *user)
{
    struct control *control = user;
    const struct load_options *options = control->run->options;
    if (options->keep) {
        finish(control);
        return;
    }
    for (guint c = 0; c < (guint)options->contexts; c++) {
        if (!control->context_ids[c])
            continue;
        control->waiting++;
        link_request(control->link, "subtract",
                     json_pack("{s:s}", "contextId", control->context_ids[c]), 0, on_subtracted,
                     control);
    }
    if (!control->waiting)
        finish(control);
}

/* --- routes ---------------------------------------------------------------------------------- */

static void on_routed(struct link *link, const struct link_response *response, void *user)
{
    struct control *control = user;
    g_autofree char *problem = response->success ? NULL : problem_of(response);
    if (problem) {
        load_fail(control->run, "routes: %s", problem);
        return;
    }
    if (--control->waiting == 0)
        load_media_phase(control->run, on_measured, control);
}

static void send_routes(struct control *control, const struct control_leg *through, json_t *routes)
{
    control->waiting++;
    link_request(control->link, "modify",
                 json_pack("{s:s, s:s, s:o}", "contextId",
                           control->context_ids[through->leg->context], "terminationId",
                           through->termination_id, "routes", routes),
                 0, on_routed, control);
}

static json_t *end_of(const struct control_leg *leg, guint media)
{
    return json_pack("{s:s, s:s}", "terminationId", leg->termination_id, "mid", leg->mids[media]);
}

static bool usable(const struct control_leg *leg)
{
    return leg->termination_id && leg->leg->peer &&
           peer_get_state(leg->leg->peer) == PEER_CONNECTED;
}

/* Everything that one leg publishes, to every other one of its context that subscribes. */
static void route_from(struct control *control, const struct control_leg *from)
{
    json_t *routes = json_array();
    for (guint i = 0; i < control->run->legs->len; i++) {
        const struct control_leg *to = &control->legs[i];
        if (to == from || to->leg->context != from->leg->context || !to->leg->subscribes ||
            !usable(to))
            continue;
        for (guint m = 0; m < from->n_mids && m < to->n_mids; m++)
            json_array_append_new(
                routes, json_pack("{s:o, s:o}", "from", end_of(from, m), "to", end_of(to, m)));
        if (json_array_size(routes) >= ROUTES_PER_MESSAGE) {
            send_routes(control, from, routes);
            routes = json_array();
        }
    }
    if (json_array_size(routes))
        send_routes(control, from, routes);
    else
        json_decref(routes);
}

static void all_settled(struct control *control)
{
    load_report_setup(control->run);
    if (!control->run->connected) {
        load_fail(control->run, "no leg connected");
        return;
    }
    for (guint i = 0; i < control->run->legs->len; i++)
        if (control->legs[i].leg->publishes && usable(&control->legs[i]))
            route_from(control, &control->legs[i]);
    if (!control->waiting)
        load_fail(control->run, "nothing to route");
}

/* --- one leg --------------------------------------------------------------------------------- */

static void settle(struct control_leg *leg, const char *problem)
{
    struct control *control = leg->control;
    if (leg->settled)
        return;
    leg->settled = true;
    load_leg_settled(control->run, leg->leg, !problem);
    if (problem)
        g_printerr("wmcf-load: leg of context %u: %s\n", leg->leg->context, problem);
    control->under_way--;
    pump(control);
    if (control->run->connected + control->run->failed == control->run->legs->len)
        all_settled(control);
}

static void on_peer_state(struct peer *peer, enum peer_state state, void *user)
{
    if (state == PEER_CONNECTED)
        settle(user, NULL);
    else if (state == PEER_FAILED)
        settle(user, peer_failure(peer));
}

static const struct peer_ops peer_ops = {.state = on_peer_state};

static void on_answered(struct link *link, const struct link_response *response, void *user)
{
    if (!response->success) {
        g_autofree char *problem = problem_of(response);
        settle(user, problem);
    }
}

static bool take_ids(struct control_leg *leg, const json_t *message)
{
    struct control *control = leg->control;
    const char *context_id = json_string_value(json_object_get(message, "contextId"));
    const char *termination_id = json_string_value(json_object_get(message, "terminationId"));
    size_t i;
    json_t *media;
    json_array_foreach(json_object_get(message, "medias"), i, media)
    {
        const char *mid = json_string_value(json_object_get(media, "mid"));
        if (mid && leg->n_mids < G_N_ELEMENTS(leg->mids))
            leg->mids[leg->n_mids++] = g_strdup(mid);
    }
    if (!context_id || !termination_id || !leg->n_mids)
        return false;
    leg->termination_id = g_strdup(termination_id);
    char **known = &control->context_ids[leg->leg->context];
    if (*known)
        return !strcmp(*known, context_id);
    *known = g_strdup(context_id);
    for (guint l = control->run->legs->len; l-- > 0;) {
        struct control_leg *other = &control->legs[l];
        if (other != leg && other->leg->context == leg->leg->context)
            g_queue_push_head(&control->ready, other);
    }
    return true;
}

static void on_added(struct link *link, const struct link_response *response, void *user)
{
    struct control_leg *leg = user;
    struct load_run *run = leg->control->run;
    g_autoptr(GError) error = NULL;
    if (!response->success) {
        g_autofree char *problem = problem_of(response);
        if (!leg->control->context_ids[leg->leg->context])
            load_fail(run, "add: %s", problem);
        else
            settle(leg, problem);
        return;
    }
    const char *offer = json_string_value(json_object_get(response->message, "sdpOffer"));
    if (!offer || !take_ids(leg, response->message)) {
        load_fail(run, "the response to add lacks ids, medias or sdpOffer");
        return;
    }
    struct peer_config config;
    load_peer_config(run->options, &config, leg->leg->publishes, leg->leg->subscribes);
    config.ops = &peer_ops;
    config.user = leg;
    leg->leg->peer = peer_new(run->group, &config, &error);
    g_autofree char *answer = leg->leg->peer ? peer_answer(leg->leg->peer, offer, &error) : NULL;
    if (!answer) {
        settle(leg, error->message);
        return;
    }
    link_request(link, "modify",
                 json_pack("{s:s, s:s, s:s}", "contextId",
                           leg->control->context_ids[leg->leg->context], "terminationId",
                           leg->termination_id, "sdpAnswer", answer),
                 0, on_answered, leg);
}

/* Directions of a template are the media centre's. */
static json_t *template_media(const char *type, const char *codec, const struct load_leg *leg)
{
    const char *direction = !leg->publishes    ? "sendonly"
                            : !leg->subscribes ? "recvonly"
                                               : "sendrecv";
    return json_pack("{s:s, s:s, s:[s]}", "mediaType", type, "direction", direction, "codecs",
                     codec);
}

static void add(struct control_leg *leg)
{
    const struct load_options *options = leg->control->run->options;
    json_t *medias = json_array();
    if (options->audio)
        json_array_append_new(medias, template_media("audio", "opus", leg->leg));
    if (!options->no_video)
        json_array_append_new(medias, template_media("video", "VP8", leg->leg));
    json_t *members =
        json_pack("{s:{s:o, s:b}, s:[{s:s, s:s}], s:[s, s, s, s]}", "offerTemplate", "medias",
                  medias, "bundle", 1, "mediaPolicy", "mid", "*", "flowStatus", "ENABLED", "events",
                  "iceConnected", "dtlsConnected", "dtlsFailed", "mediaGated");
    const char *context_id = leg->control->context_ids[leg->leg->context];
    if (context_id)
        json_object_set_new(members, "contextId", json_string(context_id));
    else
        json_object_set_new(members, "topology", json_string("explicit"));
    leg->leg->begun_us = g_get_monotonic_time();
    link_request(leg->control->link, "add", members, 0, on_added, leg);
}

static void pump(struct control *control)
{
    while (control->under_way < (guint)control->run->options->parallel) {
        struct control_leg *leg = g_queue_pop_head(&control->ready);
        if (!leg)
            return;
        control->under_way++;
        add(leg);
    }
}

/* --- link ------------------------------------------------------------------------------------ */

static void on_authenticated(struct link *link, const struct link_response *response, void *user)
{
    struct control *control = user;
    g_autofree char *problem = response->success ? NULL : problem_of(response);
    if (problem) {
        load_fail(control->run, "auth: %s", problem);
        return;
    }
    load_process_read(control->run->options->pid, &control->before);
    control->run->begun_us = g_get_monotonic_time();
    pump(control);
}

static void on_opened(struct link *link, void *user)
{
    struct control *control = user;
    const struct load_options *options = control->run->options;
    g_autofree char *token = NULL;
    g_autoptr(GError) error = NULL;
    if (control->started) {
        load_fail(control->run, "the control link was lost");
        return;
    }
    control->started = true;
    control->link = link;
    if (!options->token_file || !options->webrtc_id ||
        !g_file_get_contents(options->token_file, &token, NULL, &error)) {
        load_fail(control->run, "say --webrtc-id and --token-file: %s",
                  error ? error->message : "absent");
        return;
    }
    g_strchomp(token);
    g_autofree char *authorization = g_strconcat("Bearer ", token, NULL);
    link_request(link, "auth",
                 json_pack("{s:s, s:s, s:s}", "authType", "bearer", "webrtcId", options->webrtc_id,
                           "authorization", authorization),
                 0, on_authenticated, control);
}

static void on_request(struct link *link, struct link_transaction *transaction, void *user)
{
    struct control *control = user;
    const json_t *message = link_transaction_message(transaction);
    const char *event = json_string_value(json_object_get(message, "event"));
    if (event)
        json_object_set_new(
            control->events, event,
            json_integer(json_integer_value(json_object_get(control->events, event)) + 1));
    link_succeed(transaction, NULL);
}

static void on_closed(struct link *link, int code, const char *reason, void *user)
{
    struct control *control = user;
    if (control->leaving)
        loop_quit();
    else if (control->link == link)
        load_fail(control->run, "the control link was closed: %d %s", code, reason ? reason : "");
}

static void on_attempt_failed(const GError *error, guint next_ms, void *user)
{
    struct control *control = user;
    load_fail(control->run, "%s", error->message);
}

static void clean(void *user)
{
    struct control *control = user;
    control->leaving = true;
    guint n = control->run->legs->len;
    link_dialer_free(control->dialer);
    link_service_free(control->service);
    loop_timer_free(control->timer);
    for (guint i = 0; i < n; i++) {
        g_free(control->legs[i].termination_id);
        for (guint m = 0; m < control->legs[i].n_mids; m++)
            g_free(control->legs[i].mids[m]);
    }
    for (guint c = 0; c < (guint)control->run->options->contexts; c++)
        g_free(control->context_ids[c]);
    g_queue_clear(&control->ready);
    g_free(control->context_ids);
    g_free(control->legs);
    json_decref(control->events);
    g_free(control);
}

static const struct link_ops link_ops = {
    .opened = on_opened, .request = on_request, .closed = on_closed};

void load_control_start(struct load_run *run)
{
    static struct link_limits limits;
    struct control *control = g_new0(struct control, 1);
    g_autoptr(GError) error = NULL;
    limits = link_limits_trusted;
    limits.auth_timeout_ms = 0; /* we are the one who authenticates */
    limits.message_max_unauth = limits.message_max;
    limits.response_timeout_ms = 30000;
    control->run = run;
    run->clean = clean;
    run->clean_user = control;
    control->events = json_object();
    load_make_legs(run);
    control->legs = g_new0(struct control_leg, run->legs->len);
    control->context_ids = g_new0(char *, (gsize)run->options->contexts);
    for (guint i = 0; i < run->legs->len; i++) {
        struct load_leg *leg = run->legs->pdata[i];
        const struct load_leg *before = i ? run->legs->pdata[i - 1] : NULL;
        control->legs[i] = (struct control_leg){.control = control, .leg = leg};
        if (!before || before->context != leg->context)
            g_queue_push_tail(&control->ready, &control->legs[i]);
    }
    struct link_dialer_config config = {
        .url = run->options->url ? run->options->url : "ws://127.0.0.1:8188/eirtcw-mc/v1",
        .protocol = &protocol,
        .limits = &limits,
        .ops = &link_ops,
        .user = control,
        .tls_ca = run->options->tls_ca,
        .backoff_min_ms = 1000,
        .backoff_max_ms = 1000,
        .attempt_failed = on_attempt_failed,
    };
    control->service = link_service_new(run->options->trace_file, &error);
    control->dialer = control->service ? link_dialer_new(control->service, &config, &error) : NULL;
    if (!control->dialer)
        load_fail(run, "%s", error->message);
}
