/* SPDX-License-Identifier: Apache-2.0 */
/* `auth`: registration (6.3.2.6, protocol A6). The request is read whole before anything is
 * checked; the check may take its time in the pool, and the connection may be gone when it is done.
 * A wrong password and an unknown identity are one answer. */
#define LOG_CATEGORY "auth"
#include "base/ids.h"
#include "base/metrics.h"
#include "wsf-link/json-read.h"
#include "wsf/attributes.h"
#include "wsf/auth-basic.h"
#include "wsf/call.h"
#include "wsf/client.h"
#include "wsf/identity.h"
#include "wsf/methods/methods.h"

#include <string.h>

enum auth_type { AUTH_BASIC, AUTH_BEARER, AUTH_REAUTH, AUTH_TLS };
static const char *const type_names[] = {"basic", "bearer", "reauth", "tls", NULL};

struct attempt {
    struct wsf *wsf;
    guint64 client; /* number */
    struct link_transaction *txn;
    enum auth_type type;
    char *webrtc_id;   /* normalised */
    struct peer *peer; /* the identity is a peer's; NULL: a client */
    char *instance_id; /* or NULL */
    char *address;
    json_t *attributes;        /* to be published, or NULL */
    const char *authorization; /* inside the message */
    const char *credential;
    gint64 expiration, ttl; /* asked for, -1 = not */
    gint64 lifetime;        /* of a token, G_MAXINT64 = no end */
    enum reauth_match match;
};

static void attempt_free(struct attempt *attempt)
{
    g_free(attempt->webrtc_id);
    g_free(attempt->instance_id);
    g_free(attempt->address);
    json_decref(attempt->attributes);
    g_free(attempt);
}

static void count(const struct attempt *attempt, const char *result)
{
    static struct metric *attempts;
    if (!attempts)
        attempts = metric_register(METRIC_COUNTER, "auth_attempts", NULL,
                                   "Authentications of clients.", "type,result");
    metric_add(attempts, 1, (const char *const[]){type_names[attempt->type], result});
}

/* --- reading -------------------------------------------------------------------------------------
 */

static bool read_identity(struct attempt *attempt, const json_t *message, GError **error)
{
    const char *webrtc_id = NULL, *instance_id = NULL;
    if (!json_read_string(message, "", "webrtcId", JSON_REQUIRED, 320, &webrtc_id, error) ||
        !json_read_string(message, "", "instanceId", JSON_OPTIONAL, 64, &instance_id, error))
        return false;
    attempt->webrtc_id = registrar_normalise(webrtc_id);
    if (!attempt->webrtc_id) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/webrtcId", "a webrtcId is user@realm");
        return false;
    }
    if (instance_id && !id_is_uuid(instance_id)) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/instanceId", "an instanceId is a UUID");
        return false;
    }
    attempt->instance_id = g_strdup(instance_id);
    return true;
}

static bool read_attempt(struct attempt *attempt, const json_t *message, GError **error)
{
    int type = 0;
    attempt->expiration = attempt->ttl = -1;
    attempt->lifetime = G_MAXINT64;
    if (!json_read_choice(message, "", "authType", JSON_REQUIRED, type_names, &type, error))
        return false;
    attempt->type = type;
    return read_identity(attempt, message, error) &&
           json_read_string(message, "", "authorization", JSON_OPTIONAL, 12288,
                            &attempt->authorization, error) &&
           json_read_string(message, "", "reAuthCredential",
                            type == AUTH_REAUTH ? JSON_REQUIRED : JSON_OPTIONAL, 256,
                            &attempt->credential, error) &&
           json_read_integer(message, "", "expirationTime", JSON_OPTIONAL, 0, G_MAXINT32,
                             &attempt->expiration, error) &&
           json_read_integer(message, "", "disconnectionTtl", JSON_OPTIONAL, 0, G_MAXINT32,
                             &attempt->ttl, error) &&
           attributes_read(attempt->wsf->conf, message, "attributes", &attempt->attributes, error);
}

/* --- outcome -------------------------------------------------------------------------------------
 */

static void finish_failed(struct client *client, struct attempt *attempt, GError *error)
{
    count(attempt, problem_cause(problem_code(error)));
    if (client) {
        method_fail(client, attempt->txn, error, NULL);
    } else {
        link_fail(attempt->txn, error, NULL);
        g_error_free(error);
    }
    attempt_free(attempt);
}

/* The one answer for everything that does not authenticate. */
static void finish_rejected(struct client *client, struct attempt *attempt, const char *why)
{
    struct wsf *wsf = attempt->wsf;
    guint wait = auth_failed(wsf->auth, attempt->webrtc_id, attempt->address);
    GError *error = NULL;
    if (client) {
        struct log_ids ids = {.link = link_name(client->link)};
        log_info(&ids, "authentication of %s from %s failed: %s", identity_log(attempt->webrtc_id),
                 attempt->address, why);
        link_auth_failed(client->link);
    }
    problem_set_retry(&error, PROBLEM_AUTHENTICATION_FAILED, wait,
                      "the identity or its credential is not right");
    count(attempt, problem_cause(PROBLEM_AUTHENTICATION_FAILED));
    link_fail(attempt->txn, error, NULL);
    g_error_free(error);
    attempt_free(attempt);
}

static void challenge(struct client *client, struct attempt *attempt)
{
    g_autoptr(GError) error = NULL;
    const char *realm = client->wsf->realm;
    json_t *field = attempt->type == AUTH_BASIC
                        ? json_sprintf("Basic realm=\"%s\", charset=\"UTF-8\"", realm)
                        : json_sprintf("Bearer realm=\"%s\"", realm);
    problem_set(&error, PROBLEM_AUTHENTICATION_REQUIRED,
                "send the same request with authorization");
    count(attempt, problem_cause(PROBLEM_AUTHENTICATION_REQUIRED));
    link_fail(attempt->txn, error, json_pack("{s:o}", "wwwAuthenticate", field));
    attempt_free(attempt);
}

static guint granted_expiration(const struct attempt *attempt)
{
    const struct conf *conf = attempt->wsf->conf;
    if (attempt->peer)
        return (guint)CLAMP(attempt->lifetime, 1,
                            attempt->expiration > 0
                                ? MIN(attempt->expiration, attempt->peer->expiration_s)
                                : attempt->peer->expiration_s);
    gint64 wanted = attempt->expiration >= 0 ? attempt->expiration
                                             : conf_int(conf, "registration", "expiration_default");
    wanted = CLAMP(wanted, conf_int(conf, "registration", "expiration_min"),
                   conf_int(conf, "registration", "expiration_max"));
    return (guint)CLAMP(attempt->lifetime, 1, wanted); /* never beyond the token's own (A6) */
}

static guint granted_ttl(const struct attempt *attempt)
{
    const struct conf *conf = attempt->wsf->conf;
    if (attempt->peer)
        return attempt->ttl >= 0 ? (guint)MIN(attempt->ttl, attempt->peer->ttl_s)
                                 : attempt->peer->ttl_s;
    gint64 wanted = attempt->ttl >= 0 ? attempt->ttl
                                      : conf_int(conf, "registration", "disconnection_ttl_default");
    return (guint)MIN(wanted, conf_int(conf, "registration", "disconnection_ttl_max"));
}

static void close_superseded(struct wsf *wsf, struct link *link)
{
    guint64 number = link_number(link);
    struct client *former = g_hash_table_lookup(wsf->clients, &number);
    if (former)
        former->endpoint = 0;
    link_close(link, LINK_CLOSE_SUPERSEDED,
               "another connection of this endpoint has authenticated");
}

static void finish_deregister(struct client *client, struct attempt *attempt)
{
    struct wsf *wsf = attempt->wsf;
    struct endpoint *endpoint = client_endpoint(client);
    if (!endpoint && attempt->instance_id)
        endpoint = registrar_find(wsf->registrar, attempt->webrtc_id, attempt->instance_id);
    link_succeed(attempt->txn, json_pack("{s:i}", "expirationTime", 0));
    registrar_remove(wsf->registrar, endpoint, REGISTRAR_DEREGISTERED);
    link_close(client->link, LINK_CLOSE_NORMAL, "deregistered");
    attempt_free(attempt);
}

static guint keepalive_s(const struct attempt *attempt)
{
    return attempt->peer ? attempt->peer->keepalive_ms / 1000
                         : (guint)conf_int(attempt->wsf->conf, "limits", "keepalive");
}

static json_t *success_members(struct wsf *wsf, struct endpoint *endpoint,
                               const struct attempt *attempt, guint expiration)
{
    g_autofree char *credential = reauth_rotate(&endpoint->reauth, attempt->match);
    json_t *members = json_pack(
        "{s:i, s:s, s:i, s:i, s:s, s:s, s:o}", "expirationTime", (int)expiration,
        "reAuthCredential", credential, "disconnectionTtl", (int)endpoint->ttl_s,
        "keepAliveInterval", (int)keepalive_s(attempt), "webrtcId", endpoint->webrtc_id,
        "instanceId", endpoint->instance_id, "mediaSessions", client_media_sessions(wsf, endpoint));
    json_t *extensions = client_extensions();
    if (json_array_size(extensions)) /* A3 */
        json_object_set(members, "supportedExtension", extensions);
    json_decref(extensions);
    return members;
}

static void finish_registered(struct client *client, struct attempt *attempt)
{
    struct wsf *wsf = attempt->wsf;
    struct endpoint *mine = client_endpoint(client);
    const struct registration_request request = {
        .webrtc_id = attempt->webrtc_id,
        .instance_id = mine ? mine->instance_id : attempt->instance_id,
        .link = client->link,
        .address = attempt->address,
        .expiration_s = granted_expiration(attempt),
        .ttl_s = granted_ttl(attempt),
        .kind = attempt->peer ? attempt->peer->kind : ENDPOINT_CLIENT,
        .peer = attempt->peer ? attempt->peer->name : NULL,
        .extensions = json_object_get(link_transaction_message(attempt->txn), "supportedExtension"),
        .attributes = attempt->attributes,
    };
    struct link *superseded = NULL;
    bool known = false;
    GError *error = NULL;
    struct endpoint *endpoint =
        registrar_register(wsf->registrar, &request, loop_now(), &superseded, &known, &error);
    if (!endpoint) {
        finish_failed(client, attempt, error);
        return;
    }
    bool refresh = mine == endpoint;
    client->endpoint = endpoint->number;
    if (superseded)
        close_superseded(wsf, superseded);
    auth_succeeded(wsf->auth, attempt->webrtc_id);
    link_set_authenticated(client->link, identity_log(endpoint->webrtc_id));
    if (attempt->peer && !refresh)
        link_set_limits(client->link, &attempt->peer->limits);
    peer_registered(wsf, endpoint);
    count(attempt, "success");
    struct log_ids ids = {.link = link_name(client->link)};
    log_info(&ids, "%s %s from %s, %u endpoints in all", identity_log(endpoint->webrtc_id),
             refresh ? "refreshed"
             : known ? "resumed"
                     : "registered",
             endpoint->address, registrar_count(wsf->registrar));
    link_succeed(attempt->txn, success_members(wsf, endpoint, attempt, request.expiration_s));
    if (known && !refresh)
        client_resumed(wsf, endpoint);
    wsf_schedule_registrations(wsf);
    attempt_free(attempt);
}

static void finish_good(struct client *client, struct attempt *attempt)
{
    if (attempt->expiration == 0)
        finish_deregister(client, attempt);
    else
        finish_registered(client, attempt);
}

/* --- checking ------------------------------------------------------------------------------------
 */

static void on_password_checked(bool good, void *user)
{
    struct attempt *attempt = user;
    struct client *client = g_hash_table_lookup(attempt->wsf->clients, &attempt->client);
    if (client)
        client->auth_busy = false;
    if (!good) {
        finish_rejected(client, attempt, "wrong password or unknown identity");
    } else if (client) {
        finish_good(client, attempt);
    } else {
        GError *error = NULL;
        problem_set(&error, PROBLEM_INVALID_STATE, "the connection is gone");
        finish_failed(NULL, attempt, error);
    }
}

static void check_basic(struct client *client, struct attempt *attempt)
{
    g_autofree char *user = NULL, *normal = NULL;
    char *password = NULL;
    GError *error = NULL;
    if (!auth_basic_parse(attempt->authorization, &user, &password, &error)) {
        finish_failed(client, attempt, error);
        return;
    }
    /* A user-id that is not the webrtcId costs a hash too, and can match nothing. */
    normal = registrar_normalise(user);
    bool same = g_strcmp0(normal, attempt->webrtc_id) == 0;
    bool queued = auth_check_basic(attempt->wsf->auth, same ? attempt->webrtc_id : "", password,
                                   on_password_checked, attempt, &error);
    auth_secret_free(password);
    if (queued)
        client->auth_busy = true;
    else
        finish_failed(client, attempt, error);
}

static void check_bearer(struct client *client, struct attempt *attempt)
{
    g_autoptr(GError) error = NULL;
    if (auth_check_bearer(attempt->wsf->auth, attempt->authorization, attempt->webrtc_id,
                          &attempt->lifetime, &error))
        finish_good(client, attempt);
    else
        finish_rejected(client, attempt, error->message);
}

static void check_reauth(struct client *client, struct attempt *attempt)
{
    struct endpoint *endpoint = NULL;
    if (attempt->instance_id)
        endpoint =
            registrar_find(attempt->wsf->registrar, attempt->webrtc_id, attempt->instance_id);
    if (endpoint)
        attempt->match = reauth_check(&endpoint->reauth, attempt->credential);
    if (attempt->match != REAUTH_NO_MATCH) {
        finish_good(client, attempt);
        return;
    }
    GError *error = NULL;
    problem_set(&error, PROBLEM_REAUTH_INVALID,
                "this registration is not known any more; authenticate anew");
    link_auth_failed(client->link);
    finish_failed(client, attempt, error);
}

static void check_tls(struct client *client, struct attempt *attempt)
{
    const char *const *names = link_peer_certificate_names(client->link);
    for (guint i = 0; names && names[i]; i++) {
        /* A URI of RFC 7565 or RFC 6068 names an account as well. */
        const char *name = names[i];
        if (g_ascii_strncasecmp(name, "acct:", 5) == 0)
            name += 5;
        else if (g_ascii_strncasecmp(name, "mailto:", 7) == 0)
            name += 7;
        g_autofree char *normal = registrar_normalise(name);
        if (g_strcmp0(normal, attempt->webrtc_id) == 0) {
            finish_good(client, attempt);
            return;
        }
    }
    finish_rejected(client, attempt, "no client certificate for this identity");
}

static bool may_attempt(struct client *client, const struct attempt *attempt, GError **error)
{
    const struct endpoint *mine = client_endpoint(client);
    if (client->auth_busy) {
        problem_set(error, PROBLEM_INVALID_STATE, "an authentication is in progress");
        return false;
    }
    if (mine && (strcmp(mine->webrtc_id, attempt->webrtc_id) != 0 ||
                 (attempt->instance_id &&
                  g_ascii_strcasecmp(mine->instance_id, attempt->instance_id) != 0))) {
        problem_set(error, PROBLEM_INVALID_STATE,
                    "this connection belongs to another identity; open a new one");
        return false;
    }
    const struct auth *auth = client->wsf->auth;
    if ((attempt->type == AUTH_BASIC && !auth_has_basic(auth)) ||
        (attempt->type == AUTH_BEARER && !auth_has_bearer(auth))) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/authType",
                          "this kind of authentication is not offered here");
        return false;
    }
    return attempt->type == AUTH_REAUTH ||
           auth_admit(client->wsf->auth, attempt->webrtc_id, attempt->address, error);
}

void handle_auth(struct client *client, struct link_transaction *txn)
{
    struct attempt *attempt = g_new0(struct attempt, 1);
    GError *error = NULL;
    attempt->wsf = client->wsf;
    attempt->client = client->number;
    attempt->txn = txn;
    attempt->address = g_strdup(link_peer_address(client->link));
    if (!read_attempt(attempt, link_transaction_message(txn), &error) ||
        !may_attempt(client, attempt, &error)) {
        finish_failed(client, attempt, error);
        return;
    }
    attempt->peer = peer_table_identity(client->wsf->peers, attempt->webrtc_id);
    if (attempt->peer &&
        !peer_may_register(attempt->peer, client->link, type_names[attempt->type], &error)) {
        finish_rejected(client, attempt, error->message);
        g_error_free(error);
        return;
    }
    bool by_field = attempt->type == AUTH_BASIC || attempt->type == AUTH_BEARER;
    if (by_field && !attempt->authorization) {
        challenge(client, attempt);
        return;
    }
    static void (*const checks[])(struct client *, struct attempt *) = {
        [AUTH_BASIC] = check_basic,
        [AUTH_BEARER] = check_bearer,
        [AUTH_REAUTH] = check_reauth,
        [AUTH_TLS] = check_tls,
    };
    checks[attempt->type](client, attempt);
}
