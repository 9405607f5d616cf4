package kernel

import (
	"bytes"
	"fmt"
	"slices"
)

// archive is a file system as the kernel unpacks it into memory: cpio, "newc" (Linux's
// Documentation/driver-api/early-userspace/buffer-format.rst).
type archive struct {
	bytes.Buffer
	files int
}

const (
	directory = 0o40755
	program   = 0o100755
)

// add adds a file or a directory; those that it is in come first.
func (a *archive) add(name string, mode uint32, content []byte) {
	a.files++
	fmt.Fprintf(a, "070701%08X%08X", a.files, mode)
	for _, field := range []int{0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0} {
		fmt.Fprintf(a, "%08X", field)
	}
	a.padded(append([]byte(name), 0))
	a.padded(content)
}

// padded writes what is followed by something at a multiple of four bytes.
func (a *archive) padded(content []byte) {
	a.Write(content)
	a.Write(slices.Repeat([]byte{0}, -a.Len()&3))
}

// end ends the archive.
func (a *archive) end() { a.add("TRAILER!!!", 0, nil) }
