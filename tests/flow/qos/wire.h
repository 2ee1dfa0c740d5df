/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Two network namespaces joined by a pair of interfaces, `near` (192.0.2.10, fd00:db8::10; the
 * calling thread is in it) and `far` (192.0.2.20, fd00:db8::20), and UDP sockets at both ends. */
#include <glib.h>
#include <stdint.h>
#include <sys/socket.h>

struct wire;
struct wire *wire_new(void); /* needs root */
void wire_free(struct wire *wire);
/* `version` 4 or 6. */
const struct sockaddr *wire_near_address(struct wire *wire, int version);
/* *ret is what it is bound to. */
int wire_near_socket(struct wire *wire, int version, struct sockaddr_storage *ret);
int wire_far_socket(struct wire *wire, int version, struct sockaddr_storage *ret);
void wire_connect(int fd, const struct sockaddr_storage *to);
void wire_set_port(struct sockaddr_storage *address, uint16_t port);
/* Of the whole octet; what follows is sent with it. */
void wire_set_tos(int fd, uint8_t tos);
void wire_set_options(int fd); /* IPv4: a no-operation */

void wire_send(int fd, const void *octets, size_t length);
/* One buffer of several segments (UDP_SEGMENT). */
void wire_send_run(int fd, const void *octets, size_t length, uint16_t segment);

struct wire_seen {
    guint packets, marked; /* with the judged bit 0x10000 */
    uint64_t octets;       /* of payload */
    int tos;               /* of the last one; -1 = they differ */
};
/* What has come: waits up to seconds until it is that many, then takes what else is there. */
struct wire_seen wire_receive(int fd, guint packets);

/* The interface goes, and comes back with another number. */
void wire_break(struct wire *wire);
void wire_mend(struct wire *wire);
