/* SPDX-License-Identifier: Apache-2.0 */
/* Joins the store to what is kept in it. After a restart every endpoint is one that has lost its
 * connection a moment ago: its time to live starts anew, and all that follows is what follows any
 * loss (A6). */
#define LOG_CATEGORY "store"
#include "wsf/store-restore.h"

#include "base/log.h"
#include "wsf/identity.h"
#include "wsf/session-record.h"
#include "wsf/store-keeper.h"

#include <string.h>

static struct record_clock clock_now(void)
{
    return (struct record_clock){.now = loop_now(), .wall = g_get_real_time()};
}

/* --- kinds ---------------------------------------------------------------------------------------
 */

static char *endpoint_text(const char *id, void *user)
{
    const struct wsf *wsf = user;
    const struct endpoint *endpoint = endpoint_record_find(wsf->registrar, id);
    const struct record_clock clock = clock_now();
    return endpoint ? endpoint_record_write(endpoint, &clock) : NULL;
}

static struct session_record_names names_of(const struct wsf *wsf)
{
    return (struct session_record_names){.registrar = wsf->registrar, .policy = wsf->policy};
}

static char *session_text(const char *id, void *user)
{
    const struct wsf *wsf = user;
    const struct session *session = session_table_find(wsf->sessions, id);
    const struct session_record_names names = names_of(wsf);
    const struct record_clock clock = clock_now();
    return session ? session_record_write(session, &names, &clock) : NULL;
}

enum { KIND_ENDPOINT, KIND_SESSION };
static const struct store_kind kinds[] = {
    [KIND_ENDPOINT] = {"endpoint", endpoint_text},
    [KIND_SESSION] = {"session", session_text},
    {NULL},
};

void store_mark_endpoint(const struct wsf *wsf, const struct endpoint *endpoint)
{
    if (!wsf->keeper)
        return;
    g_autofree char *id = endpoint_record_id(endpoint);
    store_keeper_mark(wsf->keeper, &kinds[KIND_ENDPOINT], id);
}

void store_mark_session(const struct wsf *wsf, const struct session *session)
{
    if (wsf->keeper)
        store_keeper_mark(wsf->keeper, &kinds[KIND_SESSION], session->id);
}

/* --- restoring -----------------------------------------------------------------------------------
 */

struct restoring {
    struct wsf *wsf;
    const struct store_kind *kind;
    struct record_clock clock;
    guint good;
    GPtrArray *bad; /* ids */
};

/* A bad record costs itself: it is told and forgotten. */
static void drop_record(struct restoring *restoring, const char *id, const GError *error)
{
    g_autofree char *identity = g_strndup(id, strcspn(id, " "));
    bool names_user = strchr(identity, '@') != NULL;
    log_warning(NULL, "%s record %s is not good and is dropped: %s, continuing",
                restoring->kind->name, names_user ? identity_log(identity) : identity,
                error->message);
    g_ptr_array_add(restoring->bad, g_strdup(id));
}

static void restore_endpoint(const char *id, const char *text, void *user)
{
    struct restoring *restoring = user;
    const struct wsf *wsf = restoring->wsf;
    g_autoptr(GError) error = NULL;
    guint expiration_max = conf_int(wsf->conf, "registration", "expiration_max");
    if (endpoint_record_read(wsf->registrar, text, &restoring->clock, expiration_max, &error))
        restoring->good++;
    else
        drop_record(restoring, id, error);
}

static void restore_session(const char *id, const char *text, void *user)
{
    struct restoring *restoring = user;
    const struct session_record_names names = names_of(restoring->wsf);
    g_autoptr(GError) error = NULL;
    if (session_record_read(restoring->wsf->sessions, text, &names, &restoring->clock, &error))
        restoring->good++;
    else
        drop_record(restoring, id, error);
}

static bool restore_kind(struct wsf *wsf, const struct store_kind *kind, store_record_fn each,
                         guint *ret_good, GError **error)
{
    struct restoring restoring = {.wsf = wsf, .kind = kind, .clock = clock_now()};
    restoring.bad = g_ptr_array_new_with_free_func(g_free);
    bool loaded = store_keeper_load(wsf->keeper, kind, each, &restoring, error);
    for (guint i = 0; i < restoring.bad->len; i++)
        store_keeper_mark(wsf->keeper, kind, g_ptr_array_index(restoring.bad, i));
    g_ptr_array_unref(restoring.bad);
    *ret_good = restoring.good;
    return loaded;
}

/* --- opening -------------------------------------------------------------------------------------
 */

/* The configured file, or the one in the directory that systemd made for us. Transfer full. */
static char *file_name(const struct conf *conf)
{
    const char *file = conf_string(conf, "store", "file");
    const char *directories = g_getenv("STATE_DIRECTORY");
    if (file || !directories || !*directories)
        return g_strdup(file);
    g_auto(GStrv) list = g_strsplit(directories, ":", 2);
    return g_build_filename(list[0], "wsf.db", NULL);
}

/* NULL without *error: nothing shall be kept. */
static void *open_backend(const struct conf *conf, GError **error)
{
    const char *kind = conf_string(conf, "store", "kind");
    g_autofree char *file = file_name(conf);
    if (strcmp(kind, "memory") == 0 || (!file && strcmp(kind, "auto") == 0)) {
        log_info(NULL, "registrations and calls will not survive a restart: no [store] file");
        return NULL;
    }
    if (file)
        return store_sqlite_open(file, error);
    problem_set(error, PROBLEM_INVALID_MESSAGE, "[store] kind = sqlite needs file");
    return NULL;
}

static bool restore_all(struct wsf *wsf, GError **error)
{
    guint endpoints = 0, sessions = 0;
    gint64 begun = g_get_monotonic_time();
    if (!restore_kind(wsf, &kinds[KIND_ENDPOINT], restore_endpoint, &endpoints, error) ||
        !restore_kind(wsf, &kinds[KIND_SESSION], restore_session, &sessions, error))
        return false;
    if (endpoints > 0)
        log_info(NULL, "%u registrations and %u calls restored in %.1f ms, waiting for clients",
                 endpoints, sessions, (double)(g_get_monotonic_time() - begun) / 1000);
    wsf_schedule_registrations(wsf);
    return true;
}

bool store_restore(struct wsf *wsf, GError **error)
{
    GError *own = NULL;
    void *file = open_backend(wsf->conf, &own);
    if (own && conf_bool(wsf->conf, "store", "required")) {
        g_propagate_error(error, own);
        return false;
    }
    if (own)
        log_error(NULL, "%s; starting without a store, a restart will lose registrations and calls",
                  own->message);
    g_clear_error(&own);
    wsf->keeper = store_keeper_new(&store_sqlite, file, kinds, wsf);
    return restore_all(wsf, error);
}
