/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What becomes of a frame, as far as that is certain. It is what gateway/forward
 * decides, without what needs more than a look into a table: whatever is not certain
 * is handed up. Nothing is counted and nothing changed here but when a station was
 * heard.
 */
#pragma once
#include "flow.h"

/* What is done with a frame. */
enum { UP, DROP, TO_PORT, TO_VTEP };

/* As forward.Reason has them; TestReasons holds one against the other. */
enum {
	TAGGED_FRAME = 2, INNER_VLAN = 3, SOURCE_MULTICAST = 4, SOURCE_ZERO = 5, RESERVED_DESTINATION = 7,
	SAME_PORT = 10, SPLIT_HORIZON = 11, ISOLATED_PORT = 12, UNKNOWN_VNI = 13, VXLAN_FLAGS = 16, VXLAN_RESERVED = 17,
	PORT_DOWN = 35,
};

#define TYPE_QINQ 0x88a8
#define TYPE_OLD_QINQ 0x9100

struct frame {
	__u64 dst, src;
	__u32 len;
	__u16 type; /* in network byte order */
};

struct verdict {
	struct vtep *to;       /* of TO_VTEP */
	struct port *port;     /* of TO_PORT */
	struct domain *domain; /* that it leaves in */
	struct route *route;   /* not 0: it is routed */
	struct flow flow;      /* of TO_VTEP */
	__u64 mac;             /* of the next hop of route */
	__u32 domain_id;
	__u32 vrf; /* of route */
	__u16 out; /* number of the port or VTEP */
	__u16 port_needs, vtep_needs; /* flags that whoever is sent to must have */
	__u8 reason;
};

INLINE void read_ethernet(struct frame *f, const void *eth, __u32 len)
{
	f->dst = word(eth) >> 16;
	f->src = word(eth + 4) & 0xffffffffffffull;
	f->type = *(__u16 *)(eth + 12);
	f->len = len;
}

INLINE int is_tag(__u16 type)
{
	return type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(TYPE_QINQ) || type == bpf_htons(TYPE_OLD_QINQ);
}

INLINE int is_group(__u64 mac) { return mac >> 40 & 1; }

/* is_reserved is MAC.IsReserved without those that are BPDUs. */
INLINE int is_reserved(__u64 mac)
{
	return (mac > 0x0180c2000000ull && mac <= 0x0180c200000full) || mac == 0x01000ccccccc;
}

/* is_heard: ARP and ND, of which the gateway learns who has an address. */
INLINE int is_heard(__u16 type, const void *l3, const void *end)
{
	if (type == bpf_htons(ETH_P_ARP))
		return 1;
	return type == bpf_htons(ETH_P_IPV6) && (l3 + 7 > end || ((__u8 *)l3)[6] == IPPROTO_ICMPV6);
}

/* opens_tcp reports whether a frame may open a TCP connection. What cannot be told is
 * none of the frames of one that is open already. */
INLINE int opens_tcp(const struct frame *f, const void *l3, const void *end)
{
	const __u8 *b = l3;

	if (f->type == bpf_htons(ETH_P_IP)) {
		if (l3 + 20 > end)
			return 1;
		if (b[9] != IPPROTO_TCP)
			return 0;
		return b[0] != 0x45 || l3 + 34 > end || f->len < ETH_HLEN + 34 || b[33] & TCP_SYN;
	}
	if (f->type == bpf_htons(ETH_P_IPV6)) {
		if (l3 + 40 > end)
			return 1;
		if (b[6] == IPPROTO_UDP || b[6] == IPPROTO_ICMPV6)
			return 0;
		return b[6] != IPPROTO_TCP || l3 + 54 > end || f->len < ETH_HLEN + 54 || b[53] & TCP_SYN;
	}
	return 0;
}

/* reach finds the way to a station of v's domain. in is the port that the frame came
 * in by, or NO_PORT. */
INLINE int reach(struct verdict *v, __u32 half, __u64 mac, __u32 in, __u32 in_flags, __u32 len, __u32 now)
{
	struct station *s = station_of(v->domain_id, mac);
	struct port *p;

	if (!s || !knows(s, v->domain, now))
		return UP;
	v->out = s->hop;
	if (v->out >= FIRST_VTEP) {
		v->out -= FIRST_VTEP;
		v->to = vtep_of(half, v->out);
		if (!v->to || !(v->to->flags & VTEP_LIVE))
			return UP;
		return TO_VTEP;
	}
	p = port_of(half, v->out);
	if (!p || !(p->flags & PORT_LIVE) || p->domain != v->domain_id)
		return UP;
	v->reason = 0;
	if (v->out == in && !v->route)
		v->reason = SAME_PORT;
	else if (!(p->flags & PORT_UP))
		v->reason = PORT_DOWN;
	else if (v->out != in && (p->flags & in_flags & PORT_ISOLATED))
		v->reason = ISOLATED_PORT;
	if (v->reason)
		return v->route ? UP : DROP;
	if (len > p->max_frame || (p->flags & v->port_needs) != v->port_needs)
		return UP;
	v->port = p;
	return TO_PORT;
}

/* sends reports whether a frame can go to v's VTEP from here. */
INLINE int sends(struct verdict *v, __u32 len)
{
	return (v->to->flags & v->vtep_needs) == v->vtep_needs && len <= v->to->max_frame;
}

#include "route.h"

/* to_station decides on a frame by its destination, once its source is known. */
INLINE int to_station(struct verdict *v, __u32 half, const struct frame *f, const void *l3, const void *end, __u32 in, __u32 in_flags, __u32 now)
{
	if (v->domain->flags & DOMAIN_HEARS && is_heard(f->type, l3, end))
		return UP;
	if (v->domain->flags & DOMAIN_CLAMP && opens_tcp(f, l3, end))
		return UP;
	if (v->domain->gateway && f->dst == v->domain->gateway)
		return route(v, half, f, l3, end, in, in_flags, now);
	return reach(v, half, f->dst, in, in_flags, f->len, now);
}

/* is_sure reports whether a station, which has the MAC src, may be a source. It may have
 * become the gateway's since it was learned. */
INLINE int is_sure(const struct station *s, const struct domain *d, __u64 src, __u32 now)
{
	return !(s->flags & STATION_UNSURE) && src != d->gateway && knows(s, d, now);
}

/* from_access decides on a frame that came in by an access port. */
INLINE int from_access(struct verdict *v, __u32 half, __u32 in, const struct port *p, const struct frame *f, const void *l3, const void *end, __u32 now)
{
	struct station *s;
	int kind;

	v->reason = 0;
	if (p->flags & PORT_SHUT)
		v->reason = PORT_DOWN;
	else if (is_tag(f->type)) {
		/* One with VID 0 may be no more than a priority. */
		if (f->type == bpf_htons(ETH_P_8021Q))
			return UP;
		v->reason = TAGGED_FRAME;
	} else if (is_group(f->src))
		v->reason = SOURCE_MULTICAST;
	else if (!f->src)
		v->reason = SOURCE_ZERO;
	if (v->reason)
		return DROP;
	v->domain_id = p->domain;
	v->domain = domain_of(half, v->domain_id);
	if (!v->domain || !(v->domain->flags & DOMAIN_LIVE))
		return UP;
	s = station_of(v->domain_id, f->src);
	if (!s || s->hop != in || !is_sure(s, v->domain, f->src, now))
		return UP;
	touch(s, now);
	if (is_group(f->dst)) {
		v->reason = RESERVED_DESTINATION;
		return is_reserved(f->dst) ? DROP : UP;
	}
	kind = to_station(v, half, f, l3, end, in, p->flags, now);
	if (kind == TO_VTEP && !(sends(v, f->len) && read_flow(&v->flow, f->type, l3, end)))
		return UP;
	return kind;
}

/* ecn_stays: bit 4 * inner + outer says that the inner ECN field stays what it is, and
 * that the frame is not dropped (RFC 6040 section 4.2, figure 4). */
#define ECN_STAYS 0xf577u

/* from_overlay decides on an inner frame. from is the address that it came from, tos
 * that of the outer header. v's domain is set. */
INLINE int from_overlay(struct verdict *v, __u32 half, const __u32 *from, int v6, __u8 tos, __u16 *vtep_id, const struct frame *f, const void *l3, const void *end, __u32 now)
{
	struct station *s = station_of(v->domain_id, f->src);
	struct vtep *vt;
	int kind;

	if (!s || s->hop < FIRST_VTEP || !is_sure(s, v->domain, f->src, now))
		return UP;
	*vtep_id = s->hop - FIRST_VTEP;
	vt = vtep_of(half, *vtep_id);
	if (!vt || !(vt->flags & VTEP_LIVE) || vt->addr[0] != from[0])
		return UP;
	if (v6 && (vt->addr[1] != from[1] || vt->addr[2] != from[2] || vt->addr[3] != from[3]))
		return UP;
	v->reason = INNER_VLAN;
	if (is_tag(f->type))
		return DROP;
	if (tos & 3) {
		__u32 inner;

		if (f->type == bpf_htons(ETH_P_IP)) {
			if (l3 + 20 > end || *(__u8 *)l3 >> 4 != 4)
				return UP;
			inner = ((__u8 *)l3)[1] & 3;
		} else if (f->type == bpf_htons(ETH_P_IPV6)) {
			if (l3 + 40 > end || *(__u8 *)l3 >> 4 != 6)
				return UP;
			inner = ((__u8 *)l3)[1] >> 4 & 3;
		} else {
			inner = 0;
			tos = 0;
		}
		if (!(ECN_STAYS >> (4 * inner + (tos & 3)) & 1))
			return UP;
	}
	touch(s, now);
	if (is_group(f->dst)) {
		v->reason = RESERVED_DESTINATION;
		return is_reserved(f->dst) ? DROP : UP;
	}
	kind = to_station(v, half, f, l3, end, NO_PORT, 0, now);
	if (kind == TO_VTEP) {
		if (!v->route) {
			v->reason = SPLIT_HORIZON;
			return DROP;
		}
		if (!(sends(v, f->len) && read_flow(&v->flow, f->type, l3, end)))
			return UP;
	}
	return kind;
}
