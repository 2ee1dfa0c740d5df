/* SPDX-License-Identifier: Apache-2.0 */
/* Members of a repeated input come into a running pipeline and leave it: each hears the others and
 * not itself, the rest has no gap, what breaks in one member is that member's alone, and who comes
 * has the values as they are then. */
#include "base/loop.h"
#include "base/problem.h"
#include "pipelines/leg.h"
#include "pipelines/media-resource.h"

#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MEMBERS 4

struct voice { /* who sends: a tone as opus in RTP, and hears: what it is given, decoded */
    GstElement *sender, *decoder, *feed, *heard;
    GMutex lock;
    GQueue packets; /* GBytes */
    int wake;
    _Atomic guint given, gaps;
    guint16 last_sequence;
    gint16 sound[48000];
    guint n_sound;
};

struct world {
    struct media_resource *resource;
    struct pipeline_text *text;
    struct voice voices[MEMBERS];
    guint started, stopped, added, failed_member;
    GError *error, *add_error;
};

/* --- the resource's side ---------------------------------------------------------------------- */

static void on_started(void *user)
{
    ((struct world *)user)->started++;
}

static void on_failed(void *user, const GError *error)
{
    ((struct world *)user)->error = g_error_copy(error);
}

static void on_ended(void *user)
{
}

static void on_stopped(void *user)
{
    ((struct world *)user)->stopped++;
}

static void on_packets(void *user, guint medium, const struct wmcf_sink_packet *packets, guint n)
{
    g_assert_not_reached();
}

static void on_member_packets(void *user, guint place, const struct wmcf_sink_packet *packets,
                              guint n)
{
    struct voice *voice = &((struct world *)user)->voices[place];
    for (guint i = 0; i < n; i++) {
        guint16 sequence = GST_READ_UINT16_BE(packets[i].data + 2);
        if (voice->given++ && sequence != (guint16)(voice->last_sequence + 1))
            voice->gaps++;
        voice->last_sequence = sequence;
        gst_app_src_push_buffer(GST_APP_SRC(voice->feed),
                                gst_buffer_new_memdup(packets[i].data, packets[i].length));
    }
}

static void on_member_failed(void *user, guint place, const GError *error)
{
    struct world *world = user;
    world->failed_member |= 1u << place;
    g_clear_error(&world->add_error);
    world->add_error = g_error_copy(error);
}

static const struct media_resource_ops ops = {
    .started = on_started,
    .failed = on_failed,
    .ended = on_ended,
    .stopped = on_stopped,
    .packets = on_packets,
    .member_packets = on_member_packets,
    .member_failed = on_member_failed,
};

static int descriptor(void *user, guint index)
{
    return ((struct world *)user)->voices[index].wake;
}

static guint read_input(void *user, guint index, const struct wmcf_src_sink *sink, void *to)
{
    struct voice *voice = &((struct world *)user)->voices[index];
    uint64_t count;
    guint n = 0;
    GBytes *bytes;
    if (read(voice->wake, &count, sizeof count) < 0)
        count = 0;
    g_mutex_lock(&voice->lock);
    while ((bytes = g_queue_pop_head(&voice->packets))) {
        struct wmcf_src_packet packet = {.arrival = g_get_monotonic_time()};
        packet.data = g_bytes_get_data(bytes, &packet.length);
        sink->packet(to, &packet);
        g_bytes_unref(bytes);
        n++;
    }
    g_mutex_unlock(&voice->lock);
    return n;
}

static void want_key_frame(void *user, guint index)
{
}

static const struct wmcf_src_ops input_ops = {
    .descriptor = descriptor, .read = read_input, .key_frame = want_key_frame};

/* --- voices ----------------------------------------------------------------------------------- */

static GstFlowReturn on_sent(GstAppSink *sink, gpointer user)
{
    static const uint64_t one = 1;
    struct voice *voice = user;
    GstSample *sample = gst_app_sink_pull_sample(sink);
    GstMapInfo map;
    gst_buffer_map(gst_sample_get_buffer(sample), &map, GST_MAP_READ);
    g_mutex_lock(&voice->lock);
    g_queue_push_tail(&voice->packets, g_bytes_new(map.data, map.size));
    g_mutex_unlock(&voice->lock);
    gst_buffer_unmap(gst_sample_get_buffer(sample), &map);
    gst_sample_unref(sample);
    if (write(voice->wake, &one, sizeof one) < 0)
        g_assert_not_reached();
    return GST_FLOW_OK;
}

static GstFlowReturn on_heard(GstAppSink *sink, gpointer user)
{
    struct voice *voice = user;
    GstSample *sample = gst_app_sink_pull_sample(sink);
    GstMapInfo map;
    gst_buffer_map(gst_sample_get_buffer(sample), &map, GST_MAP_READ);
    g_mutex_lock(&voice->lock);
    guint n = MIN((guint)(map.size / 2), G_N_ELEMENTS(voice->sound));
    guint keep = MIN(voice->n_sound, (guint)G_N_ELEMENTS(voice->sound) - n);
    memmove(voice->sound, voice->sound + voice->n_sound - keep, keep * sizeof *voice->sound);
    memcpy(voice->sound + keep, map.data, n * sizeof *voice->sound);
    voice->n_sound = keep + n;
    g_mutex_unlock(&voice->lock);
    gst_buffer_unmap(gst_sample_get_buffer(sample), &map);
    gst_sample_unref(sample);
    return GST_FLOW_OK;
}

static double tone_of(guint place)
{
    return 400 + 300 * place;
}

static void begin_voice(struct voice *voice, guint place)
{
    g_autofree char *text = g_strdup_printf(
        "audiotestsrc is-live=true wave=sine freq=%f volume=0.2 samplesperbuffer=960 "
        "! audio/x-raw,rate=48000,channels=1 ! opusenc ! rtpopuspay pt=111 "
        "! appsink name=out sync=false",
        tone_of(place));
    GstAppSinkCallbacks sent = {.new_sample = on_sent}, heard = {.new_sample = on_heard};
    g_mutex_init(&voice->lock);
    g_queue_init(&voice->packets);
    voice->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    voice->sender = gst_parse_launch(text, NULL);
    GstElement *out = gst_bin_get_by_name(GST_BIN(voice->sender), "out");
    gst_app_sink_set_callbacks(GST_APP_SINK(out), &sent, voice, NULL);
    gst_object_unref(out);
    voice->decoder = gst_parse_launch(
        "appsrc name=in format=time caps=\"application/x-rtp,media=audio,clock-rate=48000,"
        "encoding-name=OPUS,payload=111\" ! rtpopusdepay ! opusdec "
        "! audio/x-raw,format=S16LE,rate=48000,channels=1 ! appsink name=out sync=false",
        NULL);
    voice->feed = gst_bin_get_by_name(GST_BIN(voice->decoder), "in");
    voice->heard = gst_bin_get_by_name(GST_BIN(voice->decoder), "out");
    gst_app_sink_set_callbacks(GST_APP_SINK(voice->heard), &heard, voice, NULL);
    gst_element_set_state(voice->decoder, GST_STATE_PLAYING);
    gst_element_set_state(voice->sender, GST_STATE_PLAYING);
}

static void end_voice(struct voice *voice)
{
    gst_element_set_state(voice->sender, GST_STATE_NULL);
    gst_element_set_state(voice->decoder, GST_STATE_NULL);
    gst_object_unref(voice->feed);
    gst_object_unref(voice->heard);
    gst_object_unref(voice->sender);
    gst_object_unref(voice->decoder);
    g_queue_clear_full(&voice->packets, (GDestroyNotify)g_bytes_unref);
    close(voice->wake);
    g_mutex_clear(&voice->lock);
}

/* The amplitude of a tone in the last 400 ms that were heard (Goertzel). */
static double level(struct voice *voice, double frequency)
{
    enum { SPAN = 19200 };
    double s1 = 0, s2 = 0, k = 2 * cos(2 * G_PI * frequency / 48000);
    g_mutex_lock(&voice->lock);
    bool enough = voice->n_sound >= SPAN;
    for (guint i = 0; enough && i < SPAN; i++) {
        double s = voice->sound[voice->n_sound - SPAN + i] + k * s1 - s2;
        s2 = s1;
        s1 = s;
    }
    g_mutex_unlock(&voice->lock);
    return sqrt(MAX(0, s1 * s1 + s2 * s2 - k * s1 * s2)) * 2 / SPAN;
}

/* --- the world -------------------------------------------------------------------------------- */

#define WAIT_UNTIL(condition)                                                                      \
    do {                                                                                           \
        for (guint tries_ = 0; tries_ < 10000 && !(condition); tries_++) {                         \
            while (g_main_context_iteration(NULL, FALSE))                                          \
                ;                                                                                  \
            g_usleep(1000);                                                                        \
        }                                                                                          \
        g_assert_true(condition);                                                                  \
    } while (0)

static struct pipeline_text *shipped(const char *more)
{
    static const char *const folders[] = {TEMPLATES, NULL};
    static const struct pipeline_surroundings surroundings = {.cpu_threads = 1};
    g_autoptr(GError) error = NULL;
    struct pipeline_template *t = more ? pipeline_template_parse("t.pipeline", more, &error)
                                       : pipeline_template_load(folders, "mix-audio", &error);
    g_assert_no_error(error);
    struct pipeline_text *text = pipeline_template_fill(t, NULL, 0, &surroundings, "", &error);
    g_assert_no_error(error);
    pipeline_template_unref(t);
    return text;
}

static void begin(struct world *world, const char *template)
{
    g_autoptr(GError) error = NULL;
    world->text = shipped(template);
    const struct media_resource_config config = {.id = "test",
                                                 .text = world->text,
                                                 .start_timeout_ms = 10000,
                                                 .stall_timeout_ms = 10000,
                                                 .finish_timeout_ms = 5000,
                                                 .inputs = &input_ops,
                                                 .ops = &ops,
                                                 .user = world};
    for (guint i = 0; i < MEMBERS; i++)
        begin_voice(&world->voices[i], i);
    world->resource = media_resource_new(&config, &error);
    g_assert_no_error(error);
    WAIT_UNTIL(world->started);
}

static void end(struct world *world)
{
    gint64 before = g_get_monotonic_time();
    media_resource_close(world->resource);
    WAIT_UNTIL(world->stopped == 1);
    g_assert_cmpint(g_get_monotonic_time() - before, <, 4000000);
    media_resource_free(world->resource);
    for (guint i = 0; i < MEMBERS; i++)
        end_voice(&world->voices[i]);
    g_clear_error(&world->error);
    g_clear_error(&world->add_error);
    g_assert_cmpuint(media_resources_count(), ==, 0);
}

static void on_added(void *user, const GError *error)
{
    struct world *world = user;
    world->added++;
    g_clear_error(&world->add_error);
    world->add_error = error ? g_error_copy(error) : NULL;
}

static void ask(struct world *world, guint place)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *name = g_strdup_printf("m%u", place);
    struct pipeline_text *text = pipeline_text_member(world->text, name, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(
        media_resource_add_member(world->resource, place, name, text, on_added, world, &error));
    g_assert_no_error(error);
}

static void add(struct world *world, guint place)
{
    guint before = world->added;
    ask(world, place);
    WAIT_UNTIL(world->added > before);
    g_assert_no_error(world->add_error);
}

/* Whether a member hears just those. */
static bool hears(struct world *world, guint place, guint others)
{
    for (guint i = 0; i < MEMBERS; i++) {
        double loud = level(&world->voices[place], tone_of(i));
        if (others & (1u << i) ? loud < 3000 : loud > 300)
            return false;
    }
    return true;
}

static void test_each_hears_the_others(void)
{
    struct world world = {0};
    begin(&world, NULL);
    for (guint i = 0; i < 3; i++)
        add(&world, i);
    const struct wmcf_sink_medium *medium = media_resource_member_medium(world.resource, 1);
    g_assert_cmpstr(medium->codec, ==, "opus");
    g_assert_cmpstr(medium->mid, ==, "m1");
    WAIT_UNTIL(hears(&world, 0, 6) && hears(&world, 1, 5) && hears(&world, 2, 3));

    /* One leaves and comes again; the others' sound goes on. */
    guint before = world.voices[0].given;
    media_resource_remove_member(world.resource, 2);
    WAIT_UNTIL(hears(&world, 0, 2) && hears(&world, 1, 1));
    add(&world, 2);
    WAIT_UNTIL(hears(&world, 0, 6) && hears(&world, 1, 5) && hears(&world, 2, 3));
    g_assert_cmpuint(world.voices[0].given, >, before);
    g_assert_cmpuint(world.voices[0].gaps + world.voices[1].gaps, ==, 0);
    g_assert_no_error(world.error);
    end(&world);
}

static void test_many_at_once(void)
{
    struct world world = {0};
    begin(&world, NULL);
    for (guint i = 0; i < MEMBERS; i++)
        ask(&world, i);
    media_resource_remove_member(world.resource, 3); /* before it was there */
    ask(&world, 3);
    media_resource_remove_member(world.resource, 1);
    ask(&world, 1);
    WAIT_UNTIL(world.added == MEMBERS);
    g_assert_no_error(world.add_error);
    WAIT_UNTIL(hears(&world, 0, 14) && hears(&world, 1, 13) && hears(&world, 3, 7));
    end(&world);
}

static void test_closed_meanwhile(void)
{
    for (guint i = 0; i < 5; i++) {
        struct world world = {0};
        begin(&world, NULL);
        for (guint m = 0; m < MEMBERS; m++)
            ask(&world, m);
        if (i & 1)
            WAIT_UNTIL(world.added >= i);
        media_resource_remove_member(world.resource, 0);
        end(&world);
    }
}

/* What breaks in one member takes nobody else with it. */
static void test_member_fails(void)
{
    static const char template[] =
        "input member* audio opus\n"
        "wmcfmix name=mix\n"
        "each member: wmcfsrc mid=${member} ! rtpjitterbuffer latency=20 ! rtpopusdepay ! opusdec\n"
        "each member: ! identity name=breaks error-after=-1 ! mix.sink_${member}\n"
        "each member: mix.src_${member} ! opusenc ! rtpopuspay pt=111 ! wmcfsink mid=${member}\n";
    struct world world = {0};
    begin(&world, template);
    add(&world, 0);
    add(&world, 1);
    end(&world);

    static const char broken[] =
        "input member* audio opus\n"
        "wmcfmix name=mix\n"
        "each member: wmcfsrc mid=${member} ! rtpjitterbuffer latency=20 ! rtpopusdepay ! opusdec\n"
        "each member: ! identity error-after=20 ! mix.sink_${member}\n"
        "each member: mix.src_${member} ! opusenc ! rtpopuspay pt=111 ! wmcfsink mid=${member}\n";
    struct world other = {0};
    begin(&other, broken);
    add(&other, 0);
    WAIT_UNTIL(other.failed_member == 1);
    g_assert_nonnull(strstr(other.add_error->message, "t.pipeline:4"));
    add(&other, 0); /* the place is free again */
    add(&other, 1);
    g_assert_no_error(other.error);
    end(&other);
}

static void test_wrong_parts(void)
{
    static const struct {
        const char *lines, *message;
    } rows[] = {
        {"each m: wmcfsrc mid=${m} ! nothing.sink_${m}\n", "t.pipeline:3: the pipeline has no"},
        {"each m: wmcfsrc mid=${m} ! mix.nowhere\n", "t.pipeline:3: \"mix\" has no pad"},
        {"each m: wmcfsrc mid=other ! fakesink\n", "has one \"wmcfsrc\""},
        {"each m: fakesrc ! fakesink\n", "has one \"wmcfsrc\""},
        {"each m: wmcfsrc mid=${m}\neach m: ! noelement ! mix.sink_${m}\n",
         "t.pipeline:4: no element"},
        {"each m: wmcfsrc mid=${m} ! mix.sink_${m}\n", "t.pipeline:3: \"mix\" cannot be linked"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct world world = {0};
        g_autoptr(GError) error = NULL;
        g_autofree char *text =
            g_strconcat("input m* audio opus\nwmcfmix name=mix\n", rows[i].lines, NULL);
        begin(&world, text);
        g_assert_false(media_resource_try(world.text, &error));
        g_assert_nonnull(strstr(error->message, rows[i].message));
        ask(&world, 0);
        WAIT_UNTIL(world.added);
        g_assert_error(world.add_error, PROBLEM_DOMAIN, PROBLEM_WMCF_ERROR);
        g_assert_cmpstr(world.add_error->message, ==, error->message);
        g_assert_no_error(world.error);
        end(&world);
    }
}

/* Who comes later has the values of the changes that were made, not of those that were refused. */
static void test_values_of_changes(void)
{
    struct world world = {0};
    begin(&world, NULL);
    for (guint i = 0; i < 2; i++) {
        const struct pipeline_argument bitrate = {
            .name = "bitrate", .kind = PIPELINE_VALUE_INTEGER, .integer = 64000 + i};
        g_autoptr(GError) error = NULL;
        struct media_resource_change wish = {
            .position = -1, .settings = pipeline_text_change(world.text, &bitrate, 1, "", &error)};
        g_assert_no_error(error);
        bool taken = media_resource_change(world.resource, &wish, on_added, &world, &error);
        if (i == 0)
            g_assert_true(taken);
        else /* the first one is under way */
            g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_STATE);
    }
    WAIT_UNTIL(world.added);
    g_assert_no_error(world.add_error);
    struct pipeline_text *member = pipeline_text_member(world.text, "m0", NULL, NULL);
    g_assert_nonnull(strstr(pipeline_text_description(member), "bitrate=64000 "));
    pipeline_text_free(member);
    end(&world);
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_test_init(&argc, &argv, NULL);
    loop_init(60000);
    g_assert_true(pl_init(&error));
    g_test_add_func("/media-members/each-hears-the-others", test_each_hears_the_others);
    g_test_add_func("/media-members/many-at-once", test_many_at_once);
    g_test_add_func("/media-members/closed-meanwhile", test_closed_meanwhile);
    g_test_add_func("/media-members/member-fails", test_member_fails);
    g_test_add_func("/media-members/wrong-parts", test_wrong_parts);
    g_test_add_func("/media-members/values-of-changes", test_values_of_changes);
    int status = g_test_run();
    pl_finish();
    return status;
}
