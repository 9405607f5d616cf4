package commit

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"vxgw/config"
	"vxgw/gateway/api"
	"vxgw/gateway/events"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// standIn is a gateway that keeps its configuration and nothing else.
type standIn struct {
	mu    sync.Mutex
	runs  *config.Config
	fails error

	during func() // a reload
}

func (s *standIn) Reload(next *config.Config) (config.Changes, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.during != nil {
		s.during()
	}
	if s.fails != nil {
		return config.Changes{}, s.fails
	}
	c := config.Diff(s.runs, next)
	s.runs = next
	return c, nil
}

func (s *standIn) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = err
}

func (s *standIn) Preview(*config.Config) ([]api.Impact, error) { return []api.Impact{}, s.fails }

// bed is a Committer with its file and its state, over restarts.
type bed struct {
	t         *testing.T
	file, dir string
	log       bytes.Buffer
	told      []string // events
	gw        *standIn
	*Committer
}

func newBed(t *testing.T) *bed {
	b := &bed{t: t, dir: t.TempDir(), gw: new(standIn)}
	b.file = filepath.Join(t.TempDir(), "vxgw.toml")
	b.write("one")
	return b.start()
}

// configOf is a configuration that is known by the name of its VNI.
func configOf(name string) string {
	return fmt.Sprintf("[underlay]\naddress = \"192.0.2.1\"\n[[vni]]\nid = 1\nvlan = 1\nname = %q\n", name)
}

func (b *bed) write(name string) {
	b.t.Helper()
	if err := os.WriteFile(b.file, []byte(configOf(name)), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// start begins as a process does.
func (b *bed) start() *bed {
	b.t.Helper()
	begin, err := Begin(b.file, b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(&b.log, nil))
	begin.Tell(log)
	b.gw.runs = begin.Config
	b.Committer = New(begin, Options{Gateway: b.gw, Log: log, Tell: b.hear})
	return b
}

// hear notes an event. The Committer tells of them one at a time.
func (b *bed) hear(e events.Event) {
	line := string(e.Type)
	if e.ConfirmUntil != nil {
		line += " for " + time.Until(*e.ConfirmUntil).String()
	}
	if e.Reason != "" {
		line += ": " + e.Reason
	}
	b.told = append(b.told, line)
}

// heard holds which events there were since it was asked last.
func (b *bed) heard(want ...string) {
	b.t.Helper()
	if !slices.Equal(b.told, want) {
		b.t.Errorf("told of %q, want %q", b.told, want)
	}
	b.told = nil
}

// kill ends the process without a word, and starts it again.
func (b *bed) kill() {
	b.t.Helper()
	b.Close() // of what a kill ends it does no more than stop the time
	b.start()
}

// is holds which configuration runs, in what state, and how many files are kept.
func (b *bed) is(name, state string, kept int) {
	b.t.Helper()
	b.gw.mu.Lock()
	runs := b.gw.runs.VNIs[0].Name
	b.gw.mu.Unlock()
	row := b.Config()
	if runs != name || row.State != state || row.File != b.file || (row.ConfirmUntil != nil) != (state == api.ConfigUnconfirmed) {
		b.t.Errorf("%s runs, %+v; want %s, %s", runs, row, name, state)
	}
	if names, err := os.ReadDir(b.dir); err != nil || len(names) != kept {
		b.t.Errorf("%d files are kept, %v; want %d", len(names), err, kept)
	}
}

func (b *bed) try(name string, confirm time.Duration) {
	b.t.Helper()
	b.write(name)
	done, err := b.Reload(confirm)
	if err != nil {
		b.t.Fatal(err)
	}
	if (done.ConfirmUntil != nil) != (confirm != 0) || confirm != 0 && !done.ConfirmUntil.Equal(time.Now().Add(confirm)) {
		b.t.Errorf("to be confirmed until %v", done.ConfirmUntil)
	}
}

func (b *bed) says(words string) {
	b.t.Helper()
	if !strings.Contains(b.log.String(), words) {
		b.t.Errorf("nothing of %q in\n%s", words, b.log.String())
	}
}

const (
	confirmed, unconfirmed, rolledBack = api.ConfigConfirmed, api.ConfigUnconfirmed, api.ConfigRolledBack
	minute                             = time.Minute
)

// bubble runs a test in which time passes only when all wait for it.
func bubble(t *testing.T, test func(b *bed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		b := newBed(t)
		defer func() { b.Close() }()
		test(b)
	})
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestReload(t *testing.T) {
	bubble(t, func(b *bed) {
		b.is("one", confirmed, 0)
		b.try("two", 0)
		b.is("two", confirmed, 0)
		b.kill()
		b.is("two", confirmed, 0)
	})
}

func TestConfirmed(t *testing.T) {
	bubble(t, func(b *bed) {
		b.try("two", minute)
		b.is("two", unconfirmed, 1)
		b.says("until=")
		b.says("vxgw confirm")
		pass(minute - time.Millisecond)
		b.is("two", unconfirmed, 1)
		if row, err := b.Confirm(); err != nil || row.State != confirmed {
			t.Errorf("%+v, %v", row, err)
		}
		b.says("configuration confirmed")
		b.is("two", confirmed, 0)
		pass(time.Hour)
		b.is("two", confirmed, 0)
		b.kill()
		b.is("two", confirmed, 0)
	})
}

func TestNotConfirmed(t *testing.T) {
	bubble(t, func(b *bed) {
		b.try("two", minute)
		pass(minute)
		b.is("one", rolledBack, 1)
		b.says("nobody has confirmed it in time")
		if _, err := b.Confirm(); !errors.Is(err, api.ErrNotNow) || !strings.Contains(err.Error(), "was rolled back") {
			t.Errorf("%v of a confirmation that is late", err)
		}
		b.is("one", rolledBack, 1)
		// The file still has it, and no start takes it.
		for range 3 {
			b.log.Reset()
			b.kill()
			b.is("one", rolledBack, 1)
			b.says("was not confirmed: the gateway runs by the one before")
		}
		// Written anew it is taken again.
		b.write("three")
		b.kill()
		b.is("three", confirmed, 0)
	})
}

func TestRollback(t *testing.T) {
	bubble(t, func(b *bed) {
		if _, err := b.Rollback(); !errors.Is(err, api.ErrNotNow) {
			t.Errorf("%v where nothing waits", err)
		}
		b.try("two", minute)
		done, err := b.Rollback()
		if err != nil || len(done.Changes) != 1 || done.ConfirmUntil != nil {
			t.Errorf("%+v, %v", done, err)
		}
		b.is("one", rolledBack, 1)
		pass(time.Hour)
		// A reload without a time says that the file is right as it is.
		if _, err := b.Reload(0); err != nil {
			t.Error(err)
		}
		b.is("two", confirmed, 0)
	})
}

// A process that ends while one waits begins with what is confirmed, whatever the file
// has by then.
func TestKilledUnconfirmed(t *testing.T) {
	for name, meanwhile := range map[string]func(b *bed){
		"the file as it was":    func(*bed) {},
		"the file changed":      func(b *bed) { b.write("three") },
		"the file not valid":    func(b *bed) { _ = os.WriteFile(b.file, []byte("["), 0o600) },
		"the file gone":         func(b *bed) { _ = os.Remove(b.file) },
		"half a file beside it": func(b *bed) { _ = os.WriteFile(b.store.path+".new", []byte("["), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bed) {
				b.try("two", minute)
				meanwhile(b)
				for range 2 {
					b.kill()
					b.gw.mu.Lock()
					if runs := b.gw.runs.VNIs[0].Name; runs != "one" {
						t.Errorf("%s runs", runs)
					}
					b.gw.mu.Unlock()
				}
				if s := b.Config().State; s != rolledBack {
					t.Error(s)
				}
				pass(time.Hour) // the time of the process that is gone
				b.try("four", 0)
				b.is("four", confirmed, 0)
			})
		})
	}
}

// At the moment of the change itself, too, a start would begin with what is confirmed.
func TestKeptBeforeTheChange(t *testing.T) {
	bubble(t, func(b *bed) {
		moments := 0
		b.gw.during = func() {
			moments++
			begin, err := Begin(b.file, b.dir)
			if err != nil || begin.Config.VNIs[0].Name != "one" {
				t.Errorf("moment %d: %+v, %v", moments, begin, err)
			}
			// Begin notes what it passes over; here it was only asked.
			if err := b.store.save(&held{refused: digestOf([]byte(configOf("two"))), text: []byte(configOf("one"))}); err != nil {
				t.Error(err)
			}
		}
		b.try("two", minute)
		b.try("three", minute)
		pass(minute)
		if moments != 3 {
			t.Errorf("%d moments", moments)
		}
		b.is("one", rolledBack, 1)
		b.gw.during = nil
	})
}

// One that waits can be replaced by another that has a time, and by nothing else; all
// of it is undone together.
func TestReplaced(t *testing.T) {
	bubble(t, func(b *bed) {
		b.try("two", minute)
		b.write("three")
		for range 2 {
			_, err := b.Reload(0)
			if !errors.Is(err, api.ErrNotNow) || !strings.Contains(err.Error(), "vxgw confirm") || errors.Is(err, api.ErrInvalid) {
				t.Errorf("%v of a reload without a time", err)
			}
			b.is("two", unconfirmed, 1)
		}
		pass(50 * time.Second)
		b.try("three", minute)
		pass(50 * time.Second)
		b.is("three", unconfirmed, 1)
		pass(10 * time.Second)
		b.is("one", rolledBack, 1)
		b.kill()
		b.is("one", rolledBack, 1)
		// After a roll-back, too, another can be tried.
		b.try("four", minute)
		b.is("four", unconfirmed, 1)
		b.kill()
		b.is("one", rolledBack, 1)
	})
}

// Where there is nothing to go back to, nothing waits.
func TestNothingToConfirm(t *testing.T) {
	bubble(t, func(b *bed) {
		for range 2 {
			if done, err := b.Reload(minute); err != nil || done.ConfirmUntil != nil || len(done.Changes) > 0 {
				t.Errorf("%+v, %v", done, err)
			}
			b.is("one", confirmed, 0)
		}
		b.try("two", minute)
		b.write("one")
		if done, err := b.Reload(minute); err != nil || done.ConfirmUntil != nil || len(done.Changes) != 1 {
			t.Errorf("%+v, %v", done, err)
		}
		b.is("one", confirmed, 0)
		pass(time.Hour)
		b.is("one", confirmed, 0)
	})
}

// What cannot be done changes nothing, neither here nor at the next start.
func TestFailures(t *testing.T) {
	bubble(t, func(b *bed) {
		broken := errors.New("more than 4096 ports")
		states := []struct {
			set   func()
			runs  string
			state string
			kept  int
		}{
			{func() {}, "one", confirmed, 0},
			{func() { b.try("two", minute) }, "two", unconfirmed, 1},
			{func() { pass(minute) }, "one", rolledBack, 1},
		}
		for _, s := range states {
			s.set()
			file, err := os.ReadFile(b.file)
			if err != nil {
				t.Fatal(err)
			}
			// Too much for the gateway.
			b.write("three")
			b.gw.fail(broken)
			if _, err := b.Reload(minute); !errors.Is(err, broken) || !errors.Is(err, api.ErrInvalid) {
				t.Error(err)
			}
			b.gw.fail(nil)
			b.is(s.runs, s.state, s.kept)
			// Not valid.
			if err := os.WriteFile(b.file, []byte("[underlay]\nadress = 1\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, confirm := range []time.Duration{minute, 0} {
				if _, err := b.Reload(confirm); !errors.Is(err, api.ErrInvalid) && s.state != unconfirmed {
					t.Error(err)
				}
			}
			b.is(s.runs, s.state, s.kept)
			if err := os.WriteFile(b.file, file, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		b.kill()
		b.is("one", rolledBack, 1)
	})
}

// Without a place to keep it in nothing is tried.
func TestNowhereToKeep(t *testing.T) {
	bubble(t, func(b *bed) {
		if err := os.Remove(b.dir); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(b.dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		b.write("two")
		if _, err := b.Reload(minute); err == nil || !strings.Contains(err.Error(), "nothing is changed") || errors.Is(err, api.ErrInvalid) {
			t.Error(err)
		}
		if b.gw.runs.VNIs[0].Name != "one" || b.Config().State != confirmed {
			t.Error("it was tried")
		}
		// For good it can be applied.
		if _, err := b.Reload(0); err != nil || b.gw.runs.VNIs[0].Name != "two" {
			t.Error(err)
		}
	})
}

// A roll-back that the gateway refuses is tried again.
func TestRollbackFails(t *testing.T) {
	bubble(t, func(b *bed) {
		b.try("two", minute)
		b.gw.fail(errors.New("more than 16384 VTEPs"))
		pass(minute)
		b.is("two", unconfirmed, 1)
		b.says("not rolled back: trying again")
		b.kill() // a restart has no such trouble
		b.is("one", rolledBack, 1)
		b.gw.fail(nil)
		b.try("two", minute)
		b.gw.fail(errors.New("more than 16384 VTEPs"))
		pass(minute)
		b.gw.fail(nil)
		pass(retryRollback)
		b.is("one", rolledBack, 1)
	})
}

// What is kept and cannot be used is told of, and the file is taken.
func TestBrokenState(t *testing.T) {
	for name, text := range map[string][]byte{
		"not ours":  []byte("[underlay]\n"),
		"not valid": (&held{text: []byte("[")}).encode(),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bed) {
				if err := os.WriteFile(b.store.path, text, 0o600); err != nil {
					t.Fatal(err)
				}
				b.kill()
				b.is("one", confirmed, 1)
				b.says("not kept as it should be")
				b.try("two", minute)
				b.is("two", unconfirmed, 1)
				pass(minute)
				b.is("one", rolledBack, 1)
			})
		})
	}
}

func TestDiff(t *testing.T) {
	bubble(t, func(b *bed) {
		if is, err := b.Diff("other.toml", []byte(configOf("two"))); err != nil || is.Impacts == nil || len(is.Warnings) == 0 || !strings.HasPrefix(is.Warnings[0], "other.toml:") {
			t.Errorf("%+v, %v", is, err)
		}
		if _, err := b.Diff("other.toml", []byte("[")); !errors.Is(err, api.ErrInvalid) || !strings.HasPrefix(err.Error(), "other.toml:1:") {
			t.Error(err)
		}
		b.gw.fail(errors.New("too many"))
		if _, err := b.Diff("other.toml", []byte(configOf("two"))); !errors.Is(err, api.ErrInvalid) {
			t.Error(err)
		}
		b.is("one", confirmed, 0)
	})
}

// A reload of thousands of VNIs changes as much: the log names some, and says how many
// more there are.
func TestLogIsBounded(t *testing.T) {
	for n, want := range map[int]int{0: 0, 1: 1, maxChanges: maxChanges, maxChanges + 1: maxChanges + 1, 5000: maxChanges + 1} {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("+ vni %d", i))
		}
		var text bytes.Buffer
		(&Committer{opts: Options{Log: slog.New(slog.NewTextHandler(&text, nil))}}).logChanges(all)
		if lines := strings.Count(text.String(), "\n"); lines != want {
			t.Errorf("%d changes: %d lines, want %d", n, lines, want)
		}
		if more := fmt.Sprintf("=%d", n-maxChanges); n > maxChanges && !strings.Contains(text.String(), more) {
			t.Errorf("%d changes: nothing of %s more", n, more)
		}
	}
}

// Whoever asks, and however many at once: one thing is done after the other.
func TestMany(t *testing.T) {
	b := newBed(t)
	defer b.Close()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for k := range 50 {
				switch (i + k) % 5 {
				case 0:
					b.write("two")
				case 1:
					_, _ = b.Reload(minute) // refused or not, as it comes
				case 2:
					_, _ = b.Reload(0)
				case 3:
					_, _ = b.Rollback()
				case 4:
					_, _ = b.Confirm()
				}
				b.Config()
			}
		})
	}
	all.Wait()
	if _, err := b.Confirm(); err != nil && !errors.Is(err, api.ErrNotNow) {
		t.Error(err)
	}
	b.write("three")
	if _, err := b.Reload(0); err != nil {
		t.Fatal(err)
	}
	b.is("three", confirmed, 0)
}

// Who listens hears of each state once, in order, whoever brings it about.
func TestTold(t *testing.T) {
	const waits, stays = "config_unconfirmed for 1m0s", "config_confirmed"
	tests := map[string]struct {
		does func(b *bed)
		want []string
	}{
		"a reload for good":   {func(b *bed) { b.try("two", 0) }, nil},
		"confirmed":           {func(b *bed) { b.try("two", minute); _, _ = b.Confirm() }, []string{waits, stays}},
		"not confirmed":       {func(b *bed) { b.try("two", minute); pass(minute) }, []string{waits, "config_rolled_back: nobody has confirmed it in time"}},
		"undone":              {func(b *bed) { b.try("two", minute); _, _ = b.Rollback() }, []string{waits, "config_rolled_back: it was asked for"}},
		"replaced":            {func(b *bed) { b.try("two", minute); pass(time.Second); b.try("three", minute) }, []string{waits, waits}},
		"nothing to confirm":  {func(b *bed) { _, _ = b.Reload(minute) }, nil},
		"back by hand":        {func(b *bed) { b.try("two", minute); b.write("one"); _, _ = b.Reload(minute) }, []string{waits, stays}},
		"not valid":           {func(b *bed) { _ = os.WriteFile(b.file, []byte("["), 0o600); _, _ = b.Reload(minute) }, nil},
		"nothing waits":       {func(b *bed) { _, _ = b.Confirm(); _, _ = b.Rollback() }, nil},
		"killed, tried again": {func(b *bed) { b.try("two", minute); b.kill(); b.try("two", 0) }, []string{waits, stays}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bed) {
				test.does(b)
				b.heard(test.want...)
			})
		})
	}
}
