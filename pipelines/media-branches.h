/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Branches of a pipeline that the source has nothing for: a template with a picture and a sound
 * plays a file that has only one of them. Threads: as each function says. */
#include "pipelines/media-resource-make.h"

struct media_branches;

/* Before the pipeline runs. When every element whose streams appear later (uridecodebin …) has
 * told that there will be no more, the sinks that then lead nowhere are marked as absent and their
 * branches are taken out, and `gone` is called, once, on a streaming thread; never with n = 0.
 * `sinks` is read then and lives as long. Transfer full; NULL when there is no such element. */
struct media_branches *media_branches_watch(GstElement *pipeline, const struct media_sinks *sinks,
                                            void (*gone)(void *user, guint n), void *user);
/* When no thread of the pipeline is left. NULL allowed. */
void media_branches_free(struct media_branches *branches);
