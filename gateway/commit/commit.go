// Package commit puts the configuration file of a gateway in force: for good, or until
// a time at which what ran before comes back unless somebody has confirmed the new one.
// So nobody locks himself out: who can reach the gateway no more cannot confirm. It is
// the confirmed commit of RFC 6241 section 8.4, for a file.
package commit

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"vxgw/config"
	"vxgw/gateway/api"
	"vxgw/gateway/events"
)

// Gateway is what a configuration is put in force at.
type Gateway interface {
	// Reload applies a configuration. With an error nothing has changed.
	Reload(*config.Config) (config.Changes, error)
	// Preview says what Reload would do.
	Preview(*config.Config) ([]api.Impact, error)
}

// Options are what a Committer works with.
type Options struct {
	Gateway Gateway
	Log     *slog.Logger
	// Applied is called with every configuration that was put in force.
	Applied func(*config.Config)
	// Tell is called, in order, when a configuration begins to wait to be confirmed, and
	// when that is over. It must not wait; nil: nobody listens.
	Tell func(events.Event)
}

// Committer is the api.Committer of a gateway that runs by a file.
type Committer struct {
	// Set once.
	opts  Options
	file  string
	store *store

	mu      sync.Mutex // guards everything below: one reload at a time, from the file to the last change
	text    []byte     // what runs
	since   time.Time
	passed  bool     // the file was rolled back, or passed over at the start
	restart []string // settings of the file that take effect at the next start
	waits   *waiting // nil: nothing waits to be confirmed
	told    told     // what Options.Tell has heard last
	closed  bool
}

// told is what there is to tell of a configuration.
type told struct {
	state string // as api.ConfigRow has it
	until time.Time
}

// waiting is a configuration that was not confirmed yet.
type waiting struct {
	before []byte // what ran before, and is confirmed
	until  time.Time
	timer  *time.Timer
}

var _ api.Committer = (*Committer)(nil)

// New returns the Committer of a gateway that runs by what Begin has found.
func New(b *Beginning, opts Options) *Committer {
	c := &Committer{opts: opts, file: b.file, store: b.store, text: b.text, passed: b.passed, since: time.Now(), restart: []string{}}
	c.told, _ = c.stands() // who listens from the start has asked for the state
	return c
}

// stands returns the state that there is to tell of. It needs mu.
func (c *Committer) stands() (told, api.ConfigRow) {
	r := c.row()
	t := told{state: r.State}
	if r.ConfirmUntil != nil {
		t.until = *r.ConfirmUntil
	}
	return t, r
}

// tell tells of a state that is new. It needs mu, so that what is told is in order.
func (c *Committer) tell(reason string) {
	is, row := c.stands()
	if is == c.told {
		return
	}
	c.told = is
	if c.opts.Tell != nil {
		c.opts.Tell(row.Event(reason))
	}
}

// Close ends the waiting. A configuration that was not confirmed by then is not taken
// at the next start.
func (c *Committer) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.waits.end()
}

func (w *waiting) end() {
	if w != nil {
		w.timer.Stop()
	}
}

// Reload is as api.Committer has it. While one waits to be confirmed, another without a
// time is refused: it would confirm both, and may come from a script that knows nothing
// of the first. One with a time takes the place of the first, and what comes back is
// what ran before both.
func (c *Committer) Reload(confirm time.Duration) (api.Reloaded, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waits != nil && confirm == 0 {
		return api.Reloaded{}, notNow(fmt.Sprintf("a reload waits to be confirmed until %s: nothing is changed; `vxgw confirm` keeps it, `vxgw rollback` undoes it, and `vxgw reload --confirm 60s` replaces it",
			clock(c.waits.until)))
	}
	text, err := config.Read(c.file)
	if err != nil {
		return api.Reloaded{}, notValid{err}
	}
	cfg, err := config.Parse(c.file, text)
	if err != nil {
		return api.Reloaded{}, notValid{err}
	}
	if confirm != 0 {
		return c.try(cfg, text, confirm)
	}
	done, err := c.apply(cfg, text)
	if err != nil {
		return done, err
	}
	c.passed = false
	c.tell("")
	if err := c.store.remove(); err != nil {
		c.opts.Log.Warn("a configuration that is not needed any more is still kept: the next start may take it", "err", err, "mend", "rm "+c.store.path)
	}
	return done, nil
}

// try applies a configuration that is rolled back unless it is confirmed.
func (c *Committer) try(cfg *config.Config, text []byte, confirm time.Duration) (api.Reloaded, error) {
	before, was := c.text, c.waits
	if was != nil {
		before = was.before
	}
	kept, err := c.store.load()
	if err == nil || errors.Is(err, errNotOurs) {
		// Kept before anything is changed: whenever the process ends, the next start
		// begins with what is confirmed.
		err = c.store.save(&held{refused: digestOf(text), text: before})
	}
	if err != nil {
		return api.Reloaded{}, fmt.Errorf("what runs cannot be kept for a roll-back: %w: nothing is changed; see that %s can be written, or name another directory: vxgw run --state DIR", err, c.store.dir)
	}
	done, err := c.apply(cfg, text)
	if err != nil {
		return done, errors.Join(err, c.keep(kept))
	}
	was.end()
	c.waits, c.passed = nil, false
	if was == nil && len(done.Changes) == 0 || bytes.Equal(text, before) {
		c.tell("")
		return done, c.keep(nil) // there is nothing to go back to
	}
	w := &waiting{before: before, until: time.Now().Add(confirm)}
	w.timer = time.AfterFunc(confirm, func() { c.expire(w) })
	c.waits, done.ConfirmUntil = w, &w.until
	c.opts.Log.Warn("the new configuration is rolled back unless it is confirmed", "file", c.file, "until", clock(w.until), "mend", "vxgw confirm")
	c.tell("")
	return done, nil
}

// keep has the disk say again what it said before; nil: nothing.
func (c *Committer) keep(h *held) error {
	if h == nil {
		return c.store.remove()
	}
	return c.store.save(h)
}

// apply puts a configuration in force and says what that changed.
func (c *Committer) apply(cfg *config.Config, text []byte) (api.Reloaded, error) {
	changes, err := c.opts.Gateway.Reload(cfg)
	if err != nil {
		return api.Reloaded{}, notValid{err}
	}
	if c.opts.Applied != nil {
		c.opts.Applied(cfg)
	}
	done := api.Reloaded{
		Changes:       append([]string{}, changes.Lines()...), // an empty list and not null
		RestartNeeded: append([]string{}, changes.RestartNeeded...),
		Warnings:      warnings(cfg),
	}
	c.text, c.since, c.restart = text, time.Now(), done.RestartNeeded
	c.opts.Log.Info("configuration reloaded", "file", cfg.File, "changes", len(done.Changes), "restart_needed", len(done.RestartNeeded))
	c.logChanges(done.Changes)
	return done, nil
}

func warnings(cfg *config.Config) []string {
	all := []string{}
	for _, w := range cfg.Warnings {
		all = append(all, w.String())
	}
	return all
}

// maxChanges is how many changes of a reload are logged one by one. A VNI with a
// thousand VTEPs is a thousand changes.
const maxChanges = 100

func (c *Committer) logChanges(all []string) {
	for _, line := range all[:min(len(all), maxChanges)] {
		c.opts.Log.Info("changed: " + line)
	}
	if more := len(all) - maxChanges; more > 0 {
		c.opts.Log.Info("changed: and more", "changes", more)
	}
}

// Confirm is as api.Committer has it.
func (c *Committer) Confirm() (api.ConfigRow, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waits == nil {
		return api.ConfigRow{}, c.nothingWaits()
	}
	if err := c.store.remove(); err != nil {
		return api.ConfigRow{}, fmt.Errorf("not confirmed: what is kept for a roll-back cannot be removed: %w: see that %s can be written, and confirm again", err, c.store.dir)
	}
	c.waits.end()
	c.waits = nil
	c.opts.Log.Info("configuration confirmed", "file", c.file)
	c.tell("")
	return c.row(), nil
}

func (c *Committer) nothingWaits() error {
	if c.passed {
		return notNow(fmt.Sprintf("nothing waits to be confirmed: what %s has was rolled back; `vxgw reload --confirm 60s` tries it again", c.file))
	}
	return notNow("nothing waits to be confirmed: the configuration that runs stays")
}

// Rollback is as api.Committer has it.
func (c *Committer) Rollback() (api.Reloaded, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waits == nil {
		return api.Reloaded{}, c.nothingWaits()
	}
	return c.rollback("it was asked for")
}

// retryRollback is when a roll-back that failed is tried again.
const retryRollback = 10 * time.Second

// expire rolls back what was not confirmed in time.
func (c *Committer) expire(w *waiting) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waits != w || c.closed {
		return // confirmed or replaced at the last moment
	}
	if _, err := c.rollback("nobody has confirmed it in time"); err != nil {
		c.opts.Log.Error("not rolled back: trying again", "err", err, "mend", "a restart begins with the configuration that was confirmed: systemctl restart vxgw")
		w.timer.Reset(retryRollback)
	}
}

func (c *Committer) rollback(why string) (api.Reloaded, error) {
	w, refused := c.waits, digestOf(c.text)
	cfg, err := config.Parse(c.store.path, w.before)
	if err != nil {
		return api.Reloaded{}, err // it was valid when it was put in force
	}
	cfg.File = c.file
	done, err := c.apply(cfg, w.before)
	if err != nil {
		return done, err
	}
	w.end()
	c.waits, c.passed = nil, true
	c.opts.Log.Warn("the configuration is rolled back", "file", c.file, "reason", why,
		"mend", "the file still has what was rolled back: correct it, then vxgw reload --confirm 60s")
	c.tell(why)
	if err := c.store.save(&held{over: true, refused: refused, text: w.before}); err != nil {
		c.opts.Log.Warn("the roll-back cannot be noted: every start begins with what is kept until a reload", "err", err,
			"mend", "make room where "+c.store.path+" is, correct the file, and reload it")
	}
	return done, nil
}

// Diff is as api.Committer has it.
func (c *Committer) Diff(file string, text []byte) (api.Differences, error) {
	cfg, err := config.Parse(file, text)
	if err != nil {
		return api.Differences{}, notValid{err}
	}
	impacts, err := c.opts.Gateway.Preview(cfg)
	if err != nil {
		return api.Differences{}, notValid{err}
	}
	return api.Differences{Impacts: impacts, Warnings: warnings(cfg)}, nil
}

// Config is as api.Committer has it.
func (c *Committer) Config() api.ConfigRow {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.row()
}

func (c *Committer) row() api.ConfigRow {
	r := api.ConfigRow{File: c.file, State: api.ConfigConfirmed, Since: c.since, RestartNeeded: c.restart}
	switch {
	case c.waits != nil:
		until := c.waits.until
		r.State, r.ConfirmUntil = api.ConfigUnconfirmed, &until
		r.Reason = "it is rolled back unless it is confirmed: vxgw confirm keeps it, vxgw rollback undoes it at once"
	case c.passed:
		r.State = api.ConfigRolledBack
		r.Reason = "the file has what was not confirmed: correct it, then vxgw reload --confirm 60s"
	case len(c.restart) > 0:
		r.Reason = "some of the file takes a restart: systemctl restart vxgw"
	}
	return r
}

// clock writes a time as people who wait for it read it.
func clock(t time.Time) string { return t.Local().Format(time.TimeOnly) }

// notValid is an error of the file, in the file's own words.
type notValid struct{ error }

func (e notValid) Is(target error) bool { return target == api.ErrInvalid }

func (e notValid) Unwrap() error { return e.error }

// notNow is an error of the moment.
type notNow string

func (e notNow) Error() string { return string(e) }

func (e notNow) Is(target error) bool { return target == api.ErrNotNow }
