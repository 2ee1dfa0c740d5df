/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of the Janus adapter share.
 *
 * janus.c       the adapter's face, the session      janus-room.c  the videoroom plugin
 * janus-link.c  the WebSocket                        janus-call.c  the videocall plugin
 * Threads: the control loop's. */
#include "tests/support/load/adapter.h"
#include "tests/support/load/janus-link.h"

/* A plugin handle and the peer at the other end of its peer connection. */
struct janus_end {
    struct janus *janus;
    struct load_leg *leg;
    json_int_t handle;
    struct peer *peer;
    bool waits_for_server; /* Janus' own word (webrtcup) is needed too */
    bool peer_up, server_up, settled;
    /* Once: the peer connection stands, or `problem`. */
    void (*done)(struct janus_end *end, const char *problem);
    /* Attached to its plugin. */
    void (*attached)(struct janus_end *end);
    /* of a call */
    struct janus_end *other;
    bool registered, asked;
    char *problem;
};

struct janus {
    struct load_run *run;
    struct janus_link *link;
    json_int_t session;
    struct loop_timer *keep_alive;
    GHashTable *handles; /* handle → struct janus_end */
    GPtrArray *ends;     /* owned */
    guint joining, next_join, to_join;
    bool leaving;
};

/* Lives as long as the run. */
struct janus_end *janus_end_new(struct janus *janus, struct load_leg *leg,
                                void (*done)(struct janus_end *end, const char *problem));
void janus_end_attach(struct janus_end *end, const char *plugin,
                      void (*attached)(struct janus_end *end));
/* A request to the plugin; `body` is taken, `type` and `sdp` may be NULL. What fails fails the end;
 * so `fn` is called with good replies only, and may be NULL. */
void janus_end_message(struct janus_end *end, json_t *body, const char *type, const char *sdp,
                       void (*fn)(struct janus_end *end, const json_t *reply));
/* Makes its peer; false when the end has failed of it. */
bool janus_end_make_peer(struct janus_end *end, struct peer_config *config);
void janus_end_settle(struct janus_end *end, const char *problem);
/* "v=0…" of a message, or NULL. Borrowed. */
const char *janus_sdp_of(const json_t *message);

/* --- shapes ---------------------------------------------------------------------------------- */

void janus_room_add(struct janus *janus, struct load_leg *leg);
void janus_room_join(struct janus *janus);
void janus_call_add(struct janus *janus, struct load_leg *leg);
/* An event of the videocall plugin. */
void janus_call_event(struct janus_end *end, const json_t *message);
