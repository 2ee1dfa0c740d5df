/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files tc*.c share. Threads: control. */
#include "qos/tc.h"

#include "qos/rtnetlink.h"

struct tc {
    struct rtnetlink *netlink;
    GHashTable *made;  /* ifindex of clsacts made here whose mark is on no filter yet */
    GHashTable *names; /* owner → struct claim (tc-owner.c) */
    int status;        /* errno of the last request */
};

/* A message that begins with struct tcmsg. `kind` may be NULL. */
struct nl_msg *tc_message(int type, int flags, unsigned ifindex, uint32_t parent, uint32_t info,
                          uint32_t handle, const char *kind);
/* tcm_info of a filter: its priority and protocol (host order). */
uint32_t tc_info(uint16_t priority, uint16_t protocol);
/* The name of an interface for sentences: "eth0", or "interface 7" when it is gone. Transfer full.
 */
char *tc_interface(unsigned ifindex);
/* Sends (takes) without making a sentence of a failure; errno or 0. */
int tc_send(struct tc *tc, struct nl_msg *message);
/* A socket that is held as long as the name is ours; -1 when somebody else has it. */
int tc_name_socket(const char *name);
void tc_claim_free(void *claim);
/* tc_detach() by the very name on the filters. */
void tc_remove_named(struct tc *tc, unsigned ifindex, const char *name);
/* The text on a cls_bpf filter, NULL = none or no such filter. Borrowed. */
const char *tc_filter_text(const struct tc_filter *filter);
/* The WMCF whose filter it is, of whichever level; NULL = it is no WMCF's. Transfer full. */
char *tc_filter_owner(const struct tc_filter *filter, bool *ret_clsact);
/* The sentence about the last request that failed. */
void tc_fail(const struct tc *tc, const char *what, GError **error);
