package gateway

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"sync"

	"vxgw/gateway/api"
	"vxgw/gateway/control"
	"vxgw/gateway/events"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

var _ api.OriginKeeper = (*Gateway)(nil)

// origins is the controllers that speak to the gateway. What they have said is in the
// tables; here is who they are, and whether they still live.
type origins struct {
	// set once
	boot string // tells the tags of this process from those of another

	mu   sync.Mutex // guards everything below; held while the tables change, so that one request follows the other
	book *control.Book
}

func newOrigins() *origins {
	return &origins{boot: rand.Text()[:8], book: control.NewBook()}
}

// tellOfOrigin tells those who listen to events of a controller.
func (g *Gateway) tellOfOrigin(t events.Type, p *control.Page, said control.Sizes, mend string) {
	g.watch.note(events.Event{Type: t, Origin: string(p.Origin), State: string(p.State()), Hold: p.Hold, Entries: said.All(), Mend: mend})
}

// tag is what a generation is called outside: an entity tag (RFC 9110 section 8.8.3).
func (o *origins) tag(p *control.Page) string { return fmt.Sprintf("\"%s-%d\"", o.boot, p.Generation) }

// OriginRules is as api.OriginKeeper has it.
func (g *Gateway) OriginRules() control.Rules {
	return control.Rules{Local: g.config().Underlay.Address}
}

// TellOrigin does what an origin says, or nothing of it.
func (g *Gateway) TellOrigin(r control.Request) (control.Answer, error) {
	o := g.origins
	o.mu.Lock()
	defer o.mu.Unlock()
	page, known := o.book.Page(r.Origin)
	there := known && page.State() != control.Expired
	switch {
	case r.May != nil && !r.May(o.tag(&page), there):
		return control.Answer{}, control.ErrChanged
	case r.Replace == nil && !there:
		return control.Answer{}, control.ErrUnknown
	}
	if err := o.book.Room(r.Origin); err != nil {
		return control.Answer{}, err
	}
	changed, err := g.tables.Say(r.Origin, r.Replace, r.Edit)
	if err != nil {
		return control.Answer{}, err
	}
	was := page.Generation
	page = o.book.Hear(r.Origin, r.Hold, changed, g.edges.Clock())
	a := control.Answer{Page: page, Tag: o.tag(&page), Sizes: g.tables.SaidSizes(r.Origin)}
	if !there {
		g.log.Info("a controller speaks", "origin", r.Origin, "hold", page.Hold, "vteps", a.Sizes.VTEPs, "macs", a.Sizes.MACs,
			"neighbours", a.Sizes.Neighbours, "routes", a.Sizes.Routes)
	}
	if page.Generation != was {
		g.paths.ask(freshPaths)
	}
	switch {
	case !there:
		g.tellOfOrigin(events.OriginConnected, &page, a.Sizes, "")
	case changed && r.Replace != nil:
		g.tellOfOrigin(events.OriginReplaced, &page, a.Sizes, "")
	}
	said := r.Edit.Added
	if r.Replace != nil {
		said = *r.Replace
	}
	a.Unused = g.tables.Unused(r.Origin, said)
	return a, nil
}

// OriginWords returns what an origin has said; false where that is nothing.
func (g *Gateway) OriginWords(name control.Origin) (control.Answer, control.Words, bool) {
	o := g.origins
	o.mu.Lock()
	defer o.mu.Unlock()
	page, known := o.book.Page(name)
	if !known || page.State() == control.Expired {
		return control.Answer{}, control.Words{}, false
	}
	w := g.tables.Words(name)
	return control.Answer{Page: page, Tag: o.tag(&page), Sizes: w.Len()}, w, true
}

// EndOrigin forgets an origin and all that it has said. may is as Request.May.
func (g *Gateway) EndOrigin(name control.Origin, may func(tag string, there bool) bool) error {
	o := g.origins
	o.mu.Lock()
	defer o.mu.Unlock()
	page, known := o.book.Page(name)
	switch {
	case !known:
		return control.ErrUnknown
	case may != nil && !may(o.tag(&page), page.State() != control.Expired):
		return control.ErrChanged
	}
	sizes := g.tables.SaidSizes(name)
	if err := g.silence(name); err != nil {
		return err
	}
	o.book.End(name)
	g.log.Info("a controller takes its leave: all that it had said is forgotten", "origin", name, "vteps", sizes.VTEPs, "macs", sizes.MACs,
		"neighbours", sizes.Neighbours, "routes", sizes.Routes)
	g.tellOfOrigin(events.OriginEnded, &page, sizes, "")
	return nil
}

// silence takes back all that an origin has said.
func (g *Gateway) silence(name control.Origin) error {
	none := control.NewWords()
	_, err := g.tables.Say(name, &none, control.Edit{})
	return err
}

// AttachOrigin notes that a stream of events is open in an origin's name: as long as it
// is, the origin lives. The returned function is to be called once, when it is closed.
func (g *Gateway) AttachOrigin(name control.Origin) (detach func()) {
	o := g.origins
	note := func(open bool) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.book.Attach(name, open, g.edges.Clock())
		page, known := o.book.Page(name)
		switch {
		case !known || page.State() == control.Expired:
		case open && page.Streams == 1:
			g.tellOfOrigin(events.OriginConnected, &page, g.tables.SaidSizes(name), "")
		case page.Streams == 0:
			g.tellOfOrigin(events.OriginLost, &page, g.tables.SaidSizes(name), "")
		}
	}
	note(true)
	return sync.OnceFunc(func() { note(false) })
}

// sweptMend says what to do about a controller that was swept.
const sweptMend = "start it again: it is to PUT all that it has to say"

// sweepOrigins sweeps those whose hold time has ended.
func (g *Gateway) sweepOrigins() {
	o := g.origins
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, page := range o.book.Expire(g.edges.Clock()) {
		sizes := g.tables.SaidSizes(page.Origin)
		if err := g.silence(page.Origin); err != nil {
			g.log.Error("what a controller had said cannot be taken back", "origin", page.Origin, "err", err, "mend", "restart the gateway; this is a mistake in it") // to say less is never refused
			continue
		}
		g.log.Warn("a controller has shown no sign of life for its hold time: what it had said is forgotten", "origin", page.Origin, "hold", page.Hold,
			"vteps", sizes.VTEPs, "macs", sizes.MACs, "neighbours", sizes.Neighbours, "routes", sizes.Routes,
			"mend", sweptMend)
		g.tellOfOrigin(events.OriginSwept, &page, sizes, sweptMend)
	}
}

// Origins lists the controllers, in the order in which their words count.
func (g *Gateway) Origins() []api.OriginRow {
	o, now := g.origins, g.edges.Clock()
	o.mu.Lock()
	defer o.mu.Unlock()
	rows := []api.OriginRow{}
	for _, p := range o.book.Pages() {
		row := api.OriginRow{
			Origin: string(p.Origin), State: string(p.State()), Generation: p.Generation,
			Hold: p.Hold, Left: p.Left(now), LastHeard: wallClock(max(p.Heard, 1), now), Swept: p.Swept,
		}
		row.Sizes(g.tables.SaidSizes(p.Origin))
		row.Unused = g.tables.UnusedCount(p.Origin)
		rows = append(rows, row)
	}
	return rows
}

// originName is who says where a station is. The FDB has one word for all controllers
// beside the first two.
func (g *Gateway) originName(vni uint32, m frame.MAC, o fdb.Origin) string {
	if o.Name() != fdb.Controller {
		return o.String()
	}
	return cmp.Or(string(g.tables.OriginOfMAC(control.MACKey{VNI: vni, MAC: m})), o.String())
}
