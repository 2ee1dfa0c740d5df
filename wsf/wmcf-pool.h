/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The media centres of this WSF: one control link each, and the choice for a new call.
 * Threads: control. */
#include "wsf/wmcf-link.h"

struct wmcf_pool;

/* One link per [wmcf "name"]. Transfer full. */
struct wmcf_pool *wmcf_pool_new(const struct conf *conf, const char *identity,
                                struct link_service *service, const struct wmcf_link_ops *ops,
                                void *user, GError **error);
void wmcf_pool_free(struct wmcf_pool *pool);
/* Whether there is one of this name. */
bool wmcf_pool_has(const struct wmcf_pool *pool, const char *wmcf);
/* Whether a new call could be anchored now. */
bool wmcf_pool_is_ready(const struct wmcf_pool *pool);
/* Whether the control link to the one of this name is up (false for NULL). */
bool wmcf_pool_is_up(const struct wmcf_pool *pool, const char *wmcf);
/* As wmcf_link_members() of the one of this name; 0 for NULL. */
guint wmcf_pool_members(const struct wmcf_pool *pool, const char *wmcf);
/* The ready media centre with the least load, of those that enforce policies if one does, borrowed;
 * RESOURCES_UNAVAILABLE with retryAfter. */
const char *wmcf_pool_choose(struct wmcf_pool *pool, GError **error);
/* The best of those that `tried` (names) does not have, borrowed; NULL: none. */
const char *wmcf_pool_choose_other(struct wmcf_pool *pool, const GPtrArray *tried);
/* As wmcf_link_request() and wmcf_link_release() for the one of this name. */
void wmcf_pool_request(struct wmcf_pool *pool, const char *wmcf, const char *method,
                       json_t *members, wmcf_response_fn done, void *user);
void wmcf_pool_release(struct wmcf_pool *pool, const char *wmcf, const char *context_id);
/* Subtracts a termination that nobody knows any more. What is still there after a failure is found
 * when the context is looked at. */
void wmcf_pool_subtract(struct wmcf_pool *pool, const char *wmcf, const char *context_id,
                        const char *termination_id);
