/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One leg with audio and video that sends, one that receives, and flows with slots as the control
 * thread makes them, under any level of enforcement. Threads: control. */
#include "tests/flow/relay/scene.h"

enum { BED_AUDIO, BED_VIDEO, BED_DATA, BED_KINDS };
extern const char *const bed_mids[BED_KINDS];
extern const uint32_t bed_announced[]; /* SSRCs of audio and video */

struct bed {
    struct qos *qos;
    struct relay *relay;
    struct endpoint *from, *to;
    struct qos_transport *transports[2]; /* of from, to */
    struct qos_flow *flows[2][BED_KINDS];
    uint16_t sequence[BED_KINDS];
    uint32_t timestamp;
};

/* Everything connected, every gate open. `lines` of the sending leg: 1 = video alone. */
void bed_begin(struct bed *bed, struct qos *qos, const char *address, unsigned lines);
/* All but `qos` goes. */
void bed_end(struct bed *bed);
void bed_fill_medias(struct bed *bed, struct relay_media *from, struct relay_media *to);

struct qos_slot *bed_uplink(struct bed *bed, unsigned kind);   /* of the leg that sends */
struct qos_slot *bed_downlink(struct bed *bed, unsigned kind); /* of the one that receives */
/* The sending leg's. */
void bed_set_gate(struct bed *bed, unsigned kind, enum qos_flow_status status);

/* The next packet of the medium; `mid` NULL = without. */
struct rtp_out bed_rtp(struct bed *bed, unsigned kind, uint32_t ssrc, const char *mid);
void bed_send(struct bed *bed, unsigned kind, guint n);
void bed_send_as(struct bed *bed, unsigned kind, uint32_t ssrc, const char *mid);
/* `n` packets of both media in turn, or of one (`kind`; BED_KINDS = both), of equal size, as one
 * run. Returns the octets of each. */
uint16_t bed_send_run(struct bed *bed, unsigned kind, guint n);

enum { BED_ALERT = 21, BED_HANDSHAKE = 22, BED_APPLICATION = 23 };
/* A datagram with DTLS records of these types (0 = end); returns its octets. */
size_t bed_dtls(uint8_t *out, const uint8_t *types);
void bed_send_dtls(struct bed *bed, const uint8_t *types);

static inline uint64_t bed_count(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void bed_serve(struct bed *bed, guint ms);
#define BED_UNTIL(bed, condition)                                                                  \
    do {                                                                                           \
        for (guint tries_ = 0; tries_ < 1000 && !(condition); tries_++)                            \
            bed_serve((bed), 5);                                                                   \
        g_assert_true(condition);                                                                  \
    } while (0)
