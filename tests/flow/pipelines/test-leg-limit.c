/* SPDX-License-Identifier: Apache-2.0 */
/* The limit of open files bounds the legs: GLib would end the process when it is met. */
#include "base/loop.h"
#include "base/problem.h"
#include "pipelines/leg.h"

#include <glib.h>
#include <sys/resource.h>

#define DESCRIPTORS 128

static const struct pl_leg_ops ops;

static void test_limit(void)
{
    struct pl_leg *legs[DESCRIPTORS / 4];
    g_autoptr(GError) error = NULL;

    while (pl_reaper_pending() > 0)
        g_usleep(200);
    /* Twice: what is closed can be had again. */
    for (guint round = 0; round < 2; round++) {
        for (guint i = 0; i < G_N_ELEMENTS(legs); i++) {
            legs[i] = pl_leg_new("leg", &ops, NULL, &error);
            g_assert_no_error(error);
        }
        g_assert_null(pl_leg_new("leg", &ops, NULL, &error));
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_RESOURCES_UNAVAILABLE);
        g_assert_cmpuint(problem_retry_after(error), ==, 1);
        g_clear_error(&error);
        for (guint i = 0; i < G_N_ELEMENTS(legs); i++)
            pl_leg_close(legs[i]);
        while (pl_reaper_pending() > 0)
            g_usleep(200);
    }
}

int main(int argc, char **argv)
{
    const struct rlimit limit = {DESCRIPTORS / 2, DESCRIPTORS};
    g_autoptr(GError) error = NULL;
    int result;

    g_test_init(&argc, &argv, NULL);
    setrlimit(RLIMIT_NOFILE, &limit);
    loop_init(5000);
    if (!pl_init(&error)) {
        g_print("Bail out! %s\n", error->message);
        return 1;
    }
    g_test_add_func("/leg-limit/descriptors", test_limit);
    result = g_test_run();
    pl_finish();
    return result;
}
