/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses the transform of a profile and derives session keys. The transforms are one file per
 * family of ciphers; another profile is another class and a line here. */
#include "wmcf/relay/srtp.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

bool srtp_derive_key(const uint8_t *master_key, size_t key_length, const uint8_t master_salt[14],
                     enum srtp_label label, uint8_t *out, size_t length)
{
    /* RFC 3711 4.3.3: AES in counter mode, IV = (master_salt XOR label << 48) << 16. */
    uint8_t iv[16] = {0};
    memcpy(iv, master_salt, 14);
    iv[7] ^= (uint8_t)label;
    const EVP_CIPHER *cipher = key_length == 32 ? EVP_aes_256_ctr() : EVP_aes_128_ctr();
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int written = 0;
    memset(out, 0, length);
    bool ok = EVP_EncryptInit_ex(context, cipher, NULL, master_key, iv) == 1 &&
              EVP_EncryptUpdate(context, out, &written, out, (int)length) == 1 &&
              (size_t)written == length;
    EVP_CIPHER_CTX_free(context);
    OPENSSL_cleanse(iv, sizeof iv);
    return ok;
}

static struct rtp_transform *transform_new(enum relay_srtp_profile profile, enum srtp_use use,
                                           const uint8_t *key, size_t key_length,
                                           const uint8_t *salt, size_t salt_length)
{
    switch (profile) {
    case RELAY_SRTP_AES128_CM_HMAC_SHA1_80:
        if (key_length != 16 || salt_length != 14)
            return NULL;
        return rtp_transform_aes_cm_new(use, key, salt);
    case RELAY_SRTP_AEAD_AES_128_GCM:
    case RELAY_SRTP_AEAD_AES_256_GCM:
        if (key_length != (profile == RELAY_SRTP_AEAD_AES_256_GCM ? 32 : 16) || salt_length != 12)
            return NULL;
        return rtp_transform_aes_gcm_new(use, key, key_length, salt);
    }
    return NULL;
}

struct rtp_transform *rtp_transform_new(enum relay_srtp_profile profile, const uint8_t *key,
                                        size_t key_length, const uint8_t *salt, size_t salt_length)
{
    return transform_new(profile, SRTP_FOR_RTP, key, key_length, salt, salt_length);
}

struct rtp_transform *rtcp_transform_new(enum relay_srtp_profile profile, const uint8_t *key,
                                         size_t key_length, const uint8_t *salt, size_t salt_length)
{
    return transform_new(profile, SRTP_FOR_RTCP, key, key_length, salt, salt_length);
}

void rtp_transform_free(struct rtp_transform *transform)
{
    if (transform)
        transform->class->free(transform);
}
