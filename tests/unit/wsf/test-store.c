/* SPDX-License-Identifier: Apache-2.0 */
/* The store: what is written is there when the file is opened again, what cannot be used says so
 * in a sentence with a remedy, and the keeper writes what is marked, merged, and again after a
 * failure. */
#include "wsf/store-keeper.h"

#include "base/loop.h"
#include "base/problem.h"
#include "store-memory.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char *folder, *file;
    guint outcomes, failures;
};

static void set_up(struct fixture *f, gconstpointer data)
{
    f->folder = g_dir_make_tmp("test-store-XXXXXX", NULL);
    f->file = g_build_filename(f->folder, "wsf.db", NULL);
}

static void tear_down(struct fixture *f, gconstpointer data)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++) {
        g_autofree char *name = g_strconcat(f->file, suffixes[i], NULL);
        g_unlink(name);
    }
    g_rmdir(f->folder);
    g_free(f->folder);
    g_free(f->file);
}

static void on_done(const GError *error, void *user)
{
    struct fixture *f = user;
    f->outcomes++;
    f->failures += error != NULL;
}

static struct store *open_store(struct fixture *f)
{
    g_autoptr(GError) error = NULL;
    void *file = store_sqlite_open(f->file, &error);
    g_assert_no_error(error);
    return store_new(&store_sqlite, file, on_done, f);
}

static void commit(struct fixture *f, struct store *store)
{
    guint before = f->outcomes;
    store_commit(store);
    g_assert_true(store_is_busy(store));
    while (f->outcomes == before)
        g_main_context_iteration(NULL, TRUE);
    g_assert_false(store_is_busy(store));
}

static void close_store(struct store *store)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(store_close(store, &error));
    g_assert_no_error(error);
}

/* kind: id=text … in one string, in the order of the store. */
static void append_record(const char *id, const char *text, void *user)
{
    g_string_append_printf(user, "%s=%s ", id, text);
}

static char *dump(struct store *store, const char *kind)
{
    GString *out = g_string_new(NULL);
    g_assert_true(store_load(store, kind, append_record, out, NULL));
    return g_string_free(out, FALSE);
}

/* --- SQLite --------------------------------------------------------------------------------------
 */

static void test_survives(struct fixture *f, gconstpointer data)
{
    struct store *store = open_store(f);
    g_autofree char *empty = dump(store, "endpoint");
    g_assert_cmpstr(empty, ==, "");
    store_put(store, "endpoint", "a", strdup("1"));
    store_put(store, "endpoint", "b", strdup("2"));
    store_put(store, "session", "a", strdup("3"));
    commit(f, store);
    store_put(store, "endpoint", "a", strdup("4 \"ä\""));
    store_put(store, "endpoint", "b", NULL);
    store_put(store, "endpoint", "never", NULL);
    close_store(store); /* writes what was not committed */
    g_assert_cmpuint(f->outcomes, ==, 1);
    g_assert_cmpuint(f->failures, ==, 0);

    store = open_store(f);
    g_autofree char *endpoints = dump(store, "endpoint");
    g_autofree char *sessions = dump(store, "session");
    g_assert_cmpstr(endpoints, ==, "a=4 \"ä\" ");
    g_assert_cmpstr(sessions, ==, "a=3 ");
    close_store(store);
}

static void test_mode(struct fixture *f, gconstpointer data)
{
    struct stat status;
    g_assert_true(g_file_set_contents(f->file, "", 0, NULL));
    g_chmod(f->file, 0644);
    struct store *store = open_store(f);
    store_put(store, "endpoint", "a", strdup("1"));
    commit(f, store);
    g_assert_cmpint(g_stat(f->file, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 0777, ==, 0600);
    g_autofree char *log = g_strconcat(f->file, "-wal", NULL);
    g_assert_cmpint(g_stat(log, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 0777, ==, 0600);
    close_store(store);
}

static void assert_refused(const char *file, const char *sentence)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(store_sqlite_open(file, &error));
    g_assert_nonnull(error);
    if (!strstr(error->message, sentence))
        g_error("\"%s\" is not in \"%s\"", sentence, error->message);
    g_assert_nonnull(strstr(error->message, file));
}

static void test_not_a_store(struct fixture *f, gconstpointer data)
{
    char noise[8192];
    memset(noise, 'x', sizeof noise);
    g_assert_true(g_file_set_contents(f->file, noise, sizeof noise, NULL));
    assert_refused(f->file, "is damaged");
    assert_refused(f->file, "rename it: mv");
}

/* A page in the middle is overwritten. */
static void test_damaged(struct fixture *f, gconstpointer data)
{
    struct store *store = open_store(f);
    for (guint i = 0; i < 200; i++) {
        g_autofree char *id = g_strdup_printf("id-%u", i);
        store_put(store, "endpoint", id,
                  strdup("a text that takes some room in the file, and more"));
    }
    close_store(store);
    g_autofree char *content = NULL;
    gsize length = 0;
    g_assert_true(g_file_get_contents(f->file, &content, &length, NULL));
    g_assert_cmpuint(length, >, 3 * 4096);
    memset(content + 4096, 0x5a, 2 * 4096);
    g_assert_true(g_file_set_contents(f->file, content, length, NULL));
    assert_refused(f->file, "is damaged");
}

static void test_in_use(struct fixture *f, gconstpointer data)
{
    struct store *store = open_store(f);
    assert_refused(f->file, "in use by another process");
    close_store(store);
    close_store(open_store(f));
}

static void test_unusable_place(struct fixture *f, gconstpointer data)
{
    g_autofree char *nowhere = g_build_filename(f->folder, "no-such-folder", "wsf.db", NULL);
    assert_refused(nowhere, "cannot be opened for writing");
    assert_refused(f->folder, "cannot be opened for writing");
}

/* The file's header is written by hand, so that the test needs no other database library. */
static void patch_header(const char *file, gsize offset, guint32 value)
{
    g_autofree char *content = NULL;
    gsize length = 0;
    guint32 big = GUINT32_TO_BE(value);
    g_assert_true(g_file_get_contents(file, &content, &length, NULL));
    memcpy(content + offset, &big, sizeof big);
    g_assert_true(g_file_set_contents(file, content, length, NULL));
}

static void test_versions(struct fixture *f, gconstpointer data)
{
    close_store(open_store(f));
    patch_header(f->file, 60, 7); /* user_version */
    assert_refused(f->file, "was written by a newer wsf");
    patch_header(f->file, 60, 1);
    close_store(open_store(f));
    patch_header(f->file, 68, 1234); /* application_id */
    assert_refused(f->file, "is a database of another program");
}

/* --- keeper --------------------------------------------------------------------------------------
 */

struct things {
    GHashTable *texts; /* id → text: the objects of the only kind */
    guint asked;
};

static char *thing_text(const char *id, void *user)
{
    struct things *things = user;
    const char *text = g_hash_table_lookup(things->texts, id);
    things->asked++;
    return text ? strdup(text) : NULL;
}

static void set_thing(struct things *things, const char *id, const char *text)
{
    g_hash_table_insert(things->texts, (gpointer)id, (gpointer)text);
}

static const struct store_kind kinds[] = {{"thing", thing_text}, {NULL}};

static void turn_until_idle(void)
{
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

static void turn_until_writes(struct store_memory *memory, gint writes)
{
    while (g_atomic_int_get(&memory->writes) < writes)
        g_main_context_iteration(NULL, TRUE);
    turn_until_idle();
}

static void test_keeper(void)
{
    struct store_memory *memory = store_memory_new();
    struct things things = {.texts = g_hash_table_new(g_str_hash, g_str_equal)};
    struct store_keeper *keeper = store_keeper_new(&store_memory, memory, kinds, &things);
    set_thing(&things, "a", "first");
    store_keeper_mark(keeper, &kinds[0], "a");
    set_thing(&things, "a", "second");
    store_keeper_mark(keeper, &kinds[0], "a");
    store_keeper_mark(keeper, &kinds[0], "gone");
    g_assert_cmpuint(things.asked, ==, 0);
    turn_until_writes(memory, 1);
    g_assert_cmpuint(things.asked, ==, 2);
    g_assert_cmpstr(store_memory_get(memory, "thing", "a"), ==, "second");
    g_hash_table_remove(things.texts, "a");
    store_keeper_mark(keeper, &kinds[0], "a");
    store_keeper_free(keeper); /* writes it */
    g_assert_true(memory->closed);
    g_assert_cmpint(memory->writes, ==, 2);
    g_assert_null(store_memory_get(memory, "thing", "a"));
    store_memory_free(memory);
    g_hash_table_unref(things.texts);
}

/* A failed batch is not lost: it goes with the next one, as its objects are then. */
static void test_keeper_failure(void)
{
    struct store_memory *memory = store_memory_new();
    struct things things = {.texts = g_hash_table_new(g_str_hash, g_str_equal)};
    struct store_keeper *keeper = store_keeper_new(&store_memory, memory, kinds, &things);
    g_assert_true(store_keeper_is_well(keeper));
    memory->broken = true;
    set_thing(&things, "a", "1");
    set_thing(&things, "b", "2");
    store_keeper_mark(keeper, &kinds[0], "a");
    store_keeper_mark(keeper, &kinds[0], "b");
    while (store_keeper_is_well(keeper))
        g_main_context_iteration(NULL, TRUE);
    g_assert_null(store_memory_get(memory, "thing", "a"));
    set_thing(&things, "a", "3");
    store_keeper_mark(keeper, &kinds[0], "a");
    turn_until_idle();
    g_assert_cmpint(memory->writes, ==, 1); /* not tried again at once */
    memory->broken = false;
    store_keeper_free(keeper);
    g_assert_cmpstr(store_memory_get(memory, "thing", "a"), ==, "3");
    g_assert_cmpstr(store_memory_get(memory, "thing", "b"), ==, "2");
    store_memory_free(memory);
    g_hash_table_unref(things.texts);
}

static void mark_while_loading(const char *id, const char *text, void *user)
{
    store_keeper_mark(user, &kinds[0], id);
}

static void test_keeper_load(void)
{
    struct store_memory *memory = store_memory_new();
    struct things things = {.texts = g_hash_table_new(g_str_hash, g_str_equal)};
    store_memory_set(memory, "thing", "a", "1");
    store_memory_set(memory, "thing", "b", "2");
    struct store_keeper *keeper = store_keeper_new(&store_memory, memory, kinds, &things);
    g_assert_true(store_keeper_load(keeper, &kinds[0], mark_while_loading, keeper, NULL));
    store_keeper_mark(keeper, &kinds[0], "b"); /* turned out not to be good */
    store_keeper_free(keeper);
    g_assert_cmpstr(store_memory_get(memory, "thing", "a"), ==, "1");
    g_assert_null(store_memory_get(memory, "thing", "b"));
    store_memory_free(memory);
    g_hash_table_unref(things.texts);
}

static void test_keeper_without_store(void)
{
    struct things things = {0};
    struct store_keeper *keeper = store_keeper_new(&store_memory, NULL, kinds, &things);
    g_assert_false(store_keeper_is_well(keeper));
    g_assert_true(store_keeper_load(keeper, &kinds[0], mark_while_loading, keeper, NULL));
    store_keeper_mark(keeper, &kinds[0], "a");
    turn_until_idle();
    store_keeper_free(keeper);
    store_keeper_free(NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add("/store/survives", struct fixture, NULL, set_up, test_survives, tear_down);
    g_test_add("/store/mode", struct fixture, NULL, set_up, test_mode, tear_down);
    g_test_add("/store/not-a-store", struct fixture, NULL, set_up, test_not_a_store, tear_down);
    g_test_add("/store/damaged", struct fixture, NULL, set_up, test_damaged, tear_down);
    g_test_add("/store/in-use", struct fixture, NULL, set_up, test_in_use, tear_down);
    g_test_add("/store/place", struct fixture, NULL, set_up, test_unusable_place, tear_down);
    g_test_add("/store/versions", struct fixture, NULL, set_up, test_versions, tear_down);
    g_test_add_func("/store/keeper", test_keeper);
    g_test_add_func("/store/keeper-failure", test_keeper_failure);
    g_test_add_func("/store/keeper-load", test_keeper_load);
    g_test_add_func("/store/keeper-without-store", test_keeper_without_store);
    return g_test_run();
}
