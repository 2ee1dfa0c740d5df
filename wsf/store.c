/* SPDX-License-Identifier: Apache-2.0 */
/* Takes batches of changes to the backend's thread and their outcome back. The thread has a queue
 * that never holds more than one batch, and a last one at the end: what changes meanwhile stays
 * with the caller, who knows best how to merge it. */
#include "wsf/store.h"

#include "base/loop.h"

#include <pthread.h>
#include <stdlib.h>

struct store {
    const struct store_backend *backend;
    void *self;
    store_done_fn done;
    void *user;
    GPtrArray *batch;     /* struct store_change, owned */
    pthread_mutex_t lock; /* of the two below; pthread's, which the thread sanitizer knows */
    pthread_cond_t ordered;
    GQueue orders; /* struct outcome */
    bool ending;
    GThread *thread;
    struct outcome *pending; /* of the batch on its way, NULL: none */
};

/* One batch on its way; the loop frees it, so it may come back after the store was closed. */
struct outcome {
    struct store *store; /* NULL: closed meanwhile */
    GPtrArray *changes;
    GError *error; /* the store's thread, then the loop */
};

static void change_free(void *data)
{
    struct store_change *change = data;
    g_free(change->kind);
    g_free(change->id);
    free(change->text);
    g_free(change);
}

static void outcome_free(struct outcome *outcome)
{
    g_clear_error(&outcome->error);
    g_ptr_array_unref(outcome->changes);
    g_free(outcome);
}

static void on_outcome(void *data)
{
    struct outcome *outcome = data;
    struct store *store = outcome->store;
    if (store) {
        store->pending = NULL;
        store->done(outcome->error, store->user);
    }
    outcome_free(outcome);
}

/* NULL: nothing is left to do. */
static struct outcome *do_wait(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    while (g_queue_is_empty(&store->orders) && !store->ending)
        pthread_cond_wait(&store->ordered, &store->lock);
    struct outcome *outcome = g_queue_pop_head(&store->orders);
    pthread_mutex_unlock(&store->lock);
    return outcome;
}

static gpointer do_write(gpointer data)
{
    struct store *store = data;
    for (;;) {
        struct outcome *outcome = do_wait(store);
        if (!outcome)
            return NULL;
        store->backend->write(store->self, outcome->changes, &outcome->error);
        loop_post("store", on_outcome, outcome);
    }
}

struct store *store_new(const struct store_backend *backend, void *self, store_done_fn done,
                        void *user)
{
    struct store *store = g_new0(struct store, 1);
    store->backend = backend;
    store->self = self;
    store->done = done;
    store->user = user;
    store->batch = g_ptr_array_new_with_free_func(change_free);
    pthread_mutex_init(&store->lock, NULL);
    pthread_cond_init(&store->ordered, NULL);
    g_queue_init(&store->orders);
    store->thread = g_thread_new("store", do_write, store);
    return store;
}

static struct outcome *hand_over(struct store *store)
{
    struct outcome *outcome = g_new0(struct outcome, 1);
    outcome->store = store;
    outcome->changes = store->batch;
    store->batch = g_ptr_array_new_with_free_func(change_free);
    pthread_mutex_lock(&store->lock);
    g_queue_push_tail(&store->orders, outcome);
    pthread_cond_signal(&store->ordered);
    pthread_mutex_unlock(&store->lock);
    return outcome;
}

bool store_close(struct store *store, GError **error)
{
    if (!store)
        return true;
    if (store->pending)
        store->pending->store = NULL;
    struct outcome *last = store->batch->len > 0 ? hand_over(store) : NULL;
    pthread_mutex_lock(&store->lock);
    store->ending = true;
    pthread_cond_signal(&store->ordered);
    pthread_mutex_unlock(&store->lock);
    g_thread_join(store->thread);
    /* Still there: only the loop frees outcomes, and we are on it. */
    bool good = !last || !last->error;
    if (!good)
        g_propagate_error(error, g_error_copy(last->error));
    if (last)
        last->store = NULL;
    store->backend->close(store->self);
    pthread_cond_destroy(&store->ordered);
    pthread_mutex_destroy(&store->lock);
    g_ptr_array_unref(store->batch);
    g_free(store);
    return good;
}

bool store_load(struct store *store, const char *kind, store_record_fn each, void *user,
                GError **error)
{
    return store->backend->load(store->self, kind, each, user, error);
}

void store_put(struct store *store, const char *kind, const char *id, char *text)
{
    struct store_change *change = g_new(struct store_change, 1);
    *change = (struct store_change){g_strdup(kind), g_strdup(id), text};
    g_ptr_array_add(store->batch, change);
}

void store_commit(struct store *store)
{
    g_assert(!store->pending);
    store->pending = hand_over(store);
}

bool store_is_busy(const struct store *store)
{
    return store->pending != NULL;
}
