/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Messages between the control thread and a worker. Lock-free: many may push, one takes.
 * Threads: push any, take one. */
#include <stdatomic.h>
#include <stdbool.h>

struct queue_node {
    struct queue_node *next;
};
struct command_queue {
    _Atomic(struct queue_node *) head;
};

/* True when the queue was empty: the other side must be woken. */
bool command_queue_push(struct command_queue *queue, struct queue_node *node);
static inline bool command_queue_pending(const struct command_queue *queue)
{
    return atomic_load_explicit(&queue->head, memory_order_acquire) != 0;
}
/* Everything that is there, oldest first. */
struct queue_node *command_queue_take(struct command_queue *queue);
