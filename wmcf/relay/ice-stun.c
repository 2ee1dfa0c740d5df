/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing, integrity and replies are libnice's STUN library; which leg a request is for, what ICE
 * demands beyond STUN, and how much attention strangers get is decided here. An agent needs only
 * its own password to answer, so requests that come before the remote description are answered
 * too. The library's list of questions asked is short and shared, so each leg remembers its own,
 * and one is put on the list only for the moment in which its answer is judged. */
#include "wmcf/relay/ice-stun.h"

#include "base/ids.h"

#include <stun/stunagent.h>
#include <string.h>

struct ice_server {
    StunAgent agent;
    GHashTable *by_ufrag;
    guint rate;
    struct ice_budget unknown;
};

static const uint16_t known_attributes[] = {STUN_ATTRIBUTE_USERNAME,
                                            STUN_ATTRIBUTE_MESSAGE_INTEGRITY,
                                            STUN_ATTRIBUTE_ERROR_CODE,
                                            STUN_ATTRIBUTE_UNKNOWN_ATTRIBUTES,
                                            STUN_ATTRIBUTE_REALM,
                                            STUN_ATTRIBUTE_NONCE,
                                            STUN_ATTRIBUTE_MAPPED_ADDRESS,
                                            STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS,
                                            STUN_ATTRIBUTE_PRIORITY,
                                            STUN_ATTRIBUTE_USE_CANDIDATE,
                                            0};

struct ice_credentials *ice_credentials_new(const char *ufrag, const char *pwd, enum ice_role role,
                                            void *owner)
{
    struct ice_credentials *credentials = g_new0(struct ice_credentials, 1);
    g_strlcpy(credentials->ufrag, ufrag, sizeof credentials->ufrag);
    g_strlcpy(credentials->pwd, pwd, sizeof credentials->pwd);
    credentials->role = role;
    credentials->owner = owner;
    id_random(&credentials->tie_breaker, sizeof credentials->tie_breaker);
    return credentials;
}

void ice_credentials_free(struct ice_credentials *credentials)
{
    if (credentials)
        explicit_bzero(credentials, sizeof *credentials);
    g_free(credentials);
}

struct ice_server *ice_server_new(guint unknown_rate)
{
    struct ice_server *server = g_new0(struct ice_server, 1);
    stun_agent_init(&server->agent, known_attributes, STUN_COMPATIBILITY_RFC5389,
                    STUN_AGENT_USAGE_SHORT_TERM_CREDENTIALS | STUN_AGENT_USAGE_USE_FINGERPRINT);
    server->by_ufrag = g_hash_table_new(g_str_hash, g_str_equal);
    server->rate = unknown_rate;
    return server;
}

void ice_server_free(struct ice_server *server)
{
    if (!server)
        return;
    g_hash_table_destroy(server->by_ufrag);
    g_free(server);
}

void ice_server_add(struct ice_server *server, struct ice_credentials *credentials)
{
    /* Of two with one name the later counts, and the key is the name in it. */
    g_hash_table_replace(server->by_ufrag, credentials->ufrag, credentials);
}

void ice_server_remove(struct ice_server *server, struct ice_credentials *credentials)
{
    if (g_hash_table_lookup(server->by_ufrag, credentials->ufrag) == credentials)
        g_hash_table_remove(server->by_ufrag, credentials->ufrag);
}

/* The leg whose ufrag is the part of USERNAME before the colon (RFC 8445 7.2.2). */
static struct ice_credentials *find(struct ice_server *server, const uint8_t *username,
                                    size_t length)
{
    const uint8_t *colon = username ? memchr(username, ':', length) : NULL;
    char ufrag[257];
    if (!colon || (size_t)(colon - username) >= sizeof ufrag)
        return NULL;
    memcpy(ufrag, username, (size_t)(colon - username));
    ufrag[colon - username] = '\0';
    return g_hash_table_lookup(server->by_ufrag, ufrag);
}

static bool remote_matches(const struct ice_credentials *credentials, const uint8_t *username,
                           size_t length)
{
    if (!credentials->remote_ufrag[0])
        return true;
    size_t local = strlen(credentials->ufrag), remote = strlen(credentials->remote_ufrag);
    return length == local + 1 + remote &&
           memcmp(username + local + 1, credentials->remote_ufrag, remote) == 0;
}

static bool validate(StunAgent *agent, StunMessage *message, uint8_t *username,
                     uint16_t username_length, uint8_t **password, size_t *password_length,
                     void *data)
{
    struct ice_credentials *credentials = data;
    if (!credentials || !remote_matches(credentials, username, username_length))
        return false;
    *password = (uint8_t *)credentials->pwd;
    *password_length = strlen(credentials->pwd);
    return true;
}

static bool exhausted(struct ice_budget *budget, guint rate, gint64 now)
{
    if (now - budget->since >= G_USEC_PER_SEC) {
        budget->since = now;
        budget->spent = 0;
    }
    return budget->spent >= rate;
}

static bool reply_error(struct ice_server *server, StunMessage *request, StunError code,
                        struct ice_request *ret)
{
    StunMessage reply;
    if (stun_agent_init_error(&server->agent, &reply, ret->reply, sizeof ret->reply, request, code))
        ret->reply_length = stun_agent_finish_message(&server->agent, &reply, NULL, 0);
    return false;
}

static void reply_success(struct ice_server *server, StunMessage *request,
                          const union socket_address *source, struct ice_request *ret)
{
    StunMessage reply;
    struct sockaddr_storage mapped;
    socket_address_to_storage(source, &mapped);
    if (stun_agent_init_response(&server->agent, &reply, ret->reply, sizeof ret->reply, request) &&
        stun_message_append_xor_addr(&reply, STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS, &mapped,
                                     socket_address_length(source)) == STUN_MESSAGE_RETURN_SUCCESS)
        ret->reply_length = stun_agent_finish_message(&server->agent, &reply, NULL, 0);
}

void ice_credentials_switch_role(struct ice_credentials *credentials)
{
    credentials->role = credentials->role == ICE_CONTROLLING ? ICE_CONTROLLED : ICE_CONTROLLING;
    id_random(&credentials->tie_breaker, sizeof credentials->tie_breaker);
}

/* RFC 8445 7.3.1.1: who of two agents in one role keeps it. A lite agent is always controlled by a
 * full one. False: the endpoint must change. */
static bool settle_roles(struct ice_credentials *credentials, const StunMessage *request,
                         bool *ret_changed)
{
    bool controlling = credentials->role == ICE_CONTROLLING;
    uint64_t theirs = 0;
    if (stun_message_find64(
            request, controlling ? STUN_ATTRIBUTE_ICE_CONTROLLING : STUN_ATTRIBUTE_ICE_CONTROLLED,
            &theirs) != STUN_MESSAGE_RETURN_SUCCESS)
        return true;
    bool ours_is_larger = credentials->tie_breaker >= theirs;
    if (credentials->role == ICE_LITE || controlling == ours_is_larger)
        return false;
    credentials->role = controlling ? ICE_CONTROLLED : ICE_CONTROLLING;
    *ret_changed = true;
    return true;
}

bool ice_server_handle(struct ice_server *server, const uint8_t *message, size_t length,
                       const union socket_address *source, bool known_source, gint64 now,
                       struct ice_request *ret)
{
    ret->credentials = NULL;
    ret->use_candidate = ret->role_changed = false;
    ret->response = NULL;
    ret->reply_length = 0;
    if (stun_message_validate_buffer_length(message, length, true) != (int)length)
        return false;
    StunMessage request = {
        .agent = &server->agent, .buffer = (uint8_t *)message, .buffer_len = length};
    if (stun_message_get_method(&request) != STUN_BINDING)
        return false;
    switch (stun_message_get_class(&request)) {
    case STUN_INDICATION: /* RFC 8445 11: keeps a binding alive, is no consent */
        return true;
    case STUN_RESPONSE:
    case STUN_ERROR:
        ret->response = message + 8;
        return true;
    case STUN_REQUEST:
        break;
    }

    uint16_t name_length = 0;
    const uint8_t *name = stun_message_find(&request, STUN_ATTRIBUTE_USERNAME, &name_length);
    struct ice_credentials *credentials = find(server, name, name_length);
    /* Strangers share one budget, those who know a ufrag have that leg's: a flood of either kind
     * keeps nobody else from connecting. */
    struct ice_budget *budget = credentials ? &credentials->failures : &server->unknown;
    if ((!credentials || !known_source) && exhausted(budget, server->rate, now))
        return false;
    if (credentials && exhausted(&credentials->requests, ICE_REQUESTS_PER_SECOND, now))
        return false;
    StunValidationStatus status =
        stun_agent_validate(&server->agent, &request, message, length, validate, credentials);
    if (status != STUN_VALIDATION_SUCCESS)
        budget->spent++;
    if (credentials && (known_source || status == STUN_VALIDATION_SUCCESS))
        credentials->requests.spent++;
    switch (status) {
    case STUN_VALIDATION_SUCCESS:
        break;
    case STUN_VALIDATION_UNKNOWN_REQUEST_ATTRIBUTE: /* RFC 8489 6.3.1: 420 */
        ret->reply_length = stun_agent_build_unknown_attributes_error(
            &server->agent, &(StunMessage){0}, ret->reply, sizeof ret->reply, &request);
        return false;
    case STUN_VALIDATION_UNAUTHORIZED_BAD_REQUEST: /* RFC 8489 9.1.3: no USERNAME or integrity */
    case STUN_VALIDATION_BAD_REQUEST:
        return reply_error(server, &request, STUN_ERROR_BAD_REQUEST, ret);
    case STUN_VALIDATION_UNAUTHORIZED: /* RFC 8489 9.1.3: unknown USERNAME or wrong integrity */
        return reply_error(server, &request, STUN_ERROR_UNAUTHORIZED, ret);
    default:
        return false;
    }
    if (!settle_roles(credentials, &request, &ret->role_changed))
        return reply_error(server, &request, STUN_ERROR_ROLE_CONFLICT, ret);
    ret->credentials = credentials;
    if (stun_message_find32(&request, STUN_ATTRIBUTE_PRIORITY, &ret->priority) !=
        STUN_MESSAGE_RETURN_SUCCESS)
        ret->priority = 0;
    ret->use_candidate = stun_message_has_attribute(&request, STUN_ATTRIBUTE_USE_CANDIDATE);
    reply_success(server, &request, source, ret);
    return true;
}

size_t ice_server_ask(struct ice_server *server, const struct ice_credentials *credentials,
                      const struct ice_question *question, uint8_t out[ICE_CHECK_MAX],
                      uint8_t transaction[ICE_TRANSACTION])
{
    StunMessage request;
    StunTransactionId id;
    if (!credentials->remote_ufrag[0] || !credentials->remote_pwd[0])
        return 0;
    char name[sizeof credentials->ufrag + sizeof credentials->remote_ufrag];
    g_snprintf(name, sizeof name, "%s:%s", credentials->remote_ufrag, credentials->ufrag);
    if (!stun_agent_init_request(&server->agent, &request, out, ICE_CHECK_MAX, STUN_BINDING))
        return 0;
    if (question->again)
        memcpy(out + 8, transaction, ICE_TRANSACTION);
    stun_message_append_string(&request, STUN_ATTRIBUTE_USERNAME, name);
    stun_message_append32(&request, STUN_ATTRIBUTE_PRIORITY, question->priority);
    if (question->use_candidate)
        stun_message_append_flag(&request, STUN_ATTRIBUTE_USE_CANDIDATE);
    stun_message_append64(&request,
                          credentials->role == ICE_CONTROLLING ? STUN_ATTRIBUTE_ICE_CONTROLLING
                                                               : STUN_ATTRIBUTE_ICE_CONTROLLED,
                          credentials->tie_breaker);
    size_t length = stun_agent_finish_message(&server->agent, &request,
                                              (const uint8_t *)credentials->remote_pwd,
                                              strlen(credentials->remote_pwd));
    stun_message_id(&request, id);
    stun_agent_forget_transaction(&server->agent, id);
    memcpy(transaction, id + 4, ICE_TRANSACTION);
    return length;
}

enum ice_answer ice_server_judge(struct ice_server *server,
                                 const struct ice_credentials *credentials, const uint8_t *message,
                                 size_t length)
{
    uint8_t buffer[64];
    StunTransactionId id;
    StunMessage question, answer;
    int code = 0;
    memcpy(id, message + 4, sizeof id);
    if (!stun_agent_init_request(&server->agent, &question, buffer, sizeof buffer, STUN_BINDING))
        return ICE_ANSWER_FORGED;
    memcpy(buffer + 4, id, sizeof id);
    if (!stun_agent_finish_message(&server->agent, &question,
                                   (const uint8_t *)credentials->remote_pwd,
                                   strlen(credentials->remote_pwd)))
        return ICE_ANSWER_FORGED;
    StunValidationStatus status =
        stun_agent_validate(&server->agent, &answer, message, length, NULL, NULL);
    stun_agent_forget_transaction(&server->agent, id);
    if (status != STUN_VALIDATION_SUCCESS && status != STUN_VALIDATION_UNKNOWN_ATTRIBUTE)
        return ICE_ANSWER_FORGED;
    if (stun_message_get_class(&answer) == STUN_ERROR) {
        stun_message_find_error(&answer, &code);
        return code == STUN_ERROR_ROLE_CONFLICT ? ICE_ANSWER_CONFLICT : ICE_ANSWER_REFUSED;
    }
    return status == STUN_VALIDATION_SUCCESS ? ICE_ANSWER_GOOD : ICE_ANSWER_REFUSED;
}
