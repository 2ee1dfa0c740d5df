/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* How long packets are in this machine: from the kernel's receipt until the sendmmsg() that carried
 * them has returned. Threads: the worker. */
#include "wmcf/relay/socket.h"

#include <sys/socket.h>

struct worker;

/* Before a batch is received: true when this one is measured; then transit_end() after it. */
bool transit_begin(struct worker *worker, const struct media_socket *socket);
/* It has been received, or nothing has (`first` NULL). Returns when the kernel received the first
 * message, CLOCK_REALTIME in ns; 0 = not known. */
int64_t transit_end(const struct media_socket *socket, struct msghdr *first);
/* What the batch brought is sent. */
void transit_count(struct worker *worker, int64_t received);
