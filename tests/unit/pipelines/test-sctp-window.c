/* SPDX-License-Identifier: Apache-2.0 */
/* What of a peer's messages has come and was not seen yet takes from the window that it is granted.
 */
#include "pipelines/sctp-window.h"

#include <string.h>

#define LIMIT 10000
#define SECOND G_USEC_PER_SEC

static struct sctp_window window;
static guint32 tsn;
static gint64 now;

static void begin(guint32 limit)
{
    sctp_window_init(&window);
    g_assert_cmpuint(sctp_window_now(&window), ==, G_MAXUINT32);
    sctp_window_set(&window, limit);
    tsn = 0;
    now = 1000 * SECOND;
}

/* One whole binary message. */
static bool come(guint octets)
{
    static const guint8 head[] = {0x13, 0x88, 0x13, 0x88, 1, 2, 3, 4, 0, 0, 0, 0, 0, 3};
    guint8 packet[12 + 16 + 1200] = {0};

    g_assert_cmpuint(octets, <=, 1200);
    memcpy(packet, head, sizeof head);
    packet[14] = (guint8)((16 + octets) >> 8);
    packet[15] = (guint8)(16 + octets);
    tsn++;
    packet[18] = (guint8)(tsn >> 8);
    packet[19] = (guint8)tsn;
    packet[27] = 53;
    return sctp_window_admit(&window, packet, 28 + octets, now);
}

static void assert_window(guint32 octets)
{
    g_assert_cmpuint(sctp_window_now(&window), ==, octets);
}

static void test_unseen(void)
{
    begin(LIMIT);
    assert_window(LIMIT);
    g_assert_true(come(1000));
    g_assert_true(come(500));
    assert_window(LIMIT - 1500);
    sctp_window_seen(&window, 1000, now);
    assert_window(LIMIT - 500);
    sctp_window_seen(&window, 500, now);
    assert_window(LIMIT);
    /* What was not counted makes it no larger. */
    sctp_window_seen(&window, 700, now);
    assert_window(LIMIT);
    /* An empty message is one octet on the wire. */
    g_assert_true(come(1));
    sctp_window_seen(&window, 0, now);
    assert_window(LIMIT);
}

/* The limit itself falls while the receiver has a backlog. */
static void test_limit(void)
{
    guint32 told;

    begin(LIMIT);
    g_assert_true(come(1000));
    sctp_window_set(&window, 600);
    assert_window(0);
    sctp_window_granted(&window, 0);
    g_assert_false(sctp_window_has_opened(&window, &told));
    sctp_window_seen(&window, 1000, now);
    g_assert_true(sctp_window_has_opened(&window, &told));
    g_assert_cmpuint(told, ==, 600);
    sctp_window_granted(&window, told);
    g_assert_false(sctp_window_has_opened(&window, &told));
    sctp_window_set(&window, 2399); /* the peer knows a quarter of it: its next SACK will do */
    g_assert_false(sctp_window_has_opened(&window, &told));
    sctp_window_set(&window, 2400);
    g_assert_true(sctp_window_has_opened(&window, &told));
}

/* What was under way when the window closed comes in; who goes on is not heard. */
static void test_closed(void)
{
    guint admitted = 0;

    begin(1000);
    g_assert_true(come(1000));
    assert_window(0);
    for (guint i = 0; i < 2000; i++)
        admitted += come(1000);
    g_assert_cmpuint(admitted, >=, 200);
    g_assert_cmpuint(admitted, <=, 260);
    /* Whoever is heard again has as much under way once more. */
    sctp_window_seen(&window, 1000 * (admitted + 1), now);
    assert_window(1000);
    g_assert_true(come(1000));
    g_assert_true(come(1000));
}

/* A message for a channel that is closed is seen by nobody. */
static void test_never_seen(void)
{
    begin(1000);
    g_assert_true(come(1000));
    now += 2 * SECOND - 1;
    assert_window(0);
    g_assert_true(come(10));
    assert_window(0);
    /* While anything of it is seen the rest is waited for. */
    now += 2 * SECOND;
    sctp_window_seen(&window, 5, now);
    now += 2 * SECOND;
    g_assert_true(come(10));
    assert_window(0);
    /* A peer with a closed window tries it with a packet now and then (RFC 9260 6.1 A). */
    now += 2 * SECOND + 1;
    g_assert_true(come(10));
    assert_window(990);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sctp-window/unseen", test_unseen);
    g_test_add_func("/sctp-window/limit", test_limit);
    g_test_add_func("/sctp-window/closed", test_closed);
    g_test_add_func("/sctp-window/never-seen", test_never_seen);
    return g_test_run();
}
