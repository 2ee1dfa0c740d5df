/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the folders of templates and keeps what is in them. The shipped folder is found beside the
 * program, so one that runs from its build directory takes the source tree's. Reading again makes
 * every pipeline once, which may take its time, so it is done by a thread that shares nothing but
 * the configuration, and its result is compared with what is in use. */
#define LOG_CATEGORY "pipelines"
#include "wmcf/pipeline-templates.h"

#include "base/log.h"
#include "base/loop.h"
#include "base/problem.h"
#include "pipelines/media-resource.h"
#include "pipelines/tap-addresses.h"

static char *shipped_folder(void)
{
    static const char *const places[] = {"../share/wmcf/pipelines", "../../pipelines/templates"};
    g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *here = g_path_get_dirname(program ? program : "/usr/sbin/wmcf");
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *folder = g_canonicalize_filename(places[i], here);
        if (g_file_test(folder, G_FILE_TEST_IS_DIR))
            return g_steal_pointer(&folder);
    }
    return NULL;
}

char **pipeline_template_folders(const struct conf *conf)
{
    GPtrArray *folders = g_ptr_array_new();
    char *own = g_strdup(conf_string(conf, "pipelines", "folder")), *shipped = shipped_folder();
    if (own)
        g_ptr_array_add(folders, own);
    if (shipped)
        g_ptr_array_add(folders, shipped);
    g_ptr_array_add(folders, NULL);
    return (char **)g_ptr_array_free(folders, FALSE);
}

void pipeline_surroundings(const struct conf *conf, struct pipeline_surroundings *ret)
{
    *ret = (struct pipeline_surroundings){
        .cpu_threads = conf_int(conf, "pipelines", "cpu_threads"),
        .places = {.folder = conf_string(conf, "pipelines", "media_folder"),
                   .beginnings = conf_list(conf, "pipelines", "media_uris"),
                   .record_folder = conf_string(conf, "pipelines", "record_folder"),
                   .tap_addresses = conf_list(conf, "pipelines", "tap_addresses")},
    };
}

static bool check_list(const struct conf *conf, const char *key,
                       bool (*check)(const char *entry, GError **error), GError **error)
{
    const char *const *entries = conf_list(conf, "pipelines", key);
    for (; entries && *entries; entries++) {
        g_autoptr(GError) cause = NULL;
        if (check(*entries, &cause))
            continue;
        problem_set(error, PROBLEM_INVALID_MESSAGE, "pipelines.%s: %s", key, cause->message);
        return false;
    }
    return true;
}

bool pipeline_templates_check_conf(const struct conf *conf, GError **error)
{
    return check_list(conf, "media_uris", media_place_check, error) &&
           check_list(conf, "tap_addresses", tap_addresses_check, error);
}

struct pipeline_templates {
    const struct conf *conf;
    GHashTable *good; /* name → struct read, those that can be used */
    GThread *thread;  /* reads again */
    bool again;       /* has been asked to since */
};

struct read {
    char *name;
    struct pipeline_template *made; /* NULL: wrong, */
    GError *error;                  /* … and why */
};

static void free_read(void *data)
{
    struct read *read = data;
    g_free(read->name);
    pipeline_template_unref(read->made);
    g_clear_error(&read->error);
    g_free(read);
}

static bool try(const struct conf *conf, struct pipeline_template *t, GError **error)
{
    struct pipeline_surroundings surroundings;
    pipeline_surroundings(conf, &surroundings);
    surroundings.stand_in = "file:///dev/null"; /* nothing is opened yet */
    surroundings.stand_in_file = "/dev/null";
    surroundings.stand_in_address = PIPELINE_NOWHERE;
    surroundings.any_input = true;
    struct pipeline_text *text = pipeline_template_fill(t, NULL, 0, &surroundings, "", error);
    bool good = text && media_resource_try(text, error);
    pipeline_text_free(text);
    return good;
}

/* Any thread. Array of struct read. */
static GPtrArray *read_all(const struct conf *conf)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(free_read);
    g_auto(GStrv) folders = pipeline_template_folders(conf);
    g_auto(GStrv) names = pipeline_template_names((const char *const *)folders);
    for (char **name = names; *name; name++) {
        struct read *read = g_new0(struct read, 1);
        read->name = g_strdup(*name);
        read->made = pipeline_template_load((const char *const *)folders, read->name, &read->error);
        if (read->made && !try(conf, read->made, &read->error))
            g_clear_pointer(&read->made, pipeline_template_unref);
        g_ptr_array_add(all, read);
    }
    return all;
}

struct pipeline_templates *pipeline_templates_new(const struct conf *conf)
{
    struct pipeline_templates *templates = g_new0(struct pipeline_templates, 1);
    gint64 began = g_get_monotonic_time();
    templates->conf = conf;
    templates->good = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_read);
    g_autoptr(GPtrArray) all = read_all(conf);
    guint n = all->len;
    while (all->len) {
        struct read *read = g_ptr_array_steal_index(all, 0);
        if (read->made) {
            g_hash_table_replace(templates->good, read->name, read);
            continue;
        }
        log_warning(NULL, "template %s cannot be used: %s", read->name, read->error->message);
        free_read(read);
    }
    log_info(NULL, "%u of %u pipeline templates are usable, tried in %.0f ms",
             g_hash_table_size(templates->good), n, (g_get_monotonic_time() - began) / 1e3);
    return templates;
}

struct pipeline_template *pipeline_templates_find(struct pipeline_templates *templates,
                                                  const char *name, GError **error)
{
    const struct read *read = g_hash_table_lookup(templates->good, name);
    if (read)
        return pipeline_template_ref(read->made);
    g_auto(GStrv) folders = pipeline_template_folders(templates->conf);
    return pipeline_template_load((const char *const *)folders, name, error);
}

/* --- reading again ---------------------------------------------------------------------------- */

struct reading {
    struct pipeline_templates *templates;
    GPtrArray *all;
};

/* What is not among them any more is gone; what is wrong now stays as it was. */
static void take(struct pipeline_templates *templates, GPtrArray *all)
{
    GHashTable *good = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_read);
    guint wrong = 0;
    while (all->len) {
        struct read *read = g_ptr_array_steal_index(all, 0), *former = NULL;
        if (!read->made) {
            wrong++;
            g_hash_table_steal_extended(templates->good, read->name, NULL, (void **)&former);
            log_warning(NULL, "template %s cannot be used%s: %s", read->name,
                        former ? ", the former one stays in use" : "", read->error->message);
            free_read(read);
            read = former;
        }
        if (read)
            g_hash_table_replace(good, read->name, read);
    }
    g_hash_table_unref(templates->good);
    templates->good = good;
    log_info(NULL, "pipeline templates read again: %u in use, %u wrong", g_hash_table_size(good),
             wrong);
}

static void on_read(void *data)
{
    struct reading *reading = data;
    struct pipeline_templates *templates = reading->templates;
    g_thread_join(g_steal_pointer(&templates->thread));
    take(templates, reading->all);
    g_ptr_array_unref(reading->all);
    g_free(reading);
    if (templates->again)
        pipeline_templates_reload(templates);
}

static void *read_again(void *data)
{
    struct reading *reading = data;
    reading->all = read_all(reading->templates->conf);
    loop_post("pipeline templates", on_read, reading);
    return NULL;
}

void pipeline_templates_reload(struct pipeline_templates *templates)
{
    templates->again = templates->thread != NULL;
    if (templates->again)
        return;
    struct reading *reading = g_new0(struct reading, 1);
    reading->templates = templates;
    templates->thread = g_thread_try_new("templates", read_again, reading, NULL);
    if (!templates->thread) {
        log_error(NULL, "no thread to read the pipeline templates: the limit of tasks is reached");
        g_free(reading);
    }
}

void pipeline_templates_free(struct pipeline_templates *templates)
{
    if (!templates)
        return;
    templates->again = false;
    while (templates->thread)
        g_main_context_iteration(NULL, TRUE);
    g_hash_table_unref(templates->good);
    g_free(templates);
}
