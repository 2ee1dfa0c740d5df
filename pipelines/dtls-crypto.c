/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the OpenSSL library context in which handshakes run. For the key of every certificate that
 * it parses, OpenSSL 3.0 puts together decoders anew and weighs each of the context against each
 * type of key: a third of a handshake, whose length is that of the context's tables. So this
 * context has what a handshake of ours can need and no more: of the decoders those of a
 * certificate's DER SubjectPublicKeyInfo (RFC 5280 4.1.2.7), for every type of key; of the ciphers
 * the AEADs. All else is the default provider as it is: a provider of ours hands its tables on. The
 * price is a second set of algorithms in memory; keys and certificates of our own stay in the
 * default context. */
#include "pipelines/dtls-crypto.h"

#include <glib.h>
#include <openssl/core_dispatch.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <stdbool.h>
#include <string.h>

static OSSL_PROVIDER *whole; /* the default provider */
/* Of its tables, NULL-terminated as they are. */
static OSSL_ALGORITHM *decoders, *ciphers;

static const OSSL_ALGORITHM *query(void *unused, int operation, int *no_cache)
{
    *no_cache = 0;
    switch (operation) {
    case OSSL_OP_DECODER:
        return decoders;
    case OSSL_OP_CIPHER:
        return ciphers;
    default:
        return OSSL_PROVIDER_query_operation(whole, operation, no_cache);
    }
}

static int get_capabilities(void *unused, const char *capability, OSSL_CALLBACK *each, void *user)
{
    return OSSL_PROVIDER_get_capabilities(whole, capability, each, user);
}

/* Its algorithms get the context of the default provider, to which they belong; that is not ours
 * to tear down. */
static int init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                void **provider_context)
{
    static const OSSL_DISPATCH functions[] = {
        {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query},
        {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))get_capabilities},
        {0, NULL},
    };

    *out = functions;
    *provider_context = OSSL_PROVIDER_get0_provider_ctx(whole);
    return 1;
}

static bool is_for_peers(const OSSL_ALGORITHM *decoder)
{
    return strstr(decoder->property_definition, "structure=SubjectPublicKeyInfo");
}

static bool is_aead(const OSSL_ALGORITHM *cipher)
{
    return strstr(cipher->algorithm_names, "-GCM") ||
           strstr(cipher->algorithm_names, "ChaCha20-Poly1305");
}

static OSSL_ALGORITHM *select_from(int operation, bool (*is_needed)(const OSSL_ALGORITHM *))
{
    int no_cache = 0;
    const OSSL_ALGORITHM *all = OSSL_PROVIDER_query_operation(whole, operation, &no_cache);
    GArray *selected = g_array_new(TRUE, TRUE, sizeof *all);

    for (; all && all->algorithm_names; all++) {
        if (is_needed(all))
            g_array_append_vals(selected, all, 1);
    }
    return (OSSL_ALGORITHM *)g_array_free(selected, FALSE);
}

static OSSL_LIB_CTX *make(void)
{
    OSSL_LIB_CTX *inner = OSSL_LIB_CTX_new(), *outer = OSSL_LIB_CTX_new();

    whole = inner ? OSSL_PROVIDER_load(inner, "default") : NULL;
    if (whole && outer) {
        decoders = select_from(OSSL_OP_DECODER, is_for_peers);
        ciphers = select_from(OSSL_OP_CIPHER, is_aead);
        if (OSSL_PROVIDER_add_builtin(outer, "dtls", init) && OSSL_PROVIDER_load(outer, "dtls"))
            return outer;
    }
    OSSL_LIB_CTX_free(outer);
    OSSL_LIB_CTX_free(inner);
    ERR_clear_error();
    return NULL;
}

OSSL_LIB_CTX *dtls_crypto_context(void)
{
    static gsize made;
    static OSSL_LIB_CTX *context;

    if (g_once_init_enter(&made)) {
        /* Where openssl.cnf asks for FIPS, or for providers without the default one, that counts;
         * providers that it adds for speed have no part in handshakes. */
        if (!EVP_default_properties_is_fips_enabled(NULL) &&
            OSSL_PROVIDER_available(NULL, "default"))
            context = make();
        g_once_init_leave(&made, 1);
    }
    return context;
}
