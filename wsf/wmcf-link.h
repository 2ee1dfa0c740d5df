/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The control link to one media centre (protocol B): connects, authenticates, audits, and
 * reconciles what the media centre holds with what calls know. Threads: control. */
#include "base/conf.h"
#include "wsf-link/link.h"

struct wmcf_link;

/* What the owner is asked and told. All names are those of the configuration. */
struct wmcf_link_ops {
    /* A `notify` of the media centre. Borrowed. */
    void (*notify)(const char *wmcf, const json_t *message, void *user);
    /* Every call on it has lost its media: the link was away for too long, or it has restarted. */
    void (*lost)(const char *wmcf, const char *why, void *user);
    /* A context of ours is no longer there. */
    void (*context_gone)(const char *wmcf, const char *context_id, void *user);
    /* The link is up and what both sides hold has been compared. */
    void (*reconciled)(const char *wmcf, void *user);
    bool (*knows_context)(const char *wmcf, const char *context_id, void *user);
    /* A context of ours is there; the first look since the link came up, so that what has happened
     * to it meanwhile was not told. */
    void (*context_found)(const char *wmcf, const char *context_id, void *user);
    /* contextIds that calls hold there: strings, transfer full. */
    GPtrArray *(*contexts)(const char *wmcf, void *user);
};

typedef void (*wmcf_response_fn)(const struct link_response *response, void *user);

/* `section` of the configuration, "wmcf \"name\"". Transfer full. */
struct wmcf_link *wmcf_link_new(const struct conf *conf, const char *section, const char *identity,
                                struct link_service *service, const struct wmcf_link_ops *ops,
                                void *user, GError **error);
void wmcf_link_free(struct wmcf_link *link);
const char *wmcf_link_name(const struct wmcf_link *link);
/* Authenticated and not away. */
bool wmcf_link_is_up(const struct wmcf_link *link);
/* Up, and willing to take new contexts. */
bool wmcf_link_is_ready(const struct wmcf_link *link);
guint wmcf_link_load(const struct wmcf_link *link);
/* Whether it has a level of enforcement for policies, as far as it has told. */
bool wmcf_link_enforces(const struct wmcf_link *link);
/* Members that a pipeline with a repeated input may have there; 0 = it has not told (yet). */
guint wmcf_link_members(const struct wmcf_link *link);

/* Sends a request, or keeps it for [media] lost_grace while the link is expected: after the start
 * and after a loss. done exactly once, from the loop; WMCF_ERROR when the link does not come up. */
void wmcf_link_request(struct wmcf_link *link, const char *method, json_t *members,
                       wmcf_response_fn done, void *user);
/* Subtracts the whole context, now or when the link is back. */
void wmcf_link_release(struct wmcf_link *link, const char *context_id);
