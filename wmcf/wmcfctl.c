/* SPDX-License-Identifier: Apache-2.0 */
/* wmcfctl: a look inside a running wmcf over its unix socket. It fetches JSON and says it in words;
 * with -j it prints the JSON as it came. Exit status: 0 done, 1 refused, 2 not reachable. */
#include "wmcf/wmcfctl-pcap.h"

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/run/wmcf/wmcf.sock"
#define REPLY_MAX (64u << 20)

static struct {
    char *socket;
    gboolean json, version;
    struct wmcfctl_pcap_options pcap;
} options;

static const GOptionEntry entries[] = {
    {"socket", 's', 0, G_OPTION_ARG_FILENAME, &options.socket,
     "Socket of the wmcf (default $WMCF_SOCKET or " DEFAULT_SOCKET ")", "PATH"},
    {"json", 'j', 0, G_OPTION_ARG_NONE, &options.json, "Print JSON", NULL},
    {"output", 'o', 0, G_OPTION_ARG_FILENAME, &options.pcap.output,
     "pcap: into a new file, in place of the standard output", "FILE"},
    {"seconds", 0, 0, G_OPTION_ARG_INT64, &options.pcap.seconds, "pcap: for so long", "N"},
    {"bytes", 0, 0, G_OPTION_ARG_INT64, &options.pcap.octets, "pcap: so many octets at most", "N"},
    {"mid", 0, 0, G_OPTION_ARG_STRING, &options.pcap.mid, "pcap: of one medium, and RTCP", "MID"},
    {"snap", 0, 0, G_OPTION_ARG_INT64, &options.pcap.snap, "pcap: the front of each packet",
     "OCTETS"},
    {"version", 'V', 0, G_OPTION_ARG_NONE, &options.version, "Print the version and exit", NULL},
    {NULL},
};

/* --- reading JSON
 * ---------------------------------------------------------------------------------- */

static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static long long number_at(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static double real_at(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static bool true_at(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static char *endpoint_at(const json_t *object, const char *key)
{
    const json_t *a = json_object_get(object, key);
    if (!a)
        return g_strdup("none");
    const char *ip = text_at(a, "ip");
    return g_strdup_printf(strchr(ip, ':') ? "[%s]:%lld" : "%s:%lld", ip, number_at(a, "port"));
}

static char *duration(double seconds)
{
    if (seconds < 60)
        return g_strdup_printf("%.1f s", seconds);
    if (seconds < 3600)
        return g_strdup_printf("%d min %02d s", (int)seconds / 60, (int)seconds % 60);
    return g_strdup_printf("%d h %02d min", (int)seconds / 3600, (int)seconds / 60 % 60);
}

/* Names of RFC 2597, RFC 3246 and RFC 2474. */
static char *dscp_name(long long dscp)
{
    if (dscp == 46)
        return g_strdup("EF");
    if (dscp % 8 == 0)
        return dscp ? g_strdup_printf("CS%lld", dscp / 8) : g_strdup("best effort");
    if (dscp >= 10 && dscp <= 38 && dscp % 2 == 0)
        return g_strdup_printf("AF%lld%lld", dscp / 8, dscp % 8 / 2);
    return g_strdup_printf("DSCP %lld", dscp);
}

/* --- in words ------------------------------------------------------------------------------ */

static void print_policies(const json_t *policies)
{
    static const char *const judges[] = {"kernel", "relay"};
    printf("  policies     %lld media of %lld peer connections", number_at(policies, "flows"),
           number_at(policies, "transports"));
    if (number_at(policies, "interfaces"))
        printf(", filters on %lld interface%s", number_at(policies, "interfaces"),
               number_at(policies, "interfaces") == 1 ? "" : "s");
    for (int i = 0; i < 2; i++) {
        const json_t *judge = json_object_get(policies, judges[i]);
        long long gate = number_at(judge, "gateDiscarded");
        long long policing = number_at(judge, "policingDiscarded");
        long long unattributed = number_at(judge, "unattributedDiscarded");
        if (gate || policing || unattributed)
            printf("\n               dropped by the %s: %lld at closed gates, %lld above a rate",
                   judges[i], gate, policing);
        if (unattributed)
            printf(", %lld of no medium", unattributed);
    }
    printf("\n");
}

static void print_status(const json_t *reply)
{
    g_autofree char *uptime = duration(real_at(reply, "uptimeSeconds"));
    const json_t *enforcement = json_object_get(reply, "enforcement");
    printf("wmcf %s, %s for %s, load %lld %%\n", text_at(reply, "version"),
           text_at(reply, "serviceState"), uptime, number_at(reply, "load"));
    printf("  contexts     %lld\n  terminations %lld\n  pipelines    %lld (%lld going down)\n",
           number_at(reply, "contexts"), number_at(reply, "terminations"),
           number_at(reply, "pipelines"), number_at(reply, "reaping"));
    printf("  enforcement  %s (%s)\n", text_at(enforcement, "level"),
           text_at(enforcement, "reason"));
    print_policies(json_object_get(reply, "policies"));
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(reply, "links"), i, item)
        printf("  wsf          %s, %s\n", text_at(item, "wsf"),
               number_at(item, "links") ? "linked" : "link lost, contexts live on for a while");
    if (i == 0)
        printf("  wsf          none has linked yet (control port %lld)\n",
               number_at(reply, "controlPort"));
    json_array_foreach(json_object_get(reply, "workers"), i, item)
    {
        printf("  worker %lld     %lld legs, %lld packets in, %lld out", number_at(item, "worker"),
               number_at(item, "legs"), number_at(item, "packetsIn"),
               number_at(item, "packetsOut"));
        long long unknown = number_at(item, "unknownSourceDropped");
        long long broken = number_at(item, "malformed"), stun = number_at(item, "stunRejected");
        long long mirrors = number_at(item, "mirrors"), behind = number_at(item, "ringDropped");
        if (mirrors)
            printf(", %lld streams from other workers", mirrors);
        if (behind)
            printf("; %lld packets lost to workers that were behind", behind);
        long long dtls = number_at(item, "dtlsDropped");
        if (unknown || broken || stun || dtls)
            printf("; dropped: %lld from unknown sources, %lld malformed, %lld STUN, %lld DTLS",
                   unknown, broken, stun, dtls);
        printf("\n");
    }
}

static void print_dot(const json_t *reply)
{
    printf("%s", text_at(reply, "dot"));
}

static void print_done(const json_t *reply)
{
    printf("done\n");
}

static void print_contexts(const json_t *reply)
{
    size_t i, k;
    const json_t *context, *id;
    json_array_foreach(json_object_get(reply, "contexts"), i, context)
    {
        g_autofree char *age = duration(real_at(context, "ageSeconds"));
        printf("%s  %s, of %s, for %s\n", text_at(context, "contextId"),
               text_at(context, "topology"), text_at(context, "owner"), age);
        const json_t *states = json_object_get(context, "states");
        json_array_foreach(json_object_get(context, "terminationIds"), k, id) printf(
            "  %s  %s\n", json_string_value(id), json_string_value(json_array_get(states, k)));
    }
    if (i == 0)
        printf("no contexts\n");
}

static void print_ice(const json_t *t)
{
    const json_t *ice = json_object_get(t, "ice"), *transport = json_object_get(t, "transport");
    g_autofree char *local = endpoint_at(ice, "local");
    g_autofree char *remote = endpoint_at(ice, "remote");
    if (true_at(ice, "connected"))
        printf("  ICE     connected, %s here and %s there; last check %.1f s ago, %lld in all\n",
               local, remote, real_at(transport, "lastStunAge"),
               number_at(transport, "stunRequests"));
    else if (number_at(transport, "stunRequests") == 0)
        printf(
            "  ICE     not connected: no valid check has come. Is UDP to the media port open, and "
            "does the endpoint know our candidate?\n");
    else
        printf(
            "  ICE     not connected: %lld checks have come, none nominates a pair or the consent "
            "has expired\n",
            number_at(transport, "stunRequests"));
}

static void print_dtls(const json_t *t)
{
    const json_t *dtls = json_object_get(t, "dtls");
    if (true_at(dtls, "connected"))
        printf("  DTLS    connected, %s; fingerprint matched\n  SRTP    %s\n",
               *text_at(dtls, "cipher") ? text_at(dtls, "cipher") : "cipher not known",
               text_at(dtls, "srtpProfile"));
    else
        printf("  DTLS    %s: no keys, so no media can flow\n", text_at(dtls, "state"));
}

static void print_discards(const json_t *traffic)
{
    if (number_at(traffic, "gateDiscarded"))
        printf("                         %lld dropped at the closed gate\n",
               number_at(traffic, "gateDiscarded"));
    if (number_at(traffic, "policingDiscarded"))
        printf("                         %lld dropped above the rate\n",
               number_at(traffic, "policingDiscarded"));
}

/* Of data channels there is no stream: only what passed. */
static void print_data(const json_t *media)
{
    static const char *const ways[] = {"uplink", "downlink"};
    static const char *const words[] = {"from", "to  "};
    for (int i = 0; i < 2; i++) {
        const json_t *traffic = json_object_get(media, ways[i]);
        printf("      %s the endpoint  %lld packets, %lld octets\n", words[i],
               number_at(traffic, "packets"), number_at(traffic, "octets"));
        print_discards(traffic);
    }
}

static void print_policy(const json_t *media)
{
    const json_t *policing = json_object_get(media, "policing");
    const json_t *marking = json_object_get(media, "marking");
    printf(", gate %s", text_at(media, "flowStatus"));
    if (policing)
        printf(", at most %lld octets/s with bursts of %lld", number_at(policing, "sdr"),
               number_at(policing, "mbs"));
    if (number_at(policing, "pdr"))
        printf(", peak %lld octets/s within %lld us", number_at(policing, "pdr"),
               number_at(policing, "dvt"));
    if (!marking)
        return;
    g_autofree char *name = dscp_name(number_at(marking, "dscp"));
    printf(strcmp(text_at(marking, "taggingBehaviour"), "copy") == 0
               ? ", marked as it came, else %s"
               : ", marked %s",
           name);
}

static void print_uplink(const json_t *media, bool video)
{
    const json_t *up = json_object_get(media, "uplink");
    if (number_at(up, "received") == 0) {
        printf("      from the endpoint  nothing has come\n");
    } else {
        printf("      from the endpoint  %lld packets", number_at(up, "received"));
        if (number_at(up, "ssrc")) /* none is in use while the gate is closed */
            printf(" (SSRC %08llx, payload type %lld)", number_at(up, "ssrc"),
                   number_at(up, "payloadType"));
        printf(", %lld lost, %lld repeated after NACK; last %.2f s ago\n", number_at(up, "lost"),
               number_at(up, "retransmitted"), real_at(up, "lastPacketAge"));
        if (video && number_at(up, "keyFrames"))
            printf("                         %lld key frames, the last %.1f s ago; %lld were asked "
                   "for\n",
                   number_at(up, "keyFrames"), real_at(up, "lastKeyFrameAge"),
                   number_at(up, "pli"));
        else if (video)
            printf("                         no key frame yet: the picture stays black; %lld were "
                   "asked for\n",
                   number_at(up, "pli"));
    }
    print_discards(up);
}

static void print_downlink(const json_t *media, const json_t *negotiated)
{
    const json_t *down = json_object_get(media, "downlink");
    const json_t *source = json_object_get(negotiated, "source");
    if (source)
        printf("      to the endpoint    %lld packets (SSRC %08llx) from %s mid %s; %lld repeated, "
               "it reports %lld lost",
               number_at(down, "sent"), number_at(down, "ssrc"), text_at(source, "terminationId"),
               text_at(source, "mid"), number_at(down, "retransmitted"), number_at(down, "lost"));
    else
        printf("      to the endpoint    no route leads here");
    if (json_object_get(down, "roundTrip"))
        printf(", round trip %.0f ms", 1000 * real_at(down, "roundTrip"));
    printf("\n");
    if (number_at(down, "noCodec"))
        printf(
            "                         %lld not sent: the endpoint has not negotiated that codec\n",
            number_at(down, "noCodec"));
    print_discards(down);
    if (number_at(down, "marked"))
        printf("                         %lld marked\n", number_at(down, "marked"));
}

/* Of rtcStats; NULL when there is none. `mid` NULL: of the leg. */
static const json_t *rtc_stats_of(const json_t *t, const char *type, const char *mid)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(t, "rtcStats"), i, one)
    {
        if (strcmp(text_at(one, "type"), type) == 0 &&
            (!mid || strcmp(text_at(one, "mid"), mid) == 0))
            return one;
    }
    return NULL;
}

/* Which of several a picture is, and why it is no better one. */
static void print_layer(const json_t *sent)
{
    const char *reason = text_at(sent, "qualityLimitationReason");
    bool limited = *reason && strcmp(reason, "none") != 0;
    if (!*text_at(sent, "rid") && !number_at(sent, "frameWidth") && !limited)
        return;
    printf("                         ");
    if (*text_at(sent, "rid"))
        printf("encoding %s", text_at(sent, "rid"));
    else
        printf("picture");
    if (number_at(sent, "frameWidth"))
        printf(", %lld x %lld", number_at(sent, "frameWidth"), number_at(sent, "frameHeight"));
    if (limited)
        printf(strcmp(reason, "bandwidth") == 0 ? "; the way carries no more"
                                                : "; no more was asked for");
    printf("\n");
}

static void print_pipeline(const json_t *p)
{
    printf("  pipeline of template %s, %s", text_at(p, "template"), text_at(p, "state"));
    if (json_object_get(p, "startSeconds"))
        printf("; its first packets came after %.0f ms", 1000 * real_at(p, "startSeconds"));
    printf("; %lld key frames asked of it\n", number_at(p, "keyFrameRequests"));
    if (json_object_get(p, "duration"))
        printf("  at %.1f s of %.1f s%s%s\n", real_at(p, "position"), real_at(p, "duration"),
               true_at(p, "paused") ? ", paused" : "",
               true_at(p, "seekable") ? "" : ", cannot be sought");
    if (number_at(p, "late"))
        printf("  %lld packets came late: the machine or the encoder is too slow\n",
               number_at(p, "late"));
    if (number_at(p, "queueDropped"))
        printf("  %lld packets were dropped: the packet path was behind\n",
               number_at(p, "queueDropped"));
    if (number_at(p, "refused"))
        printf("  %lld packets could not be used\n", number_at(p, "refused"));
}

static void print_termination(const json_t *reply)
{
    const json_t *t = json_object_get(reply, "termination");
    g_autofree char *age = duration(real_at(t, "ageSeconds"));
    printf("%s in %s, %s, for %s\n", text_at(t, "terminationId"), text_at(t, "contextId"),
           text_at(t, "state"), age);
    if (*text_at(t, "failure"))
        printf("  failed: %s\n", text_at(t, "failure"));
    if (true_at(t, "offerPending"))
        printf("  an offer of ours waits for the endpoint's answer\n");
    if (json_object_get(t, "pipeline")) {
        print_pipeline(json_object_get(t, "pipeline"));
    } else {
        print_ice(t);
        print_dtls(t);
    }
    const json_t *transport = json_object_get(t, "transport");
    if (!json_object_get(t, "pipeline"))
        printf("  policies held by %s\n", text_at(json_object_get(t, "enforcement"), "level"));
    const json_t *pair = rtc_stats_of(t, "candidate-pair", NULL);
    if (json_object_get(pair, "availableOutgoingBitrate"))
        printf("  the way to the endpoint carries %.0f kbit/s\n",
               real_at(pair, "availableOutgoingBitrate") / 1000);
    if (number_at(t, "unattributedDiscarded"))
        printf("  dropped %lld packets that belong to no medium, or control packets while every "
               "gate was closed\n",
               number_at(t, "unattributedDiscarded"));
    if (number_at(transport, "unvalidatedDropped"))
        printf("  dropped %lld packets from addresses that ICE has not validated\n",
               number_at(transport, "unvalidatedDropped"));
    if (number_at(transport, "cryptexDropped"))
        printf("  dropped %lld packets with ciphered header extensions that were not negotiated\n",
               number_at(transport, "cryptexDropped"));
    if (number_at(transport, "srtpFailed"))
        printf("  dropped %lld packets that SRTP could not authenticate\n",
               number_at(transport, "srtpFailed"));
    size_t i;
    const json_t *media;
    json_array_foreach(json_object_get(t, "medias"), i, media)
    {
        g_autofree char *codecs = json_dumps(json_object_get(media, "codecs"), JSON_COMPACT);
        printf("  mid %s: %s %s %s", text_at(media, "mid"), text_at(media, "mediaType"),
               text_at(media, "direction"), codecs);
        print_policy(media);
        printf("\n");
        size_t k;
        const json_t *statistics;
        json_array_foreach(json_object_get(t, "statistics"), k, statistics)
        {
            if (strcmp(text_at(statistics, "mid"), text_at(media, "mid")) != 0)
                continue;
            if (strcmp(text_at(media, "mediaType"), "application") == 0) {
                print_data(statistics);
                continue;
            }
            print_uplink(statistics, strcmp(text_at(media, "mediaType"), "video") == 0);
            if (json_object_get(t, "pipeline"))
                continue;
            print_downlink(statistics, media);
            print_layer(rtc_stats_of(t, "outbound-rtp", text_at(media, "mid")));
        }
    }
}

/* --- talking ------------------------------------------------------------------------------- */

static void print_top(const json_t *reply);

static const struct {
    const char *name, *argument, *help;
    void (*print)(const json_t *reply);
} commands[] = {
    {"contexts", NULL, "contexts and their terminations", print_contexts},
    {"dot", "ID", "the graph of a running pipeline, for graphviz", print_dot},
    {"drain", NULL, "take no new contexts; undrain calls it off", print_done},
    {"keyframe", "ID", "ask a termination's sender for a key frame of each picture", print_done},
    {"log", "[CATEGORY:]LEVEL", "another log level until the next start", print_done},
    {"pcap", "ID", "decrypted packets of a termination or a context, as pcapng", print_done},
    {"status", NULL, "state, load, links, workers", print_status},
    {"termination", "ID", "one termination in words: ICE, DTLS, SRTP, media, gate",
     print_termination},
    {"top", NULL, "what it does in a second, again and again (once into a pipe)", print_top},
    {"undrain", NULL, "take new contexts again", print_done},
};

static json_t *ask(const char *path, const json_t *request, GError **error)
{
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_socket_client_set_timeout(client, 10);
    g_autoptr(GSocketConnection) connection =
        g_socket_client_connect(client, G_SOCKET_CONNECTABLE(address), NULL, error);
    if (!connection)
        return NULL;
    g_autofree char *text = json_dumps(request, JSON_COMPACT);
    g_autofree char *line = g_strconcat(text, "\n", NULL);
    GOutputStream *out = g_io_stream_get_output_stream(G_IO_STREAM(connection));
    if (!g_output_stream_write_all(out, line, strlen(line), NULL, NULL, error))
        return NULL;
    GInputStream *in = g_io_stream_get_input_stream(G_IO_STREAM(connection));
    g_autoptr(GByteArray) all = g_byte_array_new();
    guint8 buffer[16384];
    gssize n;
    while ((n = g_input_stream_read(in, buffer, sizeof buffer, NULL, error)) > 0 &&
           all->len < REPLY_MAX)
        g_byte_array_append(all, buffer, n);
    if (n < 0)
        return NULL;
    json_t *reply = json_loadb((const char *)all->data, all->len, 0, NULL);
    if (!reply)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "the wmcf gave no readable answer");
    return reply;
}

static const char *socket_path(void)
{
    const char *path = options.socket ? options.socket : g_getenv("WMCF_SOCKET");
    return path ? path : DEFAULT_SOCKET;
}

/* Rates are what two looks differ by. */
static void print_rates(const json_t *before, const json_t *now)
{
    double seconds = real_at(now, "uptimeSeconds") - real_at(before, "uptimeSeconds");
    if (seconds <= 0)
        return; /* another process meanwhile */
    printf("%s, load %lld %%: %lld contexts, %lld terminations, %lld media resources; %.0f %% of a "
           "core\n",
           text_at(now, "serviceState"), number_at(now, "load"), number_at(now, "contexts"),
           number_at(now, "terminations"), number_at(now, "mediaResources"),
           100 * (real_at(now, "cpuSeconds") - real_at(before, "cpuSeconds")) / seconds);
    size_t i;
    const json_t *worker;
    json_array_foreach(json_object_get(now, "workers"), i, worker)
    {
        const json_t *was = json_array_get(json_object_get(before, "workers"), i);
        printf("  worker %-3lld %5lld legs %9.0f packets/s in %9.0f out %6lld dropped\n",
               number_at(worker, "worker"), number_at(worker, "legs"),
               (double)(number_at(worker, "packetsIn") - number_at(was, "packetsIn")) / seconds,
               (double)(number_at(worker, "packetsOut") - number_at(was, "packetsOut")) / seconds,
               number_at(worker, "sendDropped") - number_at(was, "sendDropped"));
    }
    fflush(stdout);
}

static void print_top(const json_t *reply)
{
    json_auto_t *request = json_pack("{s:s}", "command", "status");
    json_t *before = json_incref((json_t *)reply);
    do {
        g_autoptr(GError) error = NULL;
        g_usleep(G_USEC_PER_SEC);
        json_t *now = ask(socket_path(), request, &error);
        if (now)
            print_rates(before, now);
        else
            fprintf(stderr, "wmcfctl: no answer: %s\n", error->message);
        json_decref(before);
        before = now;
    } while (before && isatty(STDOUT_FILENO));
    json_decref(before);
}

static char *summary(void)
{
    GString *text = g_string_new("Looks inside a running wmcf.\n\nCommands:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
        g_string_append_printf(text, "  %-11s %-16s %s\n", commands[i].name,
                               commands[i].argument ? commands[i].argument : "", commands[i].help);
    return g_string_free(text, FALSE);
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *commands_help = summary();
    g_autoptr(GOptionContext) context = g_option_context_new("COMMAND [ID]");
    g_option_context_set_summary(context, commands_help);
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "wmcfctl: %s\n", error->message);
        return 1;
    }
    if (options.version) {
        printf("wmcfctl " WMCF_VERSION "\n");
        return 0;
    }
    size_t c = 0;
    while (argc > 1 && c < G_N_ELEMENTS(commands) && strcmp(commands[c].name, argv[1]) != 0)
        c++;
    int wanted = c < G_N_ELEMENTS(commands) && commands[c].argument ? 3 : 2;
    if (argc < 2 || c == G_N_ELEMENTS(commands) || argc != wanted) {
        g_autofree char *help = g_option_context_get_help(context, TRUE, NULL);
        fprintf(stderr, "%s", help);
        return 1;
    }
    json_auto_t *request =
        json_pack("{s:s}", "command", strcmp(argv[1], "top") == 0 ? "status" : argv[1]);
    if (wanted == 3)
        json_object_set_new(request, "id", json_string(argv[2]));
    const char *path = socket_path();
    if (strcmp(argv[1], "pcap") == 0)
        return wmcfctl_pcap(path, argv[2], &options.pcap);
    json_auto_t *reply = ask(path, request, &error);
    if (!reply) {
        fprintf(stderr, "wmcfctl: no answer on %s: %s. Is wmcf running, and may you open it?\n",
                path, error ? error->message : "");
        return 2;
    }
    if (!true_at(reply, "ok")) {
        fprintf(stderr, "wmcfctl: %s\n", text_at(reply, "error"));
        return 1;
    }
    if (options.json) {
        g_autofree char *text = json_dumps(reply, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        printf("%s\n", text);
    } else {
        commands[c].print(reply);
    }
    return 0;
}
