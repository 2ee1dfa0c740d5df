/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Where the templates of pipelines lie. Threads: control. */
#include "pipelines/template.h"
#include "wmcf/wmcf.h"

/* The operator's folder (pipelines.folder) first, then the one shipped with the program.
 * NULL-terminated, transfer full. */
char **pipeline_template_folders(const struct conf *conf);
/* Makes each template once, not started: a wrong one is warned about now and not at the first call,
 * and the plug-ins are loaded before anybody waits for them. */
void pipeline_templates_try(const struct conf *conf);
