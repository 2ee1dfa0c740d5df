/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/relay/simulated-path.h"

#define SECOND INT64_C(1000000)
#define KB 1000u
#define MB 1000000u

static const struct bandwidth_limits limits = {.start = 500 * KB, .min = 50 * KB, .max = 20 * MB};

static struct simulated_link link_of(uint32_t rate, double loss)
{
    return (struct simulated_link){.rate = rate,
                                   .queue = rate / 8 / 4 < 30000 ? 30000 : rate / 8 / 4,
                                   .delay = 20000,
                                   .loss = loss};
}

static void assert_within(const struct simulated_path *path, uint32_t rate, unsigned percent)
{
    uint32_t estimate = bandwidth_estimator_rate(&path->estimator);
    g_test_message("estimate %u of %u", estimate, rate);
    g_assert_cmpuint(estimate, >=, rate / 100 * (100 - percent));
    g_assert_cmpuint(estimate, <=, rate / 100 * (100 + percent));
}

static void offer_layers(struct simulated_path *path)
{
    static const uint32_t rates[] = {150 * KB, 600 * KB, 2400 * KB};
    for (unsigned i = 0; i < G_N_ELEMENTS(rates); i++)
        path->video.layers[i] = (struct layer){.encoding = (uint8_t)i, .bitrate = rates[i]};
    path->video.n = G_N_ELEMENTS(rates);
}

/* After 10 s, and from then on on the average. */
static void test_link(const void *data)
{
    const struct simulated_link *link = data;
    struct simulated_path path;
    simulated_path_begin(&path, link, &limits);
    path.media_max = 10 * MB;
    simulated_path_run(&path, 10 * SECOND);
    assert_within(&path, link->rate, 20);
    uint64_t received = path.received_octets;
    double estimates = 0;
    for (unsigned i = 0; i < 100; i++) {
        simulated_path_run(&path, SECOND / 10);
        estimates += bandwidth_estimator_rate(&path.estimator);
    }
    g_test_message("average %.0f, received %.0f", estimates / 100,
                   (double)(path.received_octets - received) * 8 / 10);
    g_assert_cmpfloat(estimates / 100, >=, 0.8 * link->rate);
    g_assert_cmpfloat(estimates / 100, <=, 1.2 * link->rate);
    g_assert_cmpfloat((double)(path.received_octets - received) * 8 / 10, >=,
                      0.7 * link->rate * (1 - link->loss));
    g_assert_cmpfloat((double)path.audio_received, >=, 0.9 * (double)path.audio_sent);
    simulated_path_end(&path);
}

/* Media alone would never say how much more there is. */
static void test_probing(void)
{
    struct simulated_link link = link_of(5 * MB, 0);
    struct simulated_path path;
    simulated_path_begin(&path, &link, &limits);
    path.media_max = 300 * KB;
    simulated_path_run(&path, 3 * SECOND);
    /* what is wanted is there, more is not asked for */
    g_assert_cmpuint(bandwidth_estimator_rate(&path.estimator), >=, 390 * KB);
    g_assert_cmpuint(bandwidth_estimator_rate(&path.estimator), <=, 2 * MB);
    path.media_max = 4 * MB;
    simulated_path_run(&path, 3 * SECOND);
    g_assert_cmpuint(bandwidth_estimator_rate(&path.estimator), >=, 4 * MB);
    g_test_message("padding %u of %" G_GUINT64_FORMAT, path.padding, path.sent_octets);
    g_assert_cmpuint(path.padding, <, path.sent_octets / 3);
    simulated_path_end(&path);
}

/* Times of sending by a clock of its own, as of a sender whose estimate is made for it, that is
 * days behind ours. */
static void test_clocks(void)
{
    struct simulated_link link = link_of(MB, 0);
    struct simulated_path path;
    simulated_path_begin(&path, &link, &limits);
    path.probing = false;
    path.media_max = 10 * MB;
    path.now = 4 * 86400 * SECOND;
    path.sent_late = 3 * 86400 * SECOND;
    simulated_path_run(&path, 20 * SECOND);
    assert_within(&path, MB, 20);
    path.link.rate = 3 * MB;
    simulated_path_run(&path, 90 * SECOND);
    assert_within(&path, 3 * MB, 20);
    simulated_path_end(&path);
}

static void test_change(void)
{
    struct simulated_link link = link_of(5 * MB, 0);
    struct simulated_path path;
    simulated_path_begin(&path, &link, &limits);
    path.media_max = 10 * MB;
    simulated_path_run(&path, 10 * SECOND);
    path.link.rate = 500 * KB;
    simulated_path_run(&path, 3 * SECOND);
    g_assert_cmpuint(bandwidth_estimator_rate(&path.estimator), <=, 600 * KB);
    simulated_path_run(&path, 5 * SECOND);
    /* and what had gathered before it was noticed does not stand there for ever */
    g_assert_cmpfloat(path.backlog * 8 / path.link.rate, <, 0.3);
    assert_within(&path, 500 * KB, 25);
    path.link.rate = 2 * MB;
    simulated_path_run(&path, 5 * SECOND);
    assert_within(&path, 2 * MB, 25);
    simulated_path_end(&path);
}

static void test_cross_traffic(void)
{
    struct simulated_link link = link_of(2 * MB, 0);
    struct simulated_path path;
    link.cross = 1 * MB;
    simulated_path_begin(&path, &link, &limits);
    path.media_max = 10 * MB;
    simulated_path_run(&path, 12 * SECOND);
    assert_within(&path, 1 * MB, 30);
    simulated_path_end(&path);
}

static void test_jitter(void)
{
    struct simulated_link link = link_of(2 * MB, 0);
    struct simulated_path path;
    link.jitter = 20000;
    simulated_path_begin(&path, &link, &limits);
    path.media_max = 10 * MB;
    simulated_path_run(&path, 15 * SECOND);
    assert_within(&path, 2 * MB, 35);
    simulated_path_end(&path);
}

/* A lossy link is not a full one: the rate does not collapse. */
static void test_heavy_loss(void)
{
    struct simulated_link link = link_of(3 * MB, 0.12);
    struct simulated_path path;
    simulated_path_begin(&path, &link, &limits);
    path.media_max = 10 * MB;
    simulated_path_run(&path, 30 * SECOND);
    uint32_t estimate = bandwidth_estimator_rate(&path.estimator);
    g_test_message("estimate %u, inherent %f", estimate, path.estimator.inherent);
    g_assert_cmpuint(estimate, >=, 1500 * KB);
    g_assert_cmpuint(estimate, <=, 3600 * KB);
    simulated_path_end(&path);
}

/* A link that has room for all and loses an eighth of it: what was known to be lost by chance is
 * not taken for a full link again and again. */
static void test_random_loss(void)
{
    struct simulated_link link = link_of(20 * MB, 0.12);
    struct simulated_path path;
    link.jitter = 20000;
    simulated_path_begin(&path, &link, &limits);
    path.feedback_loss = 0.1;
    path.video.layers[0] = (struct layer){.encoding = 0, .bitrate = 150 * KB};
    path.video.layers[1] = (struct layer){.encoding = 0, .temporal = 1, .bitrate = 500 * KB};
    path.video.n = 2;
    simulated_path_run(&path, 15 * SECOND);
    int64_t before = path.below_time;
    simulated_path_run(&path, 120 * SECOND);
    g_test_message("below the highest layer %.1f of 120 s, inherent %f",
                   (double)(path.below_time - before) / SECOND, path.estimator.inherent);
    g_assert_cmpint(path.below_time - before, <, 2 * SECOND);
    simulated_path_end(&path);
}

/* Ten packets, one every 10 ms; those of `lost` (bits) are. */
static void report(struct bandwidth_estimator *estimator, int64_t at, uint8_t probe, unsigned lost)
{
    struct packet_result results[10];
    for (unsigned i = 0; i < G_N_ELEMENTS(results); i++)
        results[i] = (struct packet_result){.sent = at + i * 10000,
                                            .arrival = at + i * 10000 + 20000,
                                            .octets = 1250,
                                            .probe = probe,
                                            .received = !(lost >> i & 1)};
    bandwidth_estimator_feedback(estimator, results, G_N_ELEMENTS(results), at + 140000);
}

/* A probe that has lost packets tells what it has to tell once, not with each report after it; and
 * what is lost of it does not make it a slow one. */
static void test_torn_probe(void)
{
    struct bandwidth_estimator estimator;
    bandwidth_estimator_init(&estimator, &limits);
    for (unsigned i = 0; i < 10; i++)
        report(&estimator, SECOND + i * SECOND / 10, 0, 0);
    bandwidth_estimator_expect_probe(&estimator, 1, 12500, 1 * MB);
    report(&estimator, 2 * SECOND, 1, 1 << 3 | 1 << 6);
    uint32_t probed = bandwidth_estimator_rate(&estimator);
    g_test_message("%u bits/s", probed);
    g_assert_cmpuint(probed, >, 750 * KB);
    g_assert_false(bandwidth_estimator_proven(&estimator, 2 * SECOND + 140000));
    estimator.by_delay = 100 * KB; /* whatever may have told so */
    report(&estimator, 2 * SECOND + SECOND / 10, 0, 0);
    g_assert_cmpuint(bandwidth_estimator_rate(&estimator), <, 200 * KB);
}

/* One encoding, which cannot be sent smaller, on a way that has room for all of it, loses a tenth
 * of it and brings it out of order: there is no reason to withhold it, and what the estimate falls
 * to cannot be tried by sending less. Quiet before or not. */
static void test_lone(const void *data)
{
    int64_t quiet = *(const int64_t *)data;
    int64_t paused = 0;
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct simulated_link link = link_of(20 * MB, 0);
        struct simulated_path path;
        unsigned least = 20 * MB;
        link.jitter = 20000;
        link.reorders = true;
        simulated_path_begin(&path, &link, &limits);
        g_rand_set_seed(path.random, seed);
        path.feedback_loss = 0.1;
        path.video.layers[0] = (struct layer){.bitrate = 750 * KB};
        path.video.n = 1;
        path.wander = 0.5;
        path.repairs = 0.35;
        simulated_path_run(&path, quiet);
        path.link.loss = 0.12;
        for (unsigned i = 0; i < 1200; i++) {
            simulated_path_run(&path, SECOND / 10);
            least = MIN(least, bandwidth_estimator_rate(&path.estimator));
        }
        g_test_message("paused %.1f of 120 s, estimate at least %u, inherent %f",
                       (double)path.paused_time / SECOND, least, path.estimator.inherent);
        paused += path.paused_time;
        simulated_path_end(&path);
    }
    g_assert_cmpint(paused, ==, 0);
}

struct narrow {
    const char *name;
    uint32_t rate;
    double loss;
    bool polices, jitters;
};

/* One encoding of twice what the way carries, with or without a queue that tells, with or without
 * loss and jitter on top: it pauses, and audio goes on. */
static void test_lone_narrow(const void *data)
{
    const struct narrow *narrow = data;
    struct simulated_link link = link_of(narrow->rate, narrow->loss);
    struct simulated_path path;
    link.polices = narrow->polices;
    link.jitter = narrow->jitters ? 20000 : 0;
    link.reorders = narrow->jitters;
    simulated_path_begin(&path, &link, &limits);
    path.feedback_loss = narrow->loss;
    path.video.layers[0] = (struct layer){.bitrate = 2 * narrow->rate};
    path.video.n = 1;
    path.wander = 0.3;
    simulated_path_run(&path, 10 * SECOND);
    int64_t paused = path.paused_time;
    uint64_t sent = path.audio_sent, received = path.audio_received;
    unsigned padding = path.padding;
    simulated_path_run(&path, 60 * SECOND);
    padding = (path.padding - padding) / 60 * 8;
    double heard = (double)(path.audio_received - received) / (double)(path.audio_sent - sent);
    g_test_message("paused %.1f of 60 s, audio %.3f, estimate %u, probes of %u bits/s",
                   (double)(path.paused_time - paused) / SECOND, heard,
                   bandwidth_estimator_rate(&path.estimator), padding);
    g_assert_cmpint(path.paused_time - paused, >=, 30 * SECOND);
    g_assert_cmpfloat(heard, >=, (1 - narrow->loss) * 0.95);
    g_assert_cmpuint(padding, <=, narrow->rate / 5);
    simulated_path_end(&path);
}

/* A policer: no queue that would tell by its delay. */
static void test_policed(void)
{
    struct simulated_link link = link_of(1 * MB, 0);
    struct simulated_path path;
    link.queue = 20000;
    link.polices = true;
    simulated_path_begin(&path, &link, &limits);
    path.media_max = 10 * MB;
    path.probing = false;
    path.estimator.by_delay = 3 * MB;
    simulated_path_run(&path, 15 * SECOND);
    g_test_message("loss %f", path.estimator.loss);
    assert_within(&path, 1 * MB, 35);
    simulated_path_end(&path);
}

static void test_silence(void)
{
    struct simulated_link link = link_of(5 * MB, 0);
    struct simulated_path path;
    simulated_path_begin(&path, &link, &limits);
    path.media_max = 10 * MB;
    simulated_path_run(&path, 5 * SECOND);
    uint32_t before = bandwidth_estimator_rate(&path.estimator);
    bandwidth_estimator_silence(&path.estimator, path.now + 2 * SECOND);
    g_assert_cmpuint(bandwidth_estimator_rate(&path.estimator), <=, before / 2 + 1);
    for (unsigned i = 3; i < 30; i++)
        bandwidth_estimator_silence(&path.estimator, path.now + i * SECOND);
    g_assert_cmpuint(bandwidth_estimator_rate(&path.estimator), <=, before / 4 + 1);
    g_assert_cmpuint(bandwidth_estimator_rate(&path.estimator), >=, before / 9);
    /* the way was gone, not narrower */
    simulated_path_run(&path, SECOND / 2);
    g_assert_cmpuint(bandwidth_estimator_rate(&path.estimator), >=, before / 2);
    simulated_path_end(&path);
}

/* A clock that jumps, ours or its, is no queue: that would be longer than it took to hear of it. */
static void test_clock(void)
{
    static const int64_t jumps[] = {SECOND / 2, 5 * SECOND, 20 * SECOND, -5 * SECOND};
    for (unsigned i = 0; i < G_N_ELEMENTS(jumps); i++) {
        struct simulated_link link = link_of(5 * MB, 0);
        struct simulated_path path;
        simulated_path_begin(&path, &link, &limits);
        path.clock = 10 * SECOND;
        offer_layers(&path);
        simulated_path_run(&path, 10 * SECOND);
        uint32_t before = bandwidth_estimator_rate(&path.estimator);
        path.below_longest = 0;
        path.below_since = path.now;
        path.clock += jumps[i];
        for (unsigned k = 0; k < 80; k++) {
            simulated_path_run(&path, SECOND / 10);
            g_assert_cmpuint(bandwidth_estimator_rate(&path.estimator), >=, before / 10 * 8);
        }
        g_assert_cmpint(path.below_longest, <=, SECOND);
        simulated_path_end(&path);
    }
}

/* Another network: longer, narrower or wider. What was lost on the former one, and how long that
 * one took, does not count. */
static void test_move(void)
{
    static const struct {
        uint32_t from, to;
        int64_t delay;
    } moves[] = {{5 * MB, 5 * MB, 220000}, {600 * KB, 5 * MB, 120000}, {5 * MB, 5 * MB, 3000}};
    for (unsigned i = 0; i < G_N_ELEMENTS(moves); i++) {
        struct simulated_link link = link_of(moves[i].from, 0);
        struct simulated_path path;
        simulated_path_begin(&path, &link, &limits);
        offer_layers(&path);
        simulated_path_run(&path, 10 * SECOND);
        path.link = link_of(moves[i].to, 1);
        simulated_path_run(&path, SECOND / 4); /* goes to where nobody is any more */
        path.link = link_of(moves[i].to, 0);
        path.link.delay = moves[i].delay;
        bandwidth_estimator_move(&path.estimator, path.now);
        path.prober = (struct prober){.id = path.prober.id};
        path.paused_time = path.below_longest = 0;
        path.below_since = path.now;
        simulated_path_run(&path, 5 * SECOND);
        g_test_message("below the top %.1f s", (double)path.below_longest / SECOND);
        g_assert_cmpint(path.paused_time, ==, 0);
        g_assert_cmpint(path.below_longest, <=, 3 * SECOND);
        g_assert_cmpuint(bandwidth_estimator_rate(&path.estimator), >=, 24 * MB / 10);
        simulated_path_end(&path);
    }
}

/* While there is only sound little is sent, and what is known of the way stays known: a video that
 * is added has its room at once. Sound alone through a busy receiver is no full link either. */
static void test_sound_only(void)
{
    static const struct simulated_stalls stalls[] = {
        {0},
        {.least = 20000, .most = 150000, .between = 100000},
        {.least = 100000, .most = 800000, .between = 300000},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(stalls); i++) {
        struct simulated_link link = {.rate = 100 * MB, .queue = 1000000, .delay = 5000};
        struct simulated_path path;
        simulated_path_begin(&path, &link, &limits);
        path.stalls = stalls[i];
        offer_layers(&path);
        simulated_path_run(&path, 20 * SECOND);
        path.video.n = 0;
        path.media_max = 0;
        simulated_path_run(&path, 60 * SECOND);
        uint32_t alone = bandwidth_estimator_rate(&path.estimator);
        path.video = (struct allocation_video){0};
        offer_layers(&path);
        path.below_longest = path.paused_time = 0;
        path.below_since = path.now;
        simulated_path_run(&path, 10 * SECOND);
        g_test_message("stalls to %d ms: alone %u, below the top %.1f s",
                       (int)stalls[i].most / 1000, alone, (double)path.below_longest / SECOND);
        g_assert_cmpint(path.paused_time, ==, 0);
        g_assert_cmpint(path.below_longest, <=, 2 * SECOND);
        simulated_path_end(&path);
    }
}

/* --- receivers whose processor is busy -------------------------------------------------------- */

struct busy {
    struct simulated_stalls stalls;
    int64_t feedback_interval;
    double feedback_loss;
};

/* Without a limit on the way, none is found in their lateness. */
static void test_busy(const void *data)
{
    const struct busy *busy = data;
    struct simulated_link link = {.rate = 100 * MB, .queue = 1000000, .delay = 5000};
    struct simulated_path path;
    simulated_path_begin(&path, &link, &limits);
    path.stalls = busy->stalls;
    path.feedback_interval = busy->feedback_interval;
    path.feedback_loss = busy->feedback_loss;
    offer_layers(&path);
    simulated_path_run(&path, 20 * SECOND);
    path.below_longest = path.below_time = 0;
    path.below_since = path.now;
    simulated_path_run(&path, 60 * SECOND);
    g_test_message("estimate %u, below the top %.1f s, at once %.1f s, paused %.1f s, overuses %u",
                   bandwidth_estimator_rate(&path.estimator), (double)path.below_time / SECOND,
                   (double)path.below_longest / SECOND, (double)path.paused_time / SECOND,
                   path.estimator.overuses);
    g_assert_cmpint(path.paused_time, ==, 0);
    g_assert_cmpint(path.below_longest, <=, SECOND);
    g_assert_cmpint(path.below_time, <=, 2 * SECOND);
    simulated_path_end(&path);
}

/* A limit is found all the same. */
static void test_busy_limited(void)
{
    static const uint32_t rates[] = {500 * KB, 2 * MB};
    static const int64_t most[] = {100000, 400000, 800000};
    for (unsigned i = 0; i < G_N_ELEMENTS(rates) * G_N_ELEMENTS(most); i++) {
        struct simulated_link link = link_of(rates[i / G_N_ELEMENTS(most)], 0.01);
        struct simulated_path path;
        double estimates = 0;
        simulated_path_begin(&path, &link, &limits);
        path.stalls = (struct simulated_stalls){
            .least = 30000, .most = most[i % G_N_ELEMENTS(most)], .between = 300000};
        path.media_max = 10 * MB;
        simulated_path_run(&path, 10 * SECOND);
        uint64_t sent = path.audio_sent, received = path.audio_received;
        for (unsigned k = 0; k < 200; k++) {
            simulated_path_run(&path, SECOND / 10);
            estimates += bandwidth_estimator_rate(&path.estimator) / 200.0;
        }
        g_test_message("%u kbit/s, stalls to %d ms: %.0f, audio lost %.3f", link.rate / KB,
                       (int)path.stalls.most / 1000, estimates,
                       1 - (double)(path.audio_received - received) /
                               (double)(path.audio_sent - sent));
        g_assert_cmpfloat(estimates, >=, 0.6 * link.rate);
        g_assert_cmpfloat(estimates, <=, 1.35 * link.rate);
        simulated_path_end(&path);
    }
}

/* What a relay cannot make smaller than its layers: each change of the link is followed. */
static void test_layers(void)
{
    struct simulated_link link = link_of(5 * MB, 0);
    struct simulated_path path;
    static const struct {
        uint32_t rate;
        unsigned layer;
    } steps[] = {{500 * KB, 0}, {5 * MB, 2},   {300 * KB, 0},
                 {1 * MB, 1},   {300 * KB, 0}, {20 * MB, 2}};
    simulated_path_begin(&path, &link, &limits);
    offer_layers(&path);
    simulated_path_run(&path, 5 * SECOND);
    g_assert_cmpuint(path.video.choice, ==, 2);
    for (unsigned i = 0; i < G_N_ELEMENTS(steps); i++) {
        uint64_t sent = path.audio_sent, received = path.audio_received;
        int64_t began = path.now;
        path.link = link_of(steps[i].rate, 0);
        while (path.now - began < 5 * SECOND &&
               (path.video.choice != steps[i].layer || !path.video.running))
            simulated_path_run(&path, SECOND / 100);
        double took = (double)(path.now - began) / SECOND;
        simulated_path_run(&path, 8 * SECOND);
        g_test_message("%u kbit/s: %.2f s, audio lost %d of %d, backlog %.0f ms, estimate %u",
                       steps[i].rate / KB, took,
                       (int)(path.audio_sent - sent) - (int)(path.audio_received - received),
                       (int)(path.audio_sent - sent), path.backlog * 8e3 / path.link.rate,
                       bandwidth_estimator_rate(&path.estimator));
        g_assert_cmpfloat(took, <, 5);
        g_assert_true(path.video.running);
        g_assert_cmpuint(path.video.choice, ==, steps[i].layer);
    }
    g_assert_cmpint(path.paused_time, ==, 0);
    simulated_path_end(&path);
}

/* A link that is suddenly an eighth of what is sent, with 200 ms of queue: whatever is sent before
 * the first feedback tells of it is lost with that, and not much more. */
static void test_squeeze(const void *data)
{
    int64_t interval = *(const int64_t *)data;
    unsigned worst = 0, sum = 0;
    for (unsigned phase = 0; phase < 10; phase++) {
        struct simulated_link link = link_of(20 * MB, 0);
        struct simulated_path path;
        link.delay = 1000;
        simulated_path_begin(&path, &link, &limits);
        path.feedback_interval = interval;
        offer_layers(&path);
        simulated_path_run(&path, 10 * SECOND + phase * 11000);
        g_assert_cmpuint(path.video.choice, ==, 2);
        path.link.rate = 300 * KB;
        path.link.queue = 300 * KB / 8 / 5;
        uint64_t sent = path.audio_sent, received = path.audio_received;
        simulated_path_run(&path, 5 * SECOND);
        unsigned lost = (unsigned)((path.audio_sent - sent) - (path.audio_received - received));
        g_assert_cmpuint(path.video.choice, ==, 0);
        g_assert_true(path.video.running);
        worst = MAX(worst, lost);
        sum += lost;
        simulated_path_end(&path);
    }
    g_test_message("audio lost: %.1f packets, %u at worst", sum / 10.0, worst);
    g_assert_cmpuint(worst, <=, 5); /* 100 ms */
}

/* Two and three behind one link; three take longer to become equal than this lasts. */
static void test_shared(void)
{
    for (unsigned n = 2; n <= 3; n++) {
        struct simulated_link link = link_of(1 * MB, 0);
        struct simulated_path paths[3];
        double received[3] = {0}, sum = 0;
        for (unsigned i = 0; i < n; i++) {
            simulated_path_begin(&paths[i], &link, &limits);
            paths[i].media_max = 10 * MB;
            paths[i].shares = i ? &paths[0] : NULL;
        }
        simulated_paths_run(paths, 1, 5 * SECOND); /* one is there already */
        for (unsigned i = 1; i < n; i++)
            paths[i].now = paths[0].now;
        simulated_paths_run(paths, n, 20 * SECOND);
        for (unsigned i = 0; i < n; i++)
            received[i] = (double)paths[i].received_octets;
        simulated_paths_run(paths, n, 30 * SECOND);
        for (unsigned i = 0; i < n; i++) {
            received[i] = ((double)paths[i].received_octets - received[i]) * 8 / 30;
            sum += received[i];
            g_test_message("%u of %u: %.0f bits/s, audio %.3f", i, n, received[i],
                           (double)paths[i].audio_received / (double)paths[i].audio_sent);
        }
        for (unsigned i = 0; i < n; i++) {
            g_assert_cmpfloat(received[i], >=, n == 2 ? sum / 3 : limits.min);
            g_assert_cmpfloat((double)paths[i].audio_received, >=,
                              0.97 * (double)paths[i].audio_sent);
        }
        g_assert_cmpfloat(sum, >=, 0.75 * link.rate);
        for (unsigned i = 0; i < n; i++)
            simulated_path_end(&paths[i]);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    static const struct simulated_stalls stalls[] = {
        {.least = 20000, .most = 60000, .between = 40000},
        {.least = 50000, .most = 200000, .between = 150000},
        {.least = 50000, .most = 800000, .between = 700000},
        {.least = 90000, .most = 100000, .between = 3000},
        {.least = 600000, .most = 800000, .between = 300000},
        {.least = 50000, .most = 700000, .between = 700000, .room = 100000},
    };
    static const int64_t intervals[] = {50000, 100000, 250000};
    static struct busy busy[G_N_ELEMENTS(stalls) * G_N_ELEMENTS(intervals) * 2];
    for (unsigned i = 0; i < G_N_ELEMENTS(busy); i++) {
        busy[i] = (struct busy){.stalls = stalls[i / 2 % G_N_ELEMENTS(stalls)],
                                .feedback_interval = intervals[i / 2 / G_N_ELEMENTS(stalls)],
                                .feedback_loss = i % 2 ? 0.2 : 0};
        g_autofree char *name =
            g_strdup_printf("/bandwidth-estimator/busy/%d-%d-%d/%s",
                            (int)busy[i].stalls.least / 1000, (int)busy[i].stalls.most / 1000,
                            (int)busy[i].feedback_interval / 1000, i % 2 ? "lossy" : "whole");
        g_test_add_data_func(name, &busy[i], test_busy);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(intervals); i++) {
        g_autofree char *name =
            g_strdup_printf("/bandwidth-estimator/squeeze/%d", (int)intervals[i] / 1000);
        g_test_add_data_func(name, &intervals[i], test_squeeze);
    }
    static const uint32_t rates[] = {500 * KB, 2 * MB, 5 * MB};
    static const double losses[] = {0, 0.01};
    static struct simulated_link links[6];
    for (unsigned i = 0; i < G_N_ELEMENTS(links); i++) {
        links[i] = link_of(rates[i / 2], losses[i % 2]);
        g_autofree char *name =
            g_strdup_printf("/bandwidth-estimator/%u-kbps-loss-%u", rates[i / 2] / 1000, i % 2);
        g_test_add_data_func(name, &links[i], test_link);
    }
    g_test_add_func("/bandwidth-estimator/clocks", test_clocks);
    g_test_add_func("/bandwidth-estimator/probing", test_probing);
    g_test_add_func("/bandwidth-estimator/change", test_change);
    g_test_add_func("/bandwidth-estimator/cross-traffic", test_cross_traffic);
    g_test_add_func("/bandwidth-estimator/jitter", test_jitter);
    g_test_add_func("/bandwidth-estimator/heavy-loss", test_heavy_loss);
    g_test_add_func("/bandwidth-estimator/random-loss", test_random_loss);
    g_test_add_func("/bandwidth-estimator/torn-probe", test_torn_probe);
    static const int64_t quiet[] = {0, 20 * SECOND};
    g_test_add_data_func("/bandwidth-estimator/lone/from-the-beginning", &quiet[0], test_lone);
    g_test_add_data_func("/bandwidth-estimator/lone/after-quiet", &quiet[1], test_lone);
    static const struct narrow narrow[] = {
        {"queue", 500 * KB, 0, false, false},
        {"queue-jitter", 500 * KB, 0, false, true},
        {"queue-loss-jitter", 500 * KB, 0.1, false, true},
        {"narrower-queue-loss-jitter", 200 * KB, 0.1, false, true},
        {"policed", 500 * KB, 0, true, false},
        {"policed-loss-jitter", 500 * KB, 0.1, true, true},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(narrow); i++) {
        g_autofree char *name =
            g_strdup_printf("/bandwidth-estimator/lone/narrow/%s", narrow[i].name);
        g_test_add_data_func(name, &narrow[i], test_lone_narrow);
    }
    g_test_add_func("/bandwidth-estimator/policed", test_policed);
    g_test_add_func("/bandwidth-estimator/silence", test_silence);
    g_test_add_func("/bandwidth-estimator/clock", test_clock);
    g_test_add_func("/bandwidth-estimator/move", test_move);
    g_test_add_func("/bandwidth-estimator/sound-only", test_sound_only);
    g_test_add_func("/bandwidth-estimator/busy/limited", test_busy_limited);
    g_test_add_func("/bandwidth-estimator/layers", test_layers);
    g_test_add_func("/bandwidth-estimator/shared", test_shared);
    return g_test_run();
}
