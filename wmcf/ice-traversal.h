/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* iceMode "traversal" of a termination: what [ice] of the configuration says of servers, and the
 * joining of libnice's agent (pipelines/traversal.h) to the termination's relay leg.
 * Threads: control. */
#include "wmcf/termination.h"

#include "pipelines/traversal.h"

struct ice_servers;
/* From [ice]; NULL and *error that names the key. Transfer full. */
struct ice_servers *ice_servers_new(const struct conf *conf, GError **error);
void ice_servers_free(struct ice_servers *servers);
/* Whether a termination can have the mode: there is a server, or TCP. */
bool ice_traversal_possible(const struct wmcf *wmcf);

/* Begins to gather for the termination, whose credentials are chosen and whose relay leg is not
 * made yet. *ret_tunnel is for the relay leg. False: EXTENSION_NOT_SUPPORTED where nothing is
 * configured, or RESOURCES_UNAVAILABLE. */
bool ice_traversal_begin(struct termination *termination, int *ret_tunnel, GError **error);

/* Calls fn once: when the candidates are gathered (`error` NULL), or when the termination is
 * released before. Not from within this call. */
typedef void (*ice_traversal_fn)(struct termination *termination, const GError *error, void *user);
void ice_traversal_wait(struct termination *termination, ice_traversal_fn fn, void *user);
/* The termination is being released. */
void ice_traversal_abandon(struct termination *termination);

/* Ends the agent, after the relay has let go of its leg. */
void ice_traversal_end(struct termination *termination);

/* Ours, of struct sdp_candidate. Borrowed. */
const GArray *ice_traversal_candidates(const struct termination *termination);
/* The endpoint's side that is in force. */
void ice_traversal_connect(struct termination *termination, bool controlling);
/* And what of it comes later (RFC 8838). */
void ice_traversal_add_candidate(struct termination *termination,
                                 const struct sdp_candidate *candidate);
void ice_traversal_complete(struct termination *termination);
