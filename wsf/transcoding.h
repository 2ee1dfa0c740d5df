/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The transcoders of this WSF: pipelines in the contexts of calls and rooms (context-pipeline.h),
 * one for each stream and codec that it is converted into. Who owns a context says which of them it
 * wants at this moment (call-transcode.h, room-transcode.c); this file makes what is missing, ends
 * what is needless, and tries again what has failed.
 *
 * Each takes a share of a core at the media centre, so their number is limited ([transcode] max).
 *
 * Threads: control. */
#include "wsf/context-pipeline.h"
#include "wsf/transcode-plan.h"

struct transcoding;

/* One that is wanted. All borrowed. */
struct transcode_want {
    const char *from, *from_mid; /* whose stream: terminationId and mid */
    const char *codec, *target;  /* what it is and what it becomes */
    const char *to, *to_mid;     /* who gets it; NULL: in a mesh, whoever cannot take the stream */
    guint bandwidth;             /* kbit/s that it may have, 0: as configured */
};

extern const struct context_pipeline_kind transcoding_kind;

/* Transfer full. */
struct transcoding *transcoding_new(struct wsf *wsf);
void transcoding_free(struct transcoding *transcoding);
/* Whether [transcode] video is on, and what its template can do; NULL: nothing. Borrowed. */
const struct transcode_skills *transcoding_skills(const struct transcoding *transcoding);
/* Whether two more may be made now, as a call may need. */
bool transcoding_has_room(const struct transcoding *transcoding);

/* Those that run. */
guint transcoding_count(const struct transcoding *transcoding);

/* What a context is to have from now on, instead of what it had. The context must be one that has
 * been looked at (context_pipelines_are_known()). */
void transcoding_want(struct transcoding *transcoding, const char *wmcf, const char *context_id,
                      const struct transcode_want *wants, guint n);
/* The source of a stream has begun to send: what waits for it is tried now. */
void transcoding_source_sends(struct transcoding *transcoding, const char *wmcf,
                              const char *context_id, const char *termination_id, const char *mid);
/* The context is given back; after context_pipelines_forget(). */
void transcoding_forget(struct transcoding *transcoding, const char *wmcf, const char *context_id);
/* INVALID_MESSAGE when [transcode] contradicts itself. */
bool transcoding_check(const struct conf *conf, GError **error);
