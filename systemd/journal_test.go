package systemd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// journald is a socket that entries are sent to.
type journald struct {
	t    *testing.T
	path string
	conn *net.UnixConn
}

func newJournald(t *testing.T, path string) *journald {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &journald{t, path, conn}
}

// entry returns the next entry, and whether it came in a file.
func (j *journald) entry() (text []byte, inFile bool) {
	j.t.Helper()
	text, oob := make([]byte, 1<<20), make([]byte, 128)
	n, oobn, _, _, err := j.conn.ReadMsgUnix(text, oob)
	if err != nil {
		j.t.Fatal(err)
	}
	if oobn == 0 {
		return text[:n], false
	}
	control, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || n != 0 {
		j.t.Fatalf("%d bytes beside a file, %v", n, err)
	}
	fds, err := unix.ParseUnixRights(&control[0])
	if err != nil || len(fds) != 1 {
		j.t.Fatalf("files %v, %v", fds, err)
	}
	f := os.NewFile(uintptr(fds[0]), "entry")
	defer f.Close()
	if seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0); err != nil || seals&unix.F_SEAL_WRITE == 0 {
		j.t.Errorf("the file can be changed: seals %#x, %v", seals, err)
	}
	text, err = io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
	if err != nil {
		j.t.Fatal(err)
	}
	return text, true
}

func TestJournalSend(t *testing.T) {
	long := strings.Repeat("a long line\n", 100_000)
	j := newJournald(t, filepath.Join(t.TempDir(), "s"))
	to, err := DialJournal(j.path)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	for _, test := range []struct {
		name   string
		fields []Field
		want   string
		inFile bool
	}{
		{"one line each", []Field{{"MESSAGE", "a=b"}, {"PRIORITY", "4"}}, "MESSAGE=a=b\nPRIORITY=4\n", false},
		{"empty value", []Field{{"MESSAGE", ""}}, "MESSAGE=\n", false},
		{"several lines", []Field{{"MESSAGE", "a\nb"}, {"X", "y"}}, "MESSAGE\n\x03\x00\x00\x00\x00\x00\x00\x00a\nb\nX=y\n", false},
		{"names that are none", []Field{{"_BOOT_ID", "x"}, {"a", "x"}, {"", "x"}, {"1A", "x"}, {"A=B", "x"}, {"A", "x"}}, "A=x\n", false},
		{"longer than a datagram", []Field{{"MESSAGE", long}}, "MESSAGE\n" + string(binary.LittleEndian.AppendUint64(nil, uint64(len(long)))) + long + "\n", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := to.Send(test.fields); err != nil {
				t.Fatal(err)
			}
			if got, inFile := j.entry(); string(got) != test.want || inFile != test.inFile {
				t.Errorf("%.100q, in a file: %v; want %.100q, %v", got, inFile, test.want, test.inFile)
			}
		})
	}
}

// TestJournalGone holds that a journald that comes back is found again, and that one
// that does not is told of.
func TestJournalGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if _, err := DialJournal(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	first := newJournald(t, path)
	to, err := DialJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	first.conn.Close()
	if err := to.Send([]Field{{"MESSAGE", "lost"}}); err == nil {
		t.Error("nobody has it, and no error")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second := newJournald(t, path)
	if err := to.Send([]Field{{"MESSAGE", "found"}}); err != nil {
		t.Fatal(err)
	}
	if got, _ := second.entry(); string(got) != "MESSAGE=found\n" {
		t.Errorf("%q", got)
	}
}

func TestFieldName(t *testing.T) {
	for in, want := range map[string]string{
		"port": "VXGW_PORT", "restart_needed": "VXGW_RESTART_NEEDED", "a.b-c": "VXGW_A_B_C", "größe": "",
		strings.Repeat("x", 100): "VXGW_" + strings.Repeat("X", 59),
	} {
		got := FieldName("VXGW_", in)
		if !isFieldName(got) || in != "größe" && got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func TestUnderJournal(t *testing.T) {
	var is unix.Stat_t
	if err := unix.Fstat(2, &is); err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]bool{
		fmt.Sprintf("%d:%d", is.Dev, is.Ino): true, fmt.Sprintf("%d:%d", is.Dev, is.Ino+1): false, "": false, "nonsense": false,
	} {
		t.Setenv("JOURNAL_STREAM", value)
		if UnderJournal() != want {
			t.Errorf("JOURNAL_STREAM=%q: %v", value, !want)
		}
	}
}

// FuzzJournalEntry holds that what is encoded is what journald's rules give back.
func FuzzJournalEntry(f *testing.F) {
	f.Add("MESSAGE", "a\nb", "X", "1")
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2 string) {
		var want []Field
		for _, x := range []Field{{n1, v1}, {n2, v2}} {
			if isFieldName(x.Name) {
				want = append(want, x)
			}
		}
		got, err := decode(encode([]Field{{n1, v1}, {n2, v2}}))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	})
}

// decode reads an entry as the protocol is described.
func decode(b []byte) (fields []Field, err error) {
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			return nil, errors.New("no end of line")
		}
		line := string(b[:end])
		b = b[end+1:]
		if name, value, ok := strings.Cut(line, "="); ok {
			fields = append(fields, Field{name, value})
			continue
		}
		if len(b) < 8 {
			return nil, errors.New("no length")
		}
		n := binary.LittleEndian.Uint64(b)
		if b = b[8:]; uint64(len(b)) < n+1 || b[n] != '\n' {
			return nil, errors.New("a length that is too long")
		}
		fields = append(fields, Field{line, string(b[:n])})
		b = b[n+1:]
	}
	return fields, nil
}
