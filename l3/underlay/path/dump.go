package path

import (
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// requestTimeout is how long the kernel may take for an answer.
const requestTimeout = 10 * time.Second

// dumpTries is how often a dump that changed under the reading is begun anew.
const dumpTries = 3

// extFilterSkipStats is RTEXT_FILTER_SKIP_STATS: counters make up most of a
// link's message.
const extFilterSkipStats = 1 << 3

// dumper reads everything there is, from the namespace that it was made in.
type dumper struct {
	sockets map[int]*nl.SocketHandle // by protocol
	netdev  genericFamily
}

func newDumper(netdev genericFamily) (*dumper, error) {
	d := &dumper{make(map[int]*nl.SocketHandle), netdev}
	protocols := []int{unix.NETLINK_ROUTE}
	if netdev.id != 0 {
		protocols = append(protocols, unix.NETLINK_GENERIC)
	}
	for _, p := range protocols {
		if err := d.open(p); err != nil {
			d.close()
			return nil, fmt.Errorf("open a netlink socket: %w", err)
		}
	}
	return d, nil
}

func (d *dumper) open(protocol int) error {
	s, err := nl.GetNetlinkSocketAt(-1, -1, protocol) // of this thread's namespace
	if err != nil {
		return err
	}
	d.sockets[protocol] = &nl.SocketHandle{Socket: s}
	tv := unix.NsecToTimeval(requestTimeout.Nanoseconds())
	return errors.Join(s.SetSendTimeout(&tv), s.SetReceiveTimeout(&tv))
}

func (d *dumper) close() {
	for _, s := range d.sockets {
		s.Close()
	}
}

// dump returns every link, address and neighbour, and what links can do with XDP
// where the kernel tells. It is not complete when they
// kept changing while they were read: then some may be missing.
func (d *dumper) dump() (all []message, complete bool, err error) {
	for range dumpTries {
		all, err = d.try()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err == nil, err
		}
	}
	return all, false, nil
}

func (d *dumper) try() (all []message, err error) {
	var interrupted error
	for _, q := range []struct {
		ask, answer uint16
		args        []nl.NetlinkRequestData
	}{
		{unix.RTM_GETLINK, unix.RTM_NEWLINK, []nl.NetlinkRequestData{
			nl.NewIfInfomsg(unix.AF_UNSPEC),
			nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(extFilterSkipStats)),
		}},
		{unix.RTM_GETADDR, unix.RTM_NEWADDR, []nl.NetlinkRequestData{nl.NewIfAddrmsg(unix.AF_UNSPEC)}},
		{unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, []nl.NetlinkRequestData{&netlink.Ndmsg{Family: unix.AF_UNSPEC}}},
	} {
		req := nl.NewNetlinkRequest(int(q.ask), unix.NLM_F_DUMP)
		req.Sockets = d.sockets
		for _, a := range q.args {
			req.AddData(a)
		}
		err := req.ExecuteIter(unix.NETLINK_ROUTE, q.answer, func(body []byte) bool {
			all = append(all, message{q.answer, body})
			return true
		})
		switch {
		case errors.Is(err, netlink.ErrDumpInterrupted):
			interrupted = err
		case err != nil:
			return nil, fmt.Errorf("read the host's links, addresses and neighbours: %w", err)
		}
	}
	if d.netdev.id != 0 {
		devices, err := d.netdev.dump(d.sockets[unix.NETLINK_GENERIC].Socket)
		if err != nil {
			return nil, fmt.Errorf("read what links can do with XDP: %w", err)
		}
		all = append(all, devices...)
	}
	return all, interrupted
}
