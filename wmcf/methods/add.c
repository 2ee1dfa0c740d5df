/* SPDX-License-Identifier: Apache-2.0 */
/* `add`: a new termination, in a new context or one that is there. Whatever fails, nothing of it
 * stays: a context made for it goes again. */
#define LOG_CATEGORY "add"
#include "wmcf/controller.h"
#include "wmcf/methods/methods.h"
#include "wmcf/negotiation.h"
#include "wmcf/template-read.h"
#include "wmcf/termination.h"
#include "wsf-link/json-read.h"

#define APP_DATA_MAX 4096

struct add {
    const char *context_id, *sdp_offer;
    struct sdp_template *offer_template, *answer_template;
    bool ice_full;
    bool has_topology;
    enum topology topology;
    struct policy_set policies;
    struct event_mask events;
    const json_t *app_data;
};

static bool read_kind(const json_t *message, struct add *add, GError **error)
{
    add->offer_template = template_read(message, "offerTemplate", error);
    if (*error)
        return false;
    add->answer_template = template_read(message, "answerTemplate", error);
    if (*error)
        return false;
    if (!json_read_string(message, "", "sdpOffer", JSON_OPTIONAL, SDP_MAX_OCTETS, &add->sdp_offer,
                          error))
        return false;
    if (!add->offer_template == !add->sdp_offer) {
        problem_set(error, add->sdp_offer ? PROBLEM_INVALID_MESSAGE : PROBLEM_MISSING_PARAMETER,
                    "add takes exactly one of offerTemplate, sdpOffer and pipeline");
        return false;
    }
    if (add->answer_template && !add->sdp_offer) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/answerTemplate",
                          "answerTemplate goes with sdpOffer");
        return false;
    }
    return true;
}

static bool read_modes(const json_t *message, struct add *add, GError **error)
{
    static const char *const ice_modes[] = {"lite", "full", NULL};
    static const char *const media_paths[] = {"relay", "pipeline", NULL};
    int ice_mode = 0, media_path = 0, topology = -1;
    if (!json_read_choice(message, "", "iceMode", JSON_OPTIONAL, ice_modes, &ice_mode, error) ||
        !json_read_choice(message, "", "mediaPath", JSON_OPTIONAL, media_paths, &media_path,
                          error) ||
        !json_read_choice(message, "", "topology", JSON_OPTIONAL, topology_names, &topology, error))
        return false;
    if (media_path != 0) {
        problem_set_param(error, PROBLEM_EXTENSION_NOT_SUPPORTED, "/mediaPath",
                          "this release has mediaPath \"relay\" only");
        return false;
    }
    add->ice_full = ice_mode == 1;
    add->has_topology = topology >= 0;
    if (add->has_topology)
        add->topology = topology;
    return true;
}

bool method_read_app_data(const json_t *message, const json_t **ret, GError **error)
{
    const json_t *data = json_object_get(message, "appData");
    *ret = data;
    if (!data)
        return true;
    if (json_dumpb(data, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY) <= APP_DATA_MAX)
        return true;
    problem_set_param(error, PROBLEM_MESSAGE_TOO_LARGE, "/appData",
                      "appData holds at most %u octets", APP_DATA_MAX);
    return false;
}

static bool read_add(const struct wmcf *wmcf, const json_t *message, struct add *add,
                     GError **error)
{
    bool events_said = false;
    return json_read_string(message, "", "contextId", JSON_OPTIONAL, 64, &add->context_id, error) &&
           read_kind(message, add, error) && read_modes(message, add, error) &&
           policy_set_read(wmcf->qos, message, &add->policies, error) &&
           event_mask_read(message, &add->events, &events_said, error) &&
           method_read_app_data(message, &add->app_data, error);
}

static struct context *context_for(struct wmcf *wmcf, struct link *link, const struct add *add,
                                   GError **error)
{
    const char *owner = controller_link_identity(link);
    if (!add->context_id)
        return context_new(wmcf, owner, add->has_topology ? add->topology : TOPOLOGY_EXPLICIT,
                           error);
    struct context *context = context_find(wmcf, add->context_id, owner, error);
    if (context && add->has_topology && add->topology != context->topology) {
        problem_set_param(error, PROBLEM_INVALID_STATE, "/topology", "context %s is a %s topology",
                          context->id, topology_names[context->topology]);
        return NULL;
    }
    return context;
}

static json_t *run(struct wmcf *wmcf, struct link *link, struct add *add, GError **error)
{
    struct context *context = context_for(wmcf, link, add, error);
    if (!context)
        return NULL;
    negotiation_autoptr step = NULL;
    struct termination *t = termination_new(context, add->ice_full, error);
    if (t) {
        t->events = add->events;
        /* Before the description: a gate that is said open is open for the first packet. */
        termination_apply_policies(t, &add->policies);
        step = add->sdp_offer ? negotiation_answer(t, add->sdp_offer, add->answer_template, error)
                              : negotiation_offer(t, add->offer_template, false, error);
    }
    if (!step || !negotiation_commit(step, error)) {
        if (t)
            termination_release(t);
        if (!add->context_id)
            context_free(context);
        return NULL;
    }
    if (add->app_data) {
        t->app_data = json_deep_copy(add->app_data);
        if (!add->context_id)
            context->app_data = json_incref(t->app_data);
    }
    g_free(context->instance);
    context->instance = g_strdup(controller_link_instance(link));
    return json_pack("{s:s, s:s, s:s, s:o}", "contextId", context->id, "terminationId", t->id,
                     add->sdp_offer ? "sdpAnswer" : "sdpOffer", negotiation_sdp(step), "medias",
                     termination_medias_json(t));
}

void handle_add(struct wmcf *wmcf, struct link *link, struct link_transaction *txn)
{
    struct add add = {0};
    GError *error = NULL;
    json_t *members = NULL;
    if (json_object_get(link_transaction_message(txn), "pipeline")) {
        handle_add_pipeline(wmcf, link, txn);
        return;
    }
    if (read_add(wmcf, link_transaction_message(txn), &add, &error))
        members = run(wmcf, link, &add, &error);
    if (members)
        link_succeed(txn, members);
    else
        method_fail(link, txn, &(struct log_ids){.context = add.context_id}, error);
    sdp_template_free(add.offer_template);
    sdp_template_free(add.answer_template);
    policy_set_clear(&add.policies);
}
