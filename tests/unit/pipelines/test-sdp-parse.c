/* SPDX-License-Identifier: Apache-2.0 */
/* Reading: the corpus of real descriptions stays itself over parse, print, parse; what matters of
 * each browser's way is found; limits and hostile files give errors. */
#include "sdp-corpus.h"

static void check_stable(const char *name)
{
    g_autoptr(GError) error = NULL;
    sdp_autoptr first = corpus_parse(name);
    g_autofree char *once = sdp_print(first);
    sdp_autoptr second = sdp_parse(once, &error);

    g_assert_no_error(error);
    g_autofree char *twice = sdp_print(second);
    g_assert_cmpstr(once, ==, twice);
    g_assert_cmpuint(first->medias->len, ==, second->medias->len);
    g_assert_cmpstr(first->ice_ufrag, ==, second->ice_ufrag);
    g_assert_true(first->bundle == second->bundle && first->setup == second->setup);
}

static void test_stable(void)
{
    corpus_each("", "", check_stable);
}

static void test_chromium(void)
{
    sdp_autoptr d = corpus_parse("chromium-156-offer-audio-video-data.sdp");
    const struct sdp_media *audio = corpus_media(d, 0), *video = corpus_media(d, 1);

    g_assert_cmpuint(d->medias->len, ==, 3);
    g_assert_true(d->bundle && d->trickle && !d->ice_lite && !d->split_transport);
    g_assert_cmpint(d->setup, ==, SDP_SETUP_ACTPASS);
    g_assert_cmpstr(d->fingerprint_hash, ==, "sha-256");
    g_assert_cmpuint(d->fingerprint->len, ==, 32);
    g_assert_cmpuint(d->candidates->len, ==, 4);
    g_assert_cmpstr(audio->mid, ==, "0");
    g_assert_cmpint(audio->direction, ==, SDP_SENDRECV);
    g_assert_cmpuint(audio->ssrcs->len, ==, 1);
    g_assert_cmpstr(corpus_codec(audio->codecs, 0)->format, ==, "audio/opus/48000/2");
    g_assert_nonnull(audio->cname);
    g_assert_nonnull(audio->msid_track);
    g_assert_true(video->rtcp_mux && video->rtcp_rsize);
    g_assert_cmpuint(video->ssrcs->len, ==, 1); /* the FID partner is left out */
    g_assert_cmpstr(corpus_codec(video->codecs, 0)->format, ==, "video/VP8/90000");
    g_assert_true(corpus_codec(video->codecs, 0)->nack_pli);
    g_assert_true(corpus_codec(video->codecs, 0)->transport_cc);
    g_assert_cmpuint(corpus_codec(video->codecs, 0)->rtx_pt, ==, 97);
    g_assert_cmpstr(corpus_codec(video->codecs, 1)->name, !=, "rtx");
    g_assert_cmpuint(video->rtx_ssrcs->len, ==, 1);
    g_assert_cmpuint(g_array_index(video->rtx_ssrcs, guint32, 0), !=, 0);
    g_assert_cmpint(corpus_media(d, 2)->kind, ==, SDP_APPLICATION);
    g_assert_cmpuint(corpus_media(d, 2)->sctp_port, ==, 5000);
    g_assert_cmpuint(corpus_media(d, 2)->max_message_size, ==, 262144);
}

static void test_firefox(void)
{
    sdp_autoptr d = corpus_parse("firefox-153-offer-audio-video.sdp");
    const struct sdp_media *audio = corpus_media(d, 0);

    /* The fingerprint stands at session level, ICE at media level. */
    g_assert_cmpuint(d->fingerprint->len, ==, 32);
    g_assert_nonnull(d->ice_ufrag);
    g_assert_true(d->end_of_candidates && d->bundle);
    g_assert_cmpuint(corpus_codec(audio->codecs, 0)->pt, ==, 109);
    for (guint i = 0; i < audio->extmaps->len; i++) {
        const struct sdp_extmap *e = &g_array_index(audio->extmaps, struct sdp_extmap, i);
        g_assert_cmpint(e->direction, ==, e->id == 2 ? SDP_RECVONLY : SDP_SENDRECV);
    }
}

static void test_stopped(void)
{
    sdp_autoptr d = corpus_parse("firefox-153-reoffer-stopped.sdp");

    g_assert_true(d->bundle);
    g_assert_false(corpus_media(d, 0)->rejected);
    g_assert_true(corpus_media(d, 1)->rejected);
    g_assert_false(corpus_media(d, 2)->rejected); /* port 0, but bundle-only */
}

static void test_bundle_only(void)
{
    sdp_autoptr d = corpus_parse("webrtcbin-1.22-offer-audio-video-data.sdp");

    g_assert_true(d->bundle);
    for (guint i = 0; i < d->medias->len; i++)
        g_assert_false(corpus_media(d, i)->rejected);
}

static void test_lines(void)
{
    g_autofree char *text = corpus_text("plain-offer.sdp");
    g_autofree char *unix_text = g_strdup(text);

    /* RFC 8866 5: LF alone is accepted. */
    for (char *from = unix_text, *to = unix_text;; from++) {
        if (*from != '\r')
            *to++ = *from;
        if (!*from)
            break;
    }
    sdp_autoptr with_returns = sdp_parse(text, NULL);
    sdp_autoptr without = sdp_parse(unix_text, NULL);
    g_assert_nonnull(with_returns);
    g_assert_nonnull(without);
    g_assert_cmpuint(without->medias->len, ==, with_returns->medias->len);
}

static void test_size(void)
{
    g_autofree char *text = corpus_text("plain-offer.sdp");
    GString *large = g_string_new(text);
    g_autoptr(GError) error = NULL;

    while (large->len < SDP_MAX_OCTETS - 10)
        g_string_append(large, "a=x:y\r\n");
    sdp_autoptr fits = sdp_parse(large->str, NULL);
    g_assert_nonnull(fits);
    while (large->len <= SDP_MAX_OCTETS)
        g_string_append(large, "a=x:y\r\n");
    g_assert_null(sdp_parse(large->str, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_SDP);
    g_string_free(large, TRUE);
}

static void check_bad(const char *name)
{
    g_autofree char *text = corpus_text(name);
    g_autoptr(GError) error = NULL;
    sdp_autoptr d = sdp_parse(text, &error);
    struct sdp_local local = corpus_local();

    if (strstr(name, "/parse-")) {
        g_assert_null(d);
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_SDP);
        return;
    }
    g_assert_no_error(error);
    g_assert_null(sdp_make_answer(d, NULL, &local, NULL, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_SDP_NOT_ACCEPTABLE);
    g_assert_true(g_str_has_suffix(error->message, ".")); /* one sentence */
}

static void test_bad(void)
{
    corpus_each("bad", "", check_bad);
}

/* Every beginning of a description is an error or a description, never a crash. */
static void check_prefixes(const char *name)
{
    g_autofree char *text = corpus_text(name);

    for (size_t length = strlen(text); length-- > 0;) {
        text[length] = '\0';
        if (length % 7 != 0)
            continue;
        sdp_autoptr d = sdp_parse(text, NULL);
        g_autofree char *printed = d ? sdp_print(d) : NULL;
    }
}

static void test_prefixes(void)
{
    corpus_each("", "offer-audio-video.sdp", check_prefixes);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sdp/parse/stable", test_stable);
    g_test_add_func("/sdp/parse/chromium", test_chromium);
    g_test_add_func("/sdp/parse/firefox", test_firefox);
    g_test_add_func("/sdp/parse/stopped", test_stopped);
    g_test_add_func("/sdp/parse/bundle-only", test_bundle_only);
    g_test_add_func("/sdp/parse/lines", test_lines);
    g_test_add_func("/sdp/parse/size", test_size);
    g_test_add_func("/sdp/parse/bad", test_bad);
    g_test_add_func("/sdp/parse/prefixes", test_prefixes);
    return g_test_run();
}
