/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel says of actions: their counters, one list or all of a kind that have seen a
 * packet of late, and whose they are. A dump is asked to leave out the parameters and the idle, so
 * that its length follows the traffic and not the number of flows. */
#include "qos/tc-action-private.h"

#include <errno.h>
#include <linux/gen_stats.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define WAIT_US 2000
#define WAITS 250
#define ORDER_MAX 32 /* TCA_ACT_MAX_PRIO */

static bool parse_nested(struct nlattr **ret, int last, const struct nlattr *nest)
{
    return nest && nla_parse_nested(ret, last, (struct nlattr *)nest, NULL) >= 0;
}

static void parse_stats(const struct nlattr *nest, struct tc_action_stats *ret)
{
    struct nlattr *parts[TCA_STATS_MAX + 1];
    memset(ret, 0, sizeof *ret);
    if (!parse_nested(parts, TCA_STATS_MAX, nest))
        return;
    struct nlattr *basic = parts[TCA_STATS_BASIC], *queue = parts[TCA_STATS_QUEUE];
    /* The attribute is as long as the kernel's structure, which ends before ours is padded. */
    if (basic && nla_len(basic) >= 12) {
        struct gnet_stats_basic values = {0};
        memcpy(&values, nla_data(basic), MIN((size_t)nla_len(basic), sizeof values));
        ret->octets = values.bytes;
        ret->packets = values.packets;
    }
    if (parts[TCA_STATS_PKT64]) /* only when 32 bits are too few */
        ret->packets = nla_get_u64(parts[TCA_STATS_PKT64]);
    if (queue && nla_len(queue) >= (int)sizeof(struct gnet_stats_queue)) {
        struct gnet_stats_queue values;
        memcpy(&values, nla_data(queue), sizeof values);
        ret->drops = values.drops;
    }
}

/* It stands first in the parameters of every kind; a terse dump has it beside them. */
static uint32_t parse_index(struct nlattr *const *action)
{
    static const int first[TC_ACTION_KINDS] = {
        [TC_ACTION_GATE] = 2 /* TCA_GACT_PARMS */,      [TC_ACTION_POLICE] = TCA_POLICE_TBF,
        [TC_ACTION_JUDGED] = 2 /* TCA_SKBEDIT_PARMS */, [TC_ACTION_DSCP] = 2 /* TCA_PEDIT_PARMS */,
        [TC_ACTION_CHECKSUM] = 1 /* TCA_CSUM_PARMS */,
    };
    uint32_t index = 0;
    if (action[TCA_ACT_INDEX] && nla_len(action[TCA_ACT_INDEX]) >= 4)
        return nla_get_u32(action[TCA_ACT_INDEX]);
    if (!action[TCA_ACT_KIND] || !action[TCA_ACT_OPTIONS])
        return 0;
    for (int kind = 0; kind < TC_ACTION_KINDS; kind++)
        if (strcmp(nla_get_string(action[TCA_ACT_KIND]), tc_action_kind_name(kind)) == 0) {
            struct nlattr *parameters = nla_find(nla_data(action[TCA_ACT_OPTIONS]),
                                                 nla_len(action[TCA_ACT_OPTIONS]), first[kind]);
            if (parameters && nla_len(parameters) >= 4)
                memcpy(&index, nla_data(parameters), sizeof index);
        }
    return index;
}

typedef void (*action_each)(struct nlattr *const *action, void *user);

static void each_action(const struct nlmsghdr *message, action_each each, void *user)
{
    struct nlattr *list =
        nlmsg_find_attr((struct nlmsghdr *)message, sizeof(struct tcamsg), TCA_ACT_TAB);
    struct nlattr *entry, *action[TCA_ACT_MAX + 1];
    int rest;
    if (!list)
        return;
    nla_for_each_nested(entry, list, rest) if (parse_nested(action, TCA_ACT_MAX, entry))
        each(action, user);
}

static void into_answer(struct nlattr *const *action, void *user)
{
    struct tc_action_answer *answer = user;
    if (answer->count == TC_ACTIONS_MAX)
        return;
    answer->indices[answer->count] = parse_index(action);
    parse_stats(action[TCA_ACT_STATS], &answer->stats[answer->count]);
    answer->count++;
}

void tc_action_parse(const struct nlmsghdr *message, struct tc_action_answer *answer)
{
    each_action(message, into_answer, answer);
}

/* A list that names actions by kind and index. */
static struct nl_msg *names_message(int type, int flags, const struct tc_action *actions,
                                    guint count)
{
    struct nl_msg *message = tc_action_message(type, flags);
    struct nlattr *list = nla_nest_start(message, TCA_ACT_TAB);
    for (guint i = 0; i < count; i++) {
        struct nlattr *nest = nla_nest_start(message, (int)i + 1);
        nla_put_string(message, TCA_ACT_KIND, tc_action_kind_name(actions[i].kind));
        nla_put_u32(message, TCA_ACT_INDEX, actions[i].index);
        nla_nest_end(message, nest);
    }
    nla_nest_end(message, list);
    return message;
}

void tc_actions_delete(struct tc *tc, const struct tc_action *actions, guint count)
{
    /* One by one: of a list the first that fails keeps the rest. */
    for (guint i = 0; i < count; i++)
        if (actions[i].index)
            tc_send(tc, names_message(RTM_DELACTION, 0, &actions[i], 1));
}

static void on_answer(const struct nlmsghdr *message, void *user)
{
    tc_action_parse(message, user);
}

bool tc_actions_read(struct tc *tc, const struct tc_action *actions, guint count,
                     struct tc_action_stats *ret)
{
    struct tc_action_answer answer = {0};
    g_return_val_if_fail(count <= TC_ACTIONS_MAX, false);
    tc->status = rtnetlink_request(
        tc->netlink, names_message(RTM_GETACTION, NLM_F_ACK, actions, count), on_answer, &answer);
    if (tc->status != 0 || answer.count != count)
        return false;
    memcpy(ret, answer.stats, count * sizeof *ret);
    return true;
}

static struct nl_msg *dump_message(enum tc_action_kind kind, guint within, bool terse)
{
    struct nl_msg *message = tc_action_message(RTM_GETACTION, NLM_F_DUMP);
    struct nla_bitfield32 flags = {.value = TCA_FLAG_LARGE_DUMP_ON};
    struct nlattr *list = nla_nest_start(message, TCA_ACT_TAB);
    struct nlattr *nest = nla_nest_start(message, 1);
    nla_put_string(message, TCA_ACT_KIND, tc_action_kind_name(kind));
    nla_nest_end(message, nest);
    nla_nest_end(message, list);
    if (terse)
        flags.value |= TCA_ACT_FLAG_TERSE_DUMP;
    flags.selector = flags.value;
    nla_put(message, TCA_ROOT_FLAGS, sizeof flags, &flags);
    if (within)
        nla_put_u32(message, TCA_ROOT_TIME_DELTA, within);
    return message;
}

struct stats_dump {
    void (*each)(uint32_t index, const struct tc_action_stats *stats, void *user);
    void *user;
};

static void one_stats(struct nlattr *const *action, void *user)
{
    const struct stats_dump *dump = user;
    struct tc_action_stats stats;
    uint32_t index = parse_index(action);
    parse_stats(action[TCA_ACT_STATS], &stats);
    if (index)
        dump->each(index, &stats, dump->user);
}

static void on_stats(const struct nlmsghdr *message, void *user)
{
    each_action(message, one_stats, user);
}

bool tc_actions_dump(struct tc *tc, enum tc_action_kind kind, guint within,
                     void (*each)(uint32_t index, const struct tc_action_stats *stats, void *user),
                     void *user)
{
    struct stats_dump dump = {each, user};
    tc->status = rtnetlink_request(tc->netlink, dump_message(kind, within, true), on_stats, &dump);
    return tc->status == 0;
}

struct sweep {
    const struct tc_cookie *cookie;
    enum tc_action_kind kind;
    GArray *found; /* struct tc_action */
};

static void one_found(struct nlattr *const *action, void *user)
{
    const struct sweep *sweep = user;
    const struct nlattr *cookie = action[TCA_ACT_COOKIE];
    struct tc_action found = {.kind = sweep->kind, .index = parse_index(action)};
    if (cookie && found.index && nla_len(cookie) == sweep->cookie->length &&
        memcmp(nla_data(cookie), sweep->cookie->text, sweep->cookie->length) == 0)
        g_array_append_val(sweep->found, found);
}

static void on_found(const struct nlmsghdr *message, void *user)
{
    each_action(message, one_found, user);
}

static void find_all(struct tc *tc, const struct tc_cookie *cookie, GArray *found)
{
    for (int kind = 0; kind < TC_ACTION_KINDS; kind++) {
        struct sweep sweep = {cookie, kind, found};
        rtnetlink_request(tc->netlink, dump_message(kind, 0, false), on_found, &sweep);
    }
}

void tc_actions_sweep(struct tc *tc, const struct tc_cookie *cookie)
{
    g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(struct tc_action));
    find_all(tc, cookie, found);
    for (int i = 0; i < WAITS && !tc_actions_bury(tc, found); i++)
        g_usleep(WAIT_US);
}

bool tc_actions_bury(struct tc *tc, GArray *actions)
{
    for (guint i = actions->len; i-- > 0;) {
        tc_actions_delete(tc, &g_array_index(actions, struct tc_action, i), 1);
        if (tc->status != EPERM) /* else a filter holds it */
            g_array_remove_index_fast(actions, i);
    }
    return actions->len == 0;
}

bool tc_actions_cookie(const struct nlattr *list, struct tc_cookie *ret)
{
    struct nlattr *orders[ORDER_MAX + 1], *action[TCA_ACT_MAX + 1];
    if (!parse_nested(orders, ORDER_MAX, list) || !parse_nested(action, TCA_ACT_MAX, orders[1]) ||
        !action[TCA_ACT_COOKIE] || nla_len(action[TCA_ACT_COOKIE]) > (int)sizeof ret->text)
        return false;
    ret->length = (uint8_t)nla_len(action[TCA_ACT_COOKIE]);
    memcpy(ret->text, nla_data(action[TCA_ACT_COOKIE]), ret->length);
    return true;
}
