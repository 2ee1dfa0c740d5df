/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A relay worker without its thread, with two legs, a clock that a target turns, and UDP sockets
 * for the endpoints: what the fuzzer says goes through the kernel into worker_receive(), what the
 * relay says is read back. The endpoints know the keys, so a target can let invented octets arrive
 * as authentic ones. Everything that is random is the same for every input.
 *
 * Threads: one. One world per process; legs are new for every input, worker and sockets stay. */
#include "wmcf/relay/worker.h"

#define WORLD_LEGS 2
#define WORLD_ADDRESSES 4 /* of endpoints; the first WORLD_LEGS are the legs' own */
#define WORLD_DATAGRAM_MAX 8192

struct world {
    struct worker *worker;
    struct worker_leg *legs[WORLD_LEGS];
    _Atomic unsigned dtls_pending[WORLD_LEGS];
    union socket_address at[WORLD_ADDRESSES]; /* the endpoints' */
    unsigned events[EVENT_RELEASED + 1];      /* of this input */
};

/* Two legs, lite or full agents. `ufrag` "leg0", "leg1" with WORLD_PASSWORD. */
#define WORLD_PASSWORD "0123456789abcdefghijkl"
struct world *world_begin(bool ice_full);
/* Releases the legs; asserts that nothing of them is left in the worker. */
void world_end(struct world *world);

/* As the control thread would ask it; takes what `command` owns. */
void world_command(struct world *world, struct command command);

/* A datagram from an endpoint's address into the socket. `segment` > 0: so many octets each, for
 * the kernel to cut or to hand over in one piece. What does not go out is not an error. */
void world_say(struct world *world, unsigned from, const void *data, size_t length,
               unsigned segment);
/* The worker reads what it was sent. */
void world_listen(struct world *world);
/* What the relay has sent to the address; 0 = nothing more. */
size_t world_hear(struct world *world, unsigned to, uint8_t data[WORLD_DATAGRAM_MAX]);
/* Turns the clock and lets the worker tick for every leg. */
void world_pass(struct world *world, int64_t us);
int64_t world_now(void);
