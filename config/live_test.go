package config

import (
	"strings"
	"testing"
)

// What waits for a restart stays as it was, and all the rest is the new file's.
func TestLive(t *testing.T) {
	const old = "[underlay]\naddress = \"192.0.2.1\"\n"
	vni := func(more string) string { return "[[vni]]\nid = 7\nvlan = 7\n" + more + "\n" }
	was := parsed(t, old+vni(`flood = ["192.0.2.2"]`))
	tests := []struct {
		name, next string
		err        string // "": it runs
	}{
		{"all that waits", "[underlay]\naddress = \"192.0.2.7\"\nttl = 9\n[datapath]\nworkers = 3\n[api]\nhttp = \"\"\n[log]\nformat = \"json\"\n" + vni(`flood = ["192.0.2.3"]`), ""},
		{"the same address, with a static MAC behind it", old + vni("") + "[[mac]]\nvni = 7\naddress = \"02:00:00:00:00:01\"\nvtep = \"192.0.2.9\"\n", ""},
		{"to itself", "[underlay]\naddress = \"192.0.2.7\"\n" + vni(`flood = ["192.0.2.2", "192.0.2.1"]`),
			"f: VNI 7 sends to 192.0.2.1, which is this gateway's own address until a restart makes it 192.0.2.7: nothing is changed; `systemctl restart vxgw` applies all of the file"},
		{"another family", "[underlay]\naddress = \"2001:db8::7\"\n" + vni(`flood = ["2001:db8::2"]`),
			"f: VNI 7 sends to 2001:db8::2, and this gateway speaks IPv4, as 192.0.2.1, until a restart makes it 2001:db8::7: nothing is changed; `systemctl restart vxgw` applies all of the file"},
		{"a group of another family", "[underlay]\naddress = \"2001:db8::7\"\n" + vni(`group = "ff05::7"`), "VNI 7 sends to ff05::7, and this gateway speaks IPv4"},
		{"hears another family", "[underlay]\naddress = \"2001:db8::7\"\n" + vni(`allowed_vteps = ["2001:db8::/64"]`), "VNI 7 hears 2001:db8::/64, and this gateway speaks IPv4"},
		{"another family, and no VTEP", "[underlay]\naddress = \"2001:db8::7\"\n" + vni(""), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			next := parsed(t, tt.next)
			is, err := Live(was, next)
			if tt.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tt.err) && !strings.Contains(err.Error(), tt.err) {
					t.Errorf("%v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c := Diff(was, is); len(c.RestartNeeded) > 0 {
				t.Errorf("%v took effect", c.RestartNeeded)
			}
			if want, got := Diff(was, next).RestartNeeded, Diff(is, next).Settings; strings.Join(want, " ") != strings.Join(got, " ") {
				t.Errorf("%v wait, want %v", got, want)
			}
		})
	}
}
