/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One association of ours against a plain OpenSSL peer, with a network and a clock of the test's:
 * no socket and no sleep. Threads: one. */
#include "pipelines/certificate.h"
#include "pipelines/dtls-association.h"
#include "tests/support/dtls-peer.h"

#include <glib.h>
#include <openssl/evp.h>

#define PROFILE "SRTP_AES128_CM_SHA1_80" /* what a peer offers where nothing else is said */

/* The time, which passes in run() alone; OpenSSL's gettimeofday() reads it too. */
extern gint64 now;

enum direction { TO_PEER, TO_US };
struct call;
typedef guint (*fate_fn)(struct call *call, enum direction direction, guint index);

struct call {
    struct dtls_association *association;
    struct dtls_peer *peer;
    GQueue out; /* GBytes for the peer */
    struct pl_srtp_keys keys;
    guint connected, failed, closed;
    GError *error;
    GByteArray *data;
    /* How many copies of the n-th datagram of a direction arrive; NULL = one. */
    fate_fn fate;
    guint count[2];
    guint chosen;  /* for the fates */
    bool reversed; /* each flight arrives back to front */
    bool swapped;  /* each datagram behind the one that followed it */
    guint flight;  /* so many have been on their way */
    GRand *random;
};

/* The certificate and the context of all calls of the program. */
void dtls_calls_begin(void);
void dtls_calls_end(void);

/* A call takes the peer. `flipped`: the octet of the peer's fingerprint that is wrong in what the
 * association is told, G_MAXUINT = none. */
struct call *call_new_with(bool is_client, struct dtls_peer *peer, const char *hash,
                           const EVP_MD *digest, guint flipped);
struct call *call_new(bool is_client);
void call_free(struct call *call);
struct call *connected_call(bool is_client);
void receive(struct call *call, GBytes *datagram);
/* Delivers what both have said until they are silent. */
void deliver(struct call *call);
/* Lets the time pass from deadline to deadline until both are connected or one has ended. */
void run(struct call *call);
void assert_connected_with(struct call *call, enum pl_srtp_profile profile);
void assert_connected(struct call *call);
void assert_no_keys(struct call *call, int code);
/* A fate: everything comes twice. */
guint double_all(struct call *call, enum direction direction, guint index);

#define BOTH_ROLES(is_client) for (guint is_client = 0; is_client < 2; is_client++)
