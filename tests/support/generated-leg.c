/* SPDX-License-Identifier: Apache-2.0 */
/* A generated leg for scripts: one JSON object a line on stdin, one answer a line on stdout. With
 * "peer":n (0 when absent, up to 63) it is several.
 *   {"command":"answer","sdp":…,"direction":3,"medias":2,"lite":false,"faults":[…]} → {"sdp":…};
 *       again for a later offer. medias: audio, then video; or "lines":["audio","video","video"…].
 * "hold":true: nothing is generated but what "send" asks for. "srtpProfiles":["cm"…]: these alone
 * are offered. "plain":true: no NACK for the video. "data":true: takes an m-line of data channels.
 *       "levels":true: audio tells its level. "wide":true: transport-wide congestion control.
 *       "cryptex":true: header extensions ciphered (RFC 9335); "csrcs": so many CSRCs in each
 * packet; "drop":0.05: so much RTP gets lost, either way. "h264":true: knows H264 alone, and
 * receives it only. "bitrate":bit/s,"fps":n,"packetSize":octets: of videos
 *   {"command":"offer",…} → {"sdp":…}   {"command":"setAnswer","sdp":…} → {}
 *   {"command":"direction","index":n,"direction":n}, {"command":"addVideo"},
 * {"command":"addAudio"},
 *   {"command":"stop","index":n}, {"command":"restartIce"}: for the next description → {}
 * "temporal":true: videos in three temporal layers. "simulcast":true: videos as encodings of
 * 160×90, 320×180 and 640×360, where the offer asks for them
 *   {"command":"encodings","rids":"lm"} → {}: only these are sent from now on
 *   {"command":"close"} → {}: DTLS close_notify
 *   {"command":"strangerRtp","count":n}, {"command":"strangerDtls","count":n} → {}
 *   {"command":"octets","packets":["80…"],"as":"rtp"|"rtcp"|absent,"line":n} → {"sent":n}: from the
 *      leg's own address, as they are or with its keys; with `line` as that m-line's next packets
 *   {"command":"ownDtls","count":n} → {}: ClientHellos from the leg's own address
 *   {"command":"hello"} → {"hex":…}: a ClientHello
 *   {"command":"capture","file":…} → {}: received RTP goes there (rtp-look.c); again without file:
 *       end
 *   {"command":"keyFrame"} → {}: asks for one
 *   {"command":"reset"} → {}: what was received is counted anew
 *   {"command":"faults","faults":[…]} → {}
 *   {"command":"send","lines":[1],"count":n,"size":octets of the IP datagram,"rate":octets/s
 * (absent: back to back),"gso":bool,"ssrcEveryMs":n (-1: with every
 * packet),"ssrcOf":line,"sdr":octets/s, "mbs":octets} → {"id":n}; stats.traffic[id] tells how it
 * goes, and "fullUs", for how long a bucket of sdr and mbs would have been full
 *   {"command":"speak","index":n,"steps":[[ms from now,-dBov]…]} → {}: how loud it is then; silent
 *       (127) before the first; -1: the packets do not tell
 *   {"command":"tone","index":n,"payloads":["78…"…]} → {}: that m-line's packets hold these in
 * turn; of a video each is a whole frame
 *   {"command":"tos","tos":n} → {}: of everything sent from now on
 *   {"command":"application","count":n,"size":octets} → {"sent":n}: DTLS application data records
 *   {"command":"stats"} → {state, failure, srtpProfile, receive:[…], send:[…]} */
#include "tests/support/dtls-peer.h"
#include "tests/support/peer/peer.h"

#include <errno.h>
#include <gio/gio.h>
#include <gio/gunixinputstream.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PEERS 64
static struct peer_group *group;
static struct peer *peers[PEERS];
static struct peer *peer; /* that is spoken of */
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
    faults.drop_in = faults.drop_out = json_number_value(json_object_get(request, "drop"));
    return faults;
}

static struct peer_media_config audio = {.kind = PEER_AUDIO, .direction = PEER_SENDRECV},
                                video = {
                                    .kind = PEER_VIDEO,
                                    .direction = PEER_SENDRECV,
                                    .nack = true,
                                    .rtx = true,
};

static void read_srtp_profiles(const json_t *request, struct peer_config *config)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(request, "srtpProfiles"), i, item)
    {
        const struct peer_srtp_profile_row *row =
            peer_srtp_profile_find(0, json_string_value(item));
        if (row && config->n_srtp_profiles < PEER_SRTP_PROFILES)
            config->srtp_profiles[config->n_srtp_profiles++] = row->profile;
    }
}

/* One medium for each of "lines", in place of the usual two. */
static void read_lines(const json_t *request, struct peer_config *config)
{
    const json_t *lines = json_object_get(request, "lines");
    if (!json_is_array(lines))
        return;
    config->n_medias = MIN((guint)json_array_size(lines), PEER_MEDIA_CONFIGS);
    for (guint i = 0; i < config->n_medias; i++) {
        const char *kind = json_string_value(json_array_get(lines, i));
        config->medias[i] = g_strcmp0(kind, "audio") == 0 ? audio : video;
    }
}

static void read_media_options(const json_t *request)
{
    audio.levels = json_is_true(json_object_get(request, "levels"));
    video.bitrate = (guint)json_integer_value(json_object_get(request, "bitrate"));
    video.h264 = json_is_true(json_object_get(request, "h264"));
    video.fps = (guint)json_integer_value(json_object_get(request, "fps"));
    video.temporal = json_is_true(json_object_get(request, "temporal"));
    video.simulcast = json_is_true(json_object_get(request, "simulcast"));
    video.packet_size = (guint)json_integer_value(json_object_get(request, "packetSize"));
}

static bool make_peer(const json_t *request, GError **error)
{
    read_media_options(request);
    const json_t *wanted = json_object_get(request, "direction");
    const json_t *medias = json_object_get(request, "medias");
    struct peer_config config = {
        .name = "generated leg",
        .bind_address = json_string_value(json_object_get(request, "bind")),
        .lite = json_is_true(json_object_get(request, "lite")),
        .medias = {audio, video},
        .n_medias = medias ? MIN((guint)json_integer_value(medias), 2) : 2,
        .wide = json_is_true(json_object_get(request, "wide")),
        .cryptex = json_is_true(json_object_get(request, "cryptex")),
        .csrcs = (guint)json_integer_value(json_object_get(request, "csrcs")),
        .data = json_is_true(json_object_get(request, "data")),
        .hold_media = json_is_true(json_object_get(request, "hold")),
        .faults = read_faults(request),
        .ops = &ops,
    };
    read_srtp_profiles(request, &config);
    read_lines(request, &config);
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

/* A whole one, each with a random of its own: a handshake would begin with it. */
static void make_hello(guint8 *out, gsize size, gsize *ret_length)
{
    static struct dtls_peer *maker;
    const gsize random = 13 + 12 + 2; /* record, message, version */
    if (!maker) {
        maker = dtls_peer_new(true, DTLS_PEER_ECDSA, "SRTP_AEAD_AES_128_GCM");
        dtls_peer_step(maker);
    }
    GBytes *hello = g_queue_peek_head(&maker->out);
    *ret_length = MIN(g_bytes_get_size(hello), size);
    memcpy(out, g_bytes_get_data(hello, NULL), *ret_length);
    for (gsize i = 0; i < 32; i++)
        out[random + i] = (guint8)g_random_int();
}

static json_t *hello_text(void)
{
    guint8 hello[1500];
    gsize length;
    g_autoptr(GString) hex = g_string_new(NULL);
    make_hello(hello, sizeof hello, &length);
    for (gsize i = 0; i < length; i++)
        g_string_append_printf(hex, "%02x", hello[i]);
    return json_pack("{s:s}", "hex", hex->str);
}

static json_t *send_hellos(const json_t *request,
                           bool (*send)(struct peer *peer, const void *data, size_t length))
{
    guint8 hello[1500];
    gsize length;
    json_int_t n = json_integer_value(json_object_get(request, "count"));
    for (json_int_t i = 0; i < n; i++) {
        make_hello(hello, sizeof hello, &length);
        send(peer, hello, length);
    }
    return json_object();
}

static json_t *stranger_rtp(const json_t *request)
{
    json_int_t n = json_integer_value(json_object_get(request, "count"));
    for (json_int_t i = 0; i < n; i++)
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
    json_t *origins = json_object();
    for (guint i = 0; i < r.n_origins; i++) {
        g_autofree char *name = g_strdup_printf("%u", r.origins[i].ssrc);
        json_object_set_new(origins, name, json_integer((json_int_t)r.origins[i].packets));
    }
    const struct number numbers[] = {
        {"packets", r.packets},
        {"ssrc", r.ssrc},
        {"origin", r.origin},
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
        {"rtx", r.rtx},
        {"rtxPadding", r.rtx_padding},
        {"nackSent", r.nack_sent},
        {"pliSent", r.pli_sent},
        {"recovered", r.recovered},
        {"decoded", r.decoded},
        {"dropped", r.dropped},
        {"longestFreezeUs", (uint64_t)r.longest_freeze_us},
        {"firstUs", (uint64_t)r.first_us},
        {"lastUs", (uint64_t)r.last_us},
    };
    return integers(json_pack("{s:s, s:s, s:o, s:o}", "kind",
                              r.kind == PEER_AUDIO ? "audio" : "video", "mid", r.mid, "tos", tos,
                              "origins", origins),
                    numbers, G_N_ELEMENTS(numbers));
}

static json_t *sent(guint index)
{
    struct peer_send_stats w;
    peer_get_send(peer, index, &w);
    const struct number numbers[] = {
        {"packets", w.packets},
        {"ssrc", w.ssrc},
        {"frames", w.frames},
        {"keyFrames", w.key_frames},
        {"nackReceived", w.nack_received},
        {"retransmitted", w.retransmitted},
        {"rtxSsrc", w.rtx_ssrc},
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
    const struct peer_srtp_profile_row *profile =
        peer_srtp_profile_find(peer_srtp_profile(peer), NULL);
    const struct number numbers[] = {
        {"strangerIn", s.stranger_in},
        {"stunRequests", s.stun_requests_in},
        {"srtcpIn", s.srtcp_in},
        {"stunResponses", s.stun_responses_in},
        {"srtpFailed", s.srtp_failed},
        {"cryptexIn", s.cryptex_in},
        {"srtcpFailed", s.srtcp_failed},
        {"unknownSsrc", s.unknown_ssrc},
        {"sendFailed", s.send_failed},
        {"nowUs", (uint64_t)g_get_monotonic_time()},
        {"wideSent", s.wide.sent},
        {"wideToldReceived", s.wide.told_received},
        {"wideToldMissing", s.wide.told_missing},
        {"wideReports", s.wide.reports_received},
        {"wideReceived", s.wide.received},
        {"wideMissing", s.wide.missing},
        {"wideReported", s.wide.reports_sent},
    };
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:o}", "state", peer_state_name(peer_get_state(peer)), "failure",
        failure ? failure : "", "srtpProfile", profile ? profile->name : "", "receive",
        list(peer_recv_count(peer), received), "send", list(peer_send_count(peer), sent), "traffic",
        list(peer_traffic_count(peer), traffic));
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

static size_t from_hex(const char *text, guint8 *out, size_t max)
{
    size_t n = 0;
    for (; n < max && text && g_ascii_isxdigit(text[2 * n]) && g_ascii_isxdigit(text[2 * n + 1]);
         n++)
        out[n] = (guint8)(g_ascii_xdigit_value(text[2 * n]) << 4 |
                          g_ascii_xdigit_value(text[2 * n + 1]));
    return n;
}

static json_t *send_octets(const json_t *request)
{
    const char *as = json_string_value(json_object_get(request, "as"));
    const json_t *line = json_object_get(request, "line");
    json_int_t sent = 0;
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(request, "packets"), i, item)
    {
        guint8 packet[1500];
        size_t length = from_hex(json_string_value(item), packet, sizeof packet);
        sent += as ? peer_send_protected(peer, g_str_equal(as, "rtcp"),
                                         line ? (int)json_integer_value(line) : -1, packet, length)
                   : peer_send_raw(peer, packet, length);
    }
    return json_pack("{s:I}", "sent", sent);
}

static json_t *speak(const json_t *request)
{
    struct peer_speech steps[PEER_SPEECH_STEPS];
    gint64 now = g_get_monotonic_time();
    guint n = 0;
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(request, "steps"), i, item)
    {
        if (n < G_N_ELEMENTS(steps))
            steps[n++] = (struct peer_speech){
                .at_us = now + json_integer_value(json_array_get(item, 0)) * 1000,
                .level = (int)json_integer_value(json_array_get(item, 1))};
    }
    guint index = (guint)json_integer_value(json_object_get(request, "index"));
    return peer_speak(peer, index, steps, n) ? json_object()
                                             : json_pack("{s:s}", "error", "no such m-line");
}

static json_t *set_tone(const json_t *request)
{
    g_autoptr(GPtrArray) payloads = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    guint index = (guint)json_integer_value(json_object_get(request, "index"));
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(request, "payloads"), i, item)
    {
        guint8 octets[1000];
        const char *hex = json_string_value(item);
        gsize length = MIN(strlen(hex) / 2, sizeof octets);
        for (gsize n = 0; n < length; n++)
            octets[n] = (guint8)(g_ascii_xdigit_value(hex[2 * n]) << 4 |
                                 g_ascii_xdigit_value(hex[2 * n + 1]));
        g_ptr_array_add(payloads, g_bytes_new(octets, length));
    }
    return peer && peer_set_payloads(peer, index, payloads)
               ? json_object()
               : json_pack("{s:s}", "error", "no such m-line, or nothing to send");
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
    if (g_strcmp0(command, "octets") == 0)
        return send_octets(request);
    if (g_strcmp0(command, "speak") == 0)
        return speak(request);
    if (g_strcmp0(command, "tone") == 0)
        return set_tone(request);
    if (g_strcmp0(command, "capture") == 0)
        return begin_capture(request);
    if (g_strcmp0(command, "strangerRtp") == 0)
        return stranger_rtp(request);
    if (g_strcmp0(command, "strangerDtls") == 0)
        return send_hellos(request, peer_send_from_stranger);
    if (g_strcmp0(command, "ownDtls") == 0)
        return send_hellos(request, peer_send_raw);
    if (g_strcmp0(command, "hello") == 0)
        return hello_text();
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
    else if (g_strcmp0(command, "encodings") == 0)
        peer_set_encodings(peer, json_string_value(json_object_get(request, "rids")));
    else if (g_strcmp0(command, "tos") == 0)
        peer_set_tos(peer, (uint8_t)json_integer_value(json_object_get(request, "tos")));
    else if (g_strcmp0(command, "reset") == 0)
        peer_reset_stats(peer);
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
    json_int_t number = json_integer_value(json_object_get(request, "peer"));
    peer = peers[CLAMP(number, 0, PEERS - 1)];
    json_auto_t *reply = run(request);
    peers[CLAMP(number, 0, PEERS - 1)] = peer;
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
