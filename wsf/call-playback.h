/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The application method `playback` of the own realm: who watches a media resource of this network
 * halts it, seeks in it, and asks how far it is. Threads: control. */
#include "wsf/call.h"

/* Whether the application method `method` is that one. */
bool call_playback_is(const struct wsf *wsf, const char *method);
/* `resource` is the far side of `near`. True: the transaction is taken and answered later, with
 * `position`, `duration`, `seekable` and `paused` in userData. INVALID_MESSAGE for userData that
 * says something else, INVALID_STATE while it does not play, NOT_AUTHORIZED where the operator does
 * not let viewers. */
bool call_playback(struct wsf *wsf, const struct leg *near, const struct leg *resource,
                   struct link_transaction *txn, const json_t *user_data, GError **error);
