/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Frames are told of while somebody captures. In between that is one branch on a word
 * that lies beside the one that every frame reads first.
 */
#pragma once

/* Where frames that are told of go: a ring for each CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} events SEC(".maps");

SHARED(unseen, __u64); /* that there was no room for, by the low bits of the index of its interface */

/* told makes an event. what has its flags in the low half, and in the upper one the
 * reason that it is dropped for. */
INLINE void told(struct event *e, __u32 ifindex, __u32 len, __u32 vni, __u32 what, __u32 skip)
{
	e->ns = bpf_ktime_get_ns();
	e->ifindex = ifindex;
	e->len = len - skip;
	e->vni = vni;
	e->skip = skip;
	e->flags = what;
	e->reason = what >> 16;
	e->pad = 0;
}

/* tell sends an event and of its frame, which is len long, what is asked for. */
INLINE void tell(void *ctx, struct event *e, __u32 len, __u32 keep)
{
	__u32 i = e->ifindex & (LINKS - 1);
	__u64 *n;

	if (keep > len)
		keep = len;
	e->kept = keep;
	if (!bpf_perf_event_output(ctx, &events, (__u64)(keep & 0xffff) << 32 | BPF_F_CURRENT_CPU, e, sizeof(*e)))
		return;
	n = bpf_map_lookup_elem(&unseen, &i);
	if (n)
		__sync_fetch_and_add(n, 1);
}

#define WHAT(flags, reason) ((flags) | (__u32)(reason) << 16)

/* The frame that a program has is told of. vni is as in a VXLAN header, and what as
 * told has it. These are functions of their own: they are called seldom, and their
 * memory on the stack is not the callers'. */
static __noinline int seen_xdp(struct xdp_md *ctx, __u32 ifindex, __u32 vni, __u32 what, __u32 keep)
{
	__u32 len = frags ? bpf_xdp_get_buff_len(ctx) : ctx->data_end - ctx->data;
	struct event e;

	told(&e, ifindex, len, vni, what, 0);
	tell(ctx, &e, len, keep);
	return 0;
}

/* seen_skb is the same for a frame with a socket buffer. skip is in the upper half of
 * keep. */
static __noinline int seen_skb(struct __sk_buff *skb, __u32 ifindex, __u32 vni, __u32 what, __u32 keep)
{
	__u32 len = skb->len, skip = keep >> 16;
	struct event e;

	told(&e, ifindex, len, vni, what, skip);
	tell(skb, &e, len, (keep & 0xffff) + skip);
	return 0;
}
