/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* How conversations are recorded: one rule per [recording "name"], which rooms and rows of the
 * policy table name in `record`. Threads: control. */
#include "base/conf.h"

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

struct recording_rule {
    char *name;             /* what rooms and rows call it; NULL: nothing */
    char *template;         /* of the media centre */
    char *parameters;       /* JSON text of an object, without `file` */
    char *file;             /* pattern, with {id} */
    bool required;          /* without the recording no conversation */
    guint files_per_minute; /* that changes of one participant's media begin */
    guint ref_count;        /* a conversation keeps the rule that it began with */
};

/* What stands in a file's name. All borrowed; NULL counts as "unknown". */
struct recording_names {
    const char *called, *caller, *participant; /* identities or resources, user@realm */
    const char *session;                       /* mediaSessionId of the caller */
    gint64 wall;                               /* µs since 1970 */
};

struct recording_rules;

/* NULL and INVALID_MESSAGE with section and key when one cannot be read. Keeps nothing of the
 * configuration. Transfer full. */
struct recording_rules *recording_rules_new(const struct conf *conf, GError **error);
void recording_rules_free(struct recording_rules *rules);
/* Borrowed; NULL for a name that there is not, and for NULL. */
struct recording_rule *recording_rules_find(const struct recording_rules *rules, const char *name);
/* Whether `record` of a section names a rule, or nothing; INVALID_MESSAGE names the section. */
bool recording_rules_check(const struct conf *conf, const char *section, GError **error);

struct recording_rule *recording_rule_ref(struct recording_rule *rule);
void recording_rule_unref(struct recording_rule *rule);
/* A file's name: of an identity its part before the @; what is no letter, digit, "-", "_" or "."
 * becomes "_", so that nobody's name is a path; never the same twice. Transfer full. */
char *recording_rule_file(const struct recording_rule *rule, const struct recording_names *names);
