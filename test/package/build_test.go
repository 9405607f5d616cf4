// Package pkg is the test of the Debian package: what is in it, and that it can be
// installed, upgraded while frames pass, removed and purged.
package pkg

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// built is two versions of the package, made once for all tests.
type built struct {
	dir      string
	old, new string // files
	err      error
}

var packages = sync.OnceValue(func() (b built) {
	for _, tool := range []string{"dpkg-deb", "git"} {
		if _, err := exec.LookPath(tool); err != nil {
			return built{err: errors.Join(errNotHere, err)}
		}
	}
	if b.dir, b.err = os.MkdirTemp("", "vxgw-package"); b.err != nil {
		return b
	}
	if b.err = programs(b.dir); b.err != nil {
		return b
	}
	if b.old, b.err = build(b.dir, b.dir, "1.0-1"); b.err == nil {
		b.new, b.err = build(b.dir, b.dir, "1.1-1")
	}
	return b
})

// programs builds what is in every package of the tests, once: to link it takes longer
// than all else.
func programs(dir string) error {
	for name, args := range map[string][]string{"program": {"-ldflags", "-s -w"}, "packager": {"-tags", "manpages"}} {
		cmd := exec.Command("go", append(append([]string{"build", "-trimpath", "-o", filepath.Join(dir, name)}, args...), "vxgw/cmd/vxgw")...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return errors.Join(err, errors.New(string(out)))
		}
	}
	return nil
}

var errNotHere = errors.New("packages are built on Debian")

func TestMain(m *testing.M) {
	code := m.Run()
	if dir := packages().dir; dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// build makes the package in a directory, of programs that are in another, and returns
// its file.
func build(dir, programs, version string) (string, error) {
	cmd := exec.Command("../../packaging/deb/build", dir)
	cmd.Env = append(os.Environ(), "DEB_VERSION="+version, "LEVEL=1",
		"PROGRAM="+filepath.Join(programs, "program"), "PACKAGER="+filepath.Join(programs, "packager"))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", errors.Join(err, errors.New(errs.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// needPackages returns the packages, or skips the test where none can be made.
func needPackages(t *testing.T) built {
	t.Helper()
	b := packages()
	if errors.Is(b.err, errNotHere) {
		t.Skip(b.err)
	}
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestReproducible holds that the same sources give the same bytes; of the program
// itself -trimpath sees to that.
func TestReproducible(t *testing.T) {
	b := needPackages(t)
	again, err := build(t.TempDir(), b.dir, "1.0-1")
	if err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(b.old)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(again)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Errorf("%s and %s differ", b.old, again)
	}
}

func TestLintian(t *testing.T) {
	b := needPackages(t)
	if _, err := exec.LookPath("lintian"); err != nil {
		t.Skip("needs lintian; `make test` installs it")
	}
	output(t, "lintian", "--fail-on", "error,warning", "--tag-display-limit", "0", b.old)
}

// TestCopyright holds that every module in the binary has a stanza, and that none is
// there for one that is not.
func TestCopyright(t *testing.T) {
	b := needPackages(t)
	dir := t.TempDir()
	output(t, "dpkg-deb", "-x", b.old, dir)
	info, err := buildinfo.ReadFile(filepath.Join(dir, "usr/bin/vxgw"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "usr/share/doc/vxgw/copyright"))
	if err != nil {
		t.Fatal(err)
	}
	in := map[string]bool{}
	for _, m := range info.Deps {
		in[m.Path] = true
		if !strings.Contains(string(text), "\nFiles: "+m.Path+"/*\n") {
			t.Errorf("packaging/deb/copyright has nothing on %s %s: see its licence", m.Path, m.Version)
		}
	}
	for line := range strings.Lines(string(text)) {
		path, is := strings.CutPrefix(strings.TrimSpace(line), "Files: ")
		if path = strings.TrimSuffix(path, "/*"); is && strings.Contains(path, ".") && !in[path] {
			t.Errorf("packaging/deb/copyright has %s, which is not in the binary", path)
		}
	}
}
