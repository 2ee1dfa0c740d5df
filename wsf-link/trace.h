/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The message trace: one JSON line per message sent or received, secrets blanked.
 * Threads: control. */
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

struct trace;

struct trace *trace_new(const char *file, GError **error);
void trace_free(struct trace *trace);
/* `text` is the message as on the wire; what cannot be parsed is told by its length only. */
void trace_message(struct trace *trace, const char *link, bool received, const char *peer,
                   const char *path, const char *text, gsize length);
/* A copy of the message with its secrets replaced by "***". Pure; transfer full. */
json_t *trace_blank(const json_t *message);
