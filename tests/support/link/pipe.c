/* SPDX-License-Identifier: Apache-2.0 */
/* A FIFO that drains at the rate, and a heap of what is flying. Times of departure are computed
 * from the one before, never from when somebody looked, so that a late caller makes no slower link.
 * Loss comes behind the bottleneck, as on the air: what is lost has cost its share of the rate. */
#include "tests/support/link/pipe.h"

#include <math.h>
#include <string.h>

#define QUEUE_MS 200

struct flight {
    struct link_packet packet;
    uint64_t serial; /* order of coming */
};

struct link_pipe {
    struct link_conditions conditions;
    uint64_t chance, wobble; /* states of the generators: jitter does not change who is lost */
    bool losing;
    GQueue waiting; /* struct link_packet; the head is being sent */
    size_t waiting_octets;
    double free_at;   /* µs: the bottleneck has sent its last */
    int64_t last_due; /* of what was sent off */
    GArray *flying;   /* struct flight, a heap by due, then serial */
    uint64_t serial, last_out;
    struct link_counters counters;
};

/* splitmix64; a number in [0, 1). */
static double draw(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-53;
}

struct link_pipe *link_pipe_new(uint64_t seed)
{
    struct link_pipe *pipe = g_new0(struct link_pipe, 1);
    pipe->chance = seed;
    pipe->wobble = ~seed;
    pipe->conditions.reorder = true;
    g_queue_init(&pipe->waiting);
    pipe->flying = g_array_new(FALSE, FALSE, sizeof(struct flight));
    return pipe;
}

static void free_waiting(void *data)
{
    struct link_packet *packet = data;
    g_free(packet->data);
    g_free(packet);
}

void link_pipe_free(struct link_pipe *pipe)
{
    if (!pipe)
        return;
    g_queue_clear_full(&pipe->waiting, free_waiting);
    for (guint i = 0; i < pipe->flying->len; i++)
        g_free(g_array_index(pipe->flying, struct flight, i).packet.data);
    g_array_unref(pipe->flying);
    g_free(pipe);
}

void link_pipe_set(struct link_pipe *pipe, const struct link_conditions *conditions)
{
    pipe->conditions = *conditions;
}

const struct link_conditions *link_pipe_get(const struct link_pipe *pipe)
{
    return &pipe->conditions;
}

/* --- the heap --------------------------------------------------------------------------------- */

static bool before(const struct flight *a, const struct flight *b)
{
    return a->packet.due != b->packet.due ? a->packet.due < b->packet.due : a->serial < b->serial;
}

static void push(GArray *heap, const struct flight *flight)
{
    g_array_append_val(heap, *flight);
    struct flight *all = (struct flight *)(void *)heap->data;
    for (guint i = heap->len - 1, up; i > 0 && before(&all[i], &all[up = (i - 1) / 2]); i = up) {
        struct flight swap = all[i];
        all[i] = all[up];
        all[up] = swap;
    }
}

static struct flight pop(GArray *heap)
{
    struct flight *all = (struct flight *)(void *)heap->data;
    struct flight first = all[0];
    all[0] = all[heap->len - 1];
    g_array_set_size(heap, heap->len - 1);
    for (guint i = 0, down; (down = 2 * i + 1) < heap->len; i = down) {
        if (down + 1 < heap->len && before(&all[down + 1], &all[down]))
            down++;
        if (!before(&all[down], &all[i]))
            break;
        struct flight swap = all[i];
        all[i] = all[down];
        all[down] = swap;
    }
    return first;
}

/* --- a packet's way --------------------------------------------------------------------------- */

/* Gilbert's model: runs of the mean length `burst`, and so many of them that the share is `loss`.
 */
static bool lose(struct link_pipe *pipe)
{
    double loss = pipe->conditions.loss, burst = MAX(pipe->conditions.burst, 1);
    double chance = draw(&pipe->chance);
    if (loss <= 0)
        pipe->losing = false;
    else if (loss >= 1 || burst <= 1)
        pipe->losing = chance < loss;
    else if (pipe->losing)
        pipe->losing = chance >= 1 / burst;
    else
        pipe->losing = chance < loss / (burst * (1 - loss));
    return pipe->losing;
}

/* It has left the bottleneck at `at`. */
static void send_off(struct link_pipe *pipe, struct link_packet packet, double at)
{
    const struct link_conditions *conditions = &pipe->conditions;
    double wobble = 2 * draw(&pipe->wobble) - 1;
    uint64_t serial = pipe->serial++;
    int64_t wait = (int64_t)at - packet.came;
    pipe->counters.queue_us = MAX(pipe->counters.queue_us, (uint64_t)MAX(wait, 0));
    if (lose(pipe)) {
        pipe->counters.lost++;
        g_free(packet.data);
        return;
    }
    double delay = conditions->delay_ms + wobble * conditions->jitter_ms;
    packet.due = (int64_t)(at + MAX(delay, 0) * 1000);
    if (!conditions->reorder)
        packet.due = MAX(packet.due, pipe->last_due);
    pipe->last_due = packet.due;
    struct flight flight = {.packet = packet, .serial = serial};
    push(pipe->flying, &flight);
}

static double sending_us(const struct link_pipe *pipe, size_t length)
{
    return pipe->conditions.rate > 0 ? (double)length * 8e6 / pipe->conditions.rate : 0;
}

/* When the head of the queue has been sent. */
static double head_done(const struct link_pipe *pipe)
{
    const struct link_packet *head = g_queue_peek_head((GQueue *)&pipe->waiting);
    return MAX(pipe->free_at, (double)head->came) + sending_us(pipe, head->length);
}

static void drain(struct link_pipe *pipe, int64_t now)
{
    while (!g_queue_is_empty(&pipe->waiting)) {
        double done = head_done(pipe);
        if (done > (double)now)
            return;
        struct link_packet *head = g_queue_pop_head(&pipe->waiting);
        pipe->waiting_octets -= head->length;
        pipe->free_at = done;
        send_off(pipe, *head, done);
        g_free(head);
    }
}

void link_pipe_put(struct link_pipe *pipe, int64_t now, uint8_t *data, size_t length, uint64_t tag)
{
    drain(pipe, now);
    pipe->counters.packets++;
    pipe->counters.octets += length;
    struct link_packet packet = {.data = data, .length = length, .tag = tag, .came = now};
    double queue_ms = pipe->conditions.queue_ms > 0 ? pipe->conditions.queue_ms : QUEUE_MS;
    /* One packet always fits, however slow the link. */
    if (!g_queue_is_empty(&pipe->waiting) &&
        sending_us(pipe, pipe->waiting_octets + length) > queue_ms * 1000) {
        pipe->counters.overflowed++;
        g_free(data);
        return;
    }
    pipe->waiting_octets += length;
    g_queue_push_tail(&pipe->waiting, g_memdup2(&packet, sizeof packet));
    drain(pipe, now);
}

bool link_pipe_take(struct link_pipe *pipe, int64_t now, struct link_packet *ret)
{
    drain(pipe, now);
    if (!pipe->flying->len || g_array_index(pipe->flying, struct flight, 0).packet.due > now)
        return false;
    struct flight flight = pop(pipe->flying);
    pipe->counters.passed_packets++;
    pipe->counters.passed_octets += flight.packet.length;
    pipe->counters.reordered += flight.serial < pipe->last_out;
    pipe->last_out = MAX(pipe->last_out, flight.serial);
    *ret = flight.packet;
    return true;
}

int64_t link_pipe_next(const struct link_pipe *pipe)
{
    int64_t next = -1;
    if (pipe->flying->len)
        next = g_array_index(pipe->flying, struct flight, 0).packet.due;
    if (!g_queue_is_empty((GQueue *)&pipe->waiting)) {
        int64_t done = (int64_t)ceil(head_done(pipe));
        next = next < 0 ? done : MIN(next, done);
    }
    return next;
}

void link_pipe_counters(const struct link_pipe *pipe, struct link_counters *ret)
{
    *ret = pipe->counters;
}
