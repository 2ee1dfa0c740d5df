/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The check list of a full agent (RFC 8445 6.1): pairs of a socket of ours and an address of the
 * endpoint, and which of them is to be asked now. No I/O, no clock: time is a parameter, messages
 * are the caller's. Threads: one worker. */
#include "wmcf/relay/ice-stun.h"
#include "wmcf/relay/socket.h"

#define ICE_TA_US 50000   /* RFC 8445 14.2: between two checks that begin */
#define ICE_RTO_US 500000 /* RFC 8445 14.3 */
#define ICE_TRIES 5       /* 0, 0.5, 1.5, 3.5, 7.5 s; the last is waited for as long as before it */
#define ICE_SETTLE_US 200000 /* after the first good pair, so long for a better one */

enum ice_pair_state {
    ICE_PAIR_WAITING,
    ICE_PAIR_IN_PROGRESS,
    ICE_PAIR_SUCCEEDED,
    ICE_PAIR_FAILED,
};

struct ice_pair {
    struct media_socket *socket;
    union socket_address remote;
    uint32_t local_priority, remote_priority;
    uint64_t priority; /* RFC 8445 6.1.2.3 */
    enum ice_pair_state state;
    bool triggered;   /* before those that only wait their turn */
    bool wanted;      /* controlled: the endpoint has said USE-CANDIDATE */
    bool nominates;   /* the question on its way says USE-CANDIDATE */
    bool outstanding; /* a question waits for its answer */
    unsigned tries;
    int64_t due; /* of the next try */
    uint8_t transaction[ICE_TRANSACTION];
};

struct ice_checklist {
    struct ice_pair *pairs; /* of max; they keep their place */
    unsigned n, max;
    unsigned checks_left, checks_max; /* questions, repetitions too */
    int64_t next_check, settle_at;
    bool controlling;
    bool complete;  /* no further candidate will come */
    bool concluded; /* a pair is nominated */
    bool failed;
};

void ice_checklist_init(struct ice_checklist *list, unsigned pairs_max, unsigned checks_max);
void ice_checklist_finish(struct ice_checklist *list);
/* Begins anew, without pairs. */
void ice_checklist_reset(struct ice_checklist *list, bool controlling);
/* Roles have changed: so do the priorities. */
void ice_checklist_set_controlling(struct ice_checklist *list, bool controlling);
/* False when there are enough; a pair that is there already is true. */
bool ice_checklist_add(struct ice_checklist *list, struct media_socket *socket,
                       uint32_t local_priority, const union socket_address *remote,
                       uint32_t remote_priority);
/* The pair to ask now, NULL when none is due. To be called until it gives none. `tries` of 1 is a
 * new question: the caller writes its transaction id; above, it is the same once more. */
struct ice_pair *ice_checklist_next(struct ice_checklist *list, int64_t now);
/* The pair that waits for this answer, or NULL. */
struct ice_pair *ice_checklist_find(struct ice_checklist *list,
                                    const uint8_t transaction[ICE_TRANSACTION]);
/* The answer has come. True: this pair is to be used now. */
bool ice_checklist_answered(struct ice_checklist *list, struct ice_pair *pair,
                            enum ice_answer answer, int64_t now);
/* The endpoint's own check has come on this pair (RFC 8445 7.3.1.4). True: use it now. */
bool ice_checklist_request(struct ice_checklist *list, struct media_socket *socket,
                           uint32_t local_priority, const union socket_address *remote,
                           uint32_t remote_priority, bool use_candidate, int64_t now);
/* A pair is in use: the others need not be asked (RFC 8445 8.1.1). */
void ice_checklist_conclude(struct ice_checklist *list);
/* A second of use has passed: one question more may be asked of those who ask us. */
void ice_checklist_refill(struct ice_checklist *list);
/* The pair in use is lost: nobody is asked until the endpoint asks (RFC 7675 5.1). */
void ice_checklist_lose(struct ice_checklist *list);
/* True once: every candidate was asked in vain, or the limit of questions is reached. */
bool ice_checklist_exhausted(struct ice_checklist *list);
/* There may be something to do at the next tick. */
bool ice_checklist_active(const struct ice_checklist *list);
