/* SPDX-License-Identifier: Apache-2.0 */
#include "qos/tc-u32-private.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static struct sockaddr_storage address(const char *text, uint16_t port)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
    } else {
        g_assert_cmpint(inet_pton(AF_INET6, text, &in6->sin6_addr), ==, 1);
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        in6->sin6_scope_id = 7; /* not in the packet */
    }
    return address;
}

static struct u32_match match(enum tc_hook hook, const char *local, const char *remote,
                              uint16_t port)
{
    struct u32_match match = {.hook = hook};
    struct sockaddr_storage near = address(local, 40000), far;
    if (remote)
        far = address(remote, port);
    g_assert_true(
        u32_match_set(&match, (struct sockaddr *)&near, remote ? (struct sockaddr *)&far : NULL));
    return match;
}

static void test_one_family(void)
{
    struct u32_match plain = match(TC_INGRESS, "192.0.2.10", "192.0.2.20", 5000);
    struct u32_match mapped = match(TC_INGRESS, "::ffff:192.0.2.10", "::ffff:192.0.2.20", 5000);
    g_assert_true(u32_match_equal(&plain, &mapped));
    struct sockaddr_storage near = address("192.0.2.10", 40000), far = address("fd00:db8::20", 1);
    g_assert_false(u32_match_set(&plain, (struct sockaddr *)&near, (struct sockaddr *)&far));
    near = address("192.0.2.10", 0);
    g_assert_false(u32_match_set(&plain, (struct sockaddr *)&near, NULL));
    near.ss_family = AF_UNIX;
    g_assert_false(u32_match_set(&plain, (struct sockaddr *)&near, NULL));
}

static void test_different(void)
{
    struct u32_match one = match(TC_INGRESS, "fd00:db8::10", "fd00:db8::20", 5000), other = one;
    g_assert_true(u32_match_equal(&one, &other));
    other.payload = U32_DATA;
    g_assert_false(u32_match_equal(&one, &other));
    other = match(TC_INGRESS, "fd00:db8::10", "fd00:db8::21", 5000);
    g_assert_false(u32_match_equal(&one, &other));
    other = match(TC_INGRESS, "fd00:db8::10", NULL, 0);
    g_assert_false(u32_match_equal(&one, &other));
}

/* Rows differ by hook, family, table and the low octet of the port. */
static void test_rows(void)
{
    g_autoptr(GHashTable) keys = g_hash_table_new(NULL, NULL);
    for (int hook = 0; hook < 2; hook++)
        for (int v6 = 0; v6 < 2; v6++) {
            const char *near = v6 ? "fd00:db8::10" : "192.0.2.10";
            const char *far = v6 ? "fd00:db8::20" : "192.0.2.20";
            struct u32_match some[] = {match(hook, near, far, 5000), match(hook, near, far, 5001),
                                       match(hook, near, NULL, 0)};
            for (guint i = 0; i < G_N_ELEMENTS(some); i++) {
                uint16_t key = u32_place_key(&some[i]);
                g_assert_cmpuint(key, <, 1 << 12);
                g_assert_true(g_hash_table_add(keys, GUINT_TO_POINTER(key + 1u)));
            }
            struct u32_match same = match(hook, near, far, 5000 + 256);
            g_assert_cmpuint(u32_place_key(&same), ==, u32_place_key(&some[0]));
        }
}

static void test_cookie(void)
{
    struct tc_cookie own, made, other;
    u32_cookie("wmcf-40000", false, &own);
    g_assert_cmpmem(own.text, own.length, "wmcf-40000", 10);
    g_assert_true(u32_cookie_is_of(&own, "wmcf-40000"));
    g_assert_false(u32_cookie_is_of(&own, "wmcf-4000"));
    g_assert_false(u32_cookie_made_clsact(&own));
    u32_cookie("wmcf-40000", true, &made);
    g_assert_true(u32_cookie_is_of(&made, "wmcf-40000"));
    g_assert_true(u32_cookie_made_clsact(&made));
    /* Longer than a cookie: still told apart. */
    u32_cookie("wmcf-40000-of-the-left-one", true, &made);
    u32_cookie("wmcf-40000-of-the-right-one", true, &other);
    g_assert_cmpuint(made.length, <=, sizeof made.text);
    g_assert_true(u32_cookie_is_of(&made, "wmcf-40000-of-the-left-one"));
    g_assert_false(u32_cookie_is_of(&other, "wmcf-40000-of-the-left-one"));
    g_assert_true(u32_cookie_made_clsact(&other));
}

static void test_police_holds(void)
{
    g_assert_true(tc_police_holds(8000, 1600));
    g_assert_true(tc_police_holds(UINT32_MAX, UINT32_MAX));
    g_assert_true(tc_police_holds(10, 2700));
    g_assert_false(tc_police_holds(10, 2800)); /* 280 s */
    g_assert_false(tc_police_holds(1, UINT32_MAX));
    g_assert_false(tc_police_holds(0, 1500));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/u32/one-family", test_one_family);
    g_test_add_func("/u32/different", test_different);
    g_test_add_func("/u32/rows", test_rows);
    g_test_add_func("/u32/cookie", test_cookie);
    g_test_add_func("/u32/police-holds", test_police_holds);
    return g_test_run();
}
