/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical formats: which payloads are interchangeable, and which are not known at all. */
#include "sdp-corpus.h"
#include "pipelines/sdp-codec.h"

static const char *format(enum sdp_kind kind, const char *name, guint clock, guint channels,
                          const char *fmtp)
{
    struct sdp_codec codec = {
        .name = (char *)name, .clock_rate = clock, .channels = channels, .fmtp = (char *)fmtp};
    return sdp_codec_format(kind, &codec);
}

static const char *h264(const char *fmtp)
{
    return format(SDP_VIDEO, "H264", 90000, 1, fmtp);
}

static void test_simple(void)
{
    g_assert_cmpstr(format(SDP_AUDIO, "OPUS", 48000, 2, NULL), ==, "audio/opus/48000/2");
    g_assert_null(format(SDP_AUDIO, "opus", 48000, 1, NULL)); /* RFC 7587 7 */
    g_assert_null(format(SDP_VIDEO, "opus", 48000, 2, NULL));
    g_assert_null(format(SDP_AUDIO, "VP8", 90000, 1, NULL));
    g_assert_cmpstr(format(SDP_VIDEO, "vp8", 90000, 1, "max-fs=12288"), ==, "video/VP8/90000");
    g_assert_null(format(SDP_VIDEO, "VP8", 8000, 1, NULL));
    g_assert_null(format(SDP_VIDEO, "rtx", 90000, 1, "apt=96"));
    g_assert_null(format(SDP_APPLICATION, "VP8", 90000, 1, NULL));
}

static void test_profiles(void)
{
    const char *vp9 = format(SDP_VIDEO, "VP9", 90000, 1, NULL);

    g_assert_cmpstr(vp9, ==, "video/VP9/90000;profile-id=0");
    g_assert_true(format(SDP_VIDEO, "VP9", 90000, 1, "max-fr=60; profile-id=0") == vp9);
    g_assert_true(format(SDP_VIDEO, "VP9", 90000, 1, "profile-id=2") != vp9);
    g_assert_null(format(SDP_VIDEO, "VP9", 90000, 1, "profile-id=4"));
    g_assert_null(format(SDP_VIDEO, "VP9", 90000, 1, "profile-id=two"));
    g_assert_null(format(SDP_VIDEO, "VP9", 90000, 1, "profile-id=-1"));
    g_assert_cmpstr(format(SDP_VIDEO, "AV1", 90000, 1, "level-idx=5;profile=1;tier=0"), ==,
                    "video/AV1/90000;profile=1");
    g_assert_cmpstr(format(SDP_VIDEO, "AV1", 90000, 1, NULL), ==, "video/AV1/90000;profile=0");
}

static void test_h264(void)
{
    const char *baseline = "video/H264/90000;packetization-mode=1;profile=42e0";

    g_assert_cmpstr(h264("packetization-mode=1;profile-level-id=42e01f"), ==, baseline);
    /* another level, another way to write the profile, another case, another order */
    g_assert_cmpstr(h264("profile-level-id=42E034; packetization-mode=1"), ==, baseline);
    g_assert_cmpstr(h264("packetization-mode=1;profile-level-id=42c01f"), ==, baseline);
    g_assert_cmpstr(h264("packetization-mode=1;profile-level-id=4d801f"), ==, baseline);
    g_assert_cmpstr(h264("packetization-mode=1;profile-level-id=58c01f"), ==, baseline);
    g_assert_cmpstr(h264("packetization-mode=1;profile-level-id=42001f"), ==,
                    "video/H264/90000;packetization-mode=1;profile=4200");
    g_assert_cmpstr(h264("profile-level-id=64001f"), ==,
                    "video/H264/90000;packetization-mode=0;profile=6400");
    g_assert_cmpstr(h264("profile-level-id=640c1f"), ==,
                    "video/H264/90000;packetization-mode=0;profile=640c");
    g_assert_cmpstr(h264(NULL), ==, "video/H264/90000;packetization-mode=0;profile=4200");
    g_assert_null(h264("packetization-mode=2;profile-level-id=42e01f")); /* interleaved */
    g_assert_null(h264("profile-level-id=42e0"));
    g_assert_null(h264("profile-level-id=42e01fff00"));
    g_assert_null(h264("profile-level-id=nonsen"));
    g_assert_null(h264("profile-level-id=ff001f"));
}

static void test_known(void)
{
    bool seen[128] = {false};

    for (gsize i = 0; i < sdp_n_known_codecs; i++) {
        const struct sdp_known_codec *known = &sdp_known_codecs[i];
        const char *key =
            format(known->kind, known->name, known->clock_rate, known->channels, known->fmtp);
        g_assert_nonnull(key);
        g_assert_cmpuint(known->pt, >=, 96);
        g_assert_false(seen[known->pt]);
        seen[known->pt] = true;
        /* the number behind a video codec's is free for its retransmissions */
        if (known->kind == SDP_VIDEO)
            g_assert_false(seen[known->pt + 1]);
        for (gsize k = 0; k < i; k++)
            g_assert_true(format(sdp_known_codecs[k].kind, sdp_known_codecs[k].name,
                                 sdp_known_codecs[k].clock_rate, sdp_known_codecs[k].channels,
                                 sdp_known_codecs[k].fmtp) != key);
    }
}

static void test_answer_fmtp(void)
{
    struct sdp_codec codec = {
        .name = (char *)"H264",
        .fmtp = (char *)"profile-level-id=42e01f;packetization-mode=1;sprop-parameter-sets=Z0IACp;"
                        "level-asymmetry-allowed=1"};
    g_autofree char *h264_fmtp = sdp_codec_answer_fmtp(&codec, NULL);
    g_autofree char *lower =
        sdp_codec_answer_fmtp(&codec, ";packetization-mode=1;profile-level-id=42e00c");

    g_assert_cmpstr(h264_fmtp, ==,
                    "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f");
    /* What a receiver behind us takes; the same for both directions, it is never more. */
    g_assert_cmpstr(lower, ==,
                    "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e00c");
    codec.fmtp = (char *)"packetization-mode=1;profile-level-id=42e01f";
    g_autofree char *less = sdp_codec_answer_fmtp(&codec, ";profile-level-id=42e00c");
    g_assert_cmpstr(less, ==, "packetization-mode=1;profile-level-id=42e00c");
    g_autofree char *more = sdp_codec_answer_fmtp(&codec, ";profile-level-id=42e028");
    g_assert_cmpstr(more, ==, "packetization-mode=1;profile-level-id=42e01f");
    codec.name = (char *)"VP8";
    g_assert_null(sdp_codec_answer_fmtp(&codec, NULL));
    codec.name = (char *)"VP9";
    codec.fmtp = (char *)"max-fs=12288";
    g_assert_null(sdp_codec_answer_fmtp(&codec, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sdp/codec/simple", test_simple);
    g_test_add_func("/sdp/codec/profiles", test_profiles);
    g_test_add_func("/sdp/codec/h264", test_h264);
    g_test_add_func("/sdp/codec/known", test_known);
    g_test_add_func("/sdp/codec/answer-fmtp", test_answer_fmtp);
    return g_test_run();
}
