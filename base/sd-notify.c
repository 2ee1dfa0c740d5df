/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the talk with the service manager: sd_notify(3) is one datagram to a UNIX socket, so no
 * library is linked for it. The watchdog is pinged from the control loop on purpose: a loop that
 * hangs stops pinging, which is what the manager wants to know. */
#include "base/sd-notify.h"

#include "base/loop.h"

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

bool sd_notify_send(const char *state)
{
    const char *path = g_getenv("NOTIFY_SOCKET");
    if (!path || !*path)
        return true;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || length >= sizeof address.sun_path)
        return false;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* unix(7): the abstract namespace */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
                          (const struct sockaddr *)&address, size);
    close(fd);
    return sent == (ssize_t)strlen(state);
}

static void ping(void *data)
{
    sd_notify_send("WATCHDOG=1");
}

void sd_notify_watchdog_start(void)
{
    static struct loop_timer *timer;
    const char *usec = g_getenv("WATCHDOG_USEC"), *pid = g_getenv("WATCHDOG_PID");
    guint64 period = 0, owner = 0;
    if (timer || !usec || !g_ascii_string_to_unsigned(usec, 10, 1, G_MAXINT64, &period, NULL))
        return;
    if (pid && (!g_ascii_string_to_unsigned(pid, 10, 1, G_MAXINT64, &owner, NULL) ||
                owner != (guint64)getpid()))
        return;
    timer = loop_timer_new("watchdog", ping, NULL);
    guint64 ms = CLAMP(period / 2000, 1, G_MAXUINT);
    loop_timer_start_repeating(timer, (guint)ms);
}
