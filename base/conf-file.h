/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The lines of one INI file, for conf.c alone. Threads: any. */
#include <glib.h>
#include <stdbool.h>

struct conf_line {
    const char *file;
    guint number;
    const char *section;     /* trimmed, as between the brackets */
    const char *key, *value; /* both NULL: the line that opens the section */
};

/* Calls take() for each section line and each `key = value` in order, and stops at its first
 * failure, which it returns. */
bool conf_file_read(const char *file,
                    bool (*take)(const struct conf_line *line, void *user, GError **error),
                    void *user, GError **error);
