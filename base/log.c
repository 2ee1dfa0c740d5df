/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the way of a line from a call to stderr. A record is GLib's array of fields, so GLib's own
 * journal back-end serves us and the messages of GLib and GStreamer arrive in the same writer and
 * look like ours. The levels are ours too: GLib's know no categories, and an operational failure
 * must not count as a critical (which tests make fatal): every record of ours goes as a message,
 * info or debug and carries its true level in PRIORITY.
 *
 * One line is one write(2); lines of several threads never mix up to the pipe's atomic size. */
#define G_LOG_DOMAIN "base"
#include "base/log.h"

#include "base/problem.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIELDS_MAX 16

static const struct {
    const char *name;
    const char *priority; /* syslog(3) */
    const char *colour;
    GLogLevelFlags glib;
} levels[] = {
    [LOG_ERROR] = {"error", "3", "\033[1;31m", G_LOG_LEVEL_MESSAGE},
    [LOG_WARNING] = {"warning", "4", "\033[33m", G_LOG_LEVEL_MESSAGE},
    [LOG_INFO] = {"info", "6", "\033[32m", G_LOG_LEVEL_INFO},
    [LOG_DEBUG] = {"debug", "7", "\033[2m", G_LOG_LEVEL_DEBUG},
};

/* The ids of struct log_ids in its order: the journal's field and the short word of the others. */
static const struct {
    const char *field, *word;
} id_names[] = {
    {"WMCF_SESSION", "session"},         {"WMCF_CONTEXT", "context"},
    {"WMCF_TERMINATION", "termination"}, {"WMCF_LINK", "link"},
    {"WMCF_TRANSACTION", "transaction"},
};

static const char *program_name = "main";
static enum log_format output = LOG_FORMAT_AUTO;
static _Atomic int default_level = LOG_INFO;
/* Overrides are set by hand and read on every line: `have_overrides` spares the lock. */
static _Atomic bool have_overrides;
static pthread_rwlock_t overrides_lock = PTHREAD_RWLOCK_INITIALIZER;
static GHashTable *overrides; /* category → level + 1 */

/* --- levels ------------------------------------------------------------------------------- */

bool log_enabled(const char *category, enum log_level level)
{
    int wanted = atomic_load_explicit(&default_level, memory_order_relaxed);
    if (atomic_load_explicit(&have_overrides, memory_order_acquire)) {
        pthread_rwlock_rdlock(&overrides_lock);
        int own = GPOINTER_TO_INT(g_hash_table_lookup(overrides, category));
        pthread_rwlock_unlock(&overrides_lock);
        if (own)
            wanted = own - 1;
    }
    return (int)level <= wanted;
}

void log_set_level(const char *category, enum log_level level)
{
    if (!category) {
        atomic_store_explicit(&default_level, level, memory_order_relaxed);
        return;
    }
    pthread_rwlock_wrlock(&overrides_lock);
    if (!overrides)
        overrides = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_hash_table_replace(overrides, g_strdup(category), GINT_TO_POINTER((int)level + 1));
    pthread_rwlock_unlock(&overrides_lock);
    atomic_store_explicit(&have_overrides, true, memory_order_release);
}

bool log_set_level_text(const char *text, GError **error)
{
    const char *colon = strrchr(text, ':'), *word = colon ? colon + 1 : text;
    g_autofree char *category = colon ? g_strndup(text, (gsize)(colon - text)) : NULL;
    for (guint i = 0; i < G_N_ELEMENTS(levels); i++) {
        if (strcmp(word, levels[i].name) != 0 || (category && !*category))
            continue;
        log_set_level(category, (enum log_level)i);
        return true;
    }
    problem_set(error, PROBLEM_INVALID_MESSAGE,
                "log level '%s' is not one of error, warning, info, debug, or category:level",
                text);
    return false;
}

/* --- records ------------------------------------------------------------------------------ */

static const char *field_text(const GLogField *fields, gsize n, const char *key, char **ret_copy)
{
    for (gsize i = 0; i < n; i++) {
        if (strcmp(fields[i].key, key) != 0)
            continue;
        if (fields[i].length < 0)
            return fields[i].value;
        g_free(*ret_copy);
        return *ret_copy = g_strndup(fields[i].value, (gsize)fields[i].length);
    }
    return NULL;
}

/* Peers choose part of what is logged: a control character must neither start a line of its own nor
 * reach the terminal. The JSON form is the same, with its own escapes. */
static void append_safe(GString *out, const char *text, bool json)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    for (const guint8 *p = (const guint8 *)valid; *p; p++) {
        if (json && (*p == '"' || *p == '\\'))
            g_string_append_printf(out, "\\%c", *p);
        else if (*p == '\n')
            g_string_append(out, "\\n");
        else if (*p < 0x20 || *p == 0x7f)
            g_string_append_printf(out, json ? "\\u%04x" : "\\x%02x", *p);
        else
            g_string_append_c(out, (char)*p);
    }
}

static void append_member(GString *out, const char *name, const char *value)
{
    g_string_append_printf(out, "%s\"%s\":\"", out->len > 1 ? "," : "", name);
    append_safe(out, value, true);
    g_string_append_c(out, '"');
}

struct record {
    enum log_level level;
    const char *category;
    const char *message;
    const GLogField *fields;
    gsize n_fields;
};

static GString *format_json(const struct record *record)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *seconds = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S");
    g_autofree char *time = g_strdup_printf("%s.%06dZ", seconds, g_date_time_get_microsecond(now));
    GString *out = g_string_new("{");
    append_member(out, "time", time);
    append_member(out, "level", levels[record->level].name);
    append_member(out, "program", program_name);
    append_member(out, "category", record->category);
    append_member(out, "message", record->message);
    for (guint i = 0; i < G_N_ELEMENTS(id_names); i++) {
        g_autofree char *copy = NULL;
        const char *id = field_text(record->fields, record->n_fields, id_names[i].field, &copy);
        if (id)
            append_member(out, id_names[i].word, id);
    }
    return g_string_append(out, "}\n");
}

static GString *format_text(const struct record *record, bool colours)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autofree char *seconds = g_date_time_format(now, "%H:%M:%S");
    GString *out = g_string_new(NULL);
    g_string_append_printf(out, "%s.%03d %s%-7s%s %s/%s: ", seconds,
                           g_date_time_get_microsecond(now) / 1000,
                           colours ? levels[record->level].colour : "", levels[record->level].name,
                           colours ? "\033[0m" : "", program_name, record->category);
    append_safe(out, record->message, false);
    if (colours)
        g_string_append(out, "\033[2m");
    for (guint i = 0; i < G_N_ELEMENTS(id_names); i++) {
        g_autofree char *copy = NULL;
        const char *id = field_text(record->fields, record->n_fields, id_names[i].field, &copy);
        if (!id)
            continue;
        g_string_append_printf(out, " %s=", id_names[i].word);
        append_safe(out, id, false);
    }
    return g_string_append(out, colours ? "\033[0m\n" : "\n");
}

static void write_whole(const char *text, gsize length)
{
    while (length > 0) {
        ssize_t n = write(STDERR_FILENO, text, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nowhere left to complain */
        text += n;
        length -= (gsize)n;
    }
}

/* A message of GLib or of a library on it: what is fit for an operator by our habits. */
static enum log_level foreign_level(GLogLevelFlags flags)
{
    if (flags & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
        return LOG_ERROR;
    if (flags & G_LOG_LEVEL_WARNING)
        return LOG_WARNING;
    return flags & G_LOG_LEVEL_MESSAGE ? LOG_INFO : LOG_DEBUG;
}

static enum log_level own_level(const char *priority)
{
    for (guint i = 0; i < G_N_ELEMENTS(levels); i++)
        if (priority && strcmp(priority, levels[i].priority) == 0)
            return (enum log_level)i;
    return LOG_INFO;
}

static GLogWriterOutput write_record(GLogLevelFlags flags, const GLogField *fields, gsize n_fields,
                                     gpointer user_data)
{
    g_autofree char *message = NULL, *category = NULL, *domain = NULL, *priority = NULL;
    struct record record = {.fields = fields, .n_fields = n_fields};
    record.message = field_text(fields, n_fields, "MESSAGE", &message);
    record.category = field_text(fields, n_fields, "WMCF_CATEGORY", &category);
    if (record.category) {
        record.level = own_level(field_text(fields, n_fields, "PRIORITY", &priority));
    } else {
        record.category = field_text(fields, n_fields, "GLIB_DOMAIN", &domain);
        record.level = foreign_level(flags);
        if (!record.category)
            record.category = "glib";
        if (!log_enabled(record.category, record.level))
            return G_LOG_WRITER_HANDLED;
    }
    if (!record.message)
        record.message = "(no message)";
    if (output == LOG_FORMAT_JOURNAL &&
        g_log_writer_journald(flags, fields, n_fields, NULL) == G_LOG_WRITER_HANDLED)
        return G_LOG_WRITER_HANDLED;
    g_autoptr(GString) line = output == LOG_FORMAT_TEXT
                                  ? format_text(&record, g_log_writer_supports_color(STDERR_FILENO))
                                  : format_json(&record);
    write_whole(line->str, line->len);
    return G_LOG_WRITER_HANDLED;
}

void log_init(const char *program, enum log_format format, enum log_level level)
{
    if (format == LOG_FORMAT_AUTO) {
        if (g_log_writer_is_journald(STDERR_FILENO))
            format = LOG_FORMAT_JOURNAL;
        else
            format = isatty(STDERR_FILENO) ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
    }
    static bool installed; /* GLib takes one writer per process */
    program_name = program;
    output = format;
    log_set_level(NULL, level);
    if (!installed)
        g_log_set_writer_func(write_record, NULL, NULL);
    installed = true;
}

void log_write(const char *category, enum log_level level, const struct log_ids *ids,
               const char *format, ...)
{
    if (!log_enabled(category, level))
        return;
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);

    GLogField fields[FIELDS_MAX] = {
        {"MESSAGE", text, -1},
        {"PRIORITY", levels[level].priority, -1},
        {"WMCF_CATEGORY", category, -1},
        {"SYSLOG_IDENTIFIER", program_name, -1},
        {"GLIB_DOMAIN", program_name, -1},
    };
    gsize n = 5;
    const struct log_ids none = {0};
    const struct log_ids *from = ids ? ids : &none;
    const char *const values[] = {from->session, from->context, from->termination, from->link,
                                  from->transaction};
    G_STATIC_ASSERT(G_N_ELEMENTS(values) == G_N_ELEMENTS(id_names));
    for (guint i = 0; i < G_N_ELEMENTS(values); i++)
        if (values[i])
            fields[n++] = (GLogField){id_names[i].field, values[i], -1};
    g_log_structured_array(levels[level].glib, fields, n);
}
