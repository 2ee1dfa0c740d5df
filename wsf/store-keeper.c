/* SPDX-License-Identifier: Apache-2.0 */
/* What has changed and is not written yet. Only names of objects are kept: the text is made when
 * the store is free to take it, so that ten changes of one object while the disk is slow cost one
 * record, and memory is bounded by the number of objects. A batch that fails goes back among the
 * changed. */
#define LOG_CATEGORY "store"
#include "wsf/store-keeper.h"

#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"

struct store_keeper {
    struct store *store; /* NULL: nothing is kept */
    const struct store_kind *kinds;
    void *user;
    GHashTable **changed, **writing; /* per kind: set of ids */
    guint n_kinds;
    bool flush_due, failing, loading;
    struct loop_timer *timer; /* the next flush: soon, or a retry */
    gint64 handed_over;       /* monotonic µs */
};

static struct metric *written, *failures, *duration, *up;

static void declare_metrics(void)
{
    static const double bounds[] = {0.0002, 0.001, 0.005, 0.02, 0.1, 0.5, 2};
    if (written)
        return;
    written = metric_register(METRIC_COUNTER, "store_records", NULL,
                              "Records written to the store or deleted from it.", "kind");
    failures = metric_register(METRIC_COUNTER, "store_failures", NULL,
                               "Batches that the store did not take.", NULL);
    duration = metric_register(METRIC_HISTOGRAM, "store_commit", "seconds",
                               "Time until the store has taken a batch.", NULL);
    metric_buckets(duration, bounds, G_N_ELEMENTS(bounds));
    up = metric_register(METRIC_GAUGE, "store_up", NULL,
                         "Whether what changes now would survive a restart.", NULL);
}

/* --- writing -------------------------------------------------------------------------------------
 */

static bool has_changes(const struct store_keeper *keeper)
{
    for (guint k = 0; k < keeper->n_kinds; k++)
        if (g_hash_table_size(keeper->changed[k]) > 0)
            return true;
    return false;
}

/* Texts are made on the control thread, so at most so many at a time. */
static void put_changes(struct store_keeper *keeper, guint max)
{
    for (guint k = 0; k < keeper->n_kinds; k++) {
        const struct store_kind *kind = &keeper->kinds[k];
        GHashTableIter iter;
        gpointer id;
        g_hash_table_iter_init(&iter, keeper->changed[k]);
        while (max > 0 && g_hash_table_iter_next(&iter, &id, NULL)) {
            store_put(keeper->store, kind->name, id, kind->text(id, keeper->user));
            g_hash_table_iter_steal(&iter);
            g_hash_table_add(keeper->writing[k], id);
            max--;
        }
    }
}

static void flush(struct store_keeper *keeper)
{
    if (store_is_busy(keeper->store) || !has_changes(keeper))
        return;
    put_changes(keeper, STORE_BATCH_MAX);
    keeper->handed_over = g_get_monotonic_time();
    store_commit(keeper->store);
}

static void on_timer(void *data)
{
    struct store_keeper *keeper = data;
    keeper->flush_due = false;
    flush(keeper);
}

static void take_back(struct store_keeper *keeper)
{
    for (guint k = 0; k < keeper->n_kinds; k++) {
        GHashTableIter iter;
        gpointer id;
        g_hash_table_iter_init(&iter, keeper->writing[k]);
        while (g_hash_table_iter_next(&iter, &id, NULL)) {
            g_hash_table_iter_steal(&iter);
            g_hash_table_add(keeper->changed[k], id);
        }
    }
}

static void count_written(struct store_keeper *keeper)
{
    for (guint k = 0; k < keeper->n_kinds; k++) {
        metric_add(written, g_hash_table_size(keeper->writing[k]),
                   (const char *const[]){keeper->kinds[k].name});
        g_hash_table_remove_all(keeper->writing[k]);
    }
}

static void on_written(const GError *error, void *user)
{
    struct store_keeper *keeper = user;
    metric_observe(duration, (double)(g_get_monotonic_time() - keeper->handed_over) / 1e6, NULL);
    metric_set(up, error == NULL, NULL);
    if (error) {
        metric_add(failures, 1, NULL);
        if (!keeper->failing)
            log_error(NULL, "%s; calls go on, but a restart would lose them, trying again",
                      error->message);
        keeper->failing = true;
        take_back(keeper);
        loop_timer_start(keeper->timer, STORE_RETRY_MS);
        return;
    }
    if (keeper->failing)
        log_info(NULL, "the store is written again");
    keeper->failing = false;
    count_written(keeper);
    flush(keeper);
}

/* --- face ----------------------------------------------------------------------------------------
 */

struct store_keeper *store_keeper_new(const struct store_backend *backend, void *self,
                                      const struct store_kind *kinds, void *user)
{
    struct store_keeper *keeper = g_new0(struct store_keeper, 1);
    declare_metrics();
    keeper->kinds = kinds;
    keeper->user = user;
    while (kinds[keeper->n_kinds].name)
        keeper->n_kinds++;
    keeper->changed = g_new0(GHashTable *, keeper->n_kinds);
    keeper->writing = g_new0(GHashTable *, keeper->n_kinds);
    for (guint k = 0; k < keeper->n_kinds; k++) {
        keeper->changed[k] = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        keeper->writing[k] = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    }
    keeper->timer = loop_timer_new("store", on_timer, keeper);
    if (self)
        keeper->store = store_new(backend, self, on_written, keeper);
    metric_set(up, self != NULL, NULL);
    return keeper;
}

void store_keeper_free(struct store_keeper *keeper)
{
    if (!keeper)
        return;
    g_autoptr(GError) error = NULL;
    loop_timer_free(keeper->timer);
    if (keeper->store) {
        take_back(keeper); /* what is on its way may yet fail; twice does no harm */
        put_changes(keeper, G_MAXUINT);
        if (!store_close(keeper->store, &error))
            log_error(NULL, "%s; the last changes are lost", error->message);
    }
    for (guint k = 0; k < keeper->n_kinds; k++) {
        g_hash_table_unref(keeper->changed[k]);
        g_hash_table_unref(keeper->writing[k]);
    }
    g_free(keeper->changed);
    g_free(keeper->writing);
    g_free(keeper);
}

bool store_keeper_load(struct store_keeper *keeper, const struct store_kind *kind,
                       store_record_fn each, void *user, GError **error)
{
    keeper->loading = true;
    bool loaded = !keeper->store || store_load(keeper->store, kind->name, each, user, error);
    keeper->loading = false;
    return loaded;
}

void store_keeper_mark(struct store_keeper *keeper, const struct store_kind *kind, const char *id)
{
    if (!keeper->store || keeper->loading)
        return;
    g_hash_table_add(keeper->changed[kind - keeper->kinds], g_strdup(id));
    /* With the next round of the loop: what belongs together is then complete. */
    if (keeper->flush_due || keeper->failing)
        return;
    keeper->flush_due = true;
    loop_timer_start(keeper->timer, 0);
}

bool store_keeper_is_well(const struct store_keeper *keeper)
{
    return keeper->store && !keeper->failing;
}

guint store_keeper_waiting(const struct store_keeper *keeper)
{
    guint objects = 0;
    for (guint k = 0; k < keeper->n_kinds; k++)
        objects += g_hash_table_size(keeper->changed[k]) + g_hash_table_size(keeper->writing[k]);
    return objects;
}
