/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* wmcf --check-pipelines: every template is made and played for a moment. Threads: main. */
#include "base/conf.h"

/* Tells of each template on stdout; the process's exit status: 0 when all play. Takes GStreamer and
 * the loop for itself. */
int pipeline_check_all(const struct conf *conf);
