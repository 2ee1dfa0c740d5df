/* SPDX-License-Identifier: Apache-2.0 */
/* The control side: makes the workers, measures how busy they are, turns calls into commands and
 * events into callbacks (routes: relay-route.c). A handle lives until its worker has said
 * `released`, the last event that names it, so neither side ever looks a pointer up. Events wait in
 * one queue for the control loop; it outlives the relay by reference while a wake-up is under way.
 */
#include "wmcf/relay/relay-control.h"

#include "wmcf/relay/local-sink.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>
#include <unistd.h>

#define MEASURE_MS 1000

/* --- load ------------------------------------------------------------------------------------- */

/* Without legs there is no load, and nothing is measured. */
static void measure(struct relay *relay, bool idle)
{
    int64_t now = g_get_monotonic_time(), passed = MAX(now - relay->measured_at, 1);
    for (guint i = 0; i < relay->workers->len; i++) {
        uint64_t cpu = worker_cpu(g_ptr_array_index(relay->workers, i));
        uint64_t busy = (cpu - MIN(cpu, relay->cpu[i])) * 1000 / (uint64_t)passed;
        placement_measured(relay->placement, i, idle ? 0 : (guint)MIN(busy, 1000));
        relay->cpu[i] = cpu;
    }
    relay->measured_at = now;
}

static void on_measure(void *data)
{
    measure(data, false);
}

static void count_leg(struct relay *relay)
{
    if (relay->legs++ > 0)
        return;
    measure(relay, true);
    loop_timer_start_repeating(relay->load_timer, MEASURE_MS);
}

static void discount_leg(struct relay *relay)
{
    if (--relay->legs > 0)
        return;
    loop_timer_stop(relay->load_timer);
    measure(relay, true);
}

/* --- events ----------------------------------------------------------------------------------- */

static void outbox_unref(struct outbox *outbox)
{
    if (atomic_fetch_sub(&outbox->refs, 1) != 1)
        return;
    for (struct queue_node *node = command_queue_take(&outbox->events); node;) {
        struct event *event = (struct event *)node;
        node = node->next;
        event_free(event);
    }
    g_free(outbox);
}

static void leg_forget(struct relay_leg *leg)
{
    struct relay *relay = leg->relay;
    if (placement_remove(relay->placement, leg->group, leg->worker))
        g_hash_table_remove(relay->groups, &leg->group->id);
    discount_leg(relay);
    relay_routes_free(leg);
    relay_local_free(leg->local);
    g_free(leg->own_addresses);
    g_free(leg->name);
    g_free(leg);
}

static void on_released(struct relay_leg *leg)
{
    const struct relay_leg_ops *ops = leg->ops;
    void *user = leg->user;
    leg_forget(leg);
    if (ops->released)
        ops->released(user);
}

static void on_media(const struct relay_leg *leg, const struct event *event)
{
    const struct relay_leg_ops *ops = leg->ops;
    if (event->kind == EVENT_FIRST_MEDIA && ops->first_media)
        ops->first_media(leg->user, event->media.mid);
    else if (event->kind == EVENT_MEDIA_GATED && ops->media_gated)
        ops->media_gated(leg->user, event->media.mid, event->media.direction);
    else if (event->kind == EVENT_POLICING_DISCARD && ops->policing_discard)
        ops->policing_discard(leg->user, event->media.mid, event->media.direction,
                              event->media.packets);
    else if (event->kind == EVENT_MEDIA_INACTIVITY && ops->media_inactivity)
        ops->media_inactivity(leg->user, event->media.mid);
}

static void handle(struct event *event)
{
    struct relay_leg *leg = event->leg;
    if (event->kind == EVENT_DTLS)
        atomic_fetch_sub_explicit(&leg->dtls_pending,
                                  DTLS_PENDING_COST(g_bytes_get_size(event->dtls)),
                                  memory_order_relaxed);
    if (event->kind == EVENT_STATS) {
        event->stats.done(event->stats.result, event->stats.user);
        return;
    }
    if (event->kind == EVENT_RELEASED) {
        on_released(leg);
        return;
    }
    if (leg->releasing)
        return;
    switch (event->kind) {
    case EVENT_ICE_CONNECTED:
        if (leg->ops->ice_connected)
            leg->ops->ice_connected(leg->user, &event->pair.local, &event->pair.remote);
        break;
    case EVENT_ICE_FAILED:
        if (leg->ops->ice_failed)
            leg->ops->ice_failed(leg->user, event->reason);
        break;
    case EVENT_CONSENT_EXPIRED:
        if (leg->ops->consent_expired)
            leg->ops->consent_expired(leg->user);
        break;
    case EVENT_DTLS:
        if (leg->ops->dtls)
            leg->ops->dtls(leg->user, event->dtls);
        break;
    case EVENT_ACTIVITY:
        if (leg->ops->activity)
            leg->ops->activity(leg->user, event->activity.mid, &event->activity.report);
        break;
    default:
        on_media(leg, event);
        break;
    }
}

static void drain(struct outbox *outbox)
{
    for (struct queue_node *node = command_queue_take(&outbox->events); node;) {
        struct event *event = (struct event *)node;
        node = node->next;
        handle(event);
        event_free(event);
    }
}

static void on_wake(void *data)
{
    drain(data);
    outbox_unref(data);
}

/* Worker threads. */
static void post_event(void *user, struct event *event)
{
    struct outbox *outbox = user;
    if (!command_queue_push(&outbox->events, &event->node))
        return;
    atomic_fetch_add(&outbox->refs, 1);
    loop_post("relay events", on_wake, outbox);
}

/* --- making and ending ------------------------------------------------------------------------ */

/* RFC 8445 5.1.2 and RFC 8421: host candidates, IPv6 first, then in the order of the sockets. */
static uint32_t priority_of(const union socket_address *addresses, gsize n, gsize i)
{
    guint before = 0;
    bool v6 = addresses[i].any.sa_family == AF_INET6;
    for (gsize k = 0; k < n; k++) {
        bool other_v6 = addresses[k].any.sa_family == AF_INET6;
        before += other_v6 == v6 ? k < i : other_v6;
    }
    return 126u << 24 | (65535u - before) << 8 | 255u;
}

static bool open_sockets(struct relay *relay, struct worker *worker,
                         const struct relay_config *config, const union socket_address *addresses,
                         GError **error)
{
    guint16 port = config->port ? (guint16)(config->port + worker->number) : 0;
    for (gsize i = 0; i < relay->n_addresses; i++) {
        struct media_socket *socket = &worker->sockets[i];
        union socket_address advertised;
        if (!media_socket_open(socket, (unsigned)i, &addresses[i], port, config->socket_buffer,
                               error))
            return false;
        worker->n_sockets++;
        media_socket_enforce(socket, relay->qos);
        if (!media_address_advertised(config->advertise, &socket->local, &advertised, error))
            return false;
        struct relay_address *ret = &relay->addresses[worker->number * relay->n_addresses + i];
        socket_address_to_storage(&socket->local, &ret->local);
        socket_address_to_storage(&advertised, &ret->advertised);
        ret->priority = socket->priority = priority_of(addresses, relay->n_addresses, i);
    }
    return worker_start(worker, error);
}

static struct worker_limits limits_of(const struct relay_config *config)
{
    return (struct worker_limits){
        .consent_timeout =
            (config->consent_timeout_ms ? config->consent_timeout_ms : 30000) * INT64_C(1000),
        .source_timeout =
            (config->source_timeout_ms ? config->source_timeout_ms : 30000) * INT64_C(1000),
        .inactivity = config->inactivity_ms * INT64_C(1000),
        .pli_interval = (config->pli_interval_ms ? config->pli_interval_ms : 500) * INT64_C(1000),
        .video_buffer = config->video_buffer_ms * INT64_C(1000),
        .audio_buffer = config->audio_buffer_ms * INT64_C(1000),
        .buffer_packets = config->nack_buffer_packets ? config->nack_buffer_packets : 1024,
        .streams_max = config->streams_max ? config->streams_max : 64,
        .stun_rate_unknown = config->stun_rate_unknown,
        .buffer_octets = (size_t)(config->buffer_mib ? config->buffer_mib : 1024) << 20,
        .bandwidth = {.start = (config->bitrate_start ? config->bitrate_start : 800) * 1000,
                      .min = (config->bitrate_min ? config->bitrate_min : 50) * 1000,
                      .max = (config->bitrate_max ? config->bitrate_max : 50000) * 1000},
        .send_history = config->send_history ? config->send_history : 8192,
        .pause_after = (config->pause_after_ms ? config->pause_after_ms : 2000) * INT64_C(1000),
        .pacing = (config->pacing_ms ? config->pacing_ms : 200) * INT64_C(1000),
        .dtls_rate = config->dtls_rate ? config->dtls_rate : 100,
        .ice_pairs_max = config->ice_pairs_max ? config->ice_pairs_max : 64,
        .ice_checks_max = config->ice_checks_max ? config->ice_checks_max : 500,
        .discard_report =
            (config->discard_report_ms ? config->discard_report_ms : 5000) * INT64_C(1000),
    };
}

static void free_worker(void *worker)
{
    worker_free(worker);
}

struct relay *relay_new(const struct relay_config *config, GError **error)
{
    guint n_addresses, workers = config->workers ? config->workers : g_get_num_processors();
    g_autofree union socket_address *addresses = NULL;
    if (config->port + workers > 65536) {
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "media port %u leaves no room for %u workers below 65536", config->port,
                    workers);
        return NULL;
    }
    addresses = media_addresses(config->bind, &n_addresses, error);
    if (!addresses)
        return NULL;
    struct relay *relay = g_new0(struct relay, 1);
    struct worker_limits limits = limits_of(config);
    relay->workers = g_ptr_array_new_with_free_func(free_worker);
    relay->n_addresses = n_addresses;
    relay->addresses = g_new0(struct relay_address, (gsize)n_addresses * workers);
    relay->legs_max = config->legs_max ? config->legs_max : G_MAXUINT;
    relay->placement = placement_new(workers, config->spread_legs ? config->spread_legs : 32);
    relay->load_timer = loop_timer_new("relay load", on_measure, relay);
    relay->cpu = g_new0(uint64_t, workers);
    relay->links = g_new0(struct worker_link *, (gsize)workers * workers);
    relay->ring_octets = config->ring_buffer ? config->ring_buffer : 2u << 20;
    relay->groups = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    relay->outbox = g_new0(struct outbox, 1);
    relay->outbox->refs = 1;
    relay->bound = g_memdup2(addresses, n_addresses * sizeof *addresses);
    relay->advertise = g_strdupv((char **)config->advertise);
    relay->socket_buffer = config->socket_buffer;
    relay->own_port = config->own_port;
    relay->own_ports = config->own_ports;
    relay->next_index = SOCKETS_MAX;
    relay->qos = config->qos;
    for (guint i = 0; relay->qos && i < n_addresses; i++)
        qos_add_address(relay->qos, &addresses[i].any);
    for (guint i = 0; i < workers; i++) {
        struct worker *worker = worker_new(i, &limits, post_event, relay->outbox);
        worker->qos = relay->qos;
        worker->judged_mark = relay->qos ? qos_judged_mark(relay->qos) : 0;
        g_ptr_array_add(relay->workers, worker);
        if (!open_sockets(relay, worker, config, addresses, error)) {
            relay_free(relay);
            return NULL;
        }
    }
    return relay;
}

void relay_free(struct relay *relay)
{
    if (!relay)
        return;
    g_warn_if_fail(relay->legs == 0);
    loop_timer_free(relay->load_timer);
    guint workers = relay->workers->len;
    for (guint i = 0; i < workers; i++)
        worker_stop(g_ptr_array_index(relay->workers, i));
    g_ptr_array_free(relay->workers, TRUE);
    for (guint i = 0; i < workers * workers; i++)
        worker_link_free(relay->links[i]);
    g_free(relay->links);
    placement_free(relay->placement);
    outbox_unref(relay->outbox);
    g_hash_table_destroy(relay->groups);
    g_free(relay->addresses);
    g_free(relay->cpu);
    g_free(relay->bound);
    g_strfreev(relay->advertise);
    g_free(relay);
}

guint relay_workers(const struct relay *relay)
{
    return relay->workers->len;
}

const struct relay_address *relay_addresses(const struct relay *relay, gsize *ret_n)
{
    *ret_n = relay->n_addresses;
    return relay->addresses;
}

void relay_worker_stats(const struct relay *relay, guint number, struct relay_worker_stats *ret)
{
    struct worker *worker = g_ptr_array_index(relay->workers, number);
    struct worker_counters *from = &worker->counters;
#define COPY(name) ret->name = atomic_load_explicit(&from->name, memory_order_relaxed)
    COPY(packets_in);
    COPY(octets_in);
    COPY(packets_out);
    COPY(octets_out);
    COPY(unknown_source_dropped);
    COPY(malformed);
    COPY(stun_rejected);
    COPY(dtls_dropped);
    COPY(wakeups);
    COPY(receive_batches);
    COPY(runs_in);
    COPY(send_calls);
    COPY(runs_out);
    COPY(gso_fallbacks);
    COPY(send_dropped);
    COPY(gate_discarded);
    COPY(policing_discarded);
    COPY(ring_dropped);
    COPY(feedback_in);
    COPY(feedback_out);
    COPY(probes);
    COPY(overuses);
    COPY(video_pauses);
    COPY(estimate_sum);
    for (unsigned i = 0; i <= RELAY_ESTIMATE_BOUNDS; i++)
        COPY(estimates[i]);
    COPY(legs);
    COPY(mirrors);
    ret->buffer_octets = packet_pool_octets(worker->pool);
    ret->busy = placement_busy(relay->placement, number);
    COPY(transit_sum);
    for (unsigned i = 0; i <= RELAY_TRANSIT_BOUNDS; i++)
        COPY(transit[i]);
    ret->cpu = worker_cpu(worker);
#undef COPY
}

/* --- legs ------------------------------------------------------------------------------------- */

static struct placement_group *group_for(struct relay *relay, guint64 id)
{
    struct placement_group *group = g_hash_table_lookup(relay->groups, &id);
    if (group)
        return group;
    group = placement_group_new(relay->placement, id);
    g_hash_table_insert(relay->groups, &group->id, group);
    return group;
}

void relay_post(const struct relay_leg *leg, struct command *command)
{
    if (leg->releasing)
        command_free(command);
    else
        worker_post(relay_worker_of(leg), command);
}

struct command *relay_command_new(const struct relay_leg *leg, enum command_kind kind)
{
    struct command *command = g_new0(struct command, 1);
    command->kind = kind;
    command->leg = leg->there;
    return command;
}

/* The next port of the range that is free; any, when no range is configured. */
static bool open_own_socket(struct relay *relay, struct media_socket *socket,
                            const union socket_address *address, GError **error)
{
    unsigned index = relay->next_index++;
    if (!relay->own_port || !relay->own_ports)
        return media_socket_open(socket, index, address, 0, relay->socket_buffer, error);
    for (guint tries = 0; tries < relay->own_ports; tries++) {
        g_autoptr(GError) reason = NULL;
        guint16 port = (guint16)(relay->own_port + relay->own_next++ % relay->own_ports);
        if (media_socket_open(socket, index, address, port, relay->socket_buffer, &reason))
            return true;
        if (errno == EADDRINUSE)
            continue;
        g_propagate_error(error, g_steal_pointer(&reason));
        return false;
    }
    problem_set(error, PROBLEM_RESOURCES_UNAVAILABLE,
                "all UDP ports from %u to %u are in use; raise limits.full_ports", relay->own_port,
                relay->own_port + relay->own_ports - 1);
    return false;
}

static void close_sockets(struct leg_sockets *sockets)
{
    for (unsigned i = 0; sockets && i < sockets->n; i++)
        media_socket_close(&sockets->sockets[i]);
    g_free(sockets);
}

static struct leg_sockets *open_own_sockets(struct relay *relay, struct relay_address *addresses,
                                            GError **error)
{
    struct leg_sockets *own = g_malloc0(sizeof *own + relay->n_addresses * sizeof own->sockets[0]);
    for (gsize i = 0; i < relay->n_addresses; i++) {
        struct media_socket *socket = &own->sockets[i];
        union socket_address advertised;
        if (!open_own_socket(relay, socket, &relay->bound[i], error)) {
            close_sockets(own);
            return NULL;
        }
        own->n++;
        media_socket_enforce(socket, relay->qos);
        socket->priority = addresses[i].priority = priority_of(relay->bound, relay->n_addresses, i);
        media_address_advertised((const char *const *)relay->advertise, &socket->local, &advertised,
                                 NULL);
        socket_address_to_storage(&socket->local, &addresses[i].local);
        socket_address_to_storage(&advertised, &addresses[i].advertised);
    }
    return own;
}

static struct leg_sockets *adopt_tunnel(struct relay *relay, int fd)
{
    struct leg_sockets *own = g_malloc0(sizeof *own + sizeof own->sockets[0]);
    media_socket_adopt(&own->sockets[own->n++], relay->next_index++, fd);
    return own;
}

struct relay_leg *relay_leg_new(struct relay *relay, const struct relay_leg_config *config,
                                GError **error)
{
    if (relay->legs >= relay->legs_max) {
        if (config->tunnel)
            close(config->tunnel);
        problem_set(error, PROBLEM_RESOURCES_UNAVAILABLE,
                    "the media centre carries %u legs, its configured limit; try again later",
                    relay->legs_max);
        return NULL;
    }
    struct local_outlets outlets = {0};
    if (config->local && !local_outlets_open(&outlets, config->local, error))
        return NULL;
    struct leg_sockets *own = NULL;
    g_autofree struct relay_address *own_addresses = NULL;
    if (config->ice_full && !config->local) {
        own_addresses = g_new0(struct relay_address, relay->n_addresses);
        own = open_own_sockets(relay, own_addresses, error);
        if (!own)
            return NULL;
    }
    if (config->tunnel)
        own = adopt_tunnel(relay, config->tunnel);
    struct relay_leg *leg = g_new0(struct relay_leg, 1);
    leg->own_addresses = g_steal_pointer(&own_addresses);
    leg->relay = relay;
    count_leg(relay);
    leg->group = group_for(relay, config->group);
    leg->worker = placement_add(relay->placement, leg->group);
    leg->name = g_strdup(config->name);
    leg->ops = config->ops;
    leg->user = config->user;
    leg->there = worker_leg_new(relay_worker_of(leg), leg, &leg->dtls_pending,
                                config->local_ufrag ? config->local_ufrag : "",
                                config->local_pwd ? config->local_pwd : "", config->ice_full,
                                config->cname ? config->cname : "", config->transport);
    leg->there->own = own;
    leg->there->tunnel = config->tunnel != 0;
    if (config->local)
        leg->there->local = leg->local =
            relay_local_new(config->local, &outlets, relay_worker_of(leg), leg->there);
    relay_post(leg, relay_command_new(leg, COMMAND_ADD));
    return leg;
}

struct relay_local *relay_leg_local(const struct relay_leg *leg)
{
    return leg->local;
}

const struct relay_address *relay_leg_addresses(const struct relay_leg *leg, gsize *ret_n)
{
    *ret_n = leg->relay->n_addresses;
    if (leg->own_addresses)
        return leg->own_addresses;
    return leg->relay->addresses + leg->worker * leg->relay->n_addresses;
}

static void copy_candidates(struct command *command, const struct relay_candidate *candidates,
                            gsize n)
{
    command->ice.candidates = g_new0(struct ice_candidate, n);
    command->ice.n = (guint)n;
    for (gsize i = 0; i < n; i++) {
        struct ice_candidate *candidate = &command->ice.candidates[i];
        memcpy(&candidate->address, &candidates[i].address, sizeof candidate->address);
        candidate->priority = candidates[i].priority;
    }
}

void relay_leg_set_remote_ice(struct relay_leg *leg, const struct relay_remote_ice *remote)
{
    static const enum ice_role roles[] = {[RELAY_ICE_LITE] = ICE_LITE,
                                          [RELAY_ICE_CONTROLLED] = ICE_CONTROLLED,
                                          [RELAY_ICE_CONTROLLING] = ICE_CONTROLLING};
    struct command *command = relay_command_new(leg, COMMAND_REMOTE_ICE);
    struct ice_remote *to = &command->ice.remote;
    g_strlcpy(to->ufrag, remote->ufrag, sizeof to->ufrag);
    g_strlcpy(to->pwd, remote->pwd, sizeof to->pwd);
    to->role = roles[remote->role];
    to->complete = remote->complete;
    copy_candidates(command, remote->candidates, remote->n_candidates);
    relay_post(leg, command);
}

void relay_leg_add_candidates(struct relay_leg *leg, const struct relay_candidate *candidates,
                              gsize n, bool complete)
{
    struct command *command = relay_command_new(leg, COMMAND_CANDIDATES);
    command->ice.remote.complete = complete;
    copy_candidates(command, candidates, n);
    relay_post(leg, command);
}

void relay_leg_tunnel_up(struct relay_leg *leg, const struct sockaddr_storage *local,
                         const struct sockaddr_storage *remote)
{
    struct command *command = relay_command_new(leg, COMMAND_TUNNEL);
    memcpy(&command->tunnel.local, local, sizeof command->tunnel.local);
    memcpy(&command->tunnel.remote, remote, sizeof command->tunnel.remote);
    relay_post(leg, command);
}

void relay_leg_tunnel_down(struct relay_leg *leg, const char *reason)
{
    struct command *command = relay_command_new(leg, COMMAND_TUNNEL);
    command->tunnel.reason = reason;
    relay_post(leg, command);
}

void relay_leg_prepare_ice(struct relay_leg *leg, const char *local_ufrag, const char *local_pwd)
{
    struct command *command = relay_command_new(leg, COMMAND_PREPARE_ICE);
    g_strlcpy(command->ice.remote.ufrag, local_ufrag, sizeof command->ice.remote.ufrag);
    g_strlcpy(command->ice.remote.pwd, local_pwd, sizeof command->ice.remote.pwd);
    relay_post(leg, command);
}

void relay_leg_cancel_ice(struct relay_leg *leg)
{
    relay_post(leg, relay_command_new(leg, COMMAND_CANCEL_ICE));
}

void relay_leg_set_keys(struct relay_leg *leg, const struct relay_srtp_keys *keys)
{
    struct command *command = relay_command_new(leg, COMMAND_KEYS);
    command->keys = *keys;
    relay_post(leg, command);
}

void relay_leg_set_medias(struct relay_leg *leg, const struct relay_media *medias, guint n)
{
    struct command *command = relay_command_new(leg, COMMAND_MEDIAS);
    n = MIN(n, RELAY_MEDIAS_MAX);
    if (!leg->releasing)
        relay_routes_configure(leg, medias, n);
    command->medias.n = n;
    command->medias.list = g_memdup2(medias, (gsize)n * sizeof *medias);
    command->medias.boards = relay_routes_boards(leg, n);
    relay_post(leg, command);
    if (!leg->releasing)
        relay_routes_configured(leg);
}

void relay_leg_prefer_layer(struct relay_leg *leg, const char *mid,
                            const struct relay_layer_preference *preference)
{
    struct command *command = relay_command_new(leg, COMMAND_PREFER);
    g_strlcpy(command->prefer.mid, mid, sizeof command->prefer.mid);
    command->prefer.any = !preference;
    if (preference)
        command->prefer.preference = *preference;
    relay_post(leg, command);
}

void relay_leg_set_data(struct relay_leg *leg, const char *mid, struct qos_slot *uplink,
                        struct qos_slot *downlink)
{
    struct command *command = relay_command_new(leg, COMMAND_DATA);
    if (mid) {
        g_strlcpy(command->data.mid, mid, sizeof command->data.mid);
        command->data.slot[QOS_UPLINK] = uplink;
        command->data.slot[QOS_DOWNLINK] = downlink;
    }
    relay_post(leg, command);
}

void relay_leg_gate_opened(struct relay_leg *leg, const char *mid)
{
    struct command *command = relay_command_new(leg, COMMAND_GATE_OPENED);
    g_strlcpy(command->mid, mid, sizeof command->mid);
    relay_post(leg, command);
}

void relay_leg_send_dtls(struct relay_leg *leg, GBytes *datagram)
{
    struct command *command = relay_command_new(leg, COMMAND_DTLS);
    command->dtls = g_bytes_ref(datagram);
    relay_post(leg, command);
}

void relay_leg_request_key_frame(struct relay_leg *leg, const char *mid)
{
    struct command *command = relay_command_new(leg, COMMAND_KEY_FRAME);
    g_strlcpy(command->mid, mid, sizeof command->mid);
    relay_post(leg, command);
}

void relay_leg_watch_activity(struct relay_leg *leg, const char *mid, bool watch)
{
    struct command *command = relay_command_new(leg, COMMAND_ACTIVITY);
    g_strlcpy(command->activity.mid, mid, sizeof command->activity.mid);
    command->activity.watch = watch;
    relay_post(leg, command);
}

void relay_leg_release(struct relay_leg *leg)
{
    g_return_if_fail(!leg->releasing);
    relay_routes_configure(leg, NULL, 0);
    relay_capture_leg_goes(leg);
    relay_post(leg, relay_command_new(leg, COMMAND_RELEASE));
    leg->releasing = true;
}

void relay_leg_stats(struct relay_leg *leg, relay_stats_fn done, void *user)
{
    g_return_if_fail(!leg->releasing);
    struct command *command = relay_command_new(leg, COMMAND_STATS);
    command->stats.done = done;
    command->stats.user = user;
    relay_post(leg, command);
}
