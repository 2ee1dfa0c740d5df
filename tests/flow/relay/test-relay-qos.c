/* SPDX-License-Identifier: Apache-2.0 */
/* The relay as the third level of enforcement and as the kernel's partner: one leg with audio and
 * video that sends, one that receives, flows with slots as the control thread makes them. */
#include "base/loop.h"
#include "tests/flow/relay/recorder.h"
#include "tests/flow/relay/scene.h"

#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

enum { AUDIO, VIDEO, DATA_, KINDS };
static const char *const mids[] = {"a", "v", "d"};
static const uint32_t announced[] = {0xaaaa0001, 0xbbbb0001};
enum { TOS_AUDIO = 46 << 2, TOS_VIDEO = 36 << 2, TOS_DATA = 10 << 2 }; /* RFC 8837 */

struct bed {
    struct recorder recorder;
    struct qos *qos;
    struct relay *relay;
    struct endpoint *from, *to;
    struct qos_transport *transports[2]; /* of from, to */
    struct qos_flow *flows[2][KINDS];
    uint16_t sequence[KINDS];
    uint32_t timestamp;
};

static struct qos_slot *uplink(struct bed *bed, unsigned kind)
{
    return qos_flow_slot(bed->flows[0][kind], QOS_UPLINK);
}

static struct qos_slot *downlink(struct bed *bed, unsigned kind)
{
    return qos_flow_slot(bed->flows[1][kind], QOS_DOWNLINK);
}

static void open_gate(struct bed *bed, unsigned kind, enum qos_flow_status status)
{
    struct qos_policy policy = {.has_status = true, .status = status};
    qos_flow_apply(bed->flows[0][kind], &policy);
}

static void fill_medias(struct bed *bed, struct relay_media *from, struct relay_media *to)
{
    for (unsigned k = AUDIO; k <= VIDEO; k++) {
        struct relay_media (*make)(const char *, bool, bool, uint32_t) =
            k == AUDIO ? scene_audio : scene_video;
        from[k] = make(mids[k], true, false, 0);
        to[k] = make(mids[k], false, true, SUBSCRIBED_SSRC(k));
        from[k].remote_ssrcs[from[k].n_remote_ssrcs++] = announced[k];
        from[k].slot[QOS_UPLINK] = uplink(bed, k);
        from[k].slot[QOS_DOWNLINK] = qos_flow_slot(bed->flows[0][k], QOS_DOWNLINK);
        to[k].slot[QOS_UPLINK] = qos_flow_slot(bed->flows[1][k], QOS_UPLINK);
        to[k].slot[QOS_DOWNLINK] = downlink(bed, k);
    }
}

/* Everything connected, every gate open. `lines` of the sending leg: 1 = video alone. */
static void bed_begin(struct bed *bed, const char *address, const char *const *trusted,
                      unsigned lines)
{
    static const enum qos_kind kinds[] = {QOS_AUDIO, QOS_VIDEO, QOS_DATA};
    static const struct qos_policy all_open = {.has_status = true, .status = QOS_ENABLED};
    const char *const bind[] = {address, NULL};
    struct relay_media medias[2][2];
    g_autoptr(GError) error = NULL;
    memset(bed, 0, sizeof *bed);
    bed->qos = recorder_new(&bed->recorder, trusted);
    struct relay_config config = {.bind = bind, .qos = bed->qos, .streams_max = 64};
    bed->relay = test_relay_new(&config);
    for (unsigned leg = 0; leg < 2; leg++) {
        bed->transports[leg] = qos_transport_new(bed->qos, &error);
        for (unsigned k = 0; k < KINDS; k++) {
            bed->flows[leg][k] = qos_flow_new(bed->transports[leg], kinds[k], &error);
            g_assert_no_error(error);
            qos_flow_apply(bed->flows[leg][k], &all_open);
        }
    }
    bed->from = endpoint_new_on(bed->relay, 1, bed->transports[0]);
    bed->to = endpoint_new_on(bed->relay, 1, bed->transports[1]);
    fill_medias(bed, medias[0], medias[1]);
    for (unsigned leg = 0; leg < 2; leg++) {
        struct endpoint *endpoint = leg ? bed->to : bed->from;
        endpoint_connect(endpoint);
        endpoint_set_keys(endpoint);
        if (leg)
            relay_leg_set_medias(endpoint->leg, medias[1], 2);
        else
            relay_leg_set_medias(endpoint->leg, medias[0] + 2 - lines, lines);
        relay_leg_set_data(endpoint->leg, mids[DATA_],
                           qos_flow_slot(bed->flows[leg][DATA_], QOS_UPLINK),
                           qos_flow_slot(bed->flows[leg][DATA_], QOS_DOWNLINK));
    }
    for (unsigned k = AUDIO; k <= VIDEO; k++)
        relay_route(bed->from->leg, mids[k], bed->to->leg, mids[k]);
    endpoint_stats(bed->to);
    endpoint_stats(bed->from);
}

static void bed_end(struct bed *bed)
{
    endpoint_free(bed->from);
    endpoint_free(bed->to);
    g_assert_cmpuint(bed->recorder.cleared, ==, 2);
    relay_free(bed->relay);
    for (unsigned leg = 0; leg < 2; leg++) {
        for (unsigned k = 0; k < KINDS; k++)
            qos_flow_free(bed->flows[leg][k]);
        qos_transport_free(bed->transports[leg]);
    }
    recorder_free(&bed->recorder, bed->qos);
}

static struct rtp_out rtp_of(struct bed *bed, unsigned kind, uint32_t ssrc, const char *mid)
{
    struct rtp_out rtp = scene_rtp(bed->sequence[kind]++, bed->timestamp += 960, key_payload);
    rtp.pt = kind == AUDIO ? AUDIO_PT : VIDEO_PT;
    rtp.ssrc = ssrc;
    rtp.mid = mid;
    rtp.mid_id = MID_ID;
    return rtp;
}

static void send_media(struct bed *bed, unsigned kind, guint n)
{
    for (guint i = 0; i < n; i++) {
        struct rtp_out rtp = rtp_of(bed, kind, announced[kind], NULL);
        endpoint_send_rtp(bed->from, &rtp);
    }
}

static void send_as(struct bed *bed, unsigned kind, uint32_t ssrc, const char *mid)
{
    struct rtp_out rtp = rtp_of(bed, kind, ssrc, mid);
    endpoint_send_rtp(bed->from, &rtp);
}

static void serve(struct bed *bed, guint ms)
{
    endpoints_wait((struct endpoint *[]){bed->from, bed->to, NULL}, NULL, NULL, ms);
}

#define UNTIL(bed, condition)                                                                      \
    do {                                                                                           \
        for (guint tries_ = 0; tries_ < 1000 && !(condition); tries_++)                            \
            serve((bed), 5);                                                                       \
        g_assert_true(condition);                                                                  \
    } while (0)

static uint64_t count(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* What is sent from now on comes as the kernel has judged it: on loopback a mark stays. */
static bool mark(struct bed *bed, uint32_t value)
{
    return setsockopt(bed->from->fd, SOL_SOCKET, SO_MARK, &value, sizeof value) == 0;
}

/* --- verdicts of the kernel ------------------------------------------------------------------- */

static void test_verdicts(void)
{
    struct bed bed;
    bed_begin(&bed, "127.0.0.1", NULL, 2);
    if (!mark(&bed, RECORDER_MARK)) {
        g_test_skip("SO_MARK needs CAP_NET_ADMIN");
        bed_end(&bed);
        return;
    }
    send_media(&bed, VIDEO, 10); /* judged: the relay counts nothing */
    UNTIL(&bed, bed.to->rtp.length == 10);
    g_assert_cmpuint(count(&uplink(&bed, VIDEO)->packets), ==, 0);
    g_assert_cmpuint(count(&downlink(&bed, VIDEO)->packets), ==, 10);
    mark(&bed, 0);
    send_media(&bed, VIDEO, 10);
    UNTIL(&bed, bed.to->rtp.length == 20);
    g_assert_cmpuint(count(&uplink(&bed, VIDEO)->packets), ==, 10);
    mark(&bed, RECORDER_MARK << 1); /* somebody else's mark */
    send_media(&bed, VIDEO, 10);
    UNTIL(&bed, bed.to->rtp.length == 30);
    g_assert_cmpuint(count(&uplink(&bed, VIDEO)->packets), ==, 20);
    /* An SSRC that it does not hold is judged here once, and known to it from then on. */
    mark(&bed, RECORDER_MARK);
    g_assert_null(recorder_slot(&bed.recorder, QOS_UPLINK, 77));
    for (guint i = 0; i < 5; i++)
        send_as(&bed, AUDIO, 77, "a");
    UNTIL(&bed, bed.to->rtp.length == 35);
    g_assert_true(recorder_slot(&bed.recorder, QOS_UPLINK, 77) == uplink(&bed, AUDIO));
    g_assert_cmpuint(count(&uplink(&bed, AUDIO)->packets), ==, 1);
    /* Judged as video, audio by its MID, whose gate is closed. */
    open_gate(&bed, AUDIO, QOS_DISABLED);
    for (guint i = 0; i < 5; i++)
        send_as(&bed, VIDEO, announced[VIDEO], "a");
    UNTIL(&bed, count(&uplink(&bed, AUDIO)->gate_discarded) == 5);
    g_assert_true(recorder_slot(&bed.recorder, QOS_UPLINK, announced[VIDEO]) ==
                  uplink(&bed, VIDEO));
    /* What the kernel let pass as audio is not stopped again: it came before the gate was closed.
     */
    send_as(&bed, AUDIO, 77, NULL);
    UNTIL(&bed, bed.to->rtp.length == 36);
    g_assert_cmpuint(count(&uplink(&bed, AUDIO)->gate_discarded), ==, 5);
    bed_end(&bed);
}

/* A leg with one medium: the kernel judges whatever SSRC it has. */
static void test_only_medium(void)
{
    struct bed bed;
    bed_begin(&bed, "127.0.0.1", NULL, 1);
    if (!mark(&bed, RECORDER_MARK)) {
        g_test_skip("SO_MARK needs CAP_NET_ADMIN");
        bed_end(&bed);
        return;
    }
    for (guint i = 0; i < 5; i++)
        send_as(&bed, VIDEO, 78, NULL);
    UNTIL(&bed, bed.to->rtp.length == 5);
    g_assert_cmpuint(count(&uplink(&bed, VIDEO)->packets), ==, 0);
    g_assert_true(recorder_slot(&bed.recorder, QOS_UPLINK, 78) == uplink(&bed, VIDEO));
    /* But never through a gate that is closed: who knows whom the kernel meant. */
    open_gate(&bed, VIDEO, QOS_DISABLED);
    send_as(&bed, VIDEO, 79, NULL);
    UNTIL(&bed, count(&uplink(&bed, VIDEO)->gate_discarded) == 1);
    bed_end(&bed);
}

/* --- what the kernel is told ------------------------------------------------------------------ */

static void test_bindings(void)
{
    struct bed bed;
    struct relay_media medias[2][2];
    bed_begin(&bed, "127.0.0.1", NULL, 2);
    struct sockaddr_storage own;
    socklen_t length = sizeof own;
    getsockname(bed.to->fd, (struct sockaddr *)&own, &length);
    g_assert_cmpuint(bed.recorder.addresses, ==, 1);
    g_assert_cmpuint(bed.recorder.pairs, ==, 2);
    g_assert_cmpint(((struct sockaddr_in *)&bed.recorder.pair_remote)->sin_port, ==,
                    ((struct sockaddr_in *)&own)->sin_port);
    for (unsigned k = AUDIO; k <= VIDEO; k++) {
        g_assert_true(recorder_slot(&bed.recorder, QOS_UPLINK, announced[k]) == uplink(&bed, k));
        g_assert_true(recorder_slot(&bed.recorder, QOS_DOWNLINK, SUBSCRIBED_SSRC(k)) ==
                      downlink(&bed, k));
    }
    send_as(&bed, VIDEO, 500, "v");
    UNTIL(&bed, recorder_slot(&bed.recorder, QOS_UPLINK, 500) == uplink(&bed, VIDEO));
    /* The same again tells nothing new; an m-line that goes takes its SSRCs along. */
    unsigned adds = recorder_adds(&bed.recorder);
    fill_medias(&bed, medias[0], medias[1]);
    relay_leg_set_medias(bed.from->leg, medias[0], 2);
    endpoint_stats(bed.from);
    g_assert_cmpuint(recorder_adds(&bed.recorder), ==, adds);
    medias[1][AUDIO].local_ssrc = 4711;
    relay_leg_set_medias(bed.to->leg, medias[1], 2);
    relay_leg_set_medias(bed.from->leg, medias[0], 1);
    endpoint_stats(bed.to);
    endpoint_stats(bed.from);
    g_assert_cmpuint(recorder_held(&bed.recorder, QOS_UPLINK), ==, 1);
    g_assert_true(recorder_slot(&bed.recorder, QOS_UPLINK, announced[AUDIO]) ==
                  uplink(&bed, AUDIO));
    g_assert_true(recorder_slot(&bed.recorder, QOS_DOWNLINK, 4711) == downlink(&bed, AUDIO));
    g_assert_null(recorder_slot(&bed.recorder, QOS_DOWNLINK, SUBSCRIBED_SSRC(AUDIO)));
    /* New keys end the sources, not what was announced. */
    relay_leg_set_medias(bed.from->leg, medias[0], 2);
    send_as(&bed, VIDEO, 501, "v");
    UNTIL(&bed, recorder_slot(&bed.recorder, QOS_UPLINK, 501));
    endpoint_rekey(bed.from);
    endpoint_stats(bed.from);
    g_assert_null(recorder_slot(&bed.recorder, QOS_UPLINK, 501));
    g_assert_cmpuint(recorder_held(&bed.recorder, QOS_UPLINK), ==, 2);
    bed_end(&bed);
}

/* A leg with ports of its own is known by them before ICE has chosen. */
static void test_own_ports(void)
{
    struct bed bed;
    g_autoptr(GError) error = NULL;
    bed_begin(&bed, "127.0.0.1", NULL, 2);
    unsigned released = 0;
    static const struct relay_leg_ops none = {0};
    struct relay_leg_config config = {.group = 1,
                                      .name = "full",
                                      .local_ufrag = "own",
                                      .local_pwd = "passwordpasswordpassword",
                                      .ice_full = true,
                                      .ops = &none,
                                      .user = &released,
                                      .transport = bed.transports[0]};
    struct relay_leg *leg = relay_leg_new(bed.relay, &config, &error);
    g_assert_no_error(error);
    gsize n;
    const struct relay_address *own = relay_leg_addresses(leg, &n);
    guint16 port = g_ntohs(((const struct sockaddr_in *)&own->local)->sin_port);
    UNTIL(&bed, (endpoint_stats(bed.from), bed.recorder.locals == 1));
    pthread_mutex_lock(&bed.recorder.lock);
    g_assert_true(g_hash_table_contains(bed.recorder.ports, GUINT_TO_POINTER(port)));
    pthread_mutex_unlock(&bed.recorder.lock);
    relay_leg_release(leg);
    endpoint_stats(bed.from);
    pthread_mutex_lock(&bed.recorder.lock);
    g_assert_false(g_hash_table_contains(bed.recorder.ports, GUINT_TO_POINTER(port)));
    g_assert_cmpuint(bed.recorder.cleared, ==, 1);
    bed.recorder.cleared = 0;
    pthread_mutex_unlock(&bed.recorder.lock);
    bed_end(&bed);
}

/* An endpoint that makes up SSRCs, or moves one from medium to medium, meets limits alone. */
static void test_churn(void)
{
    struct bed bed;
    uint8_t protected[ENDPOINT_MAX];
    bed_begin(&bed, "127.0.0.1", NULL, 2);
    unsigned adds = recorder_adds(&bed.recorder);
    for (guint i = 0; i < 100; i++) { /* not authentic: nothing is kept of them */
        struct rtp_out rtp = rtp_of(&bed, VIDEO, 0x5000 + i, "v");
        size_t length = endpoint_protect_rtp(bed.from, &rtp, protected);
        protected[length - 1] ^= 1;
        endpoint_send_raw(bed.from, protected, length);
    }
    for (guint i = 0; i < 40; i++)
        send_as(&bed, VIDEO, 0x6000 + i, "v");
    UNTIL(&bed, endpoint_stats(bed.from).unknown_ssrc_dropped == 24);
    g_assert_cmpuint(recorder_adds(&bed.recorder), ==, adds + 16);
    /* the other medium has its own places */
    send_as(&bed, AUDIO, 0x7000, "a");
    UNTIL(&bed, recorder_slot(&bed.recorder, QOS_UPLINK, 0x7000));
    adds = recorder_adds(&bed.recorder);
    gint64 began = g_get_monotonic_time();
    for (guint i = 0; i < 400; i++)
        send_as(&bed, VIDEO, announced[VIDEO], mids[i % 2]);
    UNTIL(&bed, endpoint_stats(bed.from).moved_ssrc_dropped >= 100);
    struct relay_leg_stats stats;
    unsigned seconds = (unsigned)((g_get_monotonic_time() - began) / G_USEC_PER_SEC);
    stats = endpoint_stats(bed.from);
    g_assert_cmpuint(recorder_adds(&bed.recorder) - adds, <=, 10 * (seconds + 2));
    g_assert_cmpuint(stats.moved_ssrc_dropped, <=, 400);
    /* the endpoint is as well as before */
    guint had = bed.to->rtp.length;
    send_media(&bed, AUDIO, 3);
    UNTIL(&bed, bed.to->rtp.length >= had + 3);
    bed_end(&bed);
}

/* A new SSRC for every packet, while the gate is closed: nothing passes, nothing is kept. */
static void test_churn_at_closed_gate(void)
{
    struct bed bed;
    bed_begin(&bed, "127.0.0.1", NULL, 2);
    unsigned adds = recorder_adds(&bed.recorder);
    open_gate(&bed, VIDEO, QOS_DISABLED);
    for (guint i = 0; i < 300; i++)
        send_as(&bed, VIDEO, 0x8000 + i, i % 2 ? "v" : NULL);
    UNTIL(&bed, count(&uplink(&bed, VIDEO)->gate_discarded) == 300);
    g_assert_cmpuint(bed.to->rtp.length, ==, 0);
    g_assert_cmpuint(recorder_adds(&bed.recorder), ==, adds);
    UNTIL(&bed, bed.from->gated[QOS_UPLINK] == 1);
    send_media(&bed, AUDIO, 10); /* goes on */
    UNTIL(&bed, bed.to->rtp.length == 10);
    bed_end(&bed);
}

/* One datagram of the kernel's (GRO) with two media in it, of which one may pass. */
static void test_mixed_run(void)
{
    struct bed bed;
    uint8_t run[20 * 100];
    uint16_t segment = 0;
    size_t length = 0;
    bed_begin(&bed, "127.0.0.1", NULL, 2);
    open_gate(&bed, AUDIO, QOS_DISABLED);
    for (guint i = 0; i < 20; i++) {
        struct rtp_out rtp = rtp_of(&bed, i % 2 ? VIDEO : AUDIO, announced[i % 2], NULL);
        segment = (uint16_t)endpoint_protect_rtp(bed.from, &rtp, run + length);
        length += segment;
    }
    _Alignas(struct cmsghdr) uint8_t controls[CMSG_SPACE(sizeof segment)] = {0};
    struct iovec vector = {run, length};
    struct msghdr header = {.msg_name = &bed.from->relay,
                            .msg_namelen = sizeof(struct sockaddr_in),
                            .msg_iov = &vector,
                            .msg_iovlen = 1,
                            .msg_control = controls,
                            .msg_controllen = sizeof controls};
    struct cmsghdr *control = CMSG_FIRSTHDR(&header);
    control->cmsg_level = IPPROTO_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof segment);
    memcpy(CMSG_DATA(control), &segment, sizeof segment);
    g_assert_cmpint(sendmsg(bed.from->fd, &header, 0), ==, length);
    UNTIL(&bed, bed.to->rtp.length == 10);
    UNTIL(&bed, count(&uplink(&bed, AUDIO)->gate_discarded) == 10);
    g_assert_cmpuint(count(&uplink(&bed, AUDIO)->packets), ==, 0);
    g_assert_cmpuint(count(&uplink(&bed, VIDEO)->packets), ==, 10);
    g_assert_cmpuint(count(&uplink(&bed, VIDEO)->octets), ==, 10u * (segment + 28));
    bed_end(&bed);
}

/* --- data channels ---------------------------------------------------------------------------- */

enum { ALERT = 21, HANDSHAKE = 22, APPLICATION = 23 };

static size_t record(uint8_t *out, uint8_t type, uint8_t length)
{
    memcpy(out, ((uint8_t[13]){type, 0xfe, 0xfd, [12] = length}), 13);
    memset(out + 13, type, length);
    return 13u + length;
}

/* Records of these types, one datagram. */
static size_t datagram(uint8_t *out, const uint8_t *types)
{
    size_t length = 0;
    while (*types)
        length += record(out + length, *types++, 10);
    return length;
}

static void send_dtls(struct bed *bed, const uint8_t *types)
{
    uint8_t out[200];
    endpoint_send_raw(bed->from, out, datagram(out, types));
}

/* The last datagram the control thread was given has these records. */
static void expect_dtls(struct bed *bed, guint n, const uint8_t *types)
{
    uint8_t expected[200];
    gsize length;
    UNTIL(bed, bed->from->datagrams->len == n);
    const void *data = g_bytes_get_data(bed->from->datagrams->pdata[n - 1], &length);
    g_assert_cmpmem(data, length, expected, datagram(expected, types));
}

static const uint8_t only_data[] = {APPLICATION, 0}, handshake[] = {HANDSHAKE, 0},
                     mixed[] = {HANDSHAKE, APPLICATION, ALERT, APPLICATION, 0},
                     rest[] = {HANDSHAKE, ALERT, 0};

static void test_data_uplink(void)
{
    struct bed bed;
    bed_begin(&bed, "127.0.0.1", NULL, 2);
    struct qos_slot *slot = uplink(&bed, DATA_);
    send_dtls(&bed, only_data);
    expect_dtls(&bed, 1, only_data);
    g_assert_cmpuint(count(&slot->packets), ==, 1);
    g_assert_cmpuint(count(&slot->octets), ==, 23 + 28);
    open_gate(&bed, DATA_, QOS_ENABLED_DOWNLINK);
    for (guint i = 0; i < 10; i++)
        send_dtls(&bed, only_data);
    send_dtls(&bed, mixed);
    expect_dtls(&bed, 2, rest);
    g_assert_cmpuint(count(&slot->gate_discarded), ==, 11);
    UNTIL(&bed, bed.from->gated[QOS_UPLINK] == 1);
    g_assert_cmpstr(bed.from->last_mid, ==, "d");
    send_dtls(&bed, handshake);
    expect_dtls(&bed, 3, handshake);
    g_assert_cmpuint(count(&slot->gate_discarded), ==, 11);
    open_gate(&bed, DATA_, QOS_ENABLED);
    send_dtls(&bed, mixed);
    expect_dtls(&bed, 4, mixed);
    if (mark(&bed, RECORDER_MARK)) {
        send_dtls(&bed, only_data);
        expect_dtls(&bed, 5, only_data);
        g_assert_cmpuint(count(&slot->packets), ==, 2);
        send_dtls(&bed, mixed); /* the kernel has seen a handshake */
        expect_dtls(&bed, 6, mixed);
        g_assert_cmpuint(count(&slot->packets), ==, 3);
        mark(&bed, 0);
    }
    /* no data channel any more: all DTLS passes */
    guint had = bed.from->datagrams->len;
    open_gate(&bed, DATA_, QOS_DISABLED);
    relay_leg_set_data(bed.from->leg, NULL, NULL, NULL);
    endpoint_stats(bed.from);
    send_dtls(&bed, mixed);
    expect_dtls(&bed, had + 1, mixed);
    bed_end(&bed);
}

static void expect_sent(struct bed *bed, const uint8_t *types, int tos)
{
    uint8_t expected[200];
    UNTIL(bed, bed->to->dtls.length == 1);
    g_autofree struct packet_in *packet = g_queue_pop_head(&bed->to->dtls);
    g_assert_cmpmem(packet->data, packet->length, expected, datagram(expected, types));
    g_assert_cmpint(packet->tos, ==, tos);
}

static void test_data_downlink(void)
{
    struct bed bed;
    uint8_t out[200];
    bed_begin(&bed, "127.0.0.1", NULL, 2);
    struct qos_slot *slot = downlink(&bed, DATA_);
    g_autoptr(GBytes) data = g_bytes_new(out, datagram(out, only_data));
    g_autoptr(GBytes) both = g_bytes_new(out, datagram(out, mixed));
    g_autoptr(GBytes) flight = g_bytes_new(out, datagram(out, handshake));
    relay_leg_send_dtls(bed.to->leg, data);
    expect_sent(&bed, only_data, TOS_DATA);
    relay_leg_send_dtls(bed.to->leg, flight);
    expect_sent(&bed, handshake, 0);
    g_assert_cmpuint(count(&slot->packets), ==, 1);
    g_assert_cmpuint(count(&slot->marked), ==, 1);
    struct qos_policy shut = {.has_status = true, .status = QOS_ENABLED_UPLINK};
    qos_flow_apply(bed.flows[1][DATA_], &shut);
    relay_leg_send_dtls(bed.to->leg, data);
    relay_leg_send_dtls(bed.to->leg, both);
    expect_sent(&bed, rest, 0);
    g_assert_cmpuint(count(&slot->gate_discarded), ==, 2);
    UNTIL(&bed, bed.to->gated[QOS_DOWNLINK] == 1);
    g_assert_cmpstr(bed.to->last_mid, ==, "d");
    bed_end(&bed);
}

/* RTCP passes while anything does, a data channel too. */
static void test_rtcp_gate(void)
{
    struct bed bed;
    uint8_t report[8] = {0x80, 201, 0, 1, 0x11, 0x11, 0x11, 0x11};
    bed_begin(&bed, "127.0.0.1", NULL, 2);
    open_gate(&bed, AUDIO, QOS_DISABLED);
    open_gate(&bed, VIDEO, QOS_DISABLED);
    endpoint_send_rtcp(bed.from, report, sizeof report);
    endpoint_stats(bed.from);
    g_assert_cmpuint(endpoint_stats(bed.from).rtcp_gated, ==, 0);
    open_gate(&bed, DATA_, QOS_DISABLED);
    endpoint_send_rtcp(bed.from, report, sizeof report);
    UNTIL(&bed, endpoint_stats(bed.from).rtcp_gated == 1);
    bed_end(&bed);
}

/* --- marking ---------------------------------------------------------------------------------- */

static void expect_tos(struct bed *bed, unsigned kind, guint n, int tos)
{
    UNTIL(bed, bed->to->rtp.length == n);
    for (struct packet_in *packet; (packet = g_queue_pop_head(&bed->to->rtp)); g_free(packet)) {
        g_assert_cmpuint(rtp_ssrc(packet), ==, SUBSCRIBED_SSRC(kind));
        g_assert_cmpint(packet->tos, ==, tos);
    }
}

static void set_tos(struct bed *bed, int octet)
{
    bool v6 = bed->from->relay.ss_family == AF_INET6;
    g_assert_cmpint(setsockopt(bed->from->fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
                               v6 ? IPV6_TCLASS : IP_TOS, &octet, sizeof octet),
                    ==, 0);
}

static void check_marking(const char *address, const char *const *trusted)
{
    struct bed bed;
    bed_begin(&bed, address, trusted, 2);
    send_media(&bed, AUDIO, 5);
    expect_tos(&bed, AUDIO, 5, TOS_AUDIO);
    send_media(&bed, VIDEO, 20);
    expect_tos(&bed, VIDEO, 20, TOS_VIDEO);
    g_assert_cmpuint(count(&downlink(&bed, AUDIO)->marked), ==, 5);
    g_assert_cmpuint(count(&downlink(&bed, VIDEO)->marked), ==, 20);
    /* one medium's mark is changed, the other's stays */
    struct qos_policy policy = {.tagging = QOS_TAGGING_MARK, .dscp = 26};
    qos_flow_apply(bed.flows[1][VIDEO], &policy);
    send_media(&bed, VIDEO, 5);
    expect_tos(&bed, VIDEO, 5, 26 << 2);
    /* copy: what a trusted sender chose, without its ECN bits */
    policy.tagging = QOS_TAGGING_COPY;
    qos_flow_apply(bed.flows[1][VIDEO], &policy);
    set_tos(&bed, 18 << 2 | 2);
    send_media(&bed, VIDEO, 5);
    expect_tos(&bed, VIDEO, 5, trusted ? 18 << 2 : TOS_VIDEO);
    send_media(&bed, AUDIO, 5);
    expect_tos(&bed, AUDIO, 5, TOS_AUDIO);
    /* The kernel writes and counts it: so does the relay write, but not count. */
    uint64_t marked = count(&downlink(&bed, AUDIO)->marked);
    __atomic_store_n(&bed.transports[1]->marks, 1, __ATOMIC_RELAXED);
    send_media(&bed, AUDIO, 5);
    expect_tos(&bed, AUDIO, 5, TOS_AUDIO);
    send_media(&bed, VIDEO, 5);
    expect_tos(&bed, VIDEO, 5, trusted ? 18 << 2 : TOS_VIDEO);
    g_assert_cmpuint(count(&downlink(&bed, AUDIO)->marked), ==, marked);
    /* reports go as they are */
    UNTIL(&bed, bed.from->rtcp.length > 0);
    g_assert_cmpint(((struct packet_in *)bed.from->rtcp.head->data)->tos, ==, 0);
    bed_end(&bed);
}

static void test_marking(void)
{
    check_marking("127.0.0.1", NULL);
    check_marking("127.0.0.1", (const char *const[]){"127.0.0.0/8", NULL});
    check_marking("::1", NULL);
    check_marking("::1", (const char *const[]){"::1", NULL});
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/relay-qos/verdicts", test_verdicts);
    g_test_add_func("/relay-qos/only-medium", test_only_medium);
    g_test_add_func("/relay-qos/bindings", test_bindings);
    g_test_add_func("/relay-qos/own-ports", test_own_ports);
    g_test_add_func("/relay-qos/churn", test_churn);
    g_test_add_func("/relay-qos/churn-at-closed-gate", test_churn_at_closed_gate);
    g_test_add_func("/relay-qos/mixed-run", test_mixed_run);
    g_test_add_func("/relay-qos/data-uplink", test_data_uplink);
    g_test_add_func("/relay-qos/data-downlink", test_data_downlink);
    g_test_add_func("/relay-qos/rtcp-gate", test_rtcp_gate);
    g_test_add_func("/relay-qos/marking", test_marking);
    return g_test_run();
}
