/* SPDX-License-Identifier: Apache-2.0 */
/* Looks only at payload descriptors and the first octets behind them, never into the bit stream,
 * and never beyond `length`: the payload is the publisher's. */
#include "wmcf/relay/key-frame.h"

#include <glib.h>
#include <string.h>

enum key_frame_codec key_frame_codec_of_format(const char *format)
{
    static const struct {
        const char *prefix;
        enum key_frame_codec codec;
    } known[] = {
        {"video/VP8/", KEY_FRAME_VP8},
        {"video/VP9/", KEY_FRAME_VP9},
        {"video/H264/", KEY_FRAME_H264},
        {"video/AV1/", KEY_FRAME_AV1},
    };
    for (size_t i = 0; format && i < G_N_ELEMENTS(known); i++) {
        if (g_ascii_strncasecmp(format, known[i].prefix, strlen(known[i].prefix)) == 0)
            return known[i].codec;
    }
    return KEY_FRAME_UNKNOWN;
}

static bool vp8_begins(const uint8_t *p, size_t length)
{
    /* RFC 7741 4.2: S=1 and PID=0 is the beginning of the frame. */
    if ((p[0] & 0x10) == 0 || (p[0] & 0x07) != 0)
        return false;
    size_t at = 1;
    if (p[0] & 0x80) {
        if (length < 2)
            return false;
        uint8_t extension = p[1];
        at = 2;
        if (extension & 0x80) { /* PictureID of 7 or 15 bits */
            if (at >= length)
                return false;
            at += p[at] & 0x80 ? 2 : 1;
        }
        if (extension & 0x40) /* TL0PICIDX */
            at++;
        if (extension & 0x30) /* TID, KEYIDX */
            at++;
    }
    return at < length && (p[at] & 0x01) == 0; /* RFC 7741 4.3: inverse key frame flag */
}

static bool vp9_begins(const uint8_t *p, size_t length)
{
    /* RFC 9628 4.2: I P L F B E V Z. Begins a frame (B) that is predicted from no other picture. */
    if ((p[0] & 0x08) == 0 || (p[0] & 0x40) != 0)
        return false;
    if ((p[0] & 0x20) == 0)
        return true;
    size_t at = 1;
    if (p[0] & 0x80) {
        if (at >= length)
            return false;
        at += p[at] & 0x80 ? 2 : 1;
    }
    return at < length && (p[at] >> 1 & 0x07) == 0; /* spatial layer 0 */
}

static bool h264_unit_begins(uint8_t type, const uint8_t *body, size_t length)
{
    if (type == 7) /* SPS */
        return true;
    /* An IDR slice: first_mb_in_slice = 0 is a one in ue(v), so a lost first slice is no beginning.
     */
    return type == 5 && length > 0 && (body[0] & 0x80);
}

static bool h264_begins(const uint8_t *p, size_t length)
{
    uint8_t type = p[0] & 0x1f;
    if (type == 28) /* FU-A, RFC 6184 5.8 */
        return length > 2 && (p[1] & 0x80) && h264_unit_begins(p[1] & 0x1f, p + 2, length - 2);
    if (type != 24) /* not STAP-A, 5.7.1 */
        return h264_unit_begins(type, p + 1, length - 1);
    for (size_t at = 1; at + 3 <= length;) {
        size_t size = (size_t)(p[at] << 8 | p[at + 1]);
        at += 2;
        if (size == 0 || at + size > length)
            return false;
        if (h264_unit_begins(p[at] & 0x1f, p + at + 1, size - 1))
            return true;
        at += size;
    }
    return false;
}

static bool av1_begins(const uint8_t *p)
{
    /* AV1 RTP 4.4, aggregation header: Z=0, N=1 is the first packet of a coded video sequence. */
    return (p[0] & 0x88) == 0x08;
}

bool key_frame_begins(enum key_frame_codec codec, const uint8_t *payload, size_t length)
{
    if (length == 0)
        return false;
    switch (codec) {
    case KEY_FRAME_VP8:
        return vp8_begins(payload, length);
    case KEY_FRAME_VP9:
        return vp9_begins(payload, length);
    case KEY_FRAME_H264:
        return h264_begins(payload, length);
    case KEY_FRAME_AV1:
        return av1_begins(payload);
    case KEY_FRAME_UNKNOWN:
        break;
    }
    return false;
}
