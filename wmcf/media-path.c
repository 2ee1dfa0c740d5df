/* SPDX-License-Identifier: Apache-2.0 */
/* Which of a leg's media go through which input of a template, and what others get meanwhile.
 * While a filter is being made they get nothing: a policy that asked for it would not want them to
 * see what comes without. Only one that has failed, and may be bypassed, is passed by. */
#define LOG_CATEGORY "pipeline"
#include "wmcf/media-path.h"

#include "base/log.h"
#include "base/loop.h"
#include "base/problem.h"
#include "pipelines/sdp-codec.h"
#include "wmcf/methods/pipeline-arguments.h"
#include "wmcf/path-pipeline.h"
#include "wmcf/pipeline-templates.h"
#include "wsf-link/json-read.h"

#include <string.h>

struct media_path {
    struct termination *t;
    char *template_name;
    struct pipeline_template *made_of;
    bool bypass;
    GArray *arguments; /* struct pipeline_argument whose strings are ours */
    struct path_medium medias[PIPELINE_INPUTS_MAX];
    guint n;
    struct path_pipeline *running; /* NULL: there is nothing to filter, or it has failed */
    char *failure;                 /* one sentence; NULL = it has not failed */
    struct loop_timer *failure_timer;
    pipeline_changed_fn changed; /* NULL when no change is under way */
    void *changed_user;
    GArray *changing; /* what the change under way wants */
};

/* --- what is asked for ------------------------------------------------------------------------ */

bool media_path_read(const json_t *message, struct media_path_wanted *ret, GError **error)
{
    static const char *const paths[] = {"relay", "pipeline", NULL};
    static const char *const failures[] = {"fail", "bypass", NULL};
    const json_t *pipeline = NULL;
    int path = 0, failure = 0;
    *ret = (struct media_path_wanted){.said = json_object_get(message, "mediaPath") != NULL};
    if (!json_read_choice(message, "", "mediaPath", JSON_OPTIONAL, paths, &path, error))
        return false;
    ret->relay = path == 0;
    if (ret->relay)
        return true;
    bool done = json_read_object(message, "", "pipeline", JSON_REQUIRED, &pipeline, error) &&
                json_read_string(pipeline, "/pipeline", "template", JSON_REQUIRED,
                                 PIPELINE_TEMPLATE_NAME_MAX, &ret->template_name, error) &&
                json_read_choice(pipeline, "/pipeline", "onFailure", JSON_OPTIONAL, failures,
                                 &failure, error) &&
                pipeline_arguments_read(pipeline, ret->arguments, &ret->n_arguments, error);
    ret->bypass = failure == 1;
    return done;
}

static void clear_argument(void *data)
{
    struct pipeline_argument *a = data;
    g_free((char *)a->name);
    g_free((char *)a->text);
}

/* What is there, with those in place of or behind it. Transfer full. */
static GArray *merge(const GArray *there, const struct pipeline_argument *arguments, guint n)
{
    GArray *all = g_array_new(FALSE, TRUE, sizeof(struct pipeline_argument));
    g_array_set_clear_func(all, clear_argument);
    for (guint i = 0; i < n + (there ? there->len : 0); i++) {
        struct pipeline_argument a =
            i < n ? arguments[i] : g_array_index(there, struct pipeline_argument, i - n);
        bool known = false;
        for (guint k = 0; k < all->len && !known; k++)
            known = strcmp(g_array_index(all, struct pipeline_argument, k).name, a.name) == 0;
        if (known)
            continue;
        a.name = g_strdup(a.name);
        a.text = g_strdup(a.text);
        g_array_append_val(all, a);
    }
    return all;
}

/* Takes no more than a look: files that are named are opened and closed. */
static bool check_arguments(const struct media_path *path, const GArray *arguments, GError **error)
{
    struct pipeline_surroundings surroundings;
    pipeline_surroundings(path->t->wmcf->conf, &surroundings);
    surroundings.any_input = true;
    struct pipeline_text *text = pipeline_template_fill(
        path->made_of, (const struct pipeline_argument *)(void *)arguments->data, arguments->len,
        &surroundings, "/pipeline/parameters", error);
    pipeline_text_free(text);
    return text != NULL;
}

static void on_failure_timer(void *user);

struct media_path *media_path_new(struct termination *t, const struct media_path_wanted *wanted,
                                  GError **error)
{
    struct pipeline_template *made_of =
        pipeline_templates_find(t->wmcf->templates, wanted->template_name, error);
    if (!made_of)
        return NULL;
    struct media_path *path = g_new0(struct media_path, 1);
    path->t = t;
    path->template_name = g_strdup(wanted->template_name);
    path->made_of = made_of;
    path->bypass = wanted->bypass;
    path->arguments = merge(NULL, wanted->arguments, wanted->n_arguments);
    path->failure_timer = loop_timer_new("filter failure", on_failure_timer, path);
    if (!pipeline_template_filters(made_of))
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/pipeline/template",
                          "%s is no filter, which mediaPath \"pipeline\" needs: its file has no "
                          "line \"filter\"",
                          wanted->template_name);
    else if (check_arguments(path, path->arguments, error))
        return path;
    media_path_free(path);
    return NULL;
}

/* --- what runs -------------------------------------------------------------------------------- */

static struct log_ids ids_of(const struct termination *t)
{
    return (struct log_ids){.context = t->context ? t->context->id : NULL, .termination = t->id};
}

static void tell_changed(struct media_path *path, const GError *error)
{
    pipeline_changed_fn changed = g_steal_pointer(&path->changed);
    g_autoptr(GArray) wanted = g_steal_pointer(&path->changing);
    if (!changed)
        return;
    if (!error) {
        g_array_unref(path->arguments);
        path->arguments = g_steal_pointer(&wanted);
    }
    changed(error, path->changed_user);
}

static void stop(struct media_path *path)
{
    g_autoptr(GError) error = NULL;
    loop_timer_stop(path->failure_timer);
    path_pipeline_close(g_steal_pointer(&path->running));
    if (!path->changed)
        return;
    problem_set(&error, PROBLEM_INVALID_STATE, "the filter has gone before it was changed");
    tell_changed(path, error);
}

void media_path_free(struct media_path *path)
{
    if (!path)
        return;
    stop(path);
    loop_timer_free(path->failure_timer);
    pipeline_template_unref(path->made_of);
    g_array_unref(path->arguments);
    g_free(path->template_name);
    g_free(path->failure);
    g_free(path);
}

static void on_started(void *user)
{
    struct media_path *path = user;
    struct log_ids ids = ids_of(path->t);
    log_debug(&ids, "filter %s runs", path->template_name);
    termination_repeat_routes(path->t);
}

static void on_failed(void *user, const GError *error)
{
    struct media_path *path = user;
    struct termination *t = path->t;
    struct log_ids ids = ids_of(t);
    g_free(path->failure);
    path->failure = g_strdup(error->message);
    stop(path);
    if (!path->bypass) {
        termination_repeat_routes(t);
        termination_fail(t, EVENT_RESOURCE_FAILURE, path->failure);
        return;
    }
    log_warning(&ids, "filter %s has failed, its media go by: %s", path->template_name,
                path->failure);
    termination_repeat_routes(t);
    event_notify(t, EVENT_RESOURCE_FAILURE, NULL,
                 json_pack("{s:s, s:b}", "reason", path->failure, "bypassed", 1));
}

static const struct path_pipeline_ops pipeline_ops = {.started = on_started, .failed = on_failed};

/* What could not even be begun; told when the request that led to it is answered. */
static void on_failure_timer(void *user)
{
    struct media_path *path = user;
    g_autoptr(GError) error = NULL;
    g_autofree char *reason = g_steal_pointer(&path->failure);
    problem_set(&error, PROBLEM_WMCF_ERROR, "%s", reason);
    on_failed(path, error);
}

static void start(struct media_path *path)
{
    struct termination *t = path->t;
    struct pipeline_surroundings surroundings;
    struct pipeline_input inputs[PIPELINE_INPUTS_MAX];
    g_autoptr(GError) error = NULL;
    stop(path);
    g_clear_pointer(&path->failure, g_free);
    if (!path->n)
        return;
    for (guint i = 0; i < path->n; i++)
        inputs[i] = (struct pipeline_input){.name = path->medias[i].input,
                                            .video = path->medias[i].kind == SDP_VIDEO,
                                            .codec = path->medias[i].codec};
    pipeline_surroundings(t->wmcf->conf, &surroundings);
    surroundings.inputs = inputs;
    surroundings.n_inputs = path->n;
    struct pipeline_text *text = pipeline_template_fill(
        path->made_of, (const struct pipeline_argument *)(void *)path->arguments->data,
        path->arguments->len, &surroundings, "/pipeline/parameters", &error);
    if (text)
        path->running = path_pipeline_new(t->wmcf, t->context->group, t->id, text, path->medias,
                                          path->n, &pipeline_ops, path, &error);
    if (path->running)
        return;
    path->failure = g_strdup(error->message);
    loop_timer_start(path->failure_timer, 1);
}

/* --- what goes in ----------------------------------------------------------------------------- */

static const struct path_medium *medium_of(const struct media_path *path, const char *mid)
{
    for (guint i = 0; i < path->n; i++)
        if (strcmp(path->medias[i].mid, mid) == 0)
            return &path->medias[i];
    return NULL;
}

/* What the endpoint sends first of what it may; NULL: nothing that we know. */
static const struct sdp_codec *codec_of(const struct sdp_negotiated_media *m)
{
    for (guint i = 0; m->recv_codecs && i < m->recv_codecs->len; i++) {
        const struct sdp_codec *codec = &g_array_index(m->recv_codecs, struct sdp_codec, i);
        if (!sdp_codec_is_red(codec) && sdp_known_codec_find(m->kind, codec->name))
            return codec;
    }
    return NULL;
}

/* A medium that is held, and so has no codec now, goes on as it was. */
static bool describe(const struct media_path *path, const struct sdp_negotiated_media *m,
                     struct path_medium *ret)
{
    const struct path_medium *before = m->mid ? medium_of(path, m->mid) : NULL;
    const struct sdp_codec *codec = m->direction & SDP_RECVONLY ? codec_of(m) : NULL;
    if (!m->mid || m->kind > SDP_VIDEO || (!codec && !before))
        return false;
    if (codec)
        *ret = (struct path_medium){.kind = m->kind,
                                    .codec = sdp_known_codec_find(m->kind, codec->name)->name,
                                    .format = codec->format};
    else
        *ret = *before;
    ret->input = NULL;
    g_strlcpy(ret->mid, m->mid, sizeof ret->mid);
    return true;
}

/* By type, in the order of the m-lines; what finds no input goes by as ever. */
static guint choose(const struct media_path *path, struct path_medium *ret)
{
    struct pipeline_input inputs[PIPELINE_INPUTS_MAX];
    guint n = 0, n_inputs = pipeline_template_inputs(path->made_of, inputs);
    bool taken[PIPELINE_INPUTS_MAX] = {0};
    g_autoptr(GArray) negotiated = termination_negotiated(path->t);
    for (guint i = 0; negotiated && i < negotiated->len && n < n_inputs; i++) {
        const struct sdp_negotiated_media *m =
            &g_array_index(negotiated, struct sdp_negotiated_media, i);
        if (!describe(path, m, &ret[n]))
            continue;
        for (guint k = 0; k < n_inputs && !ret[n].input; k++)
            if (!taken[k] && inputs[k].video == (m->kind == SDP_VIDEO)) {
                taken[k] = true;
                ret[n].input = g_intern_string(inputs[k].name);
            }
        n += ret[n].input != NULL;
    }
    return n;
}

static bool is_same(const struct path_medium *a, const struct path_medium *b)
{
    return strcmp(a->mid, b->mid) == 0 && a->kind == b->kind && a->codec == b->codec &&
           a->format == b->format && a->input == b->input;
}

void media_path_update(struct termination *t)
{
    struct media_path *path = t->path;
    struct path_medium medias[PIPELINE_INPUTS_MAX] = {0};
    if (!path)
        return;
    guint n = choose(path, medias);
    bool same = n == path->n;
    for (guint i = 0; i < n && same; i++)
        same = is_same(&medias[i], &path->medias[i]);
    if (!same) {
        memcpy(path->medias, medias, sizeof medias);
        path->n = n;
        start(path);
    }
    struct relay_leg *leg = path->running ? path_pipeline_leg(path->running) : NULL;
    for (guint i = 0; leg && i < path->n; i++)
        relay_route(t->relay_leg, path->medias[i].mid, leg, path->medias[i].mid);
}

void media_path_set(struct termination *t, struct media_path *path)
{
    media_path_free(t->path);
    t->path = path;
    media_path_update(t);
    termination_repeat_routes(t);
}

struct relay_leg *media_path_leg(const struct termination *t, const char *mid)
{
    const struct media_path *path = t->path;
    if (!path || !medium_of(path, mid))
        return t->relay_leg;
    if (path->failure)
        return path->bypass ? t->relay_leg : NULL;
    return path->running && path_pipeline_started(path->running) ? path_pipeline_leg(path->running)
                                                                 : NULL;
}

/* --- changes and looks ------------------------------------------------------------------------ */

static void on_changed(void *user, const GError *error)
{
    tell_changed(user, error);
}

bool media_path_change(struct media_path *path, const struct pipeline_argument *arguments, guint n,
                       pipeline_changed_fn done, void *user, GError **error)
{
    if (path->changed) {
        problem_set(error, PROBLEM_INVALID_STATE, "another change of the filter is under way");
        return false;
    }
    g_autoptr(GArray) all = merge(path->arguments, arguments, n);
    if (!check_arguments(path, all, error))
        return false;
    if (path->running && !path_pipeline_change(path->running, arguments, n, "/pipeline/parameters",
                                               on_changed, path, error))
        return false;
    path->changing = g_steal_pointer(&all);
    path->changed = done;
    path->changed_user = user;
    if (!path->running)
        tell_changed(path, NULL);
    return true;
}

static const char *state_of(const struct media_path *path)
{
    if (path->failure)
        return path->bypass ? "bypassed" : "failed";
    if (!path->running)
        return "idle";
    return path_pipeline_started(path->running) ? "playing" : "starting";
}

void media_path_add_json(const struct termination *t, json_t *object)
{
    const struct media_path *path = t->path;
    if (!path)
        return;
    json_t *filter = json_pack("{s:s, s:s, s:s}", "template", path->template_name, "state",
                               state_of(path), "onFailure", path->bypass ? "bypass" : "fail");
    if (path->failure)
        json_object_set_new(filter, "failure", json_string(path->failure));
    if (path->running)
        path_pipeline_add_json(path->running, filter);
    json_object_set_new(object, "mediaPath", json_string("pipeline"));
    json_object_set_new(object, "filter", filter);
}

char *media_path_dot(const struct media_path *path)
{
    return path->running ? path_pipeline_dot(path->running) : NULL;
}
