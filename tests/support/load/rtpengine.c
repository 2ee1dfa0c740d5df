/* SPDX-License-Identifier: Apache-2.0 */
/* Adapter `rtpengine`: Sipwise rtpengine over its ng protocol, one JSON object in each UDP
 * datagram. A context is a call of its own: two-way shapes by offer and answer, where both legs are
 * set up when the first is asked for; fan-out by publish and subscribe. It knows no BUNDLE, so
 * there is one kind of media at a time, and no rooms. */
#include "tests/support/load/adapter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DATAGRAM_MAX 65536
#define SOCKET_BUFFER (4 * 1024 * 1024) /* of requests under way nothing is repeated */

struct rtpengine;

struct end {
    struct rtpengine *rtpengine;
    struct load_leg *leg;
    bool settled;
    struct end *other; /* of a call, with the next two */
    bool asked;
    char *problem;
};

typedef void (*reply_fn)(struct end *end, const json_t *reply);
struct waiting {
    struct end *end;
    reply_fn fn;
};

struct rtpengine {
    struct load_run *run;
    int fd;
    guint source;
    GHashTable *waiting; /* cookie → struct waiting */
    guint next_cookie, to_delete;
    GPtrArray *ends; /* owned */
};

static void settle(struct end *end, const char *problem);

/* --- the ng protocol ------------------------------------------------------------------------- */

/* A request about the end's call; `members` is taken. Without fn it is a deletion. */
static void ask(struct rtpengine *rtpengine, struct end *end, const char *command, guint context,
                json_t *members, reply_fn fn)
{
    g_autofree char *call = g_strdup_printf("context-%u", context);
    struct waiting *waiting = g_new(struct waiting, 1);
    guint cookie = rtpengine->next_cookie++;
    *waiting = (struct waiting){end, fn};
    g_hash_table_insert(rtpengine->waiting, GUINT_TO_POINTER(cookie), waiting);
    json_object_set_new(members, "command", json_string(command));
    json_object_set_new(members, "call-id", json_string(call));
    char *text = json_dumps(members, JSON_COMPACT);
    g_autofree char *datagram = g_strdup_printf("%u %s", cookie, text);
    free(text);
    json_decref(members);
    if (send(rtpengine->fd, datagram, strlen(datagram), MSG_NOSIGNAL) < 0)
        load_fail(rtpengine->run, "rtpengine: %s", g_strerror(errno));
}

/* A description for rtpengine, and that what it makes of it is WebRTC. ICE is lite, because as the
 * side that offers to a subscriber a full one takes the controlled role. To it the address 0.0.0.0
 * of a peer, which stands for "see the candidates" (RFC 8840 4.1.1), means a call on hold. */
static json_t *description(const char *sdp)
{
    g_auto(GStrv) parts = g_strsplit(sdp ? sdp : "", "c=IN IP4 0.0.0.0", -1);
    g_autofree char *told = g_strjoinv("c=IN IP4 127.0.0.1", parts);
    json_t *members = json_pack("{s:s, s:s, s:s, s:[s], s:[s, s]}", "ICE", "force", "ICE-lite",
                                "both", "transport-protocol", "UDP/TLS/RTP/SAVPF", "SDES", "off",
                                "rtcp-mux", "offer", "require");
    if (sdp)
        json_object_set_new(members, "sdp", json_string(told));
    return members;
}

static void tag(json_t *members, const char *name, const struct load_leg *leg)
{
    g_autofree char *text = g_strdup_printf("leg-%u", leg->number);
    json_object_set_new(members, name, json_string(text));
}

static void on_reply(struct rtpengine *rtpengine, const struct waiting *waiting,
                     const json_t *reply)
{
    const char *result = json_string_value(json_object_get(reply, "result"));
    bool good = !g_strcmp0(result, "ok");
    if (!waiting->fn) {
        if (--rtpengine->to_delete == 0)
            load_left(rtpengine->run);
    } else if (good) {
        waiting->fn(waiting->end, reply);
    } else {
        const char *reason = json_string_value(json_object_get(reply, "error-reason"));
        settle(waiting->end, reason ? reason : "rtpengine refuses");
    }
}

static gboolean on_ready(gint fd, GIOCondition condition, gpointer user)
{
    struct rtpengine *rtpengine = user;
    g_autofree char *datagram = g_malloc(DATAGRAM_MAX);
    ssize_t n;
    while ((n = recv(fd, datagram, DATAGRAM_MAX - 1, MSG_DONTWAIT)) > 0) {
        char *body = NULL;
        datagram[n] = 0;
        gpointer cookie = GUINT_TO_POINTER(strtoul(datagram, &body, 10));
        const struct waiting *found = g_hash_table_lookup(rtpengine->waiting, cookie);
        if (!found)
            continue;
        struct waiting waiting = *found;
        json_t *reply = json_loads(body, 0, NULL);
        g_hash_table_remove(rtpengine->waiting, cookie);
        on_reply(rtpengine, &waiting, reply);
        json_decref(reply);
    }
    if (n < 0 && errno != EAGAIN) {
        load_fail(rtpengine->run, "rtpengine: %s", g_strerror(errno));
        rtpengine->source = 0;
        return G_SOURCE_REMOVE;
    }
    return G_SOURCE_CONTINUE;
}

/* --- ends ------------------------------------------------------------------------------------ */

static void end_free(void *data)
{
    struct end *end = data;
    g_free(end->problem);
    g_free(end);
}

static struct end *end_new(struct rtpengine *rtpengine, struct load_leg *leg)
{
    struct end *end = g_new0(struct end, 1);
    end->rtpengine = rtpengine;
    end->leg = leg;
    leg->data = end;
    g_ptr_array_add(rtpengine->ends, end);
    return end;
}

static void tell(struct end *end)
{
    if (end->asked && end->settled)
        load_leg_done(end->rtpengine->run, end->leg, end->problem);
}

static void settle(struct end *end, const char *problem)
{
    if (end->settled)
        return;
    end->settled = true;
    end->problem = g_strdup(problem);
    if (problem && end->other)
        settle(end->other, problem);
    else if (!problem && end->leg->number == 0)
        load_context_ready(end->rtpengine->run, end->leg->context);
    tell(end);
}

static void on_peer_state(struct peer *peer, enum peer_state state, void *user)
{
    if (state == PEER_CONNECTED)
        settle(user, NULL);
    else if (state == PEER_FAILED)
        settle(user, peer_failure(peer));
}

static const struct peer_ops peer_ops = {.state = on_peer_state};

static bool make_peer(struct end *end)
{
    struct load_run *run = end->rtpengine->run;
    struct peer_config config;
    g_autoptr(GError) error = NULL;
    load_peer_config(run->options, &config, end->leg->publishes, end->leg->subscribes);
    config.ops = &peer_ops;
    config.user = end;
    end->leg->peer = peer_new(run->group, &config, &error);
    if (!end->leg->peer)
        settle(end, error->message);
    return end->leg->peer != NULL;
}

/* The offer of its new peer. Transfer full; NULL when the end has failed of it. */
static char *offer_of(struct end *end)
{
    g_autoptr(GError) error = NULL;
    char *offer = make_peer(end) ? peer_offer(end->leg->peer, &error) : NULL;
    if (error)
        settle(end, error->message);
    return offer;
}

/* The answer of its new peer to the reply's description. Transfer full, or NULL as above. */
static char *answer_of(struct end *end, const json_t *reply)
{
    const char *sdp = json_string_value(json_object_get(reply, "sdp"));
    g_autoptr(GError) error = NULL;
    char *answer = make_peer(end) ? peer_answer(end->leg->peer, sdp ? sdp : "", &error) : NULL;
    if (error)
        settle(end, error->message);
    return answer;
}

static void on_answered(struct end *end, const json_t *reply)
{
    const char *sdp = json_string_value(json_object_get(reply, "sdp"));
    g_autoptr(GError) error = NULL;
    if (!end->settled && !peer_set_answer(end->leg->peer, sdp ? sdp : "", &error))
        settle(end, error->message);
}

/* --- two-way --------------------------------------------------------------------------------- */

static void on_offered(struct end *caller, const json_t *reply)
{
    struct end *callee = caller->other;
    g_autofree char *answer = answer_of(callee, reply);
    if (!answer)
        return;
    json_t *members = description(answer);
    tag(members, "from-tag", caller->leg);
    tag(members, "to-tag", callee->leg);
    ask(caller->rtpengine, caller, "answer", caller->leg->context, members, on_answered);
}

static void add_call(struct rtpengine *rtpengine, struct load_leg *leg)
{
    struct end *caller = end_new(rtpengine, leg);
    caller->other = end_new(rtpengine, load_leg_of(rtpengine->run, leg->context, 1));
    caller->other->other = caller;
    caller->asked = true;
    g_autofree char *offer = offer_of(caller);
    if (!offer)
        return;
    json_t *members = description(offer);
    tag(members, "from-tag", leg);
    ask(rtpengine, caller, "offer", leg->context, members, on_offered);
}

/* --- fan-out --------------------------------------------------------------------------------- */

static void publish(struct end *end)
{
    g_autofree char *offer = offer_of(end);
    if (!offer)
        return;
    json_t *members = description(offer);
    json_object_set_new(members, "codec", json_pack("{s:[s]}", "accept", "VP8")); /* also video */
    tag(members, "from-tag", end->leg);
    ask(end->rtpengine, end, "publish", end->leg->context, members, on_answered);
}

static void on_subscribed(struct end *end, const json_t *reply)
{
}

static void on_requested(struct end *end, const json_t *reply)
{
    g_autofree char *answer = answer_of(end, reply);
    if (!answer)
        return;
    json_t *members = description(answer);
    tag(members, "to-tag", end->leg);
    ask(end->rtpengine, end, "subscribe answer", end->leg->context, members, on_subscribed);
}

static void subscribe(struct end *end)
{
    const struct load_run *run = end->rtpengine->run;
    json_t *members = description(NULL);
    tag(members, "from-tag", load_leg_of(run, end->leg->context, 0));
    tag(members, "to-tag", end->leg);
    ask(end->rtpengine, end, "subscribe request", end->leg->context, members, on_requested);
}

/* --- the adapter ----------------------------------------------------------------------------- */

static bool connect_to(struct rtpengine *rtpengine, const char *to)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[64];
    guint port = 0;
    int size = SOCKET_BUFFER;
    if (!to || sscanf(to, "%63[0-9.]:%u", host, &port) != 2 || port > 65535 ||
        inet_pton(AF_INET, host, &address.sin_addr) != 1)
        return false;
    address.sin_port = htons((guint16)port);
    rtpengine->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    setsockopt(rtpengine->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    return connect(rtpengine->fd, (struct sockaddr *)&address, sizeof address) == 0;
}

static void rtpengine_open(struct load_run *run)
{
    struct rtpengine *rtpengine = g_new0(struct rtpengine, 1);
    run->data = rtpengine;
    rtpengine->run = run;
    rtpengine->fd = -1;
    rtpengine->waiting = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    rtpengine->ends = g_ptr_array_new_with_free_func(end_free);
    if (run->options->room || (run->options->audio && !run->options->no_video)) {
        load_fail(run, "rtpengine has no BUNDLE: one kind of media at a time, and no rooms");
        return;
    }
    if (!connect_to(rtpengine, run->options->to)) {
        load_fail(run, "say --to address:port of rtpengine's ng protocol");
        return;
    }
    rtpengine->source = g_unix_fd_add(rtpengine->fd, G_IO_IN | G_IO_ERR, on_ready, rtpengine);
    load_opened(run);
}

static void rtpengine_add(struct load_run *run, struct load_leg *leg)
{
    if (run->options->two_way && leg->number == 0) {
        add_call(run->data, leg);
        return;
    }
    struct end *end = leg->data ? leg->data : end_new(run->data, leg);
    end->asked = true;
    if (run->options->two_way)
        tell(end);
    else if (leg->publishes)
        publish(end);
    else
        subscribe(end);
}

static void rtpengine_leave(struct load_run *run)
{
    struct rtpengine *rtpengine = run->data;
    rtpengine->to_delete = (guint)run->options->contexts;
    for (guint c = 0; c < (guint)run->options->contexts; c++)
        ask(rtpengine, NULL, "delete", c, json_pack("{s:i}", "delete-delay", 0), NULL);
}

static void rtpengine_free(struct load_run *run)
{
    struct rtpengine *rtpengine = run->data;
    if (!rtpengine)
        return;
    if (rtpengine->source)
        g_source_remove(rtpengine->source);
    if (rtpengine->fd >= 0)
        close(rtpengine->fd);
    g_hash_table_unref(rtpengine->waiting);
    g_ptr_array_unref(rtpengine->ends);
    g_free(rtpengine);
}

const struct load_adapter load_rtpengine_adapter = {
    .name = "rtpengine",
    .open = rtpengine_open,
    .add = rtpengine_add,
    .leave = rtpengine_leave,
    .free = rtpengine_free,
};
