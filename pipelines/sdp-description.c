/* SPDX-License-Identifier: Apache-2.0 */
/* The structures of a session description: making, copying, searching, freeing, and the names of
 * their enums. A description is a plain tree that owns everything but interned strings, so it can
 * be kept, compared and handed around without its text. */
#include "pipelines/sdp-model.h"
#include "base/ids.h"

#include <string.h>

static const char *const kind_names[] = {"audio", "video", "application", "other"};
static const char *const direction_names[] = {"inactive", "sendonly", "recvonly", "sendrecv"};

const char *sdp_kind_name(enum sdp_kind kind)
{
    g_return_val_if_fail((guint)kind < G_N_ELEMENTS(kind_names), NULL);
    return kind_names[kind];
}

bool sdp_kind_parse(const char *text, enum sdp_kind *ret)
{
    for (guint i = 0; text && i < SDP_OTHER; i++)
        if (strcmp(text, kind_names[i]) == 0) {
            *ret = (enum sdp_kind)i;
            return true;
        }
    return false;
}

const char *sdp_direction_name(enum sdp_direction direction)
{
    g_return_val_if_fail((guint)direction < G_N_ELEMENTS(direction_names), NULL);
    return direction_names[direction];
}

bool sdp_direction_parse(const char *text, enum sdp_direction *ret)
{
    for (guint i = 0; text && i < G_N_ELEMENTS(direction_names); i++)
        if (strcmp(text, direction_names[i]) == 0) {
            *ret = (enum sdp_direction)i;
            return true;
        }
    return false;
}

enum sdp_direction sdp_direction_reverse(enum sdp_direction direction)
{
    return (enum sdp_direction)(((direction & SDP_SENDONLY) ? SDP_RECVONLY : 0) |
                                ((direction & SDP_RECVONLY) ? SDP_SENDONLY : 0));
}

void sdp_codec_clear(struct sdp_codec *codec)
{
    g_free(codec->name);
    g_free(codec->fmtp);
}

void sdp_codec_copy(struct sdp_codec *to, const struct sdp_codec *from)
{
    *to = *from;
    to->name = g_strdup(from->name);
    to->fmtp = g_strdup(from->fmtp);
}

void sdp_candidate_clear(struct sdp_candidate *candidate)
{
    g_free(candidate->foundation);
    g_free(candidate->address);
    g_free(candidate->type);
}

void sdp_candidate_copy(struct sdp_candidate *to, const struct sdp_candidate *from)
{
    *to = *from;
    to->foundation = g_strdup(from->foundation);
    to->address = g_strdup(from->address);
    to->type = g_strdup(from->type);
}

struct sdp_media *sdp_media_new(enum sdp_kind kind)
{
    struct sdp_media *media = g_new0(struct sdp_media, 1);

    media->kind = kind;
    media->codecs = g_array_new(FALSE, TRUE, sizeof(struct sdp_codec));
    g_array_set_clear_func(media->codecs, (GDestroyNotify)sdp_codec_clear);
    media->extmaps = g_array_new(FALSE, TRUE, sizeof(struct sdp_extmap));
    media->ssrcs = g_array_new(FALSE, TRUE, sizeof(guint32));
    return media;
}

struct sdp_media *sdp_media_copy(const struct sdp_media *media)
{
    struct sdp_media *copy = sdp_media_new(media->kind);

    copy->mid = g_strdup(media->mid);
    copy->direction = media->direction;
    copy->rejected = media->rejected;
    for (guint i = 0; i < media->codecs->len; i++) {
        struct sdp_codec codec;
        sdp_codec_copy(&codec, &g_array_index(media->codecs, struct sdp_codec, i));
        g_array_append_val(copy->codecs, codec);
    }
    g_array_append_vals(copy->extmaps, media->extmaps->data, media->extmaps->len);
    g_array_append_vals(copy->ssrcs, media->ssrcs->data, media->ssrcs->len);
    if (media->rtx_ssrcs)
        copy->rtx_ssrcs = g_array_copy(media->rtx_ssrcs);
    memcpy(copy->rids_send, media->rids_send, sizeof(copy->rids_send));
    memcpy(copy->rids_recv, media->rids_recv, sizeof(copy->rids_recv));
    copy->n_rids_send = media->n_rids_send;
    copy->n_rids_recv = media->n_rids_recv;
    copy->cname = g_strdup(media->cname);
    copy->msid_stream = g_strdup(media->msid_stream);
    copy->msid_track = g_strdup(media->msid_track);
    copy->rtcp_mux = media->rtcp_mux;
    copy->rtcp_rsize = media->rtcp_rsize;
    copy->sctp_port = media->sctp_port;
    copy->max_message_size = media->max_message_size;
    copy->type = g_strdup(media->type);
    copy->protocol = g_strdup(media->protocol);
    copy->formats = g_strdup(media->formats);
    return copy;
}

void sdp_media_free(struct sdp_media *media)
{
    if (!media)
        return;
    g_array_unref(media->codecs);
    g_array_unref(media->extmaps);
    g_array_unref(media->ssrcs);
    if (media->rtx_ssrcs)
        g_array_unref(media->rtx_ssrcs);
    g_free(media->mid);
    g_free(media->cname);
    g_free(media->msid_stream);
    g_free(media->msid_track);
    g_free(media->type);
    g_free(media->protocol);
    g_free(media->formats);
    g_free(media);
}

const struct sdp_codec *sdp_media_codec(const struct sdp_media *media, const char *format)
{
    for (guint i = 0; format && i < media->codecs->len; i++) {
        const struct sdp_codec *codec = &g_array_index(media->codecs, struct sdp_codec, i);
        if (codec->format == format)
            return codec;
    }
    return NULL;
}

guint8 sdp_media_extmap(const struct sdp_media *media, const char *uri)
{
    for (guint i = 0; i < media->extmaps->len; i++) {
        const struct sdp_extmap *extmap = &g_array_index(media->extmaps, struct sdp_extmap, i);
        if (strcmp(extmap->uri, uri) == 0)
            return extmap->id;
    }
    return 0;
}

void sdp_media_add_extmap(struct sdp_media *media, guint8 id, const char *uri,
                          enum sdp_direction direction)
{
    struct sdp_extmap extmap = {
        .id = id, .uri = g_intern_static_string(uri), .direction = direction};
    g_array_append_val(media->extmaps, extmap);
}

void sdp_media_set_msid(struct sdp_media *media, const char *cname)
{
    g_clear_pointer(&media->msid_stream, g_free);
    g_clear_pointer(&media->msid_track, g_free);
    if (!(media->direction & SDP_SENDONLY))
        return;
    media->msid_stream = g_strdup(cname);
    media->msid_track = g_strdup_printf("%s-%s", cname, media->mid);
}

struct sdp_description *sdp_description_new(void)
{
    struct sdp_description *description = g_new0(struct sdp_description, 1);

    description->medias = g_ptr_array_new_with_free_func((GDestroyNotify)sdp_media_free);
    description->candidates = g_array_new(FALSE, TRUE, sizeof(struct sdp_candidate));
    g_array_set_clear_func(description->candidates, (GDestroyNotify)sdp_candidate_clear);
    return description;
}

struct sdp_description *sdp_description_new_local(const struct sdp_local *local)
{
    struct sdp_description *description = sdp_description_new();

    description->session_id = local->session_id;
    description->session_version = local->session_version;
    description->ice_ufrag = g_strdup(local->ice_ufrag);
    description->ice_pwd = g_strdup(local->ice_pwd);
    description->ice_lite = local->ice_lite;
    description->fingerprint_hash = g_strdup(local->fingerprint_hash);
    description->fingerprint = g_byte_array_new();
    g_byte_array_append(description->fingerprint, local->fingerprint,
                        (guint)local->fingerprint_length);
    for (gsize i = 0; i < local->n_candidates; i++) {
        struct sdp_candidate candidate;
        sdp_candidate_copy(&candidate, &local->candidates[i]);
        g_array_append_val(description->candidates, candidate);
    }
    /* RFC 8838: all of ours are here, further ones of the peer may come. */
    description->end_of_candidates = description->trickle = true;
    return description;
}

void sdp_description_free(struct sdp_description *description)
{
    if (!description)
        return;
    g_ptr_array_unref(description->medias);
    g_array_unref(description->candidates);
    if (description->fingerprint)
        g_byte_array_unref(description->fingerprint);
    g_free(description->fingerprint_hash);
    g_free(description->ice_ufrag);
    g_free(description->ice_pwd);
    g_free(description);
}

int sdp_description_media_index(const struct sdp_description *description, const char *mid)
{
    for (guint i = 0; mid && i < description->medias->len; i++) {
        const struct sdp_media *media = g_ptr_array_index(description->medias, i);
        if (media->mid && strcmp(media->mid, mid) == 0)
            return (int)i;
    }
    return -1;
}

struct sdp_media *sdp_description_media(const struct sdp_description *description, const char *mid)
{
    int index = sdp_description_media_index(description, mid);
    return index < 0 ? NULL : g_ptr_array_index(description->medias, index);
}

static bool contains(const GArray *ssrcs, guint32 ssrc)
{
    for (guint i = 0; ssrcs && i < ssrcs->len; i++)
        if (g_array_index(ssrcs, guint32, i) == ssrc)
            return true;
    return false;
}

static bool media_has_ssrc(const struct sdp_media *media, guint32 ssrc)
{
    return contains(media->ssrcs, ssrc) || contains(media->rtx_ssrcs, ssrc);
}

static bool has_ssrc(const struct sdp_description *description, guint32 ssrc)
{
    for (guint i = 0; description && i < description->medias->len; i++)
        if (media_has_ssrc(g_ptr_array_index(description->medias, i), ssrc))
            return true;
    return false;
}

static guint32 new_ssrc(const struct sdp_media *media, const struct sdp_description *description,
                        const struct sdp_description *previous)
{
    guint32 ssrc;

    do
        ssrc = id_random32();
    while (ssrc == 0 || media_has_ssrc(media, ssrc) || has_ssrc(description, ssrc) ||
           has_ssrc(previous, ssrc));
    return ssrc;
}

void sdp_media_set_ssrcs(struct sdp_media *media, const struct sdp_media *before,
                         const struct sdp_description *description,
                         const struct sdp_description *previous)
{
    bool rtx = (media->direction & SDP_SENDONLY) && sdp_media_has_rtx(media);

    if (before && before->ssrcs->len > 0) {
        g_array_append_vals(media->ssrcs, before->ssrcs->data, before->ssrcs->len);
    } else {
        guint32 ssrc = new_ssrc(media, description, previous);
        g_array_append_val(media->ssrcs, ssrc);
    }
    /* Kept while there is none to send too: the next offer has the same one (RFC 5576 4.2). */
    if (before && before->ssrcs->len > 0 && before->rtx_ssrcs) {
        media->rtx_ssrcs = g_array_copy(before->rtx_ssrcs);
    } else if (rtx) {
        guint32 ssrc = new_ssrc(media, description, previous);
        media->rtx_ssrcs = g_array_new(FALSE, TRUE, sizeof(guint32));
        g_array_append_val(media->rtx_ssrcs, ssrc);
    }
}

bool sdp_media_receives_rid(const struct sdp_media *media, const char *rid)
{
    for (guint i = 0; i < media->n_rids_recv; i++)
        if (strcmp(media->rids_recv[i].id, rid) == 0)
            return true;
    return false;
}
