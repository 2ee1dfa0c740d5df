/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clsact and the filters on it, by raw rtnetlink messages. For the files of qos/ alone.
 *
 * A filter is known as ours by its name, the *owner* ("wmcf-40000"), which lives in the kernel and
 * so outlasts a crash; nothing without it is ever changed or removed. A second process of the same
 * owner in the network namespace, say one on another address, goes by "wmcf-40000.2". Whether the
 * clsact of the interface came with a WMCF stands in the name as well ("wmcf-40000+clsact").
 *
 * Errors: ENFORCEMENT_UNAVAILABLE with the kernel's own text and the remedy.
 * Threads: control; every call waits for the kernel's answer, some microseconds. */
#include <glib.h>
#include <netlink/msg.h>
#include <stdbool.h>
#include <stdint.h>

enum tc_hook { TC_INGRESS, TC_EGRESS };
const char *tc_hook_name(enum tc_hook hook); /* "ingress"; static */
/* What tcm_parent says of a filter at that hook. */
uint32_t tc_hook_parent(enum tc_hook hook);

struct tc;
/* Transfer full. Needs no privilege yet. */
struct tc *tc_new(GError **error);
void tc_free(struct tc *tc); /* NULL allowed; filters stay, the names are given up */

/* --- whose filters (tc-owner.c, tc-sweep.c) --------------------------------------------------- */

/* The name that filters of `owner` carry: taken at the first call, and this process's alone until
 * tc_free() or its death. The functions below that take an owner do it themselves. Borrowed. */
const char *tc_claim(struct tc *tc, const char *owner);
/* Takes away, on all interfaces, the filters of WMCFs that are gone: they cost, and judge by gates
 * that nobody moves any more. Those under the name of `owner` itself, which a crash has left, go
 * where `is_wanted` does not say that filters of that kind ("bpf", "u32") are this process's (NULL
 * = they all go). One sentence about what was found, transfer full; NULL = nothing. Looking needs
 * no privilege. */
char *tc_sweep(struct tc *tc, const char *owner,
               bool (*is_wanted)(unsigned ifindex, const char *kind, void *user), void *user);

/* --- clsact (tc-clsact.c) --------------------------------------------------------------------- */

/* There is a clsact on the interface afterwards; *ret_made (may be NULL) when it was not there
 * before. A legacy ingress qdisc, which takes its place, is an error. */
bool tc_ensure_clsact(struct tc *tc, unsigned ifindex, bool *ret_made, GError **error);
/* Removes the clsact when no filter is left at either of its hooks. For one that we have made. */
void tc_drop_clsact(struct tc *tc, unsigned ifindex);

/* --- the filter of one hook (tc-filter.c) ----------------------------------------------------- */

/* Our cls_bpf filter in direct-action mode, for every protocol. A filter of the same owner, this
 * process's or one that a crashed one has left, is replaced in place whatever its priority, so that
 * there is no moment without one, and more of them are removed; else it takes `priority`, or the
 * next one that nobody has. Makes the clsact if there is none. */
bool tc_attach_bpf(struct tc *tc, unsigned ifindex, enum tc_hook hook, int program_fd,
                   const char *owner, unsigned priority, GError **error);
/* Whether a filter of that owner is at the hook: others can take it away with their own tools. */
bool tc_is_attached(struct tc *tc, unsigned ifindex, enum tc_hook hook, const char *owner);
/* Removes the cls_bpf filters of that owner from both hooks, and the clsact if one of us made it
 * and it is empty now. An interface that is gone is no error. */
void tc_detach(struct tc *tc, unsigned ifindex, const char *owner);

/* --- messages of others (tc.c) ---------------------------------------------------------------- */

/* Sends a request built with nlmsg_*() and waits for its acknowledgement. Takes the message, also
 * when it fails. `what` begins the error's sentence ("cannot put a filter on eth0"). */
bool tc_request(struct tc *tc, struct nl_msg *message, const char *what, GError **error);
/* errno of the last request; 0 = it went well. */
int tc_errno(const struct tc *tc);

/* One filter of a dump; what `kind` and `options` point at lives during the call only. */
struct tc_filter {
    uint32_t handle;
    uint16_t priority, protocol; /* protocol in host order, ETH_P_… */
    uint32_t chain;
    const char *kind;             /* "bpf", "flower" */
    const struct nlattr *options; /* TCA_OPTIONS, nested; NULL = none */
};
/* Tells every filter at the hook. False when the kernel cannot say (no clsact: none, true). */
bool tc_dump_filters(struct tc *tc, unsigned ifindex, enum tc_hook hook,
                     void (*each)(const struct tc_filter *filter, void *user), void *user);
