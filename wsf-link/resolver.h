/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Host names to numeric addresses without blocking the control loop. Threads: control. */
#include <glib.h>

struct resolver_lookup;
/* `addresses` (transfer full, NULL-terminated) or NULL and a sentence. */
typedef void (*resolver_fn)(char **addresses, const char *failure, void *user);

/* Calls `done` once from the loop, unless cancelled. */
struct resolver_lookup *resolver_start(const char *host, resolver_fn done, void *user);
void resolver_cancel(struct resolver_lookup *lookup);
