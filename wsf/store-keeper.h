/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Keeps the store true to what is in memory: who changes an object marks it, and the marked ones
 * are written together soon after, as they are then. An object that is gone by then is deleted.
 * A store that cannot be written costs no call: it is told once and tried again.
 *
 * Threads: control. */
#include "wsf/store.h"

#define STORE_RETRY_MS 2000
#define STORE_BATCH_MAX 64 /* records; a few ms of the control thread at most */

/* One kind of record. */
struct store_kind {
    const char *name;
    /* The record of this id as it is now, or NULL when there is no such object. From malloc. */
    char *(*text)(const char *id, void *user);
};

struct store_keeper;

/* Takes the backend's object (NULL: nothing is kept and every mark is free). `kinds` ends with a
 * NULL name and outlives the keeper. */
struct store_keeper *store_keeper_new(const struct store_backend *backend, void *self,
                                      const struct store_kind *kinds, void *user);
/* Writes what is marked, waits for it and closes. NULL allowed. */
void store_keeper_free(struct store_keeper *keeper);

/* Hands every record of a kind to `each`, whose marks count for nothing: what is restored is in the
 * store already. */
bool store_keeper_load(struct store_keeper *keeper, const struct store_kind *kind,
                       store_record_fn each, void *user, GError **error);
/* The object of this kind and id has changed, has come or has gone. */
void store_keeper_mark(struct store_keeper *keeper, const struct store_kind *kind, const char *id);
/* Whether changes survive: false without a store and while it cannot be written. */
bool store_keeper_is_well(const struct store_keeper *keeper);
/* Objects that have changed and are not written yet. */
guint store_keeper_waiting(const struct store_keeper *keeper);
