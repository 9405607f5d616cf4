/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Routing, for destinations of which the gateway has decided before. */
#pragma once

INLINE __u32 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* is_own reports whether an address may be one of the gateway's own: such a source is
 * a martian. The filter is that of forward.OwnAddrs. */
INLINE int is_own(__u32 vrf, __u32 last)
{
	__u32 bit = (bpf_ntohl(last) * 0x9e3779b1u) >> 20;
	__u32 i = vrf * 64 + (bit >> 6);
	__u64 *w = bpf_map_lookup_elem(&own, &i);

	return !w || (*w >> (bit & 63) & 1);
}

/* forwards4 reports whether an IPv4 packet is one that is surely forwarded, as far as
 * its header tells: none of the reasons of forward.route4. */
INLINE int forwards4(__u32 vrf, const void *l3, const void *end, __u32 len)
{
	const struct iphdr *ip = l3;
	const __u32 *w = l3;
	__u32 src, dst, n;

	if ((void *)(ip + 1) > end || *(__u8 *)l3 != 0x45 || (ip->frag_off & bpf_htons(0x3fff)))
		return 0;
	n = bpf_ntohs(ip->tot_len);
	if (n < 20 || n > len)
		return 0;
	if (fold((__u64)w[0] + w[1] + w[2] + w[3] + w[4]) != 0xffff)
		return 0;
	src = bpf_ntohl(ip->saddr);
	dst = bpf_ntohl(ip->daddr);
	if (src == dst || ip->ttl <= 1)
		return 0;
	if (!(src >> 24) || src >> 24 == 127 || src >> 29 == 7 || src >> 16 == 0xa9fe)
		return 0;
	return !is_own(vrf, ip->saddr);
}

/* forwards6 is forwards4 for IPv6. */
INLINE int forwards6(__u32 vrf, const void *l3, const void *end, __u32 len)
{
	const struct ipv6hdr *ip = l3;
	const __u32 *src = l3 + 8, *dst = l3 + 24;
	__u32 first;

	if (l3 + 40 > end || *(__u8 *)l3 >> 4 != 6 || 40 + bpf_ntohs(ip->payload_len) > len)
		return 0;
	if (ip->nexthdr != IPPROTO_TCP && ip->nexthdr != IPPROTO_UDP && ip->nexthdr != IPPROTO_ICMPV6)
		return 0;
	if (ip->hop_limit <= 1)
		return 0;
	if (src[0] == dst[0] && src[1] == dst[1] && src[2] == dst[2] && src[3] == dst[3])
		return 0;
	/* Only of 2000::/3 and fc00::/7: what else there is is decided on above. */
	first = bpf_ntohl(src[0]);
	if (first >> 29 != 1 && first >> 25 != 0x7e)
		return 0;
	return !is_own(vrf, src[3]);
}

/* As in routes.go: the multipliers of SplitMix64. */
#define MIX1 0xbf58476d1ce4e5b9ull
#define MIX2 0x94d049bb133111ebull

INLINE struct route *route_of(__u32 vrf, const __u32 *addr, int v6)
{
	__u64 lo = (__u64)addr[0] << 32, hi = (__u64)vrf << 32;
	struct route *r;
	__u32 i, h;

	if (v6) {
		lo |= addr[1];
		hi ^= (__u64)addr[2] << 24 ^ addr[3];
	}
	lo = ((lo ^ hash_seed[0]) * hash_seed[1] ^ (hi ^ hash_seed[2])) * hash_seed[3];
	/* A host's own bits are in the upper ones alone. They have to be spread to all. */
	lo = (lo ^ lo >> 32) * MIX1;
	lo = (lo ^ lo >> 29) * MIX2;
	h = (lo >> 32) * (route_mask + 1) >> 32;
#pragma unroll
	for (int k = 0; k < 2; k++) {
		i = (h ^ k) & route_mask;
		r = bpf_map_lookup_elem(&routes, &i);
		if (!r)
			return 0;
		if (r->vrf != (vrf | (v6 ? 0x10000 : 0)) || r->addr[0] != addr[0])
			continue;
		if (!v6 || (r->addr[1] == addr[1] && r->addr[2] == addr[2] && r->addr[3] == addr[3]))
			return r;
	}
	return 0;
}

/* route decides on a packet for the gateway's MAC: twice, as forward does, for where
 * it goes on it is a frame of the gateway's own. */
INLINE int route(struct verdict *v, __u32 half, const struct frame *f, const void *l3, const void *end, __u32 in, __u32 in_flags, __u32 now)
{
	__u32 vrf = v->domain->vrf, zero = 0, from = v->domain_id;
	struct control *c = bpf_map_lookup_elem(&in_force, &zero);
	struct route *r;
	__u64 to;
	int kind;

	if (vrf == NO_VRF || !c)
		return UP;
	if (f->type == bpf_htons(ETH_P_IP)) {
		if (!forwards4(vrf, l3, end, f->len - ETH_HLEN))
			return UP;
		r = route_of(vrf, l3 + 16, 0);
	} else if (f->type == bpf_htons(ETH_P_IPV6)) {
		if (!forwards6(vrf, l3, end, f->len - ETH_HLEN))
			return UP;
		r = route_of(vrf, l3 + 24, 1);
	} else {
		return UP;
	}
	if (!r || r->gen != c->route_gen)
		return UP;
	v->route = r;
	v->vrf = vrf;
	to = *(volatile __u64 *)&r->to;
	v->mac = to & 0xffffffffffffull;
	v->domain_id = to >> 48;
	v->domain = domain_of(half, v->domain_id);
	if (!v->domain || !(v->domain->flags & DOMAIN_LIVE))
		return UP;
	if (v->domain->flags & DOMAIN_CLAMP && opens_tcp(f, l3, end))
		return UP;
	if (from != v->domain_id) {
		in = NO_PORT;
		in_flags = 0;
	}
	kind = reach(v, half, v->mac, in, in_flags, f->len, now);
	if (kind == UP || kind == DROP)
		return UP;
	if (r->seen != now)
		r->seen = now;
	return kind;
}

/* take_hop makes a packet one of the gateway's, a hop further on. */
INLINE void take_hop(void *eth, void *l3, __u16 type, __u64 to, __u64 from)
{
	__u64 dst = bpf_cpu_to_be64(to << 16), src = bpf_cpu_to_be64(from << 16);

	__builtin_memcpy(eth, &dst, 6);
	__builtin_memcpy(eth + 6, &src, 6);
	if (type == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = l3;
		__u16 before = *(__u16 *)(l3 + 8);
		__u32 sum;

		ip->ttl--;
		/* RFC 1624 equation 3, as ip.Update */
		sum = (__u16)~ip->check + (__u16)~before;
		sum = (sum & 0xffff) + (sum >> 16);
		sum += *(__u16 *)(l3 + 8);
		sum = (sum & 0xffff) + (sum >> 16);
		ip->check = ~sum;
	} else {
		((__u8 *)l3)[7]--;
	}
}
