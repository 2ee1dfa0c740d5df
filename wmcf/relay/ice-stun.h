/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* STUN of the agent (RFC 8445, RFC 8489), lite or full: checks a Binding request and writes the
 * answer, writes requests of its own and judges their answers. No I/O and no clock.
 * Threads: one worker. */
#include "wmcf/relay/address.h"

#include <glib.h>

#define ICE_REPLY_MAX 512
#define ICE_CHECK_MAX 1024          /* a Binding request of ours: two names of 256 octets */
#define ICE_REQUESTS_PER_SECOND 500 /* of one leg; an agent checks a few dozen pairs */
#define ICE_TRANSACTION 12          /* octets of a transaction id that are random (RFC 8489 5) */

struct ice_budget { /* of failures per second */
    gint64 since;
    guint spent;
};

enum ice_role { ICE_LITE, ICE_CONTROLLED, ICE_CONTROLLING };

/* What one leg contributes, once per ICE generation (RFC 8445 9). */
struct ice_credentials {
    struct ice_budget failures, requests;
    unsigned generation;
    enum ice_role role;
    uint64_t tie_breaker;
    char ufrag[257], pwd[257];               /* ours; RFC 8839 5.4: at most 256 */
    char remote_ufrag[257], remote_pwd[257]; /* empty = not known yet */
    void *owner;
};

/* Copies. Transfer full. */
struct ice_credentials *ice_credentials_new(const char *ufrag, const char *pwd, enum ice_role role,
                                            void *owner);
/* Wipes them; NULL allowed. */
void ice_credentials_free(struct ice_credentials *credentials);

struct ice_server;
/* `unknown_rate`: requests per second with an unknown ufrag, and for each leg with bad integrity,
 * that are looked at. */
struct ice_server *ice_server_new(guint unknown_rate);
void ice_server_free(struct ice_server *server);
/* Borrowed until removed. */
void ice_server_add(struct ice_server *server, struct ice_credentials *credentials);
void ice_server_remove(struct ice_server *server, struct ice_credentials *credentials);

struct ice_request {
    struct ice_credentials *credentials; /* set for an authenticated request of that leg */
    bool use_candidate;
    bool role_changed;       /* it settled a conflict: the role in the credentials is another */
    uint32_t priority;       /* of the candidate it was sent from, 0 = not said */
    const uint8_t *response; /* transaction id of an answer to something we asked; else NULL */
    uint8_t reply[ICE_REPLY_MAX];
    size_t reply_length; /* 0 = no answer */
};
/* One STUN message from `source`. `known_source`: this address has been validated before, so it is
 * not subject to the limit. Returns false when it was rejected (counted by the caller); the answer
 * in *ret is to be sent either way. */
bool ice_server_handle(struct ice_server *server, const uint8_t *message, size_t length,
                       const union socket_address *source, bool known_source, gint64 now,
                       struct ice_request *ret);

struct ice_question {
    uint32_t priority; /* RFC 8445 7.1.1: of the peer-reflexive candidate that it may show */
    bool use_candidate;
    bool again; /* the same transaction once more */
};
/* A Binding request of ours. Returns its octets, 0 when the remote credentials are not known. The
 * transaction is written, or read when it is asked `again`. */
size_t ice_server_ask(struct ice_server *server, const struct ice_credentials *credentials,
                      const struct ice_question *question, uint8_t out[ICE_CHECK_MAX],
                      uint8_t transaction[ICE_TRANSACTION]);

enum ice_answer {
    ICE_ANSWER_GOOD,
    ICE_ANSWER_CONFLICT, /* 487: the endpoint has the role that was claimed */
    ICE_ANSWER_REFUSED,
    ICE_ANSWER_FORGED, /* not authentic, as if it had not come */
};
/* An answer to a question that was asked with these credentials (RFC 8489 9.1.4). */
enum ice_answer ice_server_judge(struct ice_server *server,
                                 const struct ice_credentials *credentials, const uint8_t *message,
                                 size_t length);
/* The other role and, as RFC 8445 7.2.5.1 asks, another tie-breaker. */
void ice_credentials_switch_role(struct ice_credentials *credentials);
