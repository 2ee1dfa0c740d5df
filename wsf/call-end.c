/* SPDX-License-Identifier: Apache-2.0 */
/* How branches and calls end. There is one way out for every reason: tell whoever does not know
 * yet, give the context back, write the call record, and free the session once the present dispatch
 * is over, so that no caller up the stack is left with a dangling pointer. */
#define LOG_CATEGORY "call"
#include "wsf/call.h"

#include "base/metrics.h"
#include "wsf/recording.h"
#include "wsf/room.h"
#include "wsf/transcoding.h"

enum disc_cause call_cause_of(const GError *error)
{
    switch (error ? problem_code(error) : PROBLEM_INTERNAL_ERROR) {
    case PROBLEM_DECLINED:
    case PROBLEM_NOT_AUTHORIZED: /* another network does not let it pass */
        return DISC_DECLINED;
    case PROBLEM_USER_BUSY:
        return DISC_BUSY;
    case PROBLEM_NO_ANSWER:
    case PROBLEM_USER_NOT_REGISTERED: /* … has nobody of this name, or not now */
    case PROBLEM_RESOURCE_NOT_FOUND:
        return DISC_NO_ANSWER;
    case PROBLEM_QOS_RESOURCES_UNAVAILABLE:
        return DISC_QOS_LOST;
    case PROBLEM_ANSWERED_ELSEWHERE:
        return DISC_ANSWERED_ELSEWHERE;
    case PROBLEM_SDP_NOT_ACCEPTABLE:
    case PROBLEM_WMCF_ERROR:
    case PROBLEM_RESOURCES_UNAVAILABLE:
    case PROBLEM_ENFORCEMENT_UNAVAILABLE:
    case PROBLEM_CONTEXT_NOT_FOUND:
    case PROBLEM_TERMINATION_NOT_FOUND:
    case PROBLEM_DRAINING:
    case PROBLEM_PEER_TIMEOUT:
        return DISC_MEDIA_FAILURE;
    default:
        return DISC_PROTOCOL_ERROR;
    }
}

/* --- the call record -----------------------------------------------------------------------------
 */

static double seconds_between(gint64 from, gint64 to)
{
    return from && to > from ? (double)(to - from) / G_USEC_PER_SEC : 0;
}

static void write_record(const struct session *session, enum disc_cause cause, const GError *error,
                         const struct leg *by)
{
    static struct metric *ended, *talk;
    if (!ended) {
        ended =
            metric_register(METRIC_COUNTER, "calls_ended", NULL, "Calls ended, by cause.", "cause");
        talk = metric_register(METRIC_COUNTER, "call_talk", "seconds",
                               "Time with open gates of the calls that have ended.", NULL);
    }
    gint64 now = loop_now();
    double talked = seconds_between(session->active_at, now);
    metric_add(ended, 1, (const char *const[]){disc_cause_name(cause)});
    metric_add(talk, talked, NULL);

    struct log_ids ids = session_ids(session);
    g_autoptr(GDateTime) begun =
        g_date_time_new_from_unix_utc(session->created_wall / G_USEC_PER_SEC);
    g_autofree char *time = g_date_time_format_iso8601(begun);
    gint64 rung_until = session->answered_at ? session->answered_at : now;
    log_info(&ids,
             "call record: %s -> %s, begun %s, %s after %.1f s, %.1f s with media, cause %s by %s, "
             "%u branches, media centre %s%s%s",
             identity_log(session->subject), identity_log(session->called), time,
             session->answered_at ? "answered" : "not answered",
             seconds_between(session->created_at, rung_until), talked, disc_cause_name(cause),
             !by          ? "the network"
             : by->caller ? "the caller"
                          : "the callee",
             session->branches->len, session->wmcf ? session->wmcf : "none", error ? ", " : "",
             error ? error->message : "");
}

/* --- ending --------------------------------------------------------------------------------------
 */

struct reaping {
    struct wsf *wsf;
    struct session *session;
};

static void reap(void *data)
{
    struct reaping *reaping = data;
    session_free(reaping->wsf->sessions, reaping->session);
    wsf_schedule_sessions(reaping->wsf);
    g_free(reaping);
}

static void terminate_leg(struct wsf *wsf, struct leg *leg, enum disc_cause cause,
                          const GError *error, bool tell, const json_t *user_data)
{
    struct endpoint *endpoint = registrar_endpoint(wsf->registrar, leg->endpoint);
    if (tell)
        leg_send_disconnect(wsf, leg, cause, error, user_data);
    else if (endpoint)
        endpoint_add_ended(endpoint, leg->media_session_id, disc_cause_name(cause), NULL);
    leg->end_cause = cause;
    g_clear_error(&leg->end_error);
    leg->end_error = error ? g_error_copy(error) : NULL;
    leg_offer_done(leg);
    leg_set_state(wsf->sessions, leg, SESSION_TERMINATED, disc_cause_name(cause));
    recording_leg_over(wsf, leg);
}

/* A msetup whose response still waited is refused by it: then there is no session to end for the
 * caller. */
static void fail_setup(struct session *session, enum disc_cause cause, const GError *error,
                       const struct leg *by)
{
    g_autoptr(GError) own = NULL;
    if (!session->setup)
        return;
    if (!error)
        problem_set(&own,
                    by == session->caller ? PROBLEM_MEDIA_SESSION_GONE : PROBLEM_INTERNAL_ERROR,
                    "the call has ended before it began (%s)", disc_cause_name(cause));
    leg_fail(session->caller, g_steal_pointer(&session->setup), error ? error : own);
    session->setup_refused = true;
}

void call_end(struct wsf *wsf, struct session *session, enum disc_cause cause, const GError *error,
              const struct leg *by, const json_t *user_data)
{
    if (session->phase == CALL_ENDED)
        return;
    session_set_phase(wsf->sessions, session, CALL_ENDED, disc_cause_name(cause));
    fail_setup(session, cause, error, by);
    call_change_free(session);
    for (guint i = 0; i <= session->branches->len; i++) {
        struct leg *leg = session_leg(session, i);
        if (leg_is_live(leg))
            terminate_leg(wsf, leg, cause, error,
                          leg != by && !(leg->caller && session->setup_refused), user_data);
    }
    if (session->stay) {
        room_leave(wsf, session);
    } else if (session->context_id) {
        wmcf_pool_release(wsf->pool, session->wmcf, session->context_id);
        context_pipelines_forget(wsf->pipelines, session->wmcf, session->context_id);
        transcoding_forget(wsf->transcoding, session->wmcf, session->context_id);
    }
    write_record(session, cause, error, by);
    struct reaping *reaping = g_new(struct reaping, 1);
    *reaping = (struct reaping){wsf, session};
    loop_post("session ended", reap, reaping);
}

/* When all branches are over the caller hears the reason that says most about the person. */
static guint rank(enum disc_cause cause)
{
    switch (cause) {
    case DISC_BUSY:
        return 4;
    case DISC_NORMAL:
        return 3;
    case DISC_NO_ANSWER:
        return 2;
    case DISC_PEER_LOST:
    case DISC_REGISTRATION_EXPIRED:
        return 0;
    default:
        return 1;
    }
}

static const struct leg *most_telling(const struct session *session)
{
    const struct leg *found = NULL;
    for (guint i = 0; i < session->branches->len; i++) {
        const struct leg *leg = g_ptr_array_index(session->branches, i);
        if (!found || rank(leg->end_cause) > rank(found->end_cause))
            found = leg;
    }
    return found;
}

void call_branch_end(struct wsf *wsf, struct leg *leg, enum disc_cause cause, const GError *error,
                     bool by_endpoint)
{
    struct session *session = leg->session;
    if (!leg_is_live(leg) || session->phase == CALL_ENDED)
        return;
    if (call_update_is_target(leg)) {
        terminate_leg(wsf, leg, cause, error, !by_endpoint, NULL);
        media_release(wsf, leg);
        call_update_target_over(wsf, leg, error);
        return;
    }
    if (leg == session->winner || cause == DISC_DECLINED) {
        /* The winner is the call; and who declines declines for all endpoints of the person. */
        call_end(wsf, session, cause, error, by_endpoint ? leg : NULL, NULL);
        return;
    }
    terminate_leg(wsf, leg, cause, error, !by_endpoint, NULL);
    if (session_live_branches(session) > 0) {
        media_release(wsf, leg);
        return;
    }
    const struct leg *telling = most_telling(session);
    cause = telling->end_cause == DISC_NORMAL ? DISC_DECLINED : telling->end_cause;
    call_end(wsf, session, cause, telling->end_error, by_endpoint ? leg : NULL, NULL);
}

/* The problem that stands for a callee's cause when it gave none. */
static void problem_of_cause(enum disc_cause cause, GError **error)
{
    if (cause == DISC_DECLINED || cause == DISC_NORMAL)
        problem_set(error, PROBLEM_DECLINED, "the call was declined");
    else if (cause == DISC_BUSY)
        problem_set(error, PROBLEM_USER_BUSY, "the called user is busy");
    else if (cause == DISC_NO_ANSWER)
        problem_set(error, PROBLEM_NO_ANSWER, "nobody has answered the call");
}

void call_hang_up(struct wsf *wsf, struct leg *leg, enum disc_cause cause, const GError *error,
                  const json_t *user_data)
{
    struct session *session = leg->session;
    if (leg->caller || leg == session->winner) {
        call_end(wsf, session, cause, error, leg, user_data);
        return;
    }
    /* To end a call that still rings with NORMAL, as a page does that is closed, is to decline it
     * for this endpoint; DECLINED does so for all endpoints of the person. */
    g_autoptr(GError) own = NULL;
    if (!error)
        problem_of_cause(cause, &own);
    if (cause == DISC_DECLINED && !call_update_is_target(leg))
        call_end(wsf, session, cause, error ? error : own, leg, user_data);
    else
        call_branch_end(wsf, leg, cause, error ? error : own, true);
}
