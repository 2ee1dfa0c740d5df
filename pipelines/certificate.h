/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A DTLS identity: key, self-signed certificate and its fingerprint (RFC 8827 6.5: ECDSA on P-256).
 * Threads: any; immutable once made. */
#include <glib.h>
#include <openssl/types.h>
#include <stdbool.h>

#define CERTIFICATE_SHA256_LENGTH 32

struct certificate;

/* Transfer full; NULL and INTERNAL_ERROR when OpenSSL cannot make one. */
struct certificate *certificate_new(GError **error);
void certificate_free(struct certificate *certificate);
X509 *certificate_x509(const struct certificate *certificate);
EVP_PKEY *certificate_key(const struct certificate *certificate);
/* The certificate alone, without the key. Borrowed. */
const char *certificate_pem(const struct certificate *certificate);
/* CERTIFICATE_SHA256_LENGTH octets, borrowed. */
const guint8 *certificate_sha256(const struct certificate *certificate);
/* PEM text of any certificate; transfer full, NULL when it cannot be written. */
char *certificate_print(X509 *x509);
/* Sets *error to INTERNAL_ERROR with `what` and OpenSSL's own reason; empties its error queue. */
void certificate_set_openssl_error(GError **error, const char *what);
