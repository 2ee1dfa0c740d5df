/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the token buckets and the table of source addresses. A bucket is a number and a time, so an
 * idle address costs nothing but its entry, and the table is bounded: a flood from many addresses
 * evicts the idle ones and at worst throws all newcomers into one shared bucket, which is the
 * flood's own doing. Looking for the oldest entry is a walk, but only when the table is full. */
#include "wsf-link/rate-limit.h"

#include <arpa/inet.h>
#include <string.h>

static void refill(struct rate_bucket *bucket, guint rate, guint burst, gint64 now)
{
    if (!bucket->updated)
        bucket->tokens = burst;
    else if (now > bucket->updated)
        bucket->tokens += (double)(now - bucket->updated) * rate / G_USEC_PER_SEC;
    bucket->tokens = MIN(bucket->tokens, (double)burst);
    bucket->updated = MAX(now, 1);
}

bool rate_take(struct rate_bucket *bucket, guint rate, guint burst, gint64 now)
{
    if (!rate)
        return true;
    refill(bucket, rate, MAX(burst, 1), now);
    if (bucket->tokens < 1)
        return false;
    bucket->tokens -= 1;
    return true;
}

bool rate_charge(struct rate_bucket *bucket, guint rate, guint burst, guint amount, gint64 now)
{
    if (!rate)
        return true;
    refill(bucket, rate, MAX(burst, 1), now);
    bucket->tokens -= amount;
    return bucket->tokens >= 0;
}

guint rate_wait_ms(struct rate_bucket *bucket, guint rate, guint burst, gint64 now)
{
    if (!rate)
        return 0;
    refill(bucket, rate, MAX(burst, 1), now);
    if (bucket->tokens >= 1)
        return 0;
    double ms = (1 - bucket->tokens) * 1000 / rate;
    return (guint)MIN(ms, 3600000.0) + 1;
}

struct rate_table {
    GHashTable *entries; /* key → struct rate_address */
    guint max_entries;
    struct rate_address shared;
};

struct rate_table *rate_table_new(guint max_entries)
{
    struct rate_table *table = g_new0(struct rate_table, 1);
    table->entries = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
    table->max_entries = MAX(max_entries, 1);
    return table;
}

void rate_table_free(struct rate_table *table)
{
    if (!table)
        return;
    g_hash_table_destroy(table->entries);
    g_free(table);
}

static void make_key(const char *address, char *key, size_t size)
{
    struct in6_addr six;
    if (!strchr(address, ':') || inet_pton(AF_INET6, address, &six) != 1) {
        g_strlcpy(key, address, size);
        return;
    }
    if (IN6_IS_ADDR_V4MAPPED(&six)) {
        inet_ntop(AF_INET, &six.s6_addr[12], key, (socklen_t)size);
        return;
    }
    memset(&six.s6_addr[8], 0, 8);
    inet_ntop(AF_INET6, &six, key, (socklen_t)size);
}

static void evict_oldest(struct rate_table *table)
{
    GHashTableIter iter;
    gpointer value;
    struct rate_address *oldest = NULL;
    g_hash_table_iter_init(&iter, table->entries);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct rate_address *entry = value;
        if (!entry->connections && (!oldest || entry->used < oldest->used))
            oldest = entry;
    }
    if (oldest)
        g_hash_table_remove(table->entries, oldest->key);
}

struct rate_address *rate_table_find(struct rate_table *table, const char *address, gint64 now)
{
    char key[sizeof table->shared.key];
    make_key(address, key, sizeof key);
    struct rate_address *entry = g_hash_table_lookup(table->entries, key);
    if (!entry) {
        if (g_hash_table_size(table->entries) >= table->max_entries)
            evict_oldest(table);
        if (g_hash_table_size(table->entries) >= table->max_entries)
            return &table->shared;
        entry = g_new0(struct rate_address, 1);
        g_strlcpy(entry->key, key, sizeof entry->key);
        g_hash_table_insert(table->entries, entry->key, entry);
    }
    entry->used = now;
    return entry;
}

guint rate_table_size(const struct rate_table *table)
{
    return g_hash_table_size(table->entries);
}
