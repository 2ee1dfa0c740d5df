/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* SRTCP of one leg, both directions (RFC 3711 3.4, RFC 7714 9). Threads: the worker that owns it.
 */
#include "wmcf/relay/relay.h"

#include <stddef.h>

#define SRTCP_TRAILER_MAX 32 /* index and tag, and some room */

struct srtcp;
/* `senders_max`: how many SSRCs the peer may send reports from. NULL when profile or lengths are
 * not ours. */
struct srtcp *srtcp_new(const struct relay_srtp_keys *keys, guint senders_max);
void srtcp_free(struct srtcp *srtcp);
/* In place; *length is updated. `packet` has SRTCP_TRAILER_MAX octets of room behind *length.
 * False: the keys are used up. */
bool srtcp_protect(struct srtcp *srtcp, uint8_t *packet, size_t *length);
bool srtcp_unprotect(struct srtcp *srtcp, uint8_t *packet, size_t *length, bool *ret_replayed);
