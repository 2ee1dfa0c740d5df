/* SPDX-License-Identifier: Apache-2.0 */
/* Authentic, new, in clear. The index of a packet is guessed from its sequence number and the
 * highest index before (RFC 3711 3.3.1), which fails when 2^15 packets or more were withheld in
 * between, at a closed gate or in excess: neither side can tell the other. Then the roll-over
 * counter is found by trying: the tag speaks for the right one alone. Only a source that was silent
 * for long enough to have sent so much gets that, and a leg only so many tries a second. */
#include "wmcf/relay/leg.h"

#include "wmcf/relay/cryptex.h"
#include "wmcf/relay/packet-dependency.h"
#include "wmcf/relay/worker.h"

#include <string.h>

/* 2^15 packets in a second would be 370 Mbit/s of video. */
#define SILENT_US G_USEC_PER_SEC
#define PACKETS_PER_SECOND 20000 /* of one SSRC, while nobody counts them */
#define TRIES_MIN 8
#define TRIES_PER_SECOND 4096 /* of one leg: 2 ms at most, with GCM */

static const struct replay nothing_seen;

struct sealed { /* an RTP packet as its transform sees it */
    const uint8_t *data;
    uint32_t ssrc;
    uint16_t sequence;
    uint16_t clear;   /* octets in front that are not ciphered */
    uint16_t csrcs;   /* octets of CSRCs behind them (Cryptex) */
    uint16_t payload; /* all that is ciphered */
    uint16_t annex;   /* to leave room for behind it (packet-dependency.h) */
};

/* The smallest index after everything seen that has the sequence number and was not tried yet. */
static uint64_t first_beyond(const struct replay *replay, uint16_t sequence, bool tried,
                             uint64_t guess)
{
    uint64_t index = (replay->highest & ~UINT64_C(0xffff)) | sequence;
    if (replay->started && index <= replay->highest)
        index += 0x10000;
    if (tried && index <= guess)
        index = guess + 0x10000;
    return index;
}

/* *index: in, the guess, when `tried`. */
static bool search(struct worker_leg *leg, const struct replay *replay, const struct sealed *sealed,
                   int64_t silent, bool tried, uint64_t *index, int64_t now)
{
    if (now - leg->search_window >= G_USEC_PER_SEC) {
        leg->search_window = now;
        leg->search_count = 0;
    }
    int64_t wraps = silent / G_USEC_PER_SEC * PACKETS_PER_SECOND / 65536 + TRIES_MIN;
    unsigned tries = (unsigned)MIN(wraps, TRIES_PER_SECOND - leg->search_count);
    leg->search_count += tries;
    uint64_t first = first_beyond(replay, sealed->sequence, tried, *index);
    return tries && rtp_transform_find(leg->in, sealed->data, sealed->clear, sealed->csrcs,
                                       sealed->payload, sealed->ssrc, first, tries, index);
}

static bool unseal(struct worker_leg *leg, const struct sealed *sealed, uint64_t index,
                   struct packet *packet)
{
    return rtp_transform_unprotect(leg->in, sealed->data, sealed->clear, sealed->csrcs,
                                   sealed->payload, sealed->ssrc, index, packet->payload);
}

static void count_replayed(struct worker_leg *leg, struct stream *stream)
{
    leg->replayed++;
    if (stream)
        stream->duplicates_in++;
}

/* `stream` NULL: not known yet. */
static struct packet *decrypt(struct worker_leg *leg, const struct source *source,
                              struct stream *stream, const struct sealed *sealed, int64_t now)
{
    const struct replay *replay = source ? &source->replay : &nothing_seen;
    int64_t silent = now - (source ? source->last_packet : leg->keyed_at);
    uint64_t index = 0;
    bool likely = replay_guess(replay, sealed->sequence, &index) && replay_check(replay, index);
    if (!likely && silent < SILENT_US) {
        count_replayed(leg, stream);
        return NULL;
    }
    struct packet *packet =
        packet_pool_take_with(leg->worker->pool, sealed->payload, sealed->annex);
    if (!packet) {
        counter_add(sealed->payload > PACKET_PAYLOAD_MAX ? &leg->worker->counters.malformed
                                                         : &leg->worker->counters.send_dropped,
                    1);
        return NULL;
    }
    bool authentic = likely && unseal(leg, sealed, index, packet);
    if (!authentic && silent >= SILENT_US &&
        search(leg, replay, sealed, silent, likely, &index, now))
        authentic = unseal(leg, sealed, index, packet);
    if (!authentic) {
        packet_unref(leg->worker->pool, packet);
        if (!likely) {
            count_replayed(leg, stream);
            return NULL;
        }
        leg->srtp_failed++;
        if (stream)
            stream->decrypt_failed++;
        return NULL;
    }
    packet->index = index;
    packet->length = sealed->payload;
    return packet;
}

static size_t annex_of(const struct media_line *line, const struct rtp_header *header)
{
    return G_UNLIKELY(line->media.dependency_extmap && header->extensions_length)
               ? packet_dependency_room(MIN(header->extensions_length, DEPENDENCY_OCTETS_MAX))
               : 0;
}

struct packet *worker_leg_decrypt(struct worker_leg *leg, const struct source *source,
                                  struct media_line *line, const struct rtp_header *header,
                                  const uint8_t *data, size_t length, int64_t now)
{
    const struct sealed sealed = {
        .data = data,
        .ssrc = header->ssrc,
        .sequence = header->sequence,
        .clear = header->length,
        .payload = (uint16_t)(length - header->length - leg->in->class->tag_length),
        .annex = (uint16_t)annex_of(line, header),
    };
    return decrypt(leg, source, source ? source->stream : &line->in, &sealed, now);
}

struct packet *worker_leg_decrypt_whole(struct worker_leg *leg, const struct source *source,
                                        struct rtp_header *header, uint8_t *data, size_t length,
                                        int64_t now)
{
    size_t csrcs = cryptex_csrcs(header), around = csrcs + header->extensions_length;
    const struct sealed sealed = {
        .data = data,
        .ssrc = header->ssrc,
        .sequence = header->sequence,
        .clear = CRYPTEX_CLEAR,
        .csrcs = (uint16_t)csrcs,
        .payload = (uint16_t)(length - CRYPTEX_CLEAR - leg->in->class->tag_length),
        .annex = sizeof(struct dependency_frame), /* the descriptor's octets are there */
    };
    cryptex_gather(data, csrcs);
    struct packet *packet = decrypt(leg, source, source ? source->stream : NULL, &sealed, now);
    if (!packet)
        return NULL;
    cryptex_restore(data, header, packet->payload);
    packet->length -= (uint16_t)around;
    memmove(packet->payload, packet->payload + around, packet->length);
    return packet;
}
