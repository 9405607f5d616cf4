package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"

	"vxgw/gateway/api"
	"vxgw/gateway/events"
	"vxgw/l2/frame"
	"vxgw/test/packet"
)

// terminal is a program in a terminal, and what is on the screen of that.
type terminal struct {
	t     testing.TB
	tty   *os.File
	cmd   *exec.Cmd
	raw   output // all that was written
	ended chan error

	mu sync.Mutex // guards everything below: what SafeEmulator returns it does not guard
	vt *vt.Emulator
}

// Write takes what the program writes.
func (s *terminal) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.vt.Write(p)
}

func (s *terminal) resize(cols, rows int) {
	s.t.Helper()
	must(s.t, pty.Setsize(s.tty, &pty.Winsize{Cols: uint16(cols), Rows: uint16(rows)}))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.vt.Resize(cols, rows)
}

// inTerminal runs vxgw in a terminal of 80x24 until the test ends.
func inTerminal(t testing.TB, env []string, args ...string) *terminal {
	t.Helper()
	cmd := exec.Command(program, args...)
	races := filepath.Join(t.TempDir(), "race")
	cmd.Env = append(append(os.Environ(), "TERM=xterm-256color", "NO_COLOR=", "GORACE=exitcode=0 log_path="+races), env...)
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: 80, Rows: 24})
	must(t, err)
	s := &terminal{t: t, tty: tty, cmd: cmd, vt: vt.NewEmulator(80, 24), ended: make(chan error, 1)}
	// What the program asks its terminal.
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_, _ = io.Copy(tty, s.vt)
	}()
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.MultiWriter(&s.raw, s), tty) // until the program ends
	}()
	go func() {
		err := cmd.Wait()
		<-read
		s.ended <- err
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		err := <-s.ended
		s.ended <- err
		// Its Close and its Read are not for two goroutines.
		must(t, s.vt.InputPipe().(io.Closer).Close())
		<-answered
		must(t, s.vt.Close())
		_ = tty.Close()
		noRaces(t, races)
	})
	return s
}

// noRaces holds that the race detector found none in the program, but the one that is
// Bubble Tea's: when it ends it closes the terminal while a read may still wait for it.
func noRaces(t testing.TB, log string) {
	t.Helper()
	files, err := filepath.Glob(log + ".*")
	must(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		for _, report := range strings.Split(string(text), "==================") {
			if strings.Contains(report, "DATA RACE") && !strings.Contains(report, "cancelreader.(*epollCancelReader).Close") {
				t.Errorf("a race:\n%s", report)
			}
		}
	}
}

// shows returns what is on the screen.
func (s *terminal) shows() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for y := range s.vt.Height() {
		var line strings.Builder
		for x := range s.vt.Width() {
			if c := s.vt.CellAt(x, y); c != nil && c.Content != "" {
				line.WriteString(c.Content)
			} else {
				line.WriteByte(' ')
			}
		}
		lines = append(lines, strings.TrimRight(line.String(), " "))
	}
	return strings.Join(lines, "\n")
}

// await waits until the screen has all of these texts, or with a ! in front has them not.
func (s *terminal) await(texts ...string) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		screen, missing := s.shows(), ""
		for _, text := range texts {
			if text, not := strings.CutPrefix(text, "!"); strings.Contains(screen, text) == not {
				missing = text
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain about %q on\n%s", missing, screen)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *terminal) press(keys string) {
	s.t.Helper()
	_, err := io.WriteString(s.tty, keys)
	must(s.t, err)
}

// ends waits until the program has ended in good order, and has given its terminal back.
func (s *terminal) ends() {
	s.t.Helper()
	select {
	case err := <-s.ended:
		s.ended <- err
		if err != nil {
			s.t.Fatalf("%v; its last words:\n%s", err, s.raw.String())
		}
	case <-time.After(patience):
		s.t.Fatalf("it does not end:\n%s", s.shows())
	}
	if s.vt.IsAltScreen() {
		s.t.Error("the terminal is not given back")
	}
	if out := s.raw.String(); strings.Contains(out, "panic") || strings.Contains(out, "DATA RACE") {
		s.t.Errorf("its last words:\n%s", out)
	}
}

// rate finds the frames a second that come in at a port.
var rate = regexp.MustCompile(`acc1 .*  up +([0-9.]+k?) `)

// TestTop holds that one who watches a gateway sees its traffic, its drops and its MACs,
// that a configuration waits, and that it goes and comes back.
func TestTop(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", t.TempDir())
	b := newBed(t, 2, 1600)
	config := b.config(settings{})
	file := writeConfig(t, config, `http = ""`)
	var s *terminal
	if !t.Run("there", func(inner *testing.T) {
		b.gateway = startFile(inner, b.ns, file).forwards()
		s = inTerminal(t, nil, "top", "--socket", b.socket, "-d", "1s")
		s.t = inner
		s.await("VTEP 192.0.2.17 up", "ports 2/2 up", "acc1", "acc2", "every 1s", "q quit")
		watchTraffic(s, b)
		watchConfig(s, b, file, config)
	}) {
		return
	}
	s.t = t
	s.await("no vxgw answers on", "trying again")
	b.gateway = startFile(t, b.ns, file).forwards()
	s.await("!trying again", "acc1")
	s.press("q")
	s.ends()
}

// watchTraffic holds what is seen of frames.
func watchTraffic(s *terminal, b *bed) {
	t := s.t
	t.Helper()
	eventually(t, "the rate of acc1 is seen", func() bool {
		b.fromHost("h1", numbered(h2MAC, h1MAC, 0, 20)...)
		m := rate.FindStringSubmatch(s.shows())
		return m != nil && m[1] != "0"
	})
	tagged := packet.Numbered(h2MAC, h1MAC, 1)
	tagged = append(tagged[:12:12], append([]byte{0x81, 0, 0, 7}, tagged[12:]...)...)
	b.fromHost("h1", tagged)
	s.press("4")
	s.await("[4 drops]", "> tagged_frame", "what to do: ")
	s.press("\r")
	s.await("vxgw show drops --frames --reason tagged_frame")
	s.press("\x1b") // with a key at once behind it, it would be Alt
	s.await("> tagged_frame")
	s.press("5/1:1") // digits of h1's MAC
	s.await("search for digits of a MAC", h1MAC.String(), "acc1", "1 found", "!"+frame.MAC{2, 0, 0, 0, 1, 2}.String())
	s.press("\r")
	s.resize(120, 40)
	eventually(t, "it fills the larger terminal", func() bool {
		lines := strings.Split(s.shows(), "\n")
		return len(lines) == 40 && strings.Contains(lines[39], "q quit") && len(lines[0]) == 120
	})
	s.resize(80, 24)
	s.press("1")
	s.await("[1 ports]", "q quit")
}

// watchConfig holds that a configuration which waits to be confirmed is seen, and that
// those who follow events hear of it.
func watchConfig(s *terminal, b *bed, file, config string) {
	t := s.t
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	heard := make(chan events.Event)
	go func() {
		defer close(heard)
		for e, err := range b.client.Listen(ctx, &api.Listening{Types: "config", Snapshot: true}) {
			if err != nil {
				return
			}
			heard <- e
		}
	}()
	hears := func(want ...events.Type) {
		t.Helper()
		for _, w := range want {
			if e := <-heard; e.Type != w || (e.ConfirmUntil != nil) != (w == events.ConfigUnconfirmed) {
				t.Fatalf("heard %v, want %s", e, w)
			}
		}
	}
	hears(events.SnapshotBegin, events.ConfigConfirmed, events.SnapshotEnd)

	text, err := os.ReadFile(file)
	must(t, err)
	tail := strings.TrimPrefix(string(text), config)
	for _, name := range []string{"one", "two"} {
		must(t, os.WriteFile(file, []byte(strings.Replace(config, "vlan = 10\nflood", "vlan = 10\nname = \""+name+"\"\nflood", 1)+tail), 0o644))
		_, err = b.client.Reload(ctx, time.Minute)
		must(t, err)
		s.await("! configuration not confirmed: rolled back in ")
		hears(events.ConfigUnconfirmed)
		if name == "one" {
			_, err = b.client.Confirm(ctx)
			must(t, err)
			s.await("!not confirmed")
			hears(events.ConfigConfirmed)
		}
	}
	_, err = b.client.Rollback(ctx)
	must(t, err)
	s.await("! configuration rolled back: ")
	hears(events.ConfigRolledBack)
	must(t, os.WriteFile(file, text, 0o644))
	_, err = b.client.Reload(ctx, 0)
	must(t, err)
	s.await("!rolled back")
	hears(events.ConfigConfirmed)
}

// colour is a change of the colour of what is written.
var colour = regexp.MustCompile(`\x1b\[([0-9;]*;)?([34][0-8]|9[0-7])[0-9;]*m`)

// TestTopColours holds that there are colours, and none where NO_COLOR is set; and that a
// terminal is given back whatever ends the program.
func TestTopColours(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1600).start(settings{})
	for _, test := range []struct {
		name   string
		env    []string
		colour bool
		end    func(*terminal)
	}{
		{"colours", nil, true, func(s *terminal) { s.press("\x03") }},
		{"NO_COLOR", []string{"NO_COLOR=1"}, false, func(s *terminal) { must(t, s.cmd.Process.Signal(syscall.SIGTERM)) }},
		{"a terminal without", []string{"TERM=dumb"}, false, func(s *terminal) { must(t, s.cmd.Process.Signal(syscall.SIGINT)) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := inTerminal(t, test.env, "top", "--socket", b.socket, "-d", "1s")
			s.await("> acc1", "q quit")
			if got := colour.FindString(s.raw.String()); (got != "") != test.colour {
				t.Errorf("there is %q", got)
			}
			test.end(s)
			s.ends()
		})
	}
}

// TestTopBatch holds that a script gets the table as often as it asks, with rates, and
// that one without a terminal is told what to use.
func TestTopBatch(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1600).start(settings{})
	ctx, stop := context.WithCancel(context.Background())
	sending := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if err := b.hosts.Send("h1", numbered(ra1MAC, h1MAC, 0, 10)...); err != nil {
				sending <- err
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		sending <- nil
	}()
	out, err := exec.Command(program, "top", "-b", "-n", "2", "-d", "1s", "--socket", b.socket).Output()
	stop()
	must(t, <-sending)
	must(t, err)
	tables := strings.Split(string(out), "\n\nvxgw ")
	for _, table := range tables {
		if m := rate.FindStringSubmatch(table); m == nil || m[1] == "0" {
			t.Errorf("no rate in\n%s", table)
		}
	}
	if len(tables) != 2 || strings.Contains(string(out), "\x1b") {
		t.Errorf("%d tables:\n%s", len(tables), out)
	}
	_, err = exec.Command(program, "top", "--socket", b.socket).Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(exit.Stderr), "`vxgw show ports`") {
		t.Errorf("without a terminal: %v", fmt.Sprint(err))
	}
}
