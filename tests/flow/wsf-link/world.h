/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A listener whose program answers by simple rules, and dialers that record what they see. */
#include "wsf-link/http.h"
#include "wsf-link/link.h"

struct world {
    struct link_service *service;
    struct link_listener *listener;
    struct link_limits limits;          /* of the server side; set before world_listen() */
    struct link_limits client_limits;   /* of dialers */
    struct link_listener_config config; /* … likewise */
    struct link_endpoint endpoint;
    guint port;
    /* the server's program */
    GPtrArray *links; /* open ones */
    guint opened, closed, requests;
    int closed_code;               /* of the last */
    struct link_transaction *held; /* of method "hold" */
};

/* Rules of the server's program: "auth" succeeds unless its member `deny` is true; "echo" succeeds
 * with the member `value`; "hold" waits in world->held; "call" makes the server send "ring"; "fail"
 * fails with USER_BUSY. */
void world_init(struct world *world);
void world_listen(struct world *world);
void world_finish(struct world *world);
extern const struct link_protocol world_protocol;

/* A dialer and the client's program: sends nothing by itself, succeeds every request. */
struct caller {
    struct world *world;
    struct link_dialer_config config;
    struct link_dialer *dialer;
    struct link *link;
    guint opened, closed, failed, requests;
    int closed_code;
    guint next_attempt_ms;
    char *failure;
    /* of the last response */
    guint responses;
    bool success;
    int code;
    char *text; /* the response as JSON */
};
/* `url` NULL: the world's listener over ws://127.0.0.1. */
void caller_init(struct caller *caller, struct world *world, const char *url);
void caller_dial(struct caller *caller);
void caller_finish(struct caller *caller);
void caller_ask(struct caller *caller, const char *method, json_t *members, guint timeout_ms);
/* Asks and waits for the response. */
bool caller_try(struct caller *caller, const char *method, json_t *members);

/* Runs the loop until the condition holds; the test fails after `seconds`. */
void world_run_ms(guint ms);
bool world_step(gint64 deadline);
#define world_wait(condition, seconds)                                                             \
    G_STMT_START                                                                                   \
    {                                                                                              \
        gint64 deadline_ = g_get_monotonic_time() + (gint64)((seconds)*G_USEC_PER_SEC);            \
        while (!(condition))                                                                       \
            if (!world_step(deadline_))                                                            \
                g_error("%s:%d: %s does not come true", __FILE__, __LINE__, #condition);           \
    }                                                                                              \
    G_STMT_END
