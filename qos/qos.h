/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Enforcement of the media policy per flow and direction (protocol B mediaPolicy; TS 23.334 gate,
 * policing, marking; flow status of TS 29.514).
 *
 * A *flow* is one medium of one termination; it has a *slot* per direction (slot.h), which is what
 * the packet path looks at. The flows of one peer connection share a *transport*, the 5-tuple that
 * ICE has chosen; inside it a medium is known by its SSRCs, data channels by DTLS application data.
 *
 * One interface, three levels behind it (level.h): "tc-bpf", "tc-flower", "relay". A kernel level
 * judges packets before the relay sees them and marks those it has judged (`judged` bit of
 * skb->mark, SO_RCVMARK); the relay judges whatever comes without that mark, by the same slots: an
 * SSRC not known yet, a reassembled fragment, a run of several media joined by GRO, an interface
 * that came up a moment ago. So nothing escapes, and nothing is charged twice.
 *
 * Threads: qos_*, qos_flow_* and the making and freeing of transports: control. The other
 * qos_transport_* functions: the worker that owns the leg, or control before it does. Slots: any.
 */
#include "qos/token-bucket.h"

#include <glib.h>
#include <sys/socket.h>

enum qos_kind { QOS_AUDIO, QOS_VIDEO, QOS_DATA };

enum qos_flow_status { /* TS 29.514 FlowStatus */
                       QOS_ENABLED,
                       QOS_ENABLED_UPLINK,
                       QOS_ENABLED_DOWNLINK,
                       QOS_DISABLED,
                       QOS_REMOVED,
};
const char *qos_flow_status_name(enum qos_flow_status status);
bool qos_flow_status_parse(const char *text, enum qos_flow_status *ret);

struct qos_policing {
    bool present;
    uint32_t sdr, mbs; /* octets/s, octets */
    uint32_t pdr, dvt; /* octets/s, µs; pdr 0 = none */
};
enum qos_tagging { QOS_TAGGING_NONE, QOS_TAGGING_MARK, QOS_TAGGING_COPY };
/* One entry of mediaPolicy, as far as it was said. */
struct qos_policy {
    bool has_status;
    enum qos_flow_status status;
    bool has_policing; /* said, also `false` */
    struct qos_policing policing;
    enum qos_tagging tagging;
    uint8_t dscp;
};

/* --- the enforcement of the process (qos.c) --------------------------------------------------- */

enum qos_choice { QOS_AUTO, QOS_TC_BPF, QOS_TC_FLOWER, QOS_RELAY };
struct qos_config {
    enum qos_choice level; /* AUTO: the highest that works, and the relay for what it cannot hold.
                            * A named one is required: what it cannot hold is refused. */
    const char *owner;     /* name of our filters: who finds it on an interface may replace them */
    const char *const *interfaces; /* besides those that have a media address; NULL-terminated */
    const char *const *trusted;    /* prefixes ("10.45.0.0/16") whose DSCP "copy" carries on */
    guint flows_max, transports_max;
    guint priority;       /* of our filters; the next free one if another's is there */
    uint32_t judged_mark; /* one bit of skb->mark */
    bool default_marking; /* RFC 8837 where no marking is said */
};

struct qos;
/* Finds the level, loads its program. Only nonsense in the configuration is an error
 * (INVALID_MESSAGE); a level that does not work is a reason. Transfer full. */
struct qos *qos_new(const struct qos_config *config, GError **error);
/* Takes our filters away. After every transport. */
void qos_free(struct qos *qos);

/* What is in force: "tc-bpf", "tc-flower", "relay", or "none" where a required level does not work;
 * and, one sentence, why not a higher one or what is wrong now. Borrowed until the next change. */
const char *qos_level_name(const struct qos *qos);
const char *qos_level_reason(const struct qos *qos);
/* Called when one of them has changed: an interface is gone or back. */
void qos_set_listener(struct qos *qos, void (*changed)(void *user), void *user);

/* A local address of media sockets: its interface gets our filters. */
void qos_add_address(struct qos *qos, const struct sockaddr *local);
/* A local UDP port begins and ceases to be ours. Counted. Any thread. */
void qos_add_port(struct qos *qos, uint16_t port);
void qos_remove_port(struct qos *qos, uint16_t port);
/* Takes away the filters that WMCFs which are gone have left on any interface, and our own of an
 * earlier run where we have none now: called once, when all addresses are known. What was found,
 * one sentence, transfer full; NULL = nothing. */
char *qos_sweep(struct qos *qos);
/* The bit of skb->mark of packets that the kernel has judged; 0 = there are none. */
uint32_t qos_judged_mark(const struct qos *qos);
/* Whether the kernel may join datagrams for a socket (UDP_GRO): not where the level would judge all
 * of them by the first. */
bool qos_allows_runs(const struct qos *qos);
/* Whether the DSCP of what comes from there may be carried on. Any thread. */
bool qos_trusts(const struct qos *qos, const struct sockaddr *remote);
bool qos_has_trusted(const struct qos *qos);

/* Whether the policy can be held; false and ENFORCEMENT_UNAVAILABLE otherwise. Asked for the whole
 * message before any of it is applied. */
bool qos_check(const struct qos *qos, const struct qos_policy *policy, GError **error);

struct qos_stats {
    guint flows, transports, interfaces;
    uint64_t gate_discarded, policing_discarded, unknown_discarded; /* by the kernel */
};
void qos_stats(const struct qos *qos, struct qos_stats *ret);

/* --- transports (transport.c) ----------------------------------------------------------------- */

struct qos_transport;
/* ENFORCEMENT_UNAVAILABLE when the required level has no room. `qos` NULL, or a transport that
 * never gets a pair: only the relay judges. Transfer full. */
struct qos_transport *qos_transport_new(struct qos *qos, GError **error);
/* After its flows, and after the worker has let go of it. NULL allowed. */
void qos_transport_free(struct qos_transport *transport);

/* The pair that ICE has nominated; replaces the one before. Both NULL: it has none any more,
 * another transport may have it. */
void qos_transport_set_pair(struct qos_transport *transport, const struct sockaddr *local,
                            const struct sockaddr *remote);
/* A local address and port that is this transport's alone: known before ICE has chosen. */
void qos_transport_add_local(struct qos_transport *transport, const struct sockaddr *local);
/* Whose packets these are. `slot` is one of the transport's flows; a second time moves the SSRC.
 * False when there is no room: the relay goes on judging them. */
bool qos_transport_add_ssrc(struct qos_transport *transport, enum qos_direction direction,
                            uint32_t ssrc, const struct qos_slot *slot);
void qos_transport_remove_ssrc(struct qos_transport *transport, enum qos_direction direction,
                               uint32_t ssrc);
/* The level that holds it: "relay" where no kernel level does. Static. Control thread. */
const char *qos_transport_level(const struct qos_transport *transport);
/* Whether the kernel writes the DSCP of what is sent (QOS_MARK_SET); else the sender does. */
bool qos_transport_marks(const struct qos_transport *transport);
/* Packets of unknown SSRCs and of RTCP that the kernel dropped while every gate was closed. */
uint64_t qos_transport_unattributed(const struct qos_transport *transport);

/* --- flows (flow.c) --------------------------------------------------------------------------- */

struct qos_flow;
/* Gates closed in both directions (protocol B: nothing said = DISABLED), marking by default.
 * ENFORCEMENT_UNAVAILABLE when the required level has no room. Transfer full. */
struct qos_flow *qos_flow_new(struct qos_transport *transport, enum qos_kind kind, GError **error);
void qos_flow_free(struct qos_flow *flow); /* after the packet path has let go of the slots */
struct qos_slot *qos_flow_slot(struct qos_flow *flow, enum qos_direction direction);
void qos_flow_apply(struct qos_flow *flow, const struct qos_policy *policy);
enum qos_flow_status qos_flow_get_status(const struct qos_flow *flow);
/* The policy in force, with what nobody has said: everything is set. `dscp` of "copy" is that of
 * packets that bring none to be trusted. */
void qos_flow_get_policy(const struct qos_flow *flow, struct qos_policy *ret);

struct qos_counters {
    uint64_t packets, octets, gate_discarded, policing_discarded, marked;
};
/* What kernel and relay have counted together. */
void qos_flow_read(const struct qos_flow *flow, enum qos_direction direction,
                   struct qos_counters *ret);

/* --- the relay's own judgement: packets that the kernel has not judged -------------------------
 */

static inline bool qos_slot_open(const struct qos_slot *slot)
{
    return __atomic_load_n(&slot->open, __ATOMIC_RELAXED) != 0;
}

/* One packet of `octets` (IP datagram) at the slot, at `now` ns of CLOCK_MONOTONIC; counted. */
static inline enum qos_verdict qos_slot_judge(struct qos_slot *slot, uint32_t octets, uint64_t now)
{
    if (!qos_slot_open(slot)) {
        qos_count(&slot->gate_discarded, 1);
        uint64_t not = QOS_GATED_NOT;
        __atomic_compare_exchange_n(&slot->gated, &not, QOS_GATED_NEW, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED);
        return QOS_GATED;
    }
    if (!token_bucket_admit(slot, octets, now)) {
        qos_count(&slot->policing_discarded, 1);
        return QOS_POLICED;
    }
    qos_count(&slot->packets, 1);
    qos_count(&slot->octets, octets);
    return QOS_PASS;
}

/* True once after the first discard since the gate closed, whoever dropped it: raise mediaGated. */
static inline bool qos_slot_newly_gated(struct qos_slot *slot)
{
    uint64_t new = QOS_GATED_NEW;
    return __atomic_compare_exchange_n(&slot->gated, &new, QOS_GATED_TOLD, false, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED);
}
