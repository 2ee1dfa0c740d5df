/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Identifiers and secrets from the system's random source. Threads: any. */
#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

/* RFC 4122 version 4, 36 characters. Transfer full. */
char *id_uuid(void);
bool id_is_uuid(const char *text);
/* `bits` of randomness as base64url without padding. Transfer full. */
char *id_token(unsigned bits);
/* Fills with n characters of the ICE alphabet (RFC 8839: ALPHA DIGIT + /) and a NUL: n+1 bytes. */
void id_ice_chars(char *out, size_t n);
void id_random(void *out, size_t n);
guint32 id_random32(void);
/* Constant-time equality of two strings. */
bool id_secret_equal(const char *a, const char *b);
/* webrtcId / resourceId of protocol A5: `user@realm`; with `resource` the user part may contain
 * "/". Optionally returns a lower-cased copy of the realm (transfer full). */
bool id_is_address(const char *text, bool resource, char **ret_realm);
