/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's own stamp is the only one that sees how long a packet waited for the thread to wake.
 * As a control message it costs 0.1 µs a packet, so it is asked for in one batch of eight alone
 * (where nobody else needs it), and read from its first message, which waited longest. That the
 * kernel goes on stamping what it receives in between costs nothing measurable. */
#include "wmcf/relay/transit.h"

#include "wmcf/relay/worker.h"

#include <string.h>
#include <time.h>

#define BATCHES_PER_SAMPLE 8
#define TRANSIT_MAX_NS (INT64_C(10) * 1000000000) /* above, or below 0: the clock was set */

const uint32_t relay_transit_bounds[RELAY_TRANSIT_BOUNDS] = {
    10, 25, 50, 100, 200, 300, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000};

static void ask(const struct media_socket *socket, int on)
{
    setsockopt(socket->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
}

bool transit_begin(struct worker *worker, const struct media_socket *socket)
{
    if (G_LIKELY(worker->until_sample)) {
        worker->until_sample--;
        return false;
    }
    worker->until_sample = BATCHES_PER_SAMPLE - 1;
    if (!socket->stamped)
        ask(socket, 1);
    return true;
}

int64_t transit_end(const struct media_socket *socket, struct msghdr *first)
{
    struct timespec at = {0};
    if (!socket->stamped)
        ask(socket, 0);
    for (struct cmsghdr *i = first ? CMSG_FIRSTHDR(first) : NULL; i; i = CMSG_NXTHDR(first, i)) {
        if (i->cmsg_level == SOL_SOCKET && i->cmsg_type == SCM_TIMESTAMPNS)
            memcpy(&at, CMSG_DATA(i), sizeof at);
    }
    return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

void transit_count(struct worker *worker, int64_t received)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - received;
    if (received == 0 || ns < 0 || ns > TRANSIT_MAX_NS)
        return;
    unsigned bucket = 0;
    while (bucket < RELAY_TRANSIT_BOUNDS && ns > (int64_t)relay_transit_bounds[bucket] * 1000)
        bucket++;
    counter_add(&worker->counters.transit[bucket], 1);
    counter_add(&worker->counters.transit_sum, (uint64_t)ns / 1000);
}
