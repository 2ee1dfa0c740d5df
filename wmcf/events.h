/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Events of terminations and their way to the WSF (`notify`). Threads: control. */
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Name on the wire, in the order of protocol B. */
#define EVENTS(X)                                                                                  \
    X(ICE_CONNECTED, "iceConnected")                                                               \
    X(ICE_FAILED, "iceFailed")                                                                     \
    X(CONSENT_EXPIRED, "consentExpired")                                                           \
    X(DTLS_CONNECTED, "dtlsConnected")                                                             \
    X(DTLS_FAILED, "dtlsFailed")                                                                   \
    X(FIRST_MEDIA, "firstMedia")                                                                   \
    X(MEDIA_GATED, "mediaGated")                                                                   \
    X(MEDIA_INACTIVITY, "mediaInactivity")                                                         \
    X(HANGING_TERMINATION, "hangingTermination")                                                   \
    X(NEGOTIATION_NEEDED, "negotiationNeeded")                                                     \
    X(POLICING_DISCARD, "policingDiscard")                                                         \
    X(QOS_REPORT, "qosReport")                                                                     \
    X(ACTIVE_SPEAKER, "activeSpeaker")                                                             \
    X(SOURCE_CHANGED, "sourceChanged")                                                             \
    X(END_OF_STREAM, "endOfStream")                                                                \
    X(RESOURCE_FAILURE, "resourceFailure")
enum event {
#define EVENT_ENUM(name, wire) EVENT_##name,
    EVENTS(EVENT_ENUM)
#undef EVENT_ENUM
};
const char *event_name(enum event event);

struct event_mask {
    uint32_t bits;
};
/* Reads `events` of a message; unknown names are INVALID_MESSAGE. `*ret_said`: the key was there.
 */
bool event_mask_read(const json_t *message, struct event_mask *ret, bool *ret_said, GError **error);
json_t *event_mask_json(struct event_mask mask);

struct termination;
/* Tells the WSF if it asked for this event. `details` is stolen, may be NULL; `mid` may be NULL. */
void event_notify(struct termination *termination, enum event event, const char *mid,
                  json_t *details);
