/* SPDX-License-Identifier: Apache-2.0 */
/* SRTP on EVP: one AES-128-CTR and one HMAC-SHA1 context per direction, or one AES-GCM context, set
 * up once; per packet only the counter block or the IV changes. Session keys do not depend on the
 * SSRC (it enters by the counter block), so a handful of SSRCs share the contexts and keep just
 * their roll-over counters. */
#include "tests/support/peer/srtp-evp.h"
#include "tests/support/peer/srtp-evp-keys.h"

#include <openssl/crypto.h>
#include <string.h>

#define SSRCS 64

struct sequence {
    guint32 ssrc, roc;
    guint16 highest;
    bool used;
};

struct srtp_evp {
    const struct peer_srtp_profile_row *profile;
    EVP_CIPHER_CTX *cipher;
    EVP_MAC_CTX *mac; /* NULL = GCM */
    guint8 salt[SRTP_EVP_SALT_MAX];
    bool cryptex, was_cryptex;
    struct sequence sequences[SSRCS];
    guint last; /* index of the one used last */
};

struct srtp_evp *srtp_evp_new(enum peer_srtp_profile profile, const guint8 *master)
{
    struct srtp_evp *srtp = g_new0(struct srtp_evp, 1);
    srtp->profile = peer_srtp_profile_find(profile, NULL);
    srtp_evp_make_session(srtp->profile, master, SRTP_EVP_RTP, &srtp->cipher, &srtp->mac,
                          srtp->salt);
    return srtp;
}

void srtp_evp_free(struct srtp_evp *srtp)
{
    if (!srtp)
        return;
    EVP_CIPHER_CTX_free(srtp->cipher);
    EVP_MAC_CTX_free(srtp->mac);
    g_free(srtp);
}

void srtp_evp_set_cryptex(struct srtp_evp *srtp, bool on)
{
    srtp->cryptex = on;
}

bool srtp_evp_was_cryptex(const struct srtp_evp *srtp)
{
    return srtp->was_cryptex;
}

static struct sequence *sequence_of(struct srtp_evp *srtp, guint32 ssrc)
{
    struct sequence *sequence = &srtp->sequences[srtp->last];
    if (sequence->used && sequence->ssrc == ssrc)
        return sequence;
    for (guint i = 0; i < SSRCS; i++) {
        sequence = &srtp->sequences[i];
        if (sequence->used && sequence->ssrc != ssrc)
            continue;
        if (!sequence->used)
            *sequence = (struct sequence){.ssrc = ssrc};
        srtp->last = i;
        return sequence;
    }
    return NULL;
}

/* RFC 3711 3.3.1 */
static guint32 guess_roc(const struct sequence *sequence, guint16 number)
{
    if (!sequence->used)
        return 0;
    int difference = (int)number - (int)sequence->highest;
    if (difference < -32768)
        return sequence->roc + 1;
    if (difference > 32768 && sequence->roc)
        return sequence->roc - 1;
    return sequence->roc;
}

static void advance(struct sequence *sequence, guint16 number, guint32 roc)
{
    if (!sequence->used || roc > sequence->roc ||
        (roc == sequence->roc && number > sequence->highest)) {
        sequence->highest = number;
        sequence->roc = roc;
    }
    sequence->used = true;
}

static gsize header_length(const guint8 *packet, gsize length)
{
    if (length < 12 || packet[0] >> 6 != 2)
        return 0;
    gsize n = 12 + 4 * (packet[0] & 15u);
    if (packet[0] & 0x10) {
        if (length < n + 4)
            return 0;
        n += 4 + 4 * (gsize)(packet[n + 2] << 8 | packet[n + 3]);
    }
    return n <= length ? n : 0;
}

/* What of a packet is ciphered: all from `rest` on, and with Cryptex the CSRCs, between which the
 * word of the extension block is not (RFC 9335 6.1). */
struct parts {
    gsize csrcs; /* octets of them; 0 = they stay in the clear */
    gsize rest;
};

static gsize word_at(const guint8 *packet)
{
    return 12 + 4 * (packet[0] & 15u);
}

static struct parts parts_of(const guint8 *packet, gsize header, bool cryptex)
{
    return cryptex ? (struct parts){.csrcs = word_at(packet) - 12, .rest = word_at(packet) + 4}
                   : (struct parts){.rest = header};
}

/* RFC 9335 5.1: an extension block is there, empty where only CSRCs are to be hidden, and has the
 * name that tells of it. Returns the new length. */
static gsize name_block(guint8 *packet, gsize length)
{
    guint8 *word = packet + word_at(packet);
    if (!(packet[0] & 0x10)) {
        memmove(word + 4, word, length - word_at(packet));
        memcpy(word, (const guint8[]){0xbe, 0xde, 0, 0}, 4);
        packet[0] |= 0x10;
        length += 4;
    }
    word[0] = word[0] == 0xbe ? 0xc0 : 0xc2;
    word[1] = 0xde;
    return length;
}

static bool has_cryptex_name(const guint8 *packet)
{
    const guint8 *word = packet + word_at(packet);
    return packet[0] & 0x10 && (word[0] == 0xc0 || word[0] == 0xc2) && word[1] == 0xde;
}

static void name_back(guint8 *packet)
{
    guint8 *word = packet + word_at(packet);
    bool one_byte = word[0] == 0xc0;
    word[0] = one_byte ? 0xbe : 0x10;
    word[1] = one_byte ? 0xde : 0;
}

static void apply_keystream(struct srtp_evp *srtp, guint8 *packet, struct parts parts, gsize length,
                            guint32 roc)
{
    /* RFC 3711 4.1.1: IV = salt·2^16 XOR SSRC·2^64 XOR index·2^16 */
    guint8 counter[16];
    memcpy(counter, srtp->salt, 14);
    counter[14] = counter[15] = 0;
    for (guint i = 0; i < 4; i++)
        counter[4 + i] ^= packet[8 + i];
    counter[8] ^= (guint8)(roc >> 24);
    counter[9] ^= (guint8)(roc >> 16);
    counter[10] ^= (guint8)(roc >> 8);
    counter[11] ^= (guint8)roc;
    counter[12] ^= packet[2];
    counter[13] ^= packet[3];
    int n;
    EVP_EncryptInit_ex(srtp->cipher, NULL, NULL, NULL, counter);
    EVP_EncryptUpdate(srtp->cipher, packet + 12, &n, packet + 12, (int)parts.csrcs);
    EVP_EncryptUpdate(srtp->cipher, packet + parts.rest, &n, packet + parts.rest,
                      (int)(length - parts.rest));
}

static void tag_of(struct srtp_evp *srtp, const guint8 *packet, gsize length, guint32 roc,
                   guint8 *tag)
{
    guint8 roc_octets[4] = {(guint8)(roc >> 24), (guint8)(roc >> 16), (guint8)(roc >> 8),
                            (guint8)roc};
    guint8 whole[20];
    gsize n;
    EVP_MAC_init(srtp->mac, NULL, 0, NULL);
    EVP_MAC_update(srtp->mac, packet, length);
    EVP_MAC_update(srtp->mac, roc_octets, 4);
    EVP_MAC_final(srtp->mac, whole, &n, sizeof whole);
    memcpy(tag, whole, srtp->profile->tag_length);
}

/* RFC 7714 8.1: IV = 0^16 || SSRC || ROC || SEQ, XOR salt. */
static void set_gcm_iv(struct srtp_evp *srtp, const guint8 *packet, guint32 roc, bool encrypt)
{
    guint8 iv[12];
    memcpy(iv, srtp->salt, sizeof iv);
    for (guint i = 0; i < 4; i++) {
        iv[2 + i] ^= packet[8 + i];
        iv[6 + i] ^= (guint8)(roc >> (24 - 8 * i));
    }
    iv[10] ^= packet[2];
    iv[11] ^= packet[3];
    EVP_CipherInit_ex(srtp->cipher, NULL, NULL, NULL, iv, encrypt);
}

/* What is authenticated alone, then the rest. */
static void run_gcm(struct srtp_evp *srtp, guint8 *packet, struct parts parts, gsize length)
{
    int n;
    gsize clear = parts.csrcs ? 12 : parts.rest;
    EVP_CipherUpdate(srtp->cipher, NULL, &n, packet, (int)clear);
    if (parts.csrcs) {
        EVP_CipherUpdate(srtp->cipher, NULL, &n, packet + parts.rest - 4, 4);
        EVP_CipherUpdate(srtp->cipher, packet + 12, &n, packet + 12, (int)parts.csrcs);
    }
    EVP_CipherUpdate(srtp->cipher, packet + parts.rest, &n, packet + parts.rest,
                     (int)(length - parts.rest));
}

static void seal(struct srtp_evp *srtp, guint8 *packet, struct parts parts, gsize length,
                 guint32 roc)
{
    int n;
    set_gcm_iv(srtp, packet, roc, true);
    run_gcm(srtp, packet, parts, length);
    EVP_EncryptFinal_ex(srtp->cipher, packet + length, &n);
    EVP_CIPHER_CTX_ctrl(srtp->cipher, EVP_CTRL_AEAD_GET_TAG, (int)srtp->profile->tag_length,
                        packet + length);
}

static bool open_sealed(struct srtp_evp *srtp, guint8 *packet, struct parts parts, gsize length,
                        guint32 roc)
{
    int n;
    set_gcm_iv(srtp, packet, roc, false);
    EVP_CIPHER_CTX_ctrl(srtp->cipher, EVP_CTRL_AEAD_SET_TAG, (int)srtp->profile->tag_length,
                        packet + length);
    run_gcm(srtp, packet, parts, length);
    return EVP_DecryptFinal_ex(srtp->cipher, packet + length, &n) == 1;
}

static guint32 ssrc_of(const guint8 *packet)
{
    return (guint32)packet[8] << 24 | (guint32)packet[9] << 16 | (guint32)packet[10] << 8 |
           packet[11];
}

gsize srtp_evp_protect(struct srtp_evp *srtp, guint8 *packet, gsize length)
{
    gsize header = header_length(packet, length);
    struct sequence *sequence = header ? sequence_of(srtp, ssrc_of(packet)) : NULL;
    if (!sequence)
        return 0;
    guint16 number = (guint16)(packet[2] << 8 | packet[3]);
    guint32 roc = guess_roc(sequence, number);
    bool cryptex = srtp->cryptex && header > 12;
    if (cryptex)
        length = name_block(packet, length);
    struct parts parts = parts_of(packet, header, cryptex);
    if (srtp->mac) {
        apply_keystream(srtp, packet, parts, length, roc);
        tag_of(srtp, packet, length, roc, packet + length);
    } else {
        seal(srtp, packet, parts, length, roc);
    }
    advance(sequence, number, roc);
    return length + srtp->profile->tag_length;
}

gsize srtp_evp_unprotect(struct srtp_evp *srtp, guint8 *packet, gsize length)
{
    gsize tag_length = srtp->profile->tag_length;
    if (length <= tag_length)
        return 0;
    length -= tag_length;
    gsize header = header_length(packet, length);
    struct sequence *sequence = header ? sequence_of(srtp, ssrc_of(packet)) : NULL;
    if (!sequence)
        return 0;
    bool cryptex = has_cryptex_name(packet);
    if (cryptex && !srtp->cryptex)
        return 0;
    struct parts parts = parts_of(packet, header, cryptex);
    guint16 number = (guint16)(packet[2] << 8 | packet[3]);
    guint32 roc = guess_roc(sequence, number);
    if (srtp->mac) {
        guint8 tag[PEER_SRTP_TAG_MAX];
        tag_of(srtp, packet, length, roc, tag);
        if (CRYPTO_memcmp(tag, packet + length, tag_length))
            return 0;
        apply_keystream(srtp, packet, parts, length, roc);
    } else if (!open_sealed(srtp, packet, parts, length, roc)) {
        return 0;
    }
    srtp->was_cryptex = cryptex;
    if (cryptex)
        name_back(packet);
    advance(sequence, number, roc);
    return length;
}
