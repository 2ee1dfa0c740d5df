/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The program in the kernel and its maps, as one object. For the files of qos/ alone.
 *
 * Threads: enforce_new, enforce_free and enforce_program control; the rest any. */
#include "qos/enforce-map.h"

#include <glib.h>

/* What lies before the IP header at an interface. */
enum enforce_link { ENFORCE_ETHERNET, ENFORCE_PLAIN };
#define ENFORCE_LINKS 2

struct enforce_limits {
    uint32_t transports, addresses, sources, slots;
};

struct enforce {
    int maps[ENFORCE_MAP_COUNT];
    int programs[ENFORCE_LINKS][2]; /* by enum qos_direction: uplink at ingress */
    /* the arrays */
    uint64_t *ports;
    struct enforce_transport *transports;
    struct qos_slot *slots;
    struct enforce_totals *totals;
    struct enforce_limits limits;
};

/* Transfer full. NULL and one sentence with the remedy when the kernel does not let us. */
struct enforce *enforce_new(const struct enforce_limits *limits, uint32_t judged_mark,
                            GError **error);
void enforce_free(struct enforce *enforce); /* NULL and half-built allowed */
