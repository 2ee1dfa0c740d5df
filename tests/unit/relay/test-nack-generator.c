/* SPDX-License-Identifier: Apache-2.0 */
#include "wmcf/relay/nack-generator.h"

#include <glib.h>

#define MS INT64_C(1000)

static void test_hole(void)
{
    struct nack_generator nack = {0};
    uint16_t out[16];
    struct nack_outlook outlook;
    g_assert_cmpint(nack_received(&nack, 65534, 0, NACK_EITHER), ==, NACK_IN_ORDER);
    g_assert_cmpint(nack_received(&nack, 65538, 0, NACK_EITHER), ==, NACK_HOLE);
    g_assert_cmpuint(nack_collect(&nack, 0, 0, out, 16, &outlook), ==, 3);
    g_assert_cmpuint(out[0], ==, 65535);
    g_assert_cmpuint(out[1], ==, 0);
    g_assert_cmpuint(out[2], ==, 1);
    g_assert_false(outlook.gave_up);
    g_assert_cmpint(nack_received(&nack, 65536, 1 * MS, NACK_EITHER), ==, NACK_RECOVERED);
    g_assert_cmpint(nack_received(&nack, 65536, 1 * MS, NACK_EITHER), ==, NACK_LATE);
    g_assert_cmpuint(nack.n, ==, 2);
    /* not again before a round trip, then the rest only */
    g_assert_cmpuint(nack_collect(&nack, 20 * MS, 40 * MS, out, 16, &outlook), ==, 0);
    g_assert_cmpuint(nack_collect(&nack, 70 * MS, 40 * MS, out, 16, &outlook), ==, 2);
}

static void test_reordering(void)
{
    struct nack_generator nack = {0};
    uint16_t out[16];
    struct nack_outlook outlook;
    nack_received(&nack, 10, 0, NACK_EITHER);
    nack_received(&nack, 12, 0, NACK_EITHER);
    g_assert_cmpint(nack_received(&nack, 11, 0, NACK_EITHER), ==, NACK_LATE); /* nobody had asked */
    g_assert_cmpuint(nack_collect(&nack, 0, 0, out, 16, &outlook), ==, 0);
    g_assert_cmpint(nack_received(&nack, 5, 0, NACK_EITHER), ==,
                    NACK_LATE); /* before the beginning */
}

static void test_tries(void)
{
    struct nack_generator nack = {0};
    uint16_t out[16];
    unsigned asked = 0;
    struct nack_outlook outlook = {0};
    nack_received(&nack, 1, 0, NACK_EITHER);
    nack_received(&nack, 3, 0, NACK_EITHER);
    for (int64_t now = 0; now < 3000 * MS && !outlook.gave_up; now += 20 * MS)
        asked += nack_collect(&nack, now, 10 * MS, out, 16, &outlook);
    g_assert_true(outlook.gave_up);
    g_assert_cmpuint(asked, >=, 3);
    g_assert_cmpuint(asked, <=, NACK_TRIES_MAX);
    g_assert_cmpuint(nack.n, ==, 0);
}

static void test_age(void)
{
    struct nack_generator nack = {0};
    uint16_t out[16];
    struct nack_outlook outlook = {0};
    nack_received(&nack, 1, 0, NACK_EITHER);
    nack_received(&nack, 3, 0, NACK_EITHER);
    g_assert_cmpuint(nack_collect(&nack, NACK_AGE_MAX_US + 1, 0, out, 16, &outlook), ==, 0);
    g_assert_true(outlook.gave_up);
}

static void test_overflow(void)
{
    struct nack_generator nack = {0};
    uint16_t out[NACK_HOLES_MAX];
    struct nack_outlook outlook;
    nack_received(&nack, 1, 0, NACK_EITHER);
    g_assert_cmpint(nack_received(&nack, 2 + NACK_HOLES_MAX, 0, NACK_EITHER), ==, NACK_HOLE);
    g_assert_cmpuint(nack_collect(&nack, 0, 0, out, 10, &outlook), ==, 10);
    g_assert_cmpuint(nack_collect(&nack, 0, 0, out, NACK_HOLES_MAX, &outlook), ==,
                     NACK_HOLES_MAX - 10);
    g_assert_cmpint(nack_received(&nack, 4 + NACK_HOLES_MAX, 0, NACK_EITHER), ==, NACK_OVERFLOW);
    g_assert_cmpuint(nack.n, ==, 0);
    g_assert_cmpint(nack_received(&nack, 5 + NACK_HOLES_MAX, 0, NACK_EITHER), ==, NACK_IN_ORDER);
}

static void test_pass_over(void)
{
    struct nack_generator nack = {0};
    uint16_t out[16];
    struct nack_outlook outlook;
    nack_pass_over(&nack, 5); /* nothing has begun */
    g_assert_cmpint(nack_received(&nack, 10, 0, NACK_EITHER), ==, NACK_IN_ORDER);
    g_assert_cmpint(nack_received(&nack, 12, 0, NACK_EITHER), ==, NACK_HOLE);
    nack_pass_over(&nack, 100000);
    g_assert_cmpint(nack_received(&nack, 100000, 0, NACK_EITHER), ==, NACK_IN_ORDER);
    g_assert_cmpuint(nack_collect(&nack, 0, 0, out, 16, &outlook), ==, 0);
    g_assert_cmpint(nack_received(&nack, 100002, 0, NACK_EITHER), ==, NACK_HOLE);
    nack_pass_over(&nack, 3); /* late: what is in front of it is known */
    g_assert_cmpint(nack_received(&nack, 100003, 0, NACK_EITHER), ==, NACK_IN_ORDER);
}

/* Where packets overtake each other, one that is late is given its time before it is asked for. */
static void test_patience(void)
{
    struct nack_generator nack = {0};
    uint16_t out[16];
    struct nack_outlook outlook;
    int64_t now = 0;
    uint64_t index = 1;
    unsigned asked = 0;
    nack_received(&nack, index, now, NACK_ORIGINAL);
    for (unsigned i = 0; i < 100; i++, index += 2) {
        now += 100 * MS;
        asked = 0;
        g_assert_cmpint(nack_received(&nack, index + 2, now, NACK_ORIGINAL), ==, NACK_HOLE);
        for (int64_t ms = 0; ms < 15; ms++)
            asked += nack_collect(&nack, now + ms * MS, 30 * MS, out, 16, &outlook);
        g_assert_cmpint(nack_received(&nack, index + 1, now + 15 * MS, NACK_ORIGINAL), ==,
                        NACK_LATE);
        g_assert_cmpuint(nack.n, ==, 0);
    }
    g_assert_cmpuint(asked, ==, 0);
    g_assert_cmpint(nack.patience, <=, 15 * MS);
    /* A loss is asked for a little later then. */
    now += 100 * MS;
    nack_received(&nack, index + 2, now, NACK_ORIGINAL);
    g_assert_cmpuint(nack_collect(&nack, now, 30 * MS, out, 16, &outlook), ==, 0);
    g_assert_cmpint(outlook.next, ==, now + nack.patience);
    g_assert_cmpuint(nack_collect(&nack, outlook.next, 30 * MS, out, 16, &outlook), ==, 1);
    g_assert_cmpint(outlook.next, >, now + nack.patience + 30 * MS);
    /* With losses alone patience goes. */
    for (unsigned i = 0; i < 200; i++, index += 2, now += 100 * MS) {
        nack_received(&nack, index + 2, now, NACK_ORIGINAL);
        nack_collect(&nack, now + 20 * MS, 30 * MS, out, 16, &outlook);
        nack_received(&nack, index + 1, now + 60 * MS, NACK_REPAIR);
    }
    g_assert_cmpint(nack.patience, ==, 0);
}

/* How long an answer takes is learned from those to a first question. */
static void test_round_trip(void)
{
    struct nack_generator nack = {0};
    uint16_t out[16];
    struct nack_outlook outlook;
    nack_received(&nack, 1, 0, NACK_ORIGINAL);
    nack_received(&nack, 3, 0, NACK_ORIGINAL);
    nack_collect(&nack, 0, 0, out, 16, &outlook);
    g_assert_cmpint(nack_received(&nack, 2, 300 * MS, NACK_REPAIR), ==, NACK_RECOVERED);
    g_assert_cmpint(nack.round_trip, ==, 300 * MS);
    nack_received(&nack, 5, 400 * MS, NACK_ORIGINAL);
    nack_collect(&nack, 400 * MS, 10 * MS, out, 16, &outlook);
    g_assert_cmpint(outlook.next, >=, 700 * MS); /* no sooner than an answer can come */
    nack_collect(&nack, outlook.next, 10 * MS, out, 16, &outlook);
    g_assert_cmpint(nack_received(&nack, 4, 800 * MS, NACK_REPAIR), ==, NACK_RECOVERED);
    g_assert_cmpint(nack.round_trip, ==, 300 * MS);
    g_assert_cmpuint(nack_collect(&nack, 900 * MS, 0, out, 16, &outlook), ==, 0);
    g_assert_cmpint(outlook.next, ==, 0);
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
    g_test_add_func("/nack-generator/patience", test_patience);
    g_test_add_func("/nack-generator/round-trip", test_round_trip);
    return g_test_run();
}
