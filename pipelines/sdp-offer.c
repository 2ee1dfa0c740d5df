/* SPDX-License-Identifier: Apache-2.0 */
/* Makes our offers (RFC 9429 5.2). The first one comes from the template alone, with fixed payload
 * types; a later one walks along our previous description, so that m-lines, mids, payload types,
 * extension ids and SSRCs stay what they were, whoever chose them first. */
#include "pipelines/sdp-model.h"
#include "pipelines/sdp-codec.h"
#include "pipelines/sdp-extensions.h"

#include <string.h>

#define FORMATS_MAX 8 /* of one codec */

struct offer {
    const struct sdp_template *sdp_template;
    const struct sdp_local *local;
    const struct sdp_description *previous; /* may be NULL */
    struct sdp_description *description;
    const char *pt_formats[128]; /* what a payload type means in the session; "" = something else */
    bool pt_rtx[128];            /* … the retransmissions of that */
    guint8 ids[SDP_N_EXTENSIONS]; /* of extensions in the session; 0 = none yet */
    bool used[SDP_MAX_MEDIAS];    /* template medias that have their m-line */
};

static void remember_payload_types(struct offer *o)
{
    for (guint i = 0; o->previous && i < o->previous->medias->len; i++) {
        const struct sdp_media *media = g_ptr_array_index(o->previous->medias, i);
        for (guint k = 0; k < media->codecs->len; k++) {
            const struct sdp_codec *codec = &g_array_index(media->codecs, struct sdp_codec, k);
            o->pt_formats[codec->pt & 127] = codec->format ? codec->format : "";
            if (!codec->rtx_pt)
                continue;
            o->pt_formats[codec->rtx_pt & 127] = o->pt_formats[codec->pt & 127];
            o->pt_rtx[codec->rtx_pt & 127] = true;
        }
    }
}

static void remember_extension_ids(struct offer *o)
{
    for (guint i = 0; o->previous && i < o->previous->medias->len; i++) {
        const struct sdp_media *media = g_ptr_array_index(o->previous->medias, i);
        for (guint k = 0; k < media->extmaps->len; k++) {
            const struct sdp_extmap *e = &g_array_index(media->extmaps, struct sdp_extmap, k);
            int index = sdp_extension_index(e->uri);
            if (index >= 0)
                o->ids[index] = e->id;
        }
    }
}

/* RFC 8843 9.2: one id means one extension in the whole BUNDLE group. */
static guint8 extension_id(struct offer *o, guint index)
{
    guint8 id = sdp_known_extensions[index].id;
    guint used = 0;

    if (o->ids[index])
        return o->ids[index];
    for (guint i = 0; i < SDP_N_EXTENSIONS; i++)
        used |= o->ids[i] && o->ids[i] <= 14 ? 1u << o->ids[i] : 0;
    if (used & 1u << id) /* RFC 8285 4.2: 1..14, more than there are extensions */
        for (id = 1; used & 1u << id;)
            id++;
    return o->ids[index] = id;
}

static void add_extensions(struct offer *o, struct sdp_media *media, const struct sdp_media *before)
{
    for (guint i = 0; i < SDP_N_EXTENSIONS; i++) {
        const char *uri = sdp_known_extensions[i].uri;
        /* Of a declined simulcast: see accept_extensions(). */
        bool kept = before && strcmp(uri, SDP_URI_RID) == 0 && sdp_media_extmap(before, uri);
        if (kept || sdp_extension_wanted(i, media, o->local))
            sdp_media_add_extmap(media, extension_id(o, i), uri, SDP_SENDRECV);
    }
}

/* RFC 8843 9.1: one payload type means one format in the whole BUNDLE group, so a format keeps its
 * number everywhere and a taken number is passed over. 0 when the numbers are used up. */
static guint8 choose_payload_type(struct offer *o, const char *format, bool rtx, guint8 wanted)
{
    guint8 pt = 0;

    for (guint8 i = 0; i < 128; i++)
        if (o->pt_formats[i] == format && o->pt_rtx[i] == rtx)
            return i;
    if (!o->pt_formats[wanted])
        pt = wanted;
    for (guint8 i = 127; pt == 0 && i >= 96; i--) /* RFC 3551 3 */
        if (!o->pt_formats[i])
            pt = i;
    for (guint8 i = 63; pt == 0 && i >= 35; i--) /* RFC 5761 4: 64..95 are RTCP's */
        if (!o->pt_formats[i])
            pt = i;
    if (pt) {
        o->pt_formats[pt] = format;
        o->pt_rtx[pt] = rtx;
    }
    return pt;
}

/* `fmtp`: the form that the template has, or NULL: that of the table. */
static void add_codec(struct offer *o, struct sdp_media *media, const struct sdp_known_codec *known,
                      const char *fmtp, const struct sdp_media *before)
{
    bool video = known->kind == SDP_VIDEO;
    struct sdp_codec codec;
    const struct sdp_codec *old;

    sdp_codec_init_known(&codec, known, 0);
    if (fmtp) {
        g_free(codec.fmtp);
        codec.fmtp = sdp_codec_offer_fmtp(known->name, fmtp);
        codec.format = sdp_codec_format(known->kind, &codec);
        if (!codec.format || sdp_media_codec(media, codec.format)) {
            sdp_codec_clear(&codec);
            return;
        }
    }
    old = before ? sdp_media_codec(before, codec.format) : NULL;
    codec.pt = old ? old->pt : choose_payload_type(o, codec.format, false, known->pt);
    if (old && !fmtp) {
        g_free(codec.fmtp);
        codec.fmtp = g_strdup(old->fmtp);
    }
    codec.transport_cc = o->local->transport_cc;
    codec.goog_remb = video && o->local->transport_cc;
    if (video && o->local->rtx && codec.pt)
        codec.rtx_pt = old && old->rtx_pt
                           ? old->rtx_pt
                           : choose_payload_type(o, codec.format, true, (codec.pt + 1) & 127);
    g_array_append_val(media->codecs, codec);
    if (codec.pt == 0)
        g_array_set_size(media->codecs, media->codecs->len - 1);
}

/* RFC 2198 5: the parameters are payload types of the same m-line. */
static void finish_red(struct sdp_media *media)
{
    const struct sdp_codec *opus = sdp_media_opus(media);

    for (guint i = media->codecs->len; i-- > 0;) {
        struct sdp_codec *codec = &g_array_index(media->codecs, struct sdp_codec, i);
        if (!sdp_codec_is_red(codec))
            continue;
        if (!opus) {
            g_array_remove_index(media->codecs, i);
            continue;
        }
        g_free(codec->fmtp);
        codec->fmtp = g_strdup_printf("%u/%u", opus->pt, opus->pt);
    }
}

/* In the order of the template's formats, those that the media centre can tell apart: of H264 so
 * many that all codecs together are no more than the relay keeps of an m-line. */
static void add_formats(struct offer *o, struct sdp_media *media,
                        const struct sdp_template_media *wanted,
                        const struct sdp_known_codec *known, const struct sdp_media *before)
{
    const char *fmtp;

    for (guint i = 0; i < FORMATS_MAX && (fmtp = sdp_template_media_fmtp(wanted, known->name, i));
         i++)
        add_codec(o, media, known, fmtp, before);
}

static void add_codecs(struct offer *o, struct sdp_media *media,
                       const struct sdp_template_media *wanted, const struct sdp_media *before)
{
    guint n_ranks = wanted->codecs ? g_strv_length(wanted->codecs) : 1;

    for (guint rank = 0; rank < n_ranks; rank++)
        for (gsize i = 0; i < sdp_n_known_codecs; i++) {
            const struct sdp_known_codec *known = &sdp_known_codecs[i];
            guint its_rank;
            if (strcmp(known->name, "red") == 0 && !o->local->red)
                continue;
            if (known->kind != wanted->kind ||
                !sdp_template_media_codec(wanted, known->name, &its_rank) || its_rank != rank)
                continue;
            if (!sdp_template_media_fmtp(wanted, known->name, 0))
                add_codec(o, media, known, NULL, before);
            else if (known == sdp_known_codec_find(known->kind, known->name))
                add_formats(o, media, wanted, known, before);
        }
}

/* Lowest first: what the relay takes the order for where nothing has been measured yet. */
static void add_rids(struct sdp_media *media, const struct sdp_media *before)
{
    static const char *const ours[] = {"l", "m", "h"};

    if (before && before->n_rids_recv > 0) {
        media->n_rids_recv = before->n_rids_recv;
        memcpy(media->rids_recv, before->rids_recv, sizeof(media->rids_recv));
    } else if (media->direction & SDP_RECVONLY) {
        for (guint i = 0; i < G_N_ELEMENTS(ours); i++)
            g_strlcpy(media->rids_recv[media->n_rids_recv++].id, ours[i], SDP_MAX_RID);
    }
}

static struct sdp_media *make_media(struct offer *o, const struct sdp_template_media *wanted,
                                    const char *mid, const struct sdp_media *before)
{
    struct sdp_media *media = sdp_media_new(wanted->kind);

    media->mid = g_strdup(mid);
    if (before)
        media->protocol = g_strdup(before->protocol);
    if (wanted->kind == SDP_APPLICATION) { /* RFC 8841 10.2 */
        media->direction = SDP_SENDRECV;
        media->sctp_port = SDP_SCTP_PORT;
        media->max_message_size = o->local->max_message_size;
        return media;
    }
    media->direction = wanted->direction;
    media->rtcp_mux = media->rtcp_rsize = true;
    media->cname = g_strdup(o->local->cname);
    sdp_media_set_msid(media, o->local->cname);
    add_codecs(o, media, wanted, before);
    if (wanted->kind == SDP_AUDIO)
        finish_red(media);
    if (wanted->kind == SDP_VIDEO && wanted->simulcast && o->local->simulcast)
        add_rids(media, before);
    add_extensions(o, media, before);
    sdp_media_set_ssrcs(media, before, o->description, o->previous);
    return media;
}

/* The template's media for a previous m-line: the one that names its mid, or else the first without
 * a mid and of its kind. */
static const struct sdp_template_media *take_wanted(struct offer *o, const struct sdp_media *before)
{
    const GArray *medias = o->sdp_template->medias;

    if (before->rejected || !before->mid)
        return NULL;
    for (guint pass = 0; pass < 2; pass++)
        for (guint i = 0; i < medias->len; i++) {
            const struct sdp_template_media *wanted =
                &g_array_index(medias, struct sdp_template_media, i);
            if (o->used[i] || wanted->kind != before->kind ||
                strcmp(wanted->mid, pass == 0 ? before->mid : "") != 0)
                continue;
            o->used[i] = true;
            return wanted;
        }
    return NULL;
}

/* RFC 9429 5.2.2: m-lines are never taken away; what nobody wants any more becomes inactive. */
static struct sdp_media *keep_unwanted(struct offer *o, const struct sdp_media *before)
{
    struct sdp_media *media = sdp_media_copy(before);

    if (o->sdp_template)
        media->direction = SDP_INACTIVE;
    if (o->sdp_template && media->kind == SDP_APPLICATION)
        media->rejected = true; /* RFC 8841 10.5 */
    sdp_media_set_msid(media, o->local->cname);
    return media;
}

/* RFC 9429 5.2.2: the first rejected m-line of before, for another medium; else a new one. */
static guint next_place(const struct offer *o)
{
    const GPtrArray *medias = o->description->medias;
    guint i = 0;

    while (i < medias->len && !((const struct sdp_media *)g_ptr_array_index(medias, i))->rejected)
        i++;
    return i;
}

static void put_media(struct offer *o, guint place, struct sdp_media *media)
{
    GPtrArray *medias = o->description->medias;

    if (place < medias->len) {
        sdp_media_free(g_ptr_array_index(medias, place));
        g_ptr_array_index(medias, place) = media;
    } else {
        g_ptr_array_add(medias, media);
    }
}

static bool add_new_medias(struct offer *o, GError **error)
{
    const GArray *medias = o->sdp_template->medias;

    for (guint i = 0; i < medias->len; i++) {
        const struct sdp_template_media *wanted =
            &g_array_index(medias, struct sdp_template_media, i);
        char mid[SDP_MAX_MID + 1];
        guint place = next_place(o), number = o->description->medias->len;

        if (o->used[i])
            continue;
        if (place == SDP_MAX_MEDIAS) {
            problem_set(error, PROBLEM_SDP_NOT_ACCEPTABLE,
                        "The description would have more than %d medias.", SDP_MAX_MEDIAS);
            return false;
        }
        g_strlcpy(mid, wanted->mid, sizeof(mid));
        while (!mid[0] || (!wanted->mid[0] && sdp_description_media(o->description, mid)))
            g_snprintf(mid, sizeof(mid), "%u", number++);
        if (sdp_description_media(o->description, mid)) {
            problem_set(error, PROBLEM_SDP_NOT_ACCEPTABLE,
                        "The m-line with mid \"%s\" is of another kind or was rejected.", mid);
            return false;
        }
        put_media(o, place, make_media(o, wanted, mid, NULL));
    }
    return true;
}

struct sdp_description *sdp_make_offer(const struct sdp_template *sdp_template,
                                       const struct sdp_local *local,
                                       const struct sdp_description *previous, GError **error)
{
    struct offer o = {.sdp_template = sdp_template, .local = local, .previous = previous};

    g_return_val_if_fail(sdp_template || previous, NULL);
    if (sdp_template && !sdp_template_check(sdp_template, error))
        return NULL;
    if (sdp_template && !sdp_template_check_data(sdp_template, local, error))
        return NULL;
    o.description = sdp_description_new_local(local);
    o.description->setup = SDP_SETUP_ACTPASS; /* RFC 8842 5.2 */
    o.description->bundle = true;
    /* RFC 8285 6: the descriptor's long form does not fit into one-byte elements. */
    o.description->extmap_mixed = local->dependency || (previous && previous->extmap_mixed);
    o.description->cryptex = local->cryptex;
    remember_payload_types(&o);
    remember_extension_ids(&o);
    for (guint i = 0; previous && i < previous->medias->len; i++) {
        const struct sdp_media *before = g_ptr_array_index(previous->medias, i);
        const struct sdp_template_media *wanted = sdp_template ? take_wanted(&o, before) : NULL;
        g_ptr_array_add(o.description->medias, wanted ? make_media(&o, wanted, before->mid, before)
                                                      : keep_unwanted(&o, before));
    }
    if (sdp_template && !add_new_medias(&o, error))
        g_clear_pointer(&o.description, sdp_description_free);
    return o.description;
}
