/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One direction of SRTP AES_CM_128_HMAC_SHA1_80 (RFC 3711) on OpenSSL's EVP with contexts that are
 * kept: 1.2 µs for 1200 octets where Debian's libsrtp takes 6. No replay list. RTP only. Used by
 * the load generator and the bare forwarder. Threads: one at a time. */
#include <glib.h>
#include <stdbool.h>

#define SRTP_EVP_TAG 10

struct srtp_evp;
/* `master`: 16 octets of key, 14 of salt. */
struct srtp_evp *srtp_evp_new(const guint8 *master);
void srtp_evp_free(struct srtp_evp *srtp);
/* In place; room for the tag is needed. Returns the new length, 0 when the packet is no RTP. */
gsize srtp_evp_protect(struct srtp_evp *srtp, guint8 *packet, gsize length);
/* In place; returns the new length, 0 when the tag is wrong or the packet no RTP. */
gsize srtp_evp_unprotect(struct srtp_evp *srtp, guint8 *packet, gsize length);
