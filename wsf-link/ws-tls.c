/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the reading of a verified peer certificate: the names that an identity may be compared with.
 * Only subjectAltName counts; the common name has not named hosts or users for a decade (RFC 6125).
 */
#include "wsf-link/ws-core.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <string.h>

static char *text_name(const ASN1_STRING *string)
{
    const char *data = (const char *)ASN1_STRING_get0_data(string);
    int length = ASN1_STRING_length(string);
    /* A NUL inside a name is an old trick. */
    if (length <= 0 || memchr(data, 0, (size_t)length))
        return NULL;
    return g_strndup(data, (gsize)length);
}

static char *address_name(const ASN1_STRING *string)
{
    char text[INET6_ADDRSTRLEN];
    int length = ASN1_STRING_length(string);
    int family = length == 4 ? AF_INET : length == 16 ? AF_INET6 : AF_UNSPEC;
    if (family == AF_UNSPEC || !inet_ntop(family, ASN1_STRING_get0_data(string), text, sizeof text))
        return NULL;
    return g_strdup(text);
}

static char *name_of(const GENERAL_NAME *name)
{
    switch (name->type) {
    case GEN_DNS:
    case GEN_EMAIL:
    case GEN_URI:
        return text_name(name->d.ia5);
    case GEN_IPADD:
        return address_name(name->d.iPAddress);
    default:
        return NULL;
    }
}

char **ws_tls_peer_names(struct lws *wsi)
{
    SSL *ssl = lws_is_ssl(wsi) ? lws_get_ssl(wsi) : NULL;
    if (!ssl || SSL_get_verify_result(ssl) != X509_V_OK)
        return NULL;
    X509 *certificate = SSL_get1_peer_certificate(ssl);
    if (!certificate)
        return NULL;
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    GENERAL_NAMES *list = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(list); i++) {
        char *name = name_of(sk_GENERAL_NAME_value(list, i));
        if (name)
            g_ptr_array_add(names, name);
    }
    GENERAL_NAMES_free(list);
    X509_free(certificate);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_steal(names, NULL);
}
