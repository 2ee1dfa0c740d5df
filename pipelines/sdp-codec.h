/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The codecs and header extensions that the engine knows, and what makes two payload formats
 * interchangeable. Threads: any. */
#include "pipelines/sdp.h"

struct sdp_known_codec {
    enum sdp_kind kind;
    const char *name;
    guint clock_rate, channels;
    const char *fmtp; /* of our offers, or NULL */
    guint8 pt;        /* of our offers; the odd number behind a video codec's is kept for its RTX */
};

/* In our order of preference. */
extern const struct sdp_known_codec sdp_known_codecs[];
extern const gsize sdp_n_known_codecs;

/* The canonical format of a codec as a peer described it; NULL for those that we do not know.
 * Interned from a fixed set, so equal formats are equal pointers, and no peer can make us remember
 * its text. */
const char *sdp_codec_format(enum sdp_kind kind, const struct sdp_codec *codec);
/* Parameters with which we accept an offered codec; transfer full, may be NULL. */
char *sdp_codec_answer_fmtp(const struct sdp_codec *offered);
/* The codec as we offer it, into uninitialised memory. */
void sdp_codec_init_known(struct sdp_codec *codec, const struct sdp_known_codec *known, guint8 pt);
/* The static copy of a known header extension's URI, or NULL. */
const char *sdp_known_extension(const char *uri);
