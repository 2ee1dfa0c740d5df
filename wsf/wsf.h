/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The signalling function: what the program owns, from start to end.
 *
 * Ownership: wsf → registrar → endpoints; wsf → session table → sessions → legs; wsf → pool → links
 * to media centres; wsf → peers → links that we dial; wsf → clients (one per connection). Sideways
 * references are numbers and ids, so a late message for something that has ended finds nothing.
 *
 * Threads: everything in wsf/ runs on the control thread; only password hashes do not (auth.c). */
#include "base/conf.h"
#include "base/loop.h"
#include "wsf-link/http.h"
#include "wsf-link/link.h"
#include "wsf/auth.h"
#include "wsf/context-pipeline.h"
#include "wsf/peer.h"
#include "wsf/policy.h"
#include "wsf/registrar.h"
#include "wsf/session.h"
#include "wsf/wmcf-pool.h"

struct wsf {
    struct conf *conf;
    struct link_service *links;
    struct auth *auth;
    struct policy *policy;
    struct admission *admission;
    struct registrar *registrar;
    struct peer_table *peers;
    struct session_table *sessions;
    struct room_table *rooms;
    struct wmcf_pool *pool;
    struct recordings *recordings;
    struct context_pipelines *pipelines; /* beside the parties of calls and rooms */
    struct transcoding *transcoding;
    struct server *server;       /* listeners and pages */
    struct store_keeper *keeper; /* what survives a restart */
    GHashTable *clients;         /* number of the link → struct client, owned */
    struct loop_timer *registration_timer, *session_timer;
    const char *realm; /* lower case */
    char *realm_owned;
    struct link_limits limits; /* of a client's connection */
    bool draining;
    gint64 started; /* monotonic µs */
};

/* One client's connection. */
struct client {
    struct wsf *wsf;
    struct link *link;
    guint64 number;   /* of the link */
    guint64 endpoint; /* registered as, 0 before */
    bool auth_busy;   /* a password is being checked */
};

/* Builds everything from the configuration; NULL and *error when a part refuses. Transfer full. */
struct wsf *wsf_new(struct conf *conf, GError **error);
void wsf_free(struct wsf *wsf);
/* Reads credentials and keys again, and takes the policy table and rooms of `conf` (borrowed, NULL:
 * stays).
 */
void wsf_reload(struct wsf *wsf, const struct conf *conf);
/* No new calls; done() when the calls have ended or been ended. */
void wsf_drain(struct wsf *wsf, void (*done)(void *user), void *user);
/* For a restart: clients are sent away with 1012 and calls stay in the store; without a store that
 * can be written as wsf_drain(). */
void wsf_suspend(struct wsf *wsf, void (*done)(void *user), void *user);

/* The endpoint that this client is registered as, or NULL. */
struct endpoint *client_endpoint(const struct client *client);
/* Looks at the deadlines of registrations or sessions anew. */
void wsf_schedule_registrations(struct wsf *wsf);
void wsf_schedule_sessions(struct wsf *wsf);

/* problemDetails of protocol A4 for a request of ours. Transfer full. */
json_t *problem_json(const GError *error);
