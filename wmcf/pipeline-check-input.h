/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Test input for `wmcf --check-pipelines`: for each input of a pipeline another one that makes
 * packets of the codec, as a sender would. Threads: control, but for what wmcf-src.h says. */
#include "pipelines/media-resource.h"

struct check_inputs;

#define CHECK_MEMBERS 2 /* of a repeated input */

/* The inputs that are not repeated, then CHECK_MEMBERS of the one that is. Transfer full; NULL and
 * WMCF_ERROR when there is no encoder for a codec. */
struct check_inputs *check_inputs_new(const struct pipeline_text *text, GError **error);
/* The pipeline that reads from them is gone. Runs the loop until they are, too. */
void check_inputs_free(struct check_inputs *inputs);
/* For struct wmcf_src_ops, of check_inputs as `user`. */
int check_input_descriptor(const struct check_inputs *inputs, guint index);
guint check_input_read(struct check_inputs *inputs, guint index, const struct wmcf_src_sink *sink,
                       void *to);
void check_input_want_key_frame(struct check_inputs *inputs, guint index);
