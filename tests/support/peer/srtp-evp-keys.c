/* SPDX-License-Identifier: Apache-2.0 */
/* From a master key to the contexts that packets are protected with. The algorithms are looked up
 * once in a process: OpenSSL's search for one by its name takes longer than a packet does. */
#include "tests/support/peer/srtp-evp-keys.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <stdbool.h>
#include <string.h>

#define AUTHENTICATION_KEY 20

struct algorithms {
    EVP_CIPHER *ctr[2], *gcm[2]; /* of 128 and 256 bits */
    EVP_MAC *hmac;
};

/* For the life of the process. */
static const struct algorithms *algorithms(void)
{
    static struct algorithms found;
    static gsize once;
    if (g_once_init_enter(&once)) {
        found = (struct algorithms){
            .ctr = {EVP_CIPHER_fetch(NULL, "AES-128-CTR", NULL),
                    EVP_CIPHER_fetch(NULL, "AES-256-CTR", NULL)},
            .gcm = {EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL),
                    EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL)},
            .hmac = EVP_MAC_fetch(NULL, "HMAC", NULL),
        };
        g_once_init_leave(&once, 1);
    }
    return &found;
}

static void derive(const struct peer_srtp_profile_row *profile, const guint8 *master, guint label,
                   guint8 *out, guint length)
{
    /* RFC 3711 4.3.1: x = (label || index DIV kdr = 0) XOR master salt, then AES-CM; RFC 7714 11: a
     * salt of 12 octets has two of zero behind it. */
    guint8 counter[16] = {0}, zeros[32] = {0};
    int n;
    memcpy(counter, master + profile->key_length, profile->salt_length);
    counter[7] ^= (guint8)label;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    EVP_EncryptInit_ex2(context, algorithms()->ctr[profile->key_length == 32], master, counter,
                        NULL);
    EVP_EncryptUpdate(context, out, &n, zeros, (int)length);
    EVP_CIPHER_CTX_free(context);
}

static EVP_MAC_CTX *make_mac(const guint8 *key)
{
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA1", 0),
        OSSL_PARAM_construct_end()};
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(algorithms()->hmac);
    EVP_MAC_init(mac, key, AUTHENTICATION_KEY, parameters);
    return mac;
}

void srtp_evp_make_session(const struct peer_srtp_profile_row *profile, const guint8 *master,
                           enum srtp_evp_use use, EVP_CIPHER_CTX **cipher, EVP_MAC_CTX **mac,
                           guint8 salt[SRTP_EVP_SALT_MAX])
{
    guint8 key[32], authentication[AUTHENTICATION_KEY];
    bool gcm = profile->profile != PEER_SRTP_AES128_CM_SHA1_80;
    derive(profile, master, use, key, profile->key_length);
    derive(profile, master, use + 2, salt, profile->salt_length);
    *cipher = EVP_CIPHER_CTX_new();
    *mac = NULL;
    if (gcm) {
        EVP_EncryptInit_ex2(*cipher, algorithms()->gcm[profile->key_length == 32], key, salt, NULL);
        return;
    }
    derive(profile, master, use + 1, authentication, AUTHENTICATION_KEY);
    EVP_EncryptInit_ex2(*cipher, algorithms()->ctr[0], key, NULL, NULL);
    *mac = make_mac(authentication);
}
