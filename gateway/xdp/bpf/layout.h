/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the programs share with the gateway: memory that both have mapped. The Go side
 * is layout.go; TestLayout holds one against the other.
 */
#pragma once
#include <linux/types.h>

#define LINKS 16384 /* interfaces, by the low bits of their index */

#define FIRST_VTEP 4096 /* a hop below it is a port, others are VTEPs */
#define NO_PORT 0xffff
#define NO_VRF 0xffff

/* What is in force, and what moment of its time it is. One cache line, read by every
 * frame and written seldom. */
struct control {
	__u32 half;      /* which half of the tables: 0 or 1 */
	__u32 route_gen; /* which decisions of routing are still true */
	__u32 flags;
	__u32 capture; /* bytes of each frame that are told of; 0: nobody captures */
};

#define CONTROL_ALL_VNIS 1 /* << half: a VNI that is not in vnis is none of the gateway's */
#define CONTROL_QUIET 4    /* no filter takes anything: a former gateway's programs do it still */
#define CONTROL_LAST 8     /* what a filter has seen no program behind sees: those are still there */

/* An interface that frames come in by. */
struct link {
	__u64 mac;
	__u32 ifindex;
	__u16 port; /* NO_PORT: it faces the underlay */
	__u16 flags;
};

#define LINK_ACCESS 1   /* it is an access port */
#define LINK_UNDERLAY 2 /* VXLAN for this VTEP comes in by it */

struct port {
	__u16 domain;
	__u16 flags;
	__u32 max_frame; /* bytes, with the Ethernet header */
	__u32 ifindex;
	__u32 pad;
};

#define PORT_LIVE 1
#define PORT_UP 2
#define PORT_SHUT 4
#define PORT_ISOLATED 8
#define PORT_TARGET 32 /* frames can be redirected to it by XDP */
#define PORT_VETH 64   /* its peer is on this machine */
#define PORT_FRAGS 128 /* and frames in several pieces can */

struct domain {
	__u64 gateway; /* its MAC; 0: none */
	__u32 vni;     /* as in a VXLAN header, in network byte order */
	__u32 ageing;  /* ticks; 0: never */
	__u16 vrf;     /* NO_VRF: not routed */
	__u16 flags;
	__u32 pad[3];
};

#define DOMAIN_LIVE 1
#define DOMAIN_HEARS 2 /* ARP and ND are listened to */
#define DOMAIN_CLAMP 4 /* TCP that opens a connection may have to be changed */

/* A remote VTEP, and the headers of what goes to it but for lengths, checksum, ports
 * and VNI. They start with the Ethernet header. */
struct vtep {
	__u8 head[76];
	__u16 max_frame; /* longest inner frame in bytes */
	__u16 flags;
	__u32 sum; /* of the IPv4 header, or of the IPv6 pseudo-header, as it is in memory */
	__u32 dev; /* what it is sent by, in devs */
	__u32 ifindex;
	__u32 first_hop; /* in hops, of whichever half */
	__u32 addr[4]; /* an IPv4 one in the first */
	__u16 hops; /* that flows are spread over; 0: head, dev and ifindex are of the one */
	__u16 pad0;
	__u32 pad[3];
};

#define VTEP_LIVE 1
#define VTEP_HOP 2   /* where on the link packets go is known */
#define VTEP_READY 4 /* and they can be redirected there by XDP */
#define VTEP_FRAGS 8 /* and those in several pieces can */

/* One of the hops of a VTEP that has several: what is in the place of the MACs in head,
 * of dev and of ifindex. */
struct hop {
	__u8 mac_to[6], mac_from[6];
	__u32 dev;
	__u32 ifindex;
	__u32 pad[3]; /* none is in two cache lines */
};

/* Where VNIs are, by a hash. */
struct vni_bucket {
	__u32 vni[8]; /* as in a VXLAN header; 0: none */
	__u32 domain[8];
};

/* A station of the FDB. A key is the domain in the upper 16 bits and the MAC in the
 * lower 48; 0: none. */
struct station {
	__u64 key;
	__u16 hop;
	__u16 flags;
	__u32 seen; /* ticks */
};

#define STATION_PINNED 1
#define STATION_UNSURE 2 /* not as a source */
#define STATION_HELD 4   /* learned, and a source nowhere else */

struct fdb_bucket {
	struct station way[4];
};

/* Where routed packets to an address go. */
struct route {
	__u32 addr[4]; /* an IPv4 one in the first, the others 0 */
	__u32 vrf;     /* of the route, with 0x10000 for IPv6; ~0: none */
	__u32 gen;     /* of control.route_gen */
	__u64 to;      /* MAC of the next hop, and in the upper 16 bits the domain that it is in */
	__u32 seen;
	__u32 pad[7];
};

/* Frames and bytes of one side. */
struct traffic {
	__u64 rx_packets, rx_bytes;
	__u64 tx_packets, tx_bytes;
};

#define DIRECTIONS 3
#define KINDS 16
#define REASONS 64

/* How many frames came in by an interface: to XDP, of those a sender's on this machine,
 * with a socket buffer, and of those with something left undone. They are lower than
 * true where CPUs get in each other's way. Interface 0 is the sum of all. */
struct load {
	__u64 xdp, local;
	__u64 skbs, undone;
};

/* A frame that is told of. kept bytes follow, of which the first skip are not its own.
 * The Go side reads it word by word: see watch.go. */
struct event {
	__u64 ns;      /* on the monotonic clock */
	__u32 ifindex; /* of the interface that it came in by, or leaves by */
	__u32 len;     /* bytes of the whole frame */
	__u32 vni;     /* as in a VXLAN header */
	__u16 skip;
	__u8 flags;
	__u8 reason; /* that it is dropped for; 0: it is not */
	__u32 kept;
	__u32 pad;
};

#define EVENT_OUT 1      /* it leaves */
#define EVENT_UNDERLAY 2 /* its interface faces the underlay */
#define EVENT_ROUTE 4    /* it is being routed */
#define EVENT_OVERLAY 8  /* it came from the overlay */

/* What became of frames that were not handed up, of one CPU. */
struct verdicts {
	__u64 kinds[DIRECTIONS][KINDS];
	__u64 dropped[DIRECTIONS][REASONS];
};
