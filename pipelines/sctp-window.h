/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The window that a peer's SCTP is granted: a limit, less what has come of it and was not seen yet
 * by whom it is for. Time is a parameter, in monotonic microseconds. Threads: any, but for what is
 * said of sctp_window_admit(). */
#include "pipelines/sctp-packet.h"

#include <stdatomic.h>

struct sctp_window {
    _Atomic guint32 limit;    /* octets */
    _Atomic guint32 granted;  /* as the peer was told last */
    _Atomic gint64 unseen;    /* octets of messages */
    _Atomic gint64 unseen_at; /* monotonic µs of its last change */
    guint beyond;             /* octets that came since it is closed */
    struct sctp_intake intake;
};

/* Without a limit. */
void sctp_window_init(struct sctp_window *window);
void sctp_window_set(struct sctp_window *window, guint32 limit);
/* What may be granted now, in octets. */
guint32 sctp_window_now(const struct sctp_window *window);
/* The peer is being told so. */
void sctp_window_granted(struct sctp_window *window, guint32 octets);
/* It is so much larger than the peer knows that it has to be told: how large in `ret`. */
bool sctp_window_has_opened(const struct sctp_window *window, guint32 *ret);

/* Whether a packet that passed sctp_packet_check() may come in; counts it. One thread at a time. */
bool sctp_window_admit(struct sctp_window *window, const guint8 *packet, gsize length, gint64 now);
/* A message of so many octets has come to its receiver. */
void sctp_window_seen(struct sctp_window *window, gsize octets, gint64 now);
