/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the queue towards the peer. Messages wait whole and leave in pieces as the socket takes
 * them, so nothing is copied twice and a peer that does not read costs at most send_queue_max
 * octets: the message that would go above it closes the link with 1013 and the queue is thrown
 * away, because a stream of requests and responses with a hole in it helps nobody. */
#define LOG_CATEGORY "link"
#include "wsf-link/link-core.h"

#include "base/log.h"

static gsize pending_octets(const struct link *link)
{
    return link->queue_octets - link->sent_octets;
}

void link_send(struct link *link, GBytes *text)
{
    if (link->state != LINK_OPEN && link->state != LINK_OPENING)
        return;
    gsize size = g_bytes_get_size(text);
    if (pending_octets(link) + size > link->limits.send_queue_max) {
        link_problem_close(link, LINK_CLOSE_TRY_AGAIN, "the peer does not read");
        return;
    }
    link_trace(link, false, g_bytes_get_data(text, NULL), size);
    g_queue_push_tail(&link->queue, g_bytes_ref(text));
    link->queue_octets += size;
    link_count_octets(false, size);
    link->wire_ops->write_soon(link->wire);
}

void link_queue_clear(struct link *link)
{
    g_queue_clear_full(&link->queue, (GDestroyNotify)g_bytes_unref);
    link->queue_octets = link->sent_octets = 0;
}

bool link_wire_wants_write(const struct link *link)
{
    return link->ping_due || link->queue.length || link->state == LINK_CLOSING;
}

static void take_piece(struct link *link, gsize max, struct link_piece *ret_piece)
{
    gsize size;
    const guint8 *data = g_bytes_get_data(g_queue_peek_head(&link->queue), &size);
    *ret_piece = (struct link_piece){
        .data = data + link->sent_octets,
        .length = MIN(max, size - link->sent_octets),
        .first = link->sent_octets == 0,
        .last = size - link->sent_octets <= max,
    };
    link->sent_octets += ret_piece->length;
}

enum link_out link_wire_next(struct link *link, gsize max, struct link_piece *ret_piece)
{
    if (link->state == LINK_GONE || link->state == LINK_CLOSED_OUT)
        return LINK_OUT_NOTHING;
    GBytes *head = g_queue_peek_head(&link->queue);
    /* The piece handed out last was borrowed until this call. */
    if (head && link->sent_octets == g_bytes_get_size(head)) {
        link->queue_octets -= link->sent_octets;
        link->sent_octets = 0;
        g_bytes_unref(g_queue_pop_head(&link->queue));
        head = g_queue_peek_head(&link->queue);
    }
    /* RFC 6455 5.4: a control frame may stand between the fragments of a message. */
    if (link->ping_due) {
        link->ping_due = false;
        return LINK_OUT_PING;
    }
    if (head && !max)
        return LINK_OUT_NOTHING;
    if (head) {
        take_piece(link, max, ret_piece);
        return LINK_OUT_PIECE;
    }
    if (link->state == LINK_CLOSING) {
        link_set_state(link, LINK_CLOSED_OUT, "close frame sent");
        return LINK_OUT_CLOSE;
    }
    return LINK_OUT_NOTHING;
}
