/* SPDX-License-Identifier: Apache-2.0 */
/* The five kinds of action that a flow's list is made of, as attributes and back. The kernel gives
 * each its index; a list in a filter only names them, so that the filters of one flow on several
 * interfaces share one bucket and one set of counters. The price is that they outlive a process
 * that is killed: the cookie finds them again (tc-action-read.c). */
#include "qos/tc-action-private.h"

#include "base/problem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_csum.h>
#include <linux/tc_act/tc_gact.h>
#include <linux/tc_act/tc_pedit.h>
#include <linux/tc_act/tc_skbedit.h>
#include <string.h>
#include <sys/socket.h>

/* One tick of struct tc_police is 64 ns (PSCHED_SHIFT in the kernel, the same since 2.6.31). */
#define TICK_NS 64
/* The largest packet that a peak rate has to let pass: a frame of Ethernet. */
#define PEAK_PACKET 1518
#define MTU_MAX 0xffffff

static const char *const kinds[TC_ACTION_KINDS] = {
    [TC_ACTION_GATE] = "gact",  [TC_ACTION_POLICE] = "police", [TC_ACTION_JUDGED] = "skbedit",
    [TC_ACTION_DSCP] = "pedit", [TC_ACTION_CHECKSUM] = "csum",
};

const char *tc_action_kind_name(enum tc_action_kind kind)
{
    return kinds[kind];
}

/* Rounded up, so that a burst of exactly that many octets passes. */
static uint64_t bucket_ticks(uint32_t rate, uint32_t burst)
{
    uint64_t ns = ((uint64_t)burst * 1000000000u + rate - 1) / rate;
    return (ns + TICK_NS - 1) / TICK_NS;
}

bool tc_police_holds(uint32_t rate, uint32_t burst)
{
    return rate > 0 && bucket_ticks(rate, burst) <= UINT32_MAX;
}

static struct tc_ratespec rate_spec(uint32_t rate)
{
    /* A cell size is asked for, though the table that it is of is not looked at. */
    return (struct tc_ratespec){.cell_log = 3, .linklayer = TC_LINKLAYER_ETHERNET, .rate = rate};
}

/* RFC 2210: at a peak rate p a flow may send M + p·t, M its largest packet; the tolerance is more
 * of M. What is larger than M is dropped. */
static uint32_t peak_bucket(uint32_t peak, uint32_t tolerance)
{
    uint64_t octets = (uint64_t)peak * tolerance / 1000000 + PEAK_PACKET;
    return (uint32_t)MIN(octets, MTU_MAX);
}

static void put_police(struct nl_msg *message, const struct tc_action *action)
{
    static const char table[TC_RTAB_SIZE];
    uint32_t rate = action->police.rate, peak = rate ? action->police.peak : 0;
    struct tc_police police = {.index = action->index,
                               .action = TC_ACT_SHOT,
                               .mtu = peak ? peak_bucket(peak, action->police.tolerance) : MTU_MAX};
    if (rate) {
        police.rate = rate_spec(rate);
        police.burst = (uint32_t)MIN(bucket_ticks(rate, action->police.burst), UINT32_MAX);
    }
    if (peak)
        police.peakrate = rate_spec(peak);
    nla_put(message, TCA_POLICE_TBF, sizeof police, &police);
    if (rate)
        nla_put(message, TCA_POLICE_RATE, sizeof table, table);
    if (peak)
        nla_put(message, TCA_POLICE_PEAKRATE, sizeof table, table);
    nla_put_u32(message, TCA_POLICE_RESULT, TC_ACT_PIPE);
}

static void put_gate(struct nl_msg *message, const struct tc_action *action)
{
    static const int verdicts[] = {
        [TC_GATE_OPEN] = TC_ACT_PIPE,
        [TC_GATE_SHUT] = TC_ACT_SHOT,
        [TC_GATE_LEAVE] = TC_ACT_UNSPEC,
    };
    struct tc_gact gact = {.index = action->index, .action = verdicts[action->gate]};
    nla_put(message, TCA_GACT_PARMS, sizeof gact, &gact);
}

static void put_judged(struct nl_msg *message, const struct tc_action *action)
{
    struct tc_skbedit skbedit = {.index = action->index, .action = TC_ACT_UNSPEC};
    nla_put(message, TCA_SKBEDIT_PARMS, sizeof skbedit, &skbedit);
    nla_put_u32(message, TCA_SKBEDIT_MARK, action->mark);
    nla_put_u32(message, TCA_SKBEDIT_MASK, action->mark);
}

/* The DSCP is in the first word of both headers (RFC 2474); the two bits below it, ECN, and what
 * else is in that word stay. */
static void put_dscp(struct nl_msg *message, const struct tc_action *action)
{
    bool ipv4 = action->dscp.family == AF_INET;
    int shift = ipv4 ? 18 : 22;
    struct {
        struct tc_pedit_sel sel;
        struct tc_pedit_key key;
    } pedit = {
        .sel = {.index = action->index,
                /* IPv4 has a checksum to mend yet; else it is the last of the list. */
                .action = ipv4 ? TC_ACT_PIPE : TC_ACT_UNSPEC,
                .nkeys = 1},
        .key = {.mask = ~htonl(0x3fu << shift),
                .val = htonl((uint32_t)action->dscp.value << shift)},
    };
    nla_put(message, TCA_PEDIT_PARMS, sizeof pedit, &pedit);
}

static void put_checksum(struct nl_msg *message, const struct tc_action *action)
{
    struct tc_csum csum = {.index = action->index,
                           .action = TC_ACT_UNSPEC,
                           .update_flags = TCA_CSUM_UPDATE_FLAG_IPV4HDR};
    nla_put(message, TCA_CSUM_PARMS, sizeof csum, &csum);
}

static void put_action(struct nl_msg *message, int order, const struct tc_action *action,
                       const struct tc_cookie *cookie)
{
    static void (*const put[])(struct nl_msg *, const struct tc_action *) = {
        [TC_ACTION_GATE] = put_gate,         [TC_ACTION_POLICE] = put_police,
        [TC_ACTION_JUDGED] = put_judged,     [TC_ACTION_DSCP] = put_dscp,
        [TC_ACTION_CHECKSUM] = put_checksum,
    };
    struct nlattr *nest = nla_nest_start(message, order);
    nla_put_string(message, TCA_ACT_KIND, kinds[action->kind]);
    struct nlattr *options = nla_nest_start(message, TCA_ACT_OPTIONS);
    put[action->kind](message, action);
    nla_nest_end(message, options);
    if (cookie)
        nla_put(message, TCA_ACT_COOKIE, cookie->length, cookie->text);
    nla_nest_end(message, nest);
}

void tc_actions_put(struct nl_msg *message, int type, const struct tc_action *actions, guint count)
{
    struct nlattr *list = nla_nest_start(message, type);
    for (guint i = 0; i < count; i++)
        put_action(message, (int)i + 1, &actions[i], NULL);
    nla_nest_end(message, list);
}

void tc_actions_put_tag(struct nl_msg *message, int type, const struct tc_cookie *cookie)
{
    struct tc_action tag = {.kind = TC_ACTION_GATE, .gate = TC_GATE_LEAVE};
    struct nlattr *list = nla_nest_start(message, type);
    put_action(message, 1, &tag, cookie);
    nla_nest_end(message, list);
}

struct nl_msg *tc_action_message(int type, int flags)
{
    struct tcamsg head = {.tca_family = AF_UNSPEC};
    /* A police action has two tables of 1 KiB. */
    struct nl_msg *message = nlmsg_alloc_size(TC_ACTIONS_MAX * 4096);
    if (!message ||
        !nlmsg_put(message, NL_AUTO_PORT, NL_AUTO_SEQ, type, 0, NLM_F_REQUEST | flags) ||
        nlmsg_append(message, &head, sizeof head, NLMSG_ALIGNTO) < 0)
        g_error("no memory for a netlink message");
    return message;
}

static struct nl_msg *list_message(int flags, const struct tc_action *actions, guint count,
                                   const struct tc_cookie *cookie)
{
    struct nl_msg *message = tc_action_message(RTM_NEWACTION, flags);
    struct nlattr *list = nla_nest_start(message, TCA_ACT_TAB);
    for (guint i = 0; i < count; i++)
        put_action(message, (int)i + 1, &actions[i], cookie);
    nla_nest_end(message, list);
    return message;
}

static void take_indices(const struct nlmsghdr *message, void *user)
{
    struct tc_action_answer *answer = user;
    tc_action_parse(message, answer);
}

bool tc_actions_create(struct tc *tc, struct tc_action *actions, guint count,
                       const struct tc_cookie *cookie, GError **error)
{
    struct tc_action_answer answer = {0};
    g_return_val_if_fail(count <= TC_ACTIONS_MAX, false);
    for (guint i = 0; i < count; i++)
        actions[i].index = 0;
    tc->status = rtnetlink_request(
        tc->netlink,
        list_message(NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO | NLM_F_ACK, actions, count, cookie),
        take_indices, &answer);
    if (tc->status == 0 && answer.count != count)
        tc->status = EPROTO;
    if (tc->status) {
        tc_fail(
            tc,
            "cannot make actions of tc (act_gact, act_police, act_skbedit, act_pedit, act_csum)",
            error);
        return false;
    }
    for (guint i = 0; i < count; i++)
        actions[i].index = answer.indices[i];
    return true;
}

bool tc_actions_change(struct tc *tc, const struct tc_action *actions, guint count,
                       const struct tc_cookie *cookie, GError **error)
{
    g_return_val_if_fail(count <= TC_ACTIONS_MAX, false);
    for (guint i = 0; i < count; i++)
        g_return_val_if_fail(actions[i].index, false);
    return tc_request(tc, list_message(NLM_F_CREATE | NLM_F_REPLACE, actions, count, cookie),
                      "cannot change an action of tc", error);
}
