/* SPDX-License-Identifier: Apache-2.0 */
/* The receiving end of a generated leg. Sequence numbers are extended to 64 bits and looked up in a
 * window of bits, so that loss, reordering and duplicates are counted exactly; the counter inside
 * the payload tells separately what the source's packets came to. A jump beyond the window begins a
 * new run instead of counting thousands as lost. */
#include "tests/support/peer/sink.h"

#include "tests/support/peer/vp8.h"

#include <math.h>
#include <string.h>

#define JUMP 3000
#define NACK_TRIES 10
#define NACK_AFTER_US 5000 /* leaves reordering a moment */
#define NACK_AGAIN_US 60000
#define PLI_AGAIN_US 500000

void peer_sink_init(struct peer_sink *sink, guint32 ssrc, const struct peer_media_config *config,
                    const char *mid, gint64 now)
{
    memset(sink, 0, sizeof *sink);
    sink->stats.ssrc = ssrc;
    sink->stats.kind = config->kind;
    g_strlcpy(sink->stats.mid, mid, sizeof sink->stats.mid);
    sink->clock_rate = config->kind == PEER_VIDEO ? 90000 : 48000;
    sink->nack = config->nack;
    sink->h264 = config->h264;
    sink->pli_interval_ms = config->pli_interval_ms;
    sink->pli_due_us = config->kind == PEER_VIDEO ? now + 300000 : G_MAXINT64;
    if (config->kind == PEER_VIDEO)
        sink->decoder = g_new0(struct peer_decoder, 1);
}

void peer_sink_free(struct peer_sink *sink)
{
    g_free(sink->decoder);
    g_free(sink);
}

static bool seen(const struct peer_sink *sink, guint64 extended)
{
    guint bit = extended % PEER_SINK_WINDOW;
    return sink->seen[bit / 8] >> (bit % 8) & 1;
}

static void mark(struct peer_sink *sink, guint64 extended, bool value)
{
    guint bit = extended % PEER_SINK_WINDOW;
    if (value)
        sink->seen[bit / 8] |= (guint8)(1u << (bit % 8));
    else
        sink->seen[bit / 8] &= (guint8) ~(1u << (bit % 8));
}

static void begin_run(struct peer_sink *sink, guint16 sequence)
{
    if (sink->started)
        sink->expected_before += sink->highest - sink->first + 1;
    sink->started = true;
    sink->first = sink->highest = 65536 + (guint64)sequence;
    sink->n_missing = 0;
    sink->floor = 0;
    if (sink->decoder)
        peer_decoder_begin(sink->decoder);
    memset(sink->seen, 0, sizeof sink->seen);
    mark(sink, sink->highest, true);
    sink->stats.unique++;
}

static void miss(struct peer_sink *sink, guint64 extended, gint64 now)
{
    mark(sink, extended, false);
    if (!sink->nack)
        return;
    if (sink->n_missing == PEER_SINK_MISSING) { /* the oldest is given up */
        memmove(sink->missing, sink->missing + 1, sizeof sink->missing - sizeof sink->missing[0]);
        sink->n_missing--;
    }
    sink->missing[sink->n_missing++] =
        (struct peer_missing){.extended = extended, .next_us = now + NACK_AFTER_US};
}

static void found(struct peer_sink *sink, guint64 extended)
{
    for (guint i = 0; i < sink->n_missing; i++) {
        if (sink->missing[i].extended != extended)
            continue;
        sink->stats.recovered += sink->missing[i].tries > 0;
        memmove(&sink->missing[i], &sink->missing[i + 1],
                (sink->n_missing - i - 1) * sizeof sink->missing[0]);
        sink->n_missing--;
        return;
    }
}

/* False for a duplicate. */
static bool place(struct peer_sink *sink, guint16 sequence, gint64 now)
{
    if (!sink->started) {
        begin_run(sink, sequence);
        return true;
    }
    gint16 step = (gint16)(sequence - (guint16)sink->highest);
    if (step > JUMP || step < -JUMP) {
        sink->stats.jumps++;
        begin_run(sink, sequence);
        return true;
    }
    guint64 extended = sink->highest + (guint64)(gint64)step;
    if (step > 0) {
        for (guint64 i = sink->highest + 1; i < extended; i++)
            miss(sink, i, now);
        sink->stats.gaps += step > 1;
        mark(sink, extended, true);
        sink->highest = extended;
        sink->stats.unique++;
        return true;
    }
    if (extended < sink->floor)
        return false;
    if (seen(sink, extended)) {
        sink->stats.duplicates++;
        return false;
    }
    sink->stats.reordered++;
    sink->stats.unique++;
    if (extended < sink->first)
        sink->first = extended;
    mark(sink, extended, true);
    found(sink, extended);
    return true;
}

static void measure_jitter(struct peer_sink *sink, gint64 now, guint32 timestamp)
{
    gint64 arrival = now * (gint64)sink->clock_rate / G_USEC_PER_SEC;
    gint64 transit = (gint64)(guint32)((guint32)arrival - timestamp);
    if (sink->stats.packets > 1) {
        double d = (double)(gint32)((guint32)transit - (guint32)sink->last_transit);
        sink->jitter += (fabs(d) - sink->jitter) / 16.0;
        gint32 drift = (gint32)((guint32)transit - (guint32)sink->base_transit);
        if (drift > (gint32)sink->clock_rate || drift < -(gint32)sink->clock_rate) {
            sink->stats.timestamp_jumps++;
            sink->base_transit = transit;
        }
    } else {
        sink->base_transit = transit;
    }
    sink->last_transit = transit;
    sink->stats.jitter = (guint32)sink->jitter;
}

static bool is_picture(gsize partition, bool key)
{
    for (guint i = 0; i < PEER_VP8_SIZES; i++) {
        if (partition == peer_vp8_size(key, i))
            return true;
    }
    return false;
}

/* Length of descriptor and, at a frame's start, of the frame header; tells key frames. */
static gsize read_vp8(const guint8 *p, gsize length, bool *ret_key)
{
    gsize n = 1;
    *ret_key = false;
    if (length < 1)
        return 0;
    bool start = (p[0] & 0x10) && !(p[0] & 7);
    if (p[0] & 0x80) {
        if (length < 2)
            return length;
        guint8 x = p[1];
        n = 2;
        if (x & 0x80)
            n += n < length && p[n] & 0x80 ? 2 : 1;
        n += !!(x & 0x40);
        n += !!(x & 0x30);
    }
    if (!start)
        return MIN(n, length);
    if (n + 10 > length)
        return length;
    *ret_key = !(p[n] & 1) && p[n + 3] == 0x9d && p[n + 4] == 0x01 && p[n + 5] == 0x2a;
    gsize partition = (p[n] | p[n + 1] << 8 | p[n + 2] << 16) >> 5;
    n += *ret_key ? 10 : 3;
    return is_picture(partition, *ret_key) ? MIN(n + partition, length) : n;
}

/* RFC 6184 5: parameter sets come with each key frame, alone or as the first of an aggregate. */
static bool is_h264_key(const guint8 *p, gsize length)
{
    guint8 type = length > 0 ? p[0] & 31 : 0;
    if (type == 24 && length > 3)
        type = p[3] & 31;
    return type == 7;
}

static void decode(struct peer_sink *sink, gint64 now, const struct peer_rtp *rtp, bool key)
{
    struct peer_decoder *decoder = sink->decoder;
    guint64 extended =
        sink->highest + (guint64)(gint64)(gint16)(rtp->sequence - (guint16)sink->highest);
    bool waited = decoder->waiting_key;
    peer_decoder_input(decoder, now, extended, rtp->marker, key);
    if (decoder->waiting_key && !waited && sink->pli_due_us == G_MAXINT64)
        sink->pli_due_us = now;
    sink->stats.decoded = decoder->decoded;
    sink->stats.dropped = decoder->dropped;
    sink->stats.longest_freeze_us = decoder->longest_us;
}

static void count_origin(struct peer_recv_stats *stats, guint32 origin)
{
    guint i = 0;
    stats->origin = origin;
    while (i < stats->n_origins && stats->origins[i].ssrc != origin)
        i++;
    if (i == G_N_ELEMENTS(stats->origins))
        return;
    if (i == stats->n_origins)
        stats->origins[stats->n_origins++].ssrc = origin;
    stats->origins[i].packets++;
}

static void inspect_payload(struct peer_sink *sink, gint64 now, const struct peer_rtp *rtp,
                            struct histogram *latency)
{
    gsize from = 1;
    bool key = false;
    if (sink->stats.kind == PEER_VIDEO && sink->h264)
        key = is_h264_key(rtp->payload, rtp->payload_length);
    else if (sink->stats.kind == PEER_VIDEO)
        from = read_vp8(rtp->payload, rtp->payload_length, &key);
    if (sink->decoder)
        decode(sink, now, rtp, key);
    sink->stats.key_frames += key;
    if (key && !sink->pli_interval_ms)
        sink->pli_due_us = G_MAXINT64;
    struct peer_trailer trailer;
    switch (peer_payload_check(rtp->payload, from, rtp->payload_length, &trailer)) {
    case PEER_PAYLOAD_FOREIGN:
        sink->stats.foreign++;
        return;
    case PEER_PAYLOAD_BROKEN:
        sink->stats.broken_payload++;
        return;
    case PEER_PAYLOAD_GOOD:
        break;
    }
    histogram_add(latency, (guint64)MAX(now - trailer.sent_us, 0));
    count_origin(&sink->stats, trailer.origin);
    gint32 step = (gint32)(trailer.counter - sink->counter);
    if (!sink->counter_known || step > JUMP || step < -JUMP) {
        sink->stats.source_changes += sink->counter_known;
        sink->counter_known = true;
    } else if (step > 1) {
        sink->stats.source_lost += (guint64)step - 1;
    } else if (step < 0) { /* late: it was counted as lost before */
        sink->stats.source_lost -= sink->stats.source_lost > 0;
        return;
    }
    sink->counter = trailer.counter;
}

void peer_sink_input(struct peer_sink *sink, gint64 now, const struct peer_rtp *rtp,
                     struct histogram *latency)
{
    struct peer_recv_stats *stats = &sink->stats;
    if (stats->packets)
        stats->longest_silence_us = MAX(stats->longest_silence_us, now - stats->last_us);
    else
        stats->first_us = now;
    stats->last_us = now;
    stats->packets++;
    stats->octets += rtp->payload_length;
    stats->pt = rtp->pt;
    guint64 before = sink->highest;
    if (!place(sink, rtp->sequence, now))
        return;
    if (sink->highest != before) /* in order: late packets say nothing about jitter */
        measure_jitter(sink, now, rtp->timestamp);
    stats->frames += rtp->marker || stats->kind == PEER_AUDIO;
    stats->lost =
        (gint64)(sink->expected_before + sink->highest - sink->first + 1) - (gint64)stats->unique;
    inspect_payload(sink, now, rtp, latency);
}

void peer_sink_sender_report(struct peer_sink *sink, gint64 now, guint64 ntp)
{
    sink->sr_mid = (guint32)(ntp >> 16);
    sink->sr_us = now;
    sink->stats.sr_received++;
}

void peer_sink_report(struct peer_sink *sink, gint64 now, struct peer_report_block *ret)
{
    guint64 expected =
        sink->expected_before + (sink->started ? sink->highest - sink->first + 1 : 0);
    guint64 window = expected - sink->expected_prior;
    gint64 lost = (gint64)window - (gint64)(sink->stats.unique - sink->unique_prior);
    sink->expected_prior = expected;
    sink->unique_prior = sink->stats.unique;
    *ret = (struct peer_report_block){
        .ssrc = sink->stats.ssrc,
        .fraction_lost = (guint8)(window && lost > 0 ? MIN(lost * 256 / (gint64)window, 255) : 0),
        .cumulative_lost = (gint32)CLAMP(sink->stats.lost, -0x800000, 0x7fffff),
        .highest = (guint32)(sink->highest - 65536),
        .jitter = sink->stats.jitter,
        .lsr = sink->sr_mid,
        .dlsr = sink->sr_us ? (guint32)((now - sink->sr_us) * 65536 / G_USEC_PER_SEC) : 0,
    };
}

gsize peer_sink_feedback(struct peer_sink *sink, gint64 now, guint32 own_ssrc, guint8 *packet,
                         gsize at, gint64 *ret_next)
{
    guint16 due[PEER_SINK_MISSING];
    guint n = 0, kept = 0;
    gint64 next = G_MAXINT64;
    for (guint i = 0; i < sink->n_missing; i++) {
        struct peer_missing *missing = &sink->missing[i];
        if (now >= missing->next_us) {
            if (missing->tries == NACK_TRIES)
                continue; /* given up */
            due[n++] = (guint16)missing->extended;
            missing->tries++;
            missing->next_us = now + NACK_AGAIN_US;
        }
        next = MIN(next, missing->next_us);
        sink->missing[kept++] = *missing;
    }
    sink->n_missing = kept;
    if (n) {
        at = peer_rtcp_write_nack(packet, at, own_ssrc, sink->stats.ssrc, due, n);
        sink->stats.nack_sent += n;
    }
    if (now >= sink->pli_due_us) {
        at = peer_rtcp_write_pli(packet, at, own_ssrc, sink->stats.ssrc);
        sink->stats.pli_sent++;
        sink->pli_due_us =
            now + (sink->pli_interval_ms ? sink->pli_interval_ms * 1000 : PLI_AGAIN_US);
    }
    *ret_next = MIN(next, sink->pli_due_us);
    return at;
}

void peer_sink_reset(struct peer_sink *sink)
{
    struct peer_recv_stats old = sink->stats;
    sink->stats = (struct peer_recv_stats){
        .ssrc = old.ssrc, .pt = old.pt, .kind = old.kind, .jitter = old.jitter};
    memcpy(sink->stats.mid, old.mid, sizeof old.mid);
    /* what was missing before is not to be found now */
    sink->n_missing = 0;
    sink->expected_before = sink->expected_prior = sink->unique_prior = 0;
    memset(sink->tos, 0, sizeof sink->tos);
    if (sink->decoder)
        peer_decoder_reset(sink->decoder);
    if (sink->started) {
        sink->first = sink->floor = sink->highest + 1;
    }
}
