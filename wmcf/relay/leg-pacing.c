/* SPDX-License-Identifier: Apache-2.0 */
/* What leaves a leg with congestion control later than it could: bursts of video behind the pacer,
 * and probes. Packets wait placed but not protected, since their transport-wide number is that of
 * the moment they leave. The worker has one list of legs with something waiting and one time at
 * which to look at it. Audio and repairs never wait. */
#include "wmcf/relay/leg-bandwidth.h"

#include "wmcf/relay/media-send.h"
#include "wmcf/relay/packet-dependency.h"
#include "wmcf/relay/resend.h"

#include <string.h>

#define REPAIR_PART 4 /* of the estimate */
#define REPAIR_LEAST 30000
#define REPAIR_BURST_US 500000
#define UNHEARD_US 1000000
#define PROBE_PADDINGS 32 /* at once, should the thread have been away */
#define PROBE_STEP_US 2000
#define PROBE_GIVE_UP_US 200000

void leg_bandwidth_stamp(struct leg_bandwidth *bandwidth, uint8_t *place, unsigned octets)
{
    int64_t now = bandwidth->leg->worker->now;
    uint16_t number = send_history_add(bandwidth->history, now, octets, bandwidth->probe.id);
    place[0] = (uint8_t)(number >> 8);
    place[1] = (uint8_t)number;
    if (!bandwidth->begun)
        bandwidth->begun = now;
    if (bandwidth->probe.id)
        bandwidth->probe_sent += octets;
}

static void link_pacing(struct leg_bandwidth *bandwidth, int64_t due)
{
    struct worker *worker = bandwidth->leg->worker;
    worker->pacing_due = MIN(worker->pacing_due, due);
    if (bandwidth->pacing)
        return;
    bandwidth->pacing = true;
    bandwidth->next_pacing = worker->pacing;
    worker->pacing = bandwidth;
}

void leg_bandwidth_unlink(struct leg_bandwidth *bandwidth)
{
    if (!bandwidth->pacing)
        return;
    struct leg_bandwidth **at = &bandwidth->leg->worker->pacing;
    while (*at != bandwidth)
        at = &(*at)->next_pacing;
    *at = bandwidth->next_pacing;
    bandwidth->pacing = false;
}

static void emit(struct worker_leg *leg, const struct paced_packet *paced)
{
    struct subscription *subscription = paced->subscription;
    struct ice_path *path = worker_leg_nominated(leg);
    const struct qos_slot *slot = subscription->line->media.slot[QOS_DOWNLINK];
    if (path && leg->out && subscription->line->media.send && (!slot || qos_slot_open(slot)))
        subscription_emit(subscription, path, paced);
    packet_unref(leg->worker->pool, paced->packet);
}

void leg_bandwidth_flush(struct worker_leg *leg)
{
    struct paced_packet waiting;
    while (leg->bandwidth && pacer_shift(&leg->bandwidth->pacer, &waiting))
        emit(leg, &waiting);
}

/* The packet with another payload or descriptor; what will be sent must not depend on what is
 * chosen later. */
static struct packet *copy_of(struct packet_pool *pool, const struct packet *packet,
                              const uint8_t *payload, const struct rtp_element *descriptor)
{
    size_t annex = descriptor->length ? packet_dependency_room(descriptor->length) : 0;
    struct packet *copy = packet_pool_take_with(pool, packet->length, annex);
    if (!copy)
        return NULL;
    copy->length = packet->length;
    copy->note = packet->note;
    copy->descriptor = 0;
    memcpy(copy->payload, payload, packet->length);
    if (annex && packet->length + annex <= packet_room(copy)) {
        copy->descriptor = descriptor->length;
        memcpy(copy->payload + packet->length + annex - descriptor->length, descriptor->data,
               descriptor->length);
    }
    return copy;
}

bool leg_bandwidth_holds(struct leg_bandwidth *bandwidth, struct paced_packet *packet,
                         const uint8_t *payload, const struct rtp_element *descriptor)
{
    struct worker *worker = bandwidth->leg->worker;
    struct pacer *pacer = &bandwidth->pacer;
    /* It negotiated feedback and gives none: there is no rate to pace by. */
    if (!bandwidth->estimator.feedback_at && bandwidth->begun &&
        worker->now - bandwidth->begun > UNHEARD_US && pacer->n == 0)
        return false;
    if (pacer_pass(pacer, packet->octets, worker->now))
        return false;
    bool same = payload == packet->packet->payload &&
                (!descriptor->length || descriptor->data == packet_descriptor(packet->packet));
    packet->packet = same ? packet_ref(packet->packet)
                          : copy_of(worker->pool, packet->packet, payload, descriptor);
    if (!packet->packet || !pacer_push(pacer, packet)) {
        /* More than may wait, or no room: all of it goes, in order. */
        leg_bandwidth_flush(bandwidth->leg);
        if (packet->packet)
            packet_unref(worker->pool, packet->packet);
        return false;
    }
    bandwidth->paced++;
    link_pacing(bandwidth, pacer_due(pacer, worker->now));
    return true;
}

/* What a full link has dropped is not sent a second time into it as fast as it was the first. */
bool leg_bandwidth_repairs(struct leg_bandwidth *bandwidth, size_t octets, int64_t now)
{
    if (!bandwidth->estimator.feedback_at)
        return true;
    int64_t rate = (leg_bandwidth_estimate(bandwidth) / REPAIR_PART + REPAIR_LEAST) / 8;
    int64_t passed = MIN(now - bandwidth->repair_at, G_USEC_PER_SEC);
    bandwidth->repair_at = now;
    bandwidth->repair_credit =
        MIN(bandwidth->repair_credit + rate * passed, rate * (int64_t)REPAIR_BURST_US);
    if (bandwidth->repair_credit <= 0)
        return false;
    bandwidth->repair_credit -= (int64_t)octets * 1000000;
    return true;
}

/* --- probes ----------------------------------------------------------------------------------- */

void leg_bandwidth_probe(struct leg_bandwidth *bandwidth, const struct probe_order *order,
                         int64_t now)
{
    bandwidth->probe = *order;
    bandwidth->probe_sent = 0;
    bandwidth->probe_begun = now;
    bandwidth->probes++;
    counter_add(&bandwidth->leg->worker->counters.probes, 1);
    bandwidth_estimator_expect_probe(&bandwidth->estimator, order->id, order->octets, order->rate);
    link_pacing(bandwidth, now);
}

/* On any of its videos that has sent before. */
static size_t send_padding(struct leg_bandwidth *bandwidth)
{
    struct worker_leg *leg = bandwidth->leg;
    for (unsigned i = 0; i < leg->n_lines; i++) {
        struct subscription *subscription = &leg->lines[i]->out;
        size_t sent = subscription->extensions.wide_at
                          ? subscription_send_padding(subscription, SEND_PACKET_MAX)
                          : 0;
        if (sent)
            return sent;
    }
    return 0;
}

static void run_probe(struct leg_bandwidth *bandwidth, int64_t now)
{
    int64_t passed = now - bandwidth->probe_begun + PROBE_STEP_US;
    uint64_t due = (uint64_t)bandwidth->probe.rate / 8 * (uint64_t)passed / 1000000;
    for (unsigned i = 0; bandwidth->probe.id && i < PROBE_PADDINGS; i++) {
        if (bandwidth->probe_sent >= bandwidth->probe.octets) {
            bandwidth->probe.id = 0;
        } else if (bandwidth->probe_sent >= due || bandwidth->pacer.n) {
            break;
        } else if (!send_padding(bandwidth)) {
            if (passed > PROBE_GIVE_UP_US) /* media alone may make it whole until then */
                bandwidth->probe.id = 0;
            break;
        }
    }
}

/* ---------------------------------------------------------------------------------------------- */

/* When to look again; INT64_MAX = nothing is waiting. */
static int64_t run(struct leg_bandwidth *bandwidth, int64_t now)
{
    struct paced_packet packet;
    while (pacer_pop(&bandwidth->pacer, now, &packet))
        emit(bandwidth->leg, &packet);
    if (bandwidth->probe.id)
        run_probe(bandwidth, now);
    int64_t due = bandwidth->pacer.n ? MAX(pacer_due(&bandwidth->pacer, now), now + 1) : INT64_MAX;
    return bandwidth->probe.id ? MIN(due, now + PROBE_STEP_US) : due;
}

void leg_bandwidth_run(struct worker *worker)
{
    struct leg_bandwidth **at = &worker->pacing;
    worker->pacing_due = INT64_MAX;
    while (*at) {
        struct leg_bandwidth *bandwidth = *at;
        int64_t due = run(bandwidth, worker->now);
        worker->pacing_due = MIN(worker->pacing_due, due);
        if (due != INT64_MAX) {
            at = &bandwidth->next_pacing;
            continue;
        }
        *at = bandwidth->next_pacing;
        bandwidth->pacing = false;
    }
}
