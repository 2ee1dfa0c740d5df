/* SPDX-License-Identifier: Apache-2.0 */
/* The relay's half of the contract with the kernel, seen from the kernel's side. What the kernel
 * does to packets is set by the tests themselves: a mark on their sockets, counters in the slots.
 */
#include "tests/flow/relay/recorder.h"

#include <netinet/in.h>
#include <string.h>

static struct recorder *of(struct level *level)
{
    return (struct recorder *)level;
}

static struct level *start(struct qos *qos, GError **error)
{
    return NULL;
}

static void stop(struct level *level)
{
}

static void add_address(struct level *level, const struct sockaddr *local)
{
    of(level)->addresses++;
}

static void count_port(struct level *level, uint16_t port, int step)
{
    pthread_mutex_lock(&of(level)->lock);
    gpointer key = GUINT_TO_POINTER(port);
    int n = GPOINTER_TO_INT(g_hash_table_lookup(of(level)->ports, key)) + step;
    g_assert_cmpint(n, >=, 0);
    if (n)
        g_hash_table_insert(of(level)->ports, key, GINT_TO_POINTER(n));
    else
        g_hash_table_remove(of(level)->ports, key);
    pthread_mutex_unlock(&of(level)->lock);
}

static void add_port(struct level *level, uint16_t port)
{
    count_port(level, port, 1);
}

static void remove_port(struct level *level, uint16_t port)
{
    count_port(level, port, -1);
}

static void set_pair(struct level *level, struct qos_transport *transport,
                     const struct sockaddr *local, const struct sockaddr *remote)
{
    pthread_mutex_lock(&of(level)->lock);
    g_assert_true(!local == !remote);
    of(level)->pairs += remote != NULL;
    of(level)->cleared += remote == NULL;
    if (remote)
        memcpy(&of(level)->pair_remote, remote,
               remote->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                            : sizeof(struct sockaddr_in6));
    pthread_mutex_unlock(&of(level)->lock);
}

static void add_local(struct level *level, struct qos_transport *transport,
                      const struct sockaddr *local)
{
    pthread_mutex_lock(&of(level)->lock);
    of(level)->locals++;
    pthread_mutex_unlock(&of(level)->lock);
}

static bool add_ssrc(struct level *level, struct qos_transport *transport,
                     enum qos_direction direction, uint32_t ssrc, const struct qos_slot *slot)
{
    pthread_mutex_lock(&of(level)->lock);
    of(level)->adds++;
    g_hash_table_insert(of(level)->ssrcs[direction], GUINT_TO_POINTER(ssrc), (gpointer)slot);
    pthread_mutex_unlock(&of(level)->lock);
    return true;
}

static void remove_ssrc(struct level *level, struct qos_transport *transport,
                        enum qos_direction direction, uint32_t ssrc)
{
    pthread_mutex_lock(&of(level)->lock);
    of(level)->removes++;
    g_assert_true(g_hash_table_remove(of(level)->ssrcs[direction], GUINT_TO_POINTER(ssrc)));
    pthread_mutex_unlock(&of(level)->lock);
}

static const struct level_ops ops = {
    .name = "recorder",
    .start = start,
    .stop = stop,
    .add_address = add_address,
    .add_port = add_port,
    .remove_port = remove_port,
    .set_pair = set_pair,
    .add_local = add_local,
    .add_ssrc = add_ssrc,
    .remove_ssrc = remove_ssrc,
};

struct qos *recorder_new(struct recorder *recorder, const char *const *trusted)
{
    g_autoptr(GError) error = NULL;
    struct qos_config config = {.level = QOS_RELAY,
                                .owner = "recorder",
                                .trusted = trusted,
                                .flows_max = 100,
                                .transports_max = 100,
                                .judged_mark = RECORDER_MARK,
                                .default_marking = true};
    struct qos *qos = qos_new(&config, &error);
    g_assert_no_error(error);
    *recorder =
        (struct recorder){.lock = PTHREAD_MUTEX_INITIALIZER, .ports = g_hash_table_new(NULL, NULL)};
    for (unsigned d = 0; d < 2; d++)
        recorder->ssrcs[d] = g_hash_table_new(NULL, NULL);
    qos->ops = &ops;
    qos->level = (struct level *)recorder;
    return qos;
}

void recorder_free(struct recorder *recorder, struct qos *qos)
{
    g_assert_cmpuint(g_hash_table_size(recorder->ports), ==, 0);
    for (unsigned d = 0; d < 2; d++) {
        g_assert_cmpuint(g_hash_table_size(recorder->ssrcs[d]), ==, 0);
        g_hash_table_destroy(recorder->ssrcs[d]);
    }
    g_hash_table_destroy(recorder->ports);
    qos_free(qos);
}

const struct qos_slot *recorder_slot(struct recorder *recorder, enum qos_direction direction,
                                     uint32_t ssrc)
{
    pthread_mutex_lock(&recorder->lock);
    const struct qos_slot *ret =
        g_hash_table_lookup(recorder->ssrcs[direction], GUINT_TO_POINTER(ssrc));
    pthread_mutex_unlock(&recorder->lock);
    return ret;
}

unsigned recorder_held(struct recorder *recorder, enum qos_direction direction)
{
    pthread_mutex_lock(&recorder->lock);
    unsigned ret = g_hash_table_size(recorder->ssrcs[direction]);
    pthread_mutex_unlock(&recorder->lock);
    return ret;
}

unsigned recorder_adds(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->lock);
    unsigned ret = recorder->adds;
    pthread_mutex_unlock(&recorder->lock);
    return ret;
}
