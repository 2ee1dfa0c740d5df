/* SPDX-License-Identifier: Apache-2.0 */
/* AEAD_AES_128_GCM and AEAD_AES_256_GCM (RFC 7714), on one EVP context per transform whose
 * key schedule is made once: a packet sets the 12 octets of IV, authenticates the header, ciphers
 * the payload. The tag goes by a parameter that is made once too, because the control call builds
 * one each time (0.02 µs). Everything else that EVP costs, 0.1 µs, is the price of not touching
 * AES ourselves. As OpenSSL deciphers before it can know the tag, a packet that turns out forged
 * has written to the payload buffer: its owner throws it away. */
#include "wmcf/relay/srtp.h"

#include <glib.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

#define TAG_LENGTH 16
#define SALT_LENGTH 12
#define SCRATCH 512 /* a multiple of the block */

struct aes_gcm {
    struct rtp_transform base;
    EVP_CIPHER_CTX *cipher; /* one key schedule for both ways */
    uint8_t tag[TAG_LENGTH];
    OSSL_PARAM tag_parameter[2]; /* points to it */
    uint8_t salt[SALT_LENGTH];
};

/* RFC 7714 8.1: IV = (00 00 || SSRC || ROC || SEQ) XOR salt. */
static void make_iv(const struct aes_gcm *self, uint32_t ssrc, uint64_t index, uint8_t *iv)
{
    memcpy(iv, self->salt, SALT_LENGTH);
    for (int i = 0; i < 4; i++)
        iv[2 + i] ^= (uint8_t)(ssrc >> (24 - 8 * i));
    for (int i = 0; i < 6; i++)
        iv[6 + i] ^= (uint8_t)(index >> (40 - 8 * i));
}

static void protect(struct rtp_transform *base, uint8_t *packet, size_t header_length,
                    const uint8_t *payload, size_t payload_length, uint32_t ssrc, uint64_t index)
{
    struct aes_gcm *self = (struct aes_gcm *)base;
    uint8_t iv[SALT_LENGTH], *out = packet + header_length;
    int written;
    make_iv(self, ssrc, index, iv);
    /* With these arguments none of them can fail. */
    EVP_EncryptInit_ex(self->cipher, NULL, NULL, NULL, iv);
    EVP_EncryptUpdate(self->cipher, NULL, &written, packet, (int)header_length);
    EVP_EncryptUpdate(self->cipher, out, &written, payload, (int)payload_length);
    EVP_EncryptFinal_ex(self->cipher, out + payload_length, &written);
    EVP_CIPHER_CTX_get_params(self->cipher, self->tag_parameter);
    memcpy(out + payload_length, self->tag, TAG_LENGTH);
}

/* `clear` NULL: nobody wants the payload. */
static bool decipher(struct aes_gcm *self, const uint8_t *packet, size_t header_length,
                     size_t payload_length, uint32_t ssrc, uint64_t index, uint8_t *clear)
{
    const uint8_t *in = packet + header_length;
    uint8_t iv[SALT_LENGTH], scratch[SCRATCH];
    int written;
    make_iv(self, ssrc, index, iv);
    EVP_DecryptInit_ex(self->cipher, NULL, NULL, NULL, iv);
    memcpy(self->tag, in + payload_length, TAG_LENGTH);
    EVP_CIPHER_CTX_set_params(self->cipher, self->tag_parameter);
    EVP_DecryptUpdate(self->cipher, NULL, &written, packet, (int)header_length);
    if (clear)
        EVP_DecryptUpdate(self->cipher, clear, &written, in, (int)payload_length);
    for (size_t at = 0; !clear && at < payload_length; at += SCRATCH)
        EVP_DecryptUpdate(self->cipher, scratch, &written, in + at,
                          (int)MIN(payload_length - at, SCRATCH));
    return EVP_DecryptFinal_ex(self->cipher, scratch, &written) == 1;
}

/* What is authenticated without being ciphered stands together with Cryptex as well (RFC 9335 6.1),
 * wherever the CSRCs were. */
static bool unprotect(struct rtp_transform *base, const uint8_t *packet, size_t header_length,
                      size_t csrcs, size_t payload_length, uint32_t ssrc, uint64_t index,
                      uint8_t *payload)
{
    (void)csrcs;
    return decipher((struct aes_gcm *)base, packet, header_length, payload_length, ssrc, index,
                    payload);
}

static bool find(struct rtp_transform *base, const uint8_t *packet, size_t header_length,
                 size_t csrcs, size_t payload_length, uint32_t ssrc, uint64_t first, unsigned tries,
                 uint64_t *ret_index)
{
    (void)csrcs;
    for (unsigned i = 0; i < tries; i++) {
        *ret_index = first + ((uint64_t)i << 16);
        if (decipher((struct aes_gcm *)base, packet, header_length, payload_length, ssrc,
                     *ret_index, NULL))
            return true;
    }
    return false;
}

static void put_word(uint8_t *at, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(word >> (24 - 8 * i));
}

/* RFC 7714 9.1: packet, tag, word; authenticated besides are the clear octets and the word, and the
 * IV has the index where RTP has its own. */
static void protect_rtcp(struct rtp_transform *base, uint8_t *packet, size_t length, uint32_t ssrc,
                         uint32_t word)
{
    struct aes_gcm *self = (struct aes_gcm *)base;
    uint8_t iv[SALT_LENGTH], *word_at = packet + length + TAG_LENGTH;
    int written;
    make_iv(self, ssrc, word & SRTCP_INDEX_MAX, iv);
    put_word(word_at, word);
    EVP_EncryptInit_ex(self->cipher, NULL, NULL, NULL, iv);
    EVP_EncryptUpdate(self->cipher, NULL, &written, packet, SRTCP_CLEAR);
    EVP_EncryptUpdate(self->cipher, NULL, &written, word_at, SRTCP_WORD);
    EVP_EncryptUpdate(self->cipher, packet + SRTCP_CLEAR, &written, packet + SRTCP_CLEAR,
                      (int)(length - SRTCP_CLEAR));
    EVP_EncryptFinal_ex(self->cipher, packet + length, &written);
    EVP_CIPHER_CTX_get_params(self->cipher, self->tag_parameter);
    memcpy(packet + length, self->tag, TAG_LENGTH);
}

static bool unprotect_rtcp(struct rtp_transform *base, uint8_t *packet, size_t length,
                           uint32_t ssrc, uint32_t word)
{
    struct aes_gcm *self = (struct aes_gcm *)base;
    uint8_t iv[SALT_LENGTH], rest[TAG_LENGTH];
    int written;
    make_iv(self, ssrc, word & SRTCP_INDEX_MAX, iv);
    EVP_DecryptInit_ex(self->cipher, NULL, NULL, NULL, iv);
    memcpy(self->tag, packet + length, TAG_LENGTH);
    EVP_CIPHER_CTX_set_params(self->cipher, self->tag_parameter);
    EVP_DecryptUpdate(self->cipher, NULL, &written, packet, SRTCP_CLEAR);
    EVP_DecryptUpdate(self->cipher, NULL, &written, packet + length + TAG_LENGTH, SRTCP_WORD);
    EVP_DecryptUpdate(self->cipher, packet + SRTCP_CLEAR, &written, packet + SRTCP_CLEAR,
                      (int)(length - SRTCP_CLEAR));
    return EVP_DecryptFinal_ex(self->cipher, rest, &written) == 1;
}

static void aes_gcm_free(struct rtp_transform *base)
{
    struct aes_gcm *self = (struct aes_gcm *)base;
    EVP_CIPHER_CTX_free(self->cipher); /* wipes its key schedule */
    OPENSSL_cleanse(self, sizeof *self);
    g_free(self);
}

static const struct rtp_transform_class aes_gcm_class = {
    .tag_length = TAG_LENGTH,
    .protect = protect,
    .unprotect = unprotect,
    .find = find,
    .rtcp_index_at = TAG_LENGTH,
    .protect_rtcp = protect_rtcp,
    .unprotect_rtcp = unprotect_rtcp,
    .free = aes_gcm_free,
};

struct rtp_transform *rtp_transform_aes_gcm_with(const uint8_t *session_key, size_t key_length,
                                                 const uint8_t session_salt[12])
{
    const EVP_CIPHER *cipher = key_length == 32 ? EVP_aes_256_gcm() : EVP_aes_128_gcm();
    struct aes_gcm *self = g_new0(struct aes_gcm, 1);
    self->base.class = &aes_gcm_class;
    memcpy(self->salt, session_salt, SALT_LENGTH);
    self->tag_parameter[0] =
        OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, self->tag, TAG_LENGTH);
    self->tag_parameter[1] = OSSL_PARAM_construct_end();
    self->cipher = EVP_CIPHER_CTX_new();
    if (EVP_EncryptInit_ex(self->cipher, cipher, NULL, session_key, session_salt) == 1)
        return &self->base;
    aes_gcm_free(&self->base);
    return NULL;
}

struct rtp_transform *rtp_transform_aes_gcm_new(enum srtp_use use, const uint8_t *master_key,
                                                size_t key_length, const uint8_t master_salt[12])
{
    const int labels = use == SRTP_FOR_RTCP ? SRTP_LABELS_RTCP : 0;
    /* RFC 7714 11: the derivation of RFC 3711, for AES-256 that of RFC 6188, over the salt with 16
     * zero bits behind it. */
    uint8_t padded[14] = {0}, key[32], salt[SALT_LENGTH];
    struct rtp_transform *transform = NULL;
    memcpy(padded, master_salt, SALT_LENGTH);
    if (srtp_derive_key(master_key, key_length, padded,
                        (enum srtp_label)(labels + SRTP_LABEL_CIPHER), key, key_length) &&
        srtp_derive_key(master_key, key_length, padded, (enum srtp_label)(labels + SRTP_LABEL_SALT),
                        salt, sizeof salt))
        transform = rtp_transform_aes_gcm_with(key, key_length, salt);
    OPENSSL_cleanse(padded, sizeof padded);
    OPENSSL_cleanse(key, sizeof key);
    OPENSSL_cleanse(salt, sizeof salt);
    return transform;
}
