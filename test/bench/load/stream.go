package load

import (
	"bytes"
	"errors"
	"fmt"
)

// A Stream says which frames a generator sends. It is not to be changed once a
// generator has it.
type Stream struct {
	// Frames are sent from the first to the last and again from the first. One
	// may be there more than once. They differ in their first 96 bytes and in
	// their lengths only: 14 bytes to 3 KiB.
	Frames [][]byte

	// Fields are what differs from one round of Frames to the next.
	Fields []Field

	// Devices are sent out of in turn, Train frames each.
	Devices []string
	Train   int // 0: 1
}

// A Field is a number in network order that counts: frame n of a stream, from
// 0, has First + n / Train mod Count in it.
type Field struct {
	Offset       int // bytes from the start of the frame
	Size         int // bytes: 2 or 4
	Shift        int // bits below the number, which are zero
	First, Count uint32
	Train        int // how many frames in a row have the same number; 0: 1
}

const (
	// headLen is how much of each frame the program writes anew, in bytes: the
	// memory of a frame comes back with whatever its last receiver left in it.
	// Outer headers of IPv4 (50 bytes) and inner ones of UDP (42) fit.
	headLen = 96

	minFrame = 14
	maxFrame = 3 << 10 // a page less what the kernel keeps in it

	// maxFrames keeps the choice of a frame short.
	maxFrames = 64
)

// head is what is written of frame f.
func head(f []byte) []byte { return f[:min(len(f), headLen)] }

// longest returns the frame whose memory the others are sent in.
func (s Stream) longest() []byte {
	var l []byte
	for _, f := range s.Frames {
		if len(f) > len(l) {
			l = f
		}
	}
	return l
}

// check refuses what the program could not send as it is meant.
func (s Stream) check() error {
	if len(s.Frames) == 0 || len(s.Frames) > maxFrames {
		return fmt.Errorf("%d frames: 1 to %d can be sent in turn", len(s.Frames), maxFrames)
	}
	if len(s.Devices) == 0 {
		return errors.New("no device to send out of")
	}
	if s.Train < 0 {
		return fmt.Errorf("%d frames out of each device", s.Train)
	}
	longest := s.longest()
	for i, f := range s.Frames {
		if len(f) < minFrame || len(f) > maxFrame {
			return fmt.Errorf("frame %d has %d bytes: %d to %d can be sent", i, len(f), minFrame, maxFrame)
		}
		if !bytes.Equal(f[len(head(f)):], longest[len(head(f)):len(f)]) {
			return fmt.Errorf("frame %d differs from others behind its first %d bytes", i, headLen)
		}
		for _, field := range s.Fields {
			if field.Offset < 0 || field.Offset+field.Size > len(head(f)) {
				return fmt.Errorf("frame %d has no %d bytes at %d that can be counted in", i, field.Size, field.Offset)
			}
		}
	}
	for _, field := range s.Fields {
		if err := field.check(); err != nil {
			return err
		}
	}
	return nil
}

func (f Field) check() error {
	if f.Size != 2 && f.Size != 4 {
		return fmt.Errorf("a field of %d bytes: 2 or 4 can be counted in", f.Size)
	}
	if f.Train < 0 {
		return fmt.Errorf("a field that counts every %d frames", f.Train)
	}
	last := uint64(f.First) + uint64(f.Count) - 1
	if f.Count == 0 || f.Count > 1<<31-1 || last<<f.Shift >= 1<<(8*f.Size) {
		return fmt.Errorf("a field of %d bytes cannot count from %d to %d, %d bits to the left", f.Size, f.First, last, f.Shift)
	}
	return nil
}
