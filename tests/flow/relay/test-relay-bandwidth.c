/* SPDX-License-Identifier: Apache-2.0 */
/* Congestion control on real sockets: what publishers are told of their way to us, and what the
 * relay makes of what subscribers tell. */
#include "base/loop.h"
#include "tests/flow/relay/scene.h"
#include "wmcf/relay/rtp.h"
#include "wmcf/relay/transport-feedback.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RTPFB = 205, PSFB = 206 };
#define WIDE_ID 4
#define TIME_ID 6

struct wide { /* what the publisher has been told, by number */
    bool told[0x10000], received[0x10000];
    uint32_t at[0x10000]; /* ticks; of received ones */
    guint feedbacks, received_count;
    uint64_t remb;
};

static struct relay_media publisher(bool wide, bool remb)
{
    struct relay_media media = scene_video("0", true, false, 1000);
    media.recv_codecs[0].transport_cc = wide;
    media.recv_codecs[0].remb = remb;
    media.transport_cc_extmap = wide ? WIDE_ID : 0;
    media.abs_send_time_extmap = remb ? TIME_ID : 0;
    return media;
}

static void publish(struct scene *scene, uint16_t wide, guint n)
{
    for (guint i = 0; i < n; i++) {
        struct rtp_out rtp = scene_rtp(scene->sequence++, scene->timestamp, delta_payload);
        uint16_t number = (uint16_t)(wide + i);
        uint8_t element[] = {WIDE_ID << 4 | 1, (uint8_t)(number >> 8), (uint8_t)number};
        rtp.elements = element;
        rtp.elements_length = sizeof element;
        scene->timestamp += 3000;
        endpoint_send_rtp(scene->from, &rtp);
    }
}

static uint32_t read32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void take_feedback(struct wide *wide, const uint8_t *p, size_t length)
{
    struct transport_feedback reader;
    struct transport_arrival arrival;
    g_assert_cmpuint(read32(p + 4), ==, 1000); /* our SSRC towards the publisher */
    g_assert_cmpuint(read32(p + 8), ==, PUBLISHED_SSRC);
    g_assert_true(transport_feedback_begin(&reader, p + 12, length - 12));
    g_assert_cmpuint(reader.number, ==, (uint8_t)wide->feedbacks);
    wide->feedbacks++;
    while (transport_feedback_next(&reader, &arrival)) {
        wide->told[arrival.sequence] = true;
        wide->received_count += arrival.received && !wide->received[arrival.sequence];
        wide->received[arrival.sequence] |= arrival.received;
        if (arrival.received)
            wide->at[arrival.sequence] = reader.reference * 256 + (uint32_t)arrival.ticks;
    }
}

static void look(struct endpoint *endpoint, struct wide *wide)
{
    for (struct packet_in *packet; (packet = g_queue_pop_head(&endpoint->rtcp));) {
        for (size_t at = 0; at + 4 <= packet->length;) {
            const uint8_t *p = packet->data + at;
            size_t length = ((size_t)(p[2] << 8 | p[3]) + 1) * 4;
            if (p[1] == RTPFB && (p[0] & 0x1f) == 15)
                take_feedback(wide, p, length);
            if (p[1] == PSFB && (p[0] & 0x1f) == 15 && memcmp(p + 12, "REMB", 4) == 0)
                wide->remb = (uint64_t)(read32(p + 16) & 0x3ffff) << (read32(p + 16) >> 18 & 0x3f);
            at += length;
        }
        g_free(packet);
    }
}

static bool told_of(struct scene *scene, struct wide *wide, guint n)
{
    for (guint i = 0; i < 1000 && wide->received_count < n; i++) {
        scene_wait(scene, NULL, NULL, 5);
        look(scene->from, wide);
    }
    return wide->received_count == n;
}

static void test_feedback(void)
{
    static struct wide wide;
    struct scene scene;
    struct relay_media media = publisher(true, false);
    memset(&wide, 0, sizeof wide);
    scene_begin(&scene, NULL, 1, NULL, NULL);
    relay_leg_set_medias(scene.from->leg, &media, 1);
    publish(&scene, 65530, 10); /* across the wrap */
    g_assert_true(told_of(&scene, &wide, 10));
    publish(&scene, 8, 5); /* 4 to 7 are lost */
    g_assert_true(told_of(&scene, &wide, 15));
    for (guint i = 0; i < 13; i++) {
        g_assert_true(wide.told[i]);
        g_assert_cmpint(wide.received[i], ==, i < 4 || i > 7);
    }
    /* more than one feedback packet takes */
    for (guint i = 0; i < 12; i++) {
        publish(&scene, (uint16_t)(13 + 50 * i), 50);
        g_assert_true(told_of(&scene, &wide, 15 + 50 * (i + 1)));
    }
    guint before = wide.feedbacks;
    media = publisher(false, false);
    relay_leg_set_medias(scene.from->leg, &media, 1);
    publish(&scene, 613, 10);
    WAIT_UNTIL(scene.from, endpoint_stats(scene.from).medias[0].packets_in == 625);
    scene_wait(&scene, NULL, NULL, 300);
    look(scene.from, &wide);
    g_assert_cmpuint(wide.feedbacks, ==, before);
    scene_end(&scene);
}

static atomic_bool standing, released;

static void stand(int number)
{
    static const struct timespec moment = {.tv_nsec = 1000000};
    (void)number;
    atomic_store(&standing, true);
    while (!atomic_load(&released))
        nanosleep(&moment, NULL);
}

static void signal_worker(int number)
{
    g_autoptr(GDir) tasks = g_dir_open("/proc/self/task", 0, NULL);
    for (const char *task; (task = g_dir_read_name(tasks));) {
        g_autofree char *path = g_strdup_printf("/proc/self/task/%s/comm", task), *name = NULL;
        if (g_file_get_contents(path, &name, NULL, NULL) && strcmp(name, "relay-0\n") == 0)
            g_assert_cmpint(syscall(SYS_tgkill, getpid(), atoi(task), number), ==, 0);
    }
}

/* Packets that a thread without time has read late, and all at once, came when they came. */
static void test_busy(void)
{
    static struct wide wide;
    struct scene scene;
    struct relay_media media = publisher(true, false);
    memset(&wide, 0, sizeof wide);
    scene_begin(&scene, NULL, 1, NULL, NULL);
    relay_leg_set_medias(scene.from->leg, &media, 1);
    publish(&scene, 0, 1);
    g_assert_true(told_of(&scene, &wide, 1));
    signal(SIGUSR1, stand);
    signal_worker(SIGUSR1);
    while (!atomic_load(&standing))
        g_usleep(1000);
    for (guint i = 1; i < 6; i++) {
        publish(&scene, (uint16_t)i, 1);
        g_usleep(30000);
    }
    atomic_store(&released, true);
    g_assert_true(told_of(&scene, &wide, 6));
    for (guint i = 2; i < 6; i++)
        g_assert_cmpuint(wide.at[i] - wide.at[i - 1], >=, 30000 / TRANSPORT_TICK_US - 1);
    scene_end(&scene);
}

/* A closed gate says nothing about the network. */
static void test_gate(void)
{
    static struct wide wide;
    struct scene scene;
    struct qos_slot uplink = {.open = 1};
    struct relay_media media = publisher(true, false);
    media.slot[QOS_UPLINK] = &uplink;
    memset(&wide, 0, sizeof wide);
    scene_begin(&scene, NULL, 1, &uplink, NULL);
    relay_leg_set_medias(scene.from->leg, &media, 1);
    publish(&scene, 0, 5);
    g_assert_true(told_of(&scene, &wide, 5));
    __atomic_store_n(&uplink.open, 0, __ATOMIC_RELAXED);
    publish(&scene, 5, 5);
    WAIT_UNTIL(scene.from, __atomic_load_n(&uplink.gate_discarded, __ATOMIC_RELAXED) == 5);
    relay_leg_gate_opened(scene.from->leg, "0");
    __atomic_store_n(&uplink.open, 1, __ATOMIC_RELAXED);
    publish(&scene, 10, 5);
    g_assert_true(told_of(&scene, &wide, 15));
    scene_end(&scene);
}

/* Where the endpoint has nothing better: at first what the configuration says, then what comes. */
static void test_remb(void)
{
    static struct wide wide;
    struct relay_config config = {.bitrate_start = 300};
    struct scene scene;
    struct relay_media media = publisher(false, true);
    memset(&wide, 0, sizeof wide);
    scene_begin(&scene, &config, 1, NULL, NULL);
    relay_leg_set_medias(scene.from->leg, &media, 1);
    int64_t begun = g_get_monotonic_time();
    for (guint i = 0; i < 1000 && !wide.remb; i++) {
        struct rtp_out rtp = scene_rtp(scene.sequence++, scene.timestamp, delta_payload);
        uint32_t time = (uint32_t)(((g_get_monotonic_time() - begun) << 18) / 1000000);
        uint8_t element[] = {TIME_ID << 4 | 2, (uint8_t)(time >> 16), (uint8_t)(time >> 8),
                             (uint8_t)time};
        rtp.elements = element;
        rtp.elements_length = sizeof element;
        scene.timestamp += 3000;
        endpoint_send_rtp(scene.from, &rtp);
        scene_wait(&scene, NULL, NULL, 10);
        look(scene.from, &wide);
    }
    g_assert_cmpuint(wide.remb, >=, 150000);
    g_assert_cmpuint(wide.remb, <=, 600000);
    g_assert_cmpuint(wide.feedbacks, ==, 0);
    scene_end(&scene);
}

/* --- what subscribers get --------------------------------------------------------------------- */

enum { SEND_AUDIO, SEND_VIDEO };
#define RTX_PT 97
#define VIDEO_SSRC 2000
#define AUDIO_SSRC 2001
#define RTX_SSRC 2002
#define PACKET 1100

/* A link in front of the subscriber: its packets arrive when such a link would have let them, which
 * is what the feedback tells. Real time otherwise. */
struct link {
    struct scene scene;
    struct relay_media to[2];
    struct transport_arrivals arrivals;
    uint32_t rate; /* bits/s, 0 = unlimited */
    int64_t free_at;
    int64_t report_at;
    guint media[2], padding, numbers, disordered;
    uint16_t next_number, audio_sequence;
    bool begun;
    double credit;
    int64_t published_at;
    guint published[2];
};

static void link_begin(struct link *link, struct relay_config *config)
{
    struct relay_media from[2] = {scene_audio("a", true, false, 1001),
                                  scene_video("0", true, false, 1000)};
    struct relay_media to[2] = {scene_audio("a", false, true, AUDIO_SSRC),
                                scene_video("v", false, true, VIDEO_SSRC)};
    memset(link, 0, sizeof *link);
    scene_begin(&link->scene, config, 1, NULL, NULL);
    to[0].transport_cc_extmap = to[1].transport_cc_extmap = WIDE_ID;
    to[0].send_codecs[0].transport_cc = to[1].send_codecs[0].transport_cc = true;
    to[1].send_codecs[0].rtx_pt = RTX_PT;
    to[1].local_rtx_ssrc = RTX_SSRC;
    relay_leg_set_medias(link->scene.from->leg, from, 2);
    memcpy(link->to, to, sizeof to);
    relay_leg_set_medias(link->scene.to[0]->leg, to, 2);
    relay_route(link->scene.from->leg, "a", link->scene.to[0]->leg, "a");
    relay_route(link->scene.from->leg, "0", link->scene.to[0]->leg, "v");
    endpoint_stats(link->scene.to[0]);
    link->published_at = g_get_monotonic_time();
}

static void note_number(struct link *link, const struct packet_in *packet)
{
    struct rtp_header header;
    size_t length;
    g_assert_true(rtp_header_parse(packet->data, packet->length, &header));
    const uint8_t *wide = rtp_extension_find(&header, WIDE_ID, &length);
    g_assert_true(wide && length == 2);
    uint16_t number = (uint16_t)(wide[0] << 8 | wide[1]);
    link->disordered += link->begun && number != link->next_number;
    link->begun = true;
    link->next_number = (uint16_t)(number + 1);
    link->numbers++;
    int64_t now = g_get_monotonic_time();
    if (link->rate) {
        if (link->free_at > now + 300000) /* its queue is full */
            return;
        link->free_at =
            MAX(link->free_at, now) + (int64_t)(packet->length + 28) * 8000000 / link->rate;
    }
    transport_arrivals_add(&link->arrivals, number, link->rate ? link->free_at : now);
    if (header.ssrc == RTX_SSRC)
        link->padding++;
    else
        link->media[header.ssrc == VIDEO_SSRC ? SEND_VIDEO : SEND_AUDIO]++;
}

static void report(struct link *link)
{
    uint8_t packet[1000] = {0x8f, RTPFB, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2};
    size_t length;
    if (g_get_monotonic_time() < link->report_at)
        return;
    link->report_at = g_get_monotonic_time() + 50000;
    while ((length = transport_arrivals_write(&link->arrivals, packet + 12, 900))) {
        size_t words = (12 + length) / 4 - 1;
        packet[2] = (uint8_t)(words >> 8);
        packet[3] = (uint8_t)words;
        endpoint_send_rtcp(link->scene.to[0], packet, 12 + length);
    }
}

static void send_media(struct link *link, unsigned kind, size_t length)
{
    static uint8_t payload[PACKET];
    struct scene *scene = &link->scene;
    memcpy(payload, kind == SEND_VIDEO ? key_payload : delta_payload, sizeof key_payload);
    struct rtp_out rtp = scene_rtp(scene->sequence, scene->timestamp, payload);
    rtp.payload_length = length;
    if (kind == SEND_AUDIO) {
        rtp.pt = AUDIO_PT;
        rtp.ssrc = 0x22222222;
        rtp.sequence = link->audio_sequence++;
    } else {
        scene->sequence++;
        scene->timestamp += 90;
    }
    link->published[kind]++;
    endpoint_send_rtp(scene->from, &rtp);
}

/* Publishes audio and `video` bits/s for a while. */
static void link_run(struct link *link, uint32_t video, guint ms)
{
    for (int64_t end = g_get_monotonic_time() + ms * 1000; g_get_monotonic_time() < end;) {
        int64_t now = g_get_monotonic_time();
        if (now - link->published_at >= 20000) {
            int64_t passed = MIN(now - link->published_at, 100000);
            link->credit += (double)video * (double)passed / 8e6;
            link->published_at = now;
            send_media(link, SEND_AUDIO, 80);
            for (; link->credit >= PACKET; link->credit -= PACKET)
                send_media(link, SEND_VIDEO, PACKET);
        }
        scene_wait(&link->scene, NULL, NULL, 3);
        for (struct packet_in *packet; (packet = g_queue_pop_head(&link->scene.to[0]->rtp));) {
            note_number(link, packet);
            g_free(packet);
        }
        report(link);
    }
}

static struct relay_leg_stats link_stats(struct link *link)
{
    return endpoint_stats(link->scene.to[0]);
}

/* Every packet has its number, in order, padding too; the estimate is known and probed for. */
static void test_numbers(void)
{
    static struct link link;
    struct relay_config config = {.bitrate_start = 300};
    struct relay_leg_stats stats;
    /* Media that comes just then takes the place of padding: until that was needed. */
    for (guint attempt = 0; attempt < 10 && link.padding == 0; attempt++) {
        if (attempt)
            scene_end(&link.scene);
        link_begin(&link, &config);
        for (guint i = 0; i < 20 && link.media[SEND_VIDEO] < 50; i++)
            link_run(&link, 600000, 200);
        for (guint i = 0; i < 20 && (stats = link_stats(&link)).probes == 0; i++)
            link_run(&link, 600000, 200);
    }
    link_run(&link, 600000, 200);
    stats = link_stats(&link);
    g_test_message("estimate %u wanted %u probes %" G_GUINT64_FORMAT " padding %u",
                   stats.available_outgoing_bitrate, stats.wanted_bitrate, stats.probes,
                   link.padding);
    g_assert_cmpuint(link.disordered, ==, 0);
    g_assert_cmpuint(link.padding, >, 0);
    g_assert_cmpuint(stats.probes, >, 0);
    g_assert_cmpuint(stats.available_outgoing_bitrate, >, 300000);
    g_assert_cmpuint(stats.medias[1].padding_octets_out, >, 0);
    g_assert_cmpuint(link.media[SEND_AUDIO], >=, link.published[SEND_AUDIO] - 2);
    scene_end(&link.scene);
}

/* The subscriber is on hold, and resumed: the numbers go on where they were, or it would take them
 * for repetitions and tell of the former packets' arrival, by which a queue of seconds stands. */
static void test_hold(void)
{
    static struct link link;
    link_begin(&link, NULL);
    for (guint i = 0; i < 20 && link.numbers < 50; i++)
        link_run(&link, 600000, 200);
    for (guint i = 0; i < 2; i++) {
        link.to[0].send = link.to[1].send = i == 1;
        relay_leg_set_medias(link.scene.to[0]->leg, link.to, 2);
        endpoint_stats(link.scene.to[0]);
        guint before = link.numbers;
        link_run(&link, 600000, 500);
        g_assert_cmpint(link.numbers > before + 20, ==, i == 1);
    }
    g_assert_cmpuint(link.disordered, ==, 0);
    g_assert_cmpuint(link_stats(&link).available_outgoing_bitrate, >=, 800000);
    g_assert_false(link_stats(&link).medias[1].paused);
    scene_end(&link.scene);
}

/* Nominated from another port of its address, or from another address of loopback. */
static void link_move(struct link *link, const char *address)
{
    struct endpoint *to = link->scene.to[0];
    struct sockaddr_storage relay = to->relay;
    unsigned connected = to->connected;
    close(to->fd);
    inet_pton(AF_INET, address, &((struct sockaddr_in *)&to->relay)->sin_addr);
    to->roams = true;
    to->fd = endpoint_socket(to);
    to->relay = relay;
    endpoint_stun(to, STUN_NOMINATE);
    WAIT_UNTIL(to, to->connected > connected);
}

/* Another network says nothing about the former one's rate; another port of it goes on with that.
 */
static void test_network(void)
{
    static struct link link;
    struct relay_config config = {.bitrate_start = 100};
    link_begin(&link, &config);
    for (guint i = 0; i < 150 && link_stats(&link).available_outgoing_bitrate < 400000; i++)
        link_run(&link, 600000, 200);
    g_assert_cmpuint(link_stats(&link).available_outgoing_bitrate, >=, 400000);
    link_move(&link, "127.0.0.1");
    g_assert_cmpuint(link_stats(&link).available_outgoing_bitrate, >=, 200000);
    link_move(&link, "127.0.0.3");
    g_assert_cmpuint(link_stats(&link).available_outgoing_bitrate, ==, 100000);
    for (guint i = 0; i < 150 && link_stats(&link).available_outgoing_bitrate < 400000; i++)
        link_run(&link, 600000, 200);
    g_assert_cmpuint(link_stats(&link).available_outgoing_bitrate, >=, 400000);
    scene_end(&link.scene);
}

/* Too little for the video: it pauses, audio goes on; room again: it resumes. */
static void test_pause(void)
{
    static struct link link;
    link_begin(&link, NULL);
    link_run(&link, 700000, 1000);
    guint video = link.media[SEND_VIDEO];
    g_assert_cmpuint(video, >, 0);
    link.rate = 200000;
    for (guint i = 0; i < 50 && !link_stats(&link).medias[1].paused; i++)
        link_run(&link, 700000, 200);
    g_assert_true(link_stats(&link).medias[1].paused);
    link_run(&link, 700000, 500);
    guint before[2] = {link.media[SEND_AUDIO], link.media[SEND_VIDEO]};
    guint audio = link.published[SEND_AUDIO];
    link_run(&link, 700000, 500);
    g_assert_cmpuint(link.media[SEND_VIDEO], ==, before[SEND_VIDEO]);
    g_assert_cmpuint(link.media[SEND_AUDIO] - before[SEND_AUDIO] + 3, >=,
                     link.published[SEND_AUDIO] - audio);
    link.rate = 0;
    for (guint i = 0; i < 75 && link_stats(&link).medias[1].paused; i++)
        link_run(&link, 700000, 200);
    g_assert_false(link_stats(&link).medias[1].paused);
    link_run(&link, 700000, 500);
    g_assert_cmpuint(link.media[SEND_VIDEO], >, before[SEND_VIDEO]);
    g_assert_cmpuint(link.disordered, ==, 0);
    scene_end(&link.scene);
}

/* A burst is spread, nothing of it is lost, audio does not wait behind it. */
static void test_pacing(void)
{
    static struct link link;
    struct relay_config config = {.bitrate_start = 400, .bitrate_max = 800};
    link_begin(&link, &config);
    link_run(&link, 200000, 600);
    uint64_t paced = link_stats(&link).paced_packets;
    guint before[2] = {link.media[SEND_AUDIO], link.media[SEND_VIDEO]};
    for (guint i = 0; i < 40; i++)
        send_media(&link, SEND_VIDEO, PACKET);
    send_media(&link, SEND_AUDIO, 80);
    guint waited = 0;
    for (guint i = 0; i < 1000 && link.media[SEND_VIDEO] < before[SEND_VIDEO] + 40; i++) {
        link_run(&link, 0, 5);
        if (link.media[SEND_AUDIO] > before[SEND_AUDIO] && !waited)
            waited = before[SEND_VIDEO] + 40 - link.media[SEND_VIDEO];
    }
    g_assert_cmpuint(link.media[SEND_VIDEO], ==, before[SEND_VIDEO] + 40);
    g_assert_cmpuint(link.disordered, ==, 0);
    g_assert_cmpuint(link_stats(&link).paced_packets, >, paced + 5);
    g_test_message("%u packets behind the audio", waited);
    g_assert_cmpuint(waited, >, 0);
    /* what waits when the leg goes, goes with it */
    for (guint i = 0; i < 60; i++)
        send_media(&link, SEND_VIDEO, PACKET);
    scene_end(&link.scene);
}

/* Without feedback that was negotiated, and with broken feedback: nothing is withheld. */
static void test_silent(void)
{
    static struct link link;
    uint8_t broken[] = {0x8f, RTPFB, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0};
    link_begin(&link, NULL);
    link.report_at = INT64_MAX;
    link_run(&link, 2000000, 500);
    endpoint_send_rtcp(link.scene.to[0], broken, sizeof broken);
    link_run(&link, 2000000, 1500);
    struct relay_leg_stats stats = link_stats(&link);
    g_assert_cmpuint(stats.available_outgoing_bitrate, ==, 0);
    g_assert_false(stats.medias[1].paused);
    for (guint i = 0; i < 1000 && link.media[SEND_VIDEO] < link.published[SEND_VIDEO]; i++)
        link_run(&link, 0, 5);
    g_assert_cmpuint(link.media[SEND_VIDEO], ==, link.published[SEND_VIDEO]);
    g_assert_cmpuint(test_relay_totals(link.scene.relay).malformed, ==, 1);
    scene_end(&link.scene);
}

int main(int argc, char **argv)
{
    loop_init(1000);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/relay-bandwidth/feedback", test_feedback);
    g_test_add_func("/relay-bandwidth/busy", test_busy);
    g_test_add_func("/relay-bandwidth/gate", test_gate);
    g_test_add_func("/relay-bandwidth/remb", test_remb);
    g_test_add_func("/relay-bandwidth/numbers", test_numbers);
    g_test_add_func("/relay-bandwidth/hold", test_hold);
    g_test_add_func("/relay-bandwidth/network", test_network);
    g_test_add_func("/relay-bandwidth/pause", test_pause);
    g_test_add_func("/relay-bandwidth/pacing", test_pacing);
    g_test_add_func("/relay-bandwidth/silent", test_silent);
    return g_test_run();
}
