/* SPDX-License-Identifier: Apache-2.0 */
/* What the relay's workers count, as metrics. Workers count in atomics of their own, so a page that
 * is fetched costs them nothing; a family has at most one label set per worker and direction. */
#include "wmcf/media-metrics.h"

#include "base/metrics.h"
#include "pipelines/traversal.h"
#include "wmcf/relay/relay.h"

static struct metric *packets, *octets, *runs, *calls, *dropped, *fallbacks, *wakeups, *cpu, *legs,
    *busy, *mirrors, *ring_dropped, *transit, *traversal, *feedback, *probes, *overuses, *pauses,
    *estimates, *buffer;

static void register_transit(void)
{
    double bounds[RELAY_TRANSIT_BOUNDS];
    for (size_t i = 0; i < RELAY_TRANSIT_BOUNDS; i++)
        bounds[i] = relay_transit_bounds[i] / 1e6;
    transit = metric_register(
        METRIC_HISTOGRAM, "media_transit", "seconds",
        "From the kernel's receipt of a batch's first packet until all that the batch brought was "
        "sent, the time until the thread woke included; one batch of eight is measured.",
        "worker");
    metric_buckets(transit, bounds, RELAY_TRANSIT_BOUNDS);
}

static void register_bandwidth(void)
{
    double bounds[RELAY_ESTIMATE_BOUNDS];
    for (size_t i = 0; i < RELAY_ESTIMATE_BOUNDS; i++)
        bounds[i] = relay_estimate_bounds[i];
    feedback =
        metric_register(METRIC_COUNTER, "media_feedback", NULL,
                        "Transport-wide feedback: packets from endpoints that receive (in) and "
                        "to those that send (out).",
                        "worker,direction");
    probes =
        metric_register(METRIC_COUNTER, "media_probes", NULL,
                        "Clusters sent faster than the estimate to find out about more.", "worker");
    overuses = metric_register(
        METRIC_COUNTER, "media_overuses", NULL,
        "Times that a queue on the way to an endpoint made its estimate fall.", "worker");
    pauses = metric_register(METRIC_COUNTER, "media_video_pauses", NULL,
                             "Videos that paused because the way to the endpoint carries no more.",
                             "worker");
    estimates = metric_register(METRIC_HISTOGRAM, "media_estimate", "bits_per_second",
                                "What the ways to endpoints with congestion control carry: one "
                                "observation of each in a second.",
                                "worker");
    metric_buckets(estimates, bounds, RELAY_ESTIMATE_BOUNDS);
}

static void register_all(void)
{
    packets = metric_register(METRIC_COUNTER, "media_packets", NULL,
                              "Packets on the media ports since the start.", "worker,direction");
    octets = metric_register(METRIC_COUNTER, "media_octets", "bytes",
                             "Octets on the media ports since the start.", "worker,direction");
    runs = metric_register(METRIC_COUNTER, "media_runs", NULL,
                           "Messages that the kernel gave and took: one packet each, or a run of "
                           "several (UDP_GRO, UDP_SEGMENT).",
                           "worker,direction");
    calls = metric_register(METRIC_COUNTER, "media_calls", NULL,
                            "System calls that received (recvmmsg) and sent (sendmmsg) messages.",
                            "worker,direction");
    dropped =
        metric_register(METRIC_COUNTER, "media_dropped", NULL,
                        "Datagrams dropped before a leg was known, by reason.", "worker,reason");
    fallbacks =
        metric_register(METRIC_COUNTER, "media_segmentation_fallbacks", NULL,
                        "Runs that the kernel refused and that went packet by packet.", "worker");
    wakeups =
        metric_register(METRIC_COUNTER, "media_wakeups", NULL,
                        "Times that a worker stopped waiting, for whatever reason.", "worker");
    cpu = metric_register(METRIC_COUNTER, "media_worker_cpu", "seconds",
                          "CPU time of a worker's thread.", "worker");
    legs = metric_register(METRIC_GAUGE, "media_legs", NULL, "Legs of a worker.", "worker");
    busy = metric_register(METRIC_GAUGE, "media_worker_busy", "ratio",
                           "Share of a core that a worker's thread used in the last second, by "
                           "which legs are placed.",
                           "worker");
    mirrors =
        metric_register(METRIC_GAUGE, "media_mirrors", NULL,
                        "Streams of other workers that a worker has subscribers of.", "worker");
    buffer = metric_register(METRIC_GAUGE, "media_buffer", "bytes",
                             "Memory for packets that a worker has taken: what the most that were "
                             "there at once needed, for it keeps it while it has legs.",
                             "worker");
    ring_dropped = metric_register(
        METRIC_COUNTER, "media_ring_dropped", NULL,
        "Packets of a worker that another one had no room for, being behind.", "worker");
    traversal = metric_register(METRIC_COUNTER, "media_traversal_dropped", NULL,
                                "Datagrams between the ICE agents of iceMode traversal and the "
                                "packet path that found no room.",
                                NULL);
    register_transit();
    register_bandwidth();
}

void media_metrics_collect(const struct relay *relay)
{
    if (!packets)
        register_all();
    metric_set(traversal, (double)traversal_dropped(), NULL);
    for (guint i = 0; i < relay_workers(relay); i++) {
        struct relay_worker_stats s;
        char worker[12];
        relay_worker_stats(relay, i, &s);
        g_snprintf(worker, sizeof worker, "%u", i);
        const struct {
            struct metric *metric;
            double value;
            const char *label;
        } rows[] = {
            {packets, (double)s.packets_in, "in"},
            {packets, (double)s.packets_out, "out"},
            {octets, (double)s.octets_in, "in"},
            {octets, (double)s.octets_out, "out"},
            {runs, (double)s.runs_in, "in"},
            {runs, (double)s.runs_out, "out"},
            {calls, (double)s.receive_batches, "in"},
            {calls, (double)s.send_calls, "out"},
            {dropped, (double)s.unknown_source_dropped, "unknown_source"},
            {dropped, (double)s.malformed, "malformed"},
            {dropped, (double)s.stun_rejected, "stun_rejected"},
            {dropped, (double)s.dtls_dropped, "dtls"},
            {dropped, (double)s.send_dropped, "send"},
            {fallbacks, (double)s.gso_fallbacks, NULL},
            {wakeups, (double)s.wakeups, NULL},
            {cpu, (double)s.cpu / 1e6, NULL},
            {legs, s.legs, NULL},
            {busy, s.busy / 1e3, NULL},
            {mirrors, s.mirrors, NULL},
            {buffer, (double)s.buffer_octets, NULL},
            {ring_dropped, (double)s.ring_dropped, NULL},
            {feedback, (double)s.feedback_in, "in"},
            {feedback, (double)s.feedback_out, "out"},
            {probes, (double)s.probes, NULL},
            {overuses, (double)s.overuses, NULL},
            {pauses, (double)s.video_pauses, NULL},
        };
        for (size_t r = 0; r < G_N_ELEMENTS(rows); r++)
            metric_set(rows[r].metric, rows[r].value, (const char *const[]){worker, rows[r].label});
        guint64 buckets[RELAY_TRANSIT_BOUNDS + 1];
        for (size_t b = 0; b <= RELAY_TRANSIT_BOUNDS; b++)
            buckets[b] = s.transit[b];
        metric_set_buckets(transit, buckets, G_N_ELEMENTS(buckets), (double)s.transit_sum / 1e6,
                           (const char *const[]){worker});
        guint64 seen[RELAY_ESTIMATE_BOUNDS + 1];
        for (size_t b = 0; b <= RELAY_ESTIMATE_BOUNDS; b++)
            seen[b] = s.estimates[b];
        metric_set_buckets(estimates, seen, G_N_ELEMENTS(seen), (double)s.estimate_sum,
                           (const char *const[]){worker});
    }
}
