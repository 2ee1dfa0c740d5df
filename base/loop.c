/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the control thread's main context: posts, signals and the measuring of handlers.
 *
 * Posts are a stack that any thread pushes to with one compare-and-swap; the loop takes the whole
 * stack with one exchange and turns it round, which keeps the order per thread. Only the push onto
 * an empty stack writes to the wake-up descriptor.
 *
 * The budget is measured around the context's poll function: what lies between the return of one
 * poll and the entry of the next is one dispatch round, whoever owns its sources (libwebsockets has
 * its own). Marks cut the round into named slices and the longest one is blamed; the price is that
 * a round of many unnamed handlers is measured as one. */
#define LOG_CATEGORY "loop"
#include "base/loop.h"

#include "base/log.h"
#include "base/metrics.h"

#include <glib-unix.h>
#include <signal.h>
#include <stdatomic.h>

struct post {
    struct post *next;
    const char *name;
    loop_fn fn;
    void *data;
};

static struct {
    GThread *thread; /* RO after init */
    GMainLoop *main;
    bool quit; /* asked before the loop ran */
    GPollFunc poll;
    gint64 budget_us;
    gint64 round_start; /* return of the last poll; 0 before the first */
    const char *slice;  /* what runs now */
    gint64 slice_start;
    const char *worst; /* the longest slice of this round */
    gint64 worst_us;
    struct metric *slow;
} loop;

static _Atomic(struct post *) posts;

/* --- measuring ---------------------------------------------------------------------------- */

static void cut_slice(const char *next, gint64 now)
{
    if (now - loop.slice_start > loop.worst_us) {
        loop.worst_us = now - loop.slice_start;
        loop.worst = loop.slice;
    }
    loop.slice = next;
    loop.slice_start = now;
}

static void report_slow_round(gint64 now)
{
    const char *name = loop.worst ? loop.worst : "unnamed";
    metric_add(loop.slow, 1, (const char *const[]){name});
    log_warning(NULL,
                "slow handler %s took %" G_GINT64_FORMAT " ms (budget %" G_GINT64_FORMAT
                " ms), continuing",
                name, (now - loop.round_start) / 1000, loop.budget_us / 1000);
}

static gint measure_poll(GPollFD *fds, guint n_fds, gint timeout)
{
    if (!loop_is_current())
        return loop.poll(fds, n_fds, timeout);
    gint64 now = g_get_monotonic_time();
    if (loop.round_start) {
        cut_slice(NULL, now);
        if (now - loop.round_start > loop.budget_us)
            report_slow_round(now);
    }
    gint ready = loop.poll(fds, n_fds, timeout);
    loop.round_start = loop.slice_start = g_get_monotonic_time();
    loop.slice = loop.worst = NULL;
    loop.worst_us = 0;
    return ready;
}

void loop_mark(const char *name)
{
    cut_slice(name, g_get_monotonic_time());
}

gint64 loop_now(void)
{
    /* Outside of a dispatch the last round's start would be stale. */
    return g_main_depth() > 0 && loop.round_start ? loop.round_start : g_get_monotonic_time();
}

/* --- posts -------------------------------------------------------------------------------- */

static gboolean posts_prepare(GSource *source, gint *timeout)
{
    *timeout = -1;
    return atomic_load_explicit(&posts, memory_order_relaxed) != NULL;
}

static gboolean posts_check(GSource *source)
{
    return atomic_load_explicit(&posts, memory_order_relaxed) != NULL;
}

static gboolean posts_dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
    struct post *stack = atomic_exchange_explicit(&posts, NULL, memory_order_acquire);
    struct post *queue = NULL;
    while (stack) {
        struct post *next = stack->next;
        stack->next = queue;
        queue = stack;
        stack = next;
    }
    /* What these post in turn waits for the next round, so timers and sockets keep their share. */
    while (queue) {
        struct post *post = queue;
        queue = post->next;
        loop_mark(post->name);
        post->fn(post->data);
        g_free(post);
    }
    loop_mark(NULL);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs posts_funcs = {
    .prepare = posts_prepare, .check = posts_check, .dispatch = posts_dispatch};

void loop_post(const char *name, loop_fn fn, void *data)
{
    struct post *post = g_new(struct post, 1);
    *post = (struct post){.name = name, .fn = fn, .data = data};
    struct post *head = atomic_load_explicit(&posts, memory_order_relaxed);
    do {
        post->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&posts, &head, post, memory_order_release,
                                                    memory_order_relaxed));
    if (!head)
        g_main_context_wakeup(NULL);
}

/* --- life --------------------------------------------------------------------------------- */

void loop_init(guint slow_ms)
{
    loop.budget_us = (gint64)slow_ms * 1000;
    if (loop.thread) {
        g_assert(loop_is_current());
        return;
    }
    loop.thread = g_thread_self();
    loop.slow = metric_register(METRIC_COUNTER, "loop_slow_handlers", NULL,
                                "Dispatch rounds of the control loop above the budget.", "handler");
    loop.poll = g_main_context_get_poll_func(NULL);
    g_main_context_set_poll_func(NULL, measure_poll);
    GSource *source = g_source_new(&posts_funcs, sizeof *source);
    g_source_set_static_name(source, "posts");
    g_source_attach(source, NULL);
    g_source_unref(source);
    /* A peer that closes early is an error of that write, not the end of the process. */
    signal(SIGPIPE, SIG_IGN);
}

static void (*signal_handler)(int signo);

static gboolean on_unix_signal(gpointer user_data)
{
    loop_mark("signal");
    signal_handler(GPOINTER_TO_INT(user_data));
    return G_SOURCE_CONTINUE;
}

void loop_run(void (*on_signal)(int signo))
{
    loop_assert();
    guint term = 0, intr = 0;
    signal_handler = on_signal;
    if (on_signal) {
        term = g_unix_signal_add(SIGTERM, on_unix_signal, GINT_TO_POINTER(SIGTERM));
        intr = g_unix_signal_add(SIGINT, on_unix_signal, GINT_TO_POINTER(SIGINT));
    }
    loop.main = g_main_loop_new(NULL, FALSE);
    if (!loop.quit)
        g_main_loop_run(loop.main);
    g_clear_pointer(&loop.main, g_main_loop_unref);
    loop.quit = false;
    loop.round_start = 0;
    g_clear_handle_id(&term, g_source_remove);
    g_clear_handle_id(&intr, g_source_remove);
}

void loop_quit(void)
{
    if (loop.main)
        g_main_loop_quit(loop.main);
    else
        loop.quit = true;
}

bool loop_is_current(void)
{
    return loop.thread == g_thread_self();
}
