/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* First pass over SDP text from a peer: size, control characters, the form of each line, counts.
 * What passes is given to GstSDPMessage; the line numbers are kept for error messages. */
#include <glib.h>
#include <stdbool.h>

#define SDP_MAX_LINE 4096

struct sdp_lines {
    GString *text;     /* only the lines that the engine reads: v o s t m a, with CRLF */
    GArray *session;   /* guint: line numbers of the session's a= lines */
    GPtrArray *medias; /* GArray of guint: number of the m= line, then those of its a= lines */
};

void sdp_lines_init(struct sdp_lines *lines);
void sdp_lines_finish(struct sdp_lines *lines);
bool sdp_lines_read(struct sdp_lines *lines, const char *text, GError **error);
