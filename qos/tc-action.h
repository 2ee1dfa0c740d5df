/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Actions of tc as objects of their own, which filters point at by their index: a policy changes by
 * changing its action, whatever number of filters use it, and its bucket and counters outlive the
 * filters. For the files of qos/ alone.
 *
 * An action is known as ours by its cookie (at most 16 octets, in the kernel), so that those of a
 * process that was killed are found. Errors: ENFORCEMENT_UNAVAILABLE. Threads: control. */
#include "qos/tc.h"

enum tc_action_kind {
    TC_ACTION_GATE,     /* gact */
    TC_ACTION_POLICE,   /* police: exceeding is dropped, conforming goes on to the next action */
    TC_ACTION_JUDGED,   /* skbedit: sets one bit of the mark; the filters of others go on */
    TC_ACTION_DSCP,     /* pedit: the six bits alone */
    TC_ACTION_CHECKSUM, /* csum: of the IPv4 header; the filters of others go on */
};
#define TC_ACTION_KINDS 5

enum tc_gate {
    TC_GATE_OPEN,  /* to the next action */
    TC_GATE_SHUT,  /* dropped */
    TC_GATE_LEAVE, /* the rest of the list is not done; the filters of others go on */
};

struct tc_action {
    enum tc_action_kind kind;
    uint32_t index; /* set by tc_actions_create() */
    union {
        enum tc_gate gate;
        struct {
            uint32_t rate, burst; /* octets/s, octets; rate 0 = everything conforms */
            uint32_t peak;        /* octets/s; 0 = none */
            uint32_t tolerance;   /* µs */
        } police;
        uint32_t mark;
        struct {
            int family;
            uint8_t value;
        } dscp;
    };
};

struct tc_action_stats {
    uint64_t packets, octets; /* that came to the action; segments and octets of the IP datagram */
    uint64_t drops;
};

struct tc_cookie {
    char text[16];
    uint8_t length;
};

/* Whether police can hold it: its bucket is 32 bits of time (275 s). Pure. */
bool tc_police_holds(uint32_t rate, uint32_t burst);

/* At most this many in one call. */
#define TC_ACTIONS_MAX 8

bool tc_actions_create(struct tc *tc, struct tc_action *actions, guint count,
                       const struct tc_cookie *cookie, GError **error);
/* Parameters anew, one after the other. What was counted stays; a bucket begins full. */
bool tc_actions_change(struct tc *tc, const struct tc_action *actions, guint count,
                       const struct tc_cookie *cookie, GError **error);
/* After the filters that use them. */
void tc_actions_delete(struct tc *tc, const struct tc_action *actions, guint count);
bool tc_actions_read(struct tc *tc, const struct tc_action *actions, guint count,
                     struct tc_action_stats *ret);
/* Tells those of one kind that have seen a packet within the last `within` ms, of everybody. */
bool tc_actions_dump(struct tc *tc, enum tc_action_kind kind, guint within,
                     void (*each)(uint32_t index, const struct tc_action_stats *stats, void *user),
                     void *user);
/* Deletes what no filter holds, and takes it out of the array (struct tc_action); true when that is
 * empty. The kernel lets go of an action a moment after the filter is gone. */
bool tc_actions_bury(struct tc *tc, GArray *actions);
/* Deletes what carries the cookie; waits half a second at most for filters to let go. */
void tc_actions_sweep(struct tc *tc, const struct tc_cookie *cookie);

/* Appends the list of actions to a filter's message, by their index, as attribute `type`. */
void tc_actions_put(struct nl_msg *message, int type, const struct tc_action *actions, guint count);
/* A list with nothing but an action of the filter's own that carries a name and does nothing. */
void tc_actions_put_tag(struct nl_msg *message, int type, const struct tc_cookie *cookie);
/* The cookie of the first action in such a list of the kernel's; false = it has none. */
bool tc_actions_cookie(const struct nlattr *list, struct tc_cookie *ret);
