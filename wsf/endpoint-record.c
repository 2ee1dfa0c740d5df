/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints to and from JSON. Reading checks every member before the registrar is touched: a record
 * may be damaged, or come from another version. Members that this version does not know are
 * ignored, members that are missing have the value that they had before they were invented, so
 * only a change of meaning needs a new version number. */
#include "wsf/endpoint-record.h"

#include "base/ids.h"
#include "base/problem.h"
#include "wsf-link/json-read.h"

#include <string.h>

#define VERSION 1

/* What has ended and is acknowledged is only remembered to answer a late message well. */
#define ENDED_KEPT 8
#define ENDED_MAX 64

static const char *const kind_names[] = {
    [ENDPOINT_CLIENT] = "client",
    [ENDPOINT_PROVIDER] = "provider",
    [ENDPOINT_OPERATOR] = "operator",
    [ENDPOINT_WSF] = "wsf",
    NULL,
};

char *endpoint_record_id(const struct endpoint *endpoint)
{
    return g_strconcat(endpoint->webrtc_id, " ", endpoint->instance_id, NULL);
}

struct endpoint *endpoint_record_find(const struct registrar *registrar, const char *id)
{
    const char *space = strchr(id, ' ');
    g_autofree char *webrtc_id = space ? g_strndup(id, space - id) : NULL;
    return space ? registrar_find(registrar, webrtc_id, space + 1) : NULL;
}

/* --- writing -------------------------------------------------------------------------------------
 */

static void set_text(json_t *record, const char *name, const char *text)
{
    if (text)
        json_object_set_new(record, name, json_string(text));
}

static void set_hash(json_t *record, const char *name, const guint8 *hash)
{
    char text[2 * REAUTH_HASH_SIZE + 1];
    for (size_t i = 0; i < REAUTH_HASH_SIZE; i++)
        g_snprintf(text + 2 * i, 3, "%02x", hash[i]);
    json_object_set_new(record, name, json_string(text));
}

static json_t *write_ended(const struct endpoint *endpoint)
{
    json_t *list = json_array();
    guint acknowledged = 0;
    for (const GList *l = endpoint->ended.head; l; l = l->next) {
        const struct ended_session *ended = l->data;
        if (!ended->mdisc && ++acknowledged > ENDED_KEPT)
            continue;
        json_t *item = json_pack("{s:s, s:s}", "mediaSessionId", ended->media_session_id, "cause",
                                 ended->state_cause);
        if (ended->mdisc)
            json_object_set(item, "mdisc", ended->mdisc);
        json_array_append_new(list, item);
    }
    return list;
}

char *endpoint_record_write(const struct endpoint *endpoint, const struct record_clock *clock)
{
    gint64 expires = (clock->wall + endpoint->expires_at - clock->now) / 1000;
    json_auto_t *record = json_pack("{s:i, s:s, s:s, s:s, s:I, s:i}", "version", VERSION, "kind",
                                    kind_names[endpoint->kind], "webrtcId", endpoint->webrtc_id,
                                    "instanceId", endpoint->instance_id, "expiresAt",
                                    (json_int_t)expires, "disconnectionTtl", (int)endpoint->ttl_s);
    set_text(record, "peer", endpoint->peer);
    set_text(record, "address", endpoint->address);
    if (endpoint->dialed)
        json_object_set_new(record, "dialed", json_true());
    if (endpoint->reauth.has_current)
        set_hash(record, "credential", endpoint->reauth.current);
    if (endpoint->reauth.has_former)
        set_hash(record, "formerCredential", endpoint->reauth.former);
    if (endpoint->extensions) {
        json_t *names = json_array();
        for (char **name = endpoint->extensions; *name; name++)
            json_array_append_new(names, json_string(*name));
        json_object_set_new(record, "extensions", names);
    }
    if (endpoint->attributes)
        json_object_set(record, "attributes", endpoint->attributes);
    if (!g_queue_is_empty((GQueue *)&endpoint->ended))
        json_object_set_new(record, "ended", write_ended(endpoint));
    return json_dumps(record, JSON_COMPACT);
}

/* --- reading -------------------------------------------------------------------------------------
 */

/* What a record says, checked. */
struct draft {
    const char *webrtc_id, *instance_id, *peer, *address;
    int kind;
    bool dialed;
    gint64 expires_ms, ttl;
    struct reauth reauth;
    const json_t *extensions, *attributes, *ended;
};

static bool read_hash(const json_t *record, const char *name, guint8 *hash, bool *ret_there,
                      GError **error)
{
    const char *text = NULL;
    if (!json_read_string(record, "", name, JSON_OPTIONAL, 2 * REAUTH_HASH_SIZE, &text, error))
        return false;
    *ret_there = text != NULL;
    if (!text)
        return true;
    bool good = strlen(text) == 2 * REAUTH_HASH_SIZE;
    for (size_t i = 0; good && i < REAUTH_HASH_SIZE; i++) {
        int high = g_ascii_xdigit_value(text[2 * i]), low = g_ascii_xdigit_value(text[2 * i + 1]);
        good = high >= 0 && low >= 0;
        hash[i] = (guint8)(high << 4 | low);
    }
    if (!good)
        problem_set(error, PROBLEM_INVALID_MESSAGE, "%s is not a hash", name);
    return good;
}

static bool check_strings(const json_t *list, const char *name, GError **error)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        if (!json_is_string(item)) {
            problem_set(error, PROBLEM_INVALID_MESSAGE, "%s holds something that is no text", name);
            return false;
        }
    }
    return true;
}

static bool check_ended(const json_t *list, GError **error)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *text = NULL;
        const json_t *mdisc = NULL;
        if (!json_read_string(item, "/ended", "mediaSessionId", JSON_REQUIRED, 64, &text, error) ||
            !json_read_string(item, "/ended", "cause", JSON_REQUIRED, 64, &text, error) ||
            !json_read_object(item, "/ended", "mdisc", JSON_OPTIONAL, &mdisc, error))
            return false;
    }
    return true;
}

static bool read_draft(const json_t *record, struct draft *draft, GError **error)
{
    gint64 version = 0;
    if (!json_read_integer(record, "", "version", JSON_REQUIRED, 1, VERSION, &version, error) ||
        !json_read_choice(record, "", "kind", JSON_REQUIRED, kind_names, &draft->kind, error) ||
        !json_read_string(record, "", "webrtcId", JSON_REQUIRED, 320, &draft->webrtc_id, error) ||
        !json_read_string(record, "", "instanceId", JSON_REQUIRED, 64, &draft->instance_id,
                          error) ||
        !json_read_string(record, "", "peer", JSON_OPTIONAL, 256, &draft->peer, error) ||
        !json_read_string(record, "", "address", JSON_OPTIONAL, 64, &draft->address, error) ||
        !json_read_boolean(record, "", "dialed", JSON_OPTIONAL, &draft->dialed, error) ||
        !json_read_integer(record, "", "expiresAt", JSON_REQUIRED, 0, G_MAXINT64 / 1000,
                           &draft->expires_ms, error) ||
        !json_read_integer(record, "", "disconnectionTtl", JSON_REQUIRED, 0, G_MAXINT32,
                           &draft->ttl, error) ||
        !read_hash(record, "credential", draft->reauth.current, &draft->reauth.has_current,
                   error) ||
        !read_hash(record, "formerCredential", draft->reauth.former, &draft->reauth.has_former,
                   error) ||
        !json_read_array(record, "", "extensions", JSON_OPTIONAL, ENDED_MAX, &draft->extensions,
                         error) ||
        !json_read_object(record, "", "attributes", JSON_OPTIONAL, &draft->attributes, error) ||
        !json_read_array(record, "", "ended", JSON_OPTIONAL, ENDED_MAX, &draft->ended, error))
        return false;
    g_autofree char *normal = registrar_normalise(draft->webrtc_id);
    if (g_strcmp0(normal, draft->webrtc_id) != 0 || !id_is_uuid(draft->instance_id)) {
        problem_set(error, PROBLEM_INVALID_MESSAGE, "these are not the names of an endpoint");
        return false;
    }
    return check_strings(draft->extensions, "extensions", error) &&
           check_ended(draft->ended, error);
}

static char **read_extensions(const json_t *list)
{
    if (!list)
        return NULL;
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    for (size_t i = 0; i < json_array_size(list); i++)
        g_strv_builder_add(builder, json_string_value(json_array_get(list, i)));
    return g_strv_builder_end(builder);
}

static void fill(struct endpoint *endpoint, const struct draft *draft,
                 const struct record_clock *clock, guint expiration_max_s)
{
    gint64 left = draft->expires_ms * 1000 - clock->wall;
    endpoint->kind = draft->kind;
    endpoint->peer = g_strdup(draft->peer);
    endpoint->address = g_strdup(draft->address);
    endpoint->dialed = draft->dialed;
    endpoint->ttl_s = (guint)draft->ttl;
    endpoint->expires_at = clock->now + MIN(left, (gint64)expiration_max_s * G_USEC_PER_SEC);
    endpoint->reauth = draft->reauth;
    endpoint->extensions = read_extensions(draft->extensions);
    endpoint->attributes = draft->attributes ? json_deep_copy(draft->attributes) : NULL;
    for (size_t i = json_array_size(draft->ended); i > 0; i--) { /* newest first in the record */
        json_t *item = json_array_get(draft->ended, i - 1);
        endpoint_add_ended(endpoint, json_string_value(json_object_get(item, "mediaSessionId")),
                           json_string_value(json_object_get(item, "cause")),
                           json_incref(json_object_get(item, "mdisc")));
    }
}

struct endpoint *endpoint_record_read(struct registrar *registrar, const char *text,
                                      const struct record_clock *clock, guint expiration_max_s,
                                      GError **error)
{
    json_error_t why;
    struct draft draft = {0};
    json_auto_t *record = json_loads(text, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(record)) {
        problem_set(error, PROBLEM_INVALID_MESSAGE, "the record is no JSON object: %s",
                    record ? "another type" : why.text);
        return NULL;
    }
    if (!read_draft(record, &draft, error))
        return NULL;
    struct endpoint *endpoint =
        registrar_restore(registrar, draft.webrtc_id, draft.instance_id, clock->now, error);
    if (endpoint)
        fill(endpoint, &draft, clock, expiration_max_s);
    return endpoint;
}
