/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `wmcfctl pcap`: what comes behind the reply goes into a file or to the standard output. */
#include <gio/gio.h>
#include <jansson.h>

struct wmcfctl_pcap_options {
    char *output; /* NULL or "-" = standard output */
    char *mid;
    gint64 seconds, octets, snap; /* 0 = not said */
};
/* Asks, copies to the end, says what it was. Returns the exit status. */
int wmcfctl_pcap(const char *socket, const char *id, const struct wmcfctl_pcap_options *options);
