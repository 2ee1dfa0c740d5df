/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Sockets on the control loop, thousands of them, at the cost of those that have something to do:
 * libwebsockets' contexts and sockets of our own. Threads: control. */
#include <glib.h>
#include <libwebsockets.h>
#include <stdbool.h>

struct link_service;

struct ws_poll; /* what all loops of a service wait in */
struct ws_poll *ws_poll_new(void);
/* After its loops. NULL allowed. */
void ws_poll_free(struct ws_poll *poll);
/* Waits and works for at most so long without the control loop, at the end of the program. */
void ws_poll_step(struct ws_poll *poll, gint64 wait_us);

/* A socket that is not libwebsockets'. `events`: EPOLLIN … of epoll(7); 0 when ws_watch_wake()
 * asked for a call in the next round. Nothing comes after ws_watch_free(), also inside of its
 * callback. */
struct ws_watch;
typedef void (*ws_watch_fn)(void *data, guint events);
struct ws_watch *ws_watch_new(struct ws_poll *poll, int fd, guint events, ws_watch_fn fn,
                              void *data);
void ws_watch_set(struct ws_watch *watch, guint events);
void ws_watch_wake(struct ws_watch *watch);
/* Before the socket is closed or given away. NULL allowed. */
void ws_watch_free(struct ws_watch *watch);

/* A context; the user of the context (lws_context_user) is its loop. */
struct ws_loop {
    struct link_service *service;
    void *owner; /* the listener's part; NULL: of the dialers */
    struct lws_context *context;
    guint connections; /* counted by the owner */
    /* inside */
    struct ws_poll *poll;
    guint number;
    GMainContext *main;
    GMainLoop *glib; /* never run: tells libwebsockets the main context */
    GPollFD *fds, *armed;
    gint n_fds, n_armed, size, priority;
    gint64 deadline; /* -1: none */
    bool ready, changed;
};

/* `fds_max`: sockets that the context may have; 0 = as many as the process. */
struct ws_loop *ws_loop_new(struct link_service *service, guint fds_max, void *owner,
                            GError **error);
/* Not from inside of a callback of libwebsockets. NULL allowed. */
void ws_loop_free(struct ws_loop *loop);
/* Something was asked of libwebsockets outside of its callbacks, or a socket came or went: look. */
void ws_loop_touch(struct ws_loop *loop);
struct ws_loop *ws_loop_of(struct lws *wsi);
