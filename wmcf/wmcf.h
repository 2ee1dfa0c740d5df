/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The media centre: what the program owns, from start to end.
 *
 * Ownership: wmcf → controllers (by identity) and contexts (by id) → terminations → legs. Sideways
 * references are ids. Threads: everything in wmcf/ runs on the control thread; the relay and the
 * pipelines post to it. */
#include "base/conf.h"
#include "pipelines/leg.h"
#include "wmcf/relay/relay.h"
#include "wsf-link/http.h"
#include "wsf-link/link.h"

#define WSF_TOKEN_MIN 16 /* characters of a WSF's bearer token */

enum service_state { SERVICE_IN_SERVICE, SERVICE_OVERLOADED, SERVICE_DRAINING, SERVICE_OUT };
const char *service_state_name(enum service_state state);

struct wmcf {
    struct conf *conf;
    struct qos *qos;
    char *enforcement_reason; /* qos_level_reason() at the start */
    struct relay *relay;
    struct ice_servers *ice_servers; /* of iceMode "traversal" */
    struct link_service *links;
    struct http_server *http;
    struct link_listener *listener;
    struct admin *admin;
    struct pipeline_templates *templates;
    GHashTable *shares;      /* struct pipeline_share by owner and name, borrowed: of its members */
    GHashTable *contexts;    /* contextId → struct context, owned */
    GHashTable *controllers; /* webrtcId of a WSF → struct controller, owned */
    GHashTable *releasing;   /* struct termination whose relay leg is still held by its worker */
    guint n_terminations;    /* in contexts; the limit counts these */
    guint64 next_context, next_termination;
    guint32 restart_counter; /* start time in seconds: a new one tells that all contexts are gone */
    enum service_state state;
    guint load; /* per cent, as last told to the WSFs */
    struct quality_reports *reports;
    struct loop_timer *load_timer, *drain_timer;
    gint64 started; /* monotonic µs */
    struct link_limits limits;
};

/* Builds everything from the configuration; NULL and *error when a part refuses. Transfer full. */
struct wmcf *wmcf_new(struct conf *conf, GError **error);
/* Reads the TLS files and the templates of pipelines again, and says how that went. */
void wmcf_reload(struct wmcf *wmcf);
/* Releases every context, then runs the loop's remaining work until the workers have let go. */
void wmcf_free(struct wmcf *wmcf);

/* --- service-state.c: what the WSFs are told by serviceChange ------------------------------------
 */
void service_state_start(struct wmcf *wmcf);
/* No new contexts; `done` empties: called when the last context is gone or the deadline is over. */
void service_state_drain(struct wmcf *wmcf, guint deadline_s, void (*done)(void *user), void *user);
void service_state_undrain(struct wmcf *wmcf);
/* Whether it drains in order to end, which nobody calls off. */
bool service_state_ends(const struct wmcf *wmcf);
/* Members of serviceChange and of the answer to `auth`. Transfer full. */
json_t *service_state_json(const struct wmcf *wmcf);
/* DRAINING or RESOURCES_UNAVAILABLE when no termination can be added now; a call that is being set
 * up while the drain begins may still be completed. */
bool service_state_admit(struct wmcf *wmcf, bool new_context, GError **error);
/* A context has ended: a drain may be complete. */
void service_state_context_ended(struct wmcf *wmcf);
