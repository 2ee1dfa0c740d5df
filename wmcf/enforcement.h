/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The enforcement of the process (qos/qos.h) as the program has it: made from the configuration,
 * and what is told of it. Threads: control. */
#include "wmcf/wmcf.h"

/* From [qos], and the name of our filters from [media] port. INVALID_MESSAGE. Transfer full. */
struct qos *enforcement_new(const struct conf *conf, GError **error);
/* Says in the log what holds policies; from now on changes are said there and to the WSFs. */
void enforcement_start(struct wmcf *wmcf);
/* No change is told any more. */
void enforcement_stop(struct wmcf *wmcf);
/* {flows, transports, interfaces, kernel:{…Discarded}, relay:{…Discarded}} for the administrator.
 * Transfer full. */
json_t *enforcement_json(const struct wmcf *wmcf);
/* Fills the metrics. */
void enforcement_collect(const struct wmcf *wmcf);
