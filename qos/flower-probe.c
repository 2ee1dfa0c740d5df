/* SPDX-License-Identifier: Apache-2.0 */
/* Whether this machine can hold policies without BPF, found out by doing it: every action once, and
 * a u32 filter on the loopback in a chain that no packet reaches. What is missing is named by the
 * option that the kernel was built without. */
#include "qos/flower-private.h"

#include "base/problem.h"
#include "qos/tc-private.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_RCVMARK
#define SO_RCVMARK 75
#endif
#define CHAIN 0x0fffffffu /* nobody goes there */
#define PRIORITY 0xfffe

static bool fail(struct tc *tc, const char *part, const char *option, GError **error)
{
    if (tc_errno(tc) == ENOENT || tc_errno(tc) == EOPNOTSUPP)
        problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE, "this kernel has no %s (%s)", part,
                    option);
    else
        tc_fail(tc, part, error);
    return false;
}

static bool probe_actions(struct tc *tc, const struct tc_cookie *cookie, GError **error)
{
    static const struct {
        const char *part, *option;
    } names[TC_ACTION_KINDS] = {
        [TC_ACTION_GATE] = {"action gact", "CONFIG_NET_ACT_GACT"},
        [TC_ACTION_POLICE] = {"action police", "CONFIG_NET_ACT_POLICE"},
        [TC_ACTION_JUDGED] = {"action skbedit", "CONFIG_NET_ACT_SKBEDIT"},
        [TC_ACTION_DSCP] = {"action pedit", "CONFIG_NET_ACT_PEDIT"},
        [TC_ACTION_CHECKSUM] = {"action csum", "CONFIG_NET_ACT_CSUM"},
    };
    for (int kind = 0; kind < TC_ACTION_KINDS; kind++) {
        struct tc_action action = {.kind = kind};
        if (kind == TC_ACTION_POLICE) {
            action.police.rate = 8000;
            action.police.burst = 8000;
            action.police.peak = 16000;
        } else if (kind == TC_ACTION_DSCP) {
            action.dscp.family = AF_INET;
        } else if (kind == TC_ACTION_JUDGED) {
            action.mark = 1;
        }
        if (!tc_actions_create(tc, &action, 1, cookie, NULL))
            return fail(tc, names[kind].part, names[kind].option, error);
        tc_actions_delete(tc, &action, 1);
    }
    return true;
}

static struct nl_msg *classifier_message(int type, int flags, unsigned ifindex)
{
    struct nl_msg *message =
        tc_message(type, NLM_F_REQUEST | flags, ifindex, tc_hook_parent(TC_INGRESS),
                   tc_info(PRIORITY, ETH_P_IP), 0, "u32");
    nla_put_u32(message, TCA_CHAIN, CHAIN);
    return message;
}

static bool probe_classifier(struct tc *tc, const struct tc_cookie *cookie, GError **error)
{
    struct {
        struct tc_u32_sel sel;
        struct tc_u32_key key;
    } selector = {.sel = {.nkeys = 1, .flags = TC_U32_TERMINAL}};
    unsigned lo = if_nametoindex("lo");
    if (!lo)
        return true; /* the first interface will tell */
    bool made = false;
    if (!tc_ensure_clsact(tc, lo, &made, error))
        return false;
    struct nl_msg *message = classifier_message(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, lo);
    struct nlattr *options = nla_nest_start(message, TCA_OPTIONS);
    nla_put(message, TCA_U32_SEL, sizeof selector, &selector);
    tc_actions_put_tag(message, TCA_U32_ACT, cookie);
    nla_nest_end(message, options);
    int status = tc_send(tc, message);
    if (status == 0 || status == EEXIST) /* another's probe at this moment shows it as well */
        tc_send(tc, classifier_message(RTM_DELTFILTER, 0, lo));
    else
        fail(tc, "classifier u32", "CONFIG_NET_CLS_U32", error);
    if (made)
        tc_drop_clsact(tc, lo);
    return status == 0 || status == EEXIST;
}

/* The relay has to see what was judged here. */
static bool probe_mark(GError **error)
{
    int on = 1, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int status = setsockopt(fd, SOL_SOCKET, SO_RCVMARK, &on, sizeof on) == 0 ? 0 : errno;
    if (fd >= 0)
        close(fd);
    if (status == EPERM)
        problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE,
                    "CAP_NET_ADMIN is needed to see the mark of packets");
    else if (status)
        problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE,
                    "this kernel does not tell a socket the mark of packets (SO_RCVMARK, Linux "
                    "5.19): %s",
                    g_strerror(status));
    return status == 0;
}

bool flower_probe(struct tc *tc, const struct tc_cookie *cookie, GError **error)
{
    return probe_actions(tc, cookie, error) && probe_classifier(tc, cookie, error) &&
           probe_mark(error);
}
