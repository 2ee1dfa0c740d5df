/* SPDX-License-Identifier: Apache-2.0 */
/* ICE for a generated leg. One component, one local host candidate; a check per remote candidate
 * with its own retransmission, regular nomination of the first that answers, consent every few
 * seconds on the nominated pair. STUN messages are made and checked by libnice's STUN library; the
 * state machine is ours and takes the time as a parameter. */
#include "tests/support/peer/ice.h"

#include <stdlib.h>
#include <string.h>

#define CHECK_TRIES 7
#define CHECK_RTO_US 100000
#define CONSENT_INTERVAL_US 2500000 /* as browsers do; RFC 7675 5.1 says every 5 s */
#define CONSENT_TIMEOUT_US 30000000
#define FAIL_AFTER_US 20000000

static const guint16 known_attributes[] = {STUN_ATTRIBUTE_USERNAME,
                                           STUN_ATTRIBUTE_MESSAGE_INTEGRITY,
                                           STUN_ATTRIBUTE_ERROR_CODE,
                                           STUN_ATTRIBUTE_UNKNOWN_ATTRIBUTES,
                                           STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS,
                                           STUN_ATTRIBUTE_PRIORITY,
                                           STUN_ATTRIBUTE_USE_CANDIDATE,
                                           STUN_ATTRIBUTE_ICE_CONTROLLED,
                                           STUN_ATTRIBUTE_ICE_CONTROLLING,
                                           STUN_ATTRIBUTE_FINGERPRINT,
                                           0};

static void random_chars(char *out, gsize n)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (gsize i = 0; i < n; i++)
        out[i] = alphabet[g_random_int() & 63];
    out[n] = 0;
}

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family)
        return false;
    if (a->ss_family == AF_INET) {
        const struct sockaddr_in *x = (const void *)a, *y = (const void *)b;
        return x->sin_port == y->sin_port && x->sin_addr.s_addr == y->sin_addr.s_addr;
    }
    const struct sockaddr_in6 *x = (const void *)a, *y = (const void *)b;
    return x->sin6_port == y->sin6_port && !memcmp(&x->sin6_addr, &y->sin6_addr, 16);
}

void peer_ice_init(struct peer_ice *ice, bool lite, const struct peer_faults *faults,
                   const struct peer_ice_ops *ops, void *user)
{
    memset(ice, 0, sizeof *ice);
    ice->lite = lite;
    ice->faults = faults;
    ice->ops = ops;
    ice->user = user;
    ice->selected = -1;
    ice->tie_breaker = (guint64)g_random_int() << 32 | g_random_int();
    stun_agent_init(&ice->agent, known_attributes, STUN_COMPATIBILITY_RFC5389,
                    STUN_AGENT_USAGE_SHORT_TERM_CREDENTIALS | STUN_AGENT_USAGE_USE_FINGERPRINT);
    peer_ice_restart(ice);
}

void peer_ice_restart(struct peer_ice *ice)
{
    random_chars(ice->local_ufrag, 8);
    random_chars(ice->local_pwd, 24);
}

static void forget(struct peer_ice *ice, struct peer_ice_pair *pair)
{
    if (pair->outstanding)
        stun_agent_forget_transaction(&ice->agent, pair->transaction);
    pair->outstanding = false;
}

static int find_pair(const struct peer_ice *ice, const struct sockaddr_storage *remote)
{
    for (guint i = 0; i < ice->n_pairs; i++)
        if (same_address(&ice->pairs[i].remote, remote))
            return (int)i;
    return -1;
}

static int add_pair(struct peer_ice *ice, const struct sockaddr_storage *remote, gint64 now)
{
    if (ice->n_pairs == PEER_ICE_PAIRS)
        return -1;
    struct peer_ice_pair *pair = &ice->pairs[ice->n_pairs];
    memset(pair, 0, sizeof *pair);
    pair->remote = *remote;
    pair->next_us = now;
    return (int)ice->n_pairs++;
}

void peer_ice_start(struct peer_ice *ice, gint64 now, bool controlling, const char *remote_ufrag,
                    const char *remote_pwd, const struct sockaddr_storage *candidates, guint n)
{
    for (guint i = 0; i < ice->n_pairs; i++)
        forget(ice, &ice->pairs[i]);
    /* RFC 8445 9: the pair in use goes on until the new check list has nominated one */
    ice->n_pairs = 0;
    if (ice->selected >= 0) {
        struct sockaddr_storage used = ice->pairs[ice->selected].remote;
        ice->selected = add_pair(ice, &used, now);
    }
    g_strlcpy(ice->remote_ufrag, remote_ufrag, sizeof ice->remote_ufrag);
    g_strlcpy(ice->remote_pwd, remote_pwd, sizeof ice->remote_pwd);
    ice->controlling = controlling && !ice->lite;
    ice->started = true;
    ice->connected = ice->failed = false;
    ice->deadline_us = now + FAIL_AFTER_US;
    for (guint i = 0; i < n; i++)
        if (find_pair(ice, &candidates[i]) < 0)
            add_pair(ice, &candidates[i], now + i * 5000);
}

const struct sockaddr_storage *peer_ice_remote(const struct peer_ice *ice)
{
    if (ice->selected >= 0)
        return &ice->pairs[ice->selected].remote;
    return ice->n_pairs ? &ice->pairs[0].remote : NULL;
}

static void select_pair(struct peer_ice *ice, int index, gint64 now)
{
    bool changed = !ice->connected || ice->selected != index;
    ice->selected = index;
    ice->connected = true;
    ice->last_consent_us = now;
    ice->pairs[index].next_us = now + CONSENT_INTERVAL_US;
    if (changed)
        ice->ops->nominated(&ice->pairs[index].remote, ice->user);
}

/* --- our checks ------------------------------------------------------------------------------ */

static void send_check(struct peer_ice *ice, struct peer_ice_pair *pair, bool nominate, gint64 now)
{
    StunMessage message;
    g_autofree char *username = g_strdup_printf("%s:%s", ice->remote_ufrag, ice->local_ufrag);
    forget(ice, pair);
    stun_agent_init_request(&ice->agent, &message, pair->request, sizeof pair->request,
                            STUN_BINDING);
    stun_message_append32(&message, STUN_ATTRIBUTE_PRIORITY,
                          1862270975); /* prflx, RFC 8445 7.1.1 */
    stun_message_append64(
        &message, ice->controlling ? STUN_ATTRIBUTE_ICE_CONTROLLING : STUN_ATTRIBUTE_ICE_CONTROLLED,
        ice->tie_breaker);
    if (nominate)
        stun_message_append_flag(&message, STUN_ATTRIBUTE_USE_CANDIDATE);
    stun_message_append_string(&message, STUN_ATTRIBUTE_USERNAME, username);
    const char *key =
        ice->faults->wrong_ice_password ? "wrongwrongwrongwrongwrong" : ice->remote_pwd;
    pair->request_length =
        stun_agent_finish_message(&ice->agent, &message, (const guint8 *)key, strlen(key));
    stun_message_id(&message, pair->transaction);
    pair->outstanding = pair->request_length > 0;
    pair->nominating = nominate;
    pair->tries = 1;
    pair->next_us = now + CHECK_RTO_US;
    if (pair->state == PAIR_WAITING)
        pair->state = PAIR_CHECKING;
    ice->ops->send(&pair->remote, pair->request, pair->request_length, ice->user);
}

static void repeat_check(struct peer_ice *ice, struct peer_ice_pair *pair, gint64 now)
{
    if (pair->tries >= CHECK_TRIES) {
        forget(ice, pair);
        if (pair->state != PAIR_VALID)
            pair->state = PAIR_FAILED;
        pair->next_us = now + CONSENT_INTERVAL_US;
        return;
    }
    ice->ops->send(&pair->remote, pair->request, pair->request_length, ice->user);
    pair->next_us = now + (CHECK_RTO_US << MIN(pair->tries, 4u));
    pair->tries++;
}

static void tick_pair(struct peer_ice *ice, guint index, gint64 now)
{
    struct peer_ice_pair *pair = &ice->pairs[index];
    bool selected = ice->connected && (int)index == ice->selected;
    if (pair->outstanding)
        repeat_check(ice, pair, now);
    else if (selected && !ice->faults->no_consent)
        send_check(ice, pair, ice->controlling && !ice->faults->no_nomination, now);
    else if (!ice->connected && pair->state == PAIR_WAITING)
        send_check(ice, pair, false, now);
    else
        pair->next_us = now + CONSENT_INTERVAL_US;
}

static void fail(struct peer_ice *ice, const char *reason)
{
    ice->failed = true;
    ice->ops->failed(reason, ice->user);
}

gint64 peer_ice_tick(struct peer_ice *ice, gint64 now)
{
    if (!ice->started || ice->failed)
        return G_MAXINT64;
    if (!ice->connected && now >= ice->deadline_us) {
        fail(ice, "no candidate pair was nominated");
        return G_MAXINT64;
    }
    gint64 next = ice->connected ? G_MAXINT64 : ice->deadline_us;
    if (ice->lite || ice->faults->no_checks || ice->faults->dtls_before_ice)
        return next;
    if (ice->connected && !ice->faults->no_consent &&
        now - ice->last_consent_us > CONSENT_TIMEOUT_US) {
        fail(ice, "consent expired");
        return G_MAXINT64;
    }
    for (guint i = 0; i < ice->n_pairs; i++) {
        if (now >= ice->pairs[i].next_us)
            tick_pair(ice, i, now);
        next = MIN(next, ice->pairs[i].next_us);
    }
    return next;
}

static void on_response(struct peer_ice *ice, gint64 now, const struct sockaddr_storage *from,
                        const StunMessage *message)
{
    StunTransactionId id;
    stun_message_id(message, id);
    struct peer_ice_pair *pair = NULL;
    for (guint i = 0; i < ice->n_pairs && !pair; i++)
        if (ice->pairs[i].outstanding && !memcmp(ice->pairs[i].transaction, id, sizeof id))
            pair = &ice->pairs[i];
    if (!pair)
        return;
    pair->outstanding = false; /* the agent has forgotten it by itself */
    if (stun_message_get_class(message) == STUN_ERROR) {
        int code = 0;
        stun_message_find_error(message, &code);
        ice->rejected++;
        if (code == STUN_ERROR_ROLE_CONFLICT) { /* RFC 8445 7.2.5.1 */
            ice->controlling = !ice->controlling;
            pair->state = PAIR_WAITING;
            pair->next_us = now;
        } else {
            pair->state = PAIR_FAILED;
        }
        return;
    }
    if (!same_address(from, &pair->remote)) { /* RFC 8445 7.2.5.2.1 */
        pair->state = PAIR_FAILED;
        return;
    }
    ice->responses_in++;
    pair->state = PAIR_VALID;
    pair->next_us = now + CONSENT_INTERVAL_US;
    int index = (int)(pair - ice->pairs);
    if (ice->connected && index == ice->selected) {
        /* spread by ±20 per cent, RFC 7675 5.1 */
        pair->next_us = now + CONSENT_INTERVAL_US / 10 * g_random_int_range(8, 13);
        ice->last_consent_us = now;
    } else if (pair->nominating || (pair->use_asked && !ice->controlling)) {
        select_pair(ice, index, now);
    } else if (ice->controlling && !ice->connected && !ice->faults->no_nomination) {
        send_check(ice, pair, true, now);
    }
}

/* --- the other side's checks ------------------------------------------------------------------ */

static bool on_validate(StunAgent *agent, StunMessage *message, uint8_t *username,
                        uint16_t username_length, uint8_t **password, size_t *password_length,
                        void *user)
{
    struct peer_ice *ice = user;
    gsize n = strlen(ice->local_ufrag);
    if (username_length <= n || memcmp(username, ice->local_ufrag, n) || username[n] != ':')
        return false;
    *password = (uint8_t *)ice->local_pwd;
    *password_length = strlen(ice->local_pwd);
    return true;
}

static bool role_conflict(struct peer_ice *ice, const StunMessage *request)
{
    guint64 theirs;
    if (ice->lite || !ice->started) /* not before the answer has told who is what */
        return false;
    if (ice->controlling && stun_message_find64(request, STUN_ATTRIBUTE_ICE_CONTROLLING, &theirs) ==
                                STUN_MESSAGE_RETURN_SUCCESS) { /* RFC 8445 7.3.1.1 */
        if (ice->tie_breaker >= theirs)
            return true;
        ice->controlling = false;
    } else if (!ice->controlling && stun_message_find64(request, STUN_ATTRIBUTE_ICE_CONTROLLED,
                                                        &theirs) == STUN_MESSAGE_RETURN_SUCCESS) {
        if (ice->tie_breaker < theirs)
            return true;
        ice->controlling = true;
    }
    return false;
}

static void on_request(struct peer_ice *ice, gint64 now, const struct sockaddr_storage *from,
                       const StunMessage *request)
{
    guint8 buffer[256];
    StunMessage response;
    ice->requests_in++;
    bool conflict = role_conflict(ice, request);
    if (conflict) {
        stun_agent_init_error(&ice->agent, &response, buffer, sizeof buffer, request,
                              STUN_ERROR_ROLE_CONFLICT);
    } else {
        stun_agent_init_response(&ice->agent, &response, buffer, sizeof buffer, request);
        stun_message_append_xor_addr(&response, STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS, from,
                                     from->ss_family == AF_INET ? sizeof(struct sockaddr_in)
                                                                : sizeof(struct sockaddr_in6));
    }
    gsize length = stun_agent_finish_message(&ice->agent, &response, (guint8 *)ice->local_pwd,
                                             strlen(ice->local_pwd));
    if (length)
        ice->ops->send(from, buffer, length, ice->user);
    if (conflict || !ice->started)
        return;
    int index = find_pair(ice, from);
    if (index < 0) { /* peer reflexive, RFC 8445 7.3.1.3 */
        index = add_pair(ice, from, now);
        if (index < 0)
            return;
    }
    struct peer_ice_pair *pair = &ice->pairs[index];
    bool use = stun_message_has_attribute(request, STUN_ATTRIBUTE_USE_CANDIDATE);
    if (ice->lite) {
        pair->state = PAIR_VALID;
        if (use)
            select_pair(ice, index, now);
        return;
    }
    if (pair->state == PAIR_FAILED) { /* triggered check */
        pair->state = PAIR_WAITING;
        pair->next_us = now;
    }
    if (use && !ice->controlling) {
        if (pair->state == PAIR_VALID)
            select_pair(ice, index, now);
        else
            pair->use_asked = true; /* our own check is still on its way */
    }
}

void peer_ice_input(struct peer_ice *ice, gint64 now, const struct sockaddr_storage *from,
                    const guint8 *data, gsize length)
{
    StunMessage message;
    StunValidationStatus status =
        stun_agent_validate(&ice->agent, &message, data, length, on_validate, ice);
    if (status != STUN_VALIDATION_SUCCESS) {
        ice->rejected++;
        return;
    }
    if (stun_message_get_method(&message) != STUN_BINDING)
        return;
    switch (stun_message_get_class(&message)) {
    case STUN_REQUEST:
        on_request(ice, now, from, &message);
        break;
    case STUN_RESPONSE:
    case STUN_ERROR:
        on_response(ice, now, from, &message);
        break;
    case STUN_INDICATION:
        break;
    }
}
