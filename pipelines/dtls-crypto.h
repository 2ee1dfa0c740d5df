/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The OpenSSL library context of all DTLS associations. Threads: any. */
#include <openssl/types.h>

/* Borrowed, for the life of the process. NULL = OpenSSL's default context, which does the same at
 * a higher price. */
OSSL_LIB_CTX *dtls_crypto_context(void);
