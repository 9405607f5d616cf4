package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"

	"vxgw/l2/frame"
)

// ClearRequest says which learned MACs are to be forgotten: one of MAC, Port, VTEP and
// All, and with VNI only those of that VNI.
type ClearRequest struct {
	VNI  uint32 `json:"vni,omitempty"`
	MAC  string `json:"mac,omitempty"`
	Port string `json:"port,omitempty"` // those behind an access port
	VTEP string `json:"vtep,omitempty"` // those behind a remote VTEP
	All  bool   `json:"all,omitempty"`
}

// Cleared is what was forgotten.
type Cleared struct {
	MACs int `json:"macs"`
	Held int `json:"held"` // of these, those that were held because they moved too often
}

// Check tells, for people, what is wrong with a request, and puts addresses into the
// form in which a Source has them.
func (r *ClearRequest) Check() error {
	n := 0
	for _, given := range []bool{r.MAC != "", r.Port != "", r.VTEP != "", r.All} {
		if given {
			n++
		}
	}
	switch {
	case n == 0:
		return errors.New("say which MACs: one address, those behind a port or a VTEP, or all")
	case n > 1:
		return errors.New("name one of a MAC address, a port, a VTEP, and all")
	case r.VNI > maxVNI:
		return fmt.Errorf("vni %d: a VNI is a number from 1 to %d", r.VNI, maxVNI)
	case r.MAC != "":
		m, err := frame.ParseMAC(r.MAC)
		if err != nil {
			return fmt.Errorf("%q is not a MAC address: write one as 02:00:00:00:01:02", r.MAC)
		}
		r.MAC = m.String()
	case r.VTEP != "":
		a, err := netip.ParseAddr(r.VTEP)
		if err != nil || a.Zone() != "" {
			return fmt.Errorf("vtep %q is not an IP address: write one as 192.0.2.2 or 2001:db8::2", r.VTEP)
		}
		r.VTEP = a.Unmap().String()
	}
	return nil
}

// String says in a few words which MACs these are.
func (r ClearRequest) String() string {
	what := "all"
	switch {
	case r.MAC != "":
		what = r.MAC
	case r.Port != "":
		what = "port " + r.Port
	case r.VTEP != "":
		what = "VTEP " + r.VTEP
	}
	if r.VNI != 0 {
		what += fmt.Sprintf(" in VNI %d", r.VNI)
	}
	return what
}

// clearRoutes are what makes the gateway forget.
func (s *Server) clearRoutes() []route {
	if s.opts.ClearMACs == nil {
		return nil
	}
	return []route{{
		method: http.MethodPost, path: "/v1/macs/clear", on: onSocket, writes: true, handler: s.clear,
		summary: "forget learned MACs, and let go of those that are held",
		detail:  "One of \"mac\", \"port\", \"vtep\" and \"all\" says which; \"vni\" narrows it to one VNI. What still sends is learned again at once. Static entries stay.",
		takes:   ClearRequest{}, answers: Cleared{},
	}}
}

func (s *Server) clear(w http.ResponseWriter, r *http.Request) {
	var req ClearRequest
	status, err := readBody(r.Body, &req)
	if err == nil {
		status, err = http.StatusBadRequest, req.Check()
	}
	if err != nil {
		refuse(w, status, "%v", err)
		return
	}
	done, err := s.opts.ClearMACs(req)
	if err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	writeJSONTo(w, done)
}

// ClearMACs has the gateway forget learned MACs.
func (c *Client) ClearMACs(ctx context.Context, req ClearRequest) (Cleared, error) {
	var done Cleared
	text, err := json.Marshal(req)
	if err != nil {
		return done, err
	}
	body, err := c.do(ctx, http.MethodPost, "/v1/macs/clear", nil, text)
	if err != nil {
		return done, err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&done); err != nil {
		return done, c.cutOff(err)
	}
	return done, nil
}
