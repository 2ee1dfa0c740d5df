/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Where a transcoder stands between the parties of a call or room (transcode-plan.h decides,
 * transcoding.h makes). Threads: control. */
#include "wsf/call.h"
#include "wsf/transcode-plan.h"

/* What may be converted in this call; NULL: nothing, or its descriptions pass as they are.
 * Borrowed.
 */
const struct transcode_skills *call_transcode_skills(const struct wsf *wsf,
                                                     const struct session *session);
/* … and may begin now: transcoders are left. */
const struct transcode_skills *call_transcode_spare(const struct wsf *wsf,
                                                    const struct session *session);
/* What has been negotiated is in force, or the gates are open: transcoders are as they must be. */
void call_transcode_follow(struct wsf *wsf, struct session *session);
/* The endpoint has sent the first packet of a medium. */
void call_transcode_first_media(struct wsf *wsf, const struct leg *leg, const char *mid);
/* transcoding_kind.looked. */
void call_transcode_looked(struct wsf *wsf, const char *wmcf, const char *context_id);
/* … of a room: what its participants cannot take of each other (room-transcode.c). */
struct room;
void room_transcode_follow(struct room *room);
