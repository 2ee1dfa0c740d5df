/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One RTP packet onto a leg's wire: header, cipher, send batch. Inline: the router does it for
 * every packet and subscriber. Threads: the worker. */
#include "wmcf/relay/capture.h"
#include "wmcf/relay/cryptex.h"
#include "wmcf/relay/leg-bandwidth.h"
#include "wmcf/relay/worker.h"

#include <string.h>

struct media_out {
    const struct rtp_extension_block *extensions;
    struct rtp_fields fields;
    struct rtp_element descriptor;
    int note;               /* see packet->note */
    const uint8_t *payload; /* in clear */
    size_t length;
    uint64_t index; /* SRTP's: of the SSRC, since the present keys (RFC 3711 3.3.1) */
    int dscp;
};

_Static_assert(RTP_HEADER_LENGTH + RTP_EXTENSIONS_MAX + RTP_ELEMENT_MAX + PACKET_PAYLOAD_MAX + 64 <=
                   SEND_PACKET_MAX,
               "room for the largest packet");

/* Octets that the packet takes on the wire, IP and UDP too. */
static inline size_t media_out_cost(const struct worker_leg *leg, const struct ice_path *path,
                                    const struct rtp_extension_block *extensions, size_t length)
{
    return socket_address_overhead(&path->remote) + RTP_HEADER_LENGTH + extensions->length +
           length + leg->out->class->tag_length;
}

/* One that has waited (router.c). */
void subscription_emit(struct subscription *subscription, struct ice_path *path,
                       const struct paced_packet *paced);

/* Returns the octets of the datagram. Gates, policing and limits of the path are the caller's. */
static inline size_t media_send(struct media_line *line, struct ice_path *path,
                                const struct media_out *media)
{
    struct worker_leg *leg = line->leg;
    struct send_batch *batch = worker_batch(leg->worker, path->socket);
    uint8_t *out = send_batch_reserve(batch);
    size_t header = rtp_header_write(out, &media->fields, media->extensions, media->note);
    size_t wide_at = media->extensions->wide_at;
    if (G_UNLIKELY(media->descriptor.length))
        header = rtp_header_append(out, header, media->extensions, &media->descriptor, &wide_at);
    size_t length = header + media->length + leg->out->class->tag_length;
    if (wide_at && leg->bandwidth)
        leg_bandwidth_stamp(leg->bandwidth, out + RTP_HEADER_LENGTH + wide_at,
                            (unsigned)(length + socket_address_overhead(&path->remote)));
    if (G_UNLIKELY(leg->capture))
        capture_sent(leg, line, out, header, media->payload, media->length);
    if (G_UNLIKELY(media->extensions->ciphered && header > RTP_HEADER_LENGTH)) {
        cryptex_mark(out);
        memcpy(out + header, media->payload, media->length);
        rtp_transform_protect(leg->out, out, CRYPTEX_CLEAR, out + CRYPTEX_CLEAR,
                              header - CRYPTEX_CLEAR + media->length, media->fields.ssrc,
                              media->index);
    } else {
        rtp_transform_protect(leg->out, out, header, media->payload, media->length,
                              media->fields.ssrc, media->index);
    }
    send_batch_commit_media(batch, &path->remote, length, &leg->send_failed,
                            line->media.slot[QOS_DOWNLINK], media->dscp);
    return length;
}
