/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A server under load, as the generator sees it: one struct of functions, one file (control.c for
 * wmcf, bare.c for the bare forwarder). The driver (driver.c) owns the order of things, the clock
 * and the measuring; an adapter knows how its server is told what to do. Everything runs on the
 * control thread; no function may block.
 *
 * To add a server: write load/NAME.c with a `const struct load_adapter load_NAME_adapter`, name it
 * in the table of main.c and in meson.build, and write tests/bench/servers/NAME.py, which starts
 * the program (its own docstring says what it must define). What the driver does with it:
 *
 *   open ─ load_opened() ─ add per leg ─ load_leg_done() per leg ─ join ─ load_joined() ─ media, or
 *   idle, or nothing, measured ─ leave ─ load_left() ─ report ─ free
 *
 * A *leg* is one participant of a context. `publishes` and `subscribes` say the shape:
 *   fan-out   the first leg of a context (number 0) publishes, all others subscribe;
 *   two-way   two legs that do both;
 *   room      N legs that do both: each receives from each of the N − 1 others, `n_sources` streams
 *             of each configured medium;
 *   idle      one of the above with media set up in every respect, only that nobody sends.
 * Media of a leg come from load_leg_config(): first what it sends (audio before video; sendrecv
 * where it also receives), then recvonly media until there is one of each kind per source. An
 * adapter whose server wants one peer connection for sending and another for receiving makes two
 * peers, the second one in `load_leg.second`, and chooses their media by itself from the options.
 * Video is VP8, audio opus; no data channel, no retransmission unless options->nack.
 *
 * Peers are made with peer_new(run->group, …), freed by the group. Their `state` callback belongs
 * to the adapter. They send nothing before the driver lets them. */
#include "tests/support/load/load.h"

struct load_adapter {
    const char *name;
    /* Connects to the server; load_opened() when legs can be set up, load_fail() when never. */
    void (*open)(struct load_run *run);
    /* Sets up one leg until its media could flow: leg->peer is connected (ICE and DTLS), the server
     * knows it. Then load_leg_done(), exactly once, with NULL or a sentence what failed. At most
     * options->parallel of them are under way. Number 0 of a context is added first; the others
     * only after load_context_ready(). */
    void (*add)(struct load_run *run, struct load_leg *leg);
    /* All legs are done, those with `connected` well. Makes the server forward as the shape says
     * (routes, subscriptions; second peers may be set up here), then load_joined(). NULL when add
     * has done it all. */
    void (*join)(struct load_run *run);
    /* Takes everything down at the server as its protocol does it; load_left() when it has
     * confirmed. NULL when there is nothing to say to it. */
    void (*leave)(struct load_run *run);
    /* After the loop has returned; run->data may be NULL or half made. */
    void (*free)(struct load_run *run);
};
extern const struct load_adapter load_control_adapter, load_bare_adapter, load_janus_adapter,
    load_rtpengine_adapter;

/* Legs can be added. Also the moment of the "before" figures of the server's process. */
void load_opened(struct load_run *run);
/* The context has its first leg: the others may follow. Repetitions do no harm. */
void load_context_ready(struct load_run *run, guint context);
void load_leg_done(struct load_run *run, struct load_leg *leg, const char *problem);
void load_joined(struct load_run *run);
void load_left(struct load_run *run);
/* For an adapter that works through its legs by itself: those of `context`, in order of number. */
struct load_leg *load_leg_of(const struct load_run *run, guint context, guint number);
