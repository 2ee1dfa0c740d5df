/* SPDX-License-Identifier: Apache-2.0 */
/* Interfaces that come, go and change in a network namespace while they are watched. What is told
 * is written down as one line ("+v0 -v0"); numbers are compared with the kernel's. */
#include "base/problem.h"
#include "qos/interfaces.h"
#include "tests/flow/qos/ground.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct watched {
    struct interfaces *interfaces;
    GString *told;
    unsigned index; /* told last */
    bool missing;   /* what was asked for within the call */
};

static void told(struct watched *watched, char what, unsigned index, const char *name)
{
    g_string_append_printf(watched->told, "%s%c%s", watched->told->len ? " " : "", what, name);
    watched->index = index;
    watched->missing = watched->interfaces && interfaces_missing(watched->interfaces);
}

static void on_up(void *user, unsigned index, const char *name)
{
    told(user, '+', index, name);
}

static void on_down(void *user, unsigned index, const char *name)
{
    told(user, '-', index, name);
}

static const struct interfaces_ops ops = {on_up, on_down};

static void watch(struct watched *watched, const char *const *named)
{
    g_autoptr(GError) error = NULL;
    *watched = (struct watched){.told = g_string_new(NULL)};
    watched->interfaces = interfaces_new(named, &ops, watched, &error);
    g_assert_no_error(error);
}

static void unwatch(struct watched *watched)
{
    interfaces_free(watched->interfaces);
    g_string_free(watched->told, TRUE);
}

/* All that the kernel has said is in the queue when a command has ended. */
static void expect(struct watched *watched, const char *line)
{
    while (g_main_context_iteration(NULL, FALSE))
        ;
    g_assert_cmpstr(watched->told->str, ==, line);
    g_string_truncate(watched->told, 0);
}

static void add_address(struct watched *watched, const char *text, unsigned scope)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(40000)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_scope_id = scope};
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        interfaces_add_address(watched->interfaces, (struct sockaddr *)&in);
    else if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
        interfaces_add_address(watched->interfaces, (struct sockaddr *)&in6);
    else
        g_assert_not_reached();
}

static void make(const char *name)
{
    ground_do("ip link add %s type veth peer name %s-far", name, name);
}

static void test_named(void)
{
    static const char *const named[] = {"v0", "v9", NULL};
    struct watched watched;
    if (!ground_new())
        return;
    make("v0");
    watch(&watched, named);
    expect(&watched, "+v0");
    g_assert_cmpuint(watched.index, ==, ground_index("v0"));
    g_assert_cmpuint(interfaces_count(watched.interfaces), ==, 1);
    g_assert_cmpstr(interfaces_missing(watched.interfaces), ==,
                    "the media interface v9 is not there");
    make("v9");
    expect(&watched, "+v9");
    g_assert_null(interfaces_missing(watched.interfaces));
    unwatch(&watched);
}

static void test_made_anew(void)
{
    static const char *const named[] = {"v0", NULL};
    struct watched watched;
    if (!ground_new())
        return;
    make("v0");
    unsigned before = ground_index("v0");
    watch(&watched, named);
    expect(&watched, "+v0");
    ground_do("ip link del v0");
    expect(&watched, "-v0");
    g_assert_cmpuint(watched.index, ==, before);
    g_assert_true(watched.missing); /* was known when it was told */
    g_assert_cmpuint(interfaces_count(watched.interfaces), ==, 0);
    g_assert_nonnull(interfaces_missing(watched.interfaces));
    make("v0");
    expect(&watched, "+v0");
    g_assert_false(watched.missing);
    g_assert_cmpuint(watched.index, ==, ground_index("v0"));
    g_assert_cmpuint(watched.index, !=, before);
    /* both before the loop has looked */
    ground_do("ip link del v0");
    make("v0");
    expect(&watched, "-v0 +v0");
    g_assert_cmpuint(watched.index, ==, ground_index("v0"));
    unwatch(&watched);
}

static void test_down_is_there(void)
{
    static const char *const named[] = {"v0", NULL};
    struct watched watched;
    if (!ground_new())
        return;
    make("v0");
    watch(&watched, named);
    expect(&watched, "+v0");
    ground_do("ip link set v0 up && ip link set v0-far up");
    ground_do("ip link set v0 down");
    ground_do("ip link set v0 mtu 1400");
    expect(&watched, "");
    unwatch(&watched);
}

static void test_renamed(void)
{
    static const char *const named[] = {"v0", NULL};
    struct watched watched;
    if (!ground_new())
        return;
    make("v0");
    watch(&watched, named);
    expect(&watched, "+v0");
    ground_do("ip link set v0 name w0");
    expect(&watched, "-w0");
    g_assert_cmpuint(watched.index, ==, ground_index("w0")); /* there are filters to take off */
    ground_do("ip link set v0-far name v0");
    expect(&watched, "+v0");
    g_assert_cmpuint(watched.index, ==, ground_index("v0"));
    unwatch(&watched);
}

static void test_addresses(void)
{
    struct watched watched;
    if (!ground_new())
        return;
    make("v0");
    make("v1");
    ground_do("ip addr add 192.0.2.1/24 dev v0");
    watch(&watched, NULL);
    expect(&watched, "");
    add_address(&watched, "192.0.2.1", 0);
    expect(&watched, "+v0");
    add_address(&watched, "192.0.2.1", 0);
    add_address(&watched, "::ffff:192.0.2.1", 0); /* of a socket for both families */
    expect(&watched, "");
    g_assert_null(interfaces_missing(watched.interfaces));
    /* later, and of the other family */
    add_address(&watched, "2001:db8::1", 0);
    expect(&watched, "");
    g_assert_cmpstr(interfaces_missing(watched.interfaces), ==,
                    "no interface has the media address 2001:db8::1");
    ground_do("ip addr add 2001:db8::1/64 dev v1");
    expect(&watched, "+v1");
    g_assert_null(interfaces_missing(watched.interfaces));
    /* with another prefix a second time: it is gone when both are */
    ground_do("ip addr add 192.0.2.1/32 dev v0");
    ground_do("ip addr del 192.0.2.1/24 dev v0");
    expect(&watched, "");
    /* moves */
    ground_do("ip addr del 192.0.2.1/32 dev v0 && ip addr add 192.0.2.1/24 dev v0-far");
    expect(&watched, "-v0 +v0-far");
    g_assert_cmpuint(interfaces_count(watched.interfaces), ==, 2);
    ground_do("ip link del v0");
    expect(&watched, "-v0-far");
    g_assert_cmpstr(interfaces_missing(watched.interfaces), ==,
                    "no interface has the media address 192.0.2.1");
    unwatch(&watched);
}

/* Temporary addresses go one after the other; the interface goes on carrying media. */
static void test_some_addresses(void)
{
    struct watched watched;
    if (!ground_new())
        return;
    make("v0");
    ground_do("ip addr add 192.0.2.1/24 dev v0 && ip addr add 2001:db8::1/64 dev v0");
    watch(&watched, NULL);
    add_address(&watched, "2001:db8::1", 0);
    add_address(&watched, "192.0.2.1", 0);
    expect(&watched, "+v0");
    ground_do("ip addr del 2001:db8::1/64 dev v0");
    expect(&watched, "");
    g_assert_null(interfaces_missing(watched.interfaces));
    ground_do("ip addr del 192.0.2.1/24 dev v0");
    expect(&watched, "-v0");
    g_assert_cmpstr(interfaces_missing(watched.interfaces), ==,
                    "no interface has the media address 2001:db8::1");
    unwatch(&watched);
}

static void test_special_addresses(void)
{
    struct watched watched;
    if (!ground_new())
        return;
    make("v0");
    make("v1");
    ground_do("ip addr add fe80::1/64 dev v0 && ip addr add fe80::1/64 dev v1");
    ground_do("ip addr add 192.0.2.1 peer 192.0.2.2 dev v1");
    watch(&watched, NULL);
    add_address(&watched, "127.0.0.5", 0); /* no interface says that it has it */
    expect(&watched, "+lo");
    add_address(&watched, "fe80::1", ground_index("v0"));
    expect(&watched, "+v0");
    add_address(&watched, "192.0.2.2", 0); /* the other end's */
    expect(&watched, "");
    add_address(&watched, "192.0.2.1", 0);
    expect(&watched, "+v1");
    unwatch(&watched);
}

static void test_name_and_address(void)
{
    static const char *const named[] = {"v0", NULL};
    struct watched watched;
    if (!ground_new())
        return;
    make("v0");
    watch(&watched, named);
    add_address(&watched, "192.0.2.1", 0);
    ground_do("ip addr add 192.0.2.1/24 dev v0");
    expect(&watched, "+v0");
    ground_do("ip link set v0 name w0"); /* the address keeps it */
    ground_do("ip addr flush dev w0");
    expect(&watched, "-w0");
    unwatch(&watched);
}

/* A port that leaves a bridge is told by the word that otherwise means its end. */
static void test_bridge(void)
{
    static const char *const named[] = {"v0", NULL};
    struct watched watched;
    if (!ground_new())
        return;
    make("v0");
    if (system("ip link add b0 type bridge 2>/dev/null") != 0) {
        g_test_skip("no bridges in this kernel");
        return;
    }
    ground_do("ip link set v0 master b0");
    watch(&watched, named);
    expect(&watched, "+v0");
    ground_do("ip link set v0 nomaster");
    expect(&watched, "");
    unwatch(&watched);
}

/* More happens than the queue holds: what counts is right in the end. */
static void test_overrun(void)
{
    static const char *const named[] = {"v0", "v1", NULL};
    struct watched watched;
    if (!ground_new())
        return;
    make("v0");
    make("v1");
    watch(&watched, named);
    add_address(&watched, "192.0.2.1", 0);
    expect(&watched, "+v0 +v1");
    unsigned before = ground_index("v0");
    ground_do("for i in $(seq 300); do echo link set lo mtu $((2000 + i)); done | ip -batch -");
    ground_do("ip link del v0 && ip link del v1");
    make("v0");
    make("v2");
    ground_do("ip addr add 192.0.2.1/24 dev v2");
    while (g_main_context_iteration(NULL, FALSE))
        ;
    g_test_message("%s", watched.told->str);
    g_assert_cmpuint(interfaces_count(watched.interfaces), ==, 2);
    g_assert_cmpstr(interfaces_missing(watched.interfaces), ==,
                    "the media interface v1 is not there");
    g_assert_nonnull(strstr(watched.told->str, "-v0"));
    g_assert_nonnull(strstr(watched.told->str, "-v1"));
    g_assert_nonnull(strstr(watched.told->str, "+v0"));
    g_assert_nonnull(strstr(watched.told->str, "+v2"));
    g_assert_cmpuint(before, !=, ground_index("v0"));
    g_string_truncate(watched.told, 0);
    /* and it goes on */
    ground_do("ip link del v2");
    expect(&watched, "-v2");
    unwatch(&watched);
}

static void test_cost(void)
{
    struct watched watched;
    if (!ground_new())
        return;
    ground_do("for i in $(seq 100); do echo link add x$i type veth peer name y$i; done |"
              " ip -batch -");
    gint64 start = g_get_monotonic_time();
    watch(&watched, NULL);
    add_address(&watched, "192.0.2.1", 0);
    gint64 started = g_get_monotonic_time();
    /* few enough for the queue */
    ground_do("for i in $(seq 40); do echo link set lo mtu $((2000 + i)); done | ip -batch -");
    gint64 changed = g_get_monotonic_time();
    expect(&watched, "");
    g_test_message("201 interfaces: start %.0f us, one change %.1f us", (double)(started - start),
                   (g_get_monotonic_time() - changed) / 40.0);
    unwatch(&watched);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/interfaces/named", test_named);
    g_test_add_func("/interfaces/made-anew", test_made_anew);
    g_test_add_func("/interfaces/down-is-there", test_down_is_there);
    g_test_add_func("/interfaces/renamed", test_renamed);
    g_test_add_func("/interfaces/addresses", test_addresses);
    g_test_add_func("/interfaces/some-addresses", test_some_addresses);
    g_test_add_func("/interfaces/special-addresses", test_special_addresses);
    g_test_add_func("/interfaces/name-and-address", test_name_and_address);
    g_test_add_func("/interfaces/bridge", test_bridge);
    g_test_add_func("/interfaces/overrun", test_overrun);
    g_test_add_func("/interfaces/cost", test_cost);
    return g_test_run();
}
