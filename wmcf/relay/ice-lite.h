/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* STUN of the lite agent (RFC 8445 2.5, RFC 8489): checks a Binding request and writes the answer.
 * No I/O and no clock. Threads: one worker. */
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

/* What one leg contributes; embedded there. */
struct ice_credentials {
    struct ice_budget failures, requests;
    char ufrag[257], pwd[257];               /* ours; RFC 8839 5.4: at most 256 */
    char remote_ufrag[257], remote_pwd[257]; /* empty = not known yet */
    void *owner;
};

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

/* A Binding request of ours, to see whether a nominated address answers. Returns its octets, 0 when
 * the remote credentials are not known. */
size_t ice_server_ask(struct ice_server *server, const struct ice_credentials *credentials,
                      uint8_t out[ICE_CHECK_MAX], uint8_t ret_transaction[ICE_TRANSACTION]);
