/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files tc-action*.c share. Threads: control. */
#include "qos/tc-action.h"

#include "qos/tc-private.h"

const char *tc_action_kind_name(enum tc_action_kind kind); /* the kernel's */
/* A message that begins with struct tcamsg. */
struct nl_msg *tc_action_message(int type, int flags);

/* The actions of one answer, in its order. */
struct tc_action_answer {
    guint count;
    uint32_t indices[TC_ACTIONS_MAX];
    struct tc_action_stats stats[TC_ACTIONS_MAX];
};
void tc_action_parse(const struct nlmsghdr *message, struct tc_action_answer *answer);
