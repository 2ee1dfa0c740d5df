/* SPDX-License-Identifier: Apache-2.0 */
/* What refuses a run is the route: a device without checksum offload (kernels before 6.11), IPsec,
 * a path MTU below the segment. So hosts are remembered, not sockets: one bad route must not cost
 * the others their runs. A few dozen are held; when there are more, all destinations count as
 * refused, which is what it then looks like. Each is tried again after a while, at the price of one
 * refused call, since interfaces change. */
#include "wmcf/relay/unsegmented.h"

#include <string.h>

static void host_of(const union socket_address *to, uint8_t ret[16])
{
    memset(ret, 0, 16);
    if (to->any.sa_family == AF_INET)
        memcpy(ret, &to->v4.sin_addr, sizeof to->v4.sin_addr);
    else
        memcpy(ret, &to->v6.sin6_addr, 16);
}

/* Nobody gains by collisions: they cost a run, not a packet. */
static unsigned set_of(const uint8_t host[16])
{
    uint32_t words[4];
    memcpy(words, host, sizeof words);
    return ((words[0] ^ words[1] ^ words[2] ^ words[3]) * 2654435761u >> 16) % UNSEGMENTED_SETS;
}

void unsegmented_add(struct unsegmented *table, const union socket_address *to, int64_t now)
{
    uint8_t host[16];
    host_of(to, host);
    struct unsegmented_entry *set = table->entries[set_of(host)], *free = NULL;
    table->latest = now + UNSEGMENTED_RETRY_US;
    for (unsigned i = 0; i < UNSEGMENTED_WAYS; i++) {
        if (memcmp(set[i].host, host, sizeof host) == 0) {
            set[i].until = table->latest;
            return;
        }
        if (!free && set[i].until <= now)
            free = &set[i];
    }
    if (!free) {
        table->all_until = table->latest;
        return;
    }
    memcpy(free->host, host, sizeof host);
    free->until = table->latest;
}

bool unsegmented_has(const struct unsegmented *table, const union socket_address *to, int64_t now)
{
    uint8_t host[16];
    if (now < table->all_until)
        return true;
    host_of(to, host);
    const struct unsegmented_entry *set = table->entries[set_of(host)];
    for (unsigned i = 0; i < UNSEGMENTED_WAYS; i++) {
        if (now < set[i].until && memcmp(set[i].host, host, sizeof host) == 0)
            return true;
    }
    return false;
}
