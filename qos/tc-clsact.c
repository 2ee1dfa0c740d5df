/* SPDX-License-Identifier: Apache-2.0 */
/* The clsact qdisc, which gives an interface its two hooks. It shares its place with the older
 * `ingress` qdisc, and then the kernel answers EEXIST as it does for a clsact that is there, and
 * would take a filter for egress at the ingress hook: so the kind is asked for first. */
#include "qos/tc-private.h"

#include "base/problem.h"

#include <errno.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>

enum place { PLACE_EMPTY, PLACE_CLSACT, PLACE_OTHER };
struct look {
    unsigned ifindex;
    enum place place;
    char kind[32];
};

static void on_qdisc(const struct nlmsghdr *message, void *user)
{
    struct look *look = user;
    const struct tcmsg *head = nlmsg_data(message);
    if (message->nlmsg_type != RTM_NEWQDISC || head->tcm_ifindex != (int)look->ifindex ||
        head->tcm_parent != TC_H_INGRESS)
        return;
    struct nlattr *kind = nlmsg_find_attr((struct nlmsghdr *)message, sizeof *head, TCA_KIND);
    if (!kind)
        return;
    nla_strlcpy(look->kind, kind, sizeof look->kind);
    look->place = strcmp(look->kind, "clsact") == 0 ? PLACE_CLSACT : PLACE_OTHER;
}

/* A dump of all, since a request for this one answers EINVAL both for nothing and for nonsense. */
static int look_at(struct tc *tc, struct look *look)
{
    return tc->status = rtnetlink_request(
               tc->netlink,
               tc_message(RTM_GETQDISC, NLM_F_REQUEST | NLM_F_DUMP, look->ifindex, 0, 0, 0, NULL),
               on_qdisc, look);
}

static bool refuse_other(unsigned ifindex, const char *kind, GError **error)
{
    g_autofree char *name = tc_interface(ifindex);
    problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE,
                "%s has a legacy \"%s\" qdisc where clsact belongs; move its filters to clsact "
                "(tc qdisc del dev %s ingress; tc qdisc add dev %s clsact), or leave %s out",
                name, kind, name, name, name);
    return false;
}

bool tc_ensure_clsact(struct tc *tc, unsigned ifindex, bool *ret_made, GError **error)
{
    struct look look = {.ifindex = ifindex};
    g_autofree char *name = tc_interface(ifindex);
    g_autofree char *what = g_strdup_printf("cannot put a clsact qdisc on %s", name);
    if (ret_made)
        *ret_made = false;
    if (look_at(tc, &look) != 0) {
        tc_fail(tc, what, error);
        return false;
    }
    if (look.place == PLACE_EMPTY) {
        int flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL;
        int status = tc_send(tc, tc_message(RTM_NEWQDISC, flags, ifindex, TC_H_CLSACT, 0,
                                            TC_H_MAKE(TC_H_CLSACT, 0), "clsact"));
        if (status == 0) {
            g_hash_table_add(tc->made, GUINT_TO_POINTER(ifindex));
            if (ret_made)
                *ret_made = true;
            return true;
        }
        if (status != EEXIST) {
            tc_fail(tc, what, error);
            return false;
        }
        look_at(tc, &look); /* another was faster */
    }
    if (look.place == PLACE_OTHER)
        return refuse_other(ifindex, look.kind, error);
    return true;
}

static void count_one(const struct tc_filter *filter, void *user)
{
    ++*(guint *)user;
}

void tc_drop_clsact(struct tc *tc, unsigned ifindex)
{
    struct look look = {.ifindex = ifindex};
    guint filters = 0;
    g_hash_table_remove(tc->made, GUINT_TO_POINTER(ifindex));
    if (look_at(tc, &look) != 0 || look.place != PLACE_CLSACT)
        return;
    for (enum tc_hook hook = TC_INGRESS; hook <= TC_EGRESS; hook++)
        if (!tc_dump_filters(tc, ifindex, hook, count_one, &filters))
            return;
    if (filters == 0)
        tc_send(tc, tc_message(RTM_DELQDISC, NLM_F_REQUEST, ifindex, TC_H_CLSACT, 0, 0, "clsact"));
}
