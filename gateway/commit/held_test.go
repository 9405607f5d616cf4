package commit

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func FuzzHeld(f *testing.F) {
	h := held{refused: digestOf([]byte("x")), text: []byte("[underlay]\n")}
	f.Add(h.encode())
	h.over = true
	f.Add(h.encode())
	f.Add(append(h.encode(), h.encode()...))
	f.Add([]byte("\n# vxgw: over sha256:00\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		// Whatever the text is, it comes back as it was.
		for _, over := range []bool{false, true} {
			h := &held{over: over, refused: digestOf(b), text: b}
			got, err := decode(h.encode())
			if err != nil || got.over != h.over || got.refused != h.refused || !bytes.Equal(got.text, h.text) {
				t.Fatalf("%+v became %+v, %v", h, got, err)
			}
		}
		// And what is taken for ours is ours, to the byte.
		if got, err := decode(b); err == nil && !bytes.Equal(got.encode(), b) {
			t.Fatalf("%q is read as %+v", b, got)
		}
	})
}

func TestStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "when needed")
	s, err := newStore(dir, "relative/vxgw.toml")
	if err != nil {
		t.Fatal(err)
	}
	if h, err := s.load(); h != nil || err != nil {
		t.Fatalf("%+v, %v before anything was kept", h, err)
	}
	if err := s.remove(); err != nil {
		t.Error(err)
	}
	for _, text := range []string{"a", "b\n", ""} {
		if err := s.save(&held{text: []byte(text)}); err != nil {
			t.Fatal(err)
		}
		if h, err := s.load(); err != nil || string(h.text) != text {
			t.Errorf("%+v, %v, want %q", h, err, text)
		}
	}
	for path, mode := range map[string]os.FileMode{s.path: 0o600, dir: 0o700 | os.ModeDir} {
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	// What a kill has left beside it goes too.
	if err := os.WriteFile(s.path+".new", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.remove(); err != nil {
		t.Error(err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("%v, %v are left", names, err)
	}
	if err := os.WriteFile(s.path, []byte("[underlay]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.load(); !errors.Is(err, errNotOurs) {
		t.Errorf("%v of what somebody wrote", err)
	}
}

// Two gateways of one machine keep apart what is theirs.
func TestStoresAreApart(t *testing.T) {
	seen := make(map[string]string)
	for _, file := range []string{"/etc/a/vxgw.toml", "/etc/b/vxgw.toml", "/etc/a/b.toml"} {
		s, err := newStore("/state", file)
		if err != nil || seen[s.path] != "" {
			t.Errorf("%s is %s, as %s, %v", file, s.path, seen[s.path], err)
		}
		seen[s.path] = file
	}
	a, _ := newStore("/state", "/etc/a/../a/vxgw.toml")
	if seen[a.path] != "/etc/a/vxgw.toml" {
		t.Errorf("one file by another path is %s", a.path)
	}
}
