/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Recordings of calls and rooms: what each party sends goes into a file of its own, by a pipeline
 * of the media centre (context-pipeline.h). Whether is said by the room's section or the row of the
 * policy table, how by the rule that it names (recording-rules.h).
 *
 * A recorder begins before the gates open and ends with its leg. One file holds what was sent when
 * it began: a medium that comes later or is put away, or another codec, begins the next file, but
 * no more of them than `files_per_minute` (where the rule requires the recording, more of them end
 * the conversation); while all is on hold the file is left as it is. While
 * anything of a conversation is recorded all its parties are told so (`recording` of mupdate), and
 * no longer. A recorder that fails is begun anew once if it has run for some time; else the
 * conversation goes on without, or ends if the rule requires it.
 *
 * Threads: control. */
#include "wsf/recording-rules.h"
#include "wsf/session.h"

struct recordings;
struct wsf;

/* NULL and *error when the rules cannot be read. Transfer full. */
struct recordings *recordings_new(const struct conf *conf, GError **error);
void recordings_free(struct recordings *recordings);
/* Other rules for conversations that begin from now on. The former ones stay when these cannot be
 * read. */
bool recordings_reload(struct recordings *recordings, const struct conf *conf, GError **error);
/* Files that are being written. */
guint recordings_count(const struct recordings *recordings);

extern const struct context_pipeline_kind recording_kind;

/* Both sides are connected: recorders begin. False while the gates must stay closed for a recorder
 * that is required; call_check_connected() follows then, or the end of the call. */
bool recording_ready(struct wsf *wsf, struct session *session);
/* Its media may be others now, or somebody takes part from now on: begins what is missing, tells
 * who has not been told. */
void recording_follow(struct wsf *wsf, struct session *session);
/* A leg is over: its file is completed. */
void recording_leg_over(struct wsf *wsf, struct leg *leg);
/* The endpoint is back, and may have missed what it was told. */
void recording_tell_again(struct wsf *wsf, struct leg *leg);
/* The endpoint, another network's WSF, says whether it records: its far side hears so. */
void recording_heard(struct wsf *wsf, struct leg *leg, bool recording);
