/* SPDX-License-Identifier: Apache-2.0 */
/* What a leg costs in threads, descriptors, memory and CPU time, and that all of it comes back. */
#include "base/loop.h"
#include "tests/flow/pipelines/call.h"

#include <string.h>

/* A leg without data channels: 150 in November 2026, on GStreamer 1.22 and OpenSSL 3.0. */
#define KILOBYTES_MAX 180

static guint own_threads; /* before pl_init(), and the three that it starts */

struct usage {
    guint threads, descriptors, kilobytes;
    gint64 cpu_us;
};

static guint status_value(const char *name)
{
    g_autofree char *text = NULL;
    const char *at;

    g_assert_true(g_file_get_contents("/proc/self/status", &text, NULL, NULL));
    at = strstr(text, name);
    return at ? (guint)strtoul(at + strlen(name), NULL, 10) : 0;
}

static struct usage usage_now(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    struct usage usage = {.threads = status_value("Threads:"),
                          .kilobytes = status_value("VmRSS:"),
                          .cpu_us = call_cpu_us(CLOCK_PROCESS_CPUTIME_ID) - call_peers_cpu_us};

    while (g_dir_read_name(dir))
        usage.descriptors++;
    return usage;
}

/* Until all pipelines are gone, and webrtcbin's threads too, which nobody joins: main, DTLS, SCTP
 * and reaper stay. */
static void settle(void)
{
    gint64 limit = g_get_monotonic_time() + 5 * G_USEC_PER_SEC;

    while ((pl_reaper_pending() > 0 || status_value("Threads:") > own_threads) &&
           g_get_monotonic_time() < limit)
        g_usleep(1000);
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

/* Opens LEGS legs one after the other, all at once open, and closes them. */
static void open_many(struct usage *ret_before, struct usage *ret_after)
{
#ifdef __SANITIZE_ADDRESS__
    enum { LEGS = 30 }; /* twenty times slower */
#else
    enum { LEGS = 200 };
#endif
    struct call *calls[LEGS];
    struct usage open;
    gint64 began = g_get_monotonic_time(), took;

    settle();
    *ret_before = usage_now();
    for (guint i = 0; i < LEGS; i++) {
        struct call *call = calls[i] = call_new(true, DTLS_PEER_ECDSA);

        call_start(call, true);
        pl_leg_ice_connected(call->leg);
        dtls_peer_step(call->peer);
        g_assert_true(call_turn_until(call, &call->connected, 1));
        g_clear_pointer(&call->peer, dtls_peer_free);
    }
    took = g_get_monotonic_time() - began;
    open = usage_now();
    g_assert_cmpuint(pl_legs_count(), ==, LEGS);
    g_test_message("%u legs: %.2f threads, %.2f descriptors, %.0f KB, %.2f ms CPU per leg, "
                   "%.0f legs/s",
                   LEGS, (open.threads - ret_before->threads) / (double)LEGS,
                   (open.descriptors - ret_before->descriptors) / (double)LEGS,
                   (open.kilobytes - ret_before->kilobytes) / (double)LEGS,
                   (double)(open.cpu_us - ret_before->cpu_us) / LEGS / 1000,
                   LEGS * 1e6 / (double)took);
    g_assert_cmpuint(open.threads - ret_before->threads, <=, LEGS);
    g_assert_cmpuint(open.descriptors - ret_before->descriptors, <=, LEGS);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    g_assert_cmpuint(open.kilobytes - ret_before->kilobytes, <=, LEGS * KILOBYTES_MAX);
#endif
    began = g_get_monotonic_time();
    for (guint i = 0; i < LEGS; i++)
        call_close(calls[i]);
    took = g_get_monotonic_time() - began;
    settle();
    g_test_message("closed in %.3f ms each, %.2f ms with the reaper", (double)took / 1000 / LEGS,
                   (double)(g_get_monotonic_time() - began) / 1000 / LEGS);
    for (guint i = 0; i < LEGS; i++)
        call_free(calls[i]);
    g_assert_cmpuint(pl_legs_count(), ==, 0);
    settle();
    *ret_after = usage_now();
}

static void test_many(void)
{
    struct usage before, after, again;

    open_many(&before, &after);
    g_assert_cmpuint(after.threads, ==, before.threads);
    g_assert_cmpuint(after.descriptors, ==, before.descriptors);
    /* What the first round took for good is there for the second. */
    open_many(&before, &again);
    g_assert_cmpuint(again.threads, ==, before.threads);
    g_assert_cmpuint(again.descriptors, ==, before.descriptors);
    g_test_message("the second round left %d KB", (int)(again.kilobytes - after.kilobytes));
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    int result;

    g_test_init(&argc, &argv, NULL);
    loop_init(5000); /* the peers run on this thread too, under sanitizers */
    own_threads = status_value("Threads:") + 3;
    if (!pl_init(&error)) {
        g_print("Bail out! %s\n", error->message);
        return 1;
    }
    g_test_add_func("/leg-cost/many", test_many);
    result = g_test_run();
    pl_finish();
    return result;
}
