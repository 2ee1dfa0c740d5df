/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* SCTP packets (RFC 9260) as they pass between DTLS and webrtcbin's SCTP: what of a peer's is let
 * in, and the window that our acknowledgements grant it. Pure functions. Threads: any. */
#include <glib.h>
#include <stdbool.h>

#define SCTP_PACKET_MAX 16384
#define SCTP_HEADER 12 /* where the first chunk begins */

/* Whole chunks, each of them one that an association of data channels needs (RFC 8831). What else a
 * peer sends never reaches the SCTP stack: address changes, authentication, ECN. */
bool sctp_packet_check(const guint8 *packet, gsize length);

/* The streams that a peer has ever sent on: each costs webrtcbin two threads, and it makes them
 * before anybody is asked. */
struct sctp_streams {
    guint max, count;
    guint8 *seen; /* a bit for each number, or NULL before the first */
};
/* False when the packet would bring more than `max`. */
bool sctp_streams_admit(struct sctp_streams *streams, const guint8 *packet, gsize length);
void sctp_streams_clear(struct sctp_streams *streams);

/* Whether the packet has a DATA chunk. */
bool sctp_packet_has_data(const guint8 *packet, gsize length);

enum sctp_ppid { /* RFC 8831 8 */
                 SCTP_PPID_CONTROL = 50,
                 SCTP_PPID_TEXT = 51,
                 SCTP_PPID_BINARY_PARTIAL = 52,
                 SCTP_PPID_BINARY = 53,
                 SCTP_PPID_TEXT_PARTIAL = 54,
                 SCTP_PPID_BINARY_EMPTY = 56,
                 SCTP_PPID_TEXT_EMPTY = 57,
};

/* What has come of a peer's messages; all zero at first. */
struct sctp_intake {
    bool known;    /* tsn is one */
    guint32 tsn;   /* the highest that came */
    bool counts;   /* the message under way is one of a channel */
    gsize partial; /* octets of it */
};
/* Octets of the messages of channels that this packet completes. What comes again is not counted
 * again, and what was lost at first is counted never: a measure, not an account. */
gsize sctp_intake_count(struct sctp_intake *intake, const guint8 *packet, gsize length);

/* Lowers what the SACKs of the packet grant (a_rwnd, RFC 9260 3.3.4) to `window`, with the checksum
 * made anew when it has changed. Returns the offset of the last SACK chunk, 0 when it has none. The
 * packet is our own SCTP's. */
gsize sctp_packet_limit_window(guint8 *packet, gsize length, guint32 window);
/* A packet of this SACK alone with another window: `packet` has its SACK at `at`. Returns its
 * length in `ret`, 0 when it does not fit. */
gsize sctp_packet_repeat_sack(const guint8 *packet, gsize length, gsize at, guint32 window,
                              guint8 *ret, gsize ret_size);

/* Heartbeats ask whether the peer is there, which ICE and DTLS know better: while a gate is closed
 * they would end the association. Makes the peer's answer to the heartbeat in a packet of ours (RFC
 * 9260 3.3.6); `tag` is the one that the peer's packets have. Returns its length, 0 without one. */
gsize sctp_packet_answer_heartbeat(const guint8 *packet, gsize length, guint32 tag, guint8 *ret,
                                   gsize ret_size);
/* The verification tag. */
guint32 sctp_packet_tag(const guint8 *packet);

/* CRC32c (RFC 9260 appendix A) of the packet as if its checksum were 0, as it stands on the wire.
 */
guint32 sctp_packet_checksum(const guint8 *packet, gsize length);
