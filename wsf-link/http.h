/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* HTTP/1.1 on a link listener: static files and small generated pages. GET and HEAD
 * only. Threads: control. */
#include <glib.h>
#include <stdbool.h>

struct http_server;

struct http_reply {
    guint status;             /* 200 */
    const char *content_type; /* static string */
    char *body;               /* transfer full to the server, may be NULL */
    gsize length;
    bool any_origin; /* pages of other origins may read it (CORS) */
};
typedef void (*http_page_fn)(const char *path, struct http_reply *ret_reply, void *user);

struct http_server *http_server_new(void);
void http_server_free(struct http_server *server);
/* An exact path answered by a function ("/metrics"). */
void http_server_add_page(struct http_server *server, const char *path, http_page_fn page,
                          void *user);
/* A folder of files below `prefix` ("/"); index.html for folders; no dot files, no "..", no symlink
 * out of the folder; ETag and If-None-Match; security headers (nosniff, CSP for html). */
void http_server_add_folder(struct http_server *server, const char *prefix, const char *folder);
/* Redirect of an exact path. */
void http_server_add_redirect(struct http_server *server, const char *path, const char *to);
