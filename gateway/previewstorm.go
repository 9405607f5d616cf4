package gateway

import (
	"fmt"
	"strings"

	"vxgw/config"
)

// storm tells of limits on what is flooded.
func (p *preview) storm(old, new config.Storm) effect {
	var changes []string
	lowered := false
	for _, k := range []struct {
		name     string
		old, new int
	}{
		{"broadcast", old.Broadcast, new.Broadcast}, {"multicast", old.Multicast, new.Multicast}, {"unknown_unicast", old.UnknownUnicast, new.UnknownUnicast},
	} {
		if k.old != k.new {
			changes = append(changes, k.name+" "+arrow(k.old, k.new))
			lowered = lowered || k.new != 0 && (k.old == 0 || k.new < k.old)
		}
	}
	e := effect{change: "storm_control " + strings.Join(changes, ", ")}
	if lowered {
		e.then = "flooded frames over the limit are dropped (storm): nothing else is interrupted"
	}
	return e
}

// moves tells of when MACs are held.
func (p *preview) moves(old, new *config.VNI) effect {
	var changes []string
	if old.Moves.Limit != new.Moves.Limit {
		changes = append(changes, "move_limit "+arrow(old.Moves.Limit, new.Moves.Limit))
	}
	if old.Moves.Window != new.Moves.Window {
		changes = append(changes, "move_window "+arrow(old.Moves.Window, new.Moves.Window))
	}
	if old.Moves.Hold != new.Moves.Hold {
		changes = append(changes, "move_hold "+arrow(old.Moves.Hold, new.Moves.Hold))
	}
	e := effect{change: strings.Join(changes, ", "), then: "it holds for MACs that move from now on: " + nothing}
	if new.Moves.Limit == 0 {
		n := p.g.heldByDomain()[p.snap.VNIs[new.ID]]
		e.then = fmt.Sprintf("the %s held move again: %s", countOf(n, "MAC"), nothing)
	}
	return e
}
