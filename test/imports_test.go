// Package test holds what is true of the whole module; below it is what tests
// and the demonstration share.
package test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "vxgw"

// source is one Go file and what it imports.
type source struct {
	dir     string // in the module: "l2/port/raw"
	file    string
	imports []string
	isTest  bool
}

// sources reads the imports of every file of the module, whatever its build
// constraints. It opens the files itself, and so cached results of this test
// are given up when one of them changes.
func sources(t *testing.T) []source {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	var all []source
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && file != root && strings.HasPrefix(d.Name(), "."), d.IsDir() && d.Name() == "testdata":
			return fs.SkipDir
		case d.IsDir(), !strings.HasSuffix(file, ".go"):
			return nil
		}
		ast, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		s := source{dir: path.Dir(filepath.ToSlash(rel)), file: rel, isTest: strings.HasSuffix(file, "_test.go")}
		for _, i := range ast.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, name)
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d files under %s", len(all), root)
	}
	return all
}

// under reports whether dir is one of the trees or below one.
func under(dir string, trees ...string) bool {
	return slices.ContainsFunc(trees, func(tree string) bool { return dir == tree || strings.HasPrefix(dir, tree+"/") })
}

// TestDoors holds that a library enters by one door, so that it can be replaced
// behind it.
func TestDoors(t *testing.T) {
	doors := []struct {
		library string
		doors   []string
	}{
		{"github.com/vishvananda/netlink", []string{"l3/underlay/path", "test"}},
		{"github.com/mdlayher/packet", []string{"l2/port/raw"}},
		{"github.com/mdlayher/socket", []string{"l2/port/raw"}},
		{"github.com/BurntSushi/toml", []string{"config"}},
		{"github.com/spf13", []string{"cmd"}},
		{"github.com/prometheus", []string{"gateway/api"}},
		{"github.com/coreos/go-systemd", []string{"systemd"}},
		{"github.com/cilium/ebpf", []string{"gateway/xdp", "test"}},
		{"github.com/gaissmai/bart", []string{"l3/vrf"}},
		{"github.com/insomniacslk/dhcp", []string{"l3/dhcp"}},
		{"github.com/mdlayher/ndp", []string{"l3/ra"}},
		{"github.com/tmaxmax/go-sse", []string{"gateway/api"}},
		{"github.com/chromedp", []string{"test/browser"}},
		{"charm.land", []string{"cmd/vxgw/top"}},
		{"github.com/charmbracelet", []string{"cmd/vxgw/top", "test/e2e"}}, // a terminal, too, for tests
	}
	// gopacket writes pcapng behind its door, and is a judge in every test.
	const judge, judgesDoor = "github.com/gopacket/gopacket", "gateway/capture"
	testsOnly := []string{judge, "github.com/google/go-cmp", "github.com/vishvananda/netns", "go.uber.org/goleak", "pgregory.net/rapid", "github.com/creack/pty", "github.com/charmbracelet/x/vt"}
	for _, s := range sources(t) {
		for _, imported := range s.imports {
			for _, d := range doors {
				if under(imported, d.library) && !under(s.dir, d.doors...) {
					t.Errorf("%s imports %s: that is for %s", s.file, imported, strings.Join(d.doors, ", "))
				}
			}
			if under(imported, judge) && s.dir == judgesDoor {
				continue
			}
			if under(imported, testsOnly...) && !s.isTest && !under(s.dir, "test") {
				t.Errorf("%s imports %s: that is for tests", s.file, imported)
			}
		}
	}
}

// TestOneWay holds that imports run cmd -> gateway -> l3 -> l2. Tests may reach
// for what test/ shares as well.
func TestOneWay(t *testing.T) {
	mayImport := map[string][]string{
		"l2":      {"l2"},
		"l3":      {"l2", "l3"},
		"config":  {"config", "l2/frame"},
		"systemd": {"systemd"},
		"gateway": {"config", "gateway", "l2", "l3"},
		"cmd":     {"cmd", "config", "gateway", "systemd", "test/demo"},
		"test":    {"cmd", "config", "gateway", "l2", "l3", "systemd", "test"},
	}
	for _, s := range sources(t) {
		layer, _, _ := strings.Cut(s.dir, "/")
		allowed, known := mayImport[layer]
		if !known {
			t.Errorf("%s: no layer is called %q: add it here, with what it may import", s.file, layer)
			continue
		}
		if s.isTest {
			allowed = append(slices.Clone(allowed), "test")
		}
		for _, imported := range s.imports {
			if pkg, ours := strings.CutPrefix(imported, module+"/"); ours && !under(pkg, allowed...) {
				t.Errorf("%s imports %s: %s may import only %s", s.file, imported, layer, strings.Join(allowed, ", "))
			}
		}
	}
}

// TestPure holds that deciding about a frame waits for nothing and knows no time
// but the one it is given, and so what several controllers' words come to.
func TestPure(t *testing.T) {
	impure := []string{"time", "os", "net", "log", "log/slog", "sync", "context", "syscall", "golang.org/x/sys/unix"}
	for _, s := range sources(t) {
		if s.dir != "gateway/forward" && s.dir != "gateway/control" || s.isTest {
			continue
		}
		for _, imported := range s.imports {
			if slices.Contains(impure, imported) {
				t.Errorf("%s imports %s: forwarding is pure, and so is what controllers' words come to", s.file, imported)
			}
		}
	}
}
