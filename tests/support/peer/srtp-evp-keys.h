/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Session keys for srtp-evp.c and srtcp-evp.c. Threads: any. */
#include "tests/support/peer/srtp-profile.h"

#include <openssl/evp.h>

#define SRTP_EVP_SALT_MAX 14

enum srtp_evp_use { /* the first label of its three keys, RFC 3711 4.3.1 and 4.3.2 */
                    SRTP_EVP_RTP = 0,
                    SRTP_EVP_RTCP = 3
};

/* Derives cipher key, authentication key and salt from `master`, and sets the contexts up with
 * them; the caller frees these. *mac is NULL with AES-GCM. */
void srtp_evp_make_session(const struct peer_srtp_profile_row *profile, const guint8 *master,
                           enum srtp_evp_use use, EVP_CIPHER_CTX **cipher, EVP_MAC_CTX **mac,
                           guint8 salt[SRTP_EVP_SALT_MAX]);
