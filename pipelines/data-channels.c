/* SPDX-License-Identifier: Apache-2.0 */
/* Owns webrtcbin's data channel objects of a leg. They are made and closed on the SCTP thread, for
 * webrtcbin's locks may be held for long; sending only appends to a queue of theirs and is done
 * here. Everything they say comes on webrtcbin's threads and is posted with two numbers, the leg's
 * and the channel's, so what is late finds nothing. */
#include "pipelines/data-channels.h"

#include "base/loop.h"
#include "base/problem.h"
#include "pipelines/sctp-elements.h"
#include "pipelines/sctp-thread.h"

#include <gst/webrtc/webrtc.h>
#include <stdatomic.h>

struct channel {
    guint number;
    GstWebRTCDataChannel *object; /* NULL until webrtcbin has made it */
    bool ready;                   /* it takes messages */
    GQueue waiting;               /* GBytes with their marks, until then */
    guint64 waiting_octets;
    GQueue given; /* octets of each message that the object has, and maybe of some that it had */
    guint64 given_octets;
};

/* What a message is counted for beside its octets: an empty one is not nothing, and of very short
 * ones a backlog in octets alone would be a thousand times as much memory. */
#define MESSAGE_COST 64

struct data_channels {
    guint64 number; /* the leg's */
    GstElement *webrtcbin;
    struct dtls_transport *dtls;
    gulong listener;
    struct pl_data_limits limits;
    const struct pl_leg_ops *ops;
    void *user;
    GHashTable *channels; /* by number, owned */
};

#define FEEDER "feeder" /* what webrtcbin's object is given to remember */

static GHashTable *legs; /* struct data_channels by number; borrowed */
static _Atomic guint last_channel;

/* --- channels --------------------------------------------------------------------------------- */

static void close_object(void *object)
{
    gst_webrtc_data_channel_close(object);
    g_object_unref(object);
}

static void channel_free(void *data)
{
    struct channel *channel = data;

    if (channel->object)
        sctp_thread_post(close_object, channel->object);
    g_queue_clear_full(&channel->waiting, (GDestroyNotify)g_bytes_unref);
    g_queue_clear(&channel->given);
    g_free(channel);
}

static struct channel *channel_new(struct data_channels *channels, guint number)
{
    struct channel *channel = g_new0(struct channel, 1);

    channel->number = number;
    g_queue_init(&channel->waiting);
    g_queue_init(&channel->given);
    g_hash_table_insert(channels->channels, &channel->number, channel);
    return channel;
}

static struct channel *find(struct data_channels *channels, guint number)
{
    return g_hash_table_lookup(channels->channels, &number);
}

static void tell_closed(struct data_channels *channels, guint number, const char *reason)
{
    g_hash_table_remove(channels->channels, &number);
    channels->ops->channel_closed(channels->user, number, reason);
}

/* --- what is posted to the control thread ----------------------------------------------------- */

struct origin {
    guint64 leg;
    guint channel;
    /* borrowed: good in webrtcbin's own callbacks */
    GstElement *webrtcbin;
    struct dtls_transport *dtls;
};

struct event {
    struct origin from;
    void (*handle)(struct data_channels *channels, struct event *event);
    GstWebRTCDataChannel *object;
    GBytes *message;
    char *reason;
};

static void run_event(void *data)
{
    struct event *event = data;
    struct data_channels *channels = legs ? g_hash_table_lookup(legs, &event->from.leg) : NULL;

    if (channels)
        event->handle(channels, event);
    if (event->object)
        sctp_thread_post(close_object, event->object);
    g_clear_pointer(&event->message, g_bytes_unref);
    g_free(event->reason);
    g_free(event);
}

static void post(const char *name, struct event event)
{
    loop_post(name, run_event, g_memdup2(&event, sizeof event));
}

/* Takes the message. */
static bool give(struct channel *channel, GBytes *marked, GError **error)
{
    gsize length = g_bytes_get_size(marked);
    bool sent = gst_webrtc_data_channel_send_data_full(channel->object, marked, error);

    g_bytes_unref(marked);
    if (!sent)
        return false;
    g_queue_push_tail(&channel->given, GSIZE_TO_POINTER(length));
    channel->given_octets += length;
    return true;
}

static void handle_ready(struct data_channels *channels, struct event *event)
{
    struct channel *channel = find(channels, event->from.channel);
    GBytes *marked;

    if (!channel || !channel->object || channel->ready)
        return;
    channel->ready = true;
    while ((marked = g_queue_pop_head(&channel->waiting)))
        give(channel, marked, NULL);
    channel->waiting_octets = 0;
    channels->ops->channel_ready(channels->user, channel->number);
}

/* Transfer full. */
static void take_object(struct data_channels *channels, struct channel *channel,
                        GstWebRTCDataChannel *object)
{
    channel->object = object;
    g_object_set(object, "buffered-amount-low-threshold", (guint64)channels->limits.window / 2,
                 NULL);
}

static void handle_made(struct data_channels *channels, struct event *event)
{
    struct channel *channel = find(channels, event->from.channel);
    GstWebRTCDataChannelState state;

    /* Closed in the meantime: the object goes with the event. */
    if (!channel)
        return;
    take_object(channels, channel, g_steal_pointer(&event->object));
    g_object_get(channel->object, "ready-state", &state, NULL);
    if (state == GST_WEBRTC_DATA_CHANNEL_STATE_OPEN)
        handle_ready(channels, event);
}

static void handle_opened(struct data_channels *channels, struct event *event)
{
    g_autofree char *label = NULL, *protocol = NULL;
    gboolean ordered = TRUE;
    struct pl_channel what = {.max_retransmits = -1, .max_packet_life_time = -1};
    struct channel *channel;

    /* Beyond the limit: the object goes with the event. */
    if (g_hash_table_size(channels->channels) >= channels->limits.channels)
        return;
    g_object_get(event->object, "label", &label, "protocol", &protocol, "ordered", &ordered,
                 "max-packet-lifetime", &what.max_packet_life_time, "max-retransmits",
                 &what.max_retransmits, NULL);
    channel = channel_new(channels, event->from.channel);
    take_object(channels, channel, g_steal_pointer(&event->object));
    channel->ready = true;
    what.label = label ? label : "";
    what.protocol = protocol ? protocol : "";
    what.ordered = ordered;
    channels->ops->channel_opened(channels->user, channel->number, &what);
}

static void handle_message(struct data_channels *channels, struct event *event)
{
    bool text = false;
    g_autoptr(GBytes) message = sctp_message_unmark(event->message, &text);

    dtls_transport_message_seen(channels->dtls, message ? g_bytes_get_size(message) : 0);
    if (!message || !find(channels, event->from.channel))
        return;
    if (g_bytes_get_size(message) > channels->limits.message_max)
        tell_closed(channels, event->from.channel,
                    "a message was longer than our a=max-message-size");
    else
        channels->ops->channel_message(channels->user, event->from.channel, message, text);
}

static void handle_drained(struct data_channels *channels, struct event *event)
{
    if (find(channels, event->from.channel))
        channels->ops->channel_drained(channels->user, event->from.channel);
}

static void handle_closed(struct data_channels *channels, struct event *event)
{
    if (find(channels, event->from.channel))
        tell_closed(channels, event->from.channel, event->reason);
}

/* --- webrtcbin's threads ---------------------------------------------------------------------- */

/* The element that feeds the channel's stream, thread and all, which webrtcbin keeps when the
 * channel is closed. Transfer full or NULL. */
static GstElement *find_feeder(GstWebRTCDataChannel *object, GstElement *webrtcbin)
{
    g_autoptr(GstIterator) children =
        gst_bin_iterate_all_by_element_factory_name(GST_BIN(webrtcbin), "sctpenc");
    GValue item = G_VALUE_INIT;
    GstElement *feeder = NULL;
    char name[16];
    int id = -1;

    g_object_get(object, "id", &id, NULL);
    g_snprintf(name, sizeof name, "sink_%d", id);
    if (gst_iterator_next(children, &item) == GST_ITERATOR_OK) {
        GstPad *pad = gst_element_get_static_pad(g_value_get_object(&item), name);
        GstPad *peer = pad ? gst_pad_get_peer(pad) : NULL;

        feeder = peer ? gst_pad_get_parent_element(peer) : NULL;
        gst_clear_object(&peer);
        gst_clear_object(&pad);
        g_value_unset(&item);
    }
    return feeder;
}

/* SCTP thread */
static void stop_feeder(void *feeder)
{
    gst_element_set_locked_state(feeder, TRUE);
    gst_element_set_state(feeder, GST_STATE_NULL);
    gst_object_unref(feeder);
}

static void on_open(GstWebRTCDataChannel *object, const struct origin *from)
{
    g_object_set_data_full(G_OBJECT(object), FEEDER, find_feeder(object, from->webrtcbin),
                           gst_object_unref);
    post("data channel: open", (struct event){*from, handle_ready});
}

static void on_close(GstWebRTCDataChannel *object, const struct origin *from)
{
    GstElement *feeder = g_object_steal_data(G_OBJECT(object), FEEDER);

    if (feeder)
        sctp_thread_post(stop_feeder, feeder);
    post("data channel: closed", (struct event){*from, handle_closed});
}

static void on_error(GstWebRTCDataChannel *object, const GError *error, const struct origin *from)
{
    post("data channel: failed",
         (struct event){*from, handle_closed,
                        .reason = g_strdup(error ? error->message : "webrtcbin gave it up")});
}

static void on_message(GstWebRTCDataChannel *object, GBytes *marked, const struct origin *from)
{
    if (marked)
        post("data channel: message",
             (struct event){*from, handle_message, .message = g_bytes_ref(marked)});
}

static void on_drained(GstWebRTCDataChannel *object, const struct origin *from)
{
    post("data channel: drained", (struct event){*from, handle_drained});
}

static void free_origin(void *data, GClosure *closure)
{
    g_free(data);
}

static void listen_to(GstWebRTCDataChannel *object, struct origin from)
{
    static const struct {
        const char *signal;
        GCallback callback;
    } rows[] = {
        {"on-open", G_CALLBACK(on_open)},
        {"on-close", G_CALLBACK(on_close)},
        {"on-error", G_CALLBACK(on_error)},
        {"on-message-data", G_CALLBACK(on_message)},
        {"on-buffered-amount-low", G_CALLBACK(on_drained)},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        g_signal_connect_data(object, rows[i].signal, rows[i].callback,
                              g_memdup2(&from, sizeof from), free_origin, 0);
}

static void on_data_channel(GstElement *webrtcbin, GstWebRTCDataChannel *object,
                            const struct origin *leg)
{
    struct origin from = *leg;

    from.channel = atomic_fetch_add(&last_channel, 1) + 1;

    listen_to(object, from);
    post("data channel: opened by the peer",
         (struct event){from, handle_opened, .object = g_object_ref(object)});
}

/* --- the face --------------------------------------------------------------------------------- */

struct data_channels *data_channels_new(guint64 number, GstElement *webrtcbin,
                                        struct dtls_transport *dtls,
                                        const struct pl_data_limits *limits,
                                        const struct pl_leg_ops *ops, void *user)
{
    struct data_channels *channels = g_new0(struct data_channels, 1);
    const struct origin from = {number, 0, webrtcbin, dtls};

    channels->number = number;
    channels->webrtcbin = gst_object_ref(webrtcbin);
    channels->dtls = dtls;
    channels->limits = *limits;
    channels->ops = ops;
    channels->user = user;
    channels->channels = g_hash_table_new_full(g_int_hash, g_int_equal, NULL, channel_free);
    channels->listener =
        g_signal_connect_data(webrtcbin, "on-data-channel", G_CALLBACK(on_data_channel),
                              g_memdup2(&from, sizeof from), free_origin, 0);
    if (!legs)
        legs = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_hash_table_insert(legs, &channels->number, channels);
    return channels;
}

void data_channels_free(struct data_channels *channels)
{
    GHashTableIter at;
    void *value;

    if (!channels)
        return;
    g_hash_table_remove(legs, &channels->number);
    /* Not closed one by one: the association ends with the leg. */
    g_hash_table_iter_init(&at, channels->channels);
    while (g_hash_table_iter_next(&at, NULL, &value))
        g_clear_object(&((struct channel *)value)->object);
    g_hash_table_destroy(channels->channels);
    gst_object_unref(channels->webrtcbin);
    g_free(channels);
}

struct opening {
    struct origin from;
    GstElement *webrtcbin;
    char *label;
    GstStructure *options;
};

/* SCTP thread */
static void do_open(void *data)
{
    struct opening *opening = data;
    GstWebRTCDataChannel *object = NULL;

    g_signal_emit_by_name(opening->webrtcbin, "create-data-channel", opening->label,
                          opening->options, &object);
    if (object) {
        listen_to(object, opening->from);
        post("data channel: made", (struct event){opening->from, handle_made, .object = object});
    } else {
        post("data channel: not made",
             (struct event){opening->from, handle_closed,
                            .reason = g_strdup("webrtcbin cannot make it")});
    }
    gst_structure_free(opening->options);
    gst_object_unref(opening->webrtcbin);
    g_free(opening->label);
    g_free(opening);
}

guint data_channels_open(struct data_channels *channels, const struct pl_channel *what,
                         GError **error)
{
    struct opening opening = {
        .from = {channels->number, atomic_fetch_add(&last_channel, 1) + 1, channels->webrtcbin,
                 channels->dtls},
    };

    if (g_hash_table_size(channels->channels) >= channels->limits.channels) {
        problem_set(error, PROBLEM_RESOURCES_UNAVAILABLE,
                    "the leg has %u data channels, its limit (limits.data_channels)",
                    channels->limits.channels);
        return 0;
    }
    opening.webrtcbin = gst_object_ref(channels->webrtcbin);
    opening.label = g_strdup(what->label);
    opening.options = gst_structure_new(
        "options", "ordered", G_TYPE_BOOLEAN, what->ordered, "protocol", G_TYPE_STRING,
        what->protocol, "max-packet-lifetime", G_TYPE_INT, what->max_packet_life_time,
        "max-retransmits", G_TYPE_INT, what->max_retransmits, NULL);
    channel_new(channels, opening.from.channel);
    sctp_thread_post(do_open, g_memdup2(&opening, sizeof opening));
    return opening.from.channel;
}

void data_channels_set_limits(struct data_channels *channels, const struct pl_data_limits *limits)
{
    channels->limits = *limits;
}

/* They leave the object in their order, and it tells how many octets have not. */
static guint64 buffered(struct channel *channel)
{
    guint64 octets = 0;

    if (channel->object)
        g_object_get(channel->object, "buffered-amount", &octets, NULL);
    while (channel->given.length > 0) {
        gsize first = GPOINTER_TO_SIZE(g_queue_peek_head(&channel->given));

        if (channel->given_octets - first < octets)
            break;
        g_queue_pop_head(&channel->given);
        channel->given_octets -= first;
    }
    return octets + channel->waiting_octets +
           MESSAGE_COST * ((guint64)channel->waiting.length + channel->given.length);
}

bool data_channels_send(struct data_channels *channels, guint number, GBytes *message, bool text,
                        GError **error)
{
    struct channel *channel = find(channels, number);
    gsize length = g_bytes_get_size(message);
    g_autoptr(GError) reason = NULL;
    GBytes *marked;

    if (!channel) {
        problem_set(error, PROBLEM_INVALID_STATE, "the data channel is closed");
        return false;
    }
    if (channels->limits.peer_message_max && length > channels->limits.peer_message_max) {
        problem_set(error, PROBLEM_MESSAGE_TOO_LARGE,
                    "the receiver takes messages of %u octets at most",
                    channels->limits.peer_message_max);
        return false;
    }
    if (buffered(channel) + length + MESSAGE_COST > channels->limits.backlog) {
        problem_set(error, PROBLEM_RESOURCES_UNAVAILABLE,
                    "the receiver leaves more than %" G_GUINT64_FORMAT
                    " octets waiting (limits.data_backlog)",
                    channels->limits.backlog);
        return false;
    }
    marked = sctp_message_mark(message, text);
    if (!channel->ready) {
        channel->waiting_octets += length;
        g_queue_push_tail(&channel->waiting, marked);
        return true;
    }
    if (give(channel, marked, &reason))
        return true;
    problem_set(error, PROBLEM_INVALID_STATE, "webrtcbin does not send: %s",
                reason ? reason->message : "it is closing");
    return false;
}

void data_channels_close(struct data_channels *channels, guint number)
{
    g_hash_table_remove(channels->channels, &number);
}

guint64 data_channels_buffered(struct data_channels *channels, guint number)
{
    struct channel *channel = find(channels, number);

    return channel ? buffered(channel) : 0;
}

guint data_channels_count(const struct data_channels *channels)
{
    return g_hash_table_size(channels->channels);
}
