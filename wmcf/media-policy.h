/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `mediaPolicy` of protocol B: entries per mid or "*". Threads: control. */
#include "pipelines/sdp.h"
#include "qos/qos.h"

#include <jansson.h>

struct policy_entry {
    char mid[SDP_MAX_MID + 1]; /* "*" = every medium, also later ones */
    struct qos_policy policy;
};
struct policy_set {
    GArray
        *entries; /* struct policy_entry, in order; a later one adds to and overrides an earlier */
};

/* Reads and checks a whole message's mediaPolicy (nothing is applied): INVALID_MESSAGE with the
 * JSON Pointer, or ENFORCEMENT_UNAVAILABLE. Absent: an empty set. */
bool policy_set_read(const struct qos *qos, const json_t *message, struct policy_set *ret,
                     GError **error);
void policy_set_init(struct policy_set *set);
void policy_set_clear(struct policy_set *set);
/* Whether `more` can be added: RESOURCES_UNAVAILABLE when `set` would name too many mids. */
bool policy_set_fits(const struct policy_set *set, const struct policy_set *more, GError **error);
/* Adds `more` to `set`. */
void policy_set_merge(struct policy_set *set, const struct policy_set *more);
/* Adds flowStatus, policing and marking of what is in force to an element of `medias`. `sends`:
 * whether there is anything to mark. */
void policy_add_json(const struct qos_flow *flow, bool sends, json_t *media);
/* What all entries together say for `mid`. */
struct qos_policy policy_set_for(const struct policy_set *set, const char *mid);
