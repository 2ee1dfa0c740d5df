/* SPDX-License-Identifier: Apache-2.0 */
/* `getinfo` (6.3.2.6.x.5): what a client may know about the network, the server and itself. TURN
 * credentials are made on the spot for a limited time, so nothing secret is ever stored in a page.
 */
#define LOG_CATEGORY "getinfo"
#include "wsf-link/json-read.h"
#include "wsf/attributes.h"
#include "wsf/call.h"
#include "wsf/directory.h"
#include "wsf/methods/methods.h"

#include <string.h>

#define RESOURCES_MAX 32

/* Username "expiry:webrtcId", password base64(HMAC-SHA1(secret, username)): what coturn and others
 * call the REST API for TURN. */
static void add_turn_credential(const struct client *client, json_t *server)
{
    const struct conf *conf = client->wsf->conf;
    g_autoptr(GError) error = NULL;
    g_autofree char *secret = conf_secret(conf, "ice", "turn_secret_file", &error);
    if (!secret) {
        struct log_ids ids = {.link = link_name(client->link)};
        if (error)
            log_error(&ids, "TURN secret: %s, continuing without credential", error->message);
        return;
    }
    gint64 expiry = g_get_real_time() / G_USEC_PER_SEC + conf_int(conf, "ice", "turn_ttl");
    g_autofree char *username =
        g_strdup_printf("%" G_GINT64_FORMAT ":%s", expiry, client_endpoint(client)->webrtc_id);
    guint8 digest[20];
    gsize length = sizeof digest;
    GHmac *hmac = g_hmac_new(G_CHECKSUM_SHA1, (const guchar *)secret, strlen(secret));
    g_hmac_update(hmac, (const guchar *)username, strlen(username));
    g_hmac_get_digest(hmac, digest, &length);
    g_hmac_unref(hmac);
    g_autofree char *password = g_base64_encode(digest, length);
    json_object_set_new(server, "username", json_string(username));
    json_object_set_new(server, "credential", json_string(password));
}

static json_t *ice_servers(const struct client *client)
{
    json_t *list = json_array();
    const char *const *urls = conf_list(client->wsf->conf, "ice", "servers");
    for (guint i = 0; urls && urls[i]; i++) {
        json_t *server = json_pack("{s:[s]}", "urls", urls[i]);
        if (g_str_has_prefix(urls[i], "turn"))
            add_turn_credential(client, server);
        json_array_append_new(list, server);
    }
    return list;
}

static json_t *server_info(const struct client *client)
{
    const struct wsf *wsf = client->wsf;
    return json_pack("{s:s, s:s, s:s, s:s, s:b}", "name", "wsf", "version", WMCF_VERSION,
                     "protocol", "eirtcw.v1", "realm", wsf->realm, "draining", wsf->draining);
}

static json_t *registration(const struct client *client)
{
    const struct endpoint *endpoint = client_endpoint(client);
    gint64 left_us = endpoint->expires_at - loop_now();
    json_t *shown =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:i}", "webrtcId", endpoint->webrtc_id, "instanceId",
                  endpoint->instance_id, "kind", endpoint_kind_name(endpoint->kind), "address",
                  endpoint->address, "expirationTime", (json_int_t)MAX(left_us, 0) / G_USEC_PER_SEC,
                  "disconnectionTtl", (int)endpoint->ttl_s);
    if (endpoint->attributes)
        json_object_set(shown, "attributes", endpoint->attributes);
    return shown;
}

static json_t *media_sessions(const struct client *client)
{
    return client_media_sessions(client->wsf, client_endpoint(client));
}

static const struct {
    const char *name;
    json_t *(*make)(const struct client *client);
} table[] = {
    {"iceServers", ice_servers},
    {"mediaSessions", media_sessions},
    {"registration", registration},
    {"serverInfo", server_info},
};

static void answer_directory(const struct client *client, const json_t *match, json_t *resources)
{
    bool more = false;
    json_object_set_new(resources, "directory",
                        directory_find(client->wsf, client_endpoint(client), match, &more));
    if (more)
        json_object_set_new(resources, "directoryIncomplete", json_true());
}

/* All when `name` is NULL. */
static bool answer_one(const struct client *client, const char *name, const json_t *match,
                       json_t *resources)
{
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        if (!name || strcmp(name, table[i].name) == 0) {
            json_object_set_new(resources, table[i].name, table[i].make(client));
            if (name)
                return true;
        }
    if (name && strcmp(name, "directory") != 0)
        return false;
    answer_directory(client, match, resources);
    return true;
}

static bool answer(const struct client *client, const json_t *asked, const json_t *match,
                   json_t *resources, json_t *unknown, GError **error)
{
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)asked, i, item)
    {
        const char *name = json_string_value(item);
        if (!name) {
            problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/resources",
                              "resources are named by strings");
            return false;
        }
        if (!answer_one(client, name, match, resources))
            json_array_append(unknown, item);
    }
    if (json_array_size(asked) == 0)
        answer_one(client, NULL, match, resources);
    return true;
}

void handle_getinfo(struct client *client, struct link_transaction *txn)
{
    const json_t *message = link_transaction_message(txn), *asked = NULL;
    json_auto_t *match = NULL, *resources = json_object(), *unknown = json_array();
    GError *error = NULL;
    if (!json_read_array(message, "", "resources", JSON_OPTIONAL, RESOURCES_MAX, &asked, &error) ||
        !attributes_read(client->wsf->conf, message, "match", &match, &error) ||
        !answer(client, asked, match, resources, unknown, &error)) {
        method_fail(client, txn, error, NULL);
        return;
    }
    json_t *members = json_pack("{s:O}", "resources", resources);
    if (json_array_size(unknown))
        json_object_set(members, "unknownResources", unknown);
    link_succeed(txn, members);
}
