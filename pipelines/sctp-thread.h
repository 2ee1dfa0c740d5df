/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The one thread on which the peers' SCTP packets are given to webrtcbin, and its data channels are
 * made and closed: both may wait for locks of webrtcbin, for which neither the DTLS thread nor the
 * control thread has time.
 *
 * Threads: sctp_thread_post() any; start and stop control. */
#include <glib.h>
#include <stdbool.h>

bool sctp_thread_start(GError **error);
/* Waits until what is posted has run. */
void sctp_thread_flush(void);
/* Runs what is posted, then joins. No webrtcbin may be left. */
void sctp_thread_stop(void);
/* Runs fn(data) soon on the SCTP thread, in the order of posting. fn owns data. */
void sctp_thread_post(void (*fn)(void *data), void *data);
