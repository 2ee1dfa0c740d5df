/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The SDP engine: reads, offers and answers session descriptions (RFC 8866, 8829, 9429, 8843, 8839,
 * 8842). Pure functions over GstSDPMessage, no I/O, no state; templates and what is negotiated tell
 * directions from our side (the WMCF's).
 *
 * Threads: any. Errors: INVALID_SDP for text that cannot be read, SDP_NOT_ACCEPTABLE for text that
 * cannot be accepted, INVALID_MESSAGE for a bad template. */
#include <glib.h>
#include <stdbool.h>

/* Limits of what a peer can make us hold. */
#define SDP_MAX_OCTETS (64 * 1024)
#define SDP_MAX_MEDIAS 64
#define SDP_MAX_CODECS 64 /* per m-line */
#define SDP_MAX_EXTMAPS 32
#define SDP_MAX_SSRCS 16
#define SDP_MAX_CANDIDATES 64
#define SDP_MAX_MID 16 /* RFC 8843: short */
#define SDP_MAX_RID 16
#define SDP_MAX_RIDS 4 /* of one m-line */

/* SDP_OTHER: an m-line that only a rejection can answer (another type or another protocol). */
enum sdp_kind { SDP_AUDIO, SDP_VIDEO, SDP_APPLICATION, SDP_OTHER };
enum sdp_direction { SDP_INACTIVE = 0, SDP_SENDONLY = 1, SDP_RECVONLY = 2, SDP_SENDRECV = 3 };
enum sdp_setup { SDP_SETUP_NONE, SDP_SETUP_ACTPASS, SDP_SETUP_ACTIVE, SDP_SETUP_PASSIVE };
const char *sdp_kind_name(enum sdp_kind kind);                /* "audio" */
const char *sdp_direction_name(enum sdp_direction direction); /* "sendrecv" */
bool sdp_kind_parse(const char *text, enum sdp_kind *ret);
bool sdp_direction_parse(const char *text, enum sdp_direction *ret);

struct sdp_codec {
    guint8 pt;
    char *name; /* "opus", "VP8", … as registered, compared without case */
    guint clock_rate;
    guint channels; /* audio; 1 when not said */
    char *fmtp;     /* parameters or NULL */
    bool nack, nack_pli, ccm_fir, transport_cc, goog_remb;
    const char *format; /* canonical interchangeable-format key, g_intern'ed: two codecs with the
                         * same key carry the same payload, e.g. "audio/opus/48000/2",
                         * "video/H264/90000;packetization-mode=1;profile=42e0" */
    guint8 rtx_pt;      /* of its retransmissions (RFC 4588); 0 = none */
};

struct sdp_rid { /* one encoding of a simulcast (RFC 8851, RFC 8853) */
    char id[SDP_MAX_RID + 1];
    bool paused;
};

struct sdp_extmap {
    guint8 id;       /* 1..14 one-byte, up to 255 two-byte */
    const char *uri; /* interned */
    enum sdp_direction direction;
};

struct sdp_candidate {
    char *foundation, *address, *type; /* "host" … */
    guint component, port;
    guint32 priority;
    bool udp;
    char tcp_type[8]; /* of one over TCP (RFC 6544 4.5): "active", "passive", "so"; else "" */
};

struct sdp_media {
    char *mid;
    enum sdp_kind kind;
    enum sdp_direction direction;
    bool rejected;   /* port 0 without bundle-only */
    GArray *codecs;  /* struct sdp_codec, in order of preference */
    GArray *extmaps; /* struct sdp_extmap */
    GArray *ssrcs; /* guint32, from a=ssrc (the first is the media's own, FID partners left out) */
    GArray *rtx_ssrcs; /* guint32, by place in `ssrcs`: its FID partner, 0 = none; may be shorter,
                        * NULL = none at all */
    /* a=simulcast as the author wrote it about itself: those that an a=rid explains. A list of
     * alternatives counts by its first. */
    struct sdp_rid rids_send[SDP_MAX_RIDS], rids_recv[SDP_MAX_RIDS];
    guint n_rids_send, n_rids_recv;
    char *cname, *msid_stream, *msid_track;
    bool rtcp_mux, rtcp_rsize;
    guint sctp_port; /* SDP_APPLICATION */
    guint max_message_size;
    char *type, *protocol; /* of the m-line as written; NULL = the usual ones of the kind */
    char *formats;         /* the m-line's format list as written, or NULL = the codecs */
};

struct sdp_description {
    guint64 session_id, session_version;
    char *ice_ufrag, *ice_pwd;
    bool ice_lite, trickle, end_of_candidates;
    char *fingerprint_hash; /* "sha-256" in lower case */
    GByteArray *fingerprint;
    enum sdp_setup setup;
    bool bundle;        /* every m-line that is not rejected is in one BUNDLE group */
    bool cryptex;       /* header extensions may come ciphered (RFC 9335) */
    bool extmap_mixed;  /* both forms of header extensions in one stream (RFC 8285 6) */
    GPtrArray *medias;  /* struct sdp_media, owned, in m-line order */
    GArray *candidates; /* struct sdp_candidate of the bundled transport */
    /* The bundled m-lines still have ICE credentials of their own (Firefox's first offer); those
     * above are the tagged one's (RFC 9143 7.3.1). */
    bool split_transport;
};

/* Directions and roles are those that the text's author wrote, about itself.
 * Transfer full; NULL and INVALID_SDP with line number and reason on failure. Never trusts length,
 * nesting or count: beyond the limits above it fails. */
struct sdp_description *sdp_parse(const char *text, GError **error);
/* RFC 8866 text with CRLF. Transfer full. */
char *sdp_print(const struct sdp_description *description);
void sdp_description_free(struct sdp_description *description);
struct sdp_media *sdp_description_media(const struct sdp_description *description, const char *mid);
static inline void sdp_description_clear(struct sdp_description **d)
{
    if (*d)
        sdp_description_free(*d);
}
#define sdp_autoptr __attribute__((cleanup(sdp_description_clear))) struct sdp_description *

/* One candidate by itself (RFC 8838, RFC 9429 4.1.20): "candidate:…", also with "a=" in front. What
 * *ret holds is released by sdp_candidate_clear(). False and INVALID_SDP. */
bool sdp_candidate_parse(const char *text, struct sdp_candidate *ret, GError **error);
void sdp_candidate_clear(struct sdp_candidate *candidate);

/* What a WSF asks for (protocol B, offerTemplate/answerTemplate). */
struct sdp_template_media {
    char mid[SDP_MAX_MID + 1]; /* "" = given by us: the index */
    enum sdp_kind kind;
    enum sdp_direction direction;
    char **codecs; /* names in order of preference, NULL-terminated; NULL = all that we know */
    /* "H264;packetization-mode=1;profile-level-id=42e01f", NULL-terminated or NULL: a codec that
     * is among them is meant in these forms alone, with these parameters of a receiver. */
    char **formats;
    bool simulcast; /* video that we receive: as up to three encodings, rids "l", "m", "h", or the
                     * rids that the peer offers */
};
struct sdp_template {
    GArray *medias; /* struct sdp_template_media */
    bool bundle;    /* false is refused: SDP_NOT_ACCEPTABLE, every leg is one transport */
};
struct sdp_template *sdp_template_new(void);
void sdp_template_free(struct sdp_template *sdp_template);

/* Our side of the transport, as the termination has it. Borrowed for the call. */
struct sdp_local {
    const char *ice_ufrag, *ice_pwd;
    bool ice_lite;
    const char *fingerprint_hash;
    const guint8 *fingerprint;
    gsize fingerprint_length;
    const struct sdp_candidate *candidates; /* of our media addresses; never those of another leg */
    gsize n_candidates;
    guint64 session_id;
    guint64 session_version;
    const char *cname;      /* ours, random per leg: never the far side's (A7) */
    enum sdp_setup role;    /* ours in the DTLS association there is: active, passive; none yet */
    guint max_message_size; /* of data channels, octets; 0 = they are refused here */
    /* What is offered, and answered where it was offered; all of it needs the relay's doing. */
    bool rtx;          /* retransmissions as streams of their own (RFC 4588) */
    bool transport_cc; /* transport-wide congestion control, REMB for who has nothing better */
    bool simulcast;    /* encodings told apart by rid (RFC 8853), where a template wants them */
    bool red;          /* redundant opus (RFC 2198) */
    bool dependency;   /* dependency descriptor of the AV1 RTP specification, of video with AV1 */
    bool orientation;  /* coordination of video orientation (3GPP TS 26.114) */
    bool cryptex;      /* header extensions are ciphered, too (RFC 9335) */
};

/* Data channels are one m-line at most (RFC 8843 9.2: one transport, one association); unwanted, it
 * is rejected, since it has no direction. */

/* An offer from a template (NULL: `previous` once more, with what changed of `local`):
 * setup:actpass, BUNDLE, rtcp-mux, our codecs with fixed payload types, sdes:mid and audio level
 * extensions, one SSRC per media that we send. `previous` (may be NULL) is our last description of
 * the leg: its m-lines, mids, payload types, extension ids and SSRCs are kept, unwanted ones become
 * inactive, and rejected ones are used again for new media under another mid (RFC 9429 5.2.2).
 * Transfer full. */
struct sdp_description *sdp_make_offer(const struct sdp_template *sdp_template,
                                       const struct sdp_local *local,
                                       const struct sdp_description *previous, GError **error);
/* An answer to a remote offer: the offered codecs that we know (and, with a template, that it
 * names, in its order), the offered payload types and extension ids, directions intersected,
 * everything else rejected by port 0. setup: passive when actpass was offered, or the role that we
 * have (RFC 8842 5.5). Transfer full. */
struct sdp_description *sdp_make_answer(const struct sdp_description *offer,
                                        const struct sdp_template *sdp_template,
                                        const struct sdp_local *local,
                                        const struct sdp_description *previous, GError **error);
/* Checks a remote answer against our offer: same m-lines and mids, codecs and extensions a subset
 * of the offered, a fingerprint, ICE credentials, rtcp-mux and bundle as offered, a direction that
 * the offer allows, setup active or passive. */
bool sdp_check_answer(const struct sdp_description *offer, const struct sdp_description *answer,
                      GError **error);

/* The m-lines of our offer that the answer rejects are rejected from now on (RFC 9429 5.2.2). */
void sdp_accept_rejections(struct sdp_description *offer, const struct sdp_description *answer);

/* What both descriptions together mean for one m-line, from our side. */
struct sdp_negotiated_media {
    const char *mid; /* borrowed from `local` */
    enum sdp_kind kind;
    enum sdp_direction direction; /* ours */
    /* Of both: rtx_pt, transport_cc and goog_remb only where both sides have them, and goog_remb
     * only where there is no transport_cc. */
    GArray *recv_codecs; /* struct sdp_codec (borrowed strings): payload types the peer sends us */
    GArray *send_codecs; /* payload types we send to the peer, in the peer's order of preference */
    /* Header extensions, 0 = not negotiated. */
    guint8 mid_extmap, audio_level_extmap, rid_extmap, repaired_rid_extmap, transport_cc_extmap,
        abs_send_time_extmap, orientation_extmap, dependency_extmap, allocation_extmap;
    GArray *remote_ssrcs;     /* guint32 announced by the peer (may be empty) */
    GArray *remote_rtx_ssrcs; /* by place: its FID partner, 0 = none; may be shorter or NULL */
    struct sdp_rid rids[SDP_MAX_RIDS]; /* what the peer sends, in its order */
    guint n_rids;
    guint32 local_ssrc, local_rtx_ssrc; /* 0 = none */
    bool rtcp_rsize;
    bool cryptex; /* the same for all of a session */
};
/* Array of struct sdp_negotiated_media, transfer full (g_array_unref); pointers into both. */
GArray *sdp_negotiate(const struct sdp_description *local, const struct sdp_description *remote);

/* The anchor: the small offer that webrtcbin is given once per leg in place of the real one
 * (docs/architecture.md): one audio m-line and, when asked, the data channel; the peer's
 * fingerprint; `peer_setup` is the role that the *peer* takes. Transfer full. */
char *sdp_make_anchor(const struct sdp_description *remote, enum sdp_setup peer_setup,
                      bool data_channel);
/* An anchor without a data channel, as the next version of itself with one. Transfer full; NULL
 * when it is no anchor. */
char *sdp_renew_anchor(const char *anchor, guint peer_sctp_port);
