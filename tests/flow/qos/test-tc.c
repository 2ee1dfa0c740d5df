/* SPDX-License-Identifier: Apache-2.0 */
/* Filters on real interfaces of a network namespace, looked at with tc. */
#include "base/problem.h"
#include "qos/tc.h"
#include "tests/flow/qos/ground.h"

#include <arpa/inet.h>
#include <linux/pkt_cls.h>
#include <string.h>
#include <unistd.h>

#define OWNER "wmcf-40000"

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

static void attach(struct tc *tc, const char *interface, const char *owner)
{
    int program = ground_program(TC_ACT_UNSPEC);
    for (enum tc_hook hook = TC_INGRESS; hook <= TC_EGRESS; hook++) {
        g_autoptr(GError) error = NULL;
        tc_attach_bpf(tc, ground_index(interface), hook, program, owner, 100, &error);
        g_assert_no_error(error);
    }
    close(program);
}

static void test_attach_and_detach(void)
{
    if (!with_veth())
        return;
    struct tc *tc = new_tc();
    attach(tc, "v0", OWNER);
    g_assert_cmpuint(ground_filters("v0", "ingress", OWNER "+clsact"), ==, 1);
    g_assert_cmpuint(ground_filters("v0", "egress", OWNER "+clsact"), ==, 1);
    g_assert_true(tc_is_attached(tc, ground_index("v0"), TC_INGRESS, OWNER));
    attach(tc, "v0", OWNER);
    g_assert_cmpuint(ground_filters("v0", "ingress", "bpf"), ==, 1);
    tc_detach(tc, ground_index("v0"), OWNER);
    g_autofree char *qdiscs = ground_ask("tc qdisc show dev v0");
    g_assert_null(strstr(qdiscs, "clsact"));
    tc_free(tc);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tc/attach-and-detach", test_attach_and_detach);
    return g_test_run();
}
