/* SPDX-License-Identifier: Apache-2.0 */
/* Trickled candidates of an endpoint (A6, `trickle-ice`). They belong to the description that the
 * endpoint has made last; while that has not reached whoever is to use it they wait here, bounded,
 * and go with it. Where they come at the wrong time they are refused, so that a mistake is seen. */
#define LOG_CATEGORY "trickle"
#include "wsf/call.h"

#include <string.h>

void leg_note_description(struct leg *leg, const char *sdp)
{
    const char *options = strstr(sdp, "a=ice-options:");
    gsize length = options ? strcspn(options, "\r\n") : 0;
    g_autofree char *line = options ? g_strndup(options, length) : NULL;
    leg->trickles = line && strstr(line, "trickle") && !strstr(sdp, "a=end-of-candidates");
    leg->n_candidates = 0;
}

static bool may_trickle(const struct leg *leg, GError **error)
{
    if (leg->offer != OFFER_NONE || leg->answer_in_progress || leg->trickles)
        return true;
    problem_set_param(
        error, PROBLEM_INVALID_MESSAGE, "/candidates",
        "no offer is outstanding on this media session, and its descriptions have all "
        "candidates");
    return false;
}

static bool within_limit(const struct wsf *wsf, struct leg *leg, const json_t *candidates,
                         GError **error)
{
    size_t max = conf_int(wsf->conf, "call", "candidates_max");
    if (leg->n_candidates + json_array_size(candidates) <= max) {
        leg->n_candidates += json_array_size(candidates);
        return true;
    }
    problem_set_param(error, PROBLEM_TOO_MANY_REQUESTS, "/candidates",
                      "one description has at most %zu candidates", max);
    return false;
}

/* The description that they belong to is not in the media centre yet. */
static bool must_wait(const struct leg *leg)
{
    return !leg->termination_id || leg->offer == OFFER_OURS ||
           (leg->offer == OFFER_PEERS && !leg->our_answer);
}

static void on_taken(struct media_step *step)
{
    if (step->leg && step->error)
        leg_fail(step->leg, step->transaction, step->error);
    else if (step->leg)
        leg_succeed(step->leg, step->transaction, NULL);
    else
        leg_fail_gone(step->transaction);
}

void call_candidates(struct wsf *wsf, struct leg *leg, const json_t *candidates, bool end,
                     struct link_transaction *transaction)
{
    g_autoptr(GError) error = NULL;
    if (!may_trickle(leg, &error) || !within_limit(wsf, leg, candidates, &error)) {
        leg_fail(leg, transaction, error);
        return;
    }
    if (leg->media->passes_descriptions || !must_wait(leg)) {
        if (end && leg->offer != OFFER_OURS)
            leg->trickles = false;
        struct media_step *step = media_step_new(wsf, leg, on_taken);
        step->transaction = transaction;
        media_candidates(step, candidates, end);
        return;
    }
    if (!leg->held_candidates)
        leg->held_candidates = json_array();
    json_array_extend(leg->held_candidates, (json_t *)candidates);
    leg->held_end |= end;
    leg_succeed(leg, transaction, NULL);
}

static void release(struct wsf *wsf, struct leg *leg)
{
    if (!leg->held_candidates)
        return;
    json_auto_t *held = g_steal_pointer(&leg->held_candidates);
    media_candidates(media_step_new(wsf, leg, on_taken), json_array_size(held) ? held : NULL,
                     leg->held_end);
    if (leg->held_end)
        leg->trickles = false;
    leg->held_end = false;
}

void call_candidates_ready(struct wsf *wsf, struct leg *leg)
{
    if (!leg->media->passes_descriptions)
        release(wsf, leg);
}

void call_candidates_passed(struct wsf *wsf, struct leg *leg)
{
    if (leg->media->passes_descriptions)
        release(wsf, leg);
}

void call_candidates_void(struct leg *leg)
{
    g_clear_pointer(&leg->held_candidates, json_decref);
    leg->held_end = false;
}
