/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What most tests begin with: a publisher and its subscribers, connected, keyed and routed.
 * Threads: control. */
#include "tests/flow/relay/endpoint.h"

#define SUBSCRIBERS_MAX 48
#define VIDEO_PT 96
#define AUDIO_PT 111
#define PUBLISHED_SSRC 0x11111111u
#define SUBSCRIBED_SSRC(i) (2000u + (i))
#define MID_ID 3
#define LEVEL_ID 5

extern const uint8_t key_payload[8], delta_payload[8]; /* VP8 */

struct scene {
    struct relay *relay;
    struct endpoint *from, *to[SUBSCRIBERS_MAX];
    guint n;
    uint16_t sequence; /* of the next packet published */
    uint32_t timestamp;
};

struct relay_media scene_video(const char *mid, bool receive, bool send, uint32_t local_ssrc);
struct relay_media scene_audio(const char *mid, bool receive, bool send, uint32_t local_ssrc);

/* Publisher's medium "0" to medium "v" of n subscribers; video. Slots may be NULL. */
void scene_begin(struct scene *scene, struct relay_config *config, guint n, struct qos_slot *uplink,
                 struct qos_slot *downlink);
void scene_end(struct scene *scene);
/* Publishes n packets, one per frame; the first is a key frame if `key`. */
void scene_publish(struct scene *scene, guint n, bool key);
struct rtp_out scene_rtp(uint16_t sequence, uint32_t timestamp, const uint8_t *payload);

/* Serves everybody; see endpoints_wait(). */
bool scene_wait(struct scene *scene, bool (*done)(void *user), void *user, guint ms);
/* Until the endpoint has n RTP packets. */
bool scene_wait_rtp(struct scene *scene, struct endpoint *endpoint, guint n);
/* Statistics of a leg, after everything that was asked of it before. */
struct relay_leg_stats endpoint_stats(struct endpoint *endpoint);

uint16_t rtp_sequence(const struct packet_in *packet);
uint32_t rtp_timestamp(const struct packet_in *packet);
uint32_t rtp_ssrc(const struct packet_in *packet);
/* Counts RTCP packets of a type (and format, -1 = any) among what the endpoint received, and takes
 * them all away. */
guint endpoint_take_rtcp(struct endpoint *endpoint, uint8_t type, int format);
