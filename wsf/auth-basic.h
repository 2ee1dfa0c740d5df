/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* HTTP Basic authentication (RFC 7617) against a file of crypt(5) hashes.
 * Threads: the file is the control thread's; auth_basic_verify() any thread. */
#include <glib.h>
#include <stdbool.h>

struct auth_basic;

/* Reads lines `user@realm:hash`, # comments and empty lines. Transfer full; NULL and
 * INVALID_MESSAGE with file and line number. */
struct auth_basic *auth_basic_load(const char *file, GError **error);
void auth_basic_free(struct auth_basic *basic);
guint auth_basic_count(const struct auth_basic *basic);
/* The hash to check against. An unknown identity gets a hash of the same cost that no password
 * matches in effect: *ret_known is false. Transfer full. */
char *auth_basic_hash(const struct auth_basic *basic, const char *webrtc_id, bool *ret_known);
/* Computes the hash of `password` (slow by design) and compares in constant time. */
bool auth_basic_verify(const char *hash, const char *password);

/* Splits "Basic <base64 of user-id:password>". INVALID_MESSAGE when it cannot. Transfer full. */
bool auth_basic_parse(const char *authorization, char **ret_user, char **ret_password,
                      GError **error);
/* Overwrites and frees. */
void auth_secret_free(char *secret);

/* Adds or replaces one line of the file (made with mode 0600 when absent) with a yescrypt hash. */
bool auth_basic_add_user(const char *file, const char *webrtc_id, const char *password,
                         GError **error);
