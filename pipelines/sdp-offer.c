/* SPDX-License-Identifier: Apache-2.0 */
/* Makes our offers (RFC 9429 5.2). The first one comes from the template alone, with fixed payload
 * types; a later one walks along our previous description, so that m-lines, mids, payload types,
 * extension ids and SSRCs stay what they were, whoever chose them first. */
#include "pipelines/sdp-model.h"
#include "pipelines/sdp-codec.h"

#include <string.h>

struct offer {
    const struct sdp_template *sdp_template;
    const struct sdp_local *local;
    const struct sdp_description *previous; /* may be NULL */
    struct sdp_description *description;
    const char *pt_formats[128]; /* what a payload type means in the session; "" = something else */
    guint8 mid_id, audio_level_id;
    bool used[SDP_MAX_MEDIAS]; /* template medias that have their m-line */
};

static void remember_payload_types(struct offer *o)
{
    for (guint i = 0; o->previous && i < o->previous->medias->len; i++) {
        const struct sdp_media *media = g_ptr_array_index(o->previous->medias, i);
        for (guint k = 0; k < media->codecs->len; k++) {
            const struct sdp_codec *codec = &g_array_index(media->codecs, struct sdp_codec, k);
            o->pt_formats[codec->pt & 127] = codec->format ? codec->format : "";
        }
    }
}

static guint8 previous_extmap(const struct offer *o, const char *uri)
{
    for (guint i = 0; o->previous && i < o->previous->medias->len; i++) {
        guint8 id = sdp_media_extmap(g_ptr_array_index(o->previous->medias, i), uri);
        if (id)
            return id;
    }
    return 0;
}

/* RFC 8843 9.2: one id means one extension in the whole BUNDLE group. */
static void choose_extension_ids(struct offer *o)
{
    guint8 mid = previous_extmap(o, SDP_URI_MID);
    guint8 level = previous_extmap(o, SDP_URI_AUDIO_LEVEL);

    o->mid_id = mid ? mid : level == 1 ? 2 : 1;
    o->audio_level_id = level ? level : o->mid_id == 2 ? 1 : 2;
}

/* RFC 8843 9.1: one payload type means one format in the whole BUNDLE group, so a format keeps its
 * number everywhere and a taken number is passed over. 0 when the numbers are used up. */
static guint8 choose_payload_type(struct offer *o, const char *format, guint8 wanted)
{
    guint8 pt = 0;

    for (guint8 i = 0; i < 128; i++)
        if (o->pt_formats[i] == format)
            return i;
    if (!o->pt_formats[wanted])
        pt = wanted;
    for (guint8 i = 127; pt == 0 && i >= 96; i--) /* RFC 3551 3 */
        if (!o->pt_formats[i])
            pt = i;
    for (guint8 i = 63; pt == 0 && i >= 35; i--) /* RFC 5761 4: 64..95 are RTCP's */
        if (!o->pt_formats[i])
            pt = i;
    if (pt)
        o->pt_formats[pt] = format;
    return pt;
}

static void add_codec(struct offer *o, struct sdp_media *media, const struct sdp_known_codec *known,
                      const struct sdp_media *before)
{
    struct sdp_codec codec;
    const struct sdp_codec *old;

    sdp_codec_init_known(&codec, known, 0);
    old = before ? sdp_media_codec(before, codec.format) : NULL;
    codec.pt = old ? old->pt : choose_payload_type(o, codec.format, known->pt);
    if (old) {
        g_free(codec.fmtp);
        codec.fmtp = g_strdup(old->fmtp);
    }
    g_array_append_val(media->codecs, codec);
    if (codec.pt == 0)
        g_array_set_size(media->codecs, media->codecs->len - 1);
}

static void add_codecs(struct offer *o, struct sdp_media *media,
                       const struct sdp_template_media *wanted, const struct sdp_media *before)
{
    guint n_ranks = wanted->codecs ? g_strv_length(wanted->codecs) : 1;

    for (guint rank = 0; rank < n_ranks; rank++)
        for (gsize i = 0; i < sdp_n_known_codecs; i++) {
            const struct sdp_known_codec *known = &sdp_known_codecs[i];
            guint its_rank;
            if (known->kind == wanted->kind &&
                sdp_template_media_codec(wanted, known->name, &its_rank) && its_rank == rank)
                add_codec(o, media, known, before);
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
    sdp_media_add_extmap(media, o->mid_id, SDP_URI_MID, SDP_SENDRECV);
    if (wanted->kind == SDP_AUDIO)
        sdp_media_add_extmap(media, o->audio_level_id, SDP_URI_AUDIO_LEVEL, SDP_SENDRECV);
    if (before && before->ssrcs->len > 0) {
        g_array_append_vals(media->ssrcs, before->ssrcs->data, before->ssrcs->len);
    } else {
        guint32 ssrc = sdp_description_new_ssrc(o->description, o->previous);
        g_array_append_val(media->ssrcs, ssrc);
    }
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
    remember_payload_types(&o);
    choose_extension_ids(&o);
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
