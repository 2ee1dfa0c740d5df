/* SPDX-License-Identifier: Apache-2.0 */
/* The relay from outside: real sockets on loopback, a real worker thread, an endpoint that shares
 * no code with it. */
#include "base/loop.h"
#include "tests/flow/relay/endpoint.h"

#include <string.h>

#define VIDEO_PT 96
#define AUDIO_PT 111

static const uint8_t key_payload[] = {0x10, 0x00, 0x9d, 0x01, 0x2a, 1, 2, 3}; /* VP8, S=1, P=0 */
static const uint8_t delta_payload[] = {0x10, 0x01, 9, 9, 9, 9, 9, 9};

static struct relay_media video(const char *mid, bool receive, bool send, uint32_t local_ssrc)
{
    struct relay_media media = {.kind = RELAY_VIDEO,
                                .receive = receive,
                                .send = send,
                                .mid_extmap = 3,
                                .n_recv_codecs = 1,
                                .n_send_codecs = 1,
                                .local_ssrc = local_ssrc,
                                .rtcp_rsize = true};
    g_strlcpy(media.mid, mid, sizeof media.mid);
    media.recv_codecs[0] = media.send_codecs[0] =
        (struct relay_codec){.pt = VIDEO_PT,
                             .clock_rate = 90000,
                             .format = g_intern_static_string("video/VP8/90000"),
                             .nack = true,
                             .pli = true};
    return media;
}

static struct rtp_out rtp_of(uint16_t sequence, const uint8_t *payload)
{
    return (struct rtp_out){.pt = VIDEO_PT,
                            .sequence = sequence,
                            .timestamp = sequence * 3000u,
                            .ssrc = 0x1111,
                            .level = -1,
                            .payload = payload,
                            .payload_length = sizeof key_payload};
}

struct expect_rtp {
    struct endpoint *endpoint;
    guint n;
};

static bool have_rtp(void *user)
{
    struct expect_rtp *expect = user;
    return expect->endpoint->rtp.length >= expect->n;
}

static bool wait_rtp(struct endpoint *endpoint, guint n)
{
    return endpoints_wait((struct endpoint *[]){endpoint, NULL}, have_rtp,
                          &(struct expect_rtp){endpoint, n}, 3000);
}

static void pass(guint ms, struct endpoint *endpoint)
{
    endpoints_wait((struct endpoint *[]){endpoint, NULL}, NULL, NULL, ms);
}

static void test_one_to_one(void)
{
    struct relay_config config = {0};
    struct relay *relay = test_relay_new(&config);
    struct endpoint *a = endpoint_new(relay, 1), *b = endpoint_new(relay, 1);
    struct relay_media from = video("0", true, false, 100), to = video("v", false, true, 200);
    endpoint_connect(a);
    endpoint_connect(b);
    endpoint_set_keys(a);
    endpoint_set_keys(b);
    relay_leg_set_medias(a->leg, &from, 1);
    relay_leg_set_medias(b->leg, &to, 1);
    relay_route(a->leg, "0", b->leg, "v");
    pass(10, a);
    for (uint16_t i = 0; i < 10; i++) {
        struct rtp_out rtp = rtp_of((uint16_t)(65530 + i), i == 0 ? key_payload : delta_payload);
        endpoint_send_rtp(a, &rtp);
    }
    g_assert_true(wait_rtp(b, 10));
    g_assert_cmpuint(b->undecryptable, ==, 0);
    g_assert_cmpuint(a->first_media, ==, 1);
    for (guint i = 0; i < 10; i++) {
        struct packet_in *packet = g_queue_peek_nth(&b->rtp, i), *first = b->rtp.head->data;
        uint16_t sequence = (uint16_t)(packet->data[2] << 8 | packet->data[3]);
        uint16_t beginning = (uint16_t)(first->data[2] << 8 | first->data[3]);
        g_assert_cmpuint((uint16_t)(sequence - beginning), ==, i);
        g_assert_cmpuint(packet->data[11], ==, 200);
        /* mid of the subscriber: one-byte form, id 3, one character */
        g_assert_cmpmem(packet->data + 12, 8, "\xbe\xde\x00\x01\x30v\x00\x00", 8);
        g_assert_cmpmem(packet->data + 20, packet->length - 20, i ? delta_payload : key_payload,
                        sizeof key_payload);
    }
    endpoint_free(a);
    endpoint_free(b);
    relay_free(relay);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/relay/one-to-one", test_one_to_one);
    return g_test_run();
}
