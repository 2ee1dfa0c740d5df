/* SPDX-License-Identifier: Apache-2.0 */
/* Eight octets a packet, and no more packets than feedback takes to come, which is much when the
 * receiver is busy: the ring grows when it would forget what was not told of. The time is kept in
 * 32 bits of µs and told in 64 by the present, which holds for an hour. Feedback that is lost
 * leaves its packets open: they count neither as lost nor as received. */
#include "wmcf/relay/send-history.h"

#include <glib.h>

#define SIZE_MIN 64
#define SIZE_START 256
#define SIZE_LIMIT 32768

enum packet_state { OPEN, MISSING, ARRIVED, FORGOTTEN };

struct sent_packet {
    uint32_t at;
    uint16_t octets;
    uint8_t probe;
    uint8_t state;
};

struct send_history {
    uint64_t next;  /* extended sequence number of the next packet */
    uint64_t acked; /* behind the highest with feedback */
    uint64_t outstanding;
    bool referenced;
    uint32_t reference; /* of the last feedback, and in µs since the first one's: */
    int64_t clock;
    uint32_t mask, size_max;
    struct sent_packet *packets;
};

static struct sent_packet *ring_new(uint32_t size)
{
    struct sent_packet *packets = g_new0(struct sent_packet, size);
    for (uint32_t i = 0; i < size; i++)
        packets[i].state = FORGOTTEN;
    return packets;
}

struct send_history *send_history_new(unsigned packets, uint16_t first)
{
    struct send_history *history = g_new0(struct send_history, 1);
    history->size_max = SIZE_MIN;
    while (history->size_max < packets && history->size_max < SIZE_LIMIT)
        history->size_max *= 2;
    uint32_t size = MIN(SIZE_START, history->size_max);
    history->packets = ring_new(size);
    history->mask = size - 1;
    history->next = history->acked = 0x10000u + first; /* feedback may speak of what lies before */
    return history;
}

void send_history_free(struct send_history *history)
{
    if (!history)
        return;
    g_free(history->packets);
    g_free(history);
}

uint16_t send_history_next(const struct send_history *history)
{
    return (uint16_t)history->next;
}

static void grow(struct send_history *history)
{
    uint32_t size = history->mask + 1;
    struct sent_packet *packets = ring_new(2 * size);
    for (uint64_t i = history->next - size; i < history->next; i++)
        packets[i & (2 * size - 1)] = history->packets[i & history->mask];
    g_free(history->packets);
    history->packets = packets;
    history->mask = 2 * size - 1;
}

uint16_t send_history_add(struct send_history *history, int64_t now, unsigned octets, uint8_t probe)
{
    /* Only where there is feedback at all. */
    if (G_UNLIKELY(history->next - history->acked > history->mask && history->referenced &&
                   history->mask + 1 < history->size_max))
        grow(history);
    uint64_t index = history->next++;
    struct sent_packet *packet = &history->packets[index & history->mask];
    if (packet->state == OPEN && index - history->mask - 1 >= history->acked)
        history->outstanding -= packet->octets;
    *packet = (struct sent_packet){
        .at = (uint32_t)now, .octets = (uint16_t)octets, .probe = probe, .state = OPEN};
    history->outstanding += octets;
    return (uint16_t)index;
}

/* Clocks of 24 bits of 64 ms go round in twelve days. */
static int64_t follow_clock(struct send_history *history, uint32_t reference)
{
    int32_t steps = (int32_t)((reference - history->reference) << 8) >> 8;
    if (history->referenced)
        history->clock += (int64_t)steps * 64000;
    history->referenced = true;
    history->reference = reference;
    return history->clock;
}

static void pass(struct send_history *history, uint64_t index)
{
    for (uint64_t i = MAX(history->acked, history->next - MIN(history->next, history->mask + 1u));
         i <= index; i++) {
        const struct sent_packet *packet = &history->packets[i & history->mask];
        if (packet->state == OPEN)
            history->outstanding -= MIN(history->outstanding, packet->octets);
    }
    if (index >= history->acked)
        history->acked = index + 1;
}

size_t send_history_results(struct send_history *history, const uint8_t *fci, size_t length,
                            int64_t now, struct packet_result *ret, size_t max, bool *ret_broken)
{
    struct transport_feedback reader;
    struct transport_arrival arrival;
    size_t n = 0;
    *ret_broken = !transport_feedback_begin(&reader, fci, length);
    if (*ret_broken)
        return 0;
    int64_t clock = follow_clock(history, reader.reference);
    while (n < max && transport_feedback_next(&reader, &arrival)) {
        uint16_t back = (uint16_t)((uint16_t)history->next - arrival.sequence);
        if (back == 0 || back > history->mask + 1u) /* not sent, or long ago */
            continue;
        uint64_t index = history->next - back;
        struct sent_packet *packet = &history->packets[index & history->mask];
        if (packet->state == ARRIVED || packet->state == FORGOTTEN ||
            (packet->state == MISSING && !arrival.received))
            continue;
        pass(history, index);
        ret[n++] =
            (struct packet_result){.sent = now - (int64_t)(uint32_t)((uint32_t)now - packet->at),
                                   .arrival = clock + (int64_t)arrival.ticks * TRANSPORT_TICK_US,
                                   .octets = packet->octets,
                                   .probe = packet->probe,
                                   .received = arrival.received,
                                   .recovered = packet->state == MISSING};
        packet->state = arrival.received ? ARRIVED : MISSING;
    }
    return n;
}

uint64_t send_history_outstanding(const struct send_history *history)
{
    return history->outstanding;
}

int64_t send_history_waits_since(const struct send_history *history, int64_t now)
{
    uint64_t oldest = MAX(history->acked, history->next - MIN(history->next, history->mask + 1u));
    if (oldest >= history->next)
        return 0;
    const struct sent_packet *packet = &history->packets[oldest & history->mask];
    return now - (int64_t)(uint32_t)((uint32_t)now - packet->at);
}
