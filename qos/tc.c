/* SPDX-License-Identifier: Apache-2.0 */
/* What all messages of tc have in common: their head, the way to the kernel, and what is said when
 * it refuses. The kernel's own sentence is kept, since it alone knows which of a dozen checks has
 * failed; the remedy is ours. */
#include "qos/tc-private.h"

#include "base/problem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

struct tc *tc_new(GError **error)
{
    struct rtnetlink *netlink = rtnetlink_new(error);
    if (!netlink)
        return NULL;
    struct tc *tc = g_new0(struct tc, 1);
    tc->netlink = netlink;
    tc->made = g_hash_table_new(NULL, NULL);
    tc->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, tc_claim_free);
    return tc;
}

void tc_free(struct tc *tc)
{
    if (!tc)
        return;
    rtnetlink_free(tc->netlink);
    g_hash_table_unref(tc->made);
    g_hash_table_unref(tc->names);
    g_free(tc);
}

struct nl_msg *tc_message(int type, int flags, unsigned ifindex, uint32_t parent, uint32_t info,
                          uint32_t handle, const char *kind)
{
    struct tcmsg head = {.tcm_family = AF_UNSPEC,
                         .tcm_ifindex = (int)ifindex,
                         .tcm_parent = parent,
                         .tcm_info = info,
                         .tcm_handle = handle};
    struct nl_msg *message = nlmsg_alloc_simple(type, flags);
    if (!message || nlmsg_append(message, &head, sizeof head, NLMSG_ALIGNTO) < 0 ||
        (kind && nla_put_string(message, TCA_KIND, kind) < 0))
        g_error("no memory for a netlink message");
    return message;
}

uint32_t tc_info(uint16_t priority, uint16_t protocol)
{
    return (uint32_t)priority << 16 | htons(protocol);
}

char *tc_interface(unsigned ifindex)
{
    char name[IF_NAMESIZE];
    return if_indextoname(ifindex, name) ? g_strdup(name)
                                         : g_strdup_printf("interface %u", ifindex);
}

int tc_send(struct tc *tc, struct nl_msg *message)
{
    return tc->status = rtnetlink_request(tc->netlink, message, NULL, NULL);
}

int tc_errno(const struct tc *tc)
{
    return tc->status;
}

static const char *remedy(int status)
{
    switch (status) {
    case EPERM:
    case EACCES:
        return "; CAP_NET_ADMIN is needed for that";
    case ENODEV:
        return "; the interface is gone";
    case ENOENT: /* request_module() has found nothing */
        return "; is the kernel module (sch_ingress, cls_bpf, cls_flower, act_…) installed?";
    case ETIMEDOUT:
    case EAGAIN:
        return "; the kernel did not answer in time";
    default:
        return "";
    }
}

void tc_fail(const struct tc *tc, const char *what, GError **error)
{
    const char *text = rtnetlink_text(tc->netlink);
    size_t length = strlen(text);
    while (length && strchr(". \n", text[length - 1]))
        length--;
    if (length)
        problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE, "%s: %.*s (%s)%s", what, (int)length,
                    text, g_strerror(tc->status), remedy(tc->status));
    else
        problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE, "%s: %s%s", what,
                    g_strerror(tc->status), remedy(tc->status));
}

bool tc_request(struct tc *tc, struct nl_msg *message, const char *what, GError **error)
{
    if (tc_send(tc, message) == 0)
        return true;
    tc_fail(tc, what, error);
    return false;
}
