/* SPDX-License-Identifier: Apache-2.0 */
/* A stack that is taken whole and turned round. The taker never looks at a node that is still in
 * the stack, so there is nothing to reclaim and no ABA. */
#include "wmcf/relay/command-queue.h"

#include <stddef.h>

bool command_queue_push(struct command_queue *queue, struct queue_node *node)
{
    struct queue_node *head = atomic_load_explicit(&queue->head, memory_order_relaxed);
    do {
        node->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&queue->head, &head, node, memory_order_release,
                                                    memory_order_relaxed));
    return head == NULL;
}

struct queue_node *command_queue_take(struct command_queue *queue)
{
    struct queue_node *node = atomic_exchange_explicit(&queue->head, NULL, memory_order_acquire);
    struct queue_node *first = NULL;
    while (node) {
        struct queue_node *next = node->next;
        node->next = first;
        first = node;
        node = next;
    }
    return first;
}
