/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Configuration: INI with drop-ins, every key from one table.
 *
 * A program declares its keys in a conf.def (X-macro CONF_KEY); from that table come parsing,
 * checking, defaults, --check-config, --dump-config and the commented sample file. Sources in
 * rising order: table default, FILE, FILE's directory FILE.d / *.conf in name order, environment
 * PROGRAM_SECTION_KEY, command line --set section.key=value. An unknown section or key is an error
 * that names file and key. A section may have instances: [wmcf "west"].
 *
 * Threads: control thread only; values never change after loading. */
#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

enum conf_type {
    CONF_STRING,
    CONF_INT,    /* within min..max, unit told in the sample */
    CONF_BOOL,   /* true/false/yes/no/on/off/1/0 */
    CONF_LIST,   /* strings separated by comma or semicolon */
    CONF_CHOICE, /* one of the words of `choices`, separated by | */
    CONF_PATH,   /* relative ones are relative to the file that says it */
};

struct conf_key {
    const char *section; /* "media"; an instanced section ends in "*": "wmcf*" */
    const char *name;
    enum conf_type type;
    const char *default_value; /* as written in a file; NULL = not set */
    gint64 min, max;           /* CONF_INT */
    const char *choices;       /* CONF_CHOICE */
    const char *unit;          /* "s", "ms", "octets", … or NULL */
    const char *help;          /* one or more sentences for the sample file */
};

struct conf;

/* Loads everything. `file` NULL or absent-by-default gives pure defaults; `sets` is a
 * NULL-terminated array of "section.key=value" (may be NULL). Transfer full; NULL and *error
 * (INVALID_MESSAGE, text with file, section and key) on failure. */
struct conf *conf_load(const char *program, const struct conf_key *keys, size_t n_keys,
                       const char *file, bool file_optional, const char *const *sets,
                       GError **error);
void conf_free(struct conf *conf);

/* Values. `section` of an instance is written as in the file: "wmcf \"west\"" or by
 * conf_instances(). Asking for a key that is not in the table is a programming error. Borrowed,
 * NULL when not set. */
const char *conf_string(const struct conf *conf, const char *section, const char *name);
gint64 conf_int(const struct conf *conf, const char *section, const char *name);
bool conf_bool(const struct conf *conf, const char *section, const char *name);
const char *const *conf_list(const struct conf *conf, const char *section, const char *name);
/* Where the value came from: "default", "/etc/…/x.conf", "environment", "command line". */
const char *conf_origin(const struct conf *conf, const char *section, const char *name);
/* The section names of the instances of "wmcf*", NULL-terminated, borrowed. */
const char *const *conf_instances(const struct conf *conf, const char *section);
/* What an instance is called: "west" of "wmcf \"west\""; NULL: nothing. Transfer full. */
char *conf_instance_name(const char *section);

/* Effective values with their origin, as INI text. Transfer full. */
char *conf_dump(const struct conf *conf);
/* The commented sample of every key. Transfer full. */
char *conf_sample(const char *program, const struct conf_key *keys, size_t n_keys);
/* The content of the file that key `name` points to, without a trailing newline; NULL and no error
 * when the key is not set. Transfer full. For secrets: `*_file` keys. */
char *conf_secret(const struct conf *conf, const char *section, const char *name, GError **error);
