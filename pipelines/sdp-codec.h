/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The codecs that the engine knows, and what makes two payload formats
 * interchangeable. Threads: any. */
#include "pipelines/sdp.h"

struct sdp_known_codec {
    enum sdp_kind kind;
    const char *name;
    guint clock_rate, channels;
    const char *fmtp; /* of our offers, or NULL */
    guint8 pt;        /* of our offers; the odd number behind a video codec's is its RTX's */
};

/* In our order of preference. */
extern const struct sdp_known_codec sdp_known_codecs[];
extern const gsize sdp_n_known_codecs;

/* The first of this name, compared without case; NULL: there is none. */
const struct sdp_known_codec *sdp_known_codec_find(enum sdp_kind kind, const char *name);

/* The canonical format of a codec as a peer described it; NULL for those that we do not know.
 * Interned from a fixed set, so equal formats are equal pointers, and no peer can make us remember
 * its text. */
const char *sdp_codec_format(enum sdp_kind kind, const struct sdp_codec *codec);
/* Parameters with which we accept an offered codec; `wanted`: of the template, or NULL. Transfer
 * full, may be NULL. */
char *sdp_codec_answer_fmtp(const struct sdp_codec *offered, const char *wanted);
/* … and with which we offer one in a form that the template has. Transfer full. */
char *sdp_codec_offer_fmtp(const char *name, const char *wanted);
/* The codec as we offer it, into uninitialised memory. */
void sdp_codec_init_known(struct sdp_codec *codec, const struct sdp_known_codec *known, guint8 pt);
/* The payload type that all blocks of a redundant format carry (RFC 2198 5); -1 when they differ or
 * cannot be read. */
int sdp_codec_red_primary(const struct sdp_codec *codec);
bool sdp_codec_is_red(const struct sdp_codec *codec); /* of a known format */
/* What redundant formats carry; NULL = none. Borrowed. */
const struct sdp_codec *sdp_media_opus(const struct sdp_media *media);
