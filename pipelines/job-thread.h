/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A thread that runs posted jobs one after the other, and wakes for a deadline in between.
 * Threads: job_thread_post() any; new and free control. */
#include <glib.h>
#include <stdbool.h>

struct job_thread;
/* `turn` (may be NULL) runs before each job and when the deadline that it returned last is over;
 * the deadline is monotonic µs, below 0 for none. Transfer full; NULL and RESOURCES_UNAVAILABLE. */
struct job_thread *job_thread_new(const char *name, gint64 (*turn)(void), GError **error);
/* Runs everything that was posted, also by the last jobs themselves, then joins. */
void job_thread_free(struct job_thread *thread);
/* Runs fn(data) soon, in the order of posting. fn owns data. */
void job_thread_post(struct job_thread *thread, void (*fn)(void *data), void *data);
bool job_thread_is_current(const struct job_thread *thread);
