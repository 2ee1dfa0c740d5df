/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Re-authentication credentials (protocol A6): 128 random bits, kept only as a hash, new at every
 * success; the former one stays valid until the first request on the new connection.
 * Threads: control. */
#include <glib.h>
#include <stdbool.h>

#define REAUTH_BITS 128
#define REAUTH_HASH_SIZE 32

struct reauth {
    guint8 current[REAUTH_HASH_SIZE], former[REAUTH_HASH_SIZE];
    bool has_current, has_former;
};

enum reauth_match { REAUTH_NO_MATCH, REAUTH_CURRENT, REAUTH_FORMER };

/* Which credential this is; the former counts until confirmed. Constant time. */
enum reauth_match reauth_check(const struct reauth *reauth, const char *credential);
/* Makes a new credential. `used` is what the peer came with: that one stays valid as the former,
 * because the peer may never see the new one. Transfer full. */
char *reauth_rotate(struct reauth *reauth, enum reauth_match used);
/* The peer uses the new one: forgets the former. */
void reauth_confirm(struct reauth *reauth);
