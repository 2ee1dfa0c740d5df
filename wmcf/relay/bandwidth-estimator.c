/* SPDX-License-Identifier: Apache-2.0 */
/* Two bounds, the lower one holds. By delay: additive where the link was last seen to end,
 * multiplicative below it, down to a part of what arrives when a queue grows; while little is sent
 * a spurious overuse must not throw away what is known, so then it goes down step by step. By loss:
 * nothing below a tenth, and a loss that stays when the rate has gone down, or was there while less
 * was sent, is the link's own, which raises the threshold. That costs a few seconds on a path that
 * is really that full, where the delay tells sooner. A loss of which it is not known what it comes
 * from bounds the estimate, no lower than to what arrives, and proves nothing. */
#include "wmcf/relay/bandwidth-estimator.h"

#include <string.h>

#define SECOND 1000000
#define BIN_US 20000
#define WINDOW_BINS 16 /* 320 ms */
#define WIDE_BINS 50   /* 1 s: longer than a busy receiver leaves its socket alone */
#define WINDOW_MIN_BINS 5

#define DECREASE 0.85
#define DRAIN 0.5
#define DECREASE_IDLE 0.7 /* of the estimate, while much less is sent */
#define PASSES 0.9        /* of what is sent arrives: no queue grows by it */
#define SETTLE_US SECOND
#define DECREASE_INTERVAL_MIN 10000
#define DECREASE_INTERVAL_MAX 200000
#define INCREASE_PER_SECOND 0.08
#define RETURN_PER_SECOND 0.5 /* to where the link has ended, once its queue is empty */
#define NEAR_CAPACITY 0.93
#define NEAR_PER_SECOND 0.25 /* at most */
#define CAPACITY_SMOOTHING 0.1
#define PACKET_BITS (1200.0 * 8)
#define RESPONSE_MARGIN_US 100000
#define RESPONSE_MAX_US                                                                            \
    (2 * SECOND)         /* where clocks of two machines are compared they drift apart */
#define AHEAD_FACTOR 1.5 /* of what arrives; more has not been tried */
#define AHEAD_BITS 10000
#define STEP_MAX_US SECOND

#define STARVED 0.3 /* less than this part of what is sent passes: no trend has to tell */

#define QUEUE_HIGH_US 150000 /* so much may stand nowhere: nothing is raised */
#define QUEUE_FULL_US 300000 /* it drains */

#define CLOCK_MARGIN_US 10000 /* clocks drift */

#define HEAP_US 100000
#define HEAP_PART 3

#define LOSS_LOW 0.02
#define LOSS_HIGH 0.10
#define LOSS_EXTREME 0.3
/* Variances: one time in twenty; and in a thousand, for what is looked at with each report. */
#define LOSS_CHANCE 2.7
#define LOSS_CHANCE_EARLY 9.0
#define LOSS_INHERENT_MAX 0.25
#define CHANCE_FALL 0.8
#define CHANCE_MARGIN 1.08
#define LOSS_PACKETS 100
#define LOSS_PACKETS_MIN 20
#define LOSS_WINDOW_US SECOND
#define LOSS_INTERVAL_US 300000
#define LOSS_GROWTH 1.2 /* per second */
#define LOSS_HOLD_US (3 * SECOND)
#define LOSS_FORGET 1.5 /* times the bound by delay */
#define LOSS_BELOW 0.8  /* of a rate: distinctly less; see cause_of() */
#define LOSS_PART 0.5
#define LOSS_COMPARED 60 /* packets */
#define LOSS_COMPARED_US (10 * SECOND)

#define PROBE_PACKETS_MIN 4
#define PROBE_PART 0.75 /* of it must have arrived */
#define PROBE_INTERVAL_MIN 1000
#define PROBE_FULL 0.9 /* arrived slower than this part of sent: the link is full */
#define PROBE_USE 0.95
#define PROBE_JITTER 2.0 /* times the average wait: as much comes of jitter alone */
#define WAITS_PACKETS 50 /* that the average is of */
#define PROBE_SPREAD 0.6 /* of the time of sending: came one after the other */

#define PROVEN_US (10 * SECOND) /* several probes */

#define SILENCE_US (SECOND / 2)
#define SILENCE_LEAST 0.25 /* of what was known before */
#define SILENCE_RETURN 0.7

static double min(double a, double b)
{
    return a < b ? a : b;
}

static double max(double a, double b)
{
    return a > b ? a : b;
}

void bandwidth_estimator_init(struct bandwidth_estimator *estimator,
                              const struct bandwidth_limits *limits)
{
    memset(estimator, 0, sizeof *estimator);
    estimator->limits = *limits;
    estimator->by_delay = limits->start;
    delay_trend_reset(&estimator->trend);
}

/* --- rates ------------------------------------------------------------------------------------ */

static void window_add(struct rate_window *window, int64_t at, unsigned octets)
{
    int64_t bin = at / BIN_US;
    if (window->begun && bin > window->last - BANDWIDTH_BINS && bin <= window->last) {
        window->bins[bin & (BANDWIDTH_BINS - 1)] += octets;
        return;
    }
    if (window->begun && bin < window->last)
        return;
    if (!window->begun || bin - window->last >= BANDWIDTH_BINS) {
        memset(window->bins, 0, sizeof window->bins);
        window->first = bin;
        window->begun = true;
    } else {
        for (int64_t i = window->last + 1; i <= bin; i++)
            window->bins[i & (BANDWIDTH_BINS - 1)] = 0;
    }
    window->last = bin;
    window->bins[bin & (BANDWIDTH_BINS - 1)] += octets;
}

/* bits/s over whole bins; the last one is not complete. */
static double window_rate(const struct rate_window *window, unsigned bins)
{
    int64_t from = window->last - bins, octets = 0;
    if (!window->begun)
        return 0;
    if (from < window->first)
        from = window->first;
    if (window->last - from < WINDOW_MIN_BINS)
        return 0;
    for (int64_t i = from; i < window->last; i++)
        octets += window->bins[i & (BANDWIDTH_BINS - 1)];
    return (double)octets * 8 * SECOND / ((double)(window->last - from) * BIN_US);
}

/* --- by delay --------------------------------------------------------------------------------- */

/* What arrives: what comes in a burst has not come before it, so over a second when that is more.
 * Of a time without feedback nothing is known: what was before it holds. */
static double arrives(const struct bandwidth_estimator *estimator)
{
    double wide = window_rate(&estimator->acknowledged, WIDE_BINS);
    return wide > 0 ? wide : estimator->arrived;
}

static double arrives_at_most(const struct bandwidth_estimator *estimator)
{
    return max(arrives(estimator), window_rate(&estimator->acknowledged, WINDOW_BINS));
}

static void note_capacity(struct bandwidth_estimator *estimator, double rate)
{
    double known = estimator->capacity;
    if (known == 0 || rate > known * 1.15 || rate < known * 0.75)
        estimator->capacity = rate;
    else
        estimator->capacity += CAPACITY_SMOOTHING * (rate - known);
}

/* A queue is emptied as fast as the link goes; where that is not to be seen, by what arrives. */
static double goes_through(const struct bandwidth_estimator *estimator)
{
    double rate = queue_watch_rate(&estimator->queue);
    return rate > 0 ? rate : arrives_at_most(estimator);
}

static void decrease(struct bandwidth_estimator *estimator, int64_t now)
{
    double through = goes_through(estimator);
    double sent = window_rate(&estimator->sent, WIDE_BINS);
    int64_t interval = estimator->response;
    if (interval < DECREASE_INTERVAL_MIN)
        interval = DECREASE_INTERVAL_MIN;
    if (interval > DECREASE_INTERVAL_MAX)
        interval = DECREASE_INTERVAL_MAX;
    if (through == 0 || (estimator->decreased_at && now - estimator->decreased_at < interval))
        return;
    bool clean = queue_watch_rate(&estimator->queue) > 0;
    bool passes = through >= (1 - estimator->loss) * PASSES * sent;
    /* The trend looks back: what is sent since the last decrease goes through already. */
    if (estimator->decreased_at && passes && now - estimator->decreased_at < SETTLE_US &&
        estimator->by_delay <= (DECREASE + 0.02) * estimator->capacity)
        return;
    bool idle = max(through, sent) < estimator->by_delay / 2 && (passes || !clean);
    double rate = DECREASE * through;
    if (idle) {
        rate = max(rate, DECREASE_IDLE * estimator->by_delay);
    } else {
        note_capacity(estimator, through);
        estimator->proven_at = now;
        /* A deep queue goes on telling of what was sent long ago: let it drain, no further. */
        if (rate > estimator->by_delay)
            rate = max(DECREASE * estimator->by_delay, DRAIN * estimator->capacity);
    }
    estimator->by_delay = min(estimator->by_delay, rate);
    estimator->decreased_at = estimator->changed_at = now;
    estimator->overuses++;
}

static void increase(struct bandwidth_estimator *estimator, int64_t now)
{
    double arrived = arrives(estimator), rate = estimator->by_delay;
    double passed = min(max((double)(now - estimator->changed_at), 0), STEP_MAX_US);
    estimator->changed_at = now;
    if (estimator->capacity && arrived > estimator->capacity * 1.15)
        estimator->capacity = 0; /* the link has become wider */
    double fast = rate * INCREASE_PER_SECOND * passed / SECOND;
    double step = fast;
    if (estimator->capacity && rate < DECREASE * estimator->capacity)
        step = rate * RETURN_PER_SECOND * passed / SECOND;
    if (estimator->capacity && rate > NEAR_CAPACITY * estimator->capacity) {
        double turn = (double)(estimator->response + RESPONSE_MARGIN_US);
        /* The same for all that share the link: that makes them equal. */
        step = min(NEAR_PER_SECOND * rate * passed / SECOND, PACKET_BITS * passed / turn);
    }
    double limit = max(rate, AHEAD_FACTOR * arrived + AHEAD_BITS);
    estimator->by_delay = min(rate + step, limit);
}

/* A slope tells of a queue that grows, not of one that stands. */
static void drain(struct bandwidth_estimator *estimator, int64_t now)
{
    bool unknown = estimator->capacity == 0;
    estimator->changed_at = now;
    if (unknown)
        estimator->capacity = goes_through(estimator);
    if ((queue_watch_least(&estimator->queue) > QUEUE_FULL_US || unknown) && estimator->capacity)
        estimator->by_delay = min(estimator->by_delay, DECREASE * estimator->capacity);
}

/* A link that has become much narrower fills its queue before there is a trend to be seen, and what
 * comes then, audio too, is lost. */
static bool starved(const struct bandwidth_estimator *estimator)
{
    double through = queue_watch_rate(&estimator->queue);
    return through > 0 && through < STARVED * window_rate(&estimator->sent, WINDOW_BINS);
}

static void follow_delay(struct bandwidth_estimator *estimator, int64_t now)
{
    const struct queue_watch *queue = &estimator->queue;
    if (queue->since == 0) { /* the newest has not waited: whatever the trend was, it is over */
        estimator->overused = false;
        increase(estimator, now);
    } else if (!queue_watch_stands(queue)) {
        estimator->changed_at = now;
    } else if (starved(estimator) ||
               (estimator->overused && estimator->trend.state != DELAY_UNDERUSE)) {
        decrease(estimator, now);
        estimator->overused = false;
    } else if (queue_watch_least(queue) > QUEUE_HIGH_US) {
        drain(estimator, now);
    } else if (estimator->trend.state == DELAY_NORMAL) {
        increase(estimator, now);
    } else { /* the queue drains: let it */
        estimator->changed_at = now;
    }
}

/* --- by loss ---------------------------------------------------------------------------------- */

/* What is lost for want of room leaves what arrives as it was when less is sent; what is lost by
 * chance takes its part of whatever is sent. */
static bool lost_by_chance(const struct bandwidth_estimator *estimator, double sent, double arrived)
{
    return estimator->sent_before > 0 && sent < CHANCE_FALL * estimator->sent_before &&
           arrived / estimator->arrived_before < CHANCE_MARGIN * sent / estimator->sent_before;
}

/* By more than chance makes of so few packets: a link that loses a tenth of them at random is above
 * it every other time. */
static bool exceeds(double loss, double bound, unsigned n, double chance)
{
    double excess = loss - bound;
    return excess > 0 && excess * excess * n > chance * loss * (1 - loss);
}

enum loss_cause { LOSS_UNEXPLAINED, LOSS_BY_CHANCE, LOSS_BY_RATE };

/* What goes through a full link without a queue is the same whatever is sent: where that loses a
 * third at most, four fifths of it would lose less than half as much. What is lost by chance is
 * lost at any rate. So media that vary by themselves tell the two apart, also those that cannot be
 * sent smaller. One window says little, and a loss that has just begun was at no rate before:
 * those of the last seconds are compared, with less and with no less than at present. */
static enum loss_cause cause_of(const struct bandwidth_estimator *estimator,
                                const struct loss_window *present, double *ret_inherent)
{
    unsigned packets[2] = {0}, lost[2] = {0};
    if (queue_watch_stands(&estimator->queue) || present->sent == 0)
        return LOSS_UNEXPLAINED;
    for (unsigned i = 0; i < BANDWIDTH_LOSSES && i < estimator->n_losses; i++) {
        const struct loss_window *window = &estimator->losses[i];
        bool below = window->sent <= LOSS_BELOW * present->sent;
        if (window->sent == 0 || present->at - window->at > LOSS_COMPARED_US)
            continue;
        packets[below] += window->packets;
        lost[below] += window->lost;
    }
    if (packets[true] < LOSS_COMPARED)
        return LOSS_UNEXPLAINED;
    double below = (double)lost[true] / packets[true];
    double above = (double)lost[false] / packets[false];
    *ret_inherent = below;
    if (below >= LOSS_PART * above && !exceeds(above, below, packets[false], LOSS_CHANCE_EARLY))
        return LOSS_BY_CHANCE;
    return exceeds(above, below, packets[false], LOSS_CHANCE) ? LOSS_BY_RATE : LOSS_UNEXPLAINED;
}

static void lower_for_loss(struct bandwidth_estimator *estimator, const struct loss_window *window)
{
    double sent = window_rate(&estimator->sent, WINDOW_BINS);
    double arrived = arrives_at_most(estimator);
    double loss = estimator->loss, inherent = loss;
    int64_t now = window->at;
    if (estimator->loss_decreased_at &&
        now - estimator->loss_decreased_at < LOSS_INTERVAL_US + estimator->response)
        return;
    enum loss_cause cause = cause_of(estimator, window, &inherent);
    if (lost_by_chance(estimator, sent, arrived) && estimator->trend.state != DELAY_OVERUSE) {
        cause = LOSS_BY_CHANCE;
        inherent = loss;
    }
    if (loss < LOSS_EXTREME && cause == LOSS_BY_CHANCE) {
        estimator->inherent = min(max(inherent, estimator->inherent), LOSS_INHERENT_MAX);
        estimator->by_loss = 0;
        estimator->sent_before = 0;
        return;
    }
    if (estimator->sent_before == 0 || loss > LOSS_EXTREME) { /* a full bucket has passed */
        estimator->sent_before = sent;
        estimator->arrived_before = arrived;
    }
    /* What arrives goes through: less is of use only where that is known to be all. */
    bool known = cause == LOSS_BY_RATE || loss >= LOSS_EXTREME;
    double rate = bandwidth_estimator_rate(estimator);
    estimator->by_loss = max(rate * (1 - 0.5 * loss), known ? DECREASE * arrived : arrived);
    estimator->loss_decreased_at = now;
    if (known && window->sent > LOSS_BELOW * estimator->by_loss)
        estimator->proven_at = now;
}

static void raise_after_loss(struct bandwidth_estimator *estimator, double growth, double passed)
{
    if (estimator->by_loss == 0)
        return;
    estimator->by_loss *= 1 + (growth - 1) * min(passed / SECOND, 1);
    estimator->sent_before = 0;
    if (estimator->by_loss > LOSS_FORGET * estimator->by_delay)
        estimator->by_loss = 0;
}

static unsigned bins_of(int64_t passed)
{
    return passed < WINDOW_BINS * BIN_US ? WINDOW_BINS
           : passed > WIDE_BINS * BIN_US ? WIDE_BINS
                                         : (unsigned)(passed / BIN_US);
}

static void follow_loss(struct bandwidth_estimator *estimator, int64_t now)
{
    int64_t passed = now - estimator->loss_at;
    unsigned n = estimator->counted;
    double loss = n ? (double)estimator->lost / n : 0;
    bool extreme = loss >= LOSS_EXTREME &&
                   exceeds(loss, LOSS_HIGH + estimator->inherent, n, LOSS_CHANCE_EARLY);
    if (n < LOSS_PACKETS_MIN || (n < LOSS_PACKETS && passed < LOSS_WINDOW_US && !extreme))
        return;
    estimator->loss_at = now;
    estimator->loss = loss;
    struct loss_window *window = &estimator->losses[estimator->n_losses % BANDWIDTH_LOSSES];
    *window = (struct loss_window){.at = now,
                                   .packets = n,
                                   .lost = estimator->lost,
                                   .sent = window_rate(&estimator->sent, bins_of(passed))};
    estimator->n_losses++;
    estimator->lost = estimator->counted = 0;
    if (exceeds(loss, LOSS_HIGH + estimator->inherent, n, LOSS_CHANCE)) {
        lower_for_loss(estimator, window);
        estimator->loss_held_at = now;
    } else if (loss <= LOSS_LOW + estimator->inherent) {
        raise_after_loss(estimator, LOSS_GROWTH, (double)passed);
        estimator->loss_held_at = now;
        /* Forgotten as far as it is not seen any more. */
        estimator->inherent = max(min(loss, estimator->inherent),
                                  estimator->inherent - 0.01 * (double)passed / SECOND);
    } else if (now - estimator->loss_held_at > LOSS_HOLD_US) {
        raise_after_loss(estimator, 1 + (LOSS_GROWTH - 1) / 3, (double)passed);
    }
}

/* --- probes ----------------------------------------------------------------------------------- */

void bandwidth_estimator_expect_probe(struct bandwidth_estimator *estimator, uint8_t id,
                                      unsigned octets, uint32_t rate)
{
    estimator->probes[id % BANDWIDTH_PROBES] =
        (struct probe_cluster){.id = id, .expected = octets, .rate = rate};
}

static void take_probe(struct bandwidth_estimator *estimator, const struct packet_result *result)
{
    struct probe_cluster *probe = &estimator->probes[result->probe % BANDWIDTH_PROBES];
    if (probe->id != result->probe || !result->received)
        return;
    if (probe->packets == 0 || result->sent < probe->first_sent)
        probe->first_sent = result->sent;
    if (probe->packets == 0 || result->sent >= probe->last_sent) {
        probe->last_sent = result->sent;
        probe->last_octets = result->octets;
        probe->waited = queue_watch_delay(&estimator->queue, result->sent, result->arrival);
    }
    if (probe->packets == 0 || result->arrival < probe->first_arrival) {
        probe->first_arrival = result->arrival;
        probe->first_octets = result->octets;
    }
    if (probe->packets && result->arrival - probe->last_arrival > probe->widest)
        probe->widest = result->arrival - probe->last_arrival;
    if (probe->packets == 0 || result->arrival > probe->last_arrival)
        probe->last_arrival = result->arrival;
    probe->packets++;
    probe->octets += result->octets;
}

/* The rate at which the cluster came through; 0 = it cannot be said. All of it had passed the link
 * when its last packet came, that is certain however it was read; how its packets were spread says
 * more, unless a busy receiver has read them at once. */
static double measure(const struct probe_cluster *probe, bool *ret_blurred)
{
    if (probe->packets < PROBE_PACKETS_MIN || probe->octets < PROBE_PART * probe->expected)
        return 0;
    int64_t sent = probe->last_sent - probe->first_sent;
    int64_t arrived = probe->last_arrival - probe->first_arrival;
    if (sent < PROBE_INTERVAL_MIN)
        return 0;
    double sent_octets = (double)(probe->octets - probe->last_octets);
    double certain = sent_octets * 8 * SECOND / (double)(sent + probe->waited);
    double send_rate = sent_octets * 8 * SECOND / (double)sent;
    double spread = 0;
    *ret_blurred = arrived < PROBE_SPREAD * (double)sent || probe->widest > arrived / 2;
    if (!*ret_blurred) {
        spread = (double)(probe->octets - probe->first_octets) * 8 * SECOND / (double)arrived;
        spread = spread < PROBE_FULL * send_rate ? PROBE_USE * spread : send_rate;
    }
    return min(max(certain, spread), probe->rate);
}

/* It came slower than it was sent, by more than the way's jitter makes of it. */
static bool tells_full(const struct bandwidth_estimator *estimator,
                       const struct probe_cluster *probe, double rate)
{
    int64_t stretched =
        (probe->last_arrival - probe->first_arrival) - (probe->last_sent - probe->first_sent);
    double came = min(1, (double)probe->octets / probe->expected);
    return estimator->waited == WAITS_PACKETS && rate < PROBE_FULL * came * probe->rate &&
           (double)stretched > PROBE_JITTER * estimator->waits;
}

static void follow_probes(struct bandwidth_estimator *estimator, int64_t now)
{
    for (unsigned i = 0; i < BANDWIDTH_PROBES; i++) {
        struct probe_cluster *probe = &estimator->probes[i];
        bool blurred = false;
        /* One that has lost a packet is never whole: it tells once what it has to tell. */
        if (!probe->id || probe->packets == probe->measured)
            continue;
        probe->measured = probe->packets;
        double rate = measure(probe, &blurred);
        if (rate == 0)
            continue;
        if (!blurred && tells_full(estimator, probe, rate))
            estimator->proven_at = now;
        estimator->probed =
            (struct probe_result){.id = probe->id, .blurred = blurred, .rate = rate};
        if (probe->octets >= probe->expected)
            probe->id = 0;
        if (rate <= estimator->by_delay || queue_watch_least(&estimator->queue) > QUEUE_FULL_US)
            continue;
        estimator->by_delay = min(rate, estimator->limits.max);
        estimator->changed_at = now;
        if (rate > estimator->capacity)
            estimator->capacity = 0;
    }
}

/* ---------------------------------------------------------------------------------------------- */

/* A receiver that was away reads at once what has come meanwhile, as far as its socket had room.
 * What it had none for says nothing about the way. */
static bool read_at_once(const struct packet_result *results, size_t n)
{
    const struct packet_result *first = NULL, *last = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!results[i].received)
            continue;
        first = first ? first : &results[i];
        last = &results[i];
    }
    if (!first)
        return false;
    int64_t sent = results[n - 1].sent - results[0].sent;
    return sent > HEAP_US && last->arrival - first->arrival < sent / HEAP_PART;
}

void bandwidth_estimator_feedback(struct bandwidth_estimator *estimator,
                                  const struct packet_result *results, size_t n, int64_t now)
{
    const struct packet_result *newest = NULL;
    size_t arrived = 0;
    bool at_once = read_at_once(results, n);
    unsigned lost = 0, counted = 0;
    if (!estimator->feedback_at)
        estimator->changed_at = estimator->loss_at = estimator->loss_held_at = now;
    for (size_t i = 0; i < n; i++) {
        const struct packet_result *result = &results[i];
        if (result->sent < estimator->moved_at)
            continue;
        window_add(&estimator->sent, result->sent, result->recovered ? 0 : result->octets);
        if (result->probe || at_once) {
            /* A probe may fill the queue for a moment, on purpose. */
        } else if (result->recovered) {
            estimator->lost_lately -= estimator->lost_lately > 0;
        } else {
            counted++;
            lost += !result->received;
        }
        if (!result->received)
            continue;
        newest = result;
        arrived++;
        queue_watch_packet(&estimator->queue, result->sent, result->arrival, result->octets);
        window_add(&estimator->acknowledged, result->arrival, result->octets);
        if (result->probe) {
            delay_trend_interrupt(&estimator->trend);
            take_probe(estimator, result);
        } else {
            int64_t waited = queue_watch_delay(&estimator->queue, result->sent, result->arrival);
            estimator->waited += estimator->waited < WAITS_PACKETS;
            estimator->waits += ((double)waited - estimator->waits) / estimator->waited;
            delay_trend_packet(&estimator->trend, result->sent, result->arrival);
            estimator->overused |= estimator->trend.state == DELAY_OVERUSE;
        }
    }
    /* What is missing in one report may have been late: it counts when the next one is there. */
    estimator->lost += estimator->lost_lately;
    estimator->counted += estimator->counted_lately;
    estimator->lost_lately = lost;
    estimator->counted_lately = counted;
    estimator->feedback_at = now;
    if (newest && estimator->before_silence > 0) { /* the way was gone, not narrower */
        double part = arrived >= PASSES * (double)n ? 1 : SILENCE_RETURN;
        estimator->by_delay = max(estimator->by_delay, part * estimator->before_silence);
        estimator->before_silence = 0;
    }
    if (newest) {
        estimator->arrived = arrives(estimator);
        int64_t response = now - newest->sent;
        /* Nothing waits longer than it takes to hear of it: a clock has jumped, or it told of
         * something else before. */
        if (queue_watch_delay(&estimator->queue, newest->sent, newest->arrival) >
            response + CLOCK_MARGIN_US) {
            queue_watch_reset(&estimator->queue);
            delay_trend_reset(&estimator->trend);
            estimator->overused = false;
            estimator->waited = 0;
        }
        queue_watch_batch(&estimator->queue);
        response = response < RESPONSE_MAX_US ? response : RESPONSE_MAX_US;
        estimator->response =
            estimator->response ? (7 * estimator->response + response) / 8 : response;
        follow_delay(estimator, now);
        follow_probes(estimator, now);
    }
    follow_loss(estimator, now);
    estimator->by_delay =
        min(max(estimator->by_delay, estimator->limits.min), estimator->limits.max);
}

void bandwidth_estimator_silence(struct bandwidth_estimator *estimator, int64_t now)
{
    if (now - estimator->changed_at < SILENCE_US)
        return;
    if (estimator->before_silence == 0)
        estimator->before_silence = estimator->by_delay;
    if (estimator->by_delay > SILENCE_LEAST * estimator->before_silence)
        estimator->by_delay = max(estimator->by_delay / 2, estimator->limits.min);
    estimator->changed_at = now;
}

void bandwidth_estimator_move(struct bandwidth_estimator *estimator, int64_t now)
{
    struct bandwidth_limits limits = estimator->limits;
    struct probe_result probed = {.id = estimator->probed.id};
    int64_t feedback_at = estimator->feedback_at;
    unsigned overuses = estimator->overuses;
    bandwidth_estimator_init(estimator, &limits);
    estimator->moved_at = now;
    estimator->feedback_at = feedback_at; /* there will be some */
    estimator->changed_at = estimator->loss_at = estimator->loss_held_at = now;
    estimator->overuses = overuses;
    estimator->probed = probed;
}

bool bandwidth_estimator_proven(const struct bandwidth_estimator *estimator, int64_t now)
{
    return estimator->proven_at && now - estimator->proven_at < PROVEN_US;
}

uint32_t bandwidth_estimator_rate(const struct bandwidth_estimator *estimator)
{
    double rate = estimator->by_delay;
    if (estimator->by_loss > 0)
        rate = min(rate, estimator->by_loss);
    return (uint32_t)min(max(rate, estimator->limits.min), estimator->limits.max);
}

uint32_t bandwidth_estimator_acknowledged(const struct bandwidth_estimator *estimator)
{
    return (uint32_t)min(arrives(estimator), UINT32_MAX);
}
