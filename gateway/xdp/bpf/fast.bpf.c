// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The gateway's programs for XDP: one for access ports and one for the underlay, each
 * in a variant for what an interface can tell of a frame besides its bytes. */
#include "outer.h"

const volatile __u8 frags = 0; /* frames may be in several pieces (Linux 5.18) */

/* What is known of a frame besides its bytes, to a program that is bound to its device
 * (Linux 6.3, and 6.8 for tags). */
extern int bpf_xdp_metadata_rx_vlan_tag(const struct xdp_md *ctx, __be16 *proto, __u16 *tci) __ksym __weak;
extern int bpf_xdp_metadata_rx_timestamp(const struct xdp_md *ctx, __u64 *ns) __ksym __weak;

/* The variants. On a veth what has a socket buffer comes from a sender on this machine,
 * who may have left checksums and the cutting of super-frames to the device, and has
 * its tag beside it: nothing of that survives a redirect. What comes from another XDP
 * program has none of it. Some network cards put tags beside the frame. */
enum { PLAIN, VETH, TAGS };

/* As forward.Direction and forward.Kind have them. */
enum { ACCESS, OVERLAY, ROUTE };
enum { KIND_DROP = 0, KIND_PORT = 1, KIND_VTEP = 2, KIND_ROUTER = 5 };
enum { TX_FAILED = 37 };

#include "seen.h"

INLINE __u32 length(struct xdp_md *ctx)
{
	return frags ? bpf_xdp_get_buff_len(ctx) : ctx->data_end - ctx->data;
}

/* vni_at returns the VNI of a domain, as in a VXLAN header. */
INLINE __u32 vni_at(__u32 half, __u32 domain)
{
	struct domain *d = domain_of(half, domain);

	return d ? d->vni : 0;
}

/* need says what whoever a frame is redirected to must be able to take. */
INLINE void need(struct verdict *v, int pieces)
{
	v->port_needs = PORT_TARGET | (pieces ? PORT_FRAGS : 0);
	v->vtep_needs = VTEP_READY | (pieces ? VTEP_FRAGS : 0);
}

INLINE void count_kind(struct verdicts *c, __u32 direction, __u32 kind)
{
	c->kinds[direction][kind]++;
}

INLINE void count_drop(struct verdicts *c, __u32 direction, __u8 reason)
{
	count_kind(c, direction, KIND_DROP);
	c->dropped[direction][reason & (REASONS - 1)]++;
}

/* count_routed counts a frame that came from one direction to be routed, and was. */
INLINE void count_routed(struct verdicts *c, __u32 cpu, __u32 from, __u32 vrf, __u32 len)
{
	count_kind(c, from, KIND_ROUTER);
	count_rx(cpu, OF_VRF, vrf, 1, len);
	count_tx(cpu, OF_VRF, vrf, 1, len);
}

/* drop counts a frame that is dropped. One a tick of each reason goes up instead, so
 * that whoever tells of drops there has something to tell. */
INLINE int drop(struct verdicts *c, __u32 direction, __u8 reason, __u32 now)
{
	__u32 i = direction * REASONS + (reason & (REASONS - 1));
	__u32 *last = bpf_map_lookup_elem(&samples, &i);

	if (!last || *last != now) {
		if (last)
			*last = now;
		return XDP_PASS;
	}
	count_drop(c, direction, reason);
	return XDP_DROP;
}

INLINE struct load *load_of(struct xdp_md *ctx)
{
	__u32 i = ctx->ingress_ifindex & (LINKS - 1);

	return bpf_map_lookup_elem(&loads, &i);
}

/* is_local reports whether a frame must go up for what is not in its bytes. */
INLINE int is_local(struct xdp_md *ctx, int variant)
{
	__be16 proto;
	__u16 tci;
	__u64 ns;

	if (variant == VETH) {
		struct load *l;
		int local = !bpf_xdp_metadata_rx_timestamp(ctx, &ns);

		l = load_of(ctx);
		if (l) {
			l->xdp++;
			l->local += local;
		}
		return local;
	}
	return variant == TAGS && !bpf_xdp_metadata_rx_vlan_tag(ctx, &proto, &tci);
}

/* inner_sum returns the sum of the bytes from off on, and -1 where not all can be added
 * up. */
__noinline int inner_sum(struct xdp_md *ctx, __u32 off)
{
	void *p = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 sum = 0;

	if (off > 256 || length(ctx) != (__u32)(end - p))
		return -1; /* there are more pieces than this */
	p += off;
	for (int i = 0; i < SUM_STEPS; i++) {
		__u32 *w = p;

		if (p + SUM_STEP > end)
			break;
		sum += (__u64)w[0] + w[1] + w[2] + w[3] + w[4] + w[5] + w[6] + w[7];
		p += SUM_STEP;
	}
	for (int i = 0; i < SUM_STEP / 4 - 1; i++) {
		if (p + 4 > end)
			break;
		sum += *(__u32 *)p;
		p += 4;
	}
	if (p + 2 <= end) {
		sum += *(__u16 *)p;
		p += 2;
	}
	if (p + 1 <= end) {
		sum += *(__u8 *)p;
		p += 1;
	}
	return p < end ? -1 : fold(sum);
}

/* refuse drops a packet for what is in front of its inner frame. One from where no host
 * is others drop, for that reason. */
INLINE int refuse(struct xdp_md *ctx, const struct control *ctl, struct verdicts *c, const struct packet *k, __u8 reason, __u32 now)
{
	__u32 vni = vni_in(k);

	if (!is_host(k->from) || drop(c, OVERLAY, reason, now) != XDP_DROP)
		return XDP_PASS;
	if (ctl->capture)
		seen_xdp(ctx, ctx->ingress_ifindex, reason == VXLAN_FLAGS ? 0 : vni, WHAT(EVENT_UNDERLAY | EVENT_OVERLAY, reason), ctl->capture);
	return XDP_DROP;
}

/* sent_xdp tells of a frame that was redirected, or could not be. */
INLINE void sent_xdp(struct xdp_md *ctx, const struct control *ctl, __u32 ifindex, __u32 vni, __u32 to, __u32 direction, int r)
{
	__u32 flags = EVENT_OUT | to | (direction == ROUTE ? EVENT_ROUTE : 0) | (direction == OVERLAY ? EVENT_OVERLAY : 0);

	if (ctl->capture)
		seen_xdp(ctx, ifindex, vni, WHAT(flags, r == XDP_REDIRECT ? 0 : TX_FAILED), ctl->capture);
}

/* redirect sends a frame. There is a device unless that has gone this moment. */
INLINE int redirect(struct verdicts *c, __u32 direction, __u32 dev)
{
	int r = bpf_redirect_map(&devs, dev, XDP_DROP);

	if (r != XDP_REDIRECT)
		count_drop(c, direction, TX_FAILED);
	return r;
}

INLINE int to_port(struct xdp_md *ctx, const struct control *ctl, struct verdicts *c, __u32 cpu, __u32 direction, const struct verdict *v, __u32 len)
{
	int r = redirect(c, direction, v->out);

	sent_xdp(ctx, ctl, v->port->ifindex, v->domain->vni, 0, direction, r);

	if (r == XDP_REDIRECT) {
		count_kind(c, direction, KIND_PORT);
		count_tx(cpu, OF_PORT, v->out, 1, len);
	}
	return r;
}

/* to_vtep encapsulates a frame. Room for the headers is in front of it. */
INLINE int to_vtep(struct xdp_md *ctx, const struct control *ctl, struct verdicts *c, __u32 cpu, __u32 direction, const struct verdict *v, __u32 len, __u32 inner)
{
	struct hop *h = hop_of(v->to, v->flow.sport);
	void *p;
	int r;

	p = (void *)(long)ctx->data;
	if (p + OUTER_LEN > (void *)(long)ctx->data_end)
		return XDP_DROP; /* never: there is room now */
	put_outer(p, v, h, OUTER_TAG, len, inner);
	r = redirect(c, direction, h ? h->dev : v->to->dev);
	sent_xdp(ctx, ctl, h ? h->ifindex : v->to->ifindex, v->domain->vni, EVENT_UNDERLAY, direction, r);
	if (r == XDP_REDIRECT) {
		count_kind(c, direction, KIND_VTEP);
		count_tx(cpu, OF_VTEP, v->out, 1, len);
		count_tx(cpu, OF_DOMAIN, v->domain_id, 1, len);
	}
	return r;
}

INLINE int from_port(struct xdp_md *ctx, int variant)
{
	void *eth = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 zero = 0, half, cpu, now, direction = ACCESS;
	struct control *ctl = bpf_map_lookup_elem(&in_force, &zero);
	struct verdict v = {};
	struct verdicts *c;
	struct frame f;
	struct link *l;
	struct port *p;
	int kind, sum = 0;

	if (!ctl || eth + ETH_HLEN > end)
		return XDP_PASS;
	half = ctl->half & 1;
	l = link_of(half, ctx->ingress_ifindex);
	if (!l || !(l->flags & LINK_ACCESS) || is_local(ctx, variant))
		return XDP_PASS;
	p = port_of(half, l->port);
	cpu = bpf_get_smp_processor_id();
	c = bpf_map_lookup_elem(&verdict_counts, &cpu);
	if (!p || !(p->flags & PORT_LIVE) || !c)
		return XDP_PASS;
	now = tick();
	read_ethernet(&f, eth, length(ctx));
	need(&v, f.len > (__u32)(end - eth));
	kind = from_access(&v, half, l->port, p, &f, eth + ETH_HLEN, end, now);
	switch (kind) {
	case DROP:
		kind = drop(c, ACCESS, v.reason, now);
		if (kind == XDP_DROP) {
			count_rx(cpu, OF_PORT, l->port, 1, f.len);
			if (ctl->capture)
				seen_xdp(ctx, l->ifindex, v.domain ? v.domain->vni : 0, WHAT(0, v.reason), ctl->capture);
		}
		return kind;
	case TO_VTEP:
		if (sums) {
			if (v.route)
				return XDP_PASS; /* it changes before it is summed up */
			sum = inner_sum(ctx, 0);
			if (sum < 0)
				return XDP_PASS;
		}
		break;
	case TO_PORT:
		break;
	default:
		return XDP_PASS;
	}
	if (ctl->capture)
		seen_xdp(ctx, l->ifindex, vni_at(half, p->domain), WHAT(0, 0), ctl->capture);
	if (v.route) {
		eth = (void *)(long)ctx->data;
		if (eth + ETH_HLEN + 20 > (void *)(long)ctx->data_end)
			return XDP_PASS;
		count_routed(c, cpu, ACCESS, v.vrf, f.len);
		take_hop(eth, eth + ETH_HLEN, f.type, v.mac, v.domain->gateway);
		direction = ROUTE;
	}
	count_rx(cpu, OF_PORT, l->port, 1, f.len);
	if (kind == TO_PORT)
		return to_port(ctx, ctl, c, cpu, direction, &v, f.len);
	if (bpf_xdp_adjust_head(ctx, -(int)OUTER_LEN)) {
		count_drop(c, direction, TX_FAILED);
		return XDP_DROP;
	}
	return to_vtep(ctx, ctl, c, cpu, direction, &v, f.len, sum);
}

INLINE int from_underlay(struct xdp_md *ctx, int variant)
{
	void *p = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end, *eth;
	__u32 zero = 0, half, cpu, now, direction = OVERLAY, len, came_in;
	struct control *ctl = bpf_map_lookup_elem(&in_force, &zero);
	struct verdict v = {};
	struct verdicts *c;
	struct packet k;
	struct frame f;
	struct link *l;
	__u16 vtep = 0xffff;
	int kind, sum = 0;

	if (!ctl)
		return XDP_PASS;
	half = ctl->half & 1;
	l = link_of(half, ctx->ingress_ifindex);
	if (!l || !(l->flags & LINK_UNDERLAY))
		return XDP_PASS;
	len = length(ctx);
	if (!read_outer(&k, p, end, OUTER_TAG, len, l->mac) || is_local(ctx, variant))
		return XDP_PASS;
	cpu = bpf_get_smp_processor_id();
	c = bpf_map_lookup_elem(&verdict_counts, &cpu);
	if (!c)
		return XDP_PASS;
	now = tick();
	if (*(__u16 *)(k.udp + 6)) {
		/* The pseudo-header's length is the UDP header's. */
		__u64 s = bpf_htons(IPPROTO_UDP) + *(__u16 *)(k.udp + 4);
		const __u32 *w = k.from;

		s += (__u64)w[0] + w[1];
		if (underlay_v6)
			s += (__u64)w[2] + w[3] + w[4] + w[5] + w[6] + w[7];
		sum = inner_sum(ctx, OUTER_LEN - UDP_LEN - VXLAN_LEN);
		if (sum < 0 || fold(s + sum) != 0xffff)
			return XDP_PASS;
	}
	if (!has_vni(&k))
		return refuse(ctx, ctl, c, &k, VXLAN_FLAGS, now);
	if (strict && is_reserved_set(&k))
		return refuse(ctx, ctl, c, &k, VXLAN_RESERVED, now);
	v.domain_id = vni_of(half, vni_in(&k));
	came_in = v.domain_id;
	v.domain = domain_of(half, v.domain_id);
	if (!v.domain)
		return ctl->flags >> half & CONTROL_ALL_VNIS ? refuse(ctx, ctl, c, &k, UNKNOWN_VNI, now) : XDP_PASS;
	if (!(v.domain->flags & DOMAIN_LIVE))
		return XDP_PASS;
	need(&v, len > (__u32)(end - p));
	eth = p + OUTER_LEN;
	if (eth + ETH_HLEN > end)
		return XDP_PASS;
	read_ethernet(&f, eth, len - OUTER_LEN);
	kind = from_overlay(&v, half, k.from, underlay_v6, k.tos, &vtep, &f, eth + ETH_HLEN, end, now);
	switch (kind) {
	case DROP:
		kind = drop(c, OVERLAY, v.reason, now);
		if (kind == XDP_DROP) {
			count_rx(cpu, OF_VTEP, vtep, 1, f.len);
			count_rx(cpu, OF_DOMAIN, v.domain_id, 1, f.len);
			if (ctl->capture)
				seen_xdp(ctx, l->ifindex, v.domain->vni, WHAT(EVENT_UNDERLAY | EVENT_OVERLAY, v.reason), ctl->capture);
		}
		return kind;
	case TO_VTEP:
		if (sums)
			return XDP_PASS; /* it is routed, and changes before it is summed up */
		break;
	case TO_PORT:
		break;
	default:
		return XDP_PASS;
	}
	if (ctl->capture)
		seen_xdp(ctx, l->ifindex, vni_at(half, came_in), WHAT(EVENT_UNDERLAY | EVENT_OVERLAY, 0), ctl->capture);
	count_rx(cpu, OF_VTEP, vtep, 1, f.len);
	count_rx(cpu, OF_DOMAIN, came_in, 1, f.len);
	if (v.route) {
		count_routed(c, cpu, OVERLAY, v.vrf, f.len);
		take_hop(eth, eth + ETH_HLEN, f.type, v.mac, v.domain->gateway);
		direction = ROUTE;
	}
	if (kind == TO_VTEP)
		return to_vtep(ctx, ctl, c, cpu, direction, &v, f.len, sum);
	if (bpf_xdp_adjust_head(ctx, OUTER_LEN)) {
		count_drop(c, direction, TX_FAILED);
		return XDP_DROP;
	}
	return to_port(ctx, ctl, c, cpu, direction, &v, f.len);
}

#include "skb.h"
#include "lost.h"

SEC("xdp") int access(struct xdp_md *ctx) { return from_port(ctx, PLAIN); }
SEC("xdp") int access_veth(struct xdp_md *ctx) { return from_port(ctx, VETH); }
SEC("xdp") int access_tags(struct xdp_md *ctx) { return from_port(ctx, TAGS); }
SEC("xdp") int underlay(struct xdp_md *ctx) { return from_underlay(ctx, PLAIN); }
SEC("xdp") int underlay_veth(struct xdp_md *ctx) { return from_underlay(ctx, VETH); }
SEC("xdp") int underlay_tags(struct xdp_md *ctx) { return from_underlay(ctx, TAGS); }

char _license[] SEC("license") = "Dual MIT/GPL";
