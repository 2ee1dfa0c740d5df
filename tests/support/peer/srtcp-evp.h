/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One direction of SRTCP (RFC 3711 3.4, RFC 7714 9) on OpenSSL's EVP, beside srtp-evp.h. No replay
 * list. Threads: one at a time. */
#include "tests/support/peer/srtp-profile.h"

#include <stdbool.h>

#define SRTCP_EVP_OVERHEAD (4 + PEER_SRTP_TAG_MAX) /* E and index, tag */

struct srtcp_evp;
/* `master`: the key, then the salt, in the profile's lengths. */
struct srtcp_evp *srtcp_evp_new(enum peer_srtp_profile profile, const guint8 *master);
void srtcp_evp_free(struct srtcp_evp *srtcp);
/* In place; room for SRTCP_EVP_OVERHEAD is needed. Returns the new length, 0 when the packet is no
 * RTCP. */
gsize srtcp_evp_protect(struct srtcp_evp *srtcp, guint8 *packet, gsize length);
/* In place; returns the new length, 0 when the tag is wrong or the packet no SRTCP. */
gsize srtcp_evp_unprotect(struct srtcp_evp *srtcp, guint8 *packet, gsize length);
