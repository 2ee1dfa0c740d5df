/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A WebSocket client without manners: every octet and every pause is the test's. */
#include <glib.h>
#include <stdbool.h>

struct raw_peer {
    int fd;
    GByteArray *in;      /* received and not yet taken */
    bool ended;          /* the server closed */
    bool deaf;           /* does not read */
    GByteArray *message; /* fragments of the message under way */
};

void raw_connect(struct raw_peer *peer, guint port);
/* The same with a receive buffer of `octets` (0: the default). */
void raw_connect_small(struct raw_peer *peer, guint port, int octets);
void raw_finish(struct raw_peer *peer);
/* Connects and upgrades. */
void raw_open(struct raw_peer *peer, guint port);
void raw_upgrade(struct raw_peer *peer);

void raw_write(struct raw_peer *peer, const void *data, gsize length);
void raw_text(struct raw_peer *peer, const char *text); /* as it is, no frame */
/* One frame; opcode 1 text, 2 binary, 0 continuation, 8 close, 9 ping, 10 pong. */
void raw_frame(struct raw_peer *peer, guint opcode, bool fin, const void *data, gsize length);
void raw_say(struct raw_peer *peer, const char *text);

/* Runs the loop until the server has sent text up to and with `until` (HTTP). Transfer full. */
char *raw_read_until(struct raw_peer *peer, const char *until);
/* At most `most` octets of what has come (HTTP bodies). Transfer full. */
char *raw_hear_octets(struct raw_peer *peer, gsize most);
/* Runs the loop until a whole message or control frame is there: the text, "ping", "pong …",
 * "close CODE REASON" or "end". Pings are not answered. Transfer full. */
char *raw_hear(struct raw_peer *peer, double seconds);
void raw_expect(struct raw_peer *peer, const char *pattern, double seconds);
/* Nothing but pings comes for this long. */
void raw_expect_silence(struct raw_peer *peer, guint ms);
