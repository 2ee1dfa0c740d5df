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
#include "wmcf/pipeline-members.h"
#include "wmcf/pipeline-share.h"
#include "wmcf/pipeline-templates.h"
#include "wmcf/topology.h"

#define AUDIO_BUFFER (64 * 1024) /* octets of sound that wait of one member */

struct pipeline_termination {
    struct termination *termination;
    char *template_name;
    struct pipeline_text *text; /* the resource's; borrowed */
    struct media_resource *resource;
    struct relay_local *way_in;
    bool stands_in;
    guint n_inputs; /* the first of the termination's medias; those it gives follow */
    struct pipeline_members *members; /* those follow on these; NULL: no input is repeated */
    guint n_before;                   /* of both: what it gives comes then */
    GArray *wishes;           /* struct pipeline_member_wish: members from the beginning, or NULL */
    GArray *wanted;           /* struct wanted_media, or NULL: all media by their own names */
    pipeline_started_fn done; /* NULL once called */
    void *user;
    pipeline_changed_fn changed; /* NULL when no change is under way */
    void *changed_user;
    struct pipeline_termination *changed_by;
    struct pipeline_share_member member; /* of a shared one, which has no resource of its own */
    struct pipeline_share *hosts;        /* it is the one that others share */
};

/* Whose resource it is. */
static struct pipeline_termination *giver(const struct pipeline_termination *p)
{
    struct termination *host = pipeline_share_host(&p->member);
    return host ? host->pipeline : (struct pipeline_termination *)p;
}

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
static void push(struct pipeline_termination *p, guint line, const struct wmcf_sink_packet *packets,
                 guint n)
{
    struct relay_local_packet some[64];
    while (n) {
        guint take = MIN(n, G_N_ELEMENTS(some));
        for (guint i = 0; i < take; i++)
            some[i] = (struct relay_local_packet){
                .data = packets[i].data, .length = packets[i].length, .at = packets[i].at};
        relay_local_push(p->way_in, line, some, take);
        packets += take;
        n -= take;
    }
}

static void on_packets(void *user, guint medium, const struct wmcf_sink_packet *packets, guint n)
{
    struct pipeline_termination *p = user;
    push(p, p->n_before + medium, packets, n);
}

static void on_member_packets(void *user, guint place, const struct wmcf_sink_packet *packets,
                              guint n)
{
    struct pipeline_termination *p = user;
    push(p, p->n_inputs + place, packets, n);
}

/* On the relay worker's thread. */
static void on_key_frame(void *user, guint medium)
{
    struct pipeline_termination *p = user;
    if (medium < p->n_before)
        media_resource_request_member_key_frame(p->resource, medium - p->n_inputs);
    else
        media_resource_request_key_frame(p->resource, medium - p->n_before);
}

static const struct relay_local_ops local_ops = {.key_frame = on_key_frame};

/* On the pipeline's streaming threads. */
static int input_descriptor(void *user, guint index)
{
    return relay_local_descriptor(((struct pipeline_termination *)user)->way_in, index);
}

static guint read_input(void *user, guint index, const struct wmcf_src_sink *sink, void *to)
{
    return pipeline_input_read(((struct pipeline_termination *)user)->way_in, index, sink, to);
}

static void want_key_frame(void *user, guint index)
{
    relay_local_want_key_frame(((struct pipeline_termination *)user)->way_in, index);
}

static const struct wmcf_src_ops input_ops = {
    .descriptor = input_descriptor, .read = read_input, .key_frame = want_key_frame};

/* "" for a medium that nobody wants. */
static const char *mid_for(struct pipeline_termination *p, const struct wmcf_sink_medium *m)
{
    if (!p->wanted || !m->format)
        return m->mid; /* "" of what the source does not have */
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
    const struct media_resource *resource = giver(p)->resource;
    for (guint i = 0; i < media_resource_media_count(resource); i++) {
        const struct wmcf_sink_medium *m = media_resource_medium(resource, i);
        termination_add_media(p->termination, mid_for(p, m), m->kind);
    }
}

/* All m-lines as they are now. */
static void describe_medias(void *data)
{
    struct pipeline_termination *p = data;
    const struct termination *t = p->termination;
    g_autofree struct relay_media *medias = g_new0(struct relay_media, t->medias->len);
    const struct media_resource *resource = giver(p)->resource;
    if (!p->text || t->medias->len == 0)
        return; /* its packets come by the host's leg */
    pipeline_inputs_describe(t, p->text, medias);
    if (p->members)
        pipeline_members_describe(p->members, p->resource, medias + p->n_inputs);
    for (guint i = 0; p->n_before + i < t->medias->len; i++) {
        const struct wmcf_sink_medium *m = media_resource_medium(resource, i);
        const struct termination_media *media = g_ptr_array_index(t->medias, p->n_before + i);
        struct relay_media *to = &medias[p->n_before + i];
        g_strlcpy(to->mid, media->mid, sizeof to->mid);
        to->kind = m->kind == SDP_AUDIO ? RELAY_AUDIO : RELAY_VIDEO;
        to->receive = *media->mid != '\0';
        to->n_recv_codecs = m->format ? 1 : 0;
        to->recv_codecs[0] = (struct relay_codec){
            .pt = m->pt, .clock_rate = m->clock_rate, .format = m->format, .pli = true};
        to->slot[QOS_UPLINK] = qos_flow_slot(media->flow, QOS_UPLINK);
        to->slot[QOS_DOWNLINK] = qos_flow_slot(media->flow, QOS_DOWNLINK);
    }
    relay_leg_set_medias(t->relay_leg, medias, t->medias->len);
}

/* --- from the resource ------------------------------------------------------------------------ */

/* Those who were asked for with it are there, too. */
static void on_members(void *user, const GError *error)
{
    struct pipeline_termination *p = user;
    tell(p, p->termination, error);
    if (p->termination->context)
        mesh_update(p->termination->context);
}

static void on_started(void *user)
{
    struct pipeline_termination *p = user;
    struct termination *t = p->termination;
    struct log_ids ids = ids_of(p);
    make_medias(p);
    describe_medias(p);
    t->joined = true;
    termination_set_playing(t);
    log_debug(&ids, "template %s plays after %.0f ms", p->template_name,
              media_resource_start_time(giver(p)->resource) / 1e3);
    if (p->wishes)
        pipeline_members_change(p->members, p->resource, p->wishes, on_members, p);
    else
        on_members(p, NULL);
}

static void on_failed(void *user, const GError *error)
{
    struct pipeline_termination *p = user;
    if (p->done)
        tell(p, p->termination, error);
    else if (p->termination->context)
        termination_fail(p->termination, EVENT_RESOURCE_FAILURE, error->message);
}

static void on_own_failed(void *user, const GError *error)
{
    struct pipeline_termination *p = user;
    struct pipeline_share *hosts = p->hosts;
    bool played = !p->done;
    on_failed(p, error);
    if (hosts && played)
        pipeline_share_failed(hosts, error); /* with the last of them this one goes, too */
}

static void on_ended(void *user)
{
    struct pipeline_termination *p = user;
    event_notify(p->termination, EVENT_END_OF_STREAM, NULL, NULL);
    if (p->hosts)
        pipeline_share_ended(p->hosts);
}

static const struct pipeline_share_ops share_ops = {
    .started = on_started, .failed = on_failed, .ended = on_ended};

static void on_member_failed(void *user, guint place, const GError *error)
{
    struct pipeline_termination *p = user;
    struct log_ids ids = ids_of(p);
    log_warning(&ids, "a member of the pipeline has failed: %s", error->message);
    pipeline_members_failed(p->members, place, error);
}

static void on_stopped(void *user)
{
    struct pipeline_termination *p = user;
    relay_leg_release(g_steal_pointer(&p->termination->relay_leg));
}

static const struct media_resource_ops resource_ops = {
    .started = on_started,
    .failed = on_own_failed,
    .ended = on_ended,
    .stopped = on_stopped,
    .packets = on_packets,
    .member_packets = on_member_packets,
    .member_failed = on_member_failed,
};

/* --- beginning and end ------------------------------------------------------------------------ */

static bool admit(struct context *context, bool shared, GError **error)
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
    if (!shared && media_resources_count() >= limit) {
        problem_set_retry(error, PROBLEM_RESOURCES_UNAVAILABLE, 2,
                          "all %u pipelines are in use (limits.pipelines)", limit);
        return false;
    }
    return true;
}

/* What is asked for: of single inputs, and of members of the repeated one. */
struct asked_inputs {
    struct pipeline_input_wanted single[PIPELINE_INPUTS_WANTED_MAX];
    struct pipeline_input matched[PIPELINE_INPUTS_WANTED_MAX]; /* to the single ones */
    guint n;
    GArray *wishes; /* struct pipeline_member_wish, owned */
};

static void sort_inputs(const struct pipeline_template *t, const struct pipeline_wanted *wanted,
                        struct asked_inputs *ret)
{
    struct pipeline_input places[PIPELINE_INPUTS_MAX];
    guint n_places = pipeline_template_inputs(t, places);
    bool repeats = false;
    for (guint i = 0; i < n_places; i++)
        repeats |= places[i].repeated;
    for (guint i = 0; i < wanted->n_inputs; i++) {
        const struct pipeline_input_wanted *input = &wanted->inputs[i];
        bool single = !repeats;
        for (guint k = 0; k < n_places && !single; k++)
            single = !places[k].repeated && g_strcmp0(places[k].name, input->name) == 0;
        if (single) {
            ret->single[ret->n++] = *input;
            continue;
        }
        struct pipeline_member_wish wish = {0};
        g_strlcpy(wish.name, input->name ? input->name : "", sizeof wish.name);
        g_strlcpy(wish.from, input->from ? input->from->id : "", sizeof wish.from);
        g_strlcpy(wish.mid, input->mid ? input->mid : "", sizeof wish.mid);
        g_array_append_val(ret->wishes, wish);
    }
}

static bool all_have_sources(const struct asked_inputs *asked, GError **error)
{
    for (guint i = 0; i < asked->n; i++) {
        if (asked->single[i].from)
            continue;
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/inputs",
                          "a single input needs terminationId and mid");
        return false;
    }
    return true;
}

static struct pipeline_text *make_text(const struct wmcf *wmcf,
                                       const struct pipeline_wanted *wanted,
                                       struct asked_inputs *asked, GError **error)
{
    struct pipeline_template *t =
        pipeline_templates_find(wmcf->templates, wanted->template_name, error);
    if (!t)
        return NULL;
    if (pipeline_template_filters(t)) {
        problem_set_param(
            error, PROBLEM_INVALID_MESSAGE, "/pipeline/template",
            "%s is a filter: it goes with mediaPath \"pipeline\" of a peer connection",
            wanted->template_name);
        pipeline_template_unref(t);
        return NULL;
    }
    struct pipeline_surroundings surroundings;
    struct pipeline_text *text = NULL;
    pipeline_surroundings(wmcf->conf, &surroundings);
    sort_inputs(t, wanted, asked);
    surroundings.inputs = asked->matched;
    surroundings.n_inputs = asked->n;
    if (all_have_sources(asked, error) &&
        pipeline_inputs_match(t, asked->single, asked->n, asked->matched, error))
        text = pipeline_template_fill(t, wanted->arguments, wanted->n_arguments, &surroundings,
                                      "/pipeline/parameters", error);
    pipeline_template_unref(t);
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
        .stall_timeout_ms =
            1000 * conf_int(p->termination->wmcf->conf, "pipelines", "stall_timeout"),
        .finish_timeout_ms =
            1000 * conf_int(p->termination->wmcf->conf, "pipelines", "finish_timeout"),
        .inputs = &input_ops,
        .ops = &resource_ops,
        .user = p,
    };
    p->text = text;
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

/* In place of start(): what it gives is made elsewhere. */
static bool share(struct pipeline_termination *p, const struct pipeline_wanted *wanted,
                  GError **error)
{
    const struct context *context = p->termination->context;
    p->member.ops = &share_ops;
    p->member.user = p;
    return pipeline_share_join(&p->member, context->wmcf, context->owner, wanted, error);
}

/* Before the pipeline is made: it may read at once. */
static void take_inputs(struct pipeline_termination *p, struct pipeline_text *text, guint places,
                        const struct asked_inputs *asked)
{
    p->text = text;
    p->n_inputs = pipeline_inputs_add(p->termination, text);
    if (places)
        p->members =
            pipeline_members_new(&(struct pipeline_members_config){.termination = p->termination,
                                                                   .text = text,
                                                                   .first = p->n_inputs,
                                                                   .places = places,
                                                                   .changed = describe_medias,
                                                                   .user = p});
    p->n_before = p->n_inputs + places;
    describe_medias(p);
    pipeline_inputs_connect(p->termination, asked->matched, asked->single, asked->n);
}

/* How many members its repeated input may have; 0: none is repeated. */
static guint places_of(const struct context *context, const struct pipeline_text *text,
                       struct relay_local_config *local)
{
    struct pipeline_input repeated;
    if (!text || !pipeline_text_repeated(text, &repeated))
        return 0;
    guint places = conf_int(context->wmcf->conf, "limits", "pipeline_members");
    local->outlets += places;
    if (!repeated.video) /* seconds of it, of each */
        local->outlet_buffer = MIN(local->outlet_buffer, AUDIO_BUFFER);
    return places;
}

static bool check_members(struct pipeline_termination *p, GArray *wishes, GError **error)
{
    if (p->members && p->hosts)
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/pipeline/share",
                          "a pipeline that takes media cannot be shared");
    else if (wishes->len == 0)
        return true;
    else if (pipeline_members_check(p->members, wishes, error)) {
        p->wishes = g_array_ref(wishes);
        return true;
    }
    return false;
}

static struct termination *add(struct context *context, const struct pipeline_wanted *wanted,
                               struct asked_inputs *asked, pipeline_started_fn done, void *user,
                               GError **error)
{
    struct conf *conf = context->wmcf->conf;
    struct pipeline_input inputs_of_text[PIPELINE_INPUTS_MAX];
    if (!admit(context, wanted->share != NULL, error))
        return NULL;
    struct pipeline_text *text =
        wanted->share ? NULL : make_text(context->wmcf, wanted, asked, error);
    if (!text && !wanted->share)
        return NULL;
    struct pipeline_termination *p = g_new0(struct pipeline_termination, 1);
    struct relay_local_config local = {
        .ops = &local_ops,
        .user = p,
        .queue_packets = conf_int(conf, "pipelines", "queue_packets"),
        .outlets = text ? pipeline_text_inputs(text, inputs_of_text) : 0,
        .outlet_buffer = 1024 * conf_int(conf, "pipelines", "input_buffer"),
    };
    guint places = places_of(context, text, &local);
    p->template_name = g_strdup(wanted->template_name);
    p->hosts = wanted->hosts;
    p->stands_in = wanted->stands_in;
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
    if (text)
        take_inputs(p, text, places, asked);
    if (!check_members(p, asked->wishes, error)) {
        p->text = NULL;
        pipeline_text_free(text);
        termination_release(p->termination);
        return NULL;
    }
    if (wanted->share ? !share(p, wanted, error) : !start(p, text, error)) {
        termination_release(p->termination);
        return NULL;
    }
    p->done = done;
    p->user = user;
    termination_begin_connecting(p->termination, false);
    return p->termination;
}

struct termination *pipeline_termination_add(struct context *context,
                                             const struct pipeline_wanted *wanted,
                                             pipeline_started_fn done, void *user, GError **error)
{
    struct asked_inputs asked = {.wishes =
                                     g_array_new(FALSE, TRUE, sizeof(struct pipeline_member_wish))};
    struct termination *t = add(context, wanted, &asked, done, user, error);
    g_array_unref(asked.wishes);
    return t;
}

/* --- changes ---------------------------------------------------------------------------------- */

static void on_changed(void *user, const GError *error)
{
    struct pipeline_termination *p = user;
    pipeline_changed_fn changed = g_steal_pointer(&p->changed);
    if (changed)
        changed(error, p->changed_user);
}

bool pipeline_termination_change(struct pipeline_termination *p,
                                 const struct pipeline_change *change, pipeline_changed_fn done,
                                 void *user, GError **error)
{
    struct pipeline_termination *asker = p;
    struct media_resource_change wish = {.position = -1};
    p = giver(p); /* what is shared changes for all */
    wish.settings = pipeline_text_change(p->text, change->arguments, change->n_arguments,
                                         "/pipeline/parameters", error);
    if (!wish.settings)
        return false;
    if (change->has_pause)
        wish.run = change->pause ? MEDIA_RESOURCE_PAUSE : MEDIA_RESOURCE_RESUME;
    if (change->seek >= 0)
        wish.position = (gint64)(change->seek * 1e9);
    if (!media_resource_change(p->resource, &wish, on_changed, p, error))
        return false;
    p->changed = done;
    p->changed_user = user;
    p->changed_by = asker;
    return true;
}

bool pipeline_termination_change_members(struct pipeline_termination *p, GArray *wishes,
                                         pipeline_members_fn done, void *user, GError **error)
{
    if (!p->members)
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/inputs",
                          "the template has no repeated input");
    else if (media_resource_get_state(p->resource) != MEDIA_RESOURCE_PLAYING)
        problem_set(error, PROBLEM_INVALID_STATE, "the pipeline is %s",
                    media_resource_state_name(media_resource_get_state(p->resource)));
    else if (p->done) /* without the last of those it is released, in the midst of this */
        problem_set(error, PROBLEM_INVALID_STATE,
                    "the members that came with add are not there yet");
    else if (pipeline_members_check(p->members, wishes, error)) {
        pipeline_members_change(p->members, p->resource, wishes, done, user);
        return true;
    }
    return false;
}

void pipeline_termination_close(struct pipeline_termination *p)
{
    GError *error = NULL;
    problem_set(&error, PROBLEM_TERMINATION_NOT_FOUND,
                p->done ? "the termination was subtracted before its pipeline played"
                        : "the termination was subtracted before its pipeline was changed");
    tell(p, NULL, error);
    if (p->members)
        pipeline_members_close(p->members, error);
    if (giver(p)->changed_by == p || giver(p) == p)
        on_changed(giver(p), error);
    g_error_free(error);
    pipeline_share_leave(&p->member);
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
    pipeline_members_free(p->members);
    g_clear_pointer(&p->wishes, g_array_unref);
    g_clear_pointer(&p->wanted, g_array_unref);
    g_free(p->template_name);
    g_free(p);
}

/* --- looking ---------------------------------------------------------------------------------- */

static json_t *medium_json(const struct termination_media *own, enum sdp_direction direction,
                           const char *codec)
{
    json_t *media =
        json_pack("{s:s, s:s, s:s, s:[s]}", "mid", own->mid, "mediaType", sdp_kind_name(own->kind),
                  "direction", sdp_direction_name(direction), "codecs", codec);
    policy_add_json(own->flow, false, media);
    if (own->source)
        json_object_set_new(
            media, "source",
            json_pack("{s:s, s:s}", "terminationId", own->source->id, "mid", own->source_mid));
    return media;
}

/* Of the n-th of the termination's medias: what it takes, or what it gives. */
static const char *codec_at(const struct pipeline_termination *p, guint n)
{
    struct pipeline_input inputs[PIPELINE_INPUTS_MAX];
    if (n >= p->n_before)
        return media_resource_medium(giver(p)->resource, n - p->n_before)->codec;
    if (n >= p->n_inputs)
        return pipeline_members_codec(p->members, n - p->n_inputs);
    pipeline_text_inputs(p->text, inputs);
    return inputs[n].codec;
}

/* As the WMCF sees it. */
static enum sdp_direction direction_at(const struct pipeline_termination *p, guint n)
{
    if (n >= p->n_before)
        return SDP_RECVONLY;
    return n >= p->n_inputs && pipeline_members_gives(p->members, p->resource, n - p->n_inputs)
               ? SDP_SENDRECV
               : SDP_SENDONLY;
}

json_t *pipeline_termination_medias_json(const struct pipeline_termination *p)
{
    const struct termination *t = p->termination;
    json_t *array = json_array();
    for (guint i = 0; i < t->medias->len; i++) {
        const struct termination_media *own = g_ptr_array_index(t->medias, i);
        if (*own->mid)
            json_array_append_new(array, medium_json(own, direction_at(p, i), codec_at(p, i)));
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
            .mid = own->mid, .kind = own->kind, .direction = direction_at(p, i)};
        g_array_append_val(medias, media);
    }
    return medias;
}

const char *pipeline_termination_codec(const struct pipeline_termination *p, const char *mid)
{
    const struct termination *t = p->termination;
    for (guint i = p->n_inputs; i < t->medias->len; i++) {
        const struct termination_media *own = g_ptr_array_index(t->medias, i);
        if (strcmp(own->mid, mid) == 0 && (direction_at(p, i) & SDP_RECVONLY))
            return codec_at(p, i);
    }
    return NULL;
}

const char *pipeline_termination_format(const struct pipeline_termination *p, const char *mid)
{
    const struct termination *t = p->termination;
    for (guint i = p->n_inputs; i < t->medias->len; i++) {
        const struct termination_media *own = g_ptr_array_index(t->medias, i);
        if (strcmp(own->mid, mid) != 0)
            continue;
        const struct wmcf_sink_medium *given =
            i < p->n_before ? media_resource_member_medium(p->resource, i - p->n_inputs)
                            : media_resource_medium(giver(p)->resource, i - p->n_before);
        return given ? given->format : NULL;
    }
    return NULL;
}

bool pipeline_termination_stands_in(const struct pipeline_termination *p,
                                    const struct termination_media **ret)
{
    const struct termination_media *input =
        p->n_inputs ? g_ptr_array_index(p->termination->medias, 0) : NULL;
    *ret = p->stands_in && input && input->source ? input : NULL;
    return p->stands_in;
}

bool pipeline_termination_takes(const struct pipeline_termination *p, const char *name,
                                const struct termination *from, const char *mid,
                                const char *pointer, GError **error)
{
    const struct pipeline_input *member =
        p->members ? pipeline_members_input(p->members, name) : NULL;
    if (member)
        return pipeline_input_codec(member, from, mid, pointer, error) != NULL;
    if (p->text)
        return pipeline_input_takes(p->text, name, from, mid, pointer, error);
    problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                      "a shared pipeline gives media and takes none");
    return false;
}

static void input_stats(const struct pipeline_termination *p, guint n, struct wmcf_src_stats *ret)
{
    struct wmcf_sink_stats given;
    if (n < p->n_inputs)
        media_resource_input_stats(p->resource, n, ret);
    else
        media_resource_member_stats(p->resource, n - p->n_inputs, ret, &given);
}

static json_t *inputs_json(const struct pipeline_termination *p)
{
    json_t *array = json_array();
    for (guint i = 0; i < p->n_before; i++) {
        const struct termination_media *own = g_ptr_array_index(p->termination->medias, i);
        struct wmcf_src_stats stats;
        if (*own->mid == '\0')
            continue;
        input_stats(p, i, &stats);
        json_array_append_new(array, json_pack("{s:s, s:I, s:I, s:I, s:I}", "input", own->mid,
                                               "packets", (json_int_t)stats.packets, "octets",
                                               (json_int_t)stats.octets, "keyFrameRequests",
                                               (json_int_t)stats.key_frame_requests, "overrun",
                                               (json_int_t)relay_local_overrun(p->way_in, i)));
    }
    return array;
}

json_t *pipeline_termination_json(const struct pipeline_termination *p)
{
    const struct pipeline_termination *from = giver(p);
    json_t *object = json_pack("{s:s, s:s, s:I, s:I}", "template", p->template_name, "state",
                               media_resource_state_name(media_resource_get_state(from->resource)),
                               "queueDropped", (json_int_t)relay_local_dropped(from->way_in),
                               "refused", (json_int_t)relay_local_refused(from->way_in));
    guint64 late = 0, key_frames = 0;
    for (guint i = 0; i < media_resource_media_count(from->resource); i++) {
        struct wmcf_sink_stats stats;
        media_resource_stats(from->resource, i, &stats);
        late += stats.late;
        key_frames += stats.key_frame_requests;
    }
    struct media_resource_times times;
    media_resource_times(from->resource, &times);
    if (times.position >= 0)
        json_object_set_new(object, "position", json_real((double)times.position / 1e9));
    if (times.duration >= 0)
        json_object_set_new(object, "duration", json_real((double)times.duration / 1e9));
    json_object_set_new(object, "seekable", json_boolean(times.can_seek));
    json_object_set_new(object, "paused", json_boolean(times.paused));
    json_object_set_new(object, "late", json_integer((json_int_t)late));
    json_object_set_new(object, "keyFrameRequests", json_integer((json_int_t)key_frames));
    if (p->n_before)
        json_object_set_new(object, "inputs", inputs_json(p));
    if (from != p)
        json_object_set_new(object, "shared", json_true());
    if (media_resource_start_time(from->resource))
        json_object_set_new(object, "startSeconds",
                            json_real(media_resource_start_time(from->resource) / 1e6));
    return object;
}

char *pipeline_termination_dot(const struct pipeline_termination *p)
{
    return media_resource_dot(giver(p)->resource);
}

struct termination *pipeline_termination_source(struct termination *t, const char *mid,
                                                const char **ret_mid)
{
    struct termination *host = pipeline_share_host(&t->pipeline->member);
    *ret_mid = mid;
    for (guint i = 0; host && i < t->medias->len; i++) {
        const struct termination_media *own = g_ptr_array_index(t->medias, i);
        if (strcmp(own->mid, mid) != 0)
            continue;
        *ret_mid = ((const struct termination_media *)g_ptr_array_index(host->medias, i))->mid;
        return host;
    }
    return host ? NULL : t;
}
