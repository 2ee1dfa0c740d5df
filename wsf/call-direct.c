/* SPDX-License-Identifier: Apache-2.0 */
/* Direct media (protocol A6; the pattern client – network without media gateway – client): the
 * descriptions and candidates of two clients pass as they are, and no media centre takes part. The
 * WSF still is the other end of every transaction and still decides who may call whom; what it
 * gives up is the enforcement, so a row of the policy table must allow it, and both ends must be
 * able to. */
#define LOG_CATEGORY "call"
#include "wsf/call-direct.h"

#include "wsf/call.h"
#include "wsf/methods/methods.h"

/* --- steps ---------------------------------------------------------------------------------------
 */

/* What the far side has said, or why there is none. */
static void pass_on(struct media_step *step, const char *source)
{
    GError *error = NULL;
    if (!source)
        problem_set(&error, PROBLEM_INVALID_STATE,
                    "the far side has given no description that could be passed on");
    media_step_finish_later(step, source, error);
}

/* --- candidates ----------------------------------------------------------------------------------
 */

static void forward(struct wsf *wsf, struct leg *to, const json_t *candidates, bool end)
{
    json_t *members = json_object();
    if (candidates)
        json_object_set(members, "candidates", (json_t *)candidates);
    if (end)
        json_object_set_new(members, "endOfCandidates", json_true());
    leg_send_update(wsf, to, members);
}

/* A called endpoint's addresses are nobody's business before it has answered (A7), and of no use
 * before the answer is there. */
static bool hold(const struct wsf *wsf, struct leg *leg, const json_t *candidates, bool end,
                 GError **error)
{
    size_t max = conf_int(wsf->conf, "call", "candidates_max");
    if (!leg->held_candidates)
        leg->held_candidates = json_array();
    if (json_array_size(leg->held_candidates) + json_array_size(candidates) > max) {
        problem_set_param(error, PROBLEM_TOO_MANY_REQUESTS, "/candidates",
                          "more than %zu candidates wait for the answer", max);
        return false;
    }
    json_array_extend(leg->held_candidates, (json_t *)candidates);
    leg->held_end |= end;
    return true;
}

static void direct_candidates(struct media_step *step, const json_t *candidates, bool end)
{
    struct leg *leg = step->leg, *far = leg_far(leg);
    const struct session *session = leg->session;
    GError *error = NULL;
    if (far && (leg->caller || leg_is_established(far)))
        forward(step->wsf, far, candidates, end);
    else if (!leg->caller)
        hold(step->wsf, leg, candidates, end, &error);
    for (guint i = 0; leg->caller && !far && i < session->branches->len; i++) {
        struct leg *branch = g_ptr_array_index(session->branches, i);
        if (leg_is_live(branch))
            forward(step->wsf, branch, candidates, end);
    }
    media_step_finish_later(step, NULL, error);
}

/* --- the way -------------------------------------------------------------------------------------
 */

static void direct_offer(struct media_step *step, const struct media_offer *offer)
{
    pass_on(step, offer->source);
}

/* No media centre will tell when the two have found each other: they are taken at their word. */
static void direct_accept(struct media_step *step, const char *answer, json_t *routes)
{
    json_decref(routes);
    step->leg->ice_connected = step->leg->dtls_connected = true;
    media_step_finish_later(step, NULL, NULL);
}

static void direct_answer(struct media_step *step, const struct media_question *question)
{
    step->leg->ice_connected = step->leg->dtls_connected = true;
    pass_on(step, question->source);
}

static void direct_rollback(struct media_step *step)
{
    media_step_finish_later(step, NULL, NULL);
}

static void direct_set(struct media_step *step, json_t *routes, json_t *policy)
{
    json_decref(routes);
    json_decref(policy);
    media_step_finish_later(step, NULL, NULL);
}

static void direct_release(struct wsf *wsf, struct leg *leg)
{
}

const struct leg_media media_direct = {
    .name = "direct",
    .passes_descriptions = true,
    .offer = direct_offer,
    .accept = direct_accept,
    .answer = direct_answer,
    .rollback = direct_rollback,
    .set = direct_set,
    .candidates = direct_candidates,
    .release = direct_release,
};

/* --- who may -------------------------------------------------------------------------------------
 */

static const char *const needed[] = {DIRECT_MEDIA, PRE_OFFER_AS_OFFER, TRICKLE_ICE};

static bool is_able(const struct endpoint *endpoint)
{
    for (size_t i = 0; i < G_N_ELEMENTS(needed); i++)
        if (!endpoint_supports(endpoint, needed[i]))
            return false;
    return endpoint->kind == ENDPOINT_CLIENT;
}

bool direct_is_possible(const struct wsf *wsf, const struct link_transaction *setup,
                        const struct endpoint *caller, const struct route *route, guint policy)
{
    for (size_t i = 0; i < G_N_ELEMENTS(needed); i++)
        if (!link_transaction_supports(setup, needed[i]))
            return false;
    if (route->kind != ROUTE_USER || caller->kind != ENDPOINT_CLIENT ||
        !policy_direct_media(wsf->policy, policy) || policy_record(wsf->policy, policy))
        return false;
    for (guint i = 0; i < route->endpoints->len; i++)
        if (!is_able(g_ptr_array_index(route->endpoints, i)))
            return false;
    return true;
}

json_t *direct_extensions(void)
{
    return json_pack("[s, s]", DIRECT_MEDIA, TRICKLE_ICE);
}
