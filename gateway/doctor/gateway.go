package doctor

import "fmt"

var gatewayCheck = check{
	name:  "gateway",
	reads: "whether a gateway answers, and whether its VTEP sends and receives",
	means: "Without one, what follows is about the file, and about what the process that looks may do. FAIL: it runs, and its VTEP has no way out.",
	mend:  "`systemctl start vxgw`; for a VTEP that is down the reason says what to do",
	cost:  costly, // the dashboard has this already
	run:   examineGateway,
}

func examineGateway(e *exam) {
	if e.Live == nil {
		where := ""
		if e.Socket != "" {
			where = " on " + e.Socket
		}
		e.warn("systemctl start vxgw", "no gateway answers%s: this is about the file", where)
		return
	}
	u := e.Live.Underlay()
	is := fmt.Sprintf("VTEP %s", u.Address)
	if !u.Up {
		e.fail("journalctl -u vxgw", "%s does not send or receive: %s", is, u.Reason)
		return
	}
	e.ok("%s sends and receives on %s, UDP port %d", is, u.Interface, u.Port)
}
