/* SPDX-License-Identifier: Apache-2.0 */
/* Payload beginnings as encoders in browsers write them. */
#include "wmcf/relay/key-frame-request.h"
#include "wmcf/relay/key-frame.h"

#include <glib.h>
#include <string.h>

#define BEGINS(codec, ...)                                                                         \
    key_frame_begins(codec, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void test_formats(void)
{
    g_assert_cmpint(key_frame_codec_of_format("video/VP8/90000"), ==, KEY_FRAME_VP8);
    g_assert_cmpint(key_frame_codec_of_format("video/vp9/90000;profile-id=0"), ==, KEY_FRAME_VP9);
    g_assert_cmpint(key_frame_codec_of_format("video/H264/90000;packetization-mode=1;profile=42e0"),
                    ==, KEY_FRAME_H264);
    g_assert_cmpint(key_frame_codec_of_format("video/AV1/90000"), ==, KEY_FRAME_AV1);
    g_assert_cmpint(key_frame_codec_of_format("video/H265/90000"), ==, KEY_FRAME_UNKNOWN);
    g_assert_cmpint(key_frame_codec_of_format("audio/opus/48000/2"), ==, KEY_FRAME_UNKNOWN);
    g_assert_cmpint(key_frame_codec_of_format(NULL), ==, KEY_FRAME_UNKNOWN);
}

static void test_vp8(void)
{
    /* X=1 S=1, I L T K, 15-bit picture id, TL0PICIDX, TID; key frame with its start code */
    g_assert_true(BEGINS(KEY_FRAME_VP8, 0x90, 0xe0, 0x80, 0x01, 0x00, 0x20, 0x50, 0x42, 0x00, 0x9d,
                         0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01));
    g_assert_false(BEGINS(KEY_FRAME_VP8, 0x90, 0xe0, 0x80, 0x02, 0x00, 0x20, 0x31, 0x42, 0x00));
    /* the key frame's second packet: S=0 */
    g_assert_false(BEGINS(KEY_FRAME_VP8, 0x80, 0xe0, 0x80, 0x01, 0x00, 0x20, 0x50, 0x42, 0x00));
    /* second partition begins: S=1 PID=1 */
    g_assert_false(BEGINS(KEY_FRAME_VP8, 0x91, 0xe0, 0x80, 0x01, 0x00, 0x20, 0x50));
    /* no extension; 7-bit picture id */
    g_assert_true(BEGINS(KEY_FRAME_VP8, 0x10, 0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a));
    g_assert_true(BEGINS(KEY_FRAME_VP8, 0x90, 0x80, 0x11, 0x10));
    g_assert_false(BEGINS(KEY_FRAME_VP8, 0x90, 0x80, 0x11, 0x11));
    g_assert_false(BEGINS(KEY_FRAME_VP8, 0x90, 0x80, 0x80, 0x11)); /* cut off */
    g_assert_false(BEGINS(KEY_FRAME_VP8, 0x90));
    g_assert_false(BEGINS(KEY_FRAME_VP8, 0x10));
}

static void test_vp9(void)
{
    /* I L B V: picture id, layer 0, scalability structure; key frame */
    g_assert_true(BEGINS(KEY_FRAME_VP9, 0xaa, 0x80, 0x01, 0x00, 0x00, 0x18));
    g_assert_true(BEGINS(KEY_FRAME_VP9, 0x88, 0x12, 0x82));
    g_assert_false(BEGINS(KEY_FRAME_VP9, 0xea, 0x80, 0x02, 0x00)); /* P=1 */
    g_assert_false(BEGINS(KEY_FRAME_VP9, 0xa2, 0x80, 0x01, 0x00)); /* B=0 */
    g_assert_false(BEGINS(KEY_FRAME_VP9, 0xa8, 0x80, 0x01, 0x02)); /* spatial layer 1 */
    g_assert_false(BEGINS(KEY_FRAME_VP9, 0xa8, 0x80));
    g_assert_true(BEGINS(KEY_FRAME_VP9, 0x08));
}

static void test_h264(void)
{
    /* STAP-A of SPS and PPS, as libwebrtc sends before each IDR */
    g_assert_true(
        BEGINS(KEY_FRAME_H264, 0x78, 0x00, 0x04, 0x67, 0x42, 0xe0, 0x1f, 0x00, 0x02, 0x68, 0xce));
    g_assert_true(BEGINS(KEY_FRAME_H264, 0x67, 0x42, 0xe0, 0x1f));  /* SPS alone */
    g_assert_true(BEGINS(KEY_FRAME_H264, 0x65, 0x88, 0x84));        /* IDR, first slice */
    g_assert_false(BEGINS(KEY_FRAME_H264, 0x65, 0x40, 0x84));       /* IDR, a later slice */
    g_assert_true(BEGINS(KEY_FRAME_H264, 0x7c, 0x85, 0x88, 0x84));  /* FU-A, S, IDR */
    g_assert_false(BEGINS(KEY_FRAME_H264, 0x7c, 0x05, 0x88, 0x84)); /* FU-A, middle */
    g_assert_false(BEGINS(KEY_FRAME_H264, 0x7c, 0x81, 0x9a, 0x84)); /* FU-A, S, non-IDR */
    g_assert_false(BEGINS(KEY_FRAME_H264, 0x61, 0x9a));             /* non-IDR */
    g_assert_false(BEGINS(KEY_FRAME_H264, 0x68, 0xce));             /* PPS alone */
    g_assert_false(BEGINS(KEY_FRAME_H264, 0x78, 0x00, 0x40, 0x67)); /* STAP-A cut off */
    g_assert_false(BEGINS(KEY_FRAME_H264, 0x78, 0x00, 0x00, 0x67));
    g_assert_false(BEGINS(KEY_FRAME_H264, 0x7c, 0x85));
    g_assert_false(BEGINS(KEY_FRAME_H264, 0x65));
}

static void test_av1(void)
{
    g_assert_true(BEGINS(KEY_FRAME_AV1, 0x18, 0x0a, 0x0b)); /* W=1 N=1 */
    g_assert_true(BEGINS(KEY_FRAME_AV1, 0x68, 0x0a, 0x0b)); /* Y=1 W=2 N=1 */
    g_assert_false(BEGINS(KEY_FRAME_AV1, 0x10, 0x32));      /* N=0 */
    g_assert_false(BEGINS(KEY_FRAME_AV1, 0x98, 0x32));      /* Z=1 */
}

/* No length and no content may read beyond the end (seen by the address sanitizer). */
static void test_any_octets(void)
{
    for (unsigned i = 0; i < 200000; i++) {
        size_t length = (size_t)g_random_int_range(0, 12);
        g_autofree uint8_t *payload = g_malloc(length + 1 - (length > 0));
        for (size_t k = 0; k < length; k++)
            payload[k] = (uint8_t)g_random_int();
        for (int codec = KEY_FRAME_UNKNOWN; codec <= KEY_FRAME_AV1; codec++)
            key_frame_begins((enum key_frame_codec)codec, payload, length);
    }
}

#define MS INT64_C(1000)

static void test_request(void)
{
    struct key_frame_request request = {0};
    int64_t t = 1000000 * MS;
    g_assert_false(key_frame_request_due(&request, t, 500 * MS, t));
    key_frame_request_ask(&request);
    g_assert_true(key_frame_request_due(&request, t, 500 * MS, t));
    /* merged, and throttled also over a key frame in between */
    key_frame_request_ask(&request);
    g_assert_false(key_frame_request_due(&request, t + 100 * MS, 500 * MS, t));
    key_frame_request_satisfied(&request);
    g_assert_false(key_frame_request_due(&request, t + 600 * MS, 500 * MS, t));
    key_frame_request_ask(&request);
    g_assert_true(key_frame_request_due(&request, t + 600 * MS, 500 * MS, t + 600 * MS));
    /* repeated until it comes, less often when it does not */
    unsigned sent = 0;
    for (int64_t now = t + 600 * MS; now < t + 60600 * MS; now += 20 * MS)
        sent += key_frame_request_due(&request, now, 500 * MS, now);
    g_assert_cmpuint(sent, >=, 10 + 8);
    g_assert_cmpuint(sent, <=, 10 + 16);
    /* a silent source is asked once, then rarely */
    struct key_frame_request silent = {0};
    key_frame_request_ask(&silent);
    sent = 0;
    for (int64_t now = t; now < t + 8000 * MS; now += 20 * MS)
        sent += key_frame_request_due(&silent, now, 500 * MS, 0);
    g_assert_cmpuint(sent, ==, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/key-frame/formats", test_formats);
    g_test_add_func("/key-frame/vp8", test_vp8);
    g_test_add_func("/key-frame/vp9", test_vp9);
    g_test_add_func("/key-frame/h264", test_h264);
    g_test_add_func("/key-frame/av1", test_av1);
    g_test_add_func("/key-frame/any-octets", test_any_octets);
    g_test_add_func("/key-frame/request", test_request);
    return g_test_run();
}
