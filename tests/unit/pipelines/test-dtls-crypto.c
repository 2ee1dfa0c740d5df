/* SPDX-License-Identifier: Apache-2.0 */
/* What the context of the handshakes has and what it leaves out; that every key, suite and group
 * works in it is shown by the associations' test. */
#include "pipelines/dtls-crypto.h"

#include <glib.h>
#include <openssl/decoder.h>
#include <openssl/evp.h>
#include <stdbool.h>

static bool has_decoder(OSSL_LIB_CTX *context, const char *key, const char *properties)
{
    OSSL_DECODER *decoder = OSSL_DECODER_fetch(context, key, properties);

    OSSL_DECODER_free(decoder);
    return decoder;
}

static bool has_cipher(OSSL_LIB_CTX *context, const char *name)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(context, name, NULL);

    EVP_CIPHER_free(cipher);
    return cipher;
}

static void test_tables(void)
{
    static const char *const keys[] = {"EC", "RSA", "RSA-PSS", "ED25519", "ED448"};
    OSSL_LIB_CTX *own = dtls_crypto_context();

    g_assert_nonnull(own);
    g_assert_true(dtls_crypto_context() == own);
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_assert_true(has_decoder(own, keys[i], "input=der,structure=SubjectPublicKeyInfo"));
        g_assert_false(has_decoder(own, keys[i], "input=der,structure=PrivateKeyInfo"));
        g_assert_true(has_decoder(NULL, keys[i], "input=der,structure=PrivateKeyInfo"));
    }
    g_assert_true(has_cipher(own, "AES-128-GCM"));
    g_assert_true(has_cipher(own, "AES-256-GCM"));
    g_assert_true(has_cipher(own, "ChaCha20-Poly1305"));
    g_assert_false(has_cipher(own, "AES-256-CBC"));
    g_assert_true(has_cipher(NULL, "AES-256-CBC"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dtls-crypto/tables", test_tables);
    return g_test_run();
}
