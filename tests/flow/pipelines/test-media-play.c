/* SPDX-License-Identifier: Apache-2.0 */
/* The template `play` with files that are made here: both streams, one alone, the end, repetition,
 * pause, seek and other values while it plays, its end meanwhile, and what is no film at all. The
 * RTP is looked at: its timestamps follow the time through all of it. */
#include "base/loop.h"
#include "base/problem.h"
#include "pipelines/leg.h"
#include "pipelines/media-resource.h"

#include <glib/gstdio.h>
#include <gst/base/gstbasetransform.h>
#include <stdatomic.h>
#include <string.h>

#define MEDIA 2

struct watch {
    struct media_resource *resource;
    guint started, ended, stopped, changed;
    GError *error, *refused;
    _Atomic guint packets[MEDIA], octets[MEDIA], jumps[MEDIA];
    guint32 last_timestamp[MEDIA];
    guint16 last_sequence[MEDIA];
    gint64 last_at[MEDIA];
};

static char *folder;

static void on_started(void *user)
{
    ((struct watch *)user)->started++;
}

static void on_failed(void *user, const GError *error)
{
    ((struct watch *)user)->error = g_error_copy(error);
}

static void on_ended(void *user)
{
    ((struct watch *)user)->ended++;
}

static void on_stopped(void *user)
{
    ((struct watch *)user)->stopped++;
}

static void on_packets(void *user, guint medium, const struct wmcf_sink_packet *packets, guint n)
{
    struct watch *watch = user;
    const guint rate = medium == 0 ? 48000 : 90000;
    for (guint i = 0; i < n; i++) {
        guint32 timestamp = GST_READ_UINT32_BE(packets[i].data + 4);
        gint64 elapsed = (packets[i].at - watch->last_at[medium]) * rate / G_USEC_PER_SEC;
        gint64 went = (gint32)(timestamp - watch->last_timestamp[medium]);
        if (watch->last_at[medium] && ABS(went - elapsed) > rate / 4)
            watch->jumps[medium]++;
        guint16 sequence = GST_READ_UINT16_BE(packets[i].data + 2);
        watch->jumps[medium] +=
            watch->last_at[medium] && sequence != (guint16)(watch->last_sequence[medium] + 1);
        watch->last_sequence[medium] = sequence;
        watch->last_timestamp[medium] = timestamp;
        watch->last_at[medium] = packets[i].at;
        watch->octets[medium] += packets[i].length;
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

#define WAIT_UNTIL(condition)                                                                      \
    do {                                                                                           \
        for (guint tries_ = 0; tries_ < 15000 && !(condition); tries_++) {                         \
            while (g_main_context_iteration(NULL, FALSE))                                          \
                ;                                                                                  \
            g_usleep(1000);                                                                        \
        }                                                                                          \
        g_assert_true(condition);                                                                  \
    } while (0)

/* --- a change that hangs ---------------------------------------------------------------------- */

/* Passes what comes. Whoever sets its property waits there until the element stops. */
typedef GstBaseTransform Halt;
typedef GstBaseTransformClass HaltClass;

GType halt_get_type(void);
G_DEFINE_TYPE(Halt, halt, GST_TYPE_BASE_TRANSFORM)

/* There is one at a time. */
static struct {
    GMutex lock;
    GCond change;
    bool runs;   /* it is between READY and NULL */
    bool breaks; /* it tells an error before it hangs */
    _Atomic guint halted;
} halt;

static void halt_set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
    gint64 until = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    if (halt.breaks)
        GST_ELEMENT_ERROR(object, STREAM, FAILED, ("it is broken"), (NULL));
    halt.halted++;
    g_mutex_lock(&halt.lock);
    while (halt.runs && g_cond_wait_until(&halt.change, &halt.lock, until))
        ;
    g_mutex_unlock(&halt.lock);
}

static GstStateChangeReturn halt_change_state(GstElement *element, GstStateChange change)
{
    if (change == GST_STATE_CHANGE_READY_TO_PAUSED || change == GST_STATE_CHANGE_PAUSED_TO_READY) {
        g_mutex_lock(&halt.lock);
        halt.runs = change == GST_STATE_CHANGE_READY_TO_PAUSED;
        g_cond_broadcast(&halt.change);
        g_mutex_unlock(&halt.lock);
    }
    return GST_ELEMENT_CLASS(halt_parent_class)->change_state(element, change);
}

static void halt_class_init(HaltClass *class)
{
    static GstStaticPadTemplate sink =
        GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);
    static GstStaticPadTemplate src =
        GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);
    GstElementClass *element = GST_ELEMENT_CLASS(class);
    gst_element_class_add_static_pad_template(element, &sink);
    gst_element_class_add_static_pad_template(element, &src);
    gst_element_class_set_static_metadata(element, "Halt", "Filter", "Hangs", "test");
    element->change_state = halt_change_state;
    G_OBJECT_CLASS(class)->set_property = halt_set_property;
    g_object_class_install_property(
        G_OBJECT_CLASS(class), 1,
        g_param_spec_boolean("hang", NULL, NULL, FALSE, G_PARAM_WRITABLE | G_PARAM_STATIC_STRINGS));
}

static void halt_init(Halt *self)
{
    gst_base_transform_set_passthrough(self, TRUE);
}

/* --- films ------------------------------------------------------------------------------------ */

static void make_film(const char *name, const char *description)
{
    g_autofree char *text =
        g_strdup_printf("%s ! filesink location=%s/%s", description, folder, name);
    g_autoptr(GError) error = NULL;
    GstElement *pipeline = gst_parse_launch(text, &error);
    g_assert_no_error(error);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    GstBus *bus = gst_element_get_bus(pipeline);
    GstMessage *end =
        gst_bus_timed_pop_filtered(bus, 30 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
    g_assert_nonnull(end);
    g_assert_cmpint(GST_MESSAGE_TYPE(end), ==, GST_MESSAGE_EOS);
    gst_message_unref(end);
    gst_object_unref(bus);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(pipeline);
}

static void make_films(void)
{
    make_film("both.webm",
              "videotestsrc num-buffers=100 pattern=ball ! "
              "video/x-raw,width=160,height=120,framerate=25/1 ! "
              "vp8enc deadline=1 cpu-used=8 keyframe-max-dist=25 ! queue ! m. "
              "audiotestsrc num-buffers=200 samplesperbuffer=960 ! "
              "audio/x-raw,rate=48000,channels=2 ! opusenc ! queue ! m. webmmux name=m");
    make_film("sound.webm", "audiotestsrc num-buffers=15 samplesperbuffer=960 ! "
                            "audio/x-raw,rate=48000,channels=2 ! opusenc ! webmmux");
    make_film("picture.mp4", "videotestsrc num-buffers=10 ! "
                             "video/x-raw,width=160,height=120,framerate=25/1 ! openh264enc ! "
                             "h264parse ! mp4mux");
    g_autofree char *text = g_build_filename(folder, "text.webm", NULL);
    g_file_set_contents(text, "This is no film at all, whatever its name says.\n", -1, NULL);
    g_autofree char *list = g_build_filename(folder, "list.webm", NULL);
    g_file_set_contents(list,
                        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n"
                        "file:///etc/passwd\n#EXT-X-ENDLIST\n",
                        -1, NULL);
}

/* --- playing ---------------------------------------------------------------------------------- */

static struct pipeline_text *play(const char *source, bool loop)
{
    static const char *const folders[] = {TEMPLATES, NULL};
    const struct pipeline_surroundings surroundings = {.cpu_threads = 1,
                                                       .places = {.folder = folder}};
    const struct pipeline_argument arguments[] = {
        {.name = "source", .kind = PIPELINE_VALUE_TEXT, .text = source},
        {.name = "loop", .kind = PIPELINE_VALUE_BOOLEAN, .boolean = loop},
        {.name = "width", .kind = PIPELINE_VALUE_INTEGER, .integer = 160},
        {.name = "height", .kind = PIPELINE_VALUE_INTEGER, .integer = 90},
    };
    g_autoptr(GError) error = NULL;
    struct pipeline_template *t = pipeline_template_load(folders, "play", &error);
    g_assert_no_error(error);
    struct pipeline_text *text =
        pipeline_template_fill(t, arguments, G_N_ELEMENTS(arguments), &surroundings, "", &error);
    g_assert_no_error(error);
    pipeline_template_unref(t);
    return text;
}

static struct pipeline_text *of_text(const char *description)
{
    const struct pipeline_surroundings surroundings = {.cpu_threads = 1};
    g_autoptr(GError) error = NULL;
    struct pipeline_template *t = pipeline_template_parse("t.pipeline", description, &error);
    g_assert_no_error(error);
    struct pipeline_text *text = pipeline_template_fill(t, NULL, 0, &surroundings, "", &error);
    g_assert_no_error(error);
    pipeline_template_unref(t);
    return text;
}

static void begin(struct watch *watch, struct pipeline_text *text, guint stall_ms)
{
    g_autoptr(GError) error = NULL;
    const struct media_resource_config config = {.id = "test",
                                                 .text = text,
                                                 .start_timeout_ms = 15000,
                                                 .stall_timeout_ms = stall_ms,
                                                 .ops = &ops,
                                                 .user = watch};
    watch->resource = media_resource_new(&config, &error);
    g_assert_no_error(error);
}

static void end(struct watch *watch)
{
    media_resource_close(watch->resource);
    WAIT_UNTIL(watch->stopped == 1);
    media_resource_free(watch->resource);
    g_clear_error(&watch->error);
    g_clear_error(&watch->refused);
    g_assert_cmpuint(media_resources_count(), ==, 0);
}

static void on_changed(void *user, const GError *error)
{
    struct watch *watch = user;
    watch->changed++;
    g_clear_error(&watch->refused);
    watch->refused = error ? g_error_copy(error) : NULL;
}

static void change(struct watch *watch, struct media_resource_change change)
{
    g_autoptr(GError) error = NULL;
    guint changed = watch->changed;
    g_assert_true(media_resource_change(watch->resource, &change, on_changed, watch, &error));
    g_assert_no_error(error);
    WAIT_UNTIL(watch->changed > changed);
    g_assert_no_error(watch->refused);
}

static void refuse(struct watch *watch, struct media_resource_change change, enum problem problem)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(media_resource_change(watch->resource, &change, on_changed, watch, &error));
    g_test_message("%s", error->message);
    g_assert_error(error, PROBLEM_DOMAIN, (int)problem);
}

static struct media_resource_times times(const struct watch *watch)
{
    struct media_resource_times times;
    media_resource_times(watch->resource, &times);
    return times;
}

static void test_whole(void)
{
    struct watch watch = {0};
    gint64 from = g_get_monotonic_time();
    begin(&watch, play("both.webm", false), 10000);
    WAIT_UNTIL(watch.started);
    g_assert_cmpuint(media_resource_media_count(watch.resource), ==, 2);
    g_assert_cmpstr(media_resource_medium(watch.resource, 1)->codec, ==, "VP8");
    g_assert_true(times(&watch).can_seek);
    g_assert_cmpint(ABS(times(&watch).duration - 4 * (gint64)GST_SECOND), <, GST_SECOND / 10);
    /* The second half of it would be too long to wait for. */
    change(&watch, (struct media_resource_change){.position = 3 * GST_SECOND});
    WAIT_UNTIL(watch.ended);
    g_assert_cmpint(g_get_monotonic_time() - from, >, 800000);
    g_assert_cmpint(times(&watch).position, >, (gint64)(3.9 * GST_SECOND));
    g_assert_no_error(watch.error);
    end(&watch);
}

static void plays_alone(const char *name, guint medium, const char *mid)
{
    struct watch watch = {0};
    begin(&watch, play(name, false), 10000);
    WAIT_UNTIL(watch.ended || watch.error);
    g_assert_no_error(watch.error);
    g_assert_cmpuint(watch.started, ==, 1);
    g_assert_cmpuint(watch.packets[medium], >=, 10);
    g_assert_cmpuint(watch.packets[1 - medium], ==, 0);
    g_assert_cmpstr(media_resource_medium(watch.resource, medium)->mid, ==, mid);
    g_assert_null(media_resource_medium(watch.resource, 1 - medium)->format);
    end(&watch);
}

static void test_sound_alone(void)
{
    plays_alone("sound.webm", 0, "audio");
}

static void test_picture_alone(void)
{
    plays_alone("picture.mp4", 1, "video");
}

/* From there on both flow at their pace, no timestamp has gone another way than the time and no
 * number is missing. */
static void flows(struct watch *watch)
{
    guint sound = watch->packets[0], picture = watch->packets[1];
    WAIT_UNTIL(watch->packets[0] > sound + 10 && watch->packets[1] > picture + 5);
    g_assert_cmpuint(watch->jumps[0] + watch->jumps[1], ==, 0);
    g_assert_no_error(watch->error);
}

static void test_seek(void)
{
    struct watch watch = {0};
    begin(&watch, play("both.webm", false), 10000);
    WAIT_UNTIL(watch.started);
    flows(&watch);
    change(&watch, (struct media_resource_change){.position = 2 * GST_SECOND});
    g_assert_cmpint(times(&watch).position, >=, 2 * (gint64)GST_SECOND); /* at once */
    flows(&watch);
    g_assert_cmpint(times(&watch).position, >, 2 * (gint64)GST_SECOND);
    change(&watch, (struct media_resource_change){.position = 0});
    g_assert_cmpint(times(&watch).position, <, (gint64)GST_SECOND);
    flows(&watch);
    g_assert_cmpint(times(&watch).position, <, 2 * (gint64)GST_SECOND);
    refuse(&watch, (struct media_resource_change){.position = 9 * GST_SECOND},
           PROBLEM_INVALID_MESSAGE);
    /* At its very end it ends, and goes on from where it is led to. */
    change(&watch, (struct media_resource_change){.position = times(&watch).duration});
    WAIT_UNTIL(watch.ended == 1);
    g_assert_cmpint(media_resource_get_state(watch.resource), ==, MEDIA_RESOURCE_ENDED);
    refuse(&watch, (struct media_resource_change){.position = -1, .run = MEDIA_RESOURCE_PAUSE},
           PROBLEM_INVALID_STATE);
    change(&watch, (struct media_resource_change){.position = 3 * GST_SECOND});
    flows(&watch);
    WAIT_UNTIL(watch.ended == 2);
    end(&watch);
}

static void test_pause(void)
{
    struct watch watch = {0};
    begin(&watch, play("both.webm", false), 300);
    WAIT_UNTIL(watch.started);
    flows(&watch);
    change(&watch, (struct media_resource_change){.position = -1, .run = MEDIA_RESOURCE_PAUSE});
    g_assert_true(times(&watch).paused);
    guint before = watch.packets[0];
    /* Longer than what is silence else. */
    for (gint64 until = g_get_monotonic_time() + 600000; g_get_monotonic_time() < until;) {
        g_main_context_iteration(NULL, FALSE);
        g_usleep(1000);
    }
    g_assert_cmpuint(watch.packets[0], <=, before + 1);
    g_assert_no_error(watch.error);
    change(&watch,
           (struct media_resource_change){.position = GST_SECOND, .run = MEDIA_RESOURCE_RESUME});
    g_assert_false(times(&watch).paused);
    flows(&watch);
    end(&watch);
}

static GArray *settings(const char *element, const char *property, const char *value)
{
    GArray *array = g_array_new(FALSE, TRUE, sizeof(struct pipeline_setting));
    struct pipeline_setting setting = {(char *)element, (char *)property, (char *)value};
    g_array_append_val(array, setting);
    return array;
}

static void test_settings(void)
{
    struct watch watch = {0};
    begin(&watch, play("both.webm", true), 10000);
    WAIT_UNTIL(watch.started);
    flows(&watch);
    guint packets = watch.packets[0], octets = watch.octets[0];
    flows(&watch);
    guint usual = (watch.octets[0] - octets) / (watch.packets[0] - packets);
    change(&watch, (struct media_resource_change){.position = -1,
                                                  .settings = settings("opus", "bitrate", "8000")});
    /* What one template has and another one's condition leaves out is no mistake. */
    change(&watch, (struct media_resource_change){
                       .position = -1, .settings = settings("nobody", "bitrate", "8000")});
    flows(&watch); /* what was made before */
    flows(&watch);
    packets = watch.packets[0], octets = watch.octets[0];
    flows(&watch);
    guint now = (watch.octets[0] - octets) / (watch.packets[0] - packets);
    g_assert_cmpuint(now * 2, <, usual);
    end(&watch);
}

static void test_loop(void)
{
    struct watch watch = {0};
    begin(&watch, play("sound.webm", true), 5000);
    WAIT_UNTIL(watch.started);
    WAIT_UNTIL(watch.packets[0] >= 35 || watch.error); /* of 16 or 17 in the file */
    g_assert_no_error(watch.error);
    g_assert_cmpuint(watch.ended, ==, 0);
    g_assert_cmpuint(watch.jumps[0], ==, 0);
    end(&watch);
}

static void fails(struct pipeline_text *text, guint stall_ms, const char *pattern)
{
    struct watch watch = {0};
    begin(&watch, text, stall_ms);
    WAIT_UNTIL(watch.error);
    g_test_message("%s", watch.error->message);
    g_assert_true(g_pattern_match_simple(pattern, watch.error->message));
    end(&watch);
}

static void test_no_films(void)
{
    fails(play("text.webm", false), 0, "*Could not determine type of stream*");
    fails(play("list.webm", false), 0, "*play.pipeline:*: media: *application/x-hls*");
    fails(of_text("audiotestsrc is-live=true num-buffers=30 samplesperbuffer=960 ! "
                  "audio/x-raw,rate=48000,channels=2 ! concat name=c ! opusenc ! rtpopuspay ! "
                  "wmcfsink mid=a appsrc is-live=true ! c."),
          300, "no packet has come at a for 300 ms");
}

static void test_live(void)
{
    struct watch watch = {0};
    begin(&watch,
          of_text("audiotestsrc is-live=true samplesperbuffer=960 ! opusenc ! rtpopuspay pt=111 ! "
                  "wmcfsink mid=a"),
          5000);
    WAIT_UNTIL(watch.started);
    g_assert_false(times(&watch).can_seek);
    refuse(&watch, (struct media_resource_change){.position = 0}, PROBLEM_INVALID_STATE);
    end(&watch);
}

/* Whatever is under way when it is closed ends before `stopped`. */
static void test_closed_while_changing(void)
{
    for (guint i = 0; i < 10; i++) {
        struct watch watch = {0};
        struct media_resource_change wish = {.position = i * GST_SECOND / 4,
                                             .run = i & 1 ? MEDIA_RESOURCE_PAUSE
                                                          : MEDIA_RESOURCE_RESUME};
        begin(&watch, play("both.webm", false), 10000);
        WAIT_UNTIL(watch.started);
        g_assert_true(media_resource_change(watch.resource, &wish, on_changed, &watch, NULL));
        refuse(&watch, (struct media_resource_change){.position = 0}, PROBLEM_INVALID_STATE);
        for (gint64 until = g_get_monotonic_time() + i * 2000; g_get_monotonic_time() < until;)
            g_main_context_iteration(NULL, FALSE);
        end(&watch);
    }
}

/* What hangs in a change is let go by the end of the pipeline, and does not bring it to life again:
 * neither by going on nor by pausing it. */
static void change_hangs(bool breaks, int run)
{
    struct watch watch = {0};
    struct media_resource_change wish = {
        .position = -1, .run = run, .settings = settings("halt", "hang", "true")};
    halt.halted = 0;
    halt.breaks = breaks;
    begin(&watch,
          of_text("audiotestsrc samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=1 ! "
                  "halt name=halt ! opusenc ! rtpopuspay pt=111 ! wmcfsink mid=a"),
          5000);
    WAIT_UNTIL(watch.started);
    gint64 from = g_get_monotonic_time();
    g_assert_true(media_resource_change(watch.resource, &wish, on_changed, &watch, NULL));
    WAIT_UNTIL(halt.halted == 1);
    if (breaks) {
        WAIT_UNTIL(watch.error && watch.changed);
        g_assert_error(watch.refused, PROBLEM_DOMAIN, PROBLEM_WMCF_ERROR);
    }
    media_resource_close(watch.resource);
    WAIT_UNTIL(watch.stopped);
    g_assert_cmpint(g_get_monotonic_time() - from, <, 5 * G_USEC_PER_SEC);
    g_mutex_lock(&halt.lock);
    g_assert_false(halt.runs);
    g_mutex_unlock(&halt.lock);
    media_resource_free(watch.resource);
    g_clear_error(&watch.error);
    g_clear_error(&watch.refused);
}

static void test_closed_while_a_change_hangs(void)
{
    change_hangs(false, MEDIA_RESOURCE_PAUSE);
    change_hangs(false, MEDIA_RESOURCE_RESUME);
}

static void test_fails_while_a_change_hangs(void)
{
    change_hangs(true, MEDIA_RESOURCE_PAUSE);
    change_hangs(true, MEDIA_RESOURCE_RESUME);
}

/* Who looks has a pipeline that stays while he looks, or none. */
static void test_graph_at_the_end(void)
{
    struct watch watch = {0};
    begin(&watch, play("both.webm", true), 10000);
    WAIT_UNTIL(watch.started);
    g_autofree char *graph = media_resource_dot(watch.resource);
    g_assert_nonnull(strstr(graph, "WmcfSink"));
    media_resource_close(watch.resource);
    g_assert_null(media_resource_dot(watch.resource));
    WAIT_UNTIL(watch.stopped);
    g_assert_null(media_resource_dot(watch.resource));
    media_resource_free(watch.resource);
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_test_init(&argc, &argv, NULL);
    loop_init(5000);
    if (!pl_init(&error)) {
        g_print("Bail out! %s\n", error->message);
        return 1;
    }
    gst_element_register(NULL, "halt", GST_RANK_NONE, halt_get_type());
    folder = g_dir_make_tmp("films-XXXXXX", NULL);
    make_films();
    g_test_add_func("/media-play/whole", test_whole);
    g_test_add_func("/media-play/sound-alone", test_sound_alone);
    g_test_add_func("/media-play/picture-alone", test_picture_alone);
    g_test_add_func("/media-play/seek", test_seek);
    g_test_add_func("/media-play/pause", test_pause);
    g_test_add_func("/media-play/settings", test_settings);
    g_test_add_func("/media-play/loop", test_loop);
    g_test_add_func("/media-play/no-films", test_no_films);
    g_test_add_func("/media-play/live", test_live);
    g_test_add_func("/media-play/closed-while-changing", test_closed_while_changing);
    g_test_add_func("/media-play/closed-while-a-change-hangs", test_closed_while_a_change_hangs);
    g_test_add_func("/media-play/fails-while-a-change-hangs", test_fails_while_a_change_hangs);
    g_test_add_func("/media-play/graph-at-the-end", test_graph_at_the_end);
    int result = g_test_run();
    static const char *const names[] = {"both.webm", "sound.webm", "picture.mp4", "text.webm",
                                        "list.webm"};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *file = g_build_filename(folder, names[i], NULL);
        g_unlink(file);
    }
    g_rmdir(folder);
    g_free(folder);
    pl_finish();
    return result;
}
