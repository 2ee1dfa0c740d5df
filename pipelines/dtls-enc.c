/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the element that webrtcbin finds as "dtlssrtpenc". webrtcbin holds its state until the role
 * is known and ICE is connected; being set to PAUSED therefore means "begin". SRTP is the relay's,
 * so the media pads exist because webrtcbin asks for them, and nothing comes through them. SCTP
 * packets come through the data pad and go to the transport, which encrypts them. */
#include "pipelines/dtls-elements.h"

struct _DtlsEnc {
    GstElement parent;
    GstPad *src;
    struct dtls_transport *transport; /* object lock */
    char *connection_id;              /* object lock */
    bool is_client, rtp_sync;         /* object lock */
    enum dtls_state state;            /* object lock */
    bool described;                   /* DTLS thread: stream-start and segment are said */
};

G_DEFINE_TYPE(DtlsEnc, dtls_enc, GST_TYPE_ELEMENT)

enum { PROP_CONNECTION_ID = 1, PROP_IS_CLIENT, PROP_RTP_SYNC, PROP_CONNECTION_STATE, N_PROPS };
static GParamSpec *properties[N_PROPS];
static guint key_set_signal;

static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);
static GstStaticPadTemplate rtp_template =
    GST_STATIC_PAD_TEMPLATE("rtp_sink_%d", GST_PAD_SINK, GST_PAD_REQUEST,
                            GST_STATIC_CAPS("application/x-rtp;application/x-rtcp"));
static GstStaticPadTemplate rtcp_template = GST_STATIC_PAD_TEMPLATE(
    "rtcp_sink_%d", GST_PAD_SINK, GST_PAD_REQUEST, GST_STATIC_CAPS("application/x-rtcp"));
static GstStaticPadTemplate data_template =
    GST_STATIC_PAD_TEMPLATE("data_sink", GST_PAD_SINK, GST_PAD_REQUEST, GST_STATIC_CAPS_ANY);

void dtls_enc_set_transport(DtlsEnc *enc, struct dtls_transport *transport)
{
    GST_OBJECT_LOCK(enc);
    if (!enc->transport)
        enc->transport = dtls_transport_ref(transport);
    GST_OBJECT_UNLOCK(enc);
}

void dtls_enc_push(DtlsEnc *enc, GBytes *datagram)
{
    if (!enc->described) {
        GstSegment segment;

        gst_segment_init(&segment, GST_FORMAT_TIME);
        gst_pad_push_event(enc->src, gst_event_new_stream_start("dtls"));
        gst_pad_push_event(enc->src, gst_event_new_segment(&segment));
        enc->described = true;
    }
    /* A flow error means that the leg is going down: the transport ends by itself. */
    gst_pad_push(enc->src, gst_buffer_new_wrapped_bytes(datagram));
}

void dtls_enc_set_state(DtlsEnc *enc, enum dtls_state state)
{
    GST_OBJECT_LOCK(enc);
    enc->state = state;
    GST_OBJECT_UNLOCK(enc);
    g_object_notify_by_pspec(G_OBJECT(enc), properties[PROP_CONNECTION_STATE]);
    if (state == DTLS_CONNECTED)
        g_signal_emit(enc, key_set_signal, 0);
}

static GstStateChangeReturn change_state(GstElement *element, GstStateChange transition)
{
    GstStateChangeReturn result =
        GST_ELEMENT_CLASS(dtls_enc_parent_class)->change_state(element, transition);
    DtlsEnc *enc = DTLS_ENC(element);

    if (result != GST_STATE_CHANGE_FAILURE && transition == GST_STATE_CHANGE_READY_TO_PAUSED) {
        struct dtls_transport *transport;
        bool is_client;

        GST_OBJECT_LOCK(enc);
        transport = enc->transport ? dtls_transport_ref(enc->transport) : NULL;
        is_client = enc->is_client;
        GST_OBJECT_UNLOCK(enc);
        if (transport) {
            dtls_transport_start(transport, is_client);
            dtls_transport_unref(transport);
        }
    }
    return result;
}

static GstFlowReturn drop_buffer(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
    gst_buffer_unref(buffer);
    return GST_FLOW_OK;
}

static GstFlowReturn send_data(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
    DtlsEnc *enc = DTLS_ENC(parent);
    struct dtls_transport *transport;
    GstMapInfo map;

    GST_OBJECT_LOCK(enc);
    transport = enc->transport ? dtls_transport_ref(enc->transport) : NULL;
    GST_OBJECT_UNLOCK(enc);
    if (transport && gst_buffer_map(buffer, &map, GST_MAP_READ)) {
        dtls_transport_send_data(transport, map.data, map.size);
        gst_buffer_unmap(buffer, &map);
    }
    g_clear_pointer(&transport, dtls_transport_unref);
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

    bool data = strcmp(GST_PAD_TEMPLATE_NAME_TEMPLATE(template), "data_sink") == 0;

    gst_pad_set_chain_function(pad, data ? send_data : drop_buffer);
    gst_pad_set_event_function(pad, drop_event);
    gst_pad_set_active(pad, TRUE);
    gst_element_add_pad(element, pad);
    return pad;
}

static void release_pad(GstElement *element, GstPad *pad)
{
    gst_element_remove_pad(element, pad);
}

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
    DtlsEnc *enc = DTLS_ENC(object);

    GST_OBJECT_LOCK(enc);
    switch (id) {
    case PROP_CONNECTION_ID:
        g_free(enc->connection_id);
        enc->connection_id = g_value_dup_string(value);
        break;
    case PROP_IS_CLIENT:
        enc->is_client = g_value_get_boolean(value);
        break;
    case PROP_RTP_SYNC:
        enc->rtp_sync = g_value_get_boolean(value);
        break;
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
    }
    GST_OBJECT_UNLOCK(enc);
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *spec)
{
    DtlsEnc *enc = DTLS_ENC(object);

    GST_OBJECT_LOCK(enc);
    switch (id) {
    case PROP_CONNECTION_ID:
        g_value_set_string(value, enc->connection_id);
        break;
    case PROP_IS_CLIENT:
        g_value_set_boolean(value, enc->is_client);
        break;
    case PROP_RTP_SYNC:
        g_value_set_boolean(value, enc->rtp_sync);
        break;
    case PROP_CONNECTION_STATE:
        g_value_set_int(value, (int)enc->state);
        break;
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
    }
    GST_OBJECT_UNLOCK(enc);
}

static void finalize(GObject *object)
{
    DtlsEnc *enc = DTLS_ENC(object);

    g_clear_pointer(&enc->transport, dtls_transport_unref);
    g_free(enc->connection_id);
    G_OBJECT_CLASS(dtls_enc_parent_class)->finalize(object);
}

static void dtls_enc_class_init(DtlsEncClass *class)
{
    GObjectClass *object_class = G_OBJECT_CLASS(class);
    GstElementClass *element_class = GST_ELEMENT_CLASS(class);

    object_class->set_property = set_property;
    object_class->get_property = get_property;
    object_class->finalize = finalize;
    element_class->change_state = change_state;
    element_class->request_new_pad = request_pad;
    element_class->release_pad = release_pad;

    properties[PROP_CONNECTION_ID] =
        g_param_spec_string("connection-id", "Connection id", "Names the pair of enc and dec", NULL,
                            G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS);
    /* Not EXPLICIT_NOTIFY: webrtcbin waits for the notification even when the role stays. */
    properties[PROP_IS_CLIENT] = g_param_spec_boolean(
        "is-client", "Is client", "Whether this end says the first ClientHello", FALSE,
        G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS);
    properties[PROP_RTP_SYNC] =
        g_param_spec_boolean("rtp-sync", "RTP sync", "Without effect: media does not pass here",
                             FALSE, G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS);
    properties[PROP_CONNECTION_STATE] =
        g_param_spec_int("connection-state", "Connection state",
                         "0 new, 1 closed, 2 failed, 3 connecting, 4 connected", DTLS_NEW,
                         DTLS_CONNECTED, DTLS_NEW, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
    g_object_class_install_properties(object_class, N_PROPS, properties);
    key_set_signal = g_signal_new("on-key-set", G_TYPE_FROM_CLASS(class), G_SIGNAL_RUN_LAST, 0,
                                  NULL, NULL, NULL, G_TYPE_NONE, 0);

    gst_element_class_add_static_pad_template(element_class, &src_template);
    gst_element_class_add_static_pad_template(element_class, &rtp_template);
    gst_element_class_add_static_pad_template(element_class, &rtcp_template);
    gst_element_class_add_static_pad_template(element_class, &data_template);
    gst_element_class_set_static_metadata(element_class, "DTLS encoder of a leg",
                                          "Encoder/Network/DTLS", "Sends DTLS for webrtcbin",
                                          "WMCF");
}

static void dtls_enc_init(DtlsEnc *enc)
{
    enc->src = gst_pad_new_from_static_template(&src_template, "src");
    gst_element_add_pad(GST_ELEMENT(enc), enc->src);
}
