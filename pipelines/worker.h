/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A thread that runs posted jobs one after the other, and wakes for a deadline in between.
 * Threads: worker_post() any; new and free control. */
#include <glib.h>
#include <stdbool.h>

struct worker;
/* `turn` (may be NULL) runs before each job and when the deadline that it returned last is over;
 * the deadline is monotonic µs, below 0 for none. Transfer full; NULL and RESOURCES_UNAVAILABLE. */
struct worker *worker_new(const char *name, gint64 (*turn)(void), GError **error);
/* Runs everything that was posted, also by the last jobs themselves, then joins. */
void worker_free(struct worker *worker);
/* Runs fn(data) soon, in the order of posting. fn owns data. */
void worker_post(struct worker *worker, void (*fn)(void *data), void *data);
bool worker_is_current(const struct worker *worker);
