/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the socket side of addresses. We listen and accept ourselves instead of leaving it to the
 * WebSocket library: limits apply before a connection costs anything, a listener can stop while its
 * links go on, and an interface may be named. */
#include "wsf-link/ws-address.h"

#include "base/problem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG 512

static bool parse_numeric(const char *text, struct sockaddr_storage *ret)
{
    struct sockaddr_in *four = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
    *ret = (struct sockaddr_storage){0};
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        ret->ss_family = AF_INET;
        return true;
    }
    if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1) {
        ret->ss_family = AF_INET6;
        return true;
    }
    return false;
}

/* IPv4 first: an interface's first IPv6 address is often link-local. */
static bool find_interface(const char *name, struct sockaddr_storage *ret)
{
    struct ifaddrs *list;
    if (getifaddrs(&list))
        return false;
    bool found = false;
    const int families[] = {AF_INET, AF_INET6};
    for (guint i = 0; i < G_N_ELEMENTS(families) && !found; i++) {
        for (struct ifaddrs *at = list; at && !found; at = at->ifa_next) {
            if (!at->ifa_addr || at->ifa_addr->sa_family != families[i] ||
                strcmp(at->ifa_name, name) != 0)
                continue;
            *ret = (struct sockaddr_storage){0};
            memcpy(ret, at->ifa_addr,
                   families[i] == AF_INET ? sizeof(struct sockaddr_in)
                                          : sizeof(struct sockaddr_in6));
            found = true;
        }
    }
    freeifaddrs(list);
    return found;
}

bool ws_address_is_loopback(const struct sockaddr_storage *address)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
    if (address->ss_family == AF_INET)
        return ntohl(four->sin_addr.s_addr) >> 24 == 127;
    if (address->ss_family != AF_INET6)
        return false;
    return IN6_IS_ADDR_LOOPBACK(&six->sin6_addr) ||
           (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr) && six->sin6_addr.s6_addr[12] == 127);
}

bool ws_address_text_is_loopback(const char *text)
{
    struct sockaddr_storage address;
    gsize length = strlen(text);
    g_autofree char *bare = length > 2 && text[0] == '[' && text[length - 1] == ']'
                                ? g_strndup(text + 1, length - 2)
                                : g_strdup(text);
    if (!g_ascii_strcasecmp(bare, "localhost"))
        return true;
    return parse_numeric(bare, &address) && ws_address_is_loopback(&address);
}

void ws_address_text(const struct sockaddr_storage *address, char *text, gsize size)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
    text[0] = 0;
    if (address->ss_family == AF_INET)
        inet_ntop(AF_INET, &four->sin_addr, text, (socklen_t)size);
    else if (address->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
        inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], text, (socklen_t)size);
    else if (address->ss_family == AF_INET6)
        inet_ntop(AF_INET6, &six->sin6_addr, text, (socklen_t)size);
}

static void set_port(struct sockaddr_storage *address, guint port)
{
    if (address->ss_family == AF_INET)
        ((struct sockaddr_in *)address)->sin_port = htons((guint16)port);
    else
        ((struct sockaddr_in6 *)address)->sin6_port = htons((guint16)port);
}

static guint get_port(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    getsockname(fd, (struct sockaddr *)&address, &length);
    return ntohs(address.ss_family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
                                              : ((struct sockaddr_in6 *)&address)->sin6_port);
}

static int listen_on(const struct sockaddr_storage *address, bool dual, GError **error)
{
    char text[INET6_ADDRSTRLEN];
    ws_address_text(address, text, sizeof text);
    int one = 1, only_six = !dual;
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool ok = fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (ok && address->ss_family == AF_INET6)
        ok = !setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_six, sizeof only_six);
    ok = ok && !bind(fd, (const struct sockaddr *)address,
                     address->ss_family == AF_INET ? sizeof(struct sockaddr_in)
                                                   : sizeof(struct sockaddr_in6));
    if (ok && !listen(fd, BACKLOG))
        return fd;
    problem_set(error, PROBLEM_INTERNAL_ERROR, "cannot listen on %s: %s", text, g_strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

int ws_address_listen(const char *address, guint port, bool loopback_only, guint *ret_port,
                      GError **error)
{
    struct sockaddr_storage at = {.ss_family = AF_INET6}; /* all addresses */
    if (address && !parse_numeric(address, &at) && !find_interface(address, &at)) {
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "%s is neither a numeric address nor an interface with an address", address);
        return -1;
    }
    if (loopback_only && !ws_address_is_loopback(&at)) { /* A1 */
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "a listener without TLS must listen on a loopback address, not on %s",
                    address ? address : "all addresses");
        return -1;
    }
    set_port(&at, port);
    g_autoptr(GError) first = NULL;
    int fd = listen_on(&at, !address, &first);
    if (fd < 0 && !address) { /* a host without IPv6 */
        at = (struct sockaddr_storage){.ss_family = AF_INET};
        set_port(&at, port);
        fd = listen_on(&at, false, NULL);
    }
    if (fd < 0) {
        g_propagate_error(error, g_steal_pointer(&first));
        return -1;
    }
    *ret_port = get_port(fd);
    return fd;
}
