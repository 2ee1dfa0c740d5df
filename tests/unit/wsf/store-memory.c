/* SPDX-License-Identifier: Apache-2.0 */
/* Records in a hash table. The store's thread writes it and the test reads it when no batch is on
 * its way, so it needs no lock. */
#include "store-memory.h"

#include "base/problem.h"

#include <string.h>

static char *key_of(const char *kind, const char *id)
{
    return g_strconcat(kind, "\n", id, NULL);
}

struct store_memory *store_memory_new(void)
{
    struct store_memory *memory = g_new0(struct store_memory, 1);
    memory->records = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return memory;
}

void store_memory_free(struct store_memory *memory)
{
    g_hash_table_unref(memory->records);
    g_free(memory);
}

const char *store_memory_get(const struct store_memory *memory, const char *kind, const char *id)
{
    g_autofree char *key = key_of(kind, id);
    return g_hash_table_lookup(memory->records, key);
}

void store_memory_set(struct store_memory *memory, const char *kind, const char *id,
                      const char *text)
{
    g_hash_table_insert(memory->records, key_of(kind, id), g_strdup(text));
}

static bool load(void *self, const char *kind, store_record_fn each, void *user, GError **error)
{
    const struct store_memory *memory = self;
    g_autofree char *prefix = key_of(kind, "");
    GHashTableIter iter;
    gpointer key, text;
    g_hash_table_iter_init(&iter, memory->records);
    while (g_hash_table_iter_next(&iter, &key, &text))
        if (g_str_has_prefix(key, prefix))
            each((const char *)key + strlen(prefix), text, user);
    return true;
}

static bool write_changes(void *self, const GPtrArray *changes, GError **error)
{
    struct store_memory *memory = self;
    g_atomic_int_inc(&memory->writes);
    if (g_atomic_int_get(&memory->broken)) {
        problem_set(error, PROBLEM_INTERNAL_ERROR, "this store was made to fail");
        return false;
    }
    for (guint i = 0; i < changes->len; i++) {
        const struct store_change *change = g_ptr_array_index(changes, i);
        g_autofree char *key = key_of(change->kind, change->id);
        if (change->text)
            g_hash_table_insert(memory->records, g_steal_pointer(&key), g_strdup(change->text));
        else
            g_hash_table_remove(memory->records, key);
    }
    return true;
}

static void close_memory(void *self)
{
    ((struct store_memory *)self)->closed = true;
}

const struct store_backend store_memory = {
    .load = load, .write = write_changes, .close = close_memory};
