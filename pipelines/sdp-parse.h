/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The parts of sdp_parse(): one attribute at a time, session or media level. */
#include "pipelines/sdp-model.h"

#include <gst/sdp/gstsdpmessage.h>

/* ICE and DTLS attributes of one level; those of a media override the session's. */
struct sdp_transport {
    char *ufrag, *pwd, *hash;
    GByteArray *fingerprint;
    enum sdp_setup setup;
    bool trickle, end_of_candidates;
    GArray *candidates; /* struct sdp_candidate */
};

void sdp_transport_init(struct sdp_transport *transport);
void sdp_transport_finish(struct sdp_transport *transport);
/* Takes the attribute if it is one of the transport's. False and *error only for a bad value. */
bool sdp_transport_read(struct sdp_transport *transport, const char *key, const char *value,
                        guint line, GError **error);

/* One m= section; `lines` are its line numbers. NULL and *error on failure. `ret_bundle_only` tells
 * that port 0 does not mean a rejection if the media is bundled. */
struct sdp_media *sdp_parse_media(const GstSDPMedia *section, const GArray *lines,
                                  struct sdp_transport *transport, bool *ret_bundle_only,
                                  GError **error);
