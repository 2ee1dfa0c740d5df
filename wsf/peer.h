/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The servers that this WSF works with (protocol A1, A5): content providers' servers (Rs-a), other
 * operators' WSFs (Rs-n) and further WSFs of the own network (Rs-i), one [peer "name"] each. A peer
 * is registered like everybody else; this tells which registration is a peer's, what that peer must
 * show and is trusted with, and how it is at the moment. Who opens the connection is configuration:
 * with `url` we do (peer-link.h), without they do (methods/auth.c).
 *
 * Threads: control. */
#include "base/conf.h"
#include "wsf-link/link.h"
#include "wsf/registrar.h"

struct peer_link;
struct peer_table;
struct wsf;

enum peer_state {
    PEER_DOWN,      /* nobody is connected */
    PEER_CONNECTED, /* our connection is open, we authenticate */
    PEER_UP,        /* registered */
    PEER_AWAY,      /* the connection is lost, its sessions live on */
    PEER_STOPPED,   /* it forbade us to come again; a reload tries anew */
    PEER_STATE_COUNT,
};
const char *peer_state_name(enum peer_state state);

struct peer {
    char *name; /* of [peer "name"] */
    const char *section;
    enum endpoint_kind kind;
    char *webrtc_id;                         /* theirs */
    char *identity;                          /* ours towards them */
    char **realms;                           /* reached through them, lower case */
    char **trusted_realms;                   /* their asserted ids are accepted there */
    bool transit;                            /* its calls may go on to other operators */
    bool refuse_untrusted;                   /* other asserted ids are refused, not replaced */
    const char *url;                         /* NULL: they dial us */
    const char *const *auth;                 /* kinds of authentication that they may use */
    const char *certificate_name;            /* subject alternative name that they must show */
    guint calls_max;                         /* with it, both directions */
    guint expiration_s, ttl_s, keepalive_ms; /* ours when they dial, asked for when we dial */
    struct link_limits limits;

    enum peer_state state;
    guint64 endpoint;       /* their registration, 0 = none */
    struct peer_link *link; /* owned; NULL when they dial */
};

/* Reads every section, dials nobody yet. Transfer full; NULL and INVALID_MESSAGE with the section.
 * `identity`: ours unless a section says another. */
struct peer_table *peer_table_new(struct wsf *wsf, const char *identity, GError **error);
void peer_table_free(struct peer_table *table);
/* Begins to dial. */
bool peer_table_start(struct peer_table *table, GError **error);
/* Dials now whom we are not connected to, also those who had forbidden it. */
void peer_table_reload(struct peer_table *table);
/* All peers in the order of the configuration: struct peer. Borrowed. */
const GPtrArray *peer_table_all(const struct peer_table *table);
struct peer *peer_table_find(const struct peer_table *table, const char *name);
/* The peer that registers under this identity (normalised), or NULL. */
struct peer *peer_table_identity(const struct peer_table *table, const char *webrtc_id);
/* The peer of an endpoint, NULL for a client's. */
struct peer *peer_of(const struct wsf *wsf, const struct endpoint *endpoint);

/* True when the peer's assertion of an identity in this realm (lower case) counts. */
bool peer_trusts_realm(const struct peer *peer, const char *realm);
bool peer_serves_realm(const struct peer *peer, const char *realm);
/* What must hold before a peer that dials us is authenticated by `type` ("basic" …): the kind is
 * agreed, and on Rs-n both sides have shown certificates (loopback excepted). The reason of a
 * refusal is for the log. */
bool peer_may_register(const struct peer *peer, const struct link *link, const char *type,
                       GError **error);

/* The only setter. */
void peer_set_state(struct peer *peer, enum peer_state state, const char *reason);
/* What happens to the registration of a peer; nothing for a client's. */
void peer_registered(struct wsf *wsf, const struct endpoint *endpoint);
void peer_lost(struct wsf *wsf, const struct endpoint *endpoint);
void peer_removed(struct wsf *wsf, const struct endpoint *endpoint);
