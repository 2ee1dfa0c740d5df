/* SPDX-License-Identifier: Apache-2.0 */
/* Our answers to every offer of the corpus, checked attribute by attribute against it; templates,
 * roles, and later offers. */
#include "sdp-corpus.h"

static struct sdp_description *answer(const struct sdp_description *offer,
                                      struct sdp_template *wanted,
                                      const struct sdp_description *previous)
{
    struct sdp_local local = corpus_local();
    g_autoptr(GError) error = NULL;
    struct sdp_description *d = sdp_make_answer(offer, wanted, &local, previous, &error);

    g_assert_no_error(error);
    sdp_template_free(wanted);
    return d;
}

static const struct sdp_codec *by_pt(const struct sdp_media *media, guint8 pt)
{
    for (guint i = 0; i < media->codecs->len; i++)
        if (corpus_codec(media->codecs, i)->pt == pt)
            return corpus_codec(media->codecs, i);
    return NULL;
}

static guint known(const struct sdp_media *media)
{
    guint n = 0;

    for (guint i = 0; i < media->codecs->len; i++)
        n += corpus_codec(media->codecs, i)->format != NULL &&
             strcmp(corpus_codec(media->codecs, i)->name, "red") != 0;
    return n;
}

static void check_codecs(const struct sdp_media *offered, const struct sdp_media *answered)
{
    guint last = 0;

    g_assert_cmpuint(answered->codecs->len, ==, known(offered));
    for (guint i = 0; i < answered->codecs->len; i++) {
        const struct sdp_codec *codec = corpus_codec(answered->codecs, i);
        const struct sdp_codec *theirs = by_pt(offered, codec->pt);
        g_assert_nonnull(theirs);
        g_assert_true(codec->format && codec->format == theirs->format);
        g_assert_false(codec->transport_cc || codec->goog_remb || codec->rtx_pt);
        g_assert_true(!codec->nack || theirs->nack);
        g_assert_true(!codec->nack_pli || theirs->nack_pli);
        g_assert_true(!codec->ccm_fir || theirs->ccm_fir);
        g_assert_true(i == 0 || theirs > corpus_codec(offered->codecs, last)); /* same order */
        last = (guint)(theirs - corpus_codec(offered->codecs, 0));
    }
}

static void check_extensions(const struct sdp_media *offered, const struct sdp_media *answered)
{
    for (guint i = 0; i < answered->extmaps->len; i++) {
        const struct sdp_extmap *e = &g_array_index(answered->extmaps, struct sdp_extmap, i);
        bool found = false;
        for (guint k = 0; k < offered->extmaps->len; k++) {
            const struct sdp_extmap *o = &g_array_index(offered->extmaps, struct sdp_extmap, k);
            found |= o->id == e->id && o->uri == e->uri;
        }
        g_assert_true(found);
        g_assert_true(g_str_has_suffix(e->uri, ":sdes:mid") ||
                      (offered->n_rids_send > 0 && g_str_has_suffix(e->uri, ":rtp-stream-id")) ||
                      g_str_has_suffix(e->uri, ":ssrc-audio-level"));
    }
}

static void check_text(const struct sdp_description *offer, const struct sdp_description *ours)
{
    g_autofree char *text = sdp_print(ours);

    g_assert_nonnull(strstr(text, "o=- 4711 1 IN IP4 127.0.0.1\r\n"));
    g_assert_null(strstr(text, offer->ice_ufrag));
    for (guint i = 0; i < offer->medias->len; i++) {
        const struct sdp_media *media = corpus_media(offer, i);
        /* nothing that names the far side */
        if (media->cname)
            g_assert_null(strstr(text, media->cname));
        if (media->msid_track)
            g_assert_null(strstr(text, media->msid_track));
    }
    for (guint i = 0; i < offer->candidates->len; i++)
        g_assert_null(
            strstr(text, g_array_index(offer->candidates, struct sdp_candidate, i).address));
}

static void check_offer(const char *name)
{
    sdp_autoptr offer = corpus_parse(name);
    struct sdp_local local = corpus_local();
    g_autoptr(GError) error = NULL;
    bool data_only = corpus_media(offer, 0)->kind == SDP_APPLICATION && offer->medias->len == 1;

    local.ice_lite = !offer->ice_lite;
    sdp_autoptr ours = sdp_make_answer(offer, NULL, &local, NULL, &error);
    if (data_only) {
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_SDP_NOT_ACCEPTABLE);
        return;
    }
    g_assert_no_error(error);
    g_assert_true(ours->bundle == offer->bundle && ours->setup == SDP_SETUP_PASSIVE);
    g_assert_cmpuint(ours->medias->len, ==, offer->medias->len);
    for (guint i = 0; i < offer->medias->len; i++) {
        const struct sdp_media *offered = corpus_media(offer, i), *answered = corpus_media(ours, i);
        bool rtp = offered->kind == SDP_AUDIO || offered->kind == SDP_VIDEO;
        g_assert_cmpstr(answered->mid, ==, offered->mid);
        g_assert_true(answered->rejected == (!rtp || offered->rejected));
        if (answered->rejected)
            continue;
        g_assert_true(answered->rtcp_mux);
        g_assert_cmpint(answered->direction, ==,
                        offered->direction == SDP_RECVONLY ? SDP_SENDONLY : offered->direction);
        check_codecs(offered, answered);
        check_extensions(offered, answered);
    }
    check_text(offer, ours);

    /* an independent look: our answer is one that our own check of answers lets pass */
    g_autofree char *text = sdp_print(ours);
    sdp_autoptr read = sdp_parse(text, &error);
    g_assert_no_error(error);
    g_assert_true(sdp_check_answer(offer, read, &error));
}

static void test_corpus(void)
{
    corpus_each("", "offer", check_offer);
}

static void test_rejected_line(void)
{
    sdp_autoptr offer = corpus_parse("chromium-156-offer-audio-video-data.sdp");
    sdp_autoptr ours = answer(offer, NULL, NULL);
    g_autofree char *text = sdp_print(ours);

    g_assert_nonnull(strstr(text, "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n"));
    g_assert_nonnull(strstr(text, "a=group:BUNDLE 0 1\r\n"));
}

static void test_data(void)
{
    static const char *const offers[] = {
        "chromium-156-offer-audio-video-data.sdp", "firefox-153-offer-audio-video-data.sdp",
        "chromium-156-offer-data.sdp", "firefox-153-offer-data-first.sdp"};
    struct sdp_local local = corpus_local();
    g_autoptr(GError) error = NULL;

    local.max_message_size = 65536;
    for (guint i = 0; i < G_N_ELEMENTS(offers); i++) {
        sdp_autoptr offer = corpus_parse(offers[i]);
        sdp_autoptr ours = sdp_make_answer(offer, NULL, &local, NULL, &error);
        g_assert_no_error(error);
        g_autofree char *text = sdp_print(ours);
        const char *section = strstr(text, "m=application ");
        g_assert_nonnull(section);
        g_assert_false(g_str_has_prefix(section, "m=application 0 "));
        g_assert_nonnull(strstr(section, " UDP/DTLS/SCTP webrtc-datachannel\r\n"));
        g_assert_nonnull(strstr(section, "\r\na=sctp-port:5000\r\na=max-message-size:65536\r\n"));
        sdp_autoptr read = sdp_parse(text, &error);
        g_assert_no_error(error);
        g_assert_true(sdp_check_answer(offer, read, &error));
        g_autoptr(GArray) negotiated = sdp_negotiate(ours, offer);
        guint data = 0;
        for (guint k = 0; k < negotiated->len; k++) {
            const struct sdp_negotiated_media *m =
                &g_array_index(negotiated, struct sdp_negotiated_media, k);
            data += m->kind == SDP_APPLICATION && m->direction == SDP_SENDRECV;
        }
        g_assert_cmpuint(data, ==, 1);
    }
    /* A template without them rejects them. */
    sdp_autoptr offer = corpus_parse(offers[0]);
    struct sdp_template *wanted = corpus_template(SDP_SENDRECV);
    sdp_autoptr ours = sdp_make_answer(offer, wanted, &local, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(corpus_media(ours, 2)->rejected);
    sdp_template_free(wanted);
}

static void test_roles(void)
{
    static const enum sdp_setup roles[][2] = {{SDP_SETUP_ACTPASS, SDP_SETUP_PASSIVE},
                                              {SDP_SETUP_ACTIVE, SDP_SETUP_PASSIVE},
                                              {SDP_SETUP_PASSIVE, SDP_SETUP_ACTIVE}};
    sdp_autoptr offer = corpus_parse("plain-offer.sdp");

    for (gsize i = 0; i < G_N_ELEMENTS(roles); i++) {
        offer->setup = roles[i][0];
        sdp_autoptr ours = answer(offer, NULL, NULL);
        g_assert_cmpint(ours->setup, ==, roles[i][1]);
    }
}

static void test_directions(void)
{
    static const enum sdp_direction cases[][3] = {
        /* offered, template, answered */
        {SDP_SENDRECV, SDP_SENDRECV, SDP_SENDRECV}, {SDP_SENDRECV, SDP_RECVONLY, SDP_RECVONLY},
        {SDP_SENDRECV, SDP_SENDONLY, SDP_SENDONLY}, {SDP_SENDONLY, SDP_SENDRECV, SDP_RECVONLY},
        {SDP_SENDONLY, SDP_SENDONLY, SDP_INACTIVE}, {SDP_RECVONLY, SDP_SENDRECV, SDP_SENDONLY},
        {SDP_INACTIVE, SDP_SENDRECV, SDP_INACTIVE}, {SDP_SENDRECV, SDP_INACTIVE, SDP_INACTIVE},
    };
    sdp_autoptr offer = corpus_parse("plain-offer.sdp");

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        corpus_media(offer, 0)->direction = cases[i][0];
        sdp_autoptr ours = answer(offer, corpus_template(cases[i][1]), NULL);
        g_assert_cmpint(corpus_media(ours, 0)->direction, ==, cases[i][2]);
        g_assert_true((corpus_media(ours, 0)->msid_stream != NULL) ==
                      ((cases[i][2] & SDP_SENDONLY) != 0));
    }
}

static void test_template(void)
{
    sdp_autoptr offer = corpus_parse("chromium-156-offer-audio-video.sdp");
    struct sdp_template *wanted = sdp_template_new();
    corpus_want(wanted, "1", SDP_VIDEO, SDP_RECVONLY, "H264,VP8");
    sdp_autoptr ours = answer(offer, wanted, NULL);
    const struct sdp_media *video = corpus_media(ours, 1);

    g_assert_true(corpus_media(ours, 0)->rejected); /* not named */
    g_assert_cmpint(video->direction, ==, SDP_RECVONLY);
    g_assert_cmpstr(corpus_codec(video->codecs, 0)->name, ==, "H264");
    g_assert_cmpuint(corpus_codec(video->codecs, 0)->pt, ==, 102);
    g_assert_cmpstr(corpus_codec(video->codecs, video->codecs->len - 1)->name, ==, "VP8");

    /* One form of H264 alone, with the level of who receives it. */
    static const char *const formats[] = {"H264;packetization-mode=1;profile-level-id=42e00c",
                                          NULL};
    wanted = sdp_template_new();
    corpus_want(wanted, "1", SDP_VIDEO, SDP_SENDRECV, "H264");
    g_array_index(wanted->medias, struct sdp_template_media, 0).formats =
        g_strdupv((char **)formats);
    sdp_autoptr one_form = answer(offer, wanted, NULL);
    video = corpus_media(one_form, 1);
    g_assert_cmpuint(video->codecs->len, ==, 1);
    g_assert_cmpstr(corpus_codec(video->codecs, 0)->fmtp, ==,
                    "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e00c");

    wanted = sdp_template_new();
    corpus_want(wanted, "", SDP_AUDIO, SDP_SENDRECV, NULL);
    sdp_autoptr only_audio = answer(offer, wanted, NULL);
    g_assert_false(corpus_media(only_audio, 0)->rejected);
    g_assert_true(corpus_media(only_audio, 1)->rejected);
}

static void refuse(const struct sdp_description *offer, struct sdp_template *wanted,
                   const struct sdp_description *previous, int code)
{
    struct sdp_local local = corpus_local();
    g_autoptr(GError) error = NULL;

    g_assert_null(sdp_make_answer(offer, wanted, &local, previous, &error));
    g_assert_error(error, PROBLEM_DOMAIN, code);
    sdp_template_free(wanted);
}

static void test_template_refused(void)
{
    sdp_autoptr offer = corpus_parse("plain-offer.sdp");
    struct sdp_template *wanted = sdp_template_new();

    corpus_want(wanted, "7", SDP_VIDEO, SDP_RECVONLY, NULL);
    refuse(offer, wanted, NULL, PROBLEM_INVALID_MESSAGE);
    wanted = sdp_template_new();
    corpus_want(wanted, "0", SDP_VIDEO, SDP_RECVONLY, NULL); /* mid 0 is audio */
    refuse(offer, wanted, NULL, PROBLEM_INVALID_MESSAGE);
    wanted = sdp_template_new();
    corpus_want(wanted, "1", SDP_VIDEO, SDP_RECVONLY, "AV1"); /* only VP8 is offered */
    refuse(offer, wanted, NULL, PROBLEM_SDP_NOT_ACCEPTABLE);
}

/* Each m-line with a transport of its own, as before the peer knows that we bundle. */
static struct sdp_description *split_offer(void)
{
    g_autofree char *text = corpus_text("plain-offer.sdp");
    g_auto(GStrv) parts = g_strsplit(text, "m=video", 2);
    g_auto(GStrv) around = g_strsplit(parts[1], "a=ice-ufrag:abcd", 2);
    g_autofree char *split =
        g_strconcat(parts[0], "m=video", around[0], "a=ice-ufrag:wxyz", around[1], NULL);

    return sdp_parse(split, NULL);
}

static void test_split_transport(void)
{
    sdp_autoptr offer = split_offer();
    struct sdp_template *wanted = sdp_template_new();

    g_assert_nonnull(offer);
    g_assert_true(offer->split_transport);
    g_assert_cmpstr(offer->ice_ufrag, ==, "abcd");
    sdp_autoptr both = answer(offer, NULL, NULL);
    g_assert_false(corpus_media(both, 1)->rejected);
    corpus_want(wanted, "1", SDP_VIDEO, SDP_RECVONLY, NULL);
    refuse(offer, wanted, NULL, PROBLEM_SDP_NOT_ACCEPTABLE);
}

static void test_later(void)
{
    sdp_autoptr offer = corpus_parse("chromium-156-offer-audio-video.sdp");
    sdp_autoptr first = answer(offer, NULL, NULL);
    sdp_autoptr second = answer(offer, NULL, first);
    sdp_autoptr fewer = corpus_parse("chromium-156-offer-audio.sdp");

    for (guint i = 0; i < 2; i++)
        g_assert_cmpuint(g_array_index(corpus_media(first, i)->ssrcs, guint32, 0), ==,
                         g_array_index(corpus_media(second, i)->ssrcs, guint32, 0));
    refuse(fewer, NULL, first, PROBLEM_SDP_NOT_ACCEPTABLE);
    g_free(corpus_media(offer, 1)->mid);
    corpus_media(offer, 1)->mid = g_strdup("other");
    refuse(offer, NULL, first, PROBLEM_SDP_NOT_ACCEPTABLE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sdp/answer/data", test_data);
    g_test_add_func("/sdp/answer/corpus", test_corpus);
    g_test_add_func("/sdp/answer/rejected-line", test_rejected_line);
    g_test_add_func("/sdp/answer/roles", test_roles);
    g_test_add_func("/sdp/answer/directions", test_directions);
    g_test_add_func("/sdp/answer/template", test_template);
    g_test_add_func("/sdp/answer/template-refused", test_template_refused);
    g_test_add_func("/sdp/answer/split-transport", test_split_transport);
    g_test_add_func("/sdp/answer/later", test_later);
    return g_test_run();
}
