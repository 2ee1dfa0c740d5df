/* SPDX-License-Identifier: Apache-2.0 */
/* The program: options, configuration, start, signals, end. SIGTERM drains: no new contexts, the
 * end when the last has gone or after the deadline; a second one ends at once.
 */
#define LOG_CATEGORY "main"
#include "base/conf.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/sd-notify.h"
#include "wmcf/termination.h"
#include "wmcf/wmcf.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_FILE "/etc/wmcf/wmcf.conf"

static const struct conf_key keys[] = {
#define CONF_KEY(...) {__VA_ARGS__},
#include "wmcf/conf.def"
#undef CONF_KEY
};

static struct {
    char *file;
    char **sets;
    gboolean check, dump, sample, version;
    char *fsm;
    int drain_deadline;
} options = {.drain_deadline = 30};

static const GOptionEntry entries[] = {
    {"config", 'c', 0, G_OPTION_ARG_FILENAME, &options.file,
     "Configuration file (default " DEFAULT_FILE ", where it exists)", "FILE"},
    {"set", 's', 0, G_OPTION_ARG_STRING_ARRAY, &options.sets,
     "Set one key over all files, e.g. -s media.port=50000", "SECTION.KEY=VALUE"},
    {"check-config", 0, 0, G_OPTION_ARG_NONE, &options.check, "Check the configuration and exit",
     NULL},
    {"dump-config", 0, 0, G_OPTION_ARG_NONE, &options.dump,
     "Print every value in force and where it comes from, and exit", NULL},
    {"sample-config", 0, 0, G_OPTION_ARG_NONE, &options.sample,
     "Print a commented file with every key, and exit", NULL},
    {"drain-deadline", 0, 0, G_OPTION_ARG_INT, &options.drain_deadline,
     "Seconds that calls may go on after SIGTERM (default 30)", "SECONDS"},
    {"print-fsm", 0, 0, G_OPTION_ARG_STRING, &options.fsm,
     "Print a state machine as graphviz text (termination), and exit", "NAME"},
    {"version", 'V', 0, G_OPTION_ARG_NONE, &options.version, "Print the version and exit", NULL},
    {NULL},
};

static struct wmcf *the_wmcf;
static int terminations_asked;

static void on_drained(void *user)
{
    loop_quit();
}

static void on_signal(int signo)
{
    if (signo == SIGINT || ++terminations_asked > 1 || options.drain_deadline <= 0) {
        loop_quit();
        return;
    }
    sd_notify_send("STOPPING=1\nSTATUS=Draining: waiting for the last call");
    service_state_drain(the_wmcf, options.drain_deadline, on_drained, NULL);
}

static bool apply_log(struct conf *conf, GError **error)
{
    static const char *const formats[] = {"auto", "text", "json", "journal"};
    const char *format = conf_string(conf, "log", "format");
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++)
        if (strcmp(format, formats[i]) == 0)
            log_init("wmcf", (enum log_format)i, LOG_INFO);
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
    fprintf(stderr, "wmcf: %s\n", error->message);
    g_error_free(error);
    return EXIT_FAILURE;
}

static int serve(struct conf *conf)
{
    GError *error = NULL;
    loop_init(conf_int(conf, "log", "slow_handler"));
    if (!pl_init(&error))
        return complain(error);
    the_wmcf = wmcf_new(conf, &error);
    if (!the_wmcf) {
        pl_finish();
        return complain(error);
    }
    log_info(NULL,
             "wmcf " WMCF_VERSION " is in service: control port %u, %u workers, enforcement \"%s\" "
             "(%s)",
             link_listener_port(the_wmcf->listener), relay_workers(the_wmcf->relay),
             qos_level_name(), qos_level_reason());
    sd_notify_send("READY=1\nSTATUS=In service");
    sd_notify_watchdog_start();
    loop_run(on_signal);
    sd_notify_send("STOPPING=1");
    wmcf_free(the_wmcf);
    pl_finish();
    log_info(NULL, "wmcf has ended");
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    GError *error = NULL;
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_option_context_set_summary(
        context, "WebRTC Media Centre Function: anchors the media of calls, driven by a WSF over\n"
                 "JSON on WebSocket. See docs/ for the protocol and wmcfctl(1) for a look inside.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error))
        return complain(error);
    if (argc > 1) {
        fprintf(stderr, "wmcf: \"%s\" is not an option; try --help\n", argv[1]);
        return EXIT_FAILURE;
    }
    if (options.version)
        return print_and_exit(g_strdup("wmcf " WMCF_VERSION "\n"));
    if (options.sample)
        return print_and_exit(conf_sample("wmcf", keys, G_N_ELEMENTS(keys)));
    if (options.fsm) {
        if (strcmp(options.fsm, "termination") == 0)
            return print_and_exit(termination_print_fsm());
        fprintf(stderr, "wmcf: the state machine is \"termination\", not \"%s\"\n", options.fsm);
        return EXIT_FAILURE;
    }
    log_init("wmcf", LOG_FORMAT_AUTO, LOG_INFO);
    struct conf *conf =
        conf_load("wmcf", keys, G_N_ELEMENTS(keys), options.file ? options.file : DEFAULT_FILE,
                  !options.file, (const char *const *)options.sets, &error);
    if (!conf || !apply_log(conf, &error))
        return complain(error);
    if (options.dump)
        return print_and_exit(conf_dump(conf));
    if (options.check)
        return print_and_exit(g_strdup("the configuration is valid\n"));
    int status = serve(conf);
    conf_free(conf);
    return status;
}
