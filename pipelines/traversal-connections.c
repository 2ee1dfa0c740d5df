/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds the TCP connections of agents. libnice accepts whoever connects to a candidate that
 * listens and keeps him for ever, and shows none of what it has accepted; so once a second the
 * process's descriptors are looked at, and those beyond an agent's limit are shut down, which
 * libnice then finds out by reading. All of them are opened and closed on this thread, so none can
 * become another one between the look and the shutdown. Some microseconds a leg, and only where
 * agents listen at all. */
#include "pipelines/traversal-agent.h"

#include <dirent.h>
#include <netinet/in.h>
#include <nice/agent.h>
#include <stdlib.h>
#include <sys/socket.h>

struct listener {
    guint64 number; /* the agent's */
    guint most;
    guint found;          /* in this round */
    NiceAddress selected; /* its peer's end; not valid = none */
};

static GHashTable *listeners; /* "address port" → struct listener; the thread's */
static GSource *timer;

static void key_of(const NiceAddress *address, char key[NICE_ADDRESS_STRING_LEN + 8])
{
    char text[NICE_ADDRESS_STRING_LEN];
    nice_address_to_string(address, text);
    g_snprintf(key, NICE_ADDRESS_STRING_LEN + 8, "%s %u", text, nice_address_get_port(address));
}

static bool is_option(int fd, int name, int value)
{
    int got = -1;
    socklen_t length = sizeof got;
    return getsockopt(fd, SOL_SOCKET, name, &got, &length) == 0 && got == value;
}

/* libnice shows the descriptor of a selected pair only where it is UDP's. */
static bool is_selected(const struct listener *listener, int fd)
{
    struct sockaddr_storage remote;
    socklen_t length = sizeof remote;
    NiceAddress address;
    if (!nice_address_is_valid(&listener->selected) ||
        getpeername(fd, (struct sockaddr *)&remote, &length) != 0)
        return false;
    nice_address_set_from_sockaddr(&address, (const struct sockaddr *)&remote);
    return nice_address_equal(&address, &listener->selected);
}

static void look_at(int fd)
{
    struct sockaddr_storage local;
    socklen_t length = sizeof local;
    char key[NICE_ADDRESS_STRING_LEN + 8];
    NiceAddress address;
    if (!is_option(fd, SO_PROTOCOL, IPPROTO_TCP) || !is_option(fd, SO_ACCEPTCONN, 0) ||
        getsockname(fd, (struct sockaddr *)&local, &length) != 0)
        return;
    nice_address_set_from_sockaddr(&address, (const struct sockaddr *)&local);
    key_of(&address, key);
    struct listener *listener = g_hash_table_lookup(listeners, key);
    if (listener && !is_selected(listener, fd) && ++listener->found > listener->most)
        shutdown(fd, SHUT_RDWR);
}

static gboolean on_look(void *data)
{
    GHashTableIter iter;
    struct listener *listener;
    g_hash_table_iter_init(&iter, listeners);
    while (g_hash_table_iter_next(&iter, NULL, (void **)&listener))
        listener->found = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return G_SOURCE_CONTINUE;
    for (struct dirent *entry; (entry = readdir(folder));)
        if (g_ascii_isdigit(*entry->d_name))
            look_at(atoi(entry->d_name));
    closedir(folder);
    return G_SOURCE_CONTINUE;
}

void traversal_listens(guint64 number, const NiceAddress *address, guint most)
{
    char key[NICE_ADDRESS_STRING_LEN + 8];
    if (!listeners)
        listeners = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (!timer) {
        timer = g_timeout_source_new_seconds(1);
        g_source_set_callback(timer, on_look, NULL, NULL);
        g_source_attach(timer, traversal_context());
    }
    struct listener *listener = g_new0(struct listener, 1);
    *listener = (struct listener){.number = number, .most = most};
    nice_address_init(&listener->selected);
    key_of(address, key);
    g_hash_table_insert(listeners, g_strdup(key), listener);
}

void traversal_selects(guint64 number, const NiceAddress *remote)
{
    GHashTableIter iter;
    struct listener *listener;
    if (!listeners)
        return;
    g_hash_table_iter_init(&iter, listeners);
    while (g_hash_table_iter_next(&iter, NULL, (void **)&listener))
        if (listener->number == number)
            listener->selected = *remote;
}

static gboolean is_of(void *key, void *value, void *number)
{
    return ((struct listener *)value)->number == *(guint64 *)number;
}

void traversal_listens_no_more(guint64 number)
{
    if (!listeners)
        return;
    g_hash_table_foreach_remove(listeners, is_of, &number);
    if (g_hash_table_size(listeners))
        return;
    g_clear_pointer(&listeners, g_hash_table_destroy);
    g_source_destroy(timer);
    g_clear_pointer(&timer, g_source_unref);
}
