package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/sys/unix"
)

// looked is a gateway whose frames can be looked at.
type looked struct {
	*fake
	asked   atomic.Pointer[CaptureRequest]
	open    atomic.Int32
	pieces  [][]byte // what each capture is, one piece at a time
	endless bool     // it ends when it is ended only
	busy    bool
}

func (l *looked) DropFrames(reason string) ([]DropFrameRow, error) {
	if reason == "nothing" {
		return nil, errors.New(`there is no reason "nothing"`)
	}
	return dropped(), nil
}

func dropped() []DropFrameRow {
	return []DropFrameRow{
		{Time: noon, Reason: "tagged_frame", Direction: "access", Port: "eth1", VNI: 10010, Length: 64, Summary: "a > b VLAN 5 EtherType 0x88b5", Frame: "0102"},
		{Time: noon, Reason: "ecn", Direction: "overlay", VTEP: "192.0.2.2", VNI: 10010, Length: 1500, Summary: "c > d TCP"},
		{Time: noon, Reason: "too_big", Direction: "overlay", Port: "eth2", Sent: true, Copy: true, Length: 1600, Summary: "e > f UDP"},
	}
}

func (l *looked) Capture(r CaptureRequest) (Capture, error) {
	switch {
	case l.busy:
		return nil, busyError{}
	case r.Port == "eth9":
		return nil, errors.New("eth9 is neither an access port nor the underlay's interface")
	}
	l.asked.Store(&r)
	l.open.Add(1)
	return &lookedCapture{of: l, left: l.pieces}, nil
}

type busyError struct{}

func (busyError) Error() string        { return "too many captures: end one" }
func (busyError) Is(target error) bool { return target == ErrBusy }

type lookedCapture struct {
	of   *looked
	left [][]byte
	once sync.Once
}

func (c *lookedCapture) Next(ctx context.Context) ([]byte, error) {
	if len(c.left) > 1 || len(c.left) == 1 && !c.of.endless {
		b := c.left[0]
		if c.left = c.left[1:]; len(c.left) == 0 {
			return b, io.EOF
		}
		return b, nil
	}
	<-ctx.Done()
	return c.left[0], io.EOF
}

func (c *lookedCapture) Close() { c.once.Do(func() { c.of.open.Add(-1) }) }

// pcapngPieces is a section with an interface, n frames, and the statistics that tell
// of 5 drops.
func pcapngPieces(t testing.TB, n int) (pieces [][]byte) {
	t.Helper()
	var buf bytes.Buffer
	w, err := pcapgo.NewNgWriter(&buf, layers.LinkTypeEthernet)
	if err != nil {
		t.Fatal(err)
	}
	piece := func(err error) {
		t.Helper()
		if err = errors.Join(err, w.Flush()); err != nil {
			t.Fatal(err)
		}
		pieces = append(pieces, bytes.Clone(buf.Bytes()))
		buf.Reset()
	}
	piece(nil)
	for range n {
		f := make([]byte, 61)
		piece(w.WritePacket(gopacket.CaptureInfo{Timestamp: noon, CaptureLength: len(f), Length: len(f)}, f))
	}
	piece(w.WriteInterfaceStats(0, pcapgo.NgInterfaceStatistics{LastUpdate: noon, PacketsReceived: 8, PacketsDropped: 5}))
	return pieces
}

func TestCaptureRequests(t *testing.T) {
	src := &looked{fake: busy(), pieces: pcapngPieces(t, 1)}
	s, _ := start(t, src)
	for _, tt := range []struct {
		query  string
		status int
		want   string // in the answer
	}{
		{"?port=eth9", 400, "eth9 is neither"},
		{"?prot=eth1", 400, `unknown parameter \"prot\"`},
		{"?vni=0", 400, "from 1 to 16777215"},
		{"?vni=1&vni=2", 400, "give it once"},
		{"?dropped=maybe", 400, "true or false"},
		{"?count=0", 400, "from 1 on"},
		{"?count=-1", 400, "from 1 on"},
		{"?duration=fast", 400, "30s"},
		{"?duration=-1s", 400, "30s"},
		{"?snaplen=0", 400, "from 1 on"},
		{"?port=eth1&vni=7&dropped=true&filter=arp&count=3&duration=5s&snaplen=96", 200, ""},
	} {
		resp, body := ask(t, s, http.MethodGet, "/v1/capture"+tt.query, "")
		if resp.StatusCode != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d %s, want %d and %q", tt.query, resp.StatusCode, body, tt.status, tt.want)
		}
	}
	want := CaptureRequest{Port: "eth1", VNI: 7, Dropped: true, Filter: "arp", Count: 3, Duration: 5 * time.Second, Snap: 96}
	if d := cmp.Diff(&want, src.asked.Load()); d != "" {
		t.Errorf("asked for (-want +got):\n%s", d)
	}
	if resp, body := ask(t, s, http.MethodHead, "/v1/capture", ""); resp.StatusCode != 200 || body != "" {
		t.Errorf("HEAD: %d %q", resp.StatusCode, body)
	}
	src.busy = true
	if resp, body := ask(t, s, http.MethodGet, "/v1/capture", ""); resp.StatusCode != 503 || !strings.Contains(body, "end one") {
		t.Errorf("one too many: %d %s", resp.StatusCode, body)
	}
	if n := src.open.Load(); n != 0 {
		t.Errorf("%d captures are still open", n)
	}
}

// What hosts say to each other is not on the listener for monitoring.
func TestFramesAreForTheSocket(t *testing.T) {
	s, _ := start(t, &looked{fake: busy(), pieces: pcapngPieces(t, 1)}, withHTTP)
	for _, path := range []string{"/v1/capture", "/v1/drops/frames"} {
		resp, err := plainClient().Get(httpURL(t, s, path))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s over HTTP: %d", path, resp.StatusCode)
		}
	}
}

func TestClientCaptures(t *testing.T) {
	pieces := pcapngPieces(t, 3)
	src := &looked{fake: busy(), pieces: pieces}
	_, c := start(t, src)
	var got bytes.Buffer
	done, err := c.Capture(t.Context(), &got, CaptureRequest{})
	if err != nil || done != (Captured{Frames: 3, Dropped: 5, Ended: true}) {
		t.Errorf("%+v, %v", done, err)
	}
	if want := bytes.Join(pieces, nil); !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%d bytes, want %d", got.Len(), len(want))
	}
	if _, err := c.Capture(t.Context(), &got, CaptureRequest{Port: "eth9"}); err == nil || !strings.Contains(err.Error(), "eth9 is neither") {
		t.Errorf("a port that is none: %v", err)
	}
}

// An interrupted capture is ended by the gateway, with its statistics.
func TestClientEndsCaptures(t *testing.T) {
	pieces := pcapngPieces(t, 3)
	src := &looked{fake: busy(), pieces: pieces, endless: true}
	_, c := start(t, src)
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var got bytes.Buffer
	want := len(bytes.Join(pieces[:len(pieces)-1], nil))
	to := writerFunc(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		if got.Write(b); got.Len() == want {
			cancel()
		}
		return len(b), nil
	})
	done, err := c.Capture(ctx, to, CaptureRequest{})
	if err != nil || done != (Captured{Frames: 3, Dropped: 5, Ended: true}) || got.Len() != len(bytes.Join(pieces, nil)) {
		t.Errorf("%+v, %v, %d bytes", done, err, got.Len())
	}
	waitFor(t, "the capture is closed", func() bool { return src.open.Load() == 0 })
}

// A reader who goes away leaves nothing behind.
func TestClientIsGone(t *testing.T) {
	src := &looked{fake: busy(), pieces: pcapngPieces(t, 3), endless: true}
	_, c := start(t, src)
	broken := writerFunc(func([]byte) (int, error) { return 0, unix.EPIPE })
	_, err := c.Capture(t.Context(), broken, CaptureRequest{})
	var written WriteError
	if !errors.As(err, &written) || !errors.Is(err, unix.EPIPE) {
		t.Errorf("writing to a closed pipe: %v", err)
	}
	waitFor(t, "the capture is closed", func() bool { return src.open.Load() == 0 })
}

// The end of the gateway ends captures well.
func TestServerEndsCaptures(t *testing.T) {
	pieces := pcapngPieces(t, 3)
	src := &looked{fake: busy(), pieces: pieces, endless: true}
	s := New(src, Options{Socket: filepath.Join(t.TempDir(), "s"), Log: testLog(t)})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-s.Ready()
	c := NewClient(s.opts.Socket)
	defer c.Close()
	n, before := 0, len(bytes.Join(pieces[:len(pieces)-1], nil))
	done, err := c.Capture(t.Context(), writerFunc(func(b []byte) (int, error) {
		if n += len(b); n == before {
			cancel()
		}
		return len(b), nil
	}), CaptureRequest{})
	if err != nil || !done.Ended || done.Dropped != 5 {
		t.Errorf("%+v, %v", done, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// shortFile is a file on a disk that is full after so many bytes.
type shortFile struct {
	*os.File
	left int
}

func (f *shortFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b[:min(len(b), f.left)])
	f.left -= n
	if err == nil && n < len(b) {
		err = &fs.PathError{Op: "write", Path: f.Name(), Err: unix.ENOSPC}
	}
	return n, err
}

// Wherever the disk is full, the file ends with a whole block.
func TestFullDisk(t *testing.T) {
	all := bytes.Join(pcapngPieces(t, 20), nil)
	for room := 0; room < len(all); room += 37 {
		name := filepath.Join(t.TempDir(), "c")
		file, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		b := &blocks{from: bytes.NewReader(all), to: &shortFile{file, room}}
		if err := b.copy(); !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "what is there can be read") {
			t.Fatalf("%d bytes of room: %v", room, err)
		}
		file.Close()
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		again := &blocks{from: bytes.NewReader(got), to: io.Discard}
		if err := again.copy(); err != nil || len(got) > room || room-len(got) > 200 || !bytes.HasPrefix(all, got) {
			t.Fatalf("%d bytes of room: %d bytes are there: %v", room, len(got), err)
		}
	}
}

// FuzzBlocks: whatever comes, what is written is whole blocks from the beginning of it.
func FuzzBlocks(f *testing.F) {
	all := bytes.Join(pcapngPieces(f, 2), nil)
	f.Add(all)
	f.Add(all[:len(all)-3])
	f.Add([]byte{5, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 5, 0, 200, 0, 0, 0, 0, 0, 24, 0, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		var out bytes.Buffer
		b := &blocks{from: bytes.NewReader(in), to: &out}
		err := b.copy()
		if !bytes.HasPrefix(in, out.Bytes()) || err == nil && out.Len() != len(in) {
			t.Fatalf("%x became %x: %v", in, out.Bytes(), err)
		}
		again := &blocks{from: bytes.NewReader(out.Bytes()), to: io.Discard}
		if err := again.copy(); err != nil || again.frames != b.frames {
			t.Fatalf("what was written has %d frames, and had %d: %v", again.frames, b.frames, err)
		}
	})
}

func TestDropFramesTable(t *testing.T) {
	s, c := start(t, &looked{fake: busy()})
	rows, err := ReadDropFrames(t.Context(), c, "")
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	counts := []DropRow{{Reason: "tagged_frame", Direction: "access", Count: 4302}, {Reason: "ecn", Direction: "overlay", Count: 1}, {Reason: "storm", Direction: "access", Count: 7}}
	var out bytes.Buffer
	if err := WriteDropFrames(&out, rows, counts, "", 0); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"tagged_frame  eth1", "192.0.2.2", "to eth2", "4301 more of tagged_frame (access) were counted\n7 more of storm (access) were counted\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "of ecn") {
		t.Errorf("all of ecn are there:\n%s", out.String())
	}
	out.Reset()
	if err := WriteDropFrames(&out, nil, counts, "ecn", 0); err != nil || out.String() != "no dropped frame is remembered of reason ecn\n1 more of ecn (overlay) were counted\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	if resp, body := ask(t, s, http.MethodGet, "/v1/drops/frames?reason=nothing", ""); resp.StatusCode != 400 || !strings.Contains(body, "no reason") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}
