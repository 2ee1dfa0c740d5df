/* SPDX-License-Identifier: Apache-2.0 */
#include "wmcf/relay/packet-buffer.h"

#include <glib.h>

#define MS INT64_C(1000)

static void put(struct packet_pool *pool, struct packet_buffer *buffer, uint64_t index,
                int64_t arrival)
{
    struct packet *packet = packet_pool_take(pool, 1000);
    g_assert_nonnull(packet);
    packet->index = index;
    packet->arrival = arrival;
    packet_buffer_put(buffer, packet);
    packet_unref(pool, packet);
}

static void test_find(void)
{
    struct packet_pool *pool = packet_pool_new(16 << 20);
    struct packet_buffer *buffer = packet_buffer_new(pool, 128, 2000 * MS);
    for (uint64_t i = 65500; i < 65600; i++)
        put(pool, buffer, i, 0);
    g_assert_cmpuint(packet_buffer_find(buffer, 65536, 0)->index, ==, 65536);
    g_assert_null(packet_buffer_find(buffer, 65536 - 128, 0));
    g_assert_null(packet_buffer_find(buffer, 65600, 0));
    g_assert_null(packet_buffer_find(buffer, 65536, 2001 * MS)); /* too old */
    packet_buffer_free(buffer);
    g_assert_cmpuint(packet_pool_in_use(pool), ==, 0);
    packet_pool_free(pool);
}

static void test_count_limit(void)
{
    struct packet_pool *pool = packet_pool_new(16 << 20);
    struct packet_buffer *buffer = packet_buffer_new(pool, 64, 2000 * MS);
    for (uint64_t i = 0; i < 1000; i++)
        put(pool, buffer, i, 0);
    g_assert_cmpuint(packet_buffer_count(buffer), ==, 64);
    g_assert_cmpuint(packet_pool_in_use(pool), ==, 64);
    g_assert_null(packet_buffer_find(buffer, 935, 0));
    g_assert_nonnull(packet_buffer_find(buffer, 936, 0));
    put(pool, buffer, 900, 0); /* older than the ring */
    g_assert_cmpuint(packet_buffer_count(buffer), ==, 64);
    put(pool, buffer, 1000000, 0); /* a jump empties it */
    g_assert_cmpuint(packet_buffer_count(buffer), ==, 1);
    packet_buffer_free(buffer);
    packet_buffer_free(NULL);
    packet_pool_free(pool);
}

static void test_age_limit(void)
{
    struct packet_pool *pool = packet_pool_new(16 << 20);
    struct packet_buffer *buffer = packet_buffer_new(pool, 1024, 100 * MS);
    for (uint64_t i = 0; i < 500; i++)
        put(pool, buffer, i, (int64_t)i * MS);
    g_assert_cmpuint(packet_buffer_count(buffer), <=, 101);
    put(pool, buffer, 450, 499 * MS); /* late, replaces nothing it should not */
    g_assert_nonnull(packet_buffer_find(buffer, 449, 499 * MS));
    packet_buffer_expire(buffer, 700 * MS);
    g_assert_cmpuint(packet_buffer_count(buffer), ==, 0);
    g_assert_cmpuint(packet_pool_in_use(pool), ==, 0);
    put(pool, buffer, 3, 700 * MS); /* goes on with any number */
    g_assert_nonnull(packet_buffer_find(buffer, 3, 700 * MS));
    packet_buffer_free(buffer);
    packet_pool_free(pool);
}

static void test_pool(void)
{
    struct packet_pool *pool = packet_pool_new(256 << 10);
    struct packet *packets[4096];
    unsigned n = 0;
    g_assert_null(packet_pool_take(pool, PACKET_PAYLOAD_MAX + 1));
    g_assert_cmpuint(packet_pool_octets(pool), ==, 0);
    while (n < G_N_ELEMENTS(packets) && (packets[n] = packet_pool_take(pool, PACKET_PAYLOAD_MAX)))
        packets[n++]->payload[PACKET_PAYLOAD_MAX - 1] = 1;
    g_assert_cmpuint(n, >=, 100); /* two slabs */
    g_assert_cmpuint(n, <=, 256 * 1024 / PACKET_PAYLOAD_MAX);
    g_assert_null(packet_pool_take(pool, 100)); /* the limit is on all sizes together */
    g_assert_cmpuint(packet_pool_octets(pool), ==, 256 << 10);
    while (n)
        packet_unref(pool, packets[--n]);
    g_assert_nonnull(packets[0] = packet_pool_take(pool, 1000));
    g_assert_cmpuint(packet_pool_octets(pool), ==, 256 << 10); /* kept for the next ones */
    packet_ref(packets[0]);
    packet_unref(pool, packets[0]);
    g_assert_cmpuint(packet_pool_in_use(pool), ==, 1);
    packet_unref(pool, packets[0]);
    g_assert_cmpuint(packet_pool_in_use(pool), ==, 0);
    packet_pool_free(pool);
}

/* Much of it goes when nothing is in use; a little stays. */
static void test_give_back(void)
{
    struct packet_pool *pool = packet_pool_new(8 << 20);
    g_autoptr(GPtrArray) taken = g_ptr_array_new();
    for (guint round = 0; round < 2; round++) {
        for (struct packet *packet; (packet = packet_pool_take(pool, PACKET_PAYLOAD_MAX));)
            g_ptr_array_add(taken, packet);
        g_assert_cmpuint(packet_pool_octets(pool), ==, 8 << 20);
        while (taken->len > 1)
            packet_unref(pool, g_ptr_array_steal_index(taken, taken->len - 1));
        packet_pool_give_back(pool);
        g_assert_cmpuint(packet_pool_octets(pool), ==, 8 << 20);
        packet_unref(pool, g_ptr_array_steal_index(taken, 0));
        packet_pool_give_back(pool);
        g_assert_cmpuint(packet_pool_octets(pool), ==, 0);
    }
    packet_unref(pool, packet_pool_take(pool, 100));
    size_t octets = packet_pool_octets(pool);
    g_assert_cmpuint(octets, >, 0);
    packet_pool_give_back(pool);
    g_assert_cmpuint(packet_pool_octets(pool), ==, octets);
    packet_pool_free(pool);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/packet-buffer/find", test_find);
    g_test_add_func("/packet-buffer/count-limit", test_count_limit);
    g_test_add_func("/packet-buffer/age-limit", test_age_limit);
    g_test_add_func("/packet-buffer/pool", test_pool);
    g_test_add_func("/packet-buffer/give-back", test_give_back);
    return g_test_run();
}
