/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A termination: one peer connection. It joins a webrtcbin leg (pipelines) to a relay leg: ICE and
 * datagrams on one side, DTLS and keys on the other, and holds the negotiation and the policy.
 *
 * States: idle → negotiating (an offer of ours is out) → connecting → connected ⇄ disconnected,
 * and failed; printed by `wmcf --print-fsm termination`.
 *
 * Lifetime: termination_release() takes it out of its context at once; the memory goes when the
 * relay's worker has let go of it (`released`). Threads: control. */
#include "wmcf/context.h"
#include "wmcf/events.h"
#include "wmcf/media-policy.h"

enum termination_state {
    TERMINATION_IDLE,
    TERMINATION_NEGOTIATING,
    TERMINATION_CONNECTING,
    TERMINATION_CONNECTED,
    TERMINATION_DISCONNECTED, /* consent expired; a new nomination brings it back */
    TERMINATION_FAILED,
    TERMINATION_RELEASED,
};
const char *termination_state_name(enum termination_state state);
/* The transition table as graphviz text. Transfer full. */
char *termination_print_fsm(void);

/* One m-line as far as the programs above the SDP need it. */
struct termination_media {
    char mid[SDP_MAX_MID + 1];
    enum sdp_kind kind;
    struct qos_flow *flow;
    struct termination *source; /* who feeds what we send here; borrowed, cleared when it leaves */
    char source_mid[SDP_MAX_MID + 1];
    json_t *source_told;   /* of a mesh: the source that sourceChanged told last; NULL = none */
    bool source_told_else; /* another one has been told since, in a result */
};

struct data_relay;     /* data-relay.h */
struct mesh_member;    /* mesh.h */
struct quality_report; /* quality-report.h */
struct ice_traversal;  /* ice-traversal.h */
struct media_path;     /* media-path.h */

enum ice_mode { ICE_MODE_LITE, ICE_MODE_FULL, ICE_MODE_TRAVERSAL };

struct termination {
    struct context *context; /* NULL once released */
    struct wmcf *wmcf;
    char *id;
    enum termination_state state;
    char *failure;      /* one sentence, or NULL */
    struct pl_leg *leg; /* NULL of a pipeline */
    struct relay_leg *relay_leg;
    struct qos_transport *transport;       /* goes after the worker has let go */
    struct pipeline_termination *pipeline; /* NULL of a peer connection (pipeline-termination.h) */
    struct media_path *path;               /* NULL = straight */
    struct data_relay *data;               /* NULL = no data channels so far */
    struct quality_report *report;         /* NULL = never asked for */
    bool leg_started;
    bool joined; /* its first answer is applied: takes part in a mesh */

    char ice_ufrag[9], ice_pwd[25];
    char next_ufrag[9], next_pwd[25]; /* of our outstanding offer when it restarts ICE, or empty */
    enum sdp_setup dtls_role;         /* ours: active, passive; none before the first answer */
    GArray *early_candidates;         /* struct trickled_candidate; NULL = none ever */
    struct ice_traversal *traversal;  /* NULL = the relay does its ICE */
    bool ice_full; /* checks by itself: as `add` said, or because the endpoint is lite */
    char cname[17];
    guint64 sdp_session_id, sdp_version;
    struct sdp_description *local, *remote; /* in force */
    struct sdp_description *pending_local;  /* our offer without an answer yet */
    GPtrArray *medias;                      /* struct termination_media, owned, by m-line */
    GPtrArray *proposed; /* what a step under way will leave of them; not owned, mostly NULL */
    GPtrArray *retired;  /* medias that are gone, and that the worker may still know */
    struct policy_set policies; /* as said, also for medias yet to come */
    struct event_mask events;
    json_t *app_data;
    bool ice_connected, dtls_connected, closed_by_endpoint;
    struct sockaddr_storage ice_local, ice_remote;
    enum pl_srtp_profile srtp_profile;
    gint64 created, connected_at; /* monotonic µs */
    gint64 negotiation_asked;     /* last negotiationNeeded of a mesh */
    struct loop_timer *hanging_timer, *mesh_timer;
    struct mesh_member *mesh_member; /* NULL: it has not joined a mesh */
};

/* Makes both legs and puts the termination into the context. Transfer none (the context owns).
 * One with ICE_MODE_TRAVERSAL can be negotiated when its candidates are gathered. */
struct termination *termination_new(struct context *context, enum ice_mode ice_mode,
                                    GError **error);
/* The same for a pipeline: a relay leg without a network, and no other. */
struct termination *termination_new_local(struct context *context,
                                          const struct relay_local_config *local, GError **error);
/* Takes it out of the context, closes both legs. */
void termination_release(struct termination *termination);

/* --- negotiation (negotiation.h has its steps) --------------------------------------------------
 */
/* While a step is under way: among those that it will leave. NULL when there is none. Borrowed. */
struct termination_media *termination_media(struct termination *termination, const char *mid);
/* The `medias` array of results and of `audit`. Transfer full. */
json_t *termination_medias_json(const struct termination *termination);
/* What is negotiated (array of struct sdp_negotiated_media, transfer full), or NULL. */
GArray *termination_negotiated(const struct termination *termination);

/* Adds a medium with a flow of its own, under the policy as said. Borrowed. */
struct termination_media *termination_add_media(struct termination *termination, const char *mid,
                                                enum sdp_kind kind);

/* Candidates of the endpoint that come by themselves (RFC 8838). */
struct trickled_candidate {
    char ufrag[257]; /* of the description they belong to */
    struct sdp_candidate candidate;
};
struct trickled {
    GArray *candidates; /* struct trickled_candidate, owned */
    bool end;
};
/* Reads `candidates` and `endOfCandidates` (absent: none) against the description that will be in
 * force, which may be NULL. *ret is to be cleared in any case. */
bool trickled_read(const json_t *message, const struct sdp_description *remote,
                   struct trickled *ret, GError **error);
void trickled_clear(struct trickled *trickled);
/* Takes them: to the relay, or aside until their description comes. */
void termination_trickle(struct termination *termination, struct trickled *trickled);

/* Nothing comes from it, and may never again: its path is lost, or it has failed. */
bool termination_is_gone(const struct termination *termination);

/* State changes that the negotiation decides. */
void termination_begin_connecting(struct termination *termination, bool restarted);
void termination_set_negotiating(struct termination *termination, bool outstanding);
/* And those of a pipeline. */
void termination_set_playing(struct termination *termination);
void termination_fail(struct termination *termination, enum event event, const char *sentence);

/* --- policy ----------------------------------------------------------------------------------- */
/* Applies entries that policy_set_read() has passed: the relay is told that a gate opens, then it
 * does, then key frames are asked for. */
void termination_apply_policies(struct termination *termination, const struct policy_set *set);

/* --- routes ----------------------------------------------------------------------------------- */
/* Tells the relay of a route; NULL `source` ends it. */
void termination_route(struct termination *source, const char *source_mid, struct termination *to,
                       const char *to_mid);
/* Tells the relay once more of all that lead from and to it: it does nothing for one that is there.
 */
void termination_repeat_routes(struct termination *termination);
/* `source` NULL disconnects. */
void termination_connect_media(struct termination *to, struct termination_media *to_media,
                               struct termination *source, const char *source_mid);
