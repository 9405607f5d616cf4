package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"time"

	"vxgw/gateway/control"
	"vxgw/gateway/events"
)

// lastID is the header by which a listener says which event he had last (WHATWG HTML
// section 9.2.4).
const lastID = "Last-Event-ID"

// snapshotRest is the least time between the beginnings of two snapshots of a stream: a
// listener that cannot keep up is not told everything over and over.
const snapshotRest = time.Second

func (s *Server) eventRoutes() []route {
	return []route{{
		method: http.MethodGet, path: "/v1/events", on: onBoth, handler: s.events, media: "text/event-stream",
		summary: "what happens, as it happens: server-sent events",
		detail: "Each event has its type as `event:`, an object of the schema Event as `data:`, and as `id:` a number that goes up. " +
			"With the header Last-Event-ID the stream goes on after that event. Where events were missed, because they are not kept any more, " +
			"because the listener was too slow, or because too much happened at once, an event `resync` says so: read the state again. " +
			"With snapshot=1 the stream tells the state by itself, at its beginning and after each `resync`: between `snapshot_begin` and `snapshot_end` " +
			"come the events that would have led to it; what was known before and is not among them is gone. " +
			"What happens meanwhile follows, and may repeat what the snapshot had. A silent stream has a comment every 15 seconds.",
		params: []param{
			{name: "types", doc: "only these, separated by commas: " + typeList() + "; or a class, as mac. resync and snapshots' begin and end come always", is: schema{"type": "string"}},
			{name: "vni", doc: "of what is kept by VNI only what belongs to this one; other events come all the same", is: vniParam.is},
			{name: "origin", doc: "the stream is that of this controller, which lives while it is open: what it has said is kept. For who may write, on the socket", is: schema{"type": "string", "pattern": originPattern}},
			{name: "snapshot", doc: "1: begin with what there is", is: schema{"type": "string", "enum": []string{"0", "1"}}},
			{name: lastID, in: "header", doc: "go on after this event", is: schema{"type": "string", "pattern": "^[0-9]*$"}},
		},
		mentions: []any{events.Event{}},
	}}
}

func typeList() string {
	list := ""
	for i, t := range events.Types {
		if i > 0 {
			list += ", "
		}
		list += string(t)
	}
	return list
}

// listening is what a listener to events asks for.
type listening struct {
	filter   events.Filter
	origin   control.Origin // whose stream it is; "": nobody's
	snapshot bool
	after    uint64 // the event that he had last, or that was the last when he came
	resumes  bool   // there was one
}

func readListening(r *http.Request) (l listening, err error) {
	query, err := onlyParameters(r.URL, "types", "vni", "origin", "snapshot")
	if err != nil {
		return l, err
	}
	for key, values := range query {
		switch value := values[0]; key {
		case "types":
			err = l.filter.Want(value)
		case "vni":
			l.filter.VNI, err = ParseVNI(value)
		case "origin":
			l.origin, err = control.ParseOrigin(value)
		case "snapshot":
			if l.snapshot = value == "1"; value != "0" && value != "1" {
				err = fmt.Errorf("snapshot %q: write 1, or 0", value)
			}
		}
		if err != nil {
			return l, err
		}
	}
	if id := r.Header.Get(lastID); id != "" {
		if l.after, err = strconv.ParseUint(id, 10, 64); err != nil {
			return l, fmt.Errorf("%s %q: send the id of an event, a number, or leave it out", lastID, id)
		}
		l.resumes = true
	}
	return l, nil
}

// events streams what happens until the listener goes away.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	l, err := readListening(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	peer := peerIn(r.Context())
	if l.origin != "" && !s.mayAttach(w, r, peer) {
		return
	}
	if !l.resumes {
		l.after = s.src.Events().Last() // what happens from now on is told, however long the rest takes
	}
	places := s.streams[0]
	if peer != nil {
		places = s.streams[1]
	}
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
	default:
		turnAway(w, "%d listen to events, and there are no more places: end one, or try again", cap(places))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy in front must not gather events
	if r.Method == http.MethodHead {
		return
	}
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Time{}); err != nil { // the request is read; or the server would end it for being slow
		return
	}
	if l.origin != "" {
		defer s.opts.Origins.AttachOrigin(l.origin)()
	}
	st := &eventStream{
		s: s, want: l, log: s.src.Events(), buf: make([]events.Event, 64),
		out: bufio.NewWriterSize(&pacedWriter{w: w, control: control, stall: s.bounds.stall}, streamBuffer),
	}
	_ = st.run(r.Context()) // he is gone, or does not read: there is nobody to tell
}

// mayAttach reports whether a stream may be a controller's: it changes how long what the
// controller has said is kept. Who may not is answered.
func (s *Server) mayAttach(w http.ResponseWriter, r *http.Request, p *peer) bool {
	switch {
	case p == nil:
		refuse(w, http.StatusForbidden, "a controller's stream of events is on the control socket alone: leave origin out here")
	case p.may < mayWrite:
		s.forbid(w, r, p, mayWrite)
	case s.opts.Origins == nil:
		refuse(w, http.StatusNotFound, "this gateway has no controllers: leave origin out")
	default:
		return true
	}
	return false
}

// eventStream is one listener to events.
type eventStream struct {
	s    *Server
	want listening
	log  *events.Log
	out  *bufio.Writer
	buf  []events.Event

	at      uint64    // the last event that was looked at
	listing time.Time // when the last snapshot began
}

func (e *eventStream) run(ctx context.Context) error {
	if err := e.begin(ctx); err != nil {
		return err
	}
	beat := time.NewTicker(e.s.bounds.beat)
	defer beat.Stop()
	for {
		changed := e.log.Changed() // before looking, or an event that comes meanwhile is waited for
		more, err := e.pass(ctx)
		if err != nil {
			return err
		}
		if more {
			continue
		}
		if err := e.out.Flush(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-beat.C:
			// The id too: what is filtered out moves on, and the listener comes back
			// to where that is.
			fmt.Fprintf(e.out, ": still here\nid: %d\n\n", e.at)
		}
	}
}

// begin sends what comes before the first event.
func (e *eventStream) begin(ctx context.Context) error {
	fmt.Fprint(e.out, "retry: 1000\n\n")
	e.at = e.want.after
	switch {
	case e.want.resumes: // what he missed, or that he missed it
	case e.want.snapshot:
		return e.list(ctx)
	default:
		fmt.Fprintf(e.out, "id: %d\n\n", e.at)
	}
	return nil
}

// pass sends the next events that the listener wants, and reports whether there may be
// more.
func (e *eventStream) pass(ctx context.Context) (more bool, err error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	n, ok := e.log.Since(e.at, e.buf)
	if !ok {
		last := e.log.Last()
		return true, e.resync(ctx, &events.Event{
			ID: last, Time: time.Now().UTC(), Type: events.Resync,
			Reason: fmt.Sprintf("the events after %d are not kept any more: read all again", e.at),
		})
	}
	for i := range e.buf[:n] {
		ev := &e.buf[i]
		switch e.at = ev.ID; {
		case ev.Type == events.Resync:
			return true, e.resync(ctx, ev)
		case e.want.filter.Passes(ev):
			if err := e.send(ev); err != nil {
				return false, err
			}
		}
	}
	return n > 0, nil
}

// resync tells that events are missing, and what there is if that was asked for.
func (e *eventStream) resync(ctx context.Context, ev *events.Event) error {
	e.s.resyncs.Add(1)
	e.at = ev.ID
	if err := e.send(ev); err != nil || !e.want.snapshot {
		return err
	}
	if err := e.out.Flush(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Until(e.listing.Add(snapshotRest))):
	}
	return e.list(ctx)
}

// list sends what there is. Only its end has an id: who is cut off before that has
// nothing to go on from.
func (e *eventStream) list(ctx context.Context) error {
	e.listing = time.Now()
	e.at = e.log.Last() // what is in the tables by now is at least this new
	fmt.Fprint(e.out, "id:\n")
	if err := e.send(&events.Event{Time: e.listing.UTC(), Type: events.SnapshotBegin}); err != nil {
		return err
	}
	for ev := range e.s.present(&e.want.filter) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		ev.Time = e.listing.UTC()
		if !e.want.filter.Passes(&ev) {
			continue
		}
		if err := e.send(&ev); err != nil {
			return err
		}
	}
	return e.send(&events.Event{ID: e.at, Time: time.Now().UTC(), Type: events.SnapshotEnd})
}

// send writes one event (WHATWG HTML section 9.2.5). JSON has no line breaks.
func (e *eventStream) send(ev *events.Event) error {
	text, err := json.Marshal(ev)
	if err != nil {
		return err
	}
	if ev.ID != 0 {
		fmt.Fprintf(e.out, "id: %d\n", ev.ID)
	}
	_, err = fmt.Fprintf(e.out, "event: %s\ndata: %s\n\n", ev.Type, text)
	return err
}

// present yields the state as the events that lead to it.
func (s *Server) present(f *events.Filter) iter.Seq[events.Event] {
	return func(yield func(events.Event) bool) {
		_ = (!f.Wants(events.PortUp) && !f.Wants(events.PortDown) || each(s.src.Ports(), portEvent, yield)) &&
			(!f.Wants(events.VTEPAdded) || each(s.src.VTEPs(), vtepEvent, yield)) &&
			(!f.Wants(events.MACLearned) || s.eachMAC(f.VNI, yield)) &&
			(!f.Wants(events.NeighbourLearned) || each(s.src.Neighbours(), neighbourEvent, yield)) &&
			(!f.Wants(events.OriginConnected) || each(s.src.Origins(), originEvent, yield)) &&
			each(s.config(), func(r ConfigRow) (events.Event, bool) { e := r.Event(""); return e, f.Wants(e.Type) }, yield)
	}
}

// each yields the events of rows, and reports whether to go on.
func each[T any](rows []T, event func(T) (events.Event, bool), yield func(events.Event) bool) bool {
	for _, r := range rows {
		if e, ok := event(r); ok && !yield(e) {
			return false
		}
	}
	return true
}

func (s *Server) eachMAC(vni uint32, yield func(events.Event) bool) bool {
	for r := range s.src.MACs(vni) {
		if !yield(events.Event{Type: events.MACLearned, VNI: r.VNI, MAC: r.MAC, Port: r.Port, VTEP: r.VTEP, Origin: r.Origin}) {
			return false
		}
	}
	return true
}

func portEvent(r PortRow) (events.Event, bool) {
	e := events.Event{Type: events.PortDown, Port: r.Interface, VNI: r.VNI, State: r.State, Reason: r.Reason}
	if r.State == StateUp {
		e.Type = events.PortUp
	}
	return e, true
}

func vtepEvent(r VTEPRow) (events.Event, bool) {
	return events.Event{Type: events.VTEPAdded, VTEP: r.Address, Origin: r.Origin}, true
}

// neighbourEvent leaves out who is only asked for, or did not answer.
func neighbourEvent(r NeighbourRow) (events.Event, bool) {
	e := events.Event{
		Type: events.NeighbourLearned, VNI: r.VNI, Address: r.Address, MAC: r.MAC, Port: r.Port, VTEP: r.VTEP, Table: events.BySuppression,
	}
	if r.VRF != "" {
		e.Table = events.ByRouting
	}
	if r.Origin != OriginLearned {
		e.Origin = r.Origin
	}
	return e, r.MAC != ""
}

// originEvent leaves out who was swept: nothing of what he said is there.
func originEvent(r OriginRow) (events.Event, bool) {
	e := events.Event{
		Type: events.OriginConnected, Origin: r.Origin, State: r.State, Hold: r.Hold, Entries: r.VTEPs + r.MACs + r.Neighbours + r.Routes,
	}
	return e, r.State != string(control.Expired)
}
