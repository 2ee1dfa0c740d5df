/* SPDX-License-Identifier: Apache-2.0 */
/* An open-addressing hash with linear probing: a lookup touches one or two cache lines and no
 * pointer but the answer. Removal shifts the following entries back, so there are no tombstones and
 * a table that has seen a million short legs probes as quickly as a new one. It grows at 3/4 and
 * never shrinks; only authenticated STUN puts something in, and a leg has a limit of addresses. */
#include "wmcf/relay/address-table.h"

#include <glib.h>

#define INITIAL_SIZE 256

struct entry {
    void *owner; /* NULL = free */
    union socket_address address;
    uint32_t hash;
    unsigned socket;
};

struct address_table {
    struct entry *entries;
    size_t mask, count;
    uint32_t seed;
};

struct address_table *address_table_new(uint32_t seed)
{
    struct address_table *table = g_new0(struct address_table, 1);
    table->entries = g_new0(struct entry, INITIAL_SIZE);
    table->mask = INITIAL_SIZE - 1;
    table->seed = seed;
    return table;
}

void address_table_free(struct address_table *table)
{
    if (!table)
        return;
    g_free(table->entries);
    g_free(table);
}

static struct entry *lookup(const struct address_table *table, unsigned socket,
                            const union socket_address *address, uint32_t *ret_hash)
{
    uint32_t hash = socket_address_hash(address, table->seed) + socket * 0x9e3779b9u;
    *ret_hash = hash;
    for (size_t i = hash & table->mask;; i = (i + 1) & table->mask) {
        struct entry *entry = &table->entries[i];
        if (!entry->owner || (entry->hash == hash && entry->socket == socket &&
                              socket_address_equal(&entry->address, address)))
            return entry;
    }
}

void *address_table_find(const struct address_table *table, unsigned socket,
                         const union socket_address *address)
{
    uint32_t hash;
    return lookup(table, socket, address, &hash)->owner;
}

static void grow(struct address_table *table)
{
    struct entry *old = table->entries;
    size_t old_size = table->mask + 1;
    table->entries = g_new0(struct entry, old_size * 2);
    table->mask = old_size * 2 - 1;
    for (size_t i = 0; i < old_size; i++) {
        if (!old[i].owner)
            continue;
        size_t at = old[i].hash & table->mask;
        while (table->entries[at].owner)
            at = (at + 1) & table->mask;
        table->entries[at] = old[i];
    }
    g_free(old);
}

void address_table_put(struct address_table *table, unsigned socket,
                       const union socket_address *address, void *owner)
{
    uint32_t hash;
    struct entry *entry = lookup(table, socket, address, &hash);
    if (!entry->owner) {
        if ((table->count + 1) * 4 > (table->mask + 1) * 3) {
            grow(table);
            entry = lookup(table, socket, address, &hash);
        }
        entry->address = *address;
        entry->hash = hash;
        entry->socket = socket;
        table->count++;
    }
    entry->owner = owner;
}

void address_table_remove(struct address_table *table, unsigned socket,
                          const union socket_address *address, const void *owner)
{
    uint32_t hash;
    struct entry *entry = lookup(table, socket, address, &hash);
    if (!entry->owner || entry->owner != owner)
        return;
    size_t hole = (size_t)(entry - table->entries);
    for (size_t i = (hole + 1) & table->mask; table->entries[i].owner; i = (i + 1) & table->mask) {
        size_t home = table->entries[i].hash & table->mask;
        /* An entry may fill the hole unless its home lies behind the hole. */
        if (((i - home) & table->mask) >= ((i - hole) & table->mask)) {
            table->entries[hole] = table->entries[i];
            hole = i;
        }
    }
    table->entries[hole].owner = NULL;
    table->count--;
}

size_t address_table_count(const struct address_table *table)
{
    return table->count;
}
