/* SPDX-License-Identifier: Apache-2.0 */
/* Admission. Calls are counted where they are kept, in the table of sessions; rates are token
 * buckets in a table of bounded size in the order of use, so that many invented callees cost a
 * fixed amount of memory. A server speaks for many people: its own limit is another one. */
#include "wsf/admission.h"

#include "wsf-link/rate-limit.h"

#include <string.h>

struct entry {
    char *key;
    struct rate_bucket bucket;
    GList link; /* in admission.order, used last first */
};

struct admission {
    guint kept;
    GHashTable *entries; /* key → struct entry, owned */
    GQueue order;
};

static void entry_free(struct entry *entry)
{
    g_free(entry->key);
    g_free(entry);
}

struct admission *admission_new(guint kept)
{
    struct admission *admission = g_new0(struct admission, 1);
    admission->kept = MAX(kept, 1);
    admission->entries =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)entry_free);
    g_queue_init(&admission->order);
    return admission;
}

void admission_free(struct admission *admission)
{
    if (!admission)
        return;
    g_hash_table_unref(admission->entries);
    g_free(admission);
}

static struct entry *find(struct admission *admission, const char *key)
{
    struct entry *entry = g_hash_table_lookup(admission->entries, key);
    if (entry) {
        g_queue_unlink(&admission->order, &entry->link);
    } else {
        if (g_hash_table_size(admission->entries) >= admission->kept) {
            struct entry *oldest = admission->order.tail->data;
            g_queue_unlink(&admission->order, &oldest->link);
            g_hash_table_remove(admission->entries, oldest->key);
        }
        entry = g_new0(struct entry, 1);
        entry->key = g_strdup(key);
        entry->link.data = entry;
        g_hash_table_insert(admission->entries, entry->key, entry);
    }
    g_queue_push_head_link(&admission->order, &entry->link);
    return entry;
}

bool admission_rate(struct admission *admission, const char *key, guint rate, gint64 now,
                    guint *ret_wait_s)
{
    if (!rate)
        return true;
    struct entry *entry = find(admission, key);
    if (rate_take(&entry->bucket, rate, rate, now))
        return true;
    *ret_wait_s = (rate_wait_ms(&entry->bucket, rate, rate, now) + 999) / 1000;
    return false;
}

bool admission_party_rate(struct wsf *wsf, const struct leg *leg, const char *what, guint rate,
                          GError **error)
{
    guint wait = 0;
    g_autofree char *key = g_strdup_printf("%s %s", what, leg->media_session_id);
    if (admission_rate(wsf->admission, key, rate, loop_now(), &wait))
        return true;
    problem_set_retry(error, PROBLEM_TOO_MANY_REQUESTS, MAX(wait, 1),
                      "at most %u such requests a second are taken from one participant", rate);
    return false;
}

static bool attempt(struct wsf *wsf, const char *role, const char *identity, guint rate, gint64 now,
                    const char *sentence, GError **error)
{
    guint wait = 0;
    g_autofree char *key = g_strdup_printf("%s %s", role, identity);
    if (admission_rate(wsf->admission, key, rate, now, &wait))
        return true;
    problem_set_retry(error, PROBLEM_TOO_MANY_REQUESTS, MAX(wait, 1), "%s", sentence);
    return false;
}

static bool check_attempts(struct wsf *wsf, const struct admission_request *request, bool many,
                           gint64 now, GError **error)
{
    const struct policy_limits *limits = policy_limits(wsf->policy, request->row);
    guint of_caller = limits->attempts_per_caller, of_callee = limits->attempts_per_callee;
    if (!of_caller && !many)
        of_caller = conf_int(wsf->conf, "call", "attempts_per_caller");
    if (!of_callee && request->route->kind == ROUTE_USER)
        of_callee = conf_int(wsf->conf, "call", "attempts_per_callee");
    return attempt(wsf, "from", request->subject, of_caller, now,
                   "you are calling too often; wait before the next call", error) &&
           attempt(wsf, "to", request->route->called, of_callee, now,
                   "too many calls are made to this user at the moment", error);
}

static bool has_room(const struct wsf *wsf, const struct endpoint *endpoint)
{
    const struct peer *peer = peer_of(wsf, endpoint);
    if (!peer)
        return true;
    g_autoptr(GPtrArray) legs = session_table_legs_of(wsf->sessions, endpoint->number);
    return legs->len < peer->calls_max;
}

/* The servers at both ends; of several that may know the callee one is enough. */
static bool check_servers(const struct wsf *wsf, const struct admission_request *request,
                          GError **error)
{
    const struct route *route = request->route;
    bool there = route->kind != ROUTE_SERVER;
    for (guint i = 0; !there && i < route->endpoints->len; i++)
        there = has_room(wsf, g_ptr_array_index(route->endpoints, i));
    if (there && has_room(wsf, request->caller))
        return true;
    problem_set_retry(error, PROBLEM_RESOURCES_UNAVAILABLE, 10,
                      "there are as many calls with %s server as are agreed",
                      there ? "your" : "the callee's");
    return false;
}

bool admission_check(struct wsf *wsf, const struct admission_request *request, gint64 now,
                     GError **error)
{
    const struct policy_limits *limits = policy_limits(wsf->policy, request->row);
    /* Who does not say for whom it calls is counted as a server. */
    bool many = endpoint_is_server(request->caller) &&
                strcmp(request->subject, request->caller->webrtc_id) == 0;
    bool person = request->route->kind == ROUTE_USER || limits->calls_per_callee;
    const struct session_limits counts = {
        .caller = many && !limits->calls_per_caller ? NULL : request->subject,
        .called = person ? request->route->called : NULL,
        .per_caller = limits->calls_per_caller,
        .per_called = limits->calls_per_callee,
    };
    return check_attempts(wsf, request, many, now, error) && check_servers(wsf, request, error) &&
           session_table_admit(wsf->sessions, &counts, error);
}
