/* SPDX-License-Identifier: Apache-2.0 */
/* Looks into the rings of the legs twenty times a second and writes what is there, merged by time,
 * as long as the former write is done: a reader that is slow holds up nothing but its own rings,
 * which then count what they lose. An interface of the file is a medium with one codec, made with
 * its first packet; what has none (RTCP, unknown payload types) is on the termination's own. */
#define LOG_CATEGORY "capture"
#include "wmcf/packet-capture.h"

#include "base/log.h"
#include "base/loop.h"
#include "wmcf/pcapng.h"
#include "wmcf/pipeline-termination.h"

#include <arpa/inet.h>
#include <string.h>

#define LOOK_MS 50
#define WRITE_MAX (256u * 1024) /* octets in one go */
#define LEAVE_MS 3000           /* what a reader has for the rest */
#define INTERFACES_MAX 64       /* of one termination */
#define SNAP_MIN 64
#define OCTETS_MIN 4096
#define LOCAL_PORT 5004 /* of packets that never were on a network */

struct interface {
    char mid[RELAY_MID_MAX + 1];
    const char *format; /* NULL of the first: what belongs to no codec */
    bool retransmission;
    guint number; /* in the file */
    guint64 packets;
};

struct source {
    char *context, *termination;
    struct relay_capture *capture;
    const struct relay_captured *next; /* not written yet */
    struct interface interfaces[INTERFACES_MAX];
    guint n_interfaces;
};

struct packet_captures {
    struct wmcf *wmcf;
    GPtrArray *list; /* struct packet_capture */
    guint sources;   /* of all */
};

enum phase {
    CAPTURING,
    DRAINING, /* no more is taken; what is there is written, if its reader reads */
    CLOSING,  /* the last is being written */
    OVER,
};

struct packet_capture {
    struct packet_captures *captures;
    enum phase phase;
    struct source *sources;
    guint n_sources, n_interfaces;
    guint seconds;
    guint64 octets, octets_max, packets;
    gint64 begun, clock; /* monotonic; what makes it the time of day */
    char *who;
    GSocketConnection *to;
    GCancellable *cancel;
    GByteArray *out;                     /* being written when `writing` */
    bool writing, reading, full, broken; /* full: the limit of octets is reached */
    char read;
    struct loop_timer *look, *limit;
    void (*done)(void *user);
    void *user;
};

/* --- the file --------------------------------------------------------------------------------- */

static struct interface *add_interface(struct packet_capture *c, struct source *source,
                                       const struct relay_captured *packet)
{
    struct interface *i = &source->interfaces[source->n_interfaces++];
    g_autofree char *name = NULL, *description = NULL;
    i->number = c->n_interfaces++;
    if (packet) {
        g_strlcpy(i->mid, packet->mid, sizeof i->mid);
        i->format = packet->format;
        i->retransmission = packet->retransmission;
        name = g_strdup_printf("%s/%s", source->termination, i->mid);
        description =
            g_strdup_printf("%s mid %s: %s%s, payload type %u", source->termination, i->mid,
                            i->retransmission ? "retransmissions of " : "", i->format, packet->pt);
    } else {
        name = g_strdup(source->termination);
        description = g_strdup_printf("%s of %s: RTCP, and what was not negotiated",
                                      source->termination, source->context);
    }
    pcapng_interface(c->out, name, description);
    return i;
}

static struct interface *interface_of(struct packet_capture *c, struct source *source,
                                      const struct relay_captured *packet)
{
    if (packet->rtcp || !packet->format)
        return &source->interfaces[0];
    for (guint i = 1; i < source->n_interfaces; i++) {
        struct interface *interface = &source->interfaces[i];
        if (interface->format == packet->format &&
            interface->retransmission == packet->retransmission &&
            strcmp(interface->mid, packet->mid) == 0)
            return interface;
    }
    return source->n_interfaces < INTERFACES_MAX ? add_interface(c, source, packet)
                                                 : &source->interfaces[0];
}

/* Between the relay (127.0.0.1) and a pipeline (127.0.0.2) there is no network. */
static void local_addresses(struct pcapng_datagram *datagram)
{
    struct sockaddr_in *from = (struct sockaddr_in *)&datagram->from,
                       *to = (struct sockaddr_in *)&datagram->to;
    from->sin_family = to->sin_family = AF_INET;
    from->sin_port = to->sin_port = htons(LOCAL_PORT);
    from->sin_addr.s_addr = htonl(INADDR_LOOPBACK + !datagram->sent);
    to->sin_addr.s_addr = htonl(INADDR_LOOPBACK + datagram->sent);
}

/* False: the limit is reached. */
static bool write_packet(struct packet_capture *c, struct source *source)
{
    const struct relay_captured *packet = source->next;
    struct pcapng_datagram datagram = {.sent = packet->sent,
                                       .at = packet->at + c->clock,
                                       .from = packet->from,
                                       .to = packet->to,
                                       .payload = packet->data,
                                       .kept = packet->kept,
                                       .length = packet->length};
    if (!packet->from.ss_family)
        local_addresses(&datagram);
    guint before = c->out->len;
    struct interface *interface = interface_of(c, source, packet);
    datagram.interface = interface->number;
    gsize size = c->out->len - before + pcapng_datagram_size(&datagram);
    if (c->octets + size > c->octets_max)
        return false;
    pcapng_datagram(c->out, &datagram);
    c->octets += size;
    c->packets++;
    interface->packets++;
    return true;
}

static guint64 overrun(const struct packet_capture *c)
{
    guint64 all = 0;
    for (guint i = 0; i < c->n_sources; i++)
        all += relay_capture_overrun(c->sources[i].capture);
    return all;
}

static void write_statistics(struct packet_capture *c)
{
    gint64 at = g_get_monotonic_time() + c->clock;
    for (guint i = 0; i < c->n_sources; i++) {
        const struct source *source = &c->sources[i];
        for (guint k = 0; k < source->n_interfaces; k++)
            pcapng_statistics(c->out, source->interfaces[k].number, at,
                              source->interfaces[k].packets,
                              k ? 0 : relay_capture_overrun(source->capture));
    }
}

/* The oldest that waits in any of the rings. */
static struct source *next_source(struct packet_capture *c)
{
    struct source *oldest = NULL;
    for (guint i = 0; i < c->n_sources; i++) {
        struct source *source = &c->sources[i];
        if (!source->next)
            source->next = relay_capture_next(source->capture);
        if (source->next && (!oldest || source->next->at < oldest->next->at))
            oldest = source;
    }
    return oldest;
}

/* --- its course ------------------------------------------------------------------------------- */

static void capture_free(struct packet_capture *c)
{
    if (!c)
        return;
    c->captures->sources -= c->n_sources;
    for (guint i = 0; i < c->n_sources; i++) {
        relay_capture_free(c->sources[i].capture);
        g_free(c->sources[i].termination);
        g_free(c->sources[i].context);
    }
    g_free(c->sources);
    loop_timer_free(c->look);
    loop_timer_free(c->limit);
    g_byte_array_unref(c->out);
    g_object_unref(c->cancel);
    g_free(c->who);
    g_free(c);
}

/* When nothing is under way any more. */
static void finish(struct packet_capture *c)
{
    if (c->writing || c->reading)
        return;
    log_warning(NULL,
                "capture by %s has ended after %.1f s: %" G_GUINT64_FORMAT " packets%s, "
                "%" G_GUINT64_FORMAT " were lost",
                c->who, (double)(g_get_monotonic_time() - c->begun) / G_USEC_PER_SEC, c->packets,
                c->broken ? ", of which not all were read" : "", overrun(c));
    g_ptr_array_remove_fast(c->captures->list, c);
    void (*done)(void *user) = c->done;
    void *user = c->user;
    capture_free(c);
    done(user);
}

static void drain(struct packet_capture *c)
{
    if (c->phase != CAPTURING)
        return;
    c->phase = DRAINING;
    for (guint i = 0; i < c->n_sources; i++)
        relay_capture_stop(c->sources[i].capture);
    loop_timer_start(c->limit, LEAVE_MS);
}

static void be_over(struct packet_capture *c)
{
    drain(c);
    c->phase = OVER;
    loop_timer_stop(c->look);
    loop_timer_stop(c->limit);
    g_cancellable_cancel(c->cancel);
    finish(c);
}

static void on_limit(void *data)
{
    struct packet_capture *c = data;
    if (c->phase == CAPTURING) {
        drain(c);
        return;
    }
    c->broken = true;
    be_over(c);
}

static void take(struct packet_capture *c)
{
    /* Asked before the rings are looked at: nothing follows then. */
    bool ended = true;
    for (guint i = 0; i < c->n_sources; i++)
        ended &= relay_capture_ended(c->sources[i].capture);
    struct source *source = NULL;
    while (!c->full && c->out->len < WRITE_MAX && (source = next_source(c))) {
        c->full = !write_packet(c, source);
        source->next = NULL;
    }
    if (c->full)
        drain(c);
    if (!c->full && (source || !ended))
        return;
    drain(c);
    c->phase = CLOSING;
    write_statistics(c);
}

static void look(void *data);

static void on_written(GObject *stream, GAsyncResult *result, void *user)
{
    struct packet_capture *c = user;
    bool more = c->out->len >= WRITE_MAX;
    c->writing = false;
    g_byte_array_set_size(c->out, 0);
    if (!g_output_stream_write_all_finish(G_OUTPUT_STREAM(stream), result, NULL, NULL)) {
        c->broken = true;
        be_over(c);
    } else if (c->phase == CLOSING) {
        be_over(c);
    } else if (more) {
        look(c);
    }
}

static void look(void *data)
{
    struct packet_capture *c = data;
    if (c->writing || c->phase == OVER)
        return;
    take(c);
    if (c->out->len == 0)
        return;
    c->writing = true;
    g_output_stream_write_all_async(g_io_stream_get_output_stream(G_IO_STREAM(c->to)), c->out->data,
                                    c->out->len, 0, c->cancel, on_written, c);
}

/* The reader says that it has enough, or has gone. */
static void on_read(GObject *stream, GAsyncResult *result, void *user)
{
    struct packet_capture *c = user;
    g_input_stream_read_finish(G_INPUT_STREAM(stream), result, NULL);
    c->reading = false;
    if (c->phase == OVER)
        finish(c);
    else
        drain(c);
}

/* --- its beginning ---------------------------------------------------------------------------- */

/* That of the pipeline which a termination shares, if it does. */
static struct termination *whose_leg(struct termination *termination)
{
    for (guint i = 0; termination->pipeline && i < termination->medias->len; i++) {
        const struct termination_media *media = g_ptr_array_index(termination->medias, i);
        const char *mid;
        struct termination *host = pipeline_termination_source(termination, media->mid, &mid);
        if (host)
            return host;
    }
    return termination;
}

static bool add_source(struct packet_capture *c, struct termination *termination,
                       const struct relay_capture_config *config, GError **error)
{
    struct termination *t = whose_leg(termination);
    struct source *source = &c->sources[c->n_sources];
    source->capture = relay_leg_capture(t->relay_leg, config);
    if (!source->capture) {
        problem_set(error, PROBLEM_INVALID_STATE,
                    "%s is being captured already; wait for the end of that, or end it", t->id);
        return false;
    }
    source->termination = g_strdup(t->id);
    source->context = g_strdup(t->context->id);
    c->n_sources++;
    c->captures->sources++;
    return true;
}

static bool check(const struct packet_captures *captures,
                  const struct packet_capture_wanted *wanted, GError **error)
{
    const struct conf *conf = captures->wmcf->conf;
    guint most = (guint)conf_int(conf, "admin", "captures");
    guint64 seconds = (guint64)conf_int(conf, "admin", "capture_seconds");
    guint64 octets = (guint64)conf_int(conf, "admin", "capture_size") << 20;
    if (most == 0)
        problem_set(error, PROBLEM_INVALID_STATE,
                    "captures are switched off; admin.captures says how many there may be");
    else if (captures->sources + wanted->terminations->len > most)
        problem_set(error, PROBLEM_RESOURCES_UNAVAILABLE,
                    "%u terminations besides %u are more than may be captured at once; name one, "
                    "or raise admin.captures (%u)",
                    wanted->terminations->len, captures->sources, most);
    else if (wanted->seconds > seconds)
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "a capture may take %" G_GUINT64_FORMAT " s (admin.capture_seconds)", seconds);
    else if (wanted->octets > octets || (wanted->octets && wanted->octets < OCTETS_MIN))
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "a capture may have %u to %" G_GUINT64_FORMAT
                    " octets (admin.capture_size, in MiB)",
                    OCTETS_MIN, octets);
    else if (wanted->snap && (wanted->snap < SNAP_MIN || wanted->snap > G_MAXUINT16))
        problem_set(error, PROBLEM_INVALID_MESSAGE, "of each packet %u to %u octets can be kept",
                    SNAP_MIN, G_MAXUINT16);
    else
        return true;
    return false;
}

static bool check_mid(const struct packet_capture_wanted *wanted, GError **error)
{
    for (guint i = 0; wanted->mid && i < wanted->terminations->len; i++) {
        if (termination_media(g_ptr_array_index(wanted->terminations, i), wanted->mid))
            return true;
    }
    if (wanted->mid)
        problem_set(error, PROBLEM_INVALID_MESSAGE, "there is no such medium");
    return !wanted->mid;
}

/* What tshark and Wireshark must be told: dynamic payload types say nothing by themselves. */
static void explain_codecs(json_t *rules, const GArray *codecs, bool *told)
{
    static const struct {
        const char *format, *dissector;
    } known[] = {{"audio/opus/", "opus"},
                 {"video/VP8/", "vp8"},
                 {"video/VP9/", "vp9"},
                 {"video/H264/", "h264"},
                 {"video/AV1/", "av1"}};
    for (guint i = 0; codecs && i < codecs->len; i++) {
        const struct sdp_codec *codec = &g_array_index(codecs, struct sdp_codec, i);
        for (guint k = 0; k < G_N_ELEMENTS(known) && !told[codec->pt & 127]; k++) {
            if (!codec->format || !g_str_has_prefix(codec->format, known[k].format))
                continue;
            told[codec->pt & 127] = true;
            json_array_append_new(rules,
                                  json_sprintf("rtp.pt==%u,%s", codec->pt, known[k].dissector));
        }
    }
}

static json_t *decode_as(const struct packet_capture_wanted *wanted)
{
    json_t *rules = json_array();
    bool told[128] = {false};
    for (guint i = 0; i < wanted->terminations->len; i++) {
        const struct termination *t = g_ptr_array_index(wanted->terminations, i);
        const struct sockaddr_in *local = (const struct sockaddr_in *)&t->ice_local;
        json_array_append_new(rules, json_sprintf("udp.port==%u,rtp", t->ice_local.ss_family
                                                                          ? ntohs(local->sin_port)
                                                                          : LOCAL_PORT));
        g_autoptr(GArray) negotiated = termination_negotiated(t);
        for (guint k = 0; negotiated && k < negotiated->len; k++) {
            const struct sdp_negotiated_media *media =
                &g_array_index(negotiated, struct sdp_negotiated_media, k);
            explain_codecs(rules, media->recv_codecs, told);
            explain_codecs(rules, media->send_codecs, told);
        }
    }
    return rules;
}

static void write_head(struct packet_capture *c, const struct packet_capture_wanted *wanted)
{
    json_auto_t *reply =
        json_pack("{s:b, s:i, s:I, s:o}", "ok", 1, "seconds", (int)c->seconds, "octets",
                  (json_int_t)c->octets_max, "decodeAs", decode_as(wanted));
    g_autofree char *line = json_dumps(reply, JSON_COMPACT | JSON_PRESERVE_ORDER);
    g_byte_array_append(c->out, (const guint8 *)line, (guint)strlen(line));
    g_byte_array_append(c->out, (const guint8 *)"\n", 1);
    guint begun = c->out->len;
    pcapng_begin(c->out, "wmcf " WMCF_VERSION,
                 "Packets in clear: those of the endpoint as they were authenticated, those of the "
                 "media centre before they were encrypted. Retransmissions and everything that a "
                 "gate or a limit has stopped before are as on the wire.");
    for (guint i = 0; i < c->n_sources; i++)
        add_interface(c, &c->sources[i], NULL);
    c->octets = c->out->len - begun;
}

bool packet_capture_begin(struct packet_captures *captures,
                          const struct packet_capture_wanted *wanted, GError **error)
{
    const struct conf *conf = captures->wmcf->conf;
    if (!check(captures, wanted, error) || !check_mid(wanted, error))
        return false;
    struct packet_capture *c = g_new0(struct packet_capture, 1);
    c->captures = captures;
    c->sources = g_new0(struct source, wanted->terminations->len);
    c->out = g_byte_array_new();
    c->cancel = g_cancellable_new();
    struct relay_capture_config config = {.mid = wanted->mid,
                                          .snap = (guint)wanted->snap,
                                          .buffer = (guint)conf_int(conf, "admin", "capture_buffer")
                                                    << 10};
    for (guint i = 0; i < wanted->terminations->len; i++) {
        if (!add_source(c, g_ptr_array_index(wanted->terminations, i), &config, error)) {
            capture_free(c);
            return false;
        }
    }
    c->seconds = wanted->seconds ? (guint)wanted->seconds
                                 : (guint)conf_int(conf, "admin", "capture_seconds");
    c->octets_max =
        wanted->octets ? wanted->octets : (guint64)conf_int(conf, "admin", "capture_size") << 20;
    c->begun = g_get_monotonic_time();
    c->clock = g_get_real_time() - c->begun;
    c->who = g_strdup(wanted->who);
    c->to = wanted->to;
    c->done = wanted->done;
    c->user = wanted->user;
    write_head(c, wanted);
    for (guint i = 0; i < c->n_sources; i++)
        log_warning((&(struct log_ids){.context = c->sources[i].context,
                                       .termination = c->sources[i].termination}),
                    "capture by %s begins: %s%s, for %u s and %" G_GUINT64_FORMAT " octets at most",
                    c->who, wanted->mid ? "medium " : "all media", wanted->mid ? wanted->mid : "",
                    c->seconds, c->octets_max);
    g_ptr_array_add(captures->list, c);
    c->reading = true;
    g_input_stream_read_async(g_io_stream_get_input_stream(G_IO_STREAM(c->to)), &c->read, 1, 0,
                              c->cancel, on_read, c);
    c->look = loop_timer_new("packet capture", look, c);
    c->limit = loop_timer_new("limit of a capture", on_limit, c);
    loop_timer_start_repeating(c->look, LOOK_MS);
    loop_timer_start(c->limit, 1000 * c->seconds);
    look(c);
    return true;
}

struct packet_captures *packet_captures_new(struct wmcf *wmcf)
{
    struct packet_captures *captures = g_new0(struct packet_captures, 1);
    captures->wmcf = wmcf;
    captures->list = g_ptr_array_new();
    return captures;
}

void packet_captures_end(struct packet_captures *captures)
{
    for (guint i = captures->list->len; i-- > 0;)
        be_over(g_ptr_array_index(captures->list, i));
}

void packet_captures_free(struct packet_captures *captures)
{
    if (!captures)
        return;
    g_ptr_array_unref(captures->list);
    g_free(captures);
}
