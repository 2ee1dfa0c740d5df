/* SPDX-License-Identifier: Apache-2.0 */
/* What the relay does around the estimator is done here in its simplest form: frames 30 times a
 * second at what the estimate allows, paced at 2.5 times of it, probes of small packets. */
#include "tests/unit/relay/simulated-path.h"

#include <string.h>

#define STEP_US 1000
#define PACKET 1200
#define PADDING 290
#define FRAME_US 33000
#define AUDIO_US 20000
#define ALLOCATE_US 100000
#define PAUSE_AFTER_US 2000000
#define WANDER_US 500000
#define KEY_FRAME 5 /* times another one */

struct flight {
    int64_t at;
    uint16_t sequence;
    uint16_t octets;
    bool audio;
    uint8_t data[1200];
};

void simulated_path_begin(struct simulated_path *path, const struct simulated_link *link,
                          const struct bandwidth_limits *limits)
{
    memset(path, 0, sizeof *path);
    path->link = *link;
    path->random = g_rand_new_with_seed(1);
    path->now = 1000000;
    path->history = send_history_new(1024, 0);
    path->probing = true;
    path->audio = 40000;
    path->feedback_interval = 50000;
    path->share = 1;
    bandwidth_estimator_init(&path->estimator, limits);
}

void simulated_path_end(struct simulated_path *path)
{
    send_history_free(path->history);
    g_queue_clear_full(&path->flying, g_free);
    g_queue_clear_full(&path->feedback, g_free);
    g_queue_clear(&path->paced);
    g_rand_free(path->random);
}

static gint by_arrival(gconstpointer a, gconstpointer b, gpointer none)
{
    const struct flight *one = a, *other = b;
    (void)none;
    return one->at < other->at ? -1 : one->at > other->at;
}

static void transmit(struct simulated_path *path, unsigned octets, uint8_t probe, bool audio)
{
    uint16_t sequence = send_history_add(path->history, path->now, octets, probe);
    struct simulated_path *way = path->shares ? path->shares : path;
    path->sent_octets += octets;
    path->audio_sent += audio;
    if (way->backlog + octets > way->link.queue || g_rand_double(path->random) < path->link.loss) {
        path->lost_packets++;
        return;
    }
    way->backlog += octets;
    struct flight *flight = g_new0(struct flight, 1);
    flight->at = path->now + path->link.delay;
    if (!path->link.polices)
        flight->at += (int64_t)(way->backlog * 8e6 / way->link.rate);
    if (path->link.jitter)
        flight->at += g_rand_int_range(path->random, 0, (gint32)path->link.jitter);
    if (!path->link.reorders)
        flight->at = MAX(flight->at, path->last_arrival);
    path->last_arrival = flight->at;
    flight->sequence = sequence;
    flight->octets = (uint16_t)octets;
    flight->audio = audio;
    g_queue_insert_sorted(&path->flying, flight, by_arrival, NULL);
}

static uint32_t wanted(const struct simulated_path *path)
{
    uint32_t media =
        path->video.n ? path->video.layers[path->video.n - 1].bitrate : path->media_max;
    return path->audio + media + media / 5;
}

static void allocate(struct simulated_path *path)
{
    uint32_t estimate = bandwidth_estimator_rate(&path->estimator);
    struct allocation_video *video = &path->video;
    bool fell = estimate < path->estimate;
    path->estimate = estimate;
    if (video->n == 0)
        return;
    if (fell || path->now - path->allocated_at >= ALLOCATE_US) {
        const struct allocation_budget budget = {
            .estimate = estimate,
            .reserved = path->audio + (uint32_t)(path->repairs * allocation_video_target(video)),
            .proven = bandwidth_estimator_proven(&path->estimator, path->now),
            .pause_after = PAUSE_AFTER_US};
        bandwidth_allocate(video, 1, &budget, path->now);
        path->allocated_at = path->now;
        if (video->changed && video->running)
            path->media_credit += KEY_FRAME * video->chosen.bitrate * (FRAME_US / 1e6) / 8;
    }
    path->paused_time += video->running ? 0 : STEP_US;
    if (video->running && video->choice == video->n - 1) {
        path->below_since = path->now;
    } else {
        path->below_time += STEP_US;
        path->below_longest = MAX(path->below_longest, path->now - path->below_since);
    }
}

static void produce(struct simulated_path *path)
{
    if (path->now % AUDIO_US == 0 && path->audio)
        transmit(path, path->audio * (AUDIO_US / 1000) / 8000, 0, true);
    if (path->now % FRAME_US)
        return;
    uint32_t estimate = bandwidth_estimator_rate(&path->estimator);
    uint32_t rate = estimate > path->audio ? estimate - path->audio : 0;
    rate = MIN(rate, path->media_max);
    if (path->wander > 0 && path->now % WANDER_US < FRAME_US)
        path->share = 1 - path->wander * g_rand_double(path->random);
    if (path->video.n)
        rate =
            (uint32_t)(allocation_video_target(&path->video) * path->share * (1 + path->repairs));
    path->media_credit += rate * (FRAME_US / 1e6) / 8;
    while (path->media_credit >= PACKET) {
        path->media_credit -= PACKET;
        g_queue_push_tail(&path->paced, GUINT_TO_POINTER(PACKET));
        path->paced_octets += PACKET;
    }
}

static void leave(struct simulated_path *path)
{
    bool probing = path->probe.id != 0;
    double rate = 2.5 * bandwidth_estimator_rate(&path->estimator);
    if (probing)
        rate = path->probe.rate;
    path->pace = MIN(path->pace + rate / 8 * (STEP_US / 1e6), 3000);
    while (path->pace > 0 && (probing || path->paced_octets)) {
        unsigned octets = PADDING;
        if (path->paced_octets) {
            octets = GPOINTER_TO_UINT(g_queue_pop_head(&path->paced));
            path->paced_octets -= octets;
        } else {
            path->padding += PADDING;
        }
        path->pace -= octets;
        transmit(path, octets, probing ? path->probe.id : 0, false);
        path->probe_sent += octets;
        if (probing && path->probe_sent >= path->probe.octets) {
            path->probe.id = 0;
            probing = false;
        }
    }
}

static void probe(struct simulated_path *path)
{
    const struct bandwidth_estimator *estimator = &path->estimator;
    if (!path->probing || path->probe.id)
        return;
    if (!prober_next(&path->prober, bandwidth_estimator_rate(estimator), wanted(path),
                     &estimator->probed, path->now, &path->probe))
        return;
    path->probe_sent = 0;
    path->pace = 0;
    bandwidth_estimator_expect_probe(&path->estimator, path->probe.id, path->probe.octets,
                                     path->probe.rate);
}

static void carry(struct simulated_path *path)
{
    path->cross_credit += path->link.cross * (STEP_US / 1e6) / 8;
    while (path->cross_credit >= PACKET) {
        path->cross_credit -= PACKET;
        if (path->backlog + PACKET <= path->link.queue)
            path->backlog += PACKET;
    }
    path->backlog = MAX(0, path->backlog - path->link.rate * (STEP_US / 1e6) / 8);
}

static bool stalled(struct simulated_path *path)
{
    const struct simulated_stalls *stalls = &path->stalls;
    if (!stalls->most)
        return false;
    if (path->now >= path->stall_at) {
        path->stalled_until =
            path->now + g_rand_int_range(path->random, (gint32)stalls->least, (gint32)stalls->most);
        path->stall_at = path->stalled_until +
                         g_rand_int_range(path->random, STEP_US, 2 * (gint32)stalls->between);
    }
    return path->now < path->stalled_until;
}

static void receive(struct simulated_path *path)
{
    struct flight *flight;
    if (stalled(path))
        return;
    while ((flight = g_queue_peek_head(&path->flying)) && flight->at <= path->now) {
        path->held = flight->at < path->stalled_until ? path->held + flight->octets : 0;
        if (!path->stalls.room || path->held <= path->stalls.room) {
            transport_arrivals_add(&path->arrivals, flight->sequence,
                                   MAX(flight->at, path->stalled_until) + path->clock);
            path->received_octets += flight->octets;
            path->audio_received += flight->audio;
        }
        g_free(g_queue_pop_head(&path->flying));
    }
    if (path->now < path->feedback_due)
        return;
    path->feedback_due = path->now + path->feedback_interval;
    struct flight report = {.at = path->now + path->link.delay};
    while ((report.octets = (uint16_t)transport_arrivals_write(&path->arrivals, report.data,
                                                               sizeof report.data)))
        if (g_rand_double(path->random) >= path->feedback_loss)
            g_queue_push_tail(&path->feedback, g_memdup2(&report, sizeof report));
}

static void hear(struct simulated_path *path)
{
    struct packet_result results[1024];
    struct flight *report;
    while ((report = g_queue_peek_head(&path->feedback)) && report->at <= path->now) {
        bool broken;
        size_t n = send_history_results(path->history, report->data, report->octets, path->now,
                                        results, G_N_ELEMENTS(results), &broken);
        g_assert_false(broken);
        for (size_t i = 0; i < n; i++)
            results[i].sent -= path->sent_late;
        bandwidth_estimator_feedback(&path->estimator, results, n, path->now);
        g_free(g_queue_pop_head(&path->feedback));
    }
}

static void step(struct simulated_path *path)
{
    produce(path);
    probe(path);
    leave(path);
    if (!path->shares)
        carry(path);
    receive(path);
    hear(path);
    allocate(path);
    path->now += STEP_US;
}

void simulated_paths_run(struct simulated_path *paths, unsigned n, int64_t us)
{
    for (int64_t end = paths[0].now + us; paths[0].now < end;) {
        for (unsigned i = 0; i < n; i++)
            step(&paths[i]);
    }
}

void simulated_path_run(struct simulated_path *path, int64_t us)
{
    simulated_paths_run(path, 1, us);
}
