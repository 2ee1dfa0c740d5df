/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the reading of a verified peer certificate: the names that an identity may be compared with.
 * Only subjectAltName counts; the common name has not named hosts or users for a decade (RFC 6125).
 */
#include "wsf-link/ws-core.h"

#include <arpa/inet.h>
#include <openssl/err.h>
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

/* A user's name in one of the forms that certificates have for it: the text of an otherName, be it
 * a user principal name, an XMPP address (RFC 6120 13.7.1.4) or a mailbox (RFC 8398). */
static char *other_name(const OTHERNAME *name)
{
    const ASN1_TYPE *value = name->value;
    if (value && (value->type == V_ASN1_UTF8STRING || value->type == V_ASN1_IA5STRING))
        return text_name(value->value.asn1_string);
    return NULL;
}

static char *name_of(const GENERAL_NAME *name)
{
    switch (name->type) {
    case GEN_DNS:
    case GEN_EMAIL:
    case GEN_URI:
        return text_name(name->d.ia5);
    case GEN_OTHERNAME:
        return other_name(name->d.otherName);
    case GEN_IPADD:
        return address_name(name->d.iPAddress);
    default:
        return NULL;
    }
}

static SSL *ssl_of(struct lws *wsi)
{
    struct lws *network = lws_get_network_wsi(wsi);
    return lws_is_ssl(network) ? lws_get_ssl(network) : NULL;
}

const char *ws_tls_version(struct lws *wsi)
{
    SSL *ssl = ssl_of(wsi);
    return ssl ? SSL_get_version(ssl) : NULL;
}

char **ws_tls_peer_names(struct lws *wsi)
{
    SSL *ssl = ssl_of(wsi);
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

static bool load(SSL_CTX *context, const struct link_dialer_config *config)
{
    if (!SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION)) /* A1 */
        return false;
    if (config->tls_ca ? !SSL_CTX_load_verify_file(context, config->tls_ca)
                       : !SSL_CTX_set_default_verify_paths(context))
        return false;
    if (!config->tls_certificate)
        return true;
    return SSL_CTX_use_certificate_chain_file(context, config->tls_certificate) == 1 &&
           SSL_CTX_use_PrivateKey_file(context, config->tls_key, SSL_FILETYPE_PEM) == 1 &&
           SSL_CTX_check_private_key(context) == 1;
}

SSL_CTX *ws_tls_client_context(const struct link_dialer_config *config, const char *host,
                               GError **error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    ERR_clear_error();
    /* The connection checks names and IPv4 addresses; it cuts an IPv6 address at its first colon.
     */
    if (context && load(context, config) &&
        (!ws_tls_own_host_check(host) ||
         X509_VERIFY_PARAM_set1_ip_asc(SSL_CTX_get0_param(context), host)))
        return context;
    const char *why = ERR_reason_error_string(ERR_get_error());
    problem_set(error, PROBLEM_INVALID_MESSAGE, "cannot load the TLS files of a dialer: %s",
                why ? why : "unknown reason");
    SSL_CTX_free(context);
    return NULL;
}

bool ws_tls_own_host_check(const char *host)
{
    return strchr(host, ':') != NULL;
}
