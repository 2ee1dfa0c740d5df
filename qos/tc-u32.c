/* SPDX-License-Identifier: Apache-2.0 */
/* One list of actions per flow and direction, found by what only u32 can look at: octets of the
 * payload. Four links in the root of each family pass on what is RTP or application data of DTLS in
 * an unfragmented UDP datagram without IP options; behind them a table of 256 by the remote port
 * holds the nominated pairs, another by the local port those without a remote address yet. All of
 * it is in chain 0 and every verdict but a drop is "continue", so the filters of others see our
 * packets as before; with flower this would take `goto chain`, from which there is no way back to
 * them. The trade-off: a table's row is a list, walked on average half; and what does not have this
 * form (options, extension headers, fragments, datagrams that GRO has joined to more than 2047
 * octets) matches nothing and is left to the relay. */
#include "qos/tc-u32-private.h"

#include "base/problem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>

enum table { TABLE_FRONT, TABLE_PAIRS, TABLE_LOCALS };
#define TABLES 3
#define FAMILIES 2 /* 0 = IPv4, 1 = IPv6 */
#define BASE_FIRST 0x400u
#define BASE_LAST 0x7f0u
#define BASE_STEP 8u
#define KEYS_MAX 12
#define TRIES 10
#define IPV4_PORTS 20
#define IPV6_PORTS 40

struct u32 {
    struct tc *tc;
    unsigned ifindex;
    uint32_t base[2]; /* by hook: number of the first of our tables */
    uint16_t priority[FAMILIES];
};

struct selector {
    struct tc_u32_sel sel;
    struct tc_u32_key keys[KEYS_MAX];
};

static void add_key(struct selector *selector, int offset, uint32_t mask, uint32_t value)
{
    g_assert(selector->sel.nkeys < KEYS_MAX);
    selector->keys[selector->sel.nkeys++] =
        (struct tc_u32_key){.mask = htonl(mask), .val = htonl(value), .off = offset};
}

static int family_of(const struct u32_match *match)
{
    return match->local.ss_family == AF_INET6;
}

static uint16_t protocol_of(int family)
{
    return family ? ETH_P_IPV6 : ETH_P_IP;
}

static int ports_offset(int family)
{
    return family ? IPV6_PORTS : IPV4_PORTS;
}

static bool unify(const struct sockaddr *from, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof *ret);
    if (from->sa_family == AF_INET) {
        memcpy(ret, from, sizeof(struct sockaddr_in));
        return true;
    }
    if (from->sa_family != AF_INET6)
        return false;
    struct sockaddr_in6 in6;
    memcpy(&in6, from, sizeof in6);
    if (!IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
        /* Neither scope nor flow label is in the packet's addresses. */
        struct sockaddr_in6 plain = {
            .sin6_family = AF_INET6, .sin6_port = in6.sin6_port, .sin6_addr = in6.sin6_addr};
        memcpy(ret, &plain, sizeof plain);
        return true;
    }
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = in6.sin6_port};
    memcpy(&in.sin_addr, &in6.sin6_addr.s6_addr[12], 4);
    memcpy(ret, &in, sizeof in);
    return true;
}

static uint16_t port_of(const struct sockaddr_storage *address)
{
    return ntohs(address->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)address)->sin6_port
                                                : ((const struct sockaddr_in *)address)->sin_port);
}

bool u32_match_set(struct u32_match *match, const struct sockaddr *local,
                   const struct sockaddr *remote)
{
    match->has_remote = remote != NULL;
    memset(&match->remote, 0, sizeof match->remote);
    return unify(local, &match->local) && port_of(&match->local) &&
           (!remote ||
            (unify(remote, &match->remote) && match->remote.ss_family == match->local.ss_family));
}

bool u32_match_equal(const struct u32_match *a, const struct u32_match *b)
{
    return a->hook == b->hook && a->payload == b->payload && a->ssrc == b->ssrc &&
           a->has_remote == b->has_remote && memcmp(&a->local, &b->local, sizeof a->local) == 0 &&
           memcmp(&a->remote, &b->remote, sizeof a->remote) == 0;
}

/* hook 1 | family 1 | table 1 | bucket 8 */
uint16_t u32_place_key(const struct u32_match *match)
{
    uint16_t port = port_of(match->has_remote ? &match->remote : &match->local);
    return (uint16_t)(match->hook << 10 | family_of(match) << 9 | !match->has_remote << 8 |
                      (port & 0xff));
}

static uint32_t table_handle(const struct u32 *u32, enum tc_hook hook, int family, enum table table)
{
    return (u32->base[hook] + (uint32_t)family * TABLES + table) << 20;
}

/* --- messages --------------------------------------------------------------------------------- */

static struct nl_msg *filter_message(const struct u32 *u32, int type, int flags, enum tc_hook hook,
                                     int family, uint32_t handle)
{
    return tc_message(type, NLM_F_REQUEST | flags, u32->ifindex, tc_hook_parent(hook),
                      tc_info(u32->priority[family], protocol_of(family)), handle, "u32");
}

static void put_selector(struct nl_msg *message, const struct selector *selector)
{
    nla_put(message, TCA_U32_SEL,
            (int)(sizeof selector->sel + selector->sel.nkeys * sizeof selector->keys[0]), selector);
}

#define NEW (NLM_F_CREATE | NLM_F_EXCL)

static int make_table(struct u32 *u32, enum tc_hook hook, int family, enum table table)
{
    struct nl_msg *message = filter_message(u32, RTM_NEWTFILTER, NEW, hook, family,
                                            table_handle(u32, hook, family, table));
    struct nlattr *options = nla_nest_start(message, TCA_OPTIONS);
    nla_put_u32(message, TCA_U32_DIVISOR, table == TABLE_FRONT ? 1 : 256);
    nla_nest_end(message, options);
    return tc_send(u32->tc, message);
}

/* Node `node` of `from` (0 = the root) leads to `to` (0 = to no table) with the selector's hash;
 * `tag` (may be NULL) names the owner. */
static int make_node(struct u32 *u32, enum tc_hook hook, int family, uint32_t from, uint32_t node,
                     struct selector *selector, uint32_t to, const struct tc_cookie *tag)
{
    struct nl_msg *message = filter_message(u32, RTM_NEWTFILTER, NEW, hook, family, from | node);
    struct nlattr *options = nla_nest_start(message, TCA_OPTIONS);
    if (from)
        nla_put_u32(message, TCA_U32_HASH, from);
    if (to)
        nla_put_u32(message, TCA_U32_LINK, to);
    put_selector(message, selector);
    if (tag)
        tc_actions_put_tag(message, TCA_U32_ACT, tag);
    nla_nest_end(message, options);
    return tc_send(u32->tc, message);
}

/* --- roots and tables ------------------------------------------------------------------------- */

/* A whole UDP datagram without IP options or extension headers. What came in joined to more than
 * 2047 octets is several: police would take them for one. */
static void add_head(struct selector *selector, int family, enum tc_hook hook)
{
    uint32_t length = hook == TC_INGRESS ? 0xf800 : 0;
    if (family == 0) {
        add_key(selector, 0, 0xff000000 | length, 0x45000000);
        add_key(selector, 4, 0x00003fff, 0);
        add_key(selector, 8, 0x00ff0000, IPPROTO_UDP << 16);
    } else {
        add_key(selector, 0, 0xf0000000, 0x60000000);
        add_key(selector, 4, 0x0000ff00 | length << 16, IPPROTO_UDP << 8);
    }
}

/* RFC 7983: 128–191 is RTP or RTCP; RFC 5761 section 4: RTCP when the second octet is 192–223,
 * which three masks leave out. 23 is application data of DTLS. */
static const struct {
    uint32_t mask, value;
} payloads[] = {
    {0xc0800000, 0x80000000}, /* second octet 0–127 */
    {0xc0c00000, 0x80800000}, /* 128–191 */
    {0xc0e00000, 0x80e00000}, /* 224–255 */
    {0xff000000, 0x17000000},
};

static struct selector hash_by_port(int family, bool source)
{
    struct selector selector = {.sel = {.hoff = (short)ports_offset(family),
                                        .hmask = htonl(source ? 0x00ff0000 : 0x000000ff)}};
    add_key(&selector, 0, 0, 0);
    return selector;
}

static int make_front(struct u32 *u32, enum tc_hook hook, int family)
{
    uint32_t front = table_handle(u32, hook, family, TABLE_FRONT);
    bool remote_is_source = hook == TC_INGRESS;
    struct selector pairs = hash_by_port(family, remote_is_source);
    struct selector locals = hash_by_port(family, !remote_is_source);
    int status = make_node(u32, hook, family, front, 1, &pairs,
                           table_handle(u32, hook, family, TABLE_PAIRS), NULL);
    if (status == 0)
        status = make_node(u32, hook, family, front, 2, &locals,
                           table_handle(u32, hook, family, TABLE_LOCALS), NULL);
    for (guint i = 0; i < G_N_ELEMENTS(payloads) && status == 0; i++) {
        struct selector selector = {0};
        add_head(&selector, family, hook);
        add_key(&selector, ports_offset(family) + 8, payloads[i].mask, payloads[i].value);
        status = make_node(u32, hook, family, 0, i + 2, &selector, front, NULL);
    }
    return status;
}

/* The first filter brings the root into being; it carries the owner's name and matches nothing: no
 * packet of the protocol has another version in its first octet. */
static int make_tag(struct u32 *u32, enum tc_hook hook, int family, const struct tc_cookie *cookie)
{
    struct selector selector = {.sel = {.flags = TC_U32_TERMINAL}};
    add_key(&selector, 0, 0xff000000, 0);
    return make_node(u32, hook, family, 0, 1, &selector, 0, cookie);
}

/* Numbers of tables are shared by all users of u32 at the hook: the first that is free for all of
 * ours, or for what of them is made already. */
static int make_tables(struct u32 *u32, enum tc_hook hook, int family)
{
    uint32_t last = family == 0 ? BASE_LAST : u32->base[hook];
    int status = ENOSPC;
    for (; u32->base[hook] <= last; u32->base[hook] += BASE_STEP) {
        int table = 0;
        do
            status = make_table(u32, hook, family, table);
        while (status == 0 && ++table < TABLES);
        if (status == 0)
            return 0;
        while (table-- > 0)
            tc_send(u32->tc, filter_message(u32, RTM_DELTFILTER, 0, hook, family,
                                            table_handle(u32, hook, family, table)));
        if (status != ENOSPC && status != EEXIST && status != EBUSY)
            return status;
    }
    return status;
}

static uint16_t free_priority(const GArray *taken, unsigned wanted)
{
    for (unsigned priority = CLAMP(wanted, 1, UINT16_MAX); priority <= UINT16_MAX; priority++) {
        bool is_taken = false;
        for (guint i = 0; i < taken->len && !is_taken; i++)
            is_taken = g_array_index(taken, uint16_t, i) == priority;
        if (!is_taken)
            return (uint16_t)priority;
    }
    return 0;
}

/* One priority per family, free at both hooks: the kernel keeps the tables of both together and
 * tells them apart by priority alone, so another's at the other hook would look like ours. */
static bool choose_priorities(struct u32 *u32, const struct u32_survey surveys[2], unsigned wanted)
{
    g_autoptr(GArray) taken = g_array_new(FALSE, FALSE, sizeof(uint16_t));
    for (int hook = 0; hook < 2; hook++)
        g_array_append_vals(taken, surveys[hook].taken->data, surveys[hook].taken->len);
    for (int family = 0; family < FAMILIES; family++) {
        uint16_t mine = free_priority(taken, wanted);
        u32->priority[family] = mine;
        g_array_append_val(taken, mine);
    }
    u32->tc->status = u32->priority[FAMILIES - 1] ? 0 : ENOSPC;
    return u32->tc->status == 0;
}

static bool make_hook(struct u32 *u32, enum tc_hook hook, const struct tc_cookie *cookie)
{
    int status = 0;
    u32->base[hook] = BASE_FIRST;
    for (int family = 0; family < FAMILIES && status == 0; family++) {
        status = make_tag(u32, hook, family, cookie);
        if (status == 0)
            status = make_tables(u32, hook, family);
        if (status == 0)
            status = make_front(u32, hook, family);
    }
    u32->tc->status = status;
    return status == 0;
}

/* What is at both hooks; u32_survey_clear() frees both. */
static bool look(struct tc *tc, unsigned ifindex, struct u32_survey ret[2])
{
    if (!u32_look(tc, ifindex, TC_INGRESS, &ret[TC_INGRESS]))
        return false;
    if (u32_look(tc, ifindex, TC_EGRESS, &ret[TC_EGRESS]))
        return true;
    u32_survey_clear(&ret[TC_INGRESS]);
    return false;
}

static bool make_all(struct u32 *u32, const char *owner, unsigned priority, bool clsact)
{
    struct u32_survey surveys[2];
    struct tc_cookie cookie;
    if (!look(u32->tc, u32->ifindex, surveys))
        return false;
    bool chosen = choose_priorities(u32, surveys, priority);
    clsact |= surveys[TC_INGRESS].clsact || surveys[TC_EGRESS].clsact;
    u32_survey_clear(&surveys[TC_INGRESS]);
    u32_survey_clear(&surveys[TC_EGRESS]);
    u32_cookie(owner, clsact, &cookie);
    return chosen && make_hook(u32, TC_INGRESS, &cookie) && make_hook(u32, TC_EGRESS, &cookie);
}

struct u32 *u32_attach(struct tc *tc, unsigned ifindex, const char *owner, unsigned priority,
                       GError **error)
{
    bool made = false;
    if (!tc_ensure_clsact(tc, ifindex, &made, error))
        return NULL;
    made |= u32_clean_filters(tc, ifindex, owner);
    struct u32 *u32 = g_new0(struct u32, 1);
    u32->tc = tc;
    u32->ifindex = ifindex;
    for (int i = 0; i < TRIES; i++) {
        if (make_all(u32, owner, priority, made))
            return u32;
        if (tc->status != EEXIST) /* else another has taken the priority at this moment */
            break;
        u32_clean_filters(tc, ifindex, owner);
    }
    g_autofree char *name = tc_interface(ifindex);
    g_autofree char *what = g_strdup_printf("cannot put filters (cls_u32) on %s", name);
    tc_fail(tc, what, error);
    u32_clean(tc, ifindex, owner);
    u32_free(u32);
    return NULL;
}

bool u32_is_there(struct u32 *u32)
{
    for (enum tc_hook hook = TC_INGRESS; hook <= TC_EGRESS; hook++)
        for (int family = 0; family < FAMILIES; family++)
            if (tc_send(u32->tc, filter_message(u32, RTM_GETTFILTER, 0, hook, family,
                                                table_handle(u32, hook, family, TABLE_FRONT))) != 0)
                return false;
    return true;
}

void u32_free(struct u32 *u32)
{
    g_free(u32);
}

/* --- filters ---------------------------------------------------------------------------------- */

static void add_address(struct selector *selector, const struct sockaddr_storage *address,
                        bool source)
{
    uint32_t words[4];
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        add_key(selector, source ? 12 : 16, UINT32_MAX, ntohl(in->sin_addr.s_addr));
        return;
    }
    memcpy(words, &((const struct sockaddr_in6 *)address)->sin6_addr, sizeof words);
    for (int i = 0; i < 4; i++)
        add_key(selector, (source ? 8 : 24) + 4 * i, UINT32_MAX, ntohl(words[i]));
}

static struct selector select_match(const struct u32_match *match)
{
    struct selector selector = {.sel = {.flags = TC_U32_TERMINAL}};
    bool remote_is_source = match->hook == TC_INGRESS;
    int ports = ports_offset(family_of(match));
    uint32_t local_mask = remote_is_source ? 0x0000ffff : 0xffff0000;
    uint32_t local = (uint32_t)port_of(&match->local) << (remote_is_source ? 0 : 16);
    uint32_t remote =
        match->has_remote ? (uint32_t)port_of(&match->remote) << (remote_is_source ? 16 : 0) : 0;
    /* The ports first: they differ most often. */
    add_key(&selector, ports, match->has_remote ? UINT32_MAX : local_mask, local | remote);
    if (match->has_remote)
        add_address(&selector, &match->remote, remote_is_source);
    add_address(&selector, &match->local, !remote_is_source);
    if (match->payload == U32_DATA)
        add_key(&selector, ports + 8, 0xff000000, 0x17000000);
    else
        add_key(&selector, ports + 8, 0xc0000000, 0x80000000);
    if (match->payload == U32_SSRC)
        add_key(&selector, ports + 16, UINT32_MAX, match->ssrc);
    return selector;
}

static uint32_t place_handle(const struct u32 *u32, const struct u32_match *match,
                             struct u32_place place)
{
    enum table table = match->has_remote ? TABLE_PAIRS : TABLE_LOCALS;
    return table_handle(u32, match->hook, family_of(match), table) |
           (uint32_t)(place.key & 0xff) << 12 | place.node;
}

bool u32_add(struct u32 *u32, const struct u32_match *match, struct u32_place place,
             const struct tc_action *actions, guint count, GError **error)
{
    uint32_t handle = place_handle(u32, match, place);
    struct selector selector = select_match(match);
    struct nl_msg *message =
        filter_message(u32, RTM_NEWTFILTER, NEW, match->hook, family_of(match), handle);
    struct nlattr *options = nla_nest_start(message, TCA_OPTIONS);
    nla_put_u32(message, TCA_U32_HASH, handle & ~0xfffu);
    put_selector(message, &selector);
    tc_actions_put(message, TCA_U32_ACT, actions, count);
    nla_nest_end(message, options);
    return tc_request(u32->tc, message, "cannot add a filter (cls_u32)", error);
}

void u32_remove(struct u32 *u32, const struct u32_match *match, struct u32_place place)
{
    tc_send(u32->tc, filter_message(u32, RTM_DELTFILTER, 0, match->hook, family_of(match),
                                    place_handle(u32, match, place)));
}
