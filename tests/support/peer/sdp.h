/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A small reader and writer of session descriptions, as much as a peer needs. Written apart from
 * the project's own SDP engine on purpose. Threads: any. */
#include "tests/support/peer/peer.h"

struct peer_sdp_codec {
    guint8 pt;
    char name[32];
    guint clock_rate, channels;
    bool nack, pli, fir, transport_cc;
    guint8 apt; /* of rtx: what it repeats (RFC 4588 8.6); 0 = none */
};

struct peer_sdp_media {
    char kind[16]; /* "audio" */
    char proto[32];
    char formats[256]; /* the m-line's formats as text, for a rejection */
    char mid[PEER_MID_MAX + 1];
    guint port;
    bool bundle_only, rtcp_mux;
    bool cryptex; /* RFC 9335, at either level */
    enum peer_direction direction;
    guint8 mid_extension, level_extension, rid_extension, wide_extension; /* 0 = none */
    char rids[PEER_ENCODINGS + 1]; /* of a=simulcast:recv, one letter each; "" = none */
    guint32 ssrc;                  /* first a=ssrc; 0 = none */
    guint32 rtx_ssrc;              /* its partner in ssrc-group:FID; 0 = none */
    GArray *codecs;                /* struct peer_sdp_codec */
};

struct peer_sdp {
    char ufrag[260], pwd[260];
    bool lite, cryptex;
    guint8 fingerprint[32];
    bool has_fingerprint; /* sha-256 */
    char setup[12];
    char bundle[512];   /* " 0 1" */
    GArray *medias;     /* struct peer_sdp_media */
    GArray *candidates; /* struct sockaddr_storage; UDP, component 1 */
};

/* Transfer full; NULL and *error when the text is no usable description. */
struct peer_sdp *peer_sdp_parse(const char *text, GError **error);
void peer_sdp_free(struct peer_sdp *sdp);
/* All media of the description may be sent with Cryptex. */
bool peer_sdp_has_cryptex(const struct peer_sdp *sdp);

/* One m-line as we write it. */
struct peer_sdp_line {
    enum peer_kind kind;
    const char *mid;
    bool application; /* data channels; the rest does not count */
    bool rejected;
    const char *rejected_line; /* "audio 0 UDP/TLS/RTP/SAVPF 111" when rejected */
    enum peer_direction direction;
    guint8 pt;
    guint8 mid_extension, level_extension, rid_extension, wide_extension;
    const char *rids; /* that we send, one letter each; NULL = no simulcast */
    guint32 ssrc;     /* 0 = not told */
    bool nack;
    guint8 rtx_pt; /* 0 = no RTX */
    bool h264;     /* else VP8 */
    guint32 rtx_ssrc;
};
struct peer_sdp_text {
    guint64 session_id, version;
    const char *ufrag, *pwd, *setup, *cname;
    bool lite, cryptex;
    const guint8 *fingerprint;
    const struct sockaddr_storage *address;
};
/* Transfer full. */
char *peer_sdp_print(const struct peer_sdp_text *text, const struct peer_sdp_line *lines, guint n);
