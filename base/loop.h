/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The control loop: one thread, GLib's default main context, owner of every object except packet
 * state. Other threads enter by loop_post(). A handler that takes longer than the budget is warned
 * about with its name and counted (metric loop_slow_handlers).
 *
 * Threads: loop_post() any thread; all the rest the control thread. */
#include <glib.h>
#include <stdbool.h>

typedef void (*loop_fn)(void *data);

/* Takes the calling thread as the control thread. `slow_ms`: budget of one handler. Once. */
void loop_init(guint slow_ms);
/* Runs until loop_quit(). SIGTERM and SIGINT call `on_signal(signal number)` on the loop. */
void loop_run(void (*on_signal)(int signo));
void loop_quit(void);
bool loop_is_current(void);
#define loop_assert() g_assert(loop_is_current())

/* Runs fn(data) soon on the control thread, in the order of posting per thread; `name` is static
 * and names the handler in slow warnings. fn owns data. Lock-light, wakes the loop. */
void loop_post(const char *name, loop_fn fn, void *data);

/* Timers, in milliseconds, monotonic. Freed by loop_timer_free (NULL allowed); a one-shot timer
 * that has fired stays allocated until freed or restarted. Freeing inside its own callback is
 * allowed. */
struct loop_timer;
struct loop_timer *loop_timer_new(const char *name, loop_fn fn, void *data);
void loop_timer_start(struct loop_timer *timer, guint ms);
void loop_timer_start_repeating(struct loop_timer *timer, guint ms);
void loop_timer_stop(struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer);

/* Marks what the present dispatch is doing, so that a slow one is named well. Static string. */
void loop_mark(const char *name);
/* Monotonic time in microseconds at the start of the present dispatch (cheap). */
gint64 loop_now(void);
