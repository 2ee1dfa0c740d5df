/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* HTTP/2 on a listener (RFC 9113), links over it (RFC 8441), pages. Threads: control. */
#include "wsf-link/ws-server.h"

struct h2_connection;

/* Takes the socket, whatever comes of it; its first request has so long. */
void h2_server_take(struct link_listener *listener, struct rate_address *address, const char *peer,
                    int fd, guint left_ms);
/* An empty set of struct h2_connection. Transfer full. */
GHashTable *h2_server_connections_new(void);
/* No new streams; those that live go on (RFC 9113 6.8). */
void h2_connection_goaway(struct h2_connection *connection);
/* No more callbacks into the program: its links close with 1001. */
void h2_connection_abandon(struct h2_connection *connection);
