/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The SRTP profiles that generated legs and the bare forwarder know. Threads: any. */
#include <glib.h>
#include <string.h>

enum peer_srtp_profile { /* the registered numbers; 0 = none */
                         PEER_SRTP_AES128_CM_SHA1_80 = 0x0001,
                         PEER_SRTP_AEAD_AES_128_GCM = 0x0007,
                         PEER_SRTP_AEAD_AES_256_GCM = 0x0008,
};
#define PEER_SRTP_PROFILES 3
#define PEER_SRTP_MASTER_MAX 44 /* octets of a master key and its salt */
#define PEER_SRTP_TAG_MAX 16

struct peer_srtp_profile_row {
    enum peer_srtp_profile profile;
    const char *name; /* on command lines and in reports */
    const char *openssl_name;
    guint key_length, salt_length, tag_length;
};

/* NULL when it is none of them. */
static inline const struct peer_srtp_profile_row *
peer_srtp_profile_find(enum peer_srtp_profile profile, const char *name)
{
    static const struct peer_srtp_profile_row rows[PEER_SRTP_PROFILES] = {
        {PEER_SRTP_AEAD_AES_128_GCM, "gcm", "SRTP_AEAD_AES_128_GCM", 16, 12, 16},
        {PEER_SRTP_AES128_CM_SHA1_80, "cm", "SRTP_AES128_CM_SHA1_80", 16, 14, 10},
        {PEER_SRTP_AEAD_AES_256_GCM, "gcm256", "SRTP_AEAD_AES_256_GCM", 32, 12, 16},
    };
    for (guint i = 0; i < PEER_SRTP_PROFILES; i++)
        if (name ? strcmp(rows[i].name, name) == 0 : rows[i].profile == profile)
            return &rows[i];
    return NULL;
}
