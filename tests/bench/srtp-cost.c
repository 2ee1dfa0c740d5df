/* SPDX-License-Identifier: Apache-2.0 */
/* What protecting and unprotecting one RTP packet costs the relay, per profile and size: CPU time
 * of one thread, the best of several rounds, each profile in turn within a round. */
#include "wmcf/relay/srtp.h"

#include <glib.h>
#include <stdio.h>
#include <time.h>

#define ROUNDS 15
#define PACKETS 20000
#define HEADER 20 /* with the mid and audio-level extensions */

static const struct {
    const char *name;
    enum relay_srtp_profile profile;
    size_t key_length, salt_length;
} profiles[] = {
    {"AES_CM_128_HMAC_SHA1_80", RELAY_SRTP_AES128_CM_HMAC_SHA1_80, 16, 14},
    {"AEAD_AES_128_GCM", RELAY_SRTP_AEAD_AES_128_GCM, 16, 12},
    {"AEAD_AES_256_GCM", RELAY_SRTP_AEAD_AES_256_GCM, 32, 12},
};
#define PROFILES G_N_ELEMENTS(profiles)
static const size_t sizes[] = {172, 1200}; /* of the RTP packet before protection */
enum work { PROTECT, UNPROTECT, FIND, WORKS };

static double cpu_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static double cost(struct rtp_transform *transform, size_t size, enum work work)
{
    static uint8_t packet[2048], payload[2048];
    size_t length = size - HEADER;
    uint64_t found;
    packet[0] = 0x80;
    rtp_transform_protect(transform, packet, HEADER, payload, length, 1, 7);
    double begin = cpu_us();
    for (unsigned i = 0; i < PACKETS; i++)
        if (work == PROTECT)
            rtp_transform_protect(transform, packet, HEADER, payload, length, 1, i);
        else if (work == UNPROTECT)
            g_assert_true(
                rtp_transform_unprotect(transform, packet, HEADER, 0, length, 1, 7, payload));
    if (work == FIND)
        g_assert_false(
            rtp_transform_find(transform, packet, HEADER, 0, length, 1, 65543, PACKETS, &found));
    return (cpu_us() - begin) / PACKETS;
}

int main(void)
{
    static const uint8_t key[32] = {1, 2, 3}, salt[14] = {4, 5, 6};
    double best[PROFILES][G_N_ELEMENTS(sizes)][WORKS];
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned p = 0; p < PROFILES; p++) {
            struct rtp_transform *transform = rtp_transform_new(
                profiles[p].profile, key, profiles[p].key_length, salt, profiles[p].salt_length);
            for (unsigned s = 0; s < G_N_ELEMENTS(sizes); s++)
                for (enum work w = 0; w < WORKS; w++) {
                    double now = cost(transform, sizes[s], w);
                    if (!round || now < best[p][s][w])
                        best[p][s][w] = now;
                }
            rtp_transform_free(transform);
        }
    printf("µs per packet              octets  protect  unprotect  per roll-over tried\n");
    for (unsigned p = 0; p < PROFILES; p++)
        for (unsigned s = 0; s < G_N_ELEMENTS(sizes); s++)
            printf("%-24s  %7zu  %7.3f  %9.3f  %19.3f\n", profiles[p].name, sizes[s],
                   best[p][s][PROTECT], best[p][s][UNPROTECT], best[p][s][FIND]);
    return 0;
}
