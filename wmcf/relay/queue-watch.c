/* SPDX-License-Identifier: Apache-2.0 */
/* Tells a full link from a busy receiver. A process that does not run reads all that has come
 * meanwhile at one instant, and the last of it has waited hardly at all; behind a full link packets
 * come one after the other, as the link sends them, and every one has waited. So a queue stands
 * when packets at several instants over some time have all waited. A receiver that gets so little
 * time that it never catches up reads them in heaps, far apart, which no link makes. A queue is
 * known a tenth of a second later than the first of them tells; for it, what arrives in between is
 * the link's rate. */
#include "wmcf/relay/queue-watch.h"

#define SECOND 1000000
#define BASE_US (15 * SECOND) /* a path that has become longer is no queue for ever */
#define WAITS_US 25000  /* what comes every 20 ms (audio) waits so long for a reader that … */
#define INSTANT_US 4000 /* … reads all that there is within this time */
#define INSTANTS 4
#define STANDS_US 70000
#define STEADY_US 50000 /* a link that empties its queue makes no longer breaks */
#define RATE_US 60000
#define HEAP_PACKETS 4 /* at an instant, and … */
#define HEAP_US 25000  /* … from one to the next, on the average */

static int64_t least_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void follow_base(struct queue_watch *watch, int64_t delay, int64_t arrival)
{
    if (!watch->base_at) {
        watch->base = watch->next_base = delay;
        watch->base_at = arrival ? arrival : 1;
    } else if (arrival - watch->base_at > BASE_US) {
        watch->base = watch->next_base;
        watch->next_base = delay;
        watch->base_at = arrival;
    }
    watch->next_base = least_of(watch->next_base, delay);
    watch->base = least_of(watch->base, watch->next_base);
}

static void begin(struct queue_watch *watch, int64_t arrival)
{
    watch->since = watch->last = watch->instant_at = arrival ? arrival : 1;
    watch->instants = watch->packets = 1;
    watch->octets = watch->widest = 0;
}

void queue_watch_packet(struct queue_watch *watch, int64_t sent, int64_t arrival, unsigned octets)
{
    follow_base(watch, arrival - sent, arrival);
    watch->delay = queue_watch_delay(watch, sent, arrival);
    watch->next_least =
        watch->next_least < 0 ? watch->delay : least_of(watch->next_least, watch->delay);
    if (watch->delay < WAITS_US) {
        watch->since = 0;
    } else if (!watch->since) {
        begin(watch, arrival);
    } else {
        int64_t passed = arrival - watch->last;
        watch->packets++;
        if (passed > watch->widest)
            watch->widest = passed;
        if (arrival - watch->instant_at > INSTANT_US) {
            watch->instants++;
            watch->instant_at = arrival;
        }
        if (passed > 0)
            watch->last = arrival;
        if (watch->last > watch->since)
            watch->octets += octets;
    }
}

void queue_watch_batch(struct queue_watch *watch)
{
    if (watch->next_least < 0)
        return;
    watch->least[1] = watch->least[0];
    watch->least[0] = watch->next_least;
    watch->next_least = -1;
}

void queue_watch_reset(struct queue_watch *watch)
{
    *watch = (struct queue_watch){.next_least = -1};
}

static bool in_heaps(const struct queue_watch *watch)
{
    return watch->packets >= HEAP_PACKETS * watch->instants &&
           watch->last - watch->since > (int64_t)HEAP_US * watch->instants;
}

bool queue_watch_stands(const struct queue_watch *watch)
{
    return watch->since && watch->instants >= INSTANTS && watch->last - watch->since >= STANDS_US &&
           !in_heaps(watch);
}

int64_t queue_watch_least(const struct queue_watch *watch)
{
    return least_of(watch->least[0], watch->least[1]);
}

double queue_watch_rate(const struct queue_watch *watch)
{
    int64_t passed = watch->last - watch->since;
    if (!watch->since || passed < RATE_US || watch->instants < INSTANTS ||
        watch->widest > STEADY_US)
        return 0;
    return (double)watch->octets * 8 * SECOND / (double)passed;
}

int64_t queue_watch_delay(const struct queue_watch *watch, int64_t sent, int64_t arrival)
{
    int64_t delay = arrival - sent - watch->base;
    return delay > 0 ? delay : 0;
}
