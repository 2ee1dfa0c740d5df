/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of a codec, and which two of them are one to a receiver (RFC 6184 8.2.2). */
#include "wsf/codec-text.h"

#include <string.h>

static void test_text(void)
{
    static const struct {
        const char *name, *fmtp, *text;
    } rows[] = {
        {"VP8", NULL, "VP8"},
        {"VP8", "max-fs=12288", "VP8"},
        {"opus", "minptime=10;useinbandfec=1", "opus"},
        {"VP9", "profile-id=2", "VP9;profile-id=2"},
        {"AV1", "level-idx=5;profile=0;tier=0", "AV1;profile=0"},
        {"h264", "level-asymmetry-allowed=1; profile-level-id=42E01F ;packetization-mode=1",
         "h264;packetization-mode=1;profile-level-id=42E01F"},
        {"H264", "", "H264"},
        {"H264", "packetization-mode=;profile-level-id=42e01f42e01f", "H264"},
        {"H264", "profile-level-id=42\"01f;;;=;packetization-mode", "H264"},
        {"VP9", "xprofile-id=1;profile-idx=2", "VP9"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = codec_text(rows[i].name, rows[i].fmtp);
        g_autofree char *name = codec_text_name(text);
        g_assert_cmpstr(text, ==, rows[i].text);
        g_assert_cmpstr(name, ==, rows[i].name);
        g_assert_true(codec_text_is_named(text, rows[i].name));
        g_assert_true(codec_text_says_more(text) == (strlen(text) > strlen(name)));
        g_assert_cmpuint(strlen(text), <=, CODEC_TEXT_MAX);
    }
}

#define H264(mode, plid) "H264;packetization-mode=" mode ";profile-level-id=" plid

static void test_fits(void)
{
    static const struct {
        const char *one, *other;
        bool fits;
    } rows[] = {
        {"VP8", "vp8", true},
        {"VP8", "VP9", false},
        {"VP8", "VP80", false},
        {"H264", H264("1", "42e01f"), true},              /* a name alone is any of it */
        {H264("1", "42e01f"), H264("1", "42E00C"), true}, /* another level */
        {H264("1", "42e01f"), H264("1", "4d801f"), true}, /* table 5: the same profile */
        {H264("1", "42e01f"), H264("0", "42e01f"), false},
        {H264("1", "42e01f"), H264("1", "42001f"), false},
        {H264("1", "64001f"), H264("1", "640c1f"), false},
        {H264("1", "64001f"), H264("1", "640028"), true},
        {H264("1", "ffffff"), H264("1", "42e01f"), false},
        {"H264;profile-level-id=42e01f", H264("0", "42e01f"), true}, /* what is absent */
        {"H264;packetization-mode=0", H264("0", "42001e"), true},
        {"VP9;profile-id=0", "VP9;profile-id=2", false},
        {"VP9;profile-id=2", "VP9;profile-id=2", true},
        {"AV1;profile=0", "AV1;profile=1", false},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_assert_true(codec_text_fits(rows[i].one, rows[i].other) == rows[i].fits);
        g_assert_true(codec_text_fits(rows[i].other, rows[i].one) == rows[i].fits);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/codec-text/text", test_text);
    g_test_add_func("/codec-text/fits", test_fits);
    return g_test_run();
}
