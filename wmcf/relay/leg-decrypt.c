/* SPDX-License-Identifier: Apache-2.0 */
/* Authentic, new, in clear. The index of a packet is guessed from its sequence number and the
 * highest index before (RFC 3711 3.3.1), which fails when 2^15 packets or more were withheld in
 * between, at a closed gate or in excess: neither side can tell the other. Then the roll-over
 * counter is found by trying: the tag speaks for the right one alone. Only a source that was silent
 * for long enough to have sent so much gets that, and a leg only so many tries a second. */
#include "wmcf/relay/leg.h"

#include "wmcf/relay/worker.h"

/* 2^15 packets in a second would be 370 Mbit/s of video. */
#define SILENT_US G_USEC_PER_SEC
#define PACKETS_PER_SECOND 20000 /* of one SSRC, while nobody counts them */
#define TRIES_MIN 8
#define TRIES_PER_SECOND 4096 /* of one leg: 1.5 ms at most */

static const struct replay nothing_seen;

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
static bool search(struct worker_leg *leg, const struct replay *replay,
                   const struct rtp_header *header, const uint8_t *data, size_t payload,
                   int64_t silent, bool tried, uint64_t *index, int64_t now)
{
    if (now - leg->search_window >= G_USEC_PER_SEC) {
        leg->search_window = now;
        leg->search_count = 0;
    }
    int64_t wraps = silent / G_USEC_PER_SEC * PACKETS_PER_SECOND / 65536 + TRIES_MIN;
    unsigned tries = (unsigned)MIN(wraps, TRIES_PER_SECOND - leg->search_count);
    leg->search_count += tries;
    uint64_t first = first_beyond(replay, header->sequence, tried, *index);
    return tries && rtp_transform_find(leg->in, data, header->length, payload, first, tries, index);
}

struct packet *worker_leg_decrypt(struct worker_leg *leg, const struct source *source,
                                  struct media_line *line, const struct rtp_header *header,
                                  const uint8_t *data, size_t length, int64_t now)
{
    const struct replay *replay = source ? &source->replay : &nothing_seen;
    size_t payload = length - header->length - leg->in->class->tag_length;
    int64_t silent = now - (source ? source->last_packet : leg->keyed_at);
    uint64_t index = 0;
    bool likely = replay_guess(replay, header->sequence, &index) && replay_check(replay, index);
    if (!likely && silent < SILENT_US) {
        leg->replayed++;
        line->in.duplicates_in++;
        return NULL;
    }
    struct packet *packet = packet_pool_take(leg->worker->pool, payload);
    if (!packet) {
        counter_add(payload > PACKET_PAYLOAD_MAX ? &leg->worker->counters.malformed
                                                 : &leg->worker->counters.send_dropped,
                    1);
        return NULL;
    }
    bool authentic = likely && rtp_transform_unprotect(leg->in, data, header->length, payload,
                                                       header->ssrc, index, packet->payload);
    if (!authentic && silent >= SILENT_US &&
        search(leg, replay, header, data, payload, silent, likely, &index, now))
        authentic = rtp_transform_unprotect(leg->in, data, header->length, payload, header->ssrc,
                                            index, packet->payload);
    if (!authentic) {
        packet_unref(leg->worker->pool, packet);
        if (likely) {
            leg->srtp_failed++;
            line->in.decrypt_failed++;
        } else {
            leg->replayed++;
            line->in.duplicates_in++;
        }
        return NULL;
    }
    packet->index = index;
    packet->length = (uint16_t)payload;
    return packet;
}
