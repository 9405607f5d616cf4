package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// target is where a capture is written to: standard output, or a file that is made when
// there is something to be written. Before, one that is there is left alone.
type target struct {
	name   string
	stdout io.Writer

	begun bool
	file  *os.File // nil: standard output, or nothing yet
}

// Write is as io.Writer has it.
func (t *target) Write(b []byte) (int, error) {
	if !t.begun && t.name != "-" {
		// What hosts say to each other is not for everybody on this machine.
		file, err := os.OpenFile(t.name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return 0, err
		}
		t.file = file
	}
	t.begun = true
	if t.file == nil {
		return t.stdout.Write(b)
	}
	return t.file.Write(b)
}

// errNotOurs is why standard output is not cut: who knows what else is in it.
var errNotOurs = errors.New("this is not a file of ours")

// Stat is as os.File has it.
func (t *target) Stat() (fs.FileInfo, error) {
	if t.file == nil {
		return nil, errNotOurs
	}
	return t.file.Stat()
}

// Truncate is as os.File has it.
func (t *target) Truncate(size int64) error {
	if t.file == nil {
		return errNotOurs
	}
	return t.file.Truncate(size)
}

func (t *target) close() error {
	if t.file == nil {
		return nil
	}
	return t.file.Close()
}
