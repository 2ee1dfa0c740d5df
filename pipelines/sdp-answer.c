/* SPDX-License-Identifier: Apache-2.0 */
/* Makes our answers (RFC 9429 5.3): every offered m-line gets its own, in order; audio and video
 * with a codec that we know and one m-line of data channels are accepted with the offered payload
 * types and extension ids, all the rest is rejected with port 0. A template narrows what is
 * accepted, it never adds. */
#include "pipelines/sdp-model.h"
#include "pipelines/sdp-codec.h"
#include "pipelines/sdp-extensions.h"

#include <string.h>

struct answer {
    const struct sdp_description *offer, *previous;
    const struct sdp_template *sdp_template;
    const struct sdp_local *local;
    struct sdp_description *description;
    bool used[SDP_MAX_MEDIAS]; /* template medias that have their m-line */
    guint accepted;
    bool data; /* the m-line of data channels is accepted */
};

static void reject(struct answer *a, const struct sdp_media *offered)
{
    struct sdp_media *media = sdp_media_new(offered->kind);

    media->mid = g_strdup(offered->mid);
    media->rejected = true;
    media->type = g_strdup(offered->type);
    media->protocol = g_strdup(offered->protocol);
    media->formats = g_strdup(offered->formats); /* RFC 3264 6: a rejected m= keeps its form */
    g_ptr_array_add(a->description->medias, media);
}

/* The template's media for an offered one: by mid, else the first without a mid of its kind. */
static const struct sdp_template_media *find_wanted(struct answer *a,
                                                    const struct sdp_media *offered)
{
    const GArray *medias = a->sdp_template->medias;

    for (guint pass = 0; pass < 2; pass++)
        for (guint i = 0; i < medias->len; i++) {
            const struct sdp_template_media *wanted =
                &g_array_index(medias, struct sdp_template_media, i);
            if (a->used[i] || wanted->kind != offered->kind ||
                strcmp(wanted->mid, pass == 0 ? offered->mid : "") != 0)
                continue;
            a->used[i] = true;
            return wanted;
        }
    return NULL;
}

/* RFC 5761 4: the numbers that RTCP packets have. */
static bool usable(guint8 pt)
{
    return pt < 64 || pt > 95;
}

static guint8 offered_extension(const struct sdp_media *offered, const char *uri)
{
    guint8 id = sdp_media_extmap(offered, uri);
    return id <= 14 ? id : 0; /* RFC 8285 4.2: what the one-byte form can carry */
}

static void accept_codec(const struct answer *a, struct sdp_media *media,
                         const struct sdp_media *offered, const struct sdp_codec *theirs,
                         const char *fmtp)
{
    const struct sdp_local *local = a->local;
    bool video = media->kind == SDP_VIDEO;
    struct sdp_codec codec;

    sdp_codec_copy(&codec, theirs);
    g_free(codec.fmtp);
    codec.fmtp = sdp_codec_answer_fmtp(theirs, fmtp);
    if (!video)
        codec.nack = codec.nack_pli = codec.ccm_fir = false;
    codec.transport_cc = local->transport_cc && theirs->transport_cc &&
                         offered_extension(offered, SDP_URI_TRANSPORT_CC);
    codec.goog_remb = video && local->transport_cc && theirs->goog_remb && !codec.transport_cc;
    codec.rtx_pt = video && local->rtx && usable(theirs->rtx_pt) ? theirs->rtx_pt : 0;
    g_array_append_val(media->codecs, codec);
}

/* Redundancy of an opus that is accepted as well; never by itself. */
static void finish_red(struct sdp_media *media)
{
    const struct sdp_codec *opus = sdp_media_opus(media);

    for (guint i = media->codecs->len; i-- > 0;) {
        const struct sdp_codec *codec = &g_array_index(media->codecs, struct sdp_codec, i);
        if (sdp_codec_is_red(codec) && (!opus || sdp_codec_red_primary(codec) != opus->pt))
            g_array_remove_index(media->codecs, i);
    }
}

static void accept_codecs(const struct answer *a, struct sdp_media *media,
                          const struct sdp_media *offered, const struct sdp_template_media *wanted)
{
    guint n_ranks = wanted && wanted->codecs ? g_strv_length(wanted->codecs) : 1;

    for (guint rank = 0; rank < n_ranks; rank++)
        for (guint i = 0; i < offered->codecs->len; i++) {
            const struct sdp_codec *codec = &g_array_index(offered->codecs, struct sdp_codec, i);
            const char *fmtp = NULL;
            guint its_rank = 0;
            if (!codec->format || !usable(codec->pt))
                continue;
            if (sdp_codec_is_red(codec) && !a->local->red)
                continue;
            if (wanted && (!sdp_template_media_codec(wanted, codec->name, &its_rank) ||
                           !sdp_template_media_format(wanted, codec, &fmtp)))
                continue;
            if (its_rank == rank)
                accept_codec(a, media, offered, codec, fmtp);
        }
    if (media->kind == SDP_AUDIO)
        finish_red(media);
}

/* RFC 8853 5.3.2. All are received that are offered, those too that begin paused. */
static void accept_rids(const struct answer *a, struct sdp_media *media,
                        const struct sdp_media *offered, const struct sdp_template_media *wanted)
{
    if (media->kind != SDP_VIDEO || !a->local->simulcast || (wanted && !wanted->simulcast) ||
        !offered_extension(offered, SDP_URI_RID))
        return;
    for (guint i = 0; i < offered->n_rids_send; i++)
        g_strlcpy(media->rids_recv[i].id, offered->rids_send[i].id, sizeof(media->rids_recv[i].id));
    media->n_rids_recv = offered->n_rids_send;
}

static void accept_extensions(const struct answer *a, struct sdp_media *media,
                              const struct sdp_media *offered)
{
    for (guint i = 0; i < offered->extmaps->len; i++) {
        const struct sdp_extmap *e = &g_array_index(offered->extmaps, struct sdp_extmap, i);
        int index = sdp_extension_index(e->uri);
        /* Chromium, having offered a simulcast that was declined, can make no further offer of its
         * own without this one. */
        bool kept = offered->n_rids_send > 0 && strcmp(e->uri, SDP_URI_RID) == 0;
        if (e->id <= 14 && index >= 0 &&
            (kept || sdp_extension_wanted((guint)index, media, a->local)))
            sdp_media_add_extmap(media, e->id, e->uri, sdp_direction_reverse(e->direction));
    }
}

static bool can_accept(const struct answer *a, const struct sdp_media *offered)
{
    if (offered->rejected)
        return false;
    if (offered->kind != SDP_APPLICATION)
        return offered->kind == SDP_AUDIO || offered->kind == SDP_VIDEO;
    return a->local->max_message_size > 0 && !a->data && offered->sctp_port > 0 &&
           g_strcmp0(offered->formats, SDP_DATA_CHANNEL) == 0;
}

/* RFC 8841 10.3 */
static void accept_data(struct answer *a, const struct sdp_media *offered)
{
    struct sdp_media *media = sdp_media_new(SDP_APPLICATION);

    media->mid = g_strdup(offered->mid);
    media->protocol = g_strdup(offered->protocol);
    media->direction = SDP_SENDRECV;
    media->sctp_port = SDP_SCTP_PORT;
    media->max_message_size = a->local->max_message_size;
    g_ptr_array_add(a->description->medias, media);
    a->accepted++;
    a->data = true;
}

static void answer_media(struct answer *a, guint index)
{
    const struct sdp_media *offered = g_ptr_array_index(a->offer->medias, index);
    const struct sdp_media *before = a->previous && index < a->previous->medias->len
                                         ? g_ptr_array_index(a->previous->medias, index)
                                         : NULL;
    const struct sdp_template_media *wanted = NULL;
    struct sdp_media *media;

    if (!can_accept(a, offered) || (a->sdp_template && !(wanted = find_wanted(a, offered)))) {
        reject(a, offered);
        return;
    }
    if (offered->kind == SDP_APPLICATION) {
        accept_data(a, offered);
        return;
    }
    media = sdp_media_new(offered->kind);
    accept_codecs(a, media, offered, wanted);
    if (media->codecs->len == 0) {
        sdp_media_free(media);
        reject(a, offered);
        return;
    }
    media->mid = g_strdup(offered->mid);
    media->protocol = g_strdup(offered->protocol);
    media->direction = sdp_direction_reverse(offered->direction);
    if (wanted)
        media->direction = (enum sdp_direction)(media->direction & wanted->direction);
    media->rtcp_mux = true;
    media->rtcp_rsize = offered->rtcp_rsize;
    accept_rids(a, media, offered, wanted);
    accept_extensions(a, media, offered);
    media->cname = g_strdup(a->local->cname);
    sdp_media_set_msid(media, a->local->cname);
    if (before && g_strcmp0(before->mid, media->mid) != 0)
        before = NULL;
    sdp_media_set_ssrcs(media, before, a->description, a->previous);
    g_ptr_array_add(a->description->medias, media);
    a->accepted++;
}

struct bundle_numbers {
    const char *formats[128], *repeats[128]; /* what a payload type is, or what it repeats */
    const char *uris[256];
};

static bool take_pt(struct bundle_numbers *n, guint8 pt, const char *format, const char *repeats,
                    GError **error)
{
    bool taken = n->formats[pt] || n->repeats[pt];

    if (taken && (n->formats[pt] != format || n->repeats[pt] != repeats)) {
        problem_set(error, PROBLEM_SDP_NOT_ACCEPTABLE,
                    "Payload type %u means two formats in one BUNDLE group.", pt);
        return false;
    }
    n->formats[pt] = format;
    n->repeats[pt] = repeats;
    return true;
}

/* RFC 9143 9.1: inside a BUNDLE group a payload type and an extension id mean one thing. */
static bool check_bundle_numbers(const struct sdp_description *d, GError **error)
{
    struct bundle_numbers n = {0};

    for (guint i = 0; i < d->medias->len; i++) {
        const struct sdp_media *media = g_ptr_array_index(d->medias, i);
        for (guint k = 0; k < media->codecs->len; k++) {
            const struct sdp_codec *codec = &g_array_index(media->codecs, struct sdp_codec, k);
            if (!take_pt(&n, codec->pt, codec->format, NULL, error) ||
                (codec->rtx_pt && !take_pt(&n, codec->rtx_pt, NULL, codec->format, error)))
                return false;
        }
        for (guint k = 0; k < media->extmaps->len; k++) {
            const struct sdp_extmap *e = &g_array_index(media->extmaps, struct sdp_extmap, k);
            if (n.uris[e->id] && n.uris[e->id] != e->uri) {
                problem_set(error, PROBLEM_SDP_NOT_ACCEPTABLE,
                            "Extension id %u means two extensions in one BUNDLE group.", e->id);
                return false;
            }
            n.uris[e->id] = e->uri;
        }
    }
    return true;
}

/* RFC 9429 5.2.2: a new offer keeps the m-lines and their mids; only a rejected one is given away.
 */
static bool check_previous(const struct sdp_description *offer,
                           const struct sdp_description *previous, GError **error)
{
    if (previous && offer->medias->len < previous->medias->len) {
        problem_set(error, PROBLEM_SDP_NOT_ACCEPTABLE,
                    "The offer has fewer m-lines than the description before it.");
        return false;
    }
    for (guint i = 0; previous && i < previous->medias->len; i++) {
        const struct sdp_media *before = g_ptr_array_index(previous->medias, i);
        const struct sdp_media *now = g_ptr_array_index(offer->medias, i);
        if (before->rejected || now->rejected ||
            (before->kind == now->kind && g_strcmp0(before->mid, now->mid) == 0))
            continue;
        problem_set(error, PROBLEM_SDP_NOT_ACCEPTABLE,
                    "The offer uses m-line %u for another medium while the former one lives.", i);
        return false;
    }
    return true;
}

static bool check_template(const struct answer *a, GError **error)
{
    const GArray *medias = a->sdp_template->medias;

    if (!sdp_template_check(a->sdp_template, error))
        return false;
    for (guint i = 0; i < medias->len; i++) {
        const struct sdp_template_media *wanted =
            &g_array_index(medias, struct sdp_template_media, i);
        const struct sdp_media *offered = sdp_description_media(a->offer, wanted->mid);
        if (wanted->mid[0] && (!offered || offered->kind != wanted->kind)) {
            problem_set(error, PROBLEM_INVALID_MESSAGE,
                        "The offer has no %s with the mid \"%s\" of the template.",
                        sdp_kind_name(wanted->kind), wanted->mid);
            return false;
        }
    }
    return true;
}

/* The first live m-line is the one whose transport was read (RFC 9143 7.3.1). */
static bool tagged_rejected(const struct answer *a)
{
    for (guint i = 0; i < a->offer->medias->len; i++) {
        const struct sdp_media *offered = g_ptr_array_index(a->offer->medias, i);
        const struct sdp_media *media = g_ptr_array_index(a->description->medias, i);
        if (!offered->rejected)
            return media->rejected;
    }
    return false;
}

static bool answer(struct answer *a, GError **error)
{
    if (!sdp_check_transport(a->offer, "offer", a->local, error) ||
        !check_previous(a->offer, a->previous, error) ||
        (a->sdp_template && !check_template(a, error)))
        return false;
    for (guint i = 0; i < a->offer->medias->len; i++)
        answer_media(a, i);
    if (a->accepted == 0) {
        problem_set(error, PROBLEM_SDP_NOT_ACCEPTABLE,
                    "Nothing in the offer can be accepted: no audio or video with a known codec%s.",
                    a->local->max_message_size > 0 ? ", no data channels" : "");
        return false;
    }
    if (a->offer->split_transport && tagged_rejected(a)) {
        problem_set(error, PROBLEM_SDP_NOT_ACCEPTABLE,
                    "The m-line that carries the transport of the group would be rejected.");
        return false;
    }
    return check_bundle_numbers(a->description, error);
}

/* RFC 5763 5 recommends active; passive makes us the DTLS server, who chooses the SRTP profile
 * (docs/architecture.md), and lets the peer's first flight wait for nothing of ours. RFC 8842 5.5:
 * an association that lives keeps its roles. */
static bool choose_setup(struct answer *a, GError **error)
{
    enum sdp_setup theirs = a->offer->setup, ours = a->local->role;

    if (ours == SDP_SETUP_NONE)
        ours = theirs == SDP_SETUP_PASSIVE ? SDP_SETUP_ACTIVE : SDP_SETUP_PASSIVE;
    a->description->setup = ours;
    if (theirs != ours)
        return true;
    problem_set(error, PROBLEM_SDP_NOT_ACCEPTABLE,
                "The offer's a=setup would change the DTLS roles of a running association.");
    return false;
}

struct sdp_description *sdp_make_answer(const struct sdp_description *offer,
                                        const struct sdp_template *sdp_template,
                                        const struct sdp_local *local,
                                        const struct sdp_description *previous, GError **error)
{
    struct answer a = {.offer = offer,
                       .previous = previous,
                       .sdp_template = sdp_template,
                       .local = local,
                       .description = sdp_description_new_local(local)};

    a.description->bundle = offer->bundle;
    a.description->extmap_mixed = offer->extmap_mixed && local->dependency;
    a.description->cryptex = offer->cryptex && local->cryptex;
    if (!choose_setup(&a, error) || !answer(&a, error))
        g_clear_pointer(&a.description, sdp_description_free);
    return a.description;
}
