/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The store: records that outlive the process, each a text under a kind and an id.
 *
 * A backend (store-sqlite.c, later another) only knows how to load a kind and how to write a batch
 * of changes as a whole or not at all; both may block. The store runs it on a thread of its own, so
 * that a slow disk never holds up signalling: changes collect in a batch, store_commit() hands the
 * batch over, and the outcome comes back to the loop. One batch is on its way at a time.
 *
 * Threads: control, but for the backend's functions where said. */
#include <glib.h>
#include <stdbool.h>

struct store_change {
    char *kind, *id;
    char *text; /* NULL: the record is deleted */
};

/* Receives one record while loading; all borrowed. */
typedef void (*store_record_fn)(const char *id, const char *text, void *user);

struct store_backend {
    /* Control thread, before the first batch. */
    bool (*load)(void *self, const char *kind, store_record_fn each, void *user, GError **error);
    /* The store's thread: all of `changes` (struct store_change) or, with *error, none. */
    bool (*write)(void *self, const GPtrArray *changes, GError **error);
    /* Control thread, when the store's thread has ended. */
    void (*close)(void *self);
};

/* What became of a batch, NULL = it is written. Borrowed. */
typedef void (*store_done_fn)(const GError *error, void *user);

struct store;

/* Takes the backend's object; `done` is called from the loop once per store_commit(). */
struct store *store_new(const struct store_backend *backend, void *self, store_done_fn done,
                        void *user);
/* Writes the batch, waits for all that is on its way, and closes; `done` is not called any more.
 * False and *error when the last batch was not written; the store is closed all the same. */
bool store_close(struct store *store, GError **error);

/* All records of a kind, before the first commit; false and *error when they cannot be read. */
bool store_load(struct store *store, const char *kind, store_record_fn each, void *user,
                GError **error);

/* Adds to the batch. `text` (stolen; from malloc) or NULL to delete. */
void store_put(struct store *store, const char *kind, const char *id, char *text);
/* Hands the batch over. Only when store_is_busy() is false. */
void store_commit(struct store *store);
/* A batch is on its way. */
bool store_is_busy(const struct store *store);

/* The SQLite file, made with mode 0600 when there is none. NULL and *error, a sentence with the
 * remedy, when it cannot be used. Transfer full: for store_new() with this backend. */
void *store_sqlite_open(const char *file, GError **error);
extern const struct store_backend store_sqlite;
