/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The other end of a leg, as small as it can be: one UDP socket, Binding requests by libnice's STUN
 * library, SRTP and SRTCP by libsrtp. What it receives it decrypts and keeps in lists.
 * Threads: the control thread, driven by endpoint_wait(). */
#include "wmcf/relay/relay.h"

#include <srtp2/srtp.h>
#include <stun/stunagent.h>

#define ENDPOINT_MAX 2048

struct packet_in { /* as it came, in clear */
    size_t length;
    int tos;       /* the octet of the IP header, or traffic class */
    guint on_wire; /* a hash of the datagram */
    bool cryptex;
    uint8_t data[ENDPOINT_MAX];
};

struct srtp_evp;
struct endpoint {
    int fd;
    struct sockaddr_storage relay; /* where it sends to */
    char ufrag[16], pwd[32], remote_ufrag[16], remote_pwd[32];
    StunAgent agent;
    srtp_t in, out;
    struct srtp_evp *evp_in, *evp_out; /* in place of them for RTP; NULL */
    struct relay_srtp_keys keys;       /* as the relay is given them */
    GQueue rtp, rtcp, dtls;            /* struct packet_in */
    unsigned stun_success, stun_error, undecryptable;
    int last_stun_error;
    bool releasing;
    bool tunnel;       /* `fd` leads to the relay's end */
    bool roams;        /* more than one address: do not check the one that is told */
    bool silent;       /* does not answer the relay's checks */
    uint32_t priority; /* of the candidate it checks from */
    unsigned checks;   /* received */
    struct sockaddr_storage mapped;

    struct relay_leg *leg; /* the relay's side */
    unsigned connected, failed, expired, first_media, inactivity, released;
    unsigned gated[2], discard_events;
    unsigned activities;
    struct relay_activity activity;    /* as told last */
    uint64_t discards[2];              /* as policing_discard told, by direction */
    GPtrArray *datagrams;              /* GBytes that the relay handed up */
    char last_mid[RELAY_MID_MAX + 1];  /* of whatever event told one */
    char gated_mid[RELAY_MID_MAX + 1]; /* of the last media_gated */
};

/* A leg of `relay` and its other end, on loopback. */
struct endpoint *endpoint_new(struct relay *relay, guint64 group);
/* The same, known to the kernel by `transport`. */
struct endpoint *endpoint_new_on(struct relay *relay, guint64 group,
                                 struct qos_transport *transport);
/* The same, whose ICE is done elsewhere: nothing goes by UDP. */
struct endpoint *endpoint_new_tunnel(struct relay *relay, guint64 group);
/* A receiving session that has seen nothing yet. */
srtp_t endpoint_session(const struct relay_srtp_keys *keys);
/* Another socket of the same kind, for an endpoint that moves. */
int endpoint_socket(const struct endpoint *endpoint);
void endpoint_release(struct endpoint *endpoint);
/* Releases the leg if need be and waits for `released`. */
void endpoint_free(struct endpoint *endpoint);

/* One Binding request; flags below. Returns its octets. */
enum { STUN_NOMINATE = 1, STUN_BAD_PASSWORD = 2, STUN_CONTROLLED = 4, STUN_BAD_REMOTE = 8 };
size_t endpoint_stun(struct endpoint *endpoint, unsigned flags);
/* Tells the relay the endpoint's credentials; it stays lite. */
void endpoint_describe(struct endpoint *endpoint);
/* STUN with nomination until the relay says connected. */
void endpoint_connect(struct endpoint *endpoint);
/* The same keys on both sides. */
void endpoint_set_keys(struct endpoint *endpoint);
/* Its RTP is ciphered with header extensions and CSRCs from now on (RFC 9335), or not any more; by
 * the generated legs' code, which has no replay list. */
void endpoint_set_cryptex(struct endpoint *endpoint, bool on);
/* Others on both sides, as after a second DTLS association. */
void endpoint_rekey(struct endpoint *endpoint);
void endpoint_send_raw(struct endpoint *endpoint, const void *data, size_t length);
/* Protects and sends. */
struct rtp_out {
    uint8_t pt;
    bool marker, padding;
    uint16_t sequence;
    uint32_t timestamp, ssrc;
    const char *mid; /* NULL = without extension */
    uint8_t mid_id;
    int level; /* -1 = none */
    uint8_t level_id;
    const uint8_t *elements; /* more header extensions, in the one-byte form */
    size_t elements_length;
    guint csrcs;
    bool two_byte; /* … in the two-byte form; without mid and level then */
    const uint8_t *payload;
    size_t payload_length;
};
size_t endpoint_protect_rtp(struct endpoint *endpoint, const struct rtp_out *rtp, uint8_t *out);
void endpoint_send_rtp(struct endpoint *endpoint, const struct rtp_out *rtp);
void endpoint_send_rtcp(struct endpoint *endpoint, const uint8_t *packet, size_t length);
/* Reads what has come on the socket. */
void endpoint_read(struct endpoint *endpoint);

/* Runs the control loop and the sockets of `endpoints` (NULL-terminated) until done(user) or the
 * time-out in ms; returns what done() said last. done NULL: just lets the time pass. */
bool endpoints_wait(struct endpoint *const *endpoints, bool (*done)(void *user), void *user,
                    guint ms);

/* Serves the endpoint until `condition`, five seconds at most. The machine may be slow: what must
 * happen is waited for, only what must not happen is given a fixed time. */
#define WAIT_UNTIL(who, condition)                                                                 \
    do {                                                                                           \
        for (guint tries_ = 0; tries_ < 1000 && !(condition); tries_++)                            \
            endpoints_wait((struct endpoint *[]){(who), NULL}, NULL, NULL, 5);                     \
        g_assert_true(condition);                                                                  \
    } while (0)

/* Fills in what the test leaves open: one worker, or with RELAY_SPREAD in the environment two, with
 * the legs of a group on both in turn. */
struct relay *test_relay_new(struct relay_config *config);
/* Of all workers together. */
struct relay_worker_stats test_relay_totals(struct relay *relay);
