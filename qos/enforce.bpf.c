/* SPDX-License-Identifier: Apache-2.0 */
/* The program at the interfaces of the media: one for what comes in, one for what goes out. Finds
 * the transport of a packet by its addresses and the medium in it by its SSRC or its DTLS record,
 * and judges it by the slot. Whatever it cannot tell for certain it lets pass without the mark of a
 * judged packet, so that the relay judges it; therefore it may be simple where packets are odd.
 *
 * Everything is read into the stack by helpers, since pointers into the packet at a variable offset
 * need CAP_PERFMON. Most packets cost one read: the two headers and the first octets of what is in
 * them lie side by side. */
#include "qos/enforce-map.h"
#include "qos/token-bucket.h"

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#define PROGRAM(name)                                                                              \
    __attribute__((section("program/" #name), used)) int name(struct __sk_buff *skb)
#define inline inline __attribute__((always_inline))

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define WIRE16(x) __builtin_bswap16(x)
#define WIRE32(x) __builtin_bswap32(x)
#else
#define WIRE16(x) ((uint16_t)(x))
#define WIRE32(x) ((uint32_t)(x))
#endif

/* Maps and constants are symbols without a definition: the loader puts them in. */
#define MAP(name, type, key, value) extern char enforce_##name[];
ENFORCE_MAPS(MAP)
#undef MAP
#define CONSTANT(name) extern char enforce_##name[];
ENFORCE_CONSTANTS(CONSTANT)
#undef CONSTANT
#define JUDGED_MARK ((uint32_t)(uint64_t)enforce_judged_mark)
#define LINK_HEADER ((uint32_t)(uint64_t)enforce_link_header)

static void *(*const map_lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*const map_update)(void *map, const void *key, const void *value,
                                uint64_t flags) = (void *)BPF_FUNC_map_update_elem;
static long (*const map_delete)(void *map, const void *key) = (void *)BPF_FUNC_map_delete_elem;
static uint64_t (*const get_ns)(void) = (void *)BPF_FUNC_ktime_get_ns;
static long (*const load)(const void *skb, uint32_t offset, void *to,
                          uint32_t length) = (void *)BPF_FUNC_skb_load_bytes;
static long (*const store)(void *skb, uint32_t offset, const void *from, uint32_t length,
                           uint64_t flags) = (void *)BPF_FUNC_skb_store_bytes;
static long (*const replace_checksum)(void *skb, uint32_t offset, uint64_t from, uint64_t to,
                                      uint64_t flags) = (void *)BPF_FUNC_l3_csum_replace;

enum { IPV4 = 0x0800, IPV6 = 0x86dd }; /* Ethernet types */
enum { HOP_BY_HOP = 0, UDP = 17, ROUTING = 43, FRAGMENT = 44, AUTHENTICATION = 51 };
enum { DESTINATION = 60 };
enum { EXTENSIONS = 8 };             /* IPv6 extension headers that are walked */
enum { DTLS_APPLICATION_DATA = 23 }; /* RFC 6347 4.1 */

struct udp {
    uint16_t source, destination, length, checksum;
};
/* The first octets of what is in the datagram: those of an RTP packet. Nothing of ours is shorter:
 * SRTCP has 8, an index and a tag. */
struct start {
    uint8_t octet[4];
    uint32_t timestamp, ssrc;
};
struct ipv4 {
    uint8_t version_length, tos;
    uint16_t length, id, fragment;
    uint8_t ttl, protocol;
    uint16_t checksum;
    uint32_t source, destination;
};
struct ipv6 {
    uint32_t version_class_label;
    uint16_t length;
    uint8_t next, hops;
    uint32_t source[4], destination[4];
};

struct fragment {
    uint8_t next, reserved;
    uint16_t offset; /* RFC 8200 4.5 */
    uint32_t id;
};

enum part { NOTHING, WHOLE, FIRST, LATER }; /* NOTHING of ours, or for the relay to judge */

struct packet {
    struct enforce_address address;
    struct enforce_fragment fragment; /* of FIRST and LATER */
    bool more;                        /* fragments come */
    uint8_t begin[2];                 /* the first octets of IP */
    struct start start;
    uint32_t at;       /* of the content, in the frame */
    uint32_t headers;  /* octets of IP and UDP */
    uint32_t length;   /* of the IP datagram; of a run as if it were one */
    uint32_t size;     /* of the content of each segment but the last */
    uint32_t segments; /* 1 = no run */
};

/* --- reading ---------------------------------------------------------------------------------- */

static inline bool is_ours(const struct udp *udp, enum qos_direction direction)
{
    uint32_t port = WIRE16(direction == QOS_UPLINK ? udp->destination : udp->source);
    const uint64_t *count = map_lookup(enforce_ports, &port);
    return count && *(const volatile uint64_t *)count;
}

static inline void set_ports(struct packet *packet, const struct udp *udp,
                             enum qos_direction direction)
{
    packet->address.local_port = direction == QOS_UPLINK ? udp->destination : udp->source;
    packet->address.remote_port = direction == QOS_UPLINK ? udp->source : udp->destination;
}

static inline void set_ipv4(uint32_t to[4], uint32_t address)
{
    to[0] = to[1] = 0;
    to[2] = WIRE32(0xffff);
    to[3] = address;
}

static inline void set_ipv6(uint32_t to[4], const uint32_t address[4])
{
    to[0] = address[0];
    to[1] = address[1];
    to[2] = address[2];
    to[3] = address[3];
}

static inline enum part read_ipv4(struct __sk_buff *skb, struct packet *packet,
                                  enum qos_direction direction)
{
    struct {
        struct ipv4 ip;
        struct udp udp;
        struct start start;
    } h;
    enum part part = WHOLE;
    bool is_short = load(skb, LINK_HEADER, &h, sizeof h) < 0;
    if (is_short && (direction == QOS_UPLINK || load(skb, LINK_HEADER, &h.ip, sizeof h.ip) < 0))
        return NOTHING;
    if (h.ip.version_length >> 4 != 4 || h.ip.protocol != UDP)
        return NOTHING;
    packet->begin[0] = h.ip.version_length;
    packet->begin[1] = h.ip.tos;
    if (h.ip.fragment & WIRE16(0x3fff)) {
        /* The relay sees the datagram that it was part of. */
        if (direction == QOS_UPLINK)
            return NOTHING;
        part = h.ip.fragment & WIRE16(0x1fff) ? LATER : FIRST;
        packet->more = h.ip.fragment & WIRE16(0x2000);
        packet->fragment.id = h.ip.id;
        set_ipv4(packet->fragment.source, h.ip.source);
        set_ipv4(packet->fragment.destination, h.ip.destination);
        if (part == LATER)
            return LATER;
    }
    uint32_t length = (h.ip.version_length & 15) * 4;
    if (is_short || length < sizeof h.ip)
        return NOTHING;
    if (length != sizeof h.ip &&
        load(skb, LINK_HEADER + length, &h.udp, sizeof h.udp + sizeof h.start) < 0)
        return NOTHING;
    if (!is_ours(&h.udp, direction))
        return NOTHING;
    packet->length = WIRE16(h.ip.length);
    packet->headers = length + sizeof h.udp;
    packet->start = h.start;
    set_ipv4(packet->address.local, direction == QOS_UPLINK ? h.ip.destination : h.ip.source);
    set_ipv4(packet->address.remote, direction == QOS_UPLINK ? h.ip.source : h.ip.destination);
    set_ports(packet, &h.udp, direction);
    return part;
}

/* The octets of the headers before UDP; 0 when there is none, or a fragment (RFC 8200 4). */
static inline uint32_t walk_extensions(struct __sk_buff *skb, uint8_t next)
{
    uint32_t length = sizeof(struct ipv6);
    for (int i = 0; i <= EXTENSIONS; i++) {
        uint8_t extension[2];
        if (next == UDP)
            return length;
        if (next != HOP_BY_HOP && next != ROUTING && next != DESTINATION && next != AUTHENTICATION)
            return 0;
        if (load(skb, LINK_HEADER + length, extension, sizeof extension) < 0)
            return 0;
        /* RFC 4302 2.2 counts in words. */
        length += next == AUTHENTICATION ? (extension[1] + 2) * 4 : (extension[1] + 1) * 8;
        next = extension[0];
    }
    return 0;
}

/* A fragment as our own kernel makes it. */
static inline enum part read_fragment(struct __sk_buff *skb, struct packet *packet,
                                      const struct ipv6 *ip)
{
    struct fragment fragment;
    if (load(skb, LINK_HEADER + sizeof *ip, &fragment, sizeof fragment) < 0 || fragment.next != UDP)
        return NOTHING;
    packet->more = fragment.offset & WIRE16(1);
    packet->fragment.id = fragment.id;
    set_ipv6(packet->fragment.source, ip->source);
    set_ipv6(packet->fragment.destination, ip->destination);
    return fragment.offset & WIRE16(0xfff8) ? LATER : FIRST;
}

static inline enum part read_ipv6(struct __sk_buff *skb, struct packet *packet,
                                  enum qos_direction direction)
{
    struct {
        struct ipv6 ip;
        struct udp udp;
        struct start start;
    } h;
    enum part part = WHOLE;
    bool is_short = load(skb, LINK_HEADER, &h, sizeof h) < 0;
    if (is_short && (direction == QOS_UPLINK || load(skb, LINK_HEADER, &h.ip, sizeof h.ip) < 0))
        return NOTHING;
    if ((h.ip.version_class_label & WIRE32(0xf0000000u)) != WIRE32(0x60000000u))
        return NOTHING;
    __builtin_memcpy(packet->begin, &h.ip, sizeof packet->begin);
    uint32_t length = sizeof h.ip;
    if (h.ip.next != UDP) {
        if (h.ip.next == FRAGMENT && direction == QOS_DOWNLINK) {
            part = read_fragment(skb, packet, &h.ip);
            if (part != FIRST)
                return part;
            length += sizeof(struct fragment);
        } else {
            length = walk_extensions(skb, h.ip.next);
        }
        if (!length || load(skb, LINK_HEADER + length, &h.udp, sizeof h.udp + sizeof h.start) < 0)
            return NOTHING;
    } else if (is_short) {
        return NOTHING;
    }
    if (!is_ours(&h.udp, direction))
        return NOTHING;
    packet->length = sizeof h.ip + WIRE16(h.ip.length);
    packet->headers = length + sizeof h.udp;
    packet->start = h.start;
    set_ipv6(packet->address.local, direction == QOS_UPLINK ? h.ip.destination : h.ip.source);
    set_ipv6(packet->address.remote, direction == QOS_UPLINK ? h.ip.source : h.ip.destination);
    set_ports(packet, &h.udp, direction);
    return part;
}

static inline enum part read(struct __sk_buff *skb, struct packet *packet,
                             enum qos_direction direction)
{
    uint32_t protocol = skb->protocol;
    enum part part = NOTHING;
    if (protocol == WIRE16(IPV4))
        part = read_ipv4(skb, packet, direction);
    else if (protocol == WIRE16(IPV6))
        part = read_ipv6(skb, packet, direction);
    if (part == NOTHING || part == LATER)
        return part;
    if (packet->length < packet->headers + sizeof packet->start)
        return NOTHING;
    packet->at = LINK_HEADER + packet->headers;
    uint32_t content = packet->length - packet->headers;
    packet->size = skb->gso_size;
    packet->segments = 1;
    if (packet->size && packet->size < content)
        packet->segments = (content + packet->size - 1) / packet->size;
    return part;
}

/* --- telling ---------------------------------------------------------------------------------- */

enum kind { OTHER, RTP, RTCP, DATA }; /* OTHER always passes */

/* RFC 7983 7, RFC 5761 4 */
static inline enum kind tell(const struct start *start)
{
    uint8_t first = start->octet[0], second = start->octet[1];
    if (first >= 128 && first <= 191)
        return second >= 192 && second <= 223 ? RTCP : RTP;
    return first == DTLS_APPLICATION_DATA ? DATA : OTHER;
}

static inline const uint32_t *find_index(struct packet *packet)
{
    const uint32_t *index = map_lookup(enforce_addresses, &packet->address);
    if (index)
        return index;
    packet->address.remote[0] = packet->address.remote[1] = 0;
    packet->address.remote[2] = packet->address.remote[3] = 0;
    packet->address.remote_port = 0;
    return map_lookup(enforce_addresses, &packet->address);
}

static inline struct qos_slot *find_slot_of(uint32_t index, uint32_t ssrc,
                                            enum qos_direction direction)
{
    struct enforce_source source = {index << 1 | direction, ssrc};
    const uint32_t *slot = map_lookup(enforce_sources, &source);
    return slot ? map_lookup(enforce_slots, slot) : 0;
}

/* `number`: index + 1, 0 = none. */
static inline struct qos_slot *find_slot(uint32_t number)
{
    uint32_t index = number - 1;
    return number ? map_lookup(enforce_slots, &index) : 0;
}

/* --- judging ---------------------------------------------------------------------------------- */

static inline struct enforce_totals *totals(void)
{
    uint32_t zero = 0;
    return map_lookup(enforce_totals, &zero);
}

static inline int drop_unknown(struct enforce_transport *transport, uint32_t packets)
{
    struct enforce_totals *all = totals();
    qos_count(&transport->unattributed, packets);
    if (all)
        qos_count(&all->unknown_discarded, packets);
    return TC_ACT_SHOT;
}

static inline int drop_gated(struct qos_slot *slot, uint32_t packets)
{
    struct enforce_totals *all = totals();
    qos_count(&slot->gate_discarded, packets);
    if (*(volatile uint32_t *)&slot->gated == QOS_GATED_NOT)
        __sync_val_compare_and_swap(&slot->gated, QOS_GATED_NOT, QOS_GATED_NEW);
    if (all)
        qos_count(&all->gate_discarded, packets);
    return TC_ACT_SHOT;
}

static inline int drop_policed(struct qos_slot *slot, uint32_t packets)
{
    struct enforce_totals *all = totals();
    qos_count(&slot->policing_discarded, packets);
    if (all)
        qos_count(&all->policing_discarded, packets);
    return TC_ACT_SHOT;
}

/* RTCP serves both directions: it goes when there is nothing left to serve. */
static inline int judge_rtcp(struct enforce_transport *transport, uint32_t packets)
{
    if (*(volatile uint32_t *)&transport->open[QOS_UPLINK] ||
        *(volatile uint32_t *)&transport->open[QOS_DOWNLINK])
        return TC_ACT_UNSPEC;
    return drop_unknown(transport, packets);
}

/* 1 for the second octet of RTCP, computed without a branch. */
static inline uint32_t is_rtcp(uint8_t second)
{
    return (((second - 192u) >> 5) - 1) >> 31;
}

/* Whether all segments of a run belong where the first one does: GRO joins what has the same
 * addresses and size, whatever is in it. The verifier walks every path, so the loop has only one.
 */
static inline bool is_one_kind(struct __sk_buff *skb, const struct packet *packet, enum kind kind,
                               bool by_ssrc)
{
    const struct start *first = &packet->start;
    uint32_t octet_mask = kind == DATA ? 0xff : 0xc0, ssrc_mask = by_ssrc ? 0xffffffffu : 0;
    uint32_t rtcp = is_rtcp(first->octet[1]);
    uint32_t at = packet->at, end = at + packet->length - packet->headers, other = 0;
    if (packet->segments > ENFORCE_SEGMENTS)
        return false;
#pragma unroll
    for (uint32_t i = 1; i < ENFORCE_SEGMENTS; i++) {
        struct start start;
        at += packet->size;
        if (at >= end)
            break;
        other |= (uint32_t)load(skb, at, &start, sizeof start);
        other |= (start.octet[0] ^ first->octet[0]) & octet_mask;
        other |= is_rtcp(start.octet[1]) ^ rtcp;
        other |= (start.ssrc ^ first->ssrc) & ssrc_mask;
    }
    return !other;
}

static inline int judge(struct __sk_buff *skb, const struct packet *packet, struct qos_slot *slot)
{
    /* Each segment would have travelled with headers of its own. */
    uint32_t octets = packet->length + (packet->segments - 1) * packet->headers;
    if (!*(volatile uint32_t *)&slot->open)
        return drop_gated(slot, packet->segments);
    if (*(volatile uint64_t *)&slot->sustained) {
        uint64_t now = get_ns();
        uint32_t last = octets - (packet->segments - 1) * (packet->headers + packet->size);
        if (!token_bucket_admit_run(slot, octets, last, now)) {
            /* The relay tells which segments of the run have room. */
            if (packet->segments > 1 && token_bucket_fits(slot, last, now))
                return TC_ACT_UNSPEC;
            return drop_policed(slot, packet->segments);
        }
    }
    qos_count(&slot->packets, packet->segments);
    qos_count(&slot->octets, octets);
    skb->mark |= JUDGED_MARK;
    return TC_ACT_UNSPEC;
}

PROGRAM(ingress)
{
    struct packet packet;
    /* A frame that goes through two interfaces, the second on top of the first, is judged once. */
    if (skb->mark & JUDGED_MARK || read(skb, &packet, QOS_UPLINK) == NOTHING)
        return TC_ACT_UNSPEC;
    enum kind kind = tell(&packet.start);
    if (kind == OTHER)
        return TC_ACT_UNSPEC;
    const uint32_t *found = find_index(&packet);
    if (!found)
        return TC_ACT_UNSPEC;
    uint32_t index = *found;
    struct enforce_transport *transport = map_lookup(enforce_transports, &index);
    if (!transport)
        return TC_ACT_UNSPEC;
    uint32_t only = *(volatile uint32_t *)&transport->only[QOS_UPLINK];
    /* What is in a run of several media, the relay tells. */
    if (packet.segments > 1 && !is_one_kind(skb, &packet, kind, kind == RTP && !only))
        return TC_ACT_UNSPEC;
    if (kind == RTCP)
        return judge_rtcp(transport, packet.segments);
    struct qos_slot *slot;
    if (kind == DATA)
        slot = find_slot(*(volatile uint32_t *)&transport->data[QOS_UPLINK]);
    else
        slot = only ? find_slot(only) : find_slot_of(index, packet.start.ssrc, QOS_UPLINK);
    if (slot)
        return judge(skb, &packet, slot);
    if (kind == DATA || *(volatile uint32_t *)&transport->open[QOS_UPLINK])
        return TC_ACT_UNSPEC;
    return drop_unknown(transport, packet.segments);
}

/* --- marking ---------------------------------------------------------------------------------- */

/* The two ECN bits stay as they are (RFC 3168 5). */
static inline void mark_ipv4(struct __sk_buff *skb, const uint8_t old[2], uint8_t dscp)
{
    uint8_t new[2] = {old[0], dscp << 2 | (old[1] & 3)};
    uint16_t from, to;
    if (new[1] == old[1])
        return;
    __builtin_memcpy(&from, old, sizeof from);
    __builtin_memcpy(&to, new, sizeof to);
    if (replace_checksum(skb, LINK_HEADER + __builtin_offsetof(struct ipv4, checksum), from, to,
                         sizeof from) == 0)
        store(skb, LINK_HEADER, new, sizeof new, 0);
}

static inline void mark_ipv6(struct __sk_buff *skb, const uint8_t old[2], uint8_t dscp)
{
    uint8_t new[2] = {6 << 4 | dscp >> 2, (old[1] & 0x3f) | (uint8_t)(dscp << 6)};
    if (new[0] != old[0] || new[1] != old[1])
        store(skb, LINK_HEADER, new, sizeof new, 0);
}

/* --- what goes out ---------------------------------------------------------------------------- */

/* What is to be done with it: a mark, ENFORCE_DROP or 0; counted. */
static inline uint32_t decide(struct packet *packet)
{
    enum kind kind = tell(&packet->start);
    const uint32_t *found = kind == OTHER ? 0 : find_index(packet);
    if (!found)
        return 0;
    uint32_t index = *found;
    struct enforce_transport *transport = map_lookup(enforce_transports, &index);
    if (!transport)
        return 0;
    if (kind == RTCP)
        return judge_rtcp(transport, packet->segments) == TC_ACT_SHOT ? ENFORCE_DROP : 0;
    uint32_t only = *(volatile uint32_t *)&transport->only[QOS_DOWNLINK];
    struct qos_slot *slot;
    if (kind == DATA)
        slot = find_slot(*(volatile uint32_t *)&transport->data[QOS_DOWNLINK]);
    else
        slot = only ? find_slot(only) : find_slot_of(index, packet->start.ssrc, QOS_DOWNLINK);
    if (!slot) {
        if (kind == DATA || *(volatile uint32_t *)&transport->open[QOS_DOWNLINK])
            return 0;
        drop_unknown(transport, packet->segments);
        return ENFORCE_DROP;
    }
    if (!*(volatile uint32_t *)&slot->open) {
        drop_gated(slot, packet->segments);
        return ENFORCE_DROP;
    }
    uint32_t mark = *(volatile uint32_t *)&slot->mark;
    if (!(mark & QOS_MARK_SET))
        return 0;
    qos_count(&slot->marked, packet->segments);
    return mark;
}

PROGRAM(egress)
{
    struct packet packet;
    uint32_t todo = 0;
    enum part part = read(skb, &packet, QOS_DOWNLINK);
    if (part == NOTHING)
        return TC_ACT_UNSPEC;
    if (part == LATER) {
        const uint32_t *before = map_lookup(enforce_fragments, &packet.fragment);
        if (!before)
            return TC_ACT_UNSPEC;
        todo = *before;
        if (!packet.more)
            map_delete(enforce_fragments, &packet.fragment);
    } else {
        todo = decide(&packet);
        if (part == FIRST && packet.more)
            map_update(enforce_fragments, &packet.fragment, &todo, BPF_ANY);
    }
    if (todo == ENFORCE_DROP)
        return TC_ACT_SHOT;
    if (todo && skb->protocol == WIRE16(IPV4))
        mark_ipv4(skb, packet.begin, todo & QOS_MARK_DSCP);
    else if (todo)
        mark_ipv6(skb, packet.begin, todo & QOS_MARK_DSCP);
    return TC_ACT_UNSPEC;
}
