/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A level of enforcement that judges nothing and remembers what it was told: what the kernel would
 * hold. Threads: as those of a level; read by the test. */
#include "qos/level.h"

#include <pthread.h>

#define RECORDER_MARK 0x400u /* the judged bit */

struct recorder {
    pthread_mutex_t lock; /* the thread sanitizer does not know GLib's */
    GHashTable *ssrcs[2]; /* by direction: SSRC → slot */
    GHashTable *ports;    /* port → how often */
    unsigned adds, removes, pairs, cleared, locals, addresses;
    union {
        struct sockaddr any;
        struct sockaddr_storage storage;
    } pair_remote;
};

/* An enforcement that has this level in force; `trusted` may be NULL. */
struct qos *recorder_new(struct recorder *recorder, const char *const *trusted);
/* And its end; nothing may be held any more. */
void recorder_free(struct recorder *recorder, struct qos *qos);
/* The slot an SSRC is held for, NULL = none. */
const struct qos_slot *recorder_slot(struct recorder *recorder, enum qos_direction direction,
                                     uint32_t ssrc);
unsigned recorder_held(struct recorder *recorder, enum qos_direction direction);
unsigned recorder_adds(struct recorder *recorder);
