/* SPDX-License-Identifier: Apache-2.0 */
/* The policy table, read once from the configuration. A call keeps the number of the row that
 * permitted it, so that every later decision about it comes from the same row. */
#include "wsf/policy.h"

#include "base/problem.h"

struct policy_row {
    char *name; /* of the section, as it stands in the file */
    GPatternSpec *from, *to;
    bool permit, direct_media;
    const char *flow_status;
};

struct policy {
    GArray *rows; /* struct policy_row; the last one is the default */
};

static void row_clear(void *data)
{
    struct policy_row *row = data;
    g_free(row->name);
    g_pattern_spec_free(row->from);
    g_pattern_spec_free(row->to);
}

static void add_row(struct policy *policy, const char *name, const char *from, const char *to,
                    bool permit, bool direct_media, const char *flow_status)
{
    struct policy_row row = {g_strdup(name),         g_pattern_spec_new(from),
                             g_pattern_spec_new(to), permit,
                             direct_media,           flow_status};
    g_array_append_val(policy->rows, row);
}

struct policy *policy_new(const struct conf *conf)
{
    struct policy *policy = g_new0(struct policy, 1);
    policy->rows = g_array_new(FALSE, FALSE, sizeof(struct policy_row));
    g_array_set_clear_func(policy->rows, row_clear);
    const char *const *names = conf_instances(conf, "policy*");
    for (guint i = 0; names && names[i]; i++)
        add_row(policy, names[i], conf_string(conf, names[i], "from"),
                conf_string(conf, names[i], "to"), conf_bool(conf, names[i], "permit"),
                conf_bool(conf, names[i], "direct_media"),
                conf_string(conf, names[i], "flow_status"));
    add_row(policy, "", "*", "*", true, false, "ENABLED");
    return policy;
}

void policy_free(struct policy *policy)
{
    if (!policy)
        return;
    g_array_unref(policy->rows);
    g_free(policy);
}

bool policy_permit(const struct policy *policy, const char *from, const char *to, guint *ret_row,
                   GError **error)
{
    for (guint i = 0; i < policy->rows->len; i++) {
        const struct policy_row *row = &g_array_index(policy->rows, struct policy_row, i);
        if (!g_pattern_spec_match_string(row->from, from) ||
            !g_pattern_spec_match_string(row->to, to))
            continue;
        *ret_row = i;
        if (row->permit)
            return true;
        break;
    }
    problem_set(error, PROBLEM_NOT_AUTHORIZED, "this call is not permitted");
    return false;
}

const char *policy_flow_status(const struct policy *policy, guint row)
{
    g_return_val_if_fail(row < policy->rows->len, "DISABLED");
    return g_array_index(policy->rows, struct policy_row, row).flow_status;
}

bool policy_direct_media(const struct policy *policy, guint row)
{
    g_return_val_if_fail(row < policy->rows->len, false);
    return g_array_index(policy->rows, struct policy_row, row).direct_media;
}

const char *policy_row_name(const struct policy *policy, guint row)
{
    g_return_val_if_fail(row < policy->rows->len, "");
    return g_array_index(policy->rows, struct policy_row, row).name;
}

guint policy_row_by_name(const struct policy *policy, const char *name)
{
    guint last = policy->rows->len - 1;
    for (guint i = 0; name && i < last; i++)
        if (g_strcmp0(g_array_index(policy->rows, struct policy_row, i).name, name) == 0)
            return i;
    return last;
}
