/* SPDX-License-Identifier: Apache-2.0 */
/* The forms of identifiers, tokens and addresses (protocol A5). */
#include "base/ids.h"

#include <string.h>

static void test_uuid(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (int i = 0; i < 1000; i++) {
        char *uuid = id_uuid();
        g_assert_true(id_is_uuid(uuid));
        g_assert_cmpint(uuid[14], ==, '4');
        g_assert_nonnull(strchr("89ab", uuid[19]));
        g_assert_true(g_hash_table_add(seen, uuid));
    }
    g_assert_true(id_is_uuid("123E4567-e89b-12d3-a456-426614174000"));
    g_assert_false(id_is_uuid(NULL));
    g_assert_false(id_is_uuid(""));
    g_assert_false(id_is_uuid("123e4567-e89b-12d3-a456-42661417400"));
    g_assert_false(id_is_uuid("123e4567-e89b-12d3-a456-4266141740000"));
    g_assert_false(id_is_uuid("123e4567-e89b-12d3-a456-42661417400g"));
    g_assert_false(id_is_uuid("123e4567ee89b-12d3-a456-426614174000"));
}

static void test_token(void)
{
    static const struct {
        unsigned bits;
        size_t length;
    } rows[] = {{1, 2}, {8, 2}, {64, 11}, {128, 22}, {256, 43}, {4096, 683}};
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *token = id_token(rows[i].bits);
        g_assert_cmpuint(strlen(token), ==, rows[i].length);
        g_assert_cmpuint(strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                       "0123456789-_"),
                         ==, rows[i].length);
    }
}

static void test_ice_chars(void)
{
    char text[65];
    guint used[128] = {0};
    for (int round = 0; round < 200; round++) {
        id_ice_chars(text, 64);
        g_assert_cmpuint(strlen(text), ==, 64);
        for (int i = 0; i < 64; i++) {
            g_assert_true(g_ascii_isalnum(text[i]) || text[i] == '+' || text[i] == '/');
            used[(guint)text[i]]++;
        }
    }
    for (const char *p = "AZaz09+/"; *p; p++)
        g_assert_cmpuint(used[(guint)*p], >, 100); /* 200 expected */
    id_ice_chars(text, 0);
    g_assert_cmpstr(text, ==, "");
}

static void test_secret_equal(void)
{
    g_assert_true(id_secret_equal("", ""));
    g_assert_true(id_secret_equal("abc", "abc"));
    g_assert_false(id_secret_equal("abc", "abd"));
    g_assert_false(id_secret_equal("abc", "ab"));
    g_assert_false(id_secret_equal("ab", "abc"));
    g_assert_false(id_secret_equal("abab", "ab"));
    g_assert_false(id_secret_equal("abc", ""));
    g_assert_false(id_secret_equal("", "abc"));
    g_assert_false(id_secret_equal(NULL, "abc"));
    g_assert_false(id_secret_equal(NULL, NULL));
}

static void test_address(void)
{
    g_autofree char *long_user = g_strnfill(64, 'u');
    g_autofree char *longest = g_strconcat(long_user, "@a", NULL);
    g_autofree char *too_long = g_strconcat("u", longest, NULL);
    g_autofree char *label = g_strnfill(64, 'l');
    g_autofree char *long_label = g_strconcat("a@", label, NULL);
    const struct {
        const char *text;
        bool address, resource;
    } rows[] = {
        {"alice@example.net", true, true},
        {"a.l~i+c_e-1@Example.NET", true, true},
        {"media/tune@example.net", false, true},
        {"alice@localhost", true, true},
        {"alice@192.0.2.1", true, true},
        {longest, true, true},
        {too_long, false, false},
        {long_label, false, false},
        {"", false, false},
        {"alice", false, false},
        {"@example.net", false, false},
        {"alice@", false, false},
        {"alice@.net", false, false},
        {"alice@example..net", false, false},
        {"alice@example.net.", false, false},
        {"alice@-example.net", false, false},
        {"alice@example-.net", false, false},
        {"alice@exa_mple.net", false, false},
        {"alice@example@net", false, false},
        {"ali:ce@example.net", false, false},
        {"ali ce@example.net", false, false},
        {"alic\xc3\xa9@example.net", false, false},
        {NULL, false, false},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_assert_cmpint(id_is_address(rows[i].text, false, NULL), ==, rows[i].address);
        g_assert_cmpint(id_is_address(rows[i].text, true, NULL), ==, rows[i].resource);
    }
    g_autofree char *realm = NULL;
    g_assert_true(id_is_address("bob@Example.NET", false, &realm));
    g_assert_cmpstr(realm, ==, "example.net");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ids/uuid", test_uuid);
    g_test_add_func("/ids/token", test_token);
    g_test_add_func("/ids/ice-chars", test_ice_chars);
    g_test_add_func("/ids/secret-equal", test_secret_equal);
    g_test_add_func("/ids/address", test_address);
    return g_test_run();
}
