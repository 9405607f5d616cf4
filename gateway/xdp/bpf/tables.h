/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The tables, and how things are found in them. */
#pragma once
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "layout.h"

#define INLINE static __always_inline

/* Set when the programs are loaded: sizes, which the gateway gives the maps too, and
 * what of the configuration does not change while it runs. */
const volatile __u32 max_ports = 1, max_domains = 1, max_vteps = 1;
const volatile __u32 max_vni_buckets = 1; /* a power of two */
const volatile __u64 fdb_buckets = 1;
const volatile __u32 route_mask = 0;      /* routes - 1 */
const volatile __u32 traffic_base[4] = {}; /* of ports, VTEPs, domains, VRFs */
const volatile __u32 traffic_len = 1;     /* of one CPU */
const volatile __u64 hash_seed[4] = { 1, 1, 1, 1 };

#define SHARED(name_, type_) \
	struct { \
		__uint(type, BPF_MAP_TYPE_ARRAY); \
		__uint(map_flags, BPF_F_MMAPABLE); \
		__uint(max_entries, 1); \
		__type(key, __u32); \
		__type(value, type_); \
	} name_ SEC(".maps")

SHARED(in_force, struct control);
SHARED(links, struct link);          /* two halves */
SHARED(ports, struct port);          /* two halves */
SHARED(domains, struct domain);      /* two halves */
SHARED(vteps, struct vtep);          /* two halves */
SHARED(hops, struct hop);            /* two halves */
SHARED(vnis, struct vni_bucket);     /* two halves */
SHARED(fdb, struct fdb_bucket);
SHARED(routes, struct route);
SHARED(traffics, struct traffic);    /* one part for each CPU */
SHARED(verdict_counts, struct verdicts); /* one for each CPU */
SHARED(own, __u64);                  /* filters of the gateway's own addresses, 64 words for each VRF */

SHARED(loads, struct load);          /* by the low bits of an interface's index */
SHARED(samples, __u32);              /* when a drop was last handed up, by direction and reason */

/* Where frames are redirected to: ports by number, then the underlay's interfaces. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} devs SEC(".maps");

/* tick is the unit of ageing: 2^30 ns. The coarse clock costs a few ns. */
INLINE __u32 tick(void) { return bpf_ktime_get_coarse_ns() >> 30; }

INLINE struct link *link_of(__u32 half, __u32 ifindex)
{
	__u32 i = half * LINKS + (ifindex & (LINKS - 1));
	struct link *l = bpf_map_lookup_elem(&links, &i);

	return l && l->ifindex == ifindex ? l : 0;
}

INLINE struct port *port_of(__u32 half, __u32 n)
{
	__u32 i = half * max_ports + n;

	return n < max_ports ? bpf_map_lookup_elem(&ports, &i) : 0;
}

INLINE struct domain *domain_of(__u32 half, __u32 n)
{
	__u32 i = half * max_domains + n;

	return n < max_domains ? bpf_map_lookup_elem(&domains, &i) : 0;
}

INLINE struct vtep *vtep_of(__u32 half, __u32 n)
{
	__u32 i = half * max_vteps + n;

	return n < max_vteps ? bpf_map_lookup_elem(&vteps, &i) : 0;
}

/* hop_of returns the hop of a flow, 0 where there is no choice. It is VTEP.HopFor of
 * gateway/forward. */
INLINE struct hop *hop_of(const struct vtep *vt, __u16 sport)
{
	__u32 i;

	if (vt->hops <= 1)
		return 0;
	i = vt->first_hop + ((sport * 0x9e3779b1u >> 16) * vt->hops >> 16);
	return bpf_map_lookup_elem(&hops, &i);
}

/* differs is 1 where a and b differ and 0 where not, without a branch: which way of a
 * bucket a key is in is as good as random, and a wrong guess costs more than this. It
 * also keeps the verifier on one path. */
INLINE __u32 differs(__u64 a, __u64 b)
{
	__u64 x = a ^ b;

	x |= -x;
	asm volatile("" : "+r"(x)); /* or it becomes a comparison again */
	return x >> 63;
}

/* way_of returns which way of a bucket has a key, 4 where none has. */
INLINE __u32 way_of(const struct fdb_bucket *b, __u64 key)
{
	__u32 n0 = differs(b->way[0].key, key);
	__u32 n1 = n0 & differs(b->way[1].key, key);
	__u32 n2 = n1 & differs(b->way[2].key, key);

	return n0 + n1 + n2 + (n2 & differs(b->way[3].key, key));
}

/* station_of finds a station: in the one bucket that it may be in, or in the other. The
 * MAC of zeros is nobody's, and the key of an empty place. */
INLINE struct station *station_of(__u32 domain, __u64 mac)
{
	__u64 key = (__u64)domain << 48 | mac, h = (key ^ hash_seed[0]) * hash_seed[1];
	struct fdb_bucket *b;
	__u32 i, way;
	__u64 at;

	h ^= h >> 32; /* MACs in a row are as good as any then */
	h *= hash_seed[3];
	i = (h >> 32) * fdb_buckets >> 32;
	b = bpf_map_lookup_elem(&fdb, &i);
	if (!b || !mac)
		return 0;
	way = way_of(b, key);
	if (way > 3) {
		i = (h >> 16 & 0xffffffff) * fdb_buckets >> 32;
		b = bpf_map_lookup_elem(&fdb, &i);
		if (!b)
			return 0;
		way = way_of(b, key);
		if (way > 3)
			return 0;
	}
	at = way;
	asm volatile("%0 &= 3" : "+r"(at)); /* verifiers before Linux 6.7 lose what is known of a number that was stored */
	return &b->way[at];
}

/* knows reports whether a station has not been silent for too long. */
INLINE int knows(const struct station *s, const struct domain *d, __u32 now)
{
	return (s->flags & STATION_PINNED) || !d->ageing || (__s32)(now - s->seen) < (__s32)d->ageing;
}

/* touch notes that a station was heard, at most once a tick: a store for each frame
 * would have every CPU fight for the line. */
INLINE void touch(struct station *s, __u32 now)
{
	if (s->seen != now)
		s->seen = now;
}

/* vni_of returns the domain of a VNI, ~0 where there is none. VNI 0 is nobody's, and
 * says that a place is empty. */
INLINE __u32 vni_of(__u32 half, __u32 vni)
{
	__u32 i = half * max_vni_buckets + (((vni * 0x9e3779b1u) >> 16) & (max_vni_buckets - 1));
	struct vni_bucket *b = bpf_map_lookup_elem(&vnis, &i);

	if (!b || !vni)
		return ~0u;
#pragma unroll
	for (int k = 0; k < 8; k++)
		if (b->vni[k] == vni)
			return b->domain[k];
	return ~0u;
}

#define OF_PORT 0
#define OF_VTEP 1
#define OF_DOMAIN 2
#define OF_VRF 3

INLINE struct traffic *traffic_of(__u32 cpu, __u32 what, __u32 n)
{
	__u32 i = cpu * traffic_len + traffic_base[what] + n;

	return bpf_map_lookup_elem(&traffics, &i);
}

/* count_rx and count_tx count a number of frames of so many bytes in all. */
INLINE void count_rx(__u32 cpu, __u32 what, __u32 n, __u32 frames, __u32 bytes)
{
	struct traffic *t = traffic_of(cpu, what, n);

	if (t) {
		t->rx_packets += frames;
		t->rx_bytes += bytes;
	}
}

INLINE void count_tx(__u32 cpu, __u32 what, __u32 n, __u32 frames, __u32 bytes)
{
	struct traffic *t = traffic_of(cpu, what, n);

	if (t) {
		t->tx_packets += frames;
		t->tx_bytes += bytes;
	}
}
