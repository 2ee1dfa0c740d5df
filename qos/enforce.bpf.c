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
    uint16_t version_length_tos, length, id, fragment;
    uint8_t ttl, protocol;
    uint16_t checksum;
    uint32_t source, destination;
};
struct ipv6 {
    uint16_t version_class_label, label, length;
    uint8_t next, hops;
    uint64_t source[2], destination[2];
};
struct fragment { /* RFC 8200 4.5 */
    uint8_t next, reserved;
    uint16_t offset;
    uint32_t id;
};

/* The verifier follows, without CAP_PERFMON, also branches that are never taken, to where nothing
 * was written yet; and before Linux 6.10 it does not let a known number on the stack be overwritten
 * in part. So what is read stays where the helper has put it, all else on the stack is 8 octets
 * wide, and it is cleared at first. */
struct packet {
    union {
        struct {
            uint8_t unused[20];
            struct ipv4 ipv4;
        };
        struct ipv6 ipv6;
    };
    union {
        struct udp udp;
        struct fragment part; /* until UDP is read */
    };
    struct start start;
    uint32_t unused_too;
    struct enforce_address address;
    struct enforce_fragment fragment; /* of FIRST and LATER */
};

/* Volatile, or the compiler leaves it out. */
static inline void clear(struct packet *packet)
{
    volatile uint64_t *words = (volatile uint64_t *)packet;
#pragma unroll
    for (uint32_t i = 0; i < sizeof *packet / sizeof *words; i++)
        words[i] = 0;
}

/* What is known of it without looking again. */
struct facts {
    uint64_t at;       /* of the content, in the frame */
    uint64_t headers;  /* octets of IP and UDP */
    uint64_t length;   /* of the IP datagram; of a run as if it were one */
    uint64_t size;     /* of the content of each segment but the last */
    uint64_t segments; /* 1 = no run */
    uint64_t more;     /* fragments come */
};

enum part { NOTHING, WHOLE, FIRST, LATER }; /* NOTHING of ours, or for the relay to judge */

/* The key of an array. */
static inline uint64_t index_key(uint32_t index)
{
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? index : (uint64_t)index << 32;
}

/* --- reading ---------------------------------------------------------------------------------- */

static inline bool is_ours(struct packet *packet, enum qos_direction direction)
{
    uint64_t source = packet->udp.source, destination = packet->udp.destination;
    uint64_t local = direction == QOS_UPLINK ? destination : source;
    uint64_t port = index_key(WIRE16(local));
    packet->address.ports = (direction == QOS_UPLINK ? source : destination) << 16 | local;
    const uint64_t *count = map_lookup(enforce_ports, &port);
    return count && *(const volatile uint64_t *)count;
}

/* RFC 4291 2.5.5.2 */
static inline void set_ipv4(uint64_t to[2], uint64_t address)
{
    to[0] = 0;
    if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
        to[1] = address << 32 | 0xffff0000u;
    else
        to[1] = 0xffff00000000u | address;
}

static inline void set_ipv6(uint64_t to[2], const uint64_t address[2])
{
    to[0] = address[0];
    to[1] = address[1];
}

static inline enum part read_ipv4(struct __sk_buff *skb, struct packet *packet, struct facts *facts,
                                  enum qos_direction direction)
{
    const struct ipv4 *ip = &packet->ipv4;
    const uint32_t all = sizeof *ip + sizeof(struct udp) + sizeof(struct start);
    enum part part = WHOLE;
    bool is_short = load(skb, LINK_HEADER, &packet->ipv4, all) < 0;
    if (is_short &&
        (direction == QOS_UPLINK || load(skb, LINK_HEADER, &packet->ipv4, sizeof *ip) < 0))
        return NOTHING;
    uint64_t version_length = WIRE16(ip->version_length_tos) >> 8;
    if (version_length >> 4 != 4 || ip->protocol != UDP)
        return NOTHING;
    if (ip->fragment & WIRE16(0x3fff)) {
        /* The relay sees the datagram that it was part of. */
        if (direction == QOS_UPLINK)
            return NOTHING;
        part = ip->fragment & WIRE16(0x1fff) ? LATER : FIRST;
        facts->more = (ip->fragment & WIRE16(0x2000)) != 0;
        packet->fragment.id = ip->id;
        set_ipv4(packet->fragment.source, ip->source);
        set_ipv4(packet->fragment.destination, ip->destination);
        if (part == LATER)
            return LATER;
    }
    uint64_t length = (version_length & 15) * 4;
    if (is_short || length < sizeof *ip)
        return NOTHING;
    if (length != sizeof *ip && load(skb, LINK_HEADER + length, &packet->udp, all - sizeof *ip) < 0)
        return NOTHING;
    if (!is_ours(packet, direction))
        return NOTHING;
    facts->length = WIRE16(ip->length);
    facts->headers = length + sizeof(struct udp);
    set_ipv4(packet->address.local, direction == QOS_UPLINK ? ip->destination : ip->source);
    set_ipv4(packet->address.remote, direction == QOS_UPLINK ? ip->source : ip->destination);
    return part;
}

/* The octets of the headers before UDP; 0 when there is none, or a fragment (RFC 8200 4). */
static inline uint64_t walk_extensions(struct __sk_buff *skb, uint64_t next)
{
    uint64_t length = sizeof(struct ipv6);
#pragma unroll
    for (int i = 0; i <= EXTENSIONS; i++) {
        uint8_t extension[8];
        if (next == UDP)
            return length;
        if (next != HOP_BY_HOP && next != ROUTING && next != DESTINATION && next != AUTHENTICATION)
            return 0;
        if (load(skb, LINK_HEADER + length, extension, 2) < 0)
            return 0;
        /* RFC 4302 2.2 counts in words. */
        length += next == AUTHENTICATION ? (extension[1] + 2) * 4 : (extension[1] + 1) * 8;
        next = extension[0];
    }
    return 0;
}

static inline enum part read_ipv6(struct __sk_buff *skb, struct packet *packet, struct facts *facts,
                                  enum qos_direction direction)
{
    const struct ipv6 *ip = &packet->ipv6;
    const uint32_t rest = sizeof(struct udp) + sizeof(struct start);
    enum part part = WHOLE;
    bool is_short = load(skb, LINK_HEADER, &packet->ipv6, sizeof *ip + rest) < 0;
    if (is_short && (direction == QOS_UPLINK || load(skb, LINK_HEADER, &packet->ipv6,
                                                     sizeof *ip + sizeof(struct fragment)) < 0))
        return NOTHING;
    if (WIRE16(ip->version_class_label) >> 12 != 6)
        return NOTHING;
    uint64_t length = sizeof *ip;
    if (ip->next == FRAGMENT && direction == QOS_DOWNLINK) {
        /* As our own kernel makes them. */
        if (packet->part.next != UDP)
            return NOTHING;
        part = packet->part.offset & WIRE16(0xfff8) ? LATER : FIRST;
        facts->more = packet->part.offset & WIRE16(1);
        packet->fragment.id = packet->part.id;
        set_ipv6(packet->fragment.source, ip->source);
        set_ipv6(packet->fragment.destination, ip->destination);
        if (part == LATER)
            return LATER;
        length += sizeof(struct fragment);
    } else if (ip->next != UDP) {
        length = walk_extensions(skb, ip->next);
    }
    if (is_short || !length)
        return NOTHING;
    if (length != sizeof *ip && load(skb, LINK_HEADER + length, &packet->udp, rest) < 0)
        return NOTHING;
    if (!is_ours(packet, direction))
        return NOTHING;
    facts->length = sizeof *ip + WIRE16(ip->length);
    facts->headers = length + sizeof(struct udp);
    set_ipv6(packet->address.local, direction == QOS_UPLINK ? ip->destination : ip->source);
    set_ipv6(packet->address.remote, direction == QOS_UPLINK ? ip->source : ip->destination);
    return part;
}

static inline enum part read(struct __sk_buff *skb, struct packet *packet, struct facts *facts,
                             enum qos_direction direction)
{
    uint32_t protocol = skb->protocol;
    enum part part = NOTHING;
    if (protocol == WIRE16(IPV4))
        part = read_ipv4(skb, packet, facts, direction);
    else if (protocol == WIRE16(IPV6))
        part = read_ipv6(skb, packet, facts, direction);
    if (part == NOTHING || part == LATER)
        return part;
    if (facts->length < facts->headers + sizeof packet->start)
        return NOTHING;
    facts->at = LINK_HEADER + facts->headers;
    uint64_t content = facts->length - facts->headers;
    facts->size = skb->gso_size;
    facts->segments = 1;
    if (facts->size && facts->size < content)
        facts->segments = (content + facts->size - 1) / facts->size;
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
    packet->address.ports &= 0xffff;
    return map_lookup(enforce_addresses, &packet->address);
}

/* Pointers are looked up in one place and tested at once: where NULL is joined with a pointer, the
 * verifier without CAP_PERFMON follows it past its test. There is no slot of this index. */
#define NO_SLOT 0xffffffffu

static inline uint32_t find_slot(const struct enforce_transport *transport, uint32_t index,
                                 const struct packet *packet, enum kind kind,
                                 enum qos_direction direction)
{
    uint32_t only = *(const volatile uint32_t *)&transport->only[direction];
    if (kind == DATA) /* 0 - 1 is NO_SLOT */
        return *(const volatile uint32_t *)&transport->data[direction] - 1;
    if (only)
        return only - 1;
    uint64_t source = enforce_source(index, direction, packet->start.ssrc);
    const uint32_t *slot = map_lookup(enforce_sources, &source);
    return slot ? *slot : NO_SLOT;
}

/* --- judging ---------------------------------------------------------------------------------- */

static inline struct enforce_totals *totals(void)
{
    uint64_t zero = 0;
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
    if (*(volatile uint64_t *)&slot->gated == QOS_GATED_NOT)
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
static inline uint64_t is_rtcp(uint64_t second)
{
    return (((second - 192) >> 5) - 1) >> 63;
}

/* Whether all segments of a run belong where the first one does: GRO joins what has the same
 * addresses and size, whatever is in it. The verifier walks every path, so the loop has only one.
 */
static inline bool is_one_kind(struct __sk_buff *skb, const struct packet *packet,
                               const struct facts *facts, enum kind kind, bool by_ssrc)
{
    const struct start *first = &packet->start;
    uint64_t octet_mask = kind == DATA ? 0xff : 0xc0, ssrc_mask = by_ssrc ? 0xffffffffu : 0;
    uint64_t rtcp = is_rtcp(first->octet[1]);
    uint64_t at = facts->at, end = at + facts->length - facts->headers, other = 0;
    if (facts->segments > ENFORCE_SEGMENTS)
        return false;
#pragma unroll
    for (uint32_t i = 1; i < ENFORCE_SEGMENTS; i++) {
        struct start start;
        at += facts->size;
        if (at >= end)
            break;
        other |= (uint64_t)load(skb, at, &start, sizeof start);
        other |= (start.octet[0] ^ first->octet[0]) & octet_mask;
        other |= is_rtcp(start.octet[1]) ^ rtcp;
        other |= (start.ssrc ^ first->ssrc) & ssrc_mask;
    }
    return !other;
}

static inline int judge(struct __sk_buff *skb, const struct facts *facts, struct qos_slot *slot)
{
    /* Each segment would have travelled with headers of its own. */
    uint64_t octets = facts->length + (facts->segments - 1) * facts->headers;
    if (!*(volatile uint32_t *)&slot->open)
        return drop_gated(slot, facts->segments);
    if (*(volatile uint64_t *)&slot->sustained) {
        uint64_t now = get_ns();
        uint64_t last = octets - (facts->segments - 1) * (facts->headers + facts->size);
        if (!token_bucket_admit_run(slot, octets, last, now)) {
            /* The relay tells which segments of the run have room. */
            if (facts->segments > 1 && token_bucket_fits(slot, last, now))
                return TC_ACT_UNSPEC;
            return drop_policed(slot, facts->segments);
        }
    }
    qos_count(&slot->packets, facts->segments);
    qos_count(&slot->octets, octets);
    skb->mark |= JUDGED_MARK;
    return TC_ACT_UNSPEC;
}

PROGRAM(ingress)
{
    struct packet packet;
    struct facts facts = {0};
    /* A frame that goes through two interfaces, the second on top of the first, is judged once. */
    if (skb->mark & JUDGED_MARK)
        return TC_ACT_UNSPEC;
    clear(&packet);
    if (read(skb, &packet, &facts, QOS_UPLINK) == NOTHING)
        return TC_ACT_UNSPEC;
    enum kind kind = tell(&packet.start);
    if (kind == OTHER)
        return TC_ACT_UNSPEC;
    const uint32_t *found = find_index(&packet);
    if (!found)
        return TC_ACT_UNSPEC;
    uint32_t index = *found;
    uint64_t key = index_key(index);
    struct enforce_transport *transport = map_lookup(enforce_transports, &key);
    if (!transport)
        return TC_ACT_UNSPEC;
    /* What is in a run of several media, the relay tells. */
    if (facts.segments > 1 &&
        !is_one_kind(skb, &packet, &facts, kind,
                     kind == RTP && !*(volatile uint32_t *)&transport->only[QOS_UPLINK]))
        return TC_ACT_UNSPEC;
    if (kind == RTCP)
        return judge_rtcp(transport, facts.segments);
    key = index_key(find_slot(transport, index, &packet, kind, QOS_UPLINK));
    struct qos_slot *slot = map_lookup(enforce_slots, &key);
    if (slot)
        return judge(skb, &facts, slot);
    if (kind == DATA || *(volatile uint32_t *)&transport->open[QOS_UPLINK])
        return TC_ACT_UNSPEC;
    return drop_unknown(transport, facts.segments);
}

/* --- what goes out ---------------------------------------------------------------------------- */

/* What is to be done with it: a mark, ENFORCE_DROP or 0; counted. */
static inline uint32_t decide(struct packet *packet, uint64_t segments)
{
    enum kind kind = tell(&packet->start);
    if (kind == OTHER)
        return 0;
    const uint32_t *found = find_index(packet);
    if (!found)
        return 0;
    uint32_t index = *found;
    uint64_t key = index_key(index);
    struct enforce_transport *transport = map_lookup(enforce_transports, &key);
    if (!transport)
        return 0;
    if (kind == RTCP)
        return judge_rtcp(transport, segments) == TC_ACT_SHOT ? ENFORCE_DROP : 0;
    key = index_key(find_slot(transport, index, packet, kind, QOS_DOWNLINK));
    struct qos_slot *slot = map_lookup(enforce_slots, &key);
    if (!slot) {
        if (kind == DATA || *(volatile uint32_t *)&transport->open[QOS_DOWNLINK])
            return 0;
        drop_unknown(transport, segments);
        return ENFORCE_DROP;
    }
    if (!*(volatile uint32_t *)&slot->open) {
        drop_gated(slot, segments);
        return ENFORCE_DROP;
    }
    uint32_t mark = *(volatile uint32_t *)&slot->mark;
    if (!(mark & QOS_MARK_SET))
        return 0;
    qos_count(&slot->marked, segments);
    return mark;
}

/* The two ECN bits stay as they are (RFC 3168 5). */
static inline void write_mark(struct __sk_buff *skb, const struct packet *packet, uint64_t dscp)
{
    bool is_ipv4 = skb->protocol == WIRE16(IPV4);
    uint64_t wire = is_ipv4 ? packet->ipv4.version_length_tos : packet->ipv6.version_class_label;
    uint64_t old = WIRE16(wire), shift = is_ipv4 ? 2 : 6;
    uint64_t new = (old & ~(63ull << shift)) | dscp << shift;
    if (new == old)
        return;
    /* IPv6 has no checksum of its own (RFC 8200 3). */
    if (is_ipv4 && replace_checksum(skb, LINK_HEADER + __builtin_offsetof(struct ipv4, checksum),
                                    wire, WIRE16(new), 2) < 0)
        return;
    uint64_t octets = WIRE16(new);
    if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
        octets <<= 48;
    store(skb, LINK_HEADER, &octets, 2, 0);
}

PROGRAM(egress)
{
    struct packet packet;
    struct facts facts = {0};
    uint64_t todo = 0;
    clear(&packet);
    enum part part = read(skb, &packet, &facts, QOS_DOWNLINK);
    if (part == NOTHING)
        return TC_ACT_UNSPEC;
    if (part == LATER) {
        const uint64_t *before = map_lookup(enforce_fragments, &packet.fragment);
        if (!before)
            return TC_ACT_UNSPEC;
        todo = *before;
        if (!facts.more)
            map_delete(enforce_fragments, &packet.fragment);
    } else {
        todo = decide(&packet, facts.segments);
        if (part == FIRST && facts.more)
            map_update(enforce_fragments, &packet.fragment, &todo, BPF_ANY);
    }
    if (todo == ENFORCE_DROP)
        return TC_ACT_SHOT;
    if (todo)
        write_mark(skb, &packet, todo & QOS_MARK_DSCP);
    return TC_ACT_UNSPEC;
}
