/* SPDX-License-Identifier: Apache-2.0 */
/* What is negotiated only where the relay does its part: retransmission streams, congestion
 * control, simulcast, redundant audio and header extensions; in our offers, in answers to those of
 * browsers, in later ones, and what both descriptions together mean. */
#include "sdp-corpus.h"

static struct sdp_description *offer(struct sdp_template *wanted, const struct sdp_local *local,
                                     const struct sdp_description *previous)
{
    g_autoptr(GError) error = NULL;
    struct sdp_description *d = sdp_make_offer(wanted, local, previous, &error);

    g_assert_no_error(error);
    if (wanted)
        sdp_template_free(wanted);
    return d;
}

static struct sdp_description *answer(const struct sdp_description *to,
                                      const struct sdp_description *previous)
{
    struct sdp_local local = corpus_local_full();
    g_autoptr(GError) error = NULL;
    struct sdp_description *d = sdp_make_answer(to, NULL, &local, previous, &error);

    g_assert_no_error(error);
    return d;
}

static struct sdp_template *simulcast_template(enum sdp_direction direction)
{
    struct sdp_template *wanted = corpus_template(direction);

    g_array_index(wanted->medias, struct sdp_template_media, 1).simulcast = true;
    return wanted;
}

static struct sdp_negotiated_media *negotiated(GArray *medias, guint index)
{
    g_assert_cmpuint(index, <, medias->len);
    return &g_array_index(medias, struct sdp_negotiated_media, index);
}

static guint count(const char *text, const char *part)
{
    guint n = 0;

    for (; (text = strstr(text, part)); text += strlen(part))
        n++;
    return n;
}

static void has(const char *text, const char *const *lines)
{
    for (; *lines; lines++)
        if (!strstr(text, *lines))
            g_error("%s is missing in\n%s", *lines, text);
}

/* What we print reads as what it was. */
static struct sdp_description *again(const struct sdp_description *d)
{
    g_autofree char *text = sdp_print(d);
    g_autoptr(GError) error = NULL;
    struct sdp_description *read = sdp_parse(text, &error);

    g_assert_no_error(error);
    g_autofree char *second = sdp_print(read);
    g_assert_cmpstr(text, ==, second);
    return read;
}

static void test_offer(void)
{
    struct sdp_local local = corpus_local_full();
    sdp_autoptr d = offer(simulcast_template(SDP_SENDRECV), &local, NULL);
    g_autofree char *text = sdp_print(d);
    const struct sdp_media *video = corpus_media(d, 1);
    static const char *const wanted[] = {
        "m=audio 40000 UDP/TLS/RTP/SAVPF 111 110\r\n",
        "a=rtpmap:110 red/48000/2\r\na=fmtp:110 111/111\r\n",
        "m=video 40000 UDP/TLS/RTP/SAVPF 96 97 98 99 100 101 102 103 104 105 106 107 108 109 112 "
        "113 114 115 116 117 118 119\r\n",
        "\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n",
        "\r\na=rtcp-fb:* transport-cc\r\n",
        "\r\na=rtcp-fb:* goog-remb\r\n",
        "\r\na=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-",
        "\r\na=extmap:4 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\n",
        "\r\na=extmap:5 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n",
        "\r\na=extmap:6 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\n",
        "\r\na=extmap:7 urn:3gpp:video-orientation\r\n",
        "\r\na=extmap:8 https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-",
        "\r\na=extmap-allow-mixed\r\n",
        "\r\na=rid:l recv\r\na=rid:m recv\r\na=rid:h recv\r\na=simulcast:recv l;m;h\r\n",
        "\r\na=ssrc-group:FID ",
        NULL,
    };

    has(text, wanted);
    g_assert_cmpuint(count(text, "\r\na=cryptex\r\n"), ==, 2);
    g_assert_cmpuint(count(text, "transport-cc\r\n"), ==, 2);
    g_assert_cmpuint(count(text, "goog-remb"), ==, 1);
    g_assert_cmpuint(count(text, "a=rtcp-fb:97 "), ==, 0);
    g_assert_cmpuint(count(text, "a=ssrc-group"), ==, 1); /* video */
    g_assert_cmpuint(video->rtx_ssrcs->len, ==, 1);
    g_assert_cmpuint(g_array_index(video->rtx_ssrcs, guint32, 0), !=,
                     g_array_index(video->ssrcs, guint32, 0));
    sdp_autoptr read = again(d);
    g_assert_cmpuint(corpus_media(read, 1)->n_rids_recv, ==, 3);
    g_assert_cmpuint(g_array_index(corpus_media(read, 1)->rtx_ssrcs, guint32, 0), ==,
                     g_array_index(video->rtx_ssrcs, guint32, 0));
    for (guint i = 0; i < video->codecs->len; i++)
        g_assert_cmpuint(corpus_codec(corpus_media(read, 1)->codecs, i)->rtx_pt, ==,
                         corpus_codec(video->codecs, i)->pt + 1);
}

/* Without a wish for it, or where we only send, no encodings are offered; and no SSRC for
 * retransmissions of what is not sent. */
static void test_offer_narrow(void)
{
    struct sdp_local local = corpus_local_full();
    sdp_autoptr plain = offer(corpus_template(SDP_RECVONLY), &local, NULL);
    sdp_autoptr sending = offer(simulcast_template(SDP_SENDONLY), &local, NULL);
    local.simulcast = false;
    sdp_autoptr off = offer(simulcast_template(SDP_RECVONLY), &local, NULL);

    g_assert_cmpuint(corpus_media(plain, 1)->n_rids_recv, ==, 0);
    g_assert_null(corpus_media(plain, 1)->rtx_ssrcs);
    g_assert_cmpuint(corpus_media(sending, 1)->n_rids_recv, ==, 0);
    g_assert_cmpuint(corpus_media(off, 1)->n_rids_recv, ==, 0);
}

static void test_later(void)
{
    struct sdp_local local = corpus_local_full();
    sdp_autoptr first = offer(simulcast_template(SDP_SENDRECV), &local, NULL);
    sdp_autoptr held = offer(simulcast_template(SDP_INACTIVE), &local, first);
    sdp_autoptr resumed = offer(simulcast_template(SDP_SENDRECV), &local, held);
    sdp_autoptr repeated = offer(NULL, &local, resumed);
    const struct sdp_description *const later[] = {held, resumed, repeated};

    for (guint i = 0; i < G_N_ELEMENTS(later); i++) {
        const struct sdp_media *before = corpus_media(first, 1), *now = corpus_media(later[i], 1);
        g_assert_cmpuint(g_array_index(now->rtx_ssrcs, guint32, 0), ==,
                         g_array_index(before->rtx_ssrcs, guint32, 0));
        g_assert_cmpuint(now->n_rids_recv, ==, 3);
        g_assert_cmpuint(now->extmaps->len, ==, before->extmaps->len);
        for (guint k = 0; k < now->extmaps->len; k++)
            g_assert_cmpuint(g_array_index(now->extmaps, struct sdp_extmap, k).id, ==,
                             g_array_index(before->extmaps, struct sdp_extmap, k).id);
        for (guint k = 0; k < now->codecs->len; k++)
            g_assert_cmpuint(corpus_codec(now->codecs, k)->rtx_pt, ==,
                             corpus_codec(before->codecs, k)->rtx_pt);
    }
}

static guint8 rtx_of(const struct sdp_media *media, guint8 pt)
{
    for (guint i = 0; i < media->codecs->len; i++)
        if (corpus_codec(media->codecs, i)->pt == pt)
            return corpus_codec(media->codecs, i)->rtx_pt;
    return 0;
}

static void check_numbers(guint8 meanings[128][2], const struct sdp_media *media)
{
    for (guint k = 0; k < media->codecs->len; k++) {
        const struct sdp_codec *codec = corpus_codec(media->codecs, k);
        guint8 tag = (guint8)(g_str_hash(codec->format ? codec->format : "") % 250 + 1);
        g_assert_true(!meanings[codec->pt][0] || meanings[codec->pt][0] == tag);
        g_assert_cmpuint(meanings[codec->pt][1], ==, 0);
        meanings[codec->pt][0] = tag;
        if (!codec->rtx_pt)
            continue;
        g_assert_true(!meanings[codec->rtx_pt][1] || meanings[codec->rtx_pt][1] == tag);
        g_assert_cmpuint(meanings[codec->rtx_pt][0], ==, 0);
        meanings[codec->rtx_pt][1] = tag;
    }
}

/* Every browser's offer: the answer takes up what was offered under the offered numbers, passes the
 * check of whoever offered, and a later offer of ours keeps all of it. */
static void check_offer(const char *name)
{
    sdp_autoptr theirs = corpus_parse(name);
    struct sdp_local local = corpus_local_full();
    g_autoptr(GError) error = NULL;
    guint8 meanings[128][2] = {{0}};

    local.ice_lite = !theirs->ice_lite;
    sdp_autoptr ours = sdp_make_answer(theirs, NULL, &local, NULL, NULL);
    if (!ours) /* data channels alone */
        return;
    g_assert_true(sdp_check_answer(theirs, ours, &error));
    g_assert_no_error(error);
    sdp_description_free(again(ours));
    for (guint i = 0; i < ours->medias->len; i++) {
        const struct sdp_media *offered = corpus_media(theirs, i), *media = corpus_media(ours, i);
        for (guint k = 0; k < media->codecs->len; k++) {
            const struct sdp_codec *codec = corpus_codec(media->codecs, k);
            g_assert_cmpuint(codec->rtx_pt, ==, rtx_of(offered, codec->pt));
        }
    }
    struct sdp_template *wanted = simulcast_template(SDP_SENDRECV);
    corpus_want(wanted, "", SDP_VIDEO, SDP_SENDONLY, NULL);
    sdp_autoptr later = offer(wanted, &local, ours);
    for (guint i = 0; i < later->medias->len; i++)
        check_numbers(meanings, corpus_media(later, i));
    for (guint i = 0; i < ours->medias->len; i++)
        check_numbers(meanings, corpus_media(ours, i));
    sdp_description_free(again(later));
}

static void test_browsers(void)
{
    corpus_each("", "offer", check_offer);
}

static void check_simulcast_offer(const char *name)
{
    sdp_autoptr theirs = corpus_parse(name);
    sdp_autoptr ours = answer(theirs, NULL);
    g_autofree char *text = sdp_print(ours);
    static const char *const wanted[] = {
        "\r\na=rid:q recv\r\na=rid:h recv\r\na=rid:f recv\r\na=simulcast:recv q;h;f\r\n",
        ":sdes:rtp-stream-id\r\n",
        ":sdes:repaired-rtp-stream-id\r\n",
        " rtx/90000\r\n",
        "a=rtcp-fb:* transport-cc\r\n",
        "\r\na=ssrc-group:FID ",
        NULL,
    };

    has(text, wanted);
    g_assert_null(strstr(text, "goog-remb")); /* they have something better */
    g_autoptr(GArray) medias = sdp_negotiate(ours, theirs);
    const struct sdp_negotiated_media *n = negotiated(medias, 1);
    g_assert_cmpuint(n->n_rids, ==, 3);
    g_assert_cmpstr(n->rids[0].id, ==, "q");
    g_assert_cmpstr(n->rids[2].id, ==, "f");
    g_assert_cmpuint(n->rid_extmap, !=, 0);
    g_assert_cmpuint(n->repaired_rid_extmap, !=, 0);
    g_assert_cmpuint(n->transport_cc_extmap, !=, 0);
    g_assert_cmpuint(n->local_rtx_ssrc, !=, 0);
    g_assert_true(corpus_codec(n->recv_codecs, 0)->transport_cc);
    g_assert_cmpuint(corpus_codec(n->recv_codecs, 0)->rtx_pt, !=, 0);
    /* A later offer of ours has the peer's names, not ours. */
    struct sdp_local local = corpus_local_full();
    sdp_autoptr later = offer(simulcast_template(SDP_SENDRECV), &local, ours);
    g_assert_cmpuint(corpus_media(later, 1)->n_rids_recv, ==, 3);
    g_assert_cmpstr(corpus_media(later, 1)->rids_recv[0].id, ==, "q");
    /* Not wanted, or not to be had: an answer without, and one encoding. */
    struct sdp_template *narrow = corpus_template(SDP_SENDRECV);
    sdp_autoptr unwanted = sdp_make_answer(theirs, narrow, &local, NULL, NULL);
    sdp_template_free(narrow);
    g_assert_cmpuint(corpus_media(unwanted, 1)->n_rids_recv, ==, 0);
    g_autofree char *without = sdp_print(unwanted);
    g_assert_null(strstr(without, "simulcast"));
    /* Chromium makes no further offer without it. */
    g_assert_nonnull(strstr(without, ":rtp-stream-id"));
    sdp_autoptr next = offer(corpus_template(SDP_SENDRECV), &local, unwanted);
    g_autofree char *next_text = sdp_print(next);
    g_assert_nonnull(strstr(next_text, ":rtp-stream-id"));
    g_autoptr(GArray) declined = sdp_negotiate(unwanted, theirs);
    g_assert_cmpuint(negotiated(declined, 1)->n_rids + negotiated(declined, 1)->rid_extmap, ==, 0);
}

static void test_simulcast_offer(void)
{
    corpus_each("", "offer-simulcast", check_simulcast_offer);
}

/* One line of an offer replaced; NULL when it cannot be read. */
static struct sdp_description *bent(const char *name, const char *line, const char *by)
{
    g_autofree char *text = corpus_text(name);
    g_auto(GStrv) parts = g_strsplit(text, line, 2);

    g_assert_nonnull(parts[1]);
    g_autofree char *changed = g_strjoin(by, parts[0], parts[1], NULL);
    return sdp_parse(changed, NULL);
}

static void test_simulcast_forms(void)
{
    static const struct {
        const char *by, *recv; /* recv NULL: cannot be read */
    } forms[] = {
        {"simulcast:send q;~h;f", "q;h;f"},
        {"simulcast:send f,q;h", "f;h"},
        {"simulcast:send ~q,f;x;h", "q;h"}, /* x is not explained */
        {"simulcast:send q;q;h", "q;h"},
        {"simulcast:recv 1 send h;q", "h;q"},
        {"simulcast:send q;h;f;1;2;3;4;5", "q;h;f"},
        {"simulcast:send 12345678901234567;q", "q"},
        {"simulcast:recv q", ""},
        {"simulcast:send q send h", NULL},
        {"simulcast:send", NULL},
        {"simulcast:sendrecv q", NULL},
        {"simulcast:send q recv h send f", NULL},
        {"rid:x", NULL},
        {"rid:x both", NULL},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(forms); i++) {
        sdp_autoptr theirs =
            bent("chromium-156-offer-simulcast.sdp", "simulcast:send q;h;f", forms[i].by);
        g_test_message("%s", forms[i].by);
        if (!forms[i].recv) {
            g_assert_null(theirs);
            continue;
        }
        g_assert_nonnull(theirs);
        sdp_autoptr ours = answer(theirs, NULL);
        const struct sdp_media *media = corpus_media(ours, 1);
        g_autoptr(GString) rids = g_string_new(NULL);
        for (guint r = 0; r < media->n_rids_recv; r++) {
            g_string_append_printf(rids, "%s%s", r > 0 ? ";" : "", media->rids_recv[r].id);
            g_assert_false(media->rids_recv[r].paused);
        }
        g_assert_cmpstr(rids->str, ==, forms[i].recv);
        g_autoptr(GArray) medias = sdp_negotiate(ours, theirs);
        g_assert_cmpuint(negotiated(medias, 1)->n_rids, ==, media->n_rids_recv);
    }
}

/* Without the extension nothing tells the encodings apart. */
static void test_rid_without_extension(void)
{
    sdp_autoptr theirs = bent("chromium-156-offer-simulcast.sdp", "hdrext:sdes:rtp-stream-id", "x");
    sdp_autoptr ours = answer(theirs, NULL);

    g_assert_cmpuint(corpus_media(ours, 1)->n_rids_recv, ==, 0);
}

static void test_check(void)
{
    struct sdp_local local = corpus_local_full();
    sdp_autoptr ours = offer(simulcast_template(SDP_SENDRECV), &local, NULL);
    sdp_autoptr peer = again(ours);
    g_autoptr(GError) error = NULL;
    struct sdp_media *video = corpus_media(peer, 1);

    peer->setup = SDP_SETUP_ACTIVE;
    for (guint i = 0; i < 2; i++) { /* the endpoint's side, with two of our three */
        video->n_rids_recv = 0;
        video->n_rids_send = 2;
        g_strlcpy(video->rids_send[0].id, "h", SDP_MAX_RID);
        g_strlcpy(video->rids_send[1].id, i == 0 ? "l" : "x", SDP_MAX_RID);
        g_assert_true(sdp_check_answer(ours, peer, &error) == (i == 0));
        if (i > 0)
            break;
        g_autoptr(GArray) medias = sdp_negotiate(ours, peer);
        g_assert_cmpuint(negotiated(medias, 1)->n_rids, ==, 2);
        g_assert_cmpstr(negotiated(medias, 1)->rids[0].id, ==, "h"); /* its order */
    }
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_SDP_NOT_ACCEPTABLE);
    g_clear_error(&error);
    video->n_rids_send = 0;
    corpus_codec(corpus_media(ours, 1)->codecs, 0)->rtx_pt = 0;
    g_assert_false(sdp_check_answer(ours, peer, &error));
    g_assert_nonnull(strstr(error->message, "payload type 97 "));
}

/* One side's wish alone is nothing. */
static void test_one_sided(void)
{
    struct sdp_local full = corpus_local_full(), bare = corpus_local();
    sdp_autoptr ours = offer(simulcast_template(SDP_SENDRECV), &full, NULL);
    sdp_autoptr theirs = offer(corpus_template(SDP_SENDRECV), &bare, NULL);
    g_autoptr(GArray) medias = sdp_negotiate(ours, theirs);
    const struct sdp_negotiated_media *n = negotiated(medias, 1);

    g_assert_cmpuint(negotiated(medias, 0)->recv_codecs->len, ==, 1); /* no redundancy */
    g_assert_cmpuint(n->n_rids, ==, 0);
    g_assert_cmpuint(n->rid_extmap + n->transport_cc_extmap + n->dependency_extmap, ==, 0);
    g_assert_cmpuint(n->local_rtx_ssrc, ==, 0);
    for (guint i = 0; i < n->recv_codecs->len; i++) {
        g_assert_cmpuint(corpus_codec(n->recv_codecs, i)->rtx_pt, ==, 0);
        g_assert_false(corpus_codec(n->recv_codecs, i)->transport_cc);
        g_assert_false(corpus_codec(n->send_codecs, i)->goog_remb);
    }
}

static void test_remb_alone(void)
{
    struct sdp_local local = corpus_local_full();
    sdp_autoptr theirs = offer(corpus_template(SDP_SENDRECV), &local, NULL);

    for (guint i = 0; i < corpus_media(theirs, 1)->codecs->len; i++)
        corpus_codec(corpus_media(theirs, 1)->codecs, i)->transport_cc = false;
    theirs->ice_lite = false;
    sdp_autoptr ours = answer(theirs, NULL);
    g_autofree char *text = sdp_print(ours);
    g_assert_nonnull(strstr(text, "a=rtcp-fb:* goog-remb\r\n"));
    g_autoptr(GArray) medias = sdp_negotiate(ours, theirs);
    g_assert_true(corpus_codec(negotiated(medias, 1)->recv_codecs, 0)->goog_remb);
    g_assert_cmpuint(negotiated(medias, 1)->transport_cc_extmap, ==, 0);
    g_assert_cmpuint(negotiated(medias, 1)->abs_send_time_extmap, !=, 0);
    g_assert_true(corpus_codec(negotiated(medias, 0)->recv_codecs, 0)->transport_cc);
}

static void test_red(void)
{
    sdp_autoptr theirs = corpus_parse("chromium-156-offer-audio.sdp");
    sdp_autoptr ours = answer(theirs, NULL);
    g_autofree char *text = sdp_print(ours);

    g_assert_nonnull(strstr(text, "SAVPF 111 63\r\n"));
    g_assert_nonnull(strstr(text, "\r\na=rtpmap:63 red/48000/2\r\n"));
    g_assert_nonnull(strstr(text, "\r\na=fmtp:63 111/111\r\n"));
    g_assert_cmpstr(corpus_codec(corpus_media(ours, 0)->codecs, 1)->format, ==,
                    "audio/red/48000/2");
    /* Of another format, or of none, it is not taken. */
    static const char *const others[] = {"fmtp:63 0/0", "fmtp:63 111/0", "fmtp:63 x", "fmtp:63 1"};
    for (gsize i = 0; i < G_N_ELEMENTS(others); i++) {
        sdp_autoptr strange = bent("chromium-156-offer-audio.sdp", "fmtp:63 111/111", others[i]);
        sdp_autoptr without = answer(strange, NULL);
        g_assert_cmpuint(corpus_media(without, 0)->codecs->len, ==, 1);
    }
    /* Our later offer names the opus that there is. */
    sdp_autoptr firefox = corpus_parse("firefox-153-offer-audio.sdp");
    sdp_autoptr first = answer(firefox, NULL);
    struct sdp_local local = corpus_local_full();
    struct sdp_template *wanted = sdp_template_new();
    corpus_want(wanted, "0", SDP_AUDIO, SDP_SENDRECV, NULL);
    sdp_autoptr later = offer(wanted, &local, first);
    g_autofree char *later_text = sdp_print(later);
    g_assert_nonnull(strstr(later_text, " 109/109\r\n"));
}

/* Redundancy of nothing is no audio. */
static void test_red_alone(void)
{
    struct sdp_local local = corpus_local_full();
    struct sdp_template *wanted = sdp_template_new();

    corpus_want(wanted, "", SDP_AUDIO, SDP_SENDRECV, "red");
    g_assert_null(sdp_make_offer(wanted, &local, NULL, NULL));
    sdp_template_free(wanted);
}

static void test_cryptex(void)
{
    struct sdp_local local = corpus_local_full();
    sdp_autoptr theirs =
        bent("chromium-156-offer-audio.sdp", "a=rtcp-mux\r\n", "a=rtcp-mux\r\na=cryptex\r\n");
    sdp_autoptr ours = answer(theirs, NULL);
    g_autofree char *text = sdp_print(ours);

    g_assert_true(theirs->cryptex);
    g_assert_nonnull(strstr(text, "\r\na=cryptex\r\n"));
    g_autoptr(GArray) medias = sdp_negotiate(ours, theirs);
    g_assert_true(negotiated(medias, 0)->cryptex);
    sdp_autoptr later = offer(NULL, &local, ours);
    g_assert_true(later->cryptex);
    local.cryptex = false;
    sdp_autoptr without = sdp_make_answer(theirs, NULL, &local, NULL, NULL);
    g_assert_false(without->cryptex);
}

/* RFC 9335 4: for the session, or for all media of the bundle. */
static void test_cryptex_levels(void)
{
    static const struct {
        const char *before, *after;
        bool yes;
    } cases[] = {
        {"t=0 0\r\n", "t=0 0\r\na=cryptex\r\n", true},
        {"a=rtcp-mux\r\n", "a=rtcp-mux\r\na=cryptex\r\n", false}, /* the first alone */
        {"a=sctp-port:5000\r\n", "a=sctp-port:5000\r\na=cryptex\r\n", false},
        {"a=sctp-port:5000\r\n", "a=sctp-port:5000\r\n", false},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        sdp_autoptr theirs =
            bent("chromium-156-offer-data-first.sdp", cases[i].before, cases[i].after);
        sdp_autoptr ours = answer(theirs, NULL);
        g_autofree char *text = sdp_print(ours);
        g_assert_true(theirs->cryptex == cases[i].yes);
        g_assert_cmpuint(count(text, "\r\na=cryptex\r\n"), ==, cases[i].yes ? 2 : 0);
        g_assert_nonnull(strstr(text, "m=application"));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sdp/features/offer", test_offer);
    g_test_add_func("/sdp/features/offer-narrow", test_offer_narrow);
    g_test_add_func("/sdp/features/later", test_later);
    g_test_add_func("/sdp/features/browsers", test_browsers);
    g_test_add_func("/sdp/features/simulcast-offer", test_simulcast_offer);
    g_test_add_func("/sdp/features/simulcast-forms", test_simulcast_forms);
    g_test_add_func("/sdp/features/rid-without-extension", test_rid_without_extension);
    g_test_add_func("/sdp/features/check", test_check);
    g_test_add_func("/sdp/features/one-sided", test_one_sided);
    g_test_add_func("/sdp/features/remb-alone", test_remb_alone);
    g_test_add_func("/sdp/features/red", test_red);
    g_test_add_func("/sdp/features/red-alone", test_red_alone);
    g_test_add_func("/sdp/features/cryptex", test_cryptex);
    g_test_add_func("/sdp/features/cryptex-levels", test_cryptex_levels);
    return g_test_run();
}
