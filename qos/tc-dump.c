/* SPDX-License-Identifier: Apache-2.0 */
/* What is on an interface now. The kernel is asked every time: others change it with their own
 * tools, and a memory of ours would be wrong when it matters. */
#include "qos/tc-private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

const char *tc_hook_name(enum tc_hook hook)
{
    return hook == TC_INGRESS ? "ingress" : "egress";
}

uint32_t tc_hook_parent(enum tc_hook hook)
{
    return TC_H_MAKE(TC_H_CLSACT, hook == TC_INGRESS ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
}

struct dump {
    unsigned ifindex;
    uint32_t parent;
    void (*each)(const struct tc_filter *filter, void *user);
    void *user;
};

static void on_filter(const struct nlmsghdr *message, void *user)
{
    const struct dump *dump = user;
    const struct tcmsg *head = nlmsg_data(message);
    struct nlattr *attributes[TCA_MAX + 1];
    if (message->nlmsg_type != RTM_NEWTFILTER || head->tcm_ifindex != (int)dump->ifindex ||
        head->tcm_parent != dump->parent ||
        nlmsg_parse((struct nlmsghdr *)message, sizeof *head, attributes, TCA_MAX, NULL) < 0)
        return;
    struct tc_filter filter = {
        .handle = head->tcm_handle,
        .priority = TC_H_MAJ(head->tcm_info) >> 16,
        .protocol = ntohs(TC_H_MIN(head->tcm_info)),
        .chain = attributes[TCA_CHAIN] ? nla_get_u32(attributes[TCA_CHAIN]) : 0,
        .kind = attributes[TCA_KIND] ? nla_get_string(attributes[TCA_KIND]) : "",
        .options = attributes[TCA_OPTIONS],
    };
    dump->each(&filter, dump->user);
}

bool tc_dump_filters(struct tc *tc, unsigned ifindex, enum tc_hook hook,
                     void (*each)(const struct tc_filter *filter, void *user), void *user)
{
    struct dump dump = {ifindex, tc_hook_parent(hook), each, user};
    tc->status = rtnetlink_request(
        tc->netlink,
        tc_message(RTM_GETTFILTER, NLM_F_REQUEST | NLM_F_DUMP, ifindex, dump.parent, 0, 0, NULL),
        on_filter, &dump);
    return tc->status == 0 || tc->status == EINVAL || tc->status == ENOENT;
}
