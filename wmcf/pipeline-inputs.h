/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a pipeline takes: m-lines of its local leg that other terminations are routed to, and its
 * wmcfsrc elements, which read from there. They are the leg's first m-lines, in the order of
 * pipeline_text_inputs(), and named as the template names them.
 * Threads: control, but for what is said. */
#include "pipelines/media-resource.h"
#include "pipelines/sdp-codec.h"
#include "wmcf/termination.h"

/* What `add` asks for. All borrowed. */
struct pipeline_input_wanted {
    const char *name;         /* NULL: the template's next one of this type */
    struct termination *from; /* NULL, with `mid`, only of a member of a repeated input */
    const char *mid;
};

/* What of the template takes what, with the codec that comes: the first that was negotiated.
 * Returns false and INVALID_MESSAGE, or INVALID_STATE for what sends nothing, with a member of
 * /inputs. */
bool pipeline_inputs_match(const struct pipeline_template *pipeline_template,
                           const struct pipeline_input_wanted *wanted, guint n,
                           struct pipeline_input *ret, GError **error);
/* Puts them among the termination's medias, as the first. Returns their number. */
guint pipeline_inputs_add(struct termination *termination, const struct pipeline_text *text);
/* What the relay is told of them, into the first of `medias`. */
void pipeline_inputs_describe(const struct termination *termination,
                              const struct pipeline_text *text, struct relay_media *medias);
/* Every format of the codec, for a pipeline that looks at none of its parameters. `ret` has
 * RELAY_CODECS_MAX places; returns how many are taken. */
guint pipeline_input_codecs(const struct sdp_known_codec *codec, struct relay_codec *ret);
/* Sets the routes. `matched` as pipeline_inputs_match() gave it. */
void pipeline_inputs_connect(struct termination *termination, const struct pipeline_input *matched,
                             const struct pipeline_input_wanted *wanted, guint n);
/* Whether the input may get this medium instead: INVALID_MESSAGE with `pointer`. */
bool pipeline_input_takes(const struct pipeline_text *text, const char *name,
                          const struct termination *from, const char *mid, const char *pointer,
                          GError **error);

/* The codec of what comes from there, as the template's word of a repeated input; the input's own
 * where nothing comes now. NULL and INVALID_MESSAGE when it takes another. */
const char *pipeline_input_codec(const struct pipeline_input *input, const struct termination *from,
                                 const char *mid, const char *pointer, GError **error);
/* What the relay is told of one; `local_ssrc` is the caller's. */
void pipeline_input_describe(const struct termination_media *media, const char *codec,
                             struct relay_media *ret);

/* For wmcfsrc; `user` of each is a struct relay_local. Threads: as wmcf-src.h says. */
guint pipeline_input_read(struct relay_local *local, guint index, const struct wmcf_src_sink *sink,
                          void *to);
