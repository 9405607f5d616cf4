package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Captured is what became of a capture.
type Captured struct {
	Frames  uint64 // written
	Dropped uint64 // seen by the gateway and not captured: nobody was slowed down for them
	// Ended says that the gateway ended it, of its own accord or because it was asked
	// to; otherwise it was cut off.
	Ended bool
}

// endTime is how long a gateway may take to end a capture that it was asked to end.
const endTime = 20 * time.Second

// DropFrames returns the gateway's answer to GET /v1/drops/frames: a JSON array, as it
// comes. The caller closes it.
func (c *Client) DropFrames(ctx context.Context, reason string) (io.ReadCloser, error) {
	query := url.Values{}
	if reason != "" {
		query.Set("reason", reason)
	}
	return c.do(ctx, http.MethodGet, "/v1/drops/frames", query, nil)
}

// Capture has the gateway capture and writes the pcapng file to w, whole blocks only,
// each as soon as it is there. When ctx ends it asks the gateway to end the capture and
// writes the rest of it. An error of w is a WriteError.
func (c *Client) Capture(ctx context.Context, w io.Writer, req CaptureRequest) (done Captured, err error) {
	line := &halfLine{}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := (&net.Dialer{Timeout: dialTime}).DialContext(ctx, "unix", c.socket)
			if err == nil {
				line.set(conn.(*net.UnixConn))
			}
			return conn, err
		},
		ResponseHeaderTimeout: answerTimeout, DisableCompression: true, DisableKeepAlives: true,
	}
	defer transport.CloseIdleConnections()
	// Its own context: the end of ctx is not to cut the answer off.
	asking, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	asker := &Client{socket: c.socket, http: http.Client{Transport: transport}}
	stop := context.AfterFunc(ctx, func() {
		line.closeWrite()
		time.AfterFunc(endTime, giveUp)
	})
	defer stop()
	body, err := asker.do(asking, http.MethodGet, "/v1/capture", req.query(), nil)
	if err != nil {
		return done, err
	}
	defer body.Close()
	b := &blocks{from: body, to: w}
	err = b.copy()
	done = Captured{Frames: b.frames, Dropped: b.dropped(), Ended: err == nil}
	var written WriteError
	if err != nil && !errors.As(err, &written) {
		err = c.cutOff(err)
	}
	return done, err
}

// halfLine is a connection whose sending half can be closed.
type halfLine struct {
	mu     sync.Mutex // guards all
	conn   *net.UnixConn
	closed bool
}

func (l *halfLine) set(c *net.UnixConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn = c; l.closed {
		_ = c.CloseWrite() // it shows when the answer does not come
	}
}

func (l *halfLine) closeWrite() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed = true; l.conn != nil {
		_ = l.conn.CloseWrite() // it has ended by itself
	}
}

// WriteError is an error of where a capture is written to.
type WriteError struct{ Err error }

// Error says what happened.
func (e WriteError) Error() string {
	if errors.Is(e.Err, unix.ENOSPC) {
		return fmt.Sprintf("the capture cannot be written: %v: free some, or write it elsewhere or with --snaplen; what is there can be read", e.Err)
	}
	return fmt.Sprintf("the capture cannot be written: %v", e.Err)
}

// Unwrap returns Err.
func (e WriteError) Unwrap() error { return e.Err }

// ReadDropFrames reads what DropFrames returns.
func ReadDropFrames(ctx context.Context, c *Client, reason string) ([]DropFrameRow, error) {
	body, err := c.DropFrames(ctx, reason)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var rows []DropFrameRow
	for row, err := range decodeRows[DropFrameRow](c, body) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}
