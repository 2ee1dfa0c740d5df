/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Retransmission history of one received SSRC, shared by all its subscribers; limited in time and
 * in count. Threads: the worker. */
#include "wmcf/relay/packet-pool.h"

struct packet_buffer;
/* Keeps at most `packets_max` (rounded up to a power of two) packets no older than `age_max` µs. */
struct packet_buffer *packet_buffer_new(struct packet_pool *pool, unsigned packets_max,
                                        int64_t age_max);
void packet_buffer_free(struct packet_buffer *buffer);
void packet_buffer_clear(struct packet_buffer *buffer);
/* Takes a reference of its own. */
void packet_buffer_put(struct packet_buffer *buffer, struct packet *packet);
/* Borrowed; NULL when it is gone, too old or never came. */
struct packet *packet_buffer_find(struct packet_buffer *buffer, uint64_t index, int64_t now);
/* Gives back what is too old; for streams that pause. */
void packet_buffer_expire(struct packet_buffer *buffer, int64_t now);
unsigned packet_buffer_count(const struct packet_buffer *buffer);
