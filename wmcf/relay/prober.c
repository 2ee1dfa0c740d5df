/* SPDX-License-Identifier: Apache-2.0 */
/* A probe is short, so that a wrong one delays audio by no more than its own length, and long
 * enough that a scheduler's hiccup does not fill it. While probes succeed, each begins at twice
 * what the last one found; those that find nothing become rarer. Behind a busy receiver, which
 * reads a short one at once whatever the link, they become longer. */
#include "wmcf/relay/prober.h"

#include "wmcf/relay/bandwidth-estimator.h"

#define PROBE_US 30000
#define PROBE_MAX_US 120000
#define PROBE_OCTETS_MIN 2400
#define FIRST 3 /* times the estimate */
#define SECOND_FACTOR 2
#define NEXT 2
#define CAUTIOUS 1.5 /* after one that did not get through: others may share the link */
#define LEAST 500000
#define SUCCESS 0.7 /* of what was probed */
#define RESULT_US 600000
#define INTERVAL_US 1500000
#define INTERVAL_MAX_US 2000000
#define FALL 0.66
#define FALL_US 1000000 /* then it may have been a moment's */
#define FALL_FORGET_US 5000000
#define BEYOND 1.5 /* of what is wanted */
#define MORE 1.1

static bool order(struct prober *prober, double rate, uint32_t wanted, uint32_t estimate,
                  int64_t now, struct probe_order *ret)
{
    if (rate > BEYOND * wanted)
        rate = BEYOND * wanted;
    if (rate < 1.1 * estimate)
        return false;
    if (++prober->id == 0)
        prober->id = 1;
    prober->rate = (uint32_t)rate;
    prober->ordered_at = now;
    prober->waiting = true;
    double octets = rate / 8 * (double)prober->length / 1000000;
    if (octets < PROBE_OCTETS_MIN)
        octets = PROBE_OCTETS_MIN;
    *ret = (struct probe_order){.id = prober->id, .rate = prober->rate, .octets = (unsigned)octets};
    return true;
}

static void note_fall(struct prober *prober, uint32_t estimate, int64_t now)
{
    if (prober->settled == 0 || estimate >= prober->settled) {
        prober->settled = estimate;
        prober->settled_at = now;
    } else if (estimate < FALL * prober->settled) {
        prober->before_fall = prober->settled;
        prober->fell_at = now;
        prober->settled = estimate;
    }
}

bool prober_next(struct prober *prober, uint32_t estimate, uint32_t wanted,
                 const struct probe_result *probed, int64_t now, struct probe_order *ret)
{
    note_fall(prober, estimate, now);
    if (prober->interval == 0) {
        prober->interval = INTERVAL_US;
        prober->length = PROBE_US;
    }
    if (wanted <= estimate)
        return false;
    if (prober->begun == 0) {
        prober->begun = 1;
        return order(prober, (double)estimate * FIRST, wanted, estimate, now, ret);
    }
    if (prober->waiting && probed->id == prober->id) {
        prober->waiting = false;
        if (!probed->blurred)
            prober->length = PROBE_US;
        if (probed->rate >= SUCCESS * prober->rate) {
            prober->interval = INTERVAL_US;
            /* The same once more would find the same, and where something else bounds the estimate
             * there would be no end of it. */
            double next = probed->rate * NEXT, most = BEYOND * wanted;
            if (next > prober->rate && most > MORE * prober->rate)
                return order(prober, next, wanted, estimate, now, ret);
        }
        if (probed->blurred && prober->length < PROBE_MAX_US)
            prober->length *= 2;
        else
            prober->interval += prober->interval / 2;
        if (prober->interval > INTERVAL_MAX_US)
            prober->interval = INTERVAL_MAX_US;
    }
    if (prober->waiting && now - prober->ordered_at > RESULT_US)
        prober->waiting = false;
    if (prober->waiting)
        return false;
    if (prober->before_fall && now - prober->fell_at > FALL_US) {
        double rate = 0.85 * prober->before_fall, most = (double)estimate * FIRST;
        bool recent = now - prober->fell_at < FALL_FORGET_US;
        prober->before_fall = 0;
        if (recent && order(prober, rate < most ? rate : most, wanted, estimate, now, ret))
            return true;
    }
    if (now - prober->ordered_at < prober->interval)
        return false;
    /* From very little, twice as much would take long to get anywhere. */
    bool shared = prober->interval > INTERVAL_US && prober->length == PROBE_US;
    double rate = (double)estimate * (shared ? CAUTIOUS : NEXT),
           least = wanted < LEAST ? wanted : LEAST;
    return order(prober, rate > least ? rate : least, wanted, estimate, now, ret);
}
