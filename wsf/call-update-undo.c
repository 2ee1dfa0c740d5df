/* SPDX-License-Identifier: Apache-2.0 */
/* The way back from a change that has failed: whoever has an offer of ours learns that it is void,
 * the media centre rolls it back, the initiator's offer is refused, and a side that had changed
 * already is owed an offer with the media that it had (A6: the session stays as it was). */
#define LOG_CATEGORY "update"
#include "wsf/call-change.h"

static void bring_back(struct leg *leg, struct change_memory *before, bool changed)
{
    if (!leg)
        return;
    if (changed && leg->endpoint)
        leg->need = MAX(leg->need, LEG_NEEDS_OFFER);
    /* What is in force stays so until the endpoint has agreed to the former. */
    leg_set_negotiated(leg, g_steal_pointer(&before->told),
                       changed ? NULL : g_steal_pointer(&before->negotiated));
}

static void tell_initiator(struct wsf *wsf, struct call_change *change, const GError *error)
{
    struct leg *near = change->near;
    if (change->kind == CHANGE_NETWORK)
        return;
    if (near->state == SESSION_MODIFYING)
        leg_set_state(wsf->sessions, near, SESSION_ESTABLISHED, "change failed");
    if (change->request) {
        leg_fail(near, g_steal_pointer(&change->request), error);
        return;
    }
    g_autofree char *offer_id = g_strdup(near->peer_offer_id);
    if (near->offer == OFFER_PEERS)
        leg_offer_done(near);
    call_candidates_void(near);
    if (!change->near_void)
        leg_send_refusal(wsf, near, error, offer_id);
}

static void on_rolled_back(struct media_step *step)
{
    struct call_change *change = change_of(step);
    if (!change)
        return;
    if (step->unheard)
        step->leg->unheard = true;
    if (change->refusal)
        tell_initiator(step->wsf, change, change->refusal);
    change_finish(step->wsf, step->session);
}

static struct leg *offered_leg(const struct call_change *change)
{
    if (change->far && change->far->offer == OFFER_OURS)
        return change->far;
    return change->near->offer == OFFER_OURS ? change->near : NULL;
}

void change_fail(struct wsf *wsf, struct call_change *change, const GError *error,
                 const struct leg *by)
{
    struct session *session = change->near->session;
    struct log_ids ids = session_ids(session);
    if (change->in_flight) {
        if (!change->doom)
            change->doom = g_error_copy(error);
        change->doomed_by = by;
        return;
    }
    session->change_deadline = 0;
    if (change->kind == CHANGE_NETWORK && change_network_failed(wsf, change, error))
        return;
    log_info(&ids, "a change of the call has failed (%s): %s", change_step_name(change->step),
             error->message);
    if (change->kind == CHANGE_RESOURCE)
        change_switch_back(wsf, change, error);
    struct leg *offered = offered_leg(change);
    if (by != change->near &&
        (change->kind == CHANGE_OFFER || change->request || offered != change->near))
        change->refusal = g_error_copy(error);
    if (offered) {
        g_autofree char *offer_id = leg_offer_id(offered);
        leg_offer_done(offered);
        call_candidates_void(offered);
        if (offered->state == SESSION_MODIFYING)
            leg_set_state(wsf->sessions, offered, SESSION_ESTABLISHED, "offer void");
        if (offered != by) {
            offered->withdrawn = offered->offer_number;
            leg_send_refusal(wsf, offered, error, offer_id);
        }
    }
    bring_back(change->near, &change->near_before, change->near_changed);
    bring_back(change->far, &change->far_before, change->far_changed);
    change_set_step(change, CHANGE_UNDO);
    if (offered) {
        media_rollback(change_step_new(wsf, change, offered, on_rolled_back));
        return;
    }
    if (change->refusal)
        tell_initiator(wsf, change, change->refusal);
    change_finish(wsf, session);
}

void change_fail_step(struct wsf *wsf, struct call_change *change, const struct media_step *step)
{
    struct leg *leg = step->leg;
    g_autoptr(GError) error = g_error_copy(step->error);
    bool applying = change->step == CHANGE_NEAR_APPLY || change->step == CHANGE_FAR_APPLY;
    /* A6: a refused answer makes the network offer anew. When nobody was heard, either may hold. */
    if (applying || step->unheard)
        leg->need = MAX(leg->need, LEG_NEEDS_OFFER);
    if (step->unheard)
        leg->unheard = true;
    g_clear_error(&change->doom);
    change_fail(wsf, change, error, applying ? leg : NULL);
}

void call_update_time_out(struct wsf *wsf, struct session *session)
{
    g_autoptr(GError) error = NULL;
    session->change_deadline = 0;
    if (!session->change)
        return;
    problem_set(&error, PROBLEM_PEER_TIMEOUT, "the offer was not answered in time");
    change_fail(wsf, session->change, error, NULL);
}

void call_update_lost(struct wsf *wsf, struct leg *leg)
{
    struct call_change *change = leg->session->change;
    g_autoptr(GError) error = NULL;
    /* Our own offers wait for the resumption; an offer of the lost side does not exist any more. */
    if (!change || leg != change->near || leg->offer != OFFER_PEERS)
        return;
    change->near_void = true;
    if (change->step != CHANGE_FAR_OFFER && change->step != CHANGE_FAR_WAIT)
        return;
    problem_set(&error, PROBLEM_PEER_TIMEOUT, "the side that has made the offer is lost");
    change_fail(wsf, change, error, NULL);
}

struct leg_former call_update_former(const struct leg *leg)
{
    const struct call_change *change = leg->session->change;
    struct leg_former former = {leg->told, leg->negotiated, leg->need, leg->unheard};
    if (!change || (leg != change->near && leg != change->far))
        return former;
    bool near = leg == change->near;
    const struct change_memory *before = near ? &change->near_before : &change->far_before;
    bool changed = near ? change->near_changed : change->far_changed;
    if (before->told)
        former.told = before->told;
    if (before->negotiated && !changed)
        former.negotiated = before->negotiated;
    if (leg->media->passes_descriptions || !leg->endpoint)
        return former; /* the network has nothing of its own to offer, or nobody to offer it to */
    /* Where an answer or a request was on its way is not known: an offer settles it on both sides.
     */
    bool restart = change->kind == CHANGE_NETWORK && change->restart_ice;
    former.need = MAX(former.need, restart ? LEG_NEEDS_RESTART : LEG_NEEDS_OFFER);
    former.unheard = true;
    return former;
}
