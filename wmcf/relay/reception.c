/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 3550's algorithms. There is no probation (A.1): a packet that comes here has passed SRTP, so
 * its index is what the sender meant. */
#include "wmcf/relay/reception.h"

#define MAX_DROPOUT 3000 /* RFC 3550 A.1 */

static void count_jitter(struct reception *reception, uint32_t timestamp, uint32_t clock_rate,
                         int64_t arrival_us)
{
    /* RFC 3550 A.8, in integers */
    uint32_t arrival = (uint32_t)((uint64_t)arrival_us * clock_rate / 1000000u);
    uint32_t transit = arrival - timestamp;
    uint32_t difference = transit - reception->transit;
    reception->transit = transit;
    if (difference > INT32_MAX) /* unsigned: a jump by 2^31 has no positive counterpart */
        difference = 0 - difference;
    /* A timestamp that jumps (another track on the same SSRC) is no jitter. */
    if (difference < clock_rate * 10)
        reception->jitter += difference - ((reception->jitter + 8) >> 4);
}

bool reception_packet(struct reception *reception, uint64_t index, uint32_t timestamp,
                      uint32_t clock_rate, int64_t arrival_us)
{
    if (!reception->started) {
        reception->started = true;
        reception->base = reception->highest = index;
        reception->received = 1;
        reception->transit = (uint32_t)((uint64_t)arrival_us * clock_rate / 1000000u) - timestamp;
        return true;
    }
    if (index > reception->highest &&
        (reception->anew || index - reception->highest > MAX_DROPOUT)) {
        reception->anew = false;
        reception->lost_before = reception_lost(reception);
        reception->base = reception->highest = index;
        reception->received = 1;
        reception->expected_prior = reception->received_prior = 0;
        reception->transit = (uint32_t)((uint64_t)arrival_us * clock_rate / 1000000u) - timestamp;
        return false;
    }
    reception->received++;
    if (index > reception->highest) {
        reception->highest = index;
        /* A retransmission that fills a hole says nothing about transit time. */
        count_jitter(reception, timestamp, clock_rate, arrival_us);
    } else if (index < reception->base) {
        reception->base = index;
    }
    return true;
}

static uint64_t expected(const struct reception *reception)
{
    return reception->started ? reception->highest - reception->base + 1 : 0;
}

uint64_t reception_lost(const struct reception *reception)
{
    uint64_t all = expected(reception);
    return reception->lost_before + (all > reception->received ? all - reception->received : 0);
}

void reception_report(struct reception *reception, struct reception_report *ret)
{
    /* RFC 3550 A.3 */
    uint64_t all = expected(reception);
    int64_t interval = (int64_t)(all - reception->expected_prior);
    int64_t lost = interval - (int64_t)(reception->received - reception->received_prior);
    reception->expected_prior = all;
    reception->received_prior = reception->received;
    ret->fraction_lost = interval <= 0 || lost <= 0 ? 0
                         : lost >= interval         ? 255
                                                    : (uint8_t)(lost * 256 / interval);
    uint64_t cumulative = reception_lost(reception);
    ret->cumulative_lost = cumulative > 0x7fffff ? 0x7fffff : (int32_t)cumulative;
    ret->highest = (uint32_t)reception->highest;
    ret->jitter = reception_jitter(reception);
}
