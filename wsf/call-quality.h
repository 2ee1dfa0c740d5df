/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Quality of service of calls: what the policy table means for a leg's termination, what the media
 * centre tells of it, and what the endpoint hears (protocol B mediaPolicy; A6 member `qos`).
 * Threads: control. */
#include "wsf/call.h"

#define QOS_REPORT "qos-report" /* A3 */

/* mediaPolicy for the `add` of a leg with these media: closed gates, policing and marking; NULL
 * when the policy has neither of these. Transfer full. */
json_t *quality_at_start(const struct wsf *wsf, const struct leg *leg,
                         const struct offer_template *medias);
/* What the endpoint sends goes through this (`pipeline` of mediaPath); NULL = straight. Transfer
 * full. */
json_t *quality_media_path(const struct wsf *wsf, const struct leg *leg);
/* Whether the leg may go on without policing and marking. */
bool quality_is_optional(const struct wsf *wsf, const struct leg *leg,
                         const struct offer_template *medias);
/* This mediaPolicy is in force at the leg's termination. Stolen. */
void quality_in_force(struct wsf *wsf, struct leg *leg, json_t *policy);
/* Whether qosReport is worth asking for at the leg's termination: its endpoint is told of it. */
bool quality_wants_reports(const struct wsf *wsf, const struct leg *leg);
/* mediaGated, policingDiscard and qosReport. */
void quality_event(struct wsf *wsf, struct leg *leg, const char *event, const char *mid,
                   const json_t *details);
/* The endpoint is back: it hears again what it may have missed. */
void quality_tell_again(struct wsf *wsf, struct leg *leg);
/* Calls in progress with other gates or limits than the policy table says now get those: all, or
 * the ones at this media centre. Returns their number. */
guint quality_follow(struct wsf *wsf, const char *wmcf);

/* Counts a policy that a media centre has not taken: what has become of it is "elsewhere",
 * "without" or "refused". */
void quality_count_refusal(const char *outcome);
