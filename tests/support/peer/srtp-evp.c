/* SPDX-License-Identifier: Apache-2.0 */
/* SRTP on EVP: one AES-128-CTR and one HMAC-SHA1 context per direction, set up once; per packet
 * only the counter block changes. Session keys do not depend on the SSRC (it enters by the counter
 * block), so a handful of SSRCs share the contexts and keep just their roll-over counters. */
#include "tests/support/peer/srtp-evp.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

#define SSRCS 64

struct sequence {
    guint32 ssrc, roc;
    guint16 highest;
    bool used;
};

struct srtp_evp {
    EVP_CIPHER_CTX *cipher;
    EVP_MAC_CTX *mac;
    guint8 salt[14];
    struct sequence sequences[SSRCS];
    guint last; /* index of the one used last */
};

static void derive(const guint8 *master, guint8 label, guint8 *out, int length)
{
    /* RFC 3711 4.3.1: x = (label || index DIV kdr = 0) XOR master salt, then AES-CM */
    guint8 counter[16] = {0}, zeros[32] = {0};
    memcpy(counter, master + 16, 14);
    counter[7] ^= label;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int n;
    EVP_EncryptInit_ex(context, EVP_aes_128_ctr(), NULL, master, counter);
    EVP_EncryptUpdate(context, out, &n, zeros, length);
    EVP_CIPHER_CTX_free(context);
}

struct srtp_evp *srtp_evp_new(const guint8 *master)
{
    struct srtp_evp *srtp = g_new0(struct srtp_evp, 1);
    guint8 key[16], authentication[20];
    derive(master, 0, key, 16);
    derive(master, 1, authentication, 20);
    derive(master, 2, srtp->salt, 14);
    srtp->cipher = EVP_CIPHER_CTX_new();
    EVP_EncryptInit_ex(srtp->cipher, EVP_aes_128_ctr(), NULL, key, NULL);
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    srtp->mac = EVP_MAC_CTX_new(hmac);
    EVP_MAC_free(hmac);
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA1", 0),
        OSSL_PARAM_construct_end()};
    EVP_MAC_init(srtp->mac, authentication, sizeof authentication, parameters);
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

static void apply_keystream(struct srtp_evp *srtp, guint8 *packet, gsize header, gsize length,
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
    EVP_EncryptUpdate(srtp->cipher, packet + header, &n, packet + header, (int)(length - header));
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
    memcpy(tag, whole, SRTP_EVP_TAG);
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
    apply_keystream(srtp, packet, header, length, roc);
    tag_of(srtp, packet, length, roc, packet + length);
    advance(sequence, number, roc);
    return length + SRTP_EVP_TAG;
}

gsize srtp_evp_unprotect(struct srtp_evp *srtp, guint8 *packet, gsize length)
{
    if (length <= SRTP_EVP_TAG)
        return 0;
    length -= SRTP_EVP_TAG;
    gsize header = header_length(packet, length);
    struct sequence *sequence = header ? sequence_of(srtp, ssrc_of(packet)) : NULL;
    if (!sequence)
        return 0;
    guint16 number = (guint16)(packet[2] << 8 | packet[3]);
    guint32 roc = guess_roc(sequence, number);
    guint8 tag[SRTP_EVP_TAG];
    tag_of(srtp, packet, length, roc, tag);
    if (CRYPTO_memcmp(tag, packet + length, SRTP_EVP_TAG))
        return 0;
    apply_keystream(srtp, packet, header, length, roc);
    advance(sequence, number, roc);
    return length;
}
