/* SPDX-License-Identifier: Apache-2.0 */
/* A generator is a media resource as any other, made of a text that stands here. Its packets wait
 * in a list behind a lock: nothing has to be fast in a check. */
#include "wmcf/pipeline-check-input.h"

#include "base/problem.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define VIDEO "videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=25/1 ! "
#define WAITING_MAX 1000 /* packets */

static const struct {
    const char *codec, *text;
} generators[] = {
    {"opus", "audiotestsrc is-live=true samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=2 "
             "! opusenc ! rtpopuspay pt=111"},
    {"VP8", VIDEO "vp8enc deadline=1 cpu-used=8 ! rtpvp8pay mtu=1200 pt=96"},
    {"VP9", VIDEO "vp9enc lag-in-frames=0 deadline=1 cpu-used=8 ! rtpvp9pay mtu=1200 pt=98"},
    {"H264", VIDEO "openh264enc complexity=low ! video/x-h264,profile=constrained-baseline "
                   "! rtph264pay mtu=1200 pt=102 config-interval=-1 "
                   "! capssetter caps=\"application/x-rtp,profile-level-id=(string)42e01f\""},
};

struct generator {
    struct media_resource *resource;
    GMutex lock;
    GQueue packets; /* GBytes: the arrival and the packet */
    int wake;
    bool stopped;
};

struct check_inputs {
    guint n;
    struct generator list[PIPELINE_INPUTS_MAX + CHECK_MEMBERS];
};

/* --- from the generator ----------------------------------------------------------------------- */

static void on_nothing(void *user)
{
}

static void on_failed(void *user, const GError *error)
{
}

static void on_stopped(void *user)
{
    ((struct generator *)user)->stopped = true;
}

/* Streaming thread. */
static void on_packets(void *user, guint medium, const struct wmcf_sink_packet *packets, guint n)
{
    static const uint64_t one = 1;
    struct generator *generator = user;
    g_mutex_lock(&generator->lock);
    for (guint i = 0; i < n && generator->packets.length < WAITING_MAX; i++)
        g_queue_push_tail(&generator->packets, g_bytes_new(packets[i].data, packets[i].length));
    g_mutex_unlock(&generator->lock);
    if (write(generator->wake, &one, sizeof one) < 0)
        return; /* it is readable already */
}

static const struct media_resource_ops ops = {
    .started = on_nothing,
    .failed = on_failed,
    .ended = on_nothing,
    .stopped = on_stopped,
    .packets = on_packets,
};

/* --- to the pipeline -------------------------------------------------------------------------- */

int check_input_descriptor(const struct check_inputs *inputs, guint index)
{
    return inputs->list[index].wake;
}

guint check_input_read(struct check_inputs *inputs, guint index, const struct wmcf_src_sink *sink,
                       void *to)
{
    struct generator *generator = &((struct check_inputs *)inputs)->list[index];
    uint64_t count;
    guint n = 0;
    GBytes *bytes;
    if (read(generator->wake, &count, sizeof count) < 0)
        count = 0;
    g_mutex_lock(&generator->lock);
    while ((bytes = g_queue_pop_head(&generator->packets))) {
        struct wmcf_src_packet packet = {.arrival = g_get_monotonic_time()};
        packet.data = g_bytes_get_data(bytes, &packet.length);
        sink->packet(to, &packet);
        g_bytes_unref(bytes);
        n++;
    }
    g_mutex_unlock(&generator->lock);
    return n;
}

void check_input_want_key_frame(struct check_inputs *inputs, guint index)
{
    if (inputs->list[index].resource)
        media_resource_request_key_frame(inputs->list[index].resource, 0);
}

/* --- both ------------------------------------------------------------------------------------- */

static struct pipeline_text *text_for(const char *codec, GError **error)
{
    const struct pipeline_surroundings surroundings = {.cpu_threads = 1};
    for (gsize i = 0; i < G_N_ELEMENTS(generators); i++) {
        if (strcmp(generators[i].codec, codec) != 0)
            continue;
        g_autofree char *text = g_strconcat(generators[i].text, " ! wmcfsink mid=test\n", NULL);
        struct pipeline_template *t = pipeline_template_parse("test input", text, error);
        struct pipeline_text *filled =
            t ? pipeline_template_fill(t, NULL, 0, &surroundings, "", error) : NULL;
        pipeline_template_unref(t);
        return filled;
    }
    return NULL;
}

/* Of a codec that nothing here encodes there are no packets: what only takes them starts, too. */

static bool begin(struct generator *generator, const char *codec, GError **error)
{
    struct pipeline_text *text = text_for(codec, error);
    const struct media_resource_config config = {.id = "test-input",
                                                 .text = text,
                                                 .start_timeout_ms = 60000,
                                                 .ops = &ops,
                                                 .user = generator};
    g_mutex_init(&generator->lock);
    g_queue_init(&generator->packets);
    generator->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!text && !*error)
        return true;
    generator->resource = text ? media_resource_new(&config, error) : NULL;
    return generator->resource;
}

struct check_inputs *check_inputs_new(const struct pipeline_text *text, GError **error)
{
    struct check_inputs *inputs = g_new0(struct check_inputs, 1);
    struct pipeline_input wanted[PIPELINE_INPUTS_MAX + CHECK_MEMBERS];
    guint n = pipeline_text_inputs(text, wanted);
    struct pipeline_input repeated;
    if (pipeline_text_repeated(text, &repeated))
        for (guint i = 0; i < CHECK_MEMBERS; i++)
            wanted[n++] = repeated;
    for (guint i = 0; i < n; i++)
        if (!begin(&inputs->list[inputs->n++], wanted[i].codec, error)) {
            check_inputs_free(inputs);
            return NULL;
        }
    return inputs;
}

void check_inputs_free(struct check_inputs *inputs)
{
    for (guint i = 0; inputs && i < inputs->n; i++) {
        struct generator *generator = &inputs->list[i];
        if (generator->resource)
            media_resource_close(generator->resource);
        while (generator->resource && !generator->stopped)
            g_main_context_iteration(NULL, TRUE);
        media_resource_free(generator->resource);
        g_queue_clear_full(&generator->packets, (GDestroyNotify)g_bytes_unref);
        g_mutex_clear(&generator->lock);
        if (generator->wake >= 0)
            close(generator->wake);
    }
    g_free(inputs);
}
