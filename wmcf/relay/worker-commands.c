/* SPDX-License-Identifier: Apache-2.0 */
/* What the control thread asks of a worker, one function per command, and the messages' memory. A
 * leg pointer in a command is alive: its release is the last command that names it. */
#include "wmcf/relay/activity-tap.h"
#include "wmcf/relay/capture.h"
#include "wmcf/relay/encodings.h"
#include "wmcf/relay/layering.h"
#include "wmcf/relay/local-sink.h"
#include "wmcf/relay/stream-mirror.h"
#include "wmcf/relay/worker.h"

#include <openssl/crypto.h>
#include <string.h>

void command_free(struct command *command)
{
    if (command->kind == COMMAND_MEDIAS) {
        for (guint i = 0; i < command->medias.n; i++)
            encoding_board_unref(command->medias.boards[i]);
        g_free(command->medias.boards);
        g_free(command->medias.list);
    } else if (command->kind == COMMAND_MIRROR)
        encoding_board_unref(command->mirror.board);
    else if (command->kind == COMMAND_DTLS)
        g_bytes_unref(command->dtls);
    else if (command->kind == COMMAND_REMOTE_ICE || command->kind == COMMAND_CANDIDATES)
        g_free(command->ice.candidates);
    else if (command->kind == COMMAND_CAPTURE && command->capture)
        capture_let_go(command->capture);
    else if (command->kind == COMMAND_LOCAL)
        local_batch_free(command->batch);
    OPENSSL_cleanse(command, sizeof *command); /* keys, passwords */
    g_free(command);
}

void event_free(struct event *event)
{
    if (event->kind == EVENT_DTLS)
        g_bytes_unref(event->dtls);
    else if (event->kind == EVENT_STATS)
        g_free(event->stats.result);
    g_free(event);
}

static void add(struct worker *worker, struct worker_leg *leg)
{
    if (!leg->local && !leg->tunnel) /* nobody can reach it by STUN */
        worker_leg_add_ice(leg);
    worker_open_sockets(worker, leg);
    worker_leg_bind_sockets(leg);
    leg->slot = worker->slot_next;
    worker->slot_next = (worker->slot_next + 1) % WORKER_REPORT_SLOTS;
    struct worker_leg **slot = &worker->slots[leg->slot];
    leg->next = *slot;
    leg->link = slot;
    if (leg->next)
        leg->next->link = &leg->next;
    *slot = leg;
    if (worker->n_legs++ == 0)
        worker->tick_at = worker->now + WORKER_TICK_US;
    atomic_store_explicit(&worker->counters.legs, worker->n_legs, memory_order_relaxed);
}

static void release(struct worker *worker, struct worker_leg *leg)
{
    struct relay_leg *handle = leg->handle;
    worker_flush(worker); /* runs point to the leg's counter */
    worker_leg_unbind(leg);
    worker_leg_end_checks(leg);
    worker_leg_forget_ice(leg);
    worker_leg_forget_paths(leg);
    worker_close_sockets(worker, leg);
    if (worker->visiting == leg)
        worker->visiting = leg->next;
    *leg->link = leg->next;
    if (leg->next)
        leg->next->link = leg->link;
    worker->n_legs--;
    atomic_store_explicit(&worker->counters.legs, worker->n_legs, memory_order_relaxed);
    worker_leg_free(leg);
    if (worker->n_legs == 0)
        packet_pool_give_back(worker->pool);
    struct event *event = g_new0(struct event, 1);
    event->kind = EVENT_RELEASED;
    event->leg = handle;
    worker_post_event(worker, event);
}

static void set_data(struct worker_leg *leg, const struct command *command)
{
    g_strlcpy(leg->data_mid, command->data.mid, sizeof leg->data_mid);
    for (unsigned d = 0; d < 2; d++) {
        if (leg->data_slot[d] != command->data.slot[d])
            leg->data_watch[d] = (struct slot_watch){0};
        leg->data_slot[d] = command->data.slot[d];
    }
}

static void send_dtls(struct worker_leg *leg, GBytes *datagram)
{
    gsize length;
    const uint8_t *data = g_bytes_get_data(datagram, &length);
    worker_leg_send_dtls(leg, data, length);
}

static void route(struct worker_leg *to, const struct command *command)
{
    struct media_line *destination = worker_leg_line(to, command->route.to_mid);
    struct media_line *line =
        command->route.from ? worker_leg_line(command->route.from, command->route.from_mid) : NULL;
    struct stream *source =
        line ? media_line_first(line) : stream_mirror_find(to->worker, command->route.mirror);
    if (destination)
        media_line_route(source, destination);
}

static void feed(struct worker_leg *leg, const struct command *command)
{
    struct media_line *line = worker_leg_line(leg, command->mirror.mid);
    if (line)
        mirror_feed_begin(line, command->mirror.id, command->mirror.link);
}

static void stats(struct worker_leg *leg, const struct command *command)
{
    struct event *event = g_new0(struct event, 1);
    event->kind = EVENT_STATS;
    event->leg = leg->handle;
    event->stats.done = command->stats.done;
    event->stats.user = command->stats.user;
    event->stats.result = g_new0(struct relay_leg_stats, 1);
    worker_leg_stats(leg, event->stats.result);
    worker_post_event(leg->worker, event);
}

void worker_run_command(struct worker *worker, struct command *command)
{
    struct worker_leg *leg = command->leg;
    struct media_line *line;
    switch (command->kind) {
    case COMMAND_ADD:
        add(worker, leg);
        break;
    case COMMAND_REMOTE_ICE:
        worker_leg_set_remote_ice(leg, &command->ice.remote, command->ice.candidates,
                                  command->ice.n, worker->now);
        break;
    case COMMAND_CANDIDATES:
        if (worker_leg_checks(leg))
            worker_leg_add_candidates(leg, command->ice.candidates, command->ice.n,
                                      command->ice.remote.complete, worker->now);
        break;
    case COMMAND_PREPARE_ICE:
        worker_leg_prepare_ice(leg, command->ice.remote.ufrag, command->ice.remote.pwd);
        break;
    case COMMAND_CANCEL_ICE:
        worker_leg_cancel_ice(leg);
        break;
    case COMMAND_TUNNEL:
        if (command->tunnel.remote.any.sa_family)
            worker_leg_tunnel_up(leg, &command->tunnel.local, &command->tunnel.remote, worker->now);
        else
            worker_leg_tunnel_down(leg, command->tunnel.reason);
        break;
    case COMMAND_KEYS:
        worker_leg_set_keys(leg, &command->keys, worker->now);
        break;
    case COMMAND_MEDIAS:
        worker_flush(worker); /* runs point to slots that may go now */
        worker_leg_set_medias(leg, command->medias.list, command->medias.boards, command->medias.n,
                              worker->now);
        break;
    case COMMAND_DATA:
        worker_flush(worker);
        set_data(leg, command);
        break;
    case COMMAND_GATE_OPENED:
        line = worker_leg_line(leg, command->mid);
        if (line)
            worker_leg_gate_opened(leg, line);
        break;
    case COMMAND_DTLS:
        send_dtls(leg, command->dtls);
        break;
    case COMMAND_KEY_FRAME:
        line = worker_leg_line(leg, command->mid);
        if (line)
            media_line_want_pictures(line);
        break;
    case COMMAND_ACTIVITY:
        line = worker_leg_line(leg, command->activity.mid);
        if (line && line->media.kind == RELAY_AUDIO)
            activity_tap_watch(&line->in, command->activity.watch);
        break;
    case COMMAND_ROUTE:
        route(leg, command);
        break;
    case COMMAND_FEED:
        feed(leg, command);
        break;
    case COMMAND_END_FEED:
        mirror_feed_end(worker, command->mirror.id);
        break;
    case COMMAND_MIRROR:
        stream_mirror_begin(worker, command->mirror.id, command->mirror.kind, command->mirror.board,
                            command->mirror.link);
        break;
    case COMMAND_END_MIRROR:
        stream_mirror_end(worker, command->mirror.id);
        break;
    case COMMAND_MIRROR_WANTS:
        mirror_feed_want_key_frame(worker, command->mirror.id, command->mirror.encoding);
        break;
    case COMMAND_MIRROR_USES:
        mirror_feed_use(worker, command->mirror.id, command->mirror.encodings);
        break;
    case COMMAND_PREFER:
        line = worker_leg_line(leg, command->prefer.mid);
        if (line)
            subscription_prefer(
                &line->out, command->prefer.any ? NULL : &command->prefer.preference, worker->now);
        break;
    case COMMAND_STATS:
        stats(leg, command);
        break;
    case COMMAND_CAPTURE:
        worker_leg_set_capture(leg, g_steal_pointer(&command->capture));
        break;
    case COMMAND_LOCAL:
        local_batch_run(leg->local, command->batch);
        break;
    case COMMAND_LOCAL_WANTS:
        local_outlet_wants_key_frame(leg, command->medium);
        break;
    case COMMAND_RELEASE:
        release(worker, leg);
        break;
    case COMMAND_STOP:
        worker->running = false;
        break;
    }
}
