/* SPDX-License-Identifier: Apache-2.0 */
#include "wmcf/relay/dtls-records.h"

#include <glib.h>
#include <string.h>

enum { CHANGE_CIPHER_SPEC = 20, ALERT, HANDSHAKE, DATA, HEARTBEAT };

/* One record behind `at`; returns the octets then written. */
static size_t record(uint8_t *out, size_t at, uint8_t type, uint16_t length)
{
    uint8_t header[13] = {type, 0xfe, 0xfd};
    header[11] = (uint8_t)(length >> 8);
    header[12] = (uint8_t)length;
    memcpy(out + at, header, sizeof header);
    memset(out + at + sizeof header, type, length);
    return at + sizeof header + length;
}

static void test_types(void)
{
    for (unsigned type = 0; type < 256; type++)
        g_assert_true(dtls_is_data((uint8_t)type) == (type < 20 || type > 22));
}

static void test_alone(void)
{
    uint8_t datagram[100], copy[100];
    for (uint8_t type = CHANGE_CIPHER_SPEC; type <= HEARTBEAT; type++) {
        size_t length = record(datagram, 0, type, 50);
        memcpy(copy, datagram, length);
        g_assert_true(dtls_has_data(datagram, length) == dtls_is_data(type));
        g_assert_cmpuint(dtls_strip_data(datagram, length), ==, dtls_is_data(type) ? 0 : length);
        g_assert_cmpmem(datagram, length, copy, length);
    }
}

/* Whatever the order, what is left are the other records in theirs. */
static void test_mixed(void)
{
    static const uint8_t kinds[] = {HANDSHAKE, DATA, ALERT};
    for (unsigned n = 0; n < 81; n++) {
        uint8_t datagram[400], rest[400];
        size_t length = 0, left = 0;
        bool data = false;
        for (unsigned i = 0, code = n; i < 4; i++, code /= 3) {
            uint8_t kind = kinds[code % 3];
            uint16_t octets = (uint16_t)(i * 7);
            length = record(datagram, length, kind, octets);
            if (kind != DATA)
                left = record(rest, left, kind, octets);
            data |= kind == DATA;
        }
        g_assert_true(dtls_has_data(datagram, length) == data);
        size_t kept = dtls_strip_data(datagram, length);
        g_assert_cmpmem(datagram, kept, rest, left);
    }
}

/* Behind a record that is not whole nothing is looked at, and nothing of it passes. */
static void test_cut_off(void)
{
    uint8_t datagram[200];
    size_t first = record(datagram, 0, HANDSHAKE, 20);
    size_t whole = record(datagram, first, DATA, 30);
    for (size_t length = 0; length <= whole; length++) {
        g_autofree uint8_t *exact = g_memdup2(datagram, length); /* the sanitizer sees the end */
        g_assert_true(dtls_has_data(exact, length) == (length == whole));
        size_t kept = length ? dtls_strip_data(exact, length) : 0;
        g_assert_cmpuint(kept, ==, length < first ? 0 : first);
    }
}

static void test_random(void)
{
    for (unsigned i = 0; i < 20000; i++) {
        size_t length = (size_t)g_test_rand_int_range(1, 200);
        g_autofree uint8_t *datagram = g_malloc(length);
        for (size_t k = 0; k < length; k++)
            datagram[k] = (uint8_t)g_test_rand_int_range(0, k % 13 == 11 ? 2 : 64);
        size_t kept = dtls_strip_data(datagram, length);
        g_assert_cmpuint(kept, <=, length);
        g_assert_false(dtls_has_data(datagram, kept));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dtls-records/types", test_types);
    g_test_add_func("/dtls-records/alone", test_alone);
    g_test_add_func("/dtls-records/mixed", test_mixed);
    g_test_add_func("/dtls-records/cut-off", test_cut_off);
    g_test_add_func("/dtls-records/random", test_random);
    return g_test_run();
}
