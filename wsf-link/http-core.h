/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside of wsf-link: what http.c decides and ws-http.c and h2-http.c transmit. Threads: control.
 */
#include "wsf-link/http.h"

struct http_answer {
    guint status;
    const char *content_type; /* static, NULL = no body */
    char *body;               /* owned; NULL with fd */
    int fd;                   /* owned; -1 = body */
    guint64 length;           /* of body or file */
    char *etag, *location;    /* owned, may be NULL */
    bool any_origin;          /* scripts of other origins may read it */
    bool html;                /* needs a content security policy */
};
/* `path` is decoded and has no query. Pure but for reading files. */
void http_server_answer(struct http_server *server, const char *path, const char *if_none_match,
                        struct http_answer *ret);
/* Calls put for each header field but the length; names in lower case. `allow` for 405, else NULL.
 */
void http_answer_head(const struct http_answer *answer, const char *allow,
                      void (*put)(void *user, const char *name, const char *value), void *user);
void http_answer_clear(struct http_answer *answer);
