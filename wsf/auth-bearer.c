/* SPDX-License-Identifier: Apache-2.0 */
/* JWT verification on cjose. The algorithm is never taken from the token alone: the header must
 * name one of two algorithms, and the key's own type must fit it, so a public key can never serve
 * as an HMAC secret and "none" does not exist. */
#include "wsf/auth-bearer.h"

#include "base/problem.h"
#include "wsf/registrar.h"

#include <cjose/cjose.h>
#include <jansson.h>
#include <string.h>

#define TOKEN_MAX 8192
#define KEYS_MAX 64
#define RSA_BITS_MIN 2048

struct bearer_key {
    cjose_jwk_t *jwk;
    char *kid;       /* or NULL */
    const char *alg; /* "RS256" or "ES256" */
};

struct auth_bearer {
    GPtrArray *keys; /* struct bearer_key */
};

static void key_free(struct bearer_key *key)
{
    cjose_jwk_release(key->jwk);
    g_free(key->kid);
    g_free(key);
}

/* The algorithm that this key may verify, or NULL. */
static const char *key_algorithm(const json_t *key)
{
    const char *kty = json_string_value(json_object_get(key, "kty"));
    const char *crv = json_string_value(json_object_get(key, "crv"));
    const char *use = json_string_value(json_object_get(key, "use"));
    const char *alg = json_string_value(json_object_get(key, "alg"));
    const char *n = json_string_value(json_object_get(key, "n"));
    const char *own = NULL;
    if (g_strcmp0(kty, "RSA") == 0 && n && strlen(n) * 6 >= RSA_BITS_MIN)
        own = "RS256";
    else if (g_strcmp0(kty, "EC") == 0 && g_strcmp0(crv, "P-256") == 0)
        own = "ES256";
    if (!own || (use && strcmp(use, "sig") != 0) || (alg && strcmp(alg, own) != 0))
        return NULL;
    return own;
}

static void add_key(struct auth_bearer *bearer, const json_t *object)
{
    const char *alg = key_algorithm(object);
    if (!alg || bearer->keys->len >= KEYS_MAX)
        return;
    char *text = json_dumps(object, JSON_COMPACT);
    cjose_jwk_t *jwk = cjose_jwk_import(text, strlen(text), NULL);
    free(text);
    if (!jwk)
        return;
    struct bearer_key *key = g_new0(struct bearer_key, 1);
    key->jwk = jwk;
    key->alg = alg;
    key->kid = g_strdup(json_string_value(json_object_get(object, "kid")));
    g_ptr_array_add(bearer->keys, key);
}

struct auth_bearer *auth_bearer_load(const char *file, GError **error)
{
    json_error_t where;
    json_auto_t *set = json_load_file(file, JSON_REJECT_DUPLICATES, &where);
    const json_t *keys = json_object_get(set, "keys");
    if (!json_is_array(keys)) {
        problem_set(error, PROBLEM_INVALID_MESSAGE, "%s is not a JWK set: %s", file,
                    set ? "there is no array \"keys\"" : where.text);
        return NULL;
    }
    struct auth_bearer *bearer = g_new0(struct auth_bearer, 1);
    bearer->keys = g_ptr_array_new_with_free_func((GDestroyNotify)key_free);
    size_t i;
    json_t *key;
    json_array_foreach(keys, i, key) add_key(bearer, key);
    if (bearer->keys->len == 0) {
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "%s has no usable key: RSA of %d bits or more, or EC P-256, for signatures",
                    file, RSA_BITS_MIN);
        g_clear_pointer(&bearer, auth_bearer_free);
    }
    return bearer;
}

void auth_bearer_free(struct auth_bearer *bearer)
{
    if (!bearer)
        return;
    g_ptr_array_unref(bearer->keys);
    g_free(bearer);
}

guint auth_bearer_count(const struct auth_bearer *bearer)
{
    return bearer->keys->len;
}

static bool refuse(GError **error, const char *reason)
{
    problem_set(error, PROBLEM_AUTHENTICATION_FAILED, "%s", reason);
    return false;
}

static bool verify_signature(const struct auth_bearer *bearer, cjose_jws_t *jws, GError **error)
{
    cjose_header_t *header = cjose_jws_get_protected(jws);
    const char *alg = header ? cjose_header_get(header, CJOSE_HDR_ALG, NULL) : NULL;
    const char *kid = header ? cjose_header_get(header, CJOSE_HDR_KID, NULL) : NULL;
    if (!alg || (strcmp(alg, "RS256") != 0 && strcmp(alg, "ES256") != 0))
        return refuse(error, "the token's alg is not RS256 or ES256");
    /* RFC 7515 4.1.11: an extension that is critical and not understood makes the token invalid. */
    char *crit = cjose_header_get_raw(header, "crit", NULL);
    if (crit) {
        free(crit);
        return refuse(error, "the token has critical header members");
    }
    for (guint i = 0; i < bearer->keys->len; i++) {
        const struct bearer_key *key = g_ptr_array_index(bearer->keys, i);
        if (strcmp(key->alg, alg) != 0 || (kid && key->kid && strcmp(kid, key->kid) != 0))
            continue;
        if (cjose_jws_verify(jws, key->jwk, NULL))
            return true;
    }
    return refuse(error, "no key verifies the token's signature");
}

static bool audience_fits(const json_t *aud, const char *wanted)
{
    if (json_is_string(aud))
        return strcmp(json_string_value(aud), wanted) == 0;
    size_t i;
    json_t *item;
    json_array_foreach(aud, i,
                       item) if (g_strcmp0(json_string_value(item), wanted) == 0) return true;
    return false;
}

static bool check_claims(const json_t *claims, const struct bearer_rules *rules,
                         const char *webrtc_id, gint64 now, gint64 *ret_expires, GError **error)
{
    const json_t *exp = json_object_get(claims, "exp"), *nbf = json_object_get(claims, "nbf");
    const char *sub = json_string_value(json_object_get(claims, "sub"));
    const char *iss = json_string_value(json_object_get(claims, "iss"));
    g_autofree char *subject = sub ? registrar_normalise(sub) : NULL;
    if (!json_is_number(exp) || (nbf && !json_is_number(nbf)))
        return refuse(error, "the token needs exp, and nbf must be a number");
    double expires = json_number_value(exp);
    if (!(expires > now - (gint64)rules->clock_skew_s) || expires > 1e15)
        return refuse(error, "the token has expired");
    if (nbf && json_number_value(nbf) > now + (gint64)rules->clock_skew_s)
        return refuse(error, "the token is not valid yet");
    if (rules->issuer && g_strcmp0(iss, rules->issuer) != 0)
        return refuse(error, "the token's iss is another one");
    if (rules->audience && !audience_fits(json_object_get(claims, "aud"), rules->audience))
        return refuse(error, "the token's aud does not name this service");
    if (g_strcmp0(subject, webrtc_id) != 0)
        return refuse(error, "the token's sub is not the webrtcId");
    *ret_expires = (gint64)expires;
    return true;
}

bool auth_bearer_check(const struct auth_bearer *bearer, const char *authorization,
                       const struct bearer_rules *rules, const char *webrtc_id, gint64 now_unix,
                       gint64 *ret_expires, GError **error)
{
    static const char scheme[] = "Bearer ";
    if (g_ascii_strncasecmp(authorization, scheme, strlen(scheme)) != 0)
        return refuse(error, "the authorization is not of the scheme Bearer");
    const char *token = authorization + strlen(scheme);
    if (strlen(token) > TOKEN_MAX)
        return refuse(error, "the token is too long");
    cjose_jws_t *jws = cjose_jws_import(token, strlen(token), NULL);
    if (!jws)
        return refuse(error, "the token is not a compact JWS");
    bool good = verify_signature(bearer, jws, error);
    uint8_t *plain = NULL;
    size_t length = 0;
    if (good && !cjose_jws_get_plaintext(jws, &plain, &length, NULL))
        good = refuse(error, "the token has no payload");
    if (good) {
        json_auto_t *claims = json_loadb((const char *)plain, length, JSON_REJECT_DUPLICATES, NULL);
        good = json_is_object(claims)
                   ? check_claims(claims, rules, webrtc_id, now_unix, ret_expires, error)
                   : refuse(error, "the token's payload is not a JSON object");
    }
    cjose_jws_release(jws);
    return good;
}
