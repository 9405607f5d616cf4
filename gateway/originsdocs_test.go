package gateway

import (
	"log/slog"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"vxgw/config"
)

const originsConfig = `
[underlay]
address = "192.0.2.1"
[[vni]]
id = 10010
vlan = 10
suppress_arp = true
vrf = "red"
gateway = ["10.1.1.1/24"]
[[port]]
interface = "e1"
vlan = 10
[[vrf]]
name = "red"
`

var (
	consoles   = regexp.MustCompile("(?s)```console\n(.*?)```")
	lastHeard  = regexp.MustCompile(`"last_heard":"[^"]*"`)
	heardShown = `"last_heard":"2026-05-04T10:11:12Z"`
)

// TestOriginsDocs has curl say and ask what docs/origins.md does, in the order in which
// it stands there, and holds that the answers are those.
func TestOriginsDocs(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("needs curl, which `make test` provides")
	}
	cfg, err := config.Parse("test.toml", []byte(originsConfig))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{now: 1}
	if b.Gateway, err = New(cfg, Edges{Host: noHost{}, Clock: func() uint32 { return b.now }}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	socket := serveAt(t, b)
	page, err := os.ReadFile("../docs/origins.md")
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, console := range consoles.FindAllStringSubmatch(string(page), -1) {
		var got strings.Builder
		for _, command := range commands(console[1]) {
			asked++
			got.WriteString("$ " + command + "\n")
			command = strings.ReplaceAll(command, "/run/vxgw/control.sock", socket)
			if strings.Contains(command, "/v1/events") {
				attached(t, b, command)
				continue
			}
			out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput()
			if err != nil {
				t.Fatalf("%s\n%v: %s", command, err, out)
			}
			got.WriteString(lastHeard.ReplaceAllString(string(out), heardShown))
		}
		if got.String() != console[1] {
			t.Errorf("docs/origins.md has\n%s\nand it is\n%s", console[1], got.String())
		}
	}
	if asked < 10 {
		t.Errorf("only %d commands", asked)
	}
}

// commands are the commands of a console, which may be several lines long each.
func commands(text string) (all []string) {
	for _, part := range strings.Split("\n"+text, "\n$ ")[1:] {
		lines := strings.Split(part, "\n")
		end := 1
		for strings.Count(strings.Join(lines[:end], "\n"), "'")%2 == 1 {
			end++
		}
		all = append(all, strings.Join(lines[:end], "\n"))
	}
	return all
}

// attached runs a command that follows events until the controller is attached by it.
func attached(t *testing.T, b *bench, command string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "sh", "-c", "exec "+command)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	state := func() string { return b.Origins()[0].State }
	until := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); state() != want; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("it is %s, want %s", state(), want)
			}
		}
	}
	until("attached")
	_ = c.Process.Kill()
	_ = c.Wait()
	until("leased")
}
