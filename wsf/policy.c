/* SPDX-License-Identifier: Apache-2.0 */
/* The policy table, read once from the configuration. A call keeps the number of the row that
 * permitted it; what holds for one kind of its media is looked up when it is needed, from the same
 * caller and callee, so it may come from a row of its own. Patterns are matched without case. */
#include "wsf/policy.h"

#include "base/problem.h"

#include <string.h>

/* Who a row is about: patterns of identities and kinds of endpoints. */
struct party {
    GPtrArray *patterns; /* GPatternSpec */
    guint kinds;         /* bits of enum endpoint_kind */
};

struct policy_row {
    char *name; /* of the section, as it stands in the file */
    struct party from, to;
    guint media; /* bits of enum media_kind; 0: the call, and all of them */
    bool permit, direct_media, application, best_effort;
    const char *flow_status;
    gint64 sdr, mbs, pdr, dvt; /* policing; 0 = not */
    const char *tagging;       /* "mark", "copy" or NULL */
    gint64 dscp;
    guint media_max; /* 0 = not limited */
    struct policy_limits limits;
};

struct policy {
    GArray *rows; /* struct policy_row; the last one is the default */
};

/* --- parties -------------------------------------------------------------------------------------
 */

static void party_finish(struct party *party)
{
    g_clear_pointer(&party->patterns, g_ptr_array_unref);
}

static void add_pattern(struct party *party, const char *text)
{
    g_autofree char *lower = g_ascii_strdown(text, -1);
    g_ptr_array_add(party->patterns, g_pattern_spec_new(lower));
}

/* @provider, @operator, @wsf, @client, or the members of [class "name"]. */
static bool add_class(struct party *party, const struct conf *conf, const char *name, bool kinds,
                      GError **error)
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

static bool read_party(struct party *party, const struct conf *conf, const char *section,
                       const char *key, GError **error)
{
    const char *const *list = section ? conf_list(conf, section, key) : NULL;
    party->patterns = g_ptr_array_new_with_free_func((GDestroyNotify)g_pattern_spec_free);
    if (!section)
        add_pattern(party, "*");
    for (guint i = 0; list && list[i]; i++) {
        if (*list[i] != '@')
            add_pattern(party, list[i]);
        else if (!add_class(party, conf, list[i] + 1, strcmp(key, "from") == 0, error)) {
            g_prefix_error(error, "[%s] %s: ", section, key);
            return false;
        }
    }
    return true;
}

static bool party_fits(const struct party *party, const char *lower, guint kinds)
{
    if (party->kinds & kinds)
        return true;
    for (guint i = 0; i < party->patterns->len; i++)
        if (g_pattern_spec_match_string(g_ptr_array_index(party->patterns, i), lower))
            return true;
    return false;
}

/* --- rows ----------------------------------------------------------------------------------------
 */

static void row_clear(void *data)
{
    struct policy_row *row = data;
    g_free(row->name);
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

static void read_qos(const struct conf *conf, struct policy_row *row)
{
    const char *tagging = conf_string(conf, row->name, "tagging");
    row->flow_status = conf_string(conf, row->name, "flow_status");
    row->sdr = conf_int(conf, row->name, "police_rate");
    row->mbs = conf_int(conf, row->name, "police_burst");
    row->pdr = conf_int(conf, row->name, "police_peak_rate");
    row->dvt = conf_int(conf, row->name, "police_tolerance");
    row->tagging = strcmp(tagging, "default") == 0 ? NULL : tagging;
    row->dscp = conf_int(conf, row->name, "dscp");
}

static bool check_row(const struct policy_row *row, GError **error)
{
    if ((row->sdr > 0) == (row->mbs > 0) && (row->pdr > 0) == (row->dvt > 0) &&
        (row->sdr > 0 || row->pdr == 0))
        return true;
    problem_set(error, PROBLEM_INVALID_MESSAGE,
                "[%s] police_rate and police_burst belong together, and police_peak_rate and "
                "police_tolerance may be added to them together",
                row->name);
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
    read_qos(conf, &row);
    bool good = !media_error && read_party(&row.from, conf, section, "from", error) &&
                read_party(&row.to, conf, section, "to", error) && check_row(&row, error);
    if (media_error)
        g_propagate_error(error, media_error);
    g_array_append_val(policy->rows, row);
    return good;
}

static void add_default(struct policy *policy)
{
    struct policy_row row = {.name = g_strdup(""), .permit = true, .flow_status = "ENABLED"};
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

/* The first row that fits; media 0 asks about the call itself. The default fits everything. */
static guint find_row(const struct policy *policy, const struct policy_caller *from, const char *to,
                      guint media)
{
    g_autofree char *lower_from = g_ascii_strdown(from->identity, -1);
    g_autofree char *lower_to = g_ascii_strdown(to, -1);
    for (guint i = 0; i < policy->rows->len; i++) {
        const struct policy_row *row = get_row(policy, i);
        if ((row->media == 0 || (row->media & media)) &&
            party_fits(&row->from, lower_from, 1u << from->kind) &&
            party_fits(&row->to, lower_to, 0))
            return i;
    }
    return policy->rows->len - 1;
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
        if (strcmp(row->tagging, "mark") == 0)
            json_object_set_new(marking, "dscp", json_integer(row->dscp));
        json_object_set_new(item, "marking", marking);
    }
    return item;
}

json_t *policy_media_json(const struct policy *policy, const struct policy_caller *from,
                          const char *to, const struct offer_template *medias)
{
    const struct policy_row *whole = get_row(policy, find_row(policy, from, to, 0));
    json_t *list = json_array();
    bool same = is_plain(whole);
    for (guint i = 0; medias && i < medias->medias->len; i++) {
        const struct offer_media *media = g_ptr_array_index(medias->medias, i);
        const struct policy_row *row =
            get_row(policy, policy_media_row(policy, from, to, media->kind));
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

bool policy_best_effort(const struct policy *policy, guint row)
{
    return get_row(policy, row)->best_effort;
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
