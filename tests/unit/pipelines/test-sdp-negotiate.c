/* SPDX-License-Identifier: Apache-2.0 */
/* Real answers to our own offer: the check lets them pass, and what both mean together is right;
 * answers bent in one place are refused. */
#include "sdp-corpus.h"

static struct sdp_negotiated_media *negotiated(GArray *medias, guint index)
{
    g_assert_cmpuint(index, <, medias->len);
    return &g_array_index(medias, struct sdp_negotiated_media, index);
}

static void check_real(const char *name)
{
    sdp_autoptr offer = corpus_parse("wmcf-offer-audio-video.sdp");
    sdp_autoptr answer = corpus_parse(name);
    g_autoptr(GError) error = NULL;

    g_assert_true(sdp_check_answer(offer, answer, &error));
    g_assert_no_error(error);
    g_autoptr(GArray) medias = sdp_negotiate(offer, answer);
    g_assert_cmpuint(medias->len, ==, 2);
    for (guint i = 0; i < 2; i++) {
        const struct sdp_negotiated_media *n = negotiated(medias, i);
        const struct sdp_media *theirs = corpus_media(answer, i);
        bool they_send = (theirs->direction & SDP_SENDONLY) != 0;
        g_assert_cmpint(n->kind, ==, i == 0 ? SDP_AUDIO : SDP_VIDEO);
        g_assert_true(((n->direction & SDP_RECVONLY) != 0) == they_send);
        g_assert_cmpuint(n->recv_codecs->len, ==, n->send_codecs->len);
        g_assert_cmpuint(n->send_codecs->len, ==, theirs->codecs->len);
        g_assert_cmpuint(n->local_ssrc, ==,
                         g_array_index(corpus_media(offer, i)->ssrcs, guint32, 0));
        if (!g_str_has_prefix(name, "webrtcbin")) {
            g_assert_cmpuint(n->mid_extmap, ==, 1);
            g_assert_cmpuint(n->audio_level_extmap, ==, i == 0 ? 2 : 0);
        }
    }
}

static void test_real(void)
{
    corpus_each("", "answer", check_real);
}

static void test_chromium(void)
{
    sdp_autoptr offer = corpus_parse("wmcf-offer-audio-video.sdp");
    sdp_autoptr answer = corpus_parse("chromium-156-answer-audio-video.sdp");
    g_autoptr(GArray) medias = sdp_negotiate(offer, answer);
    const struct sdp_negotiated_media *video = negotiated(medias, 1);

    g_assert_cmpstr(video->mid, ==, "1");
    g_assert_cmpint(video->direction, ==, SDP_SENDRECV);
    g_assert_true(video->rtcp_rsize);
    g_assert_cmpuint(video->remote_ssrcs->len, ==, 1);
    g_assert_cmpstr(corpus_codec(video->send_codecs, 0)->format, ==, "video/VP8/90000");
}

/* Each side may number a codec as it likes: what we send carries the peer's number. */
static void test_asymmetric(void)
{
    sdp_autoptr local = corpus_parse("plain-offer.sdp");
    sdp_autoptr remote = corpus_parse("plain-offer.sdp");

    corpus_codec(corpus_media(remote, 1)->codecs, 0)->pt = 120;
    corpus_media(remote, 1)->direction = SDP_SENDONLY;
    g_autoptr(GArray) medias = sdp_negotiate(local, remote);
    g_assert_cmpuint(corpus_codec(negotiated(medias, 1)->recv_codecs, 0)->pt, ==, 96);
    g_assert_cmpuint(corpus_codec(negotiated(medias, 1)->send_codecs, 0)->pt, ==, 120);
    g_assert_cmpint(negotiated(medias, 1)->direction, ==, SDP_RECVONLY);
}

static void test_rejected(void)
{
    sdp_autoptr local = corpus_parse("plain-offer.sdp");
    sdp_autoptr remote = corpus_parse("plain-offer.sdp");

    corpus_media(remote, 0)->rejected = true;
    g_autoptr(GArray) medias = sdp_negotiate(local, remote);
    g_assert_cmpint(negotiated(medias, 0)->direction, ==, SDP_INACTIVE);
    g_assert_cmpuint(negotiated(medias, 0)->send_codecs->len, ==, 0);
    g_assert_cmpint(negotiated(medias, 1)->direction, ==, SDP_SENDRECV);
}

enum bend {
    BEND_NOTHING,
    BEND_FEWER,
    BEND_MID,
    BEND_KIND,
    BEND_DIRECTION,
    BEND_CODEC,
    BEND_NO_CODEC,
    BEND_EXTENSION,
    BEND_EXTENSION_ID,
    BEND_ACTPASS,
    BEND_NO_SETUP,
    BEND_FINGERPRINT,
    BEND_ICE,
    BEND_MUX,
    BEND_BUNDLE,
    BEND_REVIVED,
    BEND_ALL_REJECTED,
    BEND_COUNT
};

static void bend(struct sdp_description *offer, struct sdp_description *answer, enum bend how)
{
    struct sdp_media *audio = corpus_media(answer, 0), *video = corpus_media(answer, 1);

    if (how == BEND_FEWER)
        g_ptr_array_set_size(answer->medias, 1);
    else if (how == BEND_MID)
        video->mid[0] = '8';
    else if (how == BEND_KIND)
        video->kind = SDP_OTHER;
    else if (how == BEND_DIRECTION)
        corpus_media(offer, 1)->direction = SDP_SENDONLY;
    else if (how == BEND_CODEC)
        corpus_codec(video->codecs, 0)->format = NULL;
    else if (how == BEND_NO_CODEC)
        g_array_set_size(video->codecs, 0);
    else if (how == BEND_EXTENSION)
        g_array_set_size(corpus_media(offer, 0)->extmaps, 0);
    else if (how == BEND_EXTENSION_ID)
        g_array_index(audio->extmaps, struct sdp_extmap, 0).id = 9;
    else if (how == BEND_ACTPASS)
        answer->setup = SDP_SETUP_ACTPASS;
    else if (how == BEND_NO_SETUP)
        answer->setup = SDP_SETUP_NONE;
    else if (how == BEND_FINGERPRINT)
        g_clear_pointer(&answer->fingerprint, g_byte_array_unref);
    else if (how == BEND_ICE)
        g_clear_pointer(&answer->ice_pwd, g_free);
    else if (how == BEND_MUX)
        video->rtcp_mux = false;
    else if (how == BEND_BUNDLE)
        answer->bundle = false;
    else if (how == BEND_REVIVED)
        corpus_media(offer, 1)->rejected = true;
    else if (how == BEND_ALL_REJECTED)
        audio->rejected = video->rejected = true;
}

static void test_bent(void)
{
    for (int how = 0; how < BEND_COUNT; how++) {
        sdp_autoptr offer = corpus_parse("wmcf-offer-audio-video.sdp");
        sdp_autoptr answer = corpus_parse("chromium-156-answer-audio-video.sdp");
        g_autoptr(GError) error = NULL;

        bend(offer, answer, how);
        g_test_message("bend %d", how);
        g_assert_true(sdp_check_answer(offer, answer, &error) == (how == BEND_NOTHING));
        if (how != BEND_NOTHING)
            g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_SDP_NOT_ACCEPTABLE);
    }
}

static void test_anchor(void)
{
    sdp_autoptr remote = corpus_parse("firefox-153-offer-audio-video-data.sdp");
    g_autofree char *text = sdp_make_anchor(remote, SDP_SETUP_ACTIVE, false);
    g_autofree char *data_text = sdp_make_anchor(remote, SDP_SETUP_PASSIVE, true);
    sdp_autoptr anchor = sdp_parse(text, NULL);
    sdp_autoptr with_data = sdp_parse(data_text, NULL);

    g_assert_cmpuint(anchor->medias->len, ==, 1);
    g_assert_cmpint(anchor->setup, ==, SDP_SETUP_ACTIVE);
    g_assert_cmpstr(anchor->ice_ufrag, ==, remote->ice_ufrag);
    g_assert_cmpmem(anchor->fingerprint->data, anchor->fingerprint->len, remote->fingerprint->data,
                    remote->fingerprint->len);
    g_assert_true(anchor->bundle && corpus_media(anchor, 0)->rtcp_mux);
    g_assert_cmpuint(with_data->medias->len, ==, 2);
    g_assert_cmpint(with_data->setup, ==, SDP_SETUP_PASSIVE);
    g_assert_cmpuint(corpus_media(with_data, 1)->sctp_port, ==, 5000);
    g_assert_cmpuint(corpus_media(with_data, 1)->max_message_size, ==, 1073741823);
    g_autofree char *renewed_text = sdp_renew_anchor(text, 4999);
    sdp_autoptr renewed = sdp_parse(renewed_text, NULL);
    g_assert_cmpuint(renewed->session_version, ==, anchor->session_version + 1);
    g_assert_cmpstr(renewed->ice_ufrag, ==, anchor->ice_ufrag);
    g_assert_cmpuint(corpus_media(renewed, 1)->sctp_port, ==, 4999);
    g_assert_null(sdp_renew_anchor("no anchor", 0));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sdp/negotiate/real", test_real);
    g_test_add_func("/sdp/negotiate/chromium", test_chromium);
    g_test_add_func("/sdp/negotiate/asymmetric", test_asymmetric);
    g_test_add_func("/sdp/negotiate/rejected", test_rejected);
    g_test_add_func("/sdp/negotiate/bent", test_bent);
    g_test_add_func("/sdp/negotiate/anchor", test_anchor);
    return g_test_run();
}
