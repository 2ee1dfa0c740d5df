/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the timers of the control loop: a binary heap by time behind one source. A source of GLib
 * for each would be simpler, but GLib looks at every source in every round, and thousands of links
 * with two timers each made that the most expensive part of answering a request. Timers of one
 * instant run in the order in which they were started. */
#define LOG_CATEGORY "loop"
#include "base/loop.h"

#define NOWHERE G_MAXUINT

struct loop_timer {
    const char *name;
    loop_fn fn;
    void *data;
    gint64 due, period_us; /* period 0: one shot */
    guint64 order;
    guint place; /* in the heap, NOWHERE: not running */
};

static struct {
    GSource *source;
    GPtrArray *heap; /* struct loop_timer, borrowed; the earliest first */
    guint64 started;
} timers;

/* --- the heap -----------------------------------------------------------------------------------
 */

static struct loop_timer *at(guint place)
{
    return timers.heap->pdata[place];
}

static bool earlier(const struct loop_timer *a, const struct loop_timer *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void put(struct loop_timer *timer, guint place)
{
    timers.heap->pdata[place] = timer;
    timer->place = place;
}

static void sift_up(struct loop_timer *timer)
{
    guint place = timer->place;
    for (; place && earlier(timer, at((place - 1) / 2)); place = (place - 1) / 2)
        put(at((place - 1) / 2), place);
    put(timer, place);
}

static void sift_down(struct loop_timer *timer)
{
    guint place = timer->place, child;
    while ((child = 2 * place + 1) < timers.heap->len) {
        if (child + 1 < timers.heap->len && earlier(at(child + 1), at(child)))
            child++;
        if (!earlier(at(child), timer))
            break;
        put(at(child), place);
        place = child;
    }
    put(timer, place);
}

static void take_out(struct loop_timer *timer)
{
    if (timer->place == NOWHERE)
        return;
    struct loop_timer *last = at(timers.heap->len - 1);
    guint place = timer->place;
    g_ptr_array_set_size(timers.heap, (gint)timers.heap->len - 1);
    timer->place = NOWHERE;
    if (last == timer)
        return;
    put(last, place);
    sift_up(last);
    sift_down(last);
}

static void put_in(struct loop_timer *timer, gint64 due)
{
    timer->due = due;
    timer->order = timers.started++;
    if (timer->place == NOWHERE) {
        timer->place = timers.heap->len;
        g_ptr_array_add(timers.heap, timer);
    }
    sift_up(timer);
    sift_down(timer);
}

/* --- the source ---------------------------------------------------------------------------------
 */

static gboolean timers_prepare(GSource *source, gint *timeout)
{
    *timeout = -1;
    if (!timers.heap->len)
        return FALSE;
    gint64 wait = at(0)->due - g_source_get_time(source);
    *timeout = (gint)CLAMP((wait + 999) / 1000, 0, G_MAXINT);
    return wait <= 0;
}

static gboolean timers_check(GSource *source)
{
    return timers.heap->len && at(0)->due <= g_source_get_time(source);
}

static gboolean timers_dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
    /* What a callback starts anew is later than this, so sockets and posts keep their share. */
    gint64 now = g_source_get_time(source);
    while (timers.heap->len && at(0)->due <= now) {
        struct loop_timer *timer = at(0);
        if (timer->period_us)
            /* Keep the beat, but after a stall fire once and not once per missed period. */
            put_in(timer,
                   timer->due + timer->period_us * ((now - timer->due) / timer->period_us + 1));
        else
            take_out(timer);
        loop_mark(timer->name);
        timer->fn(timer->data); /* may free the timer */
        loop_mark(NULL);
    }
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs timers_funcs = {
    .prepare = timers_prepare, .check = timers_check, .dispatch = timers_dispatch};

/* --- the face -----------------------------------------------------------------------------------
 */

struct loop_timer *loop_timer_new(const char *name, loop_fn fn, void *data)
{
    if (!timers.source) {
        timers.heap = g_ptr_array_new();
        timers.source = g_source_new(&timers_funcs, sizeof(GSource));
        g_source_set_static_name(timers.source, "timers");
        g_source_attach(timers.source, NULL);
    }
    struct loop_timer *timer = g_new(struct loop_timer, 1);
    *timer = (struct loop_timer){.name = name, .fn = fn, .data = data, .place = NOWHERE};
    return timer;
}

static void start_timer(struct loop_timer *timer, guint ms, gint64 period_us)
{
    timer->period_us = period_us;
    put_in(timer, g_get_monotonic_time() + (gint64)ms * 1000);
}

void loop_timer_start(struct loop_timer *timer, guint ms)
{
    start_timer(timer, ms, 0);
}

void loop_timer_start_repeating(struct loop_timer *timer, guint ms)
{
    g_return_if_fail(ms > 0);
    start_timer(timer, ms, (gint64)ms * 1000);
}

void loop_timer_stop(struct loop_timer *timer)
{
    take_out(timer);
}

void loop_timer_free(struct loop_timer *timer)
{
    if (!timer)
        return;
    take_out(timer);
    g_free(timer);
}
