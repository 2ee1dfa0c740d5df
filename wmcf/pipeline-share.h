/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One pipeline for many terminations: who asks for the same share of the same WSF gets the media of
 * one pipeline that is running. It runs as a termination, the host, in a context that no WSF sees;
 * the members' routes lead to the host's leg, so a packet is made once and goes to each subscriber
 * at the relay's price. It ends with its last member.
 * Threads: control. */
#include "wmcf/pipeline-termination.h"

#define PIPELINE_SHARE_MAX 128 /* octets of a share's name */
#define PIPELINE_SHARE_OWNER "(shared)"

struct pipeline_share;

struct pipeline_share_ops {      /* never from inside of pipeline_share_join() */
    void (*started)(void *user); /* once, unless failed comes */
    void (*failed)(void *user, const GError *error);
    void (*ended)(void *user);
};

struct pipeline_share_member {
    const struct pipeline_share_ops *ops; /* the member's own */
    void *user;
    struct pipeline_share *share; /* NULL = not in one */
    bool told;                    /* started */
};

/* Joins the share of wanted->share, and begins it if it is not there. `owner`: the WSF's identity.
 * INVALID_STATE when it plays something else, and what pipeline_termination_add() says. */
bool pipeline_share_join(struct pipeline_share_member *member, struct wmcf *wmcf, const char *owner,
                         const struct pipeline_wanted *wanted, GError **error);
/* Does nothing for who is in none. Nothing is told after this. */
void pipeline_share_leave(struct pipeline_share_member *member);
/* The termination whose pipeline it is. Borrowed. */
struct termination *pipeline_share_host(const struct pipeline_share_member *member);

/* --- for pipeline-termination.c: what the host's pipeline tells ---------------------------------
 */
void pipeline_share_failed(struct pipeline_share *share, const GError *error);
void pipeline_share_ended(struct pipeline_share *share);
