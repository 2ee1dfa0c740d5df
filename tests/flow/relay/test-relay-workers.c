/* SPDX-License-Identifier: Apache-2.0 */
/* A context in two workers: what crosses, what happens when either side comes or goes while it
 * does, and what a ring that is too small costs. All the rest of what a subscriber sees is in the
 * other tests, which run once more with publishers and subscribers in different workers. */
#include "base/loop.h"
#include "tests/flow/relay/scene.h"

#include <netinet/udp.h>
#include <string.h>

enum { PSFB = 206 };
#define MANY 40
#define RUN_MAX 40
#define PAYLOAD 1000
#define PAYLOAD_AT 20 /* behind header and the subscriber's MID */

static uint32_t serial; /* of the next packet, in its payload */

/* n packets of one frame each in one datagram that the kernel takes apart, so that the worker has
 * them in one batch; the first begins a key frame if `key`. */
static void publish_run(struct scene *scene, guint n, bool key)
{
    g_autofree uint8_t *run = g_malloc(RUN_MAX * ENDPOINT_MAX);
    uint8_t payload[PAYLOAD] = {0};
    uint16_t segment = 0;
    size_t length = 0;
    g_assert_cmpuint(n, <=, RUN_MAX);
    for (guint i = 0; i < n; i++) {
        memcpy(payload, key && i == 0 ? key_payload : delta_payload, sizeof key_payload);
        memcpy(payload + sizeof key_payload, &serial, sizeof serial);
        serial++;
        struct rtp_out rtp = scene_rtp(scene->sequence++, scene->timestamp, payload);
        rtp.payload_length = sizeof payload;
        scene->timestamp += 3000;
        segment = (uint16_t)endpoint_protect_rtp(scene->from, &rtp, run + length);
        length += segment;
    }
    _Alignas(struct cmsghdr) uint8_t controls[CMSG_SPACE(sizeof segment)] = {0};
    struct iovec vector = {run, length};
    struct msghdr header = {.msg_name = &scene->from->relay,
                            .msg_namelen = sizeof(struct sockaddr_in),
                            .msg_iov = &vector,
                            .msg_iovlen = 1,
                            .msg_control = controls,
                            .msg_controllen = sizeof controls};
    struct cmsghdr *control = CMSG_FIRSTHDR(&header);
    control->cmsg_level = IPPROTO_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof segment);
    memcpy(CMSG_DATA(control), &segment, sizeof segment);
    g_assert_cmpint(sendmsg(scene->from->fd, &header, 0), ==, length);
}

static uint32_t serial_of(const struct packet_in *packet)
{
    uint32_t ret;
    g_assert_cmpuint(packet->length, ==, PAYLOAD_AT + PAYLOAD);
    memcpy(&ret, packet->data + PAYLOAD_AT + sizeof key_payload, sizeof ret);
    return ret;
}

static bool is_key(const struct packet_in *packet)
{
    return memcmp(packet->data + PAYLOAD_AT, key_payload, sizeof key_payload) == 0;
}

/* No hole in the numbers, whatever was left out. */
static void check_numbers(struct endpoint *endpoint)
{
    const struct packet_in *before = NULL;
    for (GList *i = endpoint->rtp.head; i; i = i->next) {
        const struct packet_in *packet = i->data;
        if (before) {
            g_assert_cmpuint((uint16_t)(rtp_sequence(packet) - rtp_sequence(before)), ==, 1);
            g_assert_cmpuint(serial_of(packet), >, serial_of(before));
        }
        before = packet;
    }
    g_assert_cmpuint(endpoint->undecryptable, ==, 0);
}

/* Everything from `first` on, and nothing else. */
static void check_all(struct endpoint *endpoint, uint32_t first, guint n)
{
    check_numbers(endpoint);
    g_assert_cmpuint(endpoint->rtp.length, ==, n);
    for (GList *i = endpoint->rtp.head; i; i = i->next)
        g_assert_cmpuint(serial_of(i->data), ==, first++);
}

static guint worker_of(struct endpoint *endpoint)
{
    return endpoint_stats(endpoint).worker;
}

/* Legs that come and go forget roll-overs of the publisher's numbers: none here. */
static void begin(struct scene *scene, struct relay_config *config, guint n)
{
    scene_begin(scene, config, n, NULL, NULL);
    scene->sequence = 1;
}

/* Until the mirrors are as many as that; commands are on their way. */
static void wait_mirrors(struct scene *scene, guint n)
{
    WAIT_UNTIL(scene->from, test_relay_totals(scene->relay).mirrors == n);
}

/* Those whose last packet is the last one that was published. */
static bool all_have_last(void *user)
{
    struct scene *scene = user;
    for (guint i = 0; i < scene->n; i++) {
        const struct packet_in *last = g_queue_peek_tail(&scene->to[i]->rtp);
        if (!last || serial_of(last) != serial - 1)
            return false;
    }
    return true;
}

/* --- one context, larger than a worker -------------------------------------------------------- */

static void test_forty(void)
{
    struct relay_config config = {.workers = 2, .spread_legs = 32};
    struct scene scene;
    begin(&scene, &config, MANY);
    guint home = worker_of(scene.from), away = 0;
    struct relay_worker_stats stats;
    relay_worker_stats(scene.relay, home, &stats);
    g_assert_cmpuint(stats.legs, ==, 32);
    relay_worker_stats(scene.relay, !home, &stats);
    g_assert_cmpuint(stats.legs, ==, MANY + 1 - 32);
    wait_mirrors(&scene, 1); /* for all of them */
    uint32_t first = serial;
    for (guint i = 0; i < 6; i++) {
        publish_run(&scene, RUN_MAX, i == 0);
        g_assert_true(scene_wait(&scene, all_have_last, &scene, 10000));
    }
    for (guint i = 0; i < MANY; i++)
        check_all(scene.to[i], first, 6 * RUN_MAX);
    stats = test_relay_totals(scene.relay);
    g_assert_cmpuint(stats.ring_dropped, ==, 0);
    g_assert_cmpuint(stats.packets_out, >=, 6 * RUN_MAX * MANY);
    /* The last one over there takes the mirror with it; here nobody notices. */
    struct endpoint *left[MANY];
    guint n = 0;
    for (guint i = 0; i < MANY; i++) {
        if (worker_of(scene.to[i]) == home) {
            left[n++] = scene.to[i];
            continue;
        }
        endpoint_free(scene.to[i]);
        away++;
    }
    g_assert_cmpuint(away, ==, MANY + 1 - 32);
    memcpy(scene.to, left, n * sizeof left[0]);
    scene.n = n;
    wait_mirrors(&scene, 0);
    publish_run(&scene, 5, false);
    g_assert_true(scene_wait(&scene, all_have_last, &scene, 10000));
    check_all(scene.to[0], first, 6 * RUN_MAX + 5);
    scene_end(&scene);
}

/* --- while packets are on their way ----------------------------------------------------------- */

static void drop_received(struct scene *scene)
{
    for (guint i = 0; i < scene->n; i++)
        g_queue_clear_full(&scene->to[i]->rtp, g_free);
}

/* Gaps are allowed in what arrives, not in its numbers. */
static void settle(struct scene *scene)
{
    publish_run(scene, 3, true);
    g_assert_true(scene_wait(scene, all_have_last, scene, 10000));
    for (guint i = 0; i < scene->n; i++)
        check_numbers(scene->to[i]);
    drop_received(scene);
}

static void route_all(struct scene *scene)
{
    for (guint i = 0; i < scene->n; i++)
        relay_route(scene->from->leg, "0", scene->to[i]->leg, "v");
}

/* Routes go and come back, the publisher's m-line too. */
static void test_routes(void)
{
    struct relay_config config = {.workers = 2, .spread_legs = 1};
    struct relay_media from = scene_video("0", true, false, 1000);
    struct relay_media other = scene_audio("0", true, false, 1000);
    struct scene scene;
    begin(&scene, &config, 3); /* the publisher here, 0 and 2 there */
    settle(&scene);
    for (guint round = 0; round < 40; round++) {
        publish_run(&scene, 10, round % 3 == 0);
        switch (round % 4) {
        case 0:
            relay_route(NULL, NULL, scene.to[0]->leg, "v");
            break;
        case 1: /* nobody is left over there */
            relay_route(NULL, NULL, scene.to[2]->leg, "v");
            break;
        case 2:
            relay_leg_set_medias(scene.from->leg, &other, round % 8 == 2);
            break;
        default:
            relay_leg_set_medias(scene.from->leg, &from, 1);
            route_all(&scene);
            route_all(&scene); /* changes nothing */
        }
        publish_run(&scene, 10, false);
    }
    scene_wait(&scene, NULL, NULL, 20);
    endpoint_stats(scene.from);
    wait_mirrors(&scene, 1);
    settle(&scene);
    scene_end(&scene);
}

/* Publishers and subscribers are released with their packets in all queues. */
static void test_releases(void)
{
    struct relay_config config = {.workers = 2, .spread_legs = 1};
    struct relay_media from = scene_video("0", true, false, 1000);
    struct scene scene;
    begin(&scene, &config, 4);
    for (guint round = 0; round < 6; round++) {
        struct endpoint **gone = round % 2 ? &scene.from : &scene.to[round % 4];
        publish_run(&scene, 20, true);
        publish_run(&scene, 20, false);
        endpoint_release(*gone);
        publish_run(&scene, 20, false);
        endpoint_free(*gone);
        *gone = endpoint_new(scene.relay, 1);
        endpoint_connect(*gone);
        endpoint_set_keys(*gone);
        if (gone == &scene.from) {
            relay_leg_set_medias(scene.from->leg, &from, 1);
        } else {
            struct relay_media to = scene_video("v", false, true, SUBSCRIBED_SSRC(round % 4));
            relay_leg_set_medias((*gone)->leg, &to, 1);
        }
        route_all(&scene);
        endpoint_stats(scene.from);
        scene_wait(&scene, NULL, NULL, 10);
        drop_received(&scene); /* their numbers go on */
        settle(&scene);
    }
    g_assert_cmpuint(test_relay_totals(scene.relay).mirrors, <=, 1);
    scene_end(&scene);
}

/* The relay ends with packets in its sockets and rings. */
static void test_shutdown(void)
{
    for (guint round = 0; round < 5; round++) {
        struct relay_config config = {.workers = 2, .spread_legs = 1};
        struct scene scene;
        begin(&scene, &config, 2);
        publish_run(&scene, RUN_MAX, true);
        for (guint i = 0; i < scene.n; i++)
            endpoint_release(scene.to[i]);
        publish_run(&scene, RUN_MAX, false);
        endpoint_release(scene.from);
        publish_run(&scene, RUN_MAX, false);
        scene_end(&scene);
    }
}

/* --- key frames ------------------------------------------------------------------------------- */

/* What all subscribers of both workers want is asked for once. */
static void test_key_frame_once(void)
{
    struct relay_config config = {.workers = 2, .spread_legs = 1, .pli_interval_ms = 60000};
    struct scene scene;
    begin(&scene, &config, 6);
    settle(&scene);
    WAIT_UNTIL(scene.from, endpoint_stats(scene.from).medias[0].key_frames == 1);
    endpoint_take_rtcp(scene.from, PSFB, 1);
    uint64_t before = endpoint_stats(scene.from).medias[0].pli_sent;
    for (guint i = 0; i < scene.n; i++)
        relay_route(NULL, NULL, scene.to[i]->leg, "v");
    route_all(&scene);
    guint asked = 0;
    publish_run(&scene, 5, false);
    WAIT_UNTIL(scene.from, (asked += endpoint_take_rtcp(scene.from, PSFB, 1)) > 0);
    for (guint i = 0; i < 20; i++) {
        publish_run(&scene, 1, false);
        scene_wait(&scene, NULL, NULL, 5);
    }
    g_assert_cmpuint(endpoint_stats(scene.from).medias[0].pli_sent - before, ==, 1);
    for (guint i = 0; i < scene.n; i++)
        g_assert_cmpuint(scene.to[i]->rtp.length, ==, 0);
    settle(&scene);
    scene_end(&scene);
}

/* --- a ring that is too small ----------------------------------------------------------------- */

static void test_overflow(void)
{
    struct relay_config config = {.workers = 2, .spread_legs = 1, .ring_buffer = 8192};
    struct scene scene;
    begin(&scene, &config, 2);
    guint home = worker_of(scene.from);
    struct endpoint *here = scene.to[1], *there = scene.to[0];
    g_assert_cmpuint(worker_of(here), ==, home);
    g_assert_cmpuint(worker_of(there), !=, home);
    settle(&scene);
    endpoint_take_rtcp(scene.from, PSFB, 1);
    uint32_t first = serial;
    publish_run(&scene, RUN_MAX, false); /* seven of them find room */
    g_assert_true(scene_wait_rtp(&scene, here, RUN_MAX));
    check_all(here, first, RUN_MAX);
    struct relay_worker_stats stats;
    relay_worker_stats(scene.relay, home, &stats);
    g_assert_cmpuint(stats.ring_dropped, >, 0);
    guint asked = 0;
    WAIT_UNTIL(scene.from, (asked += endpoint_take_rtcp(scene.from, PSFB, 1)) > 0);
    /* Nothing until the key frame comes; then on, without a hole. */
    publish_run(&scene, 2, false);
    g_assert_true(scene_wait_rtp(&scene, here, RUN_MAX + 2));
    uint32_t key = serial;
    publish_run(&scene, 4, true);
    g_assert_true(scene_wait(&scene, all_have_last, &scene, 5000));
    check_all(here, first, RUN_MAX + 6);
    check_numbers(there);
    g_assert_cmpuint(there->rtp.length, <, RUN_MAX);
    const struct packet_in *begins = g_queue_peek_nth(&there->rtp, there->rtp.length - 4);
    g_assert_true(is_key(begins));
    g_assert_cmpuint(serial_of(begins), ==, key);
    relay_worker_stats(scene.relay, home, &stats);
    g_assert_cmpuint(stats.ring_dropped, ==, RUN_MAX + 6 - there->rtp.length);
    scene_end(&scene);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/relay-workers/forty", test_forty);
    g_test_add_func("/relay-workers/routes", test_routes);
    g_test_add_func("/relay-workers/releases", test_releases);
    g_test_add_func("/relay-workers/shutdown", test_shutdown);
    g_test_add_func("/relay-workers/key-frame-once", test_key_frame_once);
    g_test_add_func("/relay-workers/overflow", test_overflow);
    return g_test_run();
}
