/* SPDX-License-Identifier: Apache-2.0 */
/* Our side of a connection that we open to a content provider or another WSF. It is a client of A1
 * and A6 in every respect: authenticates in the agreed way, refreshes before the expiry, comes back
 * with its credential after a loss, obeys the close codes. What happens on the connection once we
 * are registered is the business of client.c and the methods, the same as on one that was opened
 * towards us. */
#define LOG_CATEGORY "peer"
#include "wsf/peer-link.h"

#include "base/ids.h"
#include "base/log.h"
#include "wsf/auth-basic.h"
#include "wsf/call.h"
#include "wsf/client.h"
#include "wsf/identity.h"

#include <string.h>

#define BACKOFF_MIN_MS 1000     /* A1 */
#define HURRY_MAX_MS 5000       /* A1: while media sessions live */
#define REFRESH_RETRY_MS 5000   /* a refresh that got no answer */
#define EXPIRY_GRACE_S 10       /* the other side ends our registration, not this one */
#define EXPIRATION_DEFAULT 3600 /* A6, when the response tells none */

struct peer_link {
    struct wsf *wsf;
    struct peer *peer;
    struct link_limits limits;
    struct link_dialer *dialer;
    struct link *wire; /* NULL while there is no connection */
    char *instance_id;
    char *credential;   /* reAuthCredential, or NULL */
    bool challenged;    /* the peer has asked for Basic on this connection */
    bool by_credential; /* the authentication under way is a reauth */
    bool stopped;       /* the last close code forbids to come again */
    bool told_failure;  /* one warning per outage */
    struct loop_timer *refresh_timer, *redial_timer;
};

static struct log_ids ids_of(const struct peer_link *link)
{
    return (struct log_ids){.link = link->peer->name};
}

static void authenticate(struct peer_link *link);
static bool dial(struct peer_link *link, GError **error);

/* --- sessions after a loss -----------------------------------------------------------------------
 */

static void end_unknown(struct peer_link *link, const char *media_session_id)
{
    json_t *members = json_pack("{s:s, s:s, s:s}", "mediaSessionId", media_session_id, "cause",
                                disc_cause_name(DISC_PEER_LOST), "mediaSessionState",
                                session_state_name(SESSION_TERMINATED));
    link_request(link->wire, "mdisc", members, 0, NULL, NULL);
}

static void end_unlisted(struct wsf *wsf, struct leg *leg)
{
    g_autoptr(GError) error = NULL;
    problem_set(&error, PROBLEM_MEDIA_SESSION_GONE, "the peer no longer has the media session");
    if (leg->caller || leg == leg->session->winner)
        call_end(wsf, leg->session, DISC_PEER_LOST, error, leg, NULL);
    else
        call_branch_end(wsf, leg, DISC_PEER_LOST, error, true);
}

/* A6: a session that is not listed has ended; one that we no longer have we end. */
static void reconcile(struct peer_link *link, const struct endpoint *endpoint,
                      const json_t *sessions)
{
    struct wsf *wsf = link->wsf;
    g_autoptr(GHashTable) listed = g_hash_table_new(g_str_hash, g_str_equal);
    size_t i;
    json_t *item;
    json_array_foreach(sessions, i, item)
    {
        const char *id = json_string_value(json_object_get(item, "mediaSessionId"));
        const char *state = json_string_value(json_object_get(item, "mediaSessionState"));
        if (!id)
            continue;
        g_hash_table_add(listed, (gpointer)id);
        struct leg *leg = session_table_leg(wsf->sessions, id);
        bool over = g_strcmp0(state, session_state_name(SESSION_TERMINATED)) == 0;
        if (leg && leg->endpoint == endpoint->number && leg_is_live(leg))
            leg->acknowledged = true;
        else if (!over && !endpoint_find_ended(endpoint, id))
            end_unknown(link, id);
    }
    g_autoptr(GPtrArray) legs = session_table_legs_of(wsf->sessions, endpoint->number);
    for (guint l = 0; l < legs->len; l++) {
        struct leg *leg = g_ptr_array_index(legs, l);
        if (leg_is_live(leg) && leg->acknowledged &&
            !g_hash_table_contains(listed, leg->media_session_id))
            end_unlisted(wsf, leg);
    }
}

/* --- registration --------------------------------------------------------------------------------
 */

static gint64 seconds(const json_t *message, const char *name, gint64 otherwise)
{
    const json_t *value = json_object_get(message, name);
    return json_is_integer(value) ? CLAMP(json_integer_value(value), 0, G_MAXINT32) : otherwise;
}

static void keep_credential(struct peer_link *link, const json_t *message)
{
    const char *credential = json_string_value(json_object_get(message, "reAuthCredential"));
    const char *instance_id = json_string_value(json_object_get(message, "instanceId"));
    if (credential) {
        g_free(link->credential);
        link->credential = g_strdup(credential);
    }
    if (instance_id && id_is_uuid(instance_id)) {
        g_free(link->instance_id);
        link->instance_id = g_ascii_strdown(instance_id, -1);
    }
}

static void registered(struct peer_link *link, const json_t *message)
{
    struct wsf *wsf = link->wsf;
    struct client *client = link_data(link->wire);
    guint expiration = (guint)MAX(seconds(message, "expirationTime", EXPIRATION_DEFAULT), 1);
    gint64 keepalive = seconds(message, "keepAliveInterval", 0);
    bool refresh = client->endpoint != 0;
    keep_credential(link, message);
    const struct registration_request request = {
        .webrtc_id = link->peer->webrtc_id,
        .instance_id = link->instance_id,
        .link = link->wire,
        .address = link_peer_address(link->wire),
        .expiration_s = expiration + EXPIRY_GRACE_S,
        .ttl_s = (guint)seconds(message, "disconnectionTtl", link->peer->ttl_s),
        .kind = link->peer->kind,
        .peer = link->peer->name,
        .dialed = true,
        .extensions = json_object_get(message, "supportedExtension"),
    };
    struct link *superseded = NULL;
    bool known = false;
    g_autoptr(GError) error = NULL;
    struct endpoint *endpoint =
        registrar_register(wsf->registrar, &request, loop_now(), &superseded, &known, &error);
    struct log_ids ids = ids_of(link);
    if (!endpoint) {
        log_error(&ids, "peer not registered here: %s", error->message);
        link_close(link->wire, LINK_CLOSE_TRY_AGAIN, "no room");
        return;
    }
    client->endpoint = endpoint->number;
    link_set_authenticated(link->wire, identity_log(endpoint->webrtc_id));
    if (keepalive)
        link_set_keepalive(link->wire, (guint)MIN(keepalive, 3600) * 1000);
    link_dialer_set_backoff_max(link->dialer, 0);
    link->told_failure = false;
    loop_timer_start(link->refresh_timer, MAX(expiration * 800, 500)); /* at four fifths */
    peer_registered(wsf, endpoint);
    if (!refresh) {
        reconcile(link, endpoint, json_object_get(message, "mediaSessions"));
        client_resumed(wsf, endpoint);
    }
    wsf_schedule_registrations(wsf);
}

/* The peer will not have us: not the dialer's business, whose connection was fine. */
static void refused(struct peer_link *link, const GError *error)
{
    struct wsf *wsf = link->wsf;
    struct log_ids ids = ids_of(link);
    guint wait = MAX(problem_retry_after(error),
                     (guint)conf_int(wsf->conf, link->peer->section, "backoff_max"));
    struct client *client = link_data(link->wire);
    if (client->endpoint) {
        log_warning(&ids, "refresh of our registration refused: %s, trying again", error->message);
        loop_timer_start(link->refresh_timer,
                         MAX(problem_retry_after(error) * 1000, REFRESH_RETRY_MS));
        return;
    }
    if (!link->told_failure)
        log_error(&ids, "the peer refuses our registration: %s (%s); trying again every %u s",
                  error->message, problem_cause(problem_code(error)), wait);
    link->told_failure = true;
    struct link *wire = g_steal_pointer(&link->wire);
    client_closed(wsf, wire, LINK_CLOSE_NORMAL, "authentication failed");
    peer_set_state(link->peer, link->peer->endpoint ? PEER_AWAY : PEER_DOWN, "refused");
    g_clear_pointer(&link->dialer, link_dialer_free);
    loop_timer_start(link->redial_timer, wait * 1000);
}

static void on_auth(struct link *wire, const struct link_response *response, void *user)
{
    struct peer_link *link = user;
    const struct client *client = link_data(wire);
    if (response->success) {
        registered(link, response->message);
        return;
    }
    if (!response->message) {
        /* Lost: closed() follows. Silent: a refresh is tried again, a registration elsewhere. */
        if (client->endpoint)
            loop_timer_start(link->refresh_timer, REFRESH_RETRY_MS);
        else
            link_close(wire, LINK_CLOSE_TRY_AGAIN, "no answer to our authentication");
        return;
    }
    enum problem code = problem_code(response->error);
    const char *field = json_string_value(json_object_get(response->message, "wwwAuthenticate"));
    if (link->by_credential && problem_status(code) == 403) {
        g_clear_pointer(&link->credential, g_free); /* A6: full authentication */
        authenticate(link);
    } else if (code == PROBLEM_AUTHENTICATION_REQUIRED && !link->challenged && field &&
               g_ascii_strncasecmp(field, "Basic ", 6) == 0) {
        link->challenged = true; /* 6.3.2.6.x.1.1 step 2 */
        authenticate(link);
    } else {
        refused(link, response->error);
    }
}

/* authType and what belongs to it. */
static void add_credentials(struct peer_link *link, json_t *members)
{
    const struct conf *conf = link->wsf->conf;
    g_autoptr(GError) error = NULL;
    const char *type = "tls";
    link->by_credential = link->credential != NULL;
    if (link->by_credential) {
        type = "reauth";
        json_object_set_new(members, "reAuthCredential", json_string(link->credential));
    } else if (conf_string(conf, link->peer->section, "token_file")) {
        char *token = conf_secret(conf, link->peer->section, "token_file", &error);
        type = "bearer";
        if (token)
            json_object_set_new(members, "authorization", json_sprintf("Bearer %s", token));
        auth_secret_free(token);
    } else if (conf_string(conf, link->peer->section, "password_file")) {
        char *password = conf_secret(conf, link->peer->section, "password_file", &error);
        type = "basic";
        if (password && link->challenged) {
            char *pair = g_strdup_printf("%s:%s", link->peer->identity, password);
            char *coded = g_base64_encode((const guchar *)pair, strlen(pair));
            json_object_set_new(members, "authorization", json_sprintf("Basic %s", coded));
            auth_secret_free(coded);
            auth_secret_free(pair);
        }
        auth_secret_free(password);
    }
    json_object_set_new(members, "authType", json_string(type));
    struct log_ids ids = ids_of(link);
    if (error)
        log_error(&ids, "our credential towards the peer: %s", error->message);
}

static void authenticate(struct peer_link *link)
{
    const struct peer *peer = link->peer;
    json_t *members = json_pack("{s:s, s:s, s:i, s:i}", "webrtcId", peer->identity, "instanceId",
                                link->instance_id, "expirationTime", (int)peer->expiration_s,
                                "disconnectionTtl", (int)peer->ttl_s);
    json_t *extensions = client_extensions();
    if (json_array_size(extensions))
        json_object_set(members, "supportedExtension", extensions);
    json_decref(extensions);
    add_credentials(link, members);
    link_request(link->wire, "auth", members, 0, on_auth, link);
}

static void on_refresh(void *data)
{
    struct peer_link *link = data;
    if (!link->wire)
        return;
    /* What the registration rests on is shown anew: a token may have been replaced. */
    g_clear_pointer(&link->credential, g_free);
    authenticate(link);
}

/* --- connection ----------------------------------------------------------------------------------
 */

static void on_opened(struct link *wire, void *user)
{
    struct peer_link *link = user;
    link->wire = wire;
    link->challenged = false;
    client_opened(link->wsf, wire);
    /* A registration from before our restart is resumed under its own instanceId. */
    const struct endpoint *known = registrar_endpoint(link->wsf->registrar, link->peer->endpoint);
    if (known) {
        g_free(link->instance_id);
        link->instance_id = g_strdup(known->instance_id);
    }
    peer_set_state(link->peer, PEER_CONNECTED, "connected");
    authenticate(link);
}

static bool has_sessions(const struct peer_link *link)
{
    g_autoptr(GPtrArray) legs =
        link->peer->endpoint ? session_table_legs_of(link->wsf->sessions, link->peer->endpoint)
                             : NULL;
    return legs && legs->len > 0;
}

/* A1: while media sessions live the next attempts come sooner. */
static void hurry(struct peer_link *link)
{
    const struct endpoint *endpoint =
        registrar_endpoint(link->wsf->registrar, link->peer->endpoint);
    if (endpoint && has_sessions(link))
        link_dialer_set_backoff_max(link->dialer,
                                    MAX(MIN(HURRY_MAX_MS, endpoint->ttl_s * 1000 / 6), 100));
}

static void on_closed(struct link *wire, int code, const char *reason, void *user)
{
    struct peer_link *link = user;
    struct log_ids ids = ids_of(link);
    link->wire = NULL;
    loop_timer_stop(link->refresh_timer);
    link->stopped = code == LINK_CLOSE_NOT_AUTHENTICATED || code == LINK_CLOSE_SUPERSEDED;
    if (code == LINK_CLOSE_EXPIRED || code == LINK_CLOSE_NORMAL)
        g_clear_pointer(&link->credential, g_free);
    client_closed(link->wsf, wire, code, reason);
    if (link->stopped) {
        log_error(&ids,
                  "the peer has closed with %d (%s) and is not dialled again before a reload "
                  "(SIGHUP)",
                  code, reason ? reason : "");
        peer_set_state(link->peer, PEER_STOPPED, "the close code forbids to come again");
        return;
    }
    if (link->peer->state == PEER_CONNECTED)
        peer_set_state(link->peer, link->peer->endpoint ? PEER_AWAY : PEER_DOWN, "closed");
    hurry(link);
}

static void on_request(struct link *wire, struct link_transaction *transaction, void *user)
{
    client_request(wire, transaction);
}

static const struct link_ops peer_ops = {
    .opened = on_opened, .request = on_request, .closed = on_closed};

static void on_attempt_failed(const GError *error, guint next_attempt_ms, void *user)
{
    struct peer_link *link = user;
    struct log_ids ids = ids_of(link);
    if (!link->told_failure)
        log_warning(&ids, "peer cannot be reached: %s, trying on", error->message);
    link->told_failure = true;
}

static bool dial(struct peer_link *link, GError **error)
{
    const struct conf *conf = link->wsf->conf;
    const char *section = link->peer->section;
    const struct link_dialer_config config = {
        .url = link->peer->url,
        .protocol = &client_protocol,
        .limits = &link->limits,
        .ops = &peer_ops,
        .user = link,
        .tls_ca = conf_string(conf, section, "tls_ca"),
        .tls_certificate = conf_string(conf, section, "tls_certificate"),
        .tls_key = conf_string(conf, section, "tls_key"),
        .backoff_min_ms = BACKOFF_MIN_MS,
        .backoff_max_ms = conf_int(conf, section, "backoff_max") * 1000,
        .attempt_failed = on_attempt_failed,
    };
    link->dialer = link_dialer_new(link->wsf->links, &config, error);
    return link->dialer != NULL;
}

static void on_redial(void *data)
{
    struct peer_link *link = data;
    struct log_ids ids = ids_of(link);
    g_autoptr(GError) error = NULL;
    g_clear_pointer(&link->dialer, link_dialer_free);
    if (!dial(link, &error))
        log_error(&ids, "peer cannot be dialled: %s", error->message);
}

/* --- face ----------------------------------------------------------------------------------------
 */

struct peer_link *peer_link_new(struct wsf *wsf, struct peer *peer, GError **error)
{
    struct peer_link *link = g_new0(struct peer_link, 1);
    link->wsf = wsf;
    link->peer = peer;
    link->limits = peer->limits;
    link->limits.auth_timeout_ms = 0;
    link->instance_id = id_uuid();
    link->refresh_timer = loop_timer_new("peer refresh", on_refresh, link);
    link->redial_timer = loop_timer_new("peer redial", on_redial, link);
    if (dial(link, error))
        return link;
    g_prefix_error(error, "[%s] ", peer->section);
    peer_link_free(link);
    return NULL;
}

void peer_link_free(struct peer_link *link)
{
    if (!link)
        return;
    loop_timer_free(link->refresh_timer);
    loop_timer_free(link->redial_timer);
    link_dialer_free(link->dialer);
    g_free(link->instance_id);
    auth_secret_free(link->credential);
    g_free(link);
}

void peer_link_retry(struct peer_link *link)
{
    link->stopped = false;
    link->told_failure = false;
    peer_set_state(link->peer, link->peer->endpoint ? PEER_AWAY : PEER_DOWN, "reload");
    loop_timer_start(link->redial_timer, 1);
}

void peer_link_unhurry(struct peer_link *link)
{
    if (link->dialer)
        link_dialer_set_backoff_max(link->dialer, 0);
}
