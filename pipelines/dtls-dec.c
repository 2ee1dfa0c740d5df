/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the element that webrtcbin finds as "dtlssrtpdec". It takes the datagrams that the ICE
 * source pushes to the transport, and shows webrtcbin the certificate, so that the a=fingerprint of
 * its descriptions is the right one. Nothing leaves by its media pads: SRTP is the relay's. SCTP
 * packets leave by the data pad, on a thread of their own, since what webrtcbin does with them may
 * wait for others. */
#include "pipelines/dtls-elements.h"

struct _DtlsDec {
    GstElement parent;
    struct dtls_transport *transport; /* object lock */
    char *connection_id;              /* object lock */
    GstPad *data;                     /* object lock; NULL until webrtcbin asks for it */
    bool described;                   /* SCTP thread: stream-start, caps and segment are said */
};

G_DEFINE_TYPE(DtlsDec, dtls_dec, GST_TYPE_ELEMENT)

enum { PROP_CONNECTION_ID = 1, PROP_PEM, PROP_PEER_PEM, N_PROPS };
static GParamSpec *properties[N_PROPS];
static const struct certificate *own_certificate; /* RO after start */

static GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);
static GstStaticPadTemplate rtp_template = GST_STATIC_PAD_TEMPLATE(
    "rtp_src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS("application/x-rtp"));
static GstStaticPadTemplate rtcp_template = GST_STATIC_PAD_TEMPLATE(
    "rtcp_src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS("application/x-rtcp"));
static GstStaticPadTemplate data_template =
    GST_STATIC_PAD_TEMPLATE("data_src", GST_PAD_SRC, GST_PAD_REQUEST, GST_STATIC_CAPS_ANY);

void dtls_dec_set_certificate(const struct certificate *certificate)
{
    own_certificate = certificate;
}

void dtls_dec_set_transport(DtlsDec *dec, struct dtls_transport *transport)
{
    GST_OBJECT_LOCK(dec);
    if (!dec->transport)
        dec->transport = dtls_transport_ref(transport);
    GST_OBJECT_UNLOCK(dec);
}

static struct dtls_transport *ref_transport(DtlsDec *dec)
{
    struct dtls_transport *transport;

    GST_OBJECT_LOCK(dec);
    transport = dec->transport ? dtls_transport_ref(dec->transport) : NULL;
    GST_OBJECT_UNLOCK(dec);
    return transport;
}

static GstFlowReturn receive(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
    struct dtls_transport *transport = ref_transport(DTLS_DEC(parent));
    GstMapInfo map;

    if (transport && gst_buffer_map(buffer, &map, GST_MAP_READ)) {
        dtls_transport_input(transport, map.data, map.size);
        gst_buffer_unmap(buffer, &map);
    }
    g_clear_pointer(&transport, dtls_transport_unref);
    gst_buffer_unref(buffer);
    return GST_FLOW_OK;
}

static void describe_data(DtlsDec *dec, GstPad *pad)
{
    GstCaps *caps = gst_caps_new_empty_simple("application/x-sctp");
    GstSegment segment;

    gst_segment_init(&segment, GST_FORMAT_BYTES);
    gst_pad_push_event(pad, gst_event_new_stream_start("sctp"));
    gst_pad_push_event(pad, gst_event_new_caps(caps));
    gst_pad_push_event(pad, gst_event_new_segment(&segment));
    gst_caps_unref(caps);
    dec->described = true;
}

void dtls_dec_push_data(DtlsDec *dec, GstBuffer *packet)
{
    GstPad *pad;

    GST_OBJECT_LOCK(dec);
    pad = dec->data ? gst_object_ref(dec->data) : NULL;
    GST_OBJECT_UNLOCK(dec);
    /* A push against a blocked pad would stop the data channels of every leg: SCTP repeats what is
     * lost. */
    if (pad && gst_pad_is_linked(pad) && !gst_pad_is_blocked(pad)) {
        if (!dec->described)
            describe_data(dec, pad);
        gst_pad_push(pad, packet);
    } else {
        gst_buffer_unref(packet);
    }
    gst_clear_object(&pad);
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

    gst_pad_set_active(pad, TRUE);
    gst_element_add_pad(element, pad);
    GST_OBJECT_LOCK(element);
    gst_object_replace((GstObject **)&DTLS_DEC(element)->data, GST_OBJECT(pad));
    GST_OBJECT_UNLOCK(element);
    return pad;
}

static void release_pad(GstElement *element, GstPad *pad)
{
    GST_OBJECT_LOCK(element);
    gst_object_replace((GstObject **)&DTLS_DEC(element)->data, NULL);
    GST_OBJECT_UNLOCK(element);
    gst_element_remove_pad(element, pad);
}

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
    DtlsDec *dec = DTLS_DEC(object);

    switch (id) {
    case PROP_CONNECTION_ID:
        GST_OBJECT_LOCK(dec);
        g_free(dec->connection_id);
        dec->connection_id = g_value_dup_string(value);
        GST_OBJECT_UNLOCK(dec);
        break;
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
    }
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *spec)
{
    DtlsDec *dec = DTLS_DEC(object);
    struct dtls_transport *transport;

    switch (id) {
    case PROP_CONNECTION_ID:
        GST_OBJECT_LOCK(dec);
        g_value_set_string(value, dec->connection_id);
        GST_OBJECT_UNLOCK(dec);
        break;
    case PROP_PEM:
        g_value_set_string(value, own_certificate ? certificate_pem(own_certificate) : NULL);
        break;
    case PROP_PEER_PEM:
        transport = ref_transport(dec);
        g_value_take_string(value, transport ? dtls_transport_peer_pem(transport) : NULL);
        g_clear_pointer(&transport, dtls_transport_unref);
        break;
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
    }
}

static void finalize(GObject *object)
{
    DtlsDec *dec = DTLS_DEC(object);

    g_clear_pointer(&dec->transport, dtls_transport_unref);
    gst_object_replace((GstObject **)&dec->data, NULL);
    g_free(dec->connection_id);
    G_OBJECT_CLASS(dtls_dec_parent_class)->finalize(object);
}

static void dtls_dec_class_init(DtlsDecClass *class)
{
    GObjectClass *object_class = G_OBJECT_CLASS(class);
    GstElementClass *element_class = GST_ELEMENT_CLASS(class);

    object_class->set_property = set_property;
    object_class->get_property = get_property;
    object_class->finalize = finalize;
    element_class->request_new_pad = request_pad;
    element_class->release_pad = release_pad;

    properties[PROP_CONNECTION_ID] =
        g_param_spec_string("connection-id", "Connection id", "Names the pair of enc and dec", NULL,
                            G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS);
    properties[PROP_PEM] = g_param_spec_string("pem", "PEM", "Our certificate, without its key",
                                               NULL, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
    properties[PROP_PEER_PEM] =
        g_param_spec_string("peer-pem", "Peer PEM", "The peer's certificate, once it is checked",
                            NULL, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
    g_object_class_install_properties(object_class, N_PROPS, properties);

    gst_element_class_add_static_pad_template(element_class, &sink_template);
    gst_element_class_add_static_pad_template(element_class, &rtp_template);
    gst_element_class_add_static_pad_template(element_class, &rtcp_template);
    gst_element_class_add_static_pad_template(element_class, &data_template);
    gst_element_class_set_static_metadata(element_class, "DTLS decoder of a leg",
                                          "Decoder/Network/DTLS", "Receives DTLS for webrtcbin",
                                          "WMCF");
}

static void dtls_dec_init(DtlsDec *dec)
{
    GstElement *element = GST_ELEMENT(dec);
    GstPad *sink = gst_pad_new_from_static_template(&sink_template, "sink");

    gst_pad_set_chain_function(sink, receive);
    gst_pad_set_event_function(sink, drop_event);
    gst_element_add_pad(element, sink);
    gst_element_add_pad(element, gst_pad_new_from_static_template(&rtp_template, "rtp_src"));
    gst_element_add_pad(element, gst_pad_new_from_static_template(&rtcp_template, "rtcp_src"));
}
