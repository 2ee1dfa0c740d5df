/* SPDX-License-Identifier: Apache-2.0 */
/* Whose filters are whose, and how ours go. u32 filters have no name, so the first of each root
 * carries the owner as the cookie of its action. Tables go last and by themselves: while another
 * user of u32 is at the hook, the kernel keeps those of a root that is removed. It lets go of a
 * table a moment after the link to it (RCU), which is what the waiting here is for; it happens when
 * the process ends, starts after a crash, or an interface ceases to carry media. */
#include "qos/tc-u32-private.h"

#include <errno.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define PREFIX "wmcf"
#define CLSACT '+'
#define WAIT_US 2000
#define WAITS 250

void u32_cookie(const char *owner, bool clsact, struct tc_cookie *ret)
{
    size_t room = sizeof ret->text - 1;
    memset(ret, 0, sizeof *ret);
    if (strlen(owner) <= room) {
        memcpy(ret->text, owner, strlen(owner));
        ret->length = (uint8_t)strlen(owner);
    } else {
        g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, owner, -1);
        memcpy(ret->text, PREFIX, strlen(PREFIX));
        memcpy(ret->text + strlen(PREFIX), hash, room - strlen(PREFIX));
        ret->length = (uint8_t)room;
    }
    if (clsact)
        ret->text[ret->length++] = CLSACT;
}

bool u32_cookie_is_of(const struct tc_cookie *cookie, const char *owner)
{
    for (int clsact = 0; clsact < 2; clsact++) {
        struct tc_cookie own;
        u32_cookie(owner, clsact, &own);
        if (own.length == cookie->length && memcmp(own.text, cookie->text, own.length) == 0)
            return true;
    }
    return false;
}

bool u32_cookie_made_clsact(const struct tc_cookie *cookie)
{
    return cookie->length > strlen(PREFIX) && memcmp(cookie->text, PREFIX, strlen(PREFIX)) == 0 &&
           cookie->text[cookie->length - 1] == CLSACT;
}

struct look {
    enum tc_hook hook;
    struct u32_survey *survey;
};

static void on_filter(const struct tc_filter *filter, void *user)
{
    const struct look *look = user;
    struct u32_survey *survey = look->survey;
    struct u32_entry entry = {.hook = look->hook,
                              .handle = filter->handle,
                              .priority = filter->priority,
                              .protocol = filter->protocol};
    bool clsact = false;
    g_autofree char *owner = tc_filter_owner(filter, &clsact);
    survey->clsact |= owner && clsact;
    g_array_append_val(survey->taken, filter->priority);
    if (strcmp(filter->kind, "u32") != 0 || filter->chain != 0)
        return;
    if (filter->options) {
        const struct nlattr *options = filter->options;
        struct nlattr *actions = nla_find(nla_data(options), nla_len(options), TCA_U32_ACT);
        entry.is_link = nla_find(nla_data(options), nla_len(options), TCA_U32_LINK) != NULL;
        entry.has_cookie = actions && tc_actions_cookie(actions, &entry.cookie);
    }
    survey->clsact |= entry.has_cookie && u32_cookie_made_clsact(&entry.cookie);
    g_array_append_val(survey->entries, entry);
}

bool u32_look(struct tc *tc, unsigned ifindex, enum tc_hook hook, struct u32_survey *ret)
{
    struct look look = {hook, ret};
    *ret = (struct u32_survey){.entries = g_array_new(FALSE, FALSE, sizeof(struct u32_entry)),
                               .taken = g_array_new(FALSE, FALSE, sizeof(uint16_t))};
    if (tc_dump_filters(tc, ifindex, hook, on_filter, &look))
        return true;
    u32_survey_clear(ret);
    return false;
}

void u32_survey_clear(struct u32_survey *survey)
{
    if (survey->entries)
        g_array_unref(survey->entries);
    if (survey->taken)
        g_array_unref(survey->taken);
    survey->entries = survey->taken = NULL;
}

static int remove_entry(struct tc *tc, unsigned ifindex, const struct u32_entry *entry,
                        uint32_t handle)
{
    return tc_send(tc,
                   tc_message(RTM_DELTFILTER, NLM_F_REQUEST, ifindex, tc_hook_parent(entry->hook),
                              tc_info(entry->priority, entry->protocol), handle, "u32"));
}

/* The table is held by the links to it until the kernel has freed them. */
static void remove_table(struct tc *tc, unsigned ifindex, const struct u32_entry *entry)
{
    for (int i = 0; i < WAITS; i++) {
        if (remove_entry(tc, ifindex, entry, entry->handle) != EBUSY)
            return;
        g_usleep(WAIT_US);
    }
}

static bool is_table(const struct u32_entry *entry)
{
    return entry->handle && TC_U32_KEY(entry->handle) == 0;
}

/* Those of the roots that carry the owner's name. */
static GArray *ours(const struct u32_survey *survey, const char *owner)
{
    GArray *ours = g_array_new(FALSE, FALSE, sizeof(struct u32_entry));
    g_autoptr(GHashTable) priorities = g_hash_table_new(NULL, NULL);
    for (guint i = 0; i < survey->entries->len; i++) {
        const struct u32_entry *entry = &g_array_index(survey->entries, struct u32_entry, i);
        if (TC_U32_USERHTID(entry->handle) >= U32_ROOTS && entry->has_cookie &&
            u32_cookie_is_of(&entry->cookie, owner))
            g_hash_table_add(priorities, GUINT_TO_POINTER(entry->priority));
    }
    for (guint i = 0; i < survey->entries->len; i++) {
        const struct u32_entry *entry = &g_array_index(survey->entries, struct u32_entry, i);
        if (g_hash_table_contains(priorities, GUINT_TO_POINTER(entry->priority)))
            g_array_append_val(ours, *entry);
    }
    return ours;
}

static void clean_hook(struct tc *tc, unsigned ifindex, enum tc_hook hook, const char *owner,
                       bool *clsact)
{
    struct u32_survey survey;
    if (!u32_look(tc, ifindex, hook, &survey))
        return;
    g_autoptr(GArray) entries = ours(&survey, owner);
#define EACH(condition, action)                                                                    \
    for (guint i = 0; i < entries->len; i++) {                                                     \
        const struct u32_entry *entry = &g_array_index(entries, struct u32_entry, i);              \
        if (condition)                                                                             \
            action;                                                                                \
    }
    EACH(entry->is_link, remove_entry(tc, ifindex, entry, entry->handle))
    EACH(is_table(entry) && TC_U32_USERHTID(entry->handle) < U32_ROOTS,
         remove_table(tc, ifindex, entry))
    /* The root goes as a whole. */
    EACH(entry->has_cookie && TC_U32_USERHTID(entry->handle) >= U32_ROOTS,
         remove_entry(tc, ifindex, entry, 0))
#undef EACH
    *clsact |= survey.clsact;
    u32_survey_clear(&survey);
}

bool u32_clean_filters(struct tc *tc, unsigned ifindex, const char *owner)
{
    bool clsact = g_hash_table_contains(tc->made, GUINT_TO_POINTER(ifindex));
    for (enum tc_hook hook = TC_INGRESS; hook <= TC_EGRESS; hook++)
        clean_hook(tc, ifindex, hook, owner, &clsact);
    return clsact;
}

void u32_clean(struct tc *tc, unsigned ifindex, const char *owner)
{
    bool clsact = u32_clean_filters(tc, ifindex, owner);
    int status = tc->status;
    if (clsact)
        tc_drop_clsact(tc, ifindex);
    tc->status = status;
}
