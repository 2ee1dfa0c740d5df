/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `wmcf --print-pipeline`: a template as a command of gst-launch-1.0. Threads: main, alone. */
#include "base/conf.h"

/* `values`: "NAME=VALUE" of parameters and inputs (a codec), NULL-terminated, NULL = none. Returns
 * the exit status. */
int pipeline_print(const struct conf *conf, const char *name, const char *const *values);
