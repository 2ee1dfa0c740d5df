/* SPDX-License-Identifier: Apache-2.0 */
/* Slots, transports and legs are put together here as a termination does it. */
#include "tests/flow/relay/bed.h"

#include <netinet/udp.h>
#include <string.h>

const char *const bed_mids[BED_KINDS] = {"a", "v", "d"};
const uint32_t bed_announced[] = {0xaaaa0001, 0xbbbb0001};

struct qos_slot *bed_uplink(struct bed *bed, unsigned kind)
{
    return qos_flow_slot(bed->flows[0][kind], QOS_UPLINK);
}

struct qos_slot *bed_downlink(struct bed *bed, unsigned kind)
{
    return qos_flow_slot(bed->flows[1][kind], QOS_DOWNLINK);
}

void bed_set_gate(struct bed *bed, unsigned kind, enum qos_flow_status status)
{
    struct qos_policy policy = {.has_status = true, .status = status};
    qos_flow_apply(bed->flows[0][kind], &policy);
}

void bed_fill_medias(struct bed *bed, struct relay_media *from, struct relay_media *to)
{
    for (unsigned k = BED_AUDIO; k <= BED_VIDEO; k++) {
        struct relay_media (*make)(const char *, bool, bool, uint32_t) =
            k == BED_AUDIO ? scene_audio : scene_video;
        from[k] = make(bed_mids[k], true, false, 0);
        to[k] = make(bed_mids[k], false, true, SUBSCRIBED_SSRC(k));
        from[k].remote_ssrcs[from[k].n_remote_ssrcs++] = bed_announced[k];
        from[k].slot[QOS_UPLINK] = bed_uplink(bed, k);
        from[k].slot[QOS_DOWNLINK] = qos_flow_slot(bed->flows[0][k], QOS_DOWNLINK);
        to[k].slot[QOS_UPLINK] = qos_flow_slot(bed->flows[1][k], QOS_UPLINK);
        to[k].slot[QOS_DOWNLINK] = bed_downlink(bed, k);
    }
}

static void make_flows(struct bed *bed, unsigned leg)
{
    static const enum qos_kind kinds[] = {QOS_AUDIO, QOS_VIDEO, QOS_DATA};
    static const struct qos_policy open = {.has_status = true, .status = QOS_ENABLED};
    g_autoptr(GError) error = NULL;
    bed->transports[leg] = qos_transport_new(bed->qos, &error);
    g_assert_no_error(error);
    for (unsigned k = 0; k < BED_KINDS; k++) {
        bed->flows[leg][k] = qos_flow_new(bed->transports[leg], kinds[k], &error);
        g_assert_no_error(error);
        qos_flow_apply(bed->flows[leg][k], &open);
    }
}

void bed_begin(struct bed *bed, struct qos *qos, const char *address, unsigned lines)
{
    const char *const bind[] = {address, NULL};
    struct relay_media medias[2][2];
    memset(bed, 0, sizeof *bed);
    bed->qos = qos;
    struct relay_config config = {.bind = bind, .qos = qos, .streams_max = 64};
    bed->relay = test_relay_new(&config);
    make_flows(bed, 0);
    make_flows(bed, 1);
    bed->from = endpoint_new_on(bed->relay, 1, bed->transports[0]);
    bed->to = endpoint_new_on(bed->relay, 1, bed->transports[1]);
    bed_fill_medias(bed, medias[0], medias[1]);
    for (unsigned leg = 0; leg < 2; leg++) {
        struct endpoint *endpoint = leg ? bed->to : bed->from;
        endpoint_connect(endpoint);
        endpoint_set_keys(endpoint);
        if (leg)
            relay_leg_set_medias(endpoint->leg, medias[1], 2);
        else
            relay_leg_set_medias(endpoint->leg, medias[0] + 2 - lines, lines);
        relay_leg_set_data(endpoint->leg, bed_mids[BED_DATA],
                           qos_flow_slot(bed->flows[leg][BED_DATA], QOS_UPLINK),
                           qos_flow_slot(bed->flows[leg][BED_DATA], QOS_DOWNLINK));
    }
    for (unsigned k = BED_AUDIO; k <= BED_VIDEO; k++)
        relay_route(bed->from->leg, bed_mids[k], bed->to->leg, bed_mids[k]);
    endpoint_stats(bed->to);
    endpoint_stats(bed->from);
}

void bed_end(struct bed *bed)
{
    endpoint_free(bed->from);
    endpoint_free(bed->to);
    relay_free(bed->relay);
    for (unsigned leg = 0; leg < 2; leg++) {
        for (unsigned k = 0; k < BED_KINDS; k++)
            qos_flow_free(bed->flows[leg][k]);
        qos_transport_free(bed->transports[leg]);
    }
}

struct rtp_out bed_rtp(struct bed *bed, unsigned kind, uint32_t ssrc, const char *mid)
{
    struct rtp_out rtp = scene_rtp(bed->sequence[kind]++, bed->timestamp += 960, key_payload);
    rtp.pt = kind == BED_AUDIO ? AUDIO_PT : VIDEO_PT;
    rtp.ssrc = ssrc;
    rtp.mid = mid;
    rtp.mid_id = MID_ID;
    return rtp;
}

void bed_send(struct bed *bed, unsigned kind, guint n)
{
    for (guint i = 0; i < n; i++)
        bed_send_as(bed, kind, bed_announced[kind], NULL);
}

void bed_send_as(struct bed *bed, unsigned kind, uint32_t ssrc, const char *mid)
{
    struct rtp_out rtp = bed_rtp(bed, kind, ssrc, mid);
    endpoint_send_rtp(bed->from, &rtp);
}

uint16_t bed_send_run(struct bed *bed, unsigned kind, guint n)
{
    uint8_t run[32 * 100];
    uint16_t segment = 0;
    size_t length = 0;
    g_assert_cmpuint(n, <=, 32);
    for (guint i = 0; i < n; i++) {
        unsigned of = kind == BED_KINDS ? i % 2 : kind;
        struct rtp_out rtp = bed_rtp(bed, of, bed_announced[of], NULL);
        segment = (uint16_t)endpoint_protect_rtp(bed->from, &rtp, run + length);
        length += segment;
    }
    bool v6 = bed->from->relay.ss_family == AF_INET6;
    _Alignas(struct cmsghdr) uint8_t controls[CMSG_SPACE(sizeof segment)] = {0};
    struct iovec vector = {run, length};
    struct msghdr header = {.msg_name = &bed->from->relay,
                            .msg_namelen =
                                v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in),
                            .msg_iov = &vector,
                            .msg_iovlen = 1,
                            .msg_control = controls,
                            .msg_controllen = sizeof controls};
    struct cmsghdr *control = CMSG_FIRSTHDR(&header);
    control->cmsg_level = IPPROTO_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof segment);
    memcpy(CMSG_DATA(control), &segment, sizeof segment);
    g_assert_cmpint(sendmsg(bed->from->fd, &header, 0), ==, length);
    return segment;
}

size_t bed_dtls(uint8_t *out, const uint8_t *types)
{
    size_t at = 0;
    for (; *types; types++, at += 23) {
        memcpy(out + at, ((uint8_t[13]){*types, 0xfe, 0xfd, [12] = 10}), 13);
        memset(out + at + 13, *types, 10);
    }
    return at;
}

void bed_send_dtls(struct bed *bed, const uint8_t *types)
{
    uint8_t out[200];
    endpoint_send_raw(bed->from, out, bed_dtls(out, types));
}

void bed_serve(struct bed *bed, guint ms)
{
    endpoints_wait((struct endpoint *[]){bed->from, bed->to, NULL}, NULL, NULL, ms);
}
