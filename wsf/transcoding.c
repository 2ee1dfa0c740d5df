/* SPDX-License-Identifier: Apache-2.0 */
/* A transcoder gives nothing before its source sends, and a pipeline that gives nothing is given up
 * by the media centre; so one that has come to nothing is tried again, later each time, and at once
 * when the source is heard of. A call is never ended for it: the medium is dark in this direction
 * until it comes. What runs is known again after a restart by what stands in its appData. */
#define LOG_CATEGORY "transcode"
#include "wsf/transcoding.h"

#include "base/log.h"
#include "base/loop.h"
#include "base/problem.h"
#include "wsf/call-transcode.h"

#include <string.h>

#define RETRY_FIRST_MS 1000
#define RETRY_MOST_MS 60000
#define BITRATE_LEAST 50000 /* of the template */
#define SECTION "transcode"
#define OUTLET "video" /* what the template calls what it gives */

struct transcoding {
    struct wsf *wsf;
    struct transcode_skills skills;
    bool on;
    guint most;
    GPtrArray *all; /* struct transcoder, owned */
};

struct transcoder {
    struct transcoding *table; /* up */
    char *wmcf, *context_id;
    char *from, *from_mid, *codec, *target, *to, *to_mid;
    guint bitrate;                     /* asked for last */
    struct context_pipeline *pipeline; /* NULL: it waits for the timer */
    struct loop_timer *timer;
    guint wait_ms;
    bool runs, told; /* told: that it does not, in the log */
};

static void transcoder_free(void *data)
{
    struct transcoder *one = data;
    loop_timer_free(one->timer);
    g_free(one->wmcf);
    g_free(one->context_id);
    g_free(one->from);
    g_free(one->from_mid);
    g_free(one->codec);
    g_free(one->target);
    g_free(one->to);
    g_free(one->to_mid);
    g_free(one);
}

/* --- table ------------------------------------------------------------------------------------ */

guint transcoding_count(const struct transcoding *table)
{
    guint n = 0;
    for (guint i = 0; i < table->all->len; i++)
        n += ((struct transcoder *)g_ptr_array_index(table->all, i))->runs;
    return n;
}

struct transcoding *transcoding_new(struct wsf *wsf)
{
    struct transcoding *table = g_new0(struct transcoding, 1);
    table->wsf = wsf;
    table->on = conf_bool(wsf->conf, SECTION, "video");
    table->most = conf_int(wsf->conf, SECTION, "max");
    table->skills.from = conf_list(wsf->conf, SECTION, "video_from");
    table->skills.to = conf_list(wsf->conf, SECTION, "video_to");
    table->all = g_ptr_array_new_with_free_func(transcoder_free);
    return table;
}

void transcoding_free(struct transcoding *table)
{
    if (!table)
        return;
    g_ptr_array_unref(table->all);
    g_free(table);
}

const struct transcode_skills *transcoding_skills(const struct transcoding *table)
{
    return table->on ? &table->skills : NULL;
}

static guint count_made(const struct transcoding *table)
{
    guint n = 0;
    for (guint i = 0; i < table->all->len; i++)
        n += ((struct transcoder *)g_ptr_array_index(table->all, i))->pipeline != NULL;
    return n;
}

bool transcoding_has_room(const struct transcoding *table)
{
    return count_made(table) + 2 <= table->most;
}

bool transcoding_check(const struct conf *conf, GError **error)
{
    return pipeline_parameters_check(conf, SECTION, "video_parameters", error);
}

static bool is_in(const struct transcoder *one, const char *wmcf, const char *context_id)
{
    return strcmp(one->wmcf, wmcf) == 0 && strcmp(one->context_id, context_id) == 0;
}

static struct log_ids ids_of(const struct transcoder *one)
{
    return (struct log_ids){
        .context = one->context_id, .termination = one->from, .link = one->wmcf};
}

/* --- one -------------------------------------------------------------------------------------- */

static json_t *parameters_of(const struct transcoder *one)
{
    const struct conf *conf = one->table->wsf->conf;
    json_t *parameters = pipeline_parameters(conf_list(conf, SECTION, "video_parameters"));
    json_object_set_new(parameters, "video", json_string(one->target));
    json_object_set_new(parameters, "bitrate", json_integer(one->bitrate));
    return parameters;
}

static void wait_longer(struct transcoder *one)
{
    one->wait_ms = one->wait_ms ? MIN(2 * one->wait_ms, RETRY_MOST_MS) : RETRY_FIRST_MS;
    loop_timer_start(one->timer, one->wait_ms);
}

static json_t *routes_of(const struct transcoder *one)
{
    return json_pack("[{s:{s:s}, s:{s:s, s:s}}]", "from", "mid", OUTLET, "to", "terminationId",
                     one->to, "mid", one->to_mid);
}

static void begin(struct transcoder *one)
{
    struct log_ids ids = ids_of(one);
    loop_timer_stop(one->timer);
    if (count_made(one->table) >= one->table->most) {
        if (!one->told)
            log_warning(&ids,
                        "%s is not converted into %s: all %u transcoders are in use "
                        "([transcode] max)",
                        one->codec, one->target, one->table->most);
        one->told = true;
        wait_longer(one);
        return;
    }
    json_t *app_data =
        json_pack("{s:s, s:s, s:s, s:s, s:i}", "from", one->from, "mid", one->from_mid, "codec",
                  one->codec, "target", one->target, "bitrate", (int)one->bitrate);
    if (one->to)
        json_object_set_new(app_data, "to",
                            json_pack("{s:s, s:s}", "terminationId", one->to, "mid", one->to_mid));
    const struct context_pipeline_config config = {
        .kind = &transcoding_kind,
        .wmcf = one->wmcf,
        .context_id = one->context_id,
        .template = conf_string(one->table->wsf->conf, SECTION, "video_template"),
        .parameters = parameters_of(one),
        .inputs = json_pack("[{s:s, s:s}]", "terminationId", one->from, "mid", one->from_mid),
        .routes = one->to ? routes_of(one) : NULL,
        .stands_in = !one->to,
        .app_data = app_data,
        .user = one,
    };
    one->pipeline = context_pipeline_add(one->table->wsf, &config);
}

static void on_timer(void *data)
{
    begin(data);
}

static struct transcoder *transcoder_new(struct transcoding *table, const char *wmcf,
                                         const char *context_id, const struct transcode_want *want)
{
    struct transcoder *one = g_new0(struct transcoder, 1);
    one->table = table;
    one->wmcf = g_strdup(wmcf);
    one->context_id = g_strdup(context_id);
    one->from = g_strdup(want->from);
    one->from_mid = g_strdup(want->from_mid);
    one->codec = g_strdup(want->codec);
    one->target = g_strdup(want->target);
    one->to = g_strdup(want->to);
    one->to_mid = g_strdup(want->to_mid);
    one->timer = loop_timer_new("transcode retry", on_timer, one);
    g_ptr_array_add(table->all, one);
    return one;
}

static void end(struct transcoder *one)
{
    struct transcoding *table = one->table;
    struct log_ids ids = ids_of(one);
    if (one->runs)
        log_info(&ids, "%s is not converted into %s any more", one->codec, one->target);
    context_pipeline_end(one->pipeline);
    g_ptr_array_remove_fast(table->all, one);
}

static void on_added(struct context_pipeline *pipeline)
{
    struct transcoder *one = context_pipeline_user(pipeline);
    struct log_ids ids = ids_of(one);
    one->runs = true;
    one->told = false;
    one->wait_ms = 0;
    log_info(&ids, "%s is converted into %s by %s", one->codec, one->target,
             context_pipeline_termination(pipeline));
}

static void fail(struct transcoder *one, enum context_pipeline_end how, const GError *error)
{
    struct log_ids ids = ids_of(one);
    one->pipeline = NULL;
    one->runs = false;
    /* A context that is given back takes all with it. */
    if (!one->told && how != CONTEXT_PIPELINE_GONE)
        log_warning(&ids, "%s is not converted into %s (%s), trying again: %s", one->codec,
                    one->target, context_pipeline_end_name(how),
                    error ? error->message : "it has ended by itself");
    one->told |= how != CONTEXT_PIPELINE_GONE;
    wait_longer(one);
}

static void on_over(struct context_pipeline *pipeline, enum context_pipeline_end how,
                    const GError *error)
{
    fail(context_pipeline_user(pipeline), how, error);
}

/* --- after a restart -------------------------------------------------------------------------- */

static void on_routed_again(struct context_pipeline *pipeline, const GError *error, void *user)
{
    if (!error)
        return;
    context_pipeline_end(pipeline);
    fail(user, CONTEXT_PIPELINE_FAILED, error);
}

static bool on_adopt(struct wsf *wsf, struct context_pipeline *pipeline, const json_t *app_data)
{
    const json_t *to = json_object_get(app_data, "to");
    const struct transcode_want want = {
        .from = json_string_value(json_object_get(app_data, "from")),
        .from_mid = json_string_value(json_object_get(app_data, "mid")),
        .codec = json_string_value(json_object_get(app_data, "codec")),
        .target = json_string_value(json_object_get(app_data, "target")),
        .to = json_string_value(json_object_get(to, "terminationId")),
        .to_mid = json_string_value(json_object_get(to, "mid")),
    };
    if (!wsf->transcoding->on || !want.from || !want.from_mid || !want.codec || !want.target ||
        !want.to != !want.to_mid)
        return false;
    struct transcoder *one = transcoder_new(wsf->transcoding, context_pipeline_wmcf(pipeline),
                                            context_pipeline_context(pipeline), &want);
    one->bitrate = (guint)json_integer_value(json_object_get(app_data, "bitrate"));
    one->pipeline = pipeline;
    one->runs = true;
    context_pipeline_set_user(pipeline, one);
    if (one->to) /* whether the process of before has come so far is not known */
        context_pipeline_modify(pipeline, json_pack("{s:o}", "routes", routes_of(one)),
                                on_routed_again, one);
    return true;
}

const struct context_pipeline_kind transcoding_kind = {
    .name = "transcode",
    .added = on_added,
    .over = on_over,
    .adopt = on_adopt,
    .looked = call_transcode_looked,
};

/* --- what is wanted --------------------------------------------------------------------------- */

static bool is_wanted(const struct transcoder *one, const struct transcode_want *want)
{
    return strcmp(one->from, want->from) == 0 && strcmp(one->from_mid, want->from_mid) == 0 &&
           g_ascii_strcasecmp(one->codec, want->codec) == 0 &&
           g_ascii_strcasecmp(one->target, want->target) == 0 &&
           g_strcmp0(one->to, want->to) == 0 && g_strcmp0(one->to_mid, want->to_mid) == 0;
}

/* Its own, unless the receiver wants less. */
static guint bitrate_for(const struct transcoding *table, guint bandwidth)
{
    guint most = conf_int(table->wsf->conf, SECTION, "video_bitrate");
    bool less = bandwidth && bandwidth < most / 1000; /* no product of what an endpoint says */
    return less ? MAX(bandwidth * 1000, BITRATE_LEAST) : most;
}

static void set_bitrate(struct transcoder *one, guint bitrate)
{
    if (one->bitrate == bitrate)
        return;
    one->bitrate = bitrate;
    if (one->pipeline)
        context_pipeline_modify(
            one->pipeline,
            json_pack("{s:{s:{s:i}}}", "pipeline", "parameters", "bitrate", (int)bitrate), NULL,
            NULL);
}

static struct transcoder *find(const struct transcoding *table, const char *wmcf,
                               const char *context_id, const struct transcode_want *want)
{
    for (guint i = 0; i < table->all->len; i++) {
        struct transcoder *one = g_ptr_array_index(table->all, i);
        if (is_in(one, wmcf, context_id) && is_wanted(one, want))
            return one;
    }
    return NULL;
}

/* Also those that a restart has left twice. */
static bool is_needless(const struct transcoding *table, const struct transcoder *one,
                        const struct transcode_want *wants, guint n)
{
    for (guint w = 0; w < n; w++)
        if (is_wanted(one, &wants[w]))
            return find(table, one->wmcf, one->context_id, &wants[w]) != one;
    return true;
}

void transcoding_want(struct transcoding *table, const char *wmcf, const char *context_id,
                      const struct transcode_want *wants, guint n)
{
    for (guint i = table->all->len; i > 0; i--) {
        struct transcoder *one = g_ptr_array_index(table->all, i - 1);
        if (is_in(one, wmcf, context_id) && is_needless(table, one, wants, n))
            end(one);
    }
    for (guint w = 0; w < n; w++) {
        struct transcoder *one = find(table, wmcf, context_id, &wants[w]);
        bool fresh = one == NULL;
        if (fresh)
            one = transcoder_new(table, wmcf, context_id, &wants[w]);
        set_bitrate(one, bitrate_for(table, wants[w].bandwidth));
        if (fresh)
            begin(one);
    }
}

void transcoding_source_sends(struct transcoding *table, const char *wmcf, const char *context_id,
                              const char *termination_id, const char *mid)
{
    for (guint i = 0; i < table->all->len; i++) {
        struct transcoder *one = g_ptr_array_index(table->all, i);
        if (one->pipeline || !is_in(one, wmcf, context_id) ||
            strcmp(one->from, termination_id) != 0 || g_strcmp0(one->from_mid, mid) != 0)
            continue;
        one->wait_ms = 0;
        begin(one);
    }
}

void transcoding_forget(struct transcoding *table, const char *wmcf, const char *context_id)
{
    for (guint i = table->all->len; i > 0; i--) {
        struct transcoder *one = g_ptr_array_index(table->all, i - 1);
        if (is_in(one, wmcf, context_id))
            end(one);
    }
}
