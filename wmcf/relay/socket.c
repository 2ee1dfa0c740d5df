/* SPDX-License-Identifier: Apache-2.0 */
/* Binding and enumerating. Link-local IPv6 addresses are left out: their scope means nothing in a
 * candidate. Receive segmentation (UDP_GRO) is asked for and silently absent on kernels without. */
#define LOG_CATEGORY "relay"
#include "wmcf/relay/socket.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

#ifndef SO_RCVMARK /* Linux 5.19 */
#define SO_RCVMARK 75
#endif

static bool add(GArray *list, union socket_address address)
{
    socket_address_set_port(&address, 0);
    for (guint i = 0; i < list->len; i++) {
        if (socket_address_equal(&g_array_index(list, union socket_address, i), &address))
            return true;
    }
    if (list->len == SOCKETS_MAX)
        return false;
    g_array_append_val(list, address);
    return true;
}

/* Tentative and deprecated addresses are listed but cannot be bound. */
static bool usable(const union socket_address *address)
{
    int fd = socket(address->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    union socket_address any_port = *address;
    socket_address_set_port(&any_port, 0);
    bool ret = bind(fd, &any_port.any, socket_address_length(&any_port)) == 0;
    close(fd);
    return ret;
}

static void add_interfaces(GArray *list, int family, bool loopback)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) < 0)
        return;
    for (struct ifaddrs *i = all; i; i = i->ifa_next) {
        if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) || !!(i->ifa_flags & IFF_LOOPBACK) != loopback)
            continue;
        union socket_address address;
        memset(&address, 0, sizeof address);
        if (i->ifa_addr->sa_family == AF_INET && family != AF_INET6) {
            memcpy(&address.v4, i->ifa_addr, sizeof address.v4);
        } else if (i->ifa_addr->sa_family == AF_INET6 && family != AF_INET) {
            memcpy(&address.v6, i->ifa_addr, sizeof address.v6);
            if (IN6_IS_ADDR_LINKLOCAL(&address.v6.sin6_addr))
                continue;
        } else {
            continue;
        }
        if (usable(&address))
            add(list, address);
    }
    freeifaddrs(all);
}

static bool is_wildcard(const union socket_address *address)
{
    return address->any.sa_family == AF_INET ? address->v4.sin_addr.s_addr == INADDR_ANY
                                             : IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr);
}

union socket_address *media_addresses(const char *const *bind, guint *ret_n, GError **error)
{
    g_autoptr(GArray) list = g_array_new(FALSE, TRUE, sizeof(union socket_address));
    for (guint i = 0; bind && bind[i]; i++) {
        union socket_address address;
        if (!socket_address_parse(bind[i], 0, &address)) {
            problem_set(error, PROBLEM_INVALID_MESSAGE,
                        "media address \"%s\" is not a numeric IPv4 or IPv6 address", bind[i]);
            return NULL;
        }
        if (is_wildcard(&address)) {
            add_interfaces(list, address.any.sa_family, false);
        } else if (!add(list, address)) {
            problem_set(error, PROBLEM_INVALID_MESSAGE,
                        "more than %d media addresses; list fewer of them", SOCKETS_MAX);
            return NULL;
        }
    }
    if (!bind || !bind[0])
        add_interfaces(list, AF_UNSPEC, false);
    if (list->len == 0)
        add_interfaces(list, AF_UNSPEC, true);
    if (list->len == 0) {
        problem_set(error, PROBLEM_INTERNAL_ERROR,
                    "this machine has no IP address that is up; set a media address to bind");
        return NULL;
    }
    *ret_n = list->len;
    return (union socket_address *)g_array_free(g_steal_pointer(&list), FALSE);
}

bool media_address_advertised(const char *const *advertise, const union socket_address *local,
                              union socket_address *ret, GError **error)
{
    union socket_address result = *local;
    uint16_t port = socket_address_port(local);
    for (guint i = 0; advertise && advertise[i]; i++) {
        const char *equals = strchr(advertise[i], '=');
        const char *public = equals ? equals + 1 : advertise[i];
        union socket_address address, only;
        g_autofree char *left = equals ? g_strndup(advertise[i], equals - advertise[i]) : NULL;
        if (!socket_address_parse(public, port, &address) ||
            (left && !socket_address_parse(left, port, &only))) {
            problem_set(error, PROBLEM_INVALID_MESSAGE,
                        "\"%s\" is neither an address nor local=public to advertise", advertise[i]);
            return false;
        }
        if (address.any.sa_family != local->any.sa_family)
            continue;
        if (!left || socket_address_equal(&only, local)) {
            result = address;
            if (left) /* an exact line wins over one for all addresses */
                break;
        }
    }
    *ret = result;
    return true;
}

static void set_buffer(int fd, int forced, int plain, int octets)
{
    if (octets && setsockopt(fd, SOL_SOCKET, forced, &octets, sizeof octets) < 0)
        setsockopt(fd, SOL_SOCKET, plain, &octets, sizeof octets);
}

/* Linux 4.18 and later do; an older one ignores the control message and sends one datagram. */
static bool knows_segmentation(int fd)
{
    int size;
    socklen_t length = sizeof size;
    return getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, &length) == 0;
}

bool media_socket_open(struct media_socket *socket_, unsigned index,
                       const union socket_address *address, guint16 port, guint buffer,
                       GError **error)
{
    union socket_address local = *address;
    socket_address_set_port(&local, port);
    g_autofree char *text = socket_address_text(&local);
    int fd = socket(local.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        problem_set(error, PROBLEM_INTERNAL_ERROR, "no UDP socket for %s: %s", text,
                    g_strerror(errno));
        return false;
    }
    static const int one = 1;
    if (local.any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, (int)buffer);
    set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, (int)buffer);
    setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof one);
    socklen_t length = sizeof local;
    if (bind(fd, &local.any, socket_address_length(&local)) < 0) {
        int reason = errno;
        const char *remedy = reason == EADDRINUSE ? "choose another media port or stop who uses it"
                             : reason == EADDRNOTAVAIL
                                 ? "this machine does not have that address; correct media bind"
                             : reason == EACCES ? "choose a media port above 1023"
                                                : "correct media bind and port";
        problem_set(error, PROBLEM_INTERNAL_ERROR, "cannot bind UDP %s: %s; %s", text,
                    g_strerror(reason), remedy);
        close(fd);
        errno = reason;
        return false;
    }
    getsockname(fd, &local.any, &length);
    *socket_ = (struct media_socket){
        .index = index, .fd = fd, .segmentation = knows_segmentation(fd), .local = local};
    return true;
}

void media_socket_adopt(struct media_socket *socket_, unsigned index, int fd)
{
    *socket_ = (struct media_socket){.index = index, .fd = fd, .tunnel = true};
}

void media_socket_enforce(struct media_socket *socket_, struct qos *qos)
{
    static const int one = 1, zero = 0;
    bool v6 = socket_->local.any.sa_family == AF_INET6;
    socket_->qos = qos;
    if (!qos)
        return;
    /* Refused (no CAP_NET_ADMIN, Linux before 5.19): every packet comes as one not judged. */
    if (qos_judged_mark(qos) &&
        setsockopt(socket_->fd, SOL_SOCKET, SO_RCVMARK, &one, sizeof one) < 0)
        log_debug(NULL, "the verdicts of \"%s\" cannot be seen: %s", qos_level_name(qos),
                  g_strerror(errno));
    if (!qos_allows_runs(qos))
        setsockopt(socket_->fd, IPPROTO_UDP, UDP_GRO, &zero, sizeof zero);
    if (qos_has_trusted(qos))
        setsockopt(socket_->fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVTCLASS : IP_RECVTOS,
                   &one, sizeof one);
    qos_add_port(qos, socket_address_port(&socket_->local));
}

void media_socket_stamp(struct media_socket *socket_, bool on)
{
    const int value = on;
    setsockopt(socket_->fd, SOL_SOCKET, SO_TIMESTAMPNS, &value, sizeof value);
    socket_->stamped = on;
}

void media_socket_close(struct media_socket *socket_)
{
    if (socket_->fd < 0)
        return;
    if (socket_->qos)
        qos_remove_port(socket_->qos, socket_address_port(&socket_->local));
    close(socket_->fd);
    socket_->fd = -1;
}
