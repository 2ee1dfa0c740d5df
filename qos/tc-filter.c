/* SPDX-License-Identifier: Apache-2.0 */
/* Our filter at a hook. What counts is that there is exactly one, and no moment without: a filter
 * of our name is changed in place, which the kernel does in one step, and only what is too many is
 * removed, afterwards. A new one asks for a place that nobody has and is told if that was just
 * taken (NLM_F_EXCL), so that two who start at the same time do not share one. */
#include "qos/tc-private.h"

#include "base/problem.h"
#include "qos/tc-name.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define TRIES 10

/* One of ours, as much of it as names it to the kernel. */
struct place {
    uint32_t handle, chain, flags;
    uint16_t priority, protocol;
};

struct survey {
    const char *name;
    GArray *ours;     /* struct place; NULL = not asked for */
    GArray *taken;    /* priorities, uint16_t; NULL = not asked for */
    bool wmcf_clsact; /* a WMCF has made the clsact, as one of its filters says */
};

static void look_at(const struct tc_filter *filter, void *user)
{
    struct survey *survey = user;
    const char *text = tc_filter_text(filter);
    bool clsact = false, ours = text && tc_name_is(text, survey->name, &clsact);
    g_autofree char *other = ours ? NULL : tc_filter_owner(filter, &clsact);
    if (survey->taken)
        g_array_append_val(survey->taken, filter->priority);
    survey->wmcf_clsact |= clsact && (ours || other);
    if (!ours || !survey->ours)
        return;
    struct nlattr *flags =
        nla_find(nla_data(filter->options), nla_len(filter->options), TCA_BPF_FLAGS_GEN);
    struct place place = {.handle = filter->handle,
                          .chain = filter->chain,
                          .flags = flags ? nla_get_u32(flags) : 0,
                          .priority = filter->priority,
                          .protocol = filter->protocol};
    g_array_append_val(survey->ours, place);
}

static int remove_filter(struct tc *tc, unsigned ifindex, enum tc_hook hook,
                         const struct place *place)
{
    /* Zeros would mean all there are. */
    g_return_val_if_fail(place->handle && place->priority, EINVAL);
    struct nl_msg *message =
        tc_message(RTM_DELTFILTER, NLM_F_REQUEST, ifindex, tc_hook_parent(hook),
                   tc_info(place->priority, place->protocol), place->handle, "bpf");
    if (place->chain)
        nla_put_u32(message, TCA_CHAIN, place->chain);
    return tc_send(tc, message);
}

static struct nl_msg *filter_message(unsigned ifindex, enum tc_hook hook, int flags,
                                     const struct place *place, int program_fd, const char *name)
{
    struct nl_msg *message =
        tc_message(RTM_NEWTFILTER, NLM_F_REQUEST | flags, ifindex, tc_hook_parent(hook),
                   tc_info(place->priority, place->protocol), place->handle, "bpf");
    if (place->chain)
        nla_put_u32(message, TCA_CHAIN, place->chain);
    struct nlattr *options = nla_nest_start(message, TCA_OPTIONS);
    nla_put_u32(message, TCA_BPF_FD, (uint32_t)program_fd);
    nla_put_string(message, TCA_BPF_NAME, name);
    nla_put_u32(message, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
    nla_put_u32(message, TCA_BPF_FLAGS_GEN, place->flags);
    nla_nest_end(message, options);
    return message;
}

/* The wanted priority or the next one that is free; 0 = none. */
static uint16_t free_priority(const GArray *taken, unsigned wanted)
{
    for (unsigned priority = CLAMP(wanted, 1, UINT16_MAX); priority <= UINT16_MAX; priority++) {
        bool is_taken = false;
        for (guint i = 0; i < taken->len && !is_taken; i++)
            is_taken = g_array_index(taken, uint16_t, i) == priority;
        if (!is_taken)
            return (uint16_t)priority;
    }
    return 0;
}

static void remove_from(struct tc *tc, unsigned ifindex, enum tc_hook hook, const GArray *places,
                        guint first)
{
    for (guint i = first; i < places->len; i++)
        remove_filter(tc, ifindex, hook, &g_array_index(places, struct place, i));
}

/* One attempt; false with tc->status EEXIST when another was faster. */
static bool attach(struct tc *tc, unsigned ifindex, enum tc_hook hook, int program_fd,
                   const char *name, unsigned priority)
{
    g_autoptr(GArray) ours = g_array_new(FALSE, FALSE, sizeof(struct place));
    g_autoptr(GArray) taken = g_array_new(FALSE, FALSE, sizeof(uint16_t));
    struct survey here = {.name = name, .ours = ours, .taken = taken};
    struct survey there = {.name = name};
    if (!tc_dump_filters(tc, ifindex, hook, look_at, &here) ||
        !tc_dump_filters(tc, ifindex, hook == TC_INGRESS ? TC_EGRESS : TC_INGRESS, look_at, &there))
        return false;
    bool clsact = here.wmcf_clsact || there.wmcf_clsact ||
                  g_hash_table_contains(tc->made, GUINT_TO_POINTER(ifindex));
    g_autofree char *text = tc_name_make(name, clsact);
    if (ours->len) {
        const struct place *old = &g_array_index(ours, struct place, 0);
        struct place same = *old;
        /* The kernel wants the flags of the old one; what else stands there is what it did. */
        same.flags &= TCA_CLS_FLAGS_SKIP_HW | TCA_CLS_FLAGS_SKIP_SW;
        if (tc_send(tc, filter_message(ifindex, hook, NLM_F_CREATE | NLM_F_REPLACE, &same,
                                       program_fd, text)) != 0)
            return false;
        remove_from(tc, ifindex, hook, ours, 1);
        tc->status = 0;
        return true;
    }
    struct place place = {.handle = 1,
                          .flags = TCA_CLS_FLAGS_SKIP_HW, /* of no use to a card: it has our maps */
                          .priority = free_priority(taken, priority),
                          .protocol = ETH_P_ALL};
    if (!place.priority) {
        tc->status = ENOSPC;
        return false;
    }
    return tc_send(tc, filter_message(ifindex, hook, NLM_F_CREATE | NLM_F_EXCL, &place, program_fd,
                                      text)) == 0;
}

bool tc_attach_bpf(struct tc *tc, unsigned ifindex, enum tc_hook hook, int program_fd,
                   const char *owner, unsigned priority, GError **error)
{
    bool done = false;
    for (int i = 0; i < TRIES && !done; i++) {
        if (!tc_ensure_clsact(tc, ifindex, NULL, error))
            return false;
        done = attach(tc, ifindex, hook, program_fd, tc_claim(tc, owner), priority);
        /* Another has taken the place, or the clsact away, since we looked. */
        if (tc->status != EEXIST && tc->status != EINVAL)
            break;
    }
    if (done) {
        g_hash_table_remove(tc->made, GUINT_TO_POINTER(ifindex)); /* the name says it now */
    } else {
        g_autofree char *name = tc_interface(ifindex);
        g_autofree char *what =
            g_strdup_printf("cannot attach a filter at %s of %s", tc_hook_name(hook), name);
        tc_fail(tc, what, error);
    }
    return done;
}

bool tc_is_attached(struct tc *tc, unsigned ifindex, enum tc_hook hook, const char *owner)
{
    g_autoptr(GArray) ours = g_array_new(FALSE, FALSE, sizeof(struct place));
    struct survey survey = {.name = tc_claim(tc, owner), .ours = ours};
    return tc_dump_filters(tc, ifindex, hook, look_at, &survey) && ours->len > 0;
}

void tc_remove_named(struct tc *tc, unsigned ifindex, const char *name)
{
    bool clsact = g_hash_table_contains(tc->made, GUINT_TO_POINTER(ifindex));
    for (enum tc_hook hook = TC_INGRESS; hook <= TC_EGRESS; hook++) {
        g_autoptr(GArray) ours = g_array_new(FALSE, FALSE, sizeof(struct place));
        struct survey survey = {.name = name, .ours = ours};
        tc_dump_filters(tc, ifindex, hook, look_at, &survey);
        remove_from(tc, ifindex, hook, ours, 0);
        clsact |= survey.wmcf_clsact;
    }
    if (clsact)
        tc_drop_clsact(tc, ifindex);
}

void tc_detach(struct tc *tc, unsigned ifindex, const char *owner)
{
    tc_remove_named(tc, ifindex, tc_claim(tc, owner));
}
