/* SPDX-License-Identifier: Apache-2.0 */
#include "wmcf/relay/bandwidth-allocation.h"

#include <glib.h>
#include <string.h>

#define SECOND INT64_C(1000000)
#define KB 1000u

static struct allocation_video video(const uint32_t *rates)
{
    struct allocation_video ret = {0};
    for (; rates[ret.n]; ret.n++)
        ret.layers[ret.n] = (struct layer){.encoding = (uint8_t)ret.n, .bitrate = rates[ret.n]};
    return ret;
}

static const uint32_t three[] = {150 * KB, 500 * KB, 1500 * KB, 0};
static const uint32_t one[] = {400 * KB, 0};

/* Lets it settle, looking every 100 ms. */
static uint32_t settle(struct allocation_video *videos, unsigned n, uint32_t estimate, int64_t *now,
                       int64_t time)
{
    struct allocation_budget budget = {.estimate = estimate, .reserved = 50 * KB, .proven = true};
    uint32_t wanted = 0;
    for (int64_t end = *now + time; *now < end; *now += SECOND / 10)
        wanted = bandwidth_allocate(videos, n, &budget, *now);
    return wanted;
}

static void test_one(void)
{
    struct allocation_video v = video(three);
    int64_t now = SECOND;
    settle(&v, 1, 3000 * KB, &now, SECOND / 10);
    g_assert_true(v.running && v.chosen.encoding == 2); /* the first choice at once */
    settle(&v, 1, 1000 * KB, &now, SECOND / 10);
    g_assert_cmpuint(v.chosen.encoding, ==, 1);
    g_assert_true(v.changed);
    settle(&v, 1, 1000 * KB, &now, SECOND / 10);
    g_assert_false(v.changed);
    settle(&v, 1, 300 * KB, &now, SECOND / 10);
    g_assert_cmpuint(v.chosen.encoding, ==, 0);
    settle(&v, 1, 140 * KB, &now, SECOND / 10);
    g_assert_false(v.running);
    g_assert_cmpuint(allocation_video_target(&v), ==, 0);
    /* up only after a while */
    settle(&v, 1, 3000 * KB, &now, SECOND / 2);
    g_assert_false(v.running);
    uint32_t wanted = settle(&v, 1, 3000 * KB, &now, 4 * SECOND);
    g_assert_cmpuint(v.chosen.encoding, ==, 2);
    g_assert_cmpuint(wanted, >=, 1550 * KB);
    g_assert_cmpuint(wanted, <=, 2200 * KB);
}

/* An estimate that swings about a layer's rate does not make the layer swing. */
static void test_hysteresis(void)
{
    struct allocation_video v = video(three);
    int64_t now = SECOND;
    unsigned changes = 0;
    struct allocation_budget budget = {.reserved = 0, .proven = true};
    for (unsigned i = 0; i < 600; i++, now += SECOND / 10) {
        budget.estimate = (i / 7) % 2 ? 560 * KB : 490 * KB;
        bandwidth_allocate(&v, 1, &budget, now);
        changes += v.changed;
    }
    g_assert_cmpuint(changes, <=, 2);
}

/* A moment's estimate pauses nothing. */
static void test_patience(void)
{
    struct allocation_video v = video(three);
    int64_t now = SECOND;
    struct allocation_budget budget = {
        .estimate = 3000 * KB, .proven = true, .pause_after = 2 * SECOND};
    bandwidth_allocate(&v, 1, &budget, now);
    budget.estimate = 60 * KB;
    bandwidth_allocate(&v, 1, &budget, now += SECOND / 10);
    g_assert_true(v.running && v.chosen.encoding == 0);
    budget.estimate = 200 * KB;
    bandwidth_allocate(&v, 1, &budget, now += 2 * SECOND); /* it begins anew */
    budget.estimate = 60 * KB;
    bandwidth_allocate(&v, 1, &budget, now += SECOND);
    bandwidth_allocate(&v, 1, &budget, now += SECOND);
    g_assert_true(v.running);
    bandwidth_allocate(&v, 1, &budget, now += SECOND);
    g_assert_false(v.running);
}

static void test_many(void)
{
    struct allocation_video v[3] = {video(three), video(three), video(three)};
    int64_t now = SECOND;
    /* everybody's lowest before anybody's higher */
    settle(v, 3, 600 * KB, &now, 3 * SECOND);
    for (unsigned i = 0; i < 3; i++)
        g_assert_cmpuint(v[i].chosen.encoding, ==, 0);
    /* the last ones pause first */
    settle(v, 3, 320 * KB, &now, SECOND);
    g_assert_true(v[0].running && v[1].running && !v[2].running);
    settle(v, 3, 100 * KB, &now, SECOND);
    g_assert_false(v[0].running || v[1].running || v[2].running);
    /* the larger one takes its steps first */
    v[1].pixels = 1280 * 720;
    settle(v, 3, 1050 * KB, &now, 10 * SECOND);
    g_assert_cmpuint(v[1].chosen.encoding, ==, 1);
    g_assert_cmpuint(v[0].chosen.encoding, ==, 0);
    settle(v, 3, 6000 * KB, &now, 10 * SECOND);
    for (unsigned i = 0; i < 3; i++)
        g_assert_cmpuint(v[i].chosen.encoding, ==, 2);
}

static void test_limits(void)
{
    struct allocation_video v = video(three);
    int64_t now = SECOND;
    v.ceiling = 600 * KB; /* policed */
    uint32_t wanted = settle(&v, 1, 9000 * KB, &now, 3 * SECOND);
    g_assert_cmpuint(v.chosen.encoding, ==, 1);
    g_assert_cmpuint(wanted, <, 800 * KB);
    v.ceiling = 1; /* less than anything: the lowest, which the policing judges */
    settle(&v, 1, 9000 * KB, &now, 3 * SECOND);
    g_assert_true(v.running && v.chosen.encoding == 0);
}

/* Before anything was measured nothing pauses; after, what runs is kept a little longer. */
static void test_single(void)
{
    struct allocation_video v = video(one);
    struct allocation_budget budget = {.estimate = 100 * KB};
    int64_t now = SECOND;
    bandwidth_allocate(&v, 1, &budget, now);
    g_assert_true(v.running);
    budget = (struct allocation_budget){.estimate = 350 * KB, .proven = true};
    bandwidth_allocate(&v, 1, &budget, now);
    g_assert_true(v.running);
    budget.estimate = 300 * KB;
    bandwidth_allocate(&v, 1, &budget, now);
    g_assert_false(v.running);
    g_assert_true(v.changed);
}

static void test_vanishing(void)
{
    struct allocation_video v = video(three);
    int64_t now = SECOND;
    settle(&v, 1, 3000 * KB, &now, SECOND);
    g_assert_cmpuint(v.chosen.encoding, ==, 2);
    v.n = 2; /* the publisher's uplink carries no third one */
    settle(&v, 1, 3000 * KB, &now, SECOND / 10);
    g_assert_cmpuint(v.chosen.encoding, ==, 1);
    v.n = 0;
    settle(&v, 1, 3000 * KB, &now, SECOND / 10);
    g_assert_cmpuint(allocation_video_target(&v), ==, 0);
    v.n = 1;
    settle(&v, 1, 3000 * KB, &now, SECOND / 10);
    g_assert_true(v.running && v.chosen.encoding == 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bandwidth-allocation/one", test_one);
    g_test_add_func("/bandwidth-allocation/hysteresis", test_hysteresis);
    g_test_add_func("/bandwidth-allocation/patience", test_patience);
    g_test_add_func("/bandwidth-allocation/many", test_many);
    g_test_add_func("/bandwidth-allocation/limits", test_limits);
    g_test_add_func("/bandwidth-allocation/single", test_single);
    g_test_add_func("/bandwidth-allocation/vanishing", test_vanishing);
    return g_test_run();
}
