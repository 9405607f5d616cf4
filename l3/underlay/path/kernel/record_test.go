package kernel

import (
	"encoding/hex"
	"fmt"
	"iter"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// kinds are the messages that a recording has, and who reads them.
var kinds = []struct {
	name string
	add  func(*reader, []byte)
	dump func(f func([]byte)) error
}{
	{"link", (*reader).addLink, func(f func([]byte)) error {
		return dump(unix.RTM_GETLINK, unix.RTM_NEWLINK, f, nl.NewIfInfomsg(unix.AF_UNSPEC), nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(extFilterSkipStats)))
	}},
	{"addr", (*reader).addAddr, func(f func([]byte)) error {
		return dump(unix.RTM_GETADDR, unix.RTM_NEWADDR, f, nl.NewIfAddrmsg(unix.AF_UNSPEC))
	}},
	{"vlans", (*reader).addVLANs, func(f func([]byte)) error {
		return dump(unix.RTM_GETLINK, unix.RTM_NEWLINK, f, nl.NewIfInfomsg(unix.AF_BRIDGE), nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(nl.RTEXT_FILTER_BRVLAN_COMPRESSED)))
	}},
	{"vnis", (*reader).addVNIs, func(f func([]byte)) error {
		return dump(unix.RTM_GETTUNNEL, unix.RTM_NEWTUNNEL, f, tunnelMsg())
	}},
	{"row", (*reader).addRow, func(f func([]byte)) error {
		return dump(unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, f, &netlink.Ndmsg{Family: unix.AF_BRIDGE})
	}},
}

// TestRecord writes what the kernel says into the file that VXGW_RECORD names, for
// testdata: see there.
func TestRecord(t *testing.T) {
	file := os.Getenv("VXGW_RECORD")
	if file == "" {
		t.Skip("records into the file that VXGW_RECORD names")
	}
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, k := range kinds {
		if err := k.dump(func(b []byte) { fmt.Fprintln(f, k.name, hex.EncodeToString(b)) }); err != nil {
			t.Fatal(k.name, err)
		}
	}
}

// lines yields the messages of a recording.
func lines(t testing.TB, file string) iter.Seq2[string, []byte] {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(string, []byte) bool) {
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "#") {
				continue
			}
			name, dump, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			b, err := hex.DecodeString(dump)
			if err != nil {
				t.Fatal(file, line)
			}
			if !yield(name, b) {
				return
			}
		}
	}
}

// rawOf returns the messages of one name.
func rawOf(t testing.TB, file, of string) (all [][]byte) {
	t.Helper()
	for name, b := range lines(t, file) {
		if name == of {
			all = append(all, b)
		}
	}
	return all
}

// recorded returns what a recording says.
func recorded(t testing.TB, file string) *Setup {
	t.Helper()
	r := newReader()
	for _, k := range kinds {
		for _, b := range rawOf(t, file, k.name) {
			k.add(r, b)
		}
		if k.name == "link" {
			r.index()
		}
	}
	return r.done()
}
