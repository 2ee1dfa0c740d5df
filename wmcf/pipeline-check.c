/* SPDX-License-Identifier: Apache-2.0 */
/* The check of templates before anybody calls: each is really played until its first packets, with
 * its defaults and once more for every other value of what a `when` line asks for, since a branch
 * that is never built is where mistakes hide. A uri without a default gets a film that is made
 * here. */
#include "wmcf/pipeline-check.h"

#include "base/loop.h"
#include "base/problem.h"
#include "pipelines/leg.h"
#include "pipelines/media-resource.h"
#include "wmcf/pipeline-check-input.h"
#include "wmcf/pipeline-templates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Not live, so that it is made faster than it plays. */
#define FILM_TEMPLATE                                                                              \
    "webmmux name=mux ! filesink location=%s "                                                     \
    "videotestsrc num-buffers=50 ! video/x-raw,width=320,height=180,framerate=25/1 "               \
    "! vp8enc deadline=1 cpu-used=8 ! queue ! mux. "                                               \
    "audiotestsrc num-buffers=100 samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=2 "       \
    "! opusenc ! queue ! mux."

#define STOP_MS 5000
#define READ_MS 500

struct check {
    const struct conf *conf;
    char *film; /* URI */
    guint failed;
    bool hangs; /* a pipeline does not stop: nothing after it can be told */
};

/* --- one pipeline ----------------------------------------------------------------------------- */

struct trial {
    struct check_inputs *inputs;
    bool started, stopped;
    guint members; /* that are there */
    GError *error;
};

static void on_started(void *user)
{
    ((struct trial *)user)->started = true;
}

static void on_failed(void *user, const GError *error)
{
    ((struct trial *)user)->error = g_error_copy(error);
}

static void on_ended(void *user)
{
}

static void on_stopped(void *user)
{
    ((struct trial *)user)->stopped = true;
}

static void on_packets(void *user, guint medium, const struct wmcf_sink_packet *packets, guint n)
{
}

static void on_member_failed(void *user, guint place, const GError *error)
{
    struct trial *trial = user;
    if (!trial->error)
        trial->error = g_error_copy(error);
}

static void on_member(void *user, const GError *error)
{
    if (error)
        on_member_failed(user, 0, error);
    else
        ((struct trial *)user)->members++;
}

static int input_descriptor(void *user, guint index)
{
    return check_input_descriptor(((struct trial *)user)->inputs, index);
}

static guint read_input(void *user, guint index, const struct wmcf_src_sink *sink, void *to)
{
    return check_input_read(((struct trial *)user)->inputs, index, sink, to);
}

static void want_key_frame(void *user, guint index)
{
    check_input_want_key_frame(((struct trial *)user)->inputs, index);
}

static const struct wmcf_src_ops input_ops = {
    .descriptor = input_descriptor, .read = read_input, .key_frame = want_key_frame};

static const struct media_resource_ops ops = {
    .started = on_started,
    .failed = on_failed,
    .ended = on_ended,
    .stopped = on_stopped,
    .packets = on_packets,
    .member_packets = on_packets,
    .member_failed = on_member_failed,
};

static void stop(struct check *check, struct media_resource *r, struct trial *trial)
{
    gint64 end = g_get_monotonic_time() + STOP_MS * 1000;
    media_resource_close(r);
    while (!trial->stopped && g_get_monotonic_time() < end)
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(1000);
    check->hangs = !trial->stopped;
    if (trial->stopped)
        media_resource_free(r);
    else if (!trial->error)
        problem_set(&trial->error, PROBLEM_WMCF_ERROR, "the pipeline does not stop");
}

/* What takes media and gives none starts before anything has reached it. */
static void read_for_a_while(struct media_resource *r, struct trial *trial)
{
    gint64 end = g_get_monotonic_time() + READ_MS * 1000;
    while (media_resource_media_count(r) == 0 && !trial->error && g_get_monotonic_time() < end)
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(1000);
}

/* Some come to a repeated input, and one goes. */
static void try_members(struct media_resource *r, const struct pipeline_text *text,
                        struct trial *trial)
{
    struct pipeline_input repeated;
    if (trial->error || !pipeline_text_repeated(text, &repeated))
        return;
    for (guint i = 0; i < CHECK_MEMBERS && !trial->error; i++) {
        g_autofree char *name = g_strdup_printf("%u", i + 1);
        struct pipeline_text *part = pipeline_text_member(text, name, NULL, &trial->error);
        if (part)
            media_resource_add_member(r, i, name, part, on_member, trial, &trial->error);
    }
    while (trial->members < CHECK_MEMBERS && !trial->error)
        g_main_context_iteration(NULL, TRUE);
    media_resource_remove_member(r, 0);
}

/* What it gives, or NULL and why it does not play. Takes the text. */
static char *play(struct check *check, struct pipeline_text *text, GError **error)
{
    struct trial trial = {0};
    const struct media_resource_config config = {
        .id = "check",
        .text = text,
        .start_timeout_ms = 1000 * conf_int(check->conf, "pipelines", "start_timeout"),
        .ops = &ops,
        .inputs = &input_ops,
        .user = &trial,
    };
    trial.inputs = check_inputs_new(text, error);
    if (!trial.inputs) {
        pipeline_text_free(text);
        return NULL;
    }
    struct media_resource *r = media_resource_new(&config, error);
    if (!r) {
        check_inputs_free(trial.inputs);
        return NULL;
    }
    while (!trial.started && !trial.error)
        g_main_context_iteration(NULL, TRUE);
    try_members(r, text, &trial);
    read_for_a_while(r, &trial);
    GString *told = g_string_new(NULL);
    for (guint i = 0; i < media_resource_media_count(r); i++) {
        const struct wmcf_sink_medium *m = media_resource_medium(r, i);
        if (m->format)
            g_string_append_printf(told, "%s%s %s", told->len ? ", " : "", m->mid, m->codec);
    }
    const struct wmcf_sink_medium *given = media_resource_member_medium(r, CHECK_MEMBERS - 1);
    if (given)
        g_string_append_printf(told, "%smembers %s", told->len ? ", " : "", given->codec);
    if (!told->len)
        g_string_append(told, "takes media");
    g_string_append_printf(told, " after %.0f ms", media_resource_start_time(r) / 1e3);
    stop(check, r, &trial);
    if (!check->hangs)
        check_inputs_free(trial.inputs);
    if (!trial.error)
        return g_string_free(told, FALSE);
    g_string_free(told, TRUE);
    g_propagate_error(error, trial.error);
    return NULL;
}

/* --- one template ----------------------------------------------------------------------------- */

static char *variant_name(const char *name, const struct pipeline_argument *argument)
{
    if (!argument)
        return g_strdup(name);
    return g_strdup_printf("%s %s=%s", name, argument->name,
                           argument->kind == PIPELINE_VALUE_BOOLEAN
                               ? (argument->boolean ? "true" : "false")
                               : argument->text);
}

static void check_variant(struct check *check, const char *name, struct pipeline_template *t,
                          const struct pipeline_argument *argument)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *title = variant_name(name, argument);
    struct pipeline_surroundings surroundings;
    pipeline_surroundings(check->conf, &surroundings);
    surroundings.stand_in = check->film;
    surroundings.stand_in_file = "/dev/null";
    surroundings.stand_in_address = PIPELINE_NOWHERE;
    surroundings.any_input = true;
    struct pipeline_text *text =
        pipeline_template_fill(t, argument, argument ? 1 : 0, &surroundings, "", &error);
    g_autofree char *told = text ? play(check, text, &error) : NULL;
    if (!told)
        check->failed++;
    printf("%-24s %s%s\n", title, told ? "plays " : "FAILS ", told ? told : error->message);
    fflush(stdout); /* the next one may take its time */
}

static void check_template(struct check *check, const char *const *folders, const char *name)
{
    g_autoptr(GError) error = NULL;
    struct pipeline_template *t = pipeline_template_load(folders, name, &error);
    if (!t) {
        printf("%-24s FAILS %s\n", name, error->message);
        check->failed++;
        return;
    }
    check_variant(check, name, t, NULL);
    g_autoptr(GArray) variants = pipeline_template_variants(t);
    for (guint i = 0; i < variants->len && !check->hangs; i++)
        check_variant(check, name, t, &g_array_index(variants, struct pipeline_argument, i));
    pipeline_template_unref(t);
}

/* --- all -------------------------------------------------------------------------------------- */

static bool make_film(const char *path, GError **error)
{
    g_autofree char *description = g_strdup_printf(FILM_TEMPLATE, path);
    return media_pipeline_run_once(description, error);
}

static int check_all(const struct conf *conf, const char *path)
{
    struct check check = {.conf = conf, .film = g_filename_to_uri(path, NULL, NULL)};
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) folders = pipeline_template_folders(conf);
    g_auto(GStrv) names = pipeline_template_names((const char *const *)folders);
    if (!make_film(path, &error)) {
        printf("the film for the check cannot be made: %s\n", error->message);
        check.failed++;
    }
    for (char **name = names; *name && !error && !check.hangs; name++)
        check_template(&check, (const char *const *)folders, *name);
    if (!error)
        printf(check.failed ? "%u of the pipelines do not play\n" : "all pipelines play\n",
               check.failed);
    g_free(check.film);
    if (check.hangs) { /* its threads still look at what would be freed */
        unlink(path);
        _exit(EXIT_FAILURE);
    }
    return check.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int pipeline_check_all(const struct conf *conf)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    int status = EXIT_FAILURE;
    loop_init(60000);
    if (!pl_init(&error)) {
        fprintf(stderr, "wmcf: %s\n", error->message);
        return EXIT_FAILURE;
    }
    int file = g_file_open_tmp("wmcf-check-XXXXXX.webm", &path, &error);
    if (file < 0) {
        fprintf(stderr, "wmcf: %s\n", error->message);
    } else {
        close(file);
        status = check_all(conf, path);
        unlink(path);
    }
    pl_finish();
    return status;
}
