/* SPDX-License-Identifier: Apache-2.0 */
/* The program: start, signals, end. SIGTERM drains: no new contexts, the end when the last has gone
 * or after the deadline; a second one ends at once, as SIGINT does. SIGHUP reads the TLS
 * certificate and the templates of pipelines again. */
#define LOG_CATEGORY "main"
#include "base/log.h"
#include "base/loop.h"
#include "base/program.h"
#include "base/sd-notify.h"
#include "wmcf/pipeline-check.h"
#include "wmcf/pipeline-print.h"
#include "wmcf/pipeline-templates.h"
#include "wmcf/termination.h"
#include "wmcf/wmcf.h"

#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static const struct conf_key keys[] = {
#define CONF_KEY(...) {__VA_ARGS__},
#include "wmcf/conf.def"
#undef CONF_KEY
};

static int drain_deadline = 30; /* s */

static gboolean check_pipelines;
static char *print_pipeline, **print_values;

static const GOptionEntry options[] = {
    {"check-pipelines", 0, 0, G_OPTION_ARG_NONE, &check_pipelines,
     "Play every pipeline template for a moment, tell of each, and exit", NULL},
    {"print-pipeline", 0, 0, G_OPTION_ARG_STRING, &print_pipeline,
     "Print a template, with values, as a command of gst-launch-1.0, and exit", "NAME"},
    {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &print_values, NULL,
     "[PARAMETER=VALUE…]"},
    {"drain-deadline", 0, 0, G_OPTION_ARG_INT, &drain_deadline,
     "Seconds that calls may go on after SIGTERM (default 30)", "SECONDS"},
    {NULL},
};

static const struct program_fsm fsms[] = {{"termination", termination_print_fsm}, {NULL}};

static bool do_verb(const struct conf *conf, int *ret_status)
{
    if (print_values && !print_pipeline) {
        fprintf(stderr, "wmcf: \"%s\" is not understood; see --help\n", print_values[0]);
        *ret_status = EXIT_FAILURE;
    } else if (print_pipeline) {
        *ret_status = pipeline_print(conf, print_pipeline, (const char *const *)print_values);
    } else if (check_pipelines) {
        *ret_status = pipeline_check_all(conf);
    }
    return print_values || print_pipeline || check_pipelines;
}

static const struct program program = {
    .name = "wmcf",
    .summary = "WebRTC Media Centre Function: anchors the media of calls, driven by a WSF over\n"
               "JSON on WebSocket. See docs/ for the protocol and wmcfctl(1) for a look inside.",
    .default_file = "/etc/wmcf/wmcf.conf",
    .keys = keys,
    .n_keys = G_N_ELEMENTS(keys),
    .options = options,
    .fsms = fsms,
    .check = pipeline_templates_check_conf,
    .verb = do_verb,
};

static struct wmcf *the_wmcf;
static int ends_asked;

static void on_drained(void *user)
{
    loop_quit();
}

static void on_signal(int signo)
{
    if (signo == SIGINT || ++ends_asked > 1 || drain_deadline <= 0) {
        loop_quit();
        return;
    }
    sd_notify_send("STOPPING=1\nSTATUS=Draining: waiting for the last call");
    service_state_drain(the_wmcf, drain_deadline, on_drained, NULL);
}

static gboolean on_hangup(gpointer data)
{
    loop_mark("reload");
    wmcf_reload(the_wmcf);
    return G_SOURCE_CONTINUE;
}

static int serve(struct conf *conf)
{
    GError *error = NULL;
    loop_init(conf_int(conf, "log", "slow_handler"));
    if (!pl_init(&error))
        return program_complain(&program, error);
    the_wmcf = wmcf_new(conf, &error);
    if (!the_wmcf) {
        pl_finish();
        return program_complain(&program, error);
    }
    log_info(NULL, "wmcf " WMCF_VERSION " is in service: control port %u, %u workers",
             link_listener_port(the_wmcf->listener), relay_workers(the_wmcf->relay));
    sd_notify_send("READY=1\nSTATUS=In service");
    sd_notify_watchdog_start();
    guint hangup = g_unix_signal_add(SIGHUP, on_hangup, NULL);
    loop_run(on_signal);
    g_source_remove(hangup);
    sd_notify_send("STOPPING=1");
    wmcf_free(the_wmcf);
    pl_finish();
    log_info(NULL, "wmcf has ended");
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    int status;
    struct conf *conf = program_start(&program, argc, argv, &status);
    if (conf) {
        status = serve(conf);
        conf_free(conf);
    }
    return status;
}
