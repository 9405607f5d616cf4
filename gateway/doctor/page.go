package doctor

import (
	"fmt"
	"strings"
)

const pageHead = `# vxgw doctor

` + "`vxgw doctor`" + ` looks at the machine and says of each thing whether it is well, and the
command that mends it where it is not:

` + "```" + `
OK    kernel         Linux 6.1.0-25-amd64
WARN  rp-filter      strict on und0, and packets to VTEPs leave by und1, und0: ...
                     -> sysctl -w net.ipv4.conf.und0.rp_filter=2
` + "```" + `

It changes nothing. FAIL: something does not work, and the exit status is 1. WARN: it works
in part, or may not. NOTE: it could not be looked at, or nobody answered; that is no
verdict. Without a FAIL the exit status is 0. ` + "`--json`" + `
prints an array of objects with ` + "`name`, `state` (`ok`, `note`, `warn`, `fail`), `says` and `mend`" + `.

A gateway that runs is asked at its control socket: it does the looking, with its rights, in
its network namespace, at the configuration that it runs by. Where none answers, the command
looks itself, at the configuration file (` + "`-c FILE`" + `) and with the rights of who calls it. Some
things a gateway may not see, because its unit keeps it from them: it cannot name other users'
processes, nor ask for the clock.

Probes are sent to VTEPs (packets of full length that are not to be fragmented) unless
` + "`--no-probe`" + ` says not to. The dashboard's health panel shows those that are marked so, once in
ten seconds at most, while somebody looks. The log has a line at the start for what is marked so.

IP forwarding (` + "`net.ipv4.ip_forward`" + `) is not looked at: the gateway does not need it, neither
for VXLAN nor to route between VNIs.

`

// Page returns docs/doctor.md.
func Page() string {
	var b strings.Builder
	b.WriteString(pageHead)
	for i := range checks {
		c := &checks[i]
		fmt.Fprintf(&b, "## %s\n\nReads %s.\n\n%s\n\nMend: %s.\n\n%s\n\n", c.name, c.reads, c.means, c.mend, c.when())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// when says where a check is made.
func (c *check) when() string {
	text := "Made when somebody asks."
	switch c.cost {
	case cheap:
		text = "Shown on the dashboard."
	case active:
		text = "Sends packets: made when somebody asks, without `--no-probe`."
	}
	if c.atTheStart {
		text += " Logged at the start."
	}
	return text
}
