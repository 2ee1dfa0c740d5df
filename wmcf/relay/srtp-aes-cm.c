/* SPDX-License-Identifier: Apache-2.0 */
/* AES_CM_128_HMAC_SHA1_80 (RFC 3711 4.1.1, 4.2.1), as little above the bare ciphers as OpenSSL 3
 * allows. Counter mode is written out over a kept ECB context: giving a counter-mode context a new
 * IV costs 0.1 µs a packet, as much as the whole payload of an audio packet. For HMAC the two SHA-1
 * states behind the padded key are computed once and copied per packet: the HMAC interfaces cost
 * 0.15 to 0.2 µs more, because they look up and reset a provider context each time; that is why the
 * older SHA1_* functions are used here. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "wmcf/relay/cryptex.h"
#include "wmcf/relay/srtp.h"

#include <glib.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

#define TAG_LENGTH 10
#define AUTH_KEY_LENGTH 20
#define SALT_LENGTH 14
#define BLOCK 16
#define CHUNK 1536

struct aes_cm {
    struct rtp_transform base;
    EVP_CIPHER_CTX *cipher; /* ECB */
    SHA_CTX inner, outer;   /* HMAC states after the padded key (RFC 2104) */
    uint8_t salt[16];
};

/* out = in XOR keystream, `length` octets of one chunk. */
static void xor_chunk(uint8_t *out, const uint8_t *in, const uint8_t *keystream, size_t length)
{
    size_t i = 0;
    for (; i + 16 <= length; i += 16) {
        uint64_t a[2], b[2];
        memcpy(a, in + i, 16);
        memcpy(b, keystream + i, 16);
        a[0] ^= b[0];
        a[1] ^= b[1];
        memcpy(out + i, a, 16);
    }
    for (; i < length; i++)
        out[i] = in[i] ^ keystream[i];
}

static void crypt_payload(struct aes_cm *self, uint32_t ssrc, uint64_t index, const uint8_t *in,
                          uint8_t *out, size_t length)
{
    /* RFC 3711 4.1.1: IV = (salt << 16) XOR (SSRC << 64) XOR (index << 16); the lowest 16 bits
     * count the blocks. */
    uint8_t iv[BLOCK], keystream[CHUNK];
    memcpy(iv, self->salt, sizeof iv);
    for (int i = 0; i < 4; i++)
        iv[4 + i] ^= (uint8_t)(ssrc >> (24 - 8 * i));
    for (int i = 0; i < 6; i++)
        iv[8 + i] ^= (uint8_t)(index >> (40 - 8 * i));
    unsigned block = 0;
    for (size_t at = 0; at < length; at += CHUNK) {
        size_t octets = MIN(length - at, CHUNK);
        int padded = (int)((octets + BLOCK - 1) / BLOCK * BLOCK), written;
        for (int i = 0; i < padded; i += BLOCK, block++) {
            memcpy(keystream + i, iv, 14);
            keystream[i + 14] = (uint8_t)(block >> 8);
            keystream[i + 15] = (uint8_t)block;
        }
        EVP_EncryptUpdate(self->cipher, keystream, &written, keystream, padded);
        xor_chunk(out + at, in + at, keystream, octets);
    }
}

static void put_word(uint8_t *at, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(word >> (24 - 8 * i));
}

/* `state`: the inner one behind header and payload; `word` is what follows them, the roll-over
 * counter or, in RTCP, the index. */
static void finish_digest(const struct aes_cm *self, SHA_CTX state, uint32_t word,
                          uint8_t digest[SHA_DIGEST_LENGTH])
{
    uint8_t tail[4];
    put_word(tail, word);
    SHA1_Update(&state, tail, sizeof tail);
    SHA1_Final(digest, &state);
    state = self->outer;
    SHA1_Update(&state, digest, SHA_DIGEST_LENGTH);
    SHA1_Final(digest, &state);
}

static void authenticate(const struct aes_cm *self, const uint8_t *data, size_t length,
                         uint32_t word, uint8_t digest[SHA_DIGEST_LENGTH])
{
    SHA_CTX state = self->inner;
    SHA1_Update(&state, data, length);
    finish_digest(self, state, word, digest);
}

static void protect(struct rtp_transform *base, uint8_t *packet, size_t header_length,
                    const uint8_t *payload, size_t payload_length, uint32_t ssrc, uint64_t index)
{
    struct aes_cm *self = (struct aes_cm *)base;
    uint8_t digest[SHA_DIGEST_LENGTH];
    crypt_payload(self, ssrc, index, payload, packet + header_length, payload_length);
    authenticate(self, packet, header_length + payload_length, (uint32_t)(index >> 16), digest);
    memcpy(packet + header_length + payload_length, digest, TAG_LENGTH);
}

/* RFC 9335 6: authentication is that of the packet as it came, see cryptex_gather(). */
static void hash_packet(SHA_CTX *state, const uint8_t *packet, size_t csrcs, size_t length)
{
    if (G_LIKELY(!csrcs)) {
        SHA1_Update(state, packet, length);
        return;
    }
    SHA1_Update(state, packet, RTP_HEADER_LENGTH);
    SHA1_Update(state, packet + CRYPTEX_CLEAR, csrcs);
    SHA1_Update(state, packet + RTP_HEADER_LENGTH, CRYPTEX_WORD);
    SHA1_Update(state, packet + CRYPTEX_CLEAR + csrcs, length - CRYPTEX_CLEAR - csrcs);
}

static bool unprotect(struct rtp_transform *base, const uint8_t *packet, size_t header_length,
                      size_t csrcs, size_t payload_length, uint32_t ssrc, uint64_t index,
                      uint8_t *payload)
{
    struct aes_cm *self = (struct aes_cm *)base;
    uint8_t digest[SHA_DIGEST_LENGTH];
    SHA_CTX state = self->inner;
    hash_packet(&state, packet, csrcs, header_length + payload_length);
    finish_digest(self, state, (uint32_t)(index >> 16), digest);
    if (CRYPTO_memcmp(digest, packet + header_length + payload_length, TAG_LENGTH) != 0)
        return false;
    crypt_payload(self, ssrc, index, packet + header_length, payload, payload_length);
    return true;
}

static bool find(struct rtp_transform *base, const uint8_t *packet, size_t header_length,
                 size_t csrcs, size_t payload_length, uint32_t ssrc, uint64_t first, unsigned tries,
                 uint64_t *ret_index)
{
    const struct aes_cm *self = (const struct aes_cm *)base;
    const uint8_t *tag = packet + header_length + payload_length;
    uint8_t digest[SHA_DIGEST_LENGTH];
    SHA_CTX state = self->inner;
    hash_packet(&state, packet, csrcs, header_length + payload_length);
    for (unsigned i = 0; i < tries; i++) {
        *ret_index = first + ((uint64_t)i << 16);
        finish_digest(self, state, (uint32_t)(*ret_index >> 16), digest);
        if (CRYPTO_memcmp(digest, tag, TAG_LENGTH) == 0)
            return true;
    }
    return false;
}

/* RFC 3711 3.4: packet, word, tag; what is authenticated ends with the word. */
static void protect_rtcp(struct rtp_transform *base, uint8_t *packet, size_t length, uint32_t ssrc,
                         uint32_t word)
{
    struct aes_cm *self = (struct aes_cm *)base;
    uint8_t digest[SHA_DIGEST_LENGTH];
    crypt_payload(self, ssrc, word & SRTCP_INDEX_MAX, packet + SRTCP_CLEAR, packet + SRTCP_CLEAR,
                  length - SRTCP_CLEAR);
    put_word(packet + length, word);
    authenticate(self, packet, length, word, digest);
    memcpy(packet + length + SRTCP_WORD, digest, TAG_LENGTH);
}

static bool unprotect_rtcp(struct rtp_transform *base, uint8_t *packet, size_t length,
                           uint32_t ssrc, uint32_t word)
{
    struct aes_cm *self = (struct aes_cm *)base;
    uint8_t digest[SHA_DIGEST_LENGTH];
    authenticate(self, packet, length, word, digest);
    if (CRYPTO_memcmp(digest, packet + length + SRTCP_WORD, TAG_LENGTH) != 0)
        return false;
    crypt_payload(self, ssrc, word & SRTCP_INDEX_MAX, packet + SRTCP_CLEAR, packet + SRTCP_CLEAR,
                  length - SRTCP_CLEAR);
    return true;
}

static void aes_cm_free(struct rtp_transform *base)
{
    struct aes_cm *self = (struct aes_cm *)base;
    EVP_CIPHER_CTX_free(self->cipher); /* wipes its key schedule */
    OPENSSL_cleanse(self, sizeof *self);
    g_free(self);
}

static const struct rtp_transform_class aes_cm_class = {
    .tag_length = TAG_LENGTH,
    .protect = protect,
    .unprotect = unprotect,
    .find = find,
    .protect_rtcp = protect_rtcp,
    .unprotect_rtcp = unprotect_rtcp,
    .free = aes_cm_free,
};

static void hmac_state(SHA_CTX *state, const uint8_t key[AUTH_KEY_LENGTH], uint8_t pad)
{
    uint8_t block[SHA_CBLOCK];
    memset(block, pad, sizeof block);
    for (size_t i = 0; i < AUTH_KEY_LENGTH; i++)
        block[i] ^= key[i];
    SHA1_Init(state);
    SHA1_Update(state, block, sizeof block);
    OPENSSL_cleanse(block, sizeof block);
}

struct rtp_transform *rtp_transform_aes_cm_new(enum srtp_use use, const uint8_t *master_key,
                                               const uint8_t master_salt[14])
{
    const int labels = use == SRTP_FOR_RTCP ? SRTP_LABELS_RTCP : 0;
    struct aes_cm *self = g_new0(struct aes_cm, 1);
    uint8_t key[16], auth[AUTH_KEY_LENGTH];
    self->base.class = &aes_cm_class;
    self->cipher = EVP_CIPHER_CTX_new();
    bool ok =
        srtp_derive_key(master_key, 16, master_salt, (enum srtp_label)(labels + SRTP_LABEL_CIPHER),
                        key, sizeof key) &&
        srtp_derive_key(master_key, 16, master_salt, (enum srtp_label)(labels + SRTP_LABEL_AUTH),
                        auth, sizeof auth) &&
        srtp_derive_key(master_key, 16, master_salt, (enum srtp_label)(labels + SRTP_LABEL_SALT),
                        self->salt, SALT_LENGTH) &&
        EVP_EncryptInit_ex(self->cipher, EVP_aes_128_ecb(), NULL, key, NULL) == 1 &&
        EVP_CIPHER_CTX_set_padding(self->cipher, 0) == 1;
    if (ok) {
        hmac_state(&self->inner, auth, 0x36);
        hmac_state(&self->outer, auth, 0x5c);
    }
    OPENSSL_cleanse(key, sizeof key);
    OPENSSL_cleanse(auth, sizeof auth);
    if (ok)
        return &self->base;
    aes_cm_free(&self->base);
    return NULL;
}
