/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A leg without a network: a publisher inside the process. RTP packets in clear come from the
 * threads of a pipeline; from the router on they are a stream as any other. The face for the
 * control thread and the pipeline is relay.h.
 * Threads: as each function says. */
#include "wmcf/relay/relay.h"

#include <stdatomic.h>

struct worker;
struct worker_leg;
struct stream;
struct local_batch;
struct local_outlet;

struct local_outlets {
    unsigned n;
    struct local_outlet **list; /* owned */
};

struct relay_local {
    struct worker *worker;  /* RO */
    struct worker_leg *leg; /* RO; looked into by the worker alone */
    const struct relay_local_ops *ops;
    void *user;
    unsigned queue_max;
    _Atomic unsigned queued;      /* packets on their way to the worker */
    _Atomic uint64_t dropped;     /* that found no place there */
    _Atomic uint64_t refused;     /* no RTP, too long, or of no medium */
    struct local_outlets outlets; /* RO: local-sink.h */
};

/* Control. `config` is copied, the outlets are taken. */
struct relay_local *relay_local_new(const struct relay_local_config *config,
                                    const struct local_outlets *outlets, struct worker *worker,
                                    struct worker_leg *leg);
void relay_local_free(struct relay_local *local);

/* The worker: routes what is in the batch. */
void local_batch_run(struct relay_local *local, const struct local_batch *batch);
void local_batch_free(struct local_batch *batch);
/* The worker: asks the pipeline for a key frame if one is due. */
void local_request_key_frame(struct stream *stream, int64_t now);
