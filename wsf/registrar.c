/* SPDX-License-Identifier: Apache-2.0 */
/* The registrar. It owns endpoints and nothing else: it never closes a connection and never touches
 * a call, it tells its owner by callback and by return value. Three tables index the same
 * endpoints; deadlines are found by scanning, which costs microseconds for the thousands that one
 * process holds and keeps the code free of a heap. */
#include "wsf/registrar.h"

#include "base/ids.h"
#include "base/problem.h"

#include <string.h>

/* Ended sessions remembered per endpoint: enough for every call of a busy page during a loss. */
#define ENDED_MAX 32

/* Of supportedExtension, as the schema has it. */
#define EXTENSIONS_MAX 64
#define EXTENSION_NAME_MAX 64

struct registrar {
    guint registrations_max, endpoints_per_identity;
    const struct registrar_ops *ops;
    void *user;
    guint64 next_number;
    GHashTable *endpoints;  /* number → struct endpoint, owned */
    GHashTable *identities; /* webrtcId → GPtrArray of struct endpoint */
};

const char *registrar_removal_name(enum registrar_removal removal)
{
    static const char *const names[] = {"deregistered", "expired", "lost", "evicted"};
    return removal < G_N_ELEMENTS(names) ? names[removal] : "?";
}

static void ended_free(struct ended_session *ended)
{
    if (!ended)
        return;
    g_free(ended->media_session_id);
    g_free(ended->state_cause);
    json_decref(ended->mdisc);
    g_free(ended);
}

static void endpoint_free(struct endpoint *endpoint)
{
    if (!endpoint)
        return;
    struct ended_session *ended;
    while ((ended = g_queue_pop_head(&endpoint->ended)))
        ended_free(ended);
    g_free(endpoint->webrtc_id);
    g_free(endpoint->instance_id);
    g_free(endpoint->address);
    g_free(endpoint->peer);
    g_strfreev(endpoint->extensions);
    json_decref(endpoint->attributes);
    g_free(endpoint);
}

const char *endpoint_kind_name(enum endpoint_kind kind)
{
    static const char *const names[] = {"client", "provider", "operator", "wsf"};
    return kind < G_N_ELEMENTS(names) ? names[kind] : "?";
}

bool endpoint_supports(const struct endpoint *endpoint, const char *extension)
{
    const char *const *known = (const char *const *)endpoint->extensions;
    return known && g_strv_contains(known, extension);
}

struct registrar *registrar_new(guint registrations_max, guint endpoints_per_identity,
                                const struct registrar_ops *ops, void *user)
{
    struct registrar *registrar = g_new0(struct registrar, 1);
    registrar->registrations_max = registrations_max;
    registrar->endpoints_per_identity = endpoints_per_identity;
    registrar->ops = ops;
    registrar->user = user;
    registrar->next_number = 1;
    registrar->endpoints =
        g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, (GDestroyNotify)endpoint_free);
    registrar->identities =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    return registrar;
}

void registrar_free(struct registrar *registrar)
{
    if (!registrar)
        return;
    g_clear_pointer(&registrar->identities, g_hash_table_unref);
    g_clear_pointer(&registrar->endpoints, g_hash_table_unref);
    g_free(registrar);
}

char *registrar_normalise(const char *webrtc_id)
{
    g_autofree char *realm = NULL;
    if (!id_is_address(webrtc_id, false, &realm))
        return NULL;
    g_autofree char *user = g_strndup(webrtc_id, strchr(webrtc_id, '@') - webrtc_id);
    return g_strconcat(user, "@", realm, NULL);
}

const GPtrArray *registrar_lookup(const struct registrar *registrar, const char *webrtc_id)
{
    return g_hash_table_lookup(registrar->identities, webrtc_id);
}

struct endpoint *registrar_endpoint(const struct registrar *registrar, guint64 number)
{
    return g_hash_table_lookup(registrar->endpoints, &number);
}

struct endpoint *registrar_find(const struct registrar *registrar, const char *webrtc_id,
                                const char *instance_id)
{
    const GPtrArray *endpoints = registrar_lookup(registrar, webrtc_id);
    for (guint i = 0; endpoints && i < endpoints->len; i++) {
        struct endpoint *endpoint = g_ptr_array_index(endpoints, i);
        if (g_ascii_strcasecmp(endpoint->instance_id, instance_id) == 0)
            return endpoint;
    }
    return NULL;
}

guint registrar_count(const struct registrar *registrar)
{
    return g_hash_table_size(registrar->endpoints);
}

GPtrArray *registrar_all(const struct registrar *registrar)
{
    GPtrArray *all = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, registrar->endpoints);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        g_ptr_array_add(all, value);
    return all;
}

void registrar_remove(struct registrar *registrar, struct endpoint *endpoint,
                      enum registrar_removal removal)
{
    if (!endpoint)
        return;
    registrar->ops->removed(endpoint, removal, registrar->user);
    GPtrArray *endpoints = g_hash_table_lookup(registrar->identities, endpoint->webrtc_id);
    g_ptr_array_remove(endpoints, endpoint);
    if (endpoints->len == 0)
        g_hash_table_remove(registrar->identities, endpoint->webrtc_id);
    endpoint_changed(endpoint);
    guint64 number = endpoint->number; /* the key lives inside the value */
    g_hash_table_remove(registrar->endpoints, &number);
}

/* A page that was closed without a word leaves a lost endpoint behind; it must not lock its user
 * out. */
static void evict_lost(struct registrar *registrar, const GPtrArray *endpoints)
{
    struct endpoint *oldest = NULL;
    for (guint i = 0; i < endpoints->len; i++) {
        struct endpoint *endpoint = g_ptr_array_index(endpoints, i);
        if (endpoint->lost_at && !registrar->ops->in_use(endpoint, registrar->user) &&
            (!oldest || endpoint->lost_at < oldest->lost_at))
            oldest = endpoint;
    }
    registrar_remove(registrar, oldest, REGISTRAR_EVICTED);
}

static struct endpoint *endpoint_new(struct registrar *registrar, const char *webrtc_id,
                                     const char *instance_id, GError **error)
{
    const GPtrArray *endpoints = registrar_lookup(registrar, webrtc_id);
    if (endpoints && endpoints->len >= registrar->endpoints_per_identity) {
        evict_lost(registrar, endpoints);
        endpoints = registrar_lookup(registrar, webrtc_id);
    }
    if (endpoints && endpoints->len >= registrar->endpoints_per_identity) {
        problem_set_retry(error, PROBLEM_RESOURCES_UNAVAILABLE, 30,
                          "this identity has %u endpoints registered, which is the limit; sign out "
                          "on one of them",
                          endpoints->len);
        return NULL;
    }
    if (registrar_count(registrar) >= registrar->registrations_max) {
        problem_set_retry(error, PROBLEM_RESOURCES_UNAVAILABLE, 30,
                          "no more registrations are possible here at the moment");
        return NULL;
    }
    struct endpoint *endpoint = g_new0(struct endpoint, 1);
    endpoint->registrar = registrar;
    endpoint->number = registrar->next_number++;
    endpoint->webrtc_id = g_strdup(webrtc_id);
    endpoint->instance_id = instance_id ? g_ascii_strdown(instance_id, -1) : id_uuid();
    g_queue_init(&endpoint->ended);
    g_hash_table_insert(registrar->endpoints, &endpoint->number, endpoint);
    GPtrArray *list = g_hash_table_lookup(registrar->identities, endpoint->webrtc_id);
    if (!list) {
        list = g_ptr_array_new();
        g_hash_table_insert(registrar->identities, g_strdup(endpoint->webrtc_id), list);
    }
    g_ptr_array_add(list, endpoint);
    return endpoint;
}

/* The endpoint that the request is about. Between servers there is exactly one connection (A1): a
 * peer that comes with another instanceId has lost its memory and is still the same endpoint. */
static struct endpoint *existing(const struct registrar *registrar,
                                 const struct registration_request *request)
{
    const GPtrArray *endpoints = registrar_lookup(registrar, request->webrtc_id);
    if (!request->peer || !endpoints)
        return request->instance_id
                   ? registrar_find(registrar, request->webrtc_id, request->instance_id)
                   : NULL;
    struct endpoint *endpoint = g_ptr_array_index(endpoints, 0);
    if (request->instance_id &&
        g_ascii_strcasecmp(endpoint->instance_id, request->instance_id) != 0) {
        endpoint_changed(endpoint); /* under its former name */
        g_free(endpoint->instance_id);
        endpoint->instance_id = g_ascii_strdown(request->instance_id, -1);
    }
    return endpoint;
}

static char **names_of(const json_t *extensions)
{
    GPtrArray *names = g_ptr_array_new();
    size_t i;
    json_t *item;
    json_array_foreach(extensions, i, item)
    {
        const char *name = json_string_value(item);
        if (name && names->len < EXTENSIONS_MAX)
            g_ptr_array_add(names, g_strndup(name, EXTENSION_NAME_MAX));
    }
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

struct endpoint *registrar_register(struct registrar *registrar,
                                    const struct registration_request *request, gint64 now,
                                    struct link **ret_superseded, bool *ret_resumed, GError **error)
{
    struct endpoint *endpoint = existing(registrar, request);
    bool resumed = endpoint != NULL;
    if (!endpoint)
        endpoint = endpoint_new(registrar, request->webrtc_id, request->instance_id, error);
    if (!endpoint)
        return NULL;
    /* 6.3.2.5: only one WebSocket connection between two endpoints. */
    *ret_superseded = endpoint->link != request->link ? endpoint->link : NULL;
    *ret_resumed = resumed;
    bool same_link = endpoint->link == request->link;
    endpoint->link = request->link;
    endpoint->lost_at = 0;
    endpoint->kind = request->kind;
    endpoint->dialed = request->dialed;
    g_free(endpoint->peer);
    endpoint->peer = g_strdup(request->peer);
    if (request->extensions || !same_link) {
        g_strfreev(endpoint->extensions);
        endpoint->extensions = names_of(request->extensions);
    }
    if (request->attributes) {
        json_decref(endpoint->attributes);
        endpoint->attributes = json_deep_copy(request->attributes);
    }
    endpoint->ttl_s = request->ttl_s;
    endpoint->expires_at = now + (gint64)request->expiration_s * G_USEC_PER_SEC;
    g_free(endpoint->address);
    endpoint->address = g_strdup(request->address);
    endpoint_changed(endpoint);
    return endpoint;
}

struct endpoint *registrar_restore(struct registrar *registrar, const char *webrtc_id,
                                   const char *instance_id, gint64 now, GError **error)
{
    if (registrar_find(registrar, webrtc_id, instance_id)) {
        problem_set(error, PROBLEM_INVALID_STATE, "this endpoint is registered already");
        return NULL;
    }
    struct endpoint *endpoint = endpoint_new(registrar, webrtc_id, instance_id, error);
    if (endpoint)
        registrar_lost(endpoint, now);
    return endpoint;
}

void registrar_lost(struct endpoint *endpoint, gint64 now)
{
    endpoint->link = NULL;
    endpoint->lost_at = now ? now : 1;
}

static gint64 endpoint_deadline(const struct endpoint *endpoint)
{
    if (!endpoint->lost_at)
        return endpoint->expires_at;
    return MIN(endpoint->expires_at, endpoint->lost_at + (gint64)endpoint->ttl_s * G_USEC_PER_SEC);
}

gint64 registrar_tick(struct registrar *registrar, gint64 now)
{
    g_autoptr(GPtrArray) due = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value;
    gint64 next = -1;
    g_hash_table_iter_init(&iter, registrar->endpoints);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        gint64 deadline = endpoint_deadline(value);
        if (deadline <= now)
            g_ptr_array_add(due, value);
        else if (next < 0 || deadline < next)
            next = deadline;
    }
    for (guint i = 0; i < due->len; i++) {
        struct endpoint *endpoint = g_ptr_array_index(due, i);
        registrar_remove(registrar, endpoint,
                         endpoint->expires_at <= now ? REGISTRAR_EXPIRED : REGISTRAR_LOST);
    }
    return next;
}

void endpoint_changed(const struct endpoint *endpoint)
{
    const struct registrar *registrar = endpoint->registrar;
    if (registrar->ops->changed)
        registrar->ops->changed(endpoint, registrar->user);
}

void endpoint_add_ended(struct endpoint *endpoint, const char *media_session_id, const char *cause,
                        json_t *mdisc)
{
    struct ended_session *ended = g_new0(struct ended_session, 1);
    ended->media_session_id = g_strdup(media_session_id);
    ended->state_cause = g_strdup(cause);
    ended->mdisc = mdisc;
    g_queue_push_head(&endpoint->ended, ended);
    if (g_queue_get_length(&endpoint->ended) > ENDED_MAX)
        ended_free(g_queue_pop_tail(&endpoint->ended));
    endpoint_changed(endpoint);
}

struct ended_session *endpoint_find_ended(const struct endpoint *endpoint,
                                          const char *media_session_id)
{
    for (GList *l = endpoint->ended.head; l; l = l->next) {
        struct ended_session *ended = l->data;
        if (strcmp(ended->media_session_id, media_session_id) == 0)
            return ended;
    }
    return NULL;
}

void endpoint_acknowledge_ended(struct endpoint *endpoint, const char *media_session_id)
{
    struct ended_session *ended = endpoint_find_ended(endpoint, media_session_id);
    if (!ended || !ended->mdisc)
        return;
    g_clear_pointer(&ended->mdisc, json_decref);
    endpoint_changed(endpoint);
}
