/* SPDX-License-Identifier: Apache-2.0 */
/* `modify`: a new step of a termination's negotiation, routes of its context, its policy. Several
 * members are all done or none: everything is read and checked first; the one step that can fail
 * later, the negotiation, comes before those that cannot. */
#define LOG_CATEGORY "modify"
#include "wmcf/controller.h"
#include "wmcf/methods/methods.h"
#include "wmcf/template-read.h"
#include "wmcf/topology.h"
#include "wsf-link/json-read.h"

struct modify {
    struct context *context;
    struct termination *termination;
    const char *sdp_offer, *sdp_answer;
    struct sdp_template *offer_template, *answer_template;
    bool rollback;
    struct policy_set policies;
    struct event_mask events;
    bool events_said;
    const json_t *app_data;
};

static bool refuse_unsupported(const json_t *message, GError **error)
{
    static const struct {
        const char *name, *pointer, *sentence;
    } rows[] = {
        {"restartIce", "/restartIce", "ICE restart is not in this release"},
        {"candidates", "/candidates",
         "an ICE-lite termination needs no candidates of the endpoint; leave them out"},
        {"preferredLayer", "/preferredLayer", "simulcast layers are not in this release"},
        {"pipeline", "/pipeline", "pipeline terminations are not in this release"},
        {"seek", "/seek", "pipeline terminations are not in this release"},
        {"pause", "/pause", "pipeline terminations are not in this release"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (json_object_get(message, rows[i].name)) {
            problem_set_param(error, PROBLEM_EXTENSION_NOT_SUPPORTED, rows[i].pointer, "%s",
                              rows[i].sentence);
            return false;
        }
    return true;
}

static bool read_negotiation(const json_t *message, struct modify *m, GError **error)
{
    if (!json_read_string(message, "", "sdpOffer", JSON_OPTIONAL, SDP_MAX_OCTETS, &m->sdp_offer,
                          error) ||
        !json_read_string(message, "", "sdpAnswer", JSON_OPTIONAL, SDP_MAX_OCTETS, &m->sdp_answer,
                          error) ||
        !json_read_boolean(message, "", "rollback", JSON_OPTIONAL, &m->rollback, error))
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
    if (m->answer_template && !m->sdp_offer) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/answerTemplate",
                          "answerTemplate goes with sdpOffer");
        return false;
    }
    return true;
}

static bool read_modify(struct wmcf *wmcf, struct link *link, const json_t *message,
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
    return m->termination && refuse_unsupported(message, error) &&
           read_negotiation(message, m, error) && policy_set_read(message, &m->policies, error) &&
           event_mask_read(message, &m->events, &m->events_said, error) &&
           method_read_app_data(message, &m->app_data, error);
}

/* *ret_sdp stays NULL where the step gives none. */
static bool negotiate(struct modify *m, char **ret_sdp, GError **error)
{
    if (m->sdp_answer)
        return termination_accept_answer(m->termination, m->sdp_answer, error);
    if (m->rollback)
        return termination_rollback(m->termination, error);
    if (m->sdp_offer)
        return (*ret_sdp = termination_make_answer(m->termination, m->sdp_offer, m->answer_template,
                                                   error)) != NULL;
    if (m->offer_template)
        return (*ret_sdp = termination_make_offer(m->termination, m->offer_template, error)) !=
               NULL;
    return true;
}

/* A rollback takes the media of the withdrawn offer away; a route must not lead to one of them. */
static bool routes_survive(const struct modify *m, const GArray *routes, GError **error)
{
    for (guint i = 0; m->rollback && i < routes->len; i++) {
        const struct route *route = &g_array_index(routes, struct route, i);
        const char *mid = route->to == m->termination     ? route->to_media->mid
                          : route->from == m->termination ? route->from_mid
                                                          : NULL;
        if (!mid || termination_in_force(m->termination, mid))
            continue;
        g_autofree char *pointer = g_strdup_printf("/routes/%u", i);
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                          "the rollback takes mid %s of %s away", mid, m->termination->id);
        return false;
    }
    return true;
}

static json_t *run(struct wmcf *wmcf, struct link *link, const json_t *message, struct modify *m,
                   GError **error)
{
    if (!read_modify(wmcf, link, message, m, error))
        return NULL;
    g_autoptr(GArray) routes = routes_read(m->context, message, error);
    g_autofree char *sdp = NULL;
    if (!routes || !routes_survive(m, routes, error) || !negotiate(m, &sdp, error))
        return NULL;
    struct termination *t = m->termination;
    if (m->events_said)
        t->events = m->events;
    if (m->app_data) {
        json_decref(t->app_data);
        t->app_data = json_deep_copy(m->app_data);
    }
    routes_apply(routes);
    termination_apply_policies(t, &m->policies);
    g_free(m->context->instance);
    m->context->instance = g_strdup(controller_link_instance(link));
    json_t *members = json_pack("{s:s, s:s, s:o}", "contextId", m->context->id, "terminationId",
                                t->id, "medias", termination_medias_json(t));
    if (sdp)
        json_object_set_new(members, m->sdp_offer ? "sdpAnswer" : "sdpOffer", json_string(sdp));
    return members;
}

void handle_modify(struct wmcf *wmcf, struct link *link, struct link_transaction *txn)
{
    struct modify m = {0};
    GError *error = NULL;
    json_t *members = run(wmcf, link, link_transaction_message(txn), &m, &error);
    if (members)
        link_succeed(txn, members);
    else
        method_fail(link, txn,
                    &(struct log_ids){.context = m.context ? m.context->id : NULL,
                                      .termination = m.termination ? m.termination->id : NULL},
                    error);
    sdp_template_free(m.offer_template);
    sdp_template_free(m.answer_template);
    policy_set_clear(&m.policies);
}
