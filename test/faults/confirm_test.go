package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"vxgw/gateway/api"
	"vxgw/test/netns"
)

// config returns the row of `show config`.
func (d *daemon) config() api.ConfigRow {
	d.t.Helper()
	return rows[api.ConfigRow](d, "config")[0]
}

// ask runs a command of the gateway and holds that it ends well.
func (d *daemon) ask(args ...string) string {
	d.t.Helper()
	out, stderr, code := tool(d.t, nil, append(args, "--socket", d.socket)...)
	if code != 0 {
		d.t.Errorf("%v: exit %d\n%s%s", args, code, out, stderr)
	}
	return out
}

// killed ends the gateway by SIGKILL, and starts it again.
func (d *daemon) killed(ns *netns.NS) {
	d.t.Helper()
	d.signal(syscall.SIGKILL)
	d.ends()
	d.client.Close()
	d.err = new(buffer)
	d.again(ns)
	d.start().begun()
}

// TestConfirm goes through what an operator does with a reload for a time.
func TestConfirm(t *testing.T) {
	b := newBed(t)
	d := start(t, b.gw, settings{})
	b.pings(t)
	until := regexp.MustCompile("not confirmed: rolled back at [0-9:]{8}, unless `vxgw confirm` follows\n$")

	// Not confirmed: rolled back when the time is over, and not taken by a start.
	d.write(settings{more: more})
	if out := d.ask("reload", "--confirm", "1s"); !until.MatchString(out) || !strings.Contains(out, "+ port acc9") {
		t.Errorf("%q", out)
	}
	d.says("level=WARN", "is rolled back unless it is confirmed", "vxgw confirm")
	d.says("level=WARN", "the configuration is rolled back", "nobody has confirmed it in time", "vxgw reload --confirm")
	d.wantPorts("acc1")
	if out := d.ask("show", "config"); !strings.Contains(out, "rolled_back") || !strings.Contains(out, "correct it") {
		t.Errorf("%q", out)
	}
	b.pings(t)
	d.killed(b.gw)
	d.wantPorts("acc1")
	d.says("level=WARN", "was not confirmed: the gateway runs by the one before", "vxgw check --diff")

	// Confirmed, it stays.
	if out := d.ask("reload", "--confirm", "1m"); !until.MatchString(out) {
		t.Errorf("%q", out)
	}
	if c := d.config(); c.State != api.ConfigUnconfirmed || c.ConfirmUntil == nil || time.Until(*c.ConfirmUntil) > time.Minute {
		t.Errorf("%+v", c)
	}
	// Nothing else is taken meanwhile.
	d.signal(syscall.SIGHUP)
	d.says("level=ERROR", "not reloaded", "a reload waits to be confirmed until")
	if _, stderr, code := tool(t, nil, "reload", "--socket", d.socket); code != 1 || !strings.Contains(stderr, "`vxgw confirm` keeps it, `vxgw rollback` undoes it, and `vxgw reload --confirm 60s` replaces it") {
		t.Errorf("exit %d, %q", code, stderr)
	}
	if out := d.ask("confirm"); out != "confirmed: "+d.file+" stays in force\n" {
		t.Errorf("%q", out)
	}
	d.says("configuration confirmed")
	d.wantPorts("acc1 acc9")
	d.killed(b.gw)
	d.wantPorts("acc1 acc9")
	if c := d.config(); c.State != api.ConfigConfirmed {
		t.Errorf("%+v", c)
	}

	// Undone at once; and a reload without a time takes the file as it is.
	d.write(settings{})
	d.ask("reload", "--confirm", "1m")
	d.wantPorts("acc1")
	if out := d.ask("rollback"); !strings.Contains(out, "+ port acc9") || !strings.Contains(out, "rolled back: the file still has the other one") {
		t.Errorf("%q", out)
	}
	d.wantPorts("acc1 acc9")
	d.ask("reload")
	d.wantPorts("acc1")
	if _, stderr, code := tool(t, nil, "confirm", "--socket", d.socket); code != 1 || stderr != "error: nothing waits to be confirmed: the configuration that runs stays\n" {
		t.Errorf("exit %d, %q", code, stderr)
	}
	if left, err := os.ReadDir(d.state()); err != nil || len(left) > 0 {
		t.Errorf("%v, %v are kept", left, err)
	}
	b.pings(t)
	nothingRaw(t, d.err.String())
}

// TestCheckDiff asks a gateway that has learned something.
func TestCheckDiff(t *testing.T) {
	b := newBed(t)
	d := start(t, b.gw, settings{})
	b.pings(t)
	check := func(s settings, args ...string) string {
		t.Helper()
		file := filepath.Join(d.dir, "next.toml")
		must(t, os.WriteFile(file, []byte(s.text(d.socket)), 0o644))
		out, stderr, code := tool(t, nil, append([]string{"check", "--diff", "-c", file}, args...)...)
		if code != 0 {
			t.Errorf("exit %d\n%s", code, stderr)
		}
		return out
	}
	if out := check(settings{}); out != "nothing changes\n" {
		t.Errorf("%q", out)
	}
	moved := "[[vni]]\nid = 10010\nvlan = 10\nflood = [\"192.0.2.2\", \"192.0.2.9\"]\n[[vni]]\nid = 10020\nvlan = 20\n[[port]]\ninterface = \"acc1\"\nvlan = 20\n"
	for out, want := range map[string]string{
		check(settings{whole: moved, underlay: "ttl = 9"}): `underlay ttl: 64 -> 9: takes a restart, nothing changes before
vni 10020: added: nothing is interrupted
vni 10010: flood list +192.0.2.9: nothing is interrupted
port acc1: VLAN 10 -> 20 (VNI 10010 -> 10020): its 1 MAC is flushed, frames of it are interrupted
what takes a restart: systemctl restart vxgw
nothing else is touched
`,
		check(settings{underlay: "ttl = 9"}, "--json"): `{"impacts":[{"item":"underlay ttl","change":"64 -> 9","effect":"takes a restart, nothing changes before","interrupts":false,"restart":true}],"warnings":[]}
`,
	} {
		if out != want {
			t.Errorf("%s\nwant\n%s", out, want)
		}
	}
	b.pings(t)
	d.wantPorts("acc1")
	d.ask("reload")
	// Against what runs, and not against the file that it runs by.
	must(t, os.WriteFile(d.file, []byte("["), 0o644))
	if out := check(settings{}); out != "nothing changes\n" {
		t.Errorf("%q", out)
	}
}

// TestInvalidReload holds what a file that is not valid, or cannot run, does: nothing,
// and it says why in these words.
func TestInvalidReload(t *testing.T) {
	b := newBed(t)
	d := start(t, b.gw, settings{})
	b.pings(t)
	for _, test := range []struct{ name, text, says string }{
		{"two mistakes", "[underlay]\naddress = \"nowhere\"\nprot = 1\n",
			`FILE:2:11: address = "nowhere" is not an IP address: write the unicast address of a VTEP, as 192.0.2.2 or 2001:db8::2
FILE:3:1: unknown key "prot": did you mean "port"?
`},
		{"no TOML", "[underlay", "FILE:1:9: not valid TOML: "},
		{"a VLAN of no VNI", "[underlay]\naddress = \"192.0.2.1\"\n[[port]]\ninterface = \"acc1\"\nvlan = 10\n",
			"FILE:5:8: vlan = 10 stands for no VNI: add a [[vni]] with vlan = 10, or write vni = and its id here\n"},
		{"another address family", "[underlay]\naddress = \"2001:db8::1\"\n[[vni]]\nid = 10010\nflood = [\"2001:db8::2\"]\n",
			"FILE: VNI 10010 sends to 2001:db8::2, and this gateway speaks IPv4, as 192.0.2.1, until a restart makes it 2001:db8::1: nothing is changed; `systemctl restart vxgw` applies all of the file\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			must(t, os.WriteFile(d.file, []byte(test.text), 0o644))
			says := strings.ReplaceAll(test.says, "FILE", d.file)
			for _, args := range [][]string{{"reload"}, {"reload", "--confirm", "1m"}, {"check", "--diff", "-c", d.file}} {
				stdout, stderr, code := tool(t, nil, append(args, "--socket", d.socket)...)
				// `check` warns of what is valid before it asks.
				if code != 2 || stdout != "" || !strings.Contains(stderr, says) || args[0] == "reload" && !strings.HasPrefix(stderr, says) {
					t.Errorf("%v: exit %d, %q, want %q", args, code, stderr, says)
				}
			}
			d.wantPorts("acc1")
			b.pings(t)
			if c := d.config(); c.State != api.ConfigConfirmed {
				t.Errorf("%+v", c)
			}
		})
	}
}

// TestKilledAtAnyMoment kills the gateway while it reloads, confirms and rolls back. The
// next one runs by what was confirmed: if somebody was told so, by that, and else by one
// of the two, whole.
func TestKilledAtAnyMoment(t *testing.T) {
	const times, apart = 12, 3 * time.Millisecond
	one, two := settings{}, settings{more: more}
	const onePorts, twoPorts = "acc1", "acc1 acc9"
	for _, test := range []struct {
		name    string
		prepare []string // before the kill
		command []string // that is killed
		told    string   // the ports after a start, where the command ended well
		either  bool     // where it did not: both are right, and not the first alone
		noFile  bool     // the file is what counts at a start
	}{
		{name: "reload", command: []string{"reload"}, told: twoPorts, noFile: true},
		{name: "reload to be confirmed", command: []string{"reload", "--confirm", "1h"}, told: onePorts, either: true},
		{name: "confirm", prepare: []string{"reload", "--confirm", "1h"}, command: []string{"confirm"}, told: twoPorts, either: true},
		{name: "rollback", prepare: []string{"reload", "--confirm", "1h"}, command: []string{"rollback"}, told: onePorts},
		{name: "replaced", prepare: []string{"reload", "--confirm", "1h"}, command: []string{"reload", "--confirm", "2h"}, told: onePorts},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBed(t)
			d := start(t, b.gw, one)
			for i := range times {
				d.write(two)
				if test.prepare != nil {
					d.ask(test.prepare...)
				}
				ended := make(chan int, 1)
				go func() {
					_, _, code := tool(t, nil, append(test.command, "--socket", d.socket)...)
					ended <- code
				}()
				time.Sleep(time.Duration(i) * apart)
				d.killed(b.gw)
				var names []string
				for _, p := range rows[api.PortRow](d, "ports") {
					names = append(names, p.Interface)
				}
				is, code := strings.Join(names, " "), <-ended
				right := is == test.told
				if code != 0 {
					right = is == onePorts || test.either && is == twoPorts
					if test.noFile {
						right = is == twoPorts
					}
				}
				if !right {
					t.Errorf("killed after %v, exit %d: the next one has the ports %q\n%s", time.Duration(i)*apart, code, is, d.err.String())
				}
				// The first one again, with nothing kept.
				d.write(one)
				if out, stderr, code := tool(t, nil, "reload", "--socket", d.socket); code != 0 {
					t.Fatalf("%s%s", out, stderr)
				}
				d.wantPorts(onePorts)
				if left, err := os.ReadDir(d.state()); err == nil && len(left) > 0 {
					t.Fatal(fmt.Errorf("%v is left", left))
				}
			}
			b.pings(t)
		})
	}
}
