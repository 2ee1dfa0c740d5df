/* SPDX-License-Identifier: Apache-2.0 */
/* Our offers: what the first one has, what later ones keep, and which templates are refused. */
#include "sdp-corpus.h"

static struct sdp_description *offer(struct sdp_template *wanted,
                                     const struct sdp_description *previous)
{
    struct sdp_local local = corpus_local();
    g_autoptr(GError) error = NULL;
    struct sdp_description *d;

    local.session_version = previous ? previous->session_version + 1 : 1;
    d = sdp_make_offer(wanted, &local, previous, &error);
    g_assert_no_error(error);
    sdp_template_free(wanted);
    return d;
}

static void test_first(void)
{
    sdp_autoptr d = offer(corpus_template(SDP_SENDRECV), NULL);
    g_autofree char *text = sdp_print(d);
    static const char *const wanted[] = {
        "v=0\r\no=- 4711 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n",
        "\r\na=ice-lite\r\n",
        "\r\na=group:BUNDLE 0 1\r\n",
        "\r\na=msid-semantic:",
        "\r\nm=audio 40000 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 198.51.100.20\r\n",
        "\r\nm=video 40000 UDP/TLS/RTP/SAVPF 96 98 100 102 104 106 108 112 114 116 118\r\n",
        "\r\na=ice-ufrag:ourufrag\r\n",
        "\r\na=ice-pwd:ourpasswordourpassword12\r\n",
        "\r\na=fingerprint:sha-256 01:02:03:FE:00:",
        "\r\na=setup:actpass\r\n",
        "\r\na=rtcp-mux\r\n",
        "\r\na=rtcp-rsize\r\n",
        "\r\na=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n",
        "\r\na=extmap:2 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n",
        "\r\na=rtpmap:111 opus/48000/2\r\n",
        "\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n",
        "\r\na=rtcp-fb:96 nack\r\n",
        "\r\na=rtcp-fb:96 nack pli\r\n",
        "\r\na=rtcp-fb:96 ccm fir\r\n",
        "\r\na=msid:ourcname ourcname-1\r\n",
        "\r\na=candidate:1 1 udp 2130706431 198.51.100.20 40000 typ host\r\n",
        "\r\na=candidate:2 1 udp 2130706175 2001:db8:1::20 40000 typ host\r\n",
        "\r\na=end-of-candidates\r\n",
    };
    static const char *const unwanted[] = {"rtx", "transport-cc", "goog-remb", "rid", "simulcast"};

    for (gsize i = 0; i < G_N_ELEMENTS(wanted); i++)
        if (!strstr(text, wanted[i]))
            g_error("the offer lacks %s", wanted[i]);
    for (gsize i = 0; i < G_N_ELEMENTS(unwanted); i++)
        g_assert_null(strstr(text, unwanted[i]));
    g_assert_cmpuint(corpus_media(d, 0)->ssrcs->len, ==, 1);
    g_assert_cmpuint(g_array_index(corpus_media(d, 0)->ssrcs, guint32, 0), !=,
                     g_array_index(corpus_media(d, 1)->ssrcs, guint32, 0));
    /* candidates once, in the first m-line of the bundle */
    g_assert_null(strstr(strstr(text, "m=video"), "a=candidate"));
}

static void test_data(void)
{
    struct sdp_local local = corpus_local();
    g_autoptr(GError) error = NULL;
    struct sdp_template *wanted = corpus_template(SDP_SENDRECV);

    corpus_want(wanted, "", SDP_APPLICATION, SDP_SENDRECV, NULL);
    g_assert_null(sdp_make_offer(wanted, &local, NULL, &error)); /* none to be had */
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_SDP_NOT_ACCEPTABLE);
    g_clear_error(&error);
    local.max_message_size = 1000;
    sdp_autoptr d = sdp_make_offer(wanted, &local, NULL, &error);
    g_assert_no_error(error);
    g_autofree char *text = sdp_print(d);
    const char *section = strstr(text, "m=application 40000 UDP/DTLS/SCTP webrtc-datachannel\r\n");
    g_assert_nonnull(section);
    g_assert_nonnull(strstr(section, "\r\na=mid:2\r\n"));
    g_assert_nonnull(strstr(section, "\r\na=setup:actpass\r\n"));
    g_assert_nonnull(strstr(section, "\r\na=sctp-port:5000\r\na=max-message-size:1000\r\n"));
    g_assert_null(strstr(section, "sendrecv"));
    g_assert_null(strstr(section, "rtcp"));
    g_assert_nonnull(strstr(text, "a=group:BUNDLE 0 1 2\r\n"));

    corpus_want(wanted, "", SDP_APPLICATION, SDP_SENDRECV, NULL);
    g_assert_null(sdp_make_offer(wanted, &local, NULL, &error)); /* once */
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
    sdp_template_free(wanted);

    /* Not wanted any more it is rejected; sound and picture keep their places. */
    wanted = corpus_template(SDP_SENDRECV);
    g_clear_error(&error);
    sdp_autoptr later = sdp_make_offer(wanted, &local, d, &error);
    g_assert_no_error(error);
    g_assert_true(corpus_media(later, 2)->rejected);
    g_assert_cmpstr(corpus_media(later, 2)->mid, ==, "2");
    /* The same again, and the place is taken by others under another mid. */
    corpus_want(wanted, "", SDP_APPLICATION, SDP_SENDRECV, NULL);
    sdp_autoptr again = sdp_make_offer(wanted, &local, later, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(again->medias->len, ==, 3);
    g_assert_false(corpus_media(again, 2)->rejected);
    g_assert_cmpstr(corpus_media(again, 2)->mid, !=, "2");
    sdp_template_free(wanted);
}

static void test_template_order(void)
{
    struct sdp_template *wanted = sdp_template_new();
    corpus_want(wanted, "cam", SDP_VIDEO, SDP_RECVONLY, "H264,nonsense,vp8");
    sdp_autoptr d = offer(wanted, NULL);
    const struct sdp_media *video = corpus_media(d, 0);

    g_assert_cmpstr(video->mid, ==, "cam");
    g_assert_null(video->msid_stream);
    g_assert_cmpstr(corpus_codec(video->codecs, 0)->name, ==, "H264");
    g_assert_cmpstr(corpus_codec(video->codecs, video->codecs->len - 1)->name, ==, "VP8");
    for (guint i = 0; i < video->codecs->len; i++)
        g_assert_cmpstr(corpus_codec(video->codecs, i)->name, !=, "VP9");
}

/* What a receiver behind us takes, and no other form of that codec; kept over a change of levels.
 */
static void test_template_formats(void)
{
    static const char *const formats[] = {"h264;packetization-mode=1;profile-level-id=640c1f",
                                          "H264;profile-level-id=42e00c;packetization-mode=1",
                                          "H264;packetization-mode=1;profile-level-id=42e01f",
                                          "H264;profile-level-id=nothing",
                                          "VP9;profile-id=2",
                                          NULL};
    struct sdp_template *wanted = sdp_template_new();
    corpus_want(wanted, "cam", SDP_VIDEO, SDP_SENDRECV, "VP8,H264");
    struct sdp_template_media *cam = &g_array_index(wanted->medias, struct sdp_template_media, 0);
    cam->formats = g_strdupv((char **)formats);
    sdp_autoptr d = offer(wanted, NULL);
    const struct sdp_media *video = corpus_media(d, 0);

    g_assert_cmpuint(video->codecs->len, ==, 3);
    g_assert_cmpstr(corpus_codec(video->codecs, 0)->name, ==, "VP8");
    g_assert_cmpstr(corpus_codec(video->codecs, 1)->fmtp, ==,
                    "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640c1f");
    g_assert_cmpstr(corpus_codec(video->codecs, 2)->fmtp, ==,
                    "level-asymmetry-allowed=1;profile-level-id=42e00c;packetization-mode=1");
    g_assert_cmpuint(corpus_codec(video->codecs, 1)->pt, !=, corpus_codec(video->codecs, 2)->pt);

    wanted = sdp_template_new();
    corpus_want(wanted, "cam", SDP_VIDEO, SDP_SENDRECV, "H264");
    cam = &g_array_index(wanted->medias, struct sdp_template_media, 0);
    cam->formats = g_strdupv((char **)formats + 2);
    sdp_autoptr later = offer(wanted, d);
    video = corpus_media(later, 0);
    g_assert_cmpuint(video->codecs->len, ==, 1);
    g_assert_cmpstr(corpus_codec(video->codecs, 0)->fmtp, ==,
                    "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f");
    g_assert_cmpuint(corpus_codec(video->codecs, 0)->pt, ==,
                     corpus_codec(corpus_media(d, 0)->codecs, 2)->pt);
}

static void test_mids_are_unique(void)
{
    struct sdp_template *wanted = sdp_template_new();
    corpus_want(wanted, "1", SDP_AUDIO, SDP_SENDRECV, NULL);
    corpus_want(wanted, "", SDP_VIDEO, SDP_SENDRECV, NULL);
    corpus_want(wanted, "", SDP_VIDEO, SDP_SENDRECV, NULL);
    sdp_autoptr d = offer(wanted, NULL);

    for (guint i = 0; i < 3; i++)
        for (guint k = 0; k < i; k++)
            g_assert_cmpstr(corpus_media(d, i)->mid, !=, corpus_media(d, k)->mid);
}

static void test_later(void)
{
    sdp_autoptr first = offer(corpus_template(SDP_SENDRECV), NULL);
    struct sdp_template *wanted = sdp_template_new();
    corpus_want(wanted, "1", SDP_VIDEO, SDP_SENDONLY, NULL);
    corpus_want(wanted, "", SDP_VIDEO, SDP_RECVONLY, NULL);
    sdp_autoptr second = offer(wanted, first);

    g_assert_cmpuint(second->session_version, ==, 2);
    g_assert_cmpuint(second->medias->len, ==, 3);
    g_assert_cmpint(corpus_media(second, 0)->direction, ==, SDP_INACTIVE);
    g_assert_null(corpus_media(second, 0)->msid_stream);
    g_assert_cmpint(corpus_media(second, 1)->direction, ==, SDP_SENDONLY);
    g_assert_cmpstr(corpus_media(second, 2)->mid, ==, "2");
    for (guint i = 0; i < 2; i++) {
        g_assert_cmpstr(corpus_media(second, i)->mid, ==, corpus_media(first, i)->mid);
        g_assert_cmpuint(g_array_index(corpus_media(second, i)->ssrcs, guint32, 0), ==,
                         g_array_index(corpus_media(first, i)->ssrcs, guint32, 0));
    }

    /* the freed m-line is used again by the next one of its kind */
    wanted = corpus_template(SDP_SENDRECV);
    sdp_autoptr third = offer(wanted, second);
    g_assert_cmpuint(third->medias->len, ==, 3);
    g_assert_cmpint(corpus_media(third, 0)->direction, ==, SDP_SENDRECV);
    g_assert_cmpint(corpus_media(third, 2)->direction, ==, SDP_INACTIVE);
}

/* After the peer's offer the numbers are the peer's, also for codecs of new m-lines. */
static void check_after_answer(const char *name)
{
    sdp_autoptr theirs = corpus_parse(name);
    struct sdp_local local = corpus_local();
    sdp_autoptr ours = sdp_make_answer(theirs, NULL, &local, NULL, NULL);
    struct sdp_template *wanted = corpus_template(SDP_SENDRECV);
    const char *formats[128] = {NULL};

    if (!ours) { /* an offer of data only */
        sdp_template_free(wanted);
        return;
    }
    corpus_want(wanted, "", SDP_VIDEO, SDP_SENDONLY, NULL);
    corpus_want(wanted, "", SDP_AUDIO, SDP_SENDONLY, NULL);
    sdp_autoptr later = offer(wanted, ours);
    for (guint i = 0; i < later->medias->len; i++) {
        const struct sdp_media *media = corpus_media(later, i);
        if (i < ours->medias->len && corpus_media(ours, i)->rejected) {
            /* as it was, or for another medium under another mid (RFC 9429 5.2.2) */
            g_assert_true(media->rejected ==
                          (g_strcmp0(media->mid, corpus_media(ours, i)->mid) == 0));
        } else if (i < ours->medias->len) {
            g_assert_cmpstr(media->mid, ==, corpus_media(ours, i)->mid);
            g_assert_false(media->rejected);
            for (guint k = 0; k < media->extmaps->len; k++) {
                const struct sdp_extmap *e = &g_array_index(media->extmaps, struct sdp_extmap, k);
                const GArray *before = corpus_media(ours, i)->extmaps;
                for (guint j = 0; j < before->len; j++)
                    if (g_array_index(before, struct sdp_extmap, j).uri == e->uri)
                        g_assert_cmpuint(g_array_index(before, struct sdp_extmap, j).id, ==, e->id);
            }
        }
        for (guint k = 0; k < media->codecs->len; k++) {
            const struct sdp_codec *codec = corpus_codec(media->codecs, k);
            g_assert_true(!formats[codec->pt] || formats[codec->pt] == codec->format);
            formats[codec->pt] = codec->format;
        }
    }
    for (guint i = 0; i < ours->medias->len; i++)
        for (guint k = 0; k < corpus_media(ours, i)->codecs->len; k++) {
            const struct sdp_codec *codec = corpus_codec(corpus_media(ours, i)->codecs, k);
            g_assert_true(!formats[codec->pt] || formats[codec->pt] == codec->format);
        }
}

/* A rejected m-line is used again before another is added, whatever its kind. */
static void test_recycled(void)
{
    sdp_autoptr first = offer(corpus_template(SDP_SENDRECV), NULL);
    sdp_autoptr answer = offer(corpus_template(SDP_SENDRECV), NULL);

    corpus_media(answer, 1)->rejected = true;
    sdp_accept_rejections(first, answer);
    g_assert_true(corpus_media(first, 1)->rejected);
    struct sdp_template *wanted = sdp_template_new();
    corpus_want(wanted, "0", SDP_AUDIO, SDP_SENDRECV, NULL);
    sdp_autoptr second = offer(wanted, first);
    g_assert_cmpuint(second->medias->len, ==, 2);
    g_assert_true(corpus_media(second, 1)->rejected);
    g_autofree char *text = sdp_print(second);
    g_assert_nonnull(strstr(text, "a=group:BUNDLE 0\r\n"));
    g_assert_nonnull(strstr(text, "m=video 0 "));
    wanted = sdp_template_new();
    corpus_want(wanted, "0", SDP_AUDIO, SDP_SENDRECV, NULL);
    corpus_want(wanted, "", SDP_AUDIO, SDP_SENDRECV, NULL);
    corpus_want(wanted, "", SDP_VIDEO, SDP_SENDRECV, NULL);
    sdp_autoptr third = offer(wanted, second);
    g_assert_cmpuint(third->medias->len, ==, 3);
    g_assert_cmpint(corpus_media(third, 1)->kind, ==, SDP_AUDIO);
    g_assert_cmpstr(corpus_media(third, 1)->mid, !=, "1");
    g_assert_cmpint(corpus_media(third, 2)->kind, ==, SDP_VIDEO);
}

/* Without a template everything stays, but for the transport: an ICE restart. */
static void test_again(void)
{
    sdp_autoptr first = offer(corpus_template(SDP_SENDONLY), NULL);
    struct sdp_local local = corpus_local();

    local.ice_ufrag = "another";
    sdp_autoptr second = sdp_make_offer(NULL, &local, first, NULL);
    g_assert_cmpuint(second->medias->len, ==, first->medias->len);
    g_assert_cmpstr(second->ice_ufrag, ==, "another");
    g_assert_cmpint(corpus_media(second, 0)->direction, ==, SDP_SENDONLY);
    g_assert_nonnull(corpus_media(second, 0)->msid_stream);
}

static void test_after_answer(void)
{
    corpus_each("", "offer", check_after_answer);
}

static void refuse(struct sdp_template *wanted, const struct sdp_description *previous, int code)
{
    struct sdp_local local = corpus_local();
    g_autoptr(GError) error = NULL;

    g_assert_null(sdp_make_offer(wanted, &local, previous, &error));
    g_assert_error(error, PROBLEM_DOMAIN, code);
    sdp_template_free(wanted);
}

static void test_refused(void)
{
    struct sdp_template *wanted = corpus_template(SDP_SENDRECV);
    sdp_autoptr first = offer(corpus_template(SDP_SENDRECV), NULL);

    wanted->bundle = false;
    refuse(wanted, NULL, PROBLEM_SDP_NOT_ACCEPTABLE);
    refuse(sdp_template_new(), NULL, PROBLEM_INVALID_MESSAGE);
    wanted = sdp_template_new();
    corpus_want(wanted, "a b", SDP_AUDIO, SDP_SENDRECV, NULL);
    refuse(wanted, NULL, PROBLEM_INVALID_MESSAGE);
    wanted = sdp_template_new();
    corpus_want(wanted, "a", SDP_AUDIO, SDP_SENDRECV, NULL);
    corpus_want(wanted, "a", SDP_VIDEO, SDP_SENDRECV, NULL);
    refuse(wanted, NULL, PROBLEM_INVALID_MESSAGE);
    wanted = sdp_template_new();
    corpus_want(wanted, "", SDP_AUDIO, SDP_SENDRECV, "G723,VP8");
    refuse(wanted, NULL, PROBLEM_SDP_NOT_ACCEPTABLE);
    wanted = sdp_template_new();
    corpus_want(wanted, "", SDP_APPLICATION, SDP_SENDRECV, NULL);
    refuse(wanted, NULL, PROBLEM_SDP_NOT_ACCEPTABLE);
    wanted = sdp_template_new(); /* the mid of an m-line of another kind */
    corpus_want(wanted, "1", SDP_AUDIO, SDP_SENDRECV, NULL);
    refuse(wanted, first, PROBLEM_SDP_NOT_ACCEPTABLE);
    wanted = sdp_template_new();
    for (guint i = 0; i <= SDP_MAX_MEDIAS; i++)
        corpus_want(wanted, "", SDP_AUDIO, SDP_SENDRECV, NULL);
    refuse(wanted, NULL, PROBLEM_INVALID_MESSAGE);
}

static void test_without_candidates(void)
{
    struct sdp_local local = corpus_local();
    struct sdp_template *wanted = corpus_template(SDP_SENDRECV);

    local.n_candidates = 0;
    local.ice_lite = false;
    sdp_autoptr d = sdp_make_offer(wanted, &local, NULL, NULL);
    g_autofree char *text = sdp_print(d);
    g_assert_nonnull(strstr(text, "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\n"));
    g_assert_null(strstr(text, "ice-lite"));
    sdp_template_free(wanted);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sdp/offer/first", test_first);
    g_test_add_func("/sdp/offer/data", test_data);
    g_test_add_func("/sdp/offer/template-order", test_template_order);
    g_test_add_func("/sdp/offer/template-formats", test_template_formats);
    g_test_add_func("/sdp/offer/mids-are-unique", test_mids_are_unique);
    g_test_add_func("/sdp/offer/later", test_later);
    g_test_add_func("/sdp/offer/after-answer", test_after_answer);
    g_test_add_func("/sdp/offer/recycled", test_recycled);
    g_test_add_func("/sdp/offer/again", test_again);
    g_test_add_func("/sdp/offer/refused", test_refused);
    g_test_add_func("/sdp/offer/without-candidates", test_without_candidates);
    return g_test_run();
}
