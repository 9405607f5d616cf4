/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Frames that were redirected and that the device did not take: its ring was full, or
 * it is going down. The program that redirected them does not hear of it, for they are
 * sent some at a time. The kernel has a tracepoint there.
 */
#pragma once

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

const volatile __u64 netns_cookie = 0; /* of this namespace: others have the same indexes */

SHARED(lost, __u64); /* by the low bits of the index of the interface that frames came in by */

SEC("tp_btf/xdp_devmap_xmit") int redirect_lost(__u64 *args)
{
	const struct net_device *from = (const void *)args[0];
	int drops = args[3];
	__u32 i;
	__u64 *n;

	if (drops <= 0 || !from || from->nd_net.net->net_cookie != netns_cookie)
		return 0;
	i = from->ifindex & (LINKS - 1);
	n = bpf_map_lookup_elem(&lost, &i);
	if (n)
		__sync_fetch_and_add(n, drops);
	return 0;
}
