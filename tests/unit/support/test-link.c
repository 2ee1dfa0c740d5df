/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated link in virtual time: rate, queue, loss, runs of loss, delay, jitter and order. */
#include "tests/support/link/pipe.h"

#include <math.h>

#define SIZE 1000 /* octets of a packet */

struct result {
    uint64_t arrived, last_tag;
    int64_t first, last, least_delay, most_delay;
    bool in_order;
    struct link_counters counters;
};

/* `count` packets, one every `every` µs; all is taken out as it becomes due. */
static struct result send(struct link_pipe *pipe, unsigned count, int64_t every)
{
    struct result result = {.in_order = true, .least_delay = INT64_MAX};
    struct link_packet packet;
    unsigned sent = 0;
    int64_t now = 1000000;
    for (;;) {
        int64_t next = link_pipe_next(pipe), due = 1000000 + (int64_t)sent * every;
        if (sent < count && (next < 0 || due <= next)) {
            now = due;
            link_pipe_put(pipe, now, NULL, SIZE, ++sent);
        } else if (next < 0) {
            break;
        } else {
            now = MAX(now, next);
        }
        while (link_pipe_take(pipe, now, &packet)) {
            g_assert_cmpint(packet.due, <=, now);
            g_assert_cmpuint(packet.length, ==, SIZE);
            result.in_order &= packet.tag > result.last_tag;
            result.last_tag = packet.tag;
            result.first = result.arrived++ ? result.first : packet.due;
            result.last = packet.due;
            result.least_delay = MIN(result.least_delay, packet.due - packet.came);
            result.most_delay = MAX(result.most_delay, packet.due - packet.came);
        }
    }
    link_pipe_counters(pipe, &result.counters);
    link_pipe_free(pipe);
    return result;
}

static struct link_pipe *with(struct link_conditions conditions)
{
    struct link_pipe *pipe = link_pipe_new(7);
    link_pipe_set(pipe, &conditions);
    return pipe;
}

static void test_untouched(void)
{
    struct result result = send(link_pipe_new(1), 1000, 100);
    g_assert_cmpuint(result.arrived, ==, 1000);
    g_assert_cmpint(result.most_delay, ==, 0);
    g_assert_true(result.in_order);
}

static void test_rate(void)
{
    /* Offered 8 Mbit/s, carried 1: a queue of 200 ms, the rest dropped. */
    struct result result = send(with((struct link_conditions){.rate = 1e6}), 10000, 1000);
    double rate = (double)(result.arrived - 1) * SIZE * 8e6 / (double)(result.last - result.first);
    g_assert_cmpfloat(fabs(rate - 1e6), <, 1e3);
    g_assert_cmpint(result.most_delay, <=, 200000);
    g_assert_cmpint(result.most_delay, >, 180000);
    g_assert_cmpuint(result.counters.overflowed, ==, 10000 - result.arrived);
    g_assert_true(result.in_order);
    /* Below its rate nothing waits longer than it takes to send. */
    result = send(with((struct link_conditions){.rate = 1e6}), 1000, 10000);
    g_assert_cmpuint(result.arrived, ==, 1000);
    g_assert_cmpint(result.most_delay, <=, 8001);
}

static void test_loss(void)
{
    struct result result = send(with((struct link_conditions){.loss = 0.05}), 100000, 10);
    g_assert_cmpfloat(fabs((double)result.counters.lost / 100000 - 0.05), <, 0.003);
    g_assert_cmpuint(result.arrived + result.counters.lost, ==, 100000);
    /* The same seed: the same losses; jitter changes nothing about them. */
    struct result again = send(
        with((struct link_conditions){.loss = 0.05, .delay_ms = 20, .jitter_ms = 20}), 100000, 10);
    g_assert_cmpuint(again.counters.lost, ==, result.counters.lost);
    g_assert_cmpuint(send(with((struct link_conditions){.loss = 1}), 100, 10).arrived, ==, 0);
}

static void test_bursts(void)
{
    struct link_pipe *pipe = with((struct link_conditions){.loss = 0.1, .burst = 5});
    struct link_packet packet;
    unsigned lost = 0, runs = 0;
    bool losing = false;
    for (int i = 0; i < 200000; i++) {
        link_pipe_put(pipe, i, NULL, SIZE, 0);
        bool passed = link_pipe_take(pipe, i, &packet);
        lost += !passed;
        runs += !passed && !losing;
        losing = !passed;
    }
    link_pipe_free(pipe);
    g_assert_cmpfloat(fabs(lost / 200000.0 - 0.1), <, 0.01);
    g_assert_cmpfloat(fabs((double)lost / runs - 5), <, 0.3);
}

static void test_jitter(void)
{
    const struct link_conditions conditions = {.delay_ms = 50, .jitter_ms = 20, .reorder = true};
    struct result result = send(with(conditions), 10000, 1000);
    g_assert_cmpuint(result.arrived, ==, 10000);
    g_assert_cmpint(result.least_delay, >=, 30000);
    g_assert_cmpint(result.least_delay, <, 30500);
    g_assert_cmpint(result.most_delay, <=, 70000);
    g_assert_cmpint(result.most_delay, >, 69500);
    g_assert_false(result.in_order);
    g_assert_cmpuint(result.counters.reordered, >, 1000);
    struct link_conditions kept = conditions;
    kept.reorder = false;
    result = send(with(kept), 10000, 1000);
    g_assert_true(result.in_order);
    g_assert_cmpuint(result.counters.reordered, ==, 0);
    g_assert_cmpuint(result.arrived, ==, 10000);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/link/untouched", test_untouched);
    g_test_add_func("/link/rate", test_rate);
    g_test_add_func("/link/loss", test_loss);
    g_test_add_func("/link/bursts", test_bursts);
    g_test_add_func("/link/jitter", test_jitter);
    return g_test_run();
}
