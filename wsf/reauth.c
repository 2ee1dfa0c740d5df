/* SPDX-License-Identifier: Apache-2.0 */
/* Re-authentication credentials of one endpoint. A credential has full entropy, so a plain SHA-256
 * without salt protects the stored form; binding to webrtcId and instanceId comes from where the
 * struct lives, in the registration itself. */
#include "wsf/reauth.h"

#include "base/ids.h"

#include <string.h>

static void hash(const char *credential, guint8 out[REAUTH_HASH_SIZE])
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize length = REAUTH_HASH_SIZE;
    g_checksum_update(sum, (const guchar *)credential, strlen(credential));
    g_checksum_get_digest(sum, out, &length);
}

static bool equal(const guint8 *a, const guint8 *b)
{
    guint8 different = 0;
    for (size_t i = 0; i < REAUTH_HASH_SIZE; i++)
        different |= a[i] ^ b[i];
    return different == 0;
}

enum reauth_match reauth_check(const struct reauth *reauth, const char *credential)
{
    guint8 digest[REAUTH_HASH_SIZE];
    hash(credential, digest);
    bool current = equal(digest, reauth->current), former = equal(digest, reauth->former);
    if (reauth->has_current && current)
        return REAUTH_CURRENT;
    return reauth->has_former && former ? REAUTH_FORMER : REAUTH_NO_MATCH;
}

char *reauth_rotate(struct reauth *reauth, enum reauth_match used)
{
    char *credential = id_token(REAUTH_BITS);
    if (reauth->has_current && used != REAUTH_FORMER) {
        memcpy(reauth->former, reauth->current, REAUTH_HASH_SIZE);
        reauth->has_former = true;
    }
    hash(credential, reauth->current);
    reauth->has_current = true;
    return credential;
}

void reauth_confirm(struct reauth *reauth)
{
    reauth->has_former = false;
    memset(reauth->former, 0, REAUTH_HASH_SIZE);
}
