/* SPDX-License-Identifier: Apache-2.0 */
/* tc without BPF. */
#include "qos/level.h"

#include "base/problem.h"

static struct level *start(struct qos *qos, GError **error)
{
    problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE, "not in this build");
    return NULL;
}

static void stop(struct level *level)
{
}

const struct level_ops level_flower = {.name = "tc-flower", .start = start, .stop = stop};
