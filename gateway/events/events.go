// Package events is what a gateway tells of as it happens, and the log of the latest of
// it that any number of listeners follow. It knows nothing of forwarding.
package events

import "time"

// Type is what happened.
type Type string

// The types. The part before the first underscore is a type's class, see Class.
const (
	MACLearned Type = "mac_learned" // it was not known, or is pinned now
	MACMoved   Type = "mac_moved"
	MACGone    Type = "mac_gone"

	MACHeld     Type = "mac_held"     // it moved too often, and does not move for now
	MACReleased Type = "mac_released" // the time is over that it was held for

	PortUp   Type = "port_up"
	PortDown Type = "port_down" // State and Reason say how
	PortGone Type = "port_gone" // it left the configuration

	VTEPAdded Type = "vtep_added"
	VTEPGone  Type = "vtep_gone"

	NeighbourLearned Type = "neighbour_learned"
	NeighbourMoved   Type = "neighbour_moved"
	NeighbourGone    Type = "neighbour_gone"

	// Of controllers, see Event.Origin.
	OriginConnected Type = "origin_connected" // it speaks for the first time, or again after it was swept, or opened a stream in its name
	OriginReplaced  Type = "origin_replaced"  // it said all anew, and something of it is another
	OriginLost      Type = "origin_lost"      // the last stream of events in its name ended: its hold time runs
	OriginSwept     Type = "origin_swept"     // its hold time ended: all that it had said is forgotten
	OriginEnded     Type = "origin_ended"     // it was deleted, and all that it had said with it

	Reload Type = "reload" // a configuration was applied
	Drops  Type = "drops"  // frames are dropped, for a reason that was not told of lately

	ConfigUnconfirmed Type = "config_unconfirmed" // what was applied is rolled back unless it is confirmed
	ConfigConfirmed   Type = "config_confirmed"   // ... it stays
	ConfigRolledBack  Type = "config_rolled_back" // ... what ran before runs again

	StormBegin Type = "storm_begin" // storm control drops, where it did not
	StormEnd   Type = "storm_end"   // ... and has not for half a minute

	// Resync: events were missed, and what a listener knows may be wrong.
	Resync Type = "resync"

	// Between these two a stream tells what there is.
	SnapshotBegin Type = "snapshot_begin"
	SnapshotEnd   Type = "snapshot_end"
)

// Types are all that a listener can choose from, in order. The others come to everybody.
var Types = []Type{
	MACLearned, MACMoved, MACGone, MACHeld, MACReleased, PortUp, PortDown, PortGone, VTEPAdded, VTEPGone,
	NeighbourLearned, NeighbourMoved, NeighbourGone,
	OriginConnected, OriginReplaced, OriginLost, OriginSwept, OriginEnded, Reload,
	ConfigUnconfirmed, ConfigConfirmed, ConfigRolledBack, Drops, StormBegin, StormEnd,
}

// The tables that a neighbour is known by.
const (
	BySuppression = "suppression" // ARP and ND are answered for it
	ByRouting     = "routing"     // it is a neighbour of a routed interface
)

// Event is one thing that happened. A field that its type has no use for is empty.
type Event struct {
	// ID goes up with every event, over restarts of the gateway too. What a snapshot
	// tells has none.
	ID   uint64    `json:"id,omitempty"`
	Time time.Time `json:"time"`
	Type Type      `json:"type"`

	VNI        uint32 `json:"vni,omitempty"`
	MAC        string `json:"mac,omitempty"`
	FromMAC    string `json:"from_mac,omitempty" doc:"where a neighbour that moved was"`
	Address    string `json:"address,omitempty" doc:"of a neighbour"`
	Port       string `json:"port,omitempty" doc:"the access port; of a MAC or neighbour, the one it is behind"`
	VTEP       string `json:"vtep,omitempty" doc:"the remote VTEP, or the multicast group; of a MAC or neighbour, the one it is behind"`
	FromPort   string `json:"from_port,omitempty" doc:"where a MAC that moved was; of one that is held, where else it was heard"`
	FromVTEP   string `json:"from_vtep,omitempty" doc:"where a MAC that moved was; of one that is held, where else it was heard"`
	Kind       string `json:"kind,omitempty" doc:"of a storm: broadcast, multicast or unknown_unicast"`
	Origin     string `json:"origin,omitempty" doc:"who says so: as in the rows of macs and vteps; of a neighbour, a controller or static alone; of origin_* the controller"`
	FromOrigin string `json:"from_origin,omitempty" doc:"of a MAC that moved, where that was a controller: who had said that it was there. With origin learned, the station was heard here, whatever the controller says"`
	Table      string `json:"table,omitempty" enum:"suppression,routing" doc:"which table has the neighbour; one may be in both"`
	Cause      string `json:"cause,omitempty" doc:"why a MAC went: aged, flushed, removed or ousted"`
	Times      int    `json:"times,omitempty" doc:"how many changes at once this is, where it is more than one"`

	State  string `json:"state,omitempty" doc:"of a port, or a controller"`
	Reason string `json:"reason,omitempty" doc:"why a port is not up; which drops; why a configuration is rolled back; why to read all again"`

	Direction string `json:"direction,omitempty" doc:"of drops; of a storm, as in storm_control of ports and vnis"`
	Count     uint64 `json:"count,omitempty" doc:"drops for this reason, or for a storm in this place, in all"`
	Frames    uint64 `json:"frames,omitempty" doc:"drops for this reason since it was last told of; in this storm"`
	Mend      string `json:"mend,omitempty" doc:"what to do about it"`

	Hold    uint32 `json:"hold,omitempty" doc:"of a controller: seconds that what it said is kept without a sign of life"`
	Entries int    `json:"entries,omitempty" doc:"of a controller: VTEPs, MACs, neighbours and routes that it said; of one that was swept or ended, those that are forgotten"`

	Changes       []string `json:"changes,omitempty" doc:"what a reload changed, a line each"`
	RestartNeeded []string `json:"restart_needed,omitempty" doc:"changed settings that take effect at the next start"`

	ConfirmUntil *time.Time `json:"confirm_until,omitempty" doc:"when a configuration is rolled back unless it is confirmed"`
}
