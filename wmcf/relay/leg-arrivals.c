/* SPDX-License-Identifier: Apache-2.0 */
/* Arrivals of one leg, told every 50 to 200 ms so that feedback takes about a twentieth of what is
 * received. Legs with something to tell are in a list of the worker's; the others cost nothing.
 * The time of an arrival is that of the kernel's receipt: how long this thread has left the socket
 * alone is nothing that a sender should take for a queue on its way.
 * What a closed gate has withheld is told as received: it says nothing about the network, and the
 * sender's estimate would have fallen to nothing when the gate opens. */
#include "wmcf/relay/leg-arrivals.h"

#include "wmcf/relay/transport-feedback.h"
#include "wmcf/relay/worker.h"

#define INTERVAL_MIN_US 50000
#define INTERVAL_MAX_US 200000
#define SHARE_US 1600   /* · elapsed / octets: 80 octets of feedback in 20 times of it */
#define PENDING_MAX 256 /* told at once: the window must not overflow */
#define FEEDBACK_OCTETS 900
#define REMB_INTERVAL_US 250000
#define REMB_FALL 0.97 /* told at once */
#define REMB_BATCH 64
#define REMB_FEEDBACK_US 50000
#define ABS_TIME_BITS 18 /* 6.18 fixed point seconds, hence the same again after */
#define ABS_TIME_US 64000000

struct remote_estimate {
    struct bandwidth_estimator estimator;
    struct packet_result batch[REMB_BATCH];
    unsigned n;
    bool timed; /* there were send times */
    uint32_t last_time;
    int64_t clock; /* of the sender, µs, put against ours */
    int64_t last_received;
    int64_t batch_at, told_at;
    uint32_t told;
};

struct leg_arrivals {
    struct transport_arrivals window;
    bool wide;                        /* transport-wide numbers; else `estimate` alone */
    struct remote_estimate *estimate; /* REMB; NULL = not */
    bool telling;                     /* in the worker's list */
    struct worker_leg *next;
    int64_t told_at, interval;
    uint64_t octets; /* since then */
    uint64_t gated;  /* discards at gates that are explained */
    uint32_t media;  /* SSRC of the last packet */
};

static bool any_codec(const struct relay_media *media, bool remb)
{
    for (guint i = 0; i < media->n_recv_codecs; i++) {
        const struct relay_codec *codec = &media->recv_codecs[i];
        if (remb ? codec->remb && !codec->transport_cc : codec->transport_cc)
            return true;
    }
    return false;
}

static uint64_t gated(const struct worker_leg *leg)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < leg->n_lines; i++) {
        const struct qos_slot *slot = leg->lines[i]->media.slot[QOS_UPLINK];
        if (slot)
            sum += __atomic_load_n(&slot->gate_discarded, __ATOMIC_RELAXED);
    }
    return sum;
}

void leg_arrivals_configure(struct worker_leg *leg)
{
    bool wide = false, remb = false;
    for (unsigned i = 0; i < leg->n_lines; i++) {
        const struct relay_media *media = &leg->lines[i]->media;
        if (!media->receive)
            continue;
        wide |= media->transport_cc_extmap && any_codec(media, false);
        remb |= media->kind == RELAY_VIDEO && any_codec(media, true);
    }
    remb &= !wide;
    if (!wide && !remb) {
        leg_arrivals_free(leg);
        return;
    }
    if (!leg->arrivals) {
        leg->arrivals = g_new0(struct leg_arrivals, 1);
        leg->arrivals->interval = INTERVAL_MAX_US;
        leg->worker->n_arrivals++;
    }
    struct leg_arrivals *arrivals = leg->arrivals;
    arrivals->wide = wide;
    arrivals->gated = gated(leg);
    if (remb && !arrivals->estimate) {
        arrivals->estimate = g_new0(struct remote_estimate, 1);
        bandwidth_estimator_init(&arrivals->estimate->estimator, &leg->worker->limits.bandwidth);
    } else if (!remb) {
        g_clear_pointer(&arrivals->estimate, g_free);
    }
}

static void forget(struct worker *worker, struct worker_leg *leg)
{
    struct worker_leg **at = &worker->telling;
    while (*at != leg)
        at = &(*at)->arrivals->next;
    *at = leg->arrivals->next;
    leg->arrivals->telling = false;
}

void leg_arrivals_free(struct worker_leg *leg)
{
    if (!leg->arrivals)
        return;
    if (leg->arrivals->telling)
        forget(leg->worker, leg);
    g_free(leg->arrivals->estimate);
    g_clear_pointer(&leg->arrivals, g_free);
    leg->worker->n_arrivals--;
}

/* --- REMB (draft-alvestrand-rmcat-remb-03) ---------------------------------------------------- */

static void note_time(struct remote_estimate *estimate, const struct rtp_header *header,
                      const struct relay_media *media, unsigned octets, int64_t received)
{
    size_t length;
    const uint8_t *value = rtp_extension_find(header, media->abs_send_time_extmap, &length);
    if (!value || length != 3 || estimate->n == REMB_BATCH)
        return;
    uint32_t time = (uint32_t)value[0] << 16 | (uint32_t)value[1] << 8 | value[2];
    int32_t passed = (int32_t)((time - estimate->last_time) << 8) >> 8;
    estimate->clock += (int64_t)passed * 1000000 >> ABS_TIME_BITS;
    /* As if the quickest packet took no time: how old a packet is counts too, and what has come was
     * sent before. */
    if (!estimate->timed || estimate->clock > received ||
        received - estimate->last_received > ABS_TIME_US / 4)
        estimate->clock = received;
    estimate->timed = true;
    estimate->last_time = time;
    estimate->last_received = received;
    estimate->batch[estimate->n++] = (struct packet_result){
        .sent = estimate->clock, .arrival = received, .octets = (uint16_t)octets, .received = true};
}

static void tell_estimate(struct worker_leg *leg, int64_t now)
{
    struct remote_estimate *estimate = leg->arrivals->estimate;
    if (estimate->n == REMB_BATCH || now - estimate->batch_at >= REMB_FEEDBACK_US) {
        if (estimate->n)
            bandwidth_estimator_feedback(&estimate->estimator, estimate->batch, estimate->n, now);
        estimate->n = 0;
        estimate->batch_at = now;
    }
    uint32_t rate = estimate->timed ? bandwidth_estimator_rate(&estimate->estimator)
                                    : estimate->estimator.limits.max;
    if (rate >= REMB_FALL * estimate->told && now - estimate->told_at < REMB_INTERVAL_US)
        return;
    struct rtcp_writer writer;
    uint32_t ssrcs[RTCP_REMB_SSRCS_MAX];
    unsigned n = 0;
    for (unsigned i = 0; i < leg->n_sources && n < G_N_ELEMENTS(ssrcs); i++) {
        if (leg->sources[i]->line->media.kind == RELAY_VIDEO)
            ssrcs[n++] = leg->ssrcs[i];
    }
    if (n == 0 || !worker_leg_begin_feedback(leg, &writer))
        return;
    rtcp_write_remb(&writer, worker_leg_own_ssrc(leg), rate, ssrcs, n);
    worker_leg_finish_rtcp(leg, &writer);
    estimate->told = rate;
    estimate->told_at = now;
}

/* --- transport-wide --------------------------------------------------------------------------- */

static void tell_arrivals(struct worker_leg *leg, int64_t now)
{
    struct leg_arrivals *arrivals = leg->arrivals;
    uint8_t fci[FEEDBACK_OCTETS];
    size_t length;
    uint64_t withheld = gated(leg);
    if (withheld != arrivals->gated)
        transport_arrivals_fill(&arrivals->window);
    arrivals->gated = withheld;
    while ((length = transport_arrivals_write(&arrivals->window, fci, sizeof fci))) {
        struct rtcp_writer writer;
        if (!worker_leg_begin_feedback(leg, &writer))
            continue; /* nobody to tell: what came is forgotten */
        rtcp_write_transport_feedback(&writer, worker_leg_own_ssrc(leg), arrivals->media, fci,
                                      length);
        counter_add(&leg->worker->counters.feedback_out, 1);
        worker_leg_finish_rtcp(leg, &writer);
    }
}

static int64_t due(const struct leg_arrivals *arrivals)
{
    return arrivals->told_at + arrivals->interval;
}

static void tell(struct worker_leg *leg, int64_t now)
{
    struct leg_arrivals *arrivals = leg->arrivals;
    int64_t elapsed = MIN(now - arrivals->told_at, G_USEC_PER_SEC);
    arrivals->interval = CLAMP(SHARE_US * elapsed / (int64_t)MAX(arrivals->octets, 1),
                               INTERVAL_MIN_US, INTERVAL_MAX_US);
    arrivals->octets = 0;
    arrivals->told_at = now;
    if (arrivals->estimate)
        tell_estimate(leg, now);
    else
        tell_arrivals(leg, now);
}

void leg_arrivals_note(struct worker_leg *leg, const struct rtp_header *header,
                       const struct relay_media *media, unsigned octets, int64_t received)
{
    struct leg_arrivals *arrivals = leg->arrivals;
    struct worker *worker = leg->worker;
    size_t length;
    if (arrivals->estimate) {
        note_time(arrivals->estimate, header, media, octets, received);
    } else {
        const uint8_t *number = rtp_extension_find(header, media->transport_cc_extmap, &length);
        if (!number || length != 2)
            return;
        transport_arrivals_add(&arrivals->window, (uint16_t)(number[0] << 8 | number[1]), received);
    }
    arrivals->media = header->ssrc;
    arrivals->octets += octets;
    if (!arrivals->telling) {
        arrivals->telling = true;
        arrivals->next = worker->telling;
        worker->telling = leg;
        worker->telling_due = MIN(worker->telling_due, due(arrivals));
    }
    if (G_UNLIKELY(transport_arrivals_pending(&arrivals->window) > PENDING_MAX))
        worker->telling_due = arrivals->told_at = 0;
}

void leg_arrivals_run(struct worker *worker)
{
    struct worker_leg **at = &worker->telling;
    worker->telling_due = INT64_MAX;
    while (*at) {
        struct worker_leg *leg = *at;
        struct leg_arrivals *arrivals = leg->arrivals;
        if (worker->now < due(arrivals)) {
            worker->telling_due = MIN(worker->telling_due, due(arrivals));
            at = &arrivals->next;
            continue;
        }
        *at = arrivals->next;
        arrivals->telling = false;
        tell(leg, worker->now);
    }
}
