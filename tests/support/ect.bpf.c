/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody else's filter on the way out, before ours: makes every IP packet ECN-capable, ECT(0), so
 * that a test sees whether what marks the DSCP afterwards leaves the ECN bits (RFC 3168 5) alone.
 * Also loaded where there are no kernel headers, so it names the few helpers it needs by number
 * (bpf-helpers(7)).
 */
static long (*const load_bytes)(const void *skb, unsigned at, void *to, unsigned n) = (void *)26;
static long (*const store_bytes)(void *skb, unsigned at, const void *from, unsigned n,
                                 unsigned long long flags) = (void *)9;
static long (*const l3_csum_replace)(void *skb, unsigned at, unsigned long long from,
                                     unsigned long long to, unsigned long long flags) = (void *)10;

#define ETHERNET 14
#define NEXT_FILTER (-1)

__attribute__((section("tc"), used)) int ect(void *skb)
{
    unsigned char head[2];
    if (load_bytes(skb, ETHERNET, head, sizeof head))
        return NEXT_FILTER;
    if (head[0] >> 4 == 4) {
        unsigned char tos = (head[1] & 0xfc) | 2;
        unsigned short before, after;
        unsigned char changed[2] = {head[0], tos};
        __builtin_memcpy(&before, head, sizeof before);
        __builtin_memcpy(&after, changed, sizeof after);
        if (l3_csum_replace(skb, ETHERNET + 10, before, after, sizeof before))
            return NEXT_FILTER;
        store_bytes(skb, ETHERNET + 1, &tos, 1, 0);
    } else if (head[0] >> 4 == 6) {
        unsigned char next = (head[1] & 0xcf) | 2 << 4; /* the low half of the traffic class */
        store_bytes(skb, ETHERNET + 1, &next, 1, 0);
    }
    return NEXT_FILTER;
}

__attribute__((section("license"), used)) char _license[] = "Dual BSD/GPL";
