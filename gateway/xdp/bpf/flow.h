/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What the outer headers take from the inner frame: the flow's source port, and TOS. */
#pragma once
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include "tables.h"

/* As l3/vxlan/entropy.go has them. */
#define K0 0x6a09e667f3bcc909ull
#define K1 0xbb67ae8584caa73bull
#define K2 0x3c6ef372fe94f82bull
#define K3 0xa54ff53a5f1d36f1ull

const volatile __u64 entropy_seed = 0;
const volatile __u64 entropy_span = 1;
const volatile __u16 entropy_first = 0;
const volatile __u8 dscp_inherit = 1;
const volatile __u8 dscp_bits = 0; /* the DSCP field of the TOS byte, where it is not inherited */

#define TCP_SYN 2 /* among the flags */

struct flow {
	__u16 sport;
	__u8 tos;
};

/* mix multiplies to 128 bits and folds. There is no such instruction. */
INLINE __u64 mix(__u64 a, __u64 b)
{
	__u64 a0 = (__u32)a, a1 = a >> 32, b0 = (__u32)b, b1 = b >> 32;
	__u64 low = a0 * b0, mid = a0 * b1 + (low >> 32), rest = a1 * b0 + (__u32)mid;

	return (a1 * b1 + (mid >> 32) + (rest >> 32)) ^ (a * b);
}

INLINE __u64 word(const void *p)
{
	__u64 w;

	__builtin_memcpy(&w, p, 8);
	return bpf_be64_to_cpu(w);
}

INLINE int has_ports(__u8 proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP || proto == IPPROTO_DCCP || proto == IPPROTO_UDPLITE;
}

INLINE void set_flow(struct flow *f, __u64 hash, __u8 tos)
{
	f->sport = entropy_first + (__u16)(((hash >> 32) * entropy_span) >> 32);
	f->tos = dscp_inherit ? tos : dscp_bits | (tos & 3);
}

/* flow4 reads an IPv4 packet that is certain: no options, no fragment. */
INLINE int flow4(struct flow *f, const void *l3, const void *end)
{
	const struct iphdr *ip = l3;
	__u64 l4, h;
	__u32 ports;

	if ((void *)(ip + 1) > end || *(__u8 *)l3 != 0x45 || (ip->frag_off & bpf_htons(0x3fff)))
		return 0;
	l4 = ip->protocol;
	if (has_ports(ip->protocol)) {
		if ((void *)(ip + 1) + 4 > end)
			return 0;
		__builtin_memcpy(&ports, ip + 1, 4);
		l4 |= (__u64)bpf_ntohl(ports) << 8;
	}
	h = mix(word(&ip->saddr) ^ entropy_seed, l4 ^ K0);
	set_flow(f, mix(h ^ K1, K2), ip->tos);
	return 1;
}

/* flow6 reads an IPv6 packet that is certain: no extension headers. */
INLINE int flow6(struct flow *f, const void *l3, const void *end)
{
	const struct ipv6hdr *ip = l3;
	__u64 l4, h;
	__u32 ports;

	if ((void *)(ip + 1) > end || (*(__u8 *)l3 >> 4) != 6)
		return 0;
	l4 = ip->nexthdr;
	if (has_ports(ip->nexthdr)) {
		if ((void *)(ip + 1) + 4 > end)
			return 0;
		__builtin_memcpy(&ports, ip + 1, 4);
		l4 |= (__u64)bpf_ntohl(ports) << 8;
	} else if (ip->nexthdr != IPPROTO_ICMPV6) {
		return 0;
	}
	h = mix(word(l3 + 8) ^ entropy_seed, word(l3 + 16) ^ K0);
	h = mix(word(l3 + 24) ^ h, word(l3 + 32) ^ K1);
	set_flow(f, mix(h ^ K3, l4 ^ K2), (bpf_ntohs(*(__u16 *)l3) >> 4) & 0xff);
	return 1;
}

/* read_flow reads what is behind the Ethernet header, and returns 0 where that is
 * nothing that is certain. */
INLINE int read_flow(struct flow *f, __u16 type, const void *l3, const void *end)
{
	if (type == bpf_htons(ETH_P_IP))
		return flow4(f, l3, end);
	if (type == bpf_htons(ETH_P_IPV6))
		return flow6(f, l3, end);
	return 0;
}
