package doctor

import (
	"context"
	"log/slog"

	"vxgw/gateway/api"
)

// LogStart makes those checks whose findings are lost packets that nobody counts, and
// logs what is not well. What the gateway finds out and tells of by itself is not among
// them.
func LogStart(ctx context.Context, s *Subject, log *slog.Logger) {
	for _, c := range s.run(ctx, func(c *check) bool { return c.atTheStart }) {
		if c.State == api.CheckWarn || c.State == api.CheckFail {
			log.Warn("this machine is not as it should be", "check", c.Name, "found", c.Says, "mend", c.Mend)
		}
	}
}
