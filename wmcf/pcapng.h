/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Blocks of a pcapng file (draft-ietf-opsawg-pcapng) of UDP datagrams, appended to octets; numbers
 * are little endian. Pure functions. Threads: any. */
#include <glib.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* The section's header: first in the file. Texts are copied, UTF-8. */
void pcapng_begin(GByteArray *to, const char *application, const char *comment);
/* The next interface, numbered from 0; the packets on it are IPv4 or IPv6, times are µs. */
void pcapng_interface(GByteArray *to, const char *name, const char *description);

struct pcapng_datagram {
    guint interface;
    bool sent;                        /* out of this machine */
    gint64 at;                        /* µs since 1970 */
    struct sockaddr_storage from, to; /* of one family, with ports */
    const guint8 *payload;            /* of UDP, of which */
    gsize kept, length;               /* so much is there */
};
/* The headers of IP and UDP are made; that of UDP has a checksum where IPv6 demands one and all of
 * the payload is there. `length` beyond what a datagram holds is cut. */
void pcapng_datagram(GByteArray *to, const struct pcapng_datagram *datagram);
/* Octets of the block that pcapng_datagram() would append. */
gsize pcapng_datagram_size(const struct pcapng_datagram *datagram);
/* What an interface has had: the last that is said of it. */
void pcapng_statistics(GByteArray *to, guint interface, gint64 at, guint64 received,
                       guint64 dropped);
