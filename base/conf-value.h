/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One checked value, for conf.c alone. Threads: any; a value never changes once it is parsed. */
#include "base/conf.h"

struct conf_value {
    char *text; /* NULL = not set; a path is absolute */
    char *origin;
    gint64 number;
    bool flag;
    char **list;
};

/* Checks `text` against the key's row. `directory` is where relative paths start; `where` begins
 * the error's sentence ("file:line"). Transfer full; NULL and *error on failure. */
struct conf_value *conf_value_new(const struct conf_key *key, const char *text,
                                  const char *directory, const char *origin, const char *where,
                                  GError **error);
void conf_value_free(struct conf_value *value);
