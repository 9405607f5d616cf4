package doctor

import (
	"fmt"

	"vxgw/l3/underlay/udp"
)

var buffersCheck = check{
	name:  "socket-buffers",
	reads: "what a socket gets that asks for as much as the gateway does (SO_RCVBUFFORCE, else SO_RCVBUF), and net.core.rmem_max and wmem_max",
	means: "Bursts are lost as `rx_overflow`. With CAP_NET_ADMIN the sysctls do not bind.",
	mend:  "grant CAP_NET_ADMIN (the unit does), or `sysctl -w net.core.rmem_max=4194304 net.core.wmem_max=4194304`",
	run:   examineBuffers,
}

func examineBuffers(e *exam) {
	receive, send, err := e.Machine.Buffers(udp.DefaultBuffer)
	if err != nil {
		e.unseen("what buffers sockets get", err)
		return
	}
	if receive >= udp.DefaultBuffer && send >= udp.DefaultBuffer {
		e.ok("sockets get the %d KiB that they ask for", udp.DefaultBuffer>>10)
		return
	}
	rmem, rerr := e.Machine.sysctl("net", "core", "rmem_max")
	wmem, werr := e.Machine.sysctl("net", "core", "wmem_max")
	sysctls := ""
	if rerr == nil && werr == nil { // they are not in every network namespace
		sysctls = fmt.Sprintf(" (net.core.rmem_max %d, wmem_max %d)", rmem, wmem)
	}
	e.warn(fmt.Sprintf("sysctl -w net.core.rmem_max=%d net.core.wmem_max=%[1]d", udp.DefaultBuffer),
		"sockets get %d KiB to receive and %d to send, and ask for %d%s", receive>>10, send>>10, udp.DefaultBuffer>>10, sysctls)
}
