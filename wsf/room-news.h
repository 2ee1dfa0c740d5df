/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What another network's WSF tells of a room there (protocol.md, "Who is there"). It is kept with
 * the leg that it is for and told again, so it is read member by member and its size has a limit.
 * Pure. Threads: any. */
#include <glib.h>
#include <jansson.h>

#define ROOM_NEWS_PARTICIPANTS 1000 /* at most, in one message */

/* participantId, activeSpeaker and participants of `message`, as they are passed on, and no other
 * members; {}: there is no news. NULL and INVALID_MESSAGE with the member that is not what it
 * should be. Transfer full. */
json_t *room_news_read(const json_t *message, GError **error);
