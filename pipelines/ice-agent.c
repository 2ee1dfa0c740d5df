/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the ICE agent that webrtcbin is made with, its one stream (every leg is one BUNDLE) and that
 * stream's transport. Credentials and candidates are the SDP engine's and the relay's business, so
 * what webrtcbin says of them is taken and forgotten, and servers for STUN and TURN there are none.
 */
#include "pipelines/ice-agent.h"

/* --- transport -------------------------------------------------------------------------------- */

#define ICE_TYPE_TRANSPORT ice_transport_get_type()
G_DECLARE_FINAL_TYPE(IceTransport, ice_transport, ICE, TRANSPORT, GstWebRTCICETransport)
struct _IceTransport {
    GstWebRTCICETransport parent;
};
G_DEFINE_TYPE(IceTransport, ice_transport, GST_TYPE_WEBRTC_ICE_TRANSPORT)

static gboolean transport_gather(GstWebRTCICETransport *transport)
{
    /* There is nothing to gather: the relay's sockets are known before the leg is. */
    gst_webrtc_ice_transport_gathering_state_change(transport,
                                                    GST_WEBRTC_ICE_GATHERING_STATE_COMPLETE);
    return TRUE;
}

static void transport_finalize(GObject *object)
{
    GstWebRTCICETransport *transport = GST_WEBRTC_ICE_TRANSPORT(object);

    gst_clear_object(&transport->src);
    gst_clear_object(&transport->sink);
    G_OBJECT_CLASS(ice_transport_parent_class)->finalize(object);
}

static void ice_transport_class_init(IceTransportClass *class)
{
    G_OBJECT_CLASS(class)->finalize = transport_finalize;
    GST_WEBRTC_ICE_TRANSPORT_CLASS(class)->gather_candidates = transport_gather;
}

static void ice_transport_init(IceTransport *transport)
{
}

/* --- stream ----------------------------------------------------------------------------------- */

#define ICE_TYPE_STREAM ice_stream_get_type()
G_DECLARE_FINAL_TYPE(IceStream, ice_stream, ICE, STREAM, GstWebRTCICEStream)
struct _IceStream {
    GstWebRTCICEStream parent;
    GstWebRTCICETransport *transport; /* made at the first question */
    struct dtls_transport *dtls;
};
G_DEFINE_TYPE(IceStream, ice_stream, GST_TYPE_WEBRTC_ICE_STREAM)

static GstWebRTCICETransport *stream_find_transport(GstWebRTCICEStream *base,
                                                    GstWebRTCICEComponent component)
{
    IceStream *stream = ICE_STREAM(base);

    if (!stream->transport) {
        GstWebRTCICETransport *transport =
            gst_object_ref_sink(g_object_new(ICE_TYPE_TRANSPORT, "component", component, NULL));

        transport->src = gst_object_ref_sink(ice_src_new());
        transport->sink = gst_object_ref_sink(ice_sink_new(stream->dtls));
        stream->transport = transport;
        dtls_transport_set_ice_transport(stream->dtls, transport);
    }
    return gst_object_ref(stream->transport);
}

static gboolean stream_gather(GstWebRTCICEStream *base)
{
    IceStream *stream = ICE_STREAM(base);

    return stream->transport && transport_gather(stream->transport);
}

static void stream_finalize(GObject *object)
{
    IceStream *stream = ICE_STREAM(object);

    gst_clear_object(&stream->transport);
    dtls_transport_unref(stream->dtls);
    G_OBJECT_CLASS(ice_stream_parent_class)->finalize(object);
}

static void ice_stream_class_init(IceStreamClass *class)
{
    G_OBJECT_CLASS(class)->finalize = stream_finalize;
    GST_WEBRTC_ICE_STREAM_CLASS(class)->find_transport = stream_find_transport;
    GST_WEBRTC_ICE_STREAM_CLASS(class)->gather_candidates = stream_gather;
}

static void ice_stream_init(IceStream *stream)
{
}

/* --- agent ------------------------------------------------------------------------------------ */

struct _IceAgent {
    GstWebRTCICE parent;
    IceStream *stream;
    struct dtls_transport *dtls;
    gboolean is_controller;
};
G_DEFINE_TYPE(IceAgent, ice_agent, GST_TYPE_WEBRTC_ICE)

static GstWebRTCICEStream *add_stream(GstWebRTCICE *ice, guint session)
{
    IceAgent *agent = ICE_AGENT(ice);

    if (!agent->stream) {
        agent->stream = gst_object_ref_sink(g_object_new(ICE_TYPE_STREAM, NULL));
        agent->stream->parent.stream_id = session;
        agent->stream->dtls = dtls_transport_ref(agent->dtls);
    }
    /* Documented as transfer full, but webrtcbin never releases it: lend ours. */
    return GST_WEBRTC_ICE_STREAM(agent->stream);
}

static GstWebRTCICETransport *find_transport(GstWebRTCICE *ice, GstWebRTCICEStream *stream,
                                             GstWebRTCICEComponent component)
{
    return stream_find_transport(stream, component);
}

static gboolean gather_candidates(GstWebRTCICE *ice, GstWebRTCICEStream *stream)
{
    return stream_gather(stream);
}

static void add_candidate(GstWebRTCICE *ice, GstWebRTCICEStream *stream, const char *candidate)
{
}

static gboolean set_credentials(GstWebRTCICE *ice, GstWebRTCICEStream *stream, const char *ufrag,
                                const char *pwd)
{
    return TRUE;
}

static gboolean refuse_turn_server(GstWebRTCICE *ice, const char *uri)
{
    return FALSE;
}

static void set_is_controller(GstWebRTCICE *ice, gboolean controller)
{
    ICE_AGENT(ice)->is_controller = controller;
}

static gboolean get_is_controller(GstWebRTCICE *ice)
{
    return ICE_AGENT(ice)->is_controller;
}

static void set_force_relay(GstWebRTCICE *ice, gboolean force)
{
}

static void set_uri(GstWebRTCICE *ice, const char *uri)
{
}

static char *get_uri(GstWebRTCICE *ice)
{
    return NULL;
}

static void set_tos(GstWebRTCICE *ice, GstWebRTCICEStream *stream, guint tos)
{
}

static void set_on_ice_candidate(GstWebRTCICE *ice, GstWebRTCICEOnCandidateFunc fn, void *user,
                                 GDestroyNotify notify)
{
    /* No candidate is ever announced, so nobody is ever called. */
    if (notify)
        notify(user);
}

static GstWebRTCICECandidateStats **get_candidates(GstWebRTCICE *ice, GstWebRTCICEStream *stream)
{
    return g_new0(GstWebRTCICECandidateStats *, 1);
}

static gboolean get_selected_pair(GstWebRTCICE *ice, GstWebRTCICEStream *stream,
                                  GstWebRTCICECandidateStats **local,
                                  GstWebRTCICECandidateStats **remote)
{
    return FALSE;
}

static void agent_finalize(GObject *object)
{
    IceAgent *agent = ICE_AGENT(object);

    gst_clear_object(&agent->stream);
    g_clear_pointer(&agent->dtls, dtls_transport_unref);
    G_OBJECT_CLASS(ice_agent_parent_class)->finalize(object);
}

static void ice_agent_class_init(IceAgentClass *class)
{
    GstWebRTCICEClass *ice_class = GST_WEBRTC_ICE_CLASS(class);

    G_OBJECT_CLASS(class)->finalize = agent_finalize;
    ice_class->add_stream = add_stream;
    ice_class->find_transport = find_transport;
    ice_class->gather_candidates = gather_candidates;
    ice_class->add_candidate = add_candidate;
    ice_class->set_local_credentials = set_credentials;
    ice_class->set_remote_credentials = set_credentials;
    ice_class->add_turn_server = refuse_turn_server;
    ice_class->set_is_controller = set_is_controller;
    ice_class->get_is_controller = get_is_controller;
    ice_class->set_force_relay = set_force_relay;
    ice_class->set_stun_server = set_uri;
    ice_class->get_stun_server = get_uri;
    ice_class->set_turn_server = set_uri;
    ice_class->get_turn_server = get_uri;
    ice_class->set_http_proxy = set_uri;
    ice_class->get_http_proxy = get_uri;
    ice_class->set_tos = set_tos;
    ice_class->set_on_ice_candidate = set_on_ice_candidate;
    ice_class->get_local_candidates = get_candidates;
    ice_class->get_remote_candidates = get_candidates;
    ice_class->get_selected_pair = get_selected_pair;
}

static void ice_agent_init(IceAgent *agent)
{
}

GstWebRTCICE *ice_agent_new(struct dtls_transport *transport)
{
    IceAgent *agent = gst_object_ref_sink(g_object_new(ICE_TYPE_AGENT, NULL));

    agent->dtls = dtls_transport_ref(transport);
    return GST_WEBRTC_ICE(agent);
}
