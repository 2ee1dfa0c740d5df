/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* OpenSSL for many handshakes in one process. Threads: any. */
#include <openssl/types.h>

/* All of the default provider but what reads keys: of that, public keys of EC and RSA in
 * certificates only. The process's own, never freed; NULL, which is OpenSSL's default, when it
 * cannot be had. */
OSSL_LIB_CTX *openssl_slim(void);
