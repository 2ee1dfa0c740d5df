/* SPDX-License-Identifier: Apache-2.0 */
/* The media half of a peer: which m-line a packet belongs to, sources to bursts, reports and
 * feedback. A stream is known by its SSRC once its first packet has named its mid, or its SSRC was
 * announced, or its payload type fits one m-line only (RFC 8843 9.2). */
#include "tests/support/peer/internal.h"

#include <string.h>

#define SINKS_MAX 128
#define RTCP_INTERVAL_US 1000000
#define RTCP_MTU 1200

static struct peer_sink *find_sink(struct peer *peer, guint32 ssrc)
{
    GPtrArray *sinks = peer->sinks;
    struct peer_sink *sink;
    if (peer->last_sink < sinks->len) {
        sink = sinks->pdata[peer->last_sink];
        if (sink->stats.ssrc == ssrc)
            return sink;
    }
    for (guint i = 0; i < sinks->len; i++) {
        sink = sinks->pdata[i];
        if (sink->stats.ssrc == ssrc) {
            peer->last_sink = i;
            return sink;
        }
    }
    return NULL;
}

static const struct peer_line *line_of(const struct peer *peer, const struct peer_rtp *rtp)
{
    const struct peer_line *by_pt = NULL;
    guint n_pt = 0;
    for (guint i = 0; i < peer->lines->len; i++) {
        const struct peer_line *line = peer->lines->pdata[i];
        if (line->rejected)
            continue;
        if (rtp->mid[0] ? !strcmp(rtp->mid, line->mid)
                        : line->remote_ssrc == rtp->ssrc || line->remote_rtx_ssrc == rtp->ssrc)
            return line;
        bool fits = line->pt == rtp->pt || (line->rtx_pt && line->rtx_pt == rtp->pt);
        if (fits && line->direction & PEER_RECVONLY) {
            by_pt = line;
            n_pt++;
        }
    }
    return !rtp->mid[0] && n_pt == 1 ? by_pt : NULL;
}

static struct peer_sink *make_sink(struct peer *peer, gint64 now, const struct peer_rtp *rtp)
{
    const struct peer_line *line = line_of(peer, rtp);
    if (!line || !(line->direction & PEER_RECVONLY) || peer->sinks->len >= SINKS_MAX)
        return NULL;
    struct peer_media_config config = peer->config.medias[line->config];
    config.nack = config.nack && line->nack;
    struct peer_sink *sink = g_new(struct peer_sink, 1);
    peer_sink_init(sink, rtp->ssrc, &config, line->mid, now);
    g_ptr_array_add(peer->sinks, sink);
    return sink;
}

static guint8 mid_extension(const struct peer *peer)
{
    for (guint i = 0; i < peer->lines->len; i++) {
        const struct peer_line *line = peer->lines->pdata[i];
        if (!line->rejected && line->mid_extension)
            return line->mid_extension; /* one number in the whole bundle, RFC 8843 9.1 */
    }
    return 0;
}

static guint32 own_ssrc(const struct peer *peer)
{
    for (guint i = 0; i < peer->lines->len; i++) {
        const struct peer_line *line = peer->lines->pdata[i];
        if (line->has_source)
            return line->source.ssrc;
    }
    return peer->rtcp_ssrc;
}

static void send_rtcp(struct peer *peer, guint8 *packet, gsize length)
{
    if (peer->config.faults.no_rtcp || !peer_srtp_protect_rtcp(peer->srtp, packet, &length))
        return;
    peer_group_send(peer, peer->watch.fd, &peer->remote, packet, length);
}

/* Feedback of all streams that is due, in a compound with an empty report. */
static gint64 send_feedback(struct peer *peer, gint64 now)
{
    guint8 packet[PEER_PACKET_MAX];
    gint64 next = G_MAXINT64, when;
    guint32 ssrc = own_ssrc(peer);
    gsize head = peer_rtcp_write_report(packet, 0, ssrc, NULL, NULL, 0);
    head = peer_rtcp_write_sdes(packet, head, ssrc, peer->cname);
    gsize at = head, wide = 0;
    if (peer->wide.id && (wide = peer_wide_report(&peer->wide, now, ssrc, packet)))
        send_rtcp(peer, packet, wide);
    if (wide) /* it was written where the head stood */
        head = peer_rtcp_write_sdes(packet, peer_rtcp_write_report(packet, 0, ssrc, NULL, NULL, 0),
                                    ssrc, peer->cname);
    if (peer->wide.due_us)
        next = MIN(next, peer->wide.due_us);
    for (guint i = 0; i < peer->sinks->len; i++) {
        at = peer_sink_feedback(peer->sinks->pdata[i], now, ssrc, packet, at, &when);
        next = MIN(next, when);
        if (at > RTCP_MTU - 300) {
            send_rtcp(peer, packet, at);
            at = head;
        }
    }
    if (at > head)
        send_rtcp(peer, packet, at);
    return next;
}

/* --- receiving ------------------------------------------------------------------------------- */

static void on_sender_report(guint32 ssrc, guint64 ntp, guint32 rtp, void *user)
{
    struct peer_sink *sink = find_sink(user, ssrc);
    if (sink)
        peer_sink_sender_report(sink, g_get_monotonic_time(), ntp);
}

static struct peer_source *find_source(struct peer *peer, guint32 ssrc)
{
    for (guint i = 0; i < peer->lines->len; i++) {
        struct peer_source *sources[PEER_ENCODINGS];
        for (guint n = peer_line_sources(peer->lines->pdata[i], sources); n-- > 0;) {
            if (sources[n]->ssrc == ssrc)
                return sources[n];
        }
    }
    return NULL;
}

static void on_block(const struct peer_report_block *block, void *user)
{
    struct peer_source *source = find_source(user, block->ssrc);
    if (!source)
        return;
    source->stats.rr_received++;
    source->stats.fraction_lost = block->fraction_lost;
    source->stats.cumulative_lost = block->cumulative_lost;
    guint32 now = (guint32)(peer_ntp_now() >> 16);
    if (block->lsr) /* RFC 3550 6.4.1 */
        source->stats.round_trip_us =
            (guint32)((guint64)MAX((gint32)(now - block->lsr - block->dlsr), 0) * G_USEC_PER_SEC >>
                      16);
}

static void on_nack(guint32 media_ssrc, guint16 sequence, void *user)
{
    struct peer *peer = user;
    struct peer_source *source = find_source(peer, media_ssrc);
    gsize length;
    if (!source)
        return;
    source->stats.nack_received++;
    const guint8 *packet = peer_source_recall(source, sequence, &length);
    if (!packet) {
        source->stats.nack_unknown++;
        return;
    }
    source->stats.retransmitted++;
    guint8 wrapped[PEER_PACKET_MAX];
    if (source->rtx_pt) {
        length = peer_source_wrap(source, packet, length, wrapped);
        peer_wide_number(&peer->wide, wrapped, length);
        if (!peer_srtp_protect(peer->srtp, wrapped, &length))
            return;
        packet = wrapped;
    }
    if (peer->config.faults.drop_out > 0 && g_random_double() < peer->config.faults.drop_out)
        return;
    peer_group_send(peer, peer->watch.fd, &peer->remote, packet, length);
}

static void on_key_frame_request(guint32 media_ssrc, bool fir, void *user)
{
    struct peer_source *source = find_source(user, media_ssrc);
    if (!source)
        return;
    if (fir)
        source->stats.fir_received++;
    else
        source->stats.pli_received++;
    source->stats.key_request_us = g_get_monotonic_time();
    source->key_wanted = true;
}

static void on_wide_feedback(const guint8 *fci, gsize length, void *user)
{
    struct peer *peer = user;
    if (!peer_wide_feedback(&peer->wide, fci, length))
        peer->stats.srtcp_failed++;
}

static const struct peer_rtcp_ops rtcp_ops = {
    .wide_feedback = on_wide_feedback,
    .sender_report = on_sender_report,
    .block = on_block,
    .nack = on_nack,
    .key_frame_request = on_key_frame_request,
};

static void input_rtcp(struct peer *peer, guint8 *data, gsize length)
{
    if (peer_srtp_unprotect_rtcp(peer->srtp, data, &length) != PEER_SRTP_OK ||
        !peer_rtcp_parse(data, length, &rtcp_ops, peer))
        peer->stats.srtcp_failed++;
    else
        peer->stats.srtcp_in++;
}

static struct peer_sink *sink_of_line(struct peer *peer, const struct peer_line *line)
{
    struct peer_sink *last = NULL;
    for (guint i = 0; i < peer->sinks->len; i++) {
        struct peer_sink *sink = peer->sinks->pdata[i];
        if (line->remote_ssrc ? sink->stats.ssrc == line->remote_ssrc
                              : !strcmp(sink->stats.mid, line->mid))
            last = sink;
    }
    return last;
}

/* A retransmission becomes what it repeats (RFC 4588 4). False: it ends here. */
static bool unwrap(struct peer *peer, struct peer_rtp *rtp)
{
    const struct peer_line *line = line_of(peer, rtp);
    if (!line || !line->rtx_pt || line->rtx_pt != rtp->pt)
        return true;
    struct peer_sink *sink = sink_of_line(peer, line);
    if (!sink) {
        peer->stats.unknown_ssrc++;
        return false;
    }
    sink->stats.rtx++;
    if (rtp->payload_length < 2) {
        sink->stats.rtx_padding++;
        return false;
    }
    rtp->sequence = peer_get16(rtp->payload);
    rtp->ssrc = sink->stats.ssrc;
    rtp->pt = line->pt;
    rtp->payload += 2;
    rtp->payload_length -= 2;
    return true;
}

void peer_media_input(struct peer *peer, gint64 now, guint8 *data, gsize length)
{
    struct peer_rtp rtp;
    gsize datagram = length;
    if (!peer->srtp || length < 12) {
        peer->stats.unexpected++;
        return;
    }
    if (data[1] >= 192 && data[1] <= 223) { /* RFC 5761 4 */
        input_rtcp(peer, data, length);
        return;
    }
    if (peer->config.faults.drop_in > 0 && g_random_double() < peer->config.faults.drop_in)
        return;
    switch (peer_srtp_unprotect(peer->srtp, data, &length)) {
    case PEER_SRTP_OK:
        break;
    case PEER_SRTP_REPLAYED:
        peer->stats.srtp_replayed++;
        return;
    case PEER_SRTP_FAILED:
        peer->stats.srtp_failed++;
        return;
    }
    peer->stats.cryptex_in += peer_srtp_was_cryptex(peer->srtp);
    if (!peer_rtp_parse(data, length, mid_extension(peer), &rtp)) {
        peer->stats.unexpected++;
        return;
    }
    peer_wide_received(&peer->wide, data, length, now);
    if (peer->wide.due_us)
        peer_group_schedule(
            peer, MIN(peer->heap_index < 0 ? G_MAXINT64 : peer->due_us, peer->wide.due_us));
    if (!unwrap(peer, &rtp))
        return;
    struct peer_sink *sink = find_sink(peer, rtp.ssrc);
    if (!sink && !(sink = make_sink(peer, now, &rtp))) {
        peer->stats.unknown_ssrc++;
        return;
    }
    guint missing = sink->n_missing;
    sink->stats.ip_octets += datagram + peer_ip_overhead(peer);
    sink->tos[peer->group->tos]++;
    peer_sink_input(sink, now, &rtp, &peer->latency);
    if (peer->config.ops && peer->config.ops->packet)
        peer->config.ops->packet(peer, sink->stats.kind, data, length, peer->config.user);
    if (sink->n_missing > missing || sink->stats.packets == 1)
        peer_group_schedule(peer,
                            MIN(peer->heap_index < 0 ? G_MAXINT64 : peer->due_us, now + 5000));
}

/* --- sending --------------------------------------------------------------------------------- */

static guint8 *on_room(void *user)
{
    struct peer *peer = user;
    struct peer_burst *burst = &peer->group->burst;
    return burst->n == BURST_PACKETS ? NULL : burst->data + burst->used;
}

static void on_emit(struct peer_source *source, gsize length, void *user)
{
    struct peer *peer = user;
    struct peer_burst *burst = &peer->group->burst;
    guint8 *packet = burst->data + burst->used;
    guint16 sequence = peer_get16(packet + 2);
    peer_wide_number(&peer->wide, packet, length);
    if (source->rtx_pt)
        peer_source_remember(source, sequence, packet, length);
    if (peer->config.csrcs)
        length = peer_rtp_insert_csrcs(packet, length, peer->config.csrcs);
    if (!peer_srtp_protect(peer->srtp, packet, &length))
        return;
    if (!source->rtx_pt)
        peer_source_remember(source, sequence, packet, length);
    if (peer->config.faults.drop_out > 0 && g_random_double() < peer->config.faults.drop_out)
        return;
    burst->offsets[burst->n] = burst->used;
    burst->lengths[burst->n++] = (guint16)length;
    burst->used += length;
}

static const struct peer_source_ops source_ops = {.room = on_room, .emit = on_emit};

void peer_media_update(struct peer *peer, gint64 now)
{
    for (guint i = 0; i < peer->lines->len; i++) {
        struct peer_line *line = peer->lines->pdata[i];
        bool active = peer->state == PEER_CONNECTED && peer->sending && line->has_source &&
                      !line->rejected && line->direction & PEER_SENDONLY;
        struct peer_source *sources[PEER_ENCODINGS];
        for (guint n = peer_line_sources(line, sources); n-- > 0;) {
            bool sends = active && !sources[n]->halted;
            if (sends && !sources[n]->active)
                peer_source_start(sources[n], now);
            sources[n]->active = sends;
        }
        if (line->wide_extension && !line->rejected)
            peer->wide.id = line->wide_extension;
    }
    if (peer->state == PEER_CONNECTED && !peer->rtcp_due_us)
        peer->rtcp_due_us = now + g_random_int_range(200000, RTCP_INTERVAL_US);
}

static void send_reports(struct peer *peer, gint64 now)
{
    guint8 packet[PEER_PACKET_MAX];
    struct peer_report_block blocks[31];
    guint n = 0;
    gsize at = 0;
    for (guint i = 0; i < peer->sinks->len && n < G_N_ELEMENTS(blocks); i++) {
        struct peer_sink *sink = peer->sinks->pdata[i];
        if (sink->stats.packets)
            peer_sink_report(sink, now, &blocks[n++]);
    }
    for (guint i = 0; i < peer->lines->len; i++) {
        struct peer_source *sources[PEER_ENCODINGS];
        for (guint s = peer_line_sources(peer->lines->pdata[i], sources); s-- > 0;) {
            struct peer_source *source = sources[s];
            if (!source->active || !source->stats.packets || at >= RTCP_MTU - 300)
                continue;
            struct peer_sender_info info = {
                .ntp = peer_ntp_now(),
                .rtp = peer_source_timestamp(source, now),
                .packets = (guint32)source->stats.packets,
                .octets = (guint32)source->stats.octets,
            };
            at = peer_rtcp_write_report(packet, at, source->ssrc, &info, blocks, n);
            n = 0; /* told once */
        }
    }
    if (!at)
        at = peer_rtcp_write_report(packet, at, own_ssrc(peer), NULL, blocks, n);
    at = peer_rtcp_write_sdes(packet, at, own_ssrc(peer), peer->cname);
    send_rtcp(peer, packet, at);
}

gint64 peer_media_tick(struct peer *peer, gint64 now)
{
    if (peer->state != PEER_CONNECTED || !peer->srtp)
        return G_MAXINT64;
    gint64 next = peer_traffic_tick(peer, now);
    for (guint i = 0; i < peer->lines->len; i++) {
        struct peer_source *sources[PEER_ENCODINGS];
        for (guint n = peer_line_sources(peer->lines->pdata[i], sources); n-- > 0;) {
            if (!sources[n]->active)
                continue;
            /* `now` may be a little ahead, or past when many peers were due at once */
            sources[n]->clock_us = g_get_monotonic_time();
            gint64 when = peer_source_tick(sources[n], now, &source_ops, peer);
            if (when <= now) { /* the burst is full */
                peer_group_flush(peer);
                when = now;
            }
            next = MIN(next, when);
        }
    }
    peer_group_flush(peer);
    if (now >= peer->rtcp_due_us) {
        send_reports(peer, now);
        peer->rtcp_due_us = now + RTCP_INTERVAL_US;
    }
    next = MIN(next, peer->rtcp_due_us);
    gint64 feedback = send_feedback(peer, now);
    return MIN(next, feedback);
}
