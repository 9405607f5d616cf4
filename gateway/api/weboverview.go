package api

import (
	"net/http"
	"slices"
	"time"
)

// Overview is the whole gateway in one answer, bounded by its configuration and not by
// its traffic: MACs, neighbours and routes are only counted. Rates are left to whoever
// asks: counters of two answers, by the difference of their Uptime.
type Overview struct {
	Name     string        `json:"name"`
	Version  string        `json:"version"`
	Revision string        `json:"revision"`
	Time     time.Time     `json:"time"`
	Uptime   float64       `json:"uptime"` // seconds since the gateway began to answer; never goes back but at a restart
	Underlay UnderlayRow   `json:"underlay"`
	Ports    []PortRow     `json:"ports"`
	VNIs     []VNISum      `json:"vnis"`
	VTEPs    []VTEPSum     `json:"vteps"`
	VRFs     []VRFRow      `json:"vrfs"`
	Drops    []DropSum     `json:"drops"`
	Refused  []RefusedRow  `json:"learn_refused"`
	Datapath []DatapathRow `json:"datapath"`
	MACs     []MACSum      `json:"macs"`
	Origins  []OriginRow   `json:"origins"`
	Checks   []Check       `json:"checks"`
}

// VNISum is a VNIRow with numbers in place of its lists.
type VNISum struct {
	VNI        uint32 `json:"vni"`
	VLAN       uint16 `json:"vlan"`
	Name       string `json:"name"`
	VRF        string `json:"vrf"`
	MACs       int    `json:"macs"`
	Ports      int    `json:"ports"`
	VTEPs      int    `json:"vteps"`
	RxPackets  uint64 `json:"rx_packets"`
	RxBytes    uint64 `json:"rx_bytes"`
	TxPackets  uint64 `json:"tx_packets"`
	TxBytes    uint64 `json:"tx_bytes"`
	Suppressed uint64 `json:"suppressed"`
}

// VTEPSum is a VTEPRow with a number in place of its list.
type VTEPSum struct {
	Address   string     `json:"address"`
	Origin    string     `json:"origin"`
	VNIs      int        `json:"vnis"`
	RxPackets uint64     `json:"rx_packets"`
	RxBytes   uint64     `json:"rx_bytes"`
	TxPackets uint64     `json:"tx_packets"`
	TxBytes   uint64     `json:"tx_bytes"`
	LastSeen  *time.Time `json:"last_seen"` // null: never heard of
	MTU       int        `json:"mtu,omitempty"`
}

// DropSum is a DropRow without its texts, which GET /v1/drops has.
type DropSum struct {
	Reason    string `json:"reason"`
	Direction string `json:"direction"`
	Count     uint64 `json:"count"`
}

// MACSum is how many entries of the forwarding database have an origin.
type MACSum struct {
	Origin string `json:"origin"`
	Count  int    `json:"count"`
}

// webRows is the gateway as it was asked once, for all who look at that time.
type webRows struct {
	Overview
	vnis  []VNIRow
	vteps []VTEPRow
}

// webRows asks the gateway, or returns what it said a moment ago.
func (s *Server) webRows() *webRows { return s.web.now.get(webEvery, s.readRows) }

func (s *Server) readRows() *webRows {
	now := time.Now()
	r := &webRows{vnis: s.src.VNIs(), vteps: s.src.VTEPs()}
	r.Overview = Overview{
		Name: s.src.Name(), Version: s.opts.Version, Revision: s.opts.Revision,
		Time: now.Truncate(time.Millisecond), Uptime: now.Sub(s.web.began).Seconds(),
		Underlay: s.src.Underlay(), Ports: some(s.src.Ports()), VRFs: some(s.src.VRFs()),
		Refused: some(s.src.LearnRefused()), Datapath: some(s.src.Datapath()),
		VNIs: []VNISum{}, VTEPs: []VTEPSum{}, Origins: some(s.src.Origins()), Drops: []DropSum{}, MACs: macSums(s.src.MACCounts()),
	}
	for _, v := range r.vnis {
		r.VNIs = append(r.VNIs, VNISum{
			VNI: v.VNI, VLAN: v.VLAN, Name: v.Name, VRF: v.VRF, MACs: v.MACs, Ports: len(v.Ports), VTEPs: len(v.VTEPs),
			RxPackets: v.RxPackets, RxBytes: v.RxBytes, TxPackets: v.TxPackets, TxBytes: v.TxBytes, Suppressed: v.Suppressed,
		})
	}
	for _, v := range r.vteps {
		r.VTEPs = append(r.VTEPs, VTEPSum{
			Address: v.Address, Origin: v.Origin, VNIs: len(v.VNIs), LastSeen: v.LastSeen, MTU: v.MTU,
			RxPackets: v.RxPackets, RxBytes: v.RxBytes, TxPackets: v.TxPackets, TxBytes: v.TxBytes,
		})
	}
	for _, d := range s.src.Drops() {
		r.Drops = append(r.Drops, DropSum{d.Reason, d.Direction, d.Count})
	}
	r.Checks = append(standing(&r.Overview), s.moreChecks()...)
	return r
}

func macSums(counts map[MACCountKey]int) []MACSum {
	sums := []MACSum{}
	origins := slices.Clone(ownOrigins)
	for key := range counts {
		if !slices.Contains(origins, key.Origin) {
			origins = append(origins, key.Origin)
		}
	}
	slices.Sort(origins[len(ownOrigins):])
	for _, origin := range origins {
		sum := MACSum{Origin: origin}
		for key, n := range counts {
			if key.Origin == origin {
				sum.Count += n
			}
		}
		sums = append(sums, sum)
	}
	return sums
}

// some is rows as a JSON array, also where there are none.
func some[T any](rows []T) []T {
	if rows == nil {
		return []T{}
	}
	return rows
}

// overview answers GET /v1/overview.
func (s *Server) overview(w http.ResponseWriter, r *http.Request) {
	s.web.text.get(webEvery, func() body { return newBody(s.webRows().Overview) }).write(w, r)
}
