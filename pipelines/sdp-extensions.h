/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The header extensions that the engine knows, and which of them a medium of ours has.
 * Threads: any. */
#include "pipelines/sdp-model.h"

#define SDP_N_EXTENSIONS 9

struct sdp_known_extension {
    const char *uri;
    guint8 id; /* of our offers, where it is free */
};
extern const struct sdp_known_extension sdp_known_extensions[SDP_N_EXTENSIONS];

/* Place in the table, or -1. */
int sdp_extension_index(const char *uri);
/* The static copy of a known header extension's URI, or NULL. */
const char *sdp_known_extension(const char *uri);
/* Whether our side wants the extension at this place of the table for a medium, whose codecs and
 * rids are there. */
bool sdp_extension_wanted(guint index, const struct sdp_media *media,
                          const struct sdp_local *local);
