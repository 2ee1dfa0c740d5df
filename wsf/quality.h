/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The quality of service of one leg, as far as a call must remember it: which mediaPolicy (protocol
 * B) is in force at its termination, what its endpoint has been told of it, and what has been
 * logged. State and rules only. Threads: control. */
#include "wsf/offer-template.h"

struct quality;

struct quality *quality_new(void);
void quality_free(struct quality *quality); /* NULL allowed */

/* What is in force now; stolen. NULL: nothing, all gates are closed. */
void quality_set_policy(struct quality *quality, json_t *policy);
/* What the media centre is being asked for, until the next quality_set_policy(); NULL: no more. */
void quality_set_asked(struct quality *quality, const json_t *policy);
/* Borrowed, may be NULL. */
const json_t *quality_policy(const struct quality *quality);
/* Of a medium by what is in force: a flowStatus of protocol B. Borrowed. */
const char *quality_flow_status(const struct quality *quality, const char *mid);
/* Whether packets from the endpoint (uplink) or to it pass with this flowStatus. */
bool quality_passes(const char *flow_status, bool uplink);

/* Whether they pass by what is in force, or will by what is asked for: what a media centre tells of
 * a closed gate may cross the request that opens it. */
bool quality_opens(const struct quality *quality, const char *mid, bool uplink);

/* `policy`, with what lifts the policing and marking that is in force and that it does not mention
 * any more: saying nothing of it leaves it. `medias` tells the kinds. Transfer full. */
json_t *quality_lift(const struct quality *quality, const json_t *policy,
                     const struct offer_template *medias);
/* Of a policy what holds while gates are closed: DISABLED, and its policing and marking; NULL when
 * it has neither. Transfer full. */
json_t *quality_closed(const json_t *policy);
/* The policy without what only an enforcement level can hold. Transfer full. */
json_t *quality_gates(const json_t *policy);

/* What the endpoint does not know yet of its gates, as the list of the member `qos` (A6), which
 * counts as told; NULL when there is nothing. An endpoint takes its gates for open. Transfer full.
 */
json_t *quality_news(struct quality *quality, const struct offer_template *medias);
/* It may have missed the latest of what it was told. */
void quality_forget_told(struct quality *quality);

/* What the media centre has measured of a medium (details of qosReport), until it is taken; of each
 * the latest. Copied. */
void quality_measured(struct quality *quality, const char *mid, const json_t *details);
/* As the list of the member `qos` (A6); NULL when there is nothing new. Transfer full. */
json_t *quality_take_measured(struct quality *quality);
struct wsf;
struct leg;
/* Calls fn(wsf, leg) once, in a moment, however often it is asked for until then; not after
 * quality_free(). The reports of a leg come one by one, and go in one message. */
void quality_soon(struct quality *quality, void (*fn)(struct wsf *wsf, struct leg *leg),
                  struct wsf *wsf, struct leg *leg);

/* True for the first time that this is asked of a medium since its gates have changed. */
enum quality_note { QUALITY_GATED_UPLINK, QUALITY_GATED_DOWNLINK, QUALITY_POLICED };
bool quality_first(struct quality *quality, const char *mid, enum quality_note note);
