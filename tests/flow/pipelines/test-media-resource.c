/* SPDX-License-Identifier: Apache-2.0 */
/* Media resources from real templates with GStreamer's own elements: they start, give RTP at their
 * pace, make key frames when asked, end, fail and go without a trace; codecs are checked by
 * decoding. */
#include "base/loop.h"
#include "base/problem.h"
#include "pipelines/leg.h"
#include "pipelines/media-resource.h"

#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <stdatomic.h>
#include <string.h>

struct watch {
    struct media_resource *resource;
    guint started, ended, stopped;
    GError *error;
    _Atomic guint packets[4], key_frames[4];
    _Atomic gint64 first_at[4], last_at[4];
    GstElement *decoder; /* appsrc of a pipeline, gets medium 1's packets; may be NULL */
};

static void on_started(void *user)
{
    ((struct watch *)user)->started++;
}

static void on_failed(void *user, const GError *error)
{
    struct watch *watch = user;
    g_assert_null(watch->error);
    watch->error = g_error_copy(error);
}

static void on_ended(void *user)
{
    ((struct watch *)user)->ended++;
}

static void on_stopped(void *user)
{
    ((struct watch *)user)->stopped++;
}

/* VP8 (RFC 7741): first packet of a frame that is a key frame, with a picture id of 15 bits. */
static bool begins_key_frame(const guint8 *rtp, gsize length)
{
    return length > 17 && (rtp[12] & 0x10) && (rtp[12] & 0x80) && (rtp[16] & 1) == 0;
}

static void on_packets(void *user, guint medium, const struct wmcf_sink_packet *packets, guint n)
{
    struct watch *watch = user;
    for (guint i = 0; i < n; i++) {
        watch->key_frames[medium] += begins_key_frame(packets[i].data, packets[i].length);
        watch->last_at[medium] = packets[i].at;
        if (!watch->first_at[medium])
            watch->first_at[medium] = packets[i].at;
        if (watch->decoder && medium == 1)
            gst_app_src_push_buffer(GST_APP_SRC(watch->decoder),
                                    gst_buffer_new_memdup(packets[i].data, packets[i].length));
    }
    watch->packets[medium] += n;
}

static const struct media_resource_ops ops = {
    .started = on_started,
    .failed = on_failed,
    .ended = on_ended,
    .stopped = on_stopped,
    .packets = on_packets,
};

static struct pipeline_surroundings surroundings = {.cpu_threads = 1};

static struct pipeline_text *fill(struct pipeline_template *t,
                                  const struct pipeline_argument *arguments, guint n)
{
    g_autoptr(GError) error = NULL;
    g_assert_nonnull(t);
    struct pipeline_text *text = pipeline_template_fill(t, arguments, n, &surroundings, "", &error);
    g_assert_no_error(error);
    pipeline_template_unref(t);
    return text;
}

static void begin(struct watch *watch, struct pipeline_text *text, guint timeout_ms)
{
    g_autoptr(GError) error = NULL;
    const struct media_resource_config config = {
        .id = "test", .text = text, .start_timeout_ms = timeout_ms, .ops = &ops, .user = watch};
    watch->resource = media_resource_new(&config, &error);
    g_assert_no_error(error);
}

static struct pipeline_text *of_text(const char *text)
{
    return fill(pipeline_template_parse("t.pipeline", text, NULL), NULL, 0);
}

#define WAIT_UNTIL(condition)                                                                      \
    do {                                                                                           \
        for (guint tries_ = 0; tries_ < 10000 && !(condition); tries_++) {                         \
            while (g_main_context_iteration(NULL, FALSE))                                          \
                ;                                                                                  \
            g_usleep(1000);                                                                        \
        }                                                                                          \
        g_assert_true(condition);                                                                  \
    } while (0)

static void end(struct watch *watch)
{
    media_resource_close(watch->resource);
    WAIT_UNTIL(watch->stopped == 1);
    media_resource_free(watch->resource);
    g_clear_error(&watch->error);
    g_assert_cmpuint(media_resources_count(), ==, 0);
}

static struct pipeline_text *test_picture(const char *codec)
{
    static const char *const folders[] = {TEMPLATES, NULL};
    const struct pipeline_argument arguments[] = {
        {.name = "width", .kind = PIPELINE_VALUE_INTEGER, .integer = 160},
        {.name = "height", .kind = PIPELINE_VALUE_INTEGER, .integer = 90},
        {.name = "video", .kind = PIPELINE_VALUE_TEXT, .text = codec},
    };
    return fill(pipeline_template_load(folders, "test", NULL), arguments, G_N_ELEMENTS(arguments));
}

static void test_plays(void)
{
    struct watch watch = {0};
    begin(&watch, test_picture("VP8"), 10000);
    WAIT_UNTIL(watch.started);
    g_assert_cmpuint(media_resource_media_count(watch.resource), ==, 2);
    const struct wmcf_sink_medium *audio = media_resource_medium(watch.resource, 0);
    const struct wmcf_sink_medium *video = media_resource_medium(watch.resource, 1);
    g_assert_cmpstr(audio->mid, ==, "audio");
    g_assert_cmpstr(audio->format, ==, "audio/opus/48000/2");
    g_assert_cmpstr(video->mid, ==, "video");
    g_assert_true(video->format == g_intern_static_string("video/VP8/90000"));
    g_assert_cmpuint(video->pt, ==, 96);
    g_assert_cmpint(media_resource_start_time(watch.resource), >, 0);
    /* At its own pace, by the clock of the thread that plays: two seconds of sound take their time,
     * less what the first packet was late on a busy machine. */
    WAIT_UNTIL(watch.packets[0] >= 100);
    g_assert_cmpint(watch.last_at[0] - watch.first_at[0], >, 500000);
    g_assert_cmpuint(watch.packets[1], >, 5);
    gint64 since = g_get_monotonic_time() - watch.last_at[1];
    g_assert_cmpint(ABS(since), <, 5 * G_USEC_PER_SEC);
    /* The next key frame of its own would come after ten seconds. */
    guint key_frames = watch.key_frames[1];
    media_resource_request_key_frame(watch.resource, 1);
    WAIT_UNTIL(watch.key_frames[1] > key_frames);
    struct wmcf_sink_stats stats;
    media_resource_stats(watch.resource, 1, &stats);
    g_assert_cmpuint(stats.key_frame_requests, ==, 1);
    media_resource_request_key_frame(watch.resource, 9); /* nobody's */
    g_assert_null(watch.error);
    end(&watch);
}

static void test_h264(void)
{
    struct watch watch = {0};
    GstElement *pipeline = gst_parse_launch(
        "appsrc name=in format=time caps=application/x-rtp,media=video,clock-rate=90000,"
        "encoding-name=H264 ! rtph264depay ! h264parse ! openh264dec ! appsink name=out sync=false",
        NULL);
    watch.decoder = gst_bin_get_by_name(GST_BIN(pipeline), "in");
    GstElement *sink = gst_bin_get_by_name(GST_BIN(pipeline), "out");
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    begin(&watch, test_picture("H264"), 10000);
    WAIT_UNTIL(watch.started);
    const struct wmcf_sink_medium *video = media_resource_medium(watch.resource, 1);
    g_assert_cmpstr(video->codec, ==, "H264");
    g_assert_cmpstr(video->format, ==, "video/H264/90000;packetization-mode=1;profile=42e0");
    GstSample *frame = NULL;
    for (guint i = 0; i < 500 && !frame; i++) {
        WAIT_UNTIL(watch.packets[1] > i);
        frame = gst_app_sink_try_pull_sample(GST_APP_SINK(sink), 0);
    }
    g_assert_nonnull(frame);
    int width = 0;
    gst_structure_get_int(gst_caps_get_structure(gst_sample_get_caps(frame), 0), "width", &width);
    g_assert_cmpint(width, ==, 160);
    gst_sample_unref(frame);
    end(&watch);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(sink);
    gst_object_unref(watch.decoder);
    gst_object_unref(pipeline);
}

#define TONE "audiotestsrc samplesperbuffer=960 num-buffers=25 "
#define OPUS " ! audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay pt=111 ! wmcfsink mid=a\n"

/* Not live: it is the sink that keeps the time. */
static void test_end_of_stream(void)
{
    struct watch watch = {0};
    gint64 from = g_get_monotonic_time();
    begin(&watch, of_text(TONE OPUS), 10000);
    WAIT_UNTIL(watch.ended);
    g_assert_cmpint(g_get_monotonic_time() - from, >, 400000);
    g_assert_cmpuint(watch.started, ==, 1);
    g_assert_cmpuint(watch.packets[0], >=, 25);
    g_assert_cmpint(media_resource_get_state(watch.resource), ==, MEDIA_RESOURCE_ENDED);
    end(&watch);
}

static void fails(const char *template, guint timeout_ms, const char *pattern)
{
    struct watch watch = {0};
    begin(&watch, of_text(template), timeout_ms);
    WAIT_UNTIL(watch.error);
    g_test_message("%s", watch.error->message);
    g_assert_error(watch.error, PROBLEM_DOMAIN, PROBLEM_WMCF_ERROR);
    g_assert_true(g_pattern_match_simple(pattern, watch.error->message));
    g_assert_cmpint(media_resource_get_state(watch.resource), ==, MEDIA_RESOURCE_FAILED);
    /* It goes by itself. */
    WAIT_UNTIL(media_resources_count() == 0);
    end(&watch);
}

static void test_failures(void)
{
    fails("# one\naudiotestsrc\n ! nosuch ! wmcfsink mid=a", 5000,
          "t.pipeline:3: no element \"nosuch\"*installed?");
    fails("audiotestsrc nosuch=1 ! wmcfsink mid=a", 5000, "t.pipeline:1: no property \"nosuch\"*");
    fails("audiotestsrc ! vp8enc ! wmcfsink mid=a", 5000, "t.pipeline:1: could not link *");
    fails("audiotestsrc wave=nosuch ! wmcfsink mid=a", 5000, "t.pipeline:1: could not set *");
    fails("audiotestsrc ! ! wmcfsink mid=a", 5000, "t.pipeline:1: syntax error");
    fails("audiotestsrc ! fakesink", 5000, "t.pipeline:1: *no \"wmcfsink\"*");
    fails(TONE OPUS TONE OPUS, 5000, "*same mid");
    fails(TONE " ! opusenc ! rtpopuspay ! wmcfsink", 5000, "*needs a mid*");
    fails(TONE " ! opusenc ! rtpopuspay ! wmcfsink mid=a/b", 5000, "*needs a mid*");
    fails("filesrc location=/nonexistent ! fakesink " TONE OPUS, 5000,
          "t.pipeline:1: filesrc*: *No such file \"/nonexistent\"*");
    fails("videotestsrc is-live=true ! video/x-raw,width=64,height=64 ! jpegenc ! rtpjpegpay ! "
          "wmcfsink mid=v",
          5000, "t.pipeline:1: wmcfsink*: wmcfsink takes RTP of opus*JPEG*");
    fails("videotestsrc is-live=true pattern=snow ! vp8enc deadline=1 ! rtpvp8pay mtu=9000 ! "
          "wmcfsink mid=v",
          5000, "t.pipeline:1: wmcfsink*: a packet of * octets *mtu=1200*");
    fails("appsrc is-live=true caps=\"application/x-rtp,media=audio,encoding-name=OPUS,"
          "clock-rate=48000,payload=111\" ! wmcfsink mid=silent",
          200, "no packet came at silent within 200 ms*");
    fails("audiotestsrc is-live=true ! identity error-after=20" OPUS, 5000,
          "t.pipeline:1: identity*: Failed after*");
}

/* Closed in every moment of its start. */
static void test_closed_early(void)
{
    for (guint i = 0; i < 20; i++) {
        struct watch watch = {0};
        begin(&watch, test_picture("VP8"), 10000);
        gint64 until = g_get_monotonic_time() + i * 5000;
        while (g_get_monotonic_time() < until)
            g_main_context_iteration(NULL, FALSE);
        guint started = watch.started;
        end(&watch);
        g_assert_cmpuint(watch.started, ==, started);
        g_assert_null(watch.error);
    }
}

static void test_try(void)
{
    g_autoptr(GError) error = NULL;
    struct pipeline_text *text = test_picture("VP8");
    g_assert_true(media_resource_try(text, &error));
    g_assert_no_error(error);
    pipeline_text_free(text);
    text = of_text("nosuch ! wmcfsink mid=a");
    g_assert_false(media_resource_try(text, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_WMCF_ERROR);
    pipeline_text_free(text);
}

static guint own_threads(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/task", 0, NULL);
    guint n = 0;
    while (g_dir_read_name(dir))
        n++;
    return n;
}

static void test_leaves_nothing(void)
{
    struct watch first = {0};
    begin(&first, test_picture("VP8"), 10000);
    WAIT_UNTIL(first.started);
    end(&first);
    guint before = own_threads();
    for (guint i = 0; i < 10; i++) {
        struct watch watch = {0};
        begin(&watch, test_picture("VP8"), 10000);
        WAIT_UNTIL(watch.started);
        end(&watch);
    }
    /* GLib keeps a thread of its pool for a while. */
    WAIT_UNTIL(own_threads() <= before + 1);
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    int result;

    g_test_init(&argc, &argv, NULL);
    loop_init(5000);
    if (!pl_init(&error)) {
        g_print("Bail out! %s\n", error->message);
        return 1;
    }
    g_test_add_func("/media-resource/plays", test_plays);
    g_test_add_func("/media-resource/h264", test_h264);
    g_test_add_func("/media-resource/end-of-stream", test_end_of_stream);
    g_test_add_func("/media-resource/failures", test_failures);
    g_test_add_func("/media-resource/closed-early", test_closed_early);
    g_test_add_func("/media-resource/try", test_try);
    g_test_add_func("/media-resource/leaves-nothing", test_leaves_nothing);
    result = g_test_run();
    pl_finish();
    return result;
}
