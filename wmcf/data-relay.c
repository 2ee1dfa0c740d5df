/* SPDX-License-Identifier: Apache-2.0 */
/* Owns what is known of the channels of a termination, and their pairs. A message that is taken
 * from one endpoint must be kept until the other has taken it, so the one's window follows the
 * other's backlog: nobody is cut off for a slow partner, he only waits. What nobody waits for (no
 * route yet) is kept to the same limit; beyond it, which only those reach who ignore their window,
 * the channel is closed and the others live on. */
#define LOG_CATEGORY "data"
#include "wmcf/data-relay.h"

#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"

#define THROTTLE_MS 50

struct end {
    struct data_relay *relay; /* borrowed: its owner */
    guint number;
    struct end *twin; /* on another termination, or NULL */
    bool ours;        /* opened by us, as somebody's twin */
    char *label, *protocol;
    struct pl_channel what;
    GQueue waiting; /* struct message: there is no twin yet */
    guint64 waiting_octets;
};

struct message {
    GBytes *octets;
    bool text;
};

struct data_relay {
    struct termination *termination;
    char mid[SDP_MAX_MID + 1];
    struct pl_data_limits limits;
    GHashTable *ends; /* by number, owned */
    struct data_relay_stats stats;
    char *failure;
    guint32 window;   /* granted to the endpoint */
    gint64 rate;      /* messages per second */
    gint64 budget_at; /* monotonic µs of the theoretical next message */
    struct loop_timer *throttle;
};

static struct log_ids ids_of(const struct termination *t)
{
    return (struct log_ids){.context = t->context ? t->context->id : NULL, .termination = t->id};
}

/* --- ends ------------------------------------------------------------------------------------- */

static void message_free(void *data)
{
    struct message *message = data;
    g_bytes_unref(message->octets);
    g_free(message);
}

static void end_free(void *data)
{
    struct end *end = data;
    if (end->twin)
        end->twin->twin = NULL;
    g_queue_clear_full(&end->waiting, message_free);
    g_free(end->label);
    g_free(end->protocol);
    g_free(end);
}

static struct end *end_new(struct data_relay *relay, guint number, const struct pl_channel *what)
{
    struct end *end = g_new0(struct end, 1);
    end->relay = relay;
    end->number = number;
    end->label = g_strdup(what->label);
    end->protocol = g_strdup(what->protocol);
    end->what = *what;
    end->what.label = end->label;
    end->what.protocol = end->protocol;
    g_queue_init(&end->waiting);
    g_hash_table_insert(relay->ends, &end->number, end);
    relay->stats.opened++;
    return end;
}

static struct end *find_end(struct termination *t, guint number)
{
    return t->data ? g_hash_table_lookup(t->data->ends, &number) : NULL;
}

static void set_window(struct data_relay *relay);

static void close_end(struct end *end)
{
    struct data_relay *relay = end->relay;
    pl_leg_close_channel(relay->termination->leg, end->number);
    g_hash_table_remove(relay->ends, &end->number);
    set_window(relay);
}

/* Both ends; `reason` NULL: somebody wanted it. */
static void close_pair(struct end *end, const char *reason)
{
    struct log_ids ids = ids_of(end->relay->termination);
    if (reason)
        log_info(&ids, "data channel \"%s\" is closed: %s", end->label, reason);
    if (end->twin)
        close_end(end->twin);
    close_end(end);
}

/* --- window ----------------------------------------------------------------------------------- */

static guint64 backlog_of(const struct end *end)
{
    guint64 octets = end->waiting_octets;
    if (end->twin)
        octets += pl_leg_buffered(end->twin->relay->termination->leg, end->twin->number);
    return octets;
}

/* What the endpoint may send now: what is left of the room that its partners need for it. */
static void set_window(struct data_relay *relay)
{
    guint64 room = relay->limits.window, backlog = 0;
    GHashTableIter at;
    void *end;
    if (loop_now() < relay->budget_at)
        room = 0;
    g_hash_table_iter_init(&at, relay->ends);
    while (g_hash_table_iter_next(&at, NULL, &end))
        backlog += backlog_of(end);
    relay->window = backlog < room ? (guint32)(room - backlog) : 0;
    pl_leg_set_window(relay->termination->leg, relay->window);
    /* That many octets have gone is told, that many short messages have is not. */
    if (relay->window < relay->limits.window / 2)
        loop_timer_start(relay->throttle, THROTTLE_MS);
}

static void on_throttle(void *user)
{
    set_window(user);
}

/* A rate of messages is held by the window as well: whoever has sent too many waits. */
static void count_rate(struct data_relay *relay)
{
    gint64 now = loop_now(), burst = G_USEC_PER_SEC;
    if (relay->budget_at < now - burst)
        relay->budget_at = now - burst;
    relay->budget_at += G_USEC_PER_SEC / relay->rate;
    if (relay->budget_at > now)
        loop_timer_start(relay->throttle, (relay->budget_at - now) / 1000 + THROTTLE_MS);
}

/* --- pairs ------------------------------------------------------------------------------------ */

static bool feeds(const struct data_relay *from, const struct data_relay *to)
{
    const struct termination_media *media = termination_media(to->termination, to->mid);
    return media && media->source == from->termination && strcmp(media->source_mid, from->mid) == 0;
}

/* One termination for each: data channels are between two. The first by joining where there are
 * more. */
static struct data_relay *partner_of(const struct data_relay *relay)
{
    struct context *context = relay->termination->context;
    for (guint i = 0; i < context->order->len; i++) {
        struct termination *t = g_ptr_array_index(context->order, i);
        if (t->data && t->data != relay && !t->data->failure && feeds(relay, t->data))
            return t->data;
    }
    return NULL;
}

static void count(struct data_relay_counters *counters, gsize octets)
{
    counters->messages++;
    counters->octets += octets;
}

/* False: it is closed now. */
static bool forward(struct end *from, GBytes *octets, bool text)
{
    struct data_relay *to = from->twin->relay;
    g_autoptr(GError) error = NULL;
    if (!feeds(from->relay, to)) {
        from->relay->stats.dropped++;
        return true;
    }
    if (!pl_leg_send(to->termination->leg, from->twin->number, octets, text, &error)) {
        from->relay->stats.dropped++;
        close_pair(from, error->message);
        return false;
    }
    count(&to->stats.out, g_bytes_get_size(octets));
    return true;
}

static void find_twin(struct end *end)
{
    struct data_relay *to = partner_of(end->relay);
    g_autoptr(GError) error = NULL;
    if (!to)
        return;
    guint number = pl_leg_open_channel(to->termination->leg, &end->what, &error);
    if (!number) {
        close_pair(end, error->message);
        return;
    }
    end->twin = end_new(to, number, &end->what);
    end->twin->twin = end;
    end->twin->ours = true;
    struct message *message;
    bool open = true;
    while (open && (message = g_queue_pop_head(&end->waiting))) {
        end->waiting_octets -= g_bytes_get_size(message->octets) + sizeof *message;
        open = forward(end, message->octets, message->text);
        message_free(message);
    }
}

static GPtrArray *list_ends(const struct data_relay *relay)
{
    GPtrArray *numbers = g_ptr_array_new();
    GHashTableIter at;
    void *end;
    g_hash_table_iter_init(&at, relay->ends);
    while (g_hash_table_iter_next(&at, NULL, &end))
        g_ptr_array_add(numbers, GUINT_TO_POINTER(((struct end *)end)->number));
    return numbers;
}

static void update(struct data_relay *relay)
{
    g_autoptr(GPtrArray) numbers = list_ends(relay);
    for (guint i = 0; i < numbers->len; i++) {
        guint number = GPOINTER_TO_UINT(g_ptr_array_index(numbers, i));
        struct end *end = g_hash_table_lookup(relay->ends, &number);
        if (end && end->twin && !feeds(relay, end->twin->relay) && !feeds(end->twin->relay, relay))
            close_pair(end, NULL);
        else if (end && !end->twin && !end->ours)
            find_twin(end);
    }
}

void data_relay_update(struct context *context)
{
    for (guint i = 0; i < context->order->len; i++) {
        struct termination *t = g_ptr_array_index(context->order, i);
        if (t->data && !t->data->failure)
            update(t->data);
    }
}

/* --- life ------------------------------------------------------------------------------------- */

static void close_all(struct data_relay *relay)
{
    g_autoptr(GPtrArray) numbers = list_ends(relay);
    for (guint i = 0; i < numbers->len; i++) {
        guint number = GPOINTER_TO_UINT(g_ptr_array_index(numbers, i));
        struct end *end = g_hash_table_lookup(relay->ends, &number);
        if (end)
            close_pair(end, NULL);
    }
}

static struct data_relay *data_relay_new(struct termination *t)
{
    struct data_relay *relay = g_new0(struct data_relay, 1);
    relay->termination = t;
    relay->ends = g_hash_table_new_full(g_int_hash, g_int_equal, NULL, end_free);
    relay->throttle = loop_timer_new("data channels: throttle", on_throttle, relay);
    return relay;
}

void data_relay_set(struct termination *t, const char *mid, const struct sdp_media *peer)
{
    const struct conf *conf = t->wmcf->conf;
    if (t->data && (!mid || strcmp(t->data->mid, mid) != 0))
        close_all(t->data);
    if (!mid) {
        if (t->data)
            t->data->mid[0] = '\0';
        return;
    }
    if (!t->data)
        t->data = data_relay_new(t);
    struct data_relay *relay = t->data;
    guint backlog = conf_int(conf, "limits", "data_backlog");
    g_strlcpy(relay->mid, mid, sizeof relay->mid);
    relay->rate = conf_int(conf, "limits", "data_messages");
    relay->limits = (struct pl_data_limits){
        .message_max = conf_int(conf, "limits", "data_message"),
        .peer_message_max = peer->max_message_size,
        .channels = conf_int(conf, "limits", "data_channels"),
        .window = backlog,
        /* What was granted before the window closed may still come. */
        .backlog = 8 * (guint64)backlog,
    };
    pl_leg_set_data(t->leg, peer->sctp_port, &relay->limits);
}

void data_relay_free(struct data_relay *relay)
{
    if (!relay)
        return;
    if (!relay->failure)
        close_all(relay);
    loop_timer_free(relay->throttle);
    g_hash_table_destroy(relay->ends);
    g_free(relay->failure);
    g_free(relay);
}

/* --- from the legs ---------------------------------------------------------------------------- */

void data_relay_opened(void *user, guint channel, const struct pl_channel *what)
{
    struct termination *t = user;
    struct log_ids ids = ids_of(t);
    static struct metric *opened;
    if (!t->context || !t->data)
        return;
    if (!opened)
        opened = metric_register(METRIC_COUNTER, "data_channels_opened", NULL,
                                 "Data channels that endpoints have opened.", NULL);
    metric_add(opened, 1, NULL);
    log_debug(&ids, "data channel \"%s\" is opened by the endpoint", what->label);
    struct end *end = end_new(t->data, channel, what);
    if (*t->data->mid)
        find_twin(end);
    else
        close_pair(end, "its m-line is rejected");
}

static bool keep(struct end *end, GBytes *octets, bool text)
{
    gsize length = g_bytes_get_size(octets) + sizeof(struct message); /* empty ones count, too */
    if (end->waiting_octets + length > end->relay->limits.backlog)
        return false;
    struct message *message = g_new(struct message, 1);
    *message = (struct message){g_bytes_ref(octets), text};
    g_queue_push_tail(&end->waiting, message);
    end->waiting_octets += length;
    return true;
}

void data_relay_message(void *user, guint channel, GBytes *message, bool text)
{
    struct termination *t = user;
    struct end *end = find_end(t, channel);
    if (!t->context || !end)
        return;
    struct data_relay *relay = t->data;
    count(&relay->stats.in, g_bytes_get_size(message));
    count_rate(relay);
    if (end->twin) {
        forward(end, message, text);
    } else if (end->ours || !keep(end, message, text)) {
        relay->stats.dropped++;
        close_pair(end, "nobody takes its messages: there is no route from this m-line");
    }
    set_window(relay);
}

void data_relay_drained(void *user, guint channel)
{
    struct termination *t = user;
    struct end *end = find_end(t, channel);
    if (t->context && end && end->twin)
        set_window(end->twin->relay);
}

/* What was sent before waited in the leg, and goes by itself. */
void data_relay_ready(void *user, guint channel)
{
    data_relay_drained(user, channel);
}

void data_relay_closed(void *user, guint channel, const char *reason)
{
    struct termination *t = user;
    struct end *end = find_end(t, channel);
    if (t->context && end)
        close_pair(end, reason);
}

void data_relay_failed(void *user, const char *reason)
{
    struct termination *t = user;
    struct log_ids ids = ids_of(t);
    if (!t->context || !t->data)
        return;
    log_warning(&ids, "data channels: %s", reason);
    close_all(t->data);
    g_free(t->data->failure);
    t->data->failure = g_strdup(reason);
}

bool data_relay_stats(const struct termination *t, const char *mid, struct data_relay_stats *ret)
{
    if (!t->data || !*mid || strcmp(t->data->mid, mid) != 0)
        return false;
    *ret = t->data->stats;
    ret->channels = g_hash_table_size(t->data->ends);
    return true;
}

const char *data_relay_failure(const struct termination *t)
{
    return t->data ? t->data->failure : NULL;
}
