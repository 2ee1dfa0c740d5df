/* SPDX-License-Identifier: Apache-2.0 */
/* What is read out of a description, and what is refused however it is broken. */
#include "wsf/offer-template.h"

#include "base/problem.h"

#include <string.h>

#define OCTETS 65536
#define HEAD "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"

static struct offer_template *parse(const char *sdp)
{
    g_autoptr(GError) error = NULL;
    struct offer_template *offer = offer_template_parse(sdp, OCTETS, &error);
    g_assert_no_error(error);
    return offer;
}

static const char *joined(const struct offer_media *media, char *out, gsize size)
{
    *out = 0;
    for (guint i = 0; i < media->codecs->len; i++) {
        g_strlcat(out, i ? " " : "", size);
        g_strlcat(out, g_ptr_array_index(media->codecs, i), size);
    }
    return out;
}

static void test_browser(void)
{
    offer_template_auto *offer =
        parse(HEAD "a=group:BUNDLE 0 1 2\r\n"
                   "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 13 110\r\n"
                   "c=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\n"
                   "a=rtpmap:111 opus/48000/2\r\na=rtpmap:63 red/48000/2\r\n"
                   "a=rtpmap:110 telephone-event/48000\r\na=rtpmap:13 CN/8000\r\n"
                   "m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 104\r\n"
                   "a=mid:1\r\na=recvonly\r\n"
                   "a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\n"
                   "a=rtpmap:102 H264/90000\r\na=rtpmap:103 rtx/90000\r\n"
                   "a=rtpmap:104 h264/90000\r\n"
                   "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:data\r\n");
    char text[100];
    g_assert_cmpuint(offer->medias->len, ==, 3);
    const struct offer_media *audio = offer_template_media(offer, "0"),
                             *video = offer_template_media(offer, "1"),
                             *data = offer_template_media(offer, "data");
    g_assert_cmpint(audio->direction, ==, MEDIA_SENDRECV);
    g_assert_cmpstr(joined(audio, text, sizeof text), ==, "opus G722 PCMU");
    g_assert_cmpint(video->direction, ==, MEDIA_RECVONLY);
    g_assert_cmpstr(joined(video, text, sizeof text), ==, "VP8 H264");
    g_assert_cmpint(data->kind, ==, MEDIA_APPLICATION);
    g_assert_null(offer_template_media(offer, "3"));

    offer_template_auto *wanted = offer_template_wanted(offer, NULL);
    g_assert_cmpuint(wanted->medias->len, ==, 3);
    json_auto_t *json = offer_template_json(wanted);
    char *printed = json_dumps(json, JSON_COMPACT);
    g_assert_cmpstr(
        printed, ==,
        "{\"medias\":[{\"mid\":\"0\",\"mediaType\":\"audio\",\"direction\":\"sendrecv\","
        "\"codecs\":[\"opus\",\"G722\",\"PCMU\"]},{\"mid\":\"1\",\"mediaType\":\"video\","
        "\"direction\":\"recvonly\",\"codecs\":[\"VP8\",\"H264\"]},{\"mid\":\"2\","
        "\"mediaType\":\"application\",\"direction\":\"sendrecv\",\"codecs\":[]}],\"bundle\":"
        "true}");
    free(printed);

    g_assert_true(offer_template_drop(wanted, MEDIA_APPLICATION));
    g_assert_cmpuint(wanted->medias->len, ==, 2);
    g_assert_false(offer_template_drop(wanted, MEDIA_APPLICATION));
}

static void test_answer(void)
{
    offer_template_auto *answer = parse(HEAD "a=sendonly\r\n"
                                             "m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=mid:a\r\n"
                                             "a=rtpmap:111 opus/48000/2\r\n"
                                             "m=video 0 UDP/TLS/RTP/SAVPF 96\n"
                                             "a=bundle-only\na=mid:v\na=rtpmap:96 VP8/90000");
    offer_template_auto *chosen = offer_template_chosen(answer, NULL);
    g_assert_cmpuint(chosen->medias->len, ==, 1);
    const struct offer_media *video = offer_template_media(chosen, "v");
    g_assert_nonnull(video);
    g_assert_cmpint(video->direction, ==, MEDIA_SENDONLY);
    offer_template_auto *nothing =
        parse(HEAD "m=audio 0 RTP/AVP 0\r\nm=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n");
    g_autoptr(GError) error = NULL;
    g_assert_null(offer_template_chosen(nothing, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_SDP_NOT_ACCEPTABLE);
}

/* Forms of a codec: each with what tells it apart, names once for who knows no forms. */
static void test_formats(void)
{
    offer_template_auto *offer = parse(
        HEAD "m=video 9 UDP/TLS/RTP/SAVPF 102 104 98 100 96\r\na=mid:1\r\n"
             "a=rtpmap:102 H264/90000\r\na=rtpmap:104 H264/90000\r\na=rtpmap:98 VP9/90000\r\n"
             "a=rtpmap:100 VP9/90000\r\na=rtpmap:96 VP8/90000\r\n"
             "a=fmtp:102 profile-level-id=42e01f;packetization-mode=1;sprop-x=Z0IACp\r\n"
             "a=fmtp:104 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=64001f"
             "\r\na=fmtp:98 profile-id=0\r\na=fmtp:100 profile-id=2\r\n"
             "a=fmtp:\r\na=fmtp:x y\r\na=fmtp:999 profile-id=1\r\na=fmtp:96\r\n");
    char text[300];
    g_assert_cmpstr(joined(offer_template_media(offer, "1"), text, sizeof text), ==,
                    "H264;packetization-mode=1;profile-level-id=42e01f "
                    "H264;packetization-mode=0;profile-level-id=64001f VP9;profile-id=0 "
                    "VP9;profile-id=2 VP8");
    json_auto_t *json = offer_template_json(offer);
    char *printed = json_dumps(json, JSON_COMPACT);
    g_assert_cmpstr(
        printed, ==,
        "{\"medias\":[{\"mid\":\"1\",\"mediaType\":\"video\",\"direction\":\"sendrecv\","
        "\"codecs\":[\"H264\",\"VP9\",\"VP8\"],\"formats\":["
        "\"H264;packetization-mode=1;profile-level-id=42e01f\","
        "\"H264;packetization-mode=0;profile-level-id=64001f\",\"VP9;profile-id=0\","
        "\"VP9;profile-id=2\"]}],\"bundle\":true}");
    free(printed);
}

static void test_without_mid(void)
{
    offer_template_auto *offer = parse(HEAD "m=audio 9 RTP/AVP 0\r\nm=video 9 RTP/AVP 96\r\n"
                                            "a=rtpmap:96 VP8/90000\r\na=inactive\r\n");
    g_assert_nonnull(offer_template_media(offer, "0"));
    g_assert_cmpint(offer_template_media(offer, "1")->direction, ==, MEDIA_INACTIVE);
}

static void test_default(void)
{
    static const char *const audio[] = {"opus", NULL}, *const video[] = {"VP8", "H264", NULL},
                             *const none[] = {NULL};
    offer_template_auto *both = offer_template_default(audio, video);
    g_assert_cmpuint(both->medias->len, ==, 2);
    offer_template_auto *picture = offer_template_default(none, video);
    g_assert_cmpuint(picture->medias->len, ==, 1);
    g_assert_nonnull(offer_template_media(picture, "0"));
    offer_template_auto *nothing = offer_template_default(NULL, NULL);
    g_assert_cmpuint(nothing->medias->len, ==, 0);
}

static void test_refused(void)
{
    static const char *const bad[] = {
        "",
        "\r\n",
        "hello",
        "v=1\r\n",
        "v=0\r\n",
        "v=0\r\n\r\nm=audio 9 RTP/AVP 0\r\n",
        HEAD,
        HEAD "m=\r\n",
        HEAD "m=audio\r\n",
        HEAD "m=audio 9\r\n",
        HEAD "m=audio 9 RTP/AVP\r\n",
        HEAD "m=audio x RTP/AVP 0\r\n",
        HEAD "m=audio 65536 RTP/AVP 0\r\n",
        HEAD "m=audio -1 RTP/AVP 0\r\n",
        HEAD "m=audio 9 RTP/AVP 128\r\n",
        HEAD "m=audio 9 RTP/AVP opus\r\n",
        HEAD "m=text 9 RTP/AVP 96\r\n",
        HEAD "a=mid:0\r\nm=audio 9 RTP/AVP 0\r\n",
        HEAD "m=audio 9 RTP/AVP 0\r\na=mid:\r\n",
        HEAD "m=audio 9 RTP/AVP 0\r\na=mid:a b\r\n",
        HEAD "m=audio 9 RTP/AVP 0\r\na=mid:12345678901234567\r\n",
        HEAD "m=audio 9 RTP/AVP 0\r\na=mid:x\r\nm=video 9 RTP/AVP 0\r\na=mid:x\r\n",
        HEAD "a=rtpmap:96 VP8/90000\r\nm=video 9 RTP/AVP 96\r\n",
        HEAD "m=video 9 RTP/AVP 96\r\na=rtpmap:96\r\n",
        HEAD "m=video 9 RTP/AVP 96\r\na=rtpmap:96 VP8\r\n",
        HEAD "m=video 9 RTP/AVP 96\r\na=rtpmap:x VP8/90000\r\n",
        HEAD "m=video 9 RTP/AVP 96\r\na=rtpmap:96 /90000\r\n",
        HEAD "m=video 9 RTP/AVP 96\r\na=rtpmap:96 V\"P8/90000\r\n",
        HEAD "m=video 9 RTP/AVP 96\r\n=x\r\n",
        HEAD "m=video 9 RTP/AVP 96\r\nx\r\n",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(offer_template_parse(bad[i], OCTETS, &error));
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_SDP);
    }
    g_autoptr(GError) error = NULL;
    g_assert_null(offer_template_parse(HEAD, 10, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_MESSAGE_TOO_LARGE);
}

static void test_bounds(void)
{
    g_autoptr(GString) many = g_string_new(HEAD);
    for (int i = 0; i < OFFER_MAX_MEDIAS; i++)
        g_string_append(many, "m=audio 9 RTP/AVP 0\r\n");
    offer_template_auto *full = parse(many->str);
    g_assert_cmpuint(full->medias->len, ==, OFFER_MAX_MEDIAS);
    g_string_append(many, "m=audio 9 RTP/AVP 0\r\n");
    g_assert_null(offer_template_parse(many->str, OCTETS, NULL));

    g_autoptr(GString) formats = g_string_new(HEAD "m=audio 9 RTP/AVP");
    for (int i = 0; i <= OFFER_MAX_CODECS; i++)
        g_string_append(formats, " 0");
    g_assert_null(offer_template_parse(formats->str, OCTETS, NULL));

    g_autoptr(GString) maps = g_string_new(HEAD "m=video 9 RTP/AVP 96\r\n");
    for (int i = 0; i <= OFFER_MAX_CODECS; i++)
        g_string_append(maps, "a=rtpmap:96 VP8/90000\r\n");
    g_assert_null(offer_template_parse(maps->str, OCTETS, NULL));

    g_autoptr(GString) name = g_string_new(HEAD "m=video 9 RTP/AVP 96\r\na=rtpmap:96 ");
    for (int i = 0; i < 33; i++)
        g_string_append_c(name, 'x');
    g_string_append(name, "/90000\r\n");
    g_assert_null(offer_template_parse(name->str, OCTETS, NULL));
}

/* Any piece of a description, with any one character changed, is read or refused, no more. */
static void test_mutations(void)
{
    static const char sample[] = HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\na=mid:0\r\n"
                                      "a=rtpmap:111 opus/48000/2\r\nm=video 0 RTP/SAVPF 96\r\n"
                                      "a=bundle-only\r\na=rtpmap:96 VP8/90000\r\na=sendonly\r\n";
    for (size_t cut = 0; cut <= strlen(sample); cut++) {
        g_autofree char *piece = g_strndup(sample, cut);
        offer_template_auto *offer = offer_template_parse(piece, OCTETS, NULL);
        (void)offer;
    }
    for (size_t place = 0; place < strlen(sample); place++)
        for (int c = 1; c < 256; c++) {
            g_autofree char *changed = g_strdup(sample);
            changed[place] = (char)c;
            offer_template_auto *offer = offer_template_parse(changed, OCTETS, NULL);
            offer_template_auto *wanted = offer ? offer_template_wanted(offer, NULL) : NULL;
            if (wanted) {
                json_auto_t *json = offer_template_json(wanted);
                g_assert_nonnull(json);
            }
        }
}

/* "0 sendrecv opus; 1 recvonly VP8 H264": m-lines as short as can be; a mid with v is a video. */
static struct offer_template *lines(const char *text)
{
    g_autoptr(GString) sdp = g_string_new(HEAD);
    g_auto(GStrv) parts = g_strsplit(text, "; ", 0);
    for (guint i = 0; parts[i]; i++) {
        g_auto(GStrv) words = g_strsplit(parts[i], " ", 0);
        g_string_append_printf(sdp, "m=%s 9 RTP/SAVPF 96 97 98\r\na=mid:%s\r\na=%s\r\n",
                               strchr(words[0], 'v') ? "video" : "audio", words[0], words[1]);
        for (guint c = 2; words[c]; c++)
            g_string_append_printf(sdp, "a=rtpmap:%u %s/90000\r\n", 94 + c, words[c]);
    }
    return parse(sdp->str);
}

static char *text_of(const struct offer_template *offer)
{
    GString *text = g_string_new(NULL);
    char codecs[100];
    for (guint i = 0; i < offer->medias->len; i++) {
        const struct offer_media *media = g_ptr_array_index(offer->medias, i);
        g_string_append_printf(text, "%s%s %s %s", i ? "; " : "", media->mid,
                               media_direction_name(media->direction),
                               joined(media, codecs, sizeof codecs));
    }
    return g_string_free(text, FALSE);
}

static void assert_text(const struct offer_template *offer, const char *expected)
{
    g_autofree char *text = text_of(offer);
    g_assert_cmpstr(text, ==, expected);
}

/* Whether the far side is asked: what it was told, what it agreed to, what is wanted now. */
static void test_asks(void)
{
    static const struct {
        const char *told, *agreed, *wanted;
        bool asks;
    } rows[] = {
        {"0 sendrecv opus", "0 sendrecv opus", "0 sendrecv opus", false},
        {"0 sendrecv opus", "0 sendrecv opus", "0 sendonly opus", true}, /* hold */
        {"0 sendonly opus", "0 recvonly opus", "0 sendonly opus", false},
        {"0 sendonly opus", "0 recvonly opus", "0 sendrecv opus", true}, /* resume */
        {"0 sendrecv opus", "0 sendrecv opus", "0 sendrecv opus; 1v sendrecv VP8", true},
        {"0 sendrecv opus", "0 sendrecv opus", "0 sendrecv opus; 1v inactive VP8", false},
        {"0 sendrecv opus; 1v sendrecv VP8", "0 sendrecv opus; 1v sendrecv VP8", "0 sendrecv opus",
         true}, /* taken away */
        {"0 sendrecv opus; 1v inactive VP8", "0 sendrecv opus; 1v inactive VP8", "0 sendrecv opus",
         false},
        {"0 sendrecv opus; 1v sendrecv VP8", "0 sendrecv opus", "0 sendrecv opus; 1v sendrecv VP8",
         true}, /* refused once, wanted again */
        /* It offers all that it knows, as browsers do: what is in use goes on. */
        {"1v sendrecv VP8", "1v sendrecv VP8", "1v sendrecv VP8 H264", false},
        {"1v sendrecv VP8", "1v sendrecv VP8", "1v sendrecv H264 VP8", true},
        {"1v sendrecv H264 VP8", "1v sendrecv VP8", "1v sendrecv H264 VP8",
         false}, /* knows it not */
        {"1v sendrecv VP8 H264", "1v sendrecv VP8 H264", "1v sendrecv H264", true},
        {"1v sendrecv VP8 H264", "1v sendrecv VP8 H264", "1v sendrecv H264 VP8", false},
        {"0 sendrecv opus", "0 sendrecv opus", "0v sendrecv VP8",
         true}, /* another mid is another */
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        offer_template_auto *told = lines(rows[i].told), *agreed = lines(rows[i].agreed),
                            *wanted = lines(rows[i].wanted);
        g_test_message("row %zu", i);
        g_assert_cmpint(offer_template_asks(wanted, told, agreed), ==, rows[i].asks);
    }
}

static void test_modifications(void)
{
    offer_template_auto *told = lines("0 sendrecv opus; 1v sendonly VP8 H264");
    offer_template_auto *wanted = lines("0 sendonly opus; 2v sendrecv VP8");
    offer_template_auto *towards = offer_template_towards(wanted, told);
    assert_text(towards, "0 sendonly opus; 2v sendrecv VP8; 1v inactive VP8 H264");
    offer_template_auto *mirror = offer_template_mirror(told);
    assert_text(mirror, "0 sendrecv opus; 1v recvonly VP8 H264");
    offer_template_auto *back = offer_template_mirror(mirror);
    assert_text(back, "0 sendrecv opus; 1v sendonly VP8 H264");
    offer_template_auto *limit = offer_template_limit(wanted, told);
    assert_text(limit, "0 sendrecv opus");
    /* By kind and order, whatever the mids of a throw-away connection are. */
    offer_template_auto *pre_offer =
        lines("a sendrecv opus; v recvonly VP8; vv sendonly VP8; b sendonly opus");
    offer_template_auto *placed = offer_template_place(pre_offer, told, wanted);
    assert_text(placed, "0 sendrecv opus; 1v recvonly VP8; 1 sendonly VP8; 2 sendonly opus");
    offer_template_auto *own = offer_template_own(pre_offer, NULL);
    assert_text(own, "a sendrecv opus; v recvonly VP8; vv sendonly VP8; b sendonly opus");
}

/* Slots of a room. */
static void test_slots(void)
{
    offer_template_auto *offer = lines("0 sendrecv opus; 2v recvonly VP8 H264");
    const struct offer_media *video = offer_template_media(offer, "2v");
    offer_template_add(offer, MEDIA_VIDEO, MEDIA_SENDONLY, video->codecs);
    offer_template_add(offer, MEDIA_VIDEO, MEDIA_SENDONLY, video->codecs);
    char text[100];
    g_assert_cmpuint(offer->medias->len, ==, 4);
    const struct offer_media *slot = offer_template_media(offer, "1");
    g_assert_cmpstr(joined(slot, text, sizeof text), ==, "VP8 H264");
    g_assert_nonnull(offer_template_media(offer, "2"));
    g_assert_cmpuint(offer_template_count(offer, MEDIA_VIDEO, MEDIA_SENDONLY), ==, 2);
    g_assert_cmpuint(offer_template_count(offer, MEDIA_VIDEO, MEDIA_RECVONLY), ==, 1);
    g_assert_cmpuint(offer_template_count(offer, MEDIA_AUDIO, MEDIA_SENDRECV), ==, 1);
    g_assert_cmpuint(offer_template_count(offer, MEDIA_APPLICATION, MEDIA_SENDONLY), ==, 0);
    offer_template_auto *other = lines("9 sendrecv opus");
    offer_template_append(other, slot, MEDIA_RECVONLY);
    g_assert_cmpint(offer_template_media(other, "1")->direction, ==, MEDIA_RECVONLY);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/offer-template/browser", test_browser);
    g_test_add_func("/offer-template/answer", test_answer);
    g_test_add_func("/offer-template/formats", test_formats);
    g_test_add_func("/offer-template/without-mid", test_without_mid);
    g_test_add_func("/offer-template/default", test_default);
    g_test_add_func("/offer-template/refused", test_refused);
    g_test_add_func("/offer-template/bounds", test_bounds);
    g_test_add_func("/offer-template/mutations", test_mutations);
    g_test_add_func("/offer-template/asks", test_asks);
    g_test_add_func("/offer-template/modifications", test_modifications);
    g_test_add_func("/offer-template/slots", test_slots);
    return g_test_run();
}
