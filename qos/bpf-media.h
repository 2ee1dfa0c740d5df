/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The interfaces that have the program at their hooks. For level-bpf.c.
 *
 * Threads: control, but for bpf_media_covers(). */
#include "qos/enforce.h"

#include <glib.h>
#include <stdbool.h>
#include <sys/socket.h>

struct bpf_media;
/* Something has changed: an interface is gone, back, or cannot have the program. */
typedef void (*bpf_media_changed)(void *user);

/* *enforce is borrowed, strings are copied. Transfer full. */
struct bpf_media *bpf_media_new(const struct enforce *enforce, const char *owner, guint priority,
                                const char *const *interfaces, bpf_media_changed changed,
                                void *user, GError **error);
/* Takes our filters away. NULL allowed. */
void bpf_media_free(struct bpf_media *media);
void bpf_media_add_address(struct bpf_media *media, const struct sockaddr *local);
/* tc_sweep() of what has not the program now. */
char *bpf_media_sweep(struct bpf_media *media);
guint bpf_media_count(const struct bpf_media *media);
/* What is wrong, in one sentence; NULL = nothing. Borrowed until the next change. */
const char *bpf_media_impediment(const struct bpf_media *media);
/* Whether every media interface has the program. Any thread. */
bool bpf_media_covers(const struct bpf_media *media);
