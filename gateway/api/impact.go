package api

// Impact is one thing that a reload would change, and what traffic that touches.
type Impact struct {
	Item   string `json:"item"`   // "port eth1", "vni 10010", "underlay port"
	Change string `json:"change"` // "VLAN 10 -> 20", "added"
	Effect string `json:"effect"` // in words: what becomes of traffic

	// Interrupts says that frames that are carried now are lost, or go another way.
	Interrupts bool `json:"interrupts"`
	// Restart says that the change takes effect at the next start, and nothing before.
	Restart bool `json:"restart"`
}

// String is the impact in one line.
func (i Impact) String() string { return i.Item + ": " + i.Change + ": " + i.Effect }
