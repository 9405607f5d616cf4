/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The same decisions for frames that have a socket buffer, which keeps what their
 * sender left undone: checksums to be filled in, segments to be cut. They come by two
 * programs. A packet socket sees a frame first, and its filter decides: what is certain
 * it does not take, and leaves a note of. The program at TCX ingress, which runs behind
 * it for the same frame, does what the note says. Where no filter has seen a frame, no
 * socket has it: the gateway is not there, and the program at TCX decides alone.
 */
#pragma once

const volatile __u32 room = 0;      /* bytes of the longest frame for the ring */
const volatile __u32 again_mark = 0; /* of a frame that could not be sent as it was decided */
const volatile __u8 for_ring = 0;   /* this filter's frames are those for the ring */

/* A note on the frame that this CPU is at. */
struct note {
	__u64 dst, src; /* the new MACs, of a routed frame */
	__u32 kind;     /* UP: there is none; TAKEN: a socket has taken the frame */
	__u32 domain, came_in;
	__u32 vrf;      /* NO_VRF: not routed */
	__u32 frames, bytes; /* that it counts as */
	__u32 ifindex;  /* to redirect to */
	__u32 half;
	__u16 out, in;  /* ports or VTEPs */
	__u16 sport;
	__u16 type;
	__u8 tos;
	__u8 reason;
	__u32 capture; /* as control has it */
	__u32 by_filter; /* a filter has seen the frame */
	__u32 len, came_by; /* of that frame: another program may have dropped it since */
	struct {
		__u32 by, from; /* interfaces; by is 0 where nothing was sent */
		__u32 len, frames;
	} sent; /* what was redirected last, see lost.h */
};

#define TAKEN 16

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct note);
} notes SEC(".maps");

/* What is read of a frame: as far as a checksum behind an IPv6 header, and no less than
 * all of an IPv4 datagram's headers. A copy begins so that what is behind the Ethernet
 * header is aligned. */
#define READ (ETH_HLEN + 40 + 18)
#define READ_IPV6 (ETH_HLEN + 40 + 8)
#define READ_TCP (ETH_HLEN + 20 + 14)
#define READ_LEAST (ETH_HLEN + 20 + 8)
#define PAD 2

struct copy {
	__u8 pad[PAD];
	__u8 b[READ];
} __attribute__((aligned(8)));

/* read_frame reads a frame that starts off bytes into a buffer and is len long, and
 * returns 0 where it is nothing that is certain. */
INLINE int read_frame(struct copy *to, struct frame *f, struct __sk_buff *skb, __u32 off, __u32 len)
{
	if (len >= READ) {
		if (bpf_skb_load_bytes(skb, off, to->b, READ))
			return 0;
	} else if (len >= READ_IPV6) {
		if (bpf_skb_load_bytes(skb, off, to->b, READ_IPV6))
			return 0;
	} else if (len >= READ_TCP) {
		if (bpf_skb_load_bytes(skb, off, to->b, READ_TCP))
			return 0;
	} else if (len < READ_LEAST || bpf_skb_load_bytes(skb, off, to->b, READ_LEAST)) {
		return 0;
	}
	read_ethernet(f, to->b, len);
	return f->type == bpf_htons(ETH_P_IP) || (f->type == bpf_htons(ETH_P_IPV6) && len >= READ_IPV6);
}

INLINE struct note *note(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&notes, &zero);
}

/* begin_note begins the note of a frame that a filter sees. */
INLINE void begin_note(struct note *n, struct __sk_buff *skb)
{
	n->kind = UP;
	n->by_filter = 1;
	n->len = skb->len;
	n->came_by = skb->ifindex;
}

/* read_note reports whether a filter has seen a frame, and so what becomes of it is in
 * the note. */
INLINE int read_note(struct note *n, struct __sk_buff *skb)
{
	int is = n->by_filter && n->len == skb->len && n->came_by == skb->ifindex;

	n->by_filter = 0;
	if (!is)
		n->kind = UP;
	return is;
}

/* is_mine reports whether a frame is one of this filter's: each is one filter's. */
INLINE int is_mine(struct __sk_buff *skb)
{
	return (!skb->gso_size && skb->len <= room) == !!for_ring;
}

/* measure finds out how many frames of how many bytes a super-frame counts as, and how
 * long the longest of them is; 0 where it is not one of TCP. l3 is off bytes into it. */
INLINE int measure(struct __sk_buff *skb, const struct frame *f, const void *l3, __u32 off, __u32 len, __u32 *frames, __u32 *bytes, __u32 *longest)
{
	__u32 head, proto, payload;
	__u8 doff;

	*frames = 1;
	*bytes = *longest = len;
	if (!skb->gso_size)
		return 1;
	if (f->type == bpf_htons(ETH_P_IP)) {
		proto = ((__u8 *)l3)[9];
		head = 20;
		if (*(__u8 *)l3 != 0x45)
			return 0;
	} else {
		proto = ((__u8 *)l3)[6];
		head = 40;
	}
	if (proto != IPPROTO_TCP || bpf_skb_load_bytes(skb, off + head + 12, &doff, 1))
		return 0;
	head += ETH_HLEN + (doff >> 4) * 4;
	if (len <= head)
		return 0;
	payload = len - head;
	*frames = (payload + skb->gso_size - 1) / skb->gso_size;
	*bytes = len + (*frames - 1) * head;
	*longest = head + skb->gso_size;
	return *frames > 1;
}

/* What is known of the checksum in a frame. */
enum { DONE, UNSURE, UNDONE };

/* state_of tells whether the checksum in a frame is filled in: one that is not holds the
 * pseudo-header's sum, as does a finished one in 65,536. n is the bytes from the IP
 * header on. */
INLINE int state_of(__u16 type, const void *l3, const void *end, __u32 n)
{
	const __u32 *w = l3;
	const void *l4;
	__u32 at, proto;
	__u64 sum;

	if (type == bpf_htons(ETH_P_IP)) {
		if (*(__u8 *)l3 != 0x45 || n < bpf_ntohs(*(__u16 *)(l3 + 2)))
			return UNSURE;
		proto = ((__u8 *)l3)[9];
		sum = (__u64)w[3] + w[4] + bpf_htons(bpf_ntohs(*(__u16 *)(l3 + 2)) - 20);
		l4 = l3 + 20;
	} else {
		proto = ((__u8 *)l3)[6];
		sum = (__u64)w[2] + w[3] + w[4] + w[5] + w[6] + w[7] + w[8] + w[9] + *(__u16 *)(l3 + 4);
		l4 = l3 + 40;
	}
	if (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6)
		return DONE;
	if (proto == IPPROTO_UDP)
		at = 6;
	else if (proto == IPPROTO_TCP)
		at = 16;
	else
		return UNSURE;
	if (l4 + at + 2 > end || !*(__u16 *)(l4 + at))
		return UNSURE; /* without a checksum there may be a tunnel in it, and all there left undone */
	return fold(sum + bpf_htons(proto)) == *(__u16 *)(l4 + at) ? UNDONE : DONE;
}

/* write_note notes what is to be done with a frame, and reports whether that is all
 * that there is to it. */
INLINE int write_note(struct note *n, int kind, const struct verdict *v, const struct control *ctl, __u32 half, __u16 type)
{
	n->capture = ctl->capture;
	n->domain = v->domain_id;
	n->vrf = NO_VRF;
	n->half = half;
	n->out = v->out;
	n->type = type;
	n->reason = v->reason;
	n->sport = v->flow.sport;
	n->tos = v->flow.tos;
	if (kind == TO_VTEP) {
		struct hop *h = hop_of(v->to, v->flow.sport);

		n->ifindex = h ? h->ifindex : v->to->ifindex;
	} else if (kind == TO_PORT) {
		n->ifindex = v->port->ifindex;
	}
	if (v->route) {
		n->vrf = v->vrf;
		n->dst = v->mac;
		n->src = v->domain->gateway;
	}
	n->kind = kind;
	return 1;
}

/* count_skb counts a frame of which the headers from the IP header on are read. */
INLINE void count_skb(struct __sk_buff *skb, __u16 type, const void *l3, const void *end, __u32 n)
{
	__u32 i = skb->ifindex & (LINKS - 1), zero = 0;
	struct load *l = bpf_map_lookup_elem(&loads, &i), *all = bpf_map_lookup_elem(&loads, &zero);

	if (l && all) {
		l->skbs++;
		all->skbs++;
		if (skb->gso_size || state_of(type, l3, end, n) == UNDONE)
			l->undone++;
	}
}

/* decide_access reports whether what is to be done with a frame at a port is certain, and
 * noted. */
INLINE int decide_access(struct __sk_buff *skb, struct note *n, const struct control *ctl)
{
	struct copy c = {};
	const void *l3 = c.b + ETH_HLEN, *end = &c + 1;
	__u32 half, longest, len = skb->len;
	struct verdict v = { .port_needs = PORT_LIVE, .vtep_needs = VTEP_HOP };
	struct frame f;
	struct link *l;
	struct port *p;
	int kind;

	if (skb->vlan_present || skb->mark == again_mark)
		return 0;
	half = ctl->half & 1;
	l = link_of(half, skb->ifindex);
	if (!l || !(l->flags & LINK_ACCESS))
		return 0;
	p = port_of(half, l->port);
	if (!p || !(p->flags & PORT_LIVE))
		return 0;
	if (!read_frame(&c, &f, skb, 0, len))
		return 0;
	count_skb(skb, f.type, l3, end, len - ETH_HLEN);
	if (sums || !measure(skb, &f, l3, ETH_HLEN, len, &n->frames, &n->bytes, &longest))
		return 0;
	f.len = longest;
	kind = from_access(&v, half, l->port, p, &f, l3, end, tick());
	if (kind != TO_PORT && kind != TO_VTEP)
		return 0;
	n->in = l->port;
	n->came_in = p->domain;
	return write_note(n, kind, &v, ctl, half, f.type);
}

INLINE int decide_underlay(struct __sk_buff *skb, struct note *n, const struct control *ctl)
{
	struct copy c = {}, outer = {};
	const void *l3 = c.b + ETH_HLEN, *end = &c + 1;
	__u32 half, len = skb->len, domain;
	struct verdict v = { .port_needs = PORT_LIVE, .vtep_needs = VTEP_HOP };
	struct packet k;
	struct frame f;
	struct link *l;
	int kind;

	if (outer_vlan || skb->vlan_present || skb->mark == again_mark || skb->pkt_type != 0 || len < OUTER_LEN + READ_LEAST)
		return 0;
	half = ctl->half & 1;
	l = link_of(half, skb->ifindex);
	if (!l || !(l->flags & LINK_UNDERLAY))
		return 0;
	if (bpf_skb_load_bytes(skb, 0, outer.b, OUTER_LEN))
		return 0;
	if (!read_outer(&k, outer.b, &outer + 1, 0, len, l->mac) || *(__u16 *)(k.udp + 6))
		return 0;
	if (!has_vni(&k) || (strict && is_reserved_set(&k)))
		return 0;
	domain = vni_of(half, vni_in(&k));
	v.domain_id = domain;
	v.domain = domain_of(half, domain);
	if (!v.domain || !(v.domain->flags & DOMAIN_LIVE))
		return 0;
	if (!read_frame(&c, &f, skb, OUTER_LEN, len - OUTER_LEN))
		return 0;
	count_skb(skb, f.type, l3, end, len - OUTER_LEN - ETH_HLEN);
	n->frames = 1;
	n->bytes = f.len;
	/* The kernel keeps in mind that a super-frame was in a tunnel, and some drivers
	 * drop one that is in none. */
	if (skb->gso_size)
		return 0;
	kind = from_overlay(&v, half, k.from, underlay_v6, k.tos, &n->in, &f, l3, end, tick());
	/* Back into the overlay what the kernel keeps in mind of the tunnel is in the way. */
	if (kind != TO_PORT)
		return 0;
	/* Nor is a device to fill in a checksum in what it takes for a tunnel. A host on
	 * this machine does not look at it. */
	if (!(v.port->flags & PORT_VETH) && state_of(f.type, l3, end, len - OUTER_LEN - ETH_HLEN) != DONE)
		return 0;
	n->came_in = domain;
	return write_note(n, kind, &v, ctl, half, f.type);
}

/* is_vxlan reports whether a packet is VXLAN for this VTEP that the packet sockets are
 * to take from the host's stack: unicast and whole, without options, extension headers
 * or a tag. */
INLINE int is_vxlan(struct __sk_buff *skb)
{
	struct copy c = {};
	const void *b = c.b, *ip = c.b + ETH_HLEN;
	const __u32 *w = ip;

	if (skb->pkt_type != 0 || skb->vlan_present || skb->len < ETH_HLEN + OUTER_IP + UDP_LEN)
		return 0;
	if (bpf_skb_load_bytes(skb, 0, c.b, ETH_HLEN + OUTER_IP + UDP_LEN))
		return 0;
	if (*(__u16 *)(ip + OUTER_IP + 2) != vxlan_port)
		return 0;
	if (underlay_v6)
		return *(__u16 *)(b + 12) == bpf_htons(ETH_P_IPV6) && ((__u8 *)ip)[6] == IPPROTO_UDP && w[6] == local_addr[0] &&
		       w[7] == local_addr[1] && w[8] == local_addr[2] && w[9] == local_addr[3];
	return *(__u16 *)(b + 12) == bpf_htons(ETH_P_IP) && *(__u8 *)ip == 0x45 && ((__u8 *)ip)[9] == IPPROTO_UDP &&
	       !(*(__u16 *)(ip + 6) & bpf_htons(0x3fff)) && w[4] == local_addr[0];
}

/* sees returns what is in force where a frame is this filter's to decide about: 0 while
 * the programs of a former gateway are still there to do so. */
INLINE const struct control *sees(struct __sk_buff *skb)
{
	__u32 zero = 0;
	const struct control *ctl;

	if (!is_mine(skb))
		return 0;
	ctl = bpf_map_lookup_elem(&in_force, &zero);
	return ctl && !(ctl->flags & CONTROL_QUIET) ? ctl : 0;
}

SEC("socket") int port_filter(struct __sk_buff *skb)
{
	const struct control *ctl = sees(skb);
	struct note *n = note();

	if (!n || !ctl)
		return 0;
	begin_note(n, skb);
	return decide_access(skb, n, ctl) ? 0 : -1;
}

SEC("socket") int underlay_filter(struct __sk_buff *skb)
{
	const struct control *ctl = sees(skb);
	struct note *n = note();

	if (!n || !ctl)
		return 0;
	begin_note(n, skb);
	if (decide_underlay(skb, n, ctl))
		return 0;
	if (!is_vxlan(skb))
		return 0;
	n->kind = TAKEN;
	return -1;
}

#define TCX_NEXT -1
#define TCX_PASS 0
#define TCX_DROP 2

/* onwards is what becomes of a frame that goes up. */
INLINE int onwards(const struct control *ctl, int by_filter)
{
	return by_filter && ctl->flags & CONTROL_LAST ? TCX_PASS : TCX_NEXT;
}

/* came_in tells of a frame that has come in. skip is bytes in front of it. */
INLINE void came_in(struct __sk_buff *skb, const struct note *n, __u32 flags, __u32 skip)
{
	if (n->capture)
		seen_skb(skb, skb->ifindex, vni_at(n->half, n->came_in), WHAT(flags, 0), n->capture | skip << 16);
}

/* redirected tells of a frame that was sent somewhere, and counts it. */
INLINE int redirected(struct __sk_buff *skb, struct verdicts *c, __u32 cpu, __u32 direction, struct note *n, __u32 len)
{
	__u32 flags = EVENT_OUT | (n->kind == TO_PORT ? 0 : EVENT_UNDERLAY) | (direction == ROUTE ? EVENT_ROUTE : 0) |
		      (direction == OVERLAY ? EVENT_OVERLAY : 0);

	if (n->capture)
		seen_skb(skb, n->ifindex, vni_at(n->half, n->domain), WHAT(flags, 0), n->capture);
	if (n->kind == TO_PORT) {
		count_kind(c, direction, KIND_PORT);
		count_tx(cpu, OF_PORT, n->out, 1, len);
	} else {
		count_kind(c, direction, KIND_VTEP);
		count_tx(cpu, OF_VTEP, n->out, n->frames, n->bytes);
		count_tx(cpu, OF_DOMAIN, n->domain, n->frames, n->bytes);
	}
	n->sent.by = n->ifindex;
	n->sent.from = skb->ifindex;
	n->sent.len = skb->len;
	n->sent.frames = n->frames;
	return bpf_redirect(n->ifindex, 0);
}

/* again has a frame come in once more, to go up: the kernel cannot do with it what was
 * decided. It puts no tunnel around what is in one already. */
INLINE int again(struct __sk_buff *skb)
{
	skb->mark = again_mark;
	return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
}

/* route_skb makes a packet one of the gateway's, a hop further on. */
INLINE int route_skb(struct __sk_buff *skb, const struct note *n, __u32 at)
{
	struct copy c = {};

	if (bpf_skb_load_bytes(skb, at, c.b, ETH_HLEN + 20))
		return 0;
	take_hop(c.b, c.b + ETH_HLEN, n->type, n->dst, n->src);
	return !bpf_skb_store_bytes(skb, at, c.b, ETH_HLEN + 20, 0);
}

/* encap_skb puts outer headers in front of a frame. Room is made behind its Ethernet
 * header, which moves in front to be overwritten: what lies between UDP and the inner
 * MAC header the kernel takes for the tunnel's. */
INLINE int encap_skb(struct __sk_buff *skb, const struct note *n)
{
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2_ETH |
		      BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN) | (underlay_v6 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 : BPF_F_ADJ_ROOM_ENCAP_L3_IPV4);
	struct {
		__u8 pad[PAD];
		__u8 b[ETH_HLEN + 40 + UDP_LEN + VXLAN_LEN + ETH_HLEN];
	} __attribute__((aligned(8))) outer = {};
	struct verdict v = {};
	__u32 len = skb->len;

	v.to = vtep_of(n->half, n->out);
	if (!v.to || outer_vlan || len > 0xff00)
		return 0;
	v.domain = domain_of(n->half, n->domain);
	if (!v.domain)
		return 0;
	v.flow.sport = n->sport;
	v.flow.tos = n->tos;
	if (bpf_skb_load_bytes(skb, 0, outer.b + OUTER_LEN, ETH_HLEN))
		return 0;
	if (bpf_skb_adjust_room(skb, OUTER_LEN, BPF_ADJ_ROOM_MAC, flags))
		return 0;
	put_outer(outer.b, &v, hop_of(v.to, n->sport), 0, len, 0);
	return !bpf_skb_store_bytes(skb, 0, outer.b, OUTER_LEN + ETH_HLEN, 0);
}

/* decap_skb takes the outer headers away, and the inner Ethernet header to the front. */
INLINE int decap_skb(struct __sk_buff *skb)
{
	__u8 b[ETH_HLEN];

	if (bpf_skb_load_bytes(skb, OUTER_LEN, b, sizeof(b)))
		return 0;
	if (bpf_skb_adjust_room(skb, -(int)OUTER_LEN, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
		return 0;
	return !bpf_skb_store_bytes(skb, 0, b, sizeof(b), 0);
}

SEC("tcx/ingress") int port_tcx(struct __sk_buff *skb)
{
	__u32 zero = 0, direction = ACCESS, cpu = bpf_get_smp_processor_id(), len = skb->len;
	struct verdicts *c = bpf_map_lookup_elem(&verdict_counts, &cpu);
	const struct control *ctl = bpf_map_lookup_elem(&in_force, &zero);
	struct note *n = note();
	int by_filter;

	if (!n || !c || !ctl)
		return TCX_NEXT;
	n->sent.by = 0;
	by_filter = read_note(n, skb);
	if (!by_filter)
		decide_access(skb, n, ctl);
	if (n->kind == UP)
		return onwards(ctl, by_filter);
	if (n->kind == TO_VTEP && !encap_skb(skb, n))
		return again(skb);
	came_in(skb, n, 0, n->kind == TO_VTEP ? OUTER_LEN : 0);
	if (n->vrf != NO_VRF) {
		if (!route_skb(skb, n, n->kind == TO_VTEP ? OUTER_LEN : 0))
			return TCX_DROP; /* never: it was read a moment ago */
		count_routed(c, cpu, ACCESS, n->vrf, len);
		direction = ROUTE;
	}
	count_rx(cpu, OF_PORT, n->in, 1, len);
	return redirected(skb, c, cpu, direction, n, len);
}

SEC("tcx/ingress") int underlay_tcx(struct __sk_buff *skb)
{
	__u32 zero = 0, direction = OVERLAY, cpu = bpf_get_smp_processor_id(), len = skb->len - OUTER_LEN;
	struct verdicts *c = bpf_map_lookup_elem(&verdict_counts, &cpu);
	const struct control *ctl = bpf_map_lookup_elem(&in_force, &zero);
	struct note *n = note();
	int by_filter;

	if (!n || !c || !ctl)
		return TCX_NEXT;
	n->sent.by = 0;
	by_filter = read_note(n, skb);
	if (!by_filter)
		decide_underlay(skb, n, ctl);
	if (n->kind == UP)
		return onwards(ctl, by_filter);
	if (n->kind == TAKEN)
		return TCX_DROP;
	came_in(skb, n, EVENT_UNDERLAY | EVENT_OVERLAY, 0);
	if (!decap_skb(skb))
		return again(skb); /* never, while there is memory */
	count_rx(cpu, OF_VTEP, n->in, n->frames, n->bytes);
	count_rx(cpu, OF_DOMAIN, n->came_in, n->frames, n->bytes);
	if (n->vrf != NO_VRF) {
		if (!route_skb(skb, n, 0))
			return TCX_DROP; /* never */
		count_routed(c, cpu, OVERLAY, n->vrf, len);
		direction = ROUTE;
	}
	return redirected(skb, c, cpu, direction, n, len);
}
