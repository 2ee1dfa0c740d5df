/* SPDX-License-Identifier: Apache-2.0 */
#include "wmcf/relay/nack-generator.h"

#include <glib.h>

#define MS INT64_C(1000)

static void test_hole(void)
{
    struct nack_generator nack = {0};
    uint16_t out[16];
    bool gave_up;
    g_assert_cmpint(nack_received(&nack, 65534, 0), ==, NACK_IN_ORDER);
    g_assert_cmpint(nack_received(&nack, 65538, 0), ==, NACK_HOLE);
    g_assert_cmpuint(nack_collect(&nack, 0, 0, out, 16, &gave_up), ==, 3);
    g_assert_cmpuint(out[0], ==, 65535);
    g_assert_cmpuint(out[1], ==, 0);
    g_assert_cmpuint(out[2], ==, 1);
    g_assert_false(gave_up);
    g_assert_cmpint(nack_received(&nack, 65536, 1 * MS), ==, NACK_RECOVERED);
    g_assert_cmpint(nack_received(&nack, 65536, 1 * MS), ==, NACK_LATE);
    g_assert_cmpuint(nack.n, ==, 2);
    /* not again before a round trip, then the rest only */
    g_assert_cmpuint(nack_collect(&nack, 20 * MS, 40 * MS, out, 16, &gave_up), ==, 0);
    g_assert_cmpuint(nack_collect(&nack, 70 * MS, 40 * MS, out, 16, &gave_up), ==, 2);
}

static void test_reordering(void)
{
    struct nack_generator nack = {0};
    uint16_t out[16];
    bool gave_up;
    nack_received(&nack, 10, 0);
    nack_received(&nack, 12, 0);
    g_assert_cmpint(nack_received(&nack, 11, 0), ==, NACK_LATE); /* nobody had asked */
    g_assert_cmpuint(nack_collect(&nack, 0, 0, out, 16, &gave_up), ==, 0);
    g_assert_cmpint(nack_received(&nack, 5, 0), ==, NACK_LATE); /* before the beginning */
}

static void test_tries(void)
{
    struct nack_generator nack = {0};
    uint16_t out[16];
    unsigned asked = 0;
    bool gave_up = false;
    nack_received(&nack, 1, 0);
    nack_received(&nack, 3, 0);
    for (int64_t now = 0; now < 3000 * MS && !gave_up; now += 20 * MS)
        asked += nack_collect(&nack, now, 10 * MS, out, 16, &gave_up);
    g_assert_true(gave_up);
    g_assert_cmpuint(asked, >=, 3);
    g_assert_cmpuint(asked, <=, NACK_TRIES_MAX);
    g_assert_cmpuint(nack.n, ==, 0);
}

static void test_age(void)
{
    struct nack_generator nack = {0};
    uint16_t out[16];
    bool gave_up = false;
    nack_received(&nack, 1, 0);
    nack_received(&nack, 3, 0);
    g_assert_cmpuint(nack_collect(&nack, NACK_AGE_MAX_US + 1, 0, out, 16, &gave_up), ==, 0);
    g_assert_true(gave_up);
}

static void test_overflow(void)
{
    struct nack_generator nack = {0};
    uint16_t out[NACK_HOLES_MAX];
    bool gave_up;
    nack_received(&nack, 1, 0);
    g_assert_cmpint(nack_received(&nack, 2 + NACK_HOLES_MAX, 0), ==, NACK_HOLE);
    g_assert_cmpuint(nack_collect(&nack, 0, 0, out, 10, &gave_up), ==, 10);
    g_assert_cmpuint(nack_collect(&nack, 0, 0, out, NACK_HOLES_MAX, &gave_up), ==,
                     NACK_HOLES_MAX - 10);
    g_assert_cmpint(nack_received(&nack, 4 + NACK_HOLES_MAX, 0), ==, NACK_OVERFLOW);
    g_assert_cmpuint(nack.n, ==, 0);
    g_assert_cmpint(nack_received(&nack, 5 + NACK_HOLES_MAX, 0), ==, NACK_IN_ORDER);
}

static void test_pass_over(void)
{
    struct nack_generator nack = {0};
    uint16_t out[16];
    bool gave_up;
    nack_pass_over(&nack, 5); /* nothing has begun */
    g_assert_cmpint(nack_received(&nack, 10, 0), ==, NACK_IN_ORDER);
    g_assert_cmpint(nack_received(&nack, 12, 0), ==, NACK_HOLE);
    nack_pass_over(&nack, 100000);
    g_assert_cmpint(nack_received(&nack, 100000, 0), ==, NACK_IN_ORDER);
    g_assert_cmpuint(nack_collect(&nack, 0, 0, out, 16, &gave_up), ==, 0);
    g_assert_cmpint(nack_received(&nack, 100002, 0), ==, NACK_HOLE);
    nack_pass_over(&nack, 3); /* late: what is in front of it is known */
    g_assert_cmpint(nack_received(&nack, 100003, 0), ==, NACK_IN_ORDER);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/nack-generator/hole", test_hole);
    g_test_add_func("/nack-generator/reordering", test_reordering);
    g_test_add_func("/nack-generator/tries", test_tries);
    g_test_add_func("/nack-generator/age", test_age);
    g_test_add_func("/nack-generator/overflow", test_overflow);
    g_test_add_func("/nack/pass-over", test_pass_over);
    return g_test_run();
}
