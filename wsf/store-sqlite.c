/* SPDX-License-Identifier: Apache-2.0 */
/* The store in one SQLite file: a table of texts by kind and id, a write-ahead log, and the lock
 * held for as long as the process lives, so that two processes never share a file. synchronous is
 * NORMAL: a transaction survives the death of the process at once; of a power failure it survives
 * what the last checkpoint has seen, and the file is whole in either case. What the records mean is
 * not known here, so their format changes without a change of the schema. */
#include "wsf/store.h"

#include "base/problem.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPLICATION_ID 0x77736631 /* "wsf1" in the file's header, for file(1) and for us */

struct store_file {
    char *name;
    sqlite3 *db;
    sqlite3_stmt *select, *put, *drop;
};

/* Step i leads from version i to i + 1. A step that has been released never changes; what comes
 * later is another step. */
static const char *const migrations[] = {
    "CREATE TABLE record (kind TEXT NOT NULL, id TEXT NOT NULL, value TEXT NOT NULL,"
    " PRIMARY KEY (kind, id))",
};

/* Every sentence about a file that cannot be used names it and what the operator can do. */
static void set_error(const struct store_file *file, GError **error)
{
    int code = sqlite3_errcode(file->db) & 0xff;
    const char *why = sqlite3_errmsg(file->db);
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
        problem_set(error, PROBLEM_INTERNAL_ERROR,
                    "the store %s is damaged (%s); to start without the registrations and calls "
                    "in it, rename it: mv %s %s.broken",
                    file->name, why, file->name, file->name);
    else if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
        problem_set(error, PROBLEM_INTERNAL_ERROR,
                    "the store %s is in use by another process; stop that one, or give each its "
                    "own [store] file",
                    file->name);
    else if (code == SQLITE_FULL)
        problem_set(error, PROBLEM_INTERNAL_ERROR,
                    "the store %s cannot be written: the disk is full; make room on it",
                    file->name);
    else
        problem_set(error, PROBLEM_INTERNAL_ERROR,
                    "the store %s cannot be used: %s; check its folder, its owner and the disk",
                    file->name, why);
}

static bool run(struct store_file *file, const char *sql, GError **error)
{
    if (sqlite3_exec(file->db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return true;
    set_error(file, error);
    return false;
}

static bool read_number(struct store_file *file, const char *sql, gint64 *ret, GError **error)
{
    sqlite3_stmt *statement = NULL;
    bool good = sqlite3_prepare_v2(file->db, sql, -1, &statement, NULL) == SQLITE_OK &&
                sqlite3_step(statement) == SQLITE_ROW;
    if (good)
        *ret = sqlite3_column_int64(statement, 0);
    else
        set_error(file, error);
    sqlite3_finalize(statement);
    return good;
}

/* Looks through the whole file: what is damaged is found now, not in the middle of a call. */
static bool check_whole(struct store_file *file, GError **error)
{
    sqlite3_stmt *statement = NULL;
    bool read =
        sqlite3_prepare_v2(file->db, "PRAGMA quick_check(1)", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW;
    const char *said = read ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    bool good = g_strcmp0(said, "ok") == 0;
    if (read && !good)
        problem_set(error, PROBLEM_INTERNAL_ERROR,
                    "the store %s is damaged (%s); to start without the registrations and calls "
                    "in it, rename it: mv %s %s.broken",
                    file->name, said ? said : "no result", file->name, file->name);
    else if (!read)
        set_error(file, error);
    sqlite3_finalize(statement);
    return good;
}

static bool migrate(struct store_file *file, GError **error)
{
    gint64 version = 0, application = 0, tables = 0;
    if (!read_number(file, "PRAGMA user_version", &version, error) ||
        !read_number(file, "PRAGMA application_id", &application, error) ||
        !read_number(file, "SELECT count(*) FROM sqlite_schema", &tables, error))
        return false;
    if (tables > 0 && application != APPLICATION_ID) {
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "%s is a database of another program; give [store] file another name",
                    file->name);
        return false;
    }
    if (version > (gint64)G_N_ELEMENTS(migrations)) {
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "the store %s was written by a newer wsf (version %d, this one knows %d); "
                    "start that one, or rename the file to start without it",
                    file->name, (int)version, (int)G_N_ELEMENTS(migrations));
        return false;
    }
    if (version == (gint64)G_N_ELEMENTS(migrations))
        return true;
    if (!run(file, "BEGIN IMMEDIATE", error))
        return false;
    bool good = true;
    for (gint64 i = version; good && i < (gint64)G_N_ELEMENTS(migrations); i++)
        good = run(file, migrations[i], error);
    g_autofree char *mark =
        g_strdup_printf("PRAGMA user_version = %d; PRAGMA application_id = %d; COMMIT",
                        (int)G_N_ELEMENTS(migrations), APPLICATION_ID);
    return good && run(file, mark, error);
}

static bool prepare(struct store_file *file, const char *sql, sqlite3_stmt **ret, GError **error)
{
    if (sqlite3_prepare_v3(file->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) == SQLITE_OK)
        return true;
    set_error(file, error);
    return false;
}

/* Credentials' hashes and who called whom are in it. */
static bool make_private(const char *name, GError **error)
{
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat status;
    bool good = fd >= 0 && fstat(fd, &status) == 0 &&
                ((status.st_mode & 077) == 0 || fchmod(fd, 0600) == 0);
    if (!good)
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "the store %s cannot be opened for writing: %s; check its folder and owner, or "
                    "give [store] file another name",
                    name, g_strerror(errno));
    if (fd >= 0)
        close(fd);
    return good;
}

static void close_file(void *self)
{
    struct store_file *file = self;
    if (!file)
        return;
    sqlite3_finalize(file->select);
    sqlite3_finalize(file->put);
    sqlite3_finalize(file->drop);
    sqlite3_close(file->db);
    g_free(file->name);
    g_free(file);
}

static bool open_file(struct store_file *file, GError **error)
{
    if (sqlite3_open_v2(file->name, &file->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK) {
        set_error(file, error);
        return false;
    }
    /* The lock is taken before the journal mode: then no memory is shared through a second file. */
    return run(file, "PRAGMA locking_mode = EXCLUSIVE", error) &&
           run(file, "PRAGMA journal_mode = WAL", error) &&
           run(file, "PRAGMA synchronous = NORMAL", error) &&
           run(file, "PRAGMA temp_store = MEMORY", error) && check_whole(file, error) &&
           migrate(file, error) &&
           prepare(file, "SELECT id, value FROM record WHERE kind = ?1 ORDER BY rowid",
                   &file->select, error) &&
           prepare(file,
                   "INSERT INTO record (kind, id, value) VALUES (?1, ?2, ?3)"
                   " ON CONFLICT (kind, id) DO UPDATE SET value = excluded.value",
                   &file->put, error) &&
           prepare(file, "DELETE FROM record WHERE kind = ?1 AND id = ?2", &file->drop, error);
}

void *store_sqlite_open(const char *name, GError **error)
{
    if (!make_private(name, error))
        return NULL;
    struct store_file *file = g_new0(struct store_file, 1);
    file->name = g_strdup(name);
    if (open_file(file, error))
        return file;
    close_file(file);
    return NULL;
}

static bool load(void *self, const char *kind, store_record_fn each, void *user, GError **error)
{
    struct store_file *file = self;
    int step;
    sqlite3_bind_text(file->select, 1, kind, -1, SQLITE_STATIC);
    while ((step = sqlite3_step(file->select)) == SQLITE_ROW)
        each((const char *)sqlite3_column_text(file->select, 0),
             (const char *)sqlite3_column_text(file->select, 1), user);
    if (step != SQLITE_DONE)
        set_error(file, error);
    sqlite3_reset(file->select);
    return step == SQLITE_DONE;
}

static bool write_change(struct store_file *file, const struct store_change *change)
{
    sqlite3_stmt *statement = change->text ? file->put : file->drop;
    sqlite3_bind_text(statement, 1, change->kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, change->id, -1, SQLITE_STATIC);
    if (change->text)
        sqlite3_bind_text(statement, 3, change->text, -1, SQLITE_STATIC);
    bool good = sqlite3_step(statement) == SQLITE_DONE;
    sqlite3_clear_bindings(statement);
    return good;
}

static bool write_changes(void *self, const GPtrArray *changes, GError **error)
{
    struct store_file *file = self;
    bool good = run(file, "BEGIN IMMEDIATE", error);
    for (guint i = 0; good && i < changes->len; i++) {
        good = write_change(file, g_ptr_array_index(changes, i));
        if (!good)
            set_error(file, error);
        sqlite3_reset(file->put);
        sqlite3_reset(file->drop);
    }
    good = good && run(file, "COMMIT", error);
    if (!good && !sqlite3_get_autocommit(file->db))
        sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL);
    return good;
}

const struct store_backend store_sqlite = {
    .load = load, .write = write_changes, .close = close_file};
