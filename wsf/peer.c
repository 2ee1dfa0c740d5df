/* SPDX-License-Identifier: Apache-2.0 */
/* The table of peers: configuration read once, and the state of each. A peer without a connection
 * is still known here, so routing can tell "no way" from "no way at the moment". All sessions hang
 * on the peer's registration, never on this object. */
#define LOG_CATEGORY "peer"
#include "wsf/peer.h"

#include "base/ids.h"
#include "base/log.h"
#include "base/metrics.h"
#include "wsf-link/ws-address.h"
#include "wsf/peer-link.h"
#include "wsf/wsf.h"

#include <string.h>

struct peer_table {
    struct wsf *wsf;
    GPtrArray *peers; /* struct peer, owned */
};

/* --- state ---------------------------------------------------------------------------------------
 */

static const char *const state_names[] = {"down", "connected", "registered", "lost", "stopped"};
static const guint8 state_next[] = {
    [PEER_DOWN] = 1 << PEER_AWAY | 1 << PEER_CONNECTED | 1 << PEER_UP | 1 << PEER_STOPPED,
    [PEER_CONNECTED] = 1 << PEER_UP | 1 << PEER_DOWN | 1 << PEER_AWAY | 1 << PEER_STOPPED,
    [PEER_UP] = 1 << PEER_DOWN | 1 << PEER_AWAY | 1 << PEER_STOPPED,
    [PEER_AWAY] = 1 << PEER_UP | 1 << PEER_DOWN | 1 << PEER_CONNECTED | 1 << PEER_STOPPED,
    [PEER_STOPPED] = 1 << PEER_DOWN | 1 << PEER_AWAY | 1 << PEER_UP,
};

const char *peer_state_name(enum peer_state state)
{
    return state < PEER_STATE_COUNT ? state_names[state] : "?";
}

static void count_state(const struct peer *peer)
{
    static struct metric *up, *states;
    if (!up) {
        up = metric_register(METRIC_GAUGE, "peer_up", NULL,
                             "Whether a content provider or another WSF is registered.",
                             "peer,kind");
        states = metric_register(METRIC_COUNTER, "peer_states", NULL,
                                 "States that a peer has entered.", "peer,state");
    }
    metric_set(up, peer->state == PEER_UP,
               (const char *const[]){peer->name, endpoint_kind_name(peer->kind)});
    metric_add(states, 1, (const char *const[]){peer->name, peer_state_name(peer->state)});
}

void peer_set_state(struct peer *peer, enum peer_state state, const char *reason)
{
    if (peer->state == state)
        return;
    g_assert(state_next[peer->state] & (1 << state));
    struct log_ids ids = {.link = peer->name};
    log_info(&ids, "%s %s -> %s (%s)", endpoint_kind_name(peer->kind), peer_state_name(peer->state),
             peer_state_name(state), reason);
    peer->state = state;
    count_state(peer);
}

void peer_registered(struct wsf *wsf, const struct endpoint *endpoint)
{
    struct peer *peer = peer_of(wsf, endpoint);
    if (!peer)
        return;
    peer->endpoint = endpoint->number;
    peer_set_state(peer, PEER_UP, endpoint->dialed ? "we are registered there" : "it is here");
}

void peer_lost(struct wsf *wsf, const struct endpoint *endpoint)
{
    struct peer *peer = peer_of(wsf, endpoint);
    if (peer)
        peer_set_state(peer, PEER_AWAY, "connection lost");
}

void peer_removed(struct wsf *wsf, const struct endpoint *endpoint)
{
    struct peer *peer = peer_of(wsf, endpoint);
    if (!peer || peer->endpoint != endpoint->number)
        return;
    peer->endpoint = 0;
    if (peer->link)
        peer_link_unhurry(peer->link);
    /* A new connection that is already authenticating goes on. */
    if (peer->state == PEER_UP || peer->state == PEER_AWAY)
        peer_set_state(peer, PEER_DOWN, "registration ended");
}

/* --- questions -----------------------------------------------------------------------------------
 */

static bool in_list(char *const *list, const char *realm)
{
    for (guint i = 0; list && list[i]; i++)
        if (strcmp(list[i], "*") == 0 || strcmp(list[i], realm) == 0)
            return true;
    return false;
}

bool peer_trusts_realm(const struct peer *peer, const char *realm)
{
    return in_list(peer->trusted_realms, realm);
}

bool peer_serves_realm(const struct peer *peer, const char *realm)
{
    return in_list(peer->realms, realm);
}

const GPtrArray *peer_table_all(const struct peer_table *table)
{
    return table->peers;
}

struct peer *peer_table_find(const struct peer_table *table, const char *name)
{
    for (guint i = 0; i < table->peers->len; i++) {
        struct peer *peer = g_ptr_array_index(table->peers, i);
        if (strcmp(peer->name, name) == 0)
            return peer;
    }
    return NULL;
}

struct peer *peer_table_identity(const struct peer_table *table, const char *webrtc_id)
{
    for (guint i = 0; i < table->peers->len; i++) {
        struct peer *peer = g_ptr_array_index(table->peers, i);
        if (strcmp(peer->webrtc_id, webrtc_id) == 0)
            return peer;
    }
    return NULL;
}

struct peer *peer_of(const struct wsf *wsf, const struct endpoint *endpoint)
{
    return endpoint->peer ? peer_table_find(wsf->peers, endpoint->peer) : NULL;
}

static bool shows_name(const struct link *link, const char *name)
{
    const char *const *names = link_peer_certificate_names(link);
    for (guint i = 0; names && names[i]; i++)
        if (g_ascii_strcasecmp(names[i], name) == 0)
            return true;
    return false;
}

bool peer_may_register(const struct peer *peer, const struct link *link, const char *type,
                       GError **error)
{
    bool loopback = ws_address_text_is_loopback(link_peer_address(link));
    const char *refusal = NULL;
    if (peer->url)
        refusal = "this peer is dialled from here and has not to dial us";
    else if (strcmp(type, "reauth") != 0 && !g_strv_contains(peer->auth, type))
        refusal = "this kind of authentication is not agreed with the peer";
    else if (peer->kind == ENDPOINT_OPERATOR && !loopback &&
             !shows_name(link, peer->certificate_name))
        refusal = "another operator must show its client certificate (mutual TLS)";
    if (refusal)
        problem_set(error, PROBLEM_AUTHENTICATION_FAILED, "%s", refusal);
    return !refusal;
}

/* --- configuration -------------------------------------------------------------------------------
 */

static void peer_free(struct peer *peer)
{
    if (!peer)
        return;
    peer_link_free(peer->link);
    g_free(peer->name);
    g_free(peer->webrtc_id);
    g_free(peer->identity);
    g_strfreev(peer->realms);
    g_strfreev(peer->trusted_realms);
    g_free(peer);
}

static char **lower_list(const char *const *list)
{
    GPtrArray *lower = g_ptr_array_new();
    for (guint i = 0; list && list[i]; i++)
        g_ptr_array_add(lower, g_ascii_strdown(list[i], -1));
    g_ptr_array_add(lower, NULL);
    return (char **)g_ptr_array_free(lower, FALSE);
}

static void read_limits(const struct wsf *wsf, struct peer *peer)
{
    const struct conf *conf = wsf->conf;
    bool is_wsf = peer->kind != ENDPOINT_PROVIDER;
    peer->limits = link_limits_trusted;
    peer->limits.message_max = wsf->limits.message_max;
    peer->limits.message_max_unauth = wsf->limits.message_max_unauth;
    peer->limits.auth_timeout_ms = wsf->limits.auth_timeout_ms;
    peer->limits.auth_failures_max = wsf->limits.auth_failures_max;
    peer->limits.rate_unauth = wsf->limits.rate_unauth;
    peer->limits.rate = conf_int(conf, peer->section, "request_rate");
    peer->limits.burst = 2 * peer->limits.rate;
    peer->limits.keepalive_ms = conf_int(conf, peer->section, "keepalive") * 1000;
    /* A2: a WSF waits longer for another WSF, which waits for its own client meanwhile. */
    peer->limits.response_timeout_ms = is_wsf
                                           ? conf_int(conf, "limits", "peer_response_time") * 1000
                                           : wsf->limits.response_timeout_ms;
    peer->keepalive_ms = peer->limits.keepalive_ms;
    peer->calls_max = conf_int(conf, peer->section, "calls_max");
    peer->expiration_s = conf_int(conf, peer->section, "expiration");
    peer->ttl_s = conf_int(conf, peer->section, "disconnection_ttl");
}

static enum endpoint_kind kind_of(const char *word)
{
    return strcmp(word, "provider") == 0   ? ENDPOINT_PROVIDER
           : strcmp(word, "operator") == 0 ? ENDPOINT_OPERATOR
                                           : ENDPOINT_WSF;
}

static void read_realms(const struct conf *conf, struct peer *peer)
{
    static const char *const all[] = {"*", NULL};
    const char *const *trusted = conf_list(conf, peer->section, "trusted_realms");
    const char *const *realms = conf_list(conf, peer->section, "realms");
    peer->realms = lower_list(realms);
    /* The own network is trusted as a whole. */
    if (!trusted)
        trusted = peer->kind == ENDPOINT_WSF ? all : realms;
    peer->trusted_realms = lower_list(trusted);
}

static bool read_identities(const struct wsf *wsf, struct peer *peer, const char *identity,
                            GError **error)
{
    const struct conf *conf = wsf->conf;
    const char *theirs = conf_string(conf, peer->section, "webrtc_id");
    const char *ours = conf_string(conf, peer->section, "identity");
    const char *realm = peer->realms[0] && *peer->realms[0] != '*' ? peer->realms[0] : NULL;
    g_autofree char *by_realm = realm ? g_strconcat("wsf@", realm, NULL) : NULL;
    peer->identity = registrar_normalise(ours ? ours : identity);
    peer->webrtc_id = registrar_normalise(theirs ? theirs : by_realm ? by_realm : "");
    if (peer->identity && peer->webrtc_id)
        return true;
    problem_set(error, PROBLEM_INVALID_MESSAGE,
                "[%s] needs webrtc_id, user@realm, or realms; identity, when set, is user@realm "
                "too",
                peer->section);
    return false;
}

static bool check_peer(const struct wsf *wsf, const struct peer *peer, GError **error)
{
    const struct conf *conf = wsf->conf;
    bool certificate = conf_string(conf, peer->section, "tls_certificate") &&
                       conf_string(conf, peer->section, "tls_key");
    g_autoptr(GUri) uri = peer->url ? g_uri_parse(peer->url, G_URI_FLAGS_NONE, NULL) : NULL;
    const char *host = uri ? g_uri_get_host(uri) : NULL;
    bool loopback = host && ws_address_text_is_loopback(host);
    if (peer->kind != ENDPOINT_WSF && peer_serves_realm(peer, wsf->realm) &&
        g_strv_contains((const char *const *)peer->realms, wsf->realm)) {
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "[%s] realms must not name the own realm; another WSF of it is kind = wsf",
                    peer->section);
    } else if (peer->url && peer->kind == ENDPOINT_OPERATOR && !certificate && !loopback) {
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "[%s] needs tls_certificate and tls_key: towards another operator both sides "
                    "show certificates",
                    peer->section);
    } else {
        return true;
    }
    return false;
}

static struct peer *read_peer(struct peer_table *table, const char *section, const char *identity,
                              GError **error)
{
    struct wsf *wsf = table->wsf;
    const struct conf *conf = wsf->conf;
    struct peer *peer = g_new0(struct peer, 1);
    char *own = conf_instance_name(section);
    peer->name = own ? own : g_strdup(section);
    peer->section = section;
    peer->kind = kind_of(conf_string(conf, section, "kind"));
    peer->url = conf_string(conf, section, "url");
    peer->auth = conf_list(conf, section, "auth");
    peer->transit = conf_bool(conf, section, "transit");
    peer->refuse_untrusted =
        strcmp(conf_string(conf, section, "untrusted_identity"), "refuse") == 0;
    read_realms(conf, peer);
    read_limits(wsf, peer);
    if (!read_identities(wsf, peer, identity, error) || !check_peer(wsf, peer, error)) {
        peer_free(peer);
        return NULL;
    }
    const char *name = conf_string(conf, section, "certificate_name");
    peer->certificate_name = name ? name : peer->webrtc_id;
    if (!peer_table_identity(table, peer->webrtc_id))
        return peer;
    problem_set(error, PROBLEM_INVALID_MESSAGE, "[%s] webrtc_id %s is another peer's", section,
                peer->webrtc_id);
    peer_free(peer);
    return NULL;
}

struct peer_table *peer_table_new(struct wsf *wsf, const char *identity, GError **error)
{
    struct peer_table *table = g_new0(struct peer_table, 1);
    table->wsf = wsf;
    table->peers = g_ptr_array_new_with_free_func((GDestroyNotify)peer_free);
    const char *const *sections = conf_instances(wsf->conf, "peer*");
    for (guint i = 0; sections && sections[i]; i++) {
        struct peer *peer = read_peer(table, sections[i], identity, error);
        if (!peer) {
            peer_table_free(table);
            return NULL;
        }
        count_state(peer);
        g_ptr_array_add(table->peers, peer);
    }
    return table;
}

void peer_table_free(struct peer_table *table)
{
    if (!table)
        return;
    g_ptr_array_unref(table->peers);
    g_free(table);
}

/* Registrations from before a restart find their peers again; one whose peer is not configured any
 * more is over. */
static void adopt_restored(struct peer_table *table)
{
    struct registrar *registrar = table->wsf->registrar;
    g_autoptr(GPtrArray) all = registrar_all(registrar);
    for (guint i = 0; i < all->len; i++) {
        struct endpoint *endpoint = g_ptr_array_index(all, i);
        struct peer *peer = peer_of(table->wsf, endpoint);
        bool same = peer && peer->kind == endpoint->kind && endpoint->dialed == !!peer->url &&
                    strcmp(peer->webrtc_id, endpoint->webrtc_id) == 0;
        if (same) {
            peer->endpoint = endpoint->number;
            peer_set_state(peer, PEER_AWAY, "restored");
        } else if (endpoint_is_server(endpoint)) {
            registrar_remove(registrar, endpoint, REGISTRAR_DEREGISTERED);
        }
    }
}

bool peer_table_start(struct peer_table *table, GError **error)
{
    adopt_restored(table);
    for (guint i = 0; i < table->peers->len; i++) {
        struct peer *peer = g_ptr_array_index(table->peers, i);
        if (peer->url && !(peer->link = peer_link_new(table->wsf, peer, error)))
            return false;
    }
    return true;
}

void peer_table_reload(struct peer_table *table)
{
    for (guint i = 0; i < table->peers->len; i++) {
        struct peer *peer = g_ptr_array_index(table->peers, i);
        if (peer->link && peer->state != PEER_UP && peer->state != PEER_CONNECTED)
            peer_link_retry(peer->link);
    }
}
