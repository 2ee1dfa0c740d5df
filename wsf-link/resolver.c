/* SPDX-License-Identifier: Apache-2.0 */
/* Owns host name lookups. Each runs getaddrinfo() on a thread of its own and posts its result; a
 * cancelled lookup cannot be interrupted, so it only loses its callback. Dialers are few and wait
 * for their lookup before asking again, which bounds the threads. */
#include "wsf-link/resolver.h"

#include "base/loop.h"

#include <netdb.h>

struct resolver_lookup {
    char *host;
    resolver_fn done; /* NULL: cancelled */
    void *user;
    char **addresses; /* written by the thread before the post */
    int failure;
};

static void finish(void *data)
{
    struct resolver_lookup *lookup = data;
    if (lookup->done)
        lookup->done(g_steal_pointer(&lookup->addresses),
                     lookup->failure ? gai_strerror(lookup->failure) : NULL, lookup->user);
    g_strfreev(lookup->addresses);
    g_free(lookup->host);
    g_free(lookup);
}

static gpointer run(gpointer data)
{
    struct resolver_lookup *lookup = data;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    lookup->failure = getaddrinfo(lookup->host, NULL, &hints, &list);
    if (!lookup->failure) {
        GPtrArray *texts = g_ptr_array_new();
        for (struct addrinfo *at = list; at; at = at->ai_next) {
            char text[64];
            if (!getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof text, NULL, 0,
                             NI_NUMERICHOST))
                g_ptr_array_add(texts, g_strdup(text));
        }
        g_ptr_array_add(texts, NULL);
        lookup->addresses = (char **)g_ptr_array_free(texts, FALSE);
        freeaddrinfo(list);
    }
    loop_post("host lookup", finish, lookup);
    return NULL;
}

struct resolver_lookup *resolver_start(const char *host, resolver_fn done, void *user)
{
    struct resolver_lookup *lookup = g_new0(struct resolver_lookup, 1);
    lookup->host = g_strdup(host);
    lookup->done = done;
    lookup->user = user;
    g_thread_unref(g_thread_new("lookup", run, lookup));
    return lookup;
}

void resolver_cancel(struct resolver_lookup *lookup)
{
    if (lookup)
        lookup->done = NULL;
}
