/* SPDX-License-Identifier: Apache-2.0 */
/* The notify datagram in both kinds of socket names, and the watchdog's pings. */
#include "base/sd-notify.h"

#include "base/loop.h"

#include <glib/gstdio.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int bind_manager(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path, name, strlen(name));
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address,
                         (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
                    ==, 0);
    g_setenv("NOTIFY_SOCKET", name, TRUE);
    return fd;
}

static void assert_received(int fd, const char *text)
{
    char buffer[256];
    ssize_t n = recv(fd, buffer, sizeof buffer - 1, MSG_DONTWAIT);
    g_assert_cmpint(n, >, 0);
    buffer[n] = '\0';
    g_assert_cmpstr(buffer, ==, text);
}

static void test_send(void)
{
    g_autofree char *dir = g_dir_make_tmp("notify-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "socket", NULL);
    g_autofree char *abstract = g_strdup_printf("@wmcf-test-notify-%d", (int)getpid());
    const char *const names[] = {path, abstract};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        int fd = bind_manager(names[i]);
        g_assert_true(sd_notify_send("READY=1\nSTATUS=serving"));
        assert_received(fd, "READY=1\nSTATUS=serving");
        close(fd);
        g_assert_false(sd_notify_send("READY=1")); /* nobody there */
    }
    g_remove(path);
    g_rmdir(dir);
    g_setenv("NOTIFY_SOCKET", "relative", TRUE);
    g_assert_false(sd_notify_send("READY=1"));
    g_unsetenv("NOTIFY_SOCKET");
    g_assert_true(sd_notify_send("READY=1"));
}

static void quit(void *data)
{
    loop_quit();
}

static void test_watchdog(void)
{
    g_autofree char *name = g_strdup_printf("@wmcf-test-watchdog-%d", (int)getpid());
    int fd = bind_manager(name);
    g_setenv("WATCHDOG_USEC", "nonsense", TRUE);
    sd_notify_watchdog_start();
    g_setenv("WATCHDOG_USEC", "6000", TRUE);
    g_setenv("WATCHDOG_PID", "1", TRUE); /* meant for another process */
    sd_notify_watchdog_start();
    g_unsetenv("WATCHDOG_PID");
    sd_notify_watchdog_start();
    struct loop_timer *timer = loop_timer_new("quit", quit, NULL);
    loop_timer_start(timer, 15);
    loop_run(NULL);
    loop_timer_free(timer);
    assert_received(fd, "WATCHDOG=1");
    close(fd);
    g_unsetenv("NOTIFY_SOCKET");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/sd-notify/send", test_send);
    g_test_add_func("/sd-notify/watchdog", test_watchdog);
    return g_test_run();
}
