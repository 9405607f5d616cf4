package api

import (
	"log/slog"
	"net"
	"sync"
)

// gate is the control socket as it lets connections in. Who may change the gateway has
// places of his own, and who may only read has; who may nothing, and whom there is no
// place for, waits in a small lobby until he is told so. So nobody can take from those
// above him the places to ask from.
type gate struct {
	*net.UnixListener
	may func(*peer) rights
	log *slog.Logger

	writers, readers, lobby chan struct{}
	done                    chan struct{}
	closing                 sync.Once
}

func newGate(l *net.UnixListener, may func(*peer) rights, b bounds, log *slog.Logger) *gate {
	return &gate{
		UnixListener: l, may: may, log: log,
		writers: make(chan struct{}, b.conns), readers: make(chan struct{}, b.readers), lobby: make(chan struct{}, b.lobby),
		done: make(chan struct{}),
	}
}

// gatedConn is a connection with its place.
type gatedConn struct {
	*net.UnixConn
	peer  peer
	place chan struct{}
	leave sync.Once
}

// Close gives the place back.
func (c *gatedConn) Close() error {
	err := c.UnixConn.Close()
	c.leave.Do(func() { <-c.place })
	return err
}

// Accept waits for the next connection that there is a place for.
func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.AcceptUnix()
		if err != nil {
			return nil, err
		}
		p, err := peerOf(c)
		if err != nil {
			g.log.Debug("a client of the control socket that the kernel does not name", "err", err)
			c.Close()
			continue
		}
		p.may = g.may(&p)
		if place := g.place(&p); place != nil {
			return &gatedConn{UnixConn: c, peer: p, place: place}, nil
		}
		c.Close()
	}
}

// place finds a place for a peer; nil where even the lobby is full. Writers are waited
// for: they can only keep out each other, and those who can stop the gateway anyway.
func (g *gate) place(p *peer) chan struct{} {
	switch p.may {
	case mayWrite:
		select {
		case g.writers <- struct{}{}:
			return g.writers
		case <-g.done:
			return nil
		}
	case mayRead:
		select {
		case g.readers <- struct{}{}:
			return g.readers
		default:
			p.overfull = true
		}
	}
	select {
	case g.lobby <- struct{}{}:
		return g.lobby
	default:
		return nil
	}
}

// Close stops Accept and removes the socket.
func (g *gate) Close() error {
	g.closing.Do(func() { close(g.done) })
	return g.UnixListener.Close()
}
