/* SPDX-License-Identifier: Apache-2.0 */
/* The readers of one packet by themselves, at full speed: demultiplexing, RTP headers and
 * extensions, payload descriptors, RTCP compounds, DTLS record headers. Properties: nothing that is
 * told lies outside of the packet; what is stripped of application data has none left and is
 * otherwise what it was. */
#include "tests/fuzz/fuzz.h"
#include "wmcf/relay/demux.h"
#include "wmcf/relay/dtls-records.h"
#include "wmcf/relay/key-frame.h"
#include "wmcf/relay/rtcp.h"
#include "wmcf/relay/rtp.h"

#include <glib.h>
#include <string.h>

static void read_rtp(const uint8_t *data, size_t size)
{
    struct rtp_header header;
    if (!rtp_header_parse(data, size, &header))
        return;
    g_assert_cmpuint(header.length, >=, RTP_HEADER_LENGTH);
    g_assert_cmpuint(header.length, <=, size);
    for (unsigned id = 0; id < 256; id++) {
        size_t length;
        const uint8_t *value = rtp_extension_find(&header, (uint8_t)id, &length);
        if (!value)
            continue;
        g_assert_true(value >= header.extensions && value + length <= data + header.length);
    }
    for (enum key_frame_codec codec = KEY_FRAME_UNKNOWN; codec <= KEY_FRAME_AV1; codec++)
        key_frame_begins(codec, data + header.length, size - header.length);
}

struct told {
    size_t octets; /* that all of it needs at least */
};

static void on_sender_report(void *user, uint32_t ssrc, const struct rtcp_sender_info *info)
{
    ((struct told *)user)->octets += 28;
}

static void on_block(void *user, const struct rtcp_block *block)
{
    g_assert_cmpint(ABS(block->lost), <=, 0x800000);
    ((struct told *)user)->octets += 24;
}

static void on_nack(void *user, uint32_t media, uint16_t sequence)
{
    ((struct told *)user)->octets += 1; /* 17 of them in 4 octets */
}

static void on_key_frame(void *user, uint32_t media)
{
    ((struct told *)user)->octets += 8;
}

static void on_transport_feedback(void *user, const uint8_t *fci, size_t length)
{
    ((struct told *)user)->octets += 12 + length;
}

static void on_remb(void *user, uint64_t rate)
{
    ((struct told *)user)->octets += 20;
}

static void read_rtcp(const uint8_t *data, size_t size)
{
    static const struct rtcp_handler handler = {
        on_sender_report, on_block, on_nack, on_key_frame, on_transport_feedback, on_remb};
    struct told told = {0};
    rtcp_parse(data, size, &handler, &told);
    g_assert_cmpuint(told.octets, <=, size * 5);
}

static void read_dtls(const uint8_t *data, size_t size)
{
    g_autofree uint8_t *copy = g_memdup2(data, size);
    size_t left = dtls_strip_data(copy, size);
    g_assert_cmpuint(left, <=, size);
    g_assert_false(dtls_has_data(copy, left));
    g_assert_cmpuint(dtls_strip_data(copy, left), ==, left);
    if (left == size)
        g_assert_cmpmem(copy, left, data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    demux_classify(data, size);
    read_rtp(data, size);
    read_rtcp(data, size);
    if (size)
        read_dtls(data, size);
    return 0;
}
