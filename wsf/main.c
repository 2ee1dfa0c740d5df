/* SPDX-License-Identifier: Apache-2.0 */
/* The program: options, configuration, start, signals, end. SIGTERM and SIGINT drain, a second one
 * ends at once; SIGHUP reads credentials and keys again. */
#define LOG_CATEGORY "main"
#include "base/conf.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/sd-notify.h"
#include "wsf/auth-basic.h"
#include "wsf/server.h"
#include "wsf/wsf.h"

#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_FILE "/etc/wmcf/wsf.conf"
#define PASSWORD_BITS 96 /* of a generated one: 16 characters */

static const struct conf_key keys[] = {
#define CONF_KEY(...) {__VA_ARGS__},
#include "wsf/conf.def"
#undef CONF_KEY
};

static struct {
    char *file;
    char **sets;
    gboolean check, dump, sample, version;
    char *fsm, *add_user;
} options;

static const GOptionEntry entries[] = {
    {"config", 'c', 0, G_OPTION_ARG_FILENAME, &options.file,
     "Configuration file (default " DEFAULT_FILE ", where it exists)", "FILE"},
    {"set", 's', 0, G_OPTION_ARG_STRING_ARRAY, &options.sets,
     "Set one key over all files, e.g. -s call.no_answer_time=30", "SECTION.KEY=VALUE"},
    {"check-config", 0, 0, G_OPTION_ARG_NONE, &options.check, "Check the configuration and exit",
     NULL},
    {"dump-config", 0, 0, G_OPTION_ARG_NONE, &options.dump,
     "Print every value in force and where it comes from, and exit", NULL},
    {"sample-config", 0, 0, G_OPTION_ARG_NONE, &options.sample,
     "Print a commented file with every key, and exit", NULL},
    {"add-user", 0, 0, G_OPTION_ARG_STRING, &options.add_user,
     "Add or replace a user of the credentials file and exit; the password is the first line of "
     "stdin, or generated and printed when there is none",
     "USER@REALM"},
    {"print-fsm", 0, 0, G_OPTION_ARG_STRING, &options.fsm,
     "Print a state machine as graphviz text (session), and exit", "NAME"},
    {"version", 'V', 0, G_OPTION_ARG_NONE, &options.version, "Print the version and exit", NULL},
    {NULL},
};

static struct wsf *the_wsf;

static void on_drained(void *user)
{
    loop_quit();
}

static void on_signal(int signo)
{
    if (the_wsf->draining) {
        loop_quit();
        return;
    }
    sd_notify_send("STOPPING=1\nSTATUS=Draining");
    wsf_drain(the_wsf, on_drained, NULL);
}

static gboolean on_hangup(gpointer user)
{
    loop_mark("reload");
    wsf_reload(the_wsf);
    return G_SOURCE_CONTINUE;
}

static bool apply_log(struct conf *conf, GError **error)
{
    static const char *const formats[] = {"auto", "text", "json", "journal"};
    const char *format = conf_string(conf, "log", "format");
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++)
        if (strcmp(format, formats[i]) == 0)
            log_init("wsf", (enum log_format)i, LOG_INFO);
    const char *const *levels = conf_list(conf, "log", "level");
    for (size_t i = 0; levels && levels[i]; i++)
        if (!log_set_level_text(levels[i], error))
            return false;
    return true;
}

static int print_and_exit(char *text)
{
    fputs(text, stdout);
    g_free(text);
    return EXIT_SUCCESS;
}

static int complain(GError *error)
{
    fprintf(stderr, "wsf: %s\n", error->message);
    g_error_free(error);
    return EXIT_FAILURE;
}

/* The first line of stdin when it is not a terminal, else NULL. */
static char *read_password(void)
{
    char line[1100];
    if (isatty(STDIN_FILENO) || !fgets(line, sizeof line, stdin))
        return NULL;
    line[strcspn(line, "\r\n")] = 0;
    char *password = *line ? g_strdup(line) : NULL;
    explicit_bzero(line, sizeof line);
    return password;
}

static int add_user(const struct conf *conf)
{
    const char *file = conf_string(conf, "auth", "credentials_file");
    GError *error = NULL;
    if (!file) {
        problem_set(&error, PROBLEM_INVALID_MESSAGE,
                    "set auth.credentials_file, the file that the user is added to");
        return complain(error);
    }
    char *password = read_password();
    bool generated = !password;
    if (generated)
        password = id_token(PASSWORD_BITS);
    bool added = auth_basic_add_user(file, options.add_user, password, &error);
    if (added && generated)
        printf("%s\n", password);
    auth_secret_free(password);
    return added ? EXIT_SUCCESS : complain(error);
}

static int serve(struct conf *conf)
{
    GError *error = NULL;
    loop_init(conf_int(conf, "log", "slow_handler"));
    the_wsf = wsf_new(conf, &error);
    if (!the_wsf)
        return complain(error);
    g_autofree char *where = server_describe(the_wsf->server);
    log_info(NULL, "wsf " WMCF_VERSION " is in service: realm %s on %s", the_wsf->realm, where);
    guint hangup = g_unix_signal_add(SIGHUP, on_hangup, NULL);
    sd_notify_send("READY=1\nSTATUS=In service");
    sd_notify_watchdog_start();
    loop_run(on_signal);
    sd_notify_send("STOPPING=1");
    g_source_remove(hangup);
    wsf_free(the_wsf);
    log_info(NULL, "wsf has ended");
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    GError *error = NULL;
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_option_context_set_summary(
        context,
        "WebRTC Signalling Function: registers clients, routes their calls and drives the\n"
        "media centres that carry them.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error))
        return complain(error);
    if (argc > 1) {
        fprintf(stderr, "wsf: \"%s\" is not an option; try --help\n", argv[1]);
        return EXIT_FAILURE;
    }
    if (options.version)
        return print_and_exit(g_strdup("wsf " WMCF_VERSION "\n"));
    if (options.sample)
        return print_and_exit(conf_sample("wsf", keys, G_N_ELEMENTS(keys)));
    if (options.fsm) {
        if (strcmp(options.fsm, "session") == 0)
            return print_and_exit(session_print_fsm());
        fprintf(stderr, "wsf: the state machine is \"session\", not \"%s\"\n", options.fsm);
        return EXIT_FAILURE;
    }
    log_init("wsf", LOG_FORMAT_AUTO, LOG_INFO);
    struct conf *conf =
        conf_load("wsf", keys, G_N_ELEMENTS(keys), options.file ? options.file : DEFAULT_FILE,
                  !options.file, (const char *const *)options.sets, &error);
    if (!conf || !apply_log(conf, &error))
        return complain(error);
    int status;
    if (options.add_user)
        status = add_user(conf);
    else if (options.dump)
        status = print_and_exit(conf_dump(conf));
    else if (options.check)
        status = print_and_exit(g_strdup("the configuration is valid\n"));
    else
        status = serve(conf);
    conf_free(conf);
    return status;
}
