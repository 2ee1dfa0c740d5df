/* SPDX-License-Identifier: Apache-2.0 */
/* The two clocks are never compared, only their progress. A threshold that adapts is what lets this
 * stand beside loss-driven traffic, whose queue would starve a fixed one, and on paths that jitter;
 * the price is that the first overuse on a very jittery path is seen late. */
#include "wmcf/relay/delay-trend.h"

#include <string.h>

#define GROUP_US 5000 /* sent within: one group */
#define BURST_US 5000 /* arrived so close that a router had held them: one group */
#define BURST_MAX_US 100000
#define STALL_US 3000000 /* an arrival so much later: begin anew */
#define DISORDER_MAX 3
#define SMOOTHING 0.9
#define DELTAS_MAX 60 /* weight of the slope while there are few */
#define GAIN 4.0
#define OVER_MS 10.0
#define THRESHOLD_START 12.5 /* ms */
#define THRESHOLD_MIN 6.0
#define THRESHOLD_MAX 600.0
#define THRESHOLD_UP 0.0087
#define THRESHOLD_DOWN 0.039
#define THRESHOLD_IGNORE 15.0 /* an outlier beyond it does not teach the threshold */
#define THRESHOLD_STEP_MS 100.0

const char *delay_state_name(enum delay_state state)
{
    static const char *const names[] = {"normal", "overuse", "underuse"};
    return names[state];
}

void delay_trend_reset(struct delay_trend *trend)
{
    *trend = (struct delay_trend){.threshold = THRESHOLD_START, .over_for = -1};
}

/* Least squares over the window. False: all at one time. */
static bool fit(const struct delay_trend *trend, double *ret_slope)
{
    double at = 0, delay = 0, over = 0, under = 0;
    for (unsigned i = 0; i < trend->n; i++) {
        at += trend->window[i].at;
        delay += trend->window[i].delay;
    }
    at /= trend->n;
    delay /= trend->n;
    for (unsigned i = 0; i < trend->n; i++) {
        over += (trend->window[i].at - at) * (trend->window[i].delay - delay);
        under += (trend->window[i].at - at) * (trend->window[i].at - at);
    }
    if (under == 0)
        return false;
    *ret_slope = over / under;
    return true;
}

static void adapt(struct delay_trend *trend, double weight, int64_t now)
{
    double size = weight < 0 ? -weight : weight;
    if (!trend->threshold_at)
        trend->threshold_at = now;
    double passed = (double)(now - trend->threshold_at) / 1000;
    trend->threshold_at = now;
    if (size > trend->threshold + THRESHOLD_IGNORE || passed <= 0)
        return;
    double rate = size < trend->threshold ? THRESHOLD_DOWN : THRESHOLD_UP;
    if (passed > THRESHOLD_STEP_MS)
        passed = THRESHOLD_STEP_MS;
    trend->threshold += rate * (size - trend->threshold) * passed;
    if (trend->threshold < THRESHOLD_MIN)
        trend->threshold = THRESHOLD_MIN;
    if (trend->threshold > THRESHOLD_MAX)
        trend->threshold = THRESHOLD_MAX;
}

static void judge(struct delay_trend *trend, double slope, double sent_ms, int64_t now)
{
    unsigned deltas = trend->deltas < DELTAS_MAX ? trend->deltas : DELTAS_MAX;
    double weight = deltas * slope * GAIN;
    if (weight > trend->threshold) {
        trend->over_for = trend->over_for < 0 ? sent_ms / 2 : trend->over_for + sent_ms;
        trend->over_count++;
        /* Once is chance; and while the queue shrinks already there is no need to hurry. */
        if (trend->over_for > OVER_MS && trend->over_count > 1 && slope >= trend->slope) {
            trend->over_for = 0;
            trend->over_count = 0;
            trend->state = DELAY_OVERUSE;
        }
    } else {
        trend->over_for = -1;
        trend->over_count = 0;
        trend->state = weight < -trend->threshold ? DELAY_UNDERUSE : DELAY_NORMAL;
    }
    trend->slope = slope;
    adapt(trend, weight, now);
}

/* A group is complete: what it has gained on the one before. */
static void take(struct delay_trend *trend, double sent_ms, double arrival_ms, int64_t now)
{
    if (trend->deltas == 0)
        trend->first_arrival = now;
    if (trend->deltas < 1000)
        trend->deltas++;
    trend->accumulated += arrival_ms - sent_ms;
    trend->smoothed = SMOOTHING * trend->smoothed + (1 - SMOOTHING) * trend->accumulated;
    trend->window[trend->next].at = (double)(now - trend->first_arrival) / 1000;
    trend->window[trend->next].delay = trend->smoothed;
    trend->next = (trend->next + 1) % DELAY_TREND_WINDOW;
    if (trend->n < DELAY_TREND_WINDOW)
        trend->n++;
    double slope = trend->slope;
    if (trend->n == DELAY_TREND_WINDOW)
        fit(trend, &slope);
    if (trend->deltas > 1)
        judge(trend, slope, sent_ms, now);
}

static bool belongs(const struct delay_group *group, int64_t sent, int64_t arrival)
{
    if (sent - group->first_sent <= GROUP_US)
        return true;
    int64_t later = arrival - group->last_arrival;
    return later - (sent - group->last_sent) < 0 && later <= BURST_US &&
           arrival - group->first_arrival < BURST_MAX_US;
}

/* False: begin anew. */
static bool complete(struct delay_trend *trend)
{
    const struct delay_group *current = &trend->current, *previous = &trend->previous;
    if (!previous->begun)
        return true;
    int64_t sent = current->last_sent - previous->last_sent;
    int64_t arrival = current->last_arrival - previous->last_arrival;
    if (arrival - sent >= STALL_US)
        return false;
    if (arrival < 0)
        return ++trend->disorder < DISORDER_MAX;
    trend->disorder = 0;
    take(trend, (double)sent / 1000, (double)arrival / 1000, current->last_arrival);
    return true;
}

void delay_trend_packet(struct delay_trend *trend, int64_t sent, int64_t arrival)
{
    struct delay_group *current = &trend->current;
    if (current->begun && sent < current->first_sent)
        return;
    if (current->begun && belongs(current, sent, arrival)) {
        if (sent > current->last_sent)
            current->last_sent = sent;
        current->last_arrival = arrival;
        return;
    }
    if (current->begun) {
        if (complete(trend)) {
            trend->previous = *current;
        } else {
            trend->previous.begun = false;
            trend->disorder = 0;
        }
    }
    *current = (struct delay_group){.begun = true,
                                    .first_sent = sent,
                                    .last_sent = sent,
                                    .first_arrival = arrival,
                                    .last_arrival = arrival};
}

void delay_trend_interrupt(struct delay_trend *trend)
{
    trend->current.begun = trend->previous.begun = false;
}
