/* SPDX-License-Identifier: Apache-2.0 */
/* The beginning of a program, written once. Options that only print need no configuration file, so
 * a broken one does not keep the operator from the sample that would mend it. */
#include "base/program.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    char *file;
    char **sets;
    gboolean check, dump, sample, version;
    char *fsm;
} options;

static const GOptionEntry entries[] = {
    {"config", 'c', 0, G_OPTION_ARG_FILENAME, &options.file,
     "Configuration file (default: the one below /etc/wmcf, where it exists)", "FILE"},
    {"set", 's', 0, G_OPTION_ARG_STRING_ARRAY, &options.sets,
     "Set one key over all files, e.g. -s log.level=debug", "SECTION.KEY=VALUE"},
    {"check-config", 0, 0, G_OPTION_ARG_NONE, &options.check, "Check the configuration and exit",
     NULL},
    {"dump-config", 0, 0, G_OPTION_ARG_NONE, &options.dump,
     "Print every value in force and where it comes from, and exit", NULL},
    {"sample-config", 0, 0, G_OPTION_ARG_NONE, &options.sample,
     "Print a commented file with every key, and exit", NULL},
    {"print-fsm", 0, 0, G_OPTION_ARG_STRING, &options.fsm,
     "Print a state machine as graphviz text, and exit", "NAME"},
    {"version", 'V', 0, G_OPTION_ARG_NONE, &options.version, "Print the version and exit", NULL},
    {NULL},
};

int program_complain(const struct program *program, GError *error)
{
    fprintf(stderr, "%s: %s\n", program->name, error->message);
    g_error_free(error);
    return EXIT_FAILURE;
}

static int print(char *text)
{
    fputs(text, stdout);
    g_free(text);
    return EXIT_SUCCESS;
}

static int print_fsm(const struct program *program)
{
    for (const struct program_fsm *fsm = program->fsms; fsm->name; fsm++)
        if (strcmp(options.fsm, fsm->name) == 0)
            return print(fsm->print());
    fprintf(stderr, "%s: there is no state machine \"%s\"; there are:", program->name, options.fsm);
    for (const struct program_fsm *fsm = program->fsms; fsm->name; fsm++)
        fprintf(stderr, " %s", fsm->name);
    fprintf(stderr, "\n");
    return EXIT_FAILURE;
}

static bool apply_log(const struct program *program, const struct conf *conf, GError **error)
{
    static const char *const formats[] = {"auto", "text", "json", "journal"};
    const char *format = conf_string(conf, "log", "format");
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++)
        if (strcmp(format, formats[i]) == 0)
            log_init(program->name, (enum log_format)i, LOG_INFO);
    const char *const *levels = conf_list(conf, "log", "level");
    for (size_t i = 0; levels && levels[i]; i++)
        if (!log_set_level_text(levels[i], error))
            return false;
    return true;
}

static bool parse(const struct program *program, int argc, char **argv, GError **error)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_option_context_set_summary(context, program->summary);
    g_option_context_add_main_entries(context, entries, NULL);
    if (program->options)
        g_option_context_add_main_entries(context, program->options, NULL);
    if (!g_option_context_parse(context, &argc, &argv, error))
        return false;
    if (argc > 1) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION,
                    "\"%s\" is not an option; try --help", argv[1]);
        return false;
    }
    return true;
}

/* True when the configuration was asked for and not the service. */
static bool only_asked(const struct program *program, const struct conf *conf, int *ret_status)
{
    if (program->verb && program->verb(conf, ret_status))
        return true;
    if (options.dump)
        *ret_status = print(conf_dump(conf));
    else if (options.check)
        *ret_status = print(g_strdup("the configuration is valid\n"));
    return options.dump || options.check;
}

struct conf *program_reload(const struct program *program, GError **error)
{
    struct conf *conf = conf_load(program->name, program->keys, program->n_keys,
                                  options.file ? options.file : program->default_file,
                                  !options.file, (const char *const *)options.sets, error);
    if (conf && program->check && !program->check(conf, error))
        g_clear_pointer(&conf, conf_free);
    return conf;
}

struct conf *program_start(const struct program *program, int argc, char **argv, int *ret_status)
{
    GError *error = NULL;
    struct conf *conf = NULL;
    *ret_status = EXIT_SUCCESS;
    if (!parse(program, argc, argv, &error)) {
        *ret_status = program_complain(program, error);
    } else if (options.version) {
        *ret_status = print(g_strdup_printf("%s " WMCF_VERSION "\n", program->name));
    } else if (options.sample) {
        *ret_status = print(conf_sample(program->name, program->keys, program->n_keys));
    } else if (options.fsm) {
        *ret_status = print_fsm(program);
    } else {
        log_init(program->name, LOG_FORMAT_AUTO, LOG_INFO);
        conf = program_reload(program, &error);
        if (!conf || !apply_log(program, conf, &error))
            *ret_status = program_complain(program, error);
        else if (!only_asked(program, conf, ret_status))
            return conf;
    }
    conf_free(conf);
    return NULL;
}
