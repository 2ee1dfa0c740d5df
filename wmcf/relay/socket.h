/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The UDP sockets of a worker: one per media address, so that the local address of a datagram is
 * known without asking and an answer leaves from where the question came in. A leg that checks by
 * itself has sockets of its own: two servers with one port each could have one leg between them.
 * Threads: made on the control thread, then the worker's. */
#include "wmcf/relay/address.h"
#include "wmcf/relay/relay.h"

#define SOCKETS_MAX 32 /* addresses of one machine */

struct media_socket {
    unsigned index;
    int fd;
    bool segmentation; /* runs may be sent at all: the kernel knows UDP_SEGMENT */
    bool tunnel;       /* to who does ICE for the one leg it has: no addresses, no port */
    bool stamped;      /* every message says when the kernel received it */
    uint8_t dscp;      /* that it writes at present */
    union socket_address local;
    struct qos *qos; /* told when the port is no longer ours; NULL */

    /* the worker's */
    struct send_batch *batch;
    struct worker_leg *owner; /* NULL = shared by all legs */
    uint32_t priority;        /* of its candidate */
    bool sending;             /* in the worker's list of those with something to send */
    struct media_socket *next_sending;
};
struct leg_sockets { /* of one leg */
    struct leg_sockets *next;
    unsigned n;
    struct media_socket sockets[];
};

/* The addresses to bind, ports 0: those of `bind`, wildcards expanded; by default every address of
 * the machine that is up, loopback only when there is no other. Transfer full (g_free). */
union socket_address *media_addresses(const char *const *bind, guint *ret_n, GError **error);
/* What candidates say for `local`: the matching line of `advertise`, or itself. */
bool media_address_advertised(const char *const *advertise, const union socket_address *local,
                              union socket_address *ret, GError **error);

/* On failure errno tells why, too. */
bool media_socket_open(struct media_socket *socket, unsigned index,
                       const union socket_address *address, guint16 port, guint buffer,
                       GError **error);
/* A connected datagram socket in place of a UDP one; takes `fd`, which does not block. */
void media_socket_adopt(struct media_socket *socket, unsigned index, int fd);
/* The port is ours: the level of enforcement looks at it, and the socket tells what it has judged
 * and what it came with. `qos` may be NULL. */
void media_socket_enforce(struct media_socket *socket, struct qos *qos);
/* Whether messages say when the kernel received them (SCM_TIMESTAMPNS); 0.1 µs for each. */
void media_socket_stamp(struct media_socket *socket, bool on);
void media_socket_close(struct media_socket *socket);
