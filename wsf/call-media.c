/* SPDX-License-Identifier: Apache-2.0 */
/* The media centre's side of a call: steps, and the anchored way of making descriptions. Every
 * request is a step that names its session by id, so that a response for a call that has ended
 * meanwhile finds nothing; what such a late response has created is released here, in one place. */
#define LOG_CATEGORY "call"
#include "wsf/call-direct.h"
#include "wsf/call-quality.h"
#include "wsf/call-resource.h"
#include "wsf/call-transcode.h"
#include "wsf/call.h"
#include "wsf/room.h"

#include <string.h>

static const char *const events[] = {"iceConnected",    "iceFailed",  "consentExpired",
                                     "dtlsConnected",   "dtlsFailed", "hangingTermination",
                                     "resourceFailure", "mediaGated", "policingDiscard"};
static const char *const room_events[] = {"negotiationNeeded", "sourceChanged", "activeSpeaker"};

/* --- steps ---------------------------------------------------------------------------------------
 */

struct media_step *media_step_new(struct wsf *wsf, struct leg *leg, media_fn done)
{
    struct media_step *step = g_new0(struct media_step, 1);
    step->wsf = wsf;
    step->session = leg->session;
    step->leg = leg;
    step->session_id = g_strdup(leg->session->id);
    step->wmcf = g_strdup(leg->session->wmcf);
    step->leg_index = leg->index;
    step->leg_serial = leg->serial;
    step->done = done;
    return step;
}

/* The leg that a step was made for, while its call goes on and no other is in its place. */
static struct leg *leg_of(const struct media_step *step)
{
    struct session *session = session_table_find(step->wsf->sessions, step->session_id);
    struct leg *leg =
        session && session->phase != CALL_ENDED ? session_leg(session, step->leg_index) : NULL;
    return leg && leg->serial == step->leg_serial ? leg : NULL;
}

void media_step_finish(struct media_step *step, const char *sdp, const GError *error)
{
    struct leg *leg = leg_of(step);
    step->session = leg ? leg->session : NULL;
    step->leg = leg;
    step->sdp = sdp;
    step->error = error;
    step->done(step);
    json_decref(step->user_data);
    json_decref(step->policy);
    json_decref(step->members);
    g_clear_pointer(&step->refused_by, g_ptr_array_unref);
    g_free(step->session_id);
    g_free(step->wmcf);
    g_free(step);
}

/* What waits for the next round of the loop. */
struct outcome {
    struct media_step *step;
    char *sdp;
    GError *error;
};

static void on_outcome(void *data)
{
    struct outcome *outcome = data;
    media_step_finish(outcome->step, outcome->sdp, outcome->error);
    g_free(outcome->sdp);
    g_clear_error(&outcome->error);
    g_free(outcome);
}

void media_step_finish_later(struct media_step *step, const char *sdp, GError *error)
{
    struct outcome *outcome = g_new(struct outcome, 1);
    *outcome = (struct outcome){step, g_strdup(sdp), error};
    loop_post("media step", on_outcome, outcome);
}

void media_offer(struct media_step *step, const struct media_offer *offer)
{
    step->leg->media->offer(step, offer);
}

void media_accept(struct media_step *step, const char *answer, json_t *routes)
{
    step->leg->media->accept(step, answer, routes);
}

void media_answer(struct media_step *step, const struct media_question *question)
{
    step->leg->media->answer(step, question);
}

void media_rollback(struct media_step *step)
{
    step->leg->media->rollback(step);
}

void media_set(struct media_step *step, json_t *routes, json_t *policy)
{
    step->leg->media->set(step, routes, policy);
}

void media_candidates(struct media_step *step, const json_t *candidates, bool end)
{
    step->leg->media->candidates(step, candidates, end);
}

void media_release(struct wsf *wsf, struct leg *leg)
{
    leg->media->release(wsf, leg);
}

const struct leg_media *leg_media_by_name(const char *name)
{
    static const struct leg_media *const ways[] = {&media_anchored, &media_direct, &media_resource,
                                                   &media_room};
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++)
        if (strcmp(ways[i]->name, name) == 0)
            return ways[i];
    return NULL;
}

/* --- requests to the media centre ----------------------------------------------------------------
 */

/* What a late `add` has made is released: nobody else knows of it. In a room the context is the
 * others'. */
static void release_late(const struct media_step *step, const struct link_response *response)
{
    const struct session *session = session_table_find(step->wsf->sessions, step->session_id);
    const char *context_id = json_string_value(json_object_get(response->message, "contextId"));
    const char *termination_id =
        json_string_value(json_object_get(response->message, "terminationId"));
    if ((session && session->phase != CALL_ENDED) || !response->success || !context_id)
        return;
    if (step->new_context)
        wmcf_pool_release(step->wsf->pool, step->wmcf, context_id);
    else if (step->is_add && termination_id &&
             session_table_context(step->wsf->sessions, step->wmcf, context_id))
        wmcf_pool_subtract(step->wsf->pool, step->wmcf, context_id, termination_id);
}

static void read_added(struct media_step *step, const struct link_response *response)
{
    struct session *session = session_table_find(step->wsf->sessions, step->session_id);
    const char *context_id = json_string_value(json_object_get(response->message, "contextId"));
    const char *termination_id =
        json_string_value(json_object_get(response->message, "terminationId"));
    if (!session || session->phase == CALL_ENDED || !response->success)
        return;
    struct leg *leg = leg_of(step);
    if (context_id && !session->context_id)
        session_set_context(step->wsf->sessions, session, context_id);
    if (leg && termination_id && !leg->termination_id)
        leg->termination_id = g_strdup(termination_id);
    if (!leg && termination_id && context_id) /* another leg is in its place meanwhile */
        wmcf_pool_subtract(step->wsf->pool, step->wmcf, context_id, termination_id);
    session_changed(session);
    if (session->stay && session->context_id)
        room_opened(session);
    if (leg)
        room_note_medias(leg, json_object_get(response->message, "medias"));
}

void media_step_added(struct media_step *step, const struct link_response *response)
{
    step->unheard = response->message == NULL;
    release_late(step, response);
    read_added(step, response);
}

static void on_response(const struct link_response *response, void *user)
{
    struct media_step *step = user;
    g_autoptr(GError) missing = NULL;
    const char *sdp = NULL;
    media_step_added(step, response);
    if (response->success && step->sdp_member) {
        sdp = json_string_value(json_object_get(response->message, step->sdp_member));
        if (!sdp)
            problem_set(&missing, PROBLEM_WMCF_ERROR, "the media centre's response has no %s",
                        step->sdp_member);
    }
    media_step_finish(step, sdp, missing ? missing : response->error);
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

/* --- with a policy -------------------------------------------------------------------------------
 *
 * Only an enforcement level can hold policing and marking, and a media centre that has none, or no
 * room, refuses the whole message. While there is no context yet another media centre may have
 * one; after that the policy decides whether the call goes on without (enforcement = best-effort).
 */

static void on_policy_response(const struct link_response *response, void *user);

static void ask_with_policy(struct media_step *step)
{
    json_t *members = json_copy(step->members);
    struct leg *leg = leg_of(step);
    if (leg)
        quality_set_asked(leg->quality, step->policy);
    if (json_array_size(step->policy) > 0)
        json_object_set(members, "mediaPolicy", step->policy);
    wmcf_pool_request(step->wsf->pool, step->wmcf, step->method, members, on_policy_response, step);
}

/* Both are stolen; the policy may be NULL. */
static void send_with_policy(struct media_step *step, const char *method, json_t *members,
                             json_t *policy)
{
    step->method = method;
    step->members = members;
    step->policy = policy;
    ask_with_policy(step);
}

static bool ask_elsewhere(struct media_step *step, struct leg *leg, const GError *refusal)
{
    struct session *session = leg->session;
    struct log_ids ids = {.session = step->session_id, .link = step->wmcf};
    if (!step->new_context || session->context_id)
        return false;
    if (!step->refused_by)
        step->refused_by = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(step->refused_by, g_strdup(step->wmcf));
    const char *other = wmcf_pool_choose_other(step->wsf->pool, step->refused_by);
    if (!other)
        return false;
    log_info(&ids, "policy not held by this media centre, asking %s: %s", other, refusal->message);
    quality_count_refusal("elsewhere");
    g_free(step->wmcf);
    g_free(session->wmcf);
    step->wmcf = g_strdup(other);
    session->wmcf = g_strdup(other);
    session_changed(session);
    ask_with_policy(step);
    return true;
}

static bool ask_without(struct media_step *step, struct leg *leg, const GError *refusal)
{
    struct log_ids ids = {.session = step->session_id, .link = step->wmcf};
    const struct offer_template *medias = leg->negotiated ? leg->negotiated : leg->session->wanted;
    if (leg->without_policy || !quality_is_optional(step->wsf, leg, medias))
        return false;
    log_warning(&ids, "policy not held by the media centre, continuing with gates alone: %s",
                refusal->message);
    quality_count_refusal("without");
    leg->without_policy = true;
    json_t *gates = quality_gates(step->policy);
    json_decref(step->policy);
    step->policy = gates;
    ask_with_policy(step);
    return true;
}

static void on_policy_response(const struct link_response *response, void *user)
{
    struct media_step *step = user;
    struct leg *leg = leg_of(step);
    g_autoptr(GError) error = NULL;
    if (leg)
        quality_set_asked(leg->quality, NULL);
    if (leg && response->success && step->policy)
        quality_in_force(step->wsf, leg, g_steal_pointer(&step->policy));
    if (!leg || response->success ||
        problem_code(response->error) != PROBLEM_ENFORCEMENT_UNAVAILABLE) {
        on_response(response, step);
        return;
    }
    if (ask_elsewhere(step, leg, response->error) || ask_without(step, leg, response->error))
        return;
    quality_count_refusal("refused");
    problem_set(&error, PROBLEM_QOS_RESOURCES_UNAVAILABLE,
                "no media centre can hold the quality of service of this call");
    media_step_finish(step, NULL, error);
}

/* `add` while the leg has no termination, else `modify`. */
static void send_description(struct media_step *step, json_t *members,
                             const struct offer_template *medias)
{
    const struct leg *leg = step->leg;
    if (leg->termination_id) {
        send_step(step, "modify", members);
        return;
    }
    const struct endpoint *endpoint = registrar_endpoint(step->wsf->registrar, leg->endpoint);
    json_t *wanted_events = json_array();
    step->is_add = true;
    step->new_context = leg->session->context_id == NULL;
    if (step->new_context && leg->session->stay) {
        room_put_context(leg->session, members);
    } else if (step->new_context) {
        json_object_set_new(members, "topology", json_string("explicit"));
        json_object_set_new(members, "appData", json_pack("{s:s}", "session", leg->session->id));
    }
    /* A server may be ICE-lite itself, and two lite ends never connect (RFC 8445 2.5). */
    if (endpoint && endpoint_is_server(endpoint))
        json_object_set_new(members, "iceMode", json_string("full"));
    else if (strcmp(conf_string(step->wsf->conf, "ice", "mode"), "traversal") == 0)
        json_object_set_new(members, "iceMode", json_string("traversal"));
    json_t *path = quality_media_path(step->wsf, leg);
    if (path) {
        json_object_set_new(members, "mediaPath", json_string("pipeline"));
        json_object_set_new(members, "pipeline", path);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(events); i++)
        json_array_append_new(wanted_events, json_string(events[i]));
    if (quality_wants_reports(step->wsf, leg))
        json_array_append_new(wanted_events, json_string("qosReport"));
    if (call_transcode_skills(step->wsf, leg->session))
        json_array_append_new(wanted_events, json_string("firstMedia"));
    for (size_t i = 0; leg->session->stay && i < G_N_ELEMENTS(room_events); i++)
        json_array_append_new(wanted_events, json_string(room_events[i]));
    json_object_set_new(members, "events", wanted_events);
    send_with_policy(step, "add", members, quality_at_start(step->wsf, leg, medias));
}

/* --- the anchored way ----------------------------------------------------------------------------
 */

static void anchored_offer(struct media_step *step, const struct media_offer *offer)
{
    const struct endpoint *endpoint = registrar_endpoint(step->wsf->registrar, step->leg->endpoint);
    json_t *members = address_of(step->leg);
    offer_template_auto *wanted = offer_template_copy(offer->wanted);
    if (endpoint && !endpoint_supports(endpoint, DATACHANNEL))
        offer_template_drop(wanted, MEDIA_APPLICATION);
    json_t *template = offer_template_json(wanted);
    room_put_simulcast(step->leg, template);
    json_object_set_new(members, "offerTemplate", template);
    if (offer->restart_ice)
        json_object_set_new(members, "restartIce", json_true());
    step->sdp_member = "sdpOffer";
    send_description(step, members, wanted);
}

static void anchored_accept(struct media_step *step, const char *answer, json_t *routes)
{
    json_t *members = address_of(step->leg);
    json_object_set_new(members, "sdpAnswer", json_string(answer));
    if (routes)
        json_object_set_new(members, "routes", routes);
    send_step(step, "modify", members);
}

static void anchored_answer(struct media_step *step, const struct media_question *question)
{
    json_t *members = address_of(step->leg);
    json_object_set_new(members, "sdpOffer", json_string(question->sdp));
    json_object_set_new(members, "answerTemplate", offer_template_json(question->limit));
    step->sdp_member = "sdpAnswer";
    send_description(step, members, question->limit);
}

static void anchored_rollback(struct media_step *step)
{
    json_t *members = address_of(step->leg);
    json_object_set_new(members, "rollback", json_true());
    send_step(step, "modify", members);
}

static void anchored_set(struct media_step *step, json_t *routes, json_t *policy)
{
    if (!routes && !policy) { /* a mesh has no routes to be set */
        media_step_finish_later(step, NULL, NULL);
        return;
    }
    json_t *members = address_of(step->leg);
    if (routes)
        json_object_set_new(members, "routes", routes);
    send_with_policy(step, "modify", members, policy);
}

static void anchored_candidates(struct media_step *step, const json_t *candidates, bool end)
{
    json_t *members = address_of(step->leg);
    json_object_set_new(members, "candidates", json_deep_copy(candidates));
    if (end)
        json_object_set_new(members, "endOfCandidates", json_true());
    send_step(step, "modify", members);
}

static void on_released(struct media_step *step)
{
    struct log_ids ids = {.session = step->session_id};
    if (step->error)
        log_debug(&ids, "termination not subtracted: %s", step->error->message);
}

static void anchored_release(struct wsf *wsf, struct leg *leg)
{
    if (!leg->termination_id || !leg->session->context_id)
        return;
    struct media_step *step = media_step_new(wsf, leg, on_released);
    json_t *members = address_of(leg);
    g_clear_pointer(&leg->termination_id, g_free);
    send_step(step, "subtract", members);
}

const struct leg_media media_anchored = {
    .name = "anchored",
    .offer = anchored_offer,
    .accept = anchored_accept,
    .answer = anchored_answer,
    .rollback = anchored_rollback,
    .set = anchored_set,
    .candidates = anchored_candidates,
    .release = anchored_release,
};

/* --- routes and gates ----------------------------------------------------------------------------
 */

static bool goes_as_it_is(const struct wsf *wsf, const struct leg *from,
                          const struct offer_media *sent, const struct offer_media *taken)
{
    return (sent->direction & MEDIA_SENDONLY) && (taken->direction & MEDIA_RECVONLY) &&
           !transcode_target(sent, taken, call_transcode_skills(wsf, from->session));
}

static void add_route(json_t *routes, const struct leg *from, const struct leg *to, const char *mid)
{
    json_array_append_new(routes, json_pack("{s:{s:s, s:s}, s:{s:s, s:s}}", "from", "terminationId",
                                            from->termination_id, "mid", mid, "to", "terminationId",
                                            to->termination_id, "mid", mid));
}

/* A route that a direction has closed meanwhile may stay: nothing passes on it. */
json_t *media_routes(const struct wsf *wsf, const struct leg *a, const struct leg *b)
{
    if (a->session->stay)
        return NULL;
    json_t *routes = json_array();
    for (guint i = 0; i < a->negotiated->medias->len; i++) {
        const struct offer_media *of_a = g_ptr_array_index(a->negotiated->medias, i);
        const struct offer_media *of_b = offer_template_media(b->negotiated, of_a->mid);
        if (!of_b || of_a->rejected || of_b->rejected)
            continue;
        if (goes_as_it_is(wsf, a, of_a, of_b))
            add_route(routes, a, b, of_a->mid);
        if (goes_as_it_is(wsf, b, of_b, of_a))
            add_route(routes, b, a, of_a->mid);
    }
    return routes;
}

bool media_permit(const struct wsf *wsf, const struct session *session,
                  struct offer_template *wanted, GError **error)
{
    const struct endpoint *caller = registrar_endpoint(wsf->registrar, session->caller->endpoint);
    const struct policy_caller from = {session->subject, caller ? caller->kind : ENDPOINT_CLIENT};
    return policy_limit_media(wsf->policy, &from, session->called, wanted, error);
}
