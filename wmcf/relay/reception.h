/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Reception statistics of one SSRC (RFC 3550 A.1, A.3, A.8) on packet indices that SRTP has already
 * extended and authenticated. Threads: the worker. */
#include <stdbool.h>
#include <stdint.h>

struct reception {
    bool started;
    bool anew; /* what is missing in front of the next packet was withheld on purpose */
    uint64_t base, highest; /* packet indices */
    uint64_t received;      /* since base */
    uint64_t lost_before;   /* of earlier bases */
    uint64_t expected_prior, received_prior;
    uint32_t jitter; /* scaled by 16 */
    uint32_t transit;
};

/* The next packet is a new beginning, no loss before it. */
static inline void reception_interrupt(struct reception *reception)
{
    reception->anew = reception->started;
}
/* Returns false when the sender jumped so far that this is a new beginning (the packet counts). */
bool reception_packet(struct reception *reception, uint64_t index, uint32_t timestamp,
                      uint32_t clock_rate, int64_t arrival_us);
/* Packets expected and not received, never below 0. */
uint64_t reception_lost(const struct reception *reception);

struct reception_report {
    uint8_t fraction_lost;
    int32_t cumulative_lost; /* 24 bits signed */
    uint32_t highest;
    uint32_t jitter;
};
/* The numbers of one report block; starts the next interval. */
void reception_report(struct reception *reception, struct reception_report *ret);
static inline uint32_t reception_jitter(const struct reception *reception)
{
    return reception->jitter >> 4;
}
