package golden

// rule is one rule of a standard, and packets that show it.
type rule struct {
	file    string // stem of the two captures
	section string
	text    string
	config  string // beyond the topology's
	narrow  int    // MTU of the path to VTEP A, where it is not wide
	port    uint16 // [underlay] port, where it is not 4789

	// packets is what comes in, in this order, and what is to become of it.
	packets []exchange
}

// exchange is one packet in, and what comes out. Places are written as
// fabric.Result.Is has them: "gw>A" is a datagram to VTEP A, "gw.acc1" a frame
// at a port, "gw!overlay:unknown_vni" a drop counter.
type exchange struct {
	in     []byte
	places string
	out    [][]byte // datagrams by VTEP, then frames by port
}

// delivered is a packet whose copies at the ports are the frame that is in it.
func delivered(in []byte, ports string, copies int) exchange {
	x := exchange{in: in, places: ports}
	for range copies {
		x.out = append(x.out, inner(in))
	}
	return x
}

func dropped(in []byte, counter string) exchange { return exchange{in: in, places: counter} }

// hello is VTEP A speaking from RA, so that the gateway knows where RA is.
func hello() exchange {
	return delivered(fromA(vxlan(1000), ethernet(broadcast, ra, 0x88b5, pad(46))), "gw.acc1 gw.acc2", 2)
}

func rules() []rule {
	echo := g1Inner()
	reply := icmpEcho(ra, h1, "10.1.1.10", "10.1.1.20", 0)
	request := arp(h1, "10.1.1.10", "10.1.1.20")
	return []rule{
		{
			file: "4.1-unicast-encapsulate", section: "RFC 7348 section 4.1",
			text: "a frame for a MAC behind a remote VTEP is sent to that VTEP in the VNI of its port, unchanged",
			packets: []exchange{
				hello(),
				{in: reply, places: "gw>A", out: [][]byte{toA(vxlan(1000), reply)}},
			},
		},
		{
			file: "4.1-unicast-decapsulate", section: "RFC 7348 section 4.1",
			text: "a packet of a VNI that is known has its headers stripped and its frame delivered",
			packets: []exchange{
				{in: ethernet(broadcast, h1, 0x88b5, pad(46)), places: "gw.acc2 gw>A gw>B", out: [][]byte{
					toA(vxlan(1000), ethernet(broadcast, h1, 0x88b5, pad(46))), toB(vxlan(1000), ethernet(broadcast, h1, 0x88b5, pad(46))), ethernet(broadcast, h1, 0x88b5, pad(46)),
				}},
				{in: g1(), places: "gw.acc1", out: [][]byte{echo}},
			},
		},
		{
			file: "4.1-vni-unknown", section: "RFC 7348 section 4.1",
			text: "the validity of the VNI is verified: a packet of any other is dropped",
			packets: []exchange{
				dropped(fromA(vxlan(999), echo), "gw!overlay:unknown_vni"),
				dropped(fromA(vxlan(0), echo), "gw!overlay:unknown_vni"),
				dropped(fromA(vxlan(0xffffff), echo), "gw!overlay:unknown_vni"),
				dropped(fromA(vxlan(1001), echo), "gw!overlay:unknown_vni"),
			},
		},
		{
			file: "4.1-learning", section: "RFC 7348 section 4.1",
			text: "the inner source MAC is learned behind the outer source address, so that what is sent back is not flooded",
			packets: []exchange{
				flooded(reply),
				delivered(g1(), "gw.acc1", 1),
				{in: reply, places: "gw>A", out: [][]byte{toA(vxlan(1000), reply)}},
			},
		},
		{
			file: "4.2-broadcast", section: "RFC 7348 section 4.2",
			text: "broadcast, unknown unicast and multicast reach every VTEP and every other port of the VNI, once",
			packets: []exchange{
				flooded(request),
				flooded(ethernet(nobody, h1, 0x88b5, pad(46))),
				flooded(ethernet("01:00:5e:00:00:fb", h1, 0x88b5, pad(46))),
			},
		},
		{
			file: "4.2-split-horizon", section: "RFC 7348 section 4.2, which is silent; RFC 7432 section 12 by analogy",
			text: "what came from a VTEP is delivered to ports alone: every other VTEP has had its own copy",
			packets: []exchange{
				delivered(fromB(vxlan(1000), ethernet(broadcast, rb, 0x88b5, pad(46))), "gw.acc1 gw.acc2", 2),
				delivered(fromA(vxlan(1000), ethernet(broadcast, ra, 0x88b5, pad(46))), "gw.acc1 gw.acc2", 2),
				delivered(fromA(vxlan(1000), ethernet(nobody, ra, 0x88b5, pad(46))), "gw.acc1 gw.acc2", 2),
				dropped(fromA(vxlan(1000), ethernet(rb, ra, 0x88b5, pad(46))), "gw!overlay:split_horizon"),
			},
		},
		{
			file: "4.3-no-fragmentation", section: "RFC 7348 section 4.3",
			text:   "VTEPs must not fragment VXLAN packets: one that does not fit the path is not sent",
			narrow: 1500,
			packets: []exchange{
				hello(),
				{in: ethernet(ra, h1, 0x88b5, pad(1450)), places: "gw>A", out: [][]byte{toA(vxlan(1000), ethernet(ra, h1, 0x88b5, pad(1450)))}},
				dropped(ethernet(ra, h1, 0x88b5, pad(1451)), "gw!access:too_big"),
			},
		},
		{
			file: "5-flags-transmitted", section: "RFC 7348 section 5",
			text: "the I flag is 1, the other seven flags and both reserved fields are zero on transmission",
			packets: []exchange{
				flooded(request),
			},
		},
		{
			file: "5-flags-i-missing", section: "RFC 7348 section 5",
			text: "the I flag must be set for a valid VNI",
			packets: []exchange{
				dropped(fromA(withFlags(0x00), echo), "gw!overlay:vxlan_flags"),
				dropped(fromA(withFlags(0x80), echo), "gw!overlay:vxlan_flags"),
				dropped(fromA(withFlags(0x04), echo), "gw!overlay:vxlan_flags"),
				dropped(fromA(withFlags(0xf7), echo), "gw!overlay:vxlan_flags"),
			},
		},
		{
			file: "5-reserved-ignored", section: "RFC 7348 section 5",
			text:    "reserved flags and fields are ignored on receipt: each of the 39 bits alone",
			packets: each(reservedBits(), func(h []byte) exchange { return delivered(fromA(h, echo), "gw.acc1 gw.acc2", 2) }),
		},
		{
			file: "5-reserved-strict", section: "RFC 7348 section 5, reserved_bits = \"strict\"",
			text:    "an operator may have packets with reserved bits set dropped instead",
			config:  "underlay:reserved_bits = \"strict\"",
			packets: append(each(reservedBits(), func(h []byte) exchange { return dropped(fromA(h, echo), "gw!overlay:vxlan_reserved") }), delivered(g1(), "gw.acc1 gw.acc2", 2)),
		},
		{
			file: "5-vni-isolation", section: "RFC 7348 section 5",
			text: "stations in different VNIs cannot communicate with each other",
			packets: []exchange{
				{in: ethernet(broadcast, h3, 0x88b5, pad(46)), places: "gw>A", out: [][]byte{toA(vxlan(2000), ethernet(broadcast, h3, 0x88b5, pad(46)))}},
				flooded(ethernet(h3, h1, 0x88b5, pad(46))),
				delivered(fromA(vxlan(2000), ethernet(broadcast, ra, 0x88b5, pad(46))), "gw.acc3", 1),
			},
		},
		{
			file: "5-vni-24-bits", section: "RFC 7348 section 5",
			text:   "the VNI has 24 bits, in network byte order",
			config: "[[vni]]\nid = 16777215\nvlan = 99\nflood = [\"192.0.2.34\"]\n[[port]]\ninterface = \"acc9\"\nvlan = 99",
			packets: []exchange{
				{in: request, places: "gw.acc2 gw>A gw>B", out: [][]byte{toA(vxlan(1000), request), toB(vxlan(1000), request), request}},
				delivered(fromA(vxlan(0xffffff), ethernet(broadcast, ra, 0x88b5, pad(46))), "gw.acc9", 1),
				dropped(fromA(vxlan(0xfffffe), ethernet(broadcast, ra, 0x88b5, pad(46))), "gw!overlay:unknown_vni"),
			},
		},
		{
			file: "5-header-short", section: "RFC 7348 section 5",
			text: "the VXLAN header has eight bytes and an Ethernet frame behind it: less is dropped",
			packets: []exchange{
				dropped(fromA(vxlan(1000)[:0], nil), "gw!overlay:too_short"),
				dropped(fromA(vxlan(1000)[:7], nil), "gw!overlay:too_short"),
				dropped(fromA(vxlan(1000), nil), "gw!overlay:too_short"),
				dropped(fromA(vxlan(1000), echo[:13]), "gw!overlay:too_short"),
			},
		},
		{
			file: "5-udp-ports", section: "RFC 7348 section 5",
			text:   "the destination port is 4789 and can be configured, the source port is of the configured range",
			port:   8472,
			config: "underlay:port = 8472",
			packets: []exchange{
				{in: request, places: "gw.acc2 gw>A gw>B", out: [][]byte{toPort(8472, toA(vxlan(1000), request)), toPort(8472, toB(vxlan(1000), request)), request}},
				delivered(toPort(8472, fromA(vxlan(1000), ethernet(broadcast, ra, 0x88b5, pad(46)))), "gw.acc1 gw.acc2", 2),
			},
		},
		{
			file: "5-udp-checksum-received", section: "RFC 7348 section 5",
			text: "a UDP checksum of zero is accepted, and so is a right one",
			packets: []exchange{
				delivered(g1(), "gw.acc1 gw.acc2", 2),
				delivered(summed(g1()), "gw.acc1 gw.acc2", 2),
			},
		},
		{
			file: "5-outer-source", section: "RFC 7348 sections 5 and 7",
			text: "the outer source is the sending VTEP: one that nothing names is refused",
			packets: []exchange{
				delivered(fromB(vxlan(1000), ethernet(broadcast, rb, 0x88b5, pad(46))), "gw.acc1 gw.acc2", 2),
				dropped(fromRogue(vxlan(1000), echo), "gw!overlay:vtep_not_allowed"),
				dropped(fromB(vxlan(2000), echo), "gw!overlay:vtep_not_allowed"),
			},
		},
		{
			file: "6.1-inner-tag-received", section: "RFC 7348 section 6.1",
			text: "a decapsulated frame with an inner VLAN tag is discarded",
			packets: []exchange{
				dropped(fromA(vxlan(1000), tagged(echo, 0x8100, 100)), "gw!overlay:inner_vlan"),
				dropped(fromA(vxlan(1000), tagged(echo, 0x8100, 0)), "gw!overlay:inner_vlan"),
				dropped(fromA(vxlan(1000), tagged(echo, 0x8100, 4095)), "gw!overlay:inner_vlan"),
				dropped(fromA(vxlan(1000), tagged(echo, 0x88a8, 100)), "gw!overlay:inner_vlan"),
				dropped(fromA(vxlan(1000), tagged(echo, 0x9100, 100)), "gw!overlay:inner_vlan"),
			},
		},
		{
			file: "6.1-inner-tag-sent", section: "RFC 7348 section 6.1",
			text: "no inner VLAN tag is sent: a priority tag is stripped, and any other frame with a tag is dropped",
			packets: []exchange{
				{in: tagged(request, 0x8100, 5<<13), places: "gw.acc2 gw>A gw>B", out: [][]byte{toA(vxlan(1000), request), toB(vxlan(1000), request), request}},
				dropped(tagged(request, 0x8100, 100), "gw!access:tagged_frame"),
				dropped(tagged(request, 0x88a8, 0), "gw!access:tagged_frame"),
				dropped(tagged(request, 0x9100, 100), "gw!access:tagged_frame"),
			},
		},
	}
}

// flooded is a frame from acc1 that goes to all that there is of VNI 1000.
func flooded(f []byte) exchange {
	return exchange{in: f, places: "gw.acc2 gw>A gw>B", out: [][]byte{toA(vxlan(1000), f), toB(vxlan(1000), f), f}}
}

func each(headers [][]byte, f func([]byte) exchange) (list []exchange) {
	for _, h := range headers {
		list = append(list, f(h))
	}
	return list
}
