/* SPDX-License-Identifier: Apache-2.0 */
/* `add`: a new termination, in a new context or one that is there. Whatever fails, nothing of it
 * stays: a context made for it goes again. One that has to gather candidates is answered when it
 * has. */
#define LOG_CATEGORY "add"
#include "wmcf/controller.h"
#include "wmcf/ice-traversal.h"
#include "wmcf/media-path.h"
#include "wmcf/methods/add-context.h"
#include "wmcf/methods/methods.h"
#include "wmcf/negotiation.h"
#include "wmcf/template-read.h"
#include "wmcf/termination.h"
#include "wsf-link/json-read.h"

#define APP_DATA_MAX 4096

struct add {
    struct link_transaction *txn;
    char *own_context; /* that was opened for it, NULL = one that was there */
    struct add_context context;
    const char *sdp_offer;
    struct sdp_template *offer_template, *answer_template;
    enum ice_mode ice_mode;
    struct media_path_wanted path;
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
    static const char *const ice_modes[] = {"lite", "full", "traversal", NULL};
    int ice_mode = 0;
    if (!json_read_choice(message, "", "iceMode", JSON_OPTIONAL, ice_modes, &ice_mode, error) ||
        !media_path_read(message, &add->path, error))
        return false;
    add->ice_mode = (enum ice_mode)ice_mode;
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
    return add_context_read(message, &add->context, error) && read_kind(message, add, error) &&
           read_modes(message, add, error) &&
           policy_set_read(wmcf->qos, message, &add->policies, error) &&
           event_mask_read(message, &add->events, &events_said, error) &&
           method_read_app_data(message, &add->app_data, error);
}

static void add_free(struct add *add)
{
    sdp_template_free(add->offer_template);
    sdp_template_free(add->answer_template);
    policy_set_clear(&add->policies);
    g_free(add->own_context);
    g_free(add);
}

/* The first description, in a context that may be ours alone. */
static json_t *describe(const struct add *add, struct termination *t, GError **error)
{
    struct context *context = t->context;
    negotiation_autoptr step =
        add->sdp_offer ? negotiation_answer(t, add->sdp_offer, add->answer_template, error)
                       : negotiation_offer(t, add->offer_template, false, error);
    if (!step || !negotiation_commit(step, error)) {
        termination_release(t);
        /* Somebody may have been put beside it meanwhile. */
        if (add->own_context && context->order->len == 0)
            context_free(context);
        return NULL;
    }
    return json_pack("{s:s, s:s, s:s, s:o}", "contextId", context->id, "terminationId", t->id,
                     add->sdp_offer ? "sdpAnswer" : "sdpOffer", negotiation_sdp(step), "medias",
                     termination_medias_json(t));
}

static struct termination *make(struct wmcf *wmcf, struct link *link, struct add *add,
                                GError **error)
{
    struct context *context = add_context_get(wmcf, link, &add->context, error);
    if (!context)
        return NULL;
    struct termination *t = termination_new(context, add->ice_mode, error);
    if (!t) {
        if (!add->context.id)
            context_free(context);
        return NULL;
    }
    if (!add->context.id)
        add->own_context = g_strdup(context->id);
    struct media_path *path = NULL;
    if (!add->path.relay && !(path = media_path_new(t, &add->path, error))) {
        termination_release(t);
        if (!add->context.id)
            context_free(context);
        return NULL;
    }
    media_path_set(t, path);
    t->events = add->events;
    /* Before the description: a gate that is said open is open for the first packet. */
    termination_apply_policies(t, &add->policies);
    if (add->app_data) {
        t->app_data = json_deep_copy(add->app_data);
        if (!add->context.id)
            context->app_data = json_incref(t->app_data);
    }
    g_free(context->instance);
    context->instance = g_strdup(controller_link_instance(link));
    return t;
}

/* Candidates of iceMode "traversal" take a moment; the message lives as long as its transaction,
 * the link that it came by may not. */
static void on_gathered(struct termination *t, const GError *error, void *user)
{
    struct add *add = user;
    g_autoptr(GError) reason = error ? g_error_copy(error) : NULL;
    struct log_ids ids = {.context = add->own_context ? add->own_context : add->context.id,
                          .transaction = link_transaction_name(add->txn)};
    json_t *members = error ? NULL : describe(add, t, &reason);
    if (members) {
        link_succeed(add->txn, members);
    } else {
        log_info(&ids, "refused with %s: %s", problem_cause(reason->code), reason->message);
        link_fail(add->txn, reason, NULL);
    }
    add_free(add);
}

void handle_add(struct wmcf *wmcf, struct link *link, struct link_transaction *txn)
{
    GError *error = NULL;
    json_t *members = NULL;
    const char *path =
        json_string_value(json_object_get(link_transaction_message(txn), "mediaPath"));
    /* Beside mediaPath "pipeline" it names the filter of a peer connection. */
    if (json_object_get(link_transaction_message(txn), "pipeline") &&
        g_strcmp0(path, "pipeline") != 0) {
        handle_add_pipeline(wmcf, link, txn);
        return;
    }
    struct add *add = g_new0(struct add, 1);
    struct termination *t = NULL;
    add->txn = txn;
    if (read_add(wmcf, link_transaction_message(txn), add, &error))
        t = make(wmcf, link, add, &error);
    if (t && t->traversal) {
        ice_traversal_wait(t, on_gathered, add);
        return;
    }
    if (t)
        members = describe(add, t, &error);
    if (members)
        link_succeed(txn, members);
    else
        method_fail(link, txn, &(struct log_ids){.context = add->context.id}, error);
    add_free(add);
}
