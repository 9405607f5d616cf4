package capture

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vxgw/l3/underlay"
)

const (
	// ringBytes is how much memory the rings of all workers may take together while
	// somebody captures; leastRing and mostRing bound one worker's.
	ringBytes = 64 << 20
	leastRing = 2 * (MaxSnap + 1)
	mostRing  = 1 << 20

	// perNote is how long a frame is taken to be, in bytes, where a ring is shared
	// out between notes and frames.
	perNote = 256

	// restless is how long the reader of the rings waits when it has found something,
	// and restful when not.
	restless = time.Millisecond
	restful  = 5 * time.Millisecond
)

// Source is where frames come from that no worker sees: the programs of the fast path.
type Source interface {
	// Begin has frames told of from now on, of each the first snap bytes, and End not
	// any more.
	Begin(snap int) error
	End()
	// Read calls f with what was seen since the last call, and reports whether it has
	// left some. Data is borrowed.
	Read(f func(Note)) (more bool)
	// Lost returns how many there was no room for, in all, at a place.
	Lost(Place) uint64
}

// Config is what a Hub needs to know of the gateway.
type Config struct {
	Application string // as captures name it
	VXLAN       uint16 // UDP port

	// Interfaces lists the places there are, and Describe names one.
	Interfaces func() []Interface
	Describe   func(Place) Interface

	// PutOuter appends to b the outer headers of a packet with n bytes of payload, of
	// which p may have the beginning: of one that leaves, or that came in, as far as
	// they are known then.
	PutOuter func(b []byte, p *underlay.Datagram, in *Incoming, n int) []byte

	// Source is the fast path; nil: there is none.
	Source Source

	Recorder *Recorder
	Warn     func(msg string, err error)
}

// Hub knows all workers' Witnesses and all captures, and has the former tell the
// latter.
type Hub struct {
	// Set once.
	cfg         Config
	application string
	describe    func(Place) Interface
	lost        [slots]atomic.Uint64 // notes that rings had no room for, by place

	flights sync.Mutex // guards rings; a worker takes it with its first drop
	rings   map[*Witness]*Ring

	reading sync.Mutex // guards the reading side of rings, and what follows
	notes   []Note
	order   []int32
	dress   []byte

	mu        sync.Mutex // guards everything below
	witnesses map[*Witness]struct{}
	sessions  []*Session
	sourced   bool // cfg.Source has begun
	left      bool // it had more than was read the last time
	stopped   bool
	running   chan struct{} // closed when the reader has ended; nil: there is none
}

// NewHub returns a Hub without captures.
func NewHub(cfg Config) *Hub {
	return &Hub{
		cfg: cfg, application: cfg.Application, describe: cfg.Describe,
		rings: make(map[*Witness]*Ring), witnesses: make(map[*Witness]struct{}),
	}
}

func (h *Hub) now() time.Time { return time.Now() }

// Witness returns a worker's. It ends with Dismiss.
func (h *Hub) Witness() *Witness {
	w := &Witness{hub: h}
	w.flight.made = func(r *Ring) { h.addFlight(w, r) }
	h.mu.Lock()
	defer h.mu.Unlock()
	h.witnesses[w] = struct{}{}
	if len(h.sessions) > 0 {
		w.live.Store(&tap{h.newRing(), h.wants()})
	}
	return w
}

func (h *Hub) addFlight(w *Witness, r *Ring) {
	h.flights.Lock()
	defer h.flights.Unlock()
	h.rings[w] = r
}

// Dismiss forgets a worker that has ended, and keeps what it has told.
func (h *Hub) Dismiss(w *Witness) {
	h.CollectDrops()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drain()
	delete(h.witnesses, w)
	h.flights.Lock()
	defer h.flights.Unlock()
	delete(h.rings, w)
}

// CollectDrops moves what workers have told of dropped frames to the Recorder. It is to
// be called once a second, and before the Recorder is read.
func (h *Hub) CollectDrops() {
	h.flights.Lock()
	rings := make([]*Ring, 0, len(h.rings))
	for _, r := range h.rings {
		rings = append(rings, r)
	}
	h.flights.Unlock()
	h.reading.Lock()
	defer h.reading.Unlock()
	h.notes = h.notes[:0]
	taken := make([]int, len(rings))
	for i, r := range rings {
		n := len(h.notes)
		h.notes = r.read(h.notes)
		taken[i] = len(h.notes) - n
	}
	for _, i := range h.byTime() {
		n, where := h.notes[i], ""
		if !n.Place.IsUnderlay() {
			where = h.describe(n.Place).Name
		}
		h.cfg.Recorder.Add(n, where)
	}
	for i, r := range rings {
		r.release(taken[i])
	}
	clear(h.notes)
}

// byTime returns the order of the notes in time; of one moment they stay as they are.
func (h *Hub) byTime() []int32 {
	h.order = h.order[:0]
	for i := range h.notes {
		h.order = append(h.order, int32(i))
	}
	slices.SortFunc(h.order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(h.notes[a].Time, h.notes[b].Time), cmp.Compare(a, b))
	})
	return h.order
}

// Open begins a capture. The error wraps ErrTooMany when there are MaxCaptures.
func (h *Hub) Open(spec Spec) (*Session, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.stopped:
		return nil, errStopped
	case len(h.sessions) >= MaxCaptures:
		return nil, fmt.Errorf("%w: %d are under way, which is the most there can be: end one", ErrTooMany, MaxCaptures)
	}
	var ifs []Interface
	for _, is := range h.cfg.Interfaces() {
		if spec.Anywhere || spec.Place.slot() == is.Place.slot() {
			ifs = append(ifs, is)
		}
	}
	if len(ifs) == 0 {
		ifs = append(ifs, h.describe(spec.Place))
	}
	s, err := newSession(h, spec, ifs)
	if err != nil {
		return nil, err
	}
	h.sessions = append(h.sessions, s)
	h.tell()
	if h.running == nil {
		h.running = make(chan struct{})
		go h.read(h.running)
	}
	return s, nil
}

// remove forgets a capture.
func (h *Hub) remove(s *Session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(h.sessions, s); i >= 0 {
		h.drain() // what was seen until now is its
		h.sessions = slices.Delete(h.sessions, i, i+1)
		h.tell()
	}
}

// Close ends all captures, and waits for what reads the rings.
func (h *Hub) Close() {
	h.mu.Lock()
	h.stopped = true
	h.drain()
	for _, s := range h.sessions {
		s.stop()
	}
	h.sessions = nil
	h.tell()
	running := h.running
	h.mu.Unlock()
	if running != nil {
		<-running
	}
}

// wants is what all captures ask for. It needs mu.
func (h *Hub) wants() *wants {
	is := &wants{}
	for _, s := range h.sessions {
		is.all = append(is.all, s.spec.want())
		is.snap = max(is.snap, s.spec.Snap)
	}
	return is
}

// tell has workers and programs know what is asked for. It needs mu.
func (h *Hub) tell() {
	is := h.wants()
	for w := range h.witnesses {
		t := w.live.Load()
		switch {
		case len(h.sessions) == 0:
			w.live.Store(nil)
		case t == nil:
			w.live.Store(&tap{h.newRing(), is})
		default:
			w.live.Store(&tap{t.ring, is})
		}
	}
	if h.cfg.Source == nil {
		return
	}
	if len(h.sessions) == 0 {
		if h.sourced {
			h.cfg.Source.End()
			h.sourced = false
		}
		return
	}
	if err := h.cfg.Source.Begin(is.snap); err != nil {
		h.cfg.Warn("captures do not see what the fast path carries", err)
		return
	}
	h.sourced = true
}

// newRing returns a worker's ring: all have their share. It needs mu.
func (h *Hub) newRing() *Ring {
	size := min(max(ringBytes/max(len(h.witnesses), 1), leastRing), mostRing)
	return NewRing(size/perNote, size)
}

// read reads the rings while there are captures.
func (h *Hub) read(done chan struct{}) {
	defer close(done)
	for {
		h.mu.Lock()
		n := h.drain()
		h.expire()
		if len(h.sessions) == 0 {
			h.running = nil
			h.mu.Unlock()
			return
		}
		h.mu.Unlock()
		if n > 0 {
			time.Sleep(restless)
		} else {
			time.Sleep(restful)
		}
	}
}

// catchUp hands captures what was seen until now.
func (h *Hub) catchUp() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drainAll()
}

// mostDrains is how often a source is read to catch up with it: more may come meanwhile.
const mostDrains = 16

// drainAll leaves nothing behind that was seen before. It needs mu.
func (h *Hub) drainAll() {
	for range mostDrains {
		if h.drain(); !h.left {
			return
		}
	}
}

// expire ends captures whose time is over. It needs mu.
func (h *Hub) expire() {
	now := h.now()
	for _, s := range h.sessions {
		if d := s.spec.Duration; d > 0 && now.Sub(s.began) >= d {
			h.drainAll()
			s.stop()
		}
	}
}

// drain hands captures what was seen since the last time, in order of time, and
// returns how many frames that was. It needs mu.
func (h *Hub) drain() int {
	if len(h.sessions) == 0 {
		return 0
	}
	h.reading.Lock()
	defer h.reading.Unlock()
	h.notes = h.notes[:0]
	type part struct {
		ring *Ring
		n    int
	}
	var parts []part
	for w := range h.witnesses {
		t := w.live.Load()
		if t == nil {
			continue
		}
		n := len(h.notes)
		if h.notes = t.ring.read(h.notes); len(h.notes) > n {
			parts = append(parts, part{t.ring, len(h.notes) - n})
		}
	}
	h.left = false
	if h.sourced {
		h.left = h.cfg.Source.Read(func(n Note) {
			n.Data = slices.Clone(n.Data)
			h.notes = append(h.notes, n)
		})
	}
	for _, i := range h.byTime() {
		h.offer(&h.notes[i])
	}
	for _, p := range parts {
		p.ring.release(p.n)
	}
	n := len(h.notes)
	clear(h.notes)
	return n
}

// offer hands a note to all captures, with its outer headers.
func (h *Hub) offer(n *Note) {
	f, length := n.Data, n.Len
	if n.Bare {
		h.dress = h.cfg.PutOuter(h.dress[:0], n.datagram(), n.incoming(), n.Len)
		length += len(h.dress)
		h.dress = append(h.dress, n.Data...)
		f = h.dress
	}
	for _, s := range h.sessions {
		s.offer(n, f, length)
	}
}

// Incoming is where a packet was sent to, and from which port.
type Incoming struct {
	From  netip.Addr
	Group netip.Addr // not valid: this VTEP
}

// incoming is nil of a packet that leaves.
func (n *Note) incoming() *Incoming {
	if n.Out {
		return nil
	}
	return &Incoming{n.VTEP, n.Outer.Group}
}

// datagram is what was sent, as far as the note has it.
func (n *Note) datagram() *underlay.Datagram {
	return &underlay.Datagram{To: n.VTEP, Via: n.Outer.Via, SourcePort: n.Outer.SourcePort, TOS: n.Outer.TOS, Head: n.Data}
}

// lostAt returns how many notes were lost at a place.
func (h *Hub) lostAt(p Place) uint64 {
	n := h.lost[p.slot()].Load()
	if h.cfg.Source != nil {
		n += h.cfg.Source.Lost(p)
	}
	return n
}
