/* SPDX-License-Identifier: Apache-2.0 */
/* The element is GstBaseSink and little else: clock, preroll, latency and end of stream are its. A
 * key frame is asked for from the streaming thread itself, just before it hands the next packets
 * on: whoever wants one sets a flag and never meets a lock of the pipeline. */
#include "pipelines/wmcf-sink.h"

#include "base/problem.h"
#include "pipelines/sdp-codec.h"
#include "pipelines/wmcf-alone.h"

#include <gst/base/gstbasesink.h>
#include <stdatomic.h>
#include <string.h>

#define PACKET_MAX 1400 /* octets of RTP: with SRTP, UDP and IPv6 still one Ethernet frame */
#define BURST_MAX 64
#define LATE_NS (100 * GST_MSECOND)
#define JUMP_PARTS 5 /* of a second: a timestamp that is off by more begins anew */

typedef struct {
    GstBaseSink parent;
    const struct wmcf_sink_ops *ops; /* RO while it runs; NULL = nobody listens */
    void *user;
    guint index;
    char mid[SDP_MAX_MID + 1]; /* object lock */
    char *host;                /* object lock; NULL = nowhere, with: */
    guint port;
    struct wmcf_alone_sender *sender; /* NULL = attached, or nowhere; streaming thread */
    bool has_caps;                    /* object lock, with: */
    struct wmcf_sink_medium medium;
    bool began;         /* streaming thread */
    _Atomic bool known; /* the first packet has come */
    _Atomic bool key_frame_wanted;
    guint key_frame_count; /* streaming thread */
    /* Streaming thread: what was sent last, and what is added to the payloader's timestamps. */
    bool sent, timed;
    guint16 sequence;
    guint32 last_timestamp, offset;
    gint64 last_at;
    guint8 *scratch; /* BURST_MAX packets that are sent otherwise than the payloader made them */
    _Atomic guint64 packets, octets, late, key_frame_requests;
    _Atomic gint64 position;
    _Atomic bool ended, absent;
} WmcfSink;

typedef struct {
    GstBaseSinkClass parent;
} WmcfSinkClass;

G_DEFINE_TYPE(WmcfSink, wmcf_sink, GST_TYPE_BASE_SINK)

static GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS,
                            GST_STATIC_CAPS("application/x-rtp, media=(string){audio,video}, "
                                            "clock-rate=(int)[1,MAX], payload=(int)[0,127]"));

enum { PROPERTY_MID = 1, PROPERTY_HOST, PROPERTY_PORT };

static WmcfSink *cast(gpointer object)
{
    return G_TYPE_CHECK_INSTANCE_CAST(object, WMCF_TYPE_SINK, WmcfSink);
}

/* --- what it carries -------------------------------------------------------------------------- */

static char *fmtp_of(const GstStructure *caps)
{
    static const char *const names[] = {"packetization-mode", "profile-level-id", "profile-id",
                                        "profile"};
    GString *text = g_string_new(NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *value = gst_structure_get_string(caps, names[i]);
        if (value)
            g_string_append_printf(text, "%s%s=%s", text->len ? ";" : "", names[i], value);
    }
    return g_string_free(text, text->len == 0);
}

static bool read_caps(const GstStructure *caps, struct wmcf_sink_medium *ret)
{
    const char *name = gst_structure_get_string(caps, "encoding-name");
    const char *media = gst_structure_get_string(caps, "media");
    const char *channels = gst_structure_get_string(caps, "encoding-params");
    int clock_rate = 0, payload = -1;
    g_autofree char *fmtp = fmtp_of(caps);
    if (!name || !media || !gst_structure_get_int(caps, "clock-rate", &clock_rate) ||
        !gst_structure_get_int(caps, "payload", &payload) || !sdp_kind_parse(media, &ret->kind))
        return false;
    struct sdp_codec codec = {.name = (char *)name,
                              .clock_rate = (guint)clock_rate,
                              .channels = channels ? (guint)strtoul(channels, NULL, 10) : 1,
                              .fmtp = fmtp};
    /* RFC 7587 7: always announced with two, whatever the payloader tells. */
    if (g_ascii_strcasecmp(name, "opus") == 0)
        codec.channels = 2;
    ret->format = sdp_codec_format(ret->kind, &codec);
    ret->pt = (guint8)payload;
    ret->clock_rate = (guint)clock_rate;
    for (gsize i = 0; ret->format && i < sdp_n_known_codecs; i++) {
        if (g_ascii_strcasecmp(sdp_known_codecs[i].name, name) == 0) {
            ret->codec = sdp_known_codecs[i].name;
            return true;
        }
    }
    return false;
}

static gboolean set_caps(GstBaseSink *base, GstCaps *caps)
{
    WmcfSink *sink = cast(base);
    struct wmcf_sink_medium medium = {0};
    g_autofree char *text = gst_caps_to_string(caps);
    if (!read_caps(gst_caps_get_structure(caps, 0), &medium)) {
        GST_ELEMENT_ERROR(sink, STREAM, FORMAT,
                          ("wmcfsink takes RTP of opus, VP8, VP9, H264 or AV1"), ("got %s", text));
        return FALSE;
    }
    GST_OBJECT_LOCK(sink);
    bool other = atomic_load(&sink->known) &&
                 (medium.format != sink->medium.format || medium.pt != sink->medium.pt ||
                  medium.clock_rate != sink->medium.clock_rate);
    if (!other) {
        g_strlcpy(medium.mid, sink->mid, sizeof medium.mid);
        sink->medium = medium;
        sink->has_caps = true;
    }
    GST_OBJECT_UNLOCK(sink);
    if (other)
        GST_ELEMENT_ERROR(sink, STREAM, FORMAT,
                          ("the codec or payload type changed while others receive it"),
                          ("now %s", text));
    return !other;
}

/* --- packets ---------------------------------------------------------------------------------- */

/* Our clock is the system's monotonic one, so running time and base time give the instant itself.
 */
static bool due_at(WmcfSink *sink, GstBuffer *buffer, gint64 *ret)
{
    GstBaseSink *base = GST_BASE_SINK(sink);
    GstClockTime running = GST_CLOCK_TIME_NONE, position = GST_CLOCK_TIME_NONE;
    if (base->segment.format == GST_FORMAT_TIME && GST_BUFFER_PTS_IS_VALID(buffer)) {
        running =
            gst_segment_to_running_time(&base->segment, GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
        position =
            gst_segment_to_stream_time(&base->segment, GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
    }
    if (GST_CLOCK_TIME_IS_VALID(position))
        atomic_store_explicit(&sink->position, (gint64)position, memory_order_relaxed);
    *ret = GST_CLOCK_TIME_IS_VALID(running)
               ? (gint64)((gst_element_get_base_time(GST_ELEMENT(sink)) + running) / 1000)
               : g_get_monotonic_time();
    return GST_CLOCK_TIME_IS_VALID(running);
}

/* RFC 3550 5.1: the timestamp goes on with the time, whatever the payloader has begun anew. */
static guint32 timestamp_at(WmcfSink *sink, guint32 own, gint64 at)
{
    guint rate = sink->medium.clock_rate;
    guint32 elapsed = (guint32)((at - sink->last_at) * (gint64)rate / G_USEC_PER_SEC);
    gint32 off = (gint32)(own + sink->offset - sink->last_timestamp - elapsed);
    if (sink->timed && ABS((gint64)off) > rate / JUMP_PARTS)
        sink->offset -= (guint32)off;
    sink->timed = true;
    sink->last_at = at;
    sink->last_timestamp = own + sink->offset;
    return sink->last_timestamp;
}

/* The packet as it is to be sent: the payloader's own, or a copy. What a seek has flushed on its
 * way here has used sequence numbers of the payloader's, which a receiver would take for lost. */
static const guint8 *as_sent(WmcfSink *sink, const GstMapInfo *map, guint place, bool timed,
                             gint64 at)
{
    if (map->size < 12) /* no RTP: the relay refuses it */
        return map->data;
    guint32 own = GST_READ_UINT32_BE(map->data + 4);
    guint16 own_sequence = GST_READ_UINT16_BE(map->data + 2);
    sink->sequence = sink->sent ? (guint16)(sink->sequence + 1) : own_sequence;
    guint32 timestamp = timed ? timestamp_at(sink, own, at) : own + sink->offset;
    sink->sent = true;
    if (timestamp == own && sink->sequence == own_sequence)
        return map->data;
    if (!sink->scratch)
        sink->scratch = g_malloc(BURST_MAX * PACKET_MAX);
    guint8 *copy = sink->scratch + (gsize)place * PACKET_MAX;
    memcpy(copy, map->data, map->size);
    GST_WRITE_UINT16_BE(copy + 2, sink->sequence);
    GST_WRITE_UINT32_BE(copy + 4, timestamp);
    return copy;
}

static void count_late(WmcfSink *sink, gint64 at)
{
    gint64 allowed = (gint64)((gst_base_sink_get_latency(GST_BASE_SINK(sink)) + LATE_NS) / 1000);
    if (g_get_monotonic_time() - at > allowed)
        atomic_fetch_add_explicit(&sink->late, 1, memory_order_relaxed);
}

/* The event of gst-plugins-base's video library, which is all that we would need of it. */
static void ask_for_key_frame(WmcfSink *sink)
{
    if (!atomic_exchange(&sink->key_frame_wanted, false))
        return;
    GstStructure *structure = gst_structure_new(
        "GstForceKeyUnit", "running-time", GST_TYPE_CLOCK_TIME, GST_CLOCK_TIME_NONE, "all-headers",
        G_TYPE_BOOLEAN, TRUE, "count", G_TYPE_UINT, sink->key_frame_count++, NULL);
    atomic_fetch_add_explicit(&sink->key_frame_requests, 1, memory_order_relaxed);
    gst_pad_push_event(GST_BASE_SINK_PAD(sink),
                       gst_event_new_custom(GST_EVENT_CUSTOM_UPSTREAM, structure));
}

static bool begin(WmcfSink *sink)
{
    if (sink->began)
        return true;
    GST_OBJECT_LOCK(sink);
    bool has_caps = sink->has_caps;
    GST_OBJECT_UNLOCK(sink);
    if (!has_caps) {
        GST_ELEMENT_ERROR(sink, STREAM, FORMAT, ("a packet came before the caps"), (NULL));
        return false;
    }
    sink->began = true;
    atomic_store(&sink->known, true);
    if (sink->ops)
        sink->ops->first(sink->user, sink->index);
    return true;
}

struct burst {
    WmcfSink *sink;
    GstMapInfo maps[BURST_MAX];
    GstBuffer *buffers[BURST_MAX];
    struct wmcf_sink_packet packets[BURST_MAX];
    guint n;
    GstFlowReturn flow;
};

static void hand_on(struct burst *burst)
{
    WmcfSink *sink = burst->sink;
    if (burst->n && sink->ops)
        sink->ops->packets(sink->user, sink->index, burst->packets, burst->n);
    for (guint i = 0; sink->sender && i < burst->n; i++)
        wmcf_alone_send(sink->sender, burst->packets[i].data, burst->packets[i].length);
    for (guint i = 0; i < burst->n; i++)
        gst_buffer_unmap(burst->buffers[i], &burst->maps[i]);
    burst->n = 0;
}

static bool add(struct burst *burst, GstBuffer *buffer)
{
    WmcfSink *sink = burst->sink;
    GstMapInfo *map = &burst->maps[burst->n];
    if (!gst_buffer_map(buffer, map, GST_MAP_READ)) {
        GST_ELEMENT_ERROR(sink, RESOURCE, READ, ("a packet cannot be read"), (NULL));
        burst->flow = GST_FLOW_ERROR;
        return false;
    }
    if (map->size > PACKET_MAX) {
        GST_ELEMENT_ERROR(sink, STREAM, WRONG_TYPE,
                          ("a packet of %" G_GSIZE_FORMAT " octets does not fit into a datagram: "
                           "set mtu=1200 at the payloader",
                           map->size),
                          (NULL));
        gst_buffer_unmap(buffer, map);
        burst->flow = GST_FLOW_ERROR;
        return false;
    }
    gint64 at;
    bool timed = due_at(sink, buffer, &at);
    const guint8 *data = as_sent(sink, map, burst->n, timed, at);
    count_late(sink, at);
    atomic_fetch_add_explicit(&sink->packets, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&sink->octets, map->size, memory_order_relaxed);
    burst->buffers[burst->n] = buffer;
    burst->packets[burst->n++] =
        (struct wmcf_sink_packet){.data = data, .length = map->size, .at = at};
    if (burst->n == BURST_MAX)
        hand_on(burst);
    return true;
}

static gboolean add_of_list(GstBuffer **buffer, guint index, gpointer user)
{
    return add(user, *buffer);
}

static GstFlowReturn render(GstBaseSink *base, GstBuffer *buffer)
{
    WmcfSink *sink = cast(base);
    struct burst burst;
    burst.sink = sink;
    burst.n = 0;
    burst.flow = GST_FLOW_OK;
    if (!begin(sink))
        return GST_FLOW_NOT_NEGOTIATED;
    ask_for_key_frame(sink);
    add(&burst, buffer);
    hand_on(&burst);
    return burst.flow;
}

static GstFlowReturn render_list(GstBaseSink *base, GstBufferList *list)
{
    WmcfSink *sink = cast(base);
    struct burst burst;
    burst.sink = sink;
    burst.n = 0;
    burst.flow = GST_FLOW_OK;
    if (!begin(sink))
        return GST_FLOW_NOT_NEGOTIATED;
    ask_for_key_frame(sink);
    gst_buffer_list_foreach(list, add_of_list, &burst);
    hand_on(&burst);
    return burst.flow;
}

/* Who tries a pipeline (gst-launch-1.0 -m) is told what has come. */
static void tell(WmcfSink *sink)
{
    struct wmcf_sink_stats stats;
    char mid[SDP_MAX_MID + 1];
    wmcf_sink_stats(GST_ELEMENT(sink), &stats);
    wmcf_sink_mid(GST_ELEMENT(sink), mid, sizeof mid);
    GstStructure *structure = gst_structure_new(
        WMCF_SINK_NAME, "mid", G_TYPE_STRING, mid, "packets", G_TYPE_UINT64, stats.packets,
        "octets", G_TYPE_UINT64, stats.octets, "late", G_TYPE_UINT64, stats.late, NULL);
    gst_element_post_message(GST_ELEMENT(sink),
                             gst_message_new_element(GST_OBJECT(sink), structure));
}

static gboolean on_event(GstBaseSink *base, GstEvent *event)
{
    WmcfSink *sink = cast(base);
    if (GST_EVENT_TYPE(event) == GST_EVENT_EOS) {
        atomic_store(&sink->ended, true);
        if (!sink->ops)
            tell(sink);
    } else if (GST_EVENT_TYPE(event) == GST_EVENT_FLUSH_STOP) {
        atomic_store(&sink->ended, false);
        atomic_store(&sink->position, -1); /* of what was there before a seek */
    }
    return GST_BASE_SINK_CLASS(wmcf_sink_parent_class)->event(base, event);
}

/* --- the class -------------------------------------------------------------------------------- */

/* Attached, it sends nowhere else, whatever a template says. */
static gboolean start(GstBaseSink *base)
{
    WmcfSink *sink = cast(base);
    g_autoptr(GError) error = NULL;
    sink->began = false;
    atomic_store(&sink->known, false);
    GST_OBJECT_LOCK(sink);
    g_autofree char *host = sink->ops ? NULL : g_strdup(sink->host);
    guint port = sink->port;
    GST_OBJECT_UNLOCK(sink);
    if (host && !(sink->sender = wmcf_alone_sender_new(host, port, &error))) {
        GST_ELEMENT_ERROR(sink, RESOURCE, OPEN_WRITE, ("%s", error->message), (NULL));
        return FALSE;
    }
    return TRUE;
}

static gboolean stop(GstBaseSink *base)
{
    g_clear_pointer(&cast(base)->sender, wmcf_alone_sender_free);
    return TRUE;
}

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
    WmcfSink *sink = cast(object);
    const char *mid;
    GST_OBJECT_LOCK(sink);
    switch (id) {
    case PROPERTY_MID:
        mid = g_value_get_string(value);
        g_strlcpy(sink->mid, mid ? mid : "", sizeof sink->mid);
        break;
    case PROPERTY_HOST:
        g_free(sink->host);
        sink->host = g_value_dup_string(value);
        break;
    case PROPERTY_PORT:
        sink->port = g_value_get_uint(value);
        break;
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
    }
    GST_OBJECT_UNLOCK(sink);
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *spec)
{
    WmcfSink *sink = cast(object);
    GST_OBJECT_LOCK(sink);
    switch (id) {
    case PROPERTY_MID:
        g_value_set_string(value, sink->mid);
        break;
    case PROPERTY_HOST:
        g_value_set_string(value, sink->host);
        break;
    case PROPERTY_PORT:
        g_value_set_uint(value, sink->port);
        break;
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
    }
    GST_OBJECT_UNLOCK(sink);
}

static void finalize(GObject *object)
{
    g_free(cast(object)->scratch);
    g_free(cast(object)->host);
    G_OBJECT_CLASS(wmcf_sink_parent_class)->finalize(object);
}

static void wmcf_sink_class_init(WmcfSinkClass *class)
{
    GObjectClass *object = G_OBJECT_CLASS(class);
    GstElementClass *element = GST_ELEMENT_CLASS(class);
    GstBaseSinkClass *base = GST_BASE_SINK_CLASS(class);

    object->set_property = set_property;
    object->get_property = get_property;
    object->finalize = finalize;
    g_object_class_install_property(
        object, PROPERTY_MID,
        g_param_spec_string("mid", "mid", "Name of the medium, unique in the pipeline", "",
                            G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS));
    g_object_class_install_property(
        object, PROPERTY_HOST,
        g_param_spec_string("host", "host",
                            "Outside of the media centre: numeric address to send to; not set = "
                            "packets are counted and dropped",
                            NULL, G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS));
    g_object_class_install_property(
        object, PROPERTY_PORT,
        g_param_spec_uint("port", "port", "Outside of the media centre: UDP port to send to", 0,
                          G_MAXUINT16, 5004, G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS));
    gst_element_class_set_static_metadata(
        element, "Media centre sink", "Sink/Network/RTP",
        "Hands RTP packets to the media centre's relay; outside of it, to an address or to nobody",
        "the WMCF project");
    gst_element_class_add_static_pad_template(element, &sink_template);
    base->set_caps = set_caps;
    base->start = start;
    base->stop = stop;
    base->event = on_event;
    base->render = render;
    base->render_list = render_list;
}

static void wmcf_sink_init(WmcfSink *sink)
{
    atomic_store(&sink->position, -1);
    sink->port = 5004;
    gst_base_sink_set_sync(GST_BASE_SINK(sink), TRUE);
    gst_base_sink_set_max_lateness(GST_BASE_SINK(sink), -1);
    gst_base_sink_set_qos_enabled(GST_BASE_SINK(sink), TRUE);
    /* Packets are handed on, not shown: the last one need not be kept. */
    gst_base_sink_set_last_sample_enabled(GST_BASE_SINK(sink), FALSE);
}

/* --- the face --------------------------------------------------------------------------------- */

bool wmcf_sink_register(GError **error)
{
    if (gst_element_register(NULL, WMCF_SINK_NAME, GST_RANK_NONE, WMCF_TYPE_SINK))
        return true;
    problem_set(error, PROBLEM_INTERNAL_ERROR, "GStreamer refuses our element " WMCF_SINK_NAME);
    return false;
}

bool wmcf_sink_check(GstElement *element)
{
    return G_TYPE_CHECK_INSTANCE_TYPE(element, WMCF_TYPE_SINK);
}

void wmcf_sink_attach(GstElement *element, guint index, const struct wmcf_sink_ops *ops, void *user)
{
    WmcfSink *sink = cast(element);
    sink->ops = ops;
    sink->user = user;
    sink->index = index;
}

void wmcf_sink_mid(GstElement *element, char *ret, gsize size)
{
    WmcfSink *sink = cast(element);
    GST_OBJECT_LOCK(sink);
    g_strlcpy(ret, sink->mid, size);
    GST_OBJECT_UNLOCK(sink);
}

bool wmcf_sink_medium(GstElement *element, struct wmcf_sink_medium *ret)
{
    WmcfSink *sink = cast(element);
    if (!atomic_load(&sink->known))
        return false;
    GST_OBJECT_LOCK(sink);
    *ret = sink->medium;
    GST_OBJECT_UNLOCK(sink);
    return true;
}

void wmcf_sink_set_absent(GstElement *element)
{
    atomic_store(&cast(element)->absent, true);
}

bool wmcf_sink_is_absent(GstElement *element)
{
    return atomic_load(&cast(element)->absent);
}

void wmcf_sink_request_key_frame(GstElement *element)
{
    atomic_store(&cast(element)->key_frame_wanted, true);
}

void wmcf_sink_stats(GstElement *element, struct wmcf_sink_stats *ret)
{
    WmcfSink *sink = cast(element);
    ret->packets = atomic_load_explicit(&sink->packets, memory_order_relaxed);
    ret->octets = atomic_load_explicit(&sink->octets, memory_order_relaxed);
    ret->late = atomic_load_explicit(&sink->late, memory_order_relaxed);
    ret->key_frame_requests = atomic_load_explicit(&sink->key_frame_requests, memory_order_relaxed);
    ret->position = atomic_load_explicit(&sink->position, memory_order_relaxed);
    ret->ended = atomic_load(&sink->ended);
}
