/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the whole process has once: see pl_init() in leg.h for its face.
 * Threads: control; read-only after pl_init(). */
#include "pipelines/dtls-association.h"

/* Borrowed. */
struct dtls_context *pipelines_dtls_context(void);
/* How many legs the process's descriptors are good for, from pl_init() on. */
guint pipelines_legs_max(void);
