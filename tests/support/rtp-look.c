/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at media as a person would: decodes what a generated leg captured and tells what is in it.
 *   rtp-look FILE VIDEO-CODEC → {"video":{"frames","changes","width","height","left","right",
 *                                         "quarters":[…]},
 *                                "audio":{"seconds","frequency","level","tones"}}
 * Frequencies behind the codec: "tones" has how strong each is in the second half, 1 = full scale.
 * A capture is a row of packets: one octet 'a' or 'v', the length in two octets, the RTP packet. */
#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct decoder {
    GstElement *pipeline, *source, *sink;
};

static struct decoder open_decoder(const char *description)
{
    struct decoder d = {.pipeline = gst_parse_launch(description, NULL)};
    d.source = gst_bin_get_by_name(GST_BIN(d.pipeline), "in");
    d.sink = gst_bin_get_by_name(GST_BIN(d.pipeline), "out");
    gst_element_set_state(d.pipeline, GST_STATE_PLAYING);
    return d;
}

static void close_decoder(struct decoder *d)
{
    gst_element_set_state(d->pipeline, GST_STATE_NULL);
    gst_object_unref(d->source);
    gst_object_unref(d->sink);
    gst_object_unref(d->pipeline);
}

static void feed(struct decoder *video, struct decoder *audio, const guint8 *data, gsize length)
{
    for (gsize at = 0; at + 3 <= length;) {
        gsize size = (gsize)data[at + 1] << 8 | data[at + 2];
        struct decoder *to = data[at] == 'v' ? video : audio;
        if (at + 3 + size > length)
            break;
        gst_app_src_push_buffer(GST_APP_SRC(to->source),
                                gst_buffer_new_memdup(data + at + 3, size));
        at += 3 + size;
    }
    gst_app_src_end_of_stream(GST_APP_SRC(video->source));
    gst_app_src_end_of_stream(GST_APP_SRC(audio->source));
}

/* The mean of a quarter of the upper half, where the picture's own text is not: 0 black, 255 white.
 */
static double brightness(const GByteArray *frame, int width, int height, int from)
{
    guint64 sum = 0, n = 0;
    for (int y = height / 4; y < height / 2; y++)
        for (int x = from; x < from + width / 4; x++, n++)
            sum += frame->data[(gsize)y * (gsize)width + (gsize)x];
    return n ? (double)sum / (double)n : 0;
}

/* Of the middle of each quarter, row by row. */
static void print_quarters(const GByteArray *frame, int width, int height)
{
    printf(",\"quarters\":[");
    for (int quarter = 0; quarter < 4; quarter++) {
        int left = quarter % 2 * width / 2 + width / 8, top = quarter / 2 * height / 2 + height / 8;
        guint64 sum = 0, n = 0;
        for (int y = top; y < top + height / 4; y++)
            for (int x = left; x < left + width / 4; x++, n++)
                sum += frame->data[(gsize)y * (gsize)width + (gsize)x];
        printf("%s%.0f", quarter ? "," : "", n ? (double)sum / (double)n : 0);
    }
    printf("]");
}

/* Frames that differ from the one before in more than the encoder's noise. */
static void look_at_video(struct decoder *d)
{
    guint frames = 0, changes = 0;
    int width = 0, height = 0;
    g_autoptr(GByteArray) last = g_byte_array_new();
    GstSample *sample;
    while ((sample = gst_app_sink_pull_sample(GST_APP_SINK(d->sink)))) {
        GstMapInfo map;
        const GstStructure *caps = gst_caps_get_structure(gst_sample_get_caps(sample), 0);
        gst_structure_get_int(caps, "width", &width);
        gst_structure_get_int(caps, "height", &height);
        if (gst_buffer_map(gst_sample_get_buffer(sample), &map, GST_MAP_READ)) {
            guint different = 0;
            for (gsize i = 0; i < map.size && map.size == last->len; i++)
                different += ABS(map.data[i] - last->data[i]) > 40;
            changes += different > 100;
            g_byte_array_set_size(last, 0);
            g_byte_array_append(last, map.data, (guint)map.size);
            gst_buffer_unmap(gst_sample_get_buffer(sample), &map);
        }
        frames++;
        gst_sample_unref(sample);
    }
    bool whole = last->len && last->len == (guint)(width * height); /* no padding in its rows */
    printf("{\"video\":{\"frames\":%u,\"changes\":%u,\"width\":%d,\"height\":%d,\"left\":%.0f,"
           "\"right\":%.0f",
           frames, changes, width, height, whole ? brightness(last, width, height, 0) : 0,
           whole ? brightness(last, width, height, width - width / 4) : 0);
    if (whole)
        print_quarters(last, width, height);
    printf("},");
}

/* Goertzel. */
static double strength(const GArray *sound, double frequency)
{
    guint from = sound->len / 2, n = sound->len - from;
    double s1 = 0, s2 = 0, k = 2 * cos(2 * G_PI * frequency / 48000);
    for (guint i = 0; i < n; i++) {
        double s = g_array_index(sound, gint16, from + i) / 32768.0 + k * s1 - s2;
        s2 = s1;
        s1 = s;
    }
    return n ? sqrt(MAX(0, s1 * s1 + s2 * s2 - k * s1 * s2)) * 2 / n : 0;
}

/* The frequency by rising zero crossings, which a tone alone has evenly. */
static void listen_to_audio(struct decoder *d, char *const *frequencies)
{
    g_autoptr(GArray) sound = g_array_new(FALSE, FALSE, sizeof(gint16));
    guint64 samples = 0, crossings = 0, first = 0, last = 0;
    double energy = 0;
    gint16 before = 0;
    GstSample *sample;
    while ((sample = gst_app_sink_pull_sample(GST_APP_SINK(d->sink)))) {
        GstMapInfo map;
        if (gst_buffer_map(gst_sample_get_buffer(sample), &map, GST_MAP_READ)) {
            const gint16 *at = (const gint16 *)(const void *)map.data;
            g_array_append_vals(sound, at, (guint)(map.size / 2));
            for (gsize i = 0; i < map.size / 2; i++, samples++) {
                energy += (double)at[i] * at[i];
                if (before < 0 && at[i] >= 0) {
                    first = crossings++ ? first : samples;
                    last = samples;
                }
                before = at[i];
            }
            gst_buffer_unmap(gst_sample_get_buffer(sample), &map);
        }
        gst_sample_unref(sample);
    }
    double frequency = last > first ? (double)(crossings - 1) * 48000 / (double)(last - first) : 0;
    printf("\"audio\":{\"seconds\":%.3f,\"frequency\":%.1f,\"level\":%.4f,\"tones\":[",
           (double)samples / 48000, frequency,
           samples ? sqrt(energy / (double)samples) / 32768 : 0);
    for (guint i = 0; frequencies[i]; i++)
        printf("%s%.4f", i ? "," : "", strength(sound, g_ascii_strtod(frequencies[i], NULL)));
    printf("]}}\n");
}

int main(int argc, char **argv)
{
    g_autofree char *data = NULL;
    gsize length = 0;
    if (argc < 3 || !g_file_get_contents(argv[1], &data, &length, NULL)) {
        fprintf(stderr, "usage: rtp-look FILE VP8|H264 [FREQUENCY …]\n");
        return 2;
    }
    gst_init(NULL, NULL);
    bool h264 = strcmp(argv[2], "H264") == 0;
    g_autofree char *video_text = g_strdup_printf(
        "appsrc name=in format=time caps=application/x-rtp,media=video,clock-rate=90000,"
        "encoding-name=%s ! %s ! videoconvert ! video/x-raw,format=GRAY8 ! appsink name=out "
        "sync=false",
        argv[2], h264 ? "rtph264depay ! h264parse ! openh264dec" : "rtpvp8depay ! vp8dec");
    struct decoder video = open_decoder(video_text);
    struct decoder audio = open_decoder(
        "appsrc name=in format=time "
        "caps=application/x-rtp,media=audio,clock-rate=48000,payload=111,"
        "encoding-name=OPUS ! rtpopusdepay ! opusdec ! audioconvert ! "
        "audio/x-raw,format=S16LE,channels=1,rate=48000 ! appsink name=out sync=false");
    feed(&video, &audio, (const guint8 *)data, length);
    look_at_video(&video);
    listen_to_audio(&audio, argv + 3);
    close_decoder(&video);
    close_decoder(&audio);
    return 0;
}
