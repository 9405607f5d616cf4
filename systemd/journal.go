package systemd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"
	"golang.org/x/sys/unix"
)

// JournalSocket is where journald takes entries.
const JournalSocket = "/run/systemd/journal/socket"

// maxFieldName is the longest name that journald accepts, in bytes.
const maxFieldName = 64

// Field is one field of an entry in the journal. A name has letters A to Z, digits and
// underscores, and begins with a letter; one may stand several times.
type Field struct{ Name, Value string }

// Journal sends entries to journald in its own protocol
// (systemd.io/JOURNAL_NATIVE_PROTOCOL): fields stay fields, and a value may be of any
// length and have any bytes. go-systemd has a writer too, with one fixed socket, and
// files in /dev/shm for what is long.
type Journal struct {
	to   *net.UnixAddr // set once
	conn *net.UnixConn // set once; unconnected: a journald that starts anew is found again
}

// DialJournal opens the way to a journald. The error says that none listens at path.
func DialJournal(path string) (*Journal, error) {
	to := &net.UnixAddr{Name: path, Net: "unixgram"}
	there, err := net.DialUnix("unixgram", nil, to)
	if err != nil {
		return nil, fmt.Errorf("no journal: %w", err)
	}
	_ = there.Close()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("no way to the journal: %w", err)
	}
	return &Journal{to, conn}, nil
}

// UnderJournal reports whether what this process writes to its standard error goes to
// the journal (systemd.exec(5), $JOURNAL_STREAM).
func UnderJournal() bool {
	is, err := journal.StderrIsJournalStream()
	return is && err == nil
}

// Close ends it.
func (j *Journal) Close() error { return j.conn.Close() }

// Send writes one entry. An error says that the journal does not have it. Fields with a
// name that journald would refuse are left out. It may be called by several goroutines.
func (j *Journal) Send(fields []Field) error {
	entry := encode(fields)
	_, _, err := j.conn.WriteMsgUnix(entry, nil, j.to)
	if errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS) {
		return j.sendFile(entry)
	}
	return err
}

// sendFile sends what is longer than a datagram in memory that nobody can change any
// more, which is what journald takes unseen.
func (j *Journal) sendFile(entry []byte) error {
	fd, err := unix.MemfdCreate("journal-entry", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "journal-entry")
	defer f.Close()
	if _, err := f.Write(entry); err != nil {
		return err
	}
	const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	_, _, err = j.conn.WriteMsgUnix(nil, unix.UnixRights(fd), j.to)
	return err
}

// encode writes fields as journald reads them: NAME=value in a line, or, where the value
// has several, the name, the value's length in 8 bytes, little-endian, and the value.
func encode(fields []Field) []byte {
	var b []byte
	for _, f := range fields {
		if !isFieldName(f.Name) {
			continue
		}
		b = append(b, f.Name...)
		if strings.Contains(f.Value, "\n") {
			b = append(b, '\n')
			b = binary.LittleEndian.AppendUint64(b, uint64(len(f.Value)))
		} else {
			b = append(b, '=')
		}
		b = append(append(b, f.Value...), '\n')
	}
	return b
}

func isFieldName(s string) bool {
	if s == "" || len(s) > maxFieldName || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// FieldName returns what a key is called in the journal, behind a prefix that is a name
// itself.
func FieldName(prefix, key string) string {
	name := []byte(prefix + strings.ToUpper(key))
	for i, c := range name {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			name[i] = '_'
		}
	}
	return string(name[:min(len(name), maxFieldName)])
}
