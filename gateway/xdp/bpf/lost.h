/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Frames that were redirected and that the device did not take: its ring was full, or
 * it is down or gone. The program that redirected them does not hear of it. The kernel
 * has tracepoints there.
 */
#pragma once

#include <bpf/bpf_core_read.h>

struct net {
	__u64 net_cookie;
} __attribute__((preserve_access_index));

struct net_ref {
	struct net *net;
} __attribute__((preserve_access_index));

struct net_device {
	int ifindex;
	struct net_ref nd_net;
} __attribute__((preserve_access_index));

struct sk_buff {
	unsigned int len;
	struct net_device *dev;
	__u8 pkt_type : 3;
} __attribute__((preserve_access_index));

const volatile __u64 netns_cookie = 0; /* of this namespace: others have the same indexes */

SHARED(lost, __u64); /* by the low bits of the index of the interface that frames came in by */

INLINE void count_lost(__u32 from, __u32 frames)
{
	__u32 i = from & (LINKS - 1);
	__u64 *n = bpf_map_lookup_elem(&lost, &i);

	if (n)
		__sync_fetch_and_add(n, frames);
}

/* What a device that is down is not given. */
SEC("tp_btf/xdp_redirect_err") int redirect_refused(__u64 *args)
{
	const struct net_device *from = (const void *)args[0];

	if (from && from->nd_net.net->net_cookie == netns_cookie)
		count_lost(from->ifindex, 1);
	return 0;
}

/* What it was given, some frames at a time, and did not take. */
SEC("tp_btf/xdp_devmap_xmit") int redirect_lost(__u64 *args)
{
	const struct net_device *from = (const void *)args[0];
	int drops = args[3];

	if (drops > 0 && from && from->nd_net.net->net_cookie == netns_cookie)
		count_lost(from->ifindex, drops);
	return 0;
}

#define PACKET_OUTGOING 4

/* At TCX the kernel sends on what was redirected at once, and on the same CPU: what it
 * drops next, of that length and at one of the two interfaces, is that frame. What is on
 * its way out besides is a copy for a packet socket that had no room for it. */
SEC("tp_btf/kfree_skb") int skb_lost(__u64 *args)
{
	const struct sk_buff *skb = (const void *)args[0];
	const struct net_device *at;
	struct note *n = note();
	__u32 index;

	if (!n || !n->sent.by || skb->len != n->sent.len)
		return 0;
	at = skb->dev;
	if (!at || at->nd_net.net->net_cookie != netns_cookie)
		return 0;
	index = at->ifindex;
	if ((index != n->sent.by && index != n->sent.from) || BPF_CORE_READ_BITFIELD(skb, pkt_type) == PACKET_OUTGOING)
		return 0;
	n->sent.by = 0;
	count_lost(n->sent.from, n->sent.frames);
	return 0;
}
