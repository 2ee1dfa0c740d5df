/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Janus' JSON API over a WebSocket, as much as the generator needs: requests with their replies,
 * and the events that nobody asked for. Threads: the control loop's. */
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

struct janus_link;

struct janus_link_ops {
    void (*opened)(void *user);
    /* A message without a request of ours; borrowed. */
    void (*event)(const json_t *message, void *user);
    /* The connection is over, whoever ended it; nothing comes after it. `why` is one sentence. */
    void (*closed)(const char *why, void *user);
};

/* The reply to a request: the message, or NULL and what the server or its plugin found wrong. Both
 * borrowed. Requests that are open when the link closes get none. */
typedef void (*janus_reply_fn)(const json_t *reply, const char *problem, void *user);

/* Connects to ws://address:port; `ops` is kept by reference. NULL and *error when the text is no
 * such address. Transfer full. */
struct janus_link *janus_link_new(const char *url, const struct janus_link_ops *ops, void *user,
                                  GError **error);
/* NULL allowed. */
void janus_link_free(struct janus_link *link);

/* Sends {"janus": verb, …members}; `members` (may be NULL) is taken. What Janus only acknowledges
 * is answered when the plugin's event comes. fn may be NULL. */
void janus_link_ask(struct janus_link *link, const char *verb, json_t *members, janus_reply_fn fn,
                    void *user);
