/* SPDX-License-Identifier: Apache-2.0 */
/* The worker: order, deadlines, and that nothing posted is lost at its end. Nothing sleeps: the
 * jobs themselves end the wait. */
#include "pipelines/job-thread.h"

#include <glib.h>
#include <stdatomic.h>

#define JOBS 1000

static struct {
    struct job_thread *worker;
    guint next; /* worker's thread, read after the join */
    guint turns;
    _Atomic bool due;
} state;

static void expect(void *data)
{
    g_assert_true(job_thread_is_current(state.worker));
    g_assert_cmpuint(GPOINTER_TO_UINT(data), ==, state.next);
    state.next++;
}

static void test_order(void)
{
    g_autoptr(GError) error = NULL;

    state.next = 0;
    state.worker = job_thread_new("test", NULL, &error);
    g_assert_no_error(error);
    g_assert_false(job_thread_is_current(state.worker));
    for (guint i = 0; i < JOBS; i++)
        job_thread_post(state.worker, expect, GUINT_TO_POINTER(i));
    job_thread_free(state.worker);
    g_assert_cmpuint(state.next, ==, JOBS);
    job_thread_free(NULL);
}

static void post_again(void *data)
{
    guint left = GPOINTER_TO_UINT(data);

    state.next++;
    if (left > 0)
        job_thread_post(state.worker, post_again, GUINT_TO_POINTER(left - 1));
}

static void test_last_jobs_post(void)
{
    state.next = 0;
    state.worker = job_thread_new("test", NULL, NULL);
    job_thread_post(state.worker, post_again, GUINT_TO_POINTER(9));
    job_thread_free(state.worker);
    g_assert_cmpuint(state.next, ==, 10);
}

static void *post_many(void *data)
{
    for (guint i = 0; i < JOBS; i++)
        job_thread_post(state.worker, post_again, GUINT_TO_POINTER(0));
    return NULL;
}

static void test_many_posters(void)
{
    GThread *threads[4];

    state.next = 0;
    state.worker = job_thread_new("test", NULL, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("poster", post_many, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    job_thread_free(state.worker);
    g_assert_cmpuint(state.next, ==, JOBS * G_N_ELEMENTS(threads));
}

/* Due at once, twice; then never again. */
static gint64 turn(void)
{
    if (++state.turns < 3)
        return g_get_monotonic_time();
    atomic_store(&state.due, true);
    return -1;
}

static void test_deadline(void)
{
    state.turns = 0;
    state.worker = job_thread_new("test", turn, NULL);
    while (!atomic_load(&state.due))
        g_thread_yield();
    job_thread_free(state.worker);
    g_assert_cmpuint(state.turns, >=, 3);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/job-thread/order", test_order);
    g_test_add_func("/job-thread/last-jobs-post", test_last_jobs_post);
    g_test_add_func("/job-thread/many-posters", test_many_posters);
    g_test_add_func("/job-thread/deadline", test_deadline);
    return g_test_run();
}
