/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* ICE of one peer: a full agent with one local candidate, or a lite one (RFC 8445, RFC 7675). Time
 * is a parameter, datagrams go through callbacks. Threads: the group's. */
#include "tests/support/peer/peer.h"

#include <stun/stunagent.h>

#define PEER_ICE_PAIRS 16

struct peer_ice_pair {
    struct sockaddr_storage remote;
    enum { PAIR_WAITING, PAIR_CHECKING, PAIR_VALID, PAIR_FAILED } state;
    bool outstanding; /* a request waits for its response */
    bool nominating;  /* … and it carries USE-CANDIDATE */
    bool use_asked;   /* the controlling side wants this pair */
    StunTransactionId transaction;
    guint8 request[256];
    gsize request_length;
    guint tries;
    gint64 next_us;
};

struct peer_ice_ops {
    void (*send)(const struct sockaddr_storage *to, const void *data, gsize length, void *user);
    /* Told at each nomination, with the address in use. */
    void (*nominated)(const struct sockaddr_storage *remote, void *user);
    void (*failed)(const char *reason, void *user);
};

struct peer_ice {
    StunAgent agent;
    const struct peer_faults *faults;
    const struct peer_ice_ops *ops;
    void *user;
    char local_ufrag[8 + 1], local_pwd[24 + 1];
    char remote_ufrag[260], remote_pwd[260];
    bool lite, controlling, started, connected, failed;
    guint64 tie_breaker;
    struct peer_ice_pair pairs[PEER_ICE_PAIRS];
    guint n_pairs;
    int selected; /* index or -1 */
    gint64 last_consent_us, deadline_us;
    guint64 requests_in, responses_in, rejected;
};

void peer_ice_init(struct peer_ice *ice, bool lite, const struct peer_faults *faults,
                   const struct peer_ice_ops *ops, void *user);
/* New credentials; the pair in use stays until another is nominated. */
void peer_ice_restart(struct peer_ice *ice);
/* Begins (again) towards these candidates. */
void peer_ice_start(struct peer_ice *ice, gint64 now, bool controlling, const char *remote_ufrag,
                    const char *remote_pwd, const struct sockaddr_storage *candidates, guint n);
void peer_ice_input(struct peer_ice *ice, gint64 now, const struct sockaddr_storage *from,
                    const guint8 *data, gsize length);
/* Does what is due; returns when it wants to be called again. */
gint64 peer_ice_tick(struct peer_ice *ice, gint64 now);
/* Where to send: the nominated address, else the first candidate, else NULL. */
const struct sockaddr_storage *peer_ice_remote(const struct peer_ice *ice);
