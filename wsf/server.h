/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The listeners of the WSF and what they serve: the eiRTCW endpoint for clients, the page, the
 * pages for operators. Threads: control. */
#include "base/conf.h"

#include <glib.h>
#include <stdbool.h>

struct server;
struct wsf;

/* Opens every listener; the pages and the endpoint speak for `wsf`. Transfer full. */
struct server *server_new(struct wsf *wsf, GError **error);
void server_free(struct server *server);
/* Stops accepting. */
void server_close(struct server *server);
/* "http://localhost:8080 https://…" for the log. Transfer full. */
char *server_describe(const struct server *server);
