package api

import (
	"strings"
	"time"

	"vxgw/gateway/events"
)

// ConfigRow is the configuration that runs.
type ConfigRow struct {
	File string `json:"file"` // that a reload reads
	// State is ConfigConfirmed, ConfigUnconfirmed or ConfigRolledBack.
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"` // what to do, where there is something

	Since time.Time `json:"since"` // it runs
	// ConfirmUntil is when it is rolled back unless it was confirmed; nil: never.
	ConfirmUntil *time.Time `json:"confirm_until,omitempty"`
	// RestartNeeded are settings of the file that take effect at the next start.
	RestartNeeded []string `json:"restart_needed"`
}

// The states of a configuration.
const (
	ConfigConfirmed   = "confirmed"   // it stays
	ConfigUnconfirmed = "unconfirmed" // it is rolled back unless it is confirmed
	ConfigRolledBack  = "rolled_back" // the file has another one, which was not confirmed
)

// Event tells of the state in which the configuration is; reason is why it came to that,
// where there is something to say.
func (r ConfigRow) Event(reason string) events.Event {
	types := map[string]events.Type{
		ConfigConfirmed: events.ConfigConfirmed, ConfigUnconfirmed: events.ConfigUnconfirmed, ConfigRolledBack: events.ConfigRolledBack,
	}
	return events.Event{Type: types[r.State], ConfirmUntil: r.ConfirmUntil, Reason: reason, Mend: r.Reason}
}

// config returns the one row, or none where nobody has a file.
func (s *Server) config() []ConfigRow {
	if s.opts.Commit == nil {
		return nil
	}
	return []ConfigRow{s.opts.Commit.Config()}
}

var configColumns = []column{
	{head: "FILE"}, {head: "STATE"}, {head: "SINCE", right: true}, {head: "UNTIL", optional: true}, {head: "RESTART-NEEDED", optional: true}, {head: "REASON", optional: true},
}

func (v View) config(r ConfigRow) []string {
	until := ""
	if r.ConfirmUntil != nil {
		until = r.ConfirmUntil.Local().Format(time.TimeOnly)
	}
	return []string{r.File, r.State, Age(v.Now.Sub(r.Since)), until, strings.Join(r.RestartNeeded, ","), r.Reason}
}
