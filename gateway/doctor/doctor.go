// Package doctor looks at the machine that a gateway runs on, or is to run on: whether
// paths, sysctls, drivers, limits and packet filters are as they have to be. Each check
// says what it found and, where that is not well, the command that mends it. It changes
// nothing.
//
// A check reads the machine by a Machine and nothing else, so that tests need none.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"

	"vxgw/config"
	"vxgw/gateway/api"
	"vxgw/l3/underlay/path"
	"vxgw/l3/underlay/path/nftables"
	"vxgw/l3/underlay/probe"
)

// Live is what a running gateway tells of itself. *gateway.Gateway is one.
type Live interface {
	Underlay() api.UnderlayRow
	VTEPs() []api.VTEPRow
	Datapath() []api.DatapathRow
}

// Subject is what is looked at.
type Subject struct {
	Machine *Machine
	Config  *config.Config // nil: what needs one is left out
	Live    Live           // nil: no gateway runs here
	Socket  string         // where none answers, for the words; "": it was not asked
}

// cost says when a check can be made.
type cost uint8

const (
	cheap  cost = iota // every ten seconds, for who looks at the dashboard
	costly             // when somebody asks: it reads what may be long
	active             // when somebody asks: it sends packets
)

// check is one thing that is looked at, and all that docs/doctor.md has of it.
type check struct {
	name       string
	reads      string // what is read
	means      string // what a finding other than OK means
	mend       string // what mends it, in general
	cost       cost
	needsFile  bool // it is about what the configuration says
	atTheStart bool // the gateway logs what it finds when it starts
	run        func(*exam)
}

// exam is one check of one subject under way.
type exam struct {
	*Subject
	ctx   context.Context
	check *check
	once  *shared
	found []api.Check
}

// shared is what several checks of one run ask for, once. The errors are kept too.
type shared struct {
	answers func() ([]probe.Answer, error)
	rules   func() (*nftables.Ruleset, error)
	sent    bool // packets to VTEPs: who is silent has been asked for

	vteps func() []netip.Addr
	paths map[netip.Addr]pathTo
}

// pathTo is what the kernel says of the path to a VTEP.
type pathTo struct {
	path.Path
	err error
}

func (e *exam) add(state, mend, format string, args ...any) {
	e.found = append(e.found, api.Check{Name: e.check.name, State: state, Says: fmt.Sprintf(format, args...), Mend: mend})
}

// ok says that something is well.
func (e *exam) ok(format string, args ...any) { e.add(api.CheckOK, "", format, args...) }

// warn says that something works in part, or may not; fail, that it does not work.
func (e *exam) warn(mend, format string, args ...any) { e.add(api.CheckWarn, mend, format, args...) }
func (e *exam) fail(mend, format string, args ...any) { e.add(api.CheckFail, mend, format, args...) }

// asRoot is how who may not look can.
const asRoot = "sudo vxgw doctor"

// unseen says that something could not be looked at. That is no finding, and so only a
// note where this process may not.
func (e *exam) unseen(what string, err error) {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EPERM):
		mend := asRoot
		if e.Live != nil {
			mend = "" // it is its unit that keeps it from that, and rightly so
		}
		e.add(api.CheckNote, mend, "%s: this process may not look", what)
	default:
		e.add(api.CheckNote, "", "%s: not known: %v", what, err)
	}
}

// Run makes checks, and returns what they found in the order of the table. With probes
// those too that send packets; else they are left out.
func Run(ctx context.Context, s *Subject, probes bool) []api.Check {
	most := costly
	if probes {
		most = active
	}
	return s.run(ctx, func(c *check) bool { return c.cost <= most })
}

// Panel makes the checks that are cheap enough for the dashboard. What is well is told
// of in one line.
func Panel(ctx context.Context, s *Subject) []api.Check {
	var bad []api.Check
	well := 0
	for _, c := range s.run(ctx, func(c *check) bool { return c.cost == cheap }) {
		if c.State == api.CheckOK || c.State == api.CheckNote {
			well++
			continue
		}
		c.Name = "Host: " + c.Name
		bad = append(bad, c)
	}
	return append(bad, api.Check{Name: "Host", State: api.CheckOK, Says: fmt.Sprintf("%d other things looked at are well; vxgw doctor names them, and looks at more", well)})
}

func (s *Subject) run(ctx context.Context, wanted func(*check) bool) (all []api.Check) {
	once := &shared{rules: sync.OnceValues(s.Machine.Rules), vteps: sync.OnceValue(s.vteps), paths: make(map[netip.Addr]pathTo)}
	once.answers = sync.OnceValues(func() ([]probe.Answer, error) {
		once.sent = true
		return (&exam{Subject: s, ctx: ctx, once: once}).probe()
	})
	for i := range checks {
		c := &checks[i]
		if !wanted(c) || c.needsFile && s.Config == nil {
			continue
		}
		e := &exam{Subject: s, ctx: ctx, check: c, once: once}
		c.run(e)
		all = append(all, e.found...)
	}
	return all
}

// Failed reports whether anything does not work.
func Failed(all []api.Check) bool {
	for _, c := range all {
		if c.State == api.CheckFail {
			return true
		}
	}
	return false
}
