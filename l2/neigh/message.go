package neigh

import (
	"encoding/binary"
	"net/netip"

	"vxgw/l2/frame"
)

// Says is what a message says of who has an address.
type Says uint8

// What a message can say of Message.Subject.
const (
	Nothing Says = iota

	// Claims: it is at MAC.
	Claims

	// Confirms: it is at MAC, if that is where it was known to be. It is no
	// reason to believe so in the first place.
	Confirms

	// Doubts: it may have another owner than the one that is known, unless that
	// is MAC.
	Doubts
)

// Message is what one ARP or ND frame tells and asks.
type Message struct {
	Says    Says
	Subject netip.Addr
	MAC     frame.MAC // the frame's source; zero where the sender contradicts itself

	// Advertised says that Router is known: the message is an advertisement.
	Advertised, Router bool

	// Asks is the address whose MAC is asked for, when somebody else than its
	// owner may answer. It is not valid for anything else: what is unicast asks
	// whether just this station is still there, a probe whether an address is
	// free, and a gratuitous request asks nothing.
	Asks netip.Addr
}

// Read returns what a frame says. Of a frame that is neither ARP nor ND, or is
// malformed, that is nothing. f holds at least frame.HeaderLen bytes.
func Read(f frame.Frame) Message {
	switch f.Type() {
	case frame.TypeARP:
		if a, ok := ParseARP(f.Payload()); ok {
			return readARP(f, a)
		}
	case frame.TypeIPv6:
		if p, ok := ParseND(f.Payload()); ok {
			return readND(f, p)
		}
	}
	return Message{}
}

func readARP(f frame.Frame, a ARP) Message {
	op, sender, target := a.Op(), a.Sender(), a.Target()
	switch {
	case op != ARPRequest && op != ARPReply:
		return Message{}
	case op == ARPRequest && sender.IsUnspecified():
		return doubt(target, f.Src())
	case !IsHost(sender):
		return Message{}
	}
	m := claim(Claims, sender, a.SenderMAC(), f)
	if op == ARPRequest && m.Says == Claims && f.Dst() == frame.Broadcast && IsHost(target) && target != sender {
		m.Asks = target
	}
	return m
}

func readND(f frame.Frame, p ND) Message {
	if p.IsSolicitation() {
		return readSolicitation(f, p)
	}
	target := p.Target()
	if !IsHost(target) {
		return Message{}
	}
	says := Confirms
	mac, named := p.TargetMAC()
	switch {
	case !named:
		mac = f.Src() // as it is in answer to a unicast (RFC 4861 section 7.2.4)
	case p.Override():
		says = Claims
	}
	m := claim(says, target, mac, f)
	m.Advertised, m.Router = true, p.Router()
	return m
}

// readSolicitation: what one tells of its sender confirms, and no more. Only an
// advertisement says whether a station routes, and to tell of a router that it
// does not takes it out of the hosts' default routers (RFC 4861 section 7.2.5).
func readSolicitation(f frame.Frame, p ND) Message {
	src, target := p.Src(), p.Target()
	if src.IsUnspecified() {
		return doubt(target, f.Src())
	}
	mac, named := p.SourceMAC()
	if !named || !IsHost(src) {
		return Message{}
	}
	m := claim(Confirms, src, mac, f)
	if m.Says == Confirms && f.Dst().IsMulticast() && p.toSolicitedNode() && IsHost(target) && target != src {
		m.Asks = target
	}
	return m
}

func doubt(subject netip.Addr, mac frame.MAC) Message {
	if !IsHost(subject) {
		return Message{}
	}
	return Message{Says: Doubts, Subject: subject, MAC: mac}
}

// claim returns what is to be believed of a sender that says that subject is at
// mac. From another MAC it may be a proxy, one of several interfaces, or a
// forger: nobody can tell, so the address is left to those who know.
func claim(says Says, subject netip.Addr, mac frame.MAC, f frame.Frame) Message {
	if mac != f.Src() {
		return doubt(subject, frame.MAC{})
	}
	return Message{Says: says, Subject: subject, MAC: mac}
}

// IsHost reports whether one station can have the address on a link: not in 0/8,
// 127/8, 224/4 and 255.255.255.255 (RFC 1122 section 3.2.1.3), nor ::, ::1,
// ff00::/8 and ::ffff:0:0/96 (RFC 4291 sections 2.4 and 2.5.5.2).
func IsHost(a netip.Addr) bool {
	if a.Is4() {
		b := a.As4()
		return b[0] != 0 && b[0] != 127 && b[0]>>4 != 0xe && binary.BigEndian.Uint32(b[:]) != 0xffffffff
	}
	return a.IsValid() && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && !a.Is4In6()
}

// PutAnswer writes into dst, of AnswerLen bytes, the answer to the request in
// the frame req, and returns its length; 0 where req asks nothing.
func PutAnswer(dst []byte, req frame.Frame, mac frame.MAC, router bool) int {
	if req.Type() == frame.TypeARP {
		return PutARPReply(dst, req, mac)
	}
	return PutAdvertisement(dst, req, mac, router)
}

// AnswerLen is the most that PutAnswer writes, in bytes.
const AnswerLen = max(ARPReplyLen, AdvertisementLen)
