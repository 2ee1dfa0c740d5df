/* SPDX-License-Identifier: Apache-2.0 */
/* Failure counters in least-recently-used order: a hash table finds the entry, a queue of the same
 * entries gives the victim when the table is full, so an attacker with many names or addresses
 * costs a fixed amount of memory. */
#include "wsf/throttle.h"

/* A key that was silent for so long begins anew. */
#define FORGET_AFTER (15 * 60 * (gint64)G_USEC_PER_SEC)

struct entry {
    char *key;
    guint failures;
    gint64 last, until;
    GList link; /* in throttle.order, most recent first */
};

struct throttle {
    guint free, max_s, kept;
    GHashTable *entries; /* key → struct entry, owned */
    GQueue order;
};

static void entry_free(struct entry *entry)
{
    g_free(entry->key);
    g_free(entry);
}

struct throttle *throttle_new(guint free, guint max_s, guint kept)
{
    struct throttle *throttle = g_new0(struct throttle, 1);
    throttle->free = free;
    throttle->max_s = max_s;
    throttle->kept = MAX(kept, 1);
    throttle->entries =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)entry_free);
    g_queue_init(&throttle->order);
    return throttle;
}

void throttle_free(struct throttle *throttle)
{
    if (!throttle)
        return;
    g_hash_table_unref(throttle->entries);
    g_free(throttle);
}

static void drop(struct throttle *throttle, struct entry *entry)
{
    g_queue_unlink(&throttle->order, &entry->link);
    g_hash_table_remove(throttle->entries, entry->key);
}

static struct entry *find(struct throttle *throttle, const char *key, gint64 now)
{
    struct entry *entry = g_hash_table_lookup(throttle->entries, key);
    if (entry && now - entry->last > FORGET_AFTER) {
        drop(throttle, entry);
        return NULL;
    }
    return entry;
}

guint throttle_wait(struct throttle *throttle, const char *key, gint64 now)
{
    const struct entry *entry = find(throttle, key, now);
    if (!entry || entry->until <= now)
        return 0;
    return (guint)((entry->until - now + G_USEC_PER_SEC - 1) / G_USEC_PER_SEC);
}

guint throttle_failed(struct throttle *throttle, const char *key, gint64 now)
{
    struct entry *entry = find(throttle, key, now);
    if (entry) {
        g_queue_unlink(&throttle->order, &entry->link);
    } else {
        if (g_hash_table_size(throttle->entries) >= throttle->kept)
            drop(throttle, throttle->order.tail->data);
        entry = g_new0(struct entry, 1);
        entry->key = g_strdup(key);
        entry->link.data = entry;
        g_hash_table_insert(throttle->entries, entry->key, entry);
    }
    g_queue_push_head_link(&throttle->order, &entry->link);
    entry->failures++;
    entry->last = now;
    if (entry->failures < throttle->free)
        return 0;
    guint doublings = MIN(entry->failures - throttle->free, 20);
    guint wait = MIN(1u << doublings, throttle->max_s);
    entry->until = now + (gint64)wait * G_USEC_PER_SEC;
    return wait;
}

void throttle_forget(struct throttle *throttle, const char *key)
{
    struct entry *entry = g_hash_table_lookup(throttle->entries, key);
    if (entry)
        drop(throttle, entry);
}

guint throttle_size(const struct throttle *throttle)
{
    return g_hash_table_size(throttle->entries);
}
