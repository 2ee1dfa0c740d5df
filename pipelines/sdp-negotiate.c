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
}

static void common_codecs(GArray *to, const struct sdp_media *receiver,
                          const struct sdp_media *sender)
{
    for (guint i = 0; i < receiver->codecs->len; i++) {
        const struct sdp_codec *codec = &g_array_index(receiver->codecs, struct sdp_codec, i);
        if (sdp_media_codec(sender, codec->format))
            g_array_append_val(to, *codec);
    }
}

static guint8 common_extmap(const struct sdp_media *local, const struct sdp_media *remote,
                            const char *uri)
{
    guint8 id = sdp_media_extmap(local, uri);
    return id == sdp_media_extmap(remote, uri) ? id : 0;
}

static void negotiate_media(struct sdp_negotiated_media *n, const struct sdp_media *local,
                            const struct sdp_media *remote)
{
    if (local->rejected || remote->rejected || local->kind != remote->kind)
        return;
    n->direction =
        (enum sdp_direction)(local->direction & sdp_direction_reverse(remote->direction));
    common_codecs(n->recv_codecs, local, remote);
    common_codecs(n->send_codecs, remote, local);
    n->mid_extmap = common_extmap(local, remote, SDP_URI_MID);
    n->audio_level_extmap = common_extmap(local, remote, SDP_URI_AUDIO_LEVEL);
    g_array_append_vals(n->remote_ssrcs, remote->ssrcs->data, remote->ssrcs->len);
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
            .local_ssrc = media->ssrcs->len > 0 ? g_array_index(media->ssrcs, guint32, 0) : 0,
        };
        if (i < remote->medias->len)
            negotiate_media(&n, media, g_ptr_array_index(remote->medias, i));
        g_array_append_val(medias, n);
    }
    return medias;
}
