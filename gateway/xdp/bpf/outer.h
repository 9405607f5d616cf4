/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Outer headers: written in front of a frame, and read. */
#pragma once
#include "decide.h"

const volatile __u8 underlay_v6 = 0;
const volatile __u16 outer_vlan = 0; /* the tag's TCI and type are in the VTEP's headers */
const volatile __u8 df = 1;
const volatile __u8 sums = 0;        /* the outer UDP checksum is filled in */
const volatile __u8 zero_sum6 = 0;   /* IPv6: a checksum of zero is taken */
const volatile __u8 strict = 0;      /* reserved bits of VXLAN headers are to be zero */
const volatile __u16 vxlan_port = 0; /* in network byte order */
const volatile __u32 local_addr[4] = {};

#define VXLAN_LEN 8
#define UDP_LEN 8
#define OUTER_TAG (outer_vlan ? 4 : 0)
#define OUTER_IP (underlay_v6 ? 40 : 20)
#define OUTER_LEN (ETH_HLEN + OUTER_TAG + OUTER_IP + UDP_LEN + VXLAN_LEN)

#define SUM_STEP 32
#define SUM_STEPS 64 /* as much as is summed up: longer frames go up */

/* put_outer writes the headers of a packet at p, which has room for OUTER_LEN, for an
 * inner frame of len bytes. h is where it goes, 0 where there is no choice, tag is the
 * bytes of the outer tag, inner the sum of the frame's, where sums says so. */
INLINE void put_outer(void *p, const struct verdict *v, const struct hop *h, __u32 tag, __u32 len, __u32 inner)
{
	void *ip = p + ETH_HLEN + tag, *udp = ip + OUTER_IP;
	__u32 udp_len = UDP_LEN + VXLAN_LEN + len, sum = 0;
	const __u8 *head = v->to->head;

	if (OUTER_LEN == 50)
		__builtin_memcpy(p, head, 50);
	else if (OUTER_LEN == 54)
		__builtin_memcpy(p, head, 54);
	else if (OUTER_LEN == 70)
		__builtin_memcpy(p, head, 70);
	else
		__builtin_memcpy(p, head, 74);
	if (h)
		__builtin_memcpy(p, h->mac_to, 12);
	*(__u16 *)udp = bpf_htons(v->flow.sport);
	*(__u16 *)(udp + 4) = bpf_htons(udp_len);
	*(__u32 *)(udp + UDP_LEN + 4) = v->domain->vni;
	if (underlay_v6) {
		__u32 label = v->flow.sport * 0x9e3779b1u >> 12;

		*(__u32 *)ip = bpf_htonl(6u << 28 | (__u32)v->flow.tos << 20 | (label ? label : 1));
		*(__u16 *)(ip + 4) = bpf_htons(udp_len);
	} else {
		__u16 id = df ? 0 : bpf_get_prandom_u32();

		((__u8 *)ip)[1] = v->flow.tos;
		*(__u16 *)(ip + 2) = bpf_htons(20 + udp_len);
		*(__u16 *)(ip + 4) = id;
		sum = v->to->sum + ((__u32)v->flow.tos << 8) + bpf_htons(20 + udp_len) + id;
		*(__u16 *)(ip + 10) = ~fold(sum);
	}
	if (sums) {
		/* v->to->sum is of the IPv6 pseudo-header's addresses and protocol. An
		 * IPv4 one's is found in the header. */
		__u64 s = inner;

		if (underlay_v6)
			s += v->to->sum;
		else
			s += (__u64)*(__u32 *)(ip + 12) + *(__u32 *)(ip + 16) + bpf_htons(IPPROTO_UDP);
		s += 2 * bpf_htons(udp_len);
		s += *(__u16 *)udp + *(__u16 *)(udp + 2);
		s += (__u64)*(__u32 *)(udp + 8) + *(__u32 *)(udp + 12);
		sum = ~fold(s) & 0xffff;
		*(__u16 *)(udp + 6) = sum ? sum : 0xffff;
	}
}

/* packet is what the outer headers of a packet say. */
struct packet {
	const __u32 *from;
	const void *udp;
	__u8 tos;
};

/* has_vni reports whether the VXLAN header of a packet has the I flag, and
 * is_reserved_set whether it has anything but that and a VNI. */
INLINE int has_vni(const struct packet *k) { return *(__u8 *)(k->udp + UDP_LEN) & 8; }

INLINE int is_reserved_set(const struct packet *k)
{
	return *(__u32 *)(k->udp + UDP_LEN) != bpf_htonl(8u << 24) || *(__u8 *)(k->udp + UDP_LEN + 7);
}

/* vni_in returns the VNI of a packet as it is in the header. */
INLINE __u32 vni_in(const struct packet *k) { return *(__u32 *)(k->udp + UDP_LEN + 4) & bpf_htonl(0xffffff00); }

/* read_outer reads the outer headers of what may be VXLAN for this VTEP, and returns 0
 * where it is not, or not certainly good. mac is that of the interface. */
INLINE int read_outer(struct packet *k, const void *p, const void *end, __u32 tag, __u32 len, __u64 mac)
{
	const void *ip = p + ETH_HLEN + tag, *udp = ip + OUTER_IP;
	const __u16 type = underlay_v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);

	if (p + OUTER_LEN > end || word(p) >> 16 != mac)
		return 0;
	if (outer_vlan && (*(__u16 *)(p + 12) != bpf_htons(ETH_P_8021Q) || (*(__u16 *)(p + 14) & bpf_htons(0xfff)) != bpf_htons(outer_vlan)))
		return 0;
	if (*(__u16 *)(ip - 2) != type || *(__u16 *)(udp + 2) != vxlan_port)
		return 0;
	if (underlay_v6) {
		const __u32 *w = ip;

		if (*(__u8 *)ip >> 4 != 6 || ((__u8 *)ip)[6] != IPPROTO_UDP)
			return 0;
		if (w[6] != local_addr[0] || w[7] != local_addr[1] || w[8] != local_addr[2] || w[9] != local_addr[3])
			return 0;
		if (OUTER_LEN - UDP_LEN - VXLAN_LEN + bpf_ntohs(*(__u16 *)(ip + 4)) != len)
			return 0;
		k->from = ip + 8;
		k->tos = bpf_ntohs(*(__u16 *)ip) >> 4;
		if (!*(__u16 *)(udp + 6) && !zero_sum6)
			return 0;
	} else {
		const __u32 *w = ip;

		if (*(__u8 *)ip != 0x45 || ((__u8 *)ip)[9] != IPPROTO_UDP || (*(__u16 *)(ip + 6) & bpf_htons(0x3fff)))
			return 0;
		if (w[4] != local_addr[0] || ETH_HLEN + OUTER_TAG + bpf_ntohs(*(__u16 *)(ip + 2)) != len)
			return 0;
		if (fold((__u64)w[0] + w[1] + w[2] + w[3] + w[4]) != 0xffff)
			return 0;
		k->from = ip + 12;
		k->tos = ((__u8 *)ip)[1];
	}
	if (OUTER_LEN - UDP_LEN - VXLAN_LEN + bpf_ntohs(*(__u16 *)(udp + 4)) != len)
		return 0;
	k->udp = udp;
	return 1;
}

/* is_host reports whether a source is surely one that a host may send from. */
INLINE int is_host(const __u32 *from)
{
	__u32 first = bpf_ntohl(from[0]);

	if (underlay_v6)
		return (first >> 29 == 1 || first >> 25 == 0x7e) &&
		       (from[0] != local_addr[0] || from[1] != local_addr[1] || from[2] != local_addr[2] || from[3] != local_addr[3]);
	return first >> 24 && first >> 24 != 127 && first >> 29 != 7 && from[0] != local_addr[0];
}
