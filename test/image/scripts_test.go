// Package image is the test of the appliance: what its scripts do with what an operator
// gives them, anywhere, and on demand whether the whole of it starts and carries frames
// in a virtual machine.
package image

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const (
	scripts = "../../packaging/image/files/usr/lib/vxgw-image"
	enabled = "etc/systemd/system/multi-user.target.wants/vxgw.service"
)

var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "vxgw-image-bin")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "vxgw"), "vxgw/cmd/vxgw")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return dir, errors.Join(err, errors.New(string(out)))
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := program(); dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// system is a directory that stands for the root of an appliance, and a medium.
type system struct {
	t            *testing.T
	root, medium string
}

func newSystem(t *testing.T) *system {
	t.Helper()
	s := &system{t, t.TempDir(), t.TempDir()}
	s.write(s.root, map[string]string{"etc/vxgw/vxgw.toml": sample, "etc/hostname": "vxgw\n"})
	return s
}

func (s *system) write(dir string, files map[string]string) {
	s.t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
}

// read returns a file of the system, "" where there is none.
func (s *system) read(name string) string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.root, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	return string(b)
}

// run runs a script of the appliance, and reports whether it has succeeded.
func (s *system) run(script string, args ...string) (said string, ok bool) {
	s.t.Helper()
	dir, err := program()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.CommandContext(s.t.Context(), filepath.Join(scripts, script), args...)
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "ROOT="+s.root, "SYS="+s.root+"/sys")
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) {
		s.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out), err == nil
}

const (
	sample = "# what the package brings\n"
	good   = `[underlay]
address = "192.0.2.1"
interface = "enp0s3"
[[vni]]
id = 10010
vlan = 10
flood = ["192.0.2.2"]
[[port]]
interface = "enp0s2"
vlan = 10
`
	network = "[Match]\nName=enp0s3\n[Network]\nAddress=192.0.2.1/24\n"
	key     = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGWXgnjtM9tPxTqpc9pFYNjRGsrtvAZ5z4EW2VYU0H2q admin\n"
)

func TestTake(t *testing.T) {
	bad := strings.Replace(good, "vlan = 10\n[[port]]", "vlan = 10\n[[prot]]", 1)
	bad = strings.Replace(bad, "id = 10010", "id = 0", 1)
	for _, test := range []struct {
		name   string
		medium map[string]string
		want   map[string]string // of the root; "" where there must be none
		says   []string
		ok     bool
	}{
		{"nothing", nil, map[string]string{"etc/vxgw/vxgw.toml": sample, enabled: ""}, nil, true},
		{"configuration", map[string]string{"vxgw.toml": good}, map[string]string{"etc/vxgw/vxgw.toml": good, "etc/vxgw/vxgw.toml.former": sample}, []string{"vxgw.toml: taken"}, true},
		{"bad configuration", map[string]string{"vxgw.toml": bad}, map[string]string{"etc/vxgw/vxgw.toml": sample, "etc/vxgw/vxgw.toml.new": "", enabled: ""},
			[]string{"vxgw.toml: REFUSED, what was there stays:", "vxgw.toml:5:", "1..16777215"}, false},
		{"one bad, one good", map[string]string{"vxgw.toml": bad, "hostname": "edge-1\n"}, map[string]string{"etc/vxgw/vxgw.toml": sample, "etc/hostname": "edge-1\n"},
			[]string{"REFUSED", "hostname: taken"}, false},
		{"network", map[string]string{"underlay.network": network}, map[string]string{"etc/systemd/network/underlay.network": network}, []string{"underlay.network: taken"}, true},
		{"network from Windows", map[string]string{"a.network": strings.ReplaceAll(network, "\n", "\r\n")}, nil, []string{"a.network: taken"}, true},
		{"network for everything", map[string]string{"a.network": "[Match]\nName=\n[Network]\nName=x\nDHCP=yes\n"}, map[string]string{"etc/systemd/network/a.network": ""}, []string{"a.network: its [Match] says nothing"}, false},
		{"device", map[string]string{"b.netdev": "[NetDev]\nName=b\nKind=bond\n"}, nil, []string{"b.netdev: taken"}, true},
		{"no device", map[string]string{"b.netdev": "Name=b\n"}, map[string]string{"etc/systemd/network/b.netdev": ""}, []string{"it has no [NetDev]"}, false},
		{"host name from Windows", map[string]string{"hostname": "edge-1\r\n"}, nil, []string{"hostname: taken"}, true},
		{"no host name", map[string]string{"hostname": "edge 1\n"}, map[string]string{"etc/hostname": "vxgw\n"}, []string{"hostname: a host name is one word"}, false},
		{"two host names", map[string]string{"hostname": "a\n\nb\n"}, map[string]string{"etc/hostname": "vxgw\n"}, []string{"one word"}, false},
		{"keys", map[string]string{"authorized_keys": key}, map[string]string{"root/.ssh/authorized_keys": key}, []string{"authorized_keys: taken"}, true},
		{"no keys", map[string]string{"authorized_keys": "hello\n"}, map[string]string{"root/.ssh/authorized_keys": ""}, []string{"authorized_keys: REFUSED"}, false},
		{"longer than anybody writes", map[string]string{"vxgw.toml": good + strings.Repeat("#\n", 1<<20)}, map[string]string{"etc/vxgw/vxgw.toml": sample}, []string{"longer than"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSystem(t)
			s.write(s.medium, test.medium)
			said, ok := s.run("take", s.medium, "1234-5678")
			if ok != test.ok {
				t.Errorf("it succeeds: %v\n%s", ok, said)
			}
			for _, want := range test.says {
				if !strings.Contains(said, want) {
					t.Errorf("no %q in\n%s", want, said)
				}
			}
			if len(test.says) == 0 && said != "" {
				t.Errorf("it says\n%s", said)
			}
			for name, want := range test.want {
				if got := s.read(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if strings.Contains(said, s.root) {
				t.Errorf("it speaks of files that the operator has not written:\n%s", said)
			}
		})
	}
}

// TestTakeOnce holds what becomes of a configuration from one start to the next.
func TestTakeOnce(t *testing.T) {
	s := newSystem(t)
	other := strings.Replace(good, "192.0.2.2", "192.0.2.3", 1)
	edited := good + "# by hand\n"
	expect := func(what, medium, want string, ok bool) {
		t.Helper()
		if _, is := s.run("take", s.medium, medium); is != ok {
			t.Errorf("%s: it succeeds: %v", what, is)
		}
		if got := s.read("etc/vxgw/vxgw.toml"); got != want {
			t.Errorf("%s: the configuration is\n%s", what, got)
		}
	}
	s.write(s.medium, map[string]string{"vxgw.toml": good})
	expect("new", "A", good, true)
	if link, err := os.Readlink(filepath.Join(s.root, enabled)); err != nil || link != "/usr/lib/systemd/system/vxgw.service" {
		t.Errorf("the gateway is not enabled: %q, %v", link, err)
	}
	s.write(s.root, map[string]string{"etc/vxgw/vxgw.toml": edited})
	expect("the same again", "A", edited, true)
	s.write(s.medium, map[string]string{"vxgw.toml": "nonsense"})
	expect("bad", "A", edited, false)
	s.write(s.medium, map[string]string{"vxgw.toml": other})
	expect("another", "A", other, true)
	s.write(s.medium, map[string]string{"vxgw.toml": good})
	expect("a second medium", "B", good, true)
	s.write(s.medium, map[string]string{"vxgw.toml": other})
	expect("the first again, the second is gone", "A", good, true)
}

func TestNetworks(t *testing.T) {
	nics := []string{"enp0s2", "enp0s3", "enp0s4", "enp0s10"}
	slots := []string{"2", "3", "4", "10"}
	macs := []string{"02", "03", "0c", "0a"}
	for _, test := range []struct {
		name              string
		config            string            // "": the gateway is not enabled
		networks          map[string]string // in /etc/systemd/network
		ports, management string
	}{
		{"nothing configured", "", nil, "none", "enp0s2"},
		{"gateway", good, nil, "enp0s2", "enp0s4"},
		{"underlay by its file", strings.Replace(good, "interface = \"enp0s3\"\n", "", 1), map[string]string{"u.network": network}, "enp0s2", "enp0s4"},
		{"by pattern", good, map[string]string{"m.network": "[Match]\nName=x enp0s?\n"}, "enp0s2", "enp0s10"},
		{"by MAC address", good, map[string]string{"m.network": "[Match]\nMACAddress=02:00:00:00:00:0F 02:00:00:00:00:0C\n"}, "enp0s2", "enp0s10"},
		{"all taken", good, map[string]string{"m.network": "[Match]\nName=en*\n"}, "enp0s2", "none"},
		{"a name elsewhere", good, map[string]string{"m.network": "[Match]\nName=x\n[Network]\nName=enp0s4\n"}, "enp0s2", "enp0s4"},
		{"not a configuration", "nonsense", nil, "none", "enp0s2"},
		{"two ports", good + "[[port]]\ninterface = \"enp0s4\"\nvlan = 10\n", nil, "enp0s2 enp0s4", "enp0s10"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSystem(t)
			for i, nic := range nics {
				s.write(s.root, map[string]string{
					"sys/devices/pci/" + slots[i] + "/vendor": "",
					"sys/class/net/" + nic + "/address":       "02:00:00:00:00:" + macs[i] + "\n",
				})
				s.link("../../../devices/pci/"+slots[i], "sys/class/net/"+nic+"/device")
			}
			s.write(s.root, map[string]string{"sys/class/net/lo/address": ""})
			if test.config != "" {
				s.write(s.root, map[string]string{"etc/vxgw/vxgw.toml": test.config, filepath.Dir(enabled) + "/x": ""})
				s.link("/usr/lib/systemd/system/vxgw.service", enabled)
			}
			for name, text := range test.networks {
				s.write(s.root, map[string]string{"etc/systemd/network/" + name: text})
			}
			if said, ok := s.run("networks"); !ok || said != "" {
				t.Fatalf("it says %s", said)
			}
			for file, want := range map[string]string{"50-vxgw-ports": test.ports, "zz-vxgw-management": test.management} {
				got := s.read("run/systemd/network/" + file + ".network")
				if _, name, _ := strings.Cut(got, "Name="); strings.TrimSpace(strings.SplitN(name, "\n", 2)[0]) != want {
					t.Errorf("%s is for\n%s\nwant %s", file, got, want)
				}
			}
		})
	}
}

func (s *system) link(to, name string) {
	s.t.Helper()
	if err := os.Symlink(to, filepath.Join(s.root, name)); err != nil {
		s.t.Fatal(err)
	}
}

// TestPrompt holds that an appliance nobody has configured says how that is done, and
// what it was given.
func TestPrompt(t *testing.T) {
	s := newSystem(t)
	s.write(s.root, map[string]string{"run/vxgw-image/said": "vxgw.toml: REFUSED a\\b\n"})
	if said, ok := s.run("prompt", "--once"); !ok || said != "" {
		t.Fatalf("it says %s", said)
	}
	got := s.read("run/issue.d/vxgw.issue")
	for _, want := range []string{"on vxgw\n", "gateway    not configured: put vxgw.toml on a FAT file system labelled VXGW", `REFUSED a\\b`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
