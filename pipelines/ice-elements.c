/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the elements that webrtcbin puts at the ends of a leg in place of nicesrc and nicesink. They
 * have no task: a datagram is pushed by whoever has it, one buffer each, so a leg costs no thread.
 */
#include "pipelines/ice-agent.h"

/* --- source ----------------------------------------------------------------------------------- */

#define ICE_TYPE_SRC ice_src_get_type()
G_DECLARE_FINAL_TYPE(IceSrc, ice_src, ICE, SRC, GstElement)
struct _IceSrc {
    GstElement parent;
    GstPad *src;
    bool described; /* DTLS thread: stream-start, caps and segment are said */
};
G_DEFINE_TYPE(IceSrc, ice_src, GST_TYPE_ELEMENT)

/* webrtcbin filters what comes for this type, DTLS or not. */
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE(
    "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS("application/x-rtp"));

static void ice_src_class_init(IceSrcClass *class)
{
    GstElementClass *element_class = GST_ELEMENT_CLASS(class);

    gst_element_class_add_static_pad_template(element_class, &src_template);
    gst_element_class_set_static_metadata(element_class, "ICE source of a leg", "Source/Network",
                                          "Datagrams that the relay received", "WMCF");
}

static void ice_src_init(IceSrc *src)
{
    src->src = gst_pad_new_from_static_template(&src_template, "src");
    gst_element_add_pad(GST_ELEMENT(src), src->src);
}

GstElement *ice_src_new(void)
{
    return g_object_new(ICE_TYPE_SRC, NULL);
}

static void describe(IceSrc *src)
{
    GstCaps *caps = gst_caps_new_empty_simple("application/x-rtp");
    GstSegment segment;

    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_pad_push_event(src->src, gst_event_new_stream_start("ice"));
    gst_pad_push_event(src->src, gst_event_new_caps(caps));
    gst_pad_push_event(src->src, gst_event_new_segment(&segment));
    gst_caps_unref(caps);
    src->described = true;
}

void ice_src_push(GstElement *element, GstBuffer *datagram)
{
    IceSrc *src = ICE_SRC(element);

    if (!src->described)
        describe(src);
    /* A flow error means that the leg is going down; DTLS repeats what was lost. */
    gst_pad_push(src->src, datagram);
}

/* --- sink ------------------------------------------------------------------------------------- */

#define ICE_TYPE_SINK ice_sink_get_type()
G_DECLARE_FINAL_TYPE(IceSink, ice_sink, ICE, SINK, GstElement)
struct _IceSink {
    GstElement parent;
    struct dtls_transport *transport;
};
G_DEFINE_TYPE(IceSink, ice_sink, GST_TYPE_ELEMENT)

static GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);

static GstFlowReturn send_datagram(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
    GstMapInfo map;

    if (gst_buffer_map(buffer, &map, GST_MAP_READ)) {
        dtls_transport_output(ICE_SINK(parent)->transport, map.data, map.size);
        gst_buffer_unmap(buffer, &map);
    }
    gst_buffer_unref(buffer);
    return GST_FLOW_OK;
}

static gboolean drop_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    gst_event_unref(event);
    return TRUE;
}

static void finalize(GObject *object)
{
    g_clear_pointer(&ICE_SINK(object)->transport, dtls_transport_unref);
    G_OBJECT_CLASS(ice_sink_parent_class)->finalize(object);
}

static void ice_sink_class_init(IceSinkClass *class)
{
    GstElementClass *element_class = GST_ELEMENT_CLASS(class);

    G_OBJECT_CLASS(class)->finalize = finalize;
    gst_element_class_add_static_pad_template(element_class, &sink_template);
    gst_element_class_set_static_metadata(element_class, "ICE sink of a leg", "Sink/Network",
                                          "Datagrams that the relay sends", "WMCF");
}

static void ice_sink_init(IceSink *sink)
{
    GstPad *pad = gst_pad_new_from_static_template(&sink_template, "sink");

    gst_pad_set_chain_function(pad, send_datagram);
    gst_pad_set_event_function(pad, drop_event);
    gst_element_add_pad(GST_ELEMENT(sink), pad);
}

GstElement *ice_sink_new(struct dtls_transport *transport)
{
    IceSink *sink = g_object_new(ICE_TYPE_SINK, NULL);

    sink->transport = dtls_transport_ref(transport);
    return GST_ELEMENT(sink);
}
