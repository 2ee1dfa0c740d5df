/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Decrypted packets of terminations for the operator (`wmcfctl pcap`): written as pcapng into the
 * connection over which they were asked for, until a limit, the terminations' end, or the reader's.
 * Nothing is stored here. Beginning and end are logged with who asked. Threads: control. */
#include "wmcf/termination.h"

#include <gio/gio.h>

struct packet_captures; /* of the process */
struct packet_capture;

struct packet_captures *packet_captures_new(struct wmcf *wmcf);
/* All have ended. */
void packet_captures_free(struct packet_captures *captures);
/* Every one ends soon, whether its reader reads or not. */
void packet_captures_end(struct packet_captures *captures);

struct packet_capture_wanted {
    GPtrArray *terminations;  /* struct termination, borrowed for the call */
    const char *mid;          /* NULL = all */
    guint64 seconds, octets;  /* 0 = as much as is allowed */
    guint64 snap;             /* octets of each packet; 0 = all */
    GSocketConnection *to;    /* borrowed until `done`; nobody else reads or writes it */
    const char *who;          /* for the log; copied */
    void (*done)(void *user); /* once, later */
    void *user;
};
/* The answer goes out first, one line of JSON. INVALID_MESSAGE (a limit), INVALID_STATE (one is
 * being captured already), RESOURCES_UNAVAILABLE (too many are): then nothing has been written. */
bool packet_capture_begin(struct packet_captures *captures,
                          const struct packet_capture_wanted *wanted, GError **error);
