/* SPDX-License-Identifier: Apache-2.0 */
/* Legs whose ICE somebody else does: what comes and goes by their socket is judged, deciphered and
 * routed as that of others, a path that goes is told, and nobody waits for a far end that is slow.
 */
#include "base/loop.h"
#include "tests/flow/relay/scene.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

static struct sockaddr_storage address(const char *text, guint16 port)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&storage;
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    g_assert_cmpint(inet_pton(AF_INET, text, &in->sin_addr), ==, 1);
    return storage;
}

static void up(struct endpoint *endpoint, guint16 port)
{
    struct sockaddr_storage local = address("192.0.2.1", 5000), remote = address("192.0.2.2", port);
    unsigned before = endpoint->connected;
    relay_leg_tunnel_up(endpoint->leg, &local, &remote);
    WAIT_UNTIL(endpoint, endpoint->connected > before);
}

/* A subscriber behind a tunnel to what an ordinary leg publishes, in place of the scene's own. */
static void begin(struct scene *scene)
{
    struct relay_media to = scene_video("v", false, true, SUBSCRIBED_SSRC(1));
    scene_begin(scene, NULL, 1, NULL, NULL);
    scene->to[1] = endpoint_new_tunnel(scene->relay, 1);
    scene->n = 2;
    endpoint_set_keys(scene->to[1]);
    relay_leg_set_medias(scene->to[1]->leg, &to, 1);
    relay_route(scene->from->leg, "0", scene->to[1]->leg, "v");
}

static void test_media(void)
{
    struct scene scene;
    begin(&scene);
    struct endpoint *to = scene.to[1];
    scene_publish(&scene, 3, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 3));
    g_assert_cmpuint(to->rtp.length, ==, 0); /* there is no path yet */
    up(to, 6000);
    struct relay_leg_stats stats = endpoint_stats(to);
    g_assert_cmpuint(((struct sockaddr_in *)&stats.remote)->sin_port, ==, htons(6000));
    scene_publish(&scene, 5, true);
    g_assert_true(scene_wait_rtp(&scene, to, 5));
    g_assert_cmpuint(to->undecryptable, ==, 0);
    up(to, 6001); /* another path */
    scene_publish(&scene, 5, false);
    g_assert_true(scene_wait_rtp(&scene, to, 10));
    scene_end(&scene);
}

/* And the other way. */
static void test_publishes(void)
{
    struct relay_config config = {0};
    struct relay *relay = test_relay_new(&config);
    struct endpoint *from = endpoint_new_tunnel(relay, 1), *to = endpoint_new(relay, 1);
    struct relay_media in = scene_video("0", true, false, 1000),
                       out = scene_video("v", false, true, SUBSCRIBED_SSRC(0));
    endpoint_connect(to);
    endpoint_set_keys(to);
    endpoint_set_keys(from);
    relay_leg_set_medias(from->leg, &in, 1);
    relay_leg_set_medias(to->leg, &out, 1);
    relay_route(from->leg, "0", to->leg, "v");
    up(from, 6000);
    for (guint16 i = 0; i < 5; i++) {
        struct rtp_out rtp = scene_rtp(i, i * 3000u, i ? delta_payload : key_payload);
        endpoint_send_rtp(from, &rtp);
    }
    WAIT_UNTIL(to, to->rtp.length == 5);
    endpoint_stun(from, STUN_NOMINATE); /* which is no business of the relay's here */
    const uint8_t nothing[14] = {22, 0xfe, 0xfd, [12] = 1}; /* a handshake record of an octet */
    endpoint_send_raw(from, nothing, sizeof nothing);
    WAIT_UNTIL(from, from->datagrams->len == 1);
    struct relay_leg_stats stats = endpoint_stats(from);
    g_assert_cmpuint(stats.stun_requests, ==, 0);
    g_assert_cmpuint(from->connected, ==, 1);
    endpoint_free(from);
    endpoint_free(to);
    relay_free(relay);
}

/* Its last datagrams and its end come together: whichever the worker takes up first. */
static void test_released_meanwhile(void)
{
    struct relay_config config = {0};
    struct relay *relay = test_relay_new(&config);
    for (guint i = 0; i < 50; i++) {
        struct endpoint *endpoint = endpoint_new_tunnel(relay, 1);
        endpoint_set_keys(endpoint);
        up(endpoint, 6000);
        for (guint16 n = 0; n < 20; n++) {
            struct rtp_out rtp = scene_rtp(n, n * 3000u, delta_payload);
            endpoint_send_rtp(endpoint, &rtp);
            if (n == i % 20)
                endpoint_release(endpoint);
        }
        endpoint_free(endpoint);
    }
    relay_free(relay);
}

/* The same, with the command found while the worker is at another leg's datagrams, and the socket
 * of the leg that goes is among those that were ready. */
static void test_released_beside(void)
{
    struct relay_config config = {0};
    struct relay *relay = test_relay_new(&config);
    struct endpoint *busy = endpoint_new_tunnel(relay, 1);
    guint16 sequence = 0;
    endpoint_set_keys(busy);
    up(busy, 6000);
    for (guint i = 0; i < 50; i++) {
        struct endpoint *endpoint = endpoint_new_tunnel(relay, 1);
        endpoint_set_keys(endpoint);
        up(endpoint, 6001);
        for (guint n = 0; n < 60; n++) {
            struct rtp_out rtp = scene_rtp(sequence, sequence * 3000u, delta_payload);
            endpoint_send_rtp(n == 30 ? endpoint : busy, &rtp);
            sequence++;
            if (n == 30 + i % 20)
                endpoint_release(endpoint);
        }
        endpoint_free(endpoint);
    }
    endpoint_free(busy);
    relay_free(relay);
}

static void test_down(void)
{
    struct scene scene;
    begin(&scene);
    struct endpoint *to = scene.to[1];
    relay_leg_tunnel_down(to->leg, "no candidate answers");
    WAIT_UNTIL(to, to->failed == 1);
    up(to, 6000);
    scene_publish(&scene, 2, true);
    g_assert_true(scene_wait_rtp(&scene, to, 2));
    relay_leg_tunnel_down(to->leg, "it does not answer any more");
    WAIT_UNTIL(to, to->expired == 1);
    scene_publish(&scene, 5, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 7));
    g_assert_cmpuint(to->rtp.length, ==, 2);
    up(to, 6000); /* ICE was restarted */
    scene_publish(&scene, 5, true);
    g_assert_true(scene_wait_rtp(&scene, to, 7));
    scene_end(&scene);
}

/* Whoever does not read loses packets; others lose none. */
static void test_slow(void)
{
    struct scene scene;
    begin(&scene);
    struct endpoint *to = scene.to[1];
    up(to, 6000);
    scene.n = 1; /* nobody serves it now */
    for (guint i = 0; i < 40; i++) {
        scene_publish(&scene, 50, i == 0);
        g_assert_true(scene_wait_rtp(&scene, scene.to[0], 50 * (i + 1)));
    }
    scene.n = 2;
    struct relay_leg_stats stats = endpoint_stats(to);
    g_assert_cmpuint(stats.send_failed, >, 0);
    g_assert_cmpuint(to->rtp.length, <, 2000);
    close(to->fd); /* its far end is gone: an error like any other */
    to->fd = endpoint_socket(to);
    scene_publish(&scene, 50, false);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 50 * 41));
    scene_end(&scene);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/tunnel/media", test_media);
    g_test_add_func("/tunnel/publishes", test_publishes);
    g_test_add_func("/tunnel/down", test_down);
    g_test_add_func("/tunnel/slow", test_slow);
    g_test_add_func("/tunnel/released-meanwhile", test_released_meanwhile);
    g_test_add_func("/tunnel/released-beside", test_released_beside);
    return g_test_run();
}
