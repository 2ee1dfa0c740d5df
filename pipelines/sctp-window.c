/* SPDX-License-Identifier: Apache-2.0 */
/* Owns what a peer's SCTP may have under way. Every message goes through a queue inside of
 * webrtcbin's SCTP, which has no end, and through another thread before the control thread sees it:
 * on a busy machine megabytes stood there that no window knew of, and an honest peer then was
 * beyond the limit of its backlog. So what has come in counts until it was seen. Something of it
 * may never be: a message for a channel that is closed. After a while without any change the rest
 * is not waited for. */
#include "pipelines/sctp-window.h"

#define UNSEEN_US (2 * G_USEC_PER_SEC)
/* Of what a peer may send into a closed window: what was under way. Some probe it with one packet
 * after the other. */
#define BEYOND_OCTETS (256 * 1024)

void sctp_window_init(struct sctp_window *window)
{
    atomic_init(&window->limit, G_MAXUINT32);
    atomic_init(&window->granted, G_MAXUINT32);
    atomic_init(&window->unseen, 0);
    atomic_init(&window->unseen_at, 0);
    window->beyond = 0;
    window->intake = (struct sctp_intake){0};
}

void sctp_window_set(struct sctp_window *window, guint32 limit)
{
    atomic_store(&window->limit, limit);
}

guint32 sctp_window_now(const struct sctp_window *window)
{
    gint64 unseen = atomic_load(&window->unseen);
    guint32 limit = atomic_load(&window->limit);

    return limit > unseen ? (guint32)(limit - unseen) : 0;
}

void sctp_window_granted(struct sctp_window *window, guint32 octets)
{
    atomic_store(&window->granted, octets);
}

bool sctp_window_has_opened(const struct sctp_window *window, guint32 *ret)
{
    *ret = sctp_window_now(window);
    return *ret > 0 && atomic_load(&window->granted) <= *ret / 4;
}

static void change_unseen(struct sctp_window *window, gint64 by, gint64 now)
{
    gint64 before = atomic_load(&window->unseen);

    atomic_store(&window->unseen_at, now);
    /* What was not counted when it came, since it had been lost at first, takes nothing else away.
     */
    while (!atomic_compare_exchange_weak(&window->unseen, &before, MAX(before + by, 0)))
        ;
}

static void count(struct sctp_window *window, const guint8 *packet, gsize length, gint64 now)
{
    gsize octets = sctp_intake_count(&window->intake, packet, length);

    if (now - atomic_load(&window->unseen_at) > UNSEEN_US)
        atomic_store(&window->unseen, 0);
    if (octets > 0)
        change_unseen(window, (gint64)octets, now);
}

bool sctp_window_admit(struct sctp_window *window, const guint8 *packet, gsize length, gint64 now)
{
    if (!sctp_packet_has_data(packet, length)) {
        count(window, packet, length, now); /* an INIT begins anew */
        return true;
    }
    /* What was under way when the window closed may come; more than that it repeats later. */
    if (sctp_window_now(window) > 0) {
        window->beyond = 0;
    } else {
        if (window->beyond > BEYOND_OCTETS)
            return false;
        window->beyond += (guint)length;
    }
    count(window, packet, length, now);
    return true;
}

void sctp_window_seen(struct sctp_window *window, gsize octets, gint64 now)
{
    /* RFC 8831 6.6: an empty message came as one octet. */
    change_unseen(window, -(gint64)MAX(octets, 1), now);
}
