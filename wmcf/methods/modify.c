/* SPDX-License-Identifier: Apache-2.0 */
/* `modify`: a new step of a termination's negotiation, candidates, routes of its context, its
 * policy. Several members are all done or none: the step is worked out first, the rest is read
 * against the m-lines that it will leave, and only then is anything done. */
#define LOG_CATEGORY "modify"
#include "wmcf/controller.h"
#include "wmcf/media-path.h"
#include "wmcf/methods/methods.h"
#include "wmcf/negotiation.h"
#include "wmcf/preferred-layer.h"
#include "wmcf/quality-report.h"
#include "wmcf/template-read.h"
#include "wmcf/topology.h"
#include "wsf-link/json-read.h"

struct modify {
    struct context *context;
    struct termination *termination;
    const char *sdp_offer, *sdp_answer;
    struct sdp_template *offer_template, *answer_template;
    bool rollback, restart_ice;
    struct trickled trickled;
    struct policy_set policies;
    struct event_mask events;
    bool events_said;
    const json_t *app_data;
    struct media_path_wanted path_wanted;
    struct media_path *path; /* ours until it is the termination's */
};

static bool read_negotiation(const json_t *message, struct modify *m, GError **error)
{
    if (!json_read_string(message, "", "sdpOffer", JSON_OPTIONAL, SDP_MAX_OCTETS, &m->sdp_offer,
                          error) ||
        !json_read_string(message, "", "sdpAnswer", JSON_OPTIONAL, SDP_MAX_OCTETS, &m->sdp_answer,
                          error) ||
        !json_read_boolean(message, "", "rollback", JSON_OPTIONAL, &m->rollback, error) ||
        !json_read_boolean(message, "", "restartIce", JSON_OPTIONAL, &m->restart_ice, error))
        return false;
    m->offer_template = template_read(message, "offerTemplate", error);
    if (*error)
        return false;
    m->answer_template = template_read(message, "answerTemplate", error);
    if (*error)
        return false;
    if (!!m->sdp_offer + !!m->sdp_answer + !!m->offer_template + m->rollback > 1) {
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "modify takes at most one of sdpOffer, sdpAnswer, offerTemplate and rollback");
        return false;
    }
    if (m->restart_ice && (m->sdp_offer || m->sdp_answer || m->rollback)) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/restartIce",
                          "restartIce makes an offer of ours; it goes with offerTemplate or alone");
        return false;
    }
    if (m->termination->pipeline &&
        (m->sdp_offer || m->sdp_answer || m->offer_template || m->rollback || m->restart_ice ||
         json_object_get(message, "candidates") || json_object_get(message, "endOfCandidates"))) {
        problem_set(error, PROBLEM_INVALID_STATE,
                    "the termination is a pipeline, which has no session description");
        return false;
    }
    if (m->answer_template && !m->sdp_offer) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/answerTemplate",
                          "answerTemplate goes with sdpOffer");
        return false;
    }
    return true;
}

static bool read_target(struct wmcf *wmcf, struct link *link, const json_t *message,
                        struct modify *m, GError **error)
{
    const char *context_id = NULL, *termination_id = NULL;
    if (!json_read_string(message, "", "contextId", JSON_REQUIRED, 64, &context_id, error) ||
        !json_read_string(message, "", "terminationId", JSON_REQUIRED, 64, &termination_id, error))
        return false;
    m->context = context_find(wmcf, context_id, controller_link_identity(link), error);
    if (!m->context)
        return false;
    m->termination = context_termination(m->context, termination_id, error);
    return m->termination != NULL;
}

static bool read_modify(struct wmcf *wmcf, struct link *link, const json_t *message,
                        struct modify *m, GError **error)
{
    return read_target(wmcf, link, message, m, error) && read_negotiation(message, m, error) &&
           policy_set_read(m->termination->pipeline ? NULL : wmcf->qos, message, &m->policies,
                           error) &&
           policy_set_fits(&m->termination->policies, &m->policies, error) &&
           event_mask_read(message, &m->events, &m->events_said, error) &&
           method_read_app_data(message, &m->app_data, error);
}

static bool read_path(const json_t *message, struct modify *m, GError **error)
{
    if (!media_path_read(message, &m->path_wanted, error))
        return false;
    if (m->path_wanted.said && m->termination->pipeline) {
        problem_set_param(error, PROBLEM_INVALID_STATE, "/mediaPath",
                          "the termination is a pipeline and has no path");
        return false;
    }
    if (m->path_wanted.relay)
        return true;
    m->path = media_path_new(m->termination, &m->path_wanted, error);
    return m->path != NULL;
}

/* *ret stays NULL when the message has no step. */
static bool negotiate(const struct modify *m, struct negotiation **ret, GError **error)
{
    if (m->sdp_answer)
        *ret = negotiation_accept(m->termination, m->sdp_answer, error);
    else if (m->rollback)
        *ret = negotiation_rollback(m->termination, error);
    else if (m->sdp_offer)
        *ret = negotiation_answer(m->termination, m->sdp_offer, m->answer_template, error);
    else if (m->offer_template || m->restart_ice)
        *ret = negotiation_offer(m->termination, m->offer_template, m->restart_ice, error);
    else
        return true;
    return *ret != NULL;
}

static void apply(struct modify *m, GArray *routes, const GArray *layers)
{
    struct termination *t = m->termination;
    if (m->events_said) {
        t->events = m->events;
        quality_report_follow(t);
    }
    if (m->app_data) {
        json_decref(t->app_data);
        t->app_data = json_deep_copy(m->app_data);
    }
    if (m->path_wanted.said)
        media_path_set(t, g_steal_pointer(&m->path));
    termination_trickle(t, &m->trickled);
    routes_apply(routes);
    preferred_layers_apply(t, layers);
    termination_apply_policies(t, &m->policies);
    if (m->events_said) /* activeSpeaker among them? */
        mesh_update(m->context);
}

static json_t *run(struct wmcf *wmcf, struct link *link, const json_t *message, struct modify *m,
                   GError **error)
{
    negotiation_autoptr step = NULL;
    if (!read_modify(wmcf, link, message, m, error) || !read_path(message, m, error) ||
        !negotiate(m, &step, error))
        return NULL;
    struct termination *t = m->termination;
    const struct sdp_description *remote = step ? negotiation_remote(step) : t->remote;
    g_autoptr(GArray) routes = routes_read(m->context, message, error);
    g_autoptr(GArray) layers = routes ? preferred_layers_read(t, message, error) : NULL;
    if (!layers || !trickled_read(message, remote, &m->trickled, error) ||
        (step && !negotiation_commit(step, error)))
        return NULL;
    apply(m, routes, layers);
    g_free(m->context->instance);
    m->context->instance = g_strdup(controller_link_instance(link));
    json_t *members = json_pack("{s:s, s:s, s:o}", "contextId", m->context->id, "terminationId",
                                t->id, "medias", termination_medias_json(t));
    if (step && negotiation_sdp(step))
        json_object_set_new(members, m->sdp_offer ? "sdpAnswer" : "sdpOffer",
                            json_string(negotiation_sdp(step)));
    return members;
}

/* The rest of the request is the pipeline's; the answer comes from there. */
static bool run_of_pipeline(struct wmcf *wmcf, struct link *link, struct link_transaction *txn,
                            struct modify *m, GError **error)
{
    const json_t *message = link_transaction_message(txn);
    if (!read_target(wmcf, link, message, m, error) ||
        !event_mask_read(message, &m->events, &m->events_said, error) ||
        !method_read_app_data(message, &m->app_data, error) ||
        !modify_pipeline(txn, m->termination, error))
        return false;
    if (m->events_said)
        m->termination->events = m->events;
    if (m->app_data) {
        json_decref(m->termination->app_data);
        m->termination->app_data = json_deep_copy(m->app_data);
    }
    g_free(m->context->instance);
    m->context->instance = g_strdup(controller_link_instance(link));
    return true;
}

void handle_modify(struct wmcf *wmcf, struct link *link, struct link_transaction *txn)
{
    struct modify m = {0};
    GError *error = NULL;
    const json_t *message = link_transaction_message(txn);
    bool of_pipeline = modify_is_of_pipeline(message);
    json_t *members = of_pipeline ? NULL : run(wmcf, link, message, &m, &error);
    if (members)
        link_succeed(txn, members);
    else if (!of_pipeline || !run_of_pipeline(wmcf, link, txn, &m, &error))
        method_fail(link, txn,
                    &(struct log_ids){.context = m.context ? m.context->id : NULL,
                                      .termination = m.termination ? m.termination->id : NULL},
                    error);
    sdp_template_free(m.offer_template);
    sdp_template_free(m.answer_template);
    policy_set_clear(&m.policies);
    trickled_clear(&m.trickled);
    media_path_free(m.path);
}
