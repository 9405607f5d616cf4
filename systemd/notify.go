// Package systemd tells the service manager how the gateway does (sd_notify(3)),
// and holds the unit files that the package installs. Without a service manager
// every call does nothing.
package systemd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Ready says that the gateway forwards, and how, in one line. Units that are
// ordered after it start now.
func Ready(status string) error { return notify(daemon.SdNotifyReady, statusLine(status)) }

// Stopping says that the gateway is on its way out.
func Stopping() error { return notify(daemon.SdNotifyStopping, statusLine("stopping")) }

// Status sets the line that `systemctl status` shows.
func Status(status string) error { return notify(statusLine(status)) }

// Watchdog feeds the watchdog of the service manager while alive reports true,
// twice in the time that it allows, and returns nil when ctx ends. It stops
// feeding, and says so, while alive reports false: the service manager then ends
// the process and starts another, as WatchdogSec= and Restart= say. alive is
// called by one goroutine at a time. Where no watchdog is set it waits for ctx.
func Watchdog(ctx context.Context, alive func() bool) error {
	// The variables stay set: a process that is not the one they name ignores
	// them by WATCHDOG_PID.
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("the service manager's watchdog: %w", err)
	}
	if limit == 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(max(limit/2, time.Microsecond))
	defer tick.Stop()
	for {
		// One that cannot be sent is as one not sent: forwarding does not end
		// because the service manager was away for a moment.
		_ = feed(alive())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// feed sends one sign of life, or why there is none.
func feed(alive bool) error {
	if !alive {
		return Status("forwarding does not go round: waiting for the watchdog")
	}
	return notify(daemon.SdNotifyWatchdog)
}

// notify sends assignments in one datagram.
func notify(lines ...string) error {
	if _, err := daemon.SdNotify(false, strings.Join(lines, "\n")); err != nil {
		return fmt.Errorf("telling the service manager: %w", err)
	}
	return nil
}

// statusLine keeps a status on its line: a line break would begin another
// assignment.
func statusLine(status string) string {
	return "STATUS=" + strings.Join(strings.FieldsFunc(status, func(r rune) bool { return r == '\n' || r == '\r' || r == 0 }), " ")
}
