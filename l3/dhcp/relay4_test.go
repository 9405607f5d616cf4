package dhcp

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"vxgw/l2/frame"
)

// overload says that there are options in the fields of the boot file and the server
// name too (RFC 2132 section 9.3). They are the client's.
var overload = opt(52, 3)

func TestRelay4(t *testing.T) {
	full := opt(43, make([]byte, 255)...)
	long := bytes.Repeat(full, 4) // 1028 bytes
	for _, tc := range []struct {
		name string
		msg  []byte
		want []byte
	}{
		{"a discover", message(1, nil, discover...), message(1, bend(hops(1), giaddr(link.Addr)), with82(discover)...)},
		{"no options", message(1, nil), message(1, bend(hops(1), giaddr(link.Addr)), linkOption...)},
		{"pads between options stay", message(1, nil, 0, 0, 53, 1, 3, 0, 12, 1, 'h', 0),
			message(1, bend(hops(1), giaddr(link.Addr)), with82([]byte{0, 0, 53, 1, 3, 0, 12, 1, 'h', 0})...)},
		{"an option twice stays twice", message(1, nil, with2(discover, opt(12, 'x'))...), message(1, bend(hops(1), giaddr(link.Addr)), with82(discover, opt(12, 'x'))...)},
		{"unknown and empty options", message(1, nil, 251, 0, 224, 2, 1, 2), message(1, bend(hops(1), giaddr(link.Addr)), with82([]byte{251, 0, 224, 2, 1, 2})...)},
		{"a long one grows", message(1, nil, long...), message(1, bend(hops(1), giaddr(link.Addr)), with82(long)...)},
		{"overload and what is in the fields stays", message(1, bend(set(44, opt(12, 'f')...), set(108, opt(82, 1, 2)...)), with2(discover, overload)...),
			message(1, bend(set(44, opt(12, 'f')...), set(108, opt(82, 1, 2)...), hops(1), giaddr(link.Addr)), with82(discover, overload)...)},
		{"secs, flags and ciaddr stay", message(1, bend(set(8, 0x12, 0x34, 0x80, 0x01), set(12, 10, 1, 1, 9)), discover...),
			message(1, bend(set(8, 0x12, 0x34, 0x80, 0x01), set(12, 10, 1, 1, 9), hops(1), giaddr(link.Addr)), with82(discover)...)},
		{"short ones are padded to 300 bytes", message(1, nil, discover...)[:optionAt+len(discover)+1],
			message(1, bend(hops(1), giaddr(link.Addr)), with82(discover)...)},
		{"hops go up to 16", message(1, hops(15), discover...), message(1, bend(hops(16), giaddr(link.Addr)), with82(discover)...)},

		{"another relay's giaddr stays, and no option is added", message(1, bend(hops(3), giaddr(other)), discover...), message(1, bend(hops(4), giaddr(other)), discover...)},
		{"and so does its option", message(1, giaddr(other), with2(discover, opt(82, 1, 1, 'x'))...), message(1, bend(hops(1), giaddr(other)), with2(discover, opt(82, 1, 1, 'x'))...)},
		{"and is padded", message(1, giaddr(other), discover...)[:optionAt+len(discover)+1], message(1, bend(hops(1), giaddr(other)), discover...)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := bytes.Clone(tc.msg)
			got, err := Relay4(tc.msg, link)
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, tc.want)
			same(t, tc.msg, before)
		})
	}
}

func with2(options ...[]byte) []byte { return bytes.Join(options, nil) }

// A server reads of the message where the client is, by the library's own account.
func TestRelay4ForTheLibrary(t *testing.T) {
	out, err := Relay4(message(1, nil, discover...), link)
	if err != nil {
		t.Fatal(err)
	}
	m, err := dhcpv4.FromBytes(out)
	if err != nil {
		t.Fatal(err)
	}
	info := m.RelayAgentInfo()
	if info == nil {
		t.Fatal("no relay information")
	}
	if c, r := string(info.Get(dhcpv4.AgentCircuitIDSubOption)), string(info.Get(dhcpv4.AgentRemoteIDSubOption)); c != "10010:port eth1" || r != "leaf7" {
		t.Errorf("circuit %q, remote %q", c, r)
	}
	if m.MessageType() != dhcpv4.MessageTypeDiscover || m.HostName() != "host" || m.HopCount != 1 || m.GatewayIPAddr.String() != "10.1.1.1" {
		t.Errorf("it became %v", m)
	}
}

// Where the option does not fit it is left out, and the message goes on all the same
// (RFC 3046 section 2.1).
func TestRelay4NoRoom(t *testing.T) {
	name := func(n int) Link {
		l := link
		l.Name = string(bytes.Repeat([]byte{'n'}, n))
		return l
	}
	fill := func(n int) []byte { // options that end at byte n of the message
		var o []byte
		for n -= optionAt; n > 257; n -= 257 {
			o = append(o, opt(43, make([]byte, 255)...)...)
		}
		return append(o, opt(43, make([]byte, n-2)...)...)
	}
	for _, tc := range []struct {
		name  string
		l     Link
		at    int // where the client's options end
		added bool
	}{
		{"1472 bytes", link, 1472 - len(linkOption) - 1, true},
		{"1473 bytes", link, 1472 - len(linkOption), false},
		{"the client alone takes more", link, 1500, false},
		{"a name that fills the option", name(255 - 2 - 15 - 2), 400, true},
		{"a name that is a byte too long", name(255 - 2 - 15 - 1), 400, false},
		{"a name longer than any", name(4000), 400, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			msg := message(1, nil, fill(tc.at)...)
			out, err := Relay4(msg, tc.l)
			if err != nil {
				t.Fatal(err)
			}
			m, err := dhcpv4.FromBytes(out)
			if err != nil || m.GatewayIPAddr.String() != "10.1.1.1" || m.HopCount != 1 {
				t.Fatalf("%v, %v", m, err)
			}
			if m.Options.Has(dhcpv4.OptionRelayAgentInformation) != tc.added {
				t.Errorf("want the option: %t", tc.added)
			}
			if !tc.added {
				same(t, out, message(1, bend(hops(1), giaddr(link.Addr)), fill(tc.at)...))
			} else if len(out) > 1472 {
				t.Errorf("%d bytes", len(out))
			}
		})
	}
}

func TestRelay4Refuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		msg  []byte
		want error // nil: any
	}{
		{"a reply", message(2, nil, discover...), ErrDirection},
		{"op 0", message(0, nil, discover...), ErrDirection},
		{"17 hops (RFC 1542 section 4.1.1)", message(1, hops(16), discover...), ErrHops},
		{"255 hops", message(1, hops(255), discover...), ErrHops},
		{"17 hops by another relay", message(1, bend(hops(16), giaddr(other)), discover...), ErrHops},
		{"it was here before", message(1, bend(hops(1), giaddr(link.Addr)), with82(discover)...), ErrHops},
		{"a client with option 82", message(1, nil, with82(discover)...), ErrOption82},
		{"a client with option 82 in front", message(1, nil, append(opt(82, 1, 1, 'x'), discover...)...), ErrOption82},
		{"a client with an empty option 82", message(1, nil, with2(discover, opt(82))...), ErrOption82},
		{"token ring", message(1, set(1, 6), discover...), ErrHardware},
		{"hardware addresses of 8 bytes", message(1, set(2, 8), discover...), ErrHardware},
		{"no hardware address", message(1, set(2, 0), discover...), ErrHardware},
		{"BOOTP without a cookie", message(1, set(236, 0), discover...), nil},
		{"no end", message(1, nil, discover...)[:optionAt+len(discover)], nil},
		{"an option beyond the end", message(1, nil, 12, 200, 'h'), nil},
		{"cut", message(1, nil)[:239], nil},
		{"nothing", nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := Relay4(tc.msg, link)
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) || out != nil {
				t.Errorf("got %v and %d bytes, want %v", err, len(out), tc.want)
			}
		})
	}
}

// A gateway without an IPv4 address there has nothing to write as giaddr.
func TestRelay4WithoutAnAddress(t *testing.T) {
	l := link
	l.Addr = netip.Addr{}
	for _, l.Addr = range []netip.Addr{{}, link.Addr6} {
		if out, err := Relay4(message(1, nil, discover...), l); !errors.Is(err, ErrAddress) {
			t.Errorf("%v: %v, relayed as % x", l.Addr, err, out)
		}
	}
}

func TestAnswer4(t *testing.T) {
	offer := with2(opt(53, 2), opt(54, 10, 9, 9, 9), opt(51, 0, 0, 14, 16))
	here := bend(hops(1), giaddr(link.Addr))
	yiaddr, ciaddr := set(16, 10, 1, 1, 50), set(12, 10, 1, 1, 51)
	yours, his := netip.MustParseAddr("10.1.1.50"), netip.MustParseAddr("10.1.1.51")
	all := netip.MustParseAddr("255.255.255.255")
	const circuit = "10010:port eth1"
	for _, tc := range []struct {
		name string
		msg  []byte
		want Reply4
	}{
		{"an offer", message(2, bend(here, yiaddr), with82(offer)...),
			Reply4{Msg: message(2, bend(here, yiaddr), offer...), To: yours, MAC: client, Circuit: circuit}},
		{"option 82 in front of others", message(2, bend(here, yiaddr), append(bytes.Clone(linkOption), offer...)...),
			Reply4{Msg: message(2, bend(here, yiaddr), offer...), To: yours, MAC: client, Circuit: circuit}},
		{"option 82 in the middle, pads around", message(2, bend(here, yiaddr), with2([]byte{0}, offer, []byte{0}, linkOption, []byte{0}, opt(12, 'h'))...),
			Reply4{Msg: message(2, bend(here, yiaddr), with2([]byte{0}, offer, []byte{0, 0}, opt(12, 'h'))...), To: yours, MAC: client, Circuit: circuit}},
		{"option 82 in two pieces (RFC 3396)", message(2, bend(here, yiaddr), with2(opt(82, linkOption[2:10]...), offer, opt(82, linkOption[10:]...))...),
			Reply4{Msg: message(2, bend(here, yiaddr), offer...), To: yours, MAC: client, Circuit: circuit}},
		{"82 within another option stays", message(2, bend(here, yiaddr), with2(opt(43, 82, 1, 0, 82), offer, linkOption)...),
			Reply4{Msg: message(2, bend(here, yiaddr), with2(opt(43, 82, 1, 0, 82), offer)...), To: yours, MAC: client, Circuit: circuit}},
		{"a server that does not know of option 82", message(2, bend(here, yiaddr), offer...),
			Reply4{Msg: message(2, bend(here, yiaddr), offer...), To: yours, MAC: client}},
		{"relay information without a circuit", message(2, bend(here, yiaddr), with2(offer, opt(82, 2, 1, 'x'))...),
			Reply4{Msg: message(2, bend(here, yiaddr), offer...), To: yours, MAC: client}},
		{"the client wants a broadcast (RFC 2131 section 4.1)", message(2, bend(here, yiaddr, set(10, 0x80)), with82(offer)...),
			Reply4{Msg: message(2, bend(here, yiaddr, set(10, 0x80)), offer...), To: all, MAC: frame.Broadcast, Broadcast: true, Circuit: circuit}},
		{"other flags are none", message(2, bend(here, yiaddr, set(10, 0x7f, 0xff)), with82(offer)...),
			Reply4{Msg: message(2, bend(here, yiaddr, set(10, 0x7f, 0xff)), offer...), To: yours, MAC: client, Circuit: circuit}},
		{"no yiaddr, but a ciaddr: an answer to INFORM", message(2, bend(here, ciaddr), with82(offer)...),
			Reply4{Msg: message(2, bend(here, ciaddr), offer...), To: his, MAC: client, Circuit: circuit}},
		{"both: yiaddr (RFC 1542 section 4.1.2)", message(2, bend(here, ciaddr, yiaddr), with82(offer)...),
			Reply4{Msg: message(2, bend(here, ciaddr, yiaddr), offer...), To: yours, MAC: client, Circuit: circuit}},
		{"neither: a NAK", message(2, here, with82(opt(53, 6))...),
			Reply4{Msg: message(2, here, opt(53, 6)...), To: all, MAC: frame.Broadcast, Broadcast: true, Circuit: circuit}},
		{"overload and what is in the fields stays", message(2, bend(here, yiaddr, set(44, opt(82, 1)...), set(108, opt(82, 1, 2)...)), with82(overload, offer)...),
			Reply4{Msg: message(2, bend(here, yiaddr, set(44, opt(82, 1)...), set(108, opt(82, 1, 2)...)), with2(overload, offer)...), To: yours, MAC: client, Circuit: circuit}},
		{"short ones are padded to 300 bytes", message(2, bend(here, yiaddr), with82(offer)...)[:optionAt+len(offer)+len(linkOption)+1],
			Reply4{Msg: message(2, bend(here, yiaddr), offer...), To: yours, MAC: client, Circuit: circuit}},
		{"what is behind the end is no option", append(message(2, bend(here, yiaddr), offer...), linkOption...),
			Reply4{Msg: append(message(2, bend(here, yiaddr), offer...), linkOption...), To: yours, MAC: client}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := bytes.Clone(tc.msg)
			got, err := Answer4(tc.msg, link)
			if err != nil {
				t.Fatal(err)
			}
			same(t, got.Msg[:len(got.Msg)-trailing(got.Msg)], tc.want.Msg[:len(tc.want.Msg)-trailing(tc.want.Msg)])
			same(t, tc.msg, before)
			if len(got.Msg) < minLen {
				t.Errorf("%d bytes", len(got.Msg))
			}
			got.Msg, tc.want.Msg = nil, nil
			if got.To != tc.want.To || got.MAC != tc.want.MAC || got.Broadcast != tc.want.Broadcast || got.Circuit != tc.want.Circuit {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

// trailing returns how many zeros a message ends with: padding, of which there may be
// more or less.
func trailing(b []byte) int { return len(b) - len(bytes.TrimRight(b, "\x00")) }

func TestAnswer4Refuses(t *testing.T) {
	here := bend(hops(1), giaddr(link.Addr), set(16, 10, 1, 1, 50))
	for _, tc := range []struct {
		name string
		msg  []byte
		want error
	}{
		{"a request", message(1, here, discover...), ErrDirection},
		{"op 3", message(3, here, discover...), ErrDirection},
		{"for another relay", message(2, bend(here, giaddr(other)), discover...), ErrGiaddr},
		{"for no relay", message(2, set(16, 10, 1, 1, 50), discover...), ErrGiaddr},
		{"token ring", message(2, bend(here, set(1, 6)), discover...), ErrHardware},
		{"hardware addresses of 16 bytes", message(2, bend(here, set(2, 16)), discover...), ErrHardware},
		{"no cookie", message(2, bend(here, set(236, 0)), discover...), nil},
		{"cut", message(2, here)[:239], nil},
		{"nothing", nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := Answer4(tc.msg, link)
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) || r.Msg != nil || r.To.IsValid() {
				t.Errorf("got %v and %+v, want %v", err, r, tc.want)
			}
		})
	}
}

// end returns where the options of a message that the library reads end, behind the
// end option.
func end(t *testing.T, b []byte) int {
	t.Helper()
	for i := 240; i < len(b); {
		switch b[i] {
		case 255:
			return i + 1
		case 0:
			i++
		default:
			i += 2 + int(b[i+1])
		}
	}
	if len(b) == 240 {
		return 240
	}
	t.Fatalf("no end: % x", b)
	return 0
}

// What is relayed differs from what the client sent in hops, giaddr and option 82
// alone, and what a server echoes of it gives the client's bytes back.
func FuzzRelay4(f *testing.F) {
	f.Add(message(1, nil, discover...), "leaf7", "port eth1")
	f.Add(message(1, giaddr(other), with82(discover)...), "", "")
	f.Add(message(1, nil, 0, 53, 1, 3, 0, 52, 1, 3), "a name", "vtep 192.0.2.2")
	f.Fuzz(func(t *testing.T, msg []byte, name, circuit string) {
		l := link
		l.Name, l.Circuit = name, circuit
		before := bytes.Clone(msg)
		out, err := Relay4(msg, l)
		same(t, msg, before)
		if err != nil {
			if out != nil {
				t.Fatalf("%v, and yet % x", err, out)
			}
			return
		}
		n := end(t, msg)
		m, err := dhcpv4.FromBytes(out)
		if err != nil || len(out) < 300 || out[3] != msg[3]+1 || len(out) > max(1472, len(msg)) {
			t.Fatalf("%v: % x", err, out)
		}
		if [4]byte(msg[24:28]) != [4]byte{} { // another relay's
			want := bytes.Clone(msg)
			want[3]++
			same(t, out[:len(msg)], want)
			same(t, out[len(msg):], make([]byte, len(out)-len(msg)))
			return
		}
		if info := m.RelayAgentInfo(); info != nil && string(info.Get(dhcpv4.AgentCircuitIDSubOption)) != "10010:"+circuit {
			t.Fatalf("circuit %q", info.Get(dhcpv4.AgentCircuitIDSubOption))
		}
		// The server answers with the same options.
		out[0] = 2
		r, err := Answer4(out, l)
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Clone(msg[:n])
		want[0], want[3] = 2, msg[3]+1
		copy(want[24:], link.Addr.AsSlice())
		same(t, r.Msg[:n], want)
		if m.RelayAgentInfo() != nil && (r.Circuit != "10010:"+circuit || len(bytes.TrimRight(r.Msg[n:], "\x00")) > 0) {
			t.Fatalf("circuit %q, behind the end % x", r.Circuit, r.Msg[n:])
		}
	})
}

// What a client gets has no option 82 and is otherwise the server's; and it is for
// somebody.
func FuzzAnswer4(f *testing.F) {
	here := bend(giaddr(link.Addr), set(16, 10, 1, 1, 50))
	everybody := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	f.Add(message(2, here, with82(opt(53, 2))...))
	f.Add(message(2, here, append(bytes.Clone(linkOption), 0, 53, 1, 5)...))
	f.Fuzz(func(t *testing.T, msg []byte) {
		if len(msg) >= 240 {
			copy(msg[24:], link.Addr.AsSlice())
		}
		before := bytes.Clone(msg)
		r, err := Answer4(msg, link)
		same(t, msg, before)
		if err != nil {
			if r.Msg != nil {
				t.Fatalf("%v, and yet %+v", err, r)
			}
			return
		}
		got, err := dhcpv4.FromBytes(r.Msg)
		if err != nil {
			t.Fatalf("%v: % x", err, r.Msg)
		}
		want, _ := dhcpv4.FromBytes(msg)
		delete(want.Options, 82)
		if !bytes.Equal(got.ToBytes(), want.ToBytes()) {
			t.Fatalf("got  %v\nwant %v", got, want)
		}
		if len(r.Msg) < 300 || !r.To.Is4() || r.To.IsUnspecified() || r.Broadcast && (r.MAC != frame.Broadcast || r.To != everybody) {
			t.Fatalf("%+v", r)
		}
	})
}
