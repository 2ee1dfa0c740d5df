/* SPDX-License-Identifier: Apache-2.0 */
/* The policy table, read once from the configuration. A call keeps the number of the row that
 * permitted it; what holds for one kind of its media is looked up when it is needed, from the same
 * caller and callee, so it may come from a row of its own. Patterns are matched without case. */
#include "wsf/policy.h"

#include "base/problem.h"
#include "wsf/context-pipeline.h"
#include "wsf/dscp.h"
#include "wsf/recording-rules.h"

#include <string.h>

/* What a packet may have; a burst below it would never let one pass. */
#define PACKET_MAX 1500

/* Who a row is about: patterns of identities and kinds of endpoints. */
struct policy_party {
    GPtrArray *patterns; /* GPatternSpec */
    guint kinds;         /* bits of enum endpoint_kind */
};

struct policy_row {
    char *name; /* of the section, as it stands in the file */
    struct policy_party from, to;
    guint media; /* bits of enum media_kind; 0: the call, and all of them */
    enum policy_side side;
    bool permit, direct_media, application, best_effort;
    char *record; /* the name of a rule, or NULL */
    json_t *path; /* `pipeline` of mediaPath, or NULL */
    char *flow_status;
    gint64 sdr, mbs, pdr, dvt; /* policing; 0 = not */
    char *tagging;             /* "mark", "copy" or NULL */
    int dscp;                  /* -1: not said */
    guint media_max;           /* 0 = not limited */
    struct policy_limits limits;
};

struct policy {
    GArray *rows; /* struct policy_row; the last one is the default */
};

/* --- parties -------------------------------------------------------------------------------------
 */

static void party_finish(struct policy_party *party)
{
    g_clear_pointer(&party->patterns, g_ptr_array_unref);
}

static void add_pattern(struct policy_party *party, const char *text)
{
    g_autofree char *lower = g_ascii_strdown(text, -1);
    g_ptr_array_add(party->patterns, g_pattern_spec_new(lower));
}

/* @provider, @operator, @wsf, @client, or the members of [class "name"]. */
static bool add_class(struct policy_party *party, const struct conf *conf, const char *name,
                      bool kinds, GError **error)
{
    for (int kind = ENDPOINT_CLIENT; kinds && kind <= ENDPOINT_WSF; kind++) {
        if (strcmp(name, endpoint_kind_name(kind)) == 0) {
            party->kinds |= 1u << kind;
            return true;
        }
    }
    g_autofree char *section = g_strdup_printf("class \"%s\"", name);
    const char *const *classes = conf_instances(conf, "class*");
    if (!classes || !g_strv_contains(classes, section)) {
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "there is no [%s], and @%s is no kind of a caller", section, name);
        return false;
    }
    const char *const *members = conf_list(conf, section, "members");
    for (guint i = 0; members && members[i]; i++)
        add_pattern(party, members[i]);
    return true;
}

static bool read_party(struct policy_party *party, const struct conf *conf, const char *section,
                       const char *key, GError **error)
{
    const char *const *list = section ? conf_list(conf, section, key) : NULL;
    party->patterns = g_ptr_array_new_with_free_func((GDestroyNotify)g_pattern_spec_free);
    if (!section)
        add_pattern(party, "*");
    for (guint i = 0; list && list[i]; i++) {
        if (*list[i] != '@')
            add_pattern(party, list[i]);
        else if (!add_class(party, conf, list[i] + 1, strcmp(key, "to") != 0, error)) {
            g_prefix_error(error, "[%s] %s: ", section, key);
            return false;
        }
    }
    return true;
}

static bool party_fits(const struct policy_party *party, const char *lower, guint kinds)
{
    if (party->kinds & kinds)
        return true;
    for (guint i = 0; i < party->patterns->len; i++)
        if (g_pattern_spec_match_string(g_ptr_array_index(party->patterns, i), lower))
            return true;
    return false;
}

void policy_party_free(struct policy_party *party)
{
    if (!party)
        return;
    party_finish(party);
    g_free(party);
}

struct policy_party *policy_party_new(const struct conf *conf, const char *section, const char *key,
                                      GError **error)
{
    struct policy_party *party = g_new0(struct policy_party, 1);
    if (read_party(party, conf, section, key, error))
        return party;
    policy_party_free(party);
    return NULL;
}

bool policy_party_fits(const struct policy_party *party, const struct policy_caller *caller)
{
    g_autofree char *lower = g_ascii_strdown(caller->identity, -1);
    return party_fits(party, lower, 1u << caller->kind);
}

/* --- rows ----------------------------------------------------------------------------------------
 */

static void row_clear(void *data)
{
    struct policy_row *row = data;
    g_free(row->name);
    g_free(row->flow_status);
    g_free(row->tagging);
    g_free(row->record);
    json_decref(row->path);
    party_finish(&row->from);
    party_finish(&row->to);
}

static guint read_media(const struct conf *conf, const char *section, GError **error)
{
    const char *const *list = conf_list(conf, section, "media");
    guint media = 0;
    for (guint i = 0; list && list[i]; i++) {
        guint before = media;
        for (int kind = MEDIA_AUDIO; kind <= MEDIA_APPLICATION; kind++)
            if (strcmp(list[i], media_kind_name(kind)) == 0)
                media |= 1u << kind;
        if (media == before && error && !*error)
            problem_set(error, PROBLEM_INVALID_MESSAGE,
                        "[%s] media: %s is not audio, video or application, or stands twice",
                        section, list[i]);
    }
    return media;
}

static bool read_marking(const struct conf *conf, struct policy_row *row, GError **error)
{
    const char *tagging = conf_string(conf, row->name, "tagging");
    const char *dscp = conf_string(conf, row->name, "dscp");
    guint value = 0;
    row->dscp = -1;
    if (dscp && !dscp_parse(dscp, &value, error)) {
        g_prefix_error(error, "[%s] dscp: ", row->name);
        return false;
    }
    if (dscp)
        row->dscp = (int)value;
    if (strcmp(tagging, "default") != 0)
        row->tagging = g_strdup(tagging);
    else if (dscp)
        row->tagging = g_strdup("mark");
    if (row->dscp >= 0 || g_strcmp0(row->tagging, "mark") != 0)
        return true;
    problem_set(error, PROBLEM_INVALID_MESSAGE, "[%s] tagging = mark needs dscp", row->name);
    return false;
}

static bool read_policing(const struct conf *conf, struct policy_row *row, GError **error)
{
    row->sdr = conf_int(conf, row->name, "police_rate");
    row->mbs = conf_int(conf, row->name, "police_burst");
    row->pdr = conf_int(conf, row->name, "police_peak_rate");
    row->dvt = conf_int(conf, row->name, "police_tolerance");
    bool small = row->mbs > 0 && row->mbs < PACKET_MAX && row->media != 1u << MEDIA_AUDIO;
    bool whole = (row->sdr > 0) == (row->mbs > 0) && (row->pdr > 0) == (row->dvt > 0) &&
                 (row->sdr > 0 || row->pdr == 0);
    if (!whole)
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "[%s] police_rate and police_burst belong together, and police_peak_rate and "
                    "police_tolerance may be added to them together",
                    row->name);
    else if (small)
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "[%s] police_burst is below %d octets, so that a large packet would never pass",
                    row->name, PACKET_MAX);
    else if (row->pdr && row->pdr < row->sdr)
        problem_set(error, PROBLEM_INVALID_MESSAGE, "[%s] police_peak_rate is below police_rate",
                    row->name);
    return whole && !small && (!row->pdr || row->pdr >= row->sdr);
}

/* What a side is about can be nothing but what is told to a media centre. */
static bool read_side(const struct conf *conf, struct policy_row *row, GError **error)
{
    const char *side = conf_string(conf, row->name, "side");
    row->side = strcmp(side, "caller") == 0   ? POLICY_CALLER
                : strcmp(side, "callee") == 0 ? POLICY_CALLEE
                                              : POLICY_BOTH;
    const struct policy_limits *limits = &row->limits;
    bool more = !row->permit || row->direct_media || row->application || row->media_max ||
                limits->calls_per_caller || limits->calls_per_callee ||
                limits->attempts_per_caller || limits->attempts_per_callee;
    if (row->side == POLICY_BOTH || !more)
        return true;
    problem_set(
        error, PROBLEM_INVALID_MESSAGE,
        "[%s] is about the media of one side (side = %s) and can neither permit, forbid nor "
        "limit a call; say that in a row without side",
        row->name, side);
    return false;
}

/* A conversation is recorded as a whole. */
static bool read_record(const struct conf *conf, struct policy_row *row, GError **error)
{
    row->record = g_strdup(conf_string(conf, row->name, "record"));
    if (row->record && (row->media || row->side != POLICY_BOTH)) {
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "[%s] is about some media of a call and cannot say record; say that in a row "
                    "without media and side",
                    row->name);
        return false;
    }
    return recording_rules_check(conf, row->name, error);
}

/* A leg goes by its filter with all its media. */
static bool read_path(const struct conf *conf, struct policy_row *row, GError **error)
{
    const char *filter = conf_string(conf, row->name, "media_path");
    const char *const *parameters = conf_list(conf, row->name, "media_path_parameters");
    if (!filter && parameters && *parameters)
        problem_set(
            error, PROBLEM_INVALID_MESSAGE,
            "[%s] media_path_parameters without media_path: name the filter that they are of",
            row->name);
    else if (filter && row->media)
        problem_set(
            error, PROBLEM_INVALID_MESSAGE,
            "[%s] is about some media of a call and cannot say media_path; say that in a row "
            "without media",
            row->name);
    else if (pipeline_parameters_check(conf, row->name, "media_path_parameters", error)) {
        if (filter)
            row->path = json_pack("{s:s, s:o, s:s}", "template", filter, "parameters",
                                  pipeline_parameters(parameters), "onFailure",
                                  conf_string(conf, row->name, "media_path_failure"));
        return true;
    }
    return false;
}

static bool add_row(struct policy *policy, const struct conf *conf, const char *section,
                    GError **error)
{
    struct policy_row row = {.name = g_strdup(section)};
    GError *media_error = NULL;
    row.media = read_media(conf, section, &media_error);
    row.permit = conf_bool(conf, section, "permit");
    row.direct_media = conf_bool(conf, section, "direct_media");
    row.best_effort = strcmp(conf_string(conf, section, "enforcement"), "best-effort") == 0;
    row.application = conf_bool(conf, section, "application_methods");
    row.media_max = conf_int(conf, section, "media_max");
    row.limits = (struct policy_limits){
        .calls_per_caller = conf_int(conf, section, "calls_per_caller"),
        .calls_per_callee = conf_int(conf, section, "calls_per_callee"),
        .attempts_per_caller = conf_int(conf, section, "attempts_per_caller"),
        .attempts_per_callee = conf_int(conf, section, "attempts_per_callee"),
    };
    row.flow_status = g_strdup(conf_string(conf, section, "flow_status"));
    bool good = !media_error && read_party(&row.from, conf, section, "from", error) &&
                read_party(&row.to, conf, section, "to", error) &&
                read_policing(conf, &row, error) && read_marking(conf, &row, error) &&
                read_side(conf, &row, error) && read_record(conf, &row, error) &&
                read_path(conf, &row, error);
    if (media_error)
        g_propagate_error(error, media_error);
    g_array_append_val(policy->rows, row);
    return good;
}

static void add_default(struct policy *policy)
{
    struct policy_row row = {.name = g_strdup(""), .permit = true, .dscp = -1};
    row.flow_status = g_strdup("ENABLED");
    read_party(&row.from, NULL, NULL, NULL, NULL);
    read_party(&row.to, NULL, NULL, NULL, NULL);
    g_array_append_val(policy->rows, row);
}

struct policy *policy_new(const struct conf *conf, GError **error)
{
    struct policy *policy = g_new0(struct policy, 1);
    policy->rows = g_array_new(FALSE, FALSE, sizeof(struct policy_row));
    g_array_set_clear_func(policy->rows, row_clear);
    const char *const *names = conf_instances(conf, "policy*");
    for (guint i = 0; names && names[i]; i++) {
        if (!add_row(policy, conf, names[i], error)) {
            policy_free(policy);
            return NULL;
        }
    }
    add_default(policy);
    return policy;
}

void policy_free(struct policy *policy)
{
    if (!policy)
        return;
    g_array_unref(policy->rows);
    g_free(policy);
}

static const struct policy_row *get_row(const struct policy *policy, guint row)
{
    guint last = policy->rows->len - 1;
    return &g_array_index(policy->rows, struct policy_row, MIN(row, last));
}

/* --- decisions -----------------------------------------------------------------------------------
 */

/* The first row that fits; media 0 asks about the call itself, POLICY_BOTH about what holds for the
 * call and not for one side's media. The default fits everything. */
static guint find_side_row(const struct policy *policy, const struct policy_caller *from,
                           const char *to, enum policy_side side, guint media)
{
    g_autofree char *lower_from = g_ascii_strdown(from->identity, -1);
    g_autofree char *lower_to = g_ascii_strdown(to, -1);
    for (guint i = 0; i < policy->rows->len; i++) {
        const struct policy_row *row = get_row(policy, i);
        if ((row->media == 0 || (row->media & media)) &&
            (row->side == POLICY_BOTH || row->side == side) &&
            party_fits(&row->from, lower_from, 1u << from->kind) &&
            party_fits(&row->to, lower_to, 0))
            return i;
    }
    return policy->rows->len - 1;
}

static guint find_row(const struct policy *policy, const struct policy_caller *from, const char *to,
                      guint media)
{
    return find_side_row(policy, from, to, POLICY_BOTH, media);
}

bool policy_permit(const struct policy *policy, const struct policy_caller *from, const char *to,
                   guint *ret_row, GError **error)
{
    *ret_row = find_row(policy, from, to, 0);
    if (get_row(policy, *ret_row)->permit)
        return true;
    problem_set(error, PROBLEM_NOT_AUTHORIZED, "this call is not permitted");
    return false;
}

guint policy_media_row(const struct policy *policy, const struct policy_caller *from,
                       const char *to, enum media_kind kind)
{
    return find_row(policy, from, to, 1u << kind);
}

bool policy_limit_media(const struct policy *policy, const struct policy_caller *from,
                        const char *to, struct offer_template *wanted, GError **error)
{
    guint max = get_row(policy, find_row(policy, from, to, 0))->media_max, kept = 0, kept_used = 0;
    guint before = wanted->medias->len;
    for (guint i = 0; i < wanted->medias->len;) {
        const struct offer_media *media = g_ptr_array_index(wanted->medias, i);
        guint row = policy_media_row(policy, from, to, media->kind);
        bool used = !media->rejected && media->direction != MEDIA_INACTIVE;
        if (get_row(policy, row)->permit && (!used || !max || kept_used < max)) {
            kept++;
            kept_used += used;
            i++;
        } else {
            g_ptr_array_remove_index(wanted->medias, i);
        }
    }
    if (kept > 0 || before == 0)
        return true;
    problem_set(error, PROBLEM_NOT_AUTHORIZED, "none of these media is permitted in this call");
    return false;
}

static bool is_plain(const struct policy_row *row)
{
    return !row->sdr && !row->tagging;
}

static json_t *fragment(const struct policy_row *row, const char *mid)
{
    json_t *item = json_pack("{s:s, s:s}", "mid", mid, "flowStatus", row->flow_status);
    if (row->sdr) {
        json_t *policing =
            json_pack("{s:I, s:I}", "sdr", (json_int_t)row->sdr, "mbs", (json_int_t)row->mbs);
        if (row->pdr) {
            json_object_set_new(policing, "pdr", json_integer(row->pdr));
            json_object_set_new(policing, "dvt", json_integer(row->dvt));
        }
        json_object_set_new(item, "policing", policing);
    }
    if (row->tagging) {
        json_t *marking = json_pack("{s:s}", "taggingBehaviour", row->tagging);
        if (row->dscp >= 0)
            json_object_set_new(marking, "dscp", json_integer(row->dscp));
        json_object_set_new(item, "marking", marking);
    }
    return item;
}

static const struct policy_row *leg_row(const struct policy *policy, const struct policy_leg *leg,
                                        guint media)
{
    return get_row(policy, find_side_row(policy, &leg->from, leg->to, leg->side, media));
}

json_t *policy_media_json(const struct policy *policy, const struct policy_leg *leg,
                          const struct offer_template *medias)
{
    const struct policy_row *whole = leg_row(policy, leg, 0);
    json_t *list = json_array();
    bool same = is_plain(whole);
    for (guint i = 0; medias && i < medias->medias->len; i++) {
        const struct offer_media *media = g_ptr_array_index(medias->medias, i);
        const struct policy_row *row = leg_row(policy, leg, 1u << media->kind);
        same = same && is_plain(row) && strcmp(row->flow_status, whole->flow_status) == 0;
        if (!media->rejected)
            json_array_append_new(list, fragment(row, media->mid));
    }
    if (!same && json_array_size(list) > 0)
        return list;
    json_array_clear(list);
    json_array_append_new(list, fragment(whole, "*"));
    return list;
}

json_t *policy_media_path(const struct policy *policy, const struct policy_leg *leg)
{
    const struct policy_row *row = leg_row(policy, leg, 0);
    return row->path ? json_deep_copy(row->path) : NULL;
}

bool policy_has_media_path(const struct policy *policy, const struct policy_caller *from,
                           const char *to)
{
    return get_row(policy, find_side_row(policy, from, to, POLICY_CALLER, 0))->path ||
           get_row(policy, find_side_row(policy, from, to, POLICY_CALLEE, 0))->path;
}

bool policy_media_best_effort(const struct policy *policy, const struct policy_leg *leg,
                              const struct offer_template *medias)
{
    for (guint i = 0; medias && i < medias->medias->len; i++) {
        const struct offer_media *media = g_ptr_array_index(medias->medias, i);
        const struct policy_row *row = leg_row(policy, leg, 1u << media->kind);
        if (!is_plain(row) && !row->best_effort)
            return false;
    }
    return true;
}

/* --- rows from outside ---------------------------------------------------------------------------
 */

const char *policy_flow_status(const struct policy *policy, guint row)
{
    return get_row(policy, row)->flow_status;
}

bool policy_direct_media(const struct policy *policy, guint row)
{
    return get_row(policy, row)->direct_media;
}

const char *policy_record(const struct policy *policy, guint row)
{
    return get_row(policy, row)->record;
}

bool policy_application(const struct policy *policy, guint row)
{
    return get_row(policy, row)->application;
}

const struct policy_limits *policy_limits(const struct policy *policy, guint row)
{
    return &get_row(policy, row)->limits;
}

const char *policy_row_name(const struct policy *policy, guint row)
{
    return get_row(policy, row)->name;
}

guint policy_row_by_name(const struct policy *policy, const char *name)
{
    for (guint i = 0; name && i < policy->rows->len; i++)
        if (strcmp(get_row(policy, i)->name, name) == 0)
            return i;
    return policy->rows->len - 1;
}
