/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts put together for one leg. Everything here is per feedback packet or rarer. Until
 * the first feedback the leg gets what it asks for; an endpoint that negotiated feedback and gives
 * none for a while after having begun counts as one without. There receiver reports and REMB give a
 * bound that chooses layers, but is too rough to pause a video for. */
#include "wmcf/relay/leg-bandwidth.h"

#include "wmcf/relay/resend.h"
#include "wmcf/relay/worker.h"

#define PACE_PERCENT 250
#define OVERFILLS 2 /* times the estimate */
#define ALLOCATE_US 100000
#define RESERVE_US 500000
#define RESULTS 256       /* taken from a feedback packet at once */
#define SILENT_US 1500000 /* after the first unanswered packet */
#define TRIAL_EVERY_US 12000000
#define TRIAL_US 3000000
#define REPORT_LOSS_HIGH 26 /* of 256 */
#define REPORT_LOSS_LOW 5
#define REPORT_PACKETS 60
#define REPORT_PACKETS_MAX 65536 /* more have not been sent since: it has begun anew */

const uint32_t relay_estimate_bounds[RELAY_ESTIMATE_BOUNDS] = {
    100000, 200000, 300000, 500000, 1000000, 2000000, 3000000, 5000000, 10000000, 20000000};

/* --- begin and end ---------------------------------------------------------------------------- */

static bool sends_wide(const struct worker_leg *leg)
{
    for (unsigned i = 0; i < leg->n_lines; i++) {
        const struct media_line *line = leg->lines[i];
        if (line->media.send && line->out.extensions.wide_at)
            return true;
    }
    return false;
}

static bool sends_video(const struct worker_leg *leg)
{
    for (unsigned i = 0; i < leg->n_lines; i++) {
        if (leg->lines[i]->media.send && leg->lines[i]->media.kind == RELAY_VIDEO)
            return true;
    }
    return false;
}

static struct leg_bandwidth *begin(struct worker_leg *leg)
{
    const struct worker_limits *limits = &leg->worker->limits;
    struct leg_bandwidth *bandwidth = g_new0(struct leg_bandwidth, 1);
    bandwidth->leg = leg;
    bandwidth_estimator_init(&bandwidth->estimator, &limits->bandwidth);
    pacer_init(&bandwidth->pacer, PACER_PACKETS_MAX, limits->pacing);
    pacer_set_rate(&bandwidth->pacer, limits->bandwidth.start / 100 * PACE_PERCENT,
                   leg->worker->now);
    leg->bandwidth = bandwidth;
    if (leg->nominated >= 0)
        bandwidth->remote = leg->paths[leg->nominated].remote;
    return bandwidth;
}

void leg_bandwidth_move(struct worker_leg *leg, const struct ice_path *path, int64_t now)
{
    struct leg_bandwidth *bandwidth = leg->bandwidth;
    if (!bandwidth || socket_address_same_host(&bandwidth->remote, &path->remote))
        return;
    bool moves = bandwidth->remote.any.sa_family != AF_UNSPEC;
    bandwidth->remote = path->remote;
    if (!moves)
        return;
    bandwidth_estimator_move(&bandwidth->estimator, now);
    bandwidth->prober = (struct prober){.id = bandwidth->prober.id};
    bandwidth->probe.id = 0;
    bandwidth->told = 0;
    bandwidth->allocated_at = 0;
}

/* Videos that go on keep what the allocation knows of them. */
static void list_videos(struct leg_bandwidth *bandwidth)
{
    const struct worker_leg *leg = bandwidth->leg;
    struct allocation_video *videos = g_new0(struct allocation_video, leg->n_lines);
    struct media_line **lines = g_new0(struct media_line *, leg->n_lines);
    unsigned n = 0;
    for (unsigned i = 0; i < leg->n_lines; i++) {
        struct media_line *line = leg->lines[i];
        if (line->media.kind != RELAY_VIDEO || !line->media.send)
            continue;
        for (unsigned o = 0; o < bandwidth->n_videos; o++) {
            if (bandwidth->lines[o] == line)
                videos[n] = bandwidth->videos[o];
        }
        lines[n++] = line;
    }
    g_free(bandwidth->videos);
    g_free(bandwidth->lines);
    bandwidth->videos = videos;
    bandwidth->lines = lines;
    bandwidth->n_videos = n;
    bandwidth->allocated_at = 0;
}

void leg_bandwidth_configure(struct worker_leg *leg)
{
    bool wide = sends_wide(leg);
    struct leg_bandwidth *bandwidth = leg->bandwidth;
    if (!wide && (!bandwidth || bandwidth->history || !sends_video(leg))) {
        leg_bandwidth_free(leg);
        return;
    }
    if (!bandwidth)
        bandwidth = begin(leg);
    if (wide && !bandwidth->history)
        bandwidth->history = send_history_new(leg->worker->limits.send_history, leg->next_wide);
    list_videos(bandwidth);
}

void leg_bandwidth_drop(struct worker_leg *leg, const struct media_line *line)
{
    struct leg_bandwidth *bandwidth = leg->bandwidth;
    struct paced_packet packet;
    if (!bandwidth)
        return;
    while (line ? pacer_remove(&bandwidth->pacer, &line->out, &packet)
                : pacer_shift(&bandwidth->pacer, &packet))
        packet_unref(leg->worker->pool, packet.packet);
    for (unsigned i = 0; line && i < bandwidth->n_videos; i++) {
        if (bandwidth->lines[i] == line)
            bandwidth->lines[i] = NULL;
    }
}

void leg_bandwidth_free(struct worker_leg *leg)
{
    struct leg_bandwidth *bandwidth = leg->bandwidth;
    if (!bandwidth)
        return;
    leg_bandwidth_drop(leg, NULL);
    leg_bandwidth_unlink(bandwidth);
    for (unsigned i = 0; i < bandwidth->n_videos; i++) { /* nobody would ever resume it */
        struct layer all = {.encoding = RELAY_ENCODINGS_MAX - 1, .spatial = 7, .temporal = 7};
        if (bandwidth->lines[i] && bandwidth->videos[i].told)
            subscription_select(&bandwidth->lines[i]->out, &all, leg->worker->now);
    }
    /* A number that it has had before is a repetition to the endpoint: it would tell of the packet
     * of then, and that arrived long before the present one was sent. */
    if (bandwidth->history)
        leg->next_wide = send_history_next(bandwidth->history);
    send_history_free(bandwidth->history);
    pacer_finish(&bandwidth->pacer);
    g_free(bandwidth->videos);
    g_free(bandwidth->lines);
    g_free(bandwidth);
    leg->bandwidth = NULL;
}

void leg_bandwidth_reroute(struct media_line *line)
{
    struct leg_bandwidth *bandwidth = line->leg->bandwidth;
    for (unsigned i = 0; bandwidth && i < bandwidth->n_videos; i++) {
        if (bandwidth->lines[i] == line)
            bandwidth->videos[i] = (struct allocation_video){0};
    }
    if (bandwidth)
        bandwidth->allocated_at = 0;
}

/* --- the division ----------------------------------------------------------------------------- */

static bool heard(const struct leg_bandwidth *bandwidth)
{
    return bandwidth->history && bandwidth->estimator.feedback_at;
}

uint32_t leg_bandwidth_estimate(const struct leg_bandwidth *bandwidth)
{
    return heard(bandwidth) ? bandwidth_estimator_rate(&bandwidth->estimator) : bandwidth->told;
}

/* Everything that is sent whatever the division says. */
static void measure_reserved(struct leg_bandwidth *bandwidth, int64_t now)
{
    const struct worker_leg *leg = bandwidth->leg;
    const struct ice_path *path = &leg->paths[MAX(leg->nominated, 0)];
    unsigned around = (unsigned)socket_address_overhead(&path->remote);
    uint64_t octets = 0;
    if (now - bandwidth->reserved_at < RESERVE_US)
        return;
    for (unsigned i = 0; i < leg->n_lines; i++) {
        const struct subscription *subscription = &leg->lines[i]->out;
        if (leg->lines[i]->media.kind == RELAY_AUDIO)
            octets += subscription->octets_out + subscription->packets_out * around;
        if (subscription->rtx)
            octets += subscription->rtx->octets;
    }
    if (bandwidth->reserved_at && octets >= bandwidth->reserved_octets) {
        uint64_t rate = (octets - bandwidth->reserved_octets) * 8000000u /
                        (uint64_t)(now - bandwidth->reserved_at);
        bandwidth->reserved =
            (uint32_t)MIN((rate + 3 * (uint64_t)bandwidth->reserved) / 4, UINT32_MAX / 2);
    }
    bandwidth->reserved_octets = octets;
    bandwidth->reserved_at = now;
}

static uint32_t policed(const struct media_line *line)
{
    const struct qos_slot *slot = line->media.slot[QOS_DOWNLINK];
    uint64_t sustained = slot ? __atomic_load_n(&slot->sustained, __ATOMIC_RELAXED) : 0;
    return (uint32_t)MIN((sustained >> 32) * 8, UINT32_MAX);
}

/* Until a key frame of the lower encoding comes, the higher one would fill the queue in front of a
 * link that cannot carry it, and audio waits or is lost in there. */
static bool overfills(const struct subscription *subscription, uint32_t estimate)
{
    struct layer present;
    return subscription->wanted &&
           subscription->wanted->encoding < subscription->source->encoding &&
           subscription_layer(subscription, &present) &&
           present.bitrate > OVERFILLS * (uint64_t)estimate;
}

static void drop_waiting(struct leg_bandwidth *bandwidth, const struct subscription *subscription)
{
    struct paced_packet packet;
    while (pacer_remove(&bandwidth->pacer, subscription, &packet))
        packet_unref(bandwidth->leg->worker->pool, packet.packet);
}

static void cut_short(struct leg_bandwidth *bandwidth, struct media_line *line, int64_t now)
{
    if (!overfills(&line->out, leg_bandwidth_estimate(bandwidth)))
        return;
    drop_waiting(bandwidth, &line->out);
    subscription_cut(&line->out, now);
}

static void apply(struct allocation_video *video, struct media_line *line, int64_t now)
{
    /* What has one layer and never paused is not looked at by the router. */
    if (video->n == 0 || (!video->changed && video->told) ||
        (!video->told && video->running && video->n == 1))
        return;
    video->told = true;
    if (!video->running)
        counter_add(&line->leg->worker->counters.video_pauses, 1);
    subscription_select(&line->out, video->running ? &video->chosen : NULL, now);
}

/* When every video has paused and probes do not get through, one of them is the probe. */
static bool on_trial(struct leg_bandwidth *bandwidth, int64_t now)
{
    return bandwidth->paused_at &&
           (now - bandwidth->paused_at) % TRIAL_EVERY_US > TRIAL_EVERY_US - TRIAL_US;
}

static void note_paused(struct leg_bandwidth *bandwidth, bool trial, int64_t now)
{
    bool all = bandwidth->n_videos > 0;
    for (unsigned i = 0; i < bandwidth->n_videos; i++)
        all &= bandwidth->videos[i].begun && !bandwidth->videos[i].running;
    if (!all && !trial)
        bandwidth->paused_at = 0;
    else if (all && !bandwidth->paused_at)
        bandwidth->paused_at = now;
}

static void allocate(struct leg_bandwidth *bandwidth, int64_t now)
{
    bool trial = on_trial(bandwidth, now);
    uint32_t estimate = leg_bandwidth_estimate(bandwidth);
    if (!estimate)
        return;
    measure_reserved(bandwidth, now);
    for (unsigned i = 0; i < bandwidth->n_videos; i++) {
        struct allocation_video *video = &bandwidth->videos[i];
        const struct media_line *line = bandwidth->lines[i];
        video->n = subscription_layers(&line->out, now, video->layers);
        video->ceiling = policed(line);
        video->pixels = 0;
        if (video->n)
            video->pixels =
                (uint32_t)video->layers[video->n - 1].width * video->layers[video->n - 1].height;
    }
    const struct allocation_budget budget = {
        .estimate = estimate,
        .reserved = bandwidth->reserved,
        .proven =
            heard(bandwidth) && !trial && bandwidth_estimator_proven(&bandwidth->estimator, now),
        .pause_after = bandwidth->leg->worker->limits.pause_after,
    };
    bandwidth->wanted = bandwidth_allocate(bandwidth->videos, bandwidth->n_videos, &budget, now);
    for (unsigned i = 0; i < bandwidth->n_videos; i++)
        apply(&bandwidth->videos[i], bandwidth->lines[i], now);
    for (unsigned i = 0; i < bandwidth->n_videos && budget.proven; i++)
        cut_short(bandwidth, bandwidth->lines[i], now);
    note_paused(bandwidth, trial, now);
    bandwidth->allocated_at = now;
}

static void follow(struct leg_bandwidth *bandwidth, uint32_t before, int64_t now)
{
    uint32_t estimate = leg_bandwidth_estimate(bandwidth);
    bool fell = estimate < before;
    uint64_t pace = (uint64_t)estimate * PACE_PERCENT / 100;
    if (estimate)
        pacer_set_rate(&bandwidth->pacer, (uint32_t)MIN(pace, UINT32_MAX), now);
    if (fell || now - bandwidth->allocated_at >= ALLOCATE_US)
        allocate(bandwidth, now);
}

/* --- what is heard ---------------------------------------------------------------------------- */

static void probe(struct leg_bandwidth *bandwidth, int64_t now)
{
    const struct bandwidth_estimator *estimator = &bandwidth->estimator;
    struct probe_order order;
    if (!bandwidth->probe.id && prober_next(&bandwidth->prober, bandwidth_estimator_rate(estimator),
                                            bandwidth->wanted, &estimator->probed, now, &order))
        leg_bandwidth_probe(bandwidth, &order, now);
}

void leg_bandwidth_feedback(struct worker_leg *leg, const uint8_t *fci, size_t length, int64_t now)
{
    struct leg_bandwidth *bandwidth = leg->bandwidth;
    struct packet_result results[RESULTS];
    size_t n;
    bool broken;
    if (!bandwidth || !bandwidth->history)
        return;
    uint32_t before = leg_bandwidth_estimate(bandwidth);
    unsigned overuses = bandwidth->estimator.overuses;
    counter_add(&leg->worker->counters.feedback_in, 1);
    do {
        n = send_history_results(bandwidth->history, fci, length, now, results, RESULTS, &broken);
        if (n)
            bandwidth_estimator_feedback(&bandwidth->estimator, results, n, now);
    } while (n == RESULTS);
    if (broken)
        counter_add(&leg->worker->counters.malformed, 1);
    if (bandwidth->estimator.overuses != overuses)
        counter_add(&leg->worker->counters.overuses, bandwidth->estimator.overuses - overuses);
    if (!heard(bandwidth))
        return;
    follow(bandwidth, before, now);
    probe(bandwidth, now);
}

static struct leg_bandwidth *without_feedback(struct worker_leg *leg)
{
    struct leg_bandwidth *bandwidth = leg->bandwidth;
    if (bandwidth)
        return heard(bandwidth) ? NULL : bandwidth;
    bandwidth = begin(leg);
    list_videos(bandwidth);
    return bandwidth;
}

/* Chromium tells one also where it was not asked to: out of the arrival times alone, which is a
 * fraction of what comes when little is sent. */
static bool asked_for_remb(const struct worker_leg *leg)
{
    for (unsigned i = 0; i < leg->n_lines; i++) {
        const struct relay_media *media = &leg->lines[i]->media;
        for (guint c = 0; media->send && c < media->n_send_codecs; c++) {
            if (media->send_codecs[c].remb)
                return true;
        }
    }
    return false;
}

void leg_bandwidth_remb(struct worker_leg *leg, uint64_t rate, int64_t now)
{
    const struct bandwidth_limits *limits = &leg->worker->limits.bandwidth;
    if (!sends_video(leg) || !asked_for_remb(leg))
        return;
    struct leg_bandwidth *bandwidth = without_feedback(leg);
    if (!bandwidth)
        return;
    uint32_t before = bandwidth->told;
    bandwidth->told = (uint32_t)CLAMP(rate, limits->min, limits->max);
    follow(bandwidth, before, now);
}

/* Of 256, over enough packets to say something: of ten, one that is late would be a tenth. -1: not
 * yet. By the cumulative number, from which what came late or again is taken off. */
static int judge(struct subscription *subscription, const struct rtcp_block *block)
{
    uint32_t expected = block->highest - subscription->judged_highest;
    int64_t lost = (int64_t)block->lost - subscription->judged_lost;
    bool begins = !subscription->judged_highest || expected > REPORT_PACKETS_MAX;
    if (!begins && expected < REPORT_PACKETS)
        return -1;
    subscription->judged_highest = block->highest;
    subscription->judged_lost = block->lost;
    return begins ? -1 : (int)(CLAMP(lost, 0, (int64_t)expected) * 255 / expected);
}

void leg_bandwidth_report(struct media_line *line, const struct rtcp_block *block, int64_t now)
{
    struct worker_leg *leg = line->leg;
    const struct bandwidth_limits *limits = &leg->worker->limits.bandwidth;
    if (line->media.kind != RELAY_VIDEO || (leg->bandwidth && heard(leg->bandwidth)))
        return;
    int fraction_lost = judge(&line->out, block);
    if (fraction_lost < 0 ||
        (fraction_lost <= REPORT_LOSS_HIGH && !(leg->bandwidth && leg->bandwidth->told)))
        return;
    struct leg_bandwidth *bandwidth = without_feedback(leg);
    uint32_t before = bandwidth->told;
    uint64_t rate = before;
    if (!rate && line->out.source)
        rate = bandwidth->reserved +
               (uint64_t)stream_rate(line->out.source, now) * MAX(bandwidth->n_videos, 1);
    if (fraction_lost > REPORT_LOSS_HIGH) /* draft-ietf-rmcat-gcc-02 6 */
        rate -= rate * (unsigned)fraction_lost / 512;
    else if (fraction_lost <= REPORT_LOSS_LOW)
        rate += rate / 12;
    bandwidth->told = (uint32_t)CLAMP(rate, limits->min, limits->max);
    follow(bandwidth, before, now);
}

static void count_estimate(struct worker_counters *counters, uint32_t estimate)
{
    unsigned bucket = 0;
    while (bucket < RELAY_ESTIMATE_BOUNDS && estimate > relay_estimate_bounds[bucket])
        bucket++;
    counter_add(&counters->estimates[bucket], 1);
    counter_add(&counters->estimate_sum, estimate);
}

void leg_bandwidth_visit(struct worker_leg *leg, int64_t now)
{
    struct leg_bandwidth *bandwidth = leg->bandwidth;
    uint32_t before = leg_bandwidth_estimate(bandwidth);
    if (before)
        count_estimate(&leg->worker->counters, before);
    if (heard(bandwidth)) {
        int64_t since = send_history_waits_since(bandwidth->history, now);
        if (since && now - since > SILENT_US && now - bandwidth->estimator.feedback_at > SILENT_US)
            bandwidth_estimator_silence(&bandwidth->estimator, now);
    }
    follow(bandwidth, before, now);
}

/* --- what the operator sees ------------------------------------------------------------------- */

void leg_bandwidth_stats(const struct leg_bandwidth *bandwidth, struct relay_leg_stats *ret)
{
    ret->available_outgoing_bitrate = leg_bandwidth_estimate(bandwidth);
    ret->acknowledged_bitrate = bandwidth_estimator_acknowledged(&bandwidth->estimator);
    ret->wanted_bitrate = bandwidth->wanted;
    ret->pacer_delay_us = (uint32_t)pacer_delay(&bandwidth->pacer);
    ret->pacer_packets = bandwidth->pacer.n;
    ret->probes = bandwidth->probes;
    ret->paced_packets = bandwidth->paced;
    ret->overuses = bandwidth->estimator.overuses;
    ret->transport_loss = bandwidth->estimator.loss;
}

void leg_bandwidth_media_stats(const struct leg_bandwidth *bandwidth, const struct media_line *line,
                               struct relay_media_stats *ret)
{
    for (unsigned i = 0; i < bandwidth->n_videos; i++) {
        const struct allocation_video *video = &bandwidth->videos[i];
        if (bandwidth->lines[i] != line)
            continue;
        ret->target_bitrate = allocation_video_target(video);
        ret->paused = video->begun && !video->running;
    }
}
