/* SPDX-License-Identifier: Apache-2.0 */
/* The course of a call up to the open gates. The callee is offered first, from what the caller can
 * do; only when somebody has answered does the caller get an offer, or the answer to its own,
 * limited to what was chosen, so one negotiation per side is enough; a codec is converted only
 * where the two have none in common (call-transcode.h). Each step is short and ends in a request;
 * the next one begins with its response. Changes of an answered call are in call-update.c. */
#define LOG_CATEGORY "call"
#include "wsf/call.h"

#include "base/metrics.h"
#include "wsf/call-transcode.h"
#include "wsf/recording.h"
#include "wsf/room.h"

#include <string.h>

static gint64 seconds_from_now(const struct wsf *wsf, const char *key)
{
    return loop_now() + conf_int(wsf->conf, "call", key) * G_USEC_PER_SEC;
}

/* The media centre has refused: only that it cannot hold the policy is a cause of its own. */
static enum disc_cause media_cause(const GError *error)
{
    return problem_code(error) == PROBLEM_QOS_RESOURCES_UNAVAILABLE ? DISC_QOS_LOST
                                                                    : DISC_MEDIA_FAILURE;
}

/* --- calling -------------------------------------------------------------------------------------
 */

static void on_branch_offer(struct media_step *step);

/* What a called endpoint is offered: what the caller would like, and what could be converted. */
static struct offer_template *wanted_of(const struct wsf *wsf, const struct leg *leg)
{
    struct offer_template *wanted = offer_template_copy(leg->session->wanted);
    if (leg->endpoint && leg->session->converts)
        transcode_widen(wanted, call_transcode_skills(wsf, leg->session));
    return wanted;
}

static void offer_branch(struct wsf *wsf, struct leg *leg)
{
    const struct session *session = leg->session;
    offer_template_auto *wanted = wanted_of(wsf, leg);
    const struct media_offer offer = {
        .wanted = wanted,
        .source = session->caller->peer_offer ? session->caller->peer_offer : session->pre_offer,
    };
    media_offer(media_step_new(wsf, leg, on_branch_offer), &offer);
}

static void offer_other_branches(struct wsf *wsf, struct session *session)
{
    for (guint i = 1; i < session->branches->len; i++) {
        struct leg *leg = g_ptr_array_index(session->branches, i);
        if (leg_is_live(leg))
            offer_branch(wsf, leg);
    }
}

static void on_branch_offer(struct media_step *step)
{
    struct session *session = step->session;
    struct leg *leg = step->leg;
    struct wsf *wsf = step->wsf;
    g_autoptr(GError) error = NULL;
    if (!session)
        return;
    bool first = session->phase == CALL_PREPARING;
    if (first && step->error) {
        call_end(wsf, session, media_cause(step->error), step->error, NULL, NULL);
        return;
    }
    if (first) {
        session_set_phase(wsf->sessions, session, CALL_RINGING, "offered");
        offer_other_branches(wsf, session);
    }
    if (!leg_is_live(leg)) {
        media_release(wsf, leg);
    } else if (step->error) {
        call_branch_end(wsf, leg, media_cause(step->error), step->error, false);
    } else if (!leg->endpoint) {
        call_answered_by(wsf, leg, NULL); /* a resource: its way has set what it gives */
    } else if (leg_offer(leg, step->sdp, 0, &error)) {
        leg_set_negotiated(leg, wanted_of(wsf, leg), NULL);
        leg_send_setup(wsf, leg);
    }
}

static struct session *make_session(struct wsf *wsf, const struct call_request *request)
{
    struct session *session =
        session_new(wsf->sessions, request->media_session_id, request->caller->webrtc_id,
                    request->caller->number, request->called, loop_now());
    session_set_subject(wsf->sessions, session, request->id->subject);
    session->asserted_caller = g_strdup(request->id->asserted);
    session->caller_authority = g_strdup(request->id->authority);
    session->preferred_caller = g_strdup(request->id->preferred);
    session->hop_limit = request->hop_limit;
    session->wanted = request->wanted;
    session->pre_offer = g_strdup(request->pre_offer);
    session->user_data = request->user_data ? json_deep_copy(request->user_data) : NULL;
    session->wmcf = g_strdup(request->wmcf);
    session->policy = request->policy;
    session->no_answer_deadline = seconds_from_now(wsf, "no_answer_time");
    session->caller->media = request->media;
    if (request->sdp_offer) {
        leg_take_offer(session->caller, request->sdp_offer, request->offer_id);
        leg_note_description(session->caller, request->sdp_offer);
    }
    for (guint i = 0; request->endpoints && i < request->endpoints->len; i++) {
        const struct endpoint *endpoint = g_ptr_array_index(request->endpoints, i);
        struct leg *leg =
            session_add_branch(wsf->sessions, session, endpoint->webrtc_id, endpoint->number);
        leg->media = request->media;
        identity_terminating(wsf, leg, NULL, NULL);
    }
    return session;
}

void call_start(struct wsf *wsf, const struct call_request *request)
{
    static struct metric *started;
    if (!started)
        started = metric_register(METRIC_COUNTER, "calls_started", NULL, "Calls begun.", NULL);
    metric_add(started, 1, NULL);
    struct session *session = make_session(wsf, request);
    if (request->resource) {
        struct leg *leg = session_add_branch(wsf->sessions, session, request->called, 0);
        leg->resource = g_strdup(request->resource);
        leg->media = request->resource_media;
        identity_terminating(wsf, leg, NULL, NULL);
        if (leg->media == &media_room)
            room_enter(wsf, session);
    }
    session->converts = call_transcode_spare(wsf, session) != NULL;
    leg_set_state(wsf->sessions, session->caller, SESSION_PROCEEDING, "asked");
    if (request->transaction && request->resource)
        session->setup =
            request->transaction; /* 6.3.2.6.x.2.1: the response brings a description */
    else
        leg_succeed(session->caller, request->transaction, NULL);
    /* The first termination makes the context; the other branches join it. */
    offer_branch(wsf, g_ptr_array_index(session->branches, 0));
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
        json_pack("{s:s}", "mediaSessionState", session_state_name(session->caller->state));
    identity_put(members, "assertedTerminatingId", leg->asserted, leg->authority);
    if (user_data)
        json_object_set_new(members, "userData", json_deep_copy(user_data));
    leg_send_update(wsf, session->caller, members);
}

/* --- answering -----------------------------------------------------------------------------------
 */

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

static void caller_settled(struct wsf *wsf, struct leg *caller)
{
    leg_set_state(wsf->sessions, caller, SESSION_ESTABLISHED, "answered");
    caller->session->connect_deadline = seconds_from_now(wsf, "connect_time");
    wsf_schedule_sessions(wsf);
}

static void on_caller_routed(struct media_step *step)
{
    if (!step->session)
        return;
    if (step->error) {
        call_end(step->wsf, step->session, DISC_MEDIA_FAILURE, step->error, NULL, NULL);
        return;
    }
    caller_settled(step->wsf, step->leg);
    leg_send_answer(step->wsf, step->leg, step->user_data);
    call_candidates_passed(step->wsf, step->session->winner);
    call_check_connected(step->wsf, step->session);
}

/* Our answer to the caller's own offer is made; it is sent when the routes are set as well. */
static void on_caller_answer(struct media_step *step)
{
    struct session *session = step->session;
    struct leg *caller = step->leg;
    struct wsf *wsf = step->wsf;
    g_autoptr(GError) error = NULL;
    if (!session)
        return;
    offer_template_auto *answer = NULL, *told = NULL;
    if (!step->error)
        answer = offer_template_parse(step->sdp, conf_int(wsf->conf, "call", "sdp_max"), &error);
    if (answer)
        told = offer_template_chosen(answer, &error);
    if (!told) {
        const GError *why = step->error ? step->error : error;
        call_end(wsf, session, call_cause_of(why), why, NULL, NULL);
        return;
    }
    struct offer_template *negotiated = offer_template_mirror(told);
    leg_set_negotiated(caller, g_steal_pointer(&told), negotiated);
    leg_keep_our_answer(caller, step->sdp);
    call_candidates_ready(wsf, caller);
    struct media_step *next = media_step_new(wsf, caller, on_caller_routed);
    next->user_data = g_steal_pointer(&step->user_data);
    media_set(next, media_routes(wsf, caller, session->winner), NULL);
}

static void on_caller_offer(struct media_step *step)
{
    g_autoptr(GError) error = NULL;
    if (!step->session)
        return;
    if (step->error || !leg_offer(step->leg, step->sdp, 0, &error)) {
        const GError *why = step->error ? step->error : error;
        call_end(step->wsf, step->session, media_cause(why), why, NULL, NULL);
        return;
    }
    leg_send_offer(step->wsf, step->leg, step->user_data);
}

void call_negotiate_caller(struct wsf *wsf, struct session *session, const json_t *user_data)
{
    struct leg *caller = session->caller;
    offer_template_auto *chosen = transcode_adapt(session->wanted, session->winner->negotiated,
                                                  call_transcode_skills(wsf, session));
    bool own = caller->offer == OFFER_PEERS;
    struct media_step *step = media_step_new(wsf, caller, own ? on_caller_answer : on_caller_offer);
    step->user_data = user_data ? json_deep_copy(user_data) : NULL;
    if (own) {
        offer_template_auto *limit = offer_template_limit(session->wanted, chosen);
        const struct media_question question = {
            .sdp = caller->peer_offer, .limit = limit, .source = session->winner->last_answer};
        media_answer(step, &question);
        return;
    }
    const struct media_offer offer = {.wanted = chosen, .source = session->winner->last_answer};
    leg_set_negotiated(caller, offer_template_copy(chosen), NULL);
    media_offer(step, &offer);
}

void call_answered_by(struct wsf *wsf, struct leg *leg, const json_t *user_data)
{
    struct session *session = leg->session;
    if (leg->state == SESSION_INITIATING) /* the answer overtook the response to msetup */
        leg_set_state(wsf->sessions, leg, SESSION_PROCEEDING, "answers");
    leg_set_state(wsf->sessions, leg, SESSION_ESTABLISHED, "answered");
    session->winner = leg;
    session->no_answer_deadline = 0;
    session->answered_at = loop_now();
    if (session->phase == CALL_RINGING)
        session_set_phase(wsf->sessions, session, CALL_ANSWERED, "answered");
    session_set_phase(wsf->sessions, session, CALL_CONNECTING, "answer applied");
    end_losers(wsf, session);
    if (leg->endpoint && leg->told && call_transcode_skills(wsf, session) &&
        transcode_narrow(leg->told, session->wanted, leg->negotiated))
        leg->need = LEG_NEEDS_OFFER; /* it prefers what would have to be converted */
    call_negotiate_caller(wsf, session, user_data);
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
        gint64 soonest = loop_now() + G_USEC_PER_SEC;
        session->no_answer_deadline =
            session->created_at + conf_int(wsf->conf, "call", "no_answer_time") * G_USEC_PER_SEC;
        session->no_answer_deadline = MAX(session->no_answer_deadline, soonest);
        wsf_schedule_sessions(wsf);
    }
    call_branch_end(wsf, leg, call_cause_of(error), error, false);
}

static void on_answer_applied(struct media_step *step)
{
    struct wsf *wsf = step->wsf;
    struct leg *leg = step->leg;
    if (!step->session || !leg_is_live(leg)) {
        leg_fail_gone(step->transaction);
        return;
    }
    if (step->error) {
        leg_fail(leg, step->transaction, step->error);
        answer_refused(wsf, leg, step->error);
        return;
    }
    leg->answer_in_progress = false;
    leg->settled = true;
    leg_offer_done(leg);
    call_candidates_ready(wsf, leg);
    if (leg->caller) {
        caller_settled(wsf, leg);
        leg_succeed(leg, step->transaction, NULL);
        call_check_connected(wsf, step->session);
        return;
    }
    if (leg->state == SESSION_INITIATING)
        leg_set_state(wsf->sessions, leg, SESSION_PROCEEDING, "answers");
    leg_set_state(wsf->sessions, leg, SESSION_ESTABLISHED, "answered");
    leg_succeed(leg, step->transaction, NULL);
    call_answered_by(wsf, leg, step->user_data);
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
    offer_template_auto *answer = NULL, *chosen = NULL;
    if (leg_is_established(leg)) {
        call_update_answer(wsf, leg, sdp, user_data, transaction);
        return;
    }
    if (call_update_target_answer(wsf, leg, sdp, transaction))
        return;
    if (!may_answer(leg, &error)) {
        leg_fail(leg, transaction, error);
        return;
    }
    leg->offer_deadline = 0;
    answer = offer_template_parse(sdp, conf_int(wsf->conf, "call", "sdp_max"), &error);
    if (answer)
        chosen = offer_template_chosen(answer, &error);
    if (answer && !chosen && !leg->caller) {
        g_clear_error(&error);
        transcode_refuse(session->wanted, call_transcode_spare(wsf, session), &error);
    }
    if (!chosen) {
        leg_fail(leg, transaction, error);
        answer_refused(wsf, leg, error);
        return;
    }
    leg_set_negotiated(leg, NULL, g_steal_pointer(&chosen));
    if (leg->media->passes_descriptions)
        leg_keep_last_answer(leg, sdp);
    leg->answer_in_progress = true;
    leg_note_description(leg, sdp);
    struct media_step *step = media_step_new(wsf, leg, on_answer_applied);
    step->transaction = transaction;
    step->user_data = user_data ? json_deep_copy(user_data) : NULL;
    if (leg->caller) {
        media_accept(step, sdp, media_routes(wsf, leg, session->winner));
        return;
    }
    session->winner = leg;
    session->no_answer_deadline = 0;
    session_set_phase(wsf->sessions, session, CALL_ANSWERED, "answered");
    media_accept(step, sdp, NULL);
}

void call_refused(struct wsf *wsf, struct leg *leg, const GError *error, bool invitation)
{
    if (leg_is_established(leg))
        call_update_refused(wsf, leg, error);
    else if (leg->caller)
        call_end(wsf, leg->session, call_cause_of(error), error, NULL, NULL);
    else
        call_branch_end(wsf, leg, call_cause_of(error), error, invitation);
}

void call_answer_heard(struct wsf *wsf, struct leg *leg)
{
    leg->settled = true;
    call_network_need(wsf, leg, LEG_NEEDS_NOTHING);
}

void call_answer_refused(struct wsf *wsf, struct leg *leg, const GError *error)
{
    if (leg->settled) {
        call_network_need(wsf, leg, LEG_NEEDS_OFFER);
        return;
    }
    call_end(wsf, leg->session, call_cause_of(error), error, NULL, NULL);
}

/* --- media ---------------------------------------------------------------------------------------
 */

static void on_gate(struct media_step *step)
{
    struct session *session = step->session;
    if (!session)
        return;
    if (step->error) {
        call_end(step->wsf, session, media_cause(step->error), step->error, NULL, NULL);
        return;
    }
    step->leg->gate_open = true;
    session_changed(session);
    if (session->phase != CALL_CONNECTING || !session->caller->gate_open ||
        !session->winner->gate_open)
        return;
    session->active_at = loop_now();
    session_set_phase(step->wsf->sessions, session, CALL_ACTIVE, "gates set");
    call_transcode_follow(step->wsf, session);
    if (session->stay)
        room_mix_follow(session->stay->room);
    if (session->winner->need != LEG_NEEDS_NOTHING) /* of its first answer */
        call_network_need(step->wsf, session->winner, LEG_NEEDS_NOTHING);
}

void call_check_connected(struct wsf *wsf, struct session *session)
{
    struct leg *caller = session->caller, *winner = session->winner;
    if (session->phase != CALL_CONNECTING || session->gates_asked || !leg_is_established(caller) ||
        !leg_is_connected(caller) || !leg_is_connected(winner) || !recording_ready(wsf, session))
        return;
    session->gates_asked = true;
    session->connect_deadline = 0;
    /* Both nominated pairs are known here: what a policy of the 5G core decides about this call's
     * flows is asked between this line and the next. */
    media_set(media_step_new(wsf, winner, on_gate), NULL, media_policy(wsf, winner));
    media_set(media_step_new(wsf, caller, on_gate), NULL, media_policy(wsf, caller));
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
        leg_failed(wsf, leg,
                   leg->resource || leg_link(wsf, leg) ? DISC_MEDIA_FAILURE : DISC_PEER_LOST, NULL);
        break;
    case SESSION_CHANGE:
        call_update_time_out(wsf, session);
        break;
    case SESSION_RETRY:
        call_network_retry(wsf, session);
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
