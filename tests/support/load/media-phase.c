/* SPDX-License-Identifier: Apache-2.0 */
/* The measured phase: all legs send, and after a warm-up that swallows key frames and first reports
 * the counters start at zero together with the program's CPU clock. Loss is what sequence numbers
 * tell each receiver, so that packets on their way at the borders of the phase are nobody's loss.
 */
#include "base/loop.h"
#include "tests/support/load/load.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DRAIN_MS 300

struct phase {
    struct load_run *run;
    void (*done)(void *user);
    void *user;
    struct loop_timer *timer;
    enum { WARM_UP, MEASURE, DRAIN } step;
    gint64 begun_us, ended_us;
    gint64 generator_us; /* its own CPU time in between */
    struct load_process before, after;
};

struct totals {
    guint64 sent, received, octets, lost, reordered, duplicates, jumps, broken, source_lost;
    guint64 recovered, key_frames, frames, streams, pli_sent, nack_sent, retransmitted;
    guint64 srtp_failed, replayed, send_failed;
    gint64 longest_silence_us;
    struct histogram latency;
};

void load_peer_config(const struct load_options *options, struct peer_config *config, bool send,
                      bool receive)
{
    enum peer_direction direction =
        (enum peer_direction)((send ? PEER_SENDONLY : 0) | (receive ? PEER_RECVONLY : 0));
    memset(config, 0, sizeof *config);
    config->srtp = options->libsrtp ? PEER_SRTP_LIBSRTP : PEER_SRTP_EVP;
    if (options->srtp_profile)
        config->srtp_profiles[config->n_srtp_profiles++] =
            peer_srtp_profile_find(0, options->srtp_profile)->profile;
    config->hold_media = true;
    config->wide = options->wide;
    config->dtls_repeat_ms = 50; /* as browsers do */
    config->bind_address = options->bind;
    config->faults.no_rtcp = options->no_rtcp;
    config->faults.drop_in = options->drop_in;
    config->faults.drop_out = options->drop_out;
    if (options->audio)
        config->medias[config->n_medias++] = (struct peer_media_config){
            .kind = PEER_AUDIO, .direction = direction, .packet_size = (guint)options->audio_size};
    if (!options->no_video)
        config->medias[config->n_medias++] = (struct peer_media_config){
            .kind = PEER_VIDEO,
            .direction = direction,
            .bitrate = (guint)options->bitrate,
            .fps = (guint)options->fps,
            .packet_size = (guint)options->packet_size,
            .nack = options->nack,
        };
}

void load_leg_config(const struct load_run *run, const struct load_leg *leg,
                     struct peer_config *config)
{
    load_peer_config(run->options, config, leg->publishes, leg->subscribes);
    guint kinds = config->n_medias;
    for (guint source = 1; source < leg->n_sources; source++)
        for (guint k = 0; k < kinds && config->n_medias < PEER_MEDIA_CONFIGS; k++) {
            config->medias[config->n_medias] = config->medias[k];
            config->medias[config->n_medias++].direction = PEER_RECVONLY;
        }
}

void load_fail(struct load_run *run, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_printerr("wmcf-load: %s\n", text);
    json_object_set_new(run->report, "error", json_string(text));
    run->status = 1;
    loop_quit();
}

void load_leg_settled(struct load_run *run, const struct load_leg *leg, bool connected)
{
    if (connected) {
        run->connected++;
        histogram_add(&run->setup, (guint64)(g_get_monotonic_time() - leg->begun_us));
    } else {
        run->failed++;
        run->status = 1;
    }
}

void load_report_setup(struct load_run *run)
{
    double seconds = (double)(g_get_monotonic_time() - run->begun_us) / G_USEC_PER_SEC;
    json_object_set_new(run->report, "setup",
                        json_pack("{s:i, s:i, s:f, s:f, s:I, s:I}", "legs", (int)run->connected,
                                  "failed", (int)run->failed, "seconds", seconds, "legs_per_second",
                                  seconds > 0 ? run->connected / seconds : 0.0, "p50_us",
                                  (json_int_t)histogram_quantile(&run->setup, 0.5), "p99_us",
                                  (json_int_t)histogram_quantile(&run->setup, 0.99)));
    for (guint i = 0; i < run->legs->len; i++) {
        const struct load_leg *leg = run->legs->pdata[i];
        const struct peer_srtp_profile_row *row =
            leg->peer ? peer_srtp_profile_find(peer_srtp_profile(leg->peer), NULL) : NULL;
        if (row) {
            json_object_set_new(json_object_get(run->report, "setup"), "srtp_profile",
                                json_string(row->name));
            return;
        }
    }
}

static void each_peer(struct load_run *run, void (*visit)(struct peer *peer, void *user),
                      void *user)
{
    for (guint i = 0; i < run->legs->len; i++) {
        struct load_leg *leg = run->legs->pdata[i];
        if (leg->peer)
            visit(leg->peer, user);
        if (leg->second)
            visit(leg->second, user);
    }
}

static void start_sending(struct peer *peer, void *user)
{
    peer_set_sending(peer, true);
}

static void stop_sending(struct peer *peer, void *user)
{
    peer_set_sending(peer, false);
}

static void reset(struct peer *peer, void *user)
{
    peer_reset_stats(peer);
}

static void add_up(struct peer *peer, void *user)
{
    struct totals *t = user;
    struct peer_stats stats;
    peer_get_stats(peer, &stats);
    t->srtp_failed += stats.srtp_failed;
    t->replayed += stats.srtp_replayed;
    t->send_failed += stats.send_failed;
    for (guint i = 0; i < peer_recv_count(peer); i++) {
        struct peer_recv_stats recv;
        peer_get_recv(peer, i, &recv);
        t->streams += recv.packets > 0;
        t->received += recv.packets;
        t->octets += recv.octets;
        t->lost += recv.lost > 0 ? (guint64)recv.lost : 0;
        t->reordered += recv.reordered;
        t->duplicates += recv.duplicates;
        t->jumps += recv.jumps + recv.timestamp_jumps;
        t->broken += recv.broken_payload + recv.foreign;
        t->source_lost += recv.source_lost;
        t->recovered += recv.recovered;
        t->frames += recv.frames;
        t->key_frames += recv.key_frames;
        t->pli_sent += recv.pli_sent;
        t->nack_sent += recv.nack_sent;
        t->longest_silence_us = MAX(t->longest_silence_us, recv.longest_silence_us);
    }
    for (guint i = 0; i < peer_send_count(peer); i++) {
        struct peer_send_stats send;
        peer_get_send(peer, i, &send);
        t->sent += send.packets;
        t->retransmitted += send.retransmitted;
    }
    histogram_merge(&t->latency, peer_latency(peer));
}

/* What the configuration makes the legs send in a second. */
static double expected_rate(const struct load_run *run)
{
    const struct load_options *options = run->options;
    double rate = 0;
    for (guint i = 0; i < run->legs->len; i++) {
        const struct load_leg *leg = run->legs->pdata[i];
        if (!leg->peer || !leg->publishes)
            continue;
        rate += options->audio ? 50 : 0;
        rate += options->no_video ? 0 : (double)options->bitrate / 8 / options->packet_size;
    }
    return rate;
}

static guint expected_streams(const struct load_run *run)
{
    guint n = 0, medias = run->options->audio + !run->options->no_video;
    for (guint i = 0; i < run->legs->len; i++) {
        const struct load_leg *leg = run->legs->pdata[i];
        n += leg->peer && leg->subscribes ? medias * leg->n_sources : 0;
    }
    return n;
}

static void report(struct phase *phase)
{
    struct totals *t = g_new0(struct totals, 1);
    each_peer(phase->run, add_up, t);
    double seconds = (double)(phase->ended_us - phase->begun_us) / G_USEC_PER_SEC;
    json_t *media = json_object();
    const struct {
        const char *name;
        guint64 value;
    } counters[] = {
        {"streams_expected", expected_streams(phase->run)},
        {"streams", t->streams},
        {"packets_sent", t->sent},
        {"packets_received", t->received},
        {"octets_received", t->octets},
        {"lost", t->lost},
        {"source_lost", t->source_lost},
        {"reordered", t->reordered},
        {"duplicates", t->duplicates},
        {"jumps", t->jumps},
        {"broken_payload", t->broken},
        {"recovered", t->recovered},
        {"retransmitted", t->retransmitted},
        {"nack_sent", t->nack_sent},
        {"pli_sent", t->pli_sent},
        {"frames", t->frames},
        {"key_frames", t->key_frames},
        {"srtp_failed", t->srtp_failed},
        {"srtp_replayed", t->replayed},
        {"send_failed", t->send_failed},
        {"longest_silence_us", (guint64)t->longest_silence_us},
        {"latency_p50_us", histogram_quantile(&t->latency, 0.5)},
        {"latency_p99_us", histogram_quantile(&t->latency, 0.99)},
        {"latency_max_us", t->latency.max},
    };
    for (guint i = 0; i < G_N_ELEMENTS(counters); i++)
        json_object_set_new(media, counters[i].name, json_integer((json_int_t)counters[i].value));
    guint64 expected = t->received - t->duplicates + t->lost;
    json_object_set_new(media, "seconds", json_real(seconds));
    json_object_set_new(media, "sent_share",
                        json_real((double)t->sent / seconds / expected_rate(phase->run)));
    json_object_set_new(media, "generator_share",
                        json_real((double)phase->generator_us / G_USEC_PER_SEC / seconds));
    json_object_set_new(media, "loss",
                        json_real(expected ? (double)t->lost / (double)expected : 0));
    json_object_set_new(media, "received_per_second", json_real((double)t->received / seconds));
    if (phase->run->options->pid) {
        gint64 cpu = phase->after.cpu_us - phase->before.cpu_us;
        json_object_set_new(media, "cpu_us", json_integer(cpu));
        json_object_set_new(media, "cpu_share", json_real((double)cpu / 1e6 / seconds));
        json_object_set_new(media, "cpu_us_per_packet",
                            json_real(t->received ? (double)cpu / (double)t->received : 0));
        json_object_set_new(media, "process", load_process_json(&phase->after));
    }
    json_object_set_new(phase->run->report, "media", media);
    if (t->streams < expected_streams(phase->run))
        phase->run->status = 1;
    g_free(t);
}

static void on_timer(void *data)
{
    struct phase *phase = data;
    struct load_run *run = phase->run;
    switch (phase->step) {
    case WARM_UP:
        each_peer(run, reset, NULL);
        load_process_read(run->options->pid, &phase->before);
        phase->begun_us = g_get_monotonic_time();
        phase->generator_us = -load_own_cpu_us();
        phase->step = MEASURE;
        loop_timer_start(phase->timer, (guint)(run->options->seconds * 1000));
        return;
    case MEASURE:
        load_process_read(run->options->pid, &phase->after);
        phase->ended_us = g_get_monotonic_time();
        phase->generator_us += load_own_cpu_us();
        each_peer(run, stop_sending, NULL);
        phase->step = DRAIN;
        loop_timer_start(phase->timer, DRAIN_MS);
        return;
    case DRAIN:
        break;
    }
    report(phase);
    void (*done)(void *user) = phase->done;
    void *user = phase->user;
    loop_timer_free(phase->timer);
    g_free(phase);
    done(user);
}

void load_media_phase(struct load_run *run, void (*done)(void *user), void *user)
{
    struct phase *phase = g_new0(struct phase, 1);
    phase->run = run;
    phase->done = done;
    phase->user = user;
    phase->timer = loop_timer_new("media phase", on_timer, phase);
    each_peer(run, start_sending, NULL);
    loop_timer_start(phase->timer, (guint)(run->options->warm_up * 1000));
}
