/* SPDX-License-Identifier: Apache-2.0 */
/* WebSocket reassembly and everything behind it: a link is fed pieces as a wire would feed it, and
 * drained as a socket would drain it. The input is a script of steps, each an octet of flags, an
 * octet of length and the piece's octets; the first octet sets up the link.
 *
 * Properties: what reaches the program is exactly the JSON of the pieces since the last first one;
 * messages never exceed the limit; nothing is delivered after the link began to close; the queue
 * stays within its limit. */
#include "base/loop.h"
#include "base/problem.h"
#include "tests/fuzz/fuzz.h"
#include "wsf-link/link-core.h"

#include <string.h>

enum step_flags {
    STEP_FIRST = 1,
    STEP_LAST = 2,
    STEP_BINARY = 4,
    STEP_REPEAT = 8,  /* the piece sixteen times over: reaches the limits with little input */
    STEP_DRAIN = 16,  /* the socket takes data, in pieces of the length octet */
    STEP_ANSWER = 32, /* the program answers what it has */
    STEP_ASK = 64,    /* the program asks something itself */
    STEP_OTHER =
        128, /* by length: pong, authenticated, peer's close, keep-alive, a round of the loop */
};

#define MESSAGE_MAX 2048
#define MESSAGE_MAX_UNAUTH 512
#define QUEUE_MAX 4096

struct peer {
    struct link *link; /* NULL once gone */
    GString *expected; /* the pieces of the message that is arriving */
    GQueue transactions;
};

static void on_request(struct link *link, struct link_transaction *transaction, void *user)
{
    struct peer *peer = user;
    g_assert(link == peer->link && link->state == LINK_OPEN);
    g_assert_cmpuint(peer->expected->len, <=,
                     link_is_authenticated(link) ? MESSAGE_MAX : MESSAGE_MAX_UNAUTH);
    /* An integer above 2^63 is read by ours and not by jansson alone. */
    json_auto_t *model = json_loadb(peer->expected->str, peer->expected->len, 0, NULL);
    g_assert(!model || json_equal(model, link_transaction_message(transaction)));
    g_queue_push_tail(&peer->transactions, transaction);
}

static void on_closed(struct link *link, int code, const char *reason, void *user)
{
    struct peer *peer = user;
    g_assert_cmpint(code, >, 0);
    peer->link = NULL;
}

static const struct link_ops ops = {.request = on_request, .closed = on_closed};

static void ignore(void *wire)
{
}

static void ignore_read(void *wire, bool on)
{
}

static bool admit(void *wire, gint64 now, guint *ret_wait_ms)
{
    return true;
}

static const struct link_wire_ops wire_ops = {
    .write_soon = ignore, .read = ignore_read, .kill = ignore, .admit = admit};

static const char *const methods[] = {"auth", "msetup", NULL};
static const char *const extensions[] = {"trickle-ice", NULL};
static const struct link_protocol protocol = {.subprotocol = "eirtcw.v1",
                                              .methods = methods,
                                              .application_methods = true,
                                              .extensions = extensions};

static void open_link(struct peer *peer, uint8_t how)
{
    const struct link_limits limits = {
        .message_max = MESSAGE_MAX,
        .message_max_unauth = MESSAGE_MAX_UNAUTH,
        .auth_timeout_ms = 10000,
        .auth_failures_max = 3,
        .keepalive_ms = how & 4 ? 0 : 20000,
        .response_timeout_ms = 8000,
        .rate = how & 8 ? 0 : 20,
        .burst = 40,
        .rate_unauth = 10,
        .slow_instead_of_refuse = how & 16,
        .calls_max = 4,
        .transactions_max = 8,
        .send_queue_max = QUEUE_MAX,
    };
    const struct link_setup setup = {
        .number = 1,
        .role = how & 1 ? LINK_CLIENT : LINK_SERVER,
        .protocol = &protocol,
        .limits = &limits,
        .ops = &ops,
        .user = peer,
        .peer_address = "192.0.2.1",
        .path = "/eirtcw/v1",
        .wire_ops = &wire_ops,
        .wire = peer,
    };
    peer->link = link_new(&setup);
    link_wire_opened(peer->link);
    if (how & 2)
        link_set_authenticated(peer->link, "alice@example.org");
}

static void drain(struct peer *peer, gsize max)
{
    struct link_piece piece;
    for (guint i = 0; i < 64 && link_wire_wants_write(peer->link); i++) {
        enum link_out out = link_wire_next(peer->link, max, &piece);
        if (out == LINK_OUT_NOTHING)
            return;
        g_assert(out != LINK_OUT_PIECE || (piece.length > 0 && piece.length <= max));
    }
}

static void answer(struct peer *peer, bool well)
{
    struct link_transaction *transaction;
    while ((transaction = g_queue_pop_head(&peer->transactions)))
        if (well) {
            link_succeed(transaction, json_pack("{s:s}", "mediaSessionId", "x"));
        } else {
            g_autoptr(GError) error = NULL;
            problem_set(&error, PROBLEM_INVALID_MESSAGE, "no");
            link_fail(transaction, error, NULL);
        }
}

static void on_response(struct link *link, const struct link_response *response, void *user)
{
    g_assert(response->success == (response->error == NULL));
}

static void feed(struct peer *peer, uint8_t flags, const uint8_t *piece, size_t length)
{
    guint times = flags & STEP_REPEAT ? 16 : 1;
    for (guint i = 0; i < times && peer->link; i++) {
        bool first = i == 0 && (flags & STEP_FIRST), last = i + 1 == times && (flags & STEP_LAST);
        if (peer->link->state == LINK_OPEN) {
            if (first)
                g_string_truncate(peer->expected, 0);
            g_string_append_len(peer->expected, (const char *)piece, length);
        }
        link_wire_received(peer->link, piece, length, first, last, flags & STEP_BINARY);
        if (last)
            g_string_truncate(peer->expected, 0);
    }
}

static void other(struct peer *peer, uint8_t which)
{
    switch (which % 6) {
    case 0:
        link_wire_heard(peer->link);
        break;
    case 1:
        link_set_authenticated(peer->link, "alice@example.org");
        break;
    case 2:
        link_wire_peer_closed(peer->link, 1000, "bye");
        break;
    case 3:
        link_auth_failed(peer->link);
        break;
    case 4:
        link_close(peer->link, LINK_CLOSE_DRAINING, "draining");
        break;
    case 5:
        g_main_context_iteration(NULL, FALSE);
        break;
    }
}

static void step(struct peer *peer, uint8_t flags, uint8_t length, const uint8_t *piece,
                 size_t piece_length)
{
    if (flags & STEP_OTHER)
        other(peer, length);
    else if (flags & STEP_DRAIN)
        drain(peer, (gsize)length + 1);
    else if (flags & STEP_ANSWER)
        answer(peer, length & 1);
    else if (flags & STEP_ASK)
        link_request(peer->link, "mupdate", json_pack("{s:i}", "n", length), 0, on_response, peer);
    else
        feed(peer, flags, piece, piece_length);
    g_assert(!peer->link || peer->link->queue_octets - peer->link->sent_octets <= QUEUE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool initialised;
    if (!initialised)
        loop_init(10000);
    initialised = true;
    if (size == 0)
        return 0;
    struct peer peer = {.expected = g_string_new(NULL), .transactions = G_QUEUE_INIT};
    open_link(&peer, data[0]);
    for (size_t at = 1; at + 2 <= size && peer.link;) {
        uint8_t flags = data[at], length = data[at + 1];
        bool has_piece = !(flags & (STEP_OTHER | STEP_DRAIN | STEP_ANSWER | STEP_ASK));
        size_t piece = has_piece ? MIN((size_t)length, size - at - 2) : 0;
        step(&peer, flags, length, data + at + 2, piece);
        at += 2 + piece;
    }
    link_wire_lost(peer.link);
    answer(&peer, true);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    g_string_free(peer.expected, TRUE);
    return 0;
}
