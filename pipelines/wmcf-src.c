/* SPDX-License-Identifier: Apache-2.0 */
/* GstPushSrc over a descriptor: the streaming thread takes all that is there, hands it on buffer by
 * buffer (a list of them that meets a flush is a fault of GstBaseSrc 1.22) and sleeps in poll() for
 * more, which a flush or the end interrupts. So whoever fills the queue behind the descriptor never
 * meets a lock of the pipeline. */
#include "pipelines/wmcf-src.h"

#include "base/problem.h"
#include "pipelines/rtp-timeline.h"
#include "pipelines/sdp-codec.h"
#include "pipelines/wmcf-alone.h"

#include <gst/base/gstpushsrc.h>
#include <stdatomic.h>
#include <string.h>

#define SETTLE_NS (20 * GST_MSECOND) /* how late a packet comes after its time, as a rule */

typedef struct {
    GstPushSrc parent;
    const struct wmcf_src_ops *ops; /* RO while it runs; NULL = nothing comes */
    void *user;
    guint index;
    struct wmcf_src_medium medium; /* RO while it runs */
    char mid[SDP_MAX_MID + 1];     /* object lock, with what counts outside alone: */
    char *location, *codec;
    guint port, ssrc;
    int pt;                          /* -1 = the usual one */
    struct wmcf_alone_source *alone; /* NULL = attached, or nothing comes */
    GstPoll *poll;
    GstPollFD descriptor; /* streaming thread, with: */
    struct rtp_timeline timeline;
    GQueue waiting; /* GstBuffer: read, not handed on yet */
    _Atomic bool ending;
    _Atomic guint64 packets, octets, key_frame_requests;
} WmcfSrc;

typedef struct {
    GstPushSrcClass parent;
} WmcfSrcClass;

G_DEFINE_TYPE(WmcfSrc, wmcf_src, GST_TYPE_PUSH_SRC)

static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS,
                            GST_STATIC_CAPS("application/x-rtp, media=(string){audio,video}, "
                                            "clock-rate=(int)[1,MAX], payload=(int)[0,127]"));

enum {
    PROPERTY_MID = 1,
    PROPERTY_LOCATION,
    PROPERTY_PORT,
    PROPERTY_CODEC,
    PROPERTY_PT,
    PROPERTY_SSRC,
};

static WmcfSrc *cast(gpointer object)
{
    return G_TYPE_CHECK_INSTANCE_CAST(object, WMCF_TYPE_SRC, WmcfSrc);
}

/* --- packets ---------------------------------------------------------------------------------- */

/* Our clock is the system's monotonic one: an instant less the base time is the running time. */
static GstClockTime running_time(WmcfSrc *src, gint64 at)
{
    gint64 running = at * 1000 - (gint64)gst_element_get_base_time(GST_ELEMENT(src));
    return running > 0 ? (GstClockTime)running : 0;
}

static void on_packet(void *to, const struct wmcf_src_packet *packet)
{
    WmcfSrc *src = to;
    if (packet->length < 12)
        return;
    GstBuffer *buffer = gst_buffer_new_memdup(packet->data, packet->length);
    gint64 at =
        rtp_timeline_place(&src->timeline, GST_READ_UINT32_BE(packet->data + 4), packet->arrival);
    GST_BUFFER_PTS(buffer) = running_time(src, at);
    atomic_fetch_add_explicit(&src->packets, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&src->octets, packet->length, memory_order_relaxed);
    g_queue_push_tail(&src->waiting, buffer);
}

static void on_clock(void *to, guint32 timestamp, gint64 at)
{
    rtp_timeline_learn(&cast(to)->timeline, timestamp, at);
}

static const struct wmcf_src_sink sink = {.packet = on_packet, .clock = on_clock};

/* False when it is to stop. */
static bool wait_for_more(WmcfSrc *src)
{
    return gst_poll_wait(src->poll, GST_CLOCK_TIME_NONE) >= 0 || errno == EINTR || errno == EAGAIN;
}

static GstFlowReturn create(GstPushSrc *push, GstBuffer **ret)
{
    WmcfSrc *src = cast(push);
    while (!(*ret = g_queue_pop_head(&src->waiting))) {
        if (atomic_load(&src->ending) || !src->ops)
            return GST_FLOW_EOS;
        if (src->ops->read(src->user, src->index, &sink, src) == 0 && !wait_for_more(src))
            /* The end interrupts, too, and is no flush. */
            return atomic_load(&src->ending) ? GST_FLOW_EOS : GST_FLOW_FLUSHING;
    }
    return GST_FLOW_OK;
}

static gboolean unlock(GstBaseSrc *base)
{
    gst_poll_set_flushing(cast(base)->poll, TRUE);
    return TRUE;
}

static gboolean unlock_stop(GstBaseSrc *base)
{
    WmcfSrc *src = cast(base);
    gst_poll_set_flushing(src->poll, atomic_load(&src->ending));
    return TRUE;
}

/* --- the class -------------------------------------------------------------------------------- */

static GstCaps *make_caps(const struct wmcf_src_medium *medium)
{
    g_autofree char *name = g_ascii_strup(medium->codec, -1);
    GstCaps *caps = gst_caps_new_simple("application/x-rtp", "media", G_TYPE_STRING,
                                        sdp_kind_name(medium->kind), "clock-rate", G_TYPE_INT,
                                        (int)medium->clock_rate, "encoding-name", G_TYPE_STRING,
                                        name, "payload", G_TYPE_INT, (int)medium->pt, NULL);
    if (medium->kind == SDP_AUDIO) /* RFC 7587 7 */
        gst_caps_set_simple(caps, "encoding-params", G_TYPE_STRING, "2", NULL);
    else
        gst_caps_set_simple(caps, "rtcp-fb-nack-pli", G_TYPE_BOOLEAN, TRUE, NULL);
    return caps;
}

static GstCaps *get_caps(GstBaseSrc *base, GstCaps *filter)
{
    WmcfSrc *src = cast(base);
    g_autoptr(GstCaps) caps =
        src->ops ? make_caps(&src->medium) : gst_static_pad_template_get_caps(&src_template);
    return filter ? gst_caps_intersect_full(filter, caps, GST_CAPS_INTERSECT_FIRST)
                  : gst_caps_ref(caps);
}

static const struct sdp_known_codec *known_codec(const char *name, enum sdp_kind *ret_kind)
{
    static const enum sdp_kind kinds[] = {SDP_AUDIO, SDP_VIDEO};
    for (gsize i = 0; name && i < G_N_ELEMENTS(kinds); i++) {
        *ret_kind = kinds[i];
        const struct sdp_known_codec *codec = sdp_known_codec_find(kinds[i], name);
        if (codec)
            return codec;
    }
    return NULL;
}

/* Outside of the media centre it attaches itself. */
static bool attach_alone(WmcfSrc *src, GError **error)
{
    enum sdp_kind kind;
    const struct sdp_known_codec *codec = known_codec(src->codec, &kind);
    if (!codec) {
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "outside of the media centre wmcfsrc needs codec=opus, VP8, VP9, H264 or AV1");
        return false;
    }
    src->medium = (struct wmcf_src_medium){.kind = kind,
                                           .codec = codec->name,
                                           .pt = src->pt < 0 ? codec->pt : (guint8)src->pt,
                                           .clock_rate = codec->clock_rate};
    struct wmcf_alone_wanted wanted = {
        .location = src->location, .port = src->port, .pt = src->medium.pt, .ssrc = src->ssrc};
    src->alone = wmcf_alone_source_new(GST_ELEMENT(src), &wanted, error);
    src->user = src->alone;
    src->ops = src->alone ? &wmcf_alone_ops : NULL;
    return src->alone;
}

static gboolean start(GstBaseSrc *base)
{
    WmcfSrc *src = cast(base);
    g_autoptr(GError) error = NULL;
    if (!src->ops && (src->location || src->port) && !attach_alone(src, &error)) {
        GST_ELEMENT_ERROR(src, RESOURCE, OPEN_READ, ("%s", error->message), (NULL));
        return FALSE;
    }
    if (!src->ops)
        return TRUE;
    rtp_timeline_init(&src->timeline, src->medium.clock_rate);
    gst_poll_fd_init(&src->descriptor);
    src->descriptor.fd = src->ops->descriptor(src->user, src->index);
    gst_poll_add_fd(src->poll, &src->descriptor);
    gst_poll_fd_ctl_read(src->poll, &src->descriptor, TRUE);
    return TRUE;
}

static gboolean stop(GstBaseSrc *base)
{
    WmcfSrc *src = cast(base);
    if (src->ops)
        gst_poll_remove_fd(src->poll, &src->descriptor);
    g_queue_clear_full(&src->waiting, (GDestroyNotify)gst_buffer_unref);
    if (src->alone) {
        src->ops = NULL;
        g_clear_pointer(&src->alone, wmcf_alone_source_free);
        atomic_store(&src->ending, false);
    }
    return TRUE;
}

static gboolean on_event(GstBaseSrc *base, GstEvent *event)
{
    WmcfSrc *src = cast(base);
    if (GST_EVENT_TYPE(event) == GST_EVENT_CUSTOM_UPSTREAM &&
        gst_event_has_name(event, "GstForceKeyUnit")) {
        atomic_fetch_add_explicit(&src->key_frame_requests, 1, memory_order_relaxed);
        if (src->ops)
            src->ops->key_frame(src->user, src->index);
        return TRUE;
    }
    return GST_BASE_SRC_CLASS(wmcf_src_parent_class)->event(base, event);
}

static gboolean on_query(GstBaseSrc *base, GstQuery *query)
{
    if (GST_QUERY_TYPE(query) != GST_QUERY_LATENCY)
        return GST_BASE_SRC_CLASS(wmcf_src_parent_class)->query(base, query);
    gst_query_set_latency(query, TRUE, SETTLE_NS, GST_CLOCK_TIME_NONE);
    return TRUE;
}

static void set_text(char **text, const GValue *value)
{
    g_free(*text);
    *text = g_value_dup_string(value);
}

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
    WmcfSrc *src = cast(object);
    const char *mid;
    GST_OBJECT_LOCK(src);
    switch (id) {
    case PROPERTY_MID:
        mid = g_value_get_string(value);
        g_strlcpy(src->mid, mid ? mid : "", sizeof src->mid);
        break;
    case PROPERTY_LOCATION:
        set_text(&src->location, value);
        break;
    case PROPERTY_PORT:
        src->port = g_value_get_uint(value);
        break;
    case PROPERTY_CODEC:
        set_text(&src->codec, value);
        break;
    case PROPERTY_PT:
        src->pt = g_value_get_int(value);
        break;
    case PROPERTY_SSRC:
        src->ssrc = g_value_get_uint(value);
        break;
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
    }
    GST_OBJECT_UNLOCK(src);
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *spec)
{
    WmcfSrc *src = cast(object);
    GST_OBJECT_LOCK(src);
    switch (id) {
    case PROPERTY_MID:
        g_value_set_string(value, src->mid);
        break;
    case PROPERTY_LOCATION:
        g_value_set_string(value, src->location);
        break;
    case PROPERTY_PORT:
        g_value_set_uint(value, src->port);
        break;
    case PROPERTY_CODEC:
        g_value_set_string(value, src->codec);
        break;
    case PROPERTY_PT:
        g_value_set_int(value, src->pt);
        break;
    case PROPERTY_SSRC:
        g_value_set_uint(value, src->ssrc);
        break;
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
    }
    GST_OBJECT_UNLOCK(src);
}

static void finalize(GObject *object)
{
    WmcfSrc *src = cast(object);
    gst_poll_free(src->poll);
    g_free(src->location);
    g_free(src->codec);
    G_OBJECT_CLASS(wmcf_src_parent_class)->finalize(object);
}

/* What counts outside of the media centre alone. */
static void install_alone(GObjectClass *object)
{
    const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;
    g_object_class_install_property(
        object, PROPERTY_LOCATION,
        g_param_spec_string("location", "location",
                            "Outside of the media centre: a capture to play, as wmcfctl pcap "
                            "writes it",
                            NULL, flags));
    g_object_class_install_property(
        object, PROPERTY_PORT,
        g_param_spec_uint("port", "port",
                          "Outside of the media centre: UDP port at which RTP comes; 0 = none", 0,
                          G_MAXUINT16, 0, flags));
    g_object_class_install_property(
        object, PROPERTY_CODEC,
        g_param_spec_string("codec", "codec",
                            "Outside of the media centre: opus, VP8, VP9, H264 or AV1", NULL,
                            flags));
    g_object_class_install_property(
        object, PROPERTY_PT,
        g_param_spec_int("pt", "pt",
                         "Outside of the media centre: payload type; -1 = the usual one of the "
                         "codec",
                         -1, 127, -1, flags));
    g_object_class_install_property(
        object, PROPERTY_SSRC,
        g_param_spec_uint("ssrc", "ssrc",
                          "Outside of the media centre: whose packets of a capture; 0 = the first "
                          "with that payload type",
                          0, G_MAXUINT32, 0, flags));
}

static void wmcf_src_class_init(WmcfSrcClass *class)
{
    GObjectClass *object = G_OBJECT_CLASS(class);
    GstElementClass *element = GST_ELEMENT_CLASS(class);
    GstBaseSrcClass *base = GST_BASE_SRC_CLASS(class);

    object->set_property = set_property;
    object->get_property = get_property;
    object->finalize = finalize;
    g_object_class_install_property(
        object, PROPERTY_MID,
        g_param_spec_string("mid", "mid", "Name of the input, unique in the pipeline", "",
                            G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS));
    install_alone(object);
    gst_element_class_set_static_metadata(
        element, "Media centre source", "Source/Network/RTP",
        "Gives RTP packets of the media centre's relay; outside of it, of a capture or a UDP port",
        "the WMCF project");
    gst_element_class_add_static_pad_template(element, &src_template);
    base->get_caps = get_caps;
    base->start = start;
    base->stop = stop;
    base->unlock = unlock;
    base->unlock_stop = unlock_stop;
    base->event = on_event;
    base->query = on_query;
    GST_PUSH_SRC_CLASS(class)->create = create;
}

static void wmcf_src_init(WmcfSrc *src)
{
    src->poll = gst_poll_new(TRUE);
    src->pt = -1;
    g_queue_init(&src->waiting);
    gst_base_src_set_live(GST_BASE_SRC(src), TRUE);
    gst_base_src_set_format(GST_BASE_SRC(src), GST_FORMAT_TIME);
    gst_base_src_set_do_timestamp(GST_BASE_SRC(src), FALSE);
}

/* --- the face --------------------------------------------------------------------------------- */

bool wmcf_src_register(GError **error)
{
    if (gst_element_register(NULL, WMCF_SRC_NAME, GST_RANK_NONE, WMCF_TYPE_SRC))
        return true;
    problem_set(error, PROBLEM_INTERNAL_ERROR, "GStreamer refuses our element " WMCF_SRC_NAME);
    return false;
}

bool wmcf_src_check(GstElement *element)
{
    return G_TYPE_CHECK_INSTANCE_TYPE(element, WMCF_TYPE_SRC);
}

void wmcf_src_attach(GstElement *element, guint index, const struct wmcf_src_medium *medium,
                     const struct wmcf_src_ops *ops, void *user)
{
    WmcfSrc *src = cast(element);
    src->medium = *medium;
    src->ops = ops;
    src->user = user;
    src->index = index;
}

void wmcf_src_mid(GstElement *element, char *ret, gsize size)
{
    WmcfSrc *src = cast(element);
    GST_OBJECT_LOCK(src);
    g_strlcpy(ret, src->mid, size);
    GST_OBJECT_UNLOCK(src);
}

void wmcf_src_end(GstElement *element)
{
    WmcfSrc *src = cast(element);
    atomic_store(&src->ending, true);
    gst_poll_set_flushing(src->poll, TRUE);
}

void wmcf_src_stats(GstElement *element, struct wmcf_src_stats *ret)
{
    WmcfSrc *src = cast(element);
    ret->packets = atomic_load_explicit(&src->packets, memory_order_relaxed);
    ret->octets = atomic_load_explicit(&src->octets, memory_order_relaxed);
    ret->key_frame_requests = atomic_load_explicit(&src->key_frame_requests, memory_order_relaxed);
}
