/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One direction of SRTP (RFC 3711, RFC 7714) on OpenSSL's EVP with contexts that are kept: a
 * fraction of what Debian's libsrtp takes. No replay list. RTP only; srtcp-evp.h is
 * its RTCP. Used by the load generator and the bare forwarder. Threads: one at a time. */
#include "tests/support/peer/srtp-profile.h"

#include <stdbool.h>

struct srtp_evp;
/* `master`: the key, then the salt, in the profile's lengths. */
struct srtp_evp *srtp_evp_new(enum peer_srtp_profile profile, const guint8 *master);
void srtp_evp_free(struct srtp_evp *srtp);
/* Header extensions and CSRCs are ciphered from now on, and may come so (RFC 9335); at first they
 * are not, and what comes so is refused. */
void srtp_evp_set_cryptex(struct srtp_evp *srtp, bool on);
/* The last packet that was unprotected had come so. */
bool srtp_evp_was_cryptex(const struct srtp_evp *srtp);
/* In place; room for PEER_SRTP_TAG_MAX is needed, with Cryptex for four octets more. Returns the
 * new length, 0 when the packet is no RTP. */
gsize srtp_evp_protect(struct srtp_evp *srtp, guint8 *packet, gsize length);
/* In place; returns the new length, 0 when the tag is wrong or the packet no RTP. */
gsize srtp_evp_unprotect(struct srtp_evp *srtp, guint8 *packet, gsize length);
