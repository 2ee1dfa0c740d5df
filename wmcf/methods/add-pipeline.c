/* SPDX-License-Identifier: Apache-2.0 */
/* `add` with `pipeline`: a termination that a template feeds. The answer waits for the first packet
 * of every medium, so that what it says of media and codecs is what flows; until then the request
 * and its context are remembered by ids, since either may go. */
#define LOG_CATEGORY "add"
#include "wmcf/controller.h"
#include "wmcf/methods/add-context.h"
#include "wmcf/methods/methods.h"
#include "wmcf/methods/pipeline-arguments.h"
#include "wmcf/pipeline-share.h"
#include "wsf-link/json-read.h"

struct pipeline_add {
    struct add_context context;
    const json_t *inputs; /* array, or NULL */
    struct pipeline_wanted wanted;
    struct event_mask events;
    const json_t *app_data;
};

static bool read_media(const json_t *item, size_t index, struct pipeline_wanted *wanted,
                       GError **error)
{
    static const char *const types[] = {"audio", "video", NULL};
    g_autofree char *base = g_strdup_printf("/pipeline/medias/%zu", index);
    const char *mid = NULL;
    int type = 0;
    if (!json_is_object(item)) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, base,
                          "an entry of medias is an object with mid and mediaType");
        return false;
    }
    if (!json_read_string(item, base, "mid", JSON_REQUIRED, SDP_MAX_MID, &mid, error) ||
        !json_read_choice(item, base, "mediaType", JSON_REQUIRED, types, &type, error))
        return false;
    bool good = *mid != '\0';
    for (guint i = 0; i < wanted->n_medias; i++)
        good = good && strcmp(wanted->medias[i].mid, mid) != 0;
    if (!good) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, base,
                          "each of the medias has a mid of its own");
        return false;
    }
    wanted->medias[wanted->n_medias].kind = type == 0 ? SDP_AUDIO : SDP_VIDEO;
    wanted->medias[wanted->n_medias++].mid = mid;
    return true;
}

static bool read_medias(const json_t *pipeline, struct pipeline_wanted *wanted, GError **error)
{
    const json_t *array = NULL;
    if (!json_read_array(pipeline, "/pipeline", "medias", JSON_OPTIONAL, PIPELINE_WANTED_MAX,
                         &array, error))
        return false;
    for (size_t i = 0; i < json_array_size(array); i++)
        if (!read_media(json_array_get(array, i), i, wanted, error))
            return false;
    return true;
}

static bool read_share(const json_t *pipeline, struct pipeline_wanted *wanted, GError **error)
{
    if (!json_read_string(pipeline, "/pipeline", "share", JSON_OPTIONAL, PIPELINE_SHARE_MAX,
                          &wanted->share, error))
        return false;
    if (!wanted->share || *wanted->share)
        return true;
    problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/pipeline/share", "share is a name");
    return false;
}

static bool read_pipeline(const json_t *message, struct pipeline_wanted *wanted, GError **error)
{
    const json_t *pipeline = NULL;
    return json_read_object(message, "", "pipeline", JSON_REQUIRED, &pipeline, error) &&
           json_read_string(pipeline, "/pipeline", "template", JSON_REQUIRED,
                            PIPELINE_TEMPLATE_NAME_MAX, &wanted->template_name, error) &&
           read_share(pipeline, wanted, error) &&
           json_read_boolean(pipeline, "/pipeline", "standsIn", JSON_OPTIONAL, &wanted->stands_in,
                             error) &&
           pipeline_arguments_read(pipeline, wanted->arguments, &wanted->n_arguments, error) &&
           read_medias(pipeline, wanted, error);
}

static bool refuse_others(const json_t *message, GError **error)
{
    static const struct {
        const char *name, *pointer;
        enum problem code;
        const char *sentence;
    } rows[] = {
        {"offerTemplate", "/offerTemplate", PROBLEM_INVALID_MESSAGE,
         "add takes exactly one of offerTemplate, sdpOffer and pipeline"},
        {"sdpOffer", "/sdpOffer", PROBLEM_INVALID_MESSAGE,
         "add takes exactly one of offerTemplate, sdpOffer and pipeline"},
        {"answerTemplate", "/answerTemplate", PROBLEM_INVALID_MESSAGE,
         "answerTemplate goes with sdpOffer"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (json_object_get(message, rows[i].name)) {
            problem_set_param(error, rows[i].code, rows[i].pointer, "%s", rows[i].sentence);
            return false;
        }
    return true;
}

static bool read_add(const json_t *message, struct pipeline_add *add, GError **error)
{
    bool events_said = false;
    return refuse_others(message, error) && add_context_read(message, &add->context, error) &&
           read_pipeline(message, &add->wanted, error) &&
           json_read_array(message, "", "inputs", JSON_OPTIONAL, PIPELINE_INPUTS_WANTED_MAX,
                           &add->inputs, error) &&
           policy_set_read(NULL, message, &add->wanted.policies, error) &&
           event_mask_read(message, &add->events, &events_said, error) &&
           method_read_app_data(message, &add->app_data, error);
}

static bool read_input(struct context *context, const json_t *item, size_t index,
                       struct pipeline_input_wanted *ret, GError **error)
{
    struct pipeline_input_said said;
    if (!pipeline_input_said_read(item, index, &said, error))
        return false;
    if (said.remove) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/inputs",
                          "what does not run yet has no input to remove");
        return false;
    }
    ret->name = said.name;
    ret->mid = said.mid;
    return !said.from || (ret->from = context_termination(context, said.from, error));
}

static bool find_inputs(struct context *context, struct pipeline_add *add, GError **error)
{
    size_t n = json_array_size(add->inputs);
    if (n && add->wanted.share) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/inputs",
                          "a pipeline that takes media cannot be shared");
        return false;
    }
    for (size_t i = 0; i < n; i++)
        if (!read_input(context, json_array_get(add->inputs, i), i,
                        &add->wanted.inputs[add->wanted.n_inputs++], error))
            return false;
    return true;
}

/* --- the answer ------------------------------------------------------------------------------- */

struct waiting {
    struct link_transaction *txn;
    char *context_id, *termination_id;
    bool own_context; /* made for this request */
};

static void refuse(struct waiting *waiting, const GError *error)
{
    struct log_ids ids = {.context = waiting->context_id,
                          .termination = waiting->termination_id,
                          .transaction = link_transaction_name(waiting->txn)};
    log_info(&ids, "refused with %s: %s", problem_cause(error->code), error->message);
    link_fail(waiting->txn, error, NULL);
}

static void on_started(struct termination *t, const GError *error, void *user)
{
    struct waiting *waiting = user;
    struct context *context = t ? t->context : NULL;
    if (error) {
        refuse(waiting, error);
        if (t)
            termination_release(t);
        /* Somebody may have been put beside it meanwhile. */
        if (context && waiting->own_context && context->order->len == 0)
            context_free(context);
    } else {
        link_succeed(waiting->txn,
                     json_pack("{s:s, s:s, s:o, s:o}", "contextId", context->id, "terminationId",
                               t->id, "medias", termination_medias_json(t), "pipeline",
                               pipeline_termination_json(t->pipeline)));
    }
    g_free(waiting->context_id);
    g_free(waiting->termination_id);
    g_free(waiting);
}

static bool run(struct wmcf *wmcf, struct link *link, struct link_transaction *txn,
                struct pipeline_add *add, GError **error)
{
    struct context *context = add_context_get(wmcf, link, &add->context, error);
    if (!context)
        return false;
    if (!find_inputs(context, add, error)) {
        if (!add->context.id)
            context_free(context);
        return false;
    }
    struct waiting *waiting = g_new0(struct waiting, 1);
    waiting->txn = txn;
    waiting->own_context = !add->context.id;
    struct termination *t =
        pipeline_termination_add(context, &add->wanted, on_started, waiting, error);
    if (!t) {
        if (waiting->own_context)
            context_free(context);
        g_free(waiting);
        return false;
    }
    waiting->context_id = g_strdup(context->id);
    waiting->termination_id = g_strdup(t->id);
    t->events = add->events;
    if (add->app_data) {
        t->app_data = json_deep_copy(add->app_data);
        if (waiting->own_context)
            context->app_data = json_incref(t->app_data);
    }
    g_free(context->instance);
    context->instance = g_strdup(controller_link_instance(link));
    return true;
}

void handle_add_pipeline(struct wmcf *wmcf, struct link *link, struct link_transaction *txn)
{
    struct pipeline_add add = {0};
    GError *error = NULL;
    if (!read_add(link_transaction_message(txn), &add, &error) ||
        !run(wmcf, link, txn, &add, &error))
        method_fail(link, txn, &(struct log_ids){.context = add.context.id}, error);
    policy_set_clear(&add.wanted.policies);
}
