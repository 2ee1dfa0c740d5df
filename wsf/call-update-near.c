/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of an answered call, the initiator's part: our answer to its offer, or our offer to it,
 * limited to what the far side has agreed to; then routes and gates, so that media flow when the
 * initiator hears of it. */
#define LOG_CATEGORY "update"
#include "wsf/call-change.h"
#include "wsf/call-transcode.h"

static void finish_answered(struct wsf *wsf, struct call_change *change)
{
    struct leg *near = change->near;
    json_auto_t *user_data = json_incref(change->user_data);
    bool gone = change->near_void;
    change_finish(wsf, near->session);
    if (gone) {
        /* It was away for a moment and has rolled its offer back: the network's settles it. */
        leg_offer_done(near);
        near->need = LEG_NEEDS_OFFER;
        change_next(wsf, near->session);
    } else {
        leg_send_answer(wsf, near, user_data); /* 6.3.2.6.x.3.1 step 4 */
    }
}

/* What the initiator says to a far side that has nothing to negotiate. */
static void tell_far_data(struct wsf *wsf, struct call_change *change)
{
    if (change->user_data && !change->far_changed)
        leg_send_update(wsf, change->far,
                        json_pack("{s:o}", "userData", g_steal_pointer(&change->user_data)));
}

static void on_routes_set(struct media_step *step)
{
    struct call_change *change = change_of(step);
    struct wsf *wsf = step->wsf;
    if (!change)
        return;
    if (step->error) {
        change_fail_step(wsf, change, step);
        return;
    }
    if (change_is_doomed(wsf, change))
        return;
    if (change->far_changed && change->far->session->gates_asked && step->leg == change->near) {
        media_set(change_step_new(wsf, change, change->far, on_routes_set), NULL,
                  media_policy(wsf, change->far));
        return;
    }
    if (change->kind == CHANGE_RESOURCE)
        change_switched(wsf, change);
    call_path_negotiated(wsf, change->near);
    if (change->kind == CHANGE_OFFER)
        finish_answered(wsf, change);
    else
        change_finish(wsf, step->session);
}

void change_set_routes(struct wsf *wsf, struct call_change *change)
{
    struct leg *near = change->near, *far = leg_far(near);
    /* In a room the network's offers bring more media. */
    bool gates =
        near->session->gates_asked && (change->kind != CHANGE_NETWORK || near->session->stay);
    change_set_step(change, CHANGE_ROUTES);
    media_set(change_step_new(wsf, change, near, on_routes_set), media_routes(wsf, near, far),
              gates ? media_policy(wsf, near) : NULL);
}

static void on_answer_made(struct media_step *step)
{
    struct call_change *change = change_of(step);
    struct wsf *wsf = step->wsf;
    g_autoptr(GError) error = NULL;
    offer_template_auto *answer = NULL, *told = NULL;
    if (!change)
        return;
    if (step->error) {
        change_fail_step(wsf, change, step);
        return;
    }
    change->near_changed = true;
    answer = offer_template_parse(step->sdp, conf_int(wsf->conf, "call", "sdp_max"), &error);
    if (answer)
        told = offer_template_chosen(answer, &error);
    if (!told) {
        change_fail(wsf, change, error, NULL);
        return;
    }
    struct offer_template *negotiated = offer_template_mirror(told);
    leg_set_negotiated(change->near, g_steal_pointer(&told), negotiated);
    leg_keep_our_answer(change->near, step->sdp);
    call_candidates_ready(wsf, change->near);
    if (!change_is_doomed(wsf, change))
        change_set_routes(wsf, change);
}

/* What the far side has agreed to, as the initiator can have it. Transfer full. */
static struct offer_template *agreed_of(const struct wsf *wsf, const struct call_change *change)
{
    offer_template_auto *adapted = transcode_adapt(
        change->wanted, change->far->negotiated, call_transcode_skills(wsf, change->near->session));
    return offer_template_limit(change->wanted, adapted);
}

static void answer_near(struct wsf *wsf, struct call_change *change)
{
    struct leg *near = change->near;
    offer_template_auto *limit = agreed_of(wsf, change);
    const struct media_question question = {
        .sdp = near->peer_offer, .limit = limit, .source = change->far->last_answer};
    change_set_step(change, CHANGE_NEAR_ANSWER);
    media_answer(change_step_new(wsf, change, near, on_answer_made), &question);
}

void change_settle_near(struct wsf *wsf, struct call_change *change)
{
    tell_far_data(wsf, change);
    if (change->kind == CHANGE_OFFER) {
        answer_near(wsf, change);
        return;
    }
    offer_template_auto *agreed = agreed_of(wsf, change);
    change->near_wanted = offer_template_towards(agreed, change->near->told);
    change_offer(wsf, change, change->near);
}
