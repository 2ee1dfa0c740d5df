/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the making of a DTLS identity. One per process serves every leg: the fingerprint is what
 * authenticates (RFC 8122), so nothing but that must differ between two of them, and a P-256 key
 * signs sixteen times faster than RSA-2048. The price is that two legs of one process can be told
 * to belong to the same server, which their address tells anyway. */
#include "pipelines/certificate.h"

#include "base/ids.h"
#include "base/problem.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#define SECONDS_PER_DAY (24 * 60 * 60)
/* Peers that compare the fingerprint have no use for the dates, but some look at them: from before
 * any skewed clock of theirs until longer than a process lives. */
#define VALID_FROM_DAYS (-30)
#define VALID_TO_DAYS (10 * 365)

struct certificate {
    EVP_PKEY *key;
    X509 *x509;
    char *pem;
    guint8 sha256[CERTIFICATE_SHA256_LENGTH];
};

void certificate_set_openssl_error(GError **error, const char *what)
{
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    problem_set(error, PROBLEM_INTERNAL_ERROR, "%s: %s", what, reason ? reason : "no reason given");
    ERR_clear_error();
}

char *certificate_print(X509 *x509)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL, *text = NULL;
    long length;

    if (bio && PEM_write_bio_X509(bio, x509) && (length = BIO_get_mem_data(bio, &data)) > 0)
        text = g_strndup(data, (gsize)length);
    BIO_free(bio);
    return text;
}

static bool set_random_serial(X509 *x509)
{
    guint8 octets[16];
    BIGNUM *number;
    bool done;

    id_random(octets, sizeof octets);
    octets[0] = (octets[0] & 0x7f) | 0x40; /* RFC 5280 4.1.2.2: positive, at most 20 octets */
    number = BN_bin2bn(octets, sizeof octets, NULL);
    done = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509));
    BN_free(number);
    return done;
}

static bool fill(X509 *x509, EVP_PKEY *key)
{
    X509_NAME *name = X509_get_subject_name(x509);

    return X509_set_version(x509, X509_VERSION_3) && set_random_serial(x509) &&
           X509_gmtime_adj(X509_getm_notBefore(x509), (long)VALID_FROM_DAYS * SECONDS_PER_DAY) &&
           X509_gmtime_adj(X509_getm_notAfter(x509), (long)VALID_TO_DAYS * SECONDS_PER_DAY) &&
           /* RFC 8827 9.4: a name that says nothing of user or host */
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const guint8 *)"WebRTC", -1, -1,
                                      0) &&
           X509_set_issuer_name(x509, name) && X509_set_pubkey(x509, key) &&
           X509_sign(x509, key, EVP_sha256()) > 0;
}

struct certificate *certificate_new(GError **error)
{
    struct certificate *certificate = g_new0(struct certificate, 1);
    unsigned int length = 0;

    certificate->key = EVP_EC_gen("P-256");
    certificate->x509 = X509_new();
    if (!certificate->key || !certificate->x509 || !fill(certificate->x509, certificate->key) ||
        !X509_digest(certificate->x509, EVP_sha256(), certificate->sha256, &length) ||
        length != CERTIFICATE_SHA256_LENGTH ||
        !(certificate->pem = certificate_print(certificate->x509))) {
        certificate_set_openssl_error(error, "cannot make the DTLS certificate");
        g_clear_pointer(&certificate, certificate_free);
    }
    return certificate;
}

void certificate_free(struct certificate *certificate)
{
    if (!certificate)
        return;
    EVP_PKEY_free(certificate->key);
    X509_free(certificate->x509);
    g_free(certificate->pem);
    g_free(certificate);
}

X509 *certificate_x509(const struct certificate *certificate)
{
    return certificate->x509;
}

EVP_PKEY *certificate_key(const struct certificate *certificate)
{
    return certificate->key;
}

const char *certificate_pem(const struct certificate *certificate)
{
    return certificate->pem;
}

const guint8 *certificate_sha256(const struct certificate *certificate)
{
    return certificate->sha256;
}
