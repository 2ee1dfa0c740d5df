/* SPDX-License-Identifier: Apache-2.0 */
/* `auth` on the control link: a WSF is known by a bearer token or by its client certificate. An
 * unknown identity and a wrong token give the same answer. */
#define LOG_CATEGORY "auth"
#include "base/ids.h"
#include "wmcf/controller.h"
#include "wmcf/methods/methods.h"
#include "wsf-link/json-read.h"

static bool token_matches(struct wmcf *wmcf, const char *section, const char *authorization)
{
    if (!authorization || g_ascii_strncasecmp(authorization, "Bearer ", 7) != 0)
        return false;
    g_autofree char *token = conf_secret(wmcf->conf, section, "token_file", NULL);
    bool equal =
        token && strlen(token) >= WSF_TOKEN_MIN && id_secret_equal(token, authorization + 7);
    if (token)
        explicit_bzero(token, strlen(token));
    return equal;
}

static bool certificate_matches(struct wmcf *wmcf, const char *section, struct link *link)
{
    const char *wanted = conf_string(wmcf->conf, section, "certificate_name");
    const char *const *names = link_peer_certificate_names(link);
    for (size_t i = 0; wanted && names && names[i]; i++)
        if (strcmp(names[i], wanted) == 0)
            return true;
    return false;
}

/* Every section is tried, so that the time tells nothing of which identity exists. */
static bool authenticate(struct wmcf *wmcf, struct link *link, const char *identity,
                         const char *authorization, bool tls)
{
    bool granted = false;
    const char *const *sections = conf_instances(wmcf->conf, "wsf*");
    for (size_t i = 0; sections && sections[i]; i++) {
        const char *known = conf_string(wmcf->conf, sections[i], "webrtc_id");
        bool matches = tls ? certificate_matches(wmcf, sections[i], link)
                           : token_matches(wmcf, sections[i], authorization);
        if (known && g_ascii_strcasecmp(known, identity) == 0 && matches)
            granted = true;
    }
    return granted;
}

void handle_auth(struct wmcf *wmcf, struct link *link, struct link_transaction *txn)
{
    static const char *const types[] = {"bearer", "tls", NULL};
    const json_t *message = link_transaction_message(txn);
    const char *identity = NULL, *authorization = NULL, *instance = NULL;
    int type = 0;
    GError *error = NULL;
    if (!json_read_choice(message, "", "authType", JSON_REQUIRED, types, &type, &error) ||
        !json_read_string(message, "", "webrtcId", JSON_REQUIRED, 320, &identity, &error) ||
        !json_read_string(message, "", "authorization", JSON_OPTIONAL, 8192, &authorization,
                          &error) ||
        !json_read_string(message, "", "instanceId", JSON_OPTIONAL, 64, &instance, &error)) {
        method_fail(link, txn, NULL, error);
        return;
    }
    if (instance && !id_is_uuid(instance)) {
        problem_set_param(&error, PROBLEM_INVALID_MESSAGE, "/instanceId",
                          "instanceId is a UUID (RFC 4122)");
        method_fail(link, txn, NULL, error);
        return;
    }
    const char *bound = controller_link_identity(link);
    if (bound && g_ascii_strcasecmp(bound, identity) != 0) {
        problem_set(&error, PROBLEM_INVALID_STATE,
                    "this link belongs to another identity; open a new one");
        method_fail(link, txn, NULL, error);
        return;
    }
    if (type == 0 && !authorization) { /* RFC 6750 3: a request without credentials is challenged */
        problem_set(&error, PROBLEM_AUTHENTICATION_REQUIRED,
                    "authType \"bearer\" takes the token in `authorization`");
        link_fail(txn, error, json_pack("{s:s}", "wwwAuthenticate", "Bearer realm=\"wmcf\""));
        g_error_free(error);
        return;
    }
    if (!authenticate(wmcf, link, identity, authorization, type == 1)) {
        problem_set(&error, PROBLEM_AUTHENTICATION_FAILED,
                    "the identity or its credential is not right; see the [wsf] sections of the "
                    "media centre's configuration");
        log_warning((&(struct log_ids){.link = link_name(link)}),
                    "authentication of a WSF from %s failed", link_peer_address(link));
        link_auth_failed(link);
        method_fail(link, txn, NULL, error);
        return;
    }
    link_set_authenticated(link, identity);
    g_autofree char *own_instance = instance ? g_strdup(instance) : id_uuid();
    controller_attach(wmcf, link, identity, own_instance);
    json_t *members = service_state_json(wmcf);
    json_object_set_new(members, "instanceId", json_string(own_instance));
    json_object_set_new(members, "disconnectionTtl",
                        json_integer(conf_int(wmcf->conf, "control", "disconnection_ttl")));
    json_object_set_new(members, "keepAliveInterval",
                        json_integer(conf_int(wmcf->conf, "control", "keepalive")));
    link_succeed(txn, members);
}
