/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a session description says about media, and nothing else: kinds, directions, codecs
 * (codec-text.h), mids. The WSF never makes SDP; it reads what a client offers or answers and asks
 * a media centre for a description by template (protocol B).
 *
 * Threads: any. */
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

#define OFFER_MAX_MEDIAS 64
#define OFFER_MAX_CODECS 64 /* of one m-line */
#define OFFER_MAX_MID 16
#define DATACHANNEL "datachannel" /* A3: the endpoint knows m-lines of data channels */

enum media_kind { MEDIA_AUDIO, MEDIA_VIDEO, MEDIA_APPLICATION };
/* Bits from the view of whoever made the description. */
enum media_direction {
    MEDIA_INACTIVE = 0,
    MEDIA_SENDONLY = 1,
    MEDIA_RECVONLY = 2,
    MEDIA_SENDRECV = 3,
};
const char *media_kind_name(enum media_kind kind);
const char *media_direction_name(enum media_direction direction);

struct offer_media {
    char mid[OFFER_MAX_MID + 1];
    enum media_kind kind;
    enum media_direction direction;
    bool rejected;     /* port 0 without bundle-only */
    guint bandwidth;   /* kbit/s that the maker wants to receive (b=AS, b=TIAS), 0: not said */
    GPtrArray *codecs; /* without repair and redundancy formats, in order of preference */
};

struct offer_template {
    GPtrArray *medias; /* struct offer_media, owned, in m-line order */
};

/* Reads an offer, pre-offer or answer of at most `max` octets. Transfer full; NULL and INVALID_SDP
 * with the line number and the reason. */
struct offer_template *offer_template_parse(const char *sdp, gsize max, GError **error);
/* The configured default: one sendrecv m-line per kind that has codecs. Transfer full. */
struct offer_template *offer_template_default(const char *const *audio, const char *const *video);
void offer_template_free(struct offer_template *offer);
static inline void offer_template_clear(struct offer_template **offer)
{
    offer_template_free(*offer);
}
#define offer_template_auto __attribute__((cleanup(offer_template_clear))) struct offer_template

/* What can be anchored of a pre-offer: what is not rejected of audio, video and data channels, mids
 * given anew from "0". Transfer full; NULL and SDP_NOT_ACCEPTABLE when nothing is left. */
struct offer_template *offer_template_wanted(const struct offer_template *offer, GError **error);
/* What both sides keep: the media that `answer` accepts, with its mids, directions and codecs.
 * Transfer full; NULL and SDP_NOT_ACCEPTABLE when nothing is left. */
struct offer_template *offer_template_chosen(const struct offer_template *answer, GError **error);
/* What an endpoint's own offer wants of the far side: the media of it that can be anchored, mids
 * and order kept. Transfer full; NULL and SDP_NOT_ACCEPTABLE when nothing is left. */
struct offer_template *offer_template_own(const struct offer_template *offer, GError **error);
/* The media of `by` that `offer` has as well, by mid and kind: what an answer to it may accept.
 * Transfer full; may be empty. */
struct offer_template *offer_template_limit(const struct offer_template *offer,
                                            const struct offer_template *by);
/* The same seen from the other side: sendonly becomes recvonly. Transfer full. */
struct offer_template *offer_template_mirror(const struct offer_template *from);
/* Modifications. What `wanted` asks of somebody who was last told `told`: the media of `wanted`,
 * and those that it has no more, inactive. Transfer full. */
struct offer_template *offer_template_towards(const struct offer_template *wanted,
                                              const struct offer_template *told);
/* True when somebody who was told `told` and agreed to `agreed` has to be asked before `wanted` can
 * be answered: a direction, a medium or the codec in use is another one. */
bool offer_template_asks(const struct offer_template *wanted, const struct offer_template *told,
                         const struct offer_template *agreed);
/* The media of a pre-offer, whose mids mean nothing, under the mids of `told` by kind and order;
 * new ones get mids that are free there and in `other`. Transfer full. */
struct offer_template *offer_template_place(const struct offer_template *pre_offer,
                                            const struct offer_template *told,
                                            const struct offer_template *other);
/* Adds a medium of these codecs (borrowed) with the lowest number that is free as its mid. */
void offer_template_add(struct offer_template *offer, enum media_kind kind,
                        enum media_direction direction, const GPtrArray *codecs);
/* Adds a copy with this direction; its mid is not there yet. */
void offer_template_append(struct offer_template *offer, const struct offer_media *media,
                           enum media_direction direction);
/* Media of a kind with this direction among theirs, refused ones left out. */
guint offer_template_count(const struct offer_template *offer, enum media_kind kind,
                           enum media_direction direction);
/* Takes all media of a kind out, unless they are all there is. True when something has gone. */
bool offer_template_drop(struct offer_template *offer, enum media_kind kind);
struct offer_template *offer_template_copy(const struct offer_template *from);
const struct offer_media *offer_template_media(const struct offer_template *offer, const char *mid);
/* {"medias":[…],"bundle":true} of protocol B. Transfer full. */
json_t *offer_template_json(const struct offer_template *offer);
