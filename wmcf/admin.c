/* SPDX-License-Identifier: Apache-2.0 */
/* The administrator's socket. One request and one reply per connection, so there is no state to
 * keep and nothing to time out but the reading of one short line. The socket's permissions are the
 * access control: owner and group; what a capture brings (packet-capture.h) goes behind the reply,
 * and only to root and our own user. */
#define LOG_CATEGORY "admin"
#include "wmcf/admin.h"

#include "base/log.h"
#include "base/loop.h"
#include "pipelines/media-resource.h"
#include "wmcf/audit.h"
#include "wmcf/controller.h"
#include "wmcf/enforcement.h"
#include "wmcf/media-path.h"
#include "wmcf/packet-capture.h"
#include "wmcf/pipeline-termination.h"

#include <gio/gio.h>
#include <gio/gunixconnection.h>
#include <gio/gunixsocketaddress.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_MAX 4096
#define READ_TIMEOUT_S 5
#define CONNECTIONS_MAX 16

struct admin {
    struct wmcf *wmcf;
    GSocketService *service;
    struct packet_captures *captures;
    char *path;
    guint connections;
};

struct conversation {
    struct admin *admin;
    GSocketConnection *connection;
    char request[REQUEST_MAX + 1];
    gsize used;
    char *reply;
};

typedef void (*command_fn)(struct conversation *conversation, const json_t *request);

static void conversation_end(struct conversation *c)
{
    c->admin->connections--;
    g_object_unref(c->connection);
    g_free(c->reply);
    g_free(c);
}

static void on_written(GObject *source, GAsyncResult *result, void *user)
{
    g_output_stream_write_all_finish(G_OUTPUT_STREAM(source), result, NULL, NULL);
    conversation_end(user);
}

static void reply(struct conversation *c, json_t *members)
{
    json_auto_t *owned = members;
    g_autofree char *text = json_dumps(owned, JSON_COMPACT | JSON_PRESERVE_ORDER);
    c->reply = g_strconcat(text, "\n", NULL);
    GOutputStream *out = g_io_stream_get_output_stream(G_IO_STREAM(c->connection));
    g_output_stream_write_all_async(out, c->reply, strlen(c->reply), 0, NULL, on_written, c);
}

static void refuse(struct conversation *c, const char *sentence)
{
    reply(c, json_pack("{s:b, s:s}", "ok", 0, "error", sentence));
}

/* --- commands ------------------------------------------------------------------------------ */

static json_t *workers_json(const struct wmcf *wmcf)
{
    json_t *array = json_array();
    for (guint i = 0; i < relay_workers(wmcf->relay); i++) {
        struct relay_worker_stats s;
        relay_worker_stats(wmcf->relay, i, &s);
        json_array_append_new(
            array,
            json_pack("{s:i, s:i, s:f, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
                      "worker", (int)i, "legs", (int)s.legs, "busy", s.busy / 1e3, "mirrors",
                      (int)s.mirrors, "ringDropped", (json_int_t)s.ring_dropped, "packetsIn",
                      (json_int_t)s.packets_in, "packetsOut", (json_int_t)s.packets_out,
                      "unknownSourceDropped", (json_int_t)s.unknown_source_dropped, "malformed",
                      (json_int_t)s.malformed, "stunRejected", (json_int_t)s.stun_rejected,
                      "dtlsDropped", (json_int_t)s.dtls_dropped, "receiveBatches",
                      (json_int_t)s.receive_batches, "sendCalls", (json_int_t)s.send_calls,
                      "sendDropped", (json_int_t)s.send_dropped));
    }
    return array;
}

static json_t *links_json(const struct wmcf *wmcf)
{
    json_t *array = json_array();
    GHashTableIter iter;
    struct controller *controller;
    g_hash_table_iter_init(&iter, wmcf->controllers);
    while (g_hash_table_iter_next(&iter, NULL, (void **)&controller))
        json_array_append_new(array, json_pack("{s:s, s:i}", "wsf", controller->identity, "links",
                                               (int)controller->links->len));
    return array;
}

static double cpu_seconds(void)
{
    struct timespec used = {0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static void command_status(struct conversation *c, const json_t *request)
{
    const struct wmcf *wmcf = c->admin->wmcf;
    json_t *status = service_state_json(wmcf);
    json_object_set_new(status, "ok", json_true());
    json_object_set_new(status, "version", json_string(WMCF_VERSION));
    json_object_set_new(status, "uptimeSeconds",
                        json_real((g_get_monotonic_time() - wmcf->started) / 1e6));
    json_object_set_new(status, "cpuSeconds", json_real(cpu_seconds()));
    json_object_set_new(status, "contexts", json_integer(g_hash_table_size(wmcf->contexts)));
    json_object_set_new(status, "terminations", json_integer(wmcf->n_terminations));
    json_object_set_new(status, "pipelines", json_integer(pl_legs_count()));
    json_object_set_new(status, "mediaResources", json_integer(media_resources_count()));
    json_object_set_new(status, "reaping", json_integer(pl_reaper_pending()));
    json_object_set_new(status, "controlPort", json_integer(link_listener_port(wmcf->listener)));
    json_object_set_new(status, "policies", enforcement_json(wmcf));
    json_object_set_new(status, "links", links_json(wmcf));
    json_object_set_new(status, "workers", workers_json(wmcf));
    reply(c, status);
}

static void command_contexts(struct conversation *c, const json_t *request)
{
    json_t *array = json_array();
    GHashTableIter iter;
    struct context *context;
    g_hash_table_iter_init(&iter, c->admin->wmcf->contexts);
    while (g_hash_table_iter_next(&iter, NULL, (void **)&context)) {
        json_t *about = audit_context(context);
        json_object_set_new(about, "owner", json_string(context->owner));
        json_t *states = json_array();
        for (guint i = 0; i < context->order->len; i++) {
            const struct termination *t = g_ptr_array_index(context->order, i);
            json_array_append_new(states, json_string(termination_state_name(t->state)));
        }
        json_object_set_new(about, "states", states);
        json_object_del(about, "appData");
        json_array_append_new(array, about);
    }
    reply(c, json_pack("{s:b, s:o}", "ok", 1, "contexts", array));
}

static struct termination *find_termination(const struct wmcf *wmcf, const char *id)
{
    GHashTableIter iter;
    struct context *context;
    g_hash_table_iter_init(&iter, wmcf->contexts);
    while (g_hash_table_iter_next(&iter, NULL, (void **)&context)) {
        struct termination *t = g_hash_table_lookup(context->terminations, id);
        if (t)
            return t;
    }
    return NULL;
}

static struct termination *wanted_termination(struct conversation *c, const json_t *request)
{
    const char *id = json_string_value(json_object_get(request, "id"));
    struct termination *t = id ? find_termination(c->admin->wmcf, id) : NULL;
    if (!t)
        refuse(c, "there is no such termination; \"wmcfctl contexts\" lists them");
    return t;
}

static void on_explained(json_t *terminations, void *user)
{
    reply(user, json_pack("{s:b, s:O}", "ok", 1, "termination", json_array_get(terminations, 0)));
    json_decref(terminations);
}

static void command_termination(struct conversation *c, const json_t *request)
{
    struct termination *t = wanted_termination(c, request);
    if (!t)
        return;
    g_autoptr(GPtrArray) one = g_ptr_array_new();
    g_ptr_array_add(one, t);
    audit_terminations(one, AUDIT_STATE | AUDIT_STATISTICS | AUDIT_DETAIL, on_explained, c);
}

static void command_dot(struct conversation *c, const json_t *request)
{
    const struct termination *t = wanted_termination(c, request);
    if (!t)
        return;
    g_autofree char *dot = t->pipeline ? pipeline_termination_dot(t->pipeline)
                           : t->path   ? media_path_dot(t->path)
                                       : NULL;
    if (dot)
        reply(c, json_pack("{s:b, s:s}", "ok", 1, "dot", dot));
    else
        refuse(c, "the termination has no running pipeline");
}

static void command_keyframe(struct conversation *c, const json_t *request)
{
    struct termination *t = wanted_termination(c, request);
    guint asked = 0;
    for (guint i = 0; t && i < t->medias->len; i++) {
        const struct termination_media *media = g_ptr_array_index(t->medias, i);
        if (media->kind != SDP_VIDEO || !*media->mid)
            continue;
        const char *mid = media->mid;
        const struct termination *from =
            t->pipeline ? pipeline_termination_source(t, mid, &mid) : t;
        relay_leg_request_key_frame(from->relay_leg, mid);
        asked++;
    }
    if (asked)
        reply(c, json_pack("{s:b, s:i}", "ok", 1, "medias", (int)asked));
    else if (t)
        refuse(c, "the termination has no picture");
}

/* Of one termination, or of all of a context. */
static GPtrArray *captured_terminations(struct conversation *c, const char *id)
{
    const struct wmcf *wmcf = c->admin->wmcf;
    const struct context *context = g_hash_table_lookup(wmcf->contexts, id);
    struct termination *t = context ? NULL : find_termination(wmcf, id);
    GPtrArray *list = g_ptr_array_new();
    for (guint i = 0; context && i < context->order->len; i++)
        g_ptr_array_add(list, g_ptr_array_index(context->order, i));
    if (t)
        g_ptr_array_add(list, t);
    return list;
}

/* Who may read along with calls is told by the kernel; the group that may open the socket is not
 * enough. NULL: not allowed. Transfer full. */
static char *capturer(struct conversation *c, GError **error)
{
    g_autoptr(GCredentials) peer =
        g_socket_get_credentials(g_socket_connection_get_socket(c->connection), error);
    if (!peer)
        return NULL;
    uid_t uid = g_credentials_get_unix_user(peer, NULL);
    pid_t pid = g_credentials_get_unix_pid(peer, NULL);
    if (uid == 0 || uid == geteuid())
        return g_strdup_printf("uid %u, process %d", uid, pid);
    log_warning(NULL, "uid %u, process %d was refused a capture", uid, pid);
    problem_set(error, PROBLEM_NOT_AUTHORIZED,
                "only root and the user of wmcf may capture packets");
    return NULL;
}

static void on_capture_done(void *user)
{
    conversation_end(user);
}

static guint64 number_of(const json_t *request, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(request, key));
    return value > 0 ? (guint64)value : 0;
}

static void command_pcap(struct conversation *c, const json_t *request)
{
    const char *id = json_string_value(json_object_get(request, "id"));
    g_autoptr(GPtrArray) terminations = captured_terminations(c, id ? id : "");
    g_autoptr(GError) error = NULL;
    g_autofree char *who = capturer(c, &error);
    struct packet_capture_wanted wanted = {
        .terminations = terminations,
        .mid = json_string_value(json_object_get(request, "mid")),
        .seconds = number_of(request, "seconds"),
        .octets = number_of(request, "octets"),
        .snap = number_of(request, "snap"),
        .to = c->connection,
        .who = who,
        .done = on_capture_done,
        .user = c,
    };
    if (!who) {
        refuse(c, error->message);
        return;
    }
    if (terminations->len == 0) {
        refuse(c, "there is no such termination or context; \"wmcfctl contexts\" lists them");
        return;
    }
    GSocket *socket = g_socket_connection_get_socket(c->connection);
    g_socket_set_timeout(socket, 0);
    if (packet_capture_begin(c->admin->captures, &wanted, &error))
        return;
    g_socket_set_timeout(socket, READ_TIMEOUT_S);
    refuse(c, error->message);
}

static void command_log(struct conversation *c, const json_t *request)
{
    const char *level = json_string_value(json_object_get(request, "id"));
    g_autoptr(GError) error = NULL;
    if (!log_set_level_text(level ? level : "", &error)) {
        refuse(c, error->message);
        return;
    }
    log_info(NULL, "log level %s until the next start", level);
    reply(c, json_pack("{s:b}", "ok", 1));
}

static void command_drain(struct conversation *c, const json_t *request)
{
    if (c->admin->wmcf->state == SERVICE_DRAINING) {
        refuse(c, "it is draining already");
        return;
    }
    service_state_drain(c->admin->wmcf, 0, NULL, NULL);
    reply(c, json_pack("{s:b}", "ok", 1));
}

static void command_undrain(struct conversation *c, const json_t *request)
{
    struct wmcf *wmcf = c->admin->wmcf;
    if (wmcf->state != SERVICE_DRAINING || service_state_ends(wmcf)) {
        refuse(c, wmcf->state == SERVICE_DRAINING ? "it drains in order to end"
                                                  : "it is not draining");
        return;
    }
    service_state_undrain(wmcf);
    reply(c, json_pack("{s:b}", "ok", 1));
}

static const struct {
    const char *name;
    command_fn run;
} commands[] = {
    {"contexts", command_contexts},
    {"dot", command_dot},
    {"drain", command_drain},
    {"keyframe", command_keyframe},
    {"log", command_log},
    {"status", command_status},
    {"pcap", command_pcap},
    {"undrain", command_undrain},
    {"termination", command_termination},
};

static void dispatch(struct conversation *c)
{
    json_auto_t *request = json_loads(c->request, JSON_REJECT_DUPLICATES, NULL);
    const char *name = json_string_value(json_object_get(request, "command"));
    for (size_t i = 0; name && i < G_N_ELEMENTS(commands); i++)
        if (strcmp(commands[i].name, name) == 0) {
            loop_mark("admin command");
            commands[i].run(c, request);
            return;
        }
    refuse(c, name ? "this command is not known; see wmcfctl --help"
                   : "a request is a JSON object with a command");
}

/* --- the socket ---------------------------------------------------------------------------- */

static void read_more(struct conversation *c);

static void on_read(GObject *source, GAsyncResult *result, void *user)
{
    struct conversation *c = user;
    gssize n = g_input_stream_read_finish(G_INPUT_STREAM(source), result, NULL);
    if (n <= 0) {
        conversation_end(c);
        return;
    }
    c->used += n;
    char *end = memchr(c->request, '\n', c->used);
    if (end) {
        *end = '\0';
        dispatch(c);
    } else if (c->used == REQUEST_MAX) {
        refuse(c, "the request is too long");
    } else {
        read_more(c);
    }
}

static void read_more(struct conversation *c)
{
    GInputStream *in = g_io_stream_get_input_stream(G_IO_STREAM(c->connection));
    g_input_stream_read_async(in, c->request + c->used, REQUEST_MAX - c->used, 0, NULL, on_read, c);
}

static gboolean on_incoming(GSocketService *service, GSocketConnection *connection, GObject *source,
                            void *user)
{
    struct admin *admin = user;
    if (admin->connections >= CONNECTIONS_MAX)
        return TRUE; /* dropped: the caller sees the end of the stream */
    g_socket_set_timeout(g_socket_connection_get_socket(connection), READ_TIMEOUT_S);
    struct conversation *c = g_new0(struct conversation, 1);
    c->admin = admin;
    c->connection = g_object_ref(connection);
    admin->connections++;
    read_more(c);
    return TRUE;
}

static bool somebody_answers(GSocketAddress *address)
{
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_autoptr(GSocketConnection) connection =
        g_socket_client_connect(client, G_SOCKET_CONNECTABLE(address), NULL, NULL);
    return connection != NULL;
}

struct admin *admin_new(struct wmcf *wmcf, const char *path, GError **error)
{
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
    if (somebody_answers(address)) {
        problem_set(error, PROBLEM_INVALID_STATE,
                    "%s is in use by another wmcf; stop it or set admin.socket to another path",
                    path);
        return NULL;
    }
    unlink(path); /* left behind by a process that was killed */
    g_autoptr(GSocketService) service = g_socket_service_new();
    g_autoptr(GError) failed = NULL;
    mode_t old = umask(0117);
    bool bound =
        g_socket_listener_add_address(G_SOCKET_LISTENER(service), address, G_SOCKET_TYPE_STREAM,
                                      G_SOCKET_PROTOCOL_DEFAULT, NULL, NULL, &failed);
    umask(old);
    if (!bound) {
        problem_set(error, PROBLEM_INTERNAL_ERROR,
                    "cannot listen on %s: %s; make the folder or set admin.socket", path,
                    failed->message);
        return NULL;
    }
    struct admin *admin = g_new0(struct admin, 1);
    admin->wmcf = wmcf;
    admin->path = g_strdup(path);
    admin->service = g_steal_pointer(&service);
    admin->captures = packet_captures_new(wmcf);
    g_signal_connect(admin->service, "incoming", G_CALLBACK(on_incoming), admin);
    g_socket_service_start(admin->service);
    return admin;
}

void admin_free(struct admin *admin)
{
    if (!admin)
        return;
    g_socket_service_stop(admin->service);
    g_socket_listener_close(G_SOCKET_LISTENER(admin->service));
    packet_captures_end(admin->captures);
    /* Conversations that are under way end with the process; they hold only this struct. */
    while (admin->connections)
        g_main_context_iteration(NULL, TRUE);
    packet_captures_free(admin->captures);
    g_object_unref(admin->service);
    unlink(admin->path);
    g_free(admin->path);
    g_free(admin);
}
