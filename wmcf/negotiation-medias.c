/* SPDX-License-Identifier: Apache-2.0 */
/* The m-lines of a termination. One lasts as long as its mid stays at its place, through all
 * changes of direction and codecs, and with it its gates, counters and routes; an m-line that is
 * used again for another medium begins anew. */
#define LOG_CATEGORY "negotiation"
#include "wmcf/negotiation.h"

#include "wmcf/audit.h"
#include "wmcf/media-path.h"
#include "wmcf/pipeline-termination.h"
#include "wmcf/topology.h"

struct termination_media *termination_media(struct termination *t, const char *mid)
{
    const GPtrArray *medias = t->proposed ? t->proposed : t->medias;
    for (guint i = 0; i < medias->len; i++) {
        struct termination_media *media = g_ptr_array_index(medias, i);
        if (strcmp(media->mid, mid) == 0)
            return media;
    }
    return NULL;
}

void termination_media_free(struct termination_media *media)
{
    if (!media)
        return;
    qos_flow_free(media->flow);
    json_decref(media->source_told);
    g_free(media);
}

static const enum qos_kind qos_kinds[] = {[SDP_AUDIO] = QOS_AUDIO,
                                          [SDP_VIDEO] = QOS_VIDEO,
                                          [SDP_APPLICATION] = QOS_DATA,
                                          [SDP_OTHER] = QOS_DATA};

static struct termination_media *media_new(const struct termination *t, const char *mid,
                                           enum sdp_kind kind, GError **error)
{
    struct qos_policy policy = policy_set_for(&t->policies, mid ? mid : "");
    /* What was said of it long ago has to be held now; of a pipeline there is nothing to hold. */
    if (!t->pipeline && !qos_check(t->wmcf->qos, &policy, error))
        return NULL;
    struct qos_flow *flow = qos_flow_new(t->transport, qos_kinds[kind], error);
    if (!flow)
        return NULL;
    struct termination_media *media = g_new0(struct termination_media, 1);
    g_strlcpy(media->mid, mid ? mid : "", sizeof media->mid);
    media->kind = kind;
    media->flow = flow;
    qos_flow_apply(media->flow, &policy);
    return media;
}

struct termination_media *termination_add_media(struct termination *t, const char *mid,
                                                enum sdp_kind kind)
{
    struct termination_media *media = media_new(t, mid, kind, NULL);
    g_ptr_array_add(t->medias, media);
    return media;
}

/* Media exist from our first description on, so that a policy can name them before the answer. */
GPtrArray *negotiation_propose_medias(const struct termination *t,
                                      const struct sdp_description *local, GPtrArray **ret_fresh,
                                      GError **error)
{
    GPtrArray *medias = g_ptr_array_new();
    *ret_fresh = g_ptr_array_new();
    for (guint i = 0; local && i < local->medias->len; i++) {
        const struct sdp_media *m = g_ptr_array_index(local->medias, i);
        struct termination_media *media =
            i < t->medias->len ? g_ptr_array_index(t->medias, i) : NULL;
        if (!media || g_strcmp0(media->mid, m->mid ? m->mid : "") != 0 || media->kind != m->kind) {
            media = media_new(t, m->mid, m->kind, error);
            if (!media) {
                g_ptr_array_unref(medias);
                return NULL;
            }
            g_ptr_array_add(*ret_fresh, media);
        }
        g_ptr_array_add(medias, media);
    }
    return medias;
}

static void on_retired(const struct relay_leg_stats *stats, void *user)
{
    termination_media_free(user);
}

/* The worker may still count on its flow: it goes when what the worker has been told before is
 * done. */
static void retire(struct termination *t, struct termination_media *media)
{
    struct context *context = t->context;
    for (guint i = 0; i < context->order->len; i++) {
        struct termination *other = g_ptr_array_index(context->order, i);
        for (guint m = 0; m < other->medias->len; m++) {
            struct termination_media *fed = g_ptr_array_index(other->medias, m);
            if (fed->source == t && strcmp(fed->source_mid, media->mid) == 0)
                termination_connect_media(other, fed, NULL, NULL);
        }
    }
    g_ptr_array_add(t->retired, media);
}

void negotiation_take_medias(struct termination *t, GPtrArray *medias)
{
    for (guint i = 0; i < t->medias->len; i++) {
        struct termination_media *media = g_ptr_array_index(t->medias, i);
        if (!g_ptr_array_find(medias, media, NULL))
            retire(t, media);
    }
    g_ptr_array_set_free_func(t->medias, NULL);
    g_ptr_array_set_size(t->medias, 0);
    g_ptr_array_set_free_func(t->medias, (GDestroyNotify)termination_media_free);
    for (guint i = 0; i < medias->len; i++)
        g_ptr_array_add(t->medias, g_ptr_array_index(medias, i));
}

/* --- into the relay ------------------------------------------------------------------------ */

static guint copy_codecs(const GArray *codecs, struct relay_codec *out)
{
    guint n = 0;
    for (guint i = 0; codecs && i < codecs->len && n < RELAY_CODECS_MAX; i++) {
        const struct sdp_codec *codec = &g_array_index(codecs, struct sdp_codec, i);
        out[n++] = (struct relay_codec){
            .pt = codec->pt,
            .clock_rate = codec->clock_rate,
            .format = codec->format,
            .nack = codec->nack,
            .pli = codec->nack_pli,
            .fir = codec->ccm_fir,
            .rtx_pt = codec->rtx_pt,
            .transport_cc = codec->transport_cc,
            .remb = codec->goog_remb,
        };
    }
    return n;
}

static void copy_ssrcs(const struct sdp_negotiated_media *m, struct relay_media *media)
{
    for (guint s = 0; m->remote_ssrcs && s < m->remote_ssrcs->len && s < RELAY_SSRCS_MAX; s++) {
        if (m->remote_rtx_ssrcs && s < m->remote_rtx_ssrcs->len)
            media->remote_rtx_ssrcs[s] = g_array_index(m->remote_rtx_ssrcs, guint32, s);
        media->remote_ssrcs[media->n_remote_ssrcs++] = g_array_index(m->remote_ssrcs, guint32, s);
    }
    media->local_ssrc = m->local_ssrc;
    media->local_rtx_ssrc = m->local_rtx_ssrc;
}

static void describe(struct relay_media *media, const struct sdp_negotiated_media *m,
                     const struct termination_media *own)
{
    g_strlcpy(media->mid, m->mid, sizeof media->mid);
    media->kind = m->kind == SDP_AUDIO ? RELAY_AUDIO : RELAY_VIDEO;
    media->receive = m->direction & SDP_RECVONLY;
    media->send = m->direction & SDP_SENDONLY;
    media->mid_extmap = m->mid_extmap;
    media->audio_level_extmap = m->audio_level_extmap;
    media->rid_extmap = m->rid_extmap;
    media->repaired_rid_extmap = m->repaired_rid_extmap;
    media->transport_cc_extmap = m->transport_cc_extmap;
    media->abs_send_time_extmap = m->abs_send_time_extmap;
    media->orientation_extmap = m->orientation_extmap;
    media->dependency_extmap = m->dependency_extmap;
    media->allocation_extmap = m->allocation_extmap;
    media->n_recv_codecs = copy_codecs(m->recv_codecs, media->recv_codecs);
    media->n_send_codecs = copy_codecs(m->send_codecs, media->send_codecs);
    copy_ssrcs(m, media);
    for (guint r = 0; r < m->n_rids && r < RELAY_ENCODINGS_MAX; r++)
        g_strlcpy(media->rids[media->n_rids++], m->rids[r].id, sizeof media->rids[0]);
    media->rtcp_rsize = m->rtcp_rsize;
    media->cryptex = m->cryptex;
    media->slot[QOS_UPLINK] = qos_flow_slot(own->flow, QOS_UPLINK);
    media->slot[QOS_DOWNLINK] = qos_flow_slot(own->flow, QOS_DOWNLINK);
}

static void configure_data(struct termination *t, const struct termination_media *data)
{
    if (data)
        relay_leg_set_data(t->relay_leg, data->mid, qos_flow_slot(data->flow, QOS_UPLINK),
                           qos_flow_slot(data->flow, QOS_DOWNLINK));
    else
        relay_leg_set_data(t->relay_leg, NULL, NULL, NULL);
}

void negotiation_configure_relay(struct termination *t)
{
    g_autoptr(GArray) negotiated = termination_negotiated(t);
    g_autofree struct relay_media *medias = g_new0(struct relay_media, RELAY_MEDIAS_MAX);
    const struct termination_media *data = NULL;
    guint n = 0;
    for (guint i = 0; i < negotiated->len && n < RELAY_MEDIAS_MAX; i++) {
        const struct sdp_negotiated_media *m =
            &g_array_index(negotiated, struct sdp_negotiated_media, i);
        const struct termination_media *own = g_ptr_array_index(t->medias, i);
        if (m->kind == SDP_AUDIO || m->kind == SDP_VIDEO)
            describe(&medias[n++], m, own);
        else if (m->kind == SDP_APPLICATION && (!data || m->direction != SDP_INACTIVE))
            data = own; /* a rejected one as well: nothing passes by the gate of a medium */
    }
    relay_leg_set_medias(t->relay_leg, medias, n);
    configure_data(t, data);
    media_path_update(t);
    termination_repeat_routes(t);
    while (t->retired->len)
        relay_leg_stats(t->relay_leg, on_retired,
                        g_ptr_array_steal_index_fast(t->retired, t->retired->len - 1));
}

/* --- what is negotiated -------------------------------------------------------------------- */

GArray *termination_negotiated(const struct termination *t)
{
    if (t->pipeline)
        return pipeline_termination_negotiated(t->pipeline);
    return t->local && t->remote ? sdp_negotiate(t->local, t->remote) : NULL;
}

static json_t *codec_names(const GArray *codecs)
{
    json_t *array = json_array();
    for (guint i = 0; codecs && i < codecs->len; i++) {
        const char *name = g_array_index(codecs, struct sdp_codec, i).name;
        bool known = false;
        size_t k;
        json_t *item;
        json_array_foreach(array, k, item) known |=
            g_ascii_strcasecmp(json_string_value(item), name) == 0;
        if (!known)
            json_array_append_new(array, json_string(name));
    }
    return array;
}

/* A result may tell a source before its turn has come in an event; who leaves in between must be
 * told nevertheless. */
static void add_source(struct termination_media *own, json_t *media)
{
    json_t *source = topology_source_json(own);
    own->source_told_else |= !json_equal(source, own->source_told) && (source || own->source_told);
    if (source)
        json_object_set_new(media, "source", source);
}

static json_t *media_json(struct termination_media *own, enum sdp_direction direction,
                          const GArray *codecs)
{
    json_t *media =
        json_pack("{s:s, s:s, s:s, s:o}", "mid", own->mid, "mediaType", sdp_kind_name(own->kind),
                  "direction", sdp_direction_name(direction), "codecs", codec_names(codecs));
    policy_add_json(own->flow, true, media);
    add_source(own, media);
    return media;
}

json_t *termination_medias_json(const struct termination *t)
{
    if (t->pipeline)
        return pipeline_termination_medias_json(t->pipeline);
    json_t *array = json_array();
    g_autoptr(GArray) negotiated = t->pending_local ? NULL : termination_negotiated(t);
    const struct sdp_description *offer = t->pending_local ? t->pending_local : t->local;
    for (guint i = 0; i < t->medias->len; i++) {
        struct termination_media *own = g_ptr_array_index(t->medias, i);
        if (negotiated && i < negotiated->len) {
            const struct sdp_negotiated_media *m =
                &g_array_index(negotiated, struct sdp_negotiated_media, i);
            /* What the endpoint sends tells best what it chose; what it only receives, the other.
             */
            const GArray *codecs = m->direction & SDP_RECVONLY ? m->recv_codecs : m->send_codecs;
            json_array_append_new(array, media_json(own, m->direction, codecs));
        } else if (offer && i < offer->medias->len) {
            const struct sdp_media *m = g_ptr_array_index(offer->medias, i);
            json_array_append_new(array, media_json(own, m->direction, m->codecs));
        }
    }
    return array;
}
