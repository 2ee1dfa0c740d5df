/* SPDX-License-Identifier: Apache-2.0 */
/* The adapter of wmcf, mode `control`: drives it over its control link as a WSF would. A leg goes
 * add → answer → modify → connected, with one m-line for each stream that it shall receive; the
 * routes of an explicit topology are set when all legs are there. */
#include "base/loop.h"
#include "tests/support/load/adapter.h"
#include "wsf-link/link.h"

#include <string.h>

#define ROUTES_PER_MESSAGE 512

struct control;

struct control_leg {
    struct control *control;
    struct load_leg *leg;
    char *termination_id;
    GPtrArray *mids; /* char * */
};

struct control {
    struct load_run *run;
    struct link_service *service;
    struct link_dialer *dialer;
    struct link *link;
    bool started;
    struct control_leg *legs; /* parallel to run->legs */
    char **context_ids;
    guint waiting;  /* for responses to routes or subtract */
    json_t *events; /* how often each was notified */
};

static const char *const methods[] = {"notify", "serviceChange", NULL};
static const char *const extensions[] = {NULL};
static const struct link_protocol protocol = {
    .subprotocol = "eirtcw-mc.v1", .methods = methods, .extensions = extensions};

static char *problem_of(const struct link_response *response)
{
    return g_strdup(response->error ? response->error->message : "no problem told");
}

/* --- the end --------------------------------------------------------------------------------- */

static void on_subtracted(struct link *link, const struct link_response *response, void *user)
{
    struct control *control = user;
    g_autofree char *problem = response->success ? NULL : problem_of(response);
    if (problem)
        load_fail(control->run, "subtract: %s", problem);
    else if (--control->waiting == 0)
        load_left(control->run);
}

static void control_leave(struct load_run *run)
{
    struct control *control = run->data;
    for (guint c = 0; c < (guint)run->options->contexts; c++) {
        if (!control->context_ids[c])
            continue;
        control->waiting++;
        link_request(control->link, "subtract",
                     json_pack("{s:s}", "contextId", control->context_ids[c]), 0, on_subtracted,
                     control);
    }
    if (!control->waiting)
        load_left(run);
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
        load_joined(control->run);
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
    return json_pack("{s:s, s:s}", "terminationId", leg->termination_id, "mid",
                     leg->mids->pdata[media]);
}

/* Everything that one leg publishes, to every other one of its context that subscribes. The first
 * medium of each kind of the receiver takes the first of its sources, and so on. */
static void route_from(struct control *control, const struct control_leg *from, guint n_legs)
{
    struct load_run *run = control->run;
    guint kinds = run->options->audio + !run->options->no_video;
    json_t *routes = json_array();
    for (guint i = 0; i < n_legs; i++) {
        const struct load_leg *leg = load_leg_of(run, from->leg->context, i);
        const struct control_leg *to = leg->data;
        if (to == from || !leg->subscribes || !leg->connected)
            continue;
        guint source = from->leg->number - (leg->publishes && from->leg->number > i);
        for (guint k = 0; k < kinds && source * kinds + k < to->mids->len; k++)
            json_array_append_new(routes, json_pack("{s:o, s:o}", "from", end_of(from, k), "to",
                                                    end_of(to, source * kinds + k)));
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

static void control_join(struct load_run *run)
{
    struct control *control = run->data;
    guint n_legs = run->legs->len / (guint)run->options->contexts;
    for (guint i = 0; i < run->legs->len; i++) {
        const struct load_leg *leg = run->legs->pdata[i];
        if (leg->publishes && leg->connected)
            route_from(control, leg->data, n_legs);
    }
    if (!control->waiting)
        load_fail(run, "nothing to route");
}

/* --- one leg --------------------------------------------------------------------------------- */

static void on_peer_state(struct peer *peer, enum peer_state state, void *user)
{
    struct control_leg *leg = user;
    if (state == PEER_CONNECTED)
        load_leg_done(leg->control->run, leg->leg, NULL);
    else if (state == PEER_FAILED)
        load_leg_done(leg->control->run, leg->leg, peer_failure(peer));
}

static const struct peer_ops peer_ops = {.state = on_peer_state};

static void on_answered(struct link *link, const struct link_response *response, void *user)
{
    struct control_leg *leg = user;
    if (!response->success) {
        g_autofree char *problem = problem_of(response);
        load_leg_done(leg->control->run, leg->leg, problem);
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
        if (mid)
            g_ptr_array_add(leg->mids, g_strdup(mid));
    }
    if (!context_id || !termination_id || !leg->mids->len)
        return false;
    leg->termination_id = g_strdup(termination_id);
    char **known = &control->context_ids[leg->leg->context];
    if (*known)
        return !strcmp(*known, context_id);
    *known = g_strdup(context_id);
    load_context_ready(control->run, leg->leg->context);
    return true;
}

static void on_added(struct link *link, const struct link_response *response, void *user)
{
    struct control_leg *leg = user;
    struct load_run *run = leg->control->run;
    g_autoptr(GError) error = NULL;
    if (!response->success) {
        g_autofree char *problem = problem_of(response);
        load_leg_done(run, leg->leg, problem);
        return;
    }
    const char *offer = json_string_value(json_object_get(response->message, "sdpOffer"));
    if (!offer || !take_ids(leg, response->message)) {
        load_fail(run, "the response to add lacks ids, medias or sdpOffer");
        return;
    }
    struct peer_config config;
    load_leg_config(run, leg->leg, &config);
    config.ops = &peer_ops;
    config.user = leg;
    leg->leg->peer = peer_new(run->group, &config, &error);
    g_autofree char *answer = leg->leg->peer ? peer_answer(leg->leg->peer, offer, &error) : NULL;
    if (!answer) {
        load_leg_done(run, leg->leg, error->message);
        return;
    }
    link_request(link, "modify",
                 json_pack("{s:s, s:s, s:s}", "contextId",
                           leg->control->context_ids[leg->leg->context], "terminationId",
                           leg->termination_id, "sdpAnswer", answer),
                 0, on_answered, leg);
}

/* Directions of a template are the media centre's. */
static json_t *template_media(const struct peer_media_config *media)
{
    static const char *const directions[] = {
        [PEER_INACTIVE] = "inactive",
        [PEER_SENDONLY] = "recvonly",
        [PEER_RECVONLY] = "sendonly",
        [PEER_SENDRECV] = "sendrecv",
    };
    bool audio = media->kind == PEER_AUDIO;
    return json_pack("{s:s, s:s, s:[s]}", "mediaType", audio ? "audio" : "video", "direction",
                     directions[media->direction], "codecs", audio ? "opus" : "VP8");
}

static void control_add(struct load_run *run, struct load_leg *load_leg)
{
    struct control *control = run->data;
    struct control_leg *leg = &control->legs[load_leg->index];
    struct peer_config config;
    json_t *medias = json_array();
    load_leg->data = leg;
    *leg = (struct control_leg){.control = control, .leg = load_leg};
    leg->mids = g_ptr_array_new_with_free_func(g_free);
    load_leg_config(run, load_leg, &config);
    for (guint i = 0; i < config.n_medias; i++)
        json_array_append_new(medias, template_media(&config.medias[i]));
    json_t *members =
        json_pack("{s:{s:o, s:b}, s:[{s:s, s:s}], s:[s, s, s, s]}", "offerTemplate", "medias",
                  medias, "bundle", 1, "mediaPolicy", "mid", "*", "flowStatus", "ENABLED", "events",
                  "iceConnected", "dtlsConnected", "dtlsFailed", "mediaGated");
    const char *context_id = control->context_ids[load_leg->context];
    if (context_id)
        json_object_set_new(members, "contextId", json_string(context_id));
    else
        json_object_set_new(members, "topology", json_string("explicit"));
    link_request(control->link, "add", members, 0, on_added, leg);
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
    load_opened(control->run);
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
    if (control->link == link)
        load_fail(control->run, "the control link was closed: %d %s", code, reason ? reason : "");
}

static void on_attempt_failed(const GError *error, guint next_ms, void *user)
{
    struct control *control = user;
    load_fail(control->run, "%s", error->message);
}

static void control_free(struct load_run *run)
{
    struct control *control = run->data;
    if (!control)
        return;
    json_object_set(run->report, "events", control->events);
    link_dialer_free(control->dialer);
    link_service_free(control->service);
    for (guint i = 0; i < run->legs->len; i++) {
        g_free(control->legs[i].termination_id);
        if (control->legs[i].mids)
            g_ptr_array_unref(control->legs[i].mids);
    }
    for (guint c = 0; c < (guint)run->options->contexts; c++)
        g_free(control->context_ids[c]);
    g_free(control->context_ids);
    g_free(control->legs);
    json_decref(control->events);
    g_free(control);
}

static const struct link_ops link_ops = {
    .opened = on_opened, .request = on_request, .closed = on_closed};

static void control_open(struct load_run *run)
{
    static struct link_limits limits;
    struct control *control = g_new0(struct control, 1);
    g_autoptr(GError) error = NULL;
    limits = link_limits_trusted;
    limits.auth_timeout_ms = 0; /* we are the one who authenticates */
    limits.message_max_unauth = limits.message_max;
    limits.response_timeout_ms = 30000;
    run->data = control;
    control->run = run;
    control->events = json_object();
    control->legs = g_new0(struct control_leg, run->legs->len);
    control->context_ids = g_new0(char *, (gsize)run->options->contexts);
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

const struct load_adapter load_control_adapter = {.name = "control",
                                                  .open = control_open,
                                                  .add = control_add,
                                                  .join = control_join,
                                                  .leave = control_leave,
                                                  .free = control_free};
