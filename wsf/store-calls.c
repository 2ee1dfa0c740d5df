/* SPDX-License-Identifier: Apache-2.0 */
/* Calls after a restart. Every endpoint is lost, and a resumption makes an outstanding offer anew
 * (call-resume.c); so a call that waited for anything but the very first description goes on when
 * each of its legs either is settled or has an offer of ours outstanding. This file brings legs to
 * one of the two. What a media centre has of the call is compared when its link is up
 * (call-reconcile.c). */
#define LOG_CATEGORY "store"
#include "wsf/store-calls.h"

#include "base/problem.h"
#include "wsf/call.h"
#include "wsf/room.h"

static gint64 seconds_from_now(const struct wsf *wsf, const char *key)
{
    return loop_now() + conf_int(wsf->conf, "call", key) * G_USEC_PER_SEC;
}

/* Why the call cannot go on, or NULL. */
static const char *flaw(const struct wsf *wsf, const struct session *session)
{
    if (session->phase == CALL_PREPARING)
        return "it was being set up when the service restarted; please call again";
    if (session->wmcf && !wmcf_pool_has(wsf->pool, session->wmcf))
        return "its media centre is not configured any more";
    for (guint i = 0; i <= session->branches->len; i++) {
        const struct leg *leg = session_leg(session, i);
        bool aside = session->phase >= CALL_CONNECTING && !leg->caller && leg != session->winner;
        if (!leg_is_live(leg) || leg_is_established(leg) || aside)
            continue;
        /* What the far side has said is not kept, and nobody makes a resource's part anew. */
        if (leg->media->passes_descriptions || leg->endpoint == 0)
            return "it was being set up when the service restarted; please call again";
    }
    return NULL;
}

/* A leg whose endpoint is gone with its record. */
static void end_lost(struct wsf *wsf, struct session *session)
{
    for (guint i = 0; i <= session->branches->len && session->phase != CALL_ENDED; i++) {
        struct leg *leg = session_leg(session, i);
        if (!leg_is_live(leg) || leg->endpoint != SESSION_NO_ENDPOINT)
            continue;
        if (leg->caller || leg == session->winner)
            call_end(wsf, session, DISC_PEER_LOST, NULL, NULL, NULL);
        else
            call_branch_end(wsf, leg, DISC_PEER_LOST, NULL, false);
    }
}

/* The resumption of its endpoint makes an offer, whether one was on its way or not. */
static void offer_when_back(struct leg *leg, const struct offer_template *wanted)
{
    leg->offer = OFFER_OURS;
    if (!leg->told)
        leg->told = offer_template_copy(wanted);
}

static void settle_ringing(struct wsf *wsf, struct session *session)
{
    if (session->phase == CALL_ANSWERED) {
        /* Whether the media centre has got the answer or not, the next one counts. */
        session_set_phase(wsf->sessions, session, CALL_RINGING, "the answer is void");
        session->winner = NULL;
        session->no_answer_deadline = seconds_from_now(wsf, "no_answer_time");
    }
    leg_offer_done(session->caller); /* its own first offer is void; it will get one of ours */
    for (guint i = 0; i < session->branches->len; i++) {
        struct leg *leg = g_ptr_array_index(session->branches, i);
        if (leg_is_live(leg))
            offer_when_back(leg, session->wanted);
    }
}

/* A change that was under way is void, and an answer of ours that was not acknowledged may have
 * been heard or not: an offer of the network settles it (as in call-resume.c). */
static void settle_leg(struct wsf *wsf, struct leg *leg)
{
    bool unsure = leg->offer == OFFER_PEERS && leg->our_answer;
    leg_offer_done(leg);
    if (unsure)
        leg->need = MAX(leg->need, LEG_NEEDS_OFFER);
    if (leg->state == SESSION_MODIFYING)
        leg_set_state(wsf->sessions, leg, SESSION_ESTABLISHED, "the change is void");
}

static void settle_answered(struct wsf *wsf, struct session *session)
{
    struct leg *caller = session->caller, *winner = session->winner;
    settle_leg(wsf, winner);
    if (leg_is_established(caller)) {
        settle_leg(wsf, caller);
    } else {
        leg_offer_done(caller);
        offer_when_back(caller, winner->negotiated);
    }
    for (guint i = 0; i < session->branches->len; i++) { /* a new resource that was to come */
        struct leg *leg = g_ptr_array_index(session->branches, i);
        if (leg != winner)
            call_branch_end(wsf, leg, DISC_MEDIA_FAILURE, NULL, false);
    }
    session->gates_asked = caller->gate_open && winner->gate_open;
    if (session->phase == CALL_CONNECTING && leg_is_established(caller))
        session->connect_deadline = seconds_from_now(wsf, "connect_time");
}

static void settle(struct wsf *wsf, struct session *session)
{
    bool lost = session->participant_id && !room_restore(wsf, session);
    const char *why = lost ? "its room could not be restored" : flaw(wsf, session);
    if (why) {
        g_autoptr(GError) error = NULL;
        problem_set(&error, PROBLEM_INTERNAL_ERROR, "the call cannot go on: %s", why);
        call_end(wsf, session, DISC_MEDIA_FAILURE, error, NULL, NULL);
        return;
    }
    if (session->phase < CALL_CONNECTING)
        settle_ringing(wsf, session);
    else
        settle_answered(wsf, session);
    end_lost(wsf, session);
}

void store_settle_calls(struct wsf *wsf)
{
    g_autoptr(GPtrArray) sessions = session_table_all(wsf->sessions);
    guint ended = 0;
    for (guint i = 0; i < sessions->len; i++) {
        struct session *session = g_ptr_array_index(sessions, i);
        settle(wsf, session);
        ended += session->phase == CALL_ENDED;
    }
    for (guint i = 0; i < sessions->len; i++) {
        const struct session *session = g_ptr_array_index(sessions, i);
        if (session->phase != CALL_ENDED && session->context_id)
            context_pipelines_expect(wsf->pipelines, session->wmcf, session->context_id);
    }
    if (sessions->len > 0)
        log_info(NULL, "%u calls go on, %u could not", sessions->len - ended, ended);
    wsf_schedule_sessions(wsf);
}
