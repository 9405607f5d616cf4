package gateway

import (
	"time"

	"vxgw/gateway/api"
	"vxgw/gateway/events"
	"vxgw/gateway/forward"
	"vxgw/gateway/storm"
)

// A storm is what is dropped for storm control without a pause of stormPause: one that
// comes and goes is told of once. No more than stormLines are told of in one second.
const (
	stormPause = 30 // seconds
	stormLines = 10
)

// stormAt is where a storm is.
type stormAt struct {
	control *storm.Control
	kind    storm.Kind
}

// stormSeen is what the supervisor knows of storm control in one place.
type stormSeen struct {
	dropped uint64 // in all, at the last look
	before  uint64 // in all, before the storm
	since   uint32 // the clock when it was first seen; 0: there is none
	last    uint32 // the clock when frames were last seen to be dropped
	told    bool
	looked  bool // in this round
}

// stormPlace is storm control at work somewhere, in words.
type stormPlace struct {
	*storm.Control
	port      string // "": it is of vni
	vni       uint32
	direction string // as in api.StormRow
}

// log is the place as attributes.
func (p *stormPlace) log(k storm.Kind) []any {
	where := []any{"port", p.port}
	if p.port == "" {
		where = []any{"vni", p.vni}
	}
	return append(where, "kind", k, "direction", p.direction, "limit", p.Limit(k))
}

// event is an event about the place.
func (p *stormPlace) event(t events.Type, k storm.Kind) events.Event {
	return events.Event{Type: t, Port: p.port, VNI: p.vni, Kind: k.String(), Direction: p.direction, Count: p.Dropped(k)}
}

// stormPlaces returns every place that has storm control.
func stormPlaces(s *forward.Snapshot) []stormPlace {
	var all []stormPlace
	for i := range s.Ports {
		if p := &s.Ports[i]; p.Storm != nil {
			all = append(all, stormPlace{Control: p.Storm, port: p.Name, direction: "rx"})
		}
	}
	for i := range s.Domains {
		if d := &s.Domains[i]; d.StormIn != nil {
			all = append(all, stormPlace{Control: d.StormIn, vni: d.VNI, direction: "rx"}, stormPlace{Control: d.StormOut, vni: d.VNI, direction: "tx"})
		}
	}
	return all
}

// watchStorms notes where storm control drops frames, and tells of each storm when it
// begins and when it is over. It is called once a second.
func (g *Gateway) watchStorms() {
	now, lines := g.edges.Clock(), 0
	for _, p := range stormPlaces(g.tables.Snapshot()) {
		for k := range storm.NumKinds {
			lines += g.watchStorm(p, k, now, lines < stormLines)
		}
	}
	for at, is := range g.notices.storms {
		if !is.looked {
			delete(g.notices.storms, at)
		}
		is.looked = false
	}
	if more := lines - stormLines; more > 0 {
		g.log.Warn("storm control drops frames in more places", "places", more, "mend", "see `vxgw show ports` and `vxgw show vnis`")
	}
}

// watchStorm looks at one kind of frames in one place, and returns how many lines there
// are to be logged of it. They are where tells.
func (g *Gateway) watchStorm(p stormPlace, k storm.Kind, now uint32, tells bool) (lines int) {
	n, at := p.Dropped(k), stormAt{p.Control, k}
	is := g.notices.storms[at]
	if is == nil {
		if n == 0 {
			return 0
		}
		if g.notices.storms == nil {
			g.notices.storms = make(map[stormAt]*stormSeen)
		}
		is = &stormSeen{}
		g.notices.storms[at] = is
	}
	is.looked = true
	grown := n - is.dropped
	is.dropped = n
	switch {
	case grown > 0 && is.since == 0:
		is.since, is.last, is.before, is.told = now, now, n-grown, tells
		p.SetActive(k, true)
		e := p.event(events.StormBegin, k)
		e.Frames, e.Mend = grown, forward.Storm.Mend()
		g.watch.note(e)
		if tells {
			g.log.Warn("storm control: more is flooded than the limit, and the rest is dropped", append(p.log(k), "dropped", grown, "mend", forward.Storm.Mend())...)
		}
		return 1
	case grown > 0:
		is.last = now
	case is.since != 0 && now-is.last >= stormPause:
		p.SetActive(k, false)
		e := p.event(events.StormEnd, k)
		e.Frames = n - is.before
		g.watch.note(e)
		lasted := max(is.last-is.since, 1)
		if is.told {
			g.log.Info("storm control: nothing is dropped any more", append(p.log(k), "lasted", (time.Duration(lasted)*time.Second).String(), "dropped", n-is.before, "dropped_a_second", (n-is.before)/uint64(lasted))...)
		}
		is.since = 0
	}
	return 0
}

// words names a kind for people.
func words(k storm.Kind) string {
	if k == storm.UnknownUnicast {
		return "unknown unicast"
	}
	return k.String()
}

// stormRows describes storm control in one direction, where there is or was any.
func stormRows(rows []api.StormRow, c *storm.Control, direction string) []api.StormRow {
	if c == nil {
		return rows
	}
	for k := range storm.NumKinds {
		row := api.StormRow{Kind: k.String(), Direction: direction, Limit: c.Limit(k), Dropped: c.Dropped(k), Active: c.Active(k)}
		if row.Limit > 0 || row.Dropped > 0 {
			rows = append(rows, row)
		}
	}
	return rows
}
