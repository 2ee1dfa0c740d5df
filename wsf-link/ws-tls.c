/* SPDX-License-Identifier: Apache-2.0 */
/* Owns TLS of both roles: the files (PEM) that are loaded into OpenSSL's contexts, at the start and
 * again when they were renewed, and the names in a verified peer certificate. Files are loaded
 * whole into a context of their own first, so a broken one changes nothing. Of a peer's certificate
 * only subjectAltName counts; the common name has not named hosts or users for a decade (RFC 6125).
 */
#include "wsf-link/ws-core.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <unistd.h>

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

SSL *ws_tls_of(struct lws *wsi)
{
    return lws_is_ssl(wsi) ? lws_get_ssl(wsi) : NULL;
}

const char *ws_tls_version(SSL *ssl)
{
    return ssl ? SSL_get_version(ssl) : NULL;
}

char **ws_tls_peer_names(SSL *ssl)
{
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

/* --- files --------------------------------------------------------------------------------------
 */

static const char *openssl_reason(void)
{
    const char *why = ERR_reason_error_string(ERR_get_error());
    return why ? why : "unknown reason";
}

bool ws_tls_check_files(const struct ws_tls_files *files, GError **error)
{
    if (!files->certificate != !files->key) {
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "TLS needs both a certificate and its key, or neither");
        return false;
    }
    const char *const names[] = {files->certificate, files->key, files->ca};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        if (names[i] && access(names[i], R_OK)) {
            problem_set(error, PROBLEM_INVALID_MESSAGE, "cannot read %s: %s", names[i],
                        g_strerror(errno));
            return false;
        }
    }
    return true;
}

static bool load_pair(SSL_CTX *context, const struct ws_tls_files *files, GError **error)
{
    ERR_clear_error();
    if (!files->certificate ||
        (SSL_CTX_use_certificate_chain_file(context, files->certificate) == 1 &&
         SSL_CTX_use_PrivateKey_file(context, files->key, SSL_FILETYPE_PEM) == 1 &&
         SSL_CTX_check_private_key(context) == 1))
        return true;
    problem_set(error, PROBLEM_INVALID_MESSAGE,
                "%s and %s are not a PEM certificate and its key: %s", files->certificate,
                files->key, openssl_reason());
    return false;
}

static bool load_ca(SSL_CTX *context, const char *ca, GError **error)
{
    ERR_clear_error();
    if (ca ? SSL_CTX_load_verify_file(context, ca) : SSL_CTX_set_default_verify_paths(context))
        return true;
    problem_set(error, PROBLEM_INVALID_MESSAGE, "%s has no certificates of authorities: %s",
                ca ? ca : "the system's store", openssl_reason());
    return false;
}

static SSL_CTX *load(const struct ws_tls_files *files, bool client, GError **error)
{
    if (!ws_tls_check_files(files, error))
        return NULL;
    SSL_CTX *context = SSL_CTX_new(client ? TLS_client_method() : TLS_server_method());
    if (!context) {
        problem_set(error, PROBLEM_INTERNAL_ERROR, "no TLS context: %s", openssl_reason());
        return NULL;
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION); /* A1 */
    if (load_pair(context, files, error) &&
        ((!client && !files->ca) || load_ca(context, files->ca, error)))
        return context;
    SSL_CTX_free(context);
    return NULL;
}

/* What is loaded into one context also in another, which may have connections already: they keep
 * what they began with. */
static void copy_material(SSL_CTX *to, SSL_CTX *from)
{
    STACK_OF(X509) *chain = NULL;
    SSL_CTX_get0_chain_certs(from, &chain);
    X509 *certificate = SSL_CTX_get0_certificate(from);
    if (certificate)
        SSL_CTX_use_cert_and_key(to, certificate, SSL_CTX_get0_privatekey(from), chain, 1);
    SSL_CTX_set1_cert_store(to, SSL_CTX_get_cert_store(from));
}

/* --- servers ------------------------------------------------------------------------------------
 */

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_length,
                           const unsigned char *in, unsigned in_length, void *user)
{
    static const unsigned char ours[] = {2, 'h', '2'};
    return SSL_select_next_proto((unsigned char **)out, out_length, ours, sizeof ours, in,
                                 in_length) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void set_options(SSL_CTX *context)
{
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION); /* A1 */
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* Links live long: what a resumed handshake would save is not worth what it keeps in memory. */
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

SSL_CTX *ws_tls_server_context(const struct ws_tls_files *files, GError **error)
{
    SSL_CTX *context = load(files, false, error);
    if (!context)
        return NULL;
    set_options(context);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    if (files->ca) /* asked for; one that does not verify ends the handshake */
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    return context;
}

void ws_tls_server_set_up(SSL_CTX *context, SSL_CTX *from)
{
    set_options(context);
    copy_material(context, from);
}

/* --- dialers ------------------------------------------------------------------------------------
 */

bool ws_tls_own_host_check(const char *host)
{
    return strchr(host, ':') != NULL;
}

SSL_CTX *ws_tls_client_context(const struct ws_tls_files *files, const char *host, GError **error)
{
    SSL_CTX *context = load(files, true, error);
    /* The connection checks names and IPv4 addresses; it cuts an IPv6 address at its first colon.
     */
    if (!context || !ws_tls_own_host_check(host) ||
        X509_VERIFY_PARAM_set1_ip_asc(SSL_CTX_get0_param(context), host))
        return context;
    problem_set(error, PROBLEM_INVALID_MESSAGE, "%s is no IPv6 address", host);
    SSL_CTX_free(context);
    return NULL;
}

bool ws_tls_client_reload(SSL_CTX *context, const struct ws_tls_files *files, GError **error)
{
    SSL_CTX *fresh = load(files, true, error);
    if (!fresh)
        return false;
    copy_material(context, fresh);
    SSL_CTX_free(fresh);
    return true;
}
