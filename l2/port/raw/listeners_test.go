package raw

import "testing"

func TestParseListener(t *testing.T) {
	for _, c := range []struct {
		name, line string
		index      int
		inode      string
		ok         bool
	}{
		{"head", "sk               RefCnt Type Proto  Iface R Rmem   User   Inode", 0, "", false},
		{"all of one interface", "0000000000000000 3      3    0003   7     1 0      0      12345", 7, "12345", true},
		{"all of all interfaces", "0000000000000000 3      3    0003   0     1 0      1000   9", 0, "9", true},
		{"IPv4 alone", "0000000000000000 3      3    0800   7     1 0      0      12345", 0, "", false},
		{"sends only", "0000000000000000 3      3    0000   7     0 0      0      12345", 0, "", false},
		{"its interface is down", "0000000000000000 3      3    0003   7     0 0      0      12345", 0, "", false},
		{"nothing", "", 0, "", false},
		{"no number", "0000000000000000 3      3    0003   x     1 0      0      12345", 0, "12345", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			index, inode, ok := parseListener(c.line)
			if ok != c.ok || ok && (index != c.index || inode != c.inode) {
				t.Errorf("got %d, %q, %v", index, inode, ok)
			}
		})
	}
}

// What this process itself has open is nobody else.
func TestOwnSocketsAreNoListeners(t *testing.T) {
	t.Cleanup(func() { listeners.Store(nil) })
	newPair(t, bySocket)
	if err := LookAround(); err != nil {
		t.Fatal(err)
	}
	if m := listeners.Load(); m == nil {
		t.Error("nothing was found out")
	}
	listeners.Store(&map[int]bool{0: true})
	if !IsHeard(4711) {
		t.Error("who listens to all interfaces listens to each")
	}
}
