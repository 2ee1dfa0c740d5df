/* SPDX-License-Identifier: Apache-2.0 */
/* SRTCP on EVP: session keys of its own, one cipher context and, with AES-CM, one HMAC per
 * direction. The packet tells its index, so nothing is remembered of an SSRC; one counter serves
 * all that a leg sends from, because with the SSRC in each IV no two are alike. */
#include "tests/support/peer/srtcp-evp.h"
#include "tests/support/peer/srtp-evp-keys.h"

#include <openssl/crypto.h>
#include <string.h>

#define HEADER 8 /* octets that stay in clear, the SSRC is the last four */
#define TRAILER 4
#define ENCRYPTED 0x80000000u /* the E flag in front of the index */
#define INDEX_MASK 0x7fffffffu

struct srtcp_evp {
    const struct peer_srtp_profile_row *profile;
    EVP_CIPHER_CTX *cipher;
    EVP_MAC_CTX *mac; /* NULL = GCM */
    guint8 salt[SRTP_EVP_SALT_MAX];
    guint32 next; /* index of the next packet out */
};

struct srtcp_evp *srtcp_evp_new(enum peer_srtp_profile profile, const guint8 *master)
{
    struct srtcp_evp *srtcp = g_new0(struct srtcp_evp, 1);
    srtcp->profile = peer_srtp_profile_find(profile, NULL);
    srtp_evp_make_session(srtcp->profile, master, SRTP_EVP_RTCP, &srtcp->cipher, &srtcp->mac,
                          srtcp->salt);
    return srtcp;
}

void srtcp_evp_free(struct srtcp_evp *srtcp)
{
    if (!srtcp)
        return;
    EVP_CIPHER_CTX_free(srtcp->cipher);
    EVP_MAC_CTX_free(srtcp->mac);
    g_free(srtcp);
}

static void put_word(guint8 *p, guint32 word)
{
    for (guint i = 0; i < 4; i++)
        p[i] = (guint8)(word >> (24 - 8 * i));
}

static guint32 get_word(const guint8 *p)
{
    return (guint32)p[0] << 24 | (guint32)p[1] << 16 | (guint32)p[2] << 8 | p[3];
}

static bool is_rtcp(const guint8 *packet, gsize length)
{
    return length >= HEADER && packet[0] >> 6 == 2;
}

/* --- AES-CM and HMAC-SHA1 -------------------------------------------------------------------- */

static void apply_keystream(struct srtcp_evp *srtcp, guint8 *packet, gsize length, guint32 index)
{
    /* RFC 3711 4.1.1: IV = salt·2^16 XOR SSRC·2^64 XOR index·2^16, the index 48 bits wide */
    guint8 counter[16] = {0}, number[4];
    int n;
    memcpy(counter, srtcp->salt, 14);
    put_word(number, index);
    for (guint i = 0; i < 4; i++) {
        counter[4 + i] ^= packet[4 + i];
        counter[10 + i] ^= number[i];
    }
    EVP_EncryptInit_ex(srtcp->cipher, NULL, NULL, NULL, counter);
    EVP_EncryptUpdate(srtcp->cipher, packet + HEADER, &n, packet + HEADER, (int)(length - HEADER));
}

/* RFC 3711 3.4: over the packet with E and index, `length` octets in all. */
static void tag_of(struct srtcp_evp *srtcp, const guint8 *packet, gsize length, guint8 *tag)
{
    guint8 whole[20];
    gsize n;
    EVP_MAC_init(srtcp->mac, NULL, 0, NULL);
    EVP_MAC_update(srtcp->mac, packet, length);
    EVP_MAC_final(srtcp->mac, whole, &n, sizeof whole);
    memcpy(tag, whole, srtcp->profile->tag_length);
}

/* --- AES-GCM --------------------------------------------------------------------------------- */

/* RFC 7714 9.1: IV = 0^16 || SSRC || 0^16 || 0 || index, XOR salt; `word` is E and index. */
static void begin_gcm(struct srtcp_evp *srtcp, const guint8 *packet, const guint8 *word,
                      bool encrypt)
{
    guint8 iv[12];
    memcpy(iv, srtcp->salt, sizeof iv);
    for (guint i = 0; i < 4; i++) {
        iv[2 + i] ^= packet[4 + i];
        iv[8 + i] ^= i ? word[i] : word[i] & 0x7f;
    }
    EVP_CipherInit_ex(srtcp->cipher, NULL, NULL, NULL, iv, encrypt);
}

/* RFC 7714 9.2: what is authenticated only is what stays in clear, then E and index. The tag comes
 * before these. */
static void seal(struct srtcp_evp *srtcp, guint8 *packet, gsize length, const guint8 *word)
{
    int n;
    begin_gcm(srtcp, packet, word, true);
    EVP_EncryptUpdate(srtcp->cipher, NULL, &n, packet, HEADER);
    EVP_EncryptUpdate(srtcp->cipher, NULL, &n, word, TRAILER);
    EVP_EncryptUpdate(srtcp->cipher, packet + HEADER, &n, packet + HEADER, (int)(length - HEADER));
    EVP_EncryptFinal_ex(srtcp->cipher, packet + length, &n);
    EVP_CIPHER_CTX_ctrl(srtcp->cipher, EVP_CTRL_AEAD_GET_TAG, (int)srtcp->profile->tag_length,
                        packet + length);
}

static bool open_sealed(struct srtcp_evp *srtcp, guint8 *packet, gsize length, const guint8 *word)
{
    gsize clear = word[0] & 0x80 ? HEADER : length; /* RFC 7714 9.3: all, without E */
    int n;
    begin_gcm(srtcp, packet, word, false);
    EVP_CIPHER_CTX_ctrl(srtcp->cipher, EVP_CTRL_AEAD_SET_TAG, (int)srtcp->profile->tag_length,
                        packet + length);
    EVP_DecryptUpdate(srtcp->cipher, NULL, &n, packet, (int)clear);
    EVP_DecryptUpdate(srtcp->cipher, NULL, &n, word, TRAILER);
    if (length > clear)
        EVP_DecryptUpdate(srtcp->cipher, packet + clear, &n, packet + clear, (int)(length - clear));
    return EVP_DecryptFinal_ex(srtcp->cipher, packet + length, &n) == 1;
}

/* --- the face -------------------------------------------------------------------------------- */

gsize srtcp_evp_protect(struct srtcp_evp *srtcp, guint8 *packet, gsize length)
{
    gsize tag_length = srtcp->profile->tag_length;
    guint8 word[TRAILER];
    if (!is_rtcp(packet, length))
        return 0;
    guint32 index = srtcp->next;
    srtcp->next = (index + 1) & INDEX_MASK;
    put_word(word, ENCRYPTED | index);
    if (srtcp->mac) {
        apply_keystream(srtcp, packet, length, index);
        memcpy(packet + length, word, TRAILER);
        tag_of(srtcp, packet, length + TRAILER, packet + length + TRAILER);
    } else {
        seal(srtcp, packet, length, word);
        memcpy(packet + length + tag_length, word, TRAILER);
    }
    return length + tag_length + TRAILER;
}

gsize srtcp_evp_unprotect(struct srtcp_evp *srtcp, guint8 *packet, gsize length)
{
    gsize tag_length = srtcp->profile->tag_length;
    if (!is_rtcp(packet, length) || length < HEADER + TRAILER + tag_length)
        return 0;
    length -= TRAILER + tag_length;
    if (!srtcp->mac) {
        const guint8 *word = packet + length + tag_length;
        return open_sealed(srtcp, packet, length, word) ? length : 0;
    }
    guint8 tag[PEER_SRTP_TAG_MAX];
    guint32 word = get_word(packet + length);
    tag_of(srtcp, packet, length + TRAILER, tag);
    if (CRYPTO_memcmp(tag, packet + length + TRAILER, tag_length))
        return 0;
    if (word & ENCRYPTED)
        apply_keystream(srtcp, packet, length, word & INDEX_MASK);
    return length;
}
