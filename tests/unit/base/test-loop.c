/* SPDX-License-Identifier: Apache-2.0 */
/* Posts from several threads, timers and their freeing, the budget of handlers. Timers run on the
 * real clock with delays of a few milliseconds; nothing waits for longer than it must. */
#include "base/loop.h"

#include "base/metrics.h"

#include <signal.h>

#define THREADS 4
#define POSTS 5000

static void quit(void *data)
{
    loop_quit();
}

/* --- posts -------------------------------------------------------------------------------- */

struct numbered {
    guint thread, number;
};

static guint next_number[THREADS], arrived;

static void take_numbered(void *data)
{
    struct numbered *item = data;
    loop_assert();
    g_assert_cmpuint(item->number, ==, next_number[item->thread]);
    next_number[item->thread]++;
    g_free(item);
    if (++arrived == THREADS * POSTS)
        loop_quit();
}

static gpointer post_many(gpointer data)
{
    g_assert_false(loop_is_current());
    for (guint i = 0; i < POSTS; i++) {
        struct numbered *item = g_new(struct numbered, 1);
        *item = (struct numbered){.thread = GPOINTER_TO_UINT(data), .number = i};
        loop_post("numbered", take_numbered, item);
    }
    return NULL;
}

static void test_post_order(void)
{
    GThread *threads[THREADS];
    for (guint i = 0; i < THREADS; i++)
        threads[i] = g_thread_new("post", post_many, GUINT_TO_POINTER(i));
    loop_run(NULL);
    for (guint i = 0; i < THREADS; i++)
        g_thread_join(threads[i]);
    g_assert_cmpuint(arrived, ==, THREADS * POSTS);
}

static void post_again(void *data)
{
    guint *left = data;
    if ((*left)--)
        loop_post("again", post_again, left);
}

static void test_post_does_not_starve(void)
{
    /* A handler that posts itself for ever must leave timers their turn. */
    guint left = G_MAXUINT;
    struct loop_timer *timer = loop_timer_new("quit", quit, NULL);
    loop_timer_start(timer, 5);
    loop_post("again", post_again, &left);
    loop_run(NULL);
    loop_timer_free(timer);
    left = 0;
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

/* --- timers ------------------------------------------------------------------------------- */

#define MANY 500

struct one {
    struct loop_timer *timer;
    gint64 due;
};
static struct one many[MANY];
static gint64 last_due;
static guint fired;

static void one_fires(void *data)
{
    struct one *one = data;
    g_assert_cmpint(one->due, >=, last_due - 1); /* the millisecond may end between the two */
    last_due = one->due;
    fired++;
    /* Every callback ends another's timer, which may be anywhere in the heap. */
    struct one *other = &many[g_random_int_range(0, MANY)];
    if (other != one && other->timer) {
        loop_timer_free(other->timer);
        other->timer = NULL;
    }
}

static void test_timer_order(void)
{
    for (guint i = 0; i < MANY; i++) {
        guint ms = (guint)g_random_int_range(0, 30);
        many[i].timer = loop_timer_new("one", one_fires, &many[i]);
        loop_timer_start(many[i].timer, (guint)g_random_int_range(0, 1000));
        many[i].due = g_get_monotonic_time() / 1000 + ms;
        loop_timer_start(many[i].timer, ms); /* anew */
    }
    for (guint i = 0; i < MANY; i += 10)
        loop_timer_stop(many[i].timer);
    struct loop_timer *end = loop_timer_new("quit", quit, NULL);
    loop_timer_start(end, 60);
    loop_run(NULL);
    g_assert_cmpuint(fired, >, MANY / 3);
    loop_timer_free(end);
    for (guint i = 0; i < MANY; i++)
        loop_timer_free(many[i].timer);
}

struct ticking {
    struct loop_timer *timer;
    guint ticks;
};

static void tick_three_times(void *data)
{
    struct ticking *ticking = data;
    if (++ticking->ticks < 3)
        return;
    g_clear_pointer(&ticking->timer, loop_timer_free);
    loop_quit();
}

static void restart_three_times(void *data)
{
    struct ticking *ticking = data;
    if (++ticking->ticks < 3)
        loop_timer_start(ticking->timer, 1);
    else
        loop_quit();
}

static void never(void *data)
{
    g_assert_not_reached();
}

static void test_timers(void)
{
    struct loop_timer *stopped = loop_timer_new("stopped", never, NULL);
    struct loop_timer *unused = loop_timer_new("unused", never, NULL);
    loop_timer_start(stopped, 1);
    loop_timer_stop(stopped);

    struct ticking repeating = {0};
    repeating.timer = loop_timer_new("repeating", tick_three_times, &repeating);
    gint64 start = g_get_monotonic_time();
    loop_timer_start_repeating(repeating.timer, 4);
    loop_run(NULL);
    g_assert_cmpuint(repeating.ticks, ==, 3);
    g_assert_null(repeating.timer);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 12000);

    struct ticking shot = {0};
    shot.timer = loop_timer_new("shot", restart_three_times, &shot);
    loop_timer_start(shot.timer, 0);
    loop_run(NULL);
    g_assert_cmpuint(shot.ticks, ==, 3);

    loop_timer_free(shot.timer);
    loop_timer_free(stopped);
    loop_timer_free(unused);
    loop_timer_free(NULL);
}

/* --- the rest ----------------------------------------------------------------------------- */

static double slow_count(const char *name)
{
    struct metric *slow =
        metric_register(METRIC_COUNTER, "loop_slow_handlers", NULL, "", "handler");
    return metric_value(slow, (const char *const[]){name});
}

static void be_slow(void *data)
{
    gint64 end = g_get_monotonic_time() + 100000, now = loop_now();
    while (g_get_monotonic_time() < end)
        ;
    g_assert_cmpint(loop_now(), ==, now);
}

static void be_quick(void *data)
{
}

static void test_slow_handler(void)
{
    loop_post("quick", be_quick, NULL);
    loop_post("slow", be_slow, NULL);
    loop_post("quick", be_quick, NULL);
    struct loop_timer *timer = loop_timer_new("quit", quit, NULL);
    loop_timer_start(timer, 102);
    loop_run(NULL);
    loop_timer_free(timer);
    g_assert_cmpfloat(slow_count("slow"), ==, 1);
    g_assert_cmpfloat(slow_count("quick"), ==, 0);
}

static void on_signal(int signo)
{
    g_assert_cmpint(signo, ==, SIGTERM);
    loop_quit();
}

static void raise_term(void *data)
{
    raise(SIGTERM);
}

static void test_signal(void)
{
    loop_post("raise", raise_term, NULL);
    loop_run(on_signal);
}

static void test_quit_before_run(void)
{
    loop_quit();
    loop_run(NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(20);
    g_test_add_func("/loop/timer-order", test_timer_order);
    g_test_add_func("/loop/post-order", test_post_order);
    g_test_add_func("/loop/post-does-not-starve", test_post_does_not_starve);
    g_test_add_func("/loop/timers", test_timers);
    g_test_add_func("/loop/slow-handler", test_slow_handler);
    g_test_add_func("/loop/signal", test_signal);
    g_test_add_func("/loop/quit-before-run", test_quit_before_run);
    return g_test_run();
}
