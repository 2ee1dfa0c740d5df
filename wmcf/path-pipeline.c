/* SPDX-License-Identifier: Apache-2.0 */
/* Joins a filter's pipeline to a local leg of the relay, both ways by the same m-line. It has no
 * termination of its own: what others route to and from is the leg whose media it changes. What it
 * gives counts as what that leg sends, so it gets the leg's format whatever payload type the
 * template says. The order of the end is that of any pipeline: its threads, the leg, the memory. */
#define LOG_CATEGORY "pipeline"
#include "wmcf/path-pipeline.h"

#include "base/loop.h"
#include "base/problem.h"
#include "pipelines/sdp-codec.h"
#include "wmcf/pipeline-inputs.h"

#include <string.h>

#define STALL_PACKETS 100 /* that came in while nothing went out: more than DTX and a key frame */

struct path_pipeline {
    struct wmcf *wmcf;
    const struct path_pipeline_ops *ops; /* NULL once closed */
    void *user;
    struct qos_transport *transport;
    struct relay_leg *leg;
    struct relay_local *local;
    struct media_resource *resource;
    struct pipeline_text *text; /* the resource's; borrowed */
    guint n;                    /* m-lines, in the order of the text's inputs */
    struct path_medium medias[PIPELINE_INPUTS_MAX];
    struct qos_flow *flows[PIPELINE_INPUTS_MAX];
    guint8 pt[PIPELINE_INPUTS_MAX];
    guint8 sink_of[PIPELINE_INPUTS_MAX], line_of[PIPELINE_INPUTS_MAX]; /* sinks stand by mid */
    bool started, failed;
    struct loop_timer *stall_timer;
    struct {
        guint64 in, out; /* packets, when something came out last */
        bool waited;     /* nothing has for a whole interval */
    } seen[PIPELINE_INPUTS_MAX];
};

static void fail(struct path_pipeline *p, const GError *error)
{
    if (p->failed || !p->ops)
        return;
    p->failed = true;
    loop_timer_stop(p->stall_timer);
    p->ops->failed(p->user, error);
}

/* --- the packets ------------------------------------------------------------------------------ */

/* On the pipeline's streaming threads, as the three after it. */
static void on_packets(void *user, guint medium, const struct wmcf_sink_packet *packets, guint n)
{
    struct path_pipeline *p = user;
    struct relay_local_packet some[64];
    guint line = p->line_of[medium];
    while (n) {
        guint take = MIN(n, G_N_ELEMENTS(some));
        for (guint i = 0; i < take; i++)
            some[i] = (struct relay_local_packet){.data = packets[i].data,
                                                  .length = packets[i].length,
                                                  .at = packets[i].at,
                                                  .pt = p->pt[line]};
        relay_local_push(p->local, line, some, take);
        packets += take;
        n -= take;
    }
}

static int input_descriptor(void *user, guint index)
{
    return relay_local_descriptor(((struct path_pipeline *)user)->local, index);
}

static guint read_input(void *user, guint index, const struct wmcf_src_sink *sink, void *to)
{
    return pipeline_input_read(((struct path_pipeline *)user)->local, index, sink, to);
}

static void want_key_frame(void *user, guint index)
{
    relay_local_want_key_frame(((struct path_pipeline *)user)->local, index);
}

static const struct wmcf_src_ops input_ops = {
    .descriptor = input_descriptor, .read = read_input, .key_frame = want_key_frame};

/* On the relay worker's thread. Subscribers come when it has started, so there is a resource. */
static void on_key_frame(void *user, guint line)
{
    struct path_pipeline *p = user;
    media_resource_request_key_frame(p->resource, p->sink_of[line]);
}

static const struct relay_local_ops local_ops = {.key_frame = on_key_frame};

/* --- from the resource ------------------------------------------------------------------------ */

static void on_started(void *user)
{
    struct path_pipeline *p = user;
    guint stall = 1000 * conf_int(p->wmcf->conf, "pipelines", "stall_timeout");
    p->started = true;
    if (stall)
        loop_timer_start_repeating(p->stall_timer, stall);
    if (p->ops)
        p->ops->started(p->user);
}

static void on_failed(void *user, const GError *error)
{
    fail(user, error);
}

static void on_ended(void *user)
{
    g_autoptr(GError) error = NULL;
    problem_set(&error, PROBLEM_WMCF_ERROR, "the filter has ended by itself");
    fail(user, error);
}

/* A leg may be silent for as long as it likes; a filter that takes and does not give is stuck. The
 * first of two intervals may have begun with what was held, or on its way. */
static bool is_stuck(struct path_pipeline *p, guint line)
{
    struct wmcf_src_stats in;
    struct wmcf_sink_stats out;
    media_resource_input_stats(p->resource, line, &in);
    media_resource_stats(p->resource, p->sink_of[line], &out);
    if (out.packets != p->seen[line].out) {
        p->seen[line].in = in.packets;
        p->seen[line].out = out.packets;
        p->seen[line].waited = false;
        return false;
    }
    bool stuck = in.packets > p->seen[line].in + STALL_PACKETS;
    if (stuck && p->seen[line].waited)
        return true;
    p->seen[line].waited = stuck;
    return false;
}

static void on_stall_timer(void *user)
{
    struct path_pipeline *p = user;
    for (guint i = 0; i < p->n; i++) {
        g_autoptr(GError) error = NULL;
        if (!is_stuck(p, i))
            continue;
        problem_set(&error, PROBLEM_WMCF_ERROR, "the filter takes packets at %s and gives none",
                    p->medias[i].input);
        fail(p, error);
        return;
    }
}

static void on_stopped(void *user)
{
    struct path_pipeline *p = user;
    relay_leg_release(g_steal_pointer(&p->leg));
}

static const struct media_resource_ops resource_ops = {
    .started = on_started,
    .failed = on_failed,
    .ended = on_ended,
    .stopped = on_stopped,
    .packets = on_packets,
};

/* --- beginning and end ------------------------------------------------------------------------ */

static void path_pipeline_free(struct path_pipeline *p)
{
    media_resource_free(p->resource);
    for (guint i = 0; i < p->n; i++)
        qos_flow_free(p->flows[i]);
    qos_transport_free(p->transport);
    loop_timer_free(p->stall_timer);
    g_free(p);
}

static void on_released(void *user)
{
    struct path_pipeline *p = user;
    g_hash_table_remove(p->wmcf->releasing, p);
    path_pipeline_free(p);
}

static const struct relay_leg_ops leg_ops = {.released = on_released};

/* The media in the order of the text's inputs; sinks are in that of their names. */
static void place(struct path_pipeline *p, const struct path_medium *medias, guint n)
{
    struct pipeline_input inputs[PIPELINE_INPUTS_MAX];
    p->n = pipeline_text_inputs(p->text, inputs);
    for (guint i = 0; i < p->n; i++) {
        guint before = 0;
        for (guint m = 0; m < n; m++)
            if (strcmp(medias[m].input, inputs[i].name) == 0)
                p->medias[i] = medias[m];
        for (guint other = 0; other < p->n; other++)
            before += strcmp(inputs[other].name, inputs[i].name) < 0;
        p->sink_of[i] = (guint8)before;
        p->line_of[before] = (guint8)i;
    }
}

static bool make_flows(struct path_pipeline *p, GError **error)
{
    /* What the leg may send is judged where it comes in, what others may get where it goes out. */
    static const struct qos_policy open = {.has_status = true, .status = QOS_ENABLED};
    p->transport = qos_transport_new(NULL, error);
    for (guint i = 0; p->transport && i < p->n; i++) {
        p->flows[i] = qos_flow_new(p->transport,
                                   p->medias[i].kind == SDP_VIDEO ? QOS_VIDEO : QOS_AUDIO, error);
        if (!p->flows[i])
            return false;
        qos_flow_apply(p->flows[i], &open);
    }
    return p->transport != NULL;
}

static void describe(struct path_pipeline *p)
{
    struct relay_media medias[PIPELINE_INPUTS_MAX] = {0};
    for (guint i = 0; i < p->n; i++) {
        const struct path_medium *from = &p->medias[i];
        const struct sdp_known_codec *known = sdp_known_codec_find(from->kind, from->codec);
        struct relay_media *to = &medias[i];
        p->pt[i] = known->pt;
        g_strlcpy(to->mid, from->mid, sizeof to->mid);
        to->kind = from->kind == SDP_VIDEO ? RELAY_VIDEO : RELAY_AUDIO;
        to->send = to->receive = true;
        to->local_ssrc = i + 1; /* seen by nobody else */
        to->n_send_codecs = pipeline_input_codecs(known, to->send_codecs);
        to->n_recv_codecs = 1;
        to->recv_codecs[0] = (struct relay_codec){
            .pt = known->pt, .clock_rate = known->clock_rate, .format = from->format, .pli = true};
        to->slot[QOS_UPLINK] = qos_flow_slot(p->flows[i], QOS_UPLINK);
        to->slot[QOS_DOWNLINK] = qos_flow_slot(p->flows[i], QOS_DOWNLINK);
    }
    relay_leg_set_medias(p->leg, medias, p->n);
}

static bool start(struct path_pipeline *p, guint64 group, const char *id, GError **error)
{
    struct conf *conf = p->wmcf->conf;
    const struct relay_local_config local = {
        .ops = &local_ops,
        .user = p,
        .queue_packets = conf_int(conf, "pipelines", "queue_packets"),
        .outlets = p->n,
        .outlet_buffer = 1024 * conf_int(conf, "pipelines", "input_buffer"),
    };
    const struct relay_leg_config leg = {
        .group = group,
        .name = id,
        .local_ufrag = "",
        .local_pwd = "",
        .cname = id,
        .ops = &leg_ops,
        .user = p,
        .transport = p->transport,
        .local = &local,
    };
    p->leg = relay_leg_new(p->wmcf->relay, &leg, error);
    if (!p->leg)
        return false;
    p->local = relay_leg_local(p->leg);
    describe(p);
    const struct media_resource_config config = {
        .id = id,
        .text = g_steal_pointer(&p->text),
        .start_timeout_ms = 1000 * conf_int(conf, "pipelines", "start_timeout"),
        .patient = true, /* the endpoint may be silent, held, or not there yet */
        .inputs = &input_ops,
        .ops = &resource_ops,
        .user = p,
    };
    p->text = config.text;
    p->resource = media_resource_new(&config, error);
    if (!p->resource)
        p->text = NULL;
    return p->resource != NULL;
}

struct path_pipeline *path_pipeline_new(struct wmcf *wmcf, guint64 group, const char *id,
                                        struct pipeline_text *text,
                                        const struct path_medium *medias, guint n,
                                        const struct path_pipeline_ops *ops, void *user,
                                        GError **error)
{
    guint limit = conf_int(wmcf->conf, "limits", "pipelines");
    if (media_resources_count() >= limit) {
        problem_set_retry(error, PROBLEM_RESOURCES_UNAVAILABLE, 2,
                          "all %u pipelines are in use (limits.pipelines)", limit);
        pipeline_text_free(text);
        return NULL;
    }
    struct path_pipeline *p = g_new0(struct path_pipeline, 1);
    p->wmcf = wmcf;
    p->ops = ops;
    p->user = user;
    p->text = text;
    p->stall_timer = loop_timer_new("filter stall", on_stall_timer, p);
    place(p, medias, n);
    bool made = make_flows(p, error);
    if (made && start(p, group, id, error))
        return p;
    if (!p->leg) /* else the resource has taken it */
        pipeline_text_free(p->text);
    p->ops = NULL;
    if (p->leg) {
        g_hash_table_add(wmcf->releasing, p);
        relay_leg_release(g_steal_pointer(&p->leg));
    } else {
        path_pipeline_free(p);
    }
    return NULL;
}

void path_pipeline_close(struct path_pipeline *p)
{
    if (!p)
        return;
    p->ops = NULL;
    loop_timer_stop(p->stall_timer);
    g_hash_table_add(p->wmcf->releasing, p);
    media_resource_close(p->resource);
}

/* --- the rest --------------------------------------------------------------------------------- */

bool path_pipeline_started(const struct path_pipeline *p)
{
    return p->started && !p->failed;
}

struct relay_leg *path_pipeline_leg(const struct path_pipeline *p)
{
    return p->leg;
}

bool path_pipeline_change(struct path_pipeline *p, const struct pipeline_argument *arguments,
                          guint n, const char *base, media_resource_changed_fn done, void *user,
                          GError **error)
{
    struct media_resource_change wish = {.position = -1};
    wish.settings = pipeline_text_change(p->text, arguments, n, base, error);
    return wish.settings && media_resource_change(p->resource, &wish, done, user, error);
}

static json_t *media_json(const struct path_pipeline *p, guint i)
{
    struct wmcf_src_stats in;
    struct wmcf_sink_stats out = {0};
    media_resource_input_stats(p->resource, i, &in);
    if (p->started)
        media_resource_stats(p->resource, p->sink_of[i], &out);
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "mid", p->medias[i].mid, "input",
                     p->medias[i].input, "codec", p->medias[i].codec, "packets",
                     (json_int_t)in.packets, "given", (json_int_t)out.packets, "late",
                     (json_int_t)out.late, "keyFrameRequests", (json_int_t)out.key_frame_requests,
                     "overrun", (json_int_t)relay_local_overrun(p->local, i));
}

void path_pipeline_add_json(const struct path_pipeline *p, json_t *object)
{
    json_t *medias = json_array();
    for (guint i = 0; i < p->n; i++)
        json_array_append_new(medias, media_json(p, i));
    json_object_set_new(object, "medias", medias);
    json_object_set_new(object, "queueDropped",
                        json_integer((json_int_t)relay_local_dropped(p->local)));
    if (media_resource_start_time(p->resource))
        json_object_set_new(object, "startSeconds",
                            json_real((double)media_resource_start_time(p->resource) / 1e6));
}

char *path_pipeline_dot(const struct path_pipeline *p)
{
    return media_resource_dot(p->resource);
}
