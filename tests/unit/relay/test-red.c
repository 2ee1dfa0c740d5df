/* SPDX-License-Identifier: Apache-2.0 */
#include "wmcf/relay/red.h"

#include <glib.h>
#include <string.h>

/* In memory of its own, so that a sanitizer sees what is read behind it. */
static bool find(const char *octets, size_t length, struct red_primary *ret)
{
    g_autofree uint8_t *copy = g_memdup2(octets, length);
    return red_find_primary(copy, length, ret);
}

static void test_primary(void)
{
    struct red_primary primary;
    g_assert_true(find("\x6f"
                       "now",
                       4, &primary)); /* no copies: at the beginning of a talk spurt */
    g_assert_cmpuint(primary.pt, ==, 111);
    g_assert_cmpuint(primary.at, ==, 1);
    g_assert_true(find("\xef\0\0\2\x6f"
                       "agnow",
                       10, &primary));
    g_assert_cmpuint(primary.at, ==, 7);
    g_assert_true(find("\xef\0\0\2\xef\0\0\1\x6f"
                       "abcnow",
                       15, &primary));
    g_assert_cmpuint(primary.at, ==, 12);
    g_assert_true(find("\xef\0\0\0\x6f", 5, &primary)); /* nothing of either */
    g_assert_cmpuint(primary.at, ==, 5);
}

static void test_broken(void)
{
    struct red_primary primary;
    g_assert_false(find("", 0, &primary));
    g_assert_false(find("\xef", 1, &primary));
    g_assert_false(find("\xef\0\0\0", 4, &primary)); /* no primary header */
    g_assert_false(find("\xef\0\0\4\x6f"
                        "abc",
                        8, &primary)); /* a copy behind the end */
    g_assert_false(find("\xef\0\3\xff\x6f"
                        "abc",
                        8, &primary));
    g_assert_false(find("\xee\0\0\1\x6f"
                        "abc",
                        8, &primary)); /* another codec inside */
    g_assert_false(find("\xef\0\0\1\xee\0\0\1\x6f"
                        "abc",
                        12, &primary));
    uint8_t headers[1500];
    memset(headers, 0xef, sizeof headers);
    g_assert_false(find((char *)headers, sizeof headers, &primary));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/red/primary", test_primary);
    g_test_add_func("/red/broken", test_broken);
    return g_test_run();
}
