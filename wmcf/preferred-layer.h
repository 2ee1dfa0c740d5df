/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The member preferredLayer of `modify`: how much of its videos an endpoint wants. Threads:
 * control. */
#include "wmcf/termination.h"

/* All of the message's, checked against the m-lines that its step will leave; empty without the
 * member. Transfer full; NULL and *error. */
GArray *preferred_layers_read(struct termination *termination, const json_t *message,
                              GError **error);
void preferred_layers_apply(struct termination *termination, const GArray *layers);
