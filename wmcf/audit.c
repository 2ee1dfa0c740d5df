/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts and terminations as JSON. State is at hand; statistics live with the workers, so they
 * are asked for one snapshot per leg and the array is complete when the last has come. A
 * termination that goes meanwhile keeps the state it had when it was asked about. */
#include "wmcf/audit.h"

#include "wmcf/ice-traversal.h"
#include "wmcf/media-path.h"

#include "base/loop.h"
#include "wmcf/data-relay.h"
#include "wmcf/pipeline-templates.h"
#include "wmcf/pipeline-termination.h"
#include "wmcf/rtc-stats.h"
#include "wmcf/topology.h"

#include <arpa/inet.h>

struct collection {
    json_t *array;
    guint pending;
    unsigned what;
    audit_fn done;
    void *user;
};

struct entry {
    struct collection *collection;
    json_t *object; /* in the array */
    GArray *flows;  /* counters taken when asked: struct flow_counters */
    guint64 unattributed;
};

struct flow_counters {
    char mid[SDP_MAX_MID + 1];
    enum sdp_kind kind;
    struct qos_counters counters[2]; /* by enum qos_direction */
    bool has_data;
    struct data_relay_stats data;
};

json_t *audit_address(const struct sockaddr_storage *address)
{
    char text[INET6_ADDRSTRLEN] = "";
    guint port = 0;
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)address;
        inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text);
        port = ntohs(in6->sin6_port);
    } else if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;
        inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
        port = ntohs(in->sin_port);
    }
    return json_pack("{s:s, s:i}", "ip", text, "port", (int)port);
}

const char *audit_srtp_profile(enum pl_srtp_profile profile)
{
    switch (profile) {
    case PL_SRTP_AES128_CM_HMAC_SHA1_80:
        return "SRTP_AES128_CM_HMAC_SHA1_80";
    case PL_SRTP_AEAD_AES_128_GCM:
        return "SRTP_AEAD_AES_128_GCM";
    case PL_SRTP_AEAD_AES_256_GCM:
        return "SRTP_AEAD_AES_256_GCM";
    }
    return "unknown";
}

static json_t *state_json(struct termination *t, unsigned what)
{
    json_t *object =
        json_pack("{s:s, s:s, s:o}", "terminationId", t->id, "state",
                  termination_state_name(t->state), "medias", termination_medias_json(t));
    if (t->failure)
        json_object_set_new(object, "failure", json_string(t->failure));
    if (t->pending_local)
        json_object_set_new(object, "offerPending", json_true());
    if (t->app_data)
        json_object_set(object, "appData", t->app_data);
    media_path_add_json(t, object);
    if (what & AUDIT_DETAIL) {
        json_object_set_new(object, "contextId", json_string(t->context->id));
        json_object_set_new(object, "ageSeconds", json_real((loop_now() - t->created) / 1e6));
        json_object_set_new(object, "events", event_mask_json(t->events));
    }
    json_object_set_new(object, "enforcement",
                        json_pack("{s:s}", "level", qos_transport_level(t->transport)));
    if (t->pipeline) {
        json_object_set_new(object, "pipeline", pipeline_termination_json(t->pipeline));
        return object;
    }
    json_t *ice = json_pack("{s:b, s:s}", "connected", t->ice_connected, "mode",
                            t->traversal  ? "traversal"
                            : t->ice_full ? "full"
                                          : "lite");
    if (t->ice_local.ss_family)
        json_object_set_new(ice, "local", audit_address(&t->ice_local));
    if (t->ice_remote.ss_family)
        json_object_set_new(ice, "remote", audit_address(&t->ice_remote));
    json_object_set_new(object, "ice", ice);
    json_t *dtls =
        json_pack("{s:b, s:s}", "connected", t->dtls_connected, "state", pl_leg_state_name(t->leg));
    if (t->dtls_connected) {
        const char *cipher = pl_leg_dtls_cipher(t->leg);
        json_object_set_new(dtls, "srtpProfile", json_string(audit_srtp_profile(t->srtp_profile)));
        if (cipher)
            json_object_set_new(dtls, "cipher", json_string(cipher));
    }
    json_object_set_new(object, "dtls", dtls);
    const char *failure = data_relay_failure(t);
    if (failure)
        json_object_set_new(object, "dataFailure", json_string(failure));
    return object;
}

static const struct flow_counters *find_flow(const GArray *flows, const char *mid)
{
    for (guint i = 0; i < flows->len; i++) {
        const struct flow_counters *flow = &g_array_index(flows, struct flow_counters, i);
        if (strcmp(flow->mid, mid) == 0)
            return flow;
    }
    return NULL;
}

static GArray *take_flows(const struct termination *t)
{
    GArray *flows = g_array_new(FALSE, TRUE, sizeof(struct flow_counters));
    for (guint i = 0; i < t->medias->len; i++) {
        const struct termination_media *media = g_ptr_array_index(t->medias, i);
        struct flow_counters flow = {.kind = media->kind};
        g_strlcpy(flow.mid, media->mid, sizeof flow.mid);
        for (int d = 0; d < 2; d++)
            qos_flow_read(media->flow, d, &flow.counters[d]);
        flow.has_data = data_relay_stats(t, media->mid, &flow.data);
        g_array_append_val(flows, flow);
    }
    return flows;
}

static json_t *direction_json(const struct flow_counters *flow, enum qos_direction d)
{
    struct qos_counters none = {0};
    const struct qos_counters *c = flow ? &flow->counters[d] : &none;
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "packets", (json_int_t)c->packets, "octets",
                     (json_int_t)c->octets, "gateDiscarded", (json_int_t)c->gate_discarded,
                     "policingDiscarded", (json_int_t)c->policing_discarded, "marked",
                     (json_int_t)c->marked);
}

static void set_int(json_t *object, const char *key, gint64 value)
{
    json_object_set_new(object, key, json_integer(value));
}

static void set_age(json_t *object, const char *key, gint64 when)
{
    if (when)
        json_object_set_new(object, key, json_real((g_get_monotonic_time() - when) / 1e6));
}

static json_t *media_stats_json(const struct relay_media_stats *m, const struct flow_counters *flow,
                                unsigned what)
{
    json_t *up = direction_json(flow, QOS_UPLINK), *down = direction_json(flow, QOS_DOWNLINK);
    set_int(up, "lost", m->lost_in);
    set_int(up, "jitter", m->jitter_in);
    set_int(up, "nack", m->nack_sent);
    set_int(up, "pli", m->pli_sent);
    set_int(down, "lost", m->lost_remote);
    set_int(down, "jitter", m->jitter_remote);
    set_int(down, "nack", m->nack_received);
    set_int(down, "pli", m->pli_received);
    if (m->round_trip_us)
        json_object_set_new(down, "roundTrip", json_real(m->round_trip_us / 1e6));
    if (what & AUDIT_DETAIL) {
        set_int(up, "ssrc", m->ssrc_in);
        set_int(up, "payloadType", m->pt_in);
        set_int(up, "received", m->packets_in);
        set_int(up, "receivedOctets", m->octets_in);
        set_int(up, "retransmitted", m->retransmitted_in);
        set_int(up, "duplicates", m->duplicates_in);
        set_int(up, "decryptFailed", m->decrypt_failed);
        set_int(up, "keyFrames", m->key_frames);
        set_age(up, "lastPacketAge", m->last_packet_in);
        set_age(up, "lastKeyFrameAge", m->last_key_frame);
        set_int(down, "ssrc", m->ssrc_out);
        set_int(down, "sent", m->packets_out);
        set_int(down, "sentOctets", m->octets_out);
        set_int(down, "retransmitted", m->retransmitted_out);
        set_int(down, "noCodec", m->no_codec);
        set_age(down, "lastPacketAge", m->last_packet_out);
    }
    return json_pack("{s:s, s:s, s:o, s:o}", "mid", m->mid, "mediaType",
                     m->kind == RELAY_AUDIO ? "audio" : "video", "uplink", up, "downlink", down);
}

static void finish_one(struct collection *c)
{
    if (--c->pending)
        return;
    c->done(c->array, c->user);
    g_free(c);
}

static void add_messages(json_t *direction, const struct data_relay_counters *counters)
{
    set_int(direction, "messages", (gint64)counters->messages);
    set_int(direction, "messageOctets", (gint64)counters->octets);
}

static json_t *data_stats_json(const struct flow_counters *flow)
{
    json_t *up = direction_json(flow, QOS_UPLINK), *down = direction_json(flow, QOS_DOWNLINK);
    json_t *media = json_pack("{s:s, s:s, s:o, s:o}", "mid", flow->mid, "mediaType",
                              sdp_kind_name(flow->kind), "uplink", up, "downlink", down);
    if (flow->has_data) {
        add_messages(up, &flow->data.in);
        add_messages(down, &flow->data.out);
        set_int(media, "channels", flow->data.channels);
        set_int(media, "channelsOpened", (gint64)flow->data.opened);
        set_int(media, "messagesDropped", (gint64)flow->data.dropped);
    }
    return media;
}

/* Data channels are nothing that the relay tells of as a stream. */
static void add_data_stats(const GArray *flows, json_t *medias)
{
    for (guint i = 0; i < flows->len; i++) {
        const struct flow_counters *flow = &g_array_index(flows, struct flow_counters, i);
        if (flow->kind == SDP_APPLICATION)
            json_array_append_new(medias, data_stats_json(flow));
    }
}

static void on_stats(const struct relay_leg_stats *stats, void *user)
{
    struct entry *entry = user;
    if (stats) {
        unsigned what = entry->collection->what;
        json_t *medias = json_array();
        for (guint i = 0; i < stats->n_medias; i++)
            if (*stats->medias[i].mid) /* what of a pipeline nobody wants has none */
                json_array_append_new(
                    medias, media_stats_json(&stats->medias[i],
                                             find_flow(entry->flows, stats->medias[i].mid), what));
        add_data_stats(entry->flows, medias);
        json_object_set_new(entry->object, "statistics", medias);
        json_object_set_new(entry->object, "rtcStats", rtc_stats_json(stats));
        set_int(entry->object, "unattributedDiscarded",
                entry->unattributed + stats->unknown_ssrc_dropped + stats->moved_ssrc_dropped +
                    stats->rtcp_gated);
        if (what & AUDIT_DETAIL) {
            json_t *transport = json_object();
            set_int(transport, "worker", stats->worker);
            set_int(transport, "stunRequests", stats->stun_requests);
            set_age(transport, "lastStunAge", stats->last_stun);
            set_int(transport, "unvalidatedDropped", stats->unvalidated_dropped);
            set_int(transport, "unknownSsrcDropped", stats->unknown_ssrc_dropped);
            set_int(transport, "movedSsrcDropped", stats->moved_ssrc_dropped);
            set_int(transport, "cryptexDropped", stats->cryptex_dropped);
            set_int(transport, "gatedRtcp", stats->rtcp_gated);
            set_int(transport, "kernelUnattributed", entry->unattributed);
            set_int(transport, "srtpFailed", stats->srtp_failed);
            set_int(transport, "replayed", stats->replayed);
            set_int(transport, "sendFailed", stats->send_failed);
            json_object_set_new(transport, "srtp", json_boolean(stats->srtp));
            json_object_set_new(entry->object, "transport", transport);
        }
    }
    g_array_unref(entry->flows);
    struct collection *c = entry->collection;
    g_free(entry);
    finish_one(c);
}

static void finish_later(void *data)
{
    finish_one(data);
}

void audit_terminations(GPtrArray *terminations, unsigned what, audit_fn done, void *user)
{
    struct collection *c = g_new0(struct collection, 1);
    *c = (struct collection){json_array(), 1, what, done, user};
    for (guint i = 0; i < terminations->len; i++) {
        struct termination *t = g_ptr_array_index(terminations, i);
        json_t *object =
            what & AUDIT_STATE ? state_json(t, what) : json_pack("{s:s}", "terminationId", t->id);
        json_array_append_new(c->array, object);
        if (!(what & AUDIT_STATISTICS))
            continue;
        struct entry *entry = g_new0(struct entry, 1);
        *entry = (struct entry){c, object, take_flows(t), qos_transport_unattributed(t->transport)};
        c->pending++;
        relay_leg_stats(t->relay_leg, on_stats, entry);
    }
    loop_post("audit", finish_later, c);
}

json_t *audit_context(const struct context *context)
{
    json_t *ids = json_array();
    for (guint i = 0; i < context->order->len; i++) {
        const struct termination *t = g_ptr_array_index(context->order, i);
        json_array_append_new(ids, json_string(t->id));
    }
    json_t *object = json_pack("{s:s, s:s, s:f, s:o}", "contextId", context->id, "topology",
                               topology_names[context->topology], "ageSeconds",
                               (loop_now() - context->created) / 1e6, "terminationIds", ids);
    if (context->mesh)
        mesh_add_json(context->mesh, object);
    if (context->app_data)
        json_object_set(object, "appData", context->app_data);
    return object;
}

json_t *audit_capabilities(const struct wmcf *wmcf)
{
    json_t *templates = json_array();
    g_auto(GStrv) folders = pipeline_template_folders(wmcf->conf);
    g_auto(GStrv) names = pipeline_template_names((const char *const *)folders);
    for (char **name = names; *name; name++)
        json_array_append_new(templates, json_string(*name));
    json_t *modes = json_pack("[s,s]", "lite", "full");
    if (ice_traversal_possible(wmcf))
        json_array_append_new(modes, json_string("traversal"));
    return json_pack(
        "{s:o, s:[s,s,s], s:{s:[s], s:[s,s,s,s]}, s:o, s:[s,s], s:[s,s], s:{s:I, s:I, s:I, s:I, "
        "s:I}}",
        "pipelineTemplates", templates, "mediaTypes", "audio", "video", "application", "codecs",
        "audio", "opus", "video", "VP8", "VP9", "H264", "AV1", "iceModes", modes, "mediaPaths",
        "relay", "pipeline", "topologies", "explicit", "mesh", "limits", "terminations",
        (json_int_t)conf_int(wmcf->conf, "limits", "terminations"), "terminationsPerContext",
        (json_int_t)conf_int(wmcf->conf, "limits", "terminations_per_context"), "maxSlots",
        (json_int_t)conf_int(wmcf->conf, "limits", "max_slots"), "pipelines",
        (json_int_t)conf_int(wmcf->conf, "limits", "pipelines"), "pipelineMembers",
        (json_int_t)conf_int(wmcf->conf, "limits", "pipeline_members"));
}
