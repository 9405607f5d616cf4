package control

import (
	"fmt"
	"maps"
	"slices"
)

// Bounds of a hold time, in seconds: how long what an origin has said is kept after its
// last sign of life.
const (
	DefaultHold = 300
	MaxHold     = 86400
)

// MaxOrigins is how many origins a gateway knows at a time.
const MaxOrigins = 16

// State is how an origin is.
type State string

// The states.
const (
	Attached State = "attached" // a stream of events is open in its name
	Leased   State = "leased"   // it has shown a sign of life within its hold time
	Expired  State = "expired"  // it has not, and all that it had said is forgotten
)

// Page is what is known of one origin itself.
type Page struct {
	Origin     Origin
	Generation uint64 // goes up with every change of what it has said
	Hold       uint32 // in seconds
	Heard      uint32 // when it last showed a sign of life, in seconds of the caller's clock
	Streams    int    // of events that are open in its name
	Swept      uint64 // how often its hold time ended
	expired    bool
}

// State returns how the origin is.
func (p *Page) State() State {
	switch {
	case p.expired:
		return Expired
	case p.Streams > 0:
		return Attached
	}
	return Leased
}

// Left returns how many seconds of the hold time are left.
func (p *Page) Left(now uint32) uint32 {
	switch p.State() {
	case Attached:
		return p.Hold
	case Expired:
		return 0
	}
	return p.Hold - min(p.Hold, uint32(max(int32(now-p.Heard), 0)))
}

// Book is the pages of all origins.
type Book struct {
	pages   map[Origin]*Page
	streams map[Origin]int // of origins that have no page yet too
	last    uint64         // the last generation given out, to any origin
}

// NewBook returns a Book without pages.
func NewBook() *Book { return &Book{pages: make(map[Origin]*Page), streams: make(map[Origin]int)} }

// Page returns an origin's page, and false where there is none. It is a copy.
func (b *Book) Page(o Origin) (Page, bool) {
	if p := b.pages[o]; p != nil {
		return *p, true
	}
	return Page{Origin: o}, false
}

// Pages returns all pages, in the order in which origins count.
func (b *Book) Pages() []Page {
	all := make([]Page, 0, len(b.pages))
	for _, o := range slices.SortedFunc(maps.Keys(b.pages), Origin.Compare) {
		all = append(all, *b.pages[o])
	}
	return all
}

// Room returns an error, for people, when there is no page for an origin and no room for
// another. Those that have expired make room.
func (b *Book) Room(o Origin) error {
	if b.pages[o] != nil || len(b.pages) < MaxOrigins || b.oldest() != "" {
		return nil
	}
	return fmt.Errorf("%w: there are %d, DELETE one that is not used, GET /v1/origins lists them", ErrFull, MaxOrigins)
}

// oldest is the expired origin that has been silent for longest.
func (b *Book) oldest() (o Origin) {
	for _, p := range b.pages {
		if p.State() == Expired && (o == "" || int32(b.pages[o].Heard-p.Heard) > 0) {
			o = p.Origin
		}
	}
	return o
}

// Hear notes a sign of life of an origin, which Room had room for. hold is its new hold
// time, nil as before. changed says that it has said something new. The page is returned.
func (b *Book) Hear(o Origin, hold *uint32, changed bool, now uint32) Page {
	p := b.pages[o]
	if p == nil {
		if len(b.pages) >= MaxOrigins {
			delete(b.pages, b.oldest())
		}
		p = &Page{Origin: o, Hold: DefaultHold, Streams: b.streams[o]}
		b.pages[o] = p
		changed = true
	}
	if hold != nil && *hold != p.Hold {
		p.Hold, changed = *hold, true
	}
	if p.expired {
		changed = true
	}
	if changed {
		// Unique among all origins, so that one that is ended and begun anew has
		// none twice.
		b.last++
		p.Generation = b.last
	}
	p.Heard, p.expired = now, false
	return *p
}

// Attach notes that a stream of events was opened in an origin's name, or was closed: its
// hold time begins then. A stream may be opened before the origin has said anything.
func (b *Book) Attach(o Origin, open bool, now uint32) {
	switch {
	case open:
		b.streams[o]++
	case b.streams[o] > 1:
		b.streams[o]--
	default:
		delete(b.streams, o)
	}
	if p := b.pages[o]; p != nil {
		p.Streams = b.streams[o]
		p.Heard = now
	}
}

// End forgets an origin.
func (b *Book) End(o Origin) bool {
	_, ok := b.pages[o]
	delete(b.pages, o)
	return ok
}

// Expire returns the origins whose hold time has ended by now, each once. What they have
// said is the caller's to forget.
func (b *Book) Expire(now uint32) (over []Page) {
	for _, p := range b.pages {
		if p.State() == Leased && int32(now-p.Heard) >= 0 && now-p.Heard >= p.Hold {
			p.expired = true
			p.Swept++
			b.last++
			p.Generation = b.last
			over = append(over, *p)
		}
	}
	slices.SortFunc(over, func(x, y Page) int { return x.Origin.Compare(y.Origin) })
	return over
}
