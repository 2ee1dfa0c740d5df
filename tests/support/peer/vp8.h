/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The first partition of VP8 frames that decoders show: a grey picture, and the same again.
 * Threads: any. */
#include <glib.h>
#include <stdbool.h>

#define PEER_VP8_WIDTH 640u
#define PEER_VP8_HEIGHT 360u
#define PEER_VP8_SIZES 3 /* the whole, its half and its quarter */

/* Octets of the first partition of a key frame, and of the frames after it; the largest. */
#define PEER_VP8_KEY 409u
#define PEER_VP8_INTER 37u

gsize peer_vp8_size(bool key, guint halvings);
/* Writes so many octets and returns their number. */
gsize peer_vp8_write(guint8 *p, bool key, guint halvings);
