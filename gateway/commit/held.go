package commit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// held is what is kept on disk of a configuration that was not confirmed: what ran
// before it, and what is not to be taken at a start.
type held struct {
	// over says that the other one was rolled back. Until then it waits, and a start
	// takes text whatever the file has.
	over bool
	// refused is the digest of what was not confirmed.
	refused digest
	// text is the configuration that was confirmed last.
	text []byte
}

type digest [sha256.Size]byte

func digestOf(text []byte) digest { return sha256.Sum256(text) }

// store is where it is kept: a configuration file with a few lines of comment behind, so
// that it can be read, compared and used like any other.
type store struct {
	dir, path string
}

// newStore returns the store of the gateway that runs by a file. Two gateways never
// share one: it is named after the whole path.
func newStore(dir, file string) (*store, error) {
	whole, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(whole))
	name := fmt.Sprintf("%s-%s.confirmed", filepath.Base(whole), hex.EncodeToString(sum[:4]))
	return &store{dir: dir, path: filepath.Join(dir, name)}, nil
}

// lastLines is what stands behind the text.
var lastLines = regexp.MustCompile(`\n# Above is the configuration that was confirmed last, instead of one that was not:\n# vxgw: (waits|over) sha256:([0-9a-f]{64})\n$`)

var errNotOurs = errors.New("it is not as vxgw writes it")

// maxLast bounds lastLines, in bytes.
const maxLast = 256

// encode writes h as the file that is kept.
func (h *held) encode() []byte {
	state := "waits"
	if h.over {
		state = "over"
	}
	return fmt.Appendf(bytes.Clone(h.text), "\n# Above is the configuration that was confirmed last, instead of one that was not:\n# vxgw: %s sha256:%x\n", state, h.refused)
}

// decode is the other way round.
func decode(b []byte) (*held, error) {
	from := max(0, len(b)-maxLast)
	at := lastLines.FindSubmatchIndex(b[from:])
	if at == nil {
		return nil, errNotOurs
	}
	last := b[from:]
	h := &held{over: string(last[at[2]:at[3]]) == "over", text: b[:from+at[0]]}
	_, err := hex.Decode(h.refused[:], last[at[4]:at[5]])
	return h, err
}

// load returns what is kept; nil: nothing.
func (s *store) load() (*held, error) {
	b, err := os.ReadFile(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	h, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	return h, nil
}

// save keeps h in the place of what is kept. Whenever the process or the machine ends,
// one of the two is there, whole.
func (s *store) save(h *held) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	next := s.path + ".new" // always the same, so that a kill leaves one at the most
	if err := writeSynced(next, h.encode()); err != nil {
		return errors.Join(err, removeIfThere(next))
	}
	if err := os.Rename(next, s.path); err != nil {
		return errors.Join(err, removeIfThere(next))
	}
	return syncDir(s.dir)
}

// remove keeps nothing any more.
func (s *store) remove() error {
	err := errors.Join(removeIfThere(s.path+".new"), removeIfThere(s.path))
	if _, there := os.Stat(s.dir); err != nil || there != nil {
		return err
	}
	return syncDir(s.dir)
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncDir has the names in a directory outlive the machine's end.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
