/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's thread is left out because two threads would make an input's way depend on the
 * scheduler; everything below its loop is the real thing, sockets included. The clock is this
 * file's: GLib's is defined anew here, and the linker prefers the program's own. */
#include "tests/fuzz/leg-world.h"

#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define START_US (1000 * G_USEC_PER_SEC)

static struct world world;
static int fds[WORLD_ADDRESSES];
static int64_t clock_us = START_US;

gint64 g_get_monotonic_time(void)
{
    return clock_us;
}

int64_t world_now(void)
{
    return clock_us;
}

static void on_event(void *user, struct event *event)
{
    g_assert_cmpuint(event->kind, <, G_N_ELEMENTS(world.events));
    world.events[event->kind]++;
    event_free(event);
}

static void open_world(void)
{
    static const struct worker_limits limits = {.consent_timeout = 30 * G_USEC_PER_SEC,
                                                .source_timeout = 30 * G_USEC_PER_SEC,
                                                .inactivity = 20 * G_USEC_PER_SEC,
                                                .pli_interval = G_USEC_PER_SEC / 2,
                                                .video_buffer = 2 * G_USEC_PER_SEC,
                                                .audio_buffer = G_USEC_PER_SEC,
                                                .discard_report = 5 * G_USEC_PER_SEC,
                                                .buffer_packets = 64,
                                                .buffer_octets = 1 << 28,
                                                .streams_max = 8,
                                                .stun_rate_unknown = 200,
                                                .ice_pairs_max = 8,
                                                .ice_checks_max = 200};
    union socket_address address;
    g_autoptr(GError) error = NULL;
    struct worker *worker = worker_new(0, &limits, on_event, NULL);
    world.worker = worker;
    g_assert(socket_address_parse("127.0.0.1", 0, &address));
    bool good = media_socket_open(&worker->sockets[0], 0, &address, 0, 1 << 20, &error);
    g_assert_no_error(error);
    g_assert(good);
    worker->n_sockets = 1;
    worker->sockets[0].batch = send_batch_new(&worker->sockets[0]);
    worker->sockets[0].priority = 2130706431;
    for (unsigned i = 0; i < WORLD_ADDRESSES; i++) {
        struct media_socket endpoint;
        good = media_socket_open(&endpoint, 0, &address, 0, 1 << 20, &error);
        g_assert_no_error(error);
        g_assert(good);
        static const int zero = 0;
        setsockopt(endpoint.fd, IPPROTO_UDP, UDP_GRO, &zero, sizeof zero);
        fds[i] = endpoint.fd;
        world.at[i] = endpoint.local;
    }
}

struct world *world_begin(bool ice_full)
{
    if (!world.worker)
        open_world();
    struct worker *worker = world.worker;
    clock_us = worker->now = START_US;
    worker->slot_now = worker->slot_next = 0;
    memset(world.events, 0, sizeof world.events);
    g_random_set_seed(1);
    for (unsigned i = 0; i < WORLD_LEGS; i++) {
        char ufrag[] = "leg0";
        ufrag[3] = (char)('0' + i);
        world.dtls_pending[i] = 0;
        world.legs[i] = worker_leg_new(worker, NULL, &world.dtls_pending[i], ufrag, WORLD_PASSWORD,
                                       ice_full, "cname@example.org", NULL);
        world.legs[i]->ice->tie_breaker = 1;
        world_command(&world, (struct command){.kind = COMMAND_ADD, .leg = world.legs[i]});
    }
    return &world;
}

void world_command(struct world *self, struct command command)
{
    struct command *copy = g_new(struct command, 1);
    *copy = command;
    self->worker->now = clock_us;
    worker_run_command(self->worker, copy);
    command_free(copy);
    worker_after_batch(self->worker);
}

void world_say(struct world *self, unsigned from, const void *data, size_t length, unsigned segment)
{
    struct {
        _Alignas(struct cmsghdr) uint8_t space[CMSG_SPACE(sizeof(uint16_t))];
    } control = {0};
    struct iovec vector = {.iov_base = (void *)data, .iov_len = length};
    struct media_socket *socket = &self->worker->sockets[0];
    struct msghdr message = {.msg_name = &socket->local,
                             .msg_namelen = socket_address_length(&socket->local),
                             .msg_iov = &vector,
                             .msg_iovlen = 1};
    if (segment) {
        uint16_t value = (uint16_t)segment;
        message.msg_control = control.space;
        message.msg_controllen = sizeof control.space;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = IPPROTO_UDP;
        header->cmsg_type = UDP_SEGMENT;
        header->cmsg_len = CMSG_LEN(sizeof value);
        memcpy(CMSG_DATA(header), &value, sizeof value);
    }
    if (sendmsg(fds[from], &message, MSG_DONTWAIT) < 0)
        return; /* more segments than the kernel takes */
    struct pollfd wait = {.fd = socket->fd, .events = POLLIN};
    poll(&wait, 1, 1000);
}

void world_listen(struct world *self)
{
    while (worker_receive(self->worker, &self->worker->sockets[0]))
        ;
}

size_t world_hear(struct world *self, unsigned to, uint8_t data[WORLD_DATAGRAM_MAX])
{
    ssize_t length = recv(fds[to], data, WORLD_DATAGRAM_MAX, MSG_DONTWAIT);
    return length > 0 ? (size_t)length : 0;
}

void world_pass(struct world *self, int64_t us)
{
    clock_us += us;
    self->worker->now = clock_us;
    self->worker->slot_now = 0;
    for (unsigned i = 0; i < WORLD_LEGS; i++)
        worker_tick(self->worker);
}

void world_end(struct world *self)
{
    uint8_t data[WORLD_DATAGRAM_MAX];
    struct worker *worker = self->worker;
    world_listen(self);
    for (unsigned i = 0; i < WORLD_LEGS; i++)
        world_command(self, (struct command){.kind = COMMAND_RELEASE, .leg = self->legs[i]});
    for (unsigned i = 0; i < WORLD_ADDRESSES; i++)
        while (world_hear(self, i, data))
            ;
    g_assert_cmpuint(worker->n_legs, ==, 0);
    g_assert_null(worker->feedback);
    g_assert_null(worker->wanting);
    g_assert_null(worker->queued);
    g_assert_null(worker->checking);
    g_assert_cmpuint(packet_pool_in_use(worker->pool), ==, 0);
    g_assert_cmpuint(address_table_count(worker->addresses), ==, 0);
    g_assert_cmpuint(g_hash_table_size(worker->by_ssrc), ==, 0);
    g_assert_cmpuint(g_hash_table_size(worker->by_tag), ==, 0);
}
