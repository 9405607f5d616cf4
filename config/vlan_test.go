package config

import (
	"net/netip"
	"testing"
)

func TestUnderlayVLAN(t *testing.T) {
	tests := []struct {
		name, text string
		want       Underlay
		device     string
	}{
		{"none", "address = \"192.0.2.1\"", Underlay{Address: netip.MustParseAddr("192.0.2.1")}, ""},
		{"interface only", "address = \"192.0.2.1\"\ninterface = \"und0\"",
			Underlay{Address: netip.MustParseAddr("192.0.2.1"), Interface: "und0"}, "und0"},
		{"address of the operator's", "address = \"192.0.2.1\"\ninterface = \"und0\"\nvlan = 77",
			Underlay{Address: netip.MustParseAddr("192.0.2.1"), Interface: "und0", VLAN: 77}, "und0.77"},
		{"address to assign", "address = \"192.0.2.1/24\"\ninterface = \"und0\"\nvlan = 77",
			Underlay{Address: netip.MustParseAddr("192.0.2.1"), Interface: "und0", VLAN: 77, Assign: netip.MustParsePrefix("192.0.2.1/24")}, "und0.77"},
		{"IPv6", "address = \"2001:db8::1/64\"\ninterface = \"und0\"\nvlan = 1",
			Underlay{Address: netip.MustParseAddr("2001:db8::1"), Interface: "und0", VLAN: 1, Assign: netip.MustParsePrefix("2001:db8::1/64")}, "und0.1"},
		{"a host of its own", "address = \"192.0.2.1/32\"\ninterface = \"und0\"\nvlan = 4094",
			Underlay{Address: netip.MustParseAddr("192.0.2.1"), Interface: "und0", VLAN: 4094, Assign: netip.MustParsePrefix("192.0.2.1/32")}, "und0.4094"},
		{"VLAN in a VLAN", "address = \"192.0.2.1\"\ninterface = \"und0.100\"\nvlan = 77",
			Underlay{Address: netip.MustParseAddr("192.0.2.1"), Interface: "und0.100", VLAN: 77}, "und0.100.77"},
		{"15 bytes", "address = \"192.0.2.1\"\ninterface = \"enp129s0f1np\"\nvlan = 77",
			Underlay{Address: netip.MustParseAddr("192.0.2.1"), Interface: "enp129s0f1np", VLAN: 77}, "enp129s0f1np.77"},
		{"16 bytes", "address = \"192.0.2.1\"\ninterface = \"enp129s0f1np1\"\nvlan = 77",
			Underlay{Address: netip.MustParseAddr("192.0.2.1"), Interface: "enp129s0f1np1", VLAN: 77}, "vxgw.77"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := parsed(t, "[underlay]\n"+tt.text+"\n").Underlay
			got := Underlay{Address: u.Address, Interface: u.Interface, VLAN: u.VLAN, Assign: u.Assign}
			if got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			if u.Device() != tt.device {
				t.Errorf("device %q, want %q", u.Device(), tt.device)
			}
		})
	}
}

// TestAssignChanges holds that an address that is to be assigned is another
// setting than the same address of the operator's, or with another length.
func TestAssignChanges(t *testing.T) {
	const on = "interface = \"und0\"\nvlan = 77\n"
	for _, is := range []string{"192.0.2.1", "192.0.2.1/25"} {
		was := parsed(t, "[underlay]\naddress = \"192.0.2.1/24\"\n"+on)
		changes := Diff(was, parsed(t, "[underlay]\naddress = \""+is+"\"\n"+on))
		if got := changes.Lines(); len(got) != 1 || got[0] != "~ underlay.address (at the next start)" {
			t.Errorf("to %s: %q", is, got)
		}
	}
}
