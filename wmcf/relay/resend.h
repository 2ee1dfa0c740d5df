/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a subscription sends besides the stream itself: packets that were lost on the way, on an
 * SSRC of their own where RTX was negotiated (RFC 4588), and padding on that. Threads: the worker.
 */
#include "wmcf/relay/subscription.h"

struct rtx_sender {
    uint32_t ssrc;
    bool ever_sent;
    uint64_t last_index; /* highest sent */
    uint64_t index_base; /* subtracted for SRTP */
    uint64_t packets, octets, padding_packets, padding_octets;
};

/* A random beginning below 2^15, as subscription_init()'s. */
struct rtx_sender *rtx_sender_new(uint32_t random);

/* A NACK names this sequence number: the packet goes out again when it is still there and neither
 * budget nor gate speak against it. */
void subscription_resend(struct subscription *subscription, uint16_t sequence, int64_t now);
/* One packet of padding on the RTX SSRC, at most `octets` on the wire with IP and UDP header (255
 * of padding). Returns what it takes there; 0 = none was sent: no RTX, nothing was ever sent, a
 * closed gate, no path. */
size_t subscription_send_padding(struct subscription *subscription, size_t octets);
