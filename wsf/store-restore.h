/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What of the signalling function survives the process: opens the configured store, brings back
 * what it holds, and keeps it true from then on. Threads: control. */
#include "wsf/wsf.h"

/* Opens the store and restores registrations and calls. Before any connection can come, after the
 * registrar and the sessions exist. False and *error when the store is required and cannot be
 * used. */
bool store_restore(struct wsf *wsf, GError **error);

/* The endpoint or session has changed, has come or has gone. */
void store_mark_endpoint(const struct wsf *wsf, const struct endpoint *endpoint);
void store_mark_session(const struct wsf *wsf, const struct session *session);
