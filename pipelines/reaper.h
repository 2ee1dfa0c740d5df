/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Takes pipelines down where it may block: stopping one joins its threads (5 ms each).
 * Threads: reaper_take() and reaper_pending() any; start and stop control. */
#include <glib.h>
#include <gst/gst.h>
#include <stdbool.h>

bool reaper_start(GError **error);
/* Takes down what is left, then joins. */
void reaper_stop(void);
/* Announces a pipeline that will be handed over, so that the count never misses it on its way. */
void reaper_expect(void);
/* Transfer full; one that was expected. */
void reaper_take(GstElement *pipeline);
/* Pipelines expected or taken and not yet freed. */
guint reaper_pending(void);
