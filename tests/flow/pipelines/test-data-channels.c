/* SPDX-License-Identifier: Apache-2.0 */
/* Data channels of two legs that are each other's peer: DTLS, SCTP and DCEP all the way, the test
 * is the network between them. */
#include "base/loop.h"
#include "base/problem.h"
#include "pipelines/leg.h"

#include <gst/gst.h>
#include <string.h>
#include <time.h>

struct end {
    struct pl_leg *leg;
    struct end *other;
    bool cut; /* what it sends is lost */
    guint connected, failed, data_failed;
    guint opened, ready, closed, messages, drained;
    guint channel; /* the last that was opened here */
    char *label, *protocol, *reason;
    struct pl_channel what;
    GPtrArray *received; /* GBytes */
    GArray *texts;       /* bool */
    guint64 octets;
    guint64 datagrams;
    bool keep; /* messages are kept */
};

static const struct pl_data_limits limits = {
    .message_max = 64 * 1024, .channels = 8, .backlog = 16 * 1024 * 1024, .window = 256 * 1024};

static void on_send(void *user, GBytes *datagram)
{
    struct end *end = user;

    end->datagrams++;
    if (!end->cut && end->other->leg)
        pl_leg_receive_dtls(end->other->leg, datagram);
}

static void on_connected(void *user, const struct pl_srtp_keys *keys)
{
    ((struct end *)user)->connected++;
}

static void on_failed(void *user, const GError *error)
{
    g_test_message("failed: %s", error->message);
    ((struct end *)user)->failed++;
}

static void on_closed_by_peer(void *user)
{
}

static void on_opened(void *user, guint channel, const struct pl_channel *what)
{
    struct end *end = user;

    end->opened++;
    end->channel = channel;
    g_free(end->label);
    g_free(end->protocol);
    end->label = g_strdup(what->label);
    end->protocol = g_strdup(what->protocol);
    end->what = *what;
}

static void on_ready(void *user, guint channel)
{
    ((struct end *)user)->ready++;
}

static void on_message(void *user, guint channel, GBytes *message, bool text)
{
    struct end *end = user;

    end->messages++;
    end->octets += g_bytes_get_size(message);
    if (end->keep) {
        g_ptr_array_add(end->received, g_bytes_ref(message));
        g_array_append_val(end->texts, text);
    }
}

static void on_drained(void *user, guint channel)
{
    ((struct end *)user)->drained++;
}

static void on_channel_closed(void *user, guint channel, const char *reason)
{
    struct end *end = user;

    end->closed++;
    g_free(end->reason);
    end->reason = g_strdup(reason);
}

static void on_data_failed(void *user, const char *reason)
{
    g_test_message("data failed: %s", reason);
    ((struct end *)user)->data_failed++;
}

static const struct pl_leg_ops ops = {
    on_send,  on_connected, on_failed,  on_closed_by_peer, on_opened,
    on_ready, on_message,   on_drained, on_channel_closed, on_data_failed};

static void end_start(struct end *end, bool server, bool data)
{
    g_autoptr(GError) error = NULL;
    struct sdp_description remote = {
        .session_id = 1,
        .ice_ufrag = (char *)"ufrag",
        .ice_pwd = (char *)"passwordpasswordpassword",
        .fingerprint_hash = (char *)"sha-256",
        .setup = server ? SDP_SETUP_ACTIVE : SDP_SETUP_PASSIVE,
        .bundle = true,
        .fingerprint = g_byte_array_append(g_byte_array_new(), pl_certificate_sha256(), 32),
        .medias = g_ptr_array_new(),
        .candidates = g_array_new(FALSE, FALSE, sizeof(struct sdp_candidate)),
    };

    end->leg = pl_leg_new(server ? "server" : "client", &ops, end, &error);
    g_assert_no_error(error);
    end->received = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    end->texts = g_array_new(FALSE, FALSE, sizeof(bool));
    end->keep = true;
    if (data)
        pl_leg_set_data(end->leg, 5000, &limits);
    g_assert_true(pl_leg_start(end->leg, &remote, server, &error));
    pl_leg_ice_connected(end->leg);
    g_byte_array_unref(remote.fingerprint);
    g_ptr_array_unref(remote.medias);
    g_array_unref(remote.candidates);
}

static gboolean on_timeout(void *data)
{
    *(bool *)data = true;
    return G_SOURCE_REMOVE;
}

static bool turn_at_most(const guint *count, guint wanted, guint seconds)
{
    bool over = false;
    guint limit = g_timeout_add(seconds * 1000, on_timeout, &over);

    while (*count < wanted && !over)
        g_main_context_iteration(NULL, TRUE);
    if (!over)
        g_source_remove(limit);
    return *count >= wanted;
}

static bool turn_until(const guint *count, guint wanted)
{
    return turn_at_most(count, wanted, 20);
}

static void turn_for(guint ms)
{
    bool over = false;

    g_timeout_add(ms, on_timeout, &over);
    while (!over)
        g_main_context_iteration(NULL, TRUE);
}

static void pair_new(struct end ends[2])
{
    memset(ends, 0, 2 * sizeof ends[0]);
    ends[0].other = &ends[1];
    ends[1].other = &ends[0];
    end_start(&ends[0], true, true);
    end_start(&ends[1], false, true);
    g_assert_true(turn_until(&ends[0].connected, 1));
    g_assert_true(turn_until(&ends[1].connected, 1));
}

static void end_clear(struct end *end)
{
    pl_leg_close(g_steal_pointer(&end->leg));
    g_clear_pointer(&end->received, g_ptr_array_unref);
    g_clear_pointer(&end->texts, g_array_unref);
    g_clear_pointer(&end->label, g_free);
    g_clear_pointer(&end->protocol, g_free);
    g_clear_pointer(&end->reason, g_free);
}

static void pair_free(struct end ends[2])
{
    end_clear(&ends[0]);
    end_clear(&ends[1]);
    while (pl_reaper_pending() > 0)
        g_usleep(200);
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

static guint open_channel(struct end *end, const struct pl_channel *what)
{
    g_autoptr(GError) error = NULL;
    guint ready = end->ready, opened = end->other->opened;
    guint channel = pl_leg_open_channel(end->leg, what, &error);

    g_assert_no_error(error);
    g_assert_true(turn_until(&end->ready, ready + 1));
    g_assert_true(turn_until(&end->other->opened, opened + 1));
    return channel;
}

static const struct pl_channel plain = {"plain", "", true, -1, -1};

static void check_message(struct end *end, guint index, const void *data, gsize length, bool text)
{
    GBytes *message = g_ptr_array_index(end->received, index);

    g_assert_cmpmem(g_bytes_get_data(message, NULL), g_bytes_get_size(message), data, length);
    g_assert_true(g_array_index(end->texts, bool, index) == text);
}

static void test_descriptions(void)
{
    static const struct pl_channel rows[] = {
        {"chat", "", true, -1, -1},
        {"", "proto", false, -1, -1},
        {"caf\303\251 \342\234\223", "a b", true, 500, -1},
        {"rtx", "", false, -1, 3},
    };
    struct end ends[2];

    pair_new(ends);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct end *from = &ends[i % 2], *to = &ends[1 - i % 2];

        open_channel(from, &rows[i]);
        g_assert_cmpstr(to->label, ==, rows[i].label);
        g_assert_cmpstr(to->protocol, ==, rows[i].protocol);
        g_assert_true(to->what.ordered == rows[i].ordered);
        g_assert_cmpint(to->what.max_packet_life_time, ==, rows[i].max_packet_life_time);
        g_assert_cmpint(to->what.max_retransmits, ==, rows[i].max_retransmits);
    }
    g_assert_cmpuint(pl_leg_channels(ends[0].leg), ==, G_N_ELEMENTS(rows));
    pair_free(ends);
}

static void test_messages(void)
{
    static const guint sizes[] = {0, 1, 1199, 1200, 16 * 1024, 65535, 64 * 1024};
    struct end ends[2];
    g_autoptr(GError) error = NULL;
    guint channel, back, n = 0;

    pair_new(ends);
    channel = open_channel(&ends[0], &plain);
    back = ends[1].channel;
    for (guint i = 0; i < 2 * G_N_ELEMENTS(sizes); i++) {
        guint size = sizes[i / 2];
        g_autofree guint8 *data = g_malloc(size + 1);
        g_autoptr(GBytes) message = NULL;

        for (guint k = 0; k < size; k++)
            data[k] = (guint8)(k * 7 + i); /* zero octets among them */
        message = g_bytes_new(data, size);
        pl_leg_send(ends[0].leg, channel, message, i % 2, &error);
        g_assert_no_error(error);
        pl_leg_send(ends[1].leg, back, message, i % 2, &error);
        g_assert_no_error(error);
        n++;
        g_assert_true(turn_until(&ends[1].messages, n));
        g_assert_true(turn_until(&ends[0].messages, n));
        check_message(&ends[1], n - 1, data, size, i % 2);
        check_message(&ends[0], n - 1, data, size, i % 2);
    }
    g_assert_cmpuint(ends[0].failed + ends[1].failed, ==, 0);
    pair_free(ends);
}

static void test_sent_early(void)
{
    struct end ends[2] = {{.other = &ends[1]}, {.other = &ends[0]}};
    g_autoptr(GBytes) message = g_bytes_new_static("early", 5);
    guint channel;

    end_start(&ends[0], true, true);
    channel = pl_leg_open_channel(ends[0].leg, &plain, NULL);
    g_assert_true(pl_leg_send(ends[0].leg, channel, message, true, NULL));
    end_start(&ends[1], false, true);
    g_assert_true(turn_until(&ends[1].messages, 1));
    check_message(&ends[1], 0, "early", 5, true);
    pair_free(ends);
}

/* Messages without an octet are not without end, and what has gone counts no more. */
static void test_counted(void)
{
    static const struct pl_data_limits few = {
        .message_max = 64 * 1024, .channels = 8, .backlog = 64 * 1024, .window = 32 * 1024};
    struct end ends[2] = {{.other = &ends[1]}, {.other = &ends[0]}};
    g_autoptr(GBytes) message = g_bytes_new_static("", 0);
    guint channel, n = 0;

    end_start(&ends[0], true, true);
    pl_leg_set_data(ends[0].leg, 5000, &few);
    channel = pl_leg_open_channel(ends[0].leg, &plain, NULL);
    while (n < few.backlog && pl_leg_send(ends[0].leg, channel, message, false, NULL))
        n++;
    g_assert_cmpuint(n, >, 100);
    g_assert_cmpuint(n, <, few.backlog / 16);
    g_assert_cmpuint(pl_leg_buffered(ends[0].leg, channel), >, few.window);
    end_start(&ends[1], false, true);
    g_assert_true(turn_until(&ends[1].messages, n));
    for (guint i = 0; i < 200 && pl_leg_buffered(ends[0].leg, channel) > 0; i++)
        turn_for(10);
    g_assert_cmpuint(pl_leg_buffered(ends[0].leg, channel), ==, 0);
    g_assert_true(pl_leg_send(ends[0].leg, channel, message, false, NULL));
    g_assert_true(turn_until(&ends[1].messages, n + 1));
    pair_free(ends);
}

static guint threads(void)
{
    g_autofree char *text = NULL;
    const char *at;

    g_assert_true(g_file_get_contents("/proc/self/status", &text, NULL, NULL));
    at = strstr(text, "Threads:");
    return at ? (guint)strtoul(at + 8, NULL, 10) : 0;
}

static void test_close(void)
{
    struct end ends[2];
    guint before;

    pair_new(ends);
    before = threads();
    for (guint i = 0; i < 24; i++) {
        struct end *from = &ends[i % 2], *to = &ends[1 - i % 2];
        guint channel = open_channel(from, &plain), closed = to->closed;

        pl_leg_close_channel(from->leg, channel);
        g_assert_true(turn_until(&to->closed, closed + 1));
        g_assert_null(to->reason);
        g_assert_cmpuint(from->closed, ==, i / 2);
        from->closed = to->closed = (i + 1) / 2;
        g_assert_cmpuint(pl_leg_channels(from->leg), ==, 0);
        g_assert_cmpuint(pl_leg_channels(to->leg), ==, 0);
    }
    turn_for(50);
    /* webrtcbin would keep one for each. */
    g_test_message("threads: %u before, %u after 24 channels", before, threads());
    g_assert_cmpuint(threads(), <, before + 12);
    pair_free(ends);
}

static gint64 cpu_us(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return time.tv_sec * G_USEC_PER_SEC + time.tv_nsec / 1000;
}

static void test_bulk(void)
{
#ifdef __SANITIZE_ADDRESS__
    enum { MESSAGES = 64, SIZE = 16 * 1024 }; /* twenty times slower */
#else
    enum { MESSAGES = 640, SIZE = 16 * 1024 };
#endif
    struct end ends[2];
    g_autofree guint8 *data = g_malloc0(SIZE);
    guint channel;
    gint64 began, cpu;

    pair_new(ends);
    channel = open_channel(&ends[0], &plain);
    ends[1].keep = false;
    began = g_get_monotonic_time();
    cpu = cpu_us();
    for (guint i = 0; i < MESSAGES; i++) {
        g_autoptr(GBytes) message = g_bytes_new(data, SIZE);

        g_assert_true(pl_leg_send(ends[0].leg, channel, message, false, NULL));
    }
    g_assert_true(turn_until(&ends[1].messages, MESSAGES));
    began = g_get_monotonic_time() - began;
    cpu = cpu_us() - cpu;
    g_assert_cmpuint(ends[1].octets, ==, (guint64)MESSAGES * SIZE);
    g_test_message("bulk: %.0f Mb/s, %.1f ms CPU per MB (both ends)",
                   8.0 * MESSAGES * SIZE / (double)began,
                   (double)cpu / 1000 / (MESSAGES * SIZE / 1e6));
    pair_free(ends);
}

/* A window that is closed stops the peer, however much it has to say, and opened it goes on at
 * once.
 */
static void test_window(void)
{
    enum { MESSAGES = 256, SIZE = 16 * 1024 };
    struct end ends[2];
    g_autofree guint8 *data = g_malloc0(SIZE);
    guint channel, before;
    gint64 began;

    pair_new(ends);
    channel = open_channel(&ends[0], &plain);
    ends[1].keep = false;
    pl_leg_set_window(ends[1].leg, 0);
    for (guint i = 0; i < MESSAGES; i++) {
        g_autoptr(GBytes) message = g_bytes_new(data, SIZE);

        g_assert_true(pl_leg_send(ends[0].leg, channel, message, false, NULL));
    }
    turn_for(1500);
    before = ends[1].messages;
    g_test_message("%u of %u messages came into the closed window", before, MESSAGES);
    g_assert_cmpuint(before, <, MESSAGES / 4);
    began = g_get_monotonic_time();
    pl_leg_set_window(ends[1].leg, limits.window);
    g_assert_true(turn_until(&ends[1].messages, before + 16));
    g_test_message("on after %.1f ms", (double)(g_get_monotonic_time() - began) / 1000);
    g_assert_true(turn_until(&ends[1].messages, MESSAGES));
    g_assert_true(turn_until(&ends[0].drained, 1));
    pair_free(ends);
}

/* --- a machine that leaves webrtcbin's threads without time --- */

static struct {
    GMutex lock;
    GCond cond;
    bool stopped;
} starved;

static void stop_threads(bool stopped)
{
    g_mutex_lock(&starved.lock);
    starved.stopped = stopped;
    g_cond_broadcast(&starved.cond);
    g_mutex_unlock(&starved.lock);
}

static GstPadProbeReturn wait_for_time(GstPad *pad, GstPadProbeInfo *info, void *unused)
{
    g_mutex_lock(&starved.lock);
    while (starved.stopped)
        g_cond_wait(&starved.cond, &starved.lock);
    g_mutex_unlock(&starved.lock);
    return GST_PAD_PROBE_OK;
}

static gboolean on_any_pad(GSignalInvocationHint *hint, guint n, const GValue *values, void *unused)
{
    GstElementFactory *factory = gst_element_get_factory(g_value_get_object(&values[0]));
    GstPad *pad = g_value_get_object(&values[1]);

    if (factory && strcmp(GST_OBJECT_NAME(factory), "sctpdec") == 0 && GST_PAD_IS_SRC(pad))
        gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, wait_for_time, NULL, NULL);
    return TRUE;
}

/* What has come and could not be passed on yet is taken from the window: it would stand in
 * webrtcbin's SCTP without an end, and then be more than the receiver is allowed to leave. */
static void test_starved(void)
{
    enum { MESSAGES = 256, SIZE = 16 * 1024 };
    guint signal = g_signal_lookup("pad-added", GST_TYPE_ELEMENT);
    gulong hook = g_signal_add_emission_hook(signal, 0, on_any_pad, NULL, NULL);
    struct end ends[2];
    g_autofree guint8 *data = g_malloc0(SIZE);
    guint channel;
    guint64 left, before;

    pair_new(ends);
    channel = open_channel(&ends[0], &plain);
    ends[1].keep = false;
    pl_leg_set_window(ends[1].leg, limits.window);
    stop_threads(true);
    for (guint i = 0; i < MESSAGES; i++) {
        g_autoptr(GBytes) message = g_bytes_new(data, SIZE);

        g_assert_true(pl_leg_send(ends[0].leg, channel, message, false, NULL));
    }
    left = pl_leg_buffered(ends[0].leg, channel);
    do {
        before = left;
        turn_for(500);
        left = pl_leg_buffered(ends[0].leg, channel);
    } while (left < before);
    g_test_message("%" G_GUINT64_FORMAT " octets wait at the sender", left);
    stop_threads(false);
    /* The rest is in the sender's stack, under way, and has come. */
    g_assert_cmpuint(left, >, MESSAGES * SIZE / 2);
    g_assert_true(turn_until(&ends[1].messages, MESSAGES));
    g_signal_remove_emission_hook(signal, hook);
    pair_free(ends);
}

/* As behind a closed gate: nothing passes either way, for longer than heartbeats are apart when the
 * test is a slow one. */
static void test_cut(void)
{
    guint seconds = g_test_slow() ? 40 : 3;
    gint64 began;
    struct end ends[2];
    g_autoptr(GBytes) message = g_bytes_new_static("during", 6);
    guint channel, back;

    if (g_getenv("DATA_CUT_SECONDS"))
        seconds = (guint)strtoul(g_getenv("DATA_CUT_SECONDS"), NULL, 10);
    pair_new(ends);
    channel = open_channel(&ends[0], &plain);
    back = ends[1].channel;
    ends[0].cut = ends[1].cut = true;
    g_assert_true(pl_leg_send(ends[0].leg, channel, message, true, NULL));
    g_assert_true(pl_leg_send(ends[1].leg, back, message, true, NULL));
    turn_for(seconds * 1000);
    g_assert_cmpuint(ends[0].messages + ends[1].messages, ==, 0);
    g_test_message("after %u s: data failed %u %u", seconds, ends[0].data_failed,
                   ends[1].data_failed);
    ends[0].cut = ends[1].cut = false;
    began = g_get_monotonic_time();
    g_assert_true(turn_at_most(&ends[1].messages, 1, 70));
    g_assert_true(turn_at_most(&ends[0].messages, 1, 70));
    g_test_message("on after %.1f s", (double)(g_get_monotonic_time() - began) / 1e6);
    g_assert_cmpuint(ends[0].failed + ends[1].failed, ==, 0);
    pair_free(ends);
}

/* What a channel gives up is not sent when the network is back. */
static void test_partial(void)
{
    static const struct pl_channel rows[] = {
        {"lifetime", "", true, 300, -1},
        {"retransmits", "", false, -1, 1},
    };
    g_autoptr(GBytes) lost = g_bytes_new_static("lost", 4);
    g_autoptr(GBytes) kept = g_bytes_new_static("kept", 4);

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct end ends[2];
        guint channel;

        pair_new(ends);
        channel = open_channel(&ends[0], &rows[i]);
        ends[0].cut = ends[1].cut = true;
        for (guint k = 0; k < 5; k++)
            g_assert_true(pl_leg_send(ends[0].leg, channel, lost, true, NULL));
        turn_for(4500);
        ends[0].cut = ends[1].cut = false;
        g_assert_true(pl_leg_send(ends[0].leg, channel, kept, true, NULL));
        g_assert_true(turn_until(&ends[1].messages, 1));
        g_test_message("%s: %u messages", rows[i].label, ends[1].messages);
        check_message(&ends[1], 0, "kept", 4, true);
        pair_free(ends);
    }
}

/* The anchor is renewed while the leg is connected, and while it is still being anchored. */
static void test_added_later(void)
{
    for (guint i = 0; i < 2; i++) {
        struct end ends[2] = {{.other = &ends[1]}, {.other = &ends[0]}};

        end_start(&ends[0], true, false);
        end_start(&ends[1], false, true);
        if (i == 0) {
            g_assert_true(turn_until(&ends[0].connected, 1));
            g_assert_true(turn_until(&ends[1].connected, 1));
        }
        pl_leg_set_data(ends[0].leg, 5000, &limits);
        open_channel(&ends[0], &plain);
        open_channel(&ends[1], &plain);
        g_assert_cmpuint(ends[0].failed + ends[0].data_failed, ==, 0);
        pair_free(ends);
    }
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    int result;

    g_test_init(&argc, &argv, NULL);
    loop_init(5000);
    if (!pl_init(&error)) {
        g_print("Bail out! %s\n", error->message);
        return 1;
    }
    g_test_add_func("/data-channels/descriptions", test_descriptions);
    g_test_add_func("/data-channels/messages", test_messages);
    g_test_add_func("/data-channels/sent-early", test_sent_early);
    g_test_add_func("/data-channels/counted", test_counted);
    g_test_add_func("/data-channels/close", test_close);
    g_test_add_func("/data-channels/bulk", test_bulk);
    g_test_add_func("/data-channels/window", test_window);
    g_test_add_func("/data-channels/starved", test_starved);
    g_test_add_func("/data-channels/cut", test_cut);
    g_test_add_func("/data-channels/partial", test_partial);
    g_test_add_func("/data-channels/added-later", test_added_later);
    result = g_test_run();
    pl_finish();
    return result;
}
