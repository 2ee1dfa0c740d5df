/* SPDX-License-Identifier: Apache-2.0 */
/* Reads mediaPolicy. Entries are kept as the WSF said them, because "*" also speaks of media that a
 * later negotiation adds; what holds for one medium is worked out when it is needed. */
#include "wmcf/media-policy.h"

#include "base/problem.h"
#include "wsf-link/json-read.h"

/* One message can hardly name more media than a leg may have. */
#define ENTRIES_MAX (2 * SDP_MAX_MEDIAS)
/* Mids are kept although nobody uses them any more. */
#define KEPT_MAX (8 * SDP_MAX_MEDIAS)
/* What the shortest packet of media has: headers of IPv4, UDP and RTP. */
#define PACKET_MIN (20 + 8 + 12)

void policy_set_init(struct policy_set *set)
{
    set->entries = g_array_new(FALSE, TRUE, sizeof(struct policy_entry));
}

void policy_set_clear(struct policy_set *set)
{
    g_clear_pointer(&set->entries, g_array_unref);
}

static bool read_flow_status(const json_t *entry, const char *base, struct qos_policy *policy,
                             GError **error)
{
    const char *text = NULL;
    if (!json_read_string(entry, base, "flowStatus", JSON_OPTIONAL, 32, &text, error))
        return false;
    if (!text)
        return true;
    policy->has_status = true;
    if (qos_flow_status_parse(text, &policy->status))
        return true;
    g_autofree char *pointer = g_strconcat(base, "/flowStatus", NULL);
    problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                      "flowStatus is ENABLED, ENABLED-UPLINK, ENABLED-DOWNLINK, DISABLED or "
                      "REMOVED");
    return false;
}

/* H.248.53: sdr with mbs is a token bucket, pdr with dvt a GCRA above it; 32 bits each. */
static bool read_rates(const json_t *value, const char *pointer, struct qos_policing *ret,
                       GError **error)
{
    gint64 sdr = 0, mbs = 0, pdr = 0, dvt = 0;
    bool peak = json_object_get(value, "pdr") || json_object_get(value, "dvt");
    enum json_need need = peak ? JSON_REQUIRED : JSON_OPTIONAL;
    /* By RFC 2216 a packet longer than the bucket never passes: one that no packet fits in would be
     * a closed gate that nobody sees. How long the longest is the WSF knows. */
    if (!json_read_integer(value, pointer, "sdr", JSON_REQUIRED, 1, G_MAXUINT32, &sdr, error) ||
        !json_read_integer(value, pointer, "mbs", JSON_REQUIRED, PACKET_MIN, G_MAXUINT32, &mbs,
                           error) ||
        !json_read_integer(value, pointer, "pdr", need, 1, G_MAXUINT32, &pdr, error) ||
        !json_read_integer(value, pointer, "dvt", need, 0, G_MAXUINT32, &dvt, error))
        return false;
    if (peak && pdr < sdr) {
        g_autofree char *param = g_strconcat(pointer, "/pdr", NULL);
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, param,
                          "the peak rate pdr is not below the sustained rate sdr");
        return false;
    }
    *ret = (struct qos_policing){true, sdr, mbs, pdr, dvt};
    return true;
}

static bool read_policing(const json_t *entry, const char *base, struct qos_policy *policy,
                          GError **error)
{
    const json_t *value = json_object_get(entry, "policing");
    if (!value)
        return true;
    policy->has_policing = true;
    if (json_is_false(value))
        return true;
    g_autofree char *pointer = g_strconcat(base, "/policing", NULL);
    if (json_is_object(value))
        return read_rates(value, pointer, &policy->policing, error);
    problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                      "policing is an object with sdr and mbs, or false");
    return false;
}

static bool read_marking(const json_t *entry, const char *base, struct qos_policy *policy,
                         GError **error)
{
    static const char *const behaviours[] = {"mark", "copy", NULL};
    const json_t *marking = NULL;
    if (!json_read_object(entry, base, "marking", JSON_OPTIONAL, &marking, error))
        return false;
    if (!marking)
        return true;
    g_autofree char *pointer = g_strconcat(base, "/marking", NULL);
    int behaviour = 0;
    gint64 dscp = 0;
    if (!json_read_choice(marking, pointer, "taggingBehaviour", JSON_REQUIRED, behaviours,
                          &behaviour, error) ||
        !json_read_integer(marking, pointer, "dscp", behaviour == 0 ? JSON_REQUIRED : JSON_OPTIONAL,
                           0, 63, &dscp, error))
        return false;
    policy->tagging = behaviour == 0 ? QOS_TAGGING_MARK : QOS_TAGGING_COPY;
    policy->dscp = dscp;
    return true;
}

bool policy_set_read(const struct qos *qos, const json_t *message, struct policy_set *ret,
                     GError **error)
{
    const json_t *array = NULL;
    policy_set_init(ret);
    if (!json_read_array(message, "", "mediaPolicy", JSON_OPTIONAL, ENTRIES_MAX, &array, error))
        return false;
    size_t i;
    json_t *item;
    json_array_foreach(array, i, item)
    {
        g_autofree char *base = g_strdup_printf("/mediaPolicy/%zu", i);
        if (!json_is_object(item)) {
            problem_set_param(error, PROBLEM_INVALID_MESSAGE, base,
                              "an entry of mediaPolicy is an object with a mid");
            return false;
        }
        struct policy_entry entry = {0};
        const char *mid = NULL;
        if (!json_read_string(item, base, "mid", JSON_REQUIRED, SDP_MAX_MID, &mid, error) ||
            !read_flow_status(item, base, &entry.policy, error) ||
            !read_policing(item, base, &entry.policy, error) ||
            !read_marking(item, base, &entry.policy, error) ||
            !qos_check(qos, &entry.policy, error))
            return false;
        g_strlcpy(entry.mid, mid, sizeof entry.mid);
        g_array_append_val(ret->entries, entry);
    }
    return true;
}

static void overlay(struct qos_policy *onto, const struct qos_policy *said)
{
    if (said->has_status) {
        onto->has_status = true;
        onto->status = said->status;
    }
    if (said->has_policing) {
        onto->has_policing = true;
        onto->policing = said->policing;
    }
    if (said->tagging != QOS_TAGGING_NONE) {
        onto->tagging = said->tagging;
        onto->dscp = said->dscp;
    }
}

static struct policy_entry *find(const struct policy_set *set, const char *mid)
{
    for (guint i = 0; i < set->entries->len; i++) {
        struct policy_entry *entry = &g_array_index(set->entries, struct policy_entry, i);
        if (strcmp(entry->mid, mid) == 0)
            return entry;
    }
    return NULL;
}

bool policy_set_fits(const struct policy_set *set, const struct policy_set *more, GError **error)
{
    guint n = set->entries->len;
    for (guint i = 0; i < more->entries->len; i++)
        n += !find(set, g_array_index(more->entries, struct policy_entry, i).mid);
    if (n <= KEPT_MAX)
        return true;
    problem_set(error, PROBLEM_RESOURCES_UNAVAILABLE,
                "policies of more than %u mids cannot be kept for one termination", KEPT_MAX);
    return false;
}

void policy_set_merge(struct policy_set *set, const struct policy_set *more)
{
    for (guint i = 0; i < more->entries->len; i++) {
        const struct policy_entry *new = &g_array_index(more->entries, struct policy_entry, i);
        struct policy_entry *known = find(set, new->mid);
        /* "*" speaks of every medium, so what was said of single ones before gives way to it. */
        if (strcmp(new->mid, "*") == 0)
            for (guint k = 0; k < set->entries->len; k++)
                overlay(&g_array_index(set->entries, struct policy_entry, k).policy, &new->policy);
        if (known)
            overlay(&known->policy, &new->policy);
        else
            g_array_append_val(set->entries, *new);
    }
}

struct qos_policy policy_set_for(const struct policy_set *set, const char *mid)
{
    struct qos_policy policy = {0};
    for (int exact = 0; exact < 2; exact++)
        for (guint i = 0; i < set->entries->len; i++) {
            const struct policy_entry *entry = &g_array_index(set->entries, struct policy_entry, i);
            if (strcmp(entry->mid, exact ? mid : "*") == 0)
                overlay(&policy, &entry->policy);
        }
    return policy;
}

static json_t *policing_json(const struct qos_policing *policing)
{
    json_t *object =
        json_pack("{s:I, s:I}", "sdr", (json_int_t)policing->sdr, "mbs", (json_int_t)policing->mbs);
    if (policing->pdr) {
        json_object_set_new(object, "pdr", json_integer(policing->pdr));
        json_object_set_new(object, "dvt", json_integer(policing->dvt));
    }
    return object;
}

void policy_add_json(const struct qos_flow *flow, bool sends, json_t *media)
{
    struct qos_policy policy;
    qos_flow_get_policy(flow, &policy);
    json_object_set_new(media, "flowStatus", json_string(qos_flow_status_name(policy.status)));
    if (policy.policing.present)
        json_object_set_new(media, "policing", policing_json(&policy.policing));
    if (sends && policy.tagging != QOS_TAGGING_NONE)
        json_object_set_new(media, "marking",
                            json_pack("{s:s, s:i}", "taggingBehaviour",
                                      policy.tagging == QOS_TAGGING_MARK ? "mark" : "copy", "dscp",
                                      (int)policy.dscp));
}
