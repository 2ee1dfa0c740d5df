/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The transforms of one leg and direction (RFC 3711, keys from DTLS, RFC 5764), one for RTP and one
 * for RTCP. All SSRCs of a direction share its keys, so one object serves them all; index and
 * replay list live with the SSRC, for RTCP in srtcp.h. Threads: the worker that owns it. */
#include "wmcf/relay/relay.h"

#include <stddef.h>

#define RTP_TRANSFORM_TAG_MAX 16
#define SRTCP_CLEAR 8 /* octets of an RTCP packet that are not ciphered (RFC 3711 3.4) */
#define SRTCP_WORD 4  /* with the index */
#define SRTCP_INDEX_MAX 0x7fffffffu

struct rtp_transform;
struct rtp_transform_class { /* one per profile */
    size_t tag_length;
    size_t rtcp_index_at; /* octets between an RTCP packet and the word with its index */
    void (*protect)(struct rtp_transform *self, uint8_t *packet, size_t header_length,
                    const uint8_t *payload, size_t payload_length, uint32_t ssrc, uint64_t index);
    bool (*unprotect)(struct rtp_transform *self, const uint8_t *packet, size_t header_length,
                      size_t csrcs, size_t payload_length, uint32_t ssrc, uint64_t index,
                      uint8_t *payload);
    bool (*find)(struct rtp_transform *self, const uint8_t *packet, size_t header_length,
                 size_t csrcs, size_t payload_length, uint32_t ssrc, uint64_t first, unsigned tries,
                 uint64_t *ret_index);
    void (*protect_rtcp)(struct rtp_transform *self, uint8_t *packet, size_t length, uint32_t ssrc,
                         uint32_t word);
    bool (*unprotect_rtcp)(struct rtp_transform *self, uint8_t *packet, size_t length,
                           uint32_t ssrc, uint32_t word);
    void (*free)(struct rtp_transform *self);
};
struct rtp_transform {
    const struct rtp_transform_class *class;
};

/* NULL when profile or lengths are not ours. The caller wipes its copy of the keys. */
struct rtp_transform *rtp_transform_new(enum relay_srtp_profile profile, const uint8_t *key,
                                        size_t key_length, const uint8_t *salt, size_t salt_length);
/* The same for RTCP. */
struct rtp_transform *rtcp_transform_new(enum relay_srtp_profile profile, const uint8_t *key,
                                         size_t key_length, const uint8_t *salt,
                                         size_t salt_length);
/* Wipes the session keys. */
void rtp_transform_free(struct rtp_transform *transform);

/* `packet` holds the header; payload and tag are appended. Payload and packet do not overlap, or
 * the payload stands in its place already. */
static inline void rtp_transform_protect(struct rtp_transform *transform, uint8_t *packet,
                                         size_t header_length, const uint8_t *payload,
                                         size_t payload_length, uint32_t ssrc, uint64_t index)
{
    transform->class->protect(transform, packet, header_length, payload, payload_length, ssrc,
                              index);
}

/* Authenticates header, payload and tag, then writes the clear payload to `payload`. False:
 * what is written there is to be thrown away. Payload and packet do not overlap. `csrcs`: so many
 * octets of the payload are CSRCs that cryptex.h has brought there; they are authenticated in the
 * place that they came in. */
static inline bool rtp_transform_unprotect(struct rtp_transform *transform, const uint8_t *packet,
                                           size_t header_length, size_t csrcs,
                                           size_t payload_length, uint32_t ssrc, uint64_t index,
                                           uint8_t *payload)
{
    return transform->class->unprotect(transform, packet, header_length, csrcs, payload_length,
                                       ssrc, index, payload);
}

/* Which of `tries` indices, `first` and then one roll-over each further, authenticates the packet:
 * false when none does. For a receiver that has missed so much that it cannot guess (RFC 3711
 * 3.3.1); each costs the end of an HMAC, or the whole where the index is part of the IV: with every
 * profile 0.2 to 0.4 µs. */
static inline bool rtp_transform_find(struct rtp_transform *transform, const uint8_t *packet,
                                      size_t header_length, size_t csrcs, size_t payload_length,
                                      uint32_t ssrc, uint64_t first, unsigned tries,
                                      uint64_t *ret_index)
{
    return transform->class->find(transform, packet, header_length, csrcs, payload_length, ssrc,
                                  first, tries, ret_index);
}

/* An RTCP packet of `length` octets, of which the first 8 stay in the clear, in place; tag and
 * `word`, the index and the bit that says that it is ciphered (RFC 3711 3.4), are written behind
 * it. Of a transform for RTCP. */
static inline void rtp_transform_protect_rtcp(struct rtp_transform *transform, uint8_t *packet,
                                              size_t length, uint32_t ssrc, uint32_t word)
{
    transform->class->protect_rtcp(transform, packet, length, ssrc, word);
}

/* The reverse; `word` is the one that came. False: what is written there is to be thrown away. */
static inline bool rtp_transform_unprotect_rtcp(struct rtp_transform *transform, uint8_t *packet,
                                                size_t length, uint32_t ssrc, uint32_t word)
{
    return transform->class->unprotect_rtcp(transform, packet, length, ssrc, word);
}

enum srtp_use { SRTP_FOR_RTP, SRTP_FOR_RTCP };
/* RFC 3711 4.3 with a key derivation rate of 0; the labels of RTCP are as many further (4.3.2). */
enum srtp_label {
    SRTP_LABEL_CIPHER = 0,
    SRTP_LABEL_AUTH = 1,
    SRTP_LABEL_SALT = 2,
    SRTP_LABELS_RTCP = 3
};
bool srtp_derive_key(const uint8_t *master_key, size_t key_length, const uint8_t master_salt[14],
                     enum srtp_label label, uint8_t *out, size_t length);

/* srtp-aes-cm.c */
struct rtp_transform *rtp_transform_aes_cm_new(enum srtp_use use, const uint8_t *master_key,
                                               const uint8_t master_salt[14]);
/* srtp-aes-gcm.c; 16 or 32 octets of key. The second with session keys in place of master ones. */
struct rtp_transform *rtp_transform_aes_gcm_new(enum srtp_use use, const uint8_t *master_key,
                                                size_t key_length, const uint8_t master_salt[12]);
struct rtp_transform *rtp_transform_aes_gcm_with(const uint8_t *session_key, size_t key_length,
                                                 const uint8_t session_salt[12]);
