/* SPDX-License-Identifier: Apache-2.0 */
#include "wmcf/relay/sequence-map.h"

#include <glib.h>

static uint64_t forward(struct sequence_map *map, uint64_t in)
{
    uint64_t out = 0;
    g_assert_true(sequence_map_forward(map, in, &out));
    return out;
}

static uint64_t back(const struct sequence_map *map, uint64_t out)
{
    uint64_t in = 0;
    g_assert_true(sequence_map_back(map, out, &in));
    return in;
}

static void test_offset(void)
{
    struct sequence_map map = {0};
    uint64_t value;
    g_assert_false(sequence_map_forward(&map, 1, &value));
    g_assert_false(sequence_map_back(&map, 1, &value));
    sequence_map_begin(&map, 1000, 7);
    g_assert_cmpuint(forward(&map, 1000), ==, 7);
    g_assert_cmpuint(forward(&map, 1005), ==, 12); /* holes stay holes */
    g_assert_cmpuint(forward(&map, 1002), ==, 9);  /* reordered */
    g_assert_false(sequence_map_forward(&map, 999, &value));
    g_assert_cmpuint(back(&map, 12), ==, 1005);
    g_assert_false(sequence_map_back(&map, 13, &value)); /* not sent yet */
    g_assert_false(sequence_map_back(&map, 6, &value));  /* before the beginning */
    sequence_map_begin(&map, 5, 13);                     /* another source */
    g_assert_cmpuint(forward(&map, 5), ==, 13);
    g_assert_false(sequence_map_back(&map, 12, &value));
}

static void test_skip(void)
{
    struct sequence_map map = {0};
    sequence_map_begin(&map, 100, 500);
    forward(&map, 100);
    forward(&map, 101);
    sequence_map_skip(&map, 102);
    sequence_map_skip(&map, 103);
    g_assert_cmpuint(map.n, ==, 2); /* a run is one range */
    g_assert_cmpuint(forward(&map, 104), ==, 502);
    g_assert_cmpuint(forward(&map, 105), ==, 503);
    sequence_map_skip(&map, 104); /* late: changes nothing */
    g_assert_cmpuint(forward(&map, 106), ==, 504);
    g_assert_cmpuint(back(&map, 501), ==, 101);
    g_assert_cmpuint(back(&map, 502), ==, 104);
    g_assert_cmpuint(back(&map, 500), ==, 100);
    g_assert_cmpuint(forward(&map, 101), ==, 501); /* an old one keeps its number */
}

/* Against a plain list: every 7th packet is left out, some come late. */
static void test_long(void)
{
    struct sequence_map map = {0};
    sequence_map_begin(&map, 65000, 20);
    uint64_t expected = 20;
    for (uint64_t in = 65000; in < 140000; in++) {
        if (in % 7 == 3) {
            sequence_map_skip(&map, in);
            continue;
        }
        g_assert_cmpuint(forward(&map, in), ==, expected);
        g_assert_cmpuint(back(&map, expected), ==, in);
        expected++;
    }
    g_assert_cmpuint(map.n, ==, SEQUENCE_MAP_RANGES);
    uint64_t value;
    g_assert_false(sequence_map_back(&map, 20, &value)); /* forgotten */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sequence-map/offset", test_offset);
    g_test_add_func("/sequence-map/skip", test_skip);
    g_test_add_func("/sequence-map/long", test_long);
    return g_test_run();
}
