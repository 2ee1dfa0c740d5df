/* SPDX-License-Identifier: Apache-2.0 */
/* An endpoint for the relay's own tests. Everything that the relay does by itself (SRTP by OpenSSL,
 * RTP headers) is done here by somebody else's library or by hand, so that both must be right. */
#include "tests/flow/relay/endpoint.h"

#include "base/loop.h"
#include "tests/support/peer/srtp-evp.h"

#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* IPv4 and IPv6 keep the port in the same place. */
static in_port_t port_of(const struct sockaddr_storage *address)
{
    return ((const struct sockaddr_in *)address)->sin_port;
}

static socklen_t length_of(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                          : sizeof(struct sockaddr_in);
}

/* --- the relay's callbacks -------------------------------------------------------------------- */

static void on_connected(void *user, const struct sockaddr_storage *local,
                         const struct sockaddr_storage *remote)
{
    struct endpoint *endpoint = user;
    struct sockaddr_storage own;
    socklen_t length = sizeof own;
    endpoint->connected++;
    if (endpoint->tunnel)
        return;
    getsockname(endpoint->fd, (struct sockaddr *)&own, &length);
    g_assert_cmpint(remote->ss_family, ==, own.ss_family);
    g_assert_cmpmem(local, sizeof(struct sockaddr_in), &endpoint->relay,
                    sizeof(struct sockaddr_in));
    if (!endpoint->roams)
        g_assert_cmpint(port_of(remote), ==, port_of(&own));
}

static void on_expired(void *user)
{
    ((struct endpoint *)user)->expired++;
}

static void on_dtls(void *user, GBytes *datagram)
{
    g_ptr_array_add(((struct endpoint *)user)->datagrams, g_bytes_ref(datagram));
}

static void on_first_media(void *user, const char *mid)
{
    struct endpoint *endpoint = user;
    endpoint->first_media++;
    g_strlcpy(endpoint->last_mid, mid, sizeof endpoint->last_mid);
}

static void on_gated(void *user, const char *mid, enum qos_direction direction)
{
    struct endpoint *endpoint = user;
    endpoint->gated[direction]++;
    g_strlcpy(endpoint->last_mid, mid, sizeof endpoint->last_mid);
    g_strlcpy(endpoint->gated_mid, mid, sizeof endpoint->gated_mid);
}

static void on_policing_discard(void *user, const char *mid, enum qos_direction direction,
                                uint64_t packets)
{
    struct endpoint *endpoint = user;
    g_assert_cmpuint(packets, >, 0);
    endpoint->discard_events++;
    endpoint->discards[direction] += packets;
    g_strlcpy(endpoint->last_mid, mid, sizeof endpoint->last_mid);
}

static void on_inactivity(void *user, const char *mid)
{
    ((struct endpoint *)user)->inactivity++;
}

static void on_activity(void *user, const char *mid, const struct relay_activity *activity)
{
    struct endpoint *endpoint = user;
    endpoint->activities++;
    endpoint->activity = *activity;
    g_strlcpy(endpoint->last_mid, mid, sizeof endpoint->last_mid);
}

static void on_released(void *user)
{
    struct endpoint *endpoint = user;
    endpoint->released++;
    endpoint->leg = NULL;
}

static void on_ice_failed(void *user, const char *reason)
{
    struct endpoint *endpoint = user;
    g_assert_nonnull(reason);
    endpoint->failed++;
}

static const struct relay_leg_ops ops = {
    .ice_failed = on_ice_failed,
    .ice_connected = on_connected,
    .consent_expired = on_expired,
    .dtls = on_dtls,
    .first_media = on_first_media,
    .media_gated = on_gated,
    .policing_discard = on_policing_discard,
    .media_inactivity = on_inactivity,
    .activity = on_activity,
    .released = on_released,
};

/* --- making ----------------------------------------------------------------------------------- */

struct relay *test_relay_new(struct relay_config *config)
{
    static const char *const loopback[] = {"127.0.0.1", NULL};
    g_autoptr(GError) error = NULL;
    if (!config->bind)
        config->bind = loopback;
    bool spread = g_getenv("RELAY_SPREAD") != NULL;
    if (!config->workers)
        config->workers = spread ? 2 : 1;
    if (!config->spread_legs && spread)
        config->spread_legs = 1;
    config->legs_max = config->legs_max ? config->legs_max : 10000;
    config->socket_buffer = 4 << 20;
    config->video_buffer_ms = config->video_buffer_ms ? config->video_buffer_ms : 2000;
    config->audio_buffer_ms = config->audio_buffer_ms ? config->audio_buffer_ms : 1000;
    config->nack_buffer_packets = 1024;
    config->streams_max = config->streams_max ? config->streams_max : 16;
    config->stun_rate_unknown = config->stun_rate_unknown ? config->stun_rate_unknown : 100;
    struct relay *relay = relay_new(config, &error);
    g_assert_no_error(error);
    g_assert_nonnull(relay);
    return relay;
}

struct relay_worker_stats test_relay_totals(struct relay *relay)
{
    struct relay_worker_stats sum = {0};
    for (guint i = 0; i < relay_workers(relay); i++) {
        struct relay_worker_stats stats;
        relay_worker_stats(relay, i, &stats);
        sum.packets_in += stats.packets_in;
        sum.packets_out += stats.packets_out;
        sum.unknown_source_dropped += stats.unknown_source_dropped;
        sum.dtls_dropped += stats.dtls_dropped;
        sum.malformed += stats.malformed;
        sum.stun_rejected += stats.stun_rejected;
        sum.ring_dropped += stats.ring_dropped;
        sum.legs += stats.legs;
        sum.mirrors += stats.mirrors;
    }
    return sum;
}

static srtp_t session(const uint8_t *key, const uint8_t *salt, srtp_ssrc_type_t direction)
{
    uint8_t joined[30];
    static bool initialised;
    srtp_policy_t policy;
    srtp_t ret;
    if (!initialised)
        g_assert_cmpint(srtp_init(), ==, srtp_err_status_ok);
    initialised = true;
    memset(&policy, 0, sizeof policy);
    memcpy(joined, key, 16);
    memcpy(joined + 16, salt, 14);
    srtp_crypto_policy_set_rtp_default(&policy.rtp);
    srtp_crypto_policy_set_rtcp_default(&policy.rtcp);
    policy.ssrc.type = direction;
    policy.key = joined;
    policy.window_size = 1024;
    policy.allow_repeat_tx = 1;
    g_assert_cmpint(srtp_create(&ret, &policy), ==, srtp_err_status_ok);
    return ret;
}

srtp_t endpoint_session(const struct relay_srtp_keys *keys)
{
    return session(keys->local_key, keys->local_salt, ssrc_any_inbound);
}

int endpoint_socket(const struct endpoint *endpoint)
{
    struct sockaddr_storage any = endpoint->relay; /* loopback of the same family */
    ((struct sockaddr_in *)&any)->sin_port = 0;
    int fd = socket(any.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int buffer = 4 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    static const int one = 1;
    if (any.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &one, sizeof one);
    else
        setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &one, sizeof one);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&any, length_of(&any)), ==, 0);
    return fd;
}

static struct endpoint *make(struct relay *relay, guint64 group, struct qos_transport *transport,
                             int tunnel);

struct endpoint *endpoint_new(struct relay *relay, guint64 group)
{
    return make(relay, group, NULL, 0);
}

struct endpoint *endpoint_new_on(struct relay *relay, guint64 group,
                                 struct qos_transport *transport)
{
    return make(relay, group, transport, 0);
}

struct endpoint *endpoint_new_tunnel(struct relay *relay, guint64 group)
{
    int ends[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), ==, 0);
    struct endpoint *endpoint = make(relay, group, NULL, ends[1]);
    close(endpoint->fd);
    endpoint->fd = ends[0];
    endpoint->tunnel = true;
    return endpoint;
}

static struct endpoint *make(struct relay *relay, guint64 group, struct qos_transport *transport,
                             int tunnel)
{
    static unsigned serial;
    static const uint16_t known[] = {STUN_ATTRIBUTE_USERNAME,   STUN_ATTRIBUTE_MESSAGE_INTEGRITY,
                                     STUN_ATTRIBUTE_ERROR_CODE, STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS,
                                     STUN_ATTRIBUTE_PRIORITY,   0};
    struct endpoint *endpoint = g_new0(struct endpoint, 1);
    g_autoptr(GError) error = NULL;
    serial++;
    endpoint->datagrams = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    g_snprintf(endpoint->ufrag, sizeof endpoint->ufrag, "peer%u", serial);
    g_snprintf(endpoint->pwd, sizeof endpoint->pwd, "peerpasswordpassword%u", serial);
    g_snprintf(endpoint->remote_ufrag, sizeof endpoint->remote_ufrag, "relay%u", serial);
    g_snprintf(endpoint->remote_pwd, sizeof endpoint->remote_pwd, "relaypasswordpass%u", serial);
    stun_agent_init(&endpoint->agent, known, STUN_COMPATIBILITY_RFC5389,
                    STUN_AGENT_USAGE_SHORT_TERM_CREDENTIALS | STUN_AGENT_USAGE_USE_FINGERPRINT);
    for (unsigned i = 0; i < 16; i++) {
        endpoint->keys.local_key[i] = (uint8_t)(serial + i);
        endpoint->keys.remote_key[i] = (uint8_t)(serial * 3 + i);
    }
    for (unsigned i = 0; i < 14; i++) {
        endpoint->keys.local_salt[i] = (uint8_t)(serial * 5 + i);
        endpoint->keys.remote_salt[i] = (uint8_t)(serial * 7 + i);
    }
    endpoint->keys.profile = RELAY_SRTP_AES128_CM_HMAC_SHA1_80;
    endpoint->keys.key_length = 16;
    endpoint->keys.salt_length = 14;
    endpoint->in = endpoint_session(&endpoint->keys);
    endpoint->out =
        session(endpoint->keys.remote_key, endpoint->keys.remote_salt, ssrc_any_outbound);

    struct relay_leg_config config = {.group = group,
                                      .name = "t-test",
                                      .local_ufrag = endpoint->remote_ufrag,
                                      .local_pwd = endpoint->remote_pwd,
                                      .cname = "relay-cname",
                                      .ops = &ops,
                                      .user = endpoint,
                                      .transport = transport,
                                      .tunnel = tunnel};
    endpoint->leg = relay_leg_new(relay, &config, &error);
    g_assert_no_error(error);
    gsize n;
    const struct relay_address *addresses = relay_leg_addresses(endpoint->leg, &n);
    g_assert_cmpuint(n, >=, 1);
    endpoint->relay = addresses[0].local;
    endpoint->fd = endpoint_socket(endpoint);
    return endpoint;
}

static bool is_released(void *user)
{
    return ((struct endpoint *)user)->released > 0;
}

void endpoint_release(struct endpoint *endpoint)
{
    if (!endpoint->releasing)
        relay_leg_release(endpoint->leg);
    endpoint->releasing = true;
}

void endpoint_free(struct endpoint *endpoint)
{
    endpoint_release(endpoint);
    g_assert_true(
        endpoints_wait((struct endpoint *[]){endpoint, NULL}, is_released, endpoint, 5000));
    g_assert_cmpuint(endpoint->released, ==, 1);
    close(endpoint->fd);
    srtp_dealloc(endpoint->in);
    srtp_dealloc(endpoint->out);
    srtp_evp_free(endpoint->evp_in);
    srtp_evp_free(endpoint->evp_out);
    g_queue_clear_full(&endpoint->rtp, g_free);
    g_queue_clear_full(&endpoint->rtcp, g_free);
    g_queue_clear_full(&endpoint->dtls, g_free);
    g_ptr_array_unref(endpoint->datagrams);
    g_free(endpoint);
}

/* --- sending ---------------------------------------------------------------------------------- */

void endpoint_send_raw(struct endpoint *endpoint, const void *data, size_t length)
{
    if (endpoint->tunnel)
        send(endpoint->fd, data, length, MSG_DONTWAIT);
    else
        sendto(endpoint->fd, data, length, 0, (struct sockaddr *)&endpoint->relay,
               length_of(&endpoint->relay));
}

size_t endpoint_stun(struct endpoint *endpoint, unsigned flags)
{
    StunMessage message;
    uint8_t buffer[512];
    g_autofree char *name = g_strdup_printf("%s:%s%s", endpoint->remote_ufrag, endpoint->ufrag,
                                            flags & STUN_BAD_REMOTE ? "x" : "");
    const char *password = flags & STUN_BAD_PASSWORD ? "not the password" : endpoint->remote_pwd;
    stun_agent_init_request(&endpoint->agent, &message, buffer, sizeof buffer, STUN_BINDING);
    stun_message_append32(&message, STUN_ATTRIBUTE_PRIORITY, endpoint->priority);
    stun_message_append64(&message,
                          flags & STUN_CONTROLLED ? STUN_ATTRIBUTE_ICE_CONTROLLED
                                                  : STUN_ATTRIBUTE_ICE_CONTROLLING,
                          1);
    if (flags & STUN_NOMINATE)
        stun_message_append_flag(&message, STUN_ATTRIBUTE_USE_CANDIDATE);
    stun_message_append_string(&message, STUN_ATTRIBUTE_USERNAME, name);
    size_t length = stun_agent_finish_message(&endpoint->agent, &message, (const uint8_t *)password,
                                              strlen(password));
    g_assert_cmpuint(length, >, 0);
    endpoint_send_raw(endpoint, buffer, length);
    return length;
}

static bool is_connected(void *user)
{
    return ((struct endpoint *)user)->connected > 0;
}

void endpoint_describe(struct endpoint *endpoint)
{
    struct relay_remote_ice remote = {.ufrag = endpoint->ufrag, .pwd = endpoint->pwd};
    relay_leg_set_remote_ice(endpoint->leg, &remote);
}

void endpoint_connect(struct endpoint *endpoint)
{
    endpoint_describe(endpoint);
    endpoint_stun(endpoint, 0);
    endpoint_stun(endpoint, STUN_NOMINATE);
    g_assert_true(
        endpoints_wait((struct endpoint *[]){endpoint, NULL}, is_connected, endpoint, 5000));
}

void endpoint_set_keys(struct endpoint *endpoint)
{
    relay_leg_set_keys(endpoint->leg, &endpoint->keys);
}

static struct srtp_evp *evp_session(const uint8_t *key, const uint8_t *salt)
{
    uint8_t joined[30];
    memcpy(joined, key, 16);
    memcpy(joined + 16, salt, 14);
    return srtp_evp_new(PEER_SRTP_AES128_CM_SHA1_80, joined);
}

void endpoint_set_cryptex(struct endpoint *endpoint, bool on)
{
    const struct relay_srtp_keys *keys = &endpoint->keys;
    if (!endpoint->evp_in) {
        endpoint->evp_in = evp_session(keys->local_key, keys->local_salt);
        endpoint->evp_out = evp_session(keys->remote_key, keys->remote_salt);
    }
    srtp_evp_set_cryptex(endpoint->evp_in, true); /* may come until told otherwise */
    srtp_evp_set_cryptex(endpoint->evp_out, on);
}

void endpoint_rekey(struct endpoint *endpoint)
{
    endpoint->keys.local_key[0] ^= 0x55;
    endpoint->keys.remote_key[0] ^= 0xaa;
    srtp_dealloc(endpoint->in);
    srtp_dealloc(endpoint->out);
    endpoint->in = endpoint_session(&endpoint->keys);
    endpoint->out =
        session(endpoint->keys.remote_key, endpoint->keys.remote_salt, ssrc_any_outbound);
    endpoint_set_keys(endpoint);
}

size_t endpoint_protect_rtp(struct endpoint *endpoint, const struct rtp_out *rtp, uint8_t *out)
{
    uint8_t *p = out;
    bool extension = rtp->mid || rtp->level >= 0 || rtp->elements_length;
    *p++ = (uint8_t)(0x80 | (extension ? 0x10 : 0) | (rtp->padding ? 0x20 : 0));
    *p++ = (uint8_t)((rtp->marker ? 0x80 : 0) | rtp->pt);
    *p++ = (uint8_t)(rtp->sequence >> 8);
    *p++ = (uint8_t)rtp->sequence;
    for (int i = 24; i >= 0; i -= 8)
        *p++ = (uint8_t)(rtp->timestamp >> i);
    for (int i = 24; i >= 0; i -= 8)
        *p++ = (uint8_t)(rtp->ssrc >> i);
    out[0] |= (uint8_t)rtp->csrcs;
    memset(p, 0x5c, 4 * rtp->csrcs);
    p += 4 * rtp->csrcs;
    if (extension) {
        uint8_t *start = p;
        p += 4;
        if (rtp->mid) {
            size_t length = strlen(rtp->mid);
            *p++ = (uint8_t)(rtp->mid_id << 4 | (length - 1));
            memcpy(p, rtp->mid, length);
            p += length;
        }
        if (rtp->level >= 0) {
            *p++ = (uint8_t)(rtp->level_id << 4);
            *p++ = (uint8_t)rtp->level;
        }
        if (rtp->elements_length)
            memcpy(p, rtp->elements, rtp->elements_length);
        p += rtp->elements_length;
        while ((p - start) % 4)
            *p++ = 0;
        start[0] = rtp->two_byte ? 0x10 : 0xbe;
        start[1] = rtp->two_byte ? 0x00 : 0xde;
        start[2] = 0;
        start[3] = (uint8_t)((p - start) / 4 - 1);
    }
    memcpy(p, rtp->payload, rtp->payload_length);
    p += rtp->payload_length;
    if (endpoint->evp_out)
        return srtp_evp_protect(endpoint->evp_out, out, (size_t)(p - out));
    int length = (int)(p - out);
    g_assert_cmpint(srtp_protect(endpoint->out, out, &length), ==, srtp_err_status_ok);
    return (size_t)length;
}

void endpoint_send_rtp(struct endpoint *endpoint, const struct rtp_out *rtp)
{
    uint8_t out[ENDPOINT_MAX];
    endpoint_send_raw(endpoint, out, endpoint_protect_rtp(endpoint, rtp, out));
}

void endpoint_send_rtcp(struct endpoint *endpoint, const uint8_t *packet, size_t length)
{
    uint8_t out[ENDPOINT_MAX];
    int octets = (int)length;
    memcpy(out, packet, length);
    g_assert_cmpint(srtp_protect_rtcp(endpoint->out, out, &octets), ==, srtp_err_status_ok);
    endpoint_send_raw(endpoint, out, (size_t)octets);
}

/* --- receiving -------------------------------------------------------------------------------- */

/* The relay's own check (RFC 8445 7.3). */
static void answer(struct endpoint *endpoint, const uint8_t *data, size_t length)
{
    StunMessage request, reply;
    uint8_t buffer[512];
    g_autofree char *name = g_strdup_printf("%s:%s", endpoint->ufrag, endpoint->remote_ufrag);
    StunDefaultValidaterData validater[] = {
        {(uint8_t *)name, strlen(name), (uint8_t *)endpoint->pwd, strlen(endpoint->pwd)},
        {NULL, 0, NULL, 0}};
    g_assert_cmpint(stun_agent_validate(&endpoint->agent, &request, data, length,
                                        stun_agent_default_validater, validater),
                    ==, STUN_VALIDATION_SUCCESS);
    g_assert_true(stun_message_has_attribute(&request, STUN_ATTRIBUTE_ICE_CONTROLLED));
    endpoint->checks++;
    if (endpoint->silent)
        return;
    stun_agent_init_response(&endpoint->agent, &reply, buffer, sizeof buffer, &request);
    stun_message_append_xor_addr(&reply, STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS, &endpoint->relay,
                                 length_of(&endpoint->relay));
    size_t octets = stun_agent_finish_message(&endpoint->agent, &reply, NULL, 0);
    endpoint_send_raw(endpoint, buffer, octets);
}

static void read_stun(struct endpoint *endpoint, const uint8_t *data, size_t length)
{
    StunMessage message;
    if ((data[0] & 1) == 0 && (data[1] & 0x10) == 0) { /* class: request */
        answer(endpoint, data, length);
        return;
    }
    StunDefaultValidaterData validater[] = {
        {(uint8_t *)"", 0, (uint8_t *)endpoint->remote_pwd, strlen(endpoint->remote_pwd)},
        {NULL, 0, NULL, 0}};
    StunValidationStatus status = stun_agent_validate(&endpoint->agent, &message, data, length,
                                                      stun_agent_default_validater, validater);
    if (stun_message_get_class(&message) == STUN_ERROR) {
        endpoint->stun_error++;
        stun_message_find_error(&message, &endpoint->last_stun_error);
        return;
    }
    if (status == STUN_VALIDATION_UNMATCHED_RESPONSE) /* another one's, where two share a socket */
        return;
    g_assert_cmpint(status, ==, STUN_VALIDATION_SUCCESS);
    socklen_t mapped = sizeof endpoint->mapped;
    g_assert_cmpint(stun_message_find_xor_addr(&message, STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS,
                                               &endpoint->mapped, &mapped),
                    ==, STUN_MESSAGE_RETURN_SUCCESS);
    endpoint->stun_success++;
}

static guint hash_of(const uint8_t *data, size_t length)
{
    guint hash = 5381;
    for (size_t i = 0; i < length; i++)
        hash = hash * 33 + data[i];
    return hash;
}

static void take(struct endpoint *endpoint, struct packet_in *packet)
{
    int length = (int)packet->length;
    if (packet->data[0] < 4) {
        read_stun(endpoint, packet->data, packet->length);
        g_free(packet);
        return;
    }
    if (packet->data[0] < 64) {
        g_queue_push_tail(&endpoint->dtls, packet);
        return;
    }
    bool rtcp = packet->data[1] >= 192 && packet->data[1] <= 223;
    packet->on_wire = hash_of(packet->data, packet->length);
    packet->cryptex = false;
    if (!rtcp && endpoint->evp_in) {
        packet->length = srtp_evp_unprotect(endpoint->evp_in, packet->data, packet->length);
        packet->cryptex = srtp_evp_was_cryptex(endpoint->evp_in);
        endpoint->undecryptable += !packet->length;
        if (packet->length)
            g_queue_push_tail(&endpoint->rtp, packet);
        else
            g_free(packet);
        return;
    }
    srtp_err_status_t status = rtcp ? srtp_unprotect_rtcp(endpoint->in, packet->data, &length)
                                    : srtp_unprotect(endpoint->in, packet->data, &length);
    if (status != srtp_err_status_ok) {
        endpoint->undecryptable++;
        g_free(packet);
        return;
    }
    packet->length = (size_t)length;
    g_queue_push_tail(rtcp ? &endpoint->rtcp : &endpoint->rtp, packet);
}

void endpoint_read(struct endpoint *endpoint)
{
    for (;;) {
        struct packet_in *packet = g_new(struct packet_in, 1);
        _Alignas(struct cmsghdr) uint8_t controls[CMSG_SPACE(sizeof(int))];
        struct iovec vector = {.iov_base = packet->data, .iov_len = sizeof packet->data};
        struct msghdr header = {.msg_iov = &vector,
                                .msg_iovlen = 1,
                                .msg_control = controls,
                                .msg_controllen = sizeof controls};
        ssize_t length = recvmsg(endpoint->fd, &header, 0);
        if (length <= 0) {
            g_free(packet);
            return;
        }
        packet->tos = 0;
        struct cmsghdr *control = CMSG_FIRSTHDR(&header);
        if (control) /* IP_TOS comes as one octet */
            memcpy(&packet->tos, CMSG_DATA(control),
                   MIN(sizeof packet->tos, control->cmsg_len - CMSG_LEN(0)));
        packet->length = (size_t)length;
        take(endpoint, packet);
    }
}

bool endpoints_wait(struct endpoint *const *endpoints, bool (*done)(void *user), void *user,
                    guint ms)
{
    gint64 deadline = g_get_monotonic_time() + ms * INT64_C(1000);
    for (;;) {
        while (g_main_context_iteration(NULL, FALSE))
            ;
        for (guint i = 0; endpoints && endpoints[i]; i++)
            endpoint_read(endpoints[i]);
        if (done && done(user))
            return true;
        if (g_get_monotonic_time() >= deadline)
            return false;
        g_usleep(1000);
    }
}
