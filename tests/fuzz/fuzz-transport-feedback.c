/* SPDX-License-Identifier: Apache-2.0 */
/* Transport-wide feedback as a peer may write it, down to the estimate that is made of it. The
 * first octet says how many packets were sent, the rest are feedback packets, each behind two
 * octets of length. Properties: what is told lies in order and within the limit; no result is of a
 * packet that was not sent, none is told twice without having been lost before; the estimate stays
 * within its bounds; what we write of the same arrivals says the same. */
#include "tests/fuzz/fuzz.h"
#include "wmcf/relay/send-history.h"

#include <glib.h>
#include <string.h>

static const struct bandwidth_limits limits = {.start = 500000, .min = 50000, .max = 5000000};

static void read_one(const uint8_t *fci, size_t length)
{
    static struct transport_arrivals arrivals;
    struct transport_feedback reader, again;
    struct transport_arrival arrival, repeated;
    uint8_t written[1200];
    unsigned n = 0, received = 0;
    int64_t base = 0;
    if (!transport_feedback_begin(&reader, fci, length))
        return;
    memset(&arrivals, 0, sizeof arrivals);
    g_assert_cmpuint(reader.count, <=, TRANSPORT_FEEDBACK_PACKETS_MAX);
    struct transport_feedback start = reader;
    while (transport_feedback_next(&reader, &arrival)) {
        g_assert_cmpuint(arrival.sequence, ==, (uint16_t)(reader.base + n++));
        g_assert_true(reader.delta <= fci + length);
        int64_t at =
            ((int64_t)reader.reference * 256 + arrival.ticks + (1 << 30)) * TRANSPORT_TICK_US;
        if (arrival.received)
            transport_arrivals_add(&arrivals, arrival.sequence, at);
        received += arrival.received;
    }
    g_assert_cmpuint(n, ==, reader.count);
    (void)base;
    if (received == 0 || n > TRANSPORT_ARRIVALS)
        return;
    size_t octets = transport_arrivals_write(&arrivals, written, sizeof written);
    g_assert_true(transport_feedback_begin(&again, written, octets));
    bool same = true; /* it may stop early, where arrivals are far apart */
    while (same && transport_feedback_next(&again, &repeated)) {
        do
            g_assert_true(transport_feedback_next(&start, &arrival));
        while (arrival.sequence != repeated.sequence);
        g_assert_cmpint(arrival.received, ==, repeated.received);
        same = arrival.received;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct packet_result results[64];
    struct bandwidth_estimator estimator;
    int64_t now = 1000000;
    bool broken;
    if (size < 1)
        return 0;
    struct send_history *history = send_history_new(256, 0);
    unsigned sent = data[0] * 2u;
    bandwidth_estimator_init(&estimator, &limits);
    for (unsigned i = 0; i < sent; i++)
        send_history_add(history, now += 1000, 100 + i, i % 5 == 0 ? (uint8_t)(i / 5) : 0);
    for (unsigned i = 0; i < 255; i++)
        bandwidth_estimator_expect_probe(&estimator, (uint8_t)(i + 1), 100, 1000000);
    data++;
    size--;
    while (size >= 2) {
        size_t length = MIN((size_t)(data[0] << 8 | data[1]), size - 2), n;
        read_one(data + 2, length);
        do {
            n = send_history_results(history, data + 2, length, now, results, 64, &broken);
            for (size_t i = 0; i < n; i++) {
                g_assert_cmpuint(results[i].octets, >=, 100);
                g_assert_cmpuint(results[i].octets, <, 100 + sent);
                g_assert_cmpint(results[i].sent, <=, now);
                g_assert_true(results[i].received || !results[i].recovered);
            }
            if (n)
                bandwidth_estimator_feedback(&estimator, results, n, now);
        } while (n == 64);
        g_assert_cmpuint(bandwidth_estimator_rate(&estimator), >=, limits.min);
        g_assert_cmpuint(bandwidth_estimator_rate(&estimator), <=, limits.max);
        now += 50000;
        data += 2 + length;
        size -= 2 + length;
    }
    send_history_free(history);
    return 0;
}
