/* SPDX-License-Identifier: Apache-2.0 */
/* What is offered, what is answered and where a transcoder stands, for sides with and without a
 * codec in common. */
#include "wsf/transcode-plan.h"

#include "base/problem.h"

static const char *const takes[] = {"VP8", "VP9", "H264", NULL};
static const char *const gives[] = {"H264", "VP8", NULL};
static const struct transcode_skills skills = {takes, gives};

#define BASE "H264;packetization-mode=1;profile-level-id=42e01f"
#define LOWER "H264;packetization-mode=1;profile-level-id=42e00c"
#define HIGH "H264;packetization-mode=1;profile-level-id=64001f"
#define SINGLE "H264;packetization-mode=0;profile-level-id=42e01f"

/* "VP8 H264 sendrecv" for one video m-line of mid "1", behind audio with opus. */
static struct offer_template *video(const char *codecs, enum media_direction direction)
{
    static const char *const opus[] = {"opus", NULL};
    g_auto(GStrv) names = g_strsplit(codecs, " ", -1);
    struct offer_template *offer = offer_template_default(opus, (const char *const *)names);
    ((struct offer_media *)g_ptr_array_index(offer->medias, 1))->direction = direction;
    return offer;
}

static void assert_codecs(const struct offer_template *offer, const char *expected)
{
    const struct offer_media *media = offer_template_media(offer, "1");
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < media->codecs->len; i++)
        g_string_append_printf(text, "%s%s", i ? " " : "",
                               (const char *)g_ptr_array_index(media->codecs, i));
    g_assert_cmpstr(text->str, ==, expected);
    g_assert_cmpuint(offer_template_media(offer, "0")->codecs->len, ==, 1);
}

static void assert_widened(const char *codecs, enum media_direction direction, const char *expected)
{
    offer_template_auto *offer = video(codecs, direction);
    transcode_widen(offer, &skills);
    assert_codecs(offer, expected);
    transcode_widen(offer, NULL);
    assert_codecs(offer, expected);
}

static void test_offered(void)
{
    assert_widened("VP8", MEDIA_SENDRECV, "VP8 " BASE);
    assert_widened("h264", MEDIA_SENDRECV, "h264 VP8");
    assert_widened("VP8 H264 AV1", MEDIA_SENDRECV, "VP8 H264 AV1");
    /* VP9 is taken and not given. */
    assert_widened("VP9", MEDIA_SENDRECV, "VP9");
    assert_widened("VP9", MEDIA_SENDONLY, "VP9 " BASE " VP8");
    assert_widened("VP9", MEDIA_RECVONLY, "VP9");
    /* On hold: it is to stay a medium of both. */
    assert_widened("VP8", MEDIA_INACTIVE, "VP8 " BASE);
    assert_widened("AV1", MEDIA_SENDRECV, "AV1");
    /* What the encoders give is a profile, and any of them is taken. */
    assert_widened("VP8 " LOWER, MEDIA_SENDRECV, "VP8 " LOWER);
    assert_widened(HIGH, MEDIA_SENDONLY, HIGH " " BASE " VP8");
    assert_widened(HIGH, MEDIA_SENDRECV, HIGH);
}

static void assert_adapted(const char *wanted, const char *chosen, const char *expected)
{
    offer_template_auto *a = video(wanted, MEDIA_SENDRECV), *b = video(chosen, MEDIA_SENDRECV);
    offer_template_auto *adapted = transcode_adapt(a, b, &skills);
    assert_codecs(adapted, expected);
}

static void test_adapted(void)
{
    assert_adapted("VP8", "H264", "VP8");
    assert_adapted("VP8 VP9", "H264", "VP8"); /* VP9 could be sent and not received */
    assert_adapted("VP8 H264", "H264 VP8", "H264 VP8");
    assert_adapted("VP8", "H264 VP8", "VP8");
    assert_adapted("AV1", "H264", "H264"); /* what nobody could mend stays as it was answered */
    offer_template_auto *a = video("VP8", MEDIA_SENDRECV), *b = video("H264", MEDIA_SENDRECV);
    offer_template_auto *as_it_was = transcode_adapt(a, b, NULL);
    assert_codecs(as_it_was, "H264");
    /* Only received by the near side: the far one sends what is taken, it gets what is given. */
    offer_template_auto *sends = video("VP9", MEDIA_SENDONLY);
    offer_template_auto *receives = transcode_adapt(a, sends, &skills);
    assert_codecs(receives, "VP8");
    g_assert_cmpint(offer_template_media(receives, "1")->direction, ==, MEDIA_SENDONLY);
}

static void test_narrowed(void)
{
    offer_template_auto *wanted = video("VP8", MEDIA_SENDRECV);
    offer_template_auto *told = video("VP8 H264", MEDIA_SENDRECV);
    offer_template_auto *both = video("VP8 H264", MEDIA_SENDRECV);
    offer_template_auto *other = video("H264 VP8", MEDIA_SENDRECV);
    offer_template_auto *none = video("H264", MEDIA_SENDRECV);
    offer_template_auto *silent = video("H264 VP8", MEDIA_RECVONLY);
    g_assert_false(transcode_narrow(told, wanted, both));
    g_assert_false(transcode_narrow(told, wanted, none));
    g_assert_false(transcode_narrow(told, wanted, silent));
    assert_codecs(told, "VP8 H264");
    g_assert_true(transcode_narrow(told, wanted, other));
    assert_codecs(told, "VP8");
}

static const char *target(const char *from, const char *to, const struct transcode_skills *with)
{
    offer_template_auto *a = video(from, MEDIA_SENDRECV), *b = video(to, MEDIA_SENDRECV);
    return g_intern_string(
        transcode_target(offer_template_media(a, "1"), offer_template_media(b, "1"), with));
}

static void test_target(void)
{
    g_assert_cmpstr(target("VP8", "H264", &skills), ==, "H264");
    g_assert_cmpstr(target("H264", "AV1 VP8", &skills), ==, "VP8");
    g_assert_null(target("VP8", "vp8 H264", &skills));
    g_assert_null(target("VP8", "H264", NULL));
    g_assert_null(target("AV1", "H264", &skills));
    g_assert_null(target("VP8", "VP9", &skills));
    offer_template_auto *a = video("VP8", MEDIA_SENDRECV);
    g_assert_null(
        transcode_target(offer_template_media(a, "0"), offer_template_media(a, "0"), &skills));
}

static void assert_lack(const char *sent, const char *taken, const struct transcode_skills *with,
                        const char *expected)
{
    offer_template_auto *from = video(sent, MEDIA_SENDRECV), *to = video(taken, MEDIA_SENDRECV);
    g_assert_cmpstr(
        transcode_lack(offer_template_media(from, "1"), offer_template_media(to, "1"), with), ==,
        expected);
}

static void test_lack(void)
{
    assert_lack("VP8", "H264", NULL, "VP8");
    assert_lack("VP8", "H264", &skills, NULL);
    assert_lack("VP8 H264", "h264 vp8", NULL, NULL);
    assert_lack("AV1", "H264", &skills, "AV1");
}

/* RFC 6184 8.2.2: profile and mode are the same or there is no agreement; levels are each its own.
 */
static void test_profiles(void)
{
    assert_adapted(HIGH " " BASE, LOWER, LOWER);
    assert_adapted(HIGH " " BASE " VP8", HIGH " VP8", HIGH " VP8");
    assert_adapted("VP8 " HIGH, BASE, "VP8");
    assert_adapted("VP8 " BASE, SINGLE, "VP8 " BASE);
    assert_adapted("H264", LOWER, LOWER); /* who says nothing takes what there is */
    g_assert_null(target(BASE, HIGH " " LOWER, &skills));
    g_assert_cmpstr(target(HIGH, BASE, &skills), ==, "H264");
    g_assert_cmpstr(target(HIGH, BASE " VP8", &skills), ==, "H264");
    g_assert_cmpstr(target(BASE, HIGH " VP8", &skills), ==, "VP8");
    g_assert_null(target(BASE, HIGH, &skills));
    g_assert_null(target(HIGH, BASE, NULL));
}

static void test_words(void)
{
    offer_template_auto *wanted = video("AV1", MEDIA_SENDRECV);
    offer_template_auto *forms = video(HIGH " " BASE, MEDIA_SENDRECV);
    g_autoptr(GError) forbidden = NULL, unable = NULL, once = NULL;
    transcode_refuse(wanted, NULL, &forbidden);
    g_assert_error(forbidden, PROBLEM_DOMAIN, PROBLEM_SDP_NOT_ACCEPTABLE);
    g_assert_cmpstr(forbidden->message, ==,
                    "the side that was called accepts nothing of what the other one has (audio "
                    "with opus; video with AV1), and this network converts no codec into another");
    transcode_refuse(wanted, &skills, &unable);
    g_assert_cmpstr(unable->message, ==,
                    "the side that was called accepts nothing of what the other one has (audio "
                    "with opus; video with AV1), and this network converts VP8, VP9, H264 into "
                    "H264, VP8 only");
    transcode_refuse(forms, NULL, &once);
    g_assert_nonnull(g_strrstr(once->message, "video with H264)"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/transcode-plan/offered", test_offered);
    g_test_add_func("/transcode-plan/profiles", test_profiles);
    g_test_add_func("/transcode-plan/adapted", test_adapted);
    g_test_add_func("/transcode-plan/narrowed", test_narrowed);
    g_test_add_func("/transcode-plan/target", test_target);
    g_test_add_func("/transcode-plan/lack", test_lack);
    g_test_add_func("/transcode-plan/words", test_words);
    return g_test_run();
}
