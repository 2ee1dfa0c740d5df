/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* When to send a PLI for one received stream: requests of all subscribers are merged, at most one
 * per interval goes out, and it is repeated until a key frame comes. Threads: the worker. */
#include <stdbool.h>
#include <stdint.h>

struct key_frame_request {
    bool wanted;
    unsigned tries;    /* sent since it was wanted */
    int64_t last_sent; /* 0 = never */
};

/* Somebody needs a key frame. */
void key_frame_request_ask(struct key_frame_request *request);
/* True when a PLI is to be sent now (it then counts as sent). `last_packet`: a source that is
 * silent is not asked again and again. */
bool key_frame_request_due(struct key_frame_request *request, int64_t now, int64_t interval,
                           int64_t last_packet);
/* A key frame begins. */
void key_frame_request_satisfied(struct key_frame_request *request);
