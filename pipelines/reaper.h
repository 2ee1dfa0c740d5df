/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Ends what may block while it ends: stopping a pipeline joins its threads.
 * Threads: reaper_take() and reaper_pending() any; the rest control. */
#include <glib.h>
#include <stdbool.h>

bool reaper_start(GError **error);
/* Ends what is left, then joins. */
void reaper_stop(void);
/* Announces something that will be taken later, so that the count never misses it on its way. */
void reaper_expect(void);
/* end(data) on the reaper's thread, for something that was expected. Takes data. */
void reaper_take(void (*end)(void *data), void *data);
/* Things expected or taken that have not ended. */
guint reaper_pending(void);
