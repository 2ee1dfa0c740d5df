/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The registrar: who is registered, on which connection, until when (protocol A5, A6).
 *
 * An identity (webrtcId) has several endpoints, each told apart by its instanceId. An endpoint
 * whose connection was lost stays for its disconnection time to live and may resume. Time is a
 * parameter everywhere, in microseconds of any monotonic clock. Others refer to an endpoint by its
 * number.
 *
 * Threads: control. */
#include "wsf/reauth.h"

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

struct link;

/* A media session that has ended; `mdisc` is kept until the endpoint has acknowledged it. */
struct ended_session {
    char *media_session_id;
    char *state_cause; /* the cause told, "ANSWERED_ELSEWHERE" … */
    json_t *mdisc;     /* members of the unacknowledged request, or NULL */
};

/* What a registered endpoint is: decides whom it is trusted to speak for and how it is anchored. */
enum endpoint_kind {
    ENDPOINT_CLIENT,   /* Rs-u: a user's client */
    ENDPOINT_PROVIDER, /* Rs-a: a content provider's server */
    ENDPOINT_OPERATOR, /* Rs-n: another operator's WSF */
    ENDPOINT_WSF,      /* Rs-i: another WSF of the own network */
};

struct endpoint {
    struct registrar *registrar; /* up */
    guint64 number;              /* unique in the process, never 0 */
    enum endpoint_kind kind;
    char *peer;         /* name of the configuration's [peer "name"], NULL for a client */
    bool dialed;        /* we are the WebSocket client side of its connection */
    char **extensions;  /* supportedExtension of its auth (A3), NULL-terminated, or NULL */
    json_t *attributes; /* what it publishes (A7), or NULL */
    char *webrtc_id;
    char *instance_id; /* UUID in lower case */
    struct link *link; /* NULL while lost */
    char *address;     /* numeric address of the connection, kept while lost */
    gint64 expires_at;
    gint64 lost_at; /* 0 while connected */
    guint ttl_s;
    struct reauth reauth;
    GQueue ended; /* struct ended_session, newest first, bounded */
};

/* A server may be ICE-lite itself and lives at a public address: its legs are anchored with iceMode
 * "full". */
static inline bool endpoint_is_server(const struct endpoint *endpoint)
{
    return endpoint->kind != ENDPOINT_CLIENT;
}
/* The other side is a signalling function: it names the sessions that it asks for, and offers. */
static inline bool endpoint_is_wsf(const struct endpoint *endpoint)
{
    return endpoint->kind == ENDPOINT_OPERATOR || endpoint->kind == ENDPOINT_WSF;
}
/* "client", "provider", "operator", "wsf". Static. */
const char *endpoint_kind_name(enum endpoint_kind kind);
bool endpoint_supports(const struct endpoint *endpoint, const char *extension);

enum registrar_removal {
    REGISTRAR_DEREGISTERED, /* expirationTime 0 or a normal close */
    REGISTRAR_EXPIRED,
    REGISTRAR_LOST, /* the disconnection time to live is over */
    REGISTRAR_EVICTED,
};
const char *registrar_removal_name(enum registrar_removal removal);

struct registrar_ops {
    /* The endpoint is still complete and still in the tables. Must not register or remove. */
    void (*removed)(struct endpoint *endpoint, enum registrar_removal removal, void *user);
    /* True when a lost endpoint still has calls: then it is not evicted for a newcomer. */
    bool (*in_use)(const struct endpoint *endpoint, void *user);
    /* Something that outlives the process has changed; after `removed` once more. May be NULL. */
    void (*changed)(const struct endpoint *endpoint, void *user);
};

struct registration_request {
    const char *webrtc_id;   /* normalised, see registrar_normalise() */
    const char *instance_id; /* NULL: one is assigned */
    struct link *link;
    const char *address;
    guint expiration_s, ttl_s; /* as granted */
    enum endpoint_kind kind;
    const char *peer; /* name of its [peer "name"]: then the identity has one endpoint, whatever
                       * instanceId it comes with; NULL for a client */
    bool dialed;
    const json_t *extensions; /* supportedExtension, an array; NULL: as before on this link */
    const json_t *attributes; /* NULL: as before */
};

struct registrar;

struct registrar *registrar_new(guint registrations_max, guint endpoints_per_identity,
                                const struct registrar_ops *ops, void *user);
void registrar_free(struct registrar *registrar);

/* webrtcId with the realm in lower case, NULL when it is none. Transfer full. */
char *registrar_normalise(const char *webrtc_id);

/* Registers, refreshes or resumes. *ret_superseded is the former connection of the same endpoint or
 * NULL, *ret_resumed tells whether the endpoint existed. Borrowed; NULL and RESOURCES_UNAVAILABLE
 * at a limit. */
struct endpoint *registrar_register(struct registrar *registrar,
                                    const struct registration_request *request, gint64 now,
                                    struct link **ret_superseded, bool *ret_resumed,
                                    GError **error);
/* An endpoint of the process' former life, lost since `now` and without anything but its names; the
 * caller fills in the rest. NULL and *error when it is there already or at a limit. Borrowed. */
struct endpoint *registrar_restore(struct registrar *registrar, const char *webrtc_id,
                                   const char *instance_id, gint64 now, GError **error);
struct endpoint *registrar_endpoint(const struct registrar *registrar, guint64 number);
struct endpoint *registrar_find(const struct registrar *registrar, const char *webrtc_id,
                                const char *instance_id);
/* The endpoints of an identity (struct endpoint, in order of registration) or NULL. Borrowed. */
const GPtrArray *registrar_lookup(const struct registrar *registrar, const char *webrtc_id);
guint registrar_count(const struct registrar *registrar);
/* struct endpoint of all (borrowed), container owned. */
GPtrArray *registrar_all(const struct registrar *registrar);
/* The connection is gone; a time to live of 0 removes at the next tick. */
void registrar_lost(struct endpoint *endpoint, gint64 now);
void registrar_remove(struct registrar *registrar, struct endpoint *endpoint,
                      enum registrar_removal removal);
/* Removes what is due; returns the time of the next deadline or -1. */
gint64 registrar_tick(struct registrar *registrar, gint64 now);

/* Whoever changes a field that outlives the process says so. */
void endpoint_changed(const struct endpoint *endpoint);
/* Remembers an ended session; `mdisc` (stolen, may be NULL) until endpoint_acknowledge_ended(). */
void endpoint_add_ended(struct endpoint *endpoint, const char *media_session_id, const char *cause,
                        json_t *mdisc);
struct ended_session *endpoint_find_ended(const struct endpoint *endpoint,
                                          const char *media_session_id);
void endpoint_acknowledge_ended(struct endpoint *endpoint, const char *media_session_id);
