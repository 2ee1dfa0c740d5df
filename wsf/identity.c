/* SPDX-License-Identifier: Apache-2.0 */
/* Asserted identities. A client is who it has authenticated as, or one of the further identities
 * that the operator has given it, or nobody (anonymous). A server speaks for others: in its trusted
 * realms it is believed, elsewhere its word is replaced by its own name, which we have
 * authenticated. In logs an identity may be a keyed hash: lines about one user still belong
 * together, and without the key nobody learns who it is. */
#define LOG_CATEGORY "identity"
#include "wsf/identity.h"

#include "base/ids.h"
#include "wsf-link/json-read.h"

#include <string.h>

#define ID_MAX 320
#define AUTHORITY_MAX 253 /* a DNS name */
#define LOG_RING 8        /* results of identity_log() that are valid at a time */
#define LOG_DIGITS 12     /* of the hash: 48 bits tell users apart */

static const char *realm_of(const char *webrtc_id)
{
    const char *at = strrchr(webrtc_id, '@');
    return at ? at + 1 : "";
}

void identity_put(json_t *members, const char *name, const char *asserted, const char *authority)
{
    if (!asserted)
        return;
    json_object_set_new(members, name, json_string(asserted));
    if (authority)
        json_object_set_new(members, "identityVerified",
                            json_pack("{s:s}", "authority", authority));
}

/* --- reading -------------------------------------------------------------------------------------
 */

static char *normalise(const char *text, bool resource)
{
    g_autofree char *realm = NULL;
    if (!id_is_address(text, resource, &realm))
        return NULL;
    return g_strdup_printf("%.*s@%s", (int)strcspn(text, "@"), text, realm);
}

/* `resource`: it may be one; who has been reached is not always a person (A5). */
static bool read_id(const json_t *message, const char *name, bool resource, char **ret,
                    GError **error)
{
    const char *text = NULL;
    g_autofree char *pointer = g_strconcat("/", name, NULL);
    if (!json_read_string(message, "", name, JSON_OPTIONAL, ID_MAX, &text, error))
        return false;
    if (!text)
        return true;
    *ret = normalise(text, resource);
    if (!*ret)
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer, "an identity is user@realm");
    return *ret != NULL;
}

/* Who has verified the identity, when a trusted peer tells it; else the peer's own network. */
static char *read_authority(const struct peer *peer, const json_t *message)
{
    const json_t *verified = json_object_get(message, "identityVerified");
    const char *authority = json_string_value(json_object_get(verified, "authority"));
    if (authority && strlen(authority) <= AUTHORITY_MAX) {
        g_autofree char *lower = g_ascii_strdown(authority, -1);
        if (peer_trusts_realm(peer, lower))
            return g_steal_pointer(&lower);
    }
    return g_strdup(realm_of(peer->webrtc_id));
}

/* --- clients -------------------------------------------------------------------------------------
 */

static bool same_identity(const char *written, const char *webrtc_id)
{
    g_autofree char *normal = written ? registrar_normalise(written) : NULL;
    return g_strcmp0(normal, webrtc_id) == 0;
}

static bool in_identities(const char *const *list, const char *webrtc_id)
{
    for (guint i = 0; list && list[i]; i++)
        if (same_identity(list[i], webrtc_id))
            return true;
    return false;
}

bool identity_is_own(const struct wsf *wsf, const struct endpoint *endpoint, const char *webrtc_id)
{
    if (strcmp(webrtc_id, endpoint->webrtc_id) == 0)
        return true;
    const char *const *sections = conf_instances(wsf->conf, "subscriber*");
    for (guint i = 0; sections && sections[i]; i++) {
        const char *owner = conf_string(wsf->conf, sections[i], "webrtc_id");
        if (same_identity(owner, endpoint->webrtc_id) &&
            in_identities(conf_list(wsf->conf, sections[i], "identities"), webrtc_id))
            return true;
    }
    return false;
}

static bool of_client(const struct wsf *wsf, const struct endpoint *caller, struct caller_id *id,
                      GError **error)
{
    id->subject = g_strdup(caller->webrtc_id);
    id->asserted = g_strdup(id->preferred ? id->preferred : caller->webrtc_id);
    if (strcmp(id->asserted, IDENTITY_ANONYMOUS) == 0)
        return true;
    if (identity_is_own(wsf, caller, id->asserted)) {
        id->authority = g_strdup(wsf->realm);
        return true;
    }
    problem_set_param(error, PROBLEM_NOT_AUTHORIZED, "/preferredOriginatingId",
                      "this identity is not one of yours");
    return false;
}

/* --- servers -------------------------------------------------------------------------------------
 */

/* What a peer asserts (may be NULL), or what stands in its place. */
static bool of_peer(const struct wsf *wsf, const struct peer *peer, const char *claimed,
                    const char *pointer, const json_t *message, char **ret, char **ret_authority,
                    GError **error)
{
    if (claimed && strcmp(claimed, IDENTITY_ANONYMOUS) == 0) {
        *ret = g_strdup(claimed); /* claims nobody */
        return true;
    }
    if (claimed && peer_trusts_realm(peer, realm_of(claimed))) {
        *ret = g_strdup(claimed);
        *ret_authority = read_authority(peer, message);
        return true;
    }
    if (claimed && peer->refuse_untrusted && strcmp(claimed, peer->webrtc_id) != 0) {
        problem_set_param(error, PROBLEM_NOT_AUTHORIZED, pointer,
                          "you are not trusted with identities of the realm %s", realm_of(claimed));
        return false;
    }
    *ret = g_strdup(peer->webrtc_id);
    *ret_authority = g_strdup(wsf->realm);
    return true;
}

static bool of_server(const struct wsf *wsf, const struct endpoint *caller, const json_t *message,
                      struct caller_id *id, GError **error)
{
    const struct peer *peer = peer_of(wsf, caller);
    g_autofree char *asserted = NULL;
    if (!read_id(message, "assertedOriginatingId", false, &asserted, error))
        return false;
    /* 6.3.2.6.x.2.3 knows the preferred one alone. */
    const char *claimed = asserted ? asserted : id->preferred;
    if (!peer) { /* its section has gone with a restart */
        id->asserted = g_strdup(caller->webrtc_id);
    } else if (!of_peer(wsf, peer, claimed,
                        asserted ? "/assertedOriginatingId" : "/preferredOriginatingId", message,
                        &id->asserted, &id->authority, error)) {
        return false;
    }
    bool nobody = strcmp(id->asserted, IDENTITY_ANONYMOUS) == 0;
    bool hide = g_strcmp0(id->preferred, IDENTITY_ANONYMOUS) == 0;
    if (id->preferred && !hide && !(peer && peer_trusts_realm(peer, realm_of(id->preferred))))
        g_clear_pointer(&id->preferred, g_free);
    id->subject = g_strdup(nobody ? caller->webrtc_id : id->asserted);
    if (nobody || !hide)
        return true;
    /* The network told us who it is, and the user does not want it told further. */
    g_free(id->asserted);
    id->asserted = g_strdup(IDENTITY_ANONYMOUS);
    g_clear_pointer(&id->authority, g_free);
    return true;
}

bool identity_originating(const struct wsf *wsf, const struct endpoint *caller,
                          const json_t *message, struct caller_id *ret, GError **error)
{
    *ret = (struct caller_id){0};
    if (!read_id(message, "preferredOriginatingId", false, &ret->preferred, error))
        return false;
    return endpoint_is_server(caller) ? of_server(wsf, caller, message, ret, error)
                                      : of_client(wsf, caller, ret, error);
}

void caller_id_finish(struct caller_id *id)
{
    g_clear_pointer(&id->subject, g_free);
    g_clear_pointer(&id->asserted, g_free);
    g_clear_pointer(&id->preferred, g_free);
    g_clear_pointer(&id->authority, g_free);
}

bool identity_terminating(const struct wsf *wsf, struct leg *leg, const json_t *message,
                          GError **error)
{
    const struct endpoint *endpoint =
        leg->endpoint ? registrar_endpoint(wsf->registrar, leg->endpoint) : NULL;
    const struct peer *peer = endpoint ? peer_of(wsf, endpoint) : NULL;
    g_autofree char *claimed = NULL, *asserted = NULL, *authority = NULL;
    if (peer && message && !read_id(message, "assertedTerminatingId", true, &claimed, error))
        return false;
    if (claimed) {
        if (!of_peer(wsf, peer, claimed, "/assertedTerminatingId", message, &asserted, &authority,
                     error))
            return false;
    } else if (leg->asserted || (endpoint && endpoint_is_wsf(endpoint))) {
        return true; /* told already, or not yet: a WSF is not the one who was called */
    } else {
        asserted = g_strdup(leg->webrtc_id);
        authority = g_strdup(wsf->realm);
    }
    g_free(leg->asserted);
    g_free(leg->authority);
    leg->asserted = g_steal_pointer(&asserted);
    leg->authority = g_steal_pointer(&authority);
    session_changed(leg->session);
    return true;
}

/* --- logs ----------------------------------------------------------------------------------------
 */

static struct {
    bool hashed;
    char *key;
    char ring[LOG_RING][sizeof "id-" + LOG_DIGITS];
    guint next;
} logs;

bool identity_log_init(const struct conf *conf, GError **error)
{
    GError *own = NULL;
    logs.hashed = strcmp(conf_string(conf, "log", "identities"), "hashed") == 0;
    g_clear_pointer(&logs.key, g_free);
    logs.key = conf_secret(conf, "log", "identity_key_file", &own);
    if (own) {
        g_propagate_error(error, own);
        return false;
    }
    if (!logs.key)
        logs.key = id_token(128);
    return true;
}

const char *identity_log(const char *webrtc_id)
{
    if (!webrtc_id)
        return "?";
    if (!logs.hashed)
        return webrtc_id;
    g_autofree char *lower = g_ascii_strdown(webrtc_id, -1);
    g_autofree char *hash = g_compute_hmac_for_string(G_CHECKSUM_SHA256, (const guchar *)logs.key,
                                                      strlen(logs.key), lower, -1);
    char *text = logs.ring[logs.next++ % LOG_RING];
    g_snprintf(text, sizeof logs.ring[0], "id-%.*s", LOG_DIGITS, hash);
    return text;
}
