/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of conferences, read once from the configuration. Who has created a room has no rights
 * over it later: a rule says who may be the first, and that is all a creator is. */
#include "wsf/room-rules.h"

#include "base/problem.h"
#include "wsf/attributes.h"
#include "wsf/context-pipeline.h"
#include "wsf/recording-rules.h"

#include <string.h>

#define MIX_MEMBERS_MAX 32 /* of a repeated input (protocol B) */
#define FULL_RETRY_S 10    /* a place may become free at any moment; nobody is told when */

struct room_rules {
    GPtrArray *rules; /* struct room_rule, owned */
};

static void rule_free(void *data)
{
    struct room_rule *rule = data;
    g_free(rule->section);
    g_free(rule->record);
    g_free(rule->mix_template);
    json_decref(rule->mix_parameters);
    g_ptr_array_unref(rule->names);
    g_ptr_array_unref(rule->rooms);
    json_decref(rule->attributes);
    policy_party_free(rule->creators);
    policy_party_free(rule->joiners);
    g_free(rule);
}

static void add_name(struct room_rule *rule, const char *text)
{
    g_autofree char *lower = g_ascii_strdown(text, -1);
    g_ptr_array_add(rule->names, g_pattern_spec_new(lower));
    if (!strpbrk(text, "*?"))
        g_ptr_array_add(rule->rooms, g_strdup(text));
}

/* room "hall" → hall */
static void read_names(struct room_rule *rule, const struct conf *conf)
{
    const char *const *names = conf_list(conf, rule->section, "names");
    for (guint i = 0; names && names[i]; i++)
        add_name(rule, names[i]);
    g_autofree char *own = names ? NULL : conf_instance_name(rule->section);
    if (own)
        add_name(rule, own);
}

static bool mix_check(const struct conf *conf, const struct room_rule *rule, GError **error)
{
    if (rule->mix && rule->capacity > MIX_MEMBERS_MAX) {
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "[%s] capacity: a mixer takes %u participants at most; say less than %u, or "
                    "mix = no",
                    rule->section, MIX_MEMBERS_MAX, rule->capacity);
        return false;
    }
    return pipeline_parameters_check(conf, rule->section, "mix_parameters", error);
}

static struct room_rule *rule_new(const struct conf *conf, const char *section, GError **error)
{
    struct room_rule *rule = g_new0(struct room_rule, 1);
    rule->section = g_strdup(section);
    rule->names = g_ptr_array_new_with_free_func((GDestroyNotify)g_pattern_spec_free);
    rule->rooms = g_ptr_array_new_with_free_func(g_free);
    read_names(rule, conf);
    rule->attributes = attributes_parse(conf_list(conf, section, "attributes"));
    rule->capacity = conf_int(conf, section, "capacity");
    rule->rooms_max = conf_int(conf, section, "rooms_max");
    rule->messages_rate = conf_int(conf, section, "messages_rate");
    rule->last_n = conf_int(conf, section, "last_n");
    rule->loudest_n = conf_int(conf, section, "loudest_n");
    rule->simulcast = conf_bool(conf, section, "simulcast");
    rule->show_identities = strcmp(conf_string(conf, section, "display"), "identity") == 0;
    rule->record = g_strdup(conf_string(conf, section, "record"));
    rule->mix = strcmp(conf_string(conf, section, "mix"), "audio") == 0;
    rule->mix_template = g_strdup(conf_string(conf, section, "mix_template"));
    if (recording_rules_check(conf, section, error) && mix_check(conf, rule, error)) {
        rule->mix_parameters = pipeline_parameters(conf_list(conf, section, "mix_parameters"));
        rule->creators = policy_party_new(conf, section, "creators", error);
    }
    rule->joiners = rule->creators ? policy_party_new(conf, section, "joiners", error) : NULL;
    return rule;
}

struct room_rules *room_rules_new(const struct conf *conf, GError **error)
{
    struct room_rules *rules = g_new0(struct room_rules, 1);
    rules->rules = g_ptr_array_new_with_free_func(rule_free);
    const char *const *sections = conf_instances(conf, "room*");
    for (guint i = 0; sections && sections[i]; i++) {
        struct room_rule *rule = rule_new(conf, sections[i], error);
        g_ptr_array_add(rules->rules, rule);
        if (!rule->joiners) {
            room_rules_free(rules);
            return NULL;
        }
    }
    return rules;
}

void room_rules_free(struct room_rules *rules)
{
    if (!rules)
        return;
    g_ptr_array_unref(rules->rules);
    g_free(rules);
}

const GPtrArray *room_rules_all(const struct room_rules *rules)
{
    return rules->rules;
}

static bool has_name(const struct room_rule *rule, const char *lower)
{
    for (guint i = 0; i < rule->names->len; i++)
        if (g_pattern_spec_match_string(g_ptr_array_index(rule->names, i), lower))
            return true;
    return false;
}

const struct room_rule *room_rules_find(const struct room_rules *rules, const char *resource)
{
    if (!g_str_has_prefix(resource, ROOM_PREFIX) || !resource[strlen(ROOM_PREFIX)])
        return NULL;
    g_autofree char *lower = g_ascii_strdown(resource + strlen(ROOM_PREFIX), -1);
    for (guint i = 0; i < rules->rules->len; i++) {
        const struct room_rule *rule = g_ptr_array_index(rules->rules, i);
        if (has_name(rule, lower))
            return rule;
    }
    return NULL;
}

bool room_rule_permits(const struct room_rule *rule, const struct policy_caller *from, bool open,
                       GError **error)
{
    bool creator = policy_party_fits(rule->creators, from);
    bool joiner = creator || policy_party_fits(rule->joiners, from);
    if (!joiner)
        problem_set(error, PROBLEM_NOT_AUTHORIZED, "you may not come into this room");
    else if (!creator && !open)
        problem_set_param(error, PROBLEM_RESOURCE_NOT_FOUND, "/resourceId",
                          "nobody has opened this room yet, and it is for others to open it");
    return joiner && (creator || open);
}

bool room_rule_has_place(const struct room_rule *rule, guint present, guint mixable, GError **error)
{
    if (present >= rule->capacity)
        problem_set_retry(error, PROBLEM_RESOURCES_UNAVAILABLE, FULL_RETRY_S,
                          "the room is full: it has %u places", rule->capacity);
    else if (mixable && present >= mixable)
        problem_set_retry(error, PROBLEM_RESOURCES_UNAVAILABLE, FULL_RETRY_S,
                          "the room is full: its media centre mixes %u participants at most "
                          "(limits.pipeline_members)",
                          mixable);
    else
        return true;
    return false;
}
