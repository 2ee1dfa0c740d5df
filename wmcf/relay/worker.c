/* SPDX-License-Identifier: Apache-2.0 */
/* The thread of a worker: waits on its sockets and its command queue, works in batches, and looks
 * at the clock once per batch. Nothing has a timer of its own: a tick of 20 ms repeats what is due
 * (holes, key frames, checks) while there is something, and each leg is visited once a second in
 * one of 50 slots, which spreads reports evenly. A turn visits one leg, since packets that come
 * meanwhile would wait for the whole slot. Where nothing is due the thread sleeps on: to wake on an
 * idle core costs as much as to forward several packets. */
#include "wmcf/relay/worker.h"

#include "wmcf/relay/encodings.h"
#include "wmcf/relay/leg-arrivals.h"
#include "wmcf/relay/leg-bandwidth.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BATCHES_PER_TURN 4   /* of one socket before the others and the commands get their turn */
#define VISIT_SLACK_US 80000 /* a visit may wait for packets that wake the thread anyway */

struct worker *worker_new(unsigned number, const struct worker_limits *limits,
                          worker_event_fn on_event, void *event_user)
{
    struct worker *worker = g_new0(struct worker, 1);
    worker->number = number;
    worker->limits = *limits;
    worker->on_event = on_event;
    worker->event_user = event_user;
    worker->wake = worker->poll = -1;
    worker->telling_due = worker->pacing_due = INT64_MAX;
    worker->addresses = address_table_new(g_random_int());
    worker->ice = ice_server_new(limits->stun_rate_unknown);
    worker->by_tag = g_hash_table_new(g_direct_hash, g_direct_equal);
    worker->by_ssrc = g_hash_table_new(g_direct_hash, g_direct_equal);
    worker->pool = packet_pool_new(limits->buffer_octets);
    worker->ring = receive_ring_new();
    worker_links_init(&worker->links);
    return worker;
}

void worker_post(struct worker *worker, struct command *command)
{
    static const uint64_t one = 1;
    if (command_queue_push(&worker->commands, &command->node) &&
        write(worker->wake, &one, sizeof one) < 0)
        g_assert(errno == EAGAIN); /* the counter is full: it is awake */
}

uint64_t worker_cpu(const struct worker *worker)
{
    clockid_t clock = atomic_load_explicit(&worker->cpu, memory_order_relaxed);
    struct timespec used;
    if (clock == 0 || clock_gettime(clock, &used) < 0)
        return 0;
    return (uint64_t)used.tv_sec * G_USEC_PER_SEC + (uint64_t)used.tv_nsec / 1000;
}

void worker_post_event(struct worker *worker, struct event *event)
{
    worker->on_event(worker->event_user, event);
}

void worker_raise(struct worker_leg *leg, enum event_kind kind)
{
    struct event *event = g_new0(struct event, 1);
    event->kind = kind;
    event->leg = leg->handle;
    worker_post_event(leg->worker, event);
}

void worker_raise_media(struct worker_leg *leg, enum event_kind kind, const char *mid,
                        enum qos_direction direction, uint64_t packets)
{
    struct event *event = g_new0(struct event, 1);
    event->kind = kind;
    event->leg = leg->handle;
    g_strlcpy(event->media.mid, mid, sizeof event->media.mid);
    event->media.direction = direction;
    event->media.packets = packets;
    worker_post_event(leg->worker, event);
}

void worker_raise_activity(struct worker_leg *leg, const char *mid,
                           const struct relay_activity *report)
{
    struct event *event = g_new0(struct event, 1);
    event->kind = EVENT_ACTIVITY;
    event->leg = leg->handle;
    g_strlcpy(event->activity.mid, mid, sizeof event->activity.mid);
    event->activity.report = *report;
    worker_post_event(leg->worker, event);
}

void worker_note_ssrc(struct worker *worker, uint32_t ssrc, struct worker_leg *leg)
{
    g_hash_table_insert(worker->by_ssrc, GUINT_TO_POINTER(ssrc), leg);
}

void worker_forget_ssrc(struct worker *worker, uint32_t ssrc, const struct worker_leg *leg)
{
    if (g_hash_table_lookup(worker->by_ssrc, GUINT_TO_POINTER(ssrc)) == leg)
        g_hash_table_remove(worker->by_ssrc, GUINT_TO_POINTER(ssrc));
}

void worker_flush(struct worker *worker)
{
    while (worker->sending) {
        struct media_socket *socket = worker->sending;
        worker->sending = socket->next_sending;
        socket->sending = false;
        send_batch_flush(socket->batch);
        struct send_totals *totals = send_batch_totals(socket->batch);
        if (totals->calls == 0 && totals->dropped == 0)
            continue;
        counter_add(&worker->counters.packets_out, totals->packets);
        counter_add(&worker->counters.octets_out, totals->octets);
        counter_add(&worker->counters.send_calls, totals->calls);
        counter_add(&worker->counters.runs_out, totals->runs);
        counter_add(&worker->counters.send_dropped, totals->dropped);
        counter_add(&worker->counters.gso_fallbacks, totals->segmentation_fallbacks);
        memset(totals, 0, sizeof *totals);
    }
}

/* Requests for what is missing; sources without holes leave the list. */
static void send_feedback(struct worker *worker)
{
    struct source **at = &worker->feedback;
    worker->feedback_new = false;
    worker->feedback_due = INT64_MAX;
    while (*at) {
        struct source *source = *at;
        int64_t next = source_send_nack(source, worker->now);
        if (next) {
            worker->feedback_due = MIN(worker->feedback_due, next);
            at = &source->next_feedback;
            continue;
        }
        *at = source->next_feedback;
        source->feedback_queued = false;
    }
}

static bool feedback_is_due(const struct worker *worker)
{
    return worker->feedback_new || (worker->feedback && worker->now >= worker->feedback_due);
}

static void request_key_frames(struct worker *worker)
{
    struct stream **at = &worker->wanting;
    worker->wanting_new = false;
    while (*at) {
        struct stream *stream = *at;
        stream_send_key_frame_request(stream, worker->now);
        if (stream->key_frames.wanted) {
            at = &stream->next_wanting;
            continue;
        }
        *at = stream->next_wanting;
        stream->wanting = false;
    }
}

void worker_after_batch(struct worker *worker)
{
    router_run(worker);
    if (worker->now >= worker->pacing_due)
        leg_bandwidth_run(worker);
    if (feedback_is_due(worker))
        send_feedback(worker);
    if (worker->wanting_new)
        request_key_frames(worker);
    if (worker->now >= worker->telling_due)
        leg_arrivals_run(worker);
    worker_flush(worker);
}

static void check_media(struct worker_leg *leg, int64_t now)
{
    int64_t limit = leg->worker->limits.inactivity;
    for (unsigned i = 0; i < leg->n_lines && limit; i++) {
        struct media_line *line = leg->lines[i];
        const struct qos_slot *slot = line->media.slot[QOS_UPLINK];
        bool open = line->media.receive && (leg->local || (leg->in && leg->nominated >= 0)) &&
                    (!slot || qos_slot_open(slot));
        struct stream *streams[RELAY_ENCODINGS_MAX + 1];
        int64_t last = 0;
        for (unsigned s = media_line_streams(line, streams); s-- > 0;) {
            if (!open)
                streams[s]->active_since = 0;
            else if (!streams[s]->active_since)
                streams[s]->active_since = now;
            last = MAX(last, MAX(streams[s]->last_packet, streams[s]->active_since));
        }
        if (!open)
            continue;
        if (now - last <= limit || line->in.inactive_told)
            continue;
        line->in.inactive_told = true;
        worker_raise_media(leg, EVENT_MEDIA_INACTIVITY, line->media.mid, QOS_UPLINK, 0);
    }
}

static void expire_history(struct worker_leg *leg, int64_t now)
{
    for (unsigned i = 0; i < leg->n_sources; i++) {
        if (leg->sources[i]->buffer)
            packet_buffer_expire(leg->sources[i]->buffer, now);
    }
}

static void run_checks(struct worker *worker)
{
    struct worker_leg **at = &worker->checking;
    while (*at) {
        struct worker_leg *leg = *at;
        if (worker_leg_run_checks(leg, worker->now)) {
            at = &leg->next_checking;
            continue;
        }
        *at = leg->next_checking;
        leg->checking = false;
    }
}

/* Repeats what is due, and begins the next slot with legs in it that is due, too. */
static void begin_tick(struct worker *worker)
{
    run_checks(worker);
    encodings_tick(worker);
    send_feedback(worker);
    request_key_frames(worker);
    if (worker->now >= worker->telling_due)
        leg_arrivals_run(worker);
    for (unsigned i = 0; i < WORKER_REPORT_SLOTS; i++) {
        worker->visiting = worker->slots[worker->slot_now];
        worker->slot_now = (worker->slot_now + 1) % WORKER_REPORT_SLOTS;
        worker->tick_at += WORKER_TICK_US;
        if (worker->slot_now == 0)
            worker_links_tick(worker);
        if (worker->visiting || worker->tick_at > worker->now)
            break;
    }
    if (worker->now - worker->tick_at > WORKER_REPORT_SLOTS * WORKER_TICK_US)
        worker->tick_at = worker->now; /* the machine was asleep */
}

static void visit_next(struct worker *worker)
{
    struct worker_leg *leg = worker->visiting;
    worker->visiting = leg->next;
    check_media(leg, worker->now); /* first: without consent none is expected */
    worker_leg_check_consent(leg, worker->now);
    worker_leg_report(leg, worker->now);
    worker_leg_watch_slots(leg, worker->now);
    expire_history(leg, worker->now);
    if (leg->bandwidth)
        leg_bandwidth_visit(leg, worker->now);
}

void worker_tick(struct worker *worker)
{
    begin_tick(worker);
    while (worker->visiting)
        visit_next(worker);
    worker_flush(worker);
}

static void run_due(struct worker *worker)
{
    worker->now = g_get_monotonic_time();
    if (worker->n_legs == 0)
        return;
    if (worker->now >= worker->pacing_due) {
        leg_bandwidth_run(worker);
        worker_flush(worker);
    }
    if (feedback_is_due(worker)) {
        send_feedback(worker);
        worker_flush(worker);
    }
    if (!worker->visiting) {
        if (worker->now < worker->tick_at)
            return;
        begin_tick(worker);
    }
    if (worker->visiting)
        visit_next(worker);
    worker_flush(worker);
}

void worker_run_commands(struct worker *worker)
{
    uint64_t count;
    if (read(worker->wake, &count, sizeof count) < 0)
        g_assert(errno == EAGAIN);
    struct queue_node *node = command_queue_take(&worker->commands);
    worker->now = g_get_monotonic_time();
    while (node) {
        struct command *command = (struct command *)node;
        node = node->next;
        worker_run_command(worker, command);
        command_free(command);
    }
    if (feedback_is_due(worker))
        send_feedback(worker);
    if (worker->wanting_new)
        request_key_frames(worker);
    worker_flush(worker);
}

/* ms until something is due; -1 = nothing will be. */
static int timeout(const struct worker *worker)
{
    if (worker->n_legs == 0)
        return -1;
    if (worker->visiting)
        return 0;
    int64_t due = worker->tick_at;
    if (worker->feedback)
        due = MIN(due, worker->feedback_due);
    else if (!worker->checking && !worker->wanting && !worker->encodings && !worker->telling) {
        for (unsigned i = 0; i < WORKER_REPORT_SLOTS - 1; i++, due += WORKER_TICK_US) {
            if (worker->slots[(worker->slot_now + i) % WORKER_REPORT_SLOTS])
                break;
        }
        if (due > worker->now)
            due += VISIT_SLACK_US;
    }
    due = MIN(due, worker->pacing_due);
    int64_t left = due - worker->now;
    return left <= 0 ? 0 : (int)((left + 999) / 1000);
}

static bool watch(struct worker *worker, int fd, void *what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    return epoll_ctl(worker->poll, EPOLL_CTL_ADD, fd, &event) == 0;
}

void worker_open_sockets(struct worker *worker, struct worker_leg *leg)
{
    for (unsigned i = 0; leg->own && i < leg->own->n; i++) {
        struct media_socket *socket = &leg->own->sockets[i];
        socket->batch = send_batch_new(socket);
        socket->owner = leg;
        watch(worker, socket->fd, socket);
    }
}

void worker_close_sockets(struct worker *worker, struct worker_leg *leg)
{
    if (!leg->own)
        return;
    for (unsigned i = 0; i < leg->own->n; i++)
        media_socket_close(&leg->own->sockets[i]);
    /* What was ready together with the command may name them still. */
    leg->own->next = worker->closed;
    worker->closed = g_steal_pointer(&leg->own);
}

static void forget_closed(struct worker *worker)
{
    while (worker->closed) {
        struct leg_sockets *closed = worker->closed;
        worker->closed = closed->next;
        for (unsigned i = 0; i < closed->n; i++)
            send_batch_free(closed->sockets[i].batch);
        g_free(closed);
    }
}

static void *worker_main(void *data)
{
    struct worker *worker = data;
    struct epoll_event ready[SOCKETS_MAX + 1];
    clockid_t cpu;
    if (pthread_getcpuclockid(pthread_self(), &cpu) == 0)
        atomic_store_explicit(&worker->cpu, cpu, memory_order_relaxed);
    worker->running = true;
    while (worker->running) {
        int wait = worker_links_doze(worker) ? timeout(worker) : 0;
        int n = epoll_wait(worker->poll, ready, G_N_ELEMENTS(ready), wait);
        worker_links_awake(worker);
        counter_add(&worker->counters.wakeups, 1);
        for (int i = 0; i < n; i++) {
            struct media_socket *socket = ready[i].data.ptr;
            if (!socket)
                worker_run_commands(worker);
            for (int turn = 0; socket && turn < BATCHES_PER_TURN; turn++) {
                if (!worker_receive(worker, socket))
                    break;
            }
        }
        worker_links_read(worker);
        forget_closed(worker);
        run_due(worker);
    }
    return NULL;
}

bool worker_start(struct worker *worker, GError **error)
{
    worker->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    worker->poll = epoll_create1(EPOLL_CLOEXEC);
    bool ok = worker->wake >= 0 && worker->poll >= 0 && watch(worker, worker->wake, NULL);
    for (unsigned i = 0; ok && i < worker->n_sockets; i++) {
        worker->sockets[i].batch = send_batch_new(&worker->sockets[i]);
        ok = watch(worker, worker->sockets[i].fd, &worker->sockets[i]);
    }
    if (!ok) {
        problem_set(error, PROBLEM_INTERNAL_ERROR, "a relay worker cannot start: %s",
                    g_strerror(errno));
        return false;
    }
    g_autofree char *name = g_strdup_printf("relay-%u", worker->number);
    worker->thread = g_thread_try_new(name, worker_main, worker, error);
    return worker->thread != NULL;
}

void worker_stop(struct worker *worker)
{
    if (!worker->thread)
        return;
    struct command *stop = g_new0(struct command, 1);
    stop->kind = COMMAND_STOP;
    worker_post(worker, stop);
    g_thread_join(g_steal_pointer(&worker->thread));
}

void worker_free(struct worker *worker)
{
    if (!worker)
        return;
    worker_stop(worker);
    for (struct queue_node *node = command_queue_take(&worker->commands); node;) {
        struct command *command = (struct command *)node;
        node = node->next;
        command_free(command);
    }
    for (unsigned i = 0; i < WORKER_REPORT_SLOTS; i++) { /* none, if all were released */
        for (struct worker_leg *leg = worker->slots[i], *next; leg; leg = next) {
            next = leg->next;
            worker_leg_forget_ice(leg);
            worker_close_sockets(worker, leg);
            worker_leg_free(leg);
        }
    }
    worker_links_finish(worker);
    forget_closed(worker);
    for (unsigned i = 0; i < worker->n_sockets; i++) {
        send_batch_free(worker->sockets[i].batch);
        media_socket_close(&worker->sockets[i]);
    }
    if (worker->wake >= 0)
        close(worker->wake);
    if (worker->poll >= 0)
        close(worker->poll);
    receive_ring_free(worker->ring);
    address_table_free(worker->addresses);
    ice_server_free(worker->ice);
    g_hash_table_destroy(worker->by_tag);
    g_hash_table_destroy(worker->by_ssrc);
    packet_pool_free(worker->pool);
    g_free(worker);
}
