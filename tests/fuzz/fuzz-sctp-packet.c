/* SPDX-License-Identifier: Apache-2.0 */
/* SCTP packets as a peer behind DTLS may send them. Properties: what is let in has whole chunks all
 * along; changing a window changes nothing else but the checksum, which is right then; an answer to
 * a heartbeat and a SACK said again are let in themselves. */
#include "pipelines/sctp-packet.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sctp_streams streams = {.max = 4};
    guint8 answer[2048];
    g_autofree guint8 *packet = g_memdup2(data, size + !size);

    if (!sctp_packet_check(packet, size))
        return 0;
    sctp_streams_admit(&streams, packet, size);
    g_assert_cmpuint(streams.count, <=, streams.max);
    sctp_streams_clear(&streams);
    gsize length = sctp_packet_answer_heartbeat(packet, size, 7, answer, sizeof answer);
    g_assert_true(!length || sctp_packet_check(answer, length));
    gsize at = sctp_packet_limit_window(packet, size, 1);
    g_assert_true(sctp_packet_check(packet, size));
    if (!at)
        return 0;
    guint32 sum = sctp_packet_checksum(packet, size);
    if (memcmp(packet, data, size) != 0)
        g_assert_cmpmem(packet + 8, 4, &sum, 4);
    length = sctp_packet_repeat_sack(packet, size, at, 0, answer, sizeof answer);
    g_assert_true(!length || sctp_packet_check(answer, length));
    return 0;
}
