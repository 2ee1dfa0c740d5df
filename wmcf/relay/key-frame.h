/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Can a decoder begin with this packet? Payload formats RFC 7741 (VP8), RFC 9628 (VP9),
 * RFC 6184 (H264), AV1 RTP specification 1.0. Pure. Threads: any. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum key_frame_codec {
    KEY_FRAME_UNKNOWN, /* cannot be told: never wait for one */
    KEY_FRAME_VP8,
    KEY_FRAME_VP9,
    KEY_FRAME_H264,
    KEY_FRAME_AV1,
};

/* From the canonical format key of sdp.h, "video/VP8/90000". */
enum key_frame_codec key_frame_codec_of_format(const char *format);
/* True for the packet with which a key frame begins. `payload` without padding. */
bool key_frame_begins(enum key_frame_codec codec, const uint8_t *payload, size_t length);
