/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which conferences there may be (protocol A6 "Rooms"): one rule per [room "name"], the first whose
 * names fit decides about who may open such a room, who may come in, and how large it is.
 * Threads: control. */
#include "wsf/policy.h"

#define ROOM_PREFIX "room/"

struct room_rule {
    char *section;    /* room "name" as in the file */
    GPtrArray *names; /* GPatternSpec of what stands behind room/ */
    GPtrArray *rooms; /* those names that are no patterns, as texts */
    struct policy_party *creators, *joiners;
    guint capacity, rooms_max, messages_rate;
    guint last_n, loudest_n; /* 0 = as many as the media centre has room for */
    bool simulcast, show_identities;
    bool mix; /* of the sound: each gets the sum of all others */
    char *mix_template;
    json_t *mix_parameters;
    char *record;       /* the [recording "name"] by which it is recorded, or NULL */
    json_t *attributes; /* for the directory */
};

struct room_rules;

/* NULL and INVALID_MESSAGE with section and key when one cannot be read. Keeps nothing of the
 * configuration. Transfer full. */
struct room_rules *room_rules_new(const struct conf *conf, GError **error);
void room_rules_free(struct room_rules *rules);
/* The rule for a local resource, "room/hall", without the realm; NULL: there is no such room.
 * Borrowed. */
const struct room_rule *room_rules_find(const struct room_rules *rules, const char *resource);
/* All rules: struct room_rule, in order. Borrowed. */
const GPtrArray *room_rules_all(const struct room_rules *rules);
/* Whether the caller may come into such a room, and open it when nobody is there. NOT_AUTHORIZED,
 * or RESOURCE_NOT_FOUND for a room that only others may open and have not. */
bool room_rule_permits(const struct room_rule *rule, const struct policy_caller *from, bool open,
                       GError **error);
/* Whether one more has a place beside `present`; RESOURCES_UNAVAILABLE with retryAfter. `mixable`:
 * how many its mixer takes; 0 = there is none, or it is not known. */
bool room_rule_has_place(const struct room_rule *rule, guint present, guint mixable,
                         GError **error);
