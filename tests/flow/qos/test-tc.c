/* SPDX-License-Identifier: Apache-2.0 */
/* Filters on real interfaces of a network namespace, looked at with tc. A process that was killed
 * is a child that has attached and is gone. */
#include "base/problem.h"
#include "qos/tc.h"
#include "tests/flow/qos/ground.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define OWNER "wmcf-40000"
#define PRIORITY 100

static bool with_veth(void)
{
    if (!ground_new())
        return false;
    ground_do("ip link add v0 type veth peer name v1 && ip link set v1 up && ip link set v0 up");
    return true;
}

static struct tc *new_tc(void)
{
    g_autoptr(GError) error = NULL;
    struct tc *tc = tc_new(&error);
    g_assert_no_error(error);
    return tc;
}

static void attach_program(struct tc *tc, const char *interface, const char *owner, int program)
{
    for (enum tc_hook hook = TC_INGRESS; hook <= TC_EGRESS; hook++) {
        g_autoptr(GError) error = NULL;
        tc_attach_bpf(tc, ground_index(interface), hook, program, owner, PRIORITY, &error);
        g_assert_no_error(error);
    }
}

static void attach(struct tc *tc, const char *interface, const char *owner)
{
    int program = ground_program(TC_ACT_UNSPEC);
    attach_program(tc, interface, owner, program);
    close(program);
}

static void expect_error(struct tc *tc, const char *interface, const char *sentence)
{
    g_autoptr(GError) error = NULL;
    int program = ground_program(TC_ACT_UNSPEC);
    g_assert_false(
        tc_attach_bpf(tc, ground_index(interface), TC_EGRESS, program, OWNER, PRIORITY, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_ENFORCEMENT_UNAVAILABLE);
    g_assert_cmpstr(error->message, ==, sentence);
    close(program);
}

static bool has_clsact(const char *interface)
{
    g_autofree char *qdiscs = ground_ask("tc qdisc show dev %s", interface);
    return strstr(qdiscs, "clsact") != NULL;
}

static void each_hook_has(const char *interface, const char *word, guint count)
{
    g_assert_cmpuint(ground_filters(interface, "ingress", word), ==, count);
    g_assert_cmpuint(ground_filters(interface, "egress", word), ==, count);
}
#define ANY "direct-action" /* a word on every cls_bpf filter of ours */

/* Filters of somebody else, of another kind and by the common tool; they match nothing. */
static void add_foreign(const char *interface, unsigned priority)
{
    for (enum tc_hook hook = TC_INGRESS; hook <= TC_EGRESS; hook++)
        ground_do(
            "tc filter add dev %s %s prio %u protocol all u32 match u8 0xff 0xff at 0 classid 1:1",
            interface, tc_hook_name(hook), priority);
}
#define FOREIGN "800::800" /* a word on each of them */

/* One datagram to ourselves by loopback, which must arrive. */
static void exchange(int family)
{
    struct sockaddr_storage address = {.ss_family = family};
    socklen_t length = sizeof address;
    struct timeval limit = {.tv_sec = 10};
    char octet = 0;
    if (family == AF_INET)
        ((struct sockaddr_in *)&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        ((struct sockaddr_in6 *)&address)->sin6_addr = in6addr_loopback;
    int fd = socket(family, SOCK_DGRAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, length), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &length), ==, 0);
    g_assert_cmpint(sendto(fd, "x", 1, 0, (struct sockaddr *)&address, length), ==, 1);
    g_assert_cmpint(recv(fd, &octet, 1, 0), ==, 1);
    close(fd);
}

/* --- attach and detach ------------------------------------------------------------------------ */

static void test_attach_and_detach(void)
{
    if (!with_veth())
        return;
    static const char *const interfaces[] = {"v0", "lo"};
    struct tc *tc = new_tc();
    for (size_t i = 0; i < G_N_ELEMENTS(interfaces); i++) {
        unsigned index = ground_index(interfaces[i]);
        g_assert_false(tc_is_attached(tc, index, TC_INGRESS, OWNER));
        attach(tc, interfaces[i], OWNER);
        each_hook_has(interfaces[i], OWNER "+clsact", 1);
        g_assert_true(tc_is_attached(tc, index, TC_INGRESS, OWNER));
        g_assert_false(tc_is_attached(tc, index, TC_INGRESS, "wmcf-4000"));
        attach(tc, interfaces[i], OWNER); /* once more is no more */
        each_hook_has(interfaces[i], ANY, 1);
        tc_detach(tc, index, OWNER);
        g_assert_false(has_clsact(interfaces[i]));
        g_assert_false(tc_is_attached(tc, index, TC_EGRESS, OWNER));
        tc_detach(tc, index, OWNER); /* nothing there is no error */
    }
    tc_detach(tc, 4711, OWNER);
    tc_free(tc);
}

static void test_traffic_flows(void)
{
    if (!ground_new())
        return;
    int count_fd, program = ground_counter(&count_fd);
    struct tc *tc = new_tc();
    attach_program(tc, "lo", OWNER, program);
    exchange(AF_INET);
    g_assert_cmpuint(ground_count(count_fd), ==, 2); /* out and in */
    exchange(AF_INET6);
    g_assert_cmpuint(ground_count(count_fd), ==, 4);
    tc_detach(tc, ground_index("lo"), OWNER);
    exchange(AF_INET);
    g_assert_cmpuint(ground_count(count_fd), ==, 4);
    tc_free(tc);
    close(program);
    close(count_fd);
}

/* --- after a crash ---------------------------------------------------------------------------- */

struct crash {
    const char *interface, *owner;
};

static void attach_and_die(void *data)
{
    const struct crash *crash = data;
    attach(new_tc(), crash->interface, crash->owner);
}

static void crash(const char *interface, const char *owner)
{
    struct crash data = {interface, owner};
    ground_in_child(attach_and_die, &data);
}

static void test_takeover(void)
{
    if (!with_veth())
        return;
    crash("v0", OWNER);
    each_hook_has("v0", OWNER "+clsact", 1);
    g_autofree char *before = ground_ask("tc filter show dev v0 ingress");
    struct tc *tc = new_tc();
    attach(tc, "v0", OWNER);
    each_hook_has("v0", ANY, 1);
    each_hook_has("v0", OWNER "+clsact", 1);
    g_autofree char *after = ground_ask("tc filter show dev v0 ingress");
    g_assert_cmpstr(before, !=, after); /* another program */
    tc_detach(tc, ground_index("v0"), OWNER);
    g_assert_false(has_clsact("v0")); /* the dead one had made it, its name said */
    tc_free(tc);
}

#define FLOOD 20000

static void flood(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    bind(fd, (struct sockaddr *)&address, length);
    getsockname(fd, (struct sockaddr *)&address, &length);
    for (int i = 0; i < FLOOD; i++)
        sendto(fd, "x", 1, 0, (struct sockaddr *)&address, length);
    _exit(0);
}

/* Somebody sends without a pause while filters are replaced: each packet meets exactly one. */
static void test_no_moment_without(void)
{
    if (!ground_new())
        return;
    int counts[2], programs[] = {ground_counter(&counts[0]), ground_counter(&counts[1])};
    struct tc *tc = new_tc();
    guint replaced = 0;
    int status = 0;
    attach_program(tc, "lo", OWNER, programs[0]);
    pid_t child = fork();
    if (child == 0)
        flood();
    while (waitpid(child, &status, WNOHANG) == 0)
        attach_program(tc, "lo", OWNER, programs[++replaced % 2]);
    g_assert_cmpint(status, ==, 0);
    g_test_message("replaced %u times", replaced);
    /* out and in; the last ones may be on their way yet */
    while (ground_count(counts[0]) + ground_count(counts[1]) < 2 * FLOOD)
        g_thread_yield();
    g_assert_cmpuint(ground_count(counts[0]) + ground_count(counts[1]), ==, 2 * FLOOD);
    tc_free(tc);
    for (int i = 0; i < 2; i++) {
        close(programs[i]);
        close(counts[i]);
    }
}

static void test_doubled(void)
{
    if (!with_veth())
        return;
    /* What we never do, other tools and old versions may have. */
    struct tc *tc = new_tc(), *other = new_tc();
    attach(tc, "v0", "wmcf-1");
    for (enum tc_hook hook = TC_INGRESS; hook <= TC_EGRESS; hook++) {
        int program = ground_program(TC_ACT_UNSPEC);
        ground_raw_bpf(ground_index("v0"), tc_hook_parent(hook), 7, program, OWNER);
        ground_raw_bpf(ground_index("v0"), tc_hook_parent(hook), 300, program, OWNER);
        close(program);
    }
    each_hook_has("v0", OWNER, 2);
    attach(other, "v0", OWNER);
    each_hook_has("v0", OWNER, 0);
    each_hook_has("v0", OWNER "+clsact", 1);
    each_hook_has("v0", "7", 1); /* in its place, whatever the priority */
    each_hook_has("v0", "wmcf-1+clsact", 1);
    tc_free(tc);
    tc_free(other);
}

/* --- others ----------------------------------------------------------------------------------- */

static void test_foreign_filters_stay(void)
{
    static const unsigned priorities[] = {PRIORITY - 1, PRIORITY, PRIORITY + 1};
    for (size_t i = 0; i < G_N_ELEMENTS(priorities); i++) {
        if (!with_veth())
            return;
        int count_fd, program = ground_counter(&count_fd);
        struct tc *tc = new_tc(), *foreigner = new_tc();
        ground_do("tc qdisc add dev lo clsact");
        add_foreign("lo", priorities[i]);
        attach_program(foreigner, "lo", "monitor", program);
        attach(tc, "lo", OWNER);
        each_hook_has("lo", OWNER, 1);
        exchange(AF_INET);
        g_assert_cmpuint(ground_count(count_fd), ==, 2); /* ours lets it through to them */
        tc_detach(tc, ground_index("lo"), OWNER);
        each_hook_has("lo", OWNER, 0);
        each_hook_has("lo", FOREIGN, 1);
        each_hook_has("lo", "monitor", 1);
        exchange(AF_INET);
        g_assert_cmpuint(ground_count(count_fd), ==, 4);
        tc_free(tc);
        tc_free(foreigner);
        close(program);
        close(count_fd);
    }
}

static void test_priority(void)
{
    if (!with_veth())
        return;
    struct tc *tc = new_tc();
    ground_do("tc qdisc add dev v0 clsact");
    add_foreign("v0", PRIORITY);
    add_foreign("v0", PRIORITY + 1);
    attach(tc, "v0", OWNER);
    g_autofree char *text = ground_ask("tc filter show dev v0 egress");
    g_assert_nonnull(strstr(text, "pref 102 bpf chain 0 handle 0x1 " OWNER));
    ground_do("tc filter del dev v0 egress prio 100");
    attach(tc, "v0", OWNER); /* it stays where it is: no moment without */
    g_autofree char *later = ground_ask("tc filter show dev v0 egress");
    g_assert_nonnull(strstr(later, "pref 102 bpf"));
    tc_free(tc);
}

static void test_clsact_of_others(void)
{
    if (!with_veth())
        return;
    struct tc *tc = new_tc();
    unsigned index = ground_index("v0");
    ground_do("tc qdisc add dev v0 clsact");
    attach(tc, "v0", OWNER);
    each_hook_has("v0", OWNER, 1); /* no mark */
    tc_detach(tc, index, OWNER);
    g_assert_true(has_clsact("v0")); /* it was there before us */
    ground_do("tc qdisc del dev v0 clsact");
    attach(tc, "v0", OWNER);
    add_foreign("v0", 5);
    tc_detach(tc, index, OWNER);
    g_assert_true(has_clsact("v0")); /* ours, but in use */
    each_hook_has("v0", FOREIGN, 1);
    tc_free(tc);
}

static void test_legacy_ingress(void)
{
    if (!with_veth())
        return;
    struct tc *tc = new_tc();
    ground_do("tc qdisc add dev v0 ingress");
    expect_error(
        tc, "v0",
        "v0 has a legacy \"ingress\" qdisc where clsact belongs; move its filters to "
        "clsact (tc qdisc del dev v0 ingress; tc qdisc add dev v0 clsact), or leave v0 out");
    g_autofree char *qdiscs = ground_ask("tc qdisc show dev v0");
    g_assert_nonnull(strstr(qdiscs, "ingress"));
    tc_free(tc);
}

static void test_errors(void)
{
    if (!with_veth())
        return;
    struct tc *tc = new_tc();
    g_autoptr(GError) error = NULL;
    g_assert_false(tc_ensure_clsact(tc, 4711, NULL, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_ENFORCEMENT_UNAVAILABLE);
    g_assert_cmpint(tc_errno(tc), ==, ENODEV);
    g_test_message("%s", error->message);
    g_clear_error(&error);
    g_assert_false(tc_attach_bpf(tc, ground_index("v0"), TC_INGRESS, 0, OWNER, PRIORITY, &error));
    g_test_message("%s", error->message);
    tc_detach(tc, ground_index("v0"), OWNER);
    g_assert_false(has_clsact("v0")); /* though no filter ever said that it was ours */
    tc_free(tc);
}

/* --- several WMCFs ---------------------------------------------------------------------------- */

static void test_two_owners(void)
{
    if (!with_veth())
        return;
    struct tc *first = new_tc(), *second = new_tc();
    unsigned index = ground_index("v0");
    attach(first, "v0", OWNER);
    attach(second, "v0", "wmcf-41000");
    each_hook_has("v0", OWNER "+clsact", 1);
    each_hook_has("v0", "wmcf-41000+clsact", 1);
    tc_detach(first, index, OWNER);
    each_hook_has("v0", OWNER "+clsact", 0);
    each_hook_has("v0", "wmcf-41000+clsact", 1);
    tc_detach(second, index, "wmcf-41000"); /* the last one puts out the light */
    g_assert_false(has_clsact("v0"));
    tc_free(first);
    tc_free(second);
}

static void test_same_port(void)
{
    if (!with_veth())
        return;
    struct tc *first = new_tc(), *second = new_tc(), *third;
    unsigned index = ground_index("v0");
    attach(first, "v0", OWNER);
    attach(second, "v0", OWNER); /* on another address, perhaps */
    each_hook_has("v0", OWNER "+clsact", 1);
    each_hook_has("v0", OWNER ".2+clsact", 1);
    tc_detach(second, index, OWNER);
    each_hook_has("v0", OWNER "+clsact", 1);
    each_hook_has("v0", OWNER ".2+clsact", 0);
    tc_free(first); /* dies */
    third = new_tc();
    attach(third, "v0", OWNER);
    each_hook_has("v0", ANY, 1);
    g_assert_cmpstr(tc_claim(second, OWNER), ==, OWNER ".2");
    g_assert_cmpstr(tc_claim(third, OWNER), ==, OWNER);
    tc_free(second);
    tc_free(third);
}

static void come_and_go(void *data)
{
    g_autofree char *owner = g_strdup_printf("wmcf-%d", 41000 + GPOINTER_TO_INT(data));
    struct tc *tc = new_tc();
    for (int i = 0; i < 50; i++) {
        attach(tc, "v0", owner);
        tc_detach(tc, ground_index("v0"), owner);
    }
}

/* Each makes the clsact that another is about to remove. */
static void test_at_the_same_time(void)
{
    pid_t children[4];
    if (!with_veth())
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(children); i++) {
        children[i] = fork();
        if (children[i] == 0) {
            come_and_go(GINT_TO_POINTER(i));
            _exit(0);
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(children); i++) {
        int status = 0;
        g_assert_cmpint(waitpid(children[i], &status, 0), ==, children[i]);
        g_assert_cmpint(status, ==, 0);
    }
    each_hook_has("v0", ANY, 0);
}

static bool is_v1(unsigned ifindex, const char *kind, void *user)
{
    return ifindex == ground_index("v1");
}

static void test_sweep(void)
{
    if (!with_veth())
        return;
    struct tc *tc = new_tc(), *alive = new_tc();
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(42000)};
    int bound = socket(AF_INET, SOCK_DGRAM, 0);
    g_assert_cmpint(bind(bound, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_null(tc_sweep(tc, OWNER, NULL, NULL));
    attach(alive, "v0", "wmcf-41000");
    crash("v0", "wmcf-42000"); /* whose port somebody has */
    crash("v0", "wmcf-43000");
    crash("v0", "wmcf-monitor"); /* not what we call ourselves */
    crash("v0", "other-43000");
    crash("lo", "wmcf-pid-1");
    attach(tc, "v0", OWNER);
    g_autofree char *told = tc_sweep(tc, OWNER, is_v1, NULL);
    g_assert_nonnull(told);
    g_test_message("%s", told);
    each_hook_has("v0", "wmcf-41000+clsact", 1);
    each_hook_has("v0", "wmcf-42000+clsact", 1);
    each_hook_has("v0", "wmcf-43000+clsact", 0);
    each_hook_has("v0", "wmcf-monitor+clsact", 1);
    each_hook_has("v0", "other-43000+clsact", 1);
    each_hook_has("v0", OWNER "+clsact", 0); /* v1 is ours now */
    g_assert_false(has_clsact("lo"));
    g_assert_null(tc_sweep(tc, OWNER, is_v1, NULL));
    close(bound);
    g_autofree char *again = tc_sweep(tc, OWNER, is_v1, NULL);
    g_assert_cmpstr(again, ==, "removed the stale filters of wmcf-42000 on v0");
    g_assert_true(has_clsact("v0"));
    tc_free(tc);
    tc_free(alive);
}

/* What the level without BPF leaves: a filter whose action carries the name. */
static void add_u32_of(const char *name)
{
    g_autoptr(GString) cookie = g_string_new(NULL);
    for (const char *c = name; *c; c++)
        g_string_append_printf(cookie, "%02x", *c);
    for (enum tc_hook hook = TC_INGRESS; hook <= TC_EGRESS; hook++)
        ground_do("tc filter add dev v0 %s prio 7 protocol ip u32 match u8 0xff 0xff at 0 "
                  "action mirred egress mirror dev v1 continue cookie %s",
                  tc_hook_name(hook), cookie->str);
}

static bool is_bpf(unsigned ifindex, const char *kind, void *user)
{
    return strcmp(kind, "bpf") == 0;
}

static void test_sweep_of_other_level(void)
{
    static const char *const names[] = {OWNER "+", "wmcf-43000+"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (!with_veth())
            return;
        struct tc *tc = new_tc();
        ground_do("tc qdisc add dev v0 clsact");
        add_u32_of(names[i]);
        attach(tc, "v0", OWNER);
        each_hook_has("v0", FOREIGN, 1);
        each_hook_has("v0", OWNER "+clsact", 1); /* the mark goes on */
        g_autofree char *told = tc_sweep(tc, OWNER, is_bpf, NULL);
        g_assert_nonnull(told);
        g_test_message("%s", told);
        each_hook_has("v0", FOREIGN, 0);
        each_hook_has("v0", OWNER "+clsact", 1);
        tc_detach(tc, ground_index("v0"), OWNER);
        g_assert_false(has_clsact("v0"));
        tc_free(tc);
    }
}

static void sweep_as_nobody(void *data)
{
    g_assert_cmpint(setresuid(65534, 65534, 65534), ==, 0);
    g_autofree char *told = tc_sweep(new_tc(), OWNER, NULL, NULL);
    g_assert_cmpstr(told, ==,
                    "stale filters of " OWNER " on v0 go on judging packets: they cannot be "
                    "removed without CAP_NET_ADMIN");
}

static void test_sweep_without_privilege(void)
{
    if (!with_veth())
        return;
    crash("v0", OWNER);
    ground_in_child(sweep_as_nobody, NULL);
    each_hook_has("v0", OWNER "+clsact", 1);
}

static void test_cost(void)
{
    if (!with_veth())
        return;
    struct tc *tc = new_tc();
    unsigned index = ground_index("v0");
    int program = ground_program(TC_ACT_UNSPEC);
    gint64 took[4] = {0};
    guint times = 20;
    for (guint i = 0; i < times; i++) {
        gint64 at[5] = {g_get_monotonic_time()};
        attach_program(tc, "v0", OWNER, program);
        at[1] = g_get_monotonic_time();
        attach_program(tc, "v0", OWNER, program);
        at[2] = g_get_monotonic_time();
        g_assert_true(tc_is_attached(tc, index, TC_INGRESS, OWNER) &&
                      tc_is_attached(tc, index, TC_EGRESS, OWNER));
        at[3] = g_get_monotonic_time();
        tc_detach(tc, index, OWNER);
        at[4] = g_get_monotonic_time();
        for (guint j = 0; j < 4; j++)
            took[j] += at[j + 1] - at[j];
    }
    g_test_message("both hooks: attach %.0f us, replace %.0f us, look %.0f us, detach %.0f us",
                   (double)took[0] / times, (double)took[1] / times, (double)took[2] / times,
                   (double)took[3] / times);
    close(program);
    tc_free(tc);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tc/attach-and-detach", test_attach_and_detach);
    g_test_add_func("/tc/traffic-flows", test_traffic_flows);
    g_test_add_func("/tc/takeover", test_takeover);
    g_test_add_func("/tc/no-moment-without", test_no_moment_without);
    g_test_add_func("/tc/doubled", test_doubled);
    g_test_add_func("/tc/foreign-filters-stay", test_foreign_filters_stay);
    g_test_add_func("/tc/priority", test_priority);
    g_test_add_func("/tc/clsact-of-others", test_clsact_of_others);
    g_test_add_func("/tc/legacy-ingress", test_legacy_ingress);
    g_test_add_func("/tc/errors", test_errors);
    g_test_add_func("/tc/two-owners", test_two_owners);
    g_test_add_func("/tc/same-port", test_same_port);
    g_test_add_func("/tc/at-the-same-time", test_at_the_same_time);
    g_test_add_func("/tc/sweep", test_sweep);
    g_test_add_func("/tc/sweep-of-other-level", test_sweep_of_other_level);
    g_test_add_func("/tc/sweep-without-privilege", test_sweep_without_privilege);
    g_test_add_func("/tc/cost", test_cost);
    return g_test_run();
}
