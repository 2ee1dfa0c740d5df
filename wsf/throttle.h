/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Failed authentications, counted by a key (an identity or a source address) with a growing wait.
 * Bounded: the entry that was silent longest is forgotten. Time is a parameter (µs, monotonic).
 * Threads: control. */
#include <glib.h>

struct throttle;

/* `free` failures cost nothing; each further one doubles the wait from 1 s up to `max_s`. */
struct throttle *throttle_new(guint free, guint max_s, guint kept);
void throttle_free(struct throttle *throttle);
/* Seconds (rounded up) that this key still has to wait, 0 = may try. */
guint throttle_wait(struct throttle *throttle, const char *key, gint64 now);
/* Counts a failure; returns the seconds to wait before the next attempt. */
guint throttle_failed(struct throttle *throttle, const char *key, gint64 now);
void throttle_forget(struct throttle *throttle, const char *key);
guint throttle_size(const struct throttle *throttle);
