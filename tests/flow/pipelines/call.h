/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A leg and its peer in one process: the test is the transport between them and turns the control
 * loop by hand. Threads: control. */
#include "pipelines/leg.h"
#include "tests/support/dtls-peer.h"

#include <glib.h>
#include <stdbool.h>
#include <time.h>

struct call {
    struct pl_leg *leg;
    struct dtls_peer *peer;
    struct sdp_description remote;
    struct pl_srtp_keys keys;
    guint connected, failed, closed, sent;
    GError *error;
    bool gone;             /* closed by us: no callback may come */
    const guint *close_in; /* close when this is counted up */
    guint lose_sent, lose_received;
};

#define BOTH_ROLES(we_are_server) for (guint we_are_server = 0; we_are_server < 2; we_are_server++)

/* CPU time that the peers took, which is not the legs'. */
extern gint64 call_peers_cpu_us;
gint64 call_cpu_us(clockid_t clock);

/* The leg is made, not started; the peer has the other role. */
struct call *call_new(bool we_are_server, enum dtls_peer_certificate certificate);
void call_start(struct call *call, bool we_are_server);
void call_close(struct call *call);
/* Closes, and lets through what was posted before: it must find nothing. */
void call_free(struct call *call);
/* What the peer has to say goes to the leg. */
void call_carry(struct call *call);
void call_turn_for(guint ms);
/* Turns the loop until *count is reached, 5 s at most. */
bool call_turn_until(struct call *call, const guint *count, guint wanted);
/* Until both are connected, 5 s at most; the peer retransmits. */
void call_turn_with_peer_clock(struct call *call);
/* What webrtcbin thinks of itself follows on its own thread. */
bool call_turn_until_dot(struct call *call, const char *text);
