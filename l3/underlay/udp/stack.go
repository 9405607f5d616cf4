package udp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// errCounters is for a kernel whose counters are not where they have been since
// Linux 3.10.
var errCounters = errors.New("the kernel's UDP counters cannot be read")

// stackCounts is what the UDP layer of a network namespace counted, of one
// address family.
type stackCounts struct {
	overflow uint64 // packets for a socket without room: RcvbufErrors, MemErrors
	checksum uint64 // InCsumErrors
}

// stack follows the counters of a network namespace from when it was opened.
// Only one goroutine may use it at a time.
type stack struct {
	file  *os.File
	parse func([]byte) (stackCounts, bool)
	start stackCounts
	buf   []byte
}

// openStack opens the counters of the calling thread's network namespace. The
// file stays with that namespace, whichever thread reads it.
func openStack(v6 bool) (*stack, error) {
	s := &stack{parse: parseSNMP, buf: make([]byte, 16<<10)}
	name := "/proc/thread-self/net/snmp"
	if v6 {
		s.parse, name = parseSNMP6, "/proc/thread-self/net/snmp6"
	}
	var err error
	if s.file, err = os.Open(name); err != nil {
		return nil, fmt.Errorf("%w: is /proc mounted? %w", errCounters, err)
	}
	counts, ok := s.now()
	if !ok {
		return nil, errors.Join(fmt.Errorf("%w: %s is not as expected", errCounters, name), s.close())
	}
	s.start = counts
	return s, nil
}

// read returns what was counted since the stack was opened.
func (s *stack) read() (stackCounts, bool) {
	c, ok := s.now()
	c.overflow -= s.start.overflow
	c.checksum -= s.start.checksum
	return c, ok
}

func (s *stack) now() (stackCounts, bool) {
	n, err := s.file.ReadAt(s.buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return stackCounts{}, false
	}
	return s.parse(s.buf[:n])
}

func (s *stack) close() error { return s.file.Close() }

// parseSNMP reads /proc/net/snmp: for each protocol a line of names and a line
// of values.
func parseSNMP(b []byte) (c stackCounts, ok bool) {
	var names [][]byte
	for line := range bytes.Lines(b) {
		fields := bytes.Fields(line)
		if len(fields) == 0 || string(fields[0]) != "Udp:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i := 1; i < min(len(names), len(fields)); i++ {
			ok = c.add(string(names[i]), fields[i]) || ok
		}
		return c, ok
	}
	return c, false
}

// parseSNMP6 reads /proc/net/snmp6: a name and a value on each line.
func parseSNMP6(b []byte) (c stackCounts, ok bool) {
	for line := range bytes.Lines(b) {
		fields := bytes.Fields(line)
		if len(fields) != 2 {
			continue
		}
		if name, is := bytes.CutPrefix(fields[0], []byte("Udp6")); is {
			ok = c.add(string(name), fields[1]) || ok
		}
	}
	return c, ok
}

// add takes in one counter, and reports whether it is the one of wrong
// checksums, without which the rest is of no use.
func (c *stackCounts) add(name string, value []byte) bool {
	n, err := strconv.ParseUint(string(value), 10, 64)
	if err != nil {
		return false
	}
	switch name {
	case "RcvbufErrors", "MemErrors": // Linux has the latter since 5.12
		c.overflow += n
	case "InCsumErrors":
		c.checksum += n
		return true
	}
	return false
}
