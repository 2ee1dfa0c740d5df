/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What every program of the project does before it serves: command line, configuration, log.
 * --check-config, --dump-config, --sample-config, --print-fsm and --version are the same
 * everywhere.
 *
 * Threads: the main thread, before anything else. */
#include "base/conf.h"

#include <glib.h>

/* A state machine that --print-fsm can draw. */
struct program_fsm {
    const char *name;
    char *(*print)(void); /* graphviz text, transfer full */
};

struct program {
    const char *name;    /* "wmcf": also the prefix of environment variables */
    const char *summary; /* for --help */
    const char *default_file;
    const struct conf_key *keys; /* the configuration table; has log.level and log.format */
    size_t n_keys;
    const GOptionEntry *options;    /* the program's own, NULL-terminated; may be NULL */
    const struct program_fsm *fsms; /* ends with a NULL name */
    /* What the table of keys cannot see of the values, for --check-config too. May be NULL. */
    bool (*check)(const struct conf *conf, GError **error);
    /* Another verb of the program's own: true when it was asked for and has been done, with
     * *ret_status set. Called with the configuration loaded. May be NULL. */
    bool (*verb)(const struct conf *conf, int *ret_status);
};

/* Parses the command line and loads the configuration. Returns what to serve with (transfer full),
 * or NULL when the process shall end with *ret_status: an option that only prints has been done, or
 * a mistake has been told on stderr. */
struct conf *program_start(const struct program *program, int argc, char **argv, int *ret_status);
/* The configuration as its sources are now, the command line of program_start() included. Transfer
 * full; NULL and *error when it is not valid. */
struct conf *program_reload(const struct program *program, GError **error);
/* Tells the error on stderr, frees it, returns EXIT_FAILURE. */
int program_complain(const struct program *program, GError *error);
