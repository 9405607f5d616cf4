package api

import (
	"fmt"
	"strings"

	"vxgw/gateway/control"
)

// The states of a check.
const (
	CheckOK   = "ok"
	CheckNote = "note" // works, and could be better
	CheckWarn = "warn" // works in part
	CheckFail = "fail" // does not work
)

// Check is one thing that was looked at, for the health panel.
type Check struct {
	Name  string `json:"name"`
	State string `json:"state"` // CheckOK, CheckNote, CheckWarn or CheckFail
	Says  string `json:"says"`
	Mend  string `json:"mend,omitempty"` // what to do about it
}

// maxNamed is how many interfaces a check names; the rest it counts.
const maxNamed = 5

// moreChecks is what Options.Checks says.
func (s *Server) moreChecks() []Check {
	if s.opts.Checks == nil {
		return nil
	}
	return s.web.checks.get(checksEvery, s.opts.Checks)
}

// standing is what an overview itself tells of the gateway's health.
func standing(o *Overview) []Check {
	all := []Check{checkUnderlay(o), checkPorts(o), checkDatapath(o)}
	if len(o.Origins) > 0 {
		all = append(all, checkOrigins(o))
	}
	return all
}

// checkOrigins tells of controllers that were swept, and of what they say that is of no
// use.
func checkOrigins(o *Overview) Check {
	var swept, unused []string
	for _, r := range o.Origins {
		switch {
		case r.State == string(control.Expired):
			swept = append(swept, r.Origin)
		case r.Unused > 0:
			unused = append(unused, fmt.Sprintf("%d of %s", r.Unused, r.Origin))
		}
	}
	switch {
	case len(swept) > 0:
		return Check{Name: "Controllers", State: CheckFail, Says: "forgotten, for they showed no sign of life: " + naming(swept), Mend: "start them again; `vxgw show origins` has when each was last heard"}
	case len(unused) > 0:
		return Check{Name: "Controllers", State: CheckNote, Says: "entries that are of no use: " + naming(unused), Mend: "the answer to what the controller says has the reasons: VNIs and VRFs that are not configured, or others that say the same"}
	}
	return Check{Name: "Controllers", State: CheckOK, Says: fmt.Sprintf("%s live", allOf(len(o.Origins)))}
}

func checkUnderlay(o *Overview) Check {
	u := &o.Underlay
	if u.Up {
		return Check{Name: "Underlay", State: CheckOK, Says: fmt.Sprintf("VTEP %s on %s, UDP port %d, sends and receives", u.Address, u.Interface, u.Port)}
	}
	return Check{Name: "Underlay", State: CheckFail, Says: fmt.Sprintf("VTEP %s does not send or receive: %s", u.Address, u.Reason), Mend: "see `vxgw show datapath` and the log; the gateway goes on by itself once it can"}
}

func checkPorts(o *Overview) Check {
	var down []string
	for _, p := range o.Ports {
		if p.State != StateUp {
			down = append(down, reasonOf(p.Interface, p.State, p.Reason))
		}
	}
	switch {
	case len(o.Ports) == 0:
		return Check{Name: "Access ports", State: CheckWarn, Says: "there are none", Mend: "add a [[port]] to the configuration, then vxgw reload"}
	case len(down) == 0:
		return Check{Name: "Access ports", State: CheckOK, Says: fmt.Sprintf("%s up", allOf(len(o.Ports)))}
	case len(down) == len(o.Ports):
		return Check{Name: "Access ports", State: CheckFail, Says: "none is up: " + naming(down), Mend: "ip link show; cable, switch port, and the name in [[port]]"}
	}
	return Check{Name: "Access ports", State: CheckWarn, Says: fmt.Sprintf("%d of %d not up: %s", len(down), len(o.Ports), naming(down)), Mend: "ip link show; cable, switch port, and the name in [[port]]"}
}

// checkDatapath tells of what is not attached, and of what is carried without a fast
// path. A port that is not up has been told of.
func checkDatapath(o *Overview) Check {
	var off, slow []string
	down := make(map[string]bool)
	for _, p := range o.Ports {
		if p.State != StateUp {
			down[p.Interface] = true
		}
	}
	for _, d := range o.Datapath {
		switch {
		case down[d.Interface]:
		case !d.Attached:
			off = append(off, reasonOf(d.Interface, "", d.Reason))
		case d.Mode == "raw":
			slow = append(slow, d.Interface)
		}
	}
	switch {
	case len(o.Datapath) == 0:
		return Check{Name: "Datapath", State: CheckNote, Says: "no interface is configured"}
	case len(off) > 0:
		return Check{Name: "Datapath", State: CheckWarn, Says: "not attached: " + naming(off), Mend: "what is not there yet is waited for; the table of the datapath has each reason"}
	case len(slow) > 0:
		return Check{Name: "Datapath", State: CheckNote, Says: "no fast path at " + naming(slow), Mend: "the table of the datapath says why, and what to change; raw carries all the same"}
	}
	return Check{Name: "Datapath", State: CheckOK, Says: "what is certain is carried in the kernel"}
}

func reasonOf(name, state, reason string) string {
	if state != "" {
		name += " " + state
	}
	if reason == "" {
		return name
	}
	return name + " (" + reason + ")"
}

func allOf(n int) string {
	if n == 1 {
		return "1 of 1"
	}
	return fmt.Sprintf("all %d", n)
}

// naming lists the first few and counts the others.
func naming(list []string) string {
	if len(list) <= maxNamed {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:maxNamed], ", "), len(list)-maxNamed)
}
