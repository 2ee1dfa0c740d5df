/* SPDX-License-Identifier: Apache-2.0 */
/* Which interfaces carry media. The table has every interface of the namespace with its addresses,
 * since any of them may become one of ours by a name or an address; after each batch of changes the
 * table is compared with what was told. Linear throughout: changes are rare and there are tens of
 * interfaces, on a large host thousands, which take some microseconds. */
#define LOG_CATEGORY "qos"
#include "qos/interfaces.h"

#include "base/log.h"
#include "qos/link-watch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

struct link {
    unsigned index;
    char *name;
    bool is_loopback;
    bool is_told;      /* up */
    bool is_seen;      /* since everything was told afresh */
    GArray *addresses; /* struct link_address */
};

/* One of our media addresses. */
struct wanted {
    int family;
    uint8_t octets[16];
    unsigned scope; /* of an IPv6 link-local one: the interface; 0 = any */
    unsigned had;   /* index of the interface that has it or had it last */
};

struct interfaces {
    const struct interfaces_ops *ops;
    void *user;
    char **named;
    GArray *wanted;   /* struct wanted */
    GPtrArray *links; /* struct link, owned */
    struct link_watch *watch;
    char *missing; /* the sentence told last */
};

static void link_free(void *data)
{
    struct link *link = data;
    g_free(link->name);
    g_array_unref(link->addresses);
    g_free(link);
}

static struct link *find(const struct interfaces *interfaces, unsigned index)
{
    for (guint i = 0; i < interfaces->links->len; i++) {
        struct link *link = interfaces->links->pdata[i];
        if (link->index == index)
            return link;
    }
    return NULL;
}

static bool has_address(const struct link *link, const struct wanted *wanted)
{
    size_t length = wanted->family == AF_INET ? 4 : 16;
    if (wanted->scope && wanted->scope != link->index)
        return false;
    /* All of 127.0.0.0/8 is there without an address for each (RFC 1122 3.2.1.3). */
    if (link->is_loopback && wanted->family == AF_INET && wanted->octets[0] == 127)
        return true;
    for (guint i = 0; i < link->addresses->len; i++) {
        const struct link_address *one = &g_array_index(link->addresses, struct link_address, i);
        if (one->family == wanted->family && memcmp(one->octets, wanted->octets, length) == 0)
            return true;
    }
    return false;
}

static bool carries_media(const struct interfaces *interfaces, const struct link *link)
{
    if (interfaces->named && g_strv_contains((const char *const *)interfaces->named, link->name))
        return true;
    for (guint i = 0; i < interfaces->wanted->len; i++)
        if (has_address(link, &g_array_index(interfaces->wanted, struct wanted, i)))
            return true;
    return false;
}

static void tell(struct interfaces *interfaces, struct link *link, bool up)
{
    if (link->is_told == up)
        return;
    link->is_told = up;
    log_debug(NULL, "interface %s (%u) %s", link->name, link->index,
              up ? "carries media" : "carries media no longer");
    (up ? interfaces->ops->up : interfaces->ops->down)(interfaces->user, link->index, link->name);
}

static void tell_those(struct interfaces *interfaces, bool up)
{
    for (guint i = 0; i < interfaces->links->len; i++) {
        struct link *link = interfaces->links->pdata[i];
        if (carries_media(interfaces, link) == up)
            tell(interfaces, link, up);
    }
}

static const struct link *holder(const struct interfaces *interfaces, const struct wanted *wanted)
{
    for (guint i = 0; i < interfaces->links->len; i++) {
        const struct link *link = interfaces->links->pdata[i];
        if (has_address(link, wanted))
            return link;
    }
    return NULL;
}

/* An address that moves leaves before it comes. */
static void tell_all(struct interfaces *interfaces)
{
    for (guint i = 0; i < interfaces->wanted->len; i++) {
        struct wanted *wanted = &g_array_index(interfaces->wanted, struct wanted, i);
        const struct link *link = holder(interfaces, wanted);
        if (link)
            wanted->had = link->index;
    }
    tell_those(interfaces, false);
    tell_those(interfaces, true);
}

/* --- what the kernel tells ---------------------------------------------------------------------*/

static void on_link(void *user, unsigned index, const char *name, bool is_loopback)
{
    struct interfaces *interfaces = user;
    struct link *link = find(interfaces, index);
    if (!link) {
        link = g_new0(struct link, 1);
        link->index = index;
        link->addresses = g_array_new(FALSE, FALSE, sizeof(struct link_address));
        g_ptr_array_add(interfaces->links, link);
    }
    link->is_loopback = is_loopback;
    link->is_seen = true;
    if (g_strcmp0(link->name, name) != 0) {
        g_free(link->name);
        link->name = g_strdup(name);
    }
}

static void on_link_gone(void *user, unsigned index)
{
    struct interfaces *interfaces = user;
    struct link *link = find(interfaces, index);
    guint at;
    if (!link)
        return;
    /* At once: the next in the queue may be its successor. Who is told finds it gone. */
    if (g_ptr_array_find(interfaces->links, link, &at))
        g_ptr_array_steal_index(interfaces->links, at);
    tell(interfaces, link, false);
    link_free(link);
}

static void on_address(void *user, unsigned index, const struct link_address *address,
                       bool is_there)
{
    struct link *link = find(user, index);
    if (!link)
        return;
    for (guint i = 0; i < link->addresses->len; i++) {
        if (memcmp(&g_array_index(link->addresses, struct link_address, i), address,
                   sizeof *address) == 0) {
            if (!is_there)
                g_array_remove_index_fast(link->addresses, i);
            return;
        }
    }
    if (is_there)
        g_array_append_val(link->addresses, *address);
}

static void on_afresh(void *user)
{
    struct interfaces *interfaces = user;
    for (guint i = 0; i < interfaces->links->len; i++) {
        struct link *link = interfaces->links->pdata[i];
        link->is_seen = false;
        g_array_set_size(link->addresses, 0);
    }
}

static void on_settled(void *user)
{
    struct interfaces *interfaces = user;
    for (guint i = interfaces->links->len; i-- > 0;) {
        struct link *link = interfaces->links->pdata[i];
        if (!link->is_seen)
            on_link_gone(interfaces, link->index);
    }
    tell_all(interfaces);
}

static const struct link_watch_ops watch_ops = {.link = on_link,
                                                .link_gone = on_link_gone,
                                                .address = on_address,
                                                .afresh = on_afresh,
                                                .settled = on_settled};

/* --- what we are asked -------------------------------------------------------------------------*/

struct interfaces *interfaces_new(const char *const *named, const struct interfaces_ops *ops,
                                  void *user, GError **error)
{
    struct interfaces *interfaces = g_new0(struct interfaces, 1);
    interfaces->ops = ops;
    interfaces->user = user;
    interfaces->named = g_strdupv((char **)named);
    interfaces->wanted = g_array_new(FALSE, FALSE, sizeof(struct wanted));
    interfaces->links = g_ptr_array_new_with_free_func(link_free);
    interfaces->watch = link_watch_new(&watch_ops, interfaces, error);
    if (!interfaces->watch) {
        interfaces_free(interfaces);
        return NULL;
    }
    return interfaces;
}

void interfaces_free(struct interfaces *interfaces)
{
    if (!interfaces)
        return;
    link_watch_free(interfaces->watch);
    g_ptr_array_unref(interfaces->links);
    g_array_unref(interfaces->wanted);
    g_strfreev(interfaces->named);
    g_free(interfaces->missing);
    g_free(interfaces);
}

static bool read_address(const struct sockaddr *local, struct wanted *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->family = local->sa_family;
    if (local->sa_family == AF_INET) {
        memcpy(ret->octets, &((const struct sockaddr_in *)local)->sin_addr, 4);
        return true;
    }
    if (local->sa_family != AF_INET6)
        return false;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)local;
    memcpy(ret->octets, &in6->sin6_addr, 16);
    ret->scope = in6->sin6_scope_id;
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        memset(ret, 0, sizeof *ret);
        ret->family = AF_INET;
        memcpy(ret->octets, in6->sin6_addr.s6_addr + 12, 4);
    }
    return true;
}

void interfaces_add_address(struct interfaces *interfaces, const struct sockaddr *local)
{
    struct wanted wanted;
    if (!read_address(local, &wanted))
        return;
    for (guint i = 0; i < interfaces->wanted->len; i++) {
        const struct wanted *one = &g_array_index(interfaces->wanted, struct wanted, i);
        if (one->family == wanted.family && one->scope == wanted.scope &&
            memcmp(one->octets, wanted.octets, sizeof wanted.octets) == 0)
            return;
    }
    g_array_append_val(interfaces->wanted, wanted);
    tell_all(interfaces);
}

unsigned interfaces_count(const struct interfaces *interfaces)
{
    unsigned count = 0;
    for (guint i = 0; i < interfaces->links->len; i++)
        count += ((const struct link *)interfaces->links->pdata[i])->is_told;
    return count;
}

static char *missing_name(const struct interfaces *interfaces)
{
    for (guint i = 0; interfaces->named && interfaces->named[i]; i++) {
        bool found = false;
        for (guint j = 0; j < interfaces->links->len && !found; j++)
            found = strcmp(((struct link *)interfaces->links->pdata[j])->name,
                           interfaces->named[i]) == 0;
        if (!found)
            return g_strdup_printf("the media interface %s is not there", interfaces->named[i]);
    }
    return NULL;
}

/* One of several addresses of an interface may go, as temporary ones do (RFC 8981): what still
 * comes through the interface meets our filters. */
static bool is_covered(const struct interfaces *interfaces, const struct wanted *wanted)
{
    if (holder(interfaces, wanted))
        return true;
    const struct link *link = find(interfaces, wanted->had);
    return link && link->is_told;
}

static char *missing_address(const struct interfaces *interfaces)
{
    for (guint i = 0; i < interfaces->wanted->len; i++) {
        const struct wanted *wanted = &g_array_index(interfaces->wanted, struct wanted, i);
        char text[INET6_ADDRSTRLEN];
        if (!is_covered(interfaces, wanted))
            return g_strdup_printf("no interface has the media address %s",
                                   inet_ntop(wanted->family, wanted->octets, text, sizeof text));
    }
    return NULL;
}

const char *interfaces_missing(const struct interfaces *interfaces)
{
    char *missing = missing_name(interfaces);
    if (!missing)
        missing = missing_address(interfaces);
    struct interfaces *writable = (struct interfaces *)interfaces;
    g_free(writable->missing);
    return writable->missing = missing;
}
