/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* ICE of a termination that needs NAT traversal of its own (iceMode "traversal"): libnice's agent
 * gathers candidates at STUN and TURN servers and listens for TCP (RFC 6544), checks as a full
 * agent and asks for consent (RFC 7675). It decides paths and nothing else: what comes on them goes
 * to the relay by a connected datagram socket, and what the relay sends comes from there, so DTLS,
 * SRTP and policies are the relay's as for every leg.
 *
 * All agents of the process run on one thread, started for the first of them.
 * Threads: every function and callback here on the control thread. */
#include "pipelines/sdp.h"

#include <netinet/in.h>

struct traversal;

#define TRAVERSAL_SERVERS_MAX 8
#define TRAVERSAL_GATHER_MS 2000 /* a server that has not answered by then is left out */

enum traversal_server_kind { TRAVERSAL_STUN, TRAVERSAL_TURN_UDP, TRAVERSAL_TURN_TCP };
struct traversal_server {
    enum traversal_server_kind kind;
    char address[46]; /* numeric */
    guint16 port;
};
/* A URL of RFC 7064 or RFC 7065 with a numeric address. INVALID_MESSAGE and a sentence. */
bool traversal_server_parse(const char *url, struct traversal_server *ret, GError **error);

struct traversal_address {
    struct sockaddr_storage local, advertised; /* ports are not looked at */
};
struct traversal_config {
    const struct traversal_address *addresses; /* to gather on */
    gsize n_addresses;
    const struct traversal_server *servers;
    gsize n_servers;
    const char *turn_user, *turn_password; /* NULL = no TURN */
    bool tcp;                              /* listens for TCP, and connects by it */
    guint port, ports; /* of host candidates: the first and how many; 0 = any that is free */
    guint queue;       /* octets that may wait on the way to or from the relay */
    guint connections; /* TCP connections of one agent that are kept */
    const char *ufrag, *pwd;
};

struct traversal_ops {
    /* The candidates are complete. Once. */
    void (*gathered)(void *user);
    /* A pair is selected, first or another one. */
    void (*connected)(void *user, const struct sockaddr_storage *local,
                      const struct sockaddr_storage *remote);
    /* There is no path (any more). `reason` is one sentence, static. */
    void (*failed)(void *user, const char *reason);
};

/* Begins to gather. *ret_socket is the relay's end (relay_leg_config.tunnel), the caller's to
 * close. Transfer full; NULL and RESOURCES_UNAVAILABLE or INTERNAL_ERROR. The configuration is
 * copied. */
struct traversal *traversal_new(const struct traversal_config *config,
                                const struct traversal_ops *ops, void *user, int *ret_socket,
                                GError **error);
/* What the relay has sent goes out still; no callback follows. NULL allowed. */
void traversal_free(struct traversal *traversal);

bool traversal_gathered(const struct traversal *traversal);
/* Of struct sdp_candidate; empty before `gathered`. Borrowed. */
const GArray *traversal_candidates(const struct traversal *traversal);

struct traversal_remote {
    const char *ufrag, *pwd;             /* the endpoint's */
    const char *local_ufrag, *local_pwd; /* ours that go with them */
    bool controlling;
};
/* The endpoint's side of ICE. Other credentials than before restart ICE; media stays on the path in
 * use until there is another one (RFC 8445 9). */
void traversal_set_remote(struct traversal *traversal, const struct traversal_remote *remote);
/* Of the endpoint, in any number; names are passed over. `complete`: none will follow. */
void traversal_add_candidate(struct traversal *traversal, const struct sdp_candidate *candidate);
void traversal_complete(struct traversal *traversal);

/* Datagrams that found no room on their way from an endpoint to the relay, or from the relay to
 * one, in all. Any thread. */
guint64 traversal_dropped(void);
/* Ends the thread, if there is one; every traversal must have been freed. */
void traversal_finish(void);
