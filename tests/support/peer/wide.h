/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Transport-wide sequence numbers of a peer, both ways: numbering what it sends, feedback about
 * what it receives, and what it is told (draft-holmer-rmcat-transport-wide-cc-extensions-01).
 * Written apart from the relay's. Threads: the peer's. */
#include "tests/support/peer/peer.h"

#define PEER_WIDE_WINDOW 2048

struct peer_wide {
    guint8 id; /* of the header extension; 0 = not negotiated */
    guint16 next;
    bool begun;
    gint64 told, highest;        /* received numbers, extended: reported below `told` */
    gint64 at[PEER_WIDE_WINDOW]; /* µs; 0 = not received */
    gint64 due_us;               /* 0 = nothing to report */
    guint8 count;
    guint32 media_ssrc;
    struct peer_wide_stats stats;
};

/* Room for a number in a header of that length; returns the new one. */
gsize peer_wide_add(guint8 *packet, gsize header, guint8 id);
/* Writes the next number into a packet that has room for it. */
void peer_wide_number(struct peer_wide *wide, guint8 *packet, gsize length);
void peer_wide_received(struct peer_wide *wide, const guint8 *packet, gsize length, gint64 now);
/* The report that is due, as an RTCP packet; 0 = none is. */
gsize peer_wide_report(struct peer_wide *wide, gint64 now, guint32 ssrc, guint8 *packet);
/* FCI of a report from the other side. False: broken. */
bool peer_wide_feedback(struct peer_wide *wide, const guint8 *fci, gsize length);
