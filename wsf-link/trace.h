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
/* The link that a line is about; all borrowed. */
struct trace_link {
    const char *name, *peer, *path;
    const char *transport; /* "http/1.1", "h2" */
    const char *tls;       /* "TLSv1.3"; NULL without TLS */
};
/* `text` is the message as on the wire; what cannot be parsed is told by its length only. */
void trace_message(struct trace *trace, const struct trace_link *link, bool received,
                   const char *text, gsize length);
/* A copy of the message with its secrets replaced by "***". Pure; transfer full. */
json_t *trace_blank(const json_t *message);
