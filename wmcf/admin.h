/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The administrator's unix socket, spoken by wmcfctl: one JSON object a line each way:
 * {"command":"status"} → {"ok":true,…} or {"ok":false,"error":"…"}. Threads: control. */
#include "wmcf/wmcf.h"

struct admin;
/* A stale socket of a dead process is replaced, a live one refused. Transfer full. */
struct admin *admin_new(struct wmcf *wmcf, const char *path, GError **error);
void admin_free(struct admin *admin);
