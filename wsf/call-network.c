/* SPDX-License-Identifier: Apache-2.0 */
/* Changes that the network itself begins (6.3.2.6.x.3.2): a path that has gone silent is found anew
 * by ICE restart, and a side that may disagree with the media centre about what holds is offered
 * what the call has. Both are needs of a leg; they wait until nothing else is in progress and both
 * the endpoint and the media centre can be reached. */
#define LOG_CATEGORY "network"
#include "wsf/call-change.h"
#include "wsf/room.h"

#define RETRY_AFTER G_USEC_PER_SEC /* when the endpoint has offered at the same moment */

static void on_rolled_back(struct media_step *step)
{
    struct call_change *change = change_of(step);
    if (!change)
        return;
    if (!step->unheard)
        step->leg->unheard = false;
    if (!change_is_doomed(step->wsf, change))
        change_offer(step->wsf, change, step->leg);
}

static void begin(struct wsf *wsf, struct leg *leg)
{
    struct call_change *change = change_new(leg->session, CHANGE_NETWORK, leg);
    struct log_ids ids = session_ids(leg->session);
    change->restart_ice = leg->need == LEG_NEEDS_RESTART;
    change->optional = leg->need == LEG_NEEDS_NOTHING;
    change->near_wanted = offer_template_copy(leg->told);
    if (leg->session->stay)
        room_add_slots(leg, change->near_wanted);
    leg->need = LEG_NEEDS_NOTHING;
    log_info(&ids, "the network offers %s to %s",
             change->restart_ice ? "an ICE restart"
             : change->optional  ? "more m-lines of its room"
                                 : "what the call has",
             identity_log(leg->webrtc_id));
    if (leg->unheard)
        media_rollback(change_step_new(wsf, change, leg, on_rolled_back));
    else
        change_offer(wsf, change, leg);
}

static bool is_reachable(const struct wsf *wsf, const struct leg *leg)
{
    return leg_link(wsf, leg) && wmcf_pool_is_up(wsf->pool, leg->session->wmcf);
}

static bool is_settled(const struct session *session)
{
    const struct leg *caller = session->caller, *winner = session->winner;
    return (session->phase == CALL_CONNECTING || session->phase == CALL_ACTIVE) &&
           !session->change && winner && leg_is_established(caller) && leg_is_established(winner) &&
           caller->offer == OFFER_NONE && winner->offer == OFFER_NONE;
}

void change_next(struct wsf *wsf, struct session *session)
{
    if (!is_settled(session) || session->retry_deadline > loop_now())
        return;
    session->retry_deadline = 0;
    struct leg *const legs[] = {session->caller, session->winner};
    for (size_t i = 0; i < G_N_ELEMENTS(legs); i++) {
        struct leg *leg = legs[i];
        if (leg->need == LEG_NEEDS_NOTHING && !(leg->caller && room_lacks_slots(leg)))
            continue;
        if (leg->media->passes_descriptions) {
            /* Without a media centre the network has no description of its own to offer. */
            g_autoptr(GError) error = NULL;
            problem_set(&error, PROBLEM_INVALID_STATE,
                        "the two ends of the call have come to disagree about its media");
            call_end(wsf, session, DISC_MEDIA_FAILURE, error, NULL, NULL);
            return;
        }
        if (is_reachable(wsf, leg)) {
            begin(wsf, leg);
            return;
        }
    }
}

bool change_network_failed(struct wsf *wsf, struct call_change *change, const GError *error)
{
    struct leg *leg = change->near;
    struct session *session = leg->session;
    bool glare = problem_code(error) == PROBLEM_OFFER_GLARE;
    if (!glare && change->optional) {
        room_give_up_slots(leg);
        return false;
    }
    if (!glare && is_reachable(wsf, leg)) {
        call_end(wsf, session, DISC_MEDIA_FAILURE, error, NULL, NULL);
        return true;
    }
    if (!change->optional)
        leg->need = change->restart_ice ? LEG_NEEDS_RESTART : MAX(leg->need, LEG_NEEDS_OFFER);
    session_changed(session);
    if (glare) {
        session->retry_deadline = loop_now() + RETRY_AFTER;
        wsf_schedule_sessions(wsf);
    }
    return false;
}

void call_network_need(struct wsf *wsf, struct leg *leg, enum leg_need need)
{
    leg->need = MAX(leg->need, need);
    session_changed(leg->session);
    change_next(wsf, leg->session);
}

void call_network_retry(struct wsf *wsf, struct session *session)
{
    session->retry_deadline = 0;
    change_next(wsf, session);
}

void call_path_lost(struct wsf *wsf, struct leg *leg)
{
    leg->restarted = false;
    leg->failure_deadline = 0;
    call_network_need(wsf, leg, LEG_NEEDS_RESTART);
}

void call_path_negotiated(struct wsf *wsf, struct leg *leg)
{
    /* The endpoint may have noticed by itself and restarted ICE in an offer of its own. */
    if (!leg->failure)
        return;
    leg->restarted = true;
    leg->need = LEG_NEEDS_NOTHING;
    leg->failure_deadline =
        loop_now() + conf_int(wsf->conf, "call", "connect_time") * G_USEC_PER_SEC;
    wsf_schedule_sessions(wsf);
}

void call_network_media_back(struct wsf *wsf, const char *wmcf)
{
    g_autoptr(GPtrArray) sessions = session_table_all(wsf->sessions);
    for (guint i = 0; i < sessions->len; i++) {
        struct session *session = g_ptr_array_index(sessions, i);
        if (g_strcmp0(session->wmcf, wmcf) == 0)
            change_next(wsf, session);
    }
}
