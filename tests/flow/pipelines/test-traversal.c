/* SPDX-License-Identifier: Apache-2.0 */
/* Two agents of iceMode "traversal" find each other, by TCP too; what is sent at one's socket comes
 * out at the other's; they restart, lose each other, and end at any moment. */
#include "base/loop.h"
#include "base/problem.h"
#include "pipelines/traversal-agent.h"
#include "pipelines/traversal.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct side {
    struct traversal *traversal;
    int fd;
    char ufrag[9], pwd[25];
    unsigned gathered, connected, failed;
    struct sockaddr_storage local, remote;
};

static void on_gathered(void *user)
{
    ((struct side *)user)->gathered++;
}

static void on_connected(void *user, const struct sockaddr_storage *local,
                         const struct sockaddr_storage *remote)
{
    struct side *side = user;
    side->connected++;
    side->local = *local;
    side->remote = *remote;
}

static void on_failed(void *user, const char *reason)
{
    struct side *side = user;
    g_assert_nonnull(reason);
    side->failed++;
}

static const struct traversal_ops ops = {on_gathered, on_connected, on_failed};

#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        gint64 end_ = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;                                \
        bool met_ = false;                                                                         \
        while (!(met_ = (condition)) && g_get_monotonic_time() < end_)                             \
            if (!g_main_context_iteration(NULL, FALSE))                                            \
                g_usleep(1000);                                                                    \
        g_assert_true(met_);                                                                       \
    } while (0)

static void credentials(struct side *side, unsigned n)
{
    g_snprintf(side->ufrag, sizeof side->ufrag, "uf%06u", n);
    g_snprintf(side->pwd, sizeof side->pwd, "password-of-traversal%03u", n);
}

static void begin(struct side *side, unsigned n, const struct traversal_server *server)
{
    struct traversal_address address = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&address.local;
    g_autoptr(GError) error = NULL;
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.advertised = address.local;
    *side = (struct side){0};
    credentials(side, n);
    struct traversal_config config = {.addresses = &address,
                                      .n_addresses = 1,
                                      .servers = server,
                                      .n_servers = server != NULL,
                                      .tcp = true,
                                      .queue = 65536,
                                      .connections = 4,
                                      .ufrag = side->ufrag,
                                      .pwd = side->pwd};
    side->traversal = traversal_new(&config, &ops, side, &side->fd, &error);
    g_assert_no_error(error);
}

static void finish(struct side *side)
{
    traversal_free(side->traversal);
    close(side->fd);
}

static void describe(struct side *to, const struct side *from, bool controlling, bool tcp)
{
    struct traversal_remote remote = {.ufrag = from->ufrag,
                                      .pwd = from->pwd,
                                      .local_ufrag = to->ufrag,
                                      .local_pwd = to->pwd,
                                      .controlling = controlling};
    const GArray *candidates = traversal_candidates(from->traversal);
    traversal_set_remote(to->traversal, &remote);
    guint n = 0;
    for (guint i = 0; i < candidates->len; i++) {
        const struct sdp_candidate *candidate = &g_array_index(candidates, struct sdp_candidate, i);
        if (candidate->udp == tcp)
            continue;
        traversal_add_candidate(to->traversal, candidate);
        n++;
    }
    g_assert_cmpuint(n, >, 0);
    traversal_complete(to->traversal);
}

static bool comes(struct side *side, const char *text)
{
    char data[64];
    ssize_t length = recv(side->fd, data, sizeof data, MSG_DONTWAIT);
    return length == (ssize_t)strlen(text) && memcmp(data, text, (size_t)length) == 0;
}

static void talk(struct side *a, struct side *b)
{
    g_assert_cmpint(send(a->fd, "there", 5, 0), ==, 5);
    UNTIL(comes(b, "there"));
    g_assert_cmpint(send(b->fd, "and back", 8, 0), ==, 8);
    UNTIL(comes(a, "and back"));
}

static void meet(struct side *a, struct side *b, bool tcp)
{
    begin(a, 1, NULL);
    begin(b, 2, NULL);
    UNTIL(a->gathered && b->gathered);
    describe(a, b, true, tcp);
    describe(b, a, false, tcp);
    UNTIL(a->connected && b->connected);
}

static void test_udp(void)
{
    struct side a, b;
    meet(&a, &b, false);
    g_assert_cmpuint(((struct sockaddr_in *)&a.local)->sin_port, ==,
                     ((struct sockaddr_in *)&b.remote)->sin_port);
    talk(&a, &b);
    finish(&a);
    finish(&b);
}

/* One side's listens, the other's connects, which nobody has to be told of. */
static void test_tcp(void)
{
    struct side a, b;
    meet(&a, &b, true);
    talk(&a, &b);
    finish(&a);
    finish(&b);
}

static void test_restart(void)
{
    struct side a, b;
    meet(&a, &b, false);
    talk(&a, &b);
    unsigned before[] = {a.connected, b.connected};
    credentials(&a, 3);
    credentials(&b, 4);
    describe(&a, &b, true, false);
    describe(&b, &a, false, false);
    UNTIL(a.connected > before[0] && b.connected > before[1]);
    talk(&a, &b);
    finish(&a);
    finish(&b);
}

static void test_nobody_answers(void)
{
    struct side a, b;
    begin(&a, 1, NULL);
    begin(&b, 2, NULL);
    UNTIL(a.gathered && b.gathered);
    describe(&a, &b, true, false);
    finish(&b);
    UNTIL(a.failed);
    g_assert_cmpuint(a.connected, ==, 0);
    finish(&a);
}

/* A server that does not answer costs two seconds, not the candidates. */
static void test_silent_server(void)
{
    int silent = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof in;
    g_assert_cmpint(bind(silent, (struct sockaddr *)&in, length), ==, 0);
    getsockname(silent, (struct sockaddr *)&in, &length);
    struct traversal_server server = {
        .kind = TRAVERSAL_STUN, .address = "127.0.0.1", .port = ntohs(in.sin_port)};
    struct side a;
    begin(&a, 1, &server);
    g_assert_false(traversal_gathered(a.traversal));
    UNTIL(a.gathered);
    g_assert_cmpuint(traversal_candidates(a.traversal)->len, >, 0);
    finish(&a);
    close(silent);
}

static void test_ends_early(void)
{
    struct side sides[8];
    for (unsigned i = 0; i < G_N_ELEMENTS(sides); i++) {
        begin(&sides[i], i, NULL);
        if (i % 2)
            UNTIL(sides[i].gathered);
        finish(&sides[i]);
    }
    for (guint i = 0; i < 50; i++)
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(1000);
    for (unsigned i = 0; i < G_N_ELEMENTS(sides); i++)
        g_assert_cmpuint(sides[i].gathered, ==,
                         i % 2); /* nothing is heard of those that are gone */
}

enum { MANY = 9, KEPT = 4 };

struct crowd {
    int fds[MANY];
    bool gone[MANY];
    guint closed;
};

/* Connections that will say nothing, to where the side listens. */
static void come(struct crowd *crowd, const struct side *side)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const GArray *candidates = traversal_candidates(side->traversal);
    for (guint i = 0; i < candidates->len; i++) {
        const struct sdp_candidate *candidate = &g_array_index(candidates, struct sdp_candidate, i);
        if (strcmp(candidate->tcp_type, "passive") == 0)
            in.sin_port = htons((guint16)candidate->port);
    }
    g_assert_cmpuint(in.sin_port, !=, 0);
    *crowd = (struct crowd){0};
    for (guint i = 0; i < MANY; i++) {
        crowd->fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_assert_cmpint(connect(crowd->fds[i], (struct sockaddr *)&in, sizeof in), ==, 0);
    }
}

static guint closed_of(struct crowd *crowd)
{
    char octet;
    for (guint i = 0; i < MANY; i++)
        if (!crowd->gone[i] && recv(crowd->fds[i], &octet, 1, MSG_DONTWAIT) == 0) {
            crowd->gone[i] = true;
            crowd->closed++;
        }
    return crowd->closed;
}

static void leave(struct crowd *crowd)
{
    for (guint i = 0; i < MANY; i++)
        close(crowd->fds[i]);
}

/* Connections that say nothing are closed beyond the limit of four. */
static void test_connections(void)
{
    struct side a;
    struct crowd crowd;
    begin(&a, 1, NULL);
    UNTIL(a.gathered);
    come(&crowd, &a);
    UNTIL(closed_of(&crowd) >= MANY - KEPT);
    leave(&crowd);
    finish(&a);
}

/* The one that is in use is none of them, though all the others are looked at before it: they get
 * the lower descriptors, kept free for them while the two meet. */
static void test_selected_connection(void)
{
    struct side a, b;
    struct crowd at_a, at_b;
    int places[4 * MANY];
    for (guint i = 0; i < G_N_ELEMENTS(places); i++)
        places[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    meet(&a, &b, true);
    for (guint i = 0; i < G_N_ELEMENTS(places); i++)
        close(places[i]);
    come(&at_a, &a);
    come(&at_b, &b);
    UNTIL(closed_of(&at_a) >= MANY - KEPT && closed_of(&at_b) >= MANY - KEPT);
    talk(&a, &b);
    leave(&at_a);
    leave(&at_b);
    finish(&a);
    finish(&b);
}

static guint count_descriptors(void)
{
    g_autoptr(GDir) folder = g_dir_open("/proc/self/fd", 0, NULL);
    guint n = 0;
    while (g_dir_read_name(folder))
        n++;
    return n;
}

/* Whatever they were doing, by UDP and by TCP, nothing stays open of those that are gone. */
static void test_leaves_nothing(void)
{
    guint before = count_descriptors(); /* the thread has begun */
    for (guint i = 0; i < 10; i++) {
        struct side a, b;
        meet(&a, &b, i % 2);
        talk(&a, &b);
        finish(&a);
        finish(&b);
    }
    UNTIL(count_descriptors() <= before);
}

static gboolean on_always(void *data)
{
    return G_SOURCE_CONTINUE;
}

/* A descriptor that libnice has left is ready for ever: the program ends nevertheless. */
static void test_end(void)
{
    struct side side;
    GSource *always = g_idle_source_new();
    begin(&side, 1, NULL);
    g_source_set_priority(always, G_PRIORITY_DEFAULT);
    g_source_set_callback(always, on_always, NULL, NULL);
    g_source_attach(always, traversal_context());
    g_source_unref(always);
    finish(&side);
    traversal_finish();
}

static void test_servers(void)
{
    static const struct {
        const char *url;
        enum traversal_server_kind kind;
        const char *address;
        guint16 port;
    } good[] = {
        {"stun:192.0.2.7", TRAVERSAL_STUN, "192.0.2.7", 3478},
        {"stun:192.0.2.7:19302", TRAVERSAL_STUN, "192.0.2.7", 19302},
        {"turn:192.0.2.7", TRAVERSAL_TURN_UDP, "192.0.2.7", 3478},
        {"turn:192.0.2.7:80?transport=udp", TRAVERSAL_TURN_UDP, "192.0.2.7", 80},
        {"turn:[2001:db8::7]:443?transport=tcp", TRAVERSAL_TURN_TCP, "2001:db8::7", 443},
        {"turn:[2001:db8::7]?transport=tcp", TRAVERSAL_TURN_TCP, "2001:db8::7", 3478},
    };
    static const char *const bad[] = {
        "",          "stun:",         "turn:example.org", "turn:192.0.2.7:0",
        "stun:[::1", "stun:[::1]9",   "turns:192.0.2.7",  "stun:192.0.2.7?transport=udp",
        "192.0.2.7", "stun:[::1]:9x", "turn:[]",          "turn:192.0.2.7?transport=sctp",
    };
    struct traversal_server server;
    for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_true(traversal_server_parse(good[i].url, &server, &error));
        g_assert_no_error(error);
        g_assert_cmpint(server.kind, ==, good[i].kind);
        g_assert_cmpstr(server.address, ==, good[i].address);
        g_assert_cmpuint(server.port, ==, good[i].port);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(traversal_server_parse(bad[i], &server, &error));
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/traversal/servers", test_servers);
    g_test_add_func("/traversal/udp", test_udp);
    g_test_add_func("/traversal/tcp", test_tcp);
    g_test_add_func("/traversal/restart", test_restart);
    g_test_add_func("/traversal/nobody-answers", test_nobody_answers);
    g_test_add_func("/traversal/silent-server", test_silent_server);
    g_test_add_func("/traversal/ends-early", test_ends_early);
    g_test_add_func("/traversal/connections", test_connections);
    g_test_add_func("/traversal/selected-connection", test_selected_connection);
    g_test_add_func("/traversal/leaves-nothing", test_leaves_nothing);
    g_test_add_func("/traversal/end", test_end);
    int result = g_test_run();
    traversal_finish();
    return result;
}
