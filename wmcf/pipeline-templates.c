/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the folders of templates and tries what is in them. The shipped folder is found beside the
 * program, so one that runs from its build directory takes the source tree's. */
#define LOG_CATEGORY "pipelines"
#include "wmcf/pipeline-templates.h"

#include "base/log.h"
#include "pipelines/media-resource.h"

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

static bool try(const struct conf *conf, const char *const *folders, const char *name,
                GError **error)
{
    struct pipeline_template *t = pipeline_template_load(folders, name, error);
    if (!t)
        return false;
    struct pipeline_text *text =
        pipeline_template_fill(t, NULL, 0, conf_int(conf, "pipelines", "cpu_threads"), "", error);
    pipeline_template_free(t);
    bool good = text && media_resource_try(text, error);
    pipeline_text_free(text);
    return good;
}

void pipeline_templates_try(const struct conf *conf)
{
    gint64 began = g_get_monotonic_time();
    g_auto(GStrv) folders = pipeline_template_folders(conf);
    g_auto(GStrv) names = pipeline_template_names((const char *const *)folders);
    guint good = 0;
    for (char **name = names; *name; name++) {
        g_autoptr(GError) error = NULL;
        if (try(conf, (const char *const *)folders, *name, &error))
            good++;
        else
            log_warning(NULL, "template %s cannot be used: %s", *name, error->message);
    }
    log_info(NULL, "%u of %u pipeline templates are usable, tried in %.0f ms", good,
             g_strv_length(names), (g_get_monotonic_time() - began) / 1e3);
}
