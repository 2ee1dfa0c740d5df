/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the element that webrtcbin gets as its rtpbin when the relay has the media: pads to link to,
 * signals to connect to, properties to set, and nothing behind them. A real one is a fourth of a
 * leg's memory and of the work of making it. An element's name is the process's, so the type that
 * has taken the name makes, as it is constructed, the real thing for every thread that has not
 * asked for the stand-in: a webrtcbin with media of its own can be made beside the slim ones. */
#include "pipelines/rtp-stand-in.h"

#include "base/problem.h"

#include <gst/gst.h>

static struct {
    GstElementFactory *real; /* GStreamer's */
    GObject *session;        /* RtpNothing; for all, since nothing is kept in it */
} stand_in;

static _Thread_local bool wanted_here;

/* --- session and storage ----------------------------------------------------------------------
 */

/* webrtcbin reads statistics of the first without asking whether there is one. */
#define RTP_TYPE_NOTHING rtp_nothing_get_type()
G_DECLARE_FINAL_TYPE(RtpNothing, rtp_nothing, RTP, NOTHING, GstElement)
struct _RtpNothing {
    GstElement parent;
};
G_DEFINE_TYPE(RtpNothing, rtp_nothing, GST_TYPE_ELEMENT)

enum { SESSION_REDUCED_SIZE = 1, SESSION_STATS, SESSION_TWCC_STATS, SESSION_SIZE_TIME };

static GstStructure *no_statistics(void)
{
    GstStructure *stats = gst_structure_new_empty("application/x-rtp-session-stats");
    GValue value = G_VALUE_INIT;

    G_GNUC_BEGIN_IGNORE_DEPRECATIONS /* the type is rtpbin's choice */
        g_value_init(&value, g_value_array_get_type());
    g_value_take_boxed(&value, g_value_array_new(0));
    G_GNUC_END_IGNORE_DEPRECATIONS
    gst_structure_take_value(stats, "source-stats", &value);
    return stats;
}

static void nothing_get_property(GObject *object, guint id, GValue *value, GParamSpec *spec)
{
    if (id == SESSION_STATS)
        g_value_take_boxed(value, no_statistics());
}

static void nothing_set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
}

static void rtp_nothing_class_init(RtpNothingClass *class)
{
    GObjectClass *object_class = G_OBJECT_CLASS(class);
    const GParamFlags both = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;

    object_class->get_property = nothing_get_property;
    object_class->set_property = nothing_set_property;
    g_object_class_install_property(
        object_class, SESSION_REDUCED_SIZE,
        g_param_spec_boolean("rtcp-reduced-size", "Reduced size", "Without effect", FALSE, both));
    g_object_class_install_property(
        object_class, SESSION_STATS,
        g_param_spec_boxed("stats", "Statistics", "Of no source", GST_TYPE_STRUCTURE, both));
    g_object_class_install_property(
        object_class, SESSION_TWCC_STATS,
        g_param_spec_boxed("twcc-stats", "Statistics", "None", GST_TYPE_STRUCTURE, both));
    g_object_class_install_property(
        object_class, SESSION_SIZE_TIME,
        g_param_spec_uint64("size-time", "Size", "Without effect", 0, G_MAXUINT64, 0, both));
    g_signal_new("on-sending-rtcp", G_TYPE_FROM_CLASS(class), G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                 NULL, G_TYPE_NONE, 0);
    gst_element_class_set_static_metadata(GST_ELEMENT_CLASS(class), "No RTP session", "Generic",
                                          "Where the relay has the media", "WMCF");
}

static void rtp_nothing_init(RtpNothing *nothing)
{
}

/* --- the bin ----------------------------------------------------------------------------------
 */

#define RTP_TYPE_STAND_IN rtp_stand_in_get_type()
G_DECLARE_FINAL_TYPE(RtpStandIn, rtp_stand_in, RTP, STAND_IN, GstElement)
struct _RtpStandIn {
    GstElement parent;
};
G_DEFINE_TYPE(RtpStandIn, rtp_stand_in, GST_TYPE_ELEMENT)

enum { BIN_DO_LOST = 1, BIN_LATENCY, BIN_SDES };

/* What webrtcbin 1.22 listens to, and what of it hears nothing. */
static const char *const told[] = {
    "request-pt-map",
    "request-aux-sender",
    "request-aux-receiver",
    "new-storage",
    "on-bye-ssrc",
    "on-bye-timeout",
    "on-new-ssrc",
    "on-new-sender-ssrc",
    "on-sender-timeout",
    "on-sender-ssrc-active",
    "on-ssrc-active",
    "on-ssrc-collision",
    "on-ssrc-sdes",
    "on-ssrc-validated",
    "on-timeout",
    "new-jitterbuffer",
    "request-fec-decoder-full",
};
/* What it asks by. */
static const char *const asked[] = {"get-session", "get-internal-session", "get-storage",
                                    "get-internal-storage"};

static GstStaticPadTemplate templates[] = {
    GST_STATIC_PAD_TEMPLATE("recv_rtp_sink_%u", GST_PAD_SINK, GST_PAD_REQUEST, GST_STATIC_CAPS_ANY),
    GST_STATIC_PAD_TEMPLATE("recv_rtcp_sink_%u", GST_PAD_SINK, GST_PAD_REQUEST,
                            GST_STATIC_CAPS_ANY),
    GST_STATIC_PAD_TEMPLATE("send_rtp_sink_%u", GST_PAD_SINK, GST_PAD_REQUEST, GST_STATIC_CAPS_ANY),
    GST_STATIC_PAD_TEMPLATE("send_rtp_src_%u", GST_PAD_SRC, GST_PAD_REQUEST, GST_STATIC_CAPS_ANY),
    GST_STATIC_PAD_TEMPLATE("send_rtcp_src_%u", GST_PAD_SRC, GST_PAD_REQUEST, GST_STATIC_CAPS_ANY),
};

static GObject *find_session(GstElement *element, guint id)
{
    return g_object_ref(stand_in.session);
}

static GstFlowReturn drop_buffer(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
    gst_buffer_unref(buffer);
    return GST_FLOW_OK;
}

static gboolean drop_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    gst_event_unref(event);
    return TRUE;
}

static GstPad *request_pad(GstElement *element, GstPadTemplate *template, const char *name,
                           const GstCaps *caps)
{
    GstPad *pad = gst_pad_new_from_template(template, name);

    if (GST_PAD_IS_SINK(pad))
        gst_pad_set_chain_function(pad, drop_buffer);
    gst_pad_set_event_function(pad, drop_event);
    gst_pad_set_active(pad, TRUE);
    gst_element_add_pad(element, pad);
    return pad;
}

static void release_pad(GstElement *element, GstPad *pad)
{
    gst_element_remove_pad(element, pad);
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *spec)
{
    if (id == BIN_SDES)
        g_value_take_boxed(value, gst_structure_new("application/x-rtp-source-sdes", "cname",
                                                    G_TYPE_STRING, "relay", NULL));
}

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
}

/* GObject lets a constructor return another object than it was asked to make. */
static GObject *construct(GType type, guint n, GObjectConstructParam *params)
{
    GstElement *real;

    if (wanted_here)
        return G_OBJECT_CLASS(rtp_stand_in_parent_class)->constructor(type, n, params);
    real = gst_element_factory_create(stand_in.real, NULL);
    for (guint i = 0; real && i < n; i++)
        g_object_set_property(G_OBJECT(real), params[i].pspec->name, params[i].value);
    return G_OBJECT(real);
}

static void rtp_stand_in_class_init(RtpStandInClass *class)
{
    GObjectClass *object_class = G_OBJECT_CLASS(class);
    GstElementClass *element_class = GST_ELEMENT_CLASS(class);
    const GParamFlags both = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;

    object_class->constructor = construct;
    object_class->get_property = get_property;
    object_class->set_property = set_property;
    element_class->request_new_pad = request_pad;
    element_class->release_pad = release_pad;
    /* "rtp-profile" is set only where it is found. */
    g_object_class_install_property(
        object_class, BIN_DO_LOST,
        g_param_spec_boolean("do-lost", "Do lost", "Without effect", FALSE, both));
    g_object_class_install_property(
        object_class, BIN_LATENCY,
        g_param_spec_uint("latency", "Latency", "Without effect", 0, G_MAXUINT, 0, both));
    g_object_class_install_property(
        object_class, BIN_SDES,
        g_param_spec_boxed("sdes", "SDES", "A name", GST_TYPE_STRUCTURE, both));
    for (guint i = 0; i < G_N_ELEMENTS(told); i++)
        g_signal_new(told[i], G_TYPE_FROM_CLASS(class), G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                     G_TYPE_NONE, 0);
    for (guint i = 0; i < G_N_ELEMENTS(asked); i++)
        g_signal_new_class_handler(asked[i], G_TYPE_FROM_CLASS(class),
                                   G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION, G_CALLBACK(find_session),
                                   NULL, NULL, NULL, G_TYPE_OBJECT, 1, G_TYPE_UINT);
    for (guint i = 0; i < G_N_ELEMENTS(templates); i++)
        gst_element_class_add_static_pad_template(element_class, &templates[i]);
    gst_element_class_set_static_metadata(element_class, "No RTP", "Generic",
                                          "Stands in for rtpbin where the relay has the media",
                                          "WMCF");
}

static void rtp_stand_in_init(RtpStandIn *bin)
{
}

/* --- the face --------------------------------------------------------------------------------- */

void rtp_stand_in_wanted(bool wanted)
{
    wanted_here = wanted;
}

static bool makes(GType type, bool wanted)
{
    GstElement *made;
    bool as_expected;

    rtp_stand_in_wanted(wanted);
    made = gst_element_factory_make("rtpbin", NULL);
    rtp_stand_in_wanted(false);
    as_expected = made && G_OBJECT_TYPE(made) == type;
    gst_clear_object(&made);
    return as_expected;
}

bool rtp_stand_in_register(GError **error)
{
    GstElementFactory *found = gst_element_factory_find("rtpbin");

    if (found && gst_element_factory_get_element_type(found) != RTP_TYPE_STAND_IN) {
        stand_in.real = GST_ELEMENT_FACTORY(gst_plugin_feature_load(GST_PLUGIN_FEATURE(found)));
        stand_in.session = gst_object_ref_sink(g_object_new(RTP_TYPE_NOTHING, NULL));
        if (stand_in.real && gst_element_register(NULL, "rtpbin", GST_RANK_NONE, RTP_TYPE_STAND_IN))
            gst_clear_object(&found);
    }
    if (!found && makes(RTP_TYPE_STAND_IN, true) &&
        makes(gst_element_factory_get_element_type(stand_in.real), false))
        return true;
    gst_clear_object(&found);
    problem_set(error, PROBLEM_INTERNAL_ERROR,
                "GStreamer finds another rtpbin than ours where a leg needs none");
    return false;
}
