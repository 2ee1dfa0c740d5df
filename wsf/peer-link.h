/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Our connection to a peer that we dial (protocol A1, A6): connects, authenticates and registers
 * there, keeps the registration, and makes the peer an endpoint of our own registrar, so that calls
 * go both ways as with everybody else. Threads: control. */
#include "wsf/peer.h"

/* Dials `peer->url` until it is freed. `peer` is borrowed. Transfer full; NULL and *error when the
 * configuration cannot work. */
struct peer_link *peer_link_new(struct wsf *wsf, struct peer *peer, GError **error);
/* Says goodbye (1000) without a callback. NULL allowed. */
void peer_link_free(struct peer_link *link);
/* Dials at once, whatever the peer has said or the back-off was; not while connected. */
void peer_link_retry(struct peer_link *link);
/* The peer's registration is over: nothing is at stake any more. */
void peer_link_unhurry(struct peer_link *link);
