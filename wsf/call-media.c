/* SPDX-License-Identifier: Apache-2.0 */
/* The media centre's side of a call. Every request is a step that names its session by id, so that
 * a response for a call that has ended meanwhile finds nothing; what such a late response has
 * created is released here, in one place. */
#define LOG_CATEGORY "call"
#include "wsf/call.h"

static const char *const events[] = {"iceConnected",   "iceFailed",  "consentExpired",
                                     "dtlsConnected",  "dtlsFailed", "hangingTermination",
                                     "resourceFailure"};

static struct media_step *step_new(struct wsf *wsf, struct leg *leg, media_fn done)
{
    struct media_step *step = g_new0(struct media_step, 1);
    step->wsf = wsf;
    step->session_id = g_strdup(leg->session->id);
    step->wmcf = g_strdup(leg->session->wmcf);
    step->leg_index = leg->index;
    step->done = done;
    return step;
}

static void step_free(struct media_step *step)
{
    json_decref(step->user_data);
    g_free(step->session_id);
    g_free(step->wmcf);
    g_free(step);
}

static void release_late_context(const struct media_step *step,
                                 const struct link_response *response)
{
    const char *context_id = json_string_value(json_object_get(response->message, "contextId"));
    if (step->new_context && response->success && context_id)
        wmcf_pool_release(step->wsf->pool, step->wmcf, context_id);
}

static void on_response(const struct link_response *response, void *user)
{
    struct media_step *step = user;
    struct session *session = session_table_find(step->wsf->sessions, step->session_id);
    if (session && session->phase != CALL_ENDED) {
        step->session = session;
        step->leg = session_leg(session, step->leg_index);
    } else {
        release_late_context(step, response);
    }
    step->done(step, response);
    step_free(step);
}

static json_t *address_of(const struct leg *leg)
{
    json_t *members = json_object();
    if (leg->session->context_id)
        json_object_set_new(members, "contextId", json_string(leg->session->context_id));
    if (leg->termination_id)
        json_object_set_new(members, "terminationId", json_string(leg->termination_id));
    return members;
}

static void send_step(struct media_step *step, const char *method, json_t *members)
{
    wmcf_pool_request(step->wsf->pool, step->wmcf, method, members, on_response, step);
}

void media_add(struct wsf *wsf, struct leg *leg, const struct offer_template *wanted, media_fn done,
               const json_t *user_data)
{
    struct media_step *step = step_new(wsf, leg, done);
    json_t *members = address_of(leg), *wanted_events = json_array();
    step->user_data = user_data ? json_deep_copy(user_data) : NULL;
    step->new_context = leg->session->context_id == NULL;
    if (step->new_context) {
        json_object_set_new(members, "topology", json_string("explicit"));
        json_object_set_new(members, "appData", json_pack("{s:s}", "session", leg->session->id));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(events); i++)
        json_array_append_new(wanted_events, json_string(events[i]));
    json_object_set_new(members, "offerTemplate", offer_template_json(wanted));
    json_object_set_new(members, "events", wanted_events);
    send_step(step, "add", members);
}

void media_answer(struct wsf *wsf, struct leg *leg, const char *sdp, json_t *routes, media_fn done,
                  struct link_transaction *transaction, const json_t *user_data)
{
    struct media_step *step = step_new(wsf, leg, done);
    json_t *members = address_of(leg);
    step->transaction = transaction;
    step->user_data = user_data ? json_deep_copy(user_data) : NULL;
    json_object_set_new(members, "sdpAnswer", json_string(sdp));
    if (routes)
        json_object_set_new(members, "routes", routes);
    send_step(step, "modify", members);
}

void media_gate(struct wsf *wsf, struct leg *leg, const char *flow_status, media_fn done)
{
    struct media_step *step = step_new(wsf, leg, done);
    json_t *members = address_of(leg);
    json_object_set_new(members, "mediaPolicy",
                        json_pack("[{s:s, s:s}]", "mid", "*", "flowStatus", flow_status));
    send_step(step, "modify", members);
}

static void on_subtracted(struct media_step *step, const struct link_response *response)
{
    struct log_ids ids = {.session = step->session_id};
    if (!response->success)
        log_debug(&ids, "termination not subtracted: %s", response->error->message);
}

void media_subtract(struct wsf *wsf, struct leg *leg)
{
    if (!leg->termination_id || !leg->session->context_id)
        return;
    struct media_step *step = step_new(wsf, leg, on_subtracted);
    json_t *members = address_of(leg);
    g_clear_pointer(&leg->termination_id, g_free);
    send_step(step, "subtract", members);
}

static void add_route(json_t *routes, const struct leg *from, const struct leg *to, const char *mid)
{
    json_array_append_new(routes, json_pack("{s:{s:s, s:s}, s:{s:s, s:s}}", "from", "terminationId",
                                            from->termination_id, "mid", mid, "to", "terminationId",
                                            to->termination_id, "mid", mid));
}

json_t *media_routes(const struct session *session)
{
    const struct leg *a = session->caller, *b = session->winner;
    json_t *routes = json_array();
    for (guint i = 0; i < a->answer->medias->len; i++) {
        const struct offer_media *of_a = g_ptr_array_index(a->answer->medias, i);
        const struct offer_media *of_b = offer_template_media(b->answer, of_a->mid);
        if (!of_b)
            continue;
        if ((of_a->direction & MEDIA_SENDONLY) && (of_b->direction & MEDIA_RECVONLY))
            add_route(routes, a, b, of_a->mid);
        if ((of_b->direction & MEDIA_SENDONLY) && (of_a->direction & MEDIA_RECVONLY))
            add_route(routes, b, a, of_a->mid);
    }
    return routes;
}
