/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A store backend in memory, for tests alone: what it holds can be read and set, and writing can be
 * made to fail. */
#include "wsf/store.h"

struct store_memory {
    GHashTable *records; /* "kind\nid" → text */
    gint writes;         /* batches tried; atomic */
    gint broken;         /* writing fails; atomic */
    bool closed;
};

struct store_memory *store_memory_new(void);
void store_memory_free(struct store_memory *memory);
const char *store_memory_get(const struct store_memory *memory, const char *kind, const char *id);
void store_memory_set(struct store_memory *memory, const char *kind, const char *id,
                      const char *text);
extern const struct store_backend store_memory;
