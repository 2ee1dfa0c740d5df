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
    bool trickle, end_of_candidates, cryptex;
    GArray *candidates; /* struct sdp_candidate */
};

/* a=rid lines of one m-line. */
struct sdp_rids {
    struct {
        char id[SDP_MAX_RID + 1];
        enum sdp_direction direction;
    } list[4 * SDP_MAX_RIDS];
    guint n;
};
bool sdp_rids_read_rid(struct sdp_rids *rids, const char *value, guint line, GError **error);
bool sdp_rids_read_simulcast(struct sdp_media *media, const char *value, guint line,
                             GError **error);
/* At the end of the section. */
void sdp_rids_finish(const struct sdp_rids *rids, struct sdp_media *media);

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
