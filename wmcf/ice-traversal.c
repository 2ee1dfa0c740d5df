/* SPDX-License-Identifier: Apache-2.0 */
/* Servers are read once at the start, since a name in them would have to be looked up by a thread
 * that must not wait; the secret of time-limited TURN credentials stays in memory. What an agent
 * tells goes to the relay leg, which then tells the termination as for any other. */
#define LOG_CATEGORY "ice"
#include "wmcf/ice-traversal.h"

#include "base/log.h"

#include <string.h>

struct ice_servers {
    struct traversal_server list[TRAVERSAL_SERVERS_MAX];
    gsize n;
    char *secret;          /* of time-limited credentials, or */
    char *user, *password; /* these */
    guint ttl;             /* s */
    bool tcp;
};

struct ice_traversal {
    struct traversal *agent;
    ice_traversal_fn waiting;
    void *user;
};

/* --- configuration ---------------------------------------------------------------------------- */

static bool read_servers(const struct conf *conf, struct ice_servers *servers, GError **error)
{
    const char *const *urls = conf_list(conf, "ice", "servers");
    for (guint i = 0; urls && urls[i]; i++) {
        g_autoptr(GError) reason = NULL;
        if (servers->n == TRAVERSAL_SERVERS_MAX) {
            problem_set(error, PROBLEM_INVALID_MESSAGE,
                        "ice.servers has more than %u servers; every termination would ask all",
                        TRAVERSAL_SERVERS_MAX);
            return false;
        }
        if (!traversal_server_parse(urls[i], &servers->list[servers->n++], &reason)) {
            problem_set(error, PROBLEM_INVALID_MESSAGE, "ice.servers: %s", reason->message);
            return false;
        }
    }
    return true;
}

static bool read_credentials(const struct conf *conf, struct ice_servers *servers, GError **error)
{
    g_autoptr(GError) reason = NULL;
    bool turn = false;
    for (gsize i = 0; i < servers->n; i++)
        turn |= servers->list[i].kind != TRAVERSAL_STUN;
    servers->user = g_strdup(conf_string(conf, "ice", "turn_user"));
    servers->secret = conf_secret(conf, "ice", "turn_secret_file", &reason);
    if (!reason)
        servers->password = conf_secret(conf, "ice", "turn_password_file", &reason);
    if (reason) {
        g_propagate_error(error, g_steal_pointer(&reason));
        return false;
    }
    if (!servers->user != !servers->password || (turn && !servers->user && !servers->secret)) {
        problem_set(error, PROBLEM_MISSING_PARAMETER,
                    "the TURN servers of ice.servers need ice.turn_secret_file, or ice.turn_user "
                    "and ice.turn_password_file");
        return false;
    }
    return true;
}

struct ice_servers *ice_servers_new(const struct conf *conf, GError **error)
{
    struct ice_servers *servers = g_new0(struct ice_servers, 1);
    servers->tcp = conf_bool(conf, "ice", "tcp");
    servers->ttl = conf_int(conf, "ice", "turn_ttl");
    if (read_servers(conf, servers, error) && read_credentials(conf, servers, error))
        return servers;
    ice_servers_free(servers);
    return NULL;
}

static void wipe(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    g_free(secret);
}

void ice_servers_free(struct ice_servers *servers)
{
    if (!servers)
        return;
    wipe(servers->secret);
    wipe(servers->password);
    g_free(servers->user);
    g_free(servers);
}

bool ice_traversal_possible(const struct wmcf *wmcf)
{
    return wmcf->ice_servers->n > 0 || wmcf->ice_servers->tcp;
}

/* --- from the agent --------------------------------------------------------------------------- */

static void answer(struct termination *t, const GError *error)
{
    ice_traversal_fn fn = t->traversal->waiting;
    t->traversal->waiting = NULL;
    if (fn)
        fn(t, error, t->traversal->user);
}

static void on_gathered(void *user)
{
    struct termination *t = user;
    if (t->context)
        answer(t, NULL);
}

static void on_connected(void *user, const struct sockaddr_storage *local,
                         const struct sockaddr_storage *remote)
{
    struct termination *t = user;
    if (t->context)
        relay_leg_tunnel_up(t->relay_leg, local, remote);
}

static void on_failed(void *user, const char *reason)
{
    struct termination *t = user;
    if (t->context)
        relay_leg_tunnel_down(t->relay_leg, reason);
}

static const struct traversal_ops ops = {on_gathered, on_connected, on_failed};

/* --- a termination's -------------------------------------------------------------------------- */

/* Username "expiry:name", password base64(HMAC-SHA1(secret, username)): the REST API for TURN. */
static void make_credentials(const struct ice_servers *servers, const char *name, char **ret_user,
                             char **ret_password)
{
    if (!servers->secret) {
        *ret_user = g_strdup(servers->user);
        *ret_password = g_strdup(servers->password);
        return;
    }
    guint8 digest[20];
    gsize length = sizeof digest;
    gint64 expiry = g_get_real_time() / G_USEC_PER_SEC + servers->ttl;
    *ret_user = g_strdup_printf("%" G_GINT64_FORMAT ":%s", expiry, name);
    GHmac *hmac = g_hmac_new(G_CHECKSUM_SHA1, (const guchar *)servers->secret,
                             (gssize)strlen(servers->secret));
    g_hmac_update(hmac, (const guchar *)*ret_user, -1);
    g_hmac_get_digest(hmac, digest, &length);
    g_hmac_unref(hmac);
    *ret_password = g_base64_encode(digest, length);
}

bool ice_traversal_begin(struct termination *t, int *ret_tunnel, GError **error)
{
    const struct conf *conf = t->wmcf->conf;
    const struct ice_servers *servers = t->wmcf->ice_servers;
    if (!ice_traversal_possible(t->wmcf)) {
        problem_set_param(error, PROBLEM_EXTENSION_NOT_SUPPORTED, "/iceMode",
                          "this media centre has neither ice.servers nor ice.tcp, which iceMode "
                          "\"traversal\" needs");
        return false;
    }
    gsize n = 0;
    const struct relay_address *bound = relay_addresses(t->wmcf->relay, &n);
    g_autofree struct traversal_address *addresses = g_new0(struct traversal_address, n);
    for (gsize i = 0; i < n; i++)
        addresses[i] = (struct traversal_address){bound[i].local, bound[i].advertised};
    g_autofree char *user = NULL;
    g_autofree char *password = NULL;
    make_credentials(servers, t->id, &user, &password);
    struct traversal_config config = {
        .addresses = addresses,
        .n_addresses = n,
        .servers = servers->list,
        .n_servers = servers->n,
        .turn_user = user,
        .turn_password = password,
        .tcp = servers->tcp,
        .port = conf_int(conf, "media", "full_port"),
        .ports = conf_int(conf, "limits", "full_ports"),
        .queue = conf_int(conf, "limits", "traversal_queue"),
        .connections = conf_int(conf, "limits", "tcp_connections"),
        .ufrag = t->ice_ufrag,
        .pwd = t->ice_pwd,
    };
    struct traversal *agent = traversal_new(&config, &ops, t, ret_tunnel, error);
    if (!agent)
        return false;
    t->traversal = g_new0(struct ice_traversal, 1);
    t->traversal->agent = agent;
    return true;
}

void ice_traversal_end(struct termination *t)
{
    if (!t->traversal)
        return;
    traversal_free(t->traversal->agent);
    g_clear_pointer(&t->traversal, g_free);
}

void ice_traversal_wait(struct termination *t, ice_traversal_fn fn, void *user)
{
    t->traversal->waiting = fn;
    t->traversal->user = user;
}

void ice_traversal_abandon(struct termination *t)
{
    g_autoptr(GError) error = NULL;
    if (!t->traversal || !t->traversal->waiting)
        return;
    problem_set(&error, PROBLEM_INVALID_STATE,
                "the termination was taken away before its candidates were gathered");
    answer(t, error);
}

const GArray *ice_traversal_candidates(const struct termination *t)
{
    return traversal_candidates(t->traversal->agent);
}

void ice_traversal_connect(struct termination *t, bool controlling)
{
    struct traversal_remote remote = {.ufrag = t->remote->ice_ufrag,
                                      .pwd = t->remote->ice_pwd,
                                      .local_ufrag = t->ice_ufrag,
                                      .local_pwd = t->ice_pwd,
                                      .controlling = controlling};
    traversal_set_remote(t->traversal->agent, &remote);
    for (guint i = 0; i < t->remote->candidates->len; i++)
        traversal_add_candidate(t->traversal->agent,
                                &g_array_index(t->remote->candidates, struct sdp_candidate, i));
    if (!t->remote->trickle || t->remote->end_of_candidates)
        ice_traversal_complete(t);
}

void ice_traversal_add_candidate(struct termination *t, const struct sdp_candidate *candidate)
{
    traversal_add_candidate(t->traversal->agent, candidate);
}

void ice_traversal_complete(struct termination *t)
{
    traversal_complete(t->traversal->agent);
}
