/* SPDX-License-Identifier: Apache-2.0 */
/* Joins a media resource to a local leg of the relay. The order of the end matters: first the
 * pipeline's threads, then the leg they push into, then the memory, so nothing on the packet path
 * has to ask whether the other side is still there. */
#define LOG_CATEGORY "pipeline"
#include "wmcf/pipeline-termination.h"

#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "base/problem.h"
#include "pipelines/media-resource.h"
#include "wmcf/pipeline-templates.h"
#include "wmcf/topology.h"

struct pipeline_termination {
    struct termination *termination;
    char *template_name;
    struct media_resource *resource;
    struct relay_local *way_in;
    GArray *wanted;           /* struct wanted_media, or NULL: all media by their own names */
    pipeline_started_fn done; /* NULL once called */
    void *user;
};

struct wanted_media {
    enum sdp_kind kind;
    char mid[SDP_MAX_MID + 1];
    bool taken;
};

static struct log_ids ids_of(const struct pipeline_termination *p)
{
    const struct termination *t = p->termination;
    return (struct log_ids){.context = t->context ? t->context->id : NULL, .termination = t->id};
}

static void count_start(const char *result)
{
    static struct metric *starts;
    if (!starts)
        starts = metric_register(METRIC_COUNTER, "pipeline_starts", NULL,
                                 "Pipelines of media resources that were to start.", "result");
    metric_add(starts, 1, (const char *const[]){result});
}

static void tell(struct pipeline_termination *p, struct termination *t, const GError *error)
{
    pipeline_started_fn done = g_steal_pointer(&p->done);
    if (!done)
        return;
    count_start(!error ? "started" : t ? "failed" : "given_up");
    done(t, error, p->user);
}

/* --- into the relay --------------------------------------------------------------------------- */

/* On the pipeline's streaming threads. */
static void on_packets(void *user, guint medium, const struct wmcf_sink_packet *packets, guint n)
{
    struct pipeline_termination *p = user;
    struct relay_local_packet some[64];
    while (n) {
        guint take = MIN(n, G_N_ELEMENTS(some));
        for (guint i = 0; i < take; i++)
            some[i] = (struct relay_local_packet){
                .data = packets[i].data, .length = packets[i].length, .at = packets[i].at};
        relay_local_push(p->way_in, medium, some, take);
        packets += take;
        n -= take;
    }
}

/* On the relay worker's thread. */
static void on_key_frame(void *user, guint medium)
{
    struct pipeline_termination *p = user;
    media_resource_request_key_frame(p->resource, medium);
}

static const struct relay_local_ops local_ops = {.key_frame = on_key_frame};

/* "" for a medium that nobody wants. */
static const char *mid_for(struct pipeline_termination *p, const struct wmcf_sink_medium *m)
{
    if (!p->wanted)
        return m->mid;
    for (guint i = 0; i < p->wanted->len; i++) {
        struct wanted_media *wanted = &g_array_index(p->wanted, struct wanted_media, i);
        if (wanted->kind != m->kind || wanted->taken)
            continue;
        wanted->taken = true;
        return wanted->mid;
    }
    return "";
}

static void make_medias(struct pipeline_termination *p)
{
    struct termination *t = p->termination;
    struct relay_media medias[MEDIA_RESOURCE_MEDIA_MAX] = {0};
    guint n = media_resource_media_count(p->resource);
    for (guint i = 0; i < n; i++) {
        const struct wmcf_sink_medium *m = media_resource_medium(p->resource, i);
        struct termination_media *media = termination_add_media(t, mid_for(p, m), m->kind);
        struct relay_media *to = &medias[i];
        g_strlcpy(to->mid, media->mid, sizeof to->mid);
        to->kind = m->kind == SDP_AUDIO ? RELAY_AUDIO : RELAY_VIDEO;
        to->receive = *media->mid != '\0';
        to->n_recv_codecs = 1;
        to->recv_codecs[0] = (struct relay_codec){
            .pt = m->pt, .clock_rate = m->clock_rate, .format = m->format, .pli = true};
        to->slot[QOS_UPLINK] = qos_flow_slot(media->flow, QOS_UPLINK);
        to->slot[QOS_DOWNLINK] = qos_flow_slot(media->flow, QOS_DOWNLINK);
    }
    relay_leg_set_medias(t->relay_leg, medias, n);
}

/* --- from the resource ------------------------------------------------------------------------ */

static void on_started(void *user)
{
    struct pipeline_termination *p = user;
    struct termination *t = p->termination;
    struct log_ids ids = ids_of(p);
    make_medias(p);
    t->joined = true;
    termination_set_playing(t);
    log_debug(&ids, "template %s plays after %.0f ms", p->template_name,
              media_resource_start_time(p->resource) / 1e3);
    tell(p, t, NULL);
    if (t->context && t->context->topology == TOPOLOGY_MESH)
        mesh_update(t->context);
}

static void on_failed(void *user, const GError *error)
{
    struct pipeline_termination *p = user;
    if (p->done)
        tell(p, p->termination, error);
    else
        termination_fail(p->termination, EVENT_RESOURCE_FAILURE, error->message);
}

static void on_ended(void *user)
{
    struct pipeline_termination *p = user;
    event_notify(p->termination, EVENT_END_OF_STREAM, NULL, NULL);
}

static void on_stopped(void *user)
{
    struct pipeline_termination *p = user;
    relay_leg_release(g_steal_pointer(&p->termination->relay_leg));
}

static const struct media_resource_ops resource_ops = {
    .started = on_started,
    .failed = on_failed,
    .ended = on_ended,
    .stopped = on_stopped,
    .packets = on_packets,
};

/* --- beginning and end ------------------------------------------------------------------------ */

static bool admit(struct context *context, GError **error)
{
    struct conf *conf = context->wmcf->conf;
    guint limit = conf_int(conf, "limits", "pipelines"), own = 0;
    guint own_limit = conf_int(conf, "limits", "pipelines_per_context");
    for (guint i = 0; i < context->order->len; i++)
        own += ((struct termination *)g_ptr_array_index(context->order, i))->pipeline != NULL;
    if (own >= own_limit) {
        problem_set(error, PROBLEM_RESOURCES_UNAVAILABLE,
                    "the context has %u pipelines, the limit (limits.pipelines_per_context)", own);
        return false;
    }
    /* Those that are being stopped still take their share of the processor. */
    if (media_resources_count() >= limit) {
        problem_set_retry(error, PROBLEM_RESOURCES_UNAVAILABLE, 2,
                          "all %u pipelines are in use (limits.pipelines)", limit);
        return false;
    }
    return true;
}

static struct pipeline_text *make_text(const struct conf *conf,
                                       const struct pipeline_wanted *wanted, GError **error)
{
    g_auto(GStrv) folders = pipeline_template_folders(conf);
    struct pipeline_template *t =
        pipeline_template_load((const char *const *)folders, wanted->template_name, error);
    if (!t)
        return NULL;
    struct pipeline_text *text = pipeline_template_fill(t, wanted->arguments, wanted->n_arguments,
                                                        conf_int(conf, "pipelines", "cpu_threads"),
                                                        "/pipeline/parameters", error);
    pipeline_template_free(t);
    return text;
}

/* A resource of ours needs nobody's permission: what is said later closes its gates. */
static void open_gates(struct termination *t, const struct policy_set *policies)
{
    struct policy_entry all = {.mid = "*", .policy = {.has_status = true, .status = QOS_ENABLED}};
    g_array_append_val(t->policies.entries, all);
    termination_apply_policies(t, policies);
}

static bool start(struct pipeline_termination *p, struct pipeline_text *text, GError **error)
{
    struct media_resource_config config = {
        .id = p->termination->id,
        .text = text,
        .start_timeout_ms =
            1000 * conf_int(p->termination->wmcf->conf, "pipelines", "start_timeout"),
        .ops = &resource_ops,
        .user = p,
    };
    p->resource = media_resource_new(&config, error);
    return p->resource != NULL;
}

static GArray *copy_wanted(const struct pipeline_wanted *wanted)
{
    GArray *medias = g_array_new(FALSE, TRUE, sizeof(struct wanted_media));
    for (guint i = 0; i < wanted->n_medias; i++) {
        struct wanted_media media = {.kind = wanted->medias[i].kind};
        g_strlcpy(media.mid, wanted->medias[i].mid, sizeof media.mid);
        g_array_append_val(medias, media);
    }
    return medias;
}

struct termination *pipeline_termination_add(struct context *context,
                                             const struct pipeline_wanted *wanted,
                                             pipeline_started_fn done, void *user, GError **error)
{
    struct conf *conf = context->wmcf->conf;
    if (!admit(context, error))
        return NULL;
    struct pipeline_text *text = make_text(conf, wanted, error);
    if (!text)
        return NULL;
    struct pipeline_termination *p = g_new0(struct pipeline_termination, 1);
    struct relay_local_config local = {
        .ops = &local_ops,
        .user = p,
        .queue_packets = conf_int(conf, "pipelines", "queue_packets"),
    };
    p->template_name = g_strdup(wanted->template_name);
    p->wanted = wanted->n_medias ? copy_wanted(wanted) : NULL;
    p->termination = termination_new_local(context, &local, error);
    if (!p->termination) {
        pipeline_text_free(text);
        pipeline_termination_free(p);
        return NULL;
    }
    p->termination->pipeline = p;
    p->way_in = relay_leg_local(p->termination->relay_leg);
    open_gates(p->termination, &wanted->policies);
    if (!start(p, text, error)) {
        termination_release(p->termination);
        return NULL;
    }
    p->done = done;
    p->user = user;
    termination_begin_connecting(p->termination, false);
    return p->termination;
}

void pipeline_termination_close(struct pipeline_termination *p)
{
    GError *error = NULL;
    problem_set(&error, PROBLEM_TERMINATION_NOT_FOUND,
                "the termination was subtracted before its pipeline played");
    tell(p, NULL, error);
    g_error_free(error);
    if (p->resource)
        media_resource_close(p->resource);
    else
        on_stopped(p);
}

void pipeline_termination_free(struct pipeline_termination *p)
{
    if (!p)
        return;
    media_resource_free(p->resource);
    g_clear_pointer(&p->wanted, g_array_unref);
    g_free(p->template_name);
    g_free(p);
}

/* --- looking ---------------------------------------------------------------------------------- */

json_t *pipeline_termination_medias_json(const struct pipeline_termination *p)
{
    const struct termination *t = p->termination;
    json_t *array = json_array();
    for (guint i = 0; i < t->medias->len; i++) {
        const struct termination_media *own = g_ptr_array_index(t->medias, i);
        const struct wmcf_sink_medium *m = media_resource_medium(p->resource, i);
        if (!*own->mid)
            continue;
        json_t *media = json_pack("{s:s, s:s, s:s, s:[s]}", "mid", own->mid, "mediaType",
                                  sdp_kind_name(own->kind), "direction",
                                  sdp_direction_name(SDP_RECVONLY), "codecs", m->codec);
        policy_add_json(own->flow, false, media);
        json_array_append_new(array, media);
    }
    return array;
}

GArray *pipeline_termination_negotiated(const struct pipeline_termination *p)
{
    const struct termination *t = p->termination;
    GArray *medias = g_array_new(FALSE, TRUE, sizeof(struct sdp_negotiated_media));
    for (guint i = 0; i < t->medias->len; i++) {
        const struct termination_media *own = g_ptr_array_index(t->medias, i);
        if (!*own->mid)
            continue;
        struct sdp_negotiated_media media = {
            .mid = own->mid, .kind = own->kind, .direction = SDP_RECVONLY};
        g_array_append_val(medias, media);
    }
    return medias;
}

json_t *pipeline_termination_json(const struct pipeline_termination *p)
{
    json_t *object = json_pack("{s:s, s:s, s:I, s:I}", "template", p->template_name, "state",
                               media_resource_state_name(media_resource_get_state(p->resource)),
                               "queueDropped", (json_int_t)relay_local_dropped(p->way_in),
                               "refused", (json_int_t)relay_local_refused(p->way_in));
    guint64 late = 0, key_frames = 0;
    for (guint i = 0; i < media_resource_media_count(p->resource); i++) {
        struct wmcf_sink_stats stats;
        media_resource_stats(p->resource, i, &stats);
        late += stats.late;
        key_frames += stats.key_frame_requests;
    }
    json_object_set_new(object, "late", json_integer((json_int_t)late));
    json_object_set_new(object, "keyFrameRequests", json_integer((json_int_t)key_frames));
    if (media_resource_start_time(p->resource))
        json_object_set_new(object, "startSeconds",
                            json_real(media_resource_start_time(p->resource) / 1e6));
    return object;
}
