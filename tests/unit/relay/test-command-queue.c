/* SPDX-License-Identifier: Apache-2.0 */
#include "wmcf/relay/command-queue.h"

#include <glib.h>

#define PER_THREAD 20000

struct item {
    struct queue_node node;
    unsigned thread, serial;
};

static struct command_queue queue;
static _Atomic unsigned woken;

static void *push(void *data)
{
    for (unsigned i = 0; i < PER_THREAD; i++) {
        struct item *item = g_new(struct item, 1);
        item->thread = GPOINTER_TO_UINT(data);
        item->serial = i;
        if (command_queue_push(&queue, &item->node))
            atomic_fetch_add(&woken, 1);
    }
    return NULL;
}

/* Everything arrives once, in the order of each pusher. */
static void test_order(void)
{
    GThread *threads[2];
    unsigned next[2] = {0}, got = 0;
    for (unsigned i = 0; i < 2; i++)
        threads[i] = g_thread_new("push", push, GUINT_TO_POINTER(i));
    while (got < 2 * PER_THREAD) {
        struct queue_node *node = command_queue_take(&queue);
        if (!node)
            g_thread_yield();
        while (node) {
            struct item *item = (struct item *)node;
            node = node->next;
            g_assert_cmpuint(item->serial, ==, next[item->thread]++);
            got++;
            g_free(item);
        }
    }
    for (unsigned i = 0; i < 2; i++)
        g_thread_join(threads[i]);
    g_assert_null(command_queue_take(&queue));
    g_assert_cmpuint(woken, >=, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/command-queue/order", test_order);
    return g_test_run();
}
