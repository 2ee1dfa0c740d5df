/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer's description must have before we act on it, and whether its answer fits our offer.
 * A refusal is one sentence, because it travels to whoever wrote the description. */
#include "pipelines/sdp-model.h"

#include <string.h>

static bool refuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static bool refuse(GError **error, const char *format, ...)
{
    va_list args;
    g_autofree char *detail = NULL;

    va_start(args, format);
    detail = g_strdup_vprintf(format, args);
    va_end(args);
    problem_set(error, PROBLEM_SDP_NOT_ACCEPTABLE, "%s", detail);
    return false;
}

static guint count_live(const struct sdp_description *d)
{
    guint live = 0;

    for (guint i = 0; i < d->medias->len; i++)
        live += !((const struct sdp_media *)g_ptr_array_index(d->medias, i))->rejected;
    return live;
}

bool sdp_check_transport(const struct sdp_description *d, const char *what,
                         const struct sdp_local *local, GError **error)
{
    guint live = count_live(d);

    if (live == 0)
        return refuse(error, "The %s has no medium that is not rejected.", what);
    if (live > 1 && !d->bundle)
        return refuse(error, "The %s does not bundle all its media (RFC 9143).", what);
    if (!d->fingerprint)
        return refuse(error, "The %s has no a=fingerprint with sha-256, sha-384 or sha-512.", what);
    if (!d->ice_ufrag || !d->ice_pwd)
        return refuse(error, "The %s has no ICE credentials.", what);
    if (d->setup == SDP_SETUP_NONE)
        return refuse(error, "The %s has no a=setup.", what);
    if (d->ice_lite && local && local->ice_lite)
        return refuse(error, "Both ends are ICE-lite, so neither would check a path.");
    for (guint i = 0; i < d->medias->len; i++) {
        const struct sdp_media *media = g_ptr_array_index(d->medias, i);
        if (media->rejected)
            continue;
        if (!media->mid)
            return refuse(error, "The m-line %u of the %s has no a=mid.", i, what);
        if ((media->kind == SDP_AUDIO || media->kind == SDP_VIDEO) && !media->rtcp_mux)
            return refuse(error, "The m-line %u of the %s has no a=rtcp-mux.", i, what);
    }
    return true;
}

static bool check_answer_media(const struct sdp_media *offered, const struct sdp_media *answered,
                               guint index, GError **error)
{
    enum sdp_direction allowed = sdp_direction_reverse(offered->direction);

    if (answered->kind != offered->kind)
        return refuse(error, "The answer has another kind of media on m-line %u.", index);
    if (answered->rejected)
        return true;
    if (offered->rejected)
        return refuse(error, "The answer accepts m-line %u, which was rejected.", index);
    if (g_strcmp0(answered->mid, offered->mid) != 0)
        return refuse(error, "The answer has another mid on m-line %u.", index);
    if (answered->direction & ~allowed)
        return refuse(error, "The answer's direction %s does not fit the offered %s on m-line %u.",
                      sdp_direction_name(answered->direction),
                      sdp_direction_name(offered->direction), index);
    if (offered->kind == SDP_APPLICATION && answered->sctp_port == 0)
        return refuse(error, "The answer has no a=sctp-port on m-line %u (RFC 8841).", index);
    if (offered->kind != SDP_APPLICATION && answered->codecs->len == 0)
        return refuse(error, "The answer names no codec on m-line %u.", index);
    for (guint i = 0; i < answered->codecs->len; i++) {
        const struct sdp_codec *codec = &g_array_index(answered->codecs, struct sdp_codec, i);
        const struct sdp_codec *ours = sdp_media_codec(offered, codec->format);
        if (!ours || (codec->rtx_pt && !ours->rtx_pt))
            return refuse(error, "The answer's payload type %u on m-line %u was not offered.",
                          ours ? codec->rtx_pt : codec->pt, index);
    }
    for (guint i = 0; i < answered->extmaps->len; i++) {
        const struct sdp_extmap *e = &g_array_index(answered->extmaps, struct sdp_extmap, i);
        if (sdp_media_extmap(offered, e->uri) != e->id) /* RFC 8285 6: the offered id */
            return refuse(error, "The answer's header extension %u on m-line %u was not offered.",
                          e->id, index);
    }
    /* RFC 8853 5.3.2: a subset. Where none were offered Chromium may name those of an earlier,
     * declined offer of its own; they count for nothing. */
    for (guint i = 0; offered->n_rids_recv > 0 && i < answered->n_rids_send; i++)
        if (!sdp_media_receives_rid(offered, answered->rids_send[i].id))
            return refuse(error, "The answer's encoding %s on m-line %u was not offered.",
                          answered->rids_send[i].id, index);
    return true;
}

bool sdp_check_answer(const struct sdp_description *offer, const struct sdp_description *answer,
                      GError **error)
{
    if (answer->medias->len != offer->medias->len)
        return refuse(error, "The answer has %u m-lines, the offer has %u.", answer->medias->len,
                      offer->medias->len);
    if (!sdp_check_transport(answer, "answer", NULL, error))
        return false;
    if (answer->setup == SDP_SETUP_ACTPASS)
        return refuse(error, "The answer's a=setup must be active or passive.");
    for (guint i = 0; i < offer->medias->len; i++)
        if (!check_answer_media(g_ptr_array_index(offer->medias, i),
                                g_ptr_array_index(answer->medias, i), i, error))
            return false;
    return true;
}

void sdp_accept_rejections(struct sdp_description *offer, const struct sdp_description *answer)
{
    for (guint i = 0; i < offer->medias->len && i < answer->medias->len; i++) {
        struct sdp_media *offered = g_ptr_array_index(offer->medias, i);
        const struct sdp_media *answered = g_ptr_array_index(answer->medias, i);
        if (!answered->rejected)
            continue;
        offered->rejected = true;
        offered->direction = SDP_INACTIVE;
    }
}
