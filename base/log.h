/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Structured logging with ids, on GLib's structured log.
 *
 * A line is one short sentence in lower case; the ids travel as fields beside it. Library folders
 * (base, wsf-link, pipelines, qos, wmcf/relay) return errors and log at debug only; the programs
 * log each failure once. Never log SDP, credentials, user data or keys above debug.
 *
 * Output: native journal when stderr is the journal, coloured text on a terminal, JSON lines
 * otherwise (or as log_init() is told).
 *
 * Threads: any; never called on the packet path. */
#include <glib.h>
#include <stdbool.h>

/* Each .c file that logs defines LOG_CATEGORY (for example "msetup") before including this. */
#ifndef LOG_CATEGORY
#define LOG_CATEGORY "main"
#endif

/* The ids a line is about; any may be NULL. Usually a static-inline helper of the object makes it.
 */
struct log_ids {
    const char *session;     /* mediaSessionId */
    const char *context;     /* contextId */
    const char *termination; /* terminationId */
    const char *link;        /* the connection: its number or the peer's identity */
    const char *transaction; /* "method/transactionId" */
};

enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_JSON, LOG_FORMAT_JOURNAL };
enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* Installs the writer; call once, first thing in main(). `program` names the lines ("wmcf"). */
void log_init(const char *program, enum log_format format, enum log_level level);
/* Default level, or the level of one category when `category` is not NULL. Any thread. */
void log_set_level(const char *category, enum log_level level);
/* Parses "relay:debug" or "debug"; false and *error with the allowed words when it cannot. */
bool log_set_level_text(const char *text, GError **error);
bool log_enabled(const char *category, enum log_level level);

void log_write(const char *category, enum log_level level, const struct log_ids *ids,
               const char *format, ...) G_GNUC_PRINTF(4, 5);

#define log_error(ids, ...) log_write(LOG_CATEGORY, LOG_ERROR, (ids), __VA_ARGS__)
#define log_warning(ids, ...) log_write(LOG_CATEGORY, LOG_WARNING, (ids), __VA_ARGS__)
#define log_info(ids, ...) log_write(LOG_CATEGORY, LOG_INFO, (ids), __VA_ARGS__)
#define log_debug(ids, ...)                                                                        \
    do {                                                                                           \
        if (log_enabled(LOG_CATEGORY, LOG_DEBUG))                                                  \
            log_write(LOG_CATEGORY, LOG_DEBUG, (ids), __VA_ARGS__);                                \
    } while (0)
