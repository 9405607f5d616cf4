package qemu

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"regexp"
	"sync"
	"time"
)

// console is what a machine has written to its serial port.
type console struct {
	mu sync.Mutex

	// guarded by mu
	b       bytes.Buffer
	conn    net.Conn      // nil: there is none yet
	ended   error         // nil while it runs
	changed chan struct{} // closed, and made anew, at each change
}

func newConsole(l net.Listener) *console {
	c := &console{changed: make(chan struct{})}
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		c.mu.Lock()
		c.conn = conn
		c.mu.Unlock()
		_, _ = io.Copy(c, conn)
	}()
	return c
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.b.Write(p)
	c.wake()
	return len(p), nil
}

func (c *console) say(s string) error {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn == nil {
		return errors.New("there is no console yet")
	}
	_, err := io.WriteString(conn, s)
	return err
}

// wake is called with mu held.
func (c *console) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// end says that nothing more comes, and why.
func (c *console) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = errors.Join(errors.New("the machine has ended"), err)
	c.wake()
}

func (c *console) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.String()
}

func (c *console) await(ctx context.Context, pattern *regexp.Regexp, limit time.Duration) (string, error) {
	late := time.After(limit)
	for {
		c.mu.Lock()
		found, ended, changed := pattern.Find(c.b.Bytes()), c.ended, c.changed
		text := string(found)
		c.mu.Unlock()
		switch {
		case found != nil:
			return text, nil
		case ended != nil:
			return "", ended
		}
		select {
		case <-changed:
		case <-late:
			return "", errors.New("it takes too long")
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}
