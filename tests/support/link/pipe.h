/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One direction of a bad link: a bottleneck with a queue that drops at its end, then loss, then
 * delay and jitter. Pure: time is a parameter, so it serves the emulator (main.c) in real time and
 * simulations in virtual time. Threads: any one. */
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct link_conditions {
    double rate;     /* bits/s of IP octets; 0 = unlimited */
    double queue_ms; /* longest wait at the bottleneck; 0 = 200 */
    double loss;     /* 0..1, of packets that have left the bottleneck */
    double burst;    /* mean length of a run of lost packets; <= 1: each by itself */
    double delay_ms;
    double jitter_ms; /* delay_ms ± this, evenly, never below 0 (as netem does) */
    bool reorder;     /* jitter lets packets overtake each other; else they wait for the former */
};

struct link_counters {
    uint64_t packets, octets;               /* came */
    uint64_t lost, overflowed;              /* by chance; at the end of the queue */
    uint64_t passed_packets, passed_octets; /* went */
    uint64_t reordered;                     /* went after one that came later */
    uint64_t queue_us;                      /* longest wait at the bottleneck */
};

struct link_pipe;

/* The same seed and the same packets: the same fate. Transfer full. */
struct link_pipe *link_pipe_new(uint64_t seed);
void link_pipe_free(struct link_pipe *pipe);
/* For what leaves the bottleneck from now on; what flies already keeps its time. */
void link_pipe_set(struct link_pipe *pipe, const struct link_conditions *conditions);
const struct link_conditions *link_pipe_get(const struct link_pipe *pipe);
/* A packet of `length` octets comes at `now` (µs, never going back). Takes the buffer, which was
 * allocated by g_malloc() and may be NULL in a simulation; `tag` comes out again with it. */
void link_pipe_put(struct link_pipe *pipe, int64_t now, uint8_t *data, size_t length, uint64_t tag);

struct link_packet {
    uint8_t *data; /* the caller's: g_free() */
    size_t length;
    uint64_t tag;
    int64_t came, due; /* µs */
};
/* The next packet that is out by `now`; false when there is none. In the order of `due`. */
bool link_pipe_take(struct link_pipe *pipe, int64_t now, struct link_packet *ret);
/* When something happens by itself; -1 = nothing will. */
int64_t link_pipe_next(const struct link_pipe *pipe);
void link_pipe_counters(const struct link_pipe *pipe, struct link_counters *ret);
