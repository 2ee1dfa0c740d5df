/* SPDX-License-Identifier: Apache-2.0 */
/* What two descriptions mean together, told from our side: per m-line the direction and the payload
 * types of each way. Each side's own description says which numbers it wants to receive (RFC 3264
 * 5.1), so the two ways may differ; formats are matched by their keys. */
#include "pipelines/sdp-model.h"

static void negotiated_clear(struct sdp_negotiated_media *media)
{
    g_array_unref(media->recv_codecs);
    g_array_unref(media->send_codecs);
    g_array_unref(media->remote_ssrcs);
    if (media->remote_rtx_ssrcs)
        g_array_unref(media->remote_rtx_ssrcs);
}

static void common_codecs(GArray *to, const struct sdp_media *receiver,
                          const struct sdp_media *sender, bool transport_cc)
{
    for (guint i = 0; i < receiver->codecs->len; i++) {
        struct sdp_codec codec = g_array_index(receiver->codecs, struct sdp_codec, i);
        const struct sdp_codec *other = sdp_media_codec(sender, codec.format);
        if (!other)
            continue;
        codec.rtx_pt = other->rtx_pt ? codec.rtx_pt : 0;
        codec.transport_cc &= transport_cc && other->transport_cc;
        codec.goog_remb &= other->goog_remb && !codec.transport_cc;
        g_array_append_val(to, codec);
    }
}

static bool any_transport_cc(const GArray *codecs)
{
    for (guint i = 0; i < codecs->len; i++)
        if (g_array_index(codecs, struct sdp_codec, i).transport_cc)
            return true;
    return false;
}

static bool any_rtx(const GArray *codecs)
{
    for (guint i = 0; i < codecs->len; i++)
        if (g_array_index(codecs, struct sdp_codec, i).rtx_pt)
            return true;
    return false;
}

static guint8 common_extmap(const struct sdp_media *local, const struct sdp_media *remote,
                            const char *uri)
{
    guint8 id = sdp_media_extmap(local, uri);
    return id == sdp_media_extmap(remote, uri) ? id : 0;
}

/* What the peer sends and we receive, in its order; told apart by the extension alone. */
static void common_rids(struct sdp_negotiated_media *n, const struct sdp_media *local,
                        const struct sdp_media *remote)
{
    guint8 rid = common_extmap(local, remote, SDP_URI_RID);

    for (guint i = 0; rid && i < remote->n_rids_send; i++)
        if (sdp_media_receives_rid(local, remote->rids_send[i].id))
            n->rids[n->n_rids++] = remote->rids_send[i];
    if (n->n_rids == 0)
        return;
    n->rid_extmap = rid;
    n->repaired_rid_extmap = common_extmap(local, remote, SDP_URI_REPAIRED_RID);
    n->allocation_extmap = common_extmap(local, remote, SDP_URI_ALLOCATION);
}

/* `mixed`: both forms of header extensions (RFC 8285 6). */
static void negotiate_media(struct sdp_negotiated_media *n, const struct sdp_media *local,
                            const struct sdp_media *remote, bool mixed)
{
    if (local->rejected || remote->rejected || local->kind != remote->kind)
        return;
    n->direction =
        (enum sdp_direction)(local->direction & sdp_direction_reverse(remote->direction));
    guint8 transport_cc = common_extmap(local, remote, SDP_URI_TRANSPORT_CC);
    common_codecs(n->recv_codecs, local, remote, transport_cc);
    common_codecs(n->send_codecs, remote, local, transport_cc);
    if (any_transport_cc(n->recv_codecs)) /* numbers that nobody reports on serve nothing */
        n->transport_cc_extmap = transport_cc;
    n->mid_extmap = common_extmap(local, remote, SDP_URI_MID);
    n->audio_level_extmap = common_extmap(local, remote, SDP_URI_AUDIO_LEVEL);
    n->abs_send_time_extmap = common_extmap(local, remote, SDP_URI_ABS_SEND_TIME);
    n->orientation_extmap = common_extmap(local, remote, SDP_URI_ORIENTATION);
    if (mixed) /* else one that brings a structure could not be sent */
        n->dependency_extmap = common_extmap(local, remote, SDP_URI_DEPENDENCY);
    common_rids(n, local, remote);
    g_array_append_vals(n->remote_ssrcs, remote->ssrcs->data, remote->ssrcs->len);
    if (remote->rtx_ssrcs && any_rtx(n->recv_codecs))
        n->remote_rtx_ssrcs = g_array_ref(remote->rtx_ssrcs);
    if (local->rtx_ssrcs && local->rtx_ssrcs->len > 0 && any_rtx(n->send_codecs))
        n->local_rtx_ssrc = g_array_index(local->rtx_ssrcs, guint32, 0);
    n->rtcp_rsize = local->rtcp_rsize && remote->rtcp_rsize;
}

GArray *sdp_negotiate(const struct sdp_description *local, const struct sdp_description *remote)
{
    GArray *medias = g_array_new(FALSE, TRUE, sizeof(struct sdp_negotiated_media));

    g_array_set_clear_func(medias, (GDestroyNotify)negotiated_clear);
    for (guint i = 0; i < local->medias->len; i++) {
        const struct sdp_media *media = g_ptr_array_index(local->medias, i);
        struct sdp_negotiated_media n = {
            .mid = media->mid,
            .kind = media->kind,
            .recv_codecs = g_array_new(FALSE, FALSE, sizeof(struct sdp_codec)),
            .send_codecs = g_array_new(FALSE, FALSE, sizeof(struct sdp_codec)),
            .remote_ssrcs = g_array_new(FALSE, FALSE, sizeof(guint32)),
            .cryptex = local->cryptex && remote->cryptex,
            .local_ssrc = media->ssrcs->len > 0 ? g_array_index(media->ssrcs, guint32, 0) : 0,
        };
        if (i < remote->medias->len)
            negotiate_media(&n, media, g_ptr_array_index(remote->medias, i),
                            local->extmap_mixed && remote->extmap_mixed);
        g_array_append_val(medias, n);
    }
    return medias;
}
