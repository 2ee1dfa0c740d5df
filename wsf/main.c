/* SPDX-License-Identifier: Apache-2.0 */
/* The program: start, signals, end; --add-user. SIGTERM ends for a restart or drains, as
 * configured, SIGINT drains, a second one ends at once; SIGHUP reads credentials, keys and the
 * policy table again. */
#define LOG_CATEGORY "main"
#include "base/ids.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/program.h"
#include "base/sd-notify.h"
#include "wsf/auth-basic.h"
#include "wsf/call-resource.h"
#include "wsf/server.h"
#include "wsf/transcoding.h"
#include "wsf/wsf.h"

#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PASSWORD_BITS 96 /* of a generated one: 16 characters */

static const struct conf_key keys[] = {
#define CONF_KEY(...) {__VA_ARGS__},
#include "wsf/conf.def"
#undef CONF_KEY
};

static char *user_to_add;

static const GOptionEntry options[] = {
    {"add-user", 0, 0, G_OPTION_ARG_STRING, &user_to_add,
     "Add or replace a user of the credentials file and exit; the password is the first line of "
     "stdin, or generated and printed when there is none",
     "USER@REALM"},
    {NULL},
};

static bool check(const struct conf *conf, GError **error)
{
    struct policy *policy = policy_new(conf, error);
    bool valid = policy != NULL;
    policy_free(policy);
    return valid && resource_check(conf, error) && transcoding_check(conf, error);
}

static bool add_user_verb(const struct conf *conf, int *ret_status);

static const struct program_fsm fsms[] = {{"session", session_print_fsm}, {NULL}};

static const struct program program = {
    .name = "wsf",
    .summary = "WebRTC Signalling Function: registers clients, routes their calls and drives the\n"
               "media centres that carry them.",
    .default_file = "/etc/wmcf/wsf.conf",
    .keys = keys,
    .n_keys = G_N_ELEMENTS(keys),
    .options = options,
    .fsms = fsms,
    .check = check,
    .verb = add_user_verb,
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
    sd_notify_send("STOPPING=1\nSTATUS=Stopping");
    const char *sigterm = conf_string(the_wsf->conf, "wsf", "sigterm");
    if (signo == SIGTERM && strcmp(sigterm, "restart") == 0)
        wsf_suspend(the_wsf, on_drained, NULL);
    else
        wsf_drain(the_wsf, on_drained, NULL);
}

static gboolean on_hangup(gpointer user)
{
    g_autoptr(GError) error = NULL;
    loop_mark("reload");
    struct conf *conf = program_reload(&program, &error);
    if (!conf)
        log_error(NULL, "the configuration is not read again: %s", error->message);
    wsf_reload(the_wsf, conf);
    conf_free(conf);
    return G_SOURCE_CONTINUE;
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
        return program_complain(&program, error);
    }
    char *password = read_password();
    bool generated = !password;
    if (generated)
        password = id_token(PASSWORD_BITS);
    bool added = auth_basic_add_user(file, user_to_add, password, &error);
    if (added && generated)
        printf("%s\n", password);
    auth_secret_free(password);
    return added ? EXIT_SUCCESS : program_complain(&program, error);
}

static int serve(struct conf *conf)
{
    GError *error = NULL;
    loop_init(conf_int(conf, "log", "slow_handler"));
    signal(SIGXFSZ, SIG_IGN); /* a limit on files is an error of the store, not our end */
    the_wsf = wsf_new(conf, &error);
    if (!the_wsf)
        return program_complain(&program, error);
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

static bool add_user_verb(const struct conf *conf, int *ret_status)
{
    if (user_to_add)
        *ret_status = add_user(conf);
    return user_to_add != NULL;
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
