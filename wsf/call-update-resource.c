/* SPDX-License-Identifier: Apache-2.0 */
/* Change of the media resource (6.3.2.6.x.3.4): a call within the call. The new far side is asked
 * beside the one that plays; when it has answered, the initiator gets the offer in the response to
 * its request, and only when it has answered that do the routes lead to the new one and the former
 * is over. A response is due in seconds, so the new far side is a machine: a server or a resource
 * of this network, never a person. */
#define LOG_CATEGORY "update"
#include "wsf/call-change.h"
#include "wsf/routing.h"

/* --- who may ------------------------------------------------------------------------------------
 */

static bool may_leave(const struct wsf *wsf, const struct leg *leg, GError **error)
{
    const struct leg *far = leg_far(leg);
    const struct endpoint *endpoint = registrar_endpoint(wsf->registrar, far->endpoint);
    bool person = far->endpoint && (!endpoint || !endpoint_is_server(endpoint));
    if (leg->session->stay) {
        problem_set_param(error, PROBLEM_INVALID_STATE, "/resourceId",
                          "a room is left by mdisc; set up a session of its own to something else");
        return false;
    }
    if (leg->caller && !person && !leg->media->passes_descriptions)
        return true;
    problem_set_param(error, PROBLEM_INVALID_STATE, "/resourceId",
                      "only who has asked for a media resource may change it; a call between users "
                      "has none");
    return false;
}

/* Where the resource is, and that it is no person. */
static bool find_target(const struct wsf *wsf, const struct leg *leg, const char *resource_id,
                        struct route *ret, guint *ret_policy, GError **error)
{
    const struct session *session = leg->session;
    const struct endpoint *caller = registrar_endpoint(wsf->registrar, leg->endpoint);
    const struct policy_caller from = {session->subject, caller->kind};
    g_autofree char *to = g_ascii_strdown(resource_id, -1);
    if (!policy_permit(wsf->policy, &from, to, ret_policy, error) ||
        !routing_find(wsf, resource_id, caller, ret, error))
        return false;
    if (ret->kind != ROUTE_USER && ret->kind != ROUTE_ROOM)
        return true;
    problem_set_param(
        error, PROBLEM_NOT_AUTHORIZED, "/resourceId",
        "a call can be changed to a media resource only; set up a call of its own to a "
        "person or a room");
    return false;
}

/* --- the new far side ----------------------------------------------------------------------------
 */

static void on_target_offer(struct media_step *step)
{
    struct call_change *change = change_of(step);
    struct wsf *wsf = step->wsf;
    struct leg *target = step->leg;
    g_autoptr(GError) error = NULL;
    if (!change)
        return;
    if (!leg_is_live(target)) {
        media_release(wsf, target);
        change_is_doomed(wsf, change);
    } else if (step->error) {
        change_fail(wsf, change, step->error, NULL);
    } else if (!target->endpoint) {
        leg_set_state(wsf->sessions, target, SESSION_PROCEEDING, "made");
        leg_set_state(wsf->sessions, target, SESSION_ESTABLISHED, "made");
        if (!change_is_doomed(wsf, change))
            change_settle_near(wsf, change); /* a resource answers by being there */
    } else if (!leg_offer(target, step->sdp, 0, &error)) {
        change_fail(wsf, change, error, NULL);
    } else {
        leg_set_negotiated(target, offer_template_copy(change->wanted), NULL);
        change_set_step(change, CHANGE_FAR_WAIT);
        if (!change_is_doomed(wsf, change))
            leg_send_setup(wsf, target);
    }
}

/* What the initiator wants of any resource: as it said at the beginning, under the mids of now. */
static struct offer_template *wanted_of(const struct leg *leg)
{
    return offer_template_place(leg->session->wanted, leg->told, leg->session->wanted);
}

void call_update_resource(struct wsf *wsf, struct leg *leg, const char *resource_id,
                          const json_t *user_data, struct link_transaction *transaction)
{
    struct session *session = leg->session;
    struct route route = {0};
    g_autoptr(GError) error = NULL;
    guint policy = 0;
    if (!change_may_begin(leg, &error) || !may_leave(wsf, leg, &error) ||
        !find_target(wsf, leg, resource_id, &route, &policy, &error)) {
        leg_fail(leg, transaction, error);
        route_finish(&route);
        return;
    }
    const struct endpoint *server =
        route.kind == ROUTE_SERVER ? g_ptr_array_index(route.endpoints, 0) : NULL;
    struct leg *target =
        session_reuse_branch(wsf->sessions, session, server ? server->webrtc_id : route.called,
                             server ? server->number : 0);
    target->called = g_strdup(route.called);
    target->resource = g_strdup(route.resource);
    target->media = server ? &media_anchored : leg_media_by_name("resource");
    struct call_change *change = change_new(session, CHANGE_RESOURCE, leg);
    change->former = change->far;
    change->far = target;
    change->called = g_steal_pointer(&route.called);
    change->policy = policy;
    change->wanted = wanted_of(leg);
    if (user_data) { /* for the msetup to the new one */
        json_decref(session->user_data);
        session->user_data = json_deep_copy(user_data);
    }
    change->request = transaction;
    leg_set_state(wsf->sessions, leg, SESSION_MODIFYING, "changes the resource");
    session->change_deadline =
        loop_now() + conf_int(wsf->conf, "limits", "response_time") * G_USEC_PER_SEC;
    wsf_schedule_sessions(wsf);
    change_set_step(change, CHANGE_FAR_OFFER);
    const struct media_offer offer = {.wanted = change->wanted};
    media_offer(change_step_new(wsf, change, target, on_target_offer), &offer);
    route_finish(&route);
}

/* The change that this leg is to be the new far side of. */
static struct call_change *change_to(const struct leg *leg)
{
    struct call_change *change = leg->session->change;
    bool target = change && change->kind == CHANGE_RESOURCE && leg == change->far &&
                  leg != leg->session->winner;
    return target ? change : NULL;
}

static void on_target_answered(struct media_step *step)
{
    struct call_change *change = change_of(step);
    struct wsf *wsf = step->wsf;
    struct leg *target = step->leg;
    if (!change || !leg_is_live(target)) {
        leg_fail_gone(step->transaction);
        if (change)
            change_is_doomed(wsf, change);
        return;
    }
    target->answer_in_progress = false;
    if (step->error) {
        leg_fail(target, step->transaction, step->error);
        change_fail(wsf, change, step->error, NULL);
        return;
    }
    leg_offer_done(target);
    target->settled = true;
    leg_set_state(wsf->sessions, target, SESSION_ESTABLISHED, "answered");
    leg_succeed(target, step->transaction, NULL);
    if (!change_is_doomed(wsf, change))
        change_settle_near(wsf, change);
}

bool call_update_target_answer(struct wsf *wsf, struct leg *leg, const char *sdp,
                               struct link_transaction *transaction)
{
    struct call_change *change = change_to(leg);
    g_autoptr(GError) error = NULL;
    if (!change)
        return false;
    offer_template_auto *answer =
        offer_template_parse(sdp, conf_int(wsf->conf, "call", "sdp_max"), &error);
    struct offer_template *chosen = answer ? offer_template_chosen(answer, &error) : NULL;
    if (!chosen || change->in_flight) {
        if (chosen)
            problem_set(&error, PROBLEM_INVALID_STATE, "no offer waits for this answer");
        leg_fail(leg, transaction, error);
        offer_template_free(chosen);
        change_fail(wsf, change, error, NULL);
        return true;
    }
    if (leg->state == SESSION_INITIATING)
        leg_set_state(wsf->sessions, leg, SESSION_PROCEEDING, "answers");
    leg_set_negotiated(leg, NULL, chosen);
    leg_note_description(leg, sdp);
    leg->answer_in_progress = true;
    change_set_step(change, CHANGE_FAR_APPLY);
    struct media_step *step = change_step_new(wsf, change, leg, on_target_answered);
    step->transaction = transaction;
    media_accept(step, sdp, NULL);
    return true;
}

bool call_update_is_target(const struct leg *leg)
{
    return change_to(leg) != NULL;
}

void call_update_target_over(struct wsf *wsf, struct leg *leg, const GError *error)
{
    struct call_change *change = change_to(leg);
    g_autoptr(GError) own = NULL;
    if (!change)
        return;
    if (!error)
        problem_set(&own, PROBLEM_RESOURCE_NOT_FOUND, "the resource has ended at once");
    change_fail(wsf, change, error ? error : own, leg);
}

void call_update_renumber(struct session *session, const struct policy *former,
                          const struct policy *policy)
{
    struct call_change *change = session->change;
    if (change && change->kind == CHANGE_RESOURCE)
        change->policy = policy_row_by_name(policy, policy_row_name(former, change->policy));
}

/* --- the change over -----------------------------------------------------------------------------
 */

void change_switch(struct wsf *wsf, struct call_change *change)
{
    struct session *session = change->near->session;
    session->winner = change->far;
    change->far_changed = true;
    session->policy = change->policy;
    session_set_called(wsf->sessions, session, change->called);
}

void change_switched(struct wsf *wsf, struct call_change *change)
{
    struct leg *former = g_steal_pointer(&change->former);
    call_branch_end(wsf, former, DISC_NORMAL, NULL, false);
}

void change_switch_back(struct wsf *wsf, struct call_change *change, const GError *error)
{
    struct session *session = change->near->session;
    struct leg *target = change->far;
    session->winner = change->former;
    change->far = NULL;
    if (leg_is_live(target)) {
        call_branch_end(wsf, target, DISC_NORMAL, error, false);
        leg_offer_done(target);
    }
}
