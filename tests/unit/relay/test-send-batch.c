/* SPDX-License-Identifier: Apache-2.0 */
/* How packets become runs; nothing is sent but in the last test, which has no network either: the
 * socket is one that refuses. */
#include "wmcf/relay/send-batch.h"

#include <glib.h>
#include <string.h>

static union socket_address address(uint16_t port)
{
    union socket_address ret;
    socket_address_parse("127.0.0.1", port, &ret);
    return ret;
}

static void add(struct send_batch *batch, uint16_t port, size_t length, uint64_t *failed)
{
    union socket_address to = address(port);
    memset(send_batch_reserve(batch), (int)port, length);
    send_batch_commit(batch, &to, length, failed);
}

static const struct send_run *run(struct send_batch *batch, unsigned i, unsigned n)
{
    unsigned have;
    const struct send_run *runs = send_batch_runs(batch, &have);
    g_assert_cmpuint(have, ==, n);
    return &runs[i];
}

static void test_runs(void)
{
    struct media_socket socket = {.fd = -1};
    struct send_batch *batch = send_batch_new(&socket);
    add(batch, 1, 1000, NULL);
    add(batch, 1, 1000, NULL);
    add(batch, 1, 999, NULL); /* shorter: still joins, and ends the run */
    g_assert_cmpuint(run(batch, 0, 1)->segments, ==, 3);
    g_assert_cmpuint(run(batch, 0, 1)->segment, ==, 1000);
    g_assert_cmpuint(run(batch, 0, 1)->length, ==, 2999);
    add(batch, 1, 999, NULL);
    g_assert_cmpuint(run(batch, 1, 2)->segments, ==, 1);
    add(batch, 1, 1000, NULL); /* longer than its run: a new one */
    g_assert_cmpuint(run(batch, 2, 3)->segment, ==, 1000);
    add(batch, 2, 1000, NULL); /* another destination */
    g_assert_cmpuint(run(batch, 3, 4)->segments, ==, 1);
    add(batch, 1, 1000, NULL); /* only neighbours join */
    g_assert_cmpuint(run(batch, 4, 5)->segments, ==, 1);
    uint64_t failed = 0;
    add(batch, 1, 1000, &failed); /* another account */
    g_assert_cmpuint(run(batch, 5, 6)->segments, ==, 1);
    send_batch_free(batch);
    send_batch_free(NULL);
}

/* A run is measured and marked by its first segment: one medium, one DSCP. */
static void test_media(void)
{
    struct media_socket socket = {.fd = -1};
    struct send_batch *batch = send_batch_new(&socket);
    union socket_address to = address(1);
    struct qos_slot slots[2] = {0};
    static const struct {
        int slot, dscp;
        unsigned run;
    } packets[] = {{0, 46, 1}, {0, 46, 1}, {1, 46, 2}, {1, 36, 3},
                   {1, 36, 3}, {1, -1, 4}, {0, 0, 5}};
    for (size_t i = 0; i < G_N_ELEMENTS(packets); i++) {
        memset(send_batch_reserve(batch), 0, 1000);
        send_batch_commit_media(batch, &to, 1000, NULL, &slots[packets[i].slot], packets[i].dscp);
        const struct send_run *last = run(batch, packets[i].run - 1, packets[i].run);
        g_assert_true(last->slot == &slots[packets[i].slot]);
        g_assert_cmpint(last->dscp, ==, packets[i].dscp);
    }
    add(batch, 1, 1000, NULL); /* of no medium */
    g_assert_null(run(batch, 5, 6)->slot);
    send_batch_flush(batch); /* refused: nothing of it is marked */
    g_assert_cmpuint(slots[0].marked + slots[1].marked, ==, 0);
    send_batch_free(batch);
}

static void test_limits(void)
{
    struct media_socket socket = {.fd = -1};
    struct send_batch *batch = send_batch_new(&socket);
    for (unsigned i = 0; i < 100; i++)
        add(batch, 1, 100, NULL);
    g_assert_cmpuint(run(batch, 0, 2)->segments, ==, SEND_RUN_SEGMENTS);
    g_assert_cmpuint(run(batch, 1, 2)->segments, ==, 100 - SEND_RUN_SEGMENTS);
    send_batch_free(batch);
    batch = send_batch_new(&socket);
    for (unsigned i = 0; i < 60; i++)
        add(batch, 1, 1400, NULL);
    g_assert_cmpuint(run(batch, 0, 2)->length, <=, 65000);
    g_assert_cmpuint(run(batch, 0, 2)->segments, ==, 46);
    send_batch_free(batch);
}

static void test_refused(void)
{
    struct media_socket socket = {.fd = -1, .segmentation = true};
    struct send_batch *batch = send_batch_new(&socket);
    uint64_t failed = 0, other = 0;
    for (unsigned i = 0; i < 5; i++)
        add(batch, 1, 500, &failed);
    add(batch, 2, 500, &other);
    send_batch_flush(batch);
    g_assert_cmpuint(failed, ==, 5);
    g_assert_cmpuint(other, ==, 1);
    g_assert_cmpuint(send_batch_totals(batch)->dropped, ==, 6);
    g_assert_cmpuint(send_batch_totals(batch)->packets, ==, 0);
    run(batch, 0, 0);
    /* a full arena flushes by itself */
    for (unsigned i = 0; i < 1000; i++)
        add(batch, (uint16_t)(1 + i % 7), 1200, NULL);
    send_batch_flush(batch);
    g_assert_cmpuint(send_batch_totals(batch)->dropped, ==, 1006);
    send_batch_free(batch);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/send-batch/runs", test_runs);
    g_test_add_func("/send-batch/media", test_media);
    g_test_add_func("/send-batch/limits", test_limits);
    g_test_add_func("/send-batch/refused", test_refused);
    return g_test_run();
}
