/* SPDX-License-Identifier: Apache-2.0 */
/* `modify` of a pipeline that plays: pause, seek, other values of its parameters. The answer waits
 * for the pipeline, which may go meanwhile: the termination is remembered by ids. What a peer
 * connection or the packet path is told has no place in the same request, so that nothing is half
 * done when GStreamer refuses. */
#define LOG_CATEGORY "modify"
#include "base/log.h"
#include "wmcf/controller.h"
#include "wmcf/media-path.h"
#include "wmcf/methods/methods.h"
#include "wmcf/methods/pipeline-arguments.h"
#include "wmcf/pipeline-termination.h"
#include "wsf-link/json-read.h"

#include <math.h>

#define SEEK_MAX 1e9 /* s: 30 years, and no overflow in nanoseconds */

bool modify_is_of_pipeline(const json_t *message)
{
    /* Beside mediaPath it names the filter of a peer connection. */
    return !json_object_get(message, "mediaPath") &&
           (json_object_get(message, "pipeline") || json_object_get(message, "seek") ||
            json_object_get(message, "pause") || json_object_get(message, "inputs"));
}

static bool refuse_others(const json_t *message, GError **error)
{
    static const char *const names[] = {"sdpAnswer",      "sdpOffer",        "answerTemplate",
                                        "offerTemplate",  "rollback",        "restartIce",
                                        "candidates",     "endOfCandidates", "routes",
                                        "preferredLayer", "mediaPolicy"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        if (json_object_get(message, names[i])) {
            g_autofree char *pointer = g_strconcat("/", names[i], NULL);
            problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                              "%s has no place beside pipeline, inputs, seek and pause", names[i]);
            return false;
        }
    return true;
}

static bool read_seek(const json_t *message, double *ret, GError **error)
{
    const json_t *seek = json_object_get(message, "seek");
    *ret = seek ? json_number_value(seek) : -1;
    if (!seek || (json_is_number(seek) && *ret >= 0 && *ret <= SEEK_MAX))
        return true;
    problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/seek",
                      "seek is a number of seconds from the beginning");
    return false;
}

static bool read_change(const json_t *message, struct pipeline_change *ret, GError **error)
{
    const json_t *pipeline = NULL;
    *ret = (struct pipeline_change){.has_pause = json_object_get(message, "pause") != NULL};
    return refuse_others(message, error) &&
           json_read_boolean(message, "", "pause", JSON_OPTIONAL, &ret->pause, error) &&
           read_seek(message, &ret->seek, error) &&
           json_read_object(message, "", "pipeline", JSON_OPTIONAL, &pipeline, error) &&
           (!pipeline ||
            pipeline_arguments_read(pipeline, ret->arguments, &ret->n_arguments, error));
}

struct waiting {
    struct wmcf *wmcf;
    struct link_transaction *txn;
    struct termination *termination; /* valid when it is told without an error */
    char *context_id, *termination_id;
};

static void on_changed(const GError *error, void *user)
{
    struct waiting *waiting = user;
    if (error) {
        struct log_ids ids = {.context = waiting->context_id,
                              .termination = waiting->termination_id,
                              .transaction = link_transaction_name(waiting->txn)};
        log_info(&ids, "refused with %s: %s", problem_cause(error->code), error->message);
        link_fail(waiting->txn, error, NULL);
    } else {
        struct termination *t = waiting->termination;
        json_t *members = json_pack("{s:s, s:s, s:o}", "contextId", waiting->context_id,
                                    "terminationId", t->id, "medias", termination_medias_json(t));
        if (t->pipeline)
            json_object_set_new(members, "pipeline", pipeline_termination_json(t->pipeline));
        media_path_add_json(t, members);
        link_succeed(waiting->txn, members);
    }
    g_free(waiting->context_id);
    g_free(waiting->termination_id);
    g_free(waiting);
}

static void on_members(void *user, const GError *error)
{
    on_changed(error, user);
}

/* NULL and *error: it is wrong. Array of struct pipeline_member_wish. */
static GArray *read_wishes(const json_t *message, GError **error)
{
    const json_t *inputs = NULL;
    g_autoptr(GArray) wishes = g_array_new(FALSE, TRUE, sizeof(struct pipeline_member_wish));
    if (!json_read_array(message, "", "inputs", JSON_REQUIRED, 2 * MEDIA_RESOURCE_MEMBERS_MAX,
                         &inputs, error))
        return NULL;
    if (json_object_get(message, "pipeline") || json_object_get(message, "seek") ||
        json_object_get(message, "pause")) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/inputs",
                          "inputs has no place beside pipeline, seek and pause");
        return NULL;
    }
    for (size_t i = 0; i < json_array_size(inputs); i++) {
        struct pipeline_input_said said;
        if (!pipeline_input_said_read(json_array_get(inputs, i), i, &said, error))
            return NULL;
        struct pipeline_member_wish wish = {.leaves = said.remove};
        g_strlcpy(wish.name, said.name ? said.name : "", sizeof wish.name);
        g_strlcpy(wish.from, said.from ? said.from : "", sizeof wish.from);
        g_strlcpy(wish.mid, said.mid ? said.mid : "", sizeof wish.mid);
        g_array_append_val(wishes, wish);
    }
    return refuse_others(message, error) ? g_steal_pointer(&wishes) : NULL;
}

static bool change_members(struct waiting *waiting, const json_t *message, GError **error)
{
    struct pipeline_termination *p = waiting->termination->pipeline;
    if (!p) {
        problem_set_param(error, PROBLEM_INVALID_STATE, "/inputs",
                          "what an endpoint sends can be filtered, and takes nothing else");
        return false;
    }
    g_autoptr(GArray) wishes = read_wishes(message, error);
    return wishes && pipeline_termination_change_members(p, wishes, on_members, waiting, error);
}

static bool change(struct waiting *waiting, const json_t *message, GError **error)
{
    const struct termination *t = waiting->termination;
    struct pipeline_change change;
    if (json_object_get(message, "inputs"))
        return change_members(waiting, message, error);
    if (!read_change(message, &change, error))
        return false;
    if (!t->pipeline && (change.has_pause || change.seek >= 0)) {
        problem_set(error, PROBLEM_INVALID_STATE,
                    "what an endpoint sends can be filtered, and neither paused nor sought");
        return false;
    }
    return t->pipeline
               ? pipeline_termination_change(t->pipeline, &change, on_changed, waiting, error)
               : media_path_change(t->path, change.arguments, change.n_arguments, on_changed,
                                   waiting, error);
}

bool modify_pipeline(struct link_transaction *txn, struct termination *t, GError **error)
{
    if (!t->pipeline && !t->path) {
        problem_set(
            error, PROBLEM_INVALID_STATE,
            "the termination is no pipeline: it has nothing to seek, pause, take or change");
        return false;
    }
    struct waiting *waiting = g_new0(struct waiting, 1);
    waiting->txn = txn;
    waiting->termination = t;
    waiting->context_id = g_strdup(t->context->id);
    waiting->termination_id = g_strdup(t->id);
    if (change(waiting, link_transaction_message(txn), error))
        return true;
    g_free(waiting->context_id);
    g_free(waiting->termination_id);
    g_free(waiting);
    return false;
}
