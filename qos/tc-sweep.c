/* SPDX-License-Identifier: Apache-2.0 */
/* What the dead have left. A killed WMCF's filters go on judging packets by slots that nobody
 * changes, so whoever starts next takes them away. Careful rather than thorough: a name must be
 * free to take (tc-owner.c), and is held while its filters are removed, and no UDP socket may have
 * the media port in it; where one of the two cannot be known the filter stays. */
#include "qos/tc-private.h"

#include "qos/tc-name.h"
#include "qos/tc-u32-private.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Whether a UDP socket of this network namespace has the port; true also when nobody can say. */
static bool is_bound(const char *path, uint16_t port)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return true;
    /* "  sl  local_address rem_address …", then "123: 0100007F:9C40 …" */
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = 1; lines[0] && lines[i]; i++) {
        unsigned bound;
        if (sscanf(lines[i], " %*d: %*[0-9A-Fa-f]:%x", &bound) == 1 && bound == port)
            return true;
    }
    return false;
}

static bool port_is_bound(uint16_t port)
{
    return is_bound("/proc/thread-self/net/udp", port) ||
           /* there is none where IPv6 is switched off */
           (g_file_test("/proc/thread-self/net/udp6", G_FILE_TEST_EXISTS) &&
            is_bound("/proc/thread-self/net/udp6", port));
}

/* A filter of some WMCF. */
struct trace {
    char *name;
    const char *kind; /* "bpf", "u32" */
};

static void clear_trace(void *trace)
{
    g_free(((struct trace *)trace)->name);
}

struct sweep {
    struct tc *tc;
    const char *own;
    bool (*is_wanted)(unsigned ifindex, const char *kind, void *user);
    void *user;
    GHashTable *dead;  /* name → its socket, held meanwhile */
    GHashTable *alive; /* names */
    GArray *found;     /* struct trace, at the interface that is looked at */
    GHashTable *stale; /* names */
    GString *where;    /* names of interfaces */
    guint stayed;      /* filters that would not go */
};

static bool is_dead(struct sweep *sweep, const char *name)
{
    if (g_hash_table_contains(sweep->dead, name))
        return true;
    if (g_hash_table_contains(sweep->alive, name))
        return false;
    uint16_t port = tc_name_port(name);
    /* Our own port is bound, by ourselves. */
    bool bound = port && port != tc_name_port(sweep->own) && port_is_bound(port);
    int held = bound ? -1 : tc_name_socket(name);
    if (held < 0)
        g_hash_table_add(sweep->alive, g_strdup(name));
    else
        g_hash_table_insert(sweep->dead, g_strdup(name), GINT_TO_POINTER(held));
    return held >= 0;
}

static bool is_stale(struct sweep *sweep, unsigned ifindex, const struct trace *trace)
{
    if (strcmp(trace->name, sweep->own) != 0)
        return is_dead(sweep, trace->name);
    return !sweep->is_wanted || !sweep->is_wanted(ifindex, trace->kind, sweep->user);
}

static void on_filter(const struct tc_filter *filter, void *user)
{
    struct sweep *sweep = user;
    bool clsact;
    struct trace trace = {.name = tc_filter_owner(filter, &clsact),
                          .kind = strcmp(filter->kind, "u32") == 0 ? "u32" : "bpf"};
    if (trace.name)
        g_array_append_val(sweep->found, trace);
}

static void look_at(struct sweep *sweep, unsigned ifindex)
{
    g_array_set_size(sweep->found, 0);
    for (enum tc_hook hook = TC_INGRESS; hook <= TC_EGRESS; hook++)
        tc_dump_filters(sweep->tc, ifindex, hook, on_filter, sweep);
}

static void take_away(struct sweep *sweep, unsigned ifindex, const struct trace *trace)
{
    struct tc_cookie cookie;
    g_hash_table_add(sweep->stale, g_strdup(trace->name));
    if (strcmp(trace->kind, "bpf") == 0) {
        tc_remove_named(sweep->tc, ifindex, trace->name);
        return;
    }
    u32_clean(sweep->tc, ifindex, trace->name);
    u32_cookie(trace->name, false, &cookie);
    tc_actions_sweep(sweep->tc, &cookie); /* those that no filter on another interface uses */
}

static void sweep_interface(struct sweep *sweep, unsigned ifindex)
{
    bool any = false;
    g_autofree char *interface = tc_interface(ifindex);
    look_at(sweep, ifindex);
    for (guint i = 0; i < sweep->found->len; i++) {
        const struct trace *trace = &g_array_index(sweep->found, struct trace, i);
        if (!is_stale(sweep, ifindex, trace))
            continue;
        take_away(sweep, ifindex, trace);
        any = true;
    }
    if (!any)
        return;
    look_at(sweep, ifindex);
    for (guint i = 0; i < sweep->found->len; i++)
        sweep->stayed += is_stale(sweep, ifindex, &g_array_index(sweep->found, struct trace, i));
    g_string_append_printf(sweep->where, "%s%s", sweep->where->len ? ", " : "", interface);
}

static void on_qdisc(const struct nlmsghdr *message, void *user)
{
    const struct tcmsg *head = nlmsg_data(message);
    struct nlattr *kind = nlmsg_find_attr((struct nlmsghdr *)message, sizeof *head, TCA_KIND);
    unsigned ifindex = (unsigned)head->tcm_ifindex;
    if (message->nlmsg_type == RTM_NEWQDISC && kind && nla_strcmp(kind, "clsact") == 0)
        g_array_append_val((GArray *)user, ifindex);
}

static char *sentence(const struct sweep *sweep)
{
    if (!sweep->where->len)
        return NULL;
    g_autoptr(GString) names = g_string_new(NULL);
    GHashTableIter iter;
    void *name;
    g_hash_table_iter_init(&iter, sweep->stale);
    while (g_hash_table_iter_next(&iter, &name, NULL))
        g_string_append_printf(names, "%s%s", names->len ? ", " : "", (char *)name);
    if (sweep->stayed)
        return g_strdup_printf("stale filters of %s on %s go on judging packets: they cannot be "
                               "removed without CAP_NET_ADMIN",
                               names->str, sweep->where->str);
    return g_strdup_printf("removed the stale filters of %s on %s", names->str, sweep->where->str);
}

static void close_held(void *held)
{
    close(GPOINTER_TO_INT(held));
}

char *tc_sweep(struct tc *tc, const char *owner,
               bool (*is_wanted)(unsigned ifindex, const char *kind, void *user), void *user)
{
    g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(struct trace));
    g_autoptr(GArray) indexes = g_array_new(FALSE, FALSE, sizeof(unsigned));
    g_autoptr(GHashTable) dead = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, close_held);
    g_autoptr(GHashTable) alive = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) stale = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GString) where = g_string_new(NULL);
    struct sweep sweep = {.tc = tc,
                          .own = tc_claim(tc, owner),
                          .is_wanted = is_wanted,
                          .user = user,
                          .dead = dead,
                          .alive = alive,
                          .found = found,
                          .stale = stale,
                          .where = where};
    g_array_set_clear_func(found, clear_trace);
    tc->status = rtnetlink_request(
        tc->netlink, tc_message(RTM_GETQDISC, NLM_F_REQUEST | NLM_F_DUMP, 0, 0, 0, 0, NULL),
        on_qdisc, indexes);
    for (guint i = 0; i < indexes->len; i++)
        sweep_interface(&sweep, g_array_index(indexes, unsigned, i));
    return sentence(&sweep);
}
