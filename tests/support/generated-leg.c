/* SPDX-License-Identifier: Apache-2.0 */
/* A generated leg for scripts: one JSON object a line on stdin, one answer a line on stdout.
 *   {"command":"answer","sdp":…,"direction":3,"medias":2,"lite":false,"faults":[…]} → {"sdp":…};
 *       again for a later offer. medias: audio, then video. "hold":true: nothing is generated but
 *       what "send" asks for. "plain":true: no NACK for the video. "data":true: takes an m-line of
 *       data channels
 *   {"command":"offer",…} → {"sdp":…}   {"command":"setAnswer","sdp":…} → {}
 *   {"command":"direction","index":n,"direction":n}, {"command":"addVideo"},
 * {"command":"addAudio"},
 *   {"command":"stop","index":n}, {"command":"restartIce"}: for the next description → {}
 *   {"command":"close"} → {}: DTLS close_notify
 *   {"command":"strangerRtp","count":n}, {"command":"strangerDtls","count":n} → {}
 *   {"command":"capture","file":…} → {}: received RTP goes there (rtp-look.c); again without file:
 *       end
 *   {"command":"keyFrame"} → {}: asks for one
 *   {"command":"faults","faults":[…]} → {}
 *   {"command":"send","lines":[1],"count":n,"size":octets of the IP datagram,"rate":octets/s
 * (absent: back to back),"gso":bool,"ssrcEveryMs":n (-1: with every
 * packet),"ssrcOf":line,"sdr":octets/s, "mbs":octets} → {"id":n}; stats.traffic[id] tells how it
 * goes, and "fullUs", for how long a bucket of sdr and mbs would have been full
 *   {"command":"tos","tos":n} → {}: of everything sent from now on
 *   {"command":"application","count":n,"size":octets} → {"sent":n}: DTLS application data records
 *   {"command":"stats"} → {state, failure, receive:[…], send:[…]} */
#include "tests/support/peer/peer.h"

#include <errno.h>
#include <gio/gio.h>
#include <gio/gunixinputstream.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct peer_group *group;
static struct peer *peer;
static GMainLoop *loop;

static FILE *capture;

static void on_packet(struct peer *from, enum peer_kind kind, const uint8_t *packet, size_t length,
                      void *user)
{
    const uint8_t head[] = {kind == PEER_AUDIO ? 'a' : 'v', (uint8_t)(length >> 8),
                            (uint8_t)length};
    if (!capture)
        return;
    fwrite(head, 1, sizeof head, capture);
    fwrite(packet, 1, length, capture);
}

static const struct peer_ops ops = {.packet = on_packet};

static struct peer_faults read_faults(const json_t *request)
{
    struct peer_faults faults = {0};
    const struct {
        const char *name;
        bool *flag;
    } rows[] = {
        {"wrongFingerprint", &faults.wrong_fingerprint},
        {"wrongIcePassword", &faults.wrong_ice_password},
        {"noChecks", &faults.no_checks},
        {"noNomination", &faults.no_nomination},
        {"noConsent", &faults.no_consent},
        {"dtlsBeforeIce", &faults.dtls_before_ice},
    };
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(request, "faults"), i,
                       item) for (size_t r = 0; r < G_N_ELEMENTS(rows);
                                  r++) if (g_strcmp0(json_string_value(item), rows[r].name) == 0) *
        rows[r].flag = true;
    return faults;
}

static const struct peer_media_config audio = {.kind = PEER_AUDIO, .direction = PEER_SENDRECV},
                                      video = {
                                          .kind = PEER_VIDEO,
                                          .direction = PEER_SENDRECV,
                                          .nack = true,
};

static bool make_peer(const json_t *request, GError **error)
{
    const json_t *wanted = json_object_get(request, "direction");
    const json_t *medias = json_object_get(request, "medias");
    struct peer_config config = {
        .name = "generated leg",
        .bind_address = json_string_value(json_object_get(request, "bind")),
        .lite = json_is_true(json_object_get(request, "lite")),
        .medias = {audio, video},
        .n_medias = medias ? MIN((guint)json_integer_value(medias), 2) : 2,
        .data = json_is_true(json_object_get(request, "data")),
        .hold_media = json_is_true(json_object_get(request, "hold")),
        .faults = read_faults(request),
        .ops = &ops,
    };
    if (json_is_true(json_object_get(request, "plain")))
        config.medias[1].nack = false;
    for (guint i = 0; wanted && i < config.n_medias; i++)
        config.medias[i].direction = (enum peer_direction)json_integer_value(wanted);
    peer = peer_new(group, &config, error);
    return peer != NULL;
}

struct number {
    const char *name;
    uint64_t value;
};

static json_t *sdp_reply(const char *sdp, const GError *error)
{
    return sdp ? json_pack("{s:s}", "sdp", sdp)
               : json_pack("{s:s}", "error", error ? error->message : "no description");
}

static json_t *answer(const json_t *request)
{
    g_autoptr(GError) error = NULL;
    const char *offer = json_string_value(json_object_get(request, "sdp"));
    bool ready = peer || make_peer(request, &error);
    g_autofree char *sdp = ready && offer ? peer_answer(peer, offer, &error) : NULL;
    return sdp_reply(sdp, error);
}

static json_t *offer(const json_t *request)
{
    g_autoptr(GError) error = NULL;
    bool ready = peer || make_peer(request, &error);
    g_autofree char *sdp = ready ? peer_offer(peer, &error) : NULL;
    return sdp_reply(sdp, error);
}

static json_t *set_answer(const json_t *request)
{
    g_autoptr(GError) error = NULL;
    const char *sdp = json_string_value(json_object_get(request, "sdp"));
    return sdp && peer_set_answer(peer, sdp, &error)
               ? json_object()
               : json_pack("{s:s}", "error", error ? error->message : "no answer");
}

static json_t *stranger(const json_t *request, bool dtls)
{
    /* The head of a DTLS 1.2 ClientHello record. */
    static const guint8 hello[] = {22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 1, 0, 0, 8};
    json_int_t n = json_integer_value(json_object_get(request, "count"));
    for (json_int_t i = 0; i < n; i++)
        if (dtls)
            peer_send_from_stranger(peer, hello, sizeof hello);
        else
            peer_send_rtp_from_stranger(peer, 0);
    return json_object();
}

static json_t *integers(json_t *object, const struct number *numbers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        json_object_set_new(object, numbers[i].name, json_integer((json_int_t)numbers[i].value));
    return object;
}

static json_t *received(guint index)
{
    struct peer_recv_stats r;
    peer_get_recv(peer, index, &r);
    json_t *tos = json_object();
    for (guint i = 0; i < 256; i++) {
        g_autofree char *name = g_strdup_printf("%u", i);
        uint32_t n = peer_recv_tos(peer, index, (uint8_t)i);
        if (n)
            json_object_set_new(tos, name, json_integer(n));
    }
    const struct number numbers[] = {
        {"packets", r.packets},
        {"ssrc", r.ssrc},
        {"lost", (uint64_t)r.lost},
        {"frames", r.frames},
        {"keyFrames", r.key_frames},
        {"jumps", r.jumps},
        {"longestSilenceUs", (uint64_t)r.longest_silence_us},
        {"sourceLost", r.source_lost},
        {"ipOctets", r.ip_octets},
        {"unique", r.unique},
        {"broken", r.broken_payload},
        {"senderReports", r.sr_received},
        {"firstUs", (uint64_t)r.first_us},
        {"lastUs", (uint64_t)r.last_us},
    };
    return integers(json_pack("{s:s, s:s, s:o}", "kind", r.kind == PEER_AUDIO ? "audio" : "video",
                              "mid", r.mid, "tos", tos),
                    numbers, G_N_ELEMENTS(numbers));
}

static json_t *sent(guint index)
{
    struct peer_send_stats w;
    peer_get_send(peer, index, &w);
    const struct number numbers[] = {
        {"packets", w.packets},
        {"ssrc", w.ssrc},
        {"keyFrames", w.key_frames},
        {"pliReceived", w.pli_received},
        {"firReceived", w.fir_received},
        {"keyRequestUs", (uint64_t)w.key_request_us},
        {"receiverReports", w.rr_received},
    };
    return integers(
        json_pack("{s:s, s:s}", "kind", w.kind == PEER_AUDIO ? "audio" : "video", "mid", w.mid),
        numbers, G_N_ELEMENTS(numbers));
}

static json_t *traffic(guint index)
{
    struct peer_traffic_stats t;
    peer_get_traffic(peer, index, &t);
    const struct number numbers[] = {
        {"packets", t.packets},
        {"octets", t.octets},
        {"failed", t.failed},
        {"ssrcs", t.ssrcs},
        {"firstUs", (uint64_t)t.first_us},
        {"lastUs", (uint64_t)t.last_us},
        {"leastUs", (uint64_t)t.least_us},
        {"longestGapUs", (uint64_t)t.longest_gap_us},
        {"fullUs", (uint64_t)t.full_us},
    };
    return integers(json_pack("{s:b}", "done", t.done), numbers, G_N_ELEMENTS(numbers));
}

static json_t *list(guint n, json_t *(*of)(guint index))
{
    json_t *array = json_array();
    for (guint i = 0; i < n; i++)
        json_array_append_new(array, of(i));
    return array;
}

static json_t *stats(void)
{
    struct peer_stats s;
    peer_get_stats(peer, &s);
    const char *failure = peer_failure(peer);
    const struct number numbers[] = {
        {"strangerIn", s.stranger_in},
        {"stunRequests", s.stun_requests_in},
        {"srtcpIn", s.srtcp_in},
        {"stunResponses", s.stun_responses_in},
        {"srtpFailed", s.srtp_failed},
        {"srtcpFailed", s.srtcp_failed},
        {"unknownSsrc", s.unknown_ssrc},
        {"sendFailed", s.send_failed},
        {"nowUs", (uint64_t)g_get_monotonic_time()},
    };
    json_t *object = json_pack(
        "{s:s, s:s, s:o, s:o, s:o}", "state", peer_state_name(peer_get_state(peer)), "failure",
        failure ? failure : "", "receive", list(peer_recv_count(peer), received), "send",
        list(peer_send_count(peer), sent), "traffic", list(peer_traffic_count(peer), traffic));
    return integers(object, numbers, G_N_ELEMENTS(numbers));
}

static json_t *send_traffic(const json_t *request)
{
    g_autoptr(GError) error = NULL;
    const json_t *lines = json_object_get(request, "lines");
    const json_t *of = json_object_get(request, "ssrcOf");
    struct peer_traffic_config config = {
        .count = (guint)json_integer_value(json_object_get(request, "count")),
        .size = (guint)json_integer_value(json_object_get(request, "size")),
        .rate = (guint)json_integer_value(json_object_get(request, "rate")),
        .sdr = (guint)json_integer_value(json_object_get(request, "sdr")),
        .mbs = (guint)json_integer_value(json_object_get(request, "mbs")),
        .gso = json_is_true(json_object_get(request, "gso")),
        .ssrc_every_us = json_integer_value(json_object_get(request, "ssrcEveryMs")) * 1000,
        .ssrc_of = of ? (int)json_integer_value(of) : -1,
    };
    while (config.n_lines < MIN(json_array_size(lines), G_N_ELEMENTS(config.lines))) {
        config.lines[config.n_lines] =
            (guint)json_integer_value(json_array_get(lines, config.n_lines));
        config.n_lines++;
    }
    if (!config.n_lines)
        config.n_lines = 1;
    guint id = peer_traffic_count(peer);
    return peer_traffic_start(peer, &config, &error) ? json_pack("{s:i}", "id", (int)id)
                                                     : json_pack("{s:s}", "error", error->message);
}

static json_t *send_application(const json_t *request)
{
    static const guint8 data[1200];
    size_t size = (size_t)json_integer_value(json_object_get(request, "size"));
    json_int_t n = json_integer_value(json_object_get(request, "count")), done = 0;
    for (json_int_t i = 0; i < n; i++)
        done += peer_send_application(peer, data, CLAMP(size, 1, sizeof data));
    return json_pack("{s:I}", "sent", done);
}

static json_t *begin_capture(const json_t *request)
{
    const char *file = json_string_value(json_object_get(request, "file"));
    g_clear_pointer(&capture, fclose);
    if (file && !(capture = fopen(file, "we")))
        return json_pack("{s:s}", "error", g_strerror(errno));
    return json_object();
}

static json_t *run(const json_t *request)
{
    const char *command = json_string_value(json_object_get(request, "command"));
    guint index = (guint)json_integer_value(json_object_get(request, "index"));
    if (g_strcmp0(command, "answer") == 0)
        return answer(request);
    if (g_strcmp0(command, "offer") == 0)
        return offer(request);
    if (!peer)
        return json_pack("{s:s}", "error", "answer or offer comes first");
    if (g_strcmp0(command, "stats") == 0)
        return stats();
    if (g_strcmp0(command, "setAnswer") == 0)
        return set_answer(request);
    if (g_strcmp0(command, "send") == 0)
        return send_traffic(request);
    if (g_strcmp0(command, "application") == 0)
        return send_application(request);
    if (g_strcmp0(command, "capture") == 0)
        return begin_capture(request);
    if (g_strcmp0(command, "strangerRtp") == 0)
        return stranger(request, false);
    if (g_strcmp0(command, "strangerDtls") == 0)
        return stranger(request, true);
    if (g_strcmp0(command, "direction") == 0)
        peer_set_direction(
            peer, index,
            (enum peer_direction)json_integer_value(json_object_get(request, "direction")));
    else if (g_strcmp0(command, "addVideo") == 0)
        peer_add_media(peer, &video);
    else if (g_strcmp0(command, "addAudio") == 0)
        peer_add_media(peer, &audio);
    else if (g_strcmp0(command, "stop") == 0)
        peer_stop_media(peer, index);
    else if (g_strcmp0(command, "restartIce") == 0)
        peer_restart_ice(peer);
    else if (g_strcmp0(command, "close") == 0)
        peer_close(peer);
    else if (g_strcmp0(command, "tos") == 0)
        peer_set_tos(peer, (uint8_t)json_integer_value(json_object_get(request, "tos")));
    else if (g_strcmp0(command, "keyFrame") == 0)
        peer_request_key_frame(peer, NULL);
    else if (g_strcmp0(command, "faults") == 0) {
        struct peer_faults faults = read_faults(request);
        peer_set_faults(peer, &faults);
    } else
        return json_pack("{s:s}", "error", "unknown command");
    return json_object();
}

static void read_line(GDataInputStream *in);

static void on_line(GObject *source, GAsyncResult *result, void *user)
{
    GDataInputStream *in = G_DATA_INPUT_STREAM(source);
    g_autofree char *line = g_data_input_stream_read_line_finish(in, result, NULL, NULL);
    if (!line) {
        g_main_loop_quit(loop);
        return;
    }
    json_auto_t *request = json_loads(line, 0, NULL);
    json_auto_t *reply = run(request);
    g_autofree char *text = json_dumps(reply, JSON_COMPACT);
    printf("%s\n", text);
    fflush(stdout);
    read_line(in);
}

static void read_line(GDataInputStream *in)
{
    g_data_input_stream_read_line_async(in, 0, NULL, on_line, NULL);
}

int main(void)
{
    loop = g_main_loop_new(NULL, FALSE);
    const struct peer_group_config config = {.tos = true};
    group = peer_group_new(&config);
    peer_group_attach(group, NULL);
    g_autoptr(GInputStream) raw = g_unix_input_stream_new(STDIN_FILENO, FALSE);
    g_autoptr(GDataInputStream) in = g_data_input_stream_new(raw);
    read_line(in);
    g_main_loop_run(loop);
    peer_group_free(group);
    g_main_loop_unref(loop);
    return 0;
}
