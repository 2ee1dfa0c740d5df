/* SPDX-License-Identifier: Apache-2.0 */
/* A leg whose ICE somebody else does (pipelines/traversal.h): a path through TURN or TCP has no
 * socket that the worker could send on, so datagrams cross by a connected local socket, and what is
 * told of the path is believed. For the rest of the worker it is one nominated path that has proven
 * to be there. A datagram costs two more system calls and a thread; the kernel's buffer is the
 * bounded queue between them, and a full one drops as a full UDP socket does. */
#include "wmcf/relay/leg.h"

#include "wmcf/relay/worker.h"

void worker_leg_tunnel_up(struct worker_leg *leg, const union socket_address *local,
                          const union socket_address *remote, int64_t now)
{
    struct media_socket *socket = &leg->own->sockets[0];
    worker_flush(leg->worker); /* runs point to the path's address */
    socket->local = *local;
    leg->n_paths = 1;
    leg->paths[0] = (struct ice_path){.remote = *remote, .socket = socket, .proven = true};
    leg->nominated = -1; /* told again, whatever it was */
    worker_leg_nominate(leg, 0, leg->ice->generation, now);
}

void worker_leg_tunnel_down(struct worker_leg *leg, const char *reason)
{
    bool connected = leg->connected;
    worker_flush(leg->worker);
    leg->connected = false;
    leg->nominated = -1;
    leg->n_paths = 0;
    if (connected) {
        worker_raise(leg, EVENT_CONSENT_EXPIRED);
        return;
    }
    struct event *event = g_new0(struct event, 1);
    event->kind = EVENT_ICE_FAILED;
    event->leg = leg->handle;
    event->reason = reason;
    worker_post_event(leg->worker, event);
}
