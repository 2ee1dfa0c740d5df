/* SPDX-License-Identifier: Apache-2.0 */
/* Loss and resumption of an endpoint (A6). Requests that were unanswered at the loss are void, save
 * the ends, which are kept until they are acknowledged. Everything open is said again or made anew
 * when the endpoint is back, so nothing has to be remembered about what it may have heard. */
#define LOG_CATEGORY "call"
#include "wsf/call-quality.h"
#include "wsf/call.h"
#include "wsf/recording.h"
#include "wsf/room.h"

static json_t *listed(const char *media_session_id, const char *state, const char *pending)
{
    return json_pack("{s:s, s:s, s:s}", "mediaSessionId", media_session_id, "mediaSessionState",
                     state, "offerPending", pending);
}

json_t *client_media_sessions(struct wsf *wsf, const struct endpoint *endpoint)
{
    json_t *list = json_array();
    g_autoptr(GPtrArray) legs = session_table_legs_of(wsf->sessions, endpoint->number);
    for (guint i = 0; i < legs->len; i++) {
        const struct leg *leg = g_ptr_array_index(legs, i);
        if (leg_is_live(leg) && leg->acknowledged)
            json_array_append_new(list,
                                  listed(leg->media_session_id, session_state_name(leg->state),
                                         leg_offer_pending(leg)));
    }
    /* Ended while the endpoint was away: listed, so that the mdisc which follows finds it. */
    for (const GList *l = endpoint->ended.tail; l; l = l->prev) {
        const struct ended_session *ended = l->data;
        if (ended->mdisc)
            json_array_append_new(list, listed(ended->media_session_id,
                                               session_state_name(SESSION_TERMINATED), "none"));
    }
    return list;
}

/* --- offers made anew ----------------------------------------------------------------------------
 */

static void on_offer_anew(struct media_step *step)
{
    struct leg *leg = step->leg;
    g_autoptr(GError) error = NULL;
    if (!step->session || !leg_is_live(leg) || leg->offer != OFFER_NONE)
        return;
    if (step->error || !leg_offer(leg, step->sdp, 0, &error)) {
        call_refused(step->wsf, leg, step->error ? step->error : error, false);
    } else if (leg->acknowledged) {
        leg_send_offer(step->wsf, leg, NULL);
    } else {
        /* The former msetup is void with its connection: this is another session. */
        leg_renew_id(step->wsf->sessions, leg);
        leg_send_setup(step->wsf, leg);
    }
}

static void on_rolled_back(struct media_step *step)
{
    struct leg *leg = step->leg;
    if (!step->session || !leg_is_live(leg) || leg->offer != OFFER_NONE)
        return;
    const struct media_offer offer = {.wanted = leg->told, .source = leg->session->pre_offer};
    media_offer(media_step_new(step->wsf, leg, on_offer_anew), &offer);
}

static void offer_anew(struct wsf *wsf, struct leg *leg)
{
    leg_offer_done(leg);
    media_rollback(media_step_new(wsf, leg, on_rolled_back));
}

/* A6: an offer that was outstanding at the loss is rolled back on both sides, and a new one made;
 * never is the same description sent again. */
static void resume_leg(struct wsf *wsf, struct leg *leg)
{
    if (leg_is_established(leg)) {
        bool unsure = leg->offer == OFFER_PEERS && leg->our_answer;
        if (call_update_resumed(wsf, leg))
            return;
        if (unsure) /* perhaps it has heard our answer, perhaps not: an offer of ours settles it */
            leg_offer_done(leg);
        call_network_need(wsf, leg, unsure ? LEG_NEEDS_OFFER : LEG_NEEDS_NOTHING);
    } else if (leg->offer == OFFER_OURS && !leg->answer_in_progress) {
        offer_anew(wsf, leg);
    } else if (leg->offer == OFFER_PEERS) {
        leg_offer_done(leg); /* the caller is offered, then, what the callee has chosen */
    }
}

void client_resumed(struct wsf *wsf, struct endpoint *endpoint)
{
    for (const GList *l = endpoint->ended.tail; l; l = l->prev) {
        const struct ended_session *ended = l->data;
        if (ended->mdisc)
            endpoint_send_disconnect(wsf, endpoint, ended->media_session_id,
                                     json_deep_copy(ended->mdisc));
    }
    g_autoptr(GPtrArray) legs = session_table_legs_of(wsf->sessions, endpoint->number);
    for (guint i = 0; i < legs->len; i++) {
        struct leg *leg = g_ptr_array_index(legs, i);
        if (!leg_is_live(leg))
            continue;
        quality_tell_again(wsf, leg);
        room_tell_again(leg);
        recording_tell_again(wsf, leg);
        if (leg->room_news)
            leg_send_update(wsf, leg, json_deep_copy(leg->room_news));
        resume_leg(wsf, leg);
    }
}

void client_lost(struct wsf *wsf, const struct endpoint *endpoint)
{
    g_autoptr(GPtrArray) legs = session_table_legs_of(wsf->sessions, endpoint->number);
    for (guint i = 0; i < legs->len; i++) {
        struct leg *leg = g_ptr_array_index(legs, i);
        leg->offer_deadline = 0; /* the time to live counts now */
        call_update_lost(wsf, leg);
    }
}

void client_removed(struct wsf *wsf, struct endpoint *endpoint, enum registrar_removal removal)
{
    bool lost = removal == REGISTRAR_LOST || removal == REGISTRAR_EVICTED;
    enum disc_cause cause = lost ? DISC_PEER_LOST : DISC_REGISTRATION_EXPIRED;
    g_autoptr(GPtrArray) legs = session_table_legs_of(wsf->sessions, endpoint->number);
    g_autoptr(GError) error = NULL;
    problem_set(&error, PROBLEM_USER_NOT_REGISTERED, "the user is not registered any more");
    for (guint i = 0; i < legs->len; i++) {
        struct leg *leg = g_ptr_array_index(legs, i);
        if (!leg_is_live(leg))
            continue;
        if (leg->caller || leg == leg->session->winner)
            call_end(wsf, leg->session, cause, NULL, NULL, NULL);
        else
            call_branch_end(wsf, leg, cause, error, false);
    }
}
