/* SPDX-License-Identifier: Apache-2.0 */
/* tc with BPF: the highest level. Keeps the maps of the program (enforce.bpf.c) true to transports
 * and flows. What changes often (gates, rates, marks, counters) lies in arrays that the kernel
 * shares with us; only who is who (addresses and SSRCs) is in tables that change by system calls.
 *
 * Indices are handed out in the order in which they came back, so that a packet that is in the
 * program while its flow goes counts on nobody else's slot.
 *
 * Workers change the tables of their own transports; a lock per transport keeps them apart from the
 * control thread, which takes a flow's SSRCs away. One lock for all is there for addresses, because
 * two transports may follow each other on one pair; both are rare. */
#define LOG_CATEGORY "qos"
#include "qos/level.h"

#include "base/log.h"
#include "base/problem.h"
#include "qos/bpf-call.h"
#include "qos/bpf-media.h"
#include "qos/enforce.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* On average. A table twice as large is twice as much to miss in the processor's caches. */
#define ADDRESSES_PER_TRANSPORT 2 /* the pair, and a local one before it */
#define LOCALS_MAX 32             /* of one transport */
#define SOURCES_PER_FLOW 4        /* a stream and its retransmission, each way */

/* Free indices, first in first out. */
struct indices {
    uint32_t *free;
    uint32_t size, n, first;
};

struct source {
    uint64_t key;
    uint32_t slot;
};

struct entry {
    struct qos_transport *transport;
    uint32_t index;
    pthread_mutex_t lock; /* for what follows */
    bool has_pair;
    struct enforce_address pair;
    GArray *locals;  /* struct enforce_address */
    GArray *sources; /* struct source */
};

struct level {
    struct qos *qos;
    struct enforce *enforce;
    struct bpf_media *media;
    struct indices transports, flows;
    GHashTable *entries; /* struct entry, of every transport */
    pthread_mutex_t address_lock;
};

/* --- indices ---------------------------------------------------------------------------------- */

static void indices_init(struct indices *indices, uint32_t size)
{
    *indices = (struct indices){.free = g_new(uint32_t, size), .size = size, .n = size};
    for (uint32_t i = 0; i < size; i++)
        indices->free[i] = i;
}

static bool indices_take(struct indices *indices, uint32_t *ret)
{
    if (indices->n == 0)
        return false;
    *ret = indices->free[indices->first];
    indices->first = (indices->first + 1) % indices->size;
    indices->n--;
    return true;
}

static void indices_give(struct indices *indices, uint32_t index)
{
    indices->free[(indices->first + indices->n++) % indices->size] = index;
}

/* --- start and stop --------------------------------------------------------------------------- */

/* Without it the relay cannot tell what the kernel has judged. */
static bool can_see_marks(GError **error)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;
    int done = fd < 0 ? -1 : setsockopt(fd, SOL_SOCKET, SO_RCVMARK, &on, sizeof on);
    int why = errno;
    if (fd >= 0)
        close(fd);
    if (done == 0)
        return true;
    if (why == EPERM)
        problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE,
                    "the mark of received packets is not permitted: run with CAP_NET_ADMIN, as the "
                    "unit file does, or as root");
    else
        problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE,
                    "received packets do not tell their mark (%s): Linux 5.19 or newer is needed",
                    g_strerror(why));
    return false;
}

static void set_marks(const struct level *level, const struct entry *entry)
{
    bool marks = (entry->has_pair || entry->locals->len > 0) && bpf_media_covers(level->media);
    __atomic_store_n(&entry->transport->marks, marks, __ATOMIC_RELAXED);
}

static void on_media_changed(void *user)
{
    struct level *level = user;
    if (!level->media)
        return;
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, level->entries);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        struct entry *entry = key;
        pthread_mutex_lock(&entry->lock);
        set_marks(level, entry);
        pthread_mutex_unlock(&entry->lock);
    }
    qos_report(level->qos, "the highest level", bpf_media_impediment(level->media));
}

static void stop(struct level *level)
{
    bpf_media_free(level->media);
    enforce_free(level->enforce);
    g_hash_table_unref(level->entries);
    g_free(level->transports.free);
    g_free(level->flows.free);
    pthread_mutex_destroy(&level->address_lock);
    g_free(level);
}

static struct level *start(struct qos *qos, GError **error)
{
    const struct qos_config *config = &qos->config;
    struct enforce_limits limits = {
        .transports = config->transports_max,
        .addresses = config->transports_max * ADDRESSES_PER_TRANSPORT,
        .sources = config->flows_max * SOURCES_PER_FLOW,
        .slots = config->flows_max * 2,
    };
    if (!can_see_marks(error))
        return NULL;
    struct level *level = g_new0(struct level, 1);
    level->qos = qos;
    level->entries = g_hash_table_new(NULL, NULL);
    pthread_mutex_init(&level->address_lock, NULL);
    indices_init(&level->transports, limits.transports);
    indices_init(&level->flows, config->flows_max);
    level->enforce = enforce_new(&limits, config->judged_mark, error);
    if (level->enforce)
        level->media = bpf_media_new(level->enforce, config->owner, config->priority,
                                     config->interfaces, on_media_changed, level, error);
    if (!level->media) {
        stop(level);
        return NULL;
    }
    on_media_changed(level);
    return level;
}

/* --- what is local ---------------------------------------------------------------------------- */

static void add_address(struct level *level, const struct sockaddr *local)
{
    bpf_media_add_address(level->media, local);
}

static char *sweep(struct level *level)
{
    return bpf_media_sweep(level->media);
}

static void add_port(struct level *level, uint16_t port)
{
    __atomic_add_fetch(&level->enforce->ports[port], 1, __ATOMIC_RELAXED);
}

static void remove_port(struct level *level, uint16_t port)
{
    __atomic_sub_fetch(&level->enforce->ports[port], 1, __ATOMIC_RELAXED);
}

/* --- slots ------------------------------------------------------------------------------------ */

static struct qos_slot *take_slots(struct level *level)
{
    uint32_t index;
    if (!indices_take(&level->flows, &index))
        return NULL;
    struct qos_slot *slots = &level->enforce->slots[2 * index];
    memset(slots, 0, 2 * sizeof *slots);
    return slots;
}

static void give_slots(struct level *level, struct qos_slot *slots)
{
    indices_give(&level->flows, (slots - level->enforce->slots) / 2);
}

static bool slot_index(const struct level *level, const struct qos_slot *slot, uint32_t *ret)
{
    const struct enforce *enforce = level->enforce;
    if (slot < enforce->slots || slot >= enforce->slots + enforce->limits.slots)
        return false;
    *ret = slot - enforce->slots;
    return true;
}

/* --- transports ------------------------------------------------------------------------------- */

static bool add_transport(struct level *level, struct qos_transport *transport)
{
    uint32_t index;
    if (!indices_take(&level->transports, &index))
        return false;
    struct entry *entry = g_new0(struct entry, 1);
    entry->transport = transport;
    entry->index = index;
    pthread_mutex_init(&entry->lock, NULL);
    entry->locals = g_array_new(FALSE, FALSE, sizeof(struct enforce_address));
    entry->sources = g_array_new(FALSE, FALSE, sizeof(struct source));
    memset(&level->enforce->transports[index], 0, sizeof *level->enforce->transports);
    g_hash_table_add(level->entries, entry);
    transport->level_data = entry;
    return true;
}

/* Caller has address_lock. A pair may be another's by now: of one that came after on it. */
static void forget_address(struct level *level, const struct entry *entry,
                           const struct enforce_address *address)
{
    int map = level->enforce->maps[ENFORCE_addresses];
    uint32_t holder;
    if (bpf_map_get(map, address, &holder) && holder == entry->index)
        bpf_map_remove(map, address);
}

static void remove_transport(struct level *level, struct qos_transport *transport)
{
    struct entry *entry = transport->level_data;
    pthread_mutex_lock(&level->address_lock);
    if (entry->has_pair)
        forget_address(level, entry, &entry->pair);
    for (guint i = 0; i < entry->locals->len; i++)
        forget_address(level, entry, &g_array_index(entry->locals, struct enforce_address, i));
    pthread_mutex_unlock(&level->address_lock);
    for (guint i = 0; i < entry->sources->len; i++)
        bpf_map_remove(level->enforce->maps[ENFORCE_sources],
                       &g_array_index(entry->sources, struct source, i).key);
    indices_give(&level->transports, entry->index);
    g_hash_table_remove(level->entries, entry);
    transport->level_data = NULL;
    g_array_unref(entry->locals);
    g_array_unref(entry->sources);
    pthread_mutex_destroy(&entry->lock);
    g_free(entry);
}

static uint64_t unattributed(struct level *level, const struct qos_transport *transport)
{
    const struct entry *entry = transport->level_data;
    return __atomic_load_n(&level->enforce->transports[entry->index].unattributed,
                           __ATOMIC_RELAXED);
}

/* --- addresses -------------------------------------------------------------------------------- */

/* The port, as on the wire. */
static uint16_t read_address(const struct sockaddr *address, uint64_t ret[2])
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;
        uint32_t words[4] = {0, 0, htonl(0xffff), in->sin_addr.s_addr};
        memcpy(ret, words, sizeof words);
        return in->sin_port;
    }
    const struct sockaddr_in6 *in6 = (const void *)address;
    memcpy(ret, &in6->sin6_addr, sizeof in6->sin6_addr);
    return in6->sin6_port;
}

static bool hold_address(struct level *level, const struct entry *entry,
                         const struct enforce_address *address)
{
    return bpf_map_put(level->enforce->maps[ENFORCE_addresses], address, &entry->index);
}

static void set_pair(struct level *level, struct qos_transport *transport,
                     const struct sockaddr *local, const struct sockaddr *remote)
{
    struct entry *entry = transport->level_data;
    struct enforce_address pair = {0};
    bool held = false;
    if (local)
        pair.ports =
            (uint64_t)read_address(remote, pair.remote) << 16 | read_address(local, pair.local);
    pthread_mutex_lock(&entry->lock);
    pthread_mutex_lock(&level->address_lock);
    if (local)
        held = hold_address(level, entry, &pair);
    if (entry->has_pair && memcmp(&entry->pair, &pair, sizeof pair) != 0)
        forget_address(level, entry, &entry->pair);
    pthread_mutex_unlock(&level->address_lock);
    entry->has_pair = held;
    entry->pair = pair;
    set_marks(level, entry);
    pthread_mutex_unlock(&entry->lock);
}

static bool has_local(const struct entry *entry, const struct enforce_address *address)
{
    for (guint i = 0; i < entry->locals->len; i++)
        if (memcmp(&g_array_index(entry->locals, struct enforce_address, i), address,
                   sizeof *address) == 0)
            return true;
    return false;
}

static void add_local(struct level *level, struct qos_transport *transport,
                      const struct sockaddr *local)
{
    struct entry *entry = transport->level_data;
    struct enforce_address address = {0};
    address.ports = read_address(local, address.local);
    pthread_mutex_lock(&entry->lock);
    pthread_mutex_lock(&level->address_lock);
    if (!has_local(entry, &address) && entry->locals->len < LOCALS_MAX &&
        hold_address(level, entry, &address))
        g_array_append_val(entry->locals, address);
    pthread_mutex_unlock(&level->address_lock);
    set_marks(level, entry);
    pthread_mutex_unlock(&entry->lock);
}

/* --- SSRCs ------------------------------------------------------------------------------------ */

static struct source *find_source(const struct entry *entry, uint64_t key)
{
    for (guint i = 0; i < entry->sources->len; i++) {
        struct source *source = &g_array_index(entry->sources, struct source, i);
        if (source->key == key)
            return source;
    }
    return NULL;
}

static bool add_ssrc(struct level *level, struct qos_transport *transport,
                     enum qos_direction direction, uint32_t ssrc, const struct qos_slot *slot)
{
    struct entry *entry = transport->level_data;
    struct source source = {.key = enforce_source(entry->index, direction, htonl(ssrc))};
    if (!slot_index(level, slot, &source.slot))
        return false;
    pthread_mutex_lock(&entry->lock);
    bool held = bpf_map_put(level->enforce->maps[ENFORCE_sources], &source.key, &source.slot);
    struct source *before = find_source(entry, source.key);
    if (held && before)
        before->slot = source.slot;
    else if (held)
        g_array_append_val(entry->sources, source);
    pthread_mutex_unlock(&entry->lock);
    return held;
}

/* Caller has the lock. */
static void drop_source(struct level *level, struct entry *entry, guint i)
{
    bpf_map_remove(level->enforce->maps[ENFORCE_sources],
                   &g_array_index(entry->sources, struct source, i).key);
    g_array_remove_index_fast(entry->sources, i);
}

static void remove_ssrc(struct level *level, struct qos_transport *transport,
                        enum qos_direction direction, uint32_t ssrc)
{
    struct entry *entry = transport->level_data;
    pthread_mutex_lock(&entry->lock);
    struct source *source =
        find_source(entry, enforce_source(entry->index, direction, htonl(ssrc)));
    if (source)
        drop_source(level, entry, source - (struct source *)(void *)entry->sources->data);
    pthread_mutex_unlock(&entry->lock);
}

/* --- flows ------------------------------------------------------------------------------------ */

static void drop_sources_of(struct level *level, struct entry *entry, const struct qos_slot *slots)
{
    uint32_t first;
    if (!slot_index(level, slots, &first))
        return;
    pthread_mutex_lock(&entry->lock);
    for (guint i = entry->sources->len; i-- > 0;)
        if (g_array_index(entry->sources, struct source, i).slot / 2 == first / 2)
            drop_source(level, entry, i);
    pthread_mutex_unlock(&entry->lock);
}

/* Index + 1 of the one flow that is, or is not, data; 0 when there are none or several, or it is
 * not in the array. */
static uint32_t find_single(const struct level *level, const struct qos_transport *transport,
                            bool data)
{
    const struct qos_flow *single = NULL;
    uint32_t index;
    for (guint i = 0; i < transport->flows->len; i++) {
        const struct qos_flow *flow = transport->flows->pdata[i];
        if ((flow->kind == QOS_DATA) != data)
            continue;
        if (single)
            return 0;
        single = flow;
    }
    return single && slot_index(level, single->slots, &index) ? index + 1 : 0;
}

static void changed(struct level *level, struct qos_transport *transport, struct qos_flow *flow)
{
    struct entry *entry = transport->level_data;
    struct enforce_transport *shared = &level->enforce->transports[entry->index];
    uint32_t only = find_single(level, transport, false),
             data = find_single(level, transport, true);
    for (uint32_t d = QOS_UPLINK; d <= QOS_DOWNLINK; d++) {
        __atomic_store_n(&shared->only[d], only ? only + d : 0, __ATOMIC_RELAXED);
        __atomic_store_n(&shared->data[d], data ? data + d : 0, __ATOMIC_RELAXED);
        __atomic_store_n(&shared->open[d], transport->open[d], __ATOMIC_RELAXED);
    }
    if (!g_ptr_array_find(transport->flows, flow, NULL))
        drop_sources_of(level, entry, flow->slots);
}

static void stats(struct level *level, struct qos_stats *ret)
{
    const struct enforce_totals *totals = level->enforce->totals;
    ret->interfaces = bpf_media_count(level->media);
    ret->gate_discarded = __atomic_load_n(&totals->gate_discarded, __ATOMIC_RELAXED);
    ret->policing_discarded = __atomic_load_n(&totals->policing_discarded, __ATOMIC_RELAXED);
    ret->unknown_discarded = __atomic_load_n(&totals->unknown_discarded, __ATOMIC_RELAXED);
}

const struct level_ops level_bpf = {
    .name = "tc-bpf",
    .start = start,
    .stop = stop,
    .add_address = add_address,
    .add_port = add_port,
    .remove_port = remove_port,
    .sweep = sweep,
    .take_slots = take_slots,
    .give_slots = give_slots,
    .add_transport = add_transport,
    .remove_transport = remove_transport,
    .changed = changed,
    .set_pair = set_pair,
    .add_local = add_local,
    .add_ssrc = add_ssrc,
    .remove_ssrc = remove_ssrc,
    .unattributed = unattributed,
    .stats = stats,
};
