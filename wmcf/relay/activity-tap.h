/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A tap that listens for speech (audio-activity.h) and tells the control thread.
 * Threads: the worker of the stream. */
#include <stdbool.h>

struct stream;

/* Begins to listen, once however often it is said, or ends. The stream's own end ends it, too. */
void activity_tap_watch(struct stream *stream, bool watch);
