package gateway

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"vxgw/config"
	"vxgw/gateway/api"
	"vxgw/gateway/capture"
	"vxgw/gateway/forward"
	"vxgw/l3/underlay"
	"vxgw/l3/underlay/udp"
	"vxgw/l3/vxlan"
)

var _ api.Capturer = (*Gateway)(nil)

func newCaptures(g *Gateway, cfg *config.Config) *capture.Hub {
	u := &cfg.Underlay
	outer := udp.NewOuter(udp.Config{
		Address: u.Address, Port: u.Port, TTL: u.TTL, DF: u.DF, Checksum: u.Checksum, ZeroChecksum6: u.ZeroChecksum6,
	})
	return capture.NewHub(capture.Config{
		Application: "vxgw " + cfg.Name,
		Interfaces:  g.captureInterfaces, Describe: g.captureInterface,
		PutOuter: func(b []byte, d *underlay.Datagram, in *capture.Incoming, n int) []byte {
			if in != nil {
				return outer.AppendReceived(b, in.From, in.Group, d, n)
			}
			return outer.AppendSent(b, d, n)
		},
		Source:   g.fast.source(),
		Recorder: g.drops,
		Warn:     func(msg string, err error) { g.log.Warn(msg, "err", err) },
	})
}

// captureInterfaces lists the places that frames are seen at: the ports, and the
// underlay. It takes no lock of the gateway's.
func (g *Gateway) captureInterfaces() (all []capture.Interface) {
	s := g.tables.Snapshot()
	for i := range s.Ports {
		if s.Ports[i].Name != "" {
			all = append(all, g.captureInterface(capture.AtPort(forward.PortID(i))))
		}
	}
	return append(all, g.captureInterface(capture.Underlay))
}

// captureInterface names a place.
func (g *Gateway) captureInterface(p capture.Place) capture.Interface {
	is := capture.Interface{Place: p}
	if p.IsUnderlay() {
		is.Name, is.Place = g.underlayName(p.Index)
		is.Description = fmt.Sprintf("underlay, VTEP %v", g.config().Underlay.Address)
		return is
	}
	s := g.tables.Snapshot()
	if int(p.Port) >= len(s.Ports) || s.Ports[p.Port].Name == "" {
		is.Name, is.Description = fmt.Sprintf("port%d", p.Port), "access port that has been removed"
		return is
	}
	is.Name = s.Ports[p.Port].Name
	is.Description = "access port, " + domainName(&s.Domains[s.Ports[p.Port].Domain])
	return is
}

// underlayName names an interface of the underlay, by index: 0 is the one that holds
// the VTEP address. The Place is one for both.
func (g *Gateway) underlayName(index int) (string, capture.Place) {
	main, ok := g.underlayLink()
	name := cmp.Or(main.Name, g.config().Underlay.Device(), "underlay")
	if index == 0 || ok && index == main.Index {
		return name, capture.Underlay
	}
	if l, ok := g.edges.Host.LinkAt(index); ok {
		return l.Name, capture.Place{Port: forward.NoPortID, Index: index}
	}
	return name, capture.Underlay
}

// Capture begins a capture. An error wraps api.ErrBusy where there are too many.
func (g *Gateway) Capture(r api.CaptureRequest) (api.Capture, error) {
	spec := capture.Spec{
		Anywhere: r.Port == "", VNI: r.VNI, Dropped: r.Dropped, Count: r.Count, Duration: r.Duration,
		Snap: cmp.Or(r.Snap, capture.DefaultSnap),
	}
	if spec.Snap < 1 || spec.Snap > capture.MaxSnap {
		return nil, fmt.Errorf("snaplen %d: 1 to %d bytes of a frame can be kept", r.Snap, capture.MaxSnap)
	}
	var err error
	if !spec.Anywhere {
		if spec.Place, err = g.placeOf(r.Port); err != nil {
			return nil, err
		}
	}
	if spec.Filter, err = capture.ParseFilter(r.Filter, g.config().Underlay.Port); err != nil {
		return nil, err
	}
	s, err := g.captures.Open(spec)
	switch {
	case errors.Is(err, capture.ErrTooMany):
		return nil, busy{err}
	case err != nil:
		return nil, err
	}
	g.log.Info("a capture begins", "port", cmp.Or(r.Port, "all"), "vni", r.VNI, "dropped_only", r.Dropped, "filter", r.Filter)
	return s, nil
}

// busy is an error that is over when others have ended.
type busy struct{ error }

func (busy) Is(target error) bool { return target == api.ErrBusy }

// placeOf finds an access port, or the underlay, by the name of its interface.
func (g *Gateway) placeOf(name string) (capture.Place, error) {
	for _, is := range g.captureInterfaces() {
		if is.Name == name {
			return is.Place, nil
		}
	}
	return capture.Place{}, fmt.Errorf("%s is neither an access port nor the underlay's interface: `vxgw show ports` and `vxgw show datapath` list them", name)
}

// DropFrames lists the frames that were dropped last, the oldest first: of one reason,
// or of all for "".
func (g *Gateway) DropFrames(reason string) ([]api.DropFrameRow, error) {
	r := forward.None
	if reason != "" {
		var ok bool
		if r, ok = forward.ParseReason(reason); !ok {
			return nil, fmt.Errorf("there is no reason %q: `vxgw show drops --all` lists them", reason)
		}
	}
	g.captures.CollectDrops()
	records := g.drops.All(r)
	rows := make([]api.DropFrameRow, len(records))
	for i := range records {
		rows[i] = dropFrameRow(&records[i])
	}
	return rows, nil
}

func dropFrameRow(r *capture.Record) api.DropFrameRow {
	row := api.DropFrameRow{
		Time: time.Unix(0, r.Time), Reason: r.Reason.String(), Direction: r.Direction.String(),
		Port: r.Where, VNI: r.VNI, Sent: r.Out, Copy: r.Part || r.Out,
	}
	if r.VTEP.IsValid() {
		row.VTEP = r.VTEP.String()
	}
	f, length := r.Data, r.Len
	if r.Bare {
		if _, _, problem := vxlan.Parse(f); problem != vxlan.OK {
			row.Length, row.Summary = length, "no VXLAN header that names a VNI"
			row.Payload = hex.EncodeToString(f)
			return row
		}
		f, length = f[vxlan.HeaderLen:], length-vxlan.HeaderLen
	}
	row.Length, row.Frame = length, hex.EncodeToString(f)
	row.Summary = capture.Summary(f, length)
	return row
}
