/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* SRTP of one peer, by libsrtp or, where the generator must not be the
 * bottleneck, by srtp-evp.h. Threads: the group's. */
#include "tests/support/peer/dtls.h"

enum peer_srtp_result { PEER_SRTP_OK, PEER_SRTP_FAILED, PEER_SRTP_REPLAYED };
struct peer_srtp;

struct peer_srtp *peer_srtp_new(const struct peer_srtp_keys *keys, enum peer_srtp_engine engine);
void peer_srtp_free(struct peer_srtp *srtp);
/* Cryptex (RFC 9335) both ways from now on; PEER_SRTP_EVP alone. */
void peer_srtp_set_cryptex(struct peer_srtp *srtp, bool on);
/* The packet that was unprotected last had come so. */
bool peer_srtp_was_cryptex(const struct peer_srtp *srtp);
/* In place; *length is in and out. Room for 24 more octets is needed to protect. */
bool peer_srtp_protect(struct peer_srtp *srtp, guint8 *packet, gsize *length);
bool peer_srtp_protect_rtcp(struct peer_srtp *srtp, guint8 *packet, gsize *length);
enum peer_srtp_result peer_srtp_unprotect(struct peer_srtp *srtp, guint8 *packet, gsize *length);
enum peer_srtp_result peer_srtp_unprotect_rtcp(struct peer_srtp *srtp, guint8 *packet,
                                               gsize *length);
