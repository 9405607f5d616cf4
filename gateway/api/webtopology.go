package api

import (
	"net/http"
	"slices"
)

// How much of a large network is drawn: more cannot be told apart.
const (
	maxDrawnVNIs  = 16
	maxDrawnPorts = 32
	maxDrawnVTEPs = 32
)

// Topology is a part of the network that is small enough to be drawn.
type Topology struct {
	VNIs  []TopologyVNI `json:"vnis"`
	Ports []string      `json:"ports"` // by interface
	VTEPs []string      `json:"vteps"` // by address
	Left  struct {
		VNIs  int `json:"vnis"`
		Ports int `json:"ports"` // of the VNIs that are there
		VTEPs int `json:"vteps"`
	} `json:"left_out"`
}

// TopologyVNI is a VNI and those of its ports and VTEPs that are drawn.
type TopologyVNI struct {
	VNI   uint32   `json:"vni"`
	VLAN  uint16   `json:"vlan"`
	Name  string   `json:"name"`
	VRF   string   `json:"vrf"`
	Ports []string `json:"ports"`
	VTEPs []string `json:"vteps"`
}

// topology answers GET /v1/topology?vni=N.
func (s *Server) topology(w http.ResponseWriter, r *http.Request) {
	vni, err := vniFilter(Resource{Name: "topology", ByVNI: true}, r.URL)
	if err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	answer(w, r, drawn(s.webRows().vnis, vni))
}

// drawn picks what is drawn: of one VNI, or of the first ones.
func drawn(vnis []VNIRow, only uint32) Topology {
	t := Topology{VNIs: []TopologyVNI{}, Ports: []string{}, VTEPs: []string{}}
	leftPorts, leftVTEPs := map[string]bool{}, map[string]bool{}
	for _, v := range vnis {
		if only != 0 && v.VNI != only {
			continue
		}
		if len(t.VNIs) == maxDrawnVNIs {
			t.Left.VNIs++
			continue
		}
		t.VNIs = append(t.VNIs, TopologyVNI{
			VNI: v.VNI, VLAN: v.VLAN, Name: v.Name, VRF: v.VRF,
			Ports: draw(&t.Ports, v.Ports, maxDrawnPorts, leftPorts),
			VTEPs: draw(&t.VTEPs, v.VTEPs, maxDrawnVTEPs, leftVTEPs),
		})
	}
	t.Left.Ports, t.Left.VTEPs = len(leftPorts), len(leftVTEPs)
	return t
}

// draw adds names to all, while there is room, and returns those that are in it.
func draw(all *[]string, names []string, room int, left map[string]bool) []string {
	in := []string{}
	for _, n := range names {
		switch {
		case slices.Contains(*all, n):
		case len(*all) < room:
			*all = append(*all, n)
		default:
			left[n] = true
			continue
		}
		in = append(in, n)
	}
	return in
}
