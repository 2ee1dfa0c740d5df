/* SPDX-License-Identifier: Apache-2.0 */
/* RTCP ends here, in both directions: publishers hear from the relay what it received, subscribers
 * what it sent; nothing is passed through. Sender reports tell subscribers the publisher's clock,
 * moved into ours by one offset per publisher, so that its audio and video stay in step. */
#include "wmcf/relay/leg.h"

#include "wmcf/relay/capture.h"
#include "wmcf/relay/leg-bandwidth.h"
#include "wmcf/relay/resend.h"
#include "wmcf/relay/stream-mirror.h"
#include "wmcf/relay/worker.h"

#include <string.h>
#include <time.h>

#define RTCP_MAX 1200           /* octets of a compound, before the trailer */
#define RECEIVED_PER_SECOND 500 /* of one leg */
#define NACKED_PER_PACKET 512
#define NACK_SEQUENCES_MAX 128  /* in one request */
#define REPORT_WAIT_US 5000000  /* without a publisher's report, before we invent the clock */
#define OFFSET_RESET_US 1000000 /* a clock that jumped */
#define OFFSET_SLEW_US 500      /* per report */
#define CLOCK_MAX_US INT64_C(3600000000)
#define NTP_UNIX_OFFSET UINT64_C(2208988800)

static uint64_t ntp_from_us(int64_t us)
{
    uint64_t seconds = (uint64_t)us / 1000000u, rest = (uint64_t)us % 1000000u;
    return seconds << 32 | (rest << 32) / 1000000u;
}

/* Our NTP clock in µs at monotonic time `now`: the wall clock's start, monotonic from then on, so
 * that a stepped clock does not disturb receivers. */
static int64_t wall(int64_t now)
{
    static int64_t base; /* set once, before the first worker starts its first report */
    static gsize once;
    if (g_once_init_enter(&once)) {
        base = g_get_real_time() + (int64_t)NTP_UNIX_OFFSET * 1000000 - g_get_monotonic_time();
        g_once_init_leave(&once, 1);
    }
    return base + now;
}

/* --- received --------------------------------------------------------------------------------- */

struct received {
    struct worker_leg *leg;
    int64_t now;
    unsigned nacks; /* sequence numbers asked for in this packet */
};

static void on_sender_report(void *user, uint32_t ssrc, const struct rtcp_sender_info *info)
{
    struct received *received = user;
    struct worker_leg *leg = received->leg;
    struct source *source = worker_leg_source(leg, ssrc);
    if (!source)
        return;
    source->has_report = true;
    source->report = *info;
    source->report_arrival = received->now;
    /* The smallest offset belongs to the report that was delayed least; it may rise slowly, because
     * clocks drift. */
    int64_t offset = wall(received->now) - rtcp_ntp_to_us(info->ntp);
    int64_t difference = offset - leg->clock.offset;
    if (!leg->clock.known || ABS(difference) > OFFSET_RESET_US)
        leg->clock.offset = offset;
    else
        leg->clock.offset += CLAMP(difference, -OFFSET_SLEW_US, OFFSET_SLEW_US / 5);
    leg->clock.known = true;
}

static void on_block(void *user, const struct rtcp_block *block)
{
    struct received *received = user;
    struct media_line *line = worker_leg_line_by_local_ssrc(received->leg, block->ssrc);
    if (!line || !block->ssrc)
        return;
    struct subscription *subscription = &line->out;
    subscription->lost_remote = block->lost;
    subscription->fraction_lost_remote = block->fraction_lost;
    subscription->jitter_remote = block->jitter;
    if (received->leg->bandwidth || block->fraction_lost) {
        leg_bandwidth_report(line, block, received->now);
    } else {
        subscription->judged_highest = block->highest;
        subscription->judged_lost = block->lost;
    }
    if (!block->last_report)
        return;
    /* RFC 3550 6.4.1: A - LSR - DLSR, in 1/65536 s */
    uint32_t at = rtcp_compact_ntp(ntp_from_us(wall(received->now)));
    uint32_t round_trip = at - block->last_report - block->delay;
    if (round_trip >= 0x80000000u) /* clocks of 1/65536 s round */
        round_trip = 0;
    if (round_trip < 10 * 65536) {
        subscription->round_trip_us = (uint32_t)((uint64_t)round_trip * 1000000 / 65536) + 1;
        received->leg->round_trip = subscription->round_trip_us;
    }
}

static void on_nack(void *user, uint32_t media, uint16_t sequence)
{
    struct received *received = user;
    struct media_line *line = worker_leg_line_by_local_ssrc(received->leg, media);
    if (line && received->nacks++ < NACKED_PER_PACKET)
        subscription_resend(&line->out, sequence, received->now);
}

static void on_key_frame(void *user, uint32_t media)
{
    struct received *received = user;
    struct media_line *line = worker_leg_line_by_local_ssrc(received->leg, media);
    if (!line)
        return;
    line->out.pli_received++;
    if (line->out.source)
        stream_want_key_frame(line->out.source);
}

static void on_transport_feedback(void *user, const uint8_t *fci, size_t length)
{
    struct received *received = user;
    leg_bandwidth_feedback(received->leg, fci, length, received->now);
}

static void on_remb(void *user, uint64_t rate)
{
    struct received *received = user;
    leg_bandwidth_remb(received->leg, rate, received->now);
}

static const struct rtcp_handler handler = {
    .sender_report = on_sender_report,
    .block = on_block,
    .nack = on_nack,
    .key_frame = on_key_frame,
    .transport_feedback = on_transport_feedback,
    .remb = on_remb,
};

/* TS 29.514: when every medium is disabled in both directions, RTCP is no longer forwarded. */
static bool all_gates_closed(const struct worker_leg *leg)
{
    for (unsigned i = 0; i < leg->n_lines; i++) {
        for (unsigned d = 0; d < 2; d++) {
            const struct qos_slot *slot = leg->lines[i]->media.slot[d];
            if (!slot || qos_slot_open(slot))
                return false;
        }
    }
    for (unsigned d = 0; d < 2; d++) {
        if (leg->data_slot[d] && qos_slot_open(leg->data_slot[d]))
            return false;
    }
    return leg->n_lines > 0;
}

void worker_leg_receive_rtcp(struct worker_leg *leg, uint8_t *data, size_t length, int64_t now)
{
    struct received received = {.leg = leg, .now = now};
    bool replayed;
    if (now - leg->rtcp_window >= G_USEC_PER_SEC) {
        leg->rtcp_window = now;
        leg->rtcp_count = 0;
    }
    if (!leg->srtcp || leg->rtcp_count++ >= RECEIVED_PER_SECOND)
        return;
    if (all_gates_closed(leg)) {
        leg->rtcp_gated++;
        return;
    }
    if (!srtcp_unprotect(leg->srtcp, data, &length, &replayed)) {
        if (replayed)
            leg->replayed++;
        else
            leg->srtp_failed++;
        return;
    }
    if (G_UNLIKELY(leg->capture))
        capture_rtcp(leg, false, data, length);
    if (!rtcp_parse(data, length, &handler, &received))
        counter_add(&leg->worker->counters.malformed, 1);
}

/* --- sent ------------------------------------------------------------------------------------- */

static bool can_send(struct worker_leg *leg)
{
    return leg->srtcp && worker_leg_nominated(leg);
}

static void begin(struct worker_leg *leg, struct rtcp_writer *writer)
{
    struct send_batch *batch = worker_batch(leg->worker, worker_leg_nominated(leg)->socket);
    *writer = (struct rtcp_writer){.data = send_batch_reserve(batch), .max = RTCP_MAX};
}

void worker_leg_finish_rtcp(struct worker_leg *leg, struct rtcp_writer *writer)
{
    struct ice_path *path = worker_leg_nominated(leg);
    struct send_batch *batch = worker_batch(leg->worker, path->socket);
    size_t length = writer->length;
    if (!length || !ice_path_admit(path, length + SRTCP_TRAILER_MAX))
        return;
    if (G_UNLIKELY(leg->capture))
        capture_rtcp(leg, true, writer->data, length);
    if (srtcp_protect(leg->srtcp, writer->data, &length))
        send_batch_commit(batch, &path->remote, length, &leg->send_failed);
}

/* The SSRC we report from when no medium of ours is sent: any of our own. */
uint32_t worker_leg_own_ssrc(const struct worker_leg *leg)
{
    for (unsigned i = 0; i < leg->n_lines; i++) {
        if (leg->lines[i]->out.ssrc)
            return leg->lines[i]->out.ssrc;
    }
    return 1;
}

static bool reduced_size(const struct worker_leg *leg)
{
    for (unsigned i = 0; i < leg->n_lines; i++) {
        if (!leg->lines[i]->media.rtcp_rsize)
            return false;
    }
    return leg->n_lines > 0;
}

/* The front of a feedback packet: nothing in reduced size (RFC 5506), else the smallest compound
 * (RFC 4585 3.1). */
bool worker_leg_begin_feedback(struct worker_leg *leg, struct rtcp_writer *writer)
{
    if (!can_send(leg))
        return false;
    begin(leg, writer);
    if (reduced_size(leg))
        return true;
    uint32_t ssrc = worker_leg_own_ssrc(leg);
    rtcp_write_rr(writer, ssrc, NULL, 0);
    rtcp_write_sdes(writer, ssrc, leg->cname);
    return true;
}

static unsigned collect_blocks(struct worker_leg *leg, int64_t now, unsigned *at,
                               struct rtcp_block *blocks, unsigned max)
{
    unsigned n = 0;
    for (; *at < leg->n_sources && n < max; ++*at) {
        struct source *source = leg->sources[*at];
        struct reception_report report;
        if (!source->reception.started || now - source->last_packet > 5 * G_USEC_PER_SEC)
            continue;
        reception_report(&source->reception, &report);
        struct rtcp_block *block = &blocks[n++];
        *block = (struct rtcp_block){.ssrc = source->ssrc,
                                     .fraction_lost = report.fraction_lost,
                                     .lost = report.cumulative_lost,
                                     .highest = report.highest,
                                     .jitter = report.jitter};
        if (source->has_report) {
            block->last_report = rtcp_compact_ntp(source->report.ntp);
            block->delay = (uint32_t)((now - source->report_arrival) * 65536 / 1000000);
        }
    }
    return n;
}

bool subscription_sender_info(const struct subscription *subscription, int64_t now,
                              struct rtcp_sender_info *ret)
{
    const struct stream *stream = subscription->source;
    const struct source *source = stream ? stream->active : NULL;
    if (!subscription->begun || !source || subscription->epoch != stream->epoch ||
        now - subscription->last_packet_out > 5 * G_USEC_PER_SEC)
        return false;
    uint32_t timestamp;
    if (source->anchored) {
        timestamp = source->anchor_timestamp +
                    (uint32_t)((now - source->anchor_at) * (int64_t)source->clock_rate / 1000000) +
                    subscription->timestamp_offset;
    } else if (source->has_report) {
        int64_t theirs = wall(now) - stream->clock->offset;
        int64_t passed = theirs - rtcp_ntp_to_us(source->report.ntp);
        if (ABS(passed) > CLOCK_MAX_US) /* reports that contradict one another */
            return false;
        timestamp = source->report.timestamp +
                    (uint32_t)(passed * (int64_t)source->clock_rate / 1000000) +
                    subscription->timestamp_offset;
    } else if (now - stream->active_since > REPORT_WAIT_US) {
        timestamp = subscription->last_timestamp +
                    (uint32_t)((now - subscription->last_arrival) *
                               (int64_t)subscription->last_clock_rate / 1000000);
    } else {
        return false;
    }
    *ret = (struct rtcp_sender_info){.ntp = ntp_from_us(wall(now)),
                                     .timestamp = timestamp,
                                     .packets = (uint32_t)subscription->packets_out,
                                     .octets = (uint32_t)subscription->payload_octets_out};
    return true;
}

void worker_leg_report(struct worker_leg *leg, int64_t now)
{
    if (!can_send(leg) || leg->n_lines == 0 || all_gates_closed(leg))
        return;
    struct rtcp_writer writer;
    struct rtcp_block blocks[RTCP_BLOCKS_MAX];
    unsigned at = 0, n = collect_blocks(leg, now, &at, blocks, G_N_ELEMENTS(blocks));
    bool reported = n == 0;
    begin(leg, &writer);
    for (unsigned i = 0; i < leg->n_lines; i++) {
        struct subscription *subscription = &leg->lines[i]->out;
        struct rtcp_sender_info info;
        if (!leg->lines[i]->media.send || !subscription_sender_info(subscription, now, &info))
            continue;
        unsigned with = reported ? 0 : n;
        if (writer.length + 28 + 24 * with + 280 > writer.max) {
            worker_leg_finish_rtcp(leg, &writer);
            begin(leg, &writer);
        }
        rtcp_write_sr(&writer, subscription->ssrc, &info, blocks, with);
        rtcp_write_sdes(&writer, subscription->ssrc, leg->cname);
        reported = true;
    }
    while (!reported || n == G_N_ELEMENTS(blocks)) {
        if (reported)
            n = collect_blocks(leg, now, &at, blocks, G_N_ELEMENTS(blocks));
        if (n == 0)
            break;
        if (writer.length + 8 + 24 * n + 280 > writer.max) {
            worker_leg_finish_rtcp(leg, &writer);
            begin(leg, &writer);
        }
        rtcp_write_rr(&writer, worker_leg_own_ssrc(leg), blocks, n);
        rtcp_write_sdes(&writer, worker_leg_own_ssrc(leg), leg->cname);
        reported = true;
    }
    worker_leg_finish_rtcp(leg, &writer);
}

int64_t source_send_nack(struct source *source, int64_t now)
{
    struct worker_leg *leg = source->line->leg;
    struct nack_generator *nack = source->nack;
    uint16_t sequences[NACK_SEQUENCES_MAX];
    struct nack_outlook outlook;
    if (!nack || !can_send(leg))
        return 0;
    /* What is asked for comes on top of a rate that is too high already: it would be dropped again,
     * or something else in its place. */
    if (source_is_policed(source, now)) {
        nack->n = 0;
        return 0;
    }
    unsigned n =
        nack_collect(nack, now, leg->round_trip, sequences, G_N_ELEMENTS(sequences), &outlook);
    if (outlook.gave_up && stream_is_used(source->stream))
        stream_want_key_frame(source->stream);
    for (unsigned sent = 0; sent < n;) {
        struct rtcp_writer writer;
        unsigned fitted;
        worker_leg_begin_feedback(leg, &writer);
        if (!rtcp_write_nack(&writer, worker_leg_own_ssrc(leg), source->ssrc, sequences + sent,
                             n - sent, &fitted))
            break;
        worker_leg_finish_rtcp(leg, &writer);
        sent += fitted;
    }
    source->stream->nack_sent += n;
    return outlook.next;
}

void stream_send_key_frame_request(struct stream *stream, int64_t now)
{
    if (stream->mirror) {
        stream_mirror_request_key_frame(stream, now);
        return;
    }
    struct media_line *line = stream->line;
    struct worker_leg *leg = line->leg;
    struct source *source = stream->active;
    if (leg->local) {
        local_request_key_frame(stream, now);
        return;
    }
    if (!stream_is_used(stream)) /* nobody is waiting any more */
        key_frame_request_satisfied(&stream->key_frames);
    if (!source || !can_send(leg))
        return;
    int codec = line->codec_of[source->pt];
    const struct relay_codec *negotiated = codec < 0 ? NULL : &line->media.recv_codecs[codec];
    if (!negotiated || !(negotiated->pli || negotiated->fir) ||
        !key_frame_request_due(&stream->key_frames, now, leg->worker->limits.pli_interval,
                               stream->last_packet))
        return;
    struct rtcp_writer writer;
    worker_leg_begin_feedback(leg, &writer);
    uint32_t ssrc = worker_leg_own_ssrc(leg);
    /* A repetition would keep its number (RFC 5104 4.3.1.2), but who has lost the key frame on its
     * way, not the request, must get another one. */
    if (negotiated->pli ? rtcp_write_pli(&writer, ssrc, source->ssrc)
                        : rtcp_write_fir(&writer, ssrc, source->ssrc, stream->fir_number++))
        stream->pli_sent++;
    worker_leg_finish_rtcp(leg, &writer);
}
