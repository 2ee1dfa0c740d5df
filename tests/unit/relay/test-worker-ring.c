/* SPDX-License-Identifier: Apache-2.0 */
#include "wmcf/relay/worker-ring.h"

#include <glib.h>
#include <string.h>

#define RECORDS 200000u
#define LENGTH_MAX 1600

/* A record says its serial number and repeats one octet of it to its end. */
static size_t length_of(unsigned serial)
{
    return sizeof serial + serial * 7919u % (LENGTH_MAX - sizeof serial);
}

static bool put(struct worker_ring *ring, unsigned serial)
{
    size_t length = length_of(serial);
    uint8_t *record = worker_ring_put(ring, length);
    if (!record)
        return false;
    g_assert_cmpuint((uintptr_t)record % 8, ==, 0);
    memset(record, (uint8_t)serial, length);
    memcpy(record, &serial, sizeof serial);
    return true;
}

static void check(const uint8_t *record, size_t length, unsigned serial)
{
    g_assert_cmpuint(length, ==, length_of(serial));
    g_assert_cmpmem(record, sizeof serial, &serial, sizeof serial);
    for (size_t i = sizeof serial; i < length; i++)
        g_assert_cmpuint(record[i], ==, (uint8_t)serial);
}

static void test_publish(void)
{
    struct worker_ring *ring = worker_ring_new(1);
    size_t length;
    g_assert_cmpuint(worker_ring_size(ring), ==, WORKER_RING_MIN);
    g_assert_true(put(ring, 1));
    g_assert_false(worker_ring_pending(ring)); /* not published */
    g_assert_false(worker_ring_begin(ring));
    worker_ring_publish(ring);
    g_assert_true(worker_ring_pending(ring));
    g_assert_true(worker_ring_begin(ring));
    g_assert_true(put(ring, 2));
    worker_ring_publish(ring);
    const void *record = worker_ring_next(ring, &length);
    check(record, length, 1);
    g_assert_null(worker_ring_next(ring, &length)); /* begin() was before the second */
    worker_ring_release(ring);
    g_assert_true(worker_ring_begin(ring));
    record = worker_ring_next(ring, &length);
    check(record, length, 2);
    worker_ring_release(ring);
    g_assert_cmpuint(worker_ring_room(ring), ==, WORKER_RING_MIN);
    worker_ring_free(ring);
}

static void test_full(void)
{
    struct worker_ring *ring = worker_ring_new(20000);
    unsigned in = 0, out = 0;
    size_t length;
    g_assert_cmpuint(worker_ring_size(ring), ==, 32768);
    g_assert_null(worker_ring_put(ring, 8193)); /* more than a quarter, always */
    for (unsigned round = 0; round < 1000; round++) {
        while (put(ring, in))
            in++;
        g_assert_cmpuint(worker_ring_room(ring), <, 2 * (LENGTH_MAX + 16));
        worker_ring_publish(ring);
        g_assert_true(worker_ring_begin(ring));
        for (unsigned n = 0; n < 1 + round % 20; n++) {
            const void *record = worker_ring_next(ring, &length);
            if (record)
                check(record, length, out++);
        }
        g_assert_false(put(ring, in)); /* read, but not given back */
        worker_ring_release(ring);
    }
    while (worker_ring_begin(ring)) {
        const void *record;
        while ((record = worker_ring_next(ring, &length)))
            check(record, length, out++);
        worker_ring_release(ring);
    }
    g_assert_cmpuint(in, ==, out);
    worker_ring_free(ring);
}

static void *write_all(void *data)
{
    struct worker_ring *ring = data;
    for (unsigned serial = 0; serial < RECORDS;) {
        unsigned n = 1 + serial % 64;
        while (n && serial < RECORDS && put(ring, serial)) {
            serial++;
            n--;
        }
        worker_ring_publish(ring);
        if (n)
            g_thread_yield();
    }
    return NULL;
}

static void test_threads(void)
{
    struct worker_ring *ring = worker_ring_new(65536);
    GThread *writer = g_thread_new("writer", write_all, ring);
    unsigned next = 0;
    while (next < RECORDS) {
        const void *record;
        size_t length;
        if (!worker_ring_pending(ring))
            g_thread_yield();
        if (!worker_ring_begin(ring))
            continue;
        while ((record = worker_ring_next(ring, &length))) {
            if (next % 97 == 0)
                check(record, length, next);
            g_assert_cmpuint(length, ==, length_of(next));
            next++;
        }
        worker_ring_release(ring);
    }
    g_thread_join(writer);
    g_assert_false(worker_ring_pending(ring));
    worker_ring_free(ring);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/worker-ring/publish", test_publish);
    g_test_add_func("/worker-ring/full", test_full);
    g_test_add_func("/worker-ring/threads", test_threads);
    return g_test_run();
}
