/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL 3.0 looks through every decoder of every kind of key for each certificate that it reads:
 * 80 µs per handshake here, for a choice that always falls on the same one, and no browser does
 * it. So the associations have a library context of their own, whose only provider hands the
 * default provider's algorithms through and holds back the decoders that no peer's certificate
 * wants. */
#include "tests/support/peer/openssl-slim.h"

#include <glib.h>
#include <openssl/core_dispatch.h>
#include <openssl/crypto.h>
#include <openssl/provider.h>
#include <stdbool.h>
#include <string.h>

#define DECODERS_MAX 4

static OSSL_PROVIDER *whole;
static OSSL_ALGORITHM decoders[DECODERS_MAX + 1]; /* the last one ends the list */

static bool is_wanted(const OSSL_ALGORITHM *decoder)
{
    static const char *const keys[] = {"EC", "RSA"};
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        gsize n = strlen(keys[i]); /* later versions have other names behind a colon */
        if (!strncmp(decoder->algorithm_names, keys[i], n) &&
            (!decoder->algorithm_names[n] || decoder->algorithm_names[n] == ':'))
            return strstr(decoder->property_definition, "structure=SubjectPublicKeyInfo");
    }
    return false;
}

static void choose_decoders(void)
{
    int no_cache;
    guint n = 0;
    const OSSL_ALGORITHM *all = OSSL_PROVIDER_query_operation(whole, OSSL_OP_DECODER, &no_cache);
    for (; all && all->algorithm_names && n < DECODERS_MAX; all++)
        if (is_wanted(all))
            decoders[n++] = *all;
}

static const OSSL_ALGORITHM *on_query(void *context, int operation, int *no_cache)
{
    if (operation != OSSL_OP_DECODER)
        return OSSL_PROVIDER_query_operation(whole, operation, no_cache);
    *no_cache = 0;
    return decoders;
}

/* Which groups TLS may use is asked for here. */
static int on_capabilities(void *context, const char *capability, OSSL_CALLBACK *callback,
                           void *argument)
{
    return OSSL_PROVIDER_get_capabilities(whole, capability, callback, argument);
}

static int on_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *from_core,
                   const OSSL_DISPATCH **to_core, void **context)
{
    static const OSSL_DISPATCH functions[] = {
        {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))on_query},
        {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))on_capabilities},
        {0, NULL},
    };
    *to_core = functions;
    *context = OSSL_PROVIDER_get0_provider_ctx(whole); /* the algorithms take it for theirs */
    return 1;
}

OSSL_LIB_CTX *openssl_slim(void)
{
    static OSSL_LIB_CTX *slim;
    static gsize once;
    if (g_once_init_enter(&once)) {
        whole = OSSL_PROVIDER_load(NULL, "default");
        slim = whole ? OSSL_LIB_CTX_new() : NULL;
        if (slim) {
            choose_decoders();
            if (!OSSL_PROVIDER_add_builtin(slim, "slim", on_init) ||
                !OSSL_PROVIDER_load(slim, "slim"))
                g_clear_pointer(&slim, OSSL_LIB_CTX_free);
        }
        g_once_init_leave(&once, 1);
    }
    return slim;
}
