/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of the SDP engine share among themselves: making, copying and searching the
 * structures of sdp.h, and scanning text. Threads: any. */
#include "pipelines/sdp.h"
#include "base/problem.h"

#define SDP_URI_MID "urn:ietf:params:rtp-hdrext:sdes:mid"
#define SDP_URI_AUDIO_LEVEL "urn:ietf:params:rtp-hdrext:ssrc-audio-level"

#define SDP_URI_TRANSPORT_CC                                                                       \
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
#define SDP_URI_ABS_SEND_TIME "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
#define SDP_URI_RID "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
#define SDP_URI_REPAIRED_RID "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
#define SDP_URI_ORIENTATION "urn:3gpp:video-orientation"
#define SDP_URI_DEPENDENCY                                                                         \
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
#define SDP_URI_ALLOCATION "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00"

#define SDP_SCTP_PORT 5000 /* ours; what everybody uses */
#define SDP_DATA_CHANNEL "webrtc-datachannel"

struct sdp_description *sdp_description_new(void);
/* Our side: transport, candidates, fingerprint and o= line as `local` says; no medias yet. */
struct sdp_description *sdp_description_new_local(const struct sdp_local *local);
/* Media index of `mid`, or -1. */
int sdp_description_media_index(const struct sdp_description *description, const char *mid);

struct sdp_media *sdp_media_new(enum sdp_kind kind);
struct sdp_media *sdp_media_copy(const struct sdp_media *media);
void sdp_media_free(struct sdp_media *media);
/* First codec with this interned format, or NULL. Borrowed. */
const struct sdp_codec *sdp_media_codec(const struct sdp_media *media, const char *format);
/* Extension id of `uri`, or 0. */
guint8 sdp_media_extmap(const struct sdp_media *media, const char *uri);
/* `uri` is a static string. */
void sdp_media_add_extmap(struct sdp_media *media, guint8 id, const char *uri,
                          enum sdp_direction direction);
/* Names what we send (RFC 8830) or, for a direction that does not send, takes the names away. */
void sdp_media_set_msid(struct sdp_media *media, const char *cname);
/* SSRCs of what we send, those of `before` (may be NULL) if it has some: one for the media, one for
 * its retransmissions when a codec has them and the direction sends. New ones are none that a media
 * of the two descriptions has. */
void sdp_media_set_ssrcs(struct sdp_media *media, const struct sdp_media *before,
                         const struct sdp_description *description,
                         const struct sdp_description *previous);
/* One codec at least has it. */
bool sdp_media_has_rtx(const struct sdp_media *media);
bool sdp_media_has_transport_cc(const struct sdp_media *media);
bool sdp_media_receives_rid(const struct sdp_media *media, const char *rid);

/* Deep copy into uninitialised memory. */
void sdp_codec_clear(struct sdp_codec *codec);
void sdp_codec_copy(struct sdp_codec *to, const struct sdp_codec *from);
void sdp_candidate_copy(struct sdp_candidate *to, const struct sdp_candidate *from);

/* What the peer may do when we do `direction`, and the other way round. */
enum sdp_direction sdp_direction_reverse(enum sdp_direction direction);

/* Fingerprint, ICE credentials, rtcp-mux, BUNDLE and mids of a peer's description;
 * SDP_NOT_ACCEPTABLE with one sentence. `what` is "offer" or "answer". */
bool sdp_check_transport(const struct sdp_description *description, const char *what,
                         const struct sdp_local *local, GError **error);
/* Form of a template (INVALID_MESSAGE) and that its transport is bundled. */
bool sdp_template_check(const struct sdp_template *sdp_template, GError **error);
/* SDP_NOT_ACCEPTABLE when it wants data channels and there are none to be had. */
bool sdp_template_check_data(const struct sdp_template *sdp_template, const struct sdp_local *local,
                             GError **error);
/* True when the template's media names this codec, and at which place. */
bool sdp_template_media_codec(const struct sdp_template_media *media, const char *name,
                              guint *ret_rank);
/* The parameters (";name=value…", borrowed) of the index-th format that it has of a codec; NULL:
 * there are no more. */
const char *sdp_template_media_fmtp(const struct sdp_template_media *media, const char *name,
                                    guint index);
/* Whether a codec that it names is meant in this form, as all are when it has no formats of it:
 * then *ret_fmtp is NULL. */
bool sdp_template_media_format(const struct sdp_template_media *media,
                               const struct sdp_codec *codec, const char **ret_fmtp);

/* RFC 8851 10: a rid that fits into its header extension. */
bool sdp_is_rid(const char *text);
/* RFC 8866 token (and short enough to be a mid). */
bool sdp_is_mid(const char *text);
/* Reads digits; advances. False when there are none or the number is above `max`. */
bool sdp_scan_number(const char **cursor, guint64 max, guint64 *ret);
/* Skips spaces and copies the next word; NULL at the end. Transfer full. */
char *sdp_scan_word(const char **cursor);
/* INVALID_SDP with the line number in front; returns false. */
bool sdp_fail_line(GError **error, guint line, const char *format, ...) G_GNUC_PRINTF(3, 4);
