/* SPDX-License-Identifier: Apache-2.0 */
/* Bearer tokens signed by keys that the test makes: what is accepted, and everything that is not.
 */
#include "wsf/auth-bearer.h"

#include "base/problem.h"

#include <cjose/cjose.h>
#include <glib/gstdio.h>
#include <jansson.h>
#include <string.h>

#define ALICE "alice@example.org"
#define NOW 1000000

static cjose_jwk_t *rsa, *ec, *stranger;
static struct auth_bearer *bearer;
static const struct bearer_rules rules = {
    .issuer = "https://login.example.org", .audience = "wsf", .clock_skew_s = 30};

static char *sign_with(cjose_jwk_t *key, const char *alg, const char *extra, const char *payload)
{
    cjose_header_t *header = cjose_header_new(NULL);
    g_assert_true(cjose_header_set(header, CJOSE_HDR_ALG, alg, NULL));
    if (extra)
        g_assert_true(cjose_header_set_raw(header, "crit", extra, NULL));
    cjose_jws_t *jws = cjose_jws_sign(key, header, (const uint8_t *)payload, strlen(payload), NULL);
    g_assert_nonnull(jws);
    const char *compact = NULL;
    g_assert_true(cjose_jws_export(jws, &compact, NULL));
    char *field = g_strconcat("Bearer ", compact, NULL);
    cjose_jws_release(jws);
    cjose_header_release(header);
    return field;
}

static char *token(cjose_jwk_t *key, const char *alg, const char *claims)
{
    return sign_with(key, alg, NULL, claims);
}

#define GOOD                                                                                       \
    "{\"iss\":\"https://"                                                                          \
    "login.example.org\",\"aud\":[\"x\",\"wsf\"],\"sub\":\"alice@EXAMPLE.org\","                   \
    "\"exp\":1000600,\"nbf\":1000020}"

static bool check(const char *field)
{
    g_autoptr(GError) error = NULL;
    gint64 expires = 0;
    bool ok = auth_bearer_check(bearer, field, &rules, ALICE, NOW, &expires, &error);
    if (ok)
        g_assert_cmpint(expires, >, 0);
    else
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_AUTHENTICATION_FAILED);
    return ok;
}

static void test_accepted(void)
{
    g_autofree char *by_rsa = token(rsa, "RS256", GOOD), *by_ec = token(ec, "ES256", GOOD);
    g_assert_true(check(by_rsa));
    g_assert_true(check(by_ec));
}

static void test_claims(void)
{
    static const char *const bad[] = {
        "{}",
        "[]",
        "no json",
        /* no exp, expired, exp of a wrong type, not yet valid */
        "{\"iss\":\"https://login.example.org\",\"aud\":\"wsf\",\"sub\":\"" ALICE "\"}",
        "{\"iss\":\"https://login.example.org\",\"aud\":\"wsf\",\"sub\":\"" ALICE
        "\",\"exp\":999970}",
        "{\"iss\":\"https://login.example.org\",\"aud\":\"wsf\",\"sub\":\"" ALICE
        "\",\"exp\":\"1000600\"}",
        "{\"iss\":\"https://login.example.org\",\"aud\":\"wsf\",\"sub\":\"" ALICE
        "\",\"exp\":1000600,\"nbf\":1000031}",
        /* somebody else, other issuer, other audience, two subjects */
        "{\"iss\":\"https://login.example.org\",\"aud\":\"wsf\",\"sub\":\"bob@example.org\","
        "\"exp\":1000600}",
        "{\"iss\":\"https://evil.example\",\"aud\":\"wsf\",\"sub\":\"" ALICE "\",\"exp\":1000600}",
        "{\"aud\":\"wsf\",\"sub\":\"" ALICE "\",\"exp\":1000600}",
        "{\"iss\":\"https://login.example.org\",\"aud\":[\"x\",1],\"sub\":\"" ALICE
        "\",\"exp\":1000600}",
        "{\"iss\":\"https://login.example.org\",\"sub\":\"" ALICE "\",\"exp\":1000600}",
        "{\"iss\":\"https://login.example.org\",\"aud\":\"wsf\",\"sub\":\"bob@example.org\","
        "\"sub\":\"" ALICE "\",\"exp\":1000600}",
        "{\"iss\":\"https://login.example.org\",\"aud\":\"wsf\",\"sub\":42,\"exp\":1000600}",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *field = token(rsa, "RS256", bad[i]);
        g_assert_false(check(field));
    }
    g_autofree char *in_skew =
        token(rsa, "RS256",
              "{\"iss\":\"https://login.example.org\",\"aud\":\"wsf\",\"sub\":\"" ALICE
              "\",\"exp\":999971}");
    g_assert_true(check(in_skew));
}

static char *replaced(const char *field, char what)
{
    char *copy = g_strdup(field);
    char *last_dot = strrchr(copy, '.');
    char *place = what == 's' ? last_dot + 5 : strchr(copy, '.') + 5;
    *place = *place == 'A' ? 'B' : 'A';
    return copy;
}

static void test_signatures(void)
{
    g_autofree char *good = token(rsa, "RS256", GOOD);
    g_autofree char *bad_signature = replaced(good, 's'), *bad_payload = replaced(good, 'p');
    g_autofree char *by_stranger = token(stranger, "RS256", GOOD);
    g_autofree char *other_alg = token(rsa, "RS512", GOOD), *pss = token(rsa, "PS256", GOOD);
    g_autofree char *critical = sign_with(rsa, "RS256", "[\"exp\"]", GOOD);
    g_assert_false(check(bad_signature));
    g_assert_false(check(bad_payload));
    g_assert_false(check(by_stranger));
    g_assert_false(check(other_alg));
    g_assert_false(check(pss));
    g_assert_false(check(critical));
    g_autofree char *unsigned_head = g_base64_encode((const guchar *)"{\"alg\":\"none\"}", 14);
    g_autofree char *unsigned_body = g_base64_encode((const guchar *)GOOD, strlen(GOOD));
    g_autofree char *none = g_strconcat("Bearer ", unsigned_head, ".", unsigned_body, ".", NULL);
    g_assert_false(check(none));
    g_assert_false(check(""));
    g_assert_false(check("Bearer "));
    g_assert_false(check("Bearer ..."));
    g_assert_false(check("Basic YTpi"));
    g_autofree char *huge = g_strnfill(100000, 'x');
    memcpy(huge, "Bearer ", 7);
    g_assert_false(check(huge));
}

/* The public key as an HMAC secret: the classic mistake of JWT libraries. */
static void test_key_confusion(void)
{
    char *public_key = cjose_jwk_to_json(rsa, false, NULL);
    cjose_jwk_t *oct =
        cjose_jwk_create_oct_spec((const uint8_t *)public_key, strlen(public_key), NULL);
    g_autofree char *field = token(oct, "HS256", GOOD);
    g_assert_false(check(field));
    cjose_jwk_release(oct);
    free(public_key);
}

static struct auth_bearer *load_text(const char *text, GError **error)
{
    g_autofree char *file = NULL;
    int fd = g_file_open_tmp("jwks-XXXXXX", &file, NULL);
    g_close(fd, NULL);
    g_assert_true(g_file_set_contents(file, text, -1, NULL));
    struct auth_bearer *loaded = auth_bearer_load(file, error);
    g_remove(file);
    return loaded;
}

static void test_files(void)
{
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "{\"keys\":1}",
        "{\"keys\":[]}",
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}",
        "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
        "{\"keys\":[1,null,{}]}"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(load_text(bad[i], &error));
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
    }
}

static struct auth_bearer *load_keys(void)
{
    char *one = cjose_jwk_to_json(rsa, false, NULL), *two = cjose_jwk_to_json(ec, false, NULL);
    g_autofree char *set = g_strdup_printf("{\"keys\":[%s,%s]}", one, two);
    free(one);
    free(two);
    return load_text(set, NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rsa = cjose_jwk_create_RSA_random(2048, NULL, 0, NULL);
    stranger = cjose_jwk_create_RSA_random(2048, NULL, 0, NULL);
    ec = cjose_jwk_create_EC_random(CJOSE_JWK_EC_P_256, NULL);
    bearer = load_keys();
    g_assert_nonnull(bearer);
    g_assert_cmpuint(auth_bearer_count(bearer), ==, 2);
    g_test_add_func("/auth-bearer/accepted", test_accepted);
    g_test_add_func("/auth-bearer/claims", test_claims);
    g_test_add_func("/auth-bearer/signatures", test_signatures);
    g_test_add_func("/auth-bearer/key-confusion", test_key_confusion);
    g_test_add_func("/auth-bearer/files", test_files);
    int status = g_test_run();
    auth_bearer_free(bearer);
    cjose_jwk_release(rsa);
    cjose_jwk_release(ec);
    cjose_jwk_release(stranger);
    return status;
}
