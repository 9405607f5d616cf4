package capture

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Session is one capture that is under way: a pcapng file that is being written.
type Session struct {
	// Set once.
	hub   *Hub
	spec  Spec
	began time.Time
	more  chan struct{} // something is to be read
	over  chan struct{} // closed when nothing more is written

	mu     sync.Mutex // guards everything below
	ended  bool
	buf    bytes.Buffer
	file   *pcapgo.NgWriter
	places map[Place]int // interfaces of the file
	ifs    []ifCount     // by interface
	taken  uint64        // frames written
}

// ifCount is what is counted of one interface of a file.
type ifCount struct {
	place   Place
	taken   uint64 // frames that were asked for
	dropped uint64 // of those, frames that the reader was too slow for
	base    uint64 // what the hub had lost there at the beginning
}

func newSession(h *Hub, spec Spec, ifs []Interface) (*Session, error) {
	s := &Session{
		hub: h, spec: spec, began: h.now(), more: make(chan struct{}, 1), over: make(chan struct{}),
		places: make(map[Place]int),
	}
	for i := range ifs {
		if err := s.addInterface(&ifs[i]); err != nil {
			return nil, err
		}
	}
	s.wake()
	return s, s.file.Flush()
}

// addInterface begins an interface of the file. It needs mu, but at the beginning.
func (s *Session) addInterface(is *Interface) (err error) {
	block := pcapgo.NgInterface{
		Name: is.Name, Description: is.Description, OS: "Linux",
		LinkType: layers.LinkTypeEthernet, SnapLength: uint32(s.spec.Snap), TimestampResolution: 9,
	}
	id := len(s.ifs)
	if s.file == nil {
		o := pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{OS: "Linux", Application: s.hub.application}}
		s.file, err = pcapgo.NewNgWriterInterface(&s.buf, block, o)
	} else {
		id, err = s.file.AddInterface(block)
	}
	if err != nil {
		return err
	}
	s.places[is.Place] = id
	s.ifs = append(s.ifs, ifCount{place: is.Place, base: s.hub.lostAt(is.Place)})
	return nil
}

// offer writes a frame, if it is one that is asked for. f is borrowed.
func (s *Session) offer(n *Note, f []byte, length int) {
	if !s.spec.takes(n) || !s.spec.Filter.Match(f, length) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	id, known := s.places[n.Place]
	if !known {
		id = s.find(n.Place)
	}
	c := &s.ifs[id]
	c.taken++
	if s.buf.Len() >= bufferSize {
		c.dropped++
		return
	}
	f = f[:min(len(f), s.spec.Snap)]
	ci := gopacket.CaptureInfo{Timestamp: time.Unix(0, n.Time), CaptureLength: len(f), Length: length, InterfaceIndex: id}
	flags := pcapgo.NgEpbFlags{Direction: pcapgo.NgEpbFlagDirectionInbound}
	if n.Out {
		flags.Direction = pcapgo.NgEpbFlagDirectionOutbound
	}
	// A buffer in memory takes everything.
	_ = s.file.WritePacketWithOptions(ci, f, pcapgo.NgPacketOptions{Comments: n.comments(), Flags: &flags})
	_ = s.file.Flush()
	s.wake()
	if s.taken++; s.taken == s.spec.Count {
		s.end()
	}
}

// find returns the interface of a place that came after the beginning. It needs mu.
func (s *Session) find(p Place) int {
	is := s.hub.describe(p)
	if id, known := s.places[is.Place]; known {
		s.places[p] = id
		return id
	}
	_ = s.addInterface(&is) // a buffer in memory takes everything
	s.places[p] = s.places[is.Place]
	return s.places[p]
}

func (s *Session) wake() {
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// end ends the capture with the statistics of each interface. It needs mu.
func (s *Session) end() {
	if s.ended {
		return
	}
	s.ended = true
	now := s.hub.now()
	for id := range s.ifs {
		c := &s.ifs[id]
		lost := c.dropped
		if all := s.hub.lostAt(c.place); s.first(id) && all > c.base {
			lost += all - c.base
		}
		_ = s.file.WriteInterfaceStats(id, pcapgo.NgInterfaceStatistics{
			LastUpdate: now, StartTime: s.began, EndTime: now, PacketsReceived: c.taken + lost - c.dropped, PacketsDropped: lost,
		})
	}
	_ = s.file.Flush()
	close(s.over)
}

// first reports whether an interface is the first of its place: what was lost at the
// underlay is not kept by interface.
func (s *Session) first(id int) bool {
	for i := range id {
		if s.ifs[i].place.slot() == s.ifs[id].place.slot() {
			return false
		}
	}
	return true
}

// stop ends the capture.
func (s *Session) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
}

// Next returns what was written since the last call; it waits until there is something.
// When ctx ends so does the capture. The error is io.EOF with the last of it. It is for
// one goroutine.
func (s *Session) Next(ctx context.Context) ([]byte, error) {
	select {
	case <-ctx.Done():
		s.hub.catchUp() // what was seen until now is its
		s.stop()
	case <-s.more:
	case <-s.over:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := bytes.Clone(s.buf.Bytes())
	s.buf.Reset()
	if s.ended {
		return b, io.EOF
	}
	return b, nil
}

// Close ends the capture and makes room for another.
func (s *Session) Close() {
	s.hub.remove(s)
	s.stop()
}
