package api

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Blocks of pcapng (draft-ietf-opsawg-pcapng section 4).
const (
	blockStatistics = 5
	blockPacket     = 6

	blockLeast = 12      // type, length, length
	blockMost  = 1 << 20 // the gateway makes none that long

	statisticsOptions = 20 // where the options of a statistics block are
	optionDropped     = 5  // isb_ifdrop
)

// errNoBlock is what cannot be a block.
var errNoBlock = errors.New("this is no pcapng")

// cutter is a file, or what has one.
type cutter interface {
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
}

// blocks copies pcapng, block by block: whatever happens, what was written can be read.
type blocks struct {
	from io.Reader
	to   io.Writer

	frames uint64
	drops  map[uint32]uint64 // by interface

	out     *bufio.Writer
	file    cutter  // to, where that can be cut; nil: it cannot
	size    int64   // bytes of whole blocks that were given to out
	written int64   // of those, bytes that are in the file
	ends    []int64 // of blocks that may not be there yet
}

func (b *blocks) dropped() (n uint64) {
	for _, d := range b.drops {
		n += d
	}
	return n
}

// copy copies until the end. An error of to is a WriteError; the end in the middle of
// a block is io.ErrUnexpectedEOF.
func (b *blocks) copy() error {
	b.drops = make(map[uint32]uint64)
	in := bufio.NewReaderSize(b.from, 64<<10)
	b.out = bufio.NewWriterSize(b.to, 64<<10)
	b.file, _ = b.to.(cutter)
	var mem []byte
	for {
		block, err := readBlock(in, &mem)
		if err != nil {
			if wrong := b.flush(); wrong != nil {
				return wrong
			}
			if err == io.EOF {
				return nil
			}
			return err
		}
		b.look(block)
		if b.out.Buffered() > 0 && b.out.Available() < len(block) {
			if err := b.flush(); err != nil { // never in the middle of a block
				return err
			}
		}
		b.size += int64(len(block))
		b.ends = append(b.ends, b.size)
		if _, err := b.out.Write(block); err != nil {
			return b.broken(err)
		}
		if in.Buffered() == 0 { // nothing more for now: who watches is to see it
			if err := b.flush(); err != nil {
				return err
			}
		}
	}
}

func (b *blocks) flush() error {
	if err := b.out.Flush(); err != nil {
		return b.broken(err)
	}
	b.written, b.ends = b.size, b.ends[:0]
	return nil
}

// broken cuts a block off that was written in part.
func (b *blocks) broken(err error) error {
	if b.file != nil {
		if info, statErr := b.file.Stat(); statErr == nil && info.Mode().IsRegular() {
			if end := b.endBefore(info.Size()); end < info.Size() {
				err = errors.Join(err, b.file.Truncate(end))
			}
		}
	}
	return WriteError{err}
}

// endBefore returns where the last whole block ends in a file of so many bytes.
func (b *blocks) endBefore(size int64) int64 {
	whole := b.written
	for _, end := range b.ends {
		if end <= size {
			whole = end
		}
	}
	return min(whole, size)
}

// readBlock reads one block into mem. io.EOF is the end between two.
func readBlock(in *bufio.Reader, mem *[]byte) ([]byte, error) {
	head, err := in.Peek(blockLeast - 4)
	switch {
	case err == io.EOF && len(head) == 0:
		return nil, io.EOF
	case err == io.EOF:
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[4:])
	if n < blockLeast || n > blockMost || n%4 != 0 {
		return nil, fmt.Errorf("%w: a block of %d bytes", errNoBlock, n)
	}
	if len(*mem) < int(n) {
		*mem = make([]byte, n)
	}
	block := (*mem)[:n]
	if _, err := io.ReadFull(in, block); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if binary.LittleEndian.Uint32(block[n-4:]) != n {
		return nil, fmt.Errorf("%w: a block that says its length in two ways", errNoBlock)
	}
	return block, nil
}

// look counts what a block tells of.
func (b *blocks) look(block []byte) {
	switch binary.LittleEndian.Uint32(block) {
	case blockPacket:
		b.frames++
	case blockStatistics:
		if len(block) < statisticsOptions+4 {
			return
		}
		rest := block[statisticsOptions : len(block)-4]
		for len(rest) >= 4 {
			code, n := binary.LittleEndian.Uint16(rest), int(binary.LittleEndian.Uint16(rest[2:]))
			if rest = rest[4:]; code == 0 || n > len(rest) {
				return
			}
			if code == optionDropped && n == 8 {
				b.drops[binary.LittleEndian.Uint32(block[8:])] = binary.LittleEndian.Uint64(rest)
			}
			rest = rest[min((n+3)&^3, len(rest)):]
		}
	}
}
