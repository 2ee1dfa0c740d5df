/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the bare forwarder and its load agree on instead of signalling: keys that follow from the
 * endpoint's number, and one registration datagram per endpoint. Threads: any. */
#include "tests/support/peer/srtp-profile.h"

#include <stdint.h>

struct bare_registration {
    uint8_t magic[4]; /* "BARE" */
    uint16_t context, endpoint;
    uint8_t receives;     /* wants what the others of its context send */
    uint8_t srtp_profile; /* enum peer_srtp_profile */
    uint8_t padding[2];
};
#define BARE_MAGIC "BARE"
#define BARE_MAGIC_BYTES                                                                           \
    {                                                                                              \
        'B', 'A', 'R', 'E'                                                                         \
    }
#define BARE_ENDPOINTS 4096

/* Key and salt of any profile; `direction` 0 = endpoint → forwarder. */
static inline void bare_key(guint endpoint, guint direction, guint8 out[PEER_SRTP_MASTER_MAX])
{
    guint32 state = endpoint * 2654435761u + direction * 40503u + 1;
    for (guint i = 0; i < PEER_SRTP_MASTER_MAX; i++) {
        state = state * 1664525u + 1013904223u;
        out[i] = (guint8)(state >> 24);
    }
}
