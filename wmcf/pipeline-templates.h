/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Where the templates of pipelines lie. Threads: control. */
#include "pipelines/template.h"
#include "wmcf/wmcf.h"

#define PIPELINE_NOWHERE "127.0.0.1:9" /* the discard port */

/* The operator's folder (pipelines.folder) first, then the one shipped with the program.
 * NULL-terminated, transfer full. */
char **pipeline_template_folders(const struct conf *conf);
/* What templates are filled with; borrowed from the configuration. */
void pipeline_surroundings(const struct conf *conf, struct pipeline_surroundings *ret);
/* Whether the configuration says what pipelines may read as it can be said. */
bool pipeline_templates_check_conf(const struct conf *conf, GError **error);

/* The templates in use. At the start each is made once, not started: a wrong one is warned about
 * then and not at the first call, and the plug-ins are loaded before anybody waits for them. */
struct pipeline_templates;
struct pipeline_templates *pipeline_templates_new(const struct conf *conf); /* transfer full */
void pipeline_templates_free(struct pipeline_templates *templates);         /* NULL allowed */
/* As it was when the files were read last, or, if it was not there or was wrong then, as it is now.
 * Transfer full; RESOURCE_NOT_FOUND or WMCF_ERROR. */
struct pipeline_template *pipeline_templates_find(struct pipeline_templates *templates,
                                                  const char *name, GError **error);
/* Reads the files again, on a thread of its own: new pipelines use them soon, running ones go on.
 * In place of a wrong one the former stays. Each change and each mistake is logged. */
void pipeline_templates_reload(struct pipeline_templates *templates);
