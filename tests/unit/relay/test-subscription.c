/* SPDX-License-Identifier: Apache-2.0 */
#include "wmcf/relay/subscription.h"

#include <glib.h>
#include <string.h>

#define MS INT64_C(1000)

static const char *vp8, *h264;

static struct relay_media media(void)
{
    struct relay_media ret = {.kind = RELAY_VIDEO,
                              .send = true,
                              .mid_extmap = 4,
                              .mid = "v1",
                              .n_send_codecs = 2,
                              .local_ssrc = 777};
    ret.send_codecs[0] = (struct relay_codec){.pt = 100, .clock_rate = 90000, .format = h264};
    ret.send_codecs[1] = (struct relay_codec){.pt = 101, .clock_rate = 90000, .format = vp8};
    return ret;
}

static struct packet packet(uint64_t index, uint32_t timestamp, uint32_t epoch, bool entry,
                            int64_t arrival)
{
    return (struct packet){.index = index,
                           .timestamp = timestamp,
                           .epoch = epoch,
                           .entry = entry,
                           .arrival = arrival,
                           .clock_rate = 90000,
                           .format = vp8};
}

struct result {
    struct rtp_fields fields;
    uint64_t index;
};

static struct result take(struct subscription *subscription, struct packet packet)
{
    struct result ret;
    g_assert_cmpint(subscription_judge(subscription, &packet), ==, SUBSCRIPTION_TAKES);
    subscription_rewrite(subscription, &packet, 101, &ret.fields, &ret.index);
    g_assert_cmpuint(ret.fields.ssrc, ==, 777);
    g_assert_cmpuint(ret.fields.sequence, ==, (uint16_t)ret.index);
    return ret;
}

static void begin(struct subscription *subscription)
{
    struct relay_media negotiated = media();
    subscription_init(subscription, NULL, 0x12345678);
    subscription_configure(subscription, &negotiated);
}

static void test_payload_types(void)
{
    struct subscription subscription;
    begin(&subscription);
    g_assert_cmpint(subscription_payload_type(&subscription, vp8), ==, 101);
    g_assert_cmpint(subscription_payload_type(&subscription, h264), ==, 100);
    g_assert_cmpint(
        subscription_payload_type(&subscription, g_intern_static_string("video/AV1/90000")), ==,
        -1);
    struct relay_media negotiated = media();
    negotiated.n_send_codecs = 1;
    subscription_configure(&subscription, &negotiated);
    g_assert_cmpint(subscription_payload_type(&subscription, vp8), ==, -1);
}

static void test_waits_for_key_frame(void)
{
    struct subscription subscription;
    begin(&subscription);
    struct packet delta = packet(50, 1000, 1, false, 0), late = packet(50, 1000, 1, false, 0);
    g_assert_cmpint(subscription_judge(&subscription, &delta), ==, SUBSCRIPTION_WAITS);
    struct result first = take(&subscription, packet(51, 4000, 1, true, 0));
    g_assert_cmpuint(first.index, <=, 0x8000); /* RFC 3711: below 2^15 */
    g_assert_cmpint(subscription_judge(&subscription, &late), ==, SUBSCRIPTION_PASSED);
    struct result second = take(&subscription, packet(52, 7000, 1, false, 0));
    g_assert_cmpuint(second.index, ==, first.index + 1);
    g_assert_cmpuint(second.fields.timestamp - first.fields.timestamp, ==, 3000);
}

static void test_change_of_source(void)
{
    struct subscription subscription;
    begin(&subscription);
    take(&subscription, packet(65534, 0xffffff00, 1, true, 1000 * MS));
    struct result before =
        take(&subscription, packet(65537, 0xffffff00u + 3000, 1, false, 1033 * MS));
    /* another source, other numbers; 100 ms later by the wall */
    struct packet delta = packet(7, 123, 2, false, 1100 * MS);
    g_assert_cmpint(subscription_judge(&subscription, &delta), ==, SUBSCRIPTION_WAITS);
    struct result after = take(&subscription, packet(8, 3123, 2, true, 1133 * MS));
    g_assert_cmpuint(after.index, ==, before.index + 1);
    g_assert_cmpuint(after.fields.timestamp - before.fields.timestamp, >=, 9000);
    g_assert_cmpuint(after.fields.timestamp - before.fields.timestamp, <=, 9001);
    /* what is left of the old epoch does not bring it back */
    struct result next = take(&subscription, packet(9, 6123, 2, false, 1166 * MS));
    g_assert_cmpuint(next.index, ==, after.index + 1);
    g_assert_cmpuint(next.fields.timestamp - after.fields.timestamp, ==, 3000);
}

static void test_interruption(void)
{
    struct subscription subscription;
    begin(&subscription);
    struct result before = take(&subscription, packet(100, 1000, 1, true, 0));
    subscription_interrupt(&subscription);
    struct packet delta = packet(200, 2000, 1, false, 0);
    g_assert_cmpint(subscription_judge(&subscription, &delta), ==, SUBSCRIPTION_WAITS);
    /* even if no time has passed the timestamp moves on */
    struct result after = take(&subscription, packet(201, 2000, 1, true, 0));
    g_assert_cmpuint(after.index, ==, before.index + 1);
    g_assert_cmpuint(after.fields.timestamp - before.fields.timestamp, ==, 1);
}

static void test_wraps(void)
{
    struct subscription subscription;
    begin(&subscription);
    uint64_t last = 0;
    for (uint64_t i = 0; i < 200000; i++) {
        struct result result = take(
            &subscription, packet(60000 + i, (uint32_t)(0xfffff000u + i * 3000), 1, i == 0, 0));
        if (i)
            g_assert_cmpuint(result.index, ==, last + 1);
        last = result.index;
    }
    uint64_t source, index;
    g_assert_true(subscription_find(&subscription, (uint16_t)(last - 300), &source, &index));
    g_assert_cmpuint(index, ==, last - 300);
    g_assert_cmpuint(source, ==, 60000 + 199999 - 300);
    g_assert_false(subscription_find(&subscription, (uint16_t)(last + 1), &source, &index));
}

static void test_skip(void)
{
    struct subscription subscription;
    begin(&subscription);
    struct result a = take(&subscription, packet(10, 0, 1, true, 0));
    struct packet left_out = packet(11, 0, 1, false, 0);
    subscription_skip(&subscription, &left_out);
    struct result b = take(&subscription, packet(12, 0, 1, false, 0));
    g_assert_cmpuint(b.index, ==, a.index + 1);
}

static void test_resend_limits(void)
{
    struct subscription subscription;
    begin(&subscription);
    subscription.round_trip_us = 50 * MS;
    int64_t t = 10000 * MS;
    g_assert_true(subscription_may_resend(&subscription, 1, t));
    g_assert_false(subscription_may_resend(&subscription, 1, t + 24 * MS)); /* half of it */
    g_assert_true(subscription_may_resend(&subscription, 2, t + 24 * MS));
    g_assert_true(subscription_may_resend(&subscription, 1, t + 26 * MS));
    unsigned n = 0;
    for (unsigned i = 0; i < 5000; i++)
        n += subscription_may_resend(&subscription, (uint16_t)(1000 + i), t + 500 * MS);
    g_assert_cmpuint(n, <=, 200);
    g_assert_cmpuint(n, >=, 100);
    g_assert_true(subscription_may_resend(&subscription, 9000, t + 700 * MS));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    vp8 = g_intern_static_string("video/VP8/90000");
    h264 = g_intern_static_string("video/H264/90000");
    g_test_add_func("/subscription/payload-types", test_payload_types);
    g_test_add_func("/subscription/waits-for-key-frame", test_waits_for_key_frame);
    g_test_add_func("/subscription/change-of-source", test_change_of_source);
    g_test_add_func("/subscription/interruption", test_interruption);
    g_test_add_func("/subscription/wraps", test_wraps);
    g_test_add_func("/subscription/skip", test_skip);
    g_test_add_func("/subscription/resend-limits", test_resend_limits);
    return g_test_run();
}
