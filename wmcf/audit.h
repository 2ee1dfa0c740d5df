/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What can be seen of contexts and terminations, as JSON: for `audit`, `subtract` and wmcfctl.
 * Threads: control. */
#include "wmcf/termination.h"

enum audit_what { AUDIT_STATE = 1, AUDIT_STATISTICS = 2, AUDIT_CAPABILITIES = 4, AUDIT_DETAIL = 8 };

/* Collects the terminations' state and, where asked, their statistics from the workers.
 * done(array of termination objects, transfer full; user) is called once, from the loop. */
typedef void (*audit_fn)(json_t *terminations, void *user);
void audit_terminations(GPtrArray *terminations, unsigned what, audit_fn done, void *user);
/* {contextId, topology, owner, age, terminations:[ids], appData} without terminations' state. */
json_t *audit_context(const struct context *context);
/* Codecs, media kinds, limits, extensions of this media centre. */
json_t *audit_capabilities(const struct wmcf *wmcf);
/* {ip, port} of an address. */
json_t *audit_address(const struct sockaddr_storage *address);
/* The profile's name in the registry of RFC 5764. Static. */
const char *audit_srtp_profile(enum pl_srtp_profile profile);
