/* SPDX-License-Identifier: Apache-2.0 */
/* The pipelines that calls and rooms keep beside their parties. Nothing of them is stored here: the
 * media centre holds each with an id of ours in its appData, so that after any loss its word and
 * ours can be compared, whatever was heard of the last request. A handle is found by a number, and
 * what a request brings back for one that is gone is subtracted in one place. */
#define LOG_CATEGORY "pipeline"
#include "wsf/context-pipeline.h"

#include "base/ids.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "base/problem.h"
#include "wsf/call.h"
#include "wsf/wsf.h"

#include <string.h>

struct context_pipelines {
    struct wsf *wsf;
    const struct context_pipeline_kind *const *kinds;
    GHashTable *all;      /* number → struct context_pipeline, owned */
    GHashTable *expected; /* "wmcf\ncontextId" of contexts not looked at yet */
    guint64 last_number;
};

struct context_pipeline {
    struct context_pipelines *table; /* up */
    const struct context_pipeline_kind *kind;
    guint64 number;
    char *id; /* in its appData: our name for it before it has one there */
    char *wmcf, *context_id, *termination_id;
    json_t *medias, *routes;
    bool running, asking; /* added() has come; a modification is on its way */
    GQueue changes;       /* struct change, in order; the first one is on its way if `asking` */
    void *user;
};

struct change {
    json_t *members;
    context_pipeline_fn done;
    void *user;
};

/* A request on its way. */
struct request {
    struct wsf *wsf;
    guint64 number;
    char *wmcf, *context_id;
};

const char *context_pipeline_end_name(enum context_pipeline_end end)
{
    static const char *const names[] = {[CONTEXT_PIPELINE_REFUSED] = "refused",
                                        [CONTEXT_PIPELINE_ENDED] = "ended",
                                        [CONTEXT_PIPELINE_FAILED] = "failed",
                                        [CONTEXT_PIPELINE_GONE] = "gone"};
    return names[end];
}

/* --- table ---------------------------------------------------------------------------------------
 */

static void change_free(void *data)
{
    struct change *change = data;
    json_decref(change->members);
    g_free(change);
}

static void pipeline_free(void *data)
{
    struct context_pipeline *pipeline = data;
    g_queue_clear_full(&pipeline->changes, change_free);
    json_decref(pipeline->medias);
    json_decref(pipeline->routes);
    g_free(pipeline->id);
    g_free(pipeline->wmcf);
    g_free(pipeline->context_id);
    g_free(pipeline->termination_id);
    g_free(pipeline);
}

struct context_pipelines *context_pipelines_new(struct wsf *wsf,
                                                const struct context_pipeline_kind *const *kinds)
{
    struct context_pipelines *table = g_new0(struct context_pipelines, 1);
    table->wsf = wsf;
    table->kinds = kinds;
    table->all = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, pipeline_free);
    table->expected = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return table;
}

void context_pipelines_free(struct context_pipelines *table)
{
    if (!table)
        return;
    g_hash_table_unref(table->all);
    g_hash_table_unref(table->expected);
    g_free(table);
}

static struct context_pipeline *find(const struct context_pipelines *table, guint64 number)
{
    return table ? g_hash_table_lookup(table->all, &number) : NULL;
}

static bool is_in(const struct context_pipeline *pipeline, const char *wmcf, const char *context_id)
{
    return strcmp(pipeline->wmcf, wmcf) == 0 && strcmp(pipeline->context_id, context_id) == 0;
}

/* Numbers, for what is found may go while one looks at it. */
static GArray *numbers_in(const struct context_pipelines *table, const char *wmcf,
                          const char *context_id)
{
    GArray *numbers = g_array_new(FALSE, FALSE, sizeof(guint64));
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, table->all);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct context_pipeline *pipeline = value;
        if (is_in(pipeline, wmcf, context_id))
            g_array_append_val(numbers, pipeline->number);
    }
    return numbers;
}

static struct context_pipeline *pipeline_new(struct context_pipelines *table,
                                             const struct context_pipeline_kind *kind,
                                             const char *wmcf, const char *context_id)
{
    struct context_pipeline *pipeline = g_new0(struct context_pipeline, 1);
    pipeline->table = table;
    pipeline->kind = kind;
    pipeline->number = ++table->last_number;
    pipeline->wmcf = g_strdup(wmcf);
    pipeline->context_id = g_strdup(context_id);
    g_queue_init(&pipeline->changes);
    g_hash_table_insert(table->all, &pipeline->number, pipeline);
    return pipeline;
}

static struct log_ids ids_of(const struct context_pipeline *pipeline)
{
    return (struct log_ids){.context = pipeline->context_id,
                            .termination = pipeline->termination_id,
                            .link = pipeline->wmcf};
}

static void count(const struct context_pipeline *pipeline, const char *what)
{
    static struct metric *pipelines;
    if (!pipelines)
        pipelines = metric_register(METRIC_COUNTER, "pipelines", NULL,
                                    "Recorders, mixers and the like that have begun (started) or "
                                    "come to an end by themselves.",
                                    "kind,result");
    metric_add(pipelines, 1, (const char *const[]){pipeline->kind->name, what});
}

/* --- requests ------------------------------------------------------------------------------------
 */

static struct request *request_new(const struct context_pipeline *pipeline)
{
    struct request *request = g_new(struct request, 1);
    *request = (struct request){pipeline->table->wsf, pipeline->number, g_strdup(pipeline->wmcf),
                                g_strdup(pipeline->context_id)};
    return request;
}

static void request_free(struct request *request)
{
    g_free(request->wmcf);
    g_free(request->context_id);
    g_free(request);
}

/* It is found by nobody any more while its owner is told. */
static void finish(struct context_pipeline *pipeline, enum context_pipeline_end end,
                   const GError *error)
{
    struct context_pipelines *table = pipeline->table;
    struct log_ids ids = ids_of(pipeline);
    log_debug(&ids, "%s pipeline %s: %s", pipeline->kind->name, context_pipeline_end_name(end),
              error ? error->message : "end of stream");
    count(pipeline, context_pipeline_end_name(end));
    g_hash_table_steal(table->all, &pipeline->number);
    if (pipeline->termination_id && end != CONTEXT_PIPELINE_GONE)
        wmcf_pool_subtract(table->wsf->pool, pipeline->wmcf, pipeline->context_id,
                           pipeline->termination_id);
    pipeline->kind->over(pipeline, end, error);
    pipeline_free(pipeline);
}

/* An end that is told to nobody: its route leads to or from itself. */
static void put_own(json_t *route, const char *end, const char *termination_id)
{
    json_t *object = json_object_get(route, end);
    if (json_is_object(object) && !json_object_get(object, "terminationId"))
        json_object_set_new(object, "terminationId", json_string(termination_id));
}

static void put_own_ends(json_t *routes, const char *termination_id)
{
    size_t i;
    json_t *route;
    json_array_foreach(routes, i, route)
    {
        put_own(route, "from", termination_id);
        put_own(route, "to", termination_id);
    }
}

static void send_change(struct context_pipeline *pipeline);

static void on_changed(const struct link_response *response, void *user)
{
    struct request *request = user;
    struct context_pipeline *pipeline = find(request->wsf->pipelines, request->number);
    guint64 number = request->number;
    struct wsf *wsf = request->wsf;
    request_free(request);
    if (!pipeline)
        return;
    struct change *change = g_queue_pop_head(&pipeline->changes);
    const json_t *medias = response->success ? json_object_get(response->message, "medias") : NULL;
    pipeline->asking = false;
    if (medias) {
        json_decref(pipeline->medias);
        pipeline->medias = json_incref((json_t *)medias);
    }
    if (change->done)
        change->done(pipeline, response->success ? NULL : response->error, change->user);
    change_free(change);
    pipeline = find(wsf->pipelines, number);
    if (pipeline)
        send_change(pipeline);
}

static void send_change(struct context_pipeline *pipeline)
{
    struct change *change = g_queue_peek_head(&pipeline->changes);
    if (!change || pipeline->asking || !pipeline->running)
        return;
    json_t *members = g_steal_pointer(&change->members);
    json_object_set_new(members, "contextId", json_string(pipeline->context_id));
    json_object_set_new(members, "terminationId", json_string(pipeline->termination_id));
    put_own_ends(json_object_get(members, "routes"), pipeline->termination_id);
    pipeline->asking = true;
    wmcf_pool_request(pipeline->table->wsf->pool, pipeline->wmcf, "modify", members, on_changed,
                      request_new(pipeline));
}

/* --- adding --------------------------------------------------------------------------------------
 */

static void begin(struct context_pipeline *pipeline)
{
    struct context_pipelines *table = pipeline->table;
    guint64 number = pipeline->number;
    pipeline->running = true;
    count(pipeline, "started");
    if (pipeline->kind->added)
        pipeline->kind->added(pipeline);
    pipeline = find(table, number);
    if (pipeline)
        send_change(pipeline);
}

static void on_routed(const struct link_response *response, void *user)
{
    struct request *request = user;
    struct context_pipeline *pipeline = find(request->wsf->pipelines, request->number);
    request_free(request);
    if (pipeline && response->success)
        begin(pipeline);
    else if (pipeline)
        finish(pipeline, CONTEXT_PIPELINE_REFUSED, response->error);
}

static void set_routes(struct context_pipeline *pipeline)
{
    json_t *routes = g_steal_pointer(&pipeline->routes);
    put_own_ends(routes, pipeline->termination_id);
    wmcf_pool_request(pipeline->table->wsf->pool, pipeline->wmcf, "modify",
                      json_pack("{s:s, s:s, s:o}", "contextId", pipeline->context_id,
                                "terminationId", pipeline->termination_id, "routes", routes),
                      on_routed, request_new(pipeline));
}

static void refused(struct context_pipeline *pipeline, const GError *error)
{
    g_autoptr(GError) missing = NULL;
    if (!error)
        problem_set(&missing, PROBLEM_WMCF_ERROR,
                    "the media centre's response has no terminationId");
    finish(pipeline, CONTEXT_PIPELINE_REFUSED, missing ? missing : error);
}

/* Whether it was made is not known: the context tells. While the link is away, when it is back. */
static void look_for_it(const struct request *request)
{
    if (wmcf_pool_is_up(request->wsf->pool, request->wmcf))
        call_reconcile(request->wsf, request->wmcf, request->context_id);
}

static void on_added(const struct link_response *response, void *user)
{
    struct request *request = user;
    struct context_pipeline *pipeline = find(request->wsf->pipelines, request->number);
    const char *termination_id =
        response->success ? json_string_value(json_object_get(response->message, "terminationId"))
                          : NULL;
    if (!pipeline && termination_id) /* its owner does not want it any more */
        wmcf_pool_subtract(request->wsf->pool, request->wmcf, request->context_id, termination_id);
    if (pipeline && !termination_id)
        refused(pipeline, response->error);
    if (!response->message)
        look_for_it(request);
    request_free(request);
    if (!pipeline || !termination_id)
        return;
    pipeline->termination_id = g_strdup(termination_id);
    pipeline->medias = json_incref(json_object_get(response->message, "medias"));
    if (pipeline->routes)
        set_routes(pipeline);
    else
        begin(pipeline);
}

/* protocol B "add"; what may be left out is when it is NULL. */
static json_t *members_of(const struct context_pipeline *pipeline,
                          const struct context_pipeline_config *config)
{
    json_t *app_data = config->app_data ? config->app_data : json_object();
    json_t *what = json_pack("{s:s}", "template", config->template);
    if (config->parameters)
        json_object_set_new(what, "parameters", config->parameters);
    if (config->medias)
        json_object_set_new(what, "medias", config->medias);
    if (config->stands_in)
        json_object_set_new(what, "standsIn", json_true());
    json_object_set_new(app_data, "pipeline", json_string(config->kind->name));
    json_object_set_new(app_data, "pipelineId", json_string(pipeline->id));
    json_t *members =
        json_pack("{s:s, s:o, s:[s, s], s:o}", "contextId", config->context_id, "pipeline", what,
                  "events", "endOfStream", "resourceFailure", "appData", app_data);
    if (config->inputs)
        json_object_set_new(members, "inputs", config->inputs);
    return members;
}

struct context_pipeline *context_pipeline_add(struct wsf *wsf,
                                              const struct context_pipeline_config *config)
{
    struct context_pipeline *pipeline =
        pipeline_new(wsf->pipelines, config->kind, config->wmcf, config->context_id);
    pipeline->id = id_uuid();
    pipeline->routes = config->routes;
    pipeline->user = config->user;
    wmcf_pool_request(wsf->pool, pipeline->wmcf, "add", members_of(pipeline, config), on_added,
                      request_new(pipeline));
    return pipeline;
}

void context_pipeline_end(struct context_pipeline *pipeline)
{
    if (!pipeline)
        return;
    struct context_pipelines *table = pipeline->table;
    if (pipeline->termination_id)
        wmcf_pool_subtract(table->wsf->pool, pipeline->wmcf, pipeline->context_id,
                           pipeline->termination_id);
    g_hash_table_remove(table->all, &pipeline->number);
}

void context_pipeline_modify(struct context_pipeline *pipeline, json_t *members,
                             context_pipeline_fn done, void *user)
{
    struct change *change = g_new(struct change, 1);
    *change = (struct change){members, done, user};
    g_queue_push_tail(&pipeline->changes, change);
    send_change(pipeline);
}

/* --- what a handle tells -------------------------------------------------------------------------
 */

struct wsf *context_pipeline_wsf(const struct context_pipeline *pipeline)
{
    return pipeline->table->wsf;
}

const char *context_pipeline_termination(const struct context_pipeline *pipeline)
{
    return pipeline->termination_id;
}

const char *context_pipeline_wmcf(const struct context_pipeline *pipeline)
{
    return pipeline->wmcf;
}

const char *context_pipeline_context(const struct context_pipeline *pipeline)
{
    return pipeline->context_id;
}

const json_t *context_pipeline_medias(const struct context_pipeline *pipeline)
{
    return pipeline->medias;
}

void *context_pipeline_user(const struct context_pipeline *pipeline)
{
    return pipeline->user;
}

void context_pipeline_set_user(struct context_pipeline *pipeline, void *user)
{
    pipeline->user = user;
}

/* --- events --------------------------------------------------------------------------------------
 */

static struct context_pipeline *find_termination(const struct context_pipelines *table,
                                                 const char *wmcf, const char *context_id,
                                                 const char *termination_id)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, table->all);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct context_pipeline *pipeline = value;
        if (g_strcmp0(pipeline->termination_id, termination_id) == 0 &&
            is_in(pipeline, wmcf, context_id))
            return pipeline;
    }
    return NULL;
}

static void fail(struct context_pipeline *pipeline, const char *reason)
{
    g_autoptr(GError) error = NULL;
    problem_set(&error, PROBLEM_WMCF_ERROR, "%s", reason ? reason : "no reason given");
    finish(pipeline, CONTEXT_PIPELINE_FAILED, error);
}

bool context_pipelines_event(struct context_pipelines *table, const char *wmcf,
                             const char *context_id, const char *termination_id, const char *event,
                             const char *mid, const json_t *details)
{
    struct context_pipeline *pipeline = find_termination(table, wmcf, context_id, termination_id);
    const char *reason = json_string_value(json_object_get(details, "reason"));
    if (pipeline && strcmp(event, "endOfStream") == 0)
        finish(pipeline, CONTEXT_PIPELINE_ENDED, NULL);
    else if (pipeline && strcmp(event, "resourceFailure") == 0 && mid &&
             pipeline->kind->medium_over)
        pipeline->kind->medium_over(pipeline, mid, reason ? reason : "no reason given");
    else if (pipeline && strcmp(event, "resourceFailure") == 0)
        fail(pipeline, reason);
    return pipeline != NULL;
}

/* --- comparing -----------------------------------------------------------------------------------
 */

static char *key_of(const char *wmcf, const char *context_id)
{
    return g_strconcat(wmcf, "\n", context_id, NULL);
}

void context_pipelines_expect(struct context_pipelines *table, const char *wmcf,
                              const char *context_id)
{
    g_hash_table_add(table->expected, key_of(wmcf, context_id));
}

bool context_pipelines_are_known(const struct context_pipelines *table, const char *wmcf,
                                 const char *context_id)
{
    g_autofree char *key = key_of(wmcf, context_id);
    return !g_hash_table_contains(table->expected, key);
}

bool context_pipelines_is_pipeline(const json_t *termination)
{
    return json_is_object(json_object_get(termination, "pipeline"));
}

static const json_t *listed_as(const json_t *terminations, const char *termination_id)
{
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)terminations, i, item)
    {
        const char *id = json_string_value(json_object_get(item, "terminationId"));
        if (g_strcmp0(id, termination_id) == 0)
            return item;
    }
    return NULL;
}

static void compare_one(struct context_pipeline *pipeline, const json_t *termination)
{
    const json_t *state = json_object_get(json_object_get(termination, "pipeline"), "state");
    const char *text = json_string_value(state);
    g_autoptr(GError) error = NULL;
    if (!termination) {
        problem_set(&error, PROBLEM_TERMINATION_NOT_FOUND,
                    "the media centre does not have the pipeline any more");
        finish(pipeline, CONTEXT_PIPELINE_GONE, error);
    } else if (g_strcmp0(text, "failed") == 0) {
        fail(pipeline, json_string_value(json_object_get(termination, "failure")));
    } else if (g_strcmp0(text, "ended") == 0) {
        finish(pipeline, CONTEXT_PIPELINE_ENDED, NULL);
    }
}

static const struct context_pipeline_kind *kind_of(const struct context_pipelines *table,
                                                   const json_t *app_data)
{
    const char *name = json_string_value(json_object_get(app_data, "pipeline"));
    for (size_t i = 0; table->kinds[i]; i++)
        if (g_strcmp0(table->kinds[i]->name, name) == 0)
            return table->kinds[i];
    return NULL;
}

/* One whose `add` is on its way is listed before its response comes. */
static bool is_on_its_way(const struct context_pipelines *table, const json_t *app_data)
{
    const char *id = json_string_value(json_object_get(app_data, "pipelineId"));
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, table->all);
    while (id && g_hash_table_iter_next(&iter, NULL, &value))
        if (g_strcmp0(((struct context_pipeline *)value)->id, id) == 0)
            return true;
    return false;
}

static void take_stranger(struct context_pipelines *table, const char *wmcf, const char *context_id,
                          const json_t *termination)
{
    const char *termination_id = json_string_value(json_object_get(termination, "terminationId"));
    const json_t *app_data = json_object_get(termination, "appData");
    const struct context_pipeline_kind *kind = kind_of(table, app_data);
    const char *state =
        json_string_value(json_object_get(json_object_get(termination, "pipeline"), "state"));
    /* Another pipeline is a leg's whose `add` is on its way. */
    if (!termination_id || !json_object_get(app_data, "pipeline") || is_on_its_way(table, app_data))
        return;
    /* Of one that is still starting nobody would tell us how it went. */
    if (!kind || !kind->adopt || g_strcmp0(state, "starting") == 0) {
        wmcf_pool_subtract(table->wsf->pool, wmcf, context_id, termination_id);
        return;
    }
    struct context_pipeline *pipeline = pipeline_new(table, kind, wmcf, context_id);
    guint64 number = pipeline->number;
    pipeline->id = g_strdup(json_string_value(json_object_get(app_data, "pipelineId")));
    pipeline->termination_id = g_strdup(termination_id);
    pipeline->medias = json_incref(json_object_get(termination, "medias"));
    pipeline->running = true;
    if (!kind->adopt(table->wsf, pipeline, app_data))
        context_pipeline_end(find(table, number));
    else if ((pipeline = find(table, number)))
        compare_one(pipeline, termination);
}

void context_pipelines_compare(struct context_pipelines *table, const char *wmcf,
                               const char *context_id, const json_t *terminations,
                               bool (*is_legs)(const char *termination_id, const void *user),
                               const void *user)
{
    g_autofree char *key = key_of(wmcf, context_id);
    g_autoptr(GArray) numbers = numbers_in(table, wmcf, context_id);
    size_t i;
    json_t *item;
    for (guint n = 0; n < numbers->len; n++) {
        struct context_pipeline *pipeline = find(table, g_array_index(numbers, guint64, n));
        if (pipeline && pipeline->termination_id)
            compare_one(pipeline, listed_as(terminations, pipeline->termination_id));
    }
    json_array_foreach((json_t *)terminations, i, item)
    {
        const char *id = json_string_value(json_object_get(item, "terminationId"));
        if (context_pipelines_is_pipeline(item) && id && !is_legs(id, user) &&
            !find_termination(table, wmcf, context_id, id))
            take_stranger(table, wmcf, context_id, item);
    }
    g_hash_table_remove(table->expected, key);
    for (i = 0; table->kinds[i]; i++)
        if (table->kinds[i]->looked)
            table->kinds[i]->looked(table->wsf, wmcf, context_id);
}

void context_pipelines_forget(struct context_pipelines *table, const char *wmcf,
                              const char *context_id)
{
    if (!wmcf || !context_id)
        return;
    g_autofree char *key = key_of(wmcf, context_id);
    g_autoptr(GArray) numbers = numbers_in(table, wmcf, context_id);
    g_autoptr(GError) error = NULL;
    problem_set(&error, PROBLEM_CONTEXT_NOT_FOUND, "its context has been given back");
    for (guint n = 0; n < numbers->len; n++) {
        struct context_pipeline *pipeline = find(table, g_array_index(numbers, guint64, n));
        if (pipeline)
            finish(pipeline, CONTEXT_PIPELINE_GONE, error);
    }
    g_hash_table_remove(table->expected, key);
}

/* --- requests of pipelines -----------------------------------------------------------------------
 */

json_t *pipeline_parameters(const char *const *list)
{
    json_t *parameters = json_object();
    for (; list && *list; list++) {
        const char *equals = strchr(*list, '=');
        g_autofree char *name = g_strstrip(g_strndup(*list, (gsize)(equals - *list)));
        g_autofree char *text = g_strstrip(g_strdup(equals + 1));
        json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
        if (!json_is_number(value) && !json_is_boolean(value)) {
            json_decref(value);
            value = json_string(text);
        }
        json_object_set_new(parameters, name, value);
    }
    return parameters;
}

bool pipeline_parameters_check(const struct conf *conf, const char *section, const char *key,
                               GError **error)
{
    const char *const *list = conf_list(conf, section, key);
    for (; list && *list; list++)
        if (!strchr(*list, '=')) {
            problem_set(error, PROBLEM_INVALID_MESSAGE, "[%s] %s: \"%s\" is not name=value",
                        section, key, *list);
            return false;
        }
    return true;
}

void pipeline_problem(GError **error, const char *what, const GError *cause)
{
    bool ours = problem_status(problem_code(cause)) < 500;
    problem_set_retry(error, ours ? PROBLEM_WMCF_ERROR : problem_code(cause),
                      problem_retry_after(cause), "%s cannot be made: %s", what, cause->message);
}
