/* SPDX-License-Identifier: Apache-2.0 */
/* The course of an anchored call. The callee is offered first, from what the caller can do; only
 * when somebody has answered does the caller get an offer, limited to what was chosen, so one
 * negotiation per side is enough and no codec is ever converted. Each step is short and ends in a
 * request; the next one begins with its response. */
#define LOG_CATEGORY "call"
#include "wsf/call.h"

#include "base/metrics.h"

#include <string.h>

static gint64 seconds_from_now(const struct wsf *wsf, const char *key)
{
    return loop_now() + conf_int(wsf->conf, "call", key) * G_USEC_PER_SEC;
}

/* --- calling -------------------------------------------------------------------------------------
 */

static bool read_added(struct media_step *step, const struct link_response *response,
                       GError **error)
{
    const char *context_id = NULL, *termination_id = NULL, *sdp = NULL;
    if (response->success) {
        context_id = json_string_value(json_object_get(response->message, "contextId"));
        termination_id = json_string_value(json_object_get(response->message, "terminationId"));
        sdp = json_string_value(json_object_get(response->message, "sdpOffer"));
        if (context_id && !step->session->context_id)
            session_set_context(step->wsf->sessions, step->session, context_id);
    }
    if (termination_id && sdp && step->session->context_id) {
        step->leg->termination_id = g_strdup(termination_id);
        return leg_offer(step->leg, sdp, 0, error);
    }
    if (response->error)
        *error = g_error_copy(response->error);
    else
        problem_set(error, PROBLEM_WMCF_ERROR, "the media centre made no offer");
    return false;
}

static void on_branch_added(struct media_step *step, const struct link_response *response);

static void add_other_branches(struct wsf *wsf, struct session *session)
{
    for (guint i = 1; i < session->branches->len; i++) {
        struct leg *leg = g_ptr_array_index(session->branches, i);
        if (leg_is_live(leg))
            media_add(wsf, leg, session->wanted, on_branch_added, NULL);
    }
}

static void on_branch_added(struct media_step *step, const struct link_response *response)
{
    struct session *session = step->session;
    g_autoptr(GError) error = NULL;
    if (!session)
        return;
    bool first = session->context_id == NULL;
    bool added = read_added(step, response, &error);
    if (first && !session->context_id) {
        call_end(step->wsf, session, DISC_MEDIA_FAILURE, error, NULL, NULL);
        return;
    }
    if (first)
        add_other_branches(step->wsf, session);
    if (!leg_is_live(step->leg)) {
        media_subtract(step->wsf, step->leg);
    } else if (!added) {
        call_branch_end(step->wsf, step->leg, DISC_MEDIA_FAILURE, error, false);
    } else {
        if (session->phase == CALL_PREPARING)
            session_set_phase(step->wsf->sessions, session, CALL_RINGING, "offered");
        leg_send_setup(step->wsf, step->leg);
    }
}

void call_start(struct wsf *wsf, const struct call_request *request)
{
    static struct metric *started;
    if (!started)
        started = metric_register(METRIC_COUNTER, "calls_started", NULL, "Calls begun.", NULL);
    metric_add(started, 1, NULL);
    struct session *session =
        session_new(wsf->sessions, request->media_session_id, request->caller->webrtc_id,
                    request->caller->number, request->called, loop_now());
    session->asserted_caller = g_strdup(request->asserted_caller);
    session->wanted = request->wanted;
    session->user_data = request->user_data ? json_deep_copy(request->user_data) : NULL;
    session->wmcf = g_strdup(request->wmcf);
    session->policy = request->policy;
    session->no_answer_deadline = seconds_from_now(wsf, "no_answer_time");
    leg_set_state(wsf->sessions, session->caller, SESSION_PROCEEDING, "asked");
    for (guint i = 0; i < request->endpoints->len; i++) {
        const struct endpoint *endpoint = g_ptr_array_index(request->endpoints, i);
        session_add_branch(wsf->sessions, session, endpoint->webrtc_id, endpoint->number);
    }
    /* The first termination makes the context; the other branches join it. */
    media_add(wsf, g_ptr_array_index(session->branches, 0), session->wanted, on_branch_added, NULL);
    wsf_schedule_sessions(wsf);
}

void call_alerting(struct wsf *wsf, struct leg *leg, const json_t *user_data)
{
    struct session *session = leg->session;
    if (leg->caller || (leg->state != SESSION_INITIATING && leg->state != SESSION_PROCEEDING))
        return;
    leg_set_state(wsf->sessions, leg, SESSION_ALERTING, "rings");
    bool first = session->caller->state == SESSION_PROCEEDING;
    if (!first && !user_data)
        return;
    if (first)
        leg_set_state(wsf->sessions, session->caller, SESSION_ALERTING, "a branch rings");
    json_t *members =
        json_pack("{s:s, s:s}", "mediaSessionState", session_state_name(session->caller->state),
                  "assertedTerminatingId", leg->webrtc_id);
    if (user_data)
        json_object_set_new(members, "userData", json_deep_copy(user_data));
    leg_send_update(wsf, session->caller, members);
}

/* --- answering -----------------------------------------------------------------------------------
 */

static void succeed(struct link_transaction *transaction, const struct leg *leg)
{
    if (transaction)
        link_succeed(transaction, json_pack("{s:s, s:s}", "mediaSessionId", leg->media_session_id,
                                            "mediaSessionState", session_state_name(leg->state)));
}

static void fail(struct link_transaction *transaction, const struct leg *leg, const GError *error)
{
    if (transaction)
        link_fail(transaction, error,
                  leg ? json_pack("{s:s}", "mediaSessionId", leg->media_session_id) : NULL);
}

static void fail_gone(struct link_transaction *transaction)
{
    g_autoptr(GError) error = NULL;
    problem_set(&error, PROBLEM_MEDIA_SESSION_GONE, "the call has ended meanwhile");
    fail(transaction, NULL, error);
}

static void on_caller_added(struct media_step *step, const struct link_response *response)
{
    g_autoptr(GError) error = NULL;
    if (!step->session)
        return;
    if (!read_added(step, response, &error)) {
        call_end(step->wsf, step->session, DISC_MEDIA_FAILURE, error, NULL, NULL);
        return;
    }
    leg_send_offer(step->wsf, step->leg, step->user_data);
}

static void end_losers(struct wsf *wsf, struct session *session)
{
    g_autoptr(GError) error = NULL;
    problem_set(&error, PROBLEM_ANSWERED_ELSEWHERE, "another endpoint has taken the call");
    for (guint i = 0; i < session->branches->len; i++) {
        struct leg *leg = g_ptr_array_index(session->branches, i);
        if (leg != session->winner && leg_is_live(leg))
            call_branch_end(wsf, leg, DISC_ANSWERED_ELSEWHERE, error, false);
    }
}

/* A refused answer ends an initial session (A6); other branches go on ringing. */
static void answer_refused(struct wsf *wsf, struct leg *leg, const GError *error)
{
    struct session *session = leg->session;
    leg->answer_in_progress = false;
    if (leg->caller) {
        call_end(wsf, session, call_cause_of(error), error, NULL, NULL);
        return;
    }
    session->winner = NULL;
    if (session->phase == CALL_ANSWERED) {
        session_set_phase(wsf->sessions, session, CALL_RINGING, "answer refused");
        session->no_answer_deadline = MAX(
            session->created_at + conf_int(wsf->conf, "call", "no_answer_time") * G_USEC_PER_SEC,
            loop_now() + G_USEC_PER_SEC);
        wsf_schedule_sessions(wsf);
    }
    call_branch_end(wsf, leg, call_cause_of(error), error, false);
}

static void on_callee_answered(struct media_step *step, const struct link_response *response)
{
    struct wsf *wsf = step->wsf;
    struct session *session = step->session;
    struct leg *leg = step->leg;
    if (!session || !leg_is_live(leg)) {
        fail_gone(step->transaction);
        return;
    }
    if (!response->success) {
        fail(step->transaction, leg, response->error);
        answer_refused(wsf, leg, response->error);
        return;
    }
    leg->answer_in_progress = false;
    leg_offer_done(leg);
    leg_set_state(wsf->sessions, leg, SESSION_ESTABLISHED, "answered");
    succeed(step->transaction, leg);
    session->answered_at = loop_now();
    session_set_phase(wsf->sessions, session, CALL_CONNECTING, "answer applied");
    end_losers(wsf, session);
    media_add(wsf, session->caller, leg->answer, on_caller_added, step->user_data);
}

static void on_caller_answered(struct media_step *step, const struct link_response *response)
{
    struct wsf *wsf = step->wsf;
    struct leg *leg = step->leg;
    if (!step->session) {
        fail_gone(step->transaction);
        return;
    }
    if (!response->success) {
        fail(step->transaction, leg, response->error);
        answer_refused(wsf, leg, response->error);
        return;
    }
    leg->answer_in_progress = false;
    leg_offer_done(leg);
    leg_set_state(wsf->sessions, leg, SESSION_ESTABLISHED, "answered");
    succeed(step->transaction, leg);
    step->session->connect_deadline = seconds_from_now(wsf, "connect_time");
    wsf_schedule_sessions(wsf);
    call_check_connected(wsf, step->session);
}

static bool may_answer(const struct leg *leg, GError **error)
{
    if (leg->caller || leg->session->winner == leg || leg->session->phase < CALL_ANSWERED)
        return true;
    problem_set(error, PROBLEM_ANSWERED_ELSEWHERE, "another endpoint has taken the call");
    return false;
}

void call_answer(struct wsf *wsf, struct leg *leg, const char *sdp, const json_t *user_data,
                 struct link_transaction *transaction)
{
    struct session *session = leg->session;
    g_autoptr(GError) error = NULL;
    offer_template_auto *answer = NULL;
    if (!may_answer(leg, &error)) {
        fail(transaction, leg, error);
        return;
    }
    answer = offer_template_parse(sdp, conf_int(wsf->conf, "call", "sdp_max"), &error);
    leg->offer_deadline = 0;
    if (answer && !leg->answer)
        leg->answer = offer_template_chosen(answer, &error);
    if (error) {
        fail(transaction, leg, error);
        answer_refused(wsf, leg, error);
        return;
    }
    leg->answer_in_progress = true;
    if (leg->caller) {
        media_answer(wsf, leg, sdp, media_routes(session), on_caller_answered, transaction,
                     user_data);
        return;
    }
    if (leg->state == SESSION_INITIATING) /* the answer overtook the response to msetup */
        leg_set_state(wsf->sessions, leg, SESSION_PROCEEDING, "answers");
    session->winner = leg;
    session->no_answer_deadline = 0;
    session_set_phase(wsf->sessions, session, CALL_ANSWERED, "answered");
    media_answer(wsf, leg, sdp, NULL, on_callee_answered, transaction, user_data);
}

void call_refused(struct wsf *wsf, struct leg *leg, const GError *error, bool invitation)
{
    if (leg->caller)
        call_end(wsf, leg->session, call_cause_of(error), error, NULL, NULL);
    else
        call_branch_end(wsf, leg, call_cause_of(error), error, invitation);
}

/* --- media ---------------------------------------------------------------------------------------
 */

static void on_gate(struct media_step *step, const struct link_response *response)
{
    struct session *session = step->session;
    if (!session)
        return;
    if (!response->success) {
        call_end(step->wsf, session, DISC_MEDIA_FAILURE, response->error, NULL, NULL);
        return;
    }
    step->leg->gate_open = true;
    if (session->phase != CALL_CONNECTING || !session->caller->gate_open ||
        !session->winner->gate_open)
        return;
    session->active_at = loop_now();
    session_set_phase(step->wsf->sessions, session, CALL_ACTIVE, "gates set");
}

void call_check_connected(struct wsf *wsf, struct session *session)
{
    struct leg *caller = session->caller, *winner = session->winner;
    if (session->phase != CALL_CONNECTING || session->gates_asked ||
        caller->state != SESSION_ESTABLISHED || !caller->ice_connected || !winner->ice_connected)
        return;
    session->gates_asked = true;
    session->connect_deadline = 0;
    /* Both nominated pairs are known here: what a policy of the 5G core decides about this call's
     * flows is asked between this line and the next. */
    const char *flow_status = policy_flow_status(wsf->policy, session->policy);
    media_gate(wsf, winner, flow_status, on_gate);
    media_gate(wsf, caller, flow_status, on_gate);
}

/* The end of one side of the call, or of a branch that nobody has answered. */
static void leg_failed(struct wsf *wsf, struct leg *leg, enum disc_cause cause, const GError *error)
{
    if (leg->caller || leg == leg->session->winner)
        call_end(wsf, leg->session, cause, error, NULL, NULL);
    else
        call_branch_end(wsf, leg, cause, error, false);
}

/* --- time ----------------------------------------------------------------------------------------
 */

static void time_out(struct wsf *wsf, struct session *session, enum session_timeout timeout,
                     struct leg *leg)
{
    g_autoptr(GError) error = NULL;
    switch (timeout) {
    case SESSION_NO_ANSWER:
        problem_set(&error, PROBLEM_NO_ANSWER, "nobody has answered the call");
        call_end(wsf, session, DISC_NO_ANSWER, error, NULL, NULL);
        break;
    case SESSION_OFFER:
        problem_set(&error, PROBLEM_PEER_TIMEOUT, "an endpoint did not answer our offer in time");
        call_end(wsf, session, DISC_MEDIA_FAILURE, error, NULL, NULL);
        break;
    case SESSION_CONNECT:
        problem_set(
            &error, PROBLEM_PEER_TIMEOUT,
            "an endpoint did not reach the media centre in time; its network may block UDP");
        call_end(wsf, session, DISC_MEDIA_FAILURE, error, NULL, NULL);
        break;
    case SESSION_FAILURE:
        /* The cause says it; no problem of ours or of the media centre is behind it. Who is away in
         * both ways is lost rather than in trouble with media. */
        leg_failed(wsf, leg, leg_link(wsf, leg) ? DISC_MEDIA_FAILURE : DISC_PEER_LOST, NULL);
        break;
    case SESSION_NO_TIMEOUT:
        break;
    }
}

gint64 call_tick(struct wsf *wsf, gint64 now)
{
    g_autoptr(GPtrArray) sessions = session_table_all(wsf->sessions);
    gint64 next = -1;
    for (guint i = 0; i < sessions->len; i++) {
        struct session *session = g_ptr_array_index(sessions, i);
        struct leg *leg = NULL;
        gint64 deadline = -1;
        enum session_timeout timeout = session_due(session, now, &leg, &deadline);
        time_out(wsf, session, timeout, leg);
        if (timeout == SESSION_NO_TIMEOUT && deadline >= 0)
            next = next < 0 ? deadline : MIN(next, deadline);
    }
    return next;
}
