/* SPDX-License-Identifier: Apache-2.0 */
/* Who lives under a name. A process holds its name by an abstract Unix socket, which is one to a
 * network namespace as the filters are, and which the kernel gives up when the process ends in
 * whatever way: so a name that can be taken is of nobody alive, without a file to clean up or a
 * moment in which two believe to have it. Those who share a media port on several addresses get
 * numbers behind it; after a crash any of them may take any free number, since a filter that is
 * found under it is replaced. */
#define LOG_CATEGORY "qos"
#include "qos/tc-private.h"

#include "base/log.h"
#include "qos/tc-name.h"
#include "qos/tc-u32-private.h"

#include <errno.h>
#include <linux/pkt_cls.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SAME_PORT_MAX 64

struct claim {
    char *name;
    int socket;
};

void tc_claim_free(void *data)
{
    struct claim *claim = data;
    if (claim->socket >= 0)
        close(claim->socket);
    g_free(claim->name);
    g_free(claim);
}

int tc_name_socket(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = g_snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "%s/tc", name);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address,
                        offsetof(struct sockaddr_un, sun_path) + 1 + (socklen_t)length) != 0) {
        int status = errno;
        close(fd);
        fd = -1;
        errno = status;
    }
    return fd;
}

const char *tc_claim(struct tc *tc, const char *owner)
{
    struct claim *claim = g_hash_table_lookup(tc->names, owner);
    if (claim)
        return claim->name;
    claim = g_new0(struct claim, 1);
    claim->name = g_strdup(owner);
    claim->socket = tc_name_socket(owner);
    for (int i = 2; claim->socket < 0 && errno == EADDRINUSE && i <= SAME_PORT_MAX; i++) {
        g_free(claim->name);
        claim->name = g_strdup_printf("%s.%d", owner, i);
        claim->socket = tc_name_socket(claim->name);
    }
    if (claim->socket < 0)
        log_debug(NULL, "the name %s cannot be held: %s", claim->name, g_strerror(errno));
    g_hash_table_insert(tc->names, g_strdup(owner), claim);
    return claim->name;
}

const char *tc_filter_text(const struct tc_filter *filter)
{
    if (strcmp(filter->kind, "bpf") != 0 || !filter->options || !filter->handle)
        return NULL;
    struct nlattr *name =
        nla_find(nla_data(filter->options), nla_len(filter->options), TCA_BPF_NAME);
    return name ? nla_get_string(name) : NULL;
}

/* u32 filters have no name; the first of our roots has it in the cookie of its action. */
static char *owner_of_u32(const struct tc_filter *filter, bool *ret_clsact)
{
    struct tc_cookie cookie;
    bool marked = false;
    if (strcmp(filter->kind, "u32") != 0 || !filter->options ||
        TC_U32_USERHTID(filter->handle) < U32_ROOTS)
        return NULL;
    struct nlattr *actions =
        nla_find(nla_data(filter->options), nla_len(filter->options), TCA_U32_ACT);
    if (!actions || !tc_actions_cookie(actions, &cookie))
        return NULL;
    *ret_clsact = u32_cookie_made_clsact(&cookie);
    g_autofree char *text = g_strndup(cookie.text, cookie.length - *ret_clsact);
    return tc_name_read(text, &marked);
}

char *tc_filter_owner(const struct tc_filter *filter, bool *ret_clsact)
{
    const char *text = tc_filter_text(filter);
    return text ? tc_name_read(text, ret_clsact) : owner_of_u32(filter, ret_clsact);
}
