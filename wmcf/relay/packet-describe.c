/* SPDX-License-Identifier: Apache-2.0 */
/* Once per received packet, so that the hundredth subscriber reads three octets instead of a
 * descriptor. */
#include "wmcf/relay/packet-describe.h"

#include "wmcf/relay/h264-sps.h"
#include "wmcf/relay/layer-meter.h"
#include "wmcf/relay/vp8-descriptor.h"
#include "wmcf/relay/vp9-descriptor.h"

#include <glib.h>

static uint32_t size_of(uint16_t width, uint16_t height)
{
    return (uint32_t)width << 16 | height;
}

static void describe_vp8(struct packet *packet, size_t length, struct picture_sizes *ret_sizes)
{
    struct vp8_descriptor vp8;
    if (!vp8_descriptor_parse(packet->payload, length, &vp8))
        return;
    packet->key_frame = vp8.key;
    packet->temporal = vp8.temporal;
    packet->layer_flags = (vp8.begins ? PACKET_FRAME_BEGINS : 0) | (vp8.sync ? PACKET_UP : 0);
    if (vp8.width) {
        ret_sizes->n = 1;
        ret_sizes->sizes[0] = size_of(vp8.width, vp8.height);
    }
}

static void describe_vp9(struct packet *packet, size_t length, struct picture_sizes *ret_sizes)
{
    struct vp9_descriptor vp9;
    if (!vp9_descriptor_parse(packet->payload, length, &vp9))
        return;
    packet->key_frame = vp9_descriptor_is_key(&vp9);
    packet->spatial = MIN(vp9.spatial, SPATIAL_LAYERS - 1);
    packet->temporal = MIN(vp9.temporal, TEMPORAL_LAYERS - 1);
    packet->layer_flags = (vp9.begins ? PACKET_FRAME_BEGINS : 0) |
                          (vp9.ends && vp9.has_layers ? PACKET_FRAME_ENDS : 0) |
                          (vp9.up ? PACKET_UP : 0) | (vp9.predicted ? PACKET_PREDICTED : 0);
    ret_sizes->n = vp9.widths[0] ? MIN(vp9.spatial_layers, SPATIAL_LAYERS) : 0;
    for (unsigned i = 0; i < ret_sizes->n; i++)
        ret_sizes->sizes[i] = size_of(vp9.widths[i], vp9.heights[i]);
}

static void describe_h264(struct packet *packet, size_t length, struct picture_sizes *ret_sizes)
{
    uint16_t width, height;
    packet->key_frame = key_frame_begins(KEY_FRAME_H264, packet->payload, length);
    if (!packet->key_frame || !h264_find_size(packet->payload, length, &width, &height))
        return;
    ret_sizes->n = 1;
    ret_sizes->sizes[0] = size_of(width, height);
}

void packet_describe_video(struct packet *packet, enum key_frame_codec codec, size_t length,
                           struct picture_sizes *ret_sizes)
{
    switch (codec) {
    case KEY_FRAME_VP8:
        describe_vp8(packet, length, ret_sizes);
        break;
    case KEY_FRAME_VP9:
        describe_vp9(packet, length, ret_sizes);
        break;
    case KEY_FRAME_H264:
        describe_h264(packet, length, ret_sizes);
        break;
    case KEY_FRAME_AV1:
    case KEY_FRAME_UNKNOWN:
        packet->key_frame = key_frame_begins(codec, packet->payload, length);
        break;
    }
    packet->entry = packet->key_frame || codec == KEY_FRAME_UNKNOWN;
}
