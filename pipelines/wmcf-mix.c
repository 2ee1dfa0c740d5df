/* SPDX-License-Identifier: Apache-2.0 */
/* One sum for all and one subtraction for each, where GStreamer's audiomixer would be one with a
 * thread, N inputs and their conversions for each of N participants. The thread sleeps on the
 * pipeline's clock until a block is due and takes what is there; nobody is waited for, and nobody
 * who brings something ever waits, so an input that hangs or goes cannot hold up the rest. Those
 * who are silent at a time get the same buffer. Without an output it sleeps. */
#include "pipelines/wmcf-mix.h"

#include "base/problem.h"
#include "pipelines/mix-input.h"
#include "pipelines/mix-sum.h"

#include <string.h>

#define RATE 48000
#define BLOCK 960u /* frames: 20 ms, as opus has it */
#define BLOCK_NS (20 * GST_MSECOND)
#define CHANNELS_MAX 2
#define AHEAD 24000           /* frames that wait of an input at most */
#define TOLERANCE 960         /* frames by which an input may be off before it is put right */
#define BEHIND (5 * BLOCK_NS) /* later than that blocks are left out instead of hurried */

struct mix_pad {          /* of each pad, as its element private */
    GstPad *pad;          /* borrowed */
    char *name;           /* behind sink_ or src_ */
    struct mix_pad *twin; /* NULL = there is none */
    bool is_input;
    /* of an input */
    struct mix_input input;
    GstSegment segment;
    GstClockTime latency; /* of what comes; none = not asked yet */
    bool active;          /* in the block that is being mixed */
    gint16 own[BLOCK * CHANNELS_MAX];
    /* of an output; the mixing thread's */
    struct mix_limiter limiter;
    bool begun;
};

typedef struct {
    GstElement parent;
    GMutex lock;
    GCond changed;
    GPtrArray *inputs, *outputs; /* struct mix_pad, borrowed from the pads */
    GThread *thread;
    GstClockID sleeping; /* on which the thread sleeps, or NULL */
    bool playing, quit;
    guint channels;
    GstClockTime latency, upstream; /* as said; the largest that an input tells */
    bool asks;                      /* nothing is said: the inputs tell */
    guint64 blocks, skipped;
    gint64 next;                /* frame with which the next block begins */
    struct mix_limiter limiter; /* of the whole sum */
} WmcfMix;

typedef struct {
    GstElementClass parent;
} WmcfMixClass;

G_DEFINE_TYPE(WmcfMix, wmcf_mix, GST_TYPE_ELEMENT)

#define CAPS                                                                                       \
    "audio/x-raw, format=(string)S16LE, rate=(int)48000, channels=(int)[1,2], "                    \
    "layout=(string)interleaved"
static GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE("sink_%s", GST_PAD_SINK, GST_PAD_REQUEST, GST_STATIC_CAPS(CAPS));
static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE("src_%s", GST_PAD_SRC, GST_PAD_REQUEST, GST_STATIC_CAPS(CAPS));

enum { PROPERTY_CHANNELS = 1, PROPERTY_LATENCY, PROPERTY_STATS };

static WmcfMix *cast(gpointer object)
{
    return G_TYPE_CHECK_INSTANCE_CAST(object, WMCF_TYPE_MIX, WmcfMix);
}

static struct mix_pad *of(GstPad *pad)
{
    return gst_pad_get_element_private(pad);
}

static gint64 frames_of(GstClockTime time)
{
    return (gint64)gst_util_uint64_scale_round(time, RATE, GST_SECOND);
}

static GstClockTime time_of(gint64 frames)
{
    return gst_util_uint64_scale((guint64)frames, GST_SECOND, RATE);
}

/* --- what comes ------------------------------------------------------------------------------- */

static GstClockTime latency_of(const WmcfMix *mix)
{
    return mix->asks ? mix->upstream : mix->latency;
}

/* Under the lock. */
static void measure_latency(WmcfMix *mix)
{
    mix->upstream = 0;
    for (guint i = 0; i < mix->inputs->len; i++) {
        const struct mix_pad *p = g_ptr_array_index(mix->inputs, i);
        if (GST_CLOCK_TIME_IS_VALID(p->latency))
            mix->upstream = MAX(mix->upstream, p->latency);
    }
}

static void ask_latency(WmcfMix *mix, struct mix_pad *p)
{
    GstQuery *query = gst_query_new_latency();
    GstClockTime latency = 0;
    if (gst_pad_peer_query(p->pad, query))
        gst_query_parse_latency(query, NULL, &latency, NULL);
    gst_query_unref(query);
    g_mutex_lock(&mix->lock);
    GstClockTime before = mix->upstream;
    p->latency = GST_CLOCK_TIME_IS_VALID(latency) ? MIN(latency, GST_SECOND) : 0;
    measure_latency(mix);
    bool other = before != mix->upstream;
    g_mutex_unlock(&mix->lock);
    if (other)
        gst_element_post_message(GST_ELEMENT(mix), gst_message_new_latency(GST_OBJECT(mix)));
}

static GstFlowReturn chain(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
    WmcfMix *mix = cast(parent);
    struct mix_pad *p = of(pad);
    GstMapInfo map;
    /* On the only thread that writes it. */
    if (!GST_CLOCK_TIME_IS_VALID(p->latency))
        ask_latency(mix, p);
    GstClockTime at =
        p->segment.format == GST_FORMAT_TIME && GST_BUFFER_PTS_IS_VALID(buffer)
            ? gst_segment_to_running_time(&p->segment, GST_FORMAT_TIME, GST_BUFFER_PTS(buffer))
            : GST_CLOCK_TIME_NONE;
    if (GST_CLOCK_TIME_IS_VALID(at) && gst_buffer_map(buffer, &map, GST_MAP_READ)) {
        guint frames = (guint)(map.size / (sizeof(gint16) * mix->channels));
        g_mutex_lock(&mix->lock);
        mix_input_put(&p->input, frames_of(at), (const gint16 *)(const void *)map.data, frames,
                      TOLERANCE);
        g_mutex_unlock(&mix->lock);
        gst_buffer_unmap(buffer, &map);
    }
    gst_buffer_unref(buffer);
    return GST_FLOW_OK;
}

static GstCaps *caps_of(WmcfMix *mix)
{
    return gst_caps_new_simple("audio/x-raw", "format", G_TYPE_STRING, "S16LE", "rate", G_TYPE_INT,
                               RATE, "channels", G_TYPE_INT, (int)mix->channels, "layout",
                               G_TYPE_STRING, "interleaved", NULL);
}

static void take_segment(WmcfMix *mix, struct mix_pad *p, GstEvent *event)
{
    g_mutex_lock(&mix->lock);
    gst_event_copy_segment(event, &p->segment);
    g_mutex_unlock(&mix->lock);
}

/* None goes on: what comes out begins, and goes on, by itself. */
static gboolean on_sink_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    WmcfMix *mix = cast(parent);
    gboolean good = TRUE;
    if (GST_EVENT_TYPE(event) == GST_EVENT_SEGMENT) {
        take_segment(mix, of(pad), event);
    } else if (GST_EVENT_TYPE(event) == GST_EVENT_CAPS) {
        g_autoptr(GstCaps) wanted = caps_of(mix);
        GstCaps *caps;
        gst_event_parse_caps(event, &caps);
        good = gst_caps_can_intersect(caps, wanted);
    }
    gst_event_unref(event);
    return good;
}

static gboolean answer_caps(WmcfMix *mix, GstPad *pad, GstQuery *query)
{
    g_autoptr(GstCaps) caps = caps_of(mix);
    GstCaps *asked;
    if (GST_QUERY_TYPE(query) == GST_QUERY_CAPS) {
        gst_query_parse_caps(query, &asked);
        g_autoptr(GstCaps) both =
            asked ? gst_caps_intersect_full(asked, caps, GST_CAPS_INTERSECT_FIRST)
                  : gst_caps_ref(caps);
        gst_query_set_caps_result(query, both);
    } else {
        gst_query_parse_accept_caps(query, &asked);
        gst_query_set_accept_caps_result(query, gst_caps_can_intersect(asked, caps));
    }
    return TRUE;
}

static gboolean on_query(GstPad *pad, GstObject *parent, GstQuery *query)
{
    WmcfMix *mix = cast(parent);
    if (GST_QUERY_TYPE(query) == GST_QUERY_CAPS || GST_QUERY_TYPE(query) == GST_QUERY_ACCEPT_CAPS)
        return answer_caps(mix, pad, query);
    if (GST_QUERY_TYPE(query) != GST_QUERY_LATENCY || GST_PAD_IS_SINK(pad))
        return gst_pad_query_default(pad, parent, query);
    g_mutex_lock(&mix->lock);
    gst_query_set_latency(query, TRUE, latency_of(mix) + BLOCK_NS, GST_CLOCK_TIME_NONE);
    g_mutex_unlock(&mix->lock);
    return TRUE;
}

/* Latency is told by query, and quality is not ours to change. */
static gboolean on_src_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    gst_event_unref(event);
    return TRUE;
}

/* --- mixing ----------------------------------------------------------------------------------- */

static GstClockTime now_of(WmcfMix *mix, GstClock *clock)
{
    GstClockTime now = gst_clock_get_time(clock),
                 base = gst_element_get_base_time(GST_ELEMENT(mix));
    return now > base ? now - base : 0;
}

/* Of the next block, as running time: when all that belongs into it should have come. */
static GstClockTime due(const WmcfMix *mix)
{
    return time_of(mix->next) + BLOCK_NS + latency_of(mix);
}

/* The first block that is not due yet. */
static void go_to_now(WmcfMix *mix, GstClockTime now)
{
    GstClockTime late = BLOCK_NS + latency_of(mix);
    gint64 at = now > late ? frames_of(now - late) : 0;
    gint64 next = (at + BLOCK - 1) / BLOCK * BLOCK;
    mix->next = MAX(mix->next, next);
}

static GstBuffer *buffer_of(const WmcfMix *mix, const gint32 *sum, const gint16 *own,
                            struct mix_limiter *limiter)
{
    gsize octets = (gsize)BLOCK * mix->channels * sizeof(gint16);
    GstBuffer *buffer = gst_buffer_new_allocate(NULL, octets, NULL);
    GstMapInfo map;
    gst_buffer_map(buffer, &map, GST_MAP_WRITE);
    mix_sum_without((gint16 *)(void *)map.data, sum, own, BLOCK * mix->channels, limiter);
    gst_buffer_unmap(buffer, &map);
    GST_BUFFER_PTS(buffer) = time_of(mix->next);
    GST_BUFFER_DURATION(buffer) = BLOCK_NS;
    return buffer;
}

struct outgoing {
    GstPad *pad; /* owned */
    GstBuffer *buffer;
};

/* Under the lock. What is to be pushed. */
static void mix_block(WmcfMix *mix, GArray *outgoing)
{
    gint32 sum[BLOCK * CHANNELS_MAX] = {0};
    guint n = BLOCK * mix->channels;
    g_autoptr(GstBuffer) whole = NULL; /* of all who are silent */
    for (guint i = 0; i < mix->inputs->len; i++) {
        struct mix_pad *p = g_ptr_array_index(mix->inputs, i);
        p->active = mix_input_take(&p->input, mix->next, BLOCK, p->own);
        if (p->active)
            mix_sum_add(sum, p->own, n);
    }
    for (guint i = 0; i < mix->outputs->len; i++) {
        struct mix_pad *p = g_ptr_array_index(mix->outputs, i);
        struct outgoing out = {.pad = gst_object_ref(p->pad)};
        if (p->twin && p->twin->active) {
            out.buffer = buffer_of(mix, sum, p->twin->own, &p->limiter);
        } else {
            if (!whole)
                whole = buffer_of(mix, sum, NULL, &mix->limiter);
            out.buffer = gst_buffer_ref(whole);
        }
        g_array_append_val(outgoing, out);
    }
    mix->next += BLOCK;
    mix->blocks++;
}

static void begin_output(WmcfMix *mix, GstPad *pad)
{
    GstSegment segment;
    g_autoptr(GstCaps) caps = caps_of(mix);
    g_autofree char *id = g_strdup_printf("%s/%s", GST_OBJECT_NAME(mix), GST_PAD_NAME(pad));
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_pad_push_event(pad, gst_event_new_stream_start(id));
    gst_pad_push_event(pad, gst_event_new_caps(caps));
    gst_pad_push_event(pad, gst_event_new_segment(&segment));
}

/* What becomes of one output is nobody else's business: it may be on its way out. */
static void push_all(WmcfMix *mix, GArray *outgoing)
{
    for (guint i = 0; i < outgoing->len; i++) {
        struct outgoing *out = &g_array_index(outgoing, struct outgoing, i);
        struct mix_pad *p = of(out->pad);
        if (!p->begun)
            begin_output(mix, out->pad);
        p->begun = true;
        gst_pad_push(out->pad, out->buffer);
        gst_object_unref(out->pad);
    }
    g_array_set_size(outgoing, 0);
}

/* Under the lock, which it leaves meanwhile. False: it was woken. */
static bool sleep_until_due(WmcfMix *mix, GstClock *clock)
{
    GstClockTime now = now_of(mix, clock);
    if (now > due(mix) + BEHIND) {
        gint64 from = mix->next;
        go_to_now(mix, now);
        mix->skipped += (guint64)((mix->next - from) / BLOCK);
    }
    GstClockTime base = gst_element_get_base_time(GST_ELEMENT(mix));
    GstClockID id = gst_clock_new_single_shot_id(clock, base + due(mix));
    mix->sleeping = id;
    g_mutex_unlock(&mix->lock);
    GstClockReturn woken = gst_clock_id_wait(id, NULL);
    g_mutex_lock(&mix->lock);
    mix->sleeping = NULL;
    gst_clock_id_unref(id);
    return woken == GST_CLOCK_OK || woken == GST_CLOCK_EARLY;
}

static void *run(void *data)
{
    WmcfMix *mix = data;
    g_autoptr(GArray) outgoing = g_array_new(FALSE, FALSE, sizeof(struct outgoing));
    GstClock *clock = NULL;
    g_mutex_lock(&mix->lock);
    while (!mix->quit) {
        if (!mix->playing || mix->outputs->len == 0) {
            gst_clear_object(&clock);
            g_cond_wait(&mix->changed, &mix->lock);
            continue;
        }
        if (!clock) {
            clock = gst_element_get_clock(GST_ELEMENT(mix));
            if (!clock)
                clock = gst_system_clock_obtain();
            go_to_now(mix, now_of(mix, clock));
        }
        if (!sleep_until_due(mix, clock) || !mix->playing || mix->quit)
            continue;
        mix_block(mix, outgoing);
        g_mutex_unlock(&mix->lock);
        push_all(mix, outgoing);
        g_mutex_lock(&mix->lock);
    }
    g_mutex_unlock(&mix->lock);
    gst_clear_object(&clock);
    return NULL;
}

/* --- pads ------------------------------------------------------------------------------------- */

static void mix_pad_free(void *data)
{
    struct mix_pad *p = data;
    mix_input_clear(&p->input);
    g_free(p->name);
    g_free(p);
}

static struct mix_pad *find(const GPtrArray *pads, const char *name)
{
    for (guint i = 0; i < pads->len; i++) {
        struct mix_pad *p = g_ptr_array_index(pads, i);
        if (strcmp(p->name, name) == 0)
            return p;
    }
    return NULL;
}

static GPtrArray *list_of(WmcfMix *mix, const struct mix_pad *p, bool own)
{
    return p->is_input == own ? mix->inputs : mix->outputs;
}

static void join(WmcfMix *mix, struct mix_pad *p)
{
    g_mutex_lock(&mix->lock);
    g_ptr_array_add(list_of(mix, p, true), p);
    p->twin = find(list_of(mix, p, false), p->name);
    if (p->twin)
        p->twin->twin = p;
    p->input.taken = mix->next;
    g_cond_broadcast(&mix->changed);
    g_mutex_unlock(&mix->lock);
}

static void leave(WmcfMix *mix, struct mix_pad *p)
{
    g_mutex_lock(&mix->lock);
    g_ptr_array_remove(list_of(mix, p, true), p);
    if (p->twin)
        p->twin->twin = NULL;
    p->twin = NULL;
    measure_latency(mix);
    g_mutex_unlock(&mix->lock);
}

static GstPad *request_pad(GstElement *element, GstPadTemplate *template, const char *name,
                           const GstCaps *caps)
{
    WmcfMix *mix = cast(element);
    bool is_input = GST_PAD_TEMPLATE_DIRECTION(template) == GST_PAD_SINK;
    gsize prefix = strlen(is_input ? "sink_" : "src_");
    if (!name || strlen(name) <= prefix)
        return NULL; /* they belong together by name */
    struct mix_pad *p = g_new0(struct mix_pad, 1);
    GstPad *pad = gst_pad_new_from_template(template, name);
    p->pad = pad;
    p->name = g_strdup(name + prefix);
    p->is_input = is_input;
    p->latency = GST_CLOCK_TIME_NONE;
    gst_segment_init(&p->segment, GST_FORMAT_UNDEFINED);
    mix_limiter_init(&p->limiter);
    if (is_input)
        mix_input_init(&p->input, mix->channels, AHEAD);
    gst_pad_set_element_private(pad, p);
    g_object_set_data_full(G_OBJECT(pad), "wmcf-mix-pad", p, mix_pad_free);
    gst_pad_set_query_function(pad, on_query);
    if (is_input) {
        gst_pad_set_chain_function(pad, chain);
        gst_pad_set_event_function(pad, on_sink_event);
    } else {
        gst_pad_set_event_function(pad, on_src_event);
    }
    gst_pad_set_active(pad, TRUE);
    if (!gst_element_add_pad(element, pad)) /* one of this name is there; `pad` is gone */
        return NULL;
    join(mix, p);
    return pad;
}

static void release_pad(GstElement *element, GstPad *pad)
{
    leave(cast(element), of(pad));
    gst_pad_set_active(pad, FALSE);
    gst_element_remove_pad(element, pad);
}

/* --- life ------------------------------------------------------------------------------------- */

static void wake(WmcfMix *mix)
{
    if (mix->sleeping)
        gst_clock_id_unschedule(mix->sleeping);
    g_cond_broadcast(&mix->changed);
}

static void set_running(WmcfMix *mix, bool playing, bool quit)
{
    g_mutex_lock(&mix->lock);
    mix->playing = playing;
    mix->quit = quit;
    wake(mix);
    g_mutex_unlock(&mix->lock);
}

static GstStateChangeReturn change_state(GstElement *element, GstStateChange transition)
{
    WmcfMix *mix = cast(element);
    g_autoptr(GError) error = NULL;
    if (transition == GST_STATE_CHANGE_READY_TO_PAUSED) {
        mix->next = 0;
        set_running(mix, false, false);
        mix->thread = g_thread_try_new("mix", run, mix, &error);
        if (!mix->thread) {
            GST_ELEMENT_ERROR(mix, RESOURCE, NO_SPACE_LEFT,
                              ("no thread to mix: %s", error->message), (NULL));
            return GST_STATE_CHANGE_FAILURE;
        }
    } else if (transition == GST_STATE_CHANGE_PLAYING_TO_PAUSED) {
        set_running(mix, false, false);
    } else if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) {
        set_running(mix, false, true);
    }
    GstStateChangeReturn done =
        GST_ELEMENT_CLASS(wmcf_mix_parent_class)->change_state(element, transition);
    if (done == GST_STATE_CHANGE_FAILURE)
        return done;
    if (transition == GST_STATE_CHANGE_PAUSED_TO_PLAYING)
        set_running(mix, true, false);
    /* The pads are inactive now: what it pushed into has let it go. */
    if (transition == GST_STATE_CHANGE_PAUSED_TO_READY && mix->thread)
        g_thread_join(g_steal_pointer(&mix->thread));
    bool live = transition == GST_STATE_CHANGE_READY_TO_PAUSED ||
                transition == GST_STATE_CHANGE_PLAYING_TO_PAUSED;
    return live ? GST_STATE_CHANGE_NO_PREROLL : done;
}

static GstStructure *make_stats(WmcfMix *mix)
{
    guint64 late = 0, dropped = 0;
    g_mutex_lock(&mix->lock);
    for (guint i = 0; i < mix->inputs->len; i++) {
        const struct mix_pad *p = g_ptr_array_index(mix->inputs, i);
        late += p->input.late;
        dropped += p->input.dropped;
    }
    GstStructure *stats = gst_structure_new(
        "wmcfmix", "inputs", G_TYPE_UINT, mix->inputs->len, "outputs", G_TYPE_UINT,
        mix->outputs->len, "blocks", G_TYPE_UINT64, mix->blocks, "skipped", G_TYPE_UINT64,
        mix->skipped, "late", G_TYPE_UINT64, late, "dropped", G_TYPE_UINT64, dropped, NULL);
    g_mutex_unlock(&mix->lock);
    return stats;
}

static void set_latency(WmcfMix *mix, int ms)
{
    mix->asks = ms < 0;
    mix->latency = ms < 0 ? 0 : (GstClockTime)ms * GST_MSECOND;
}

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
    WmcfMix *mix = cast(object);
    g_mutex_lock(&mix->lock);
    if (id == PROPERTY_CHANNELS && mix->inputs->len == 0 && mix->outputs->len == 0)
        mix->channels = g_value_get_uint(value);
    else if (id == PROPERTY_LATENCY)
        set_latency(mix, g_value_get_int(value));
    else
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
    g_mutex_unlock(&mix->lock);
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *spec)
{
    WmcfMix *mix = cast(object);
    if (id == PROPERTY_CHANNELS)
        g_value_set_uint(value, mix->channels);
    else if (id == PROPERTY_LATENCY)
        g_value_set_int(value, mix->asks ? -1 : (int)(mix->latency / GST_MSECOND));
    else if (id == PROPERTY_STATS)
        g_value_take_boxed(value, make_stats(mix));
    else
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
}

static void finalize(GObject *object)
{
    WmcfMix *mix = cast(object);
    g_ptr_array_unref(mix->inputs);
    g_ptr_array_unref(mix->outputs);
    g_mutex_clear(&mix->lock);
    g_cond_clear(&mix->changed);
    G_OBJECT_CLASS(wmcf_mix_parent_class)->finalize(object);
}

static void wmcf_mix_class_init(WmcfMixClass *class)
{
    GObjectClass *object = G_OBJECT_CLASS(class);
    GstElementClass *element = GST_ELEMENT_CLASS(class);
    object->set_property = set_property;
    object->get_property = get_property;
    object->finalize = finalize;
    g_object_class_install_property(
        object, PROPERTY_CHANNELS,
        g_param_spec_uint("channels", "channels", "Channels of all pads; before there are any", 1,
                          CHANNELS_MAX, 1, G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS));
    g_object_class_install_property(
        object, PROPERTY_LATENCY,
        g_param_spec_int("latency", "latency",
                         "How long after its time, in ms, a block is mixed with what has come by "
                         "then; -1 = as the inputs tell",
                         -1, 2000, -1, G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS));
    g_object_class_install_property(object, PROPERTY_STATS,
                                    g_param_spec_boxed("stats", "stats", "What it has done so far",
                                                       GST_TYPE_STRUCTURE,
                                                       G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
    gst_element_class_set_static_metadata(element, "Media centre mixer", "Generic/Audio",
                                          "Gives each input the sum of all others",
                                          "the WMCF project");
    gst_element_class_add_static_pad_template(element, &sink_template);
    gst_element_class_add_static_pad_template(element, &src_template);
    element->request_new_pad = request_pad;
    element->release_pad = release_pad;
    element->change_state = change_state;
}

static void wmcf_mix_init(WmcfMix *mix)
{
    g_mutex_init(&mix->lock);
    g_cond_init(&mix->changed);
    mix->inputs = g_ptr_array_new();
    mix->outputs = g_ptr_array_new();
    mix->channels = 1;
    mix->asks = true;
    mix_limiter_init(&mix->limiter);
}

bool wmcf_mix_register(GError **error)
{
    if (gst_element_register(NULL, WMCF_MIX_NAME, GST_RANK_NONE, WMCF_TYPE_MIX))
        return true;
    problem_set(error, PROBLEM_INTERNAL_ERROR, "GStreamer refuses our element " WMCF_MIX_NAME);
    return false;
}
