/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which codecs a call may have whose two sides have none in common, and where a transcoder stands
 * between them then. Pure: descriptions in, decisions out.
 *
 * Threads: any. */
#include "wsf/offer-template.h"

/* What the operator's transcoders take and give, by [transcode] of the configuration. Only video:
 * of audio a media centre knows opus alone, so every leg has it. */
struct transcode_skills {
    const char *const *from, *const *to; /* codec names, borrowed; NULL = none */
};

/* Adds to a description that is to be offered (our side's view) the codecs that are none of its own
 * and could be converted, behind its own, so that who knows one of its own takes that. */
void transcode_widen(struct offer_template *offered, const struct transcode_skills *skills);
/* What one side gets whose own wish is `wanted`, when the other one has chosen `chosen`: the media
 * of `chosen`, each with the codecs that both have, or else with those of `wanted` that can be
 * converted. `skills` NULL: nothing can. Transfer full. */
struct offer_template *transcode_adapt(const struct offer_template *wanted,
                                       const struct offer_template *chosen,
                                       const struct transcode_skills *skills);
/* An answer (`chosen`) that has codecs of the near side (`wanted`) and yet prefers another one,
 * which would have to be converted: takes those out of what its side was told. True when there was
 * one: it has to be offered anew. */
bool transcode_narrow(struct offer_template *told, const struct offer_template *wanted,
                      const struct offer_template *chosen);

/* What is sent on `from` (the first codec that is agreed) is converted for `to` into this codec,
 * borrowed from `skills`; NULL: it goes as it is, since it is understood or cannot be converted. */
const char *transcode_target(const struct offer_media *from, const struct offer_media *to,
                             const struct transcode_skills *skills);

/* The codec of what is sent on `from` and cannot be shown on `to`, which does not know it and which
 * nothing converts it for; borrowed. NULL: it can. */
const char *transcode_lack(const struct offer_media *from, const struct offer_media *to,
                           const struct transcode_skills *skills);

/* SDP_NOT_ACCEPTABLE: an answer accepts nothing of `wanted`, what the asking side has. One sentence
 * for both sides, with the codecs and what the network converts. */
void transcode_refuse(const struct offer_template *wanted, const struct transcode_skills *skills,
                      GError **error);
