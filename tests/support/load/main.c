/* SPDX-License-Identifier: Apache-2.0 */
/* wmcf-load: generated legs against the real programs. One thread serves links, signalling and all
 * peers; the result is one JSON object on stdout. `control` drives wmcf as a WSF would, `calls`
 * makes calls through wsf, `bare` loads the bare forwarder and `janus` Janus with the same
 * media, `flood` sends rubbish. */
#include "base/log.h"
#include "base/loop.h"
#include "tests/support/load/adapter.h"

#include <stdio.h>
#include <string.h>

static struct load_options options = {
    .contexts = 1,
    .fan_out = 1,
    .bitrate = 2500000,
    .fps = 30,
    .packet_size = 1200,
    .seconds = 5,
    .warm_up = 2,
    .parallel = 8,
    .repeat = 1,
    .count = 10000,
    .rate = 5000,
};

static const GOptionEntry entries[] = {
    {"url", 'u', 0, G_OPTION_ARG_STRING, &options.url, "Link to wmcf or wsf", "ws://…"},
    {"webrtc-id", 0, 0, G_OPTION_ARG_STRING, &options.webrtc_id, "control: identity", "ID"},
    {"token-file", 0, 0, G_OPTION_ARG_FILENAME, &options.token_file, "control: bearer token", "F"},
    {"tls-ca", 0, 0, G_OPTION_ARG_FILENAME, &options.tls_ca, "PEM file of the server's CA", "F"},
    {"users", 0, 0, G_OPTION_ARG_FILENAME, &options.users,
     "calls: lines of webrtcId and password; the first calls the second, and so on", "F"},
    {"to", 0, 0, G_OPTION_ARG_STRING, &options.to, "bare, flood: address:port", "A"},
    {"pid", 'p', 0, G_OPTION_ARG_INT, &options.pid, "Process to measure", "PID"},
    {"contexts", 'c', 0, G_OPTION_ARG_INT, &options.contexts, "Contexts (or calls at once)", "N"},
    {"fan-out", 'n', 0, G_OPTION_ARG_INT, &options.fan_out, "Subscribers per publisher", "N"},
    {"two-way", '2', 0, G_OPTION_ARG_NONE, &options.two_way, "Two legs that send both ways", NULL},
    {"room", 0, 0, G_OPTION_ARG_INT, &options.room, "N legs that send to all others", "N"},
    {"idle", 0, 0, G_OPTION_ARG_NONE, &options.idle, "Nobody sends", NULL},
    {"setup-only", 0, 0, G_OPTION_ARG_NONE, &options.setup_only, "Set up, take down", NULL},
    {"audio", 'a', 0, G_OPTION_ARG_NONE, &options.audio, "Audio too", NULL},
    {"no-video", 0, 0, G_OPTION_ARG_NONE, &options.no_video, "No video", NULL},
    {"bitrate", 'b', 0, G_OPTION_ARG_INT, &options.bitrate, "Video, bit/s", "N"},
    {"fps", 0, 0, G_OPTION_ARG_INT, &options.fps, "Video frames per second", "N"},
    {"packet-size", 's', 0, G_OPTION_ARG_INT, &options.packet_size, "Video RTP packet", "OCTETS"},
    {"audio-size", 0, 0, G_OPTION_ARG_INT, &options.audio_size, "Audio RTP packet", "OCTETS"},
    {"nack", 0, 0, G_OPTION_ARG_NONE, &options.nack, "NACK and retransmission", NULL},
    {"wide", 0, 0, G_OPTION_ARG_NONE, &options.wide, "Transport-wide congestion control", NULL},
    {"bind", 0, 0, G_OPTION_ARG_STRING, &options.bind, "Address of the legs", "ADDRESS"},
    {"drop-in", 0, 0, G_OPTION_ARG_DOUBLE, &options.drop_in, "Loss towards the legs, 0..1", "P"},
    {"drop-out", 0, 0, G_OPTION_ARG_DOUBLE, &options.drop_out, "Loss from the legs, 0..1", "P"},
    {"no-rtcp", 0, 0, G_OPTION_ARG_NONE, &options.no_rtcp, "No reports from the legs", NULL},
    {"gso", 0, 0, G_OPTION_ARG_NONE, &options.gso, "Send in UDP_SEGMENT runs", NULL},
    {"gro", 0, 0, G_OPTION_ARG_NONE, &options.gro, "Receive UDP_GRO runs", NULL},
    {"libsrtp", 0, 0, G_OPTION_ARG_NONE, &options.libsrtp, "SRTP and SRTCP by libsrtp, not EVP",
     NULL},
    {"srtp-profile", 0, 0, G_OPTION_ARG_STRING, &options.srtp_profile,
     "The only SRTP profile offered: cm, gcm or gcm256", "P"},
    {"seconds", 't', 0, G_OPTION_ARG_DOUBLE, &options.seconds, "Measured time", "S"},
    {"warm-up", 0, 0, G_OPTION_ARG_DOUBLE, &options.warm_up, "Media before it", "S"},
    {"parallel", 0, 0, G_OPTION_ARG_INT, &options.parallel, "Set-ups at a time", "N"},
    {"repeat", 0, 0, G_OPTION_ARG_INT, &options.repeat, "calls: rounds one after the other", "N"},
    {"count", 0, 0, G_OPTION_ARG_INT, &options.count, "flood: datagrams", "N"},
    {"rate", 0, 0, G_OPTION_ARG_INT, &options.rate, "flood: datagrams per second", "N"},
    {"keep", 0, 0, G_OPTION_ARG_NONE, &options.keep, "Leave everything up at the end", NULL},
    {"trace-file", 0, 0, G_OPTION_ARG_FILENAME, &options.trace_file, "Log of all messages", "F"},
    {NULL, 0, 0, 0, NULL, NULL, NULL}};

static const struct {
    const char *name;
    void (*start)(struct load_run *run);
} modes[] = {
    {"calls", load_calls_start},
    {"flood", load_flood_start},
};

static const struct load_adapter *const adapters[] = {
    &load_control_adapter,
    &load_bare_adapter,
    &load_janus_adapter,
    &load_rtpengine_adapter,
};

static void on_signal(int signo)
{
    loop_quit();
}

/* False when there is no such mode; `run` NULL only asks. */
static bool start(const char *name, struct load_run *run)
{
    for (guint i = 0; i < G_N_ELEMENTS(modes); i++)
        if (!strcmp(modes[i].name, name)) {
            if (run)
                modes[i].start(run);
            return true;
        }
    for (guint i = 0; i < G_N_ELEMENTS(adapters); i++)
        if (!strcmp(adapters[i]->name, name)) {
            if (run)
                load_drive(run, adapters[i]);
            return true;
        }
    return false;
}

static void begin(void *data)
{
    struct load_run *run = data;
    start(json_string_value(json_object_get(run->report, "mode")), run);
}

/* One sentence about options that do not go together, or NULL. */
static const char *wrong(void)
{
    guint kinds = options.audio + !options.no_video;
    if (options.contexts < 1 || options.parallel < 1)
        return "--contexts and --parallel begin at 1";
    if (!kinds)
        return "--no-video wants --audio";
    if (options.room &&
        (options.room < 2 || ((guint)options.room - 1) * kinds > PEER_MEDIA_CONFIGS))
        return "a room has 2 legs or more, and no leg receives more than 16 streams";
    if (options.srtp_profile && !peer_srtp_profile_find(0, options.srtp_profile))
        return "--srtp-profile is cm, gcm or gcm256";
    return NULL;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GOptionContext) context =
        g_option_context_new("control|calls|bare|janus|rtpengine|flood");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 2 ||
        !start(argv[1], NULL) || wrong()) {
        const char *problem = argc == 2 ? wrong() : NULL;
        g_printerr("wmcf-load: %s; see --help\n", error     ? error->message
                                                  : problem ? problem
                                                            : "say a mode");
        return 2;
    }
    log_init("wmcf-load", LOG_FORMAT_TEXT, LOG_WARNING);
    loop_init(1000);
    struct peer_group_config group = {.gso = options.gso, .gro = options.gro, .stamps = true};
    struct load_run run = {
        .options = &options,
        .group = peer_group_new(&group),
        .legs = g_ptr_array_new_with_free_func(g_free),
        .report = json_pack("{s:s}", "mode", argv[1]),
    };
    peer_group_attach(run.group, NULL);
    run.begun_us = g_get_monotonic_time();
    loop_post("begin", begin, &run);
    loop_run(on_signal);
    if (run.clean)
        run.clean(run.clean_user);
    json_dumpf(run.report, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(run.report);
    peer_group_free(run.group);
    g_ptr_array_unref(run.legs);
    return run.status;
}
