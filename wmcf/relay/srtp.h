/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The RTP transform of one leg and direction (RFC 3711, keys from DTLS, RFC 5764). All SSRCs of a
 * direction share its keys, so one object serves them all; index and replay list live with the
 * SSRC. SRTCP is in srtcp.h. Threads: the worker that owns it. */
#include "wmcf/relay/relay.h"

#include <stddef.h>

#define RTP_TRANSFORM_TAG_MAX 16

struct rtp_transform;
struct rtp_transform_class { /* one per profile */
    size_t tag_length;
    void (*protect)(struct rtp_transform *self, uint8_t *packet, size_t header_length,
                    const uint8_t *payload, size_t payload_length, uint32_t ssrc, uint64_t index);
    bool (*unprotect)(struct rtp_transform *self, const uint8_t *packet, size_t header_length,
                      size_t payload_length, uint32_t ssrc, uint64_t index, uint8_t *payload);
    bool (*find)(struct rtp_transform *self, const uint8_t *packet, size_t header_length,
                 size_t payload_length, uint64_t first, unsigned tries, uint64_t *ret_index);
    void (*free)(struct rtp_transform *self);
};
struct rtp_transform {
    const struct rtp_transform_class *class;
};

/* NULL when profile or lengths are not ours. The caller wipes its copy of the keys. */
struct rtp_transform *rtp_transform_new(enum relay_srtp_profile profile, const uint8_t *key,
                                        size_t key_length, const uint8_t *salt, size_t salt_length);
/* Wipes the session keys. */
void rtp_transform_free(struct rtp_transform *transform);

/* `packet` holds the header; payload and tag are appended. Payload and packet do not overlap. */
static inline void rtp_transform_protect(struct rtp_transform *transform, uint8_t *packet,
                                         size_t header_length, const uint8_t *payload,
                                         size_t payload_length, uint32_t ssrc, uint64_t index)
{
    transform->class->protect(transform, packet, header_length, payload, payload_length, ssrc,
                              index);
}

/* Authenticates header, payload and tag, then writes the clear payload to `payload`. False: nothing
 * is written. */
static inline bool rtp_transform_unprotect(struct rtp_transform *transform, const uint8_t *packet,
                                           size_t header_length, size_t payload_length,
                                           uint32_t ssrc, uint64_t index, uint8_t *payload)
{
    return transform->class->unprotect(transform, packet, header_length, payload_length, ssrc,
                                       index, payload);
}

/* Which of `tries` indices, `first` and then one roll-over each further, authenticates the packet:
 * false when none does. For a receiver that has missed so much that it cannot guess (RFC 3711
 * 3.3.1); each costs the end of an HMAC, about a fifth of the whole. */
static inline bool rtp_transform_find(struct rtp_transform *transform, const uint8_t *packet,
                                      size_t header_length, size_t payload_length, uint64_t first,
                                      unsigned tries, uint64_t *ret_index)
{
    return transform->class->find(transform, packet, header_length, payload_length, first, tries,
                                  ret_index);
}

/* RFC 3711 4.3 with a key derivation rate of 0. */
enum srtp_label { SRTP_LABEL_CIPHER = 0, SRTP_LABEL_AUTH = 1, SRTP_LABEL_SALT = 2 };
bool srtp_derive_key(const uint8_t *master_key, size_t key_length, const uint8_t master_salt[14],
                     enum srtp_label label, uint8_t *out, size_t length);

/* srtp-aes-cm.c */
struct rtp_transform *rtp_transform_aes_cm_new(const uint8_t *master_key,
                                               const uint8_t master_salt[14]);
