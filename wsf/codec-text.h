/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Codecs as the signalling function keeps them: the name of a payload format, behind it those of
 * its parameters that tell one payload from another: "VP8",
 * "H264;packetization-mode=1;profile-level-id=42e01f", "VP9;profile-id=2". A name alone stands for
 * whatever has it.
 *
 * Threads: any. */
#include <glib.h>
#include <stdbool.h>

#define CODEC_TEXT_MAX 80

/* Of a name and what its a=fmtp says (NULL: none). Transfer full. */
char *codec_text(const char *name, const char *fmtp);
/* The name alone. Transfer full. */
char *codec_text_name(const char *codec);
bool codec_text_is_named(const char *codec, const char *name);
/* Whether it says more than a name. */
bool codec_text_says_more(const char *codec);
/* Whether who takes one of them understands the other. Levels do not matter: each side says what it
 * receives (RFC 6184 8.2.2, with level-asymmetry-allowed). */
bool codec_text_fits(const char *one, const char *other);
